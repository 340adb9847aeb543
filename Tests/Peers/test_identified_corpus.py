"""`decant identify` on every real file: the ResNets by their facts, the rest refused with what was found in them.

The facts are the publishers' and the shapes that the corpus's independent reader lists, not what the tool printed.
"""

import collections
import json
import re
import struct

import numpy as np
import pytest

# By path: what the tool has to say, and under NOT_SAID where to see that it is true. The stage is a regular expression of
# the names of blocks' convolutions; its groups are stage and block.
RESNETS = {
    # README: ResNet20 for CIFAR-10 with option A, 0.27 million parameters; {state_dict, best_prec1}, DataParallel's names.
    "akamaster+pytorch_resnet_cifar10/pretrained_models/resnet20-12fca82f.th": {
        "stage": r"layer(\d)\.(\d)\.conv", "stem_name": "conv1.weight", "head_name": "linear.weight",
        "architecture": "resnet20", "same_shapes_as": ["resnet20"], "nearest": None, "dialect": "cifar",
        "key": "state_dict", "prefix": "module.", "block": "basic", "layers": [3, 3, 3], "depth": 20, "classes": 10,
        "input_channels": 3, "stem": [16, 3], "shortcut": None,
    },
    # README: ReNet-20 for CIFAR-10. Option B: a projection where the channels change, which He's resnet20 has not.
    "EhanW+advrob-cifar10/pretrained/resnet20.pth": {
        "stage": r"stage_(\d)\.(\d)\.conv_", "stem_name": "conv_1.weight", "head_name": "fc.weight",
        "architecture": None, "same_shapes_as": [], "nearest": "resnet20", "dialect": "cifar-underscored",
        "key": ".", "prefix": "", "block": "basic", "layers": [3, 3, 3], "depth": 20, "classes": 10,
        "input_channels": 3, "stem": [16, 3], "shortcut": "downsample",
    },
    # model_defs.py: resnet2b has one stage of two basic blocks without normalization behind a stem of 8 channels.
    # Its head is two layers, of which TWO_LAYERS asks.
    "Verified-Intelligence+alpha-beta-CROWN/complete_verifier/models/cifar10_resnet/resnet2b.pth": {
        "stage": r"layer(\d)\.(\d)\.conv", "stem_name": "conv1.weight", "head_name": None,
        "architecture": None, "same_shapes_as": [], "dialect": "cifar", "key": "state_dict", "prefix": "",
        "block": "basic", "layers": [2], "input_channels": 3, "stem": [8, 3], "shortcut": "shortcut",
    },
}  # fmt: skip
# Its publisher: flattened 8×8 maps of 16 channels, 100 hidden units, 10 classes; a stride of 2 in the stem and in layer1.
TWO_LAYERS = "Verified-Intelligence+alpha-beta-CROWN/complete_verifier/models/cifar10_resnet/resnet2b.pth"
# What the tool prints under these names and the independent reader does not.
NOT_SAID = {"stage", "stem_name", "head_name", "stem", "shortcut"}

# How many files end how. A file that moves from one to another is a change somebody has to mean.
OUTCOMES = {
    (0, "a ResNet"): 3,
    (1, "no ResNet"): 115,
    (2, "several state dicts"): 2,
    (1, "no state dict"): 265,
    (2, "no tensors"): 183,
    (2, "unread tensors"): 6,
    (2, "unreadable"): 38,
}
PHRASES = {
    "no ResNet": r"not recognised as a ResNet: .*prefixes found: (?P<found>.+)\. decant identify --dialects ",
    "several state dicts": r"holds \d+ state dicts: (?P<found>.+)\. Choose one: --key ",
    "no state dict": r"holds tensors but no state dict\. ",
    "no tensors": r"holds no tensors\. ",
    "unread tensors": r"holds tensors that cannot be read: ",
}
# The independent reader names an OrderedDict's tensors by their place in its call; their shapes are compared.
CALLED_WITH_PAIRS = "<arg0>"
FOUND = re.compile(r"\(([\d,]+) tensors?, such as (\S+) (scalar|\d+(?:×\d+)*)\)")
CANDIDATE = re.compile(r"(\S+) \((\d+) tensors\)(?:, |$)")


@pytest.fixture(scope="module")
def answers(decant, corpus) -> dict:
    """Every file's answer, by path: the outcome, how the run ended, and what the message says was found."""
    answers = {}
    for row in corpus.files:
        finished = decant.attempt("identify", "--json", row["file"])
        outcome, found = "a ResNet" if finished.status == 0 else "unreadable", ""
        for name, phrase in PHRASES.items():
            if match := re.search(phrase, finished.errors):
                outcome, found = name, match.groupdict().get("found", "")
        answers[row["path"]] = (finished.status, outcome), finished, found
    return answers


def shapes(corpus, row) -> dict[str, list[int]] | None:
    """The tensors of a file by name, without the tool; None of a container that nothing else here lists."""
    if row["path"] in corpus.digests:
        return {record["tensor_path"]: json.loads(record["shape"]) for record in corpus.digests[row["path"]]}
    if row["container"] == "safetensors":
        with open(row["file"], "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
        return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
    if row["container"] == "npz":
        with np.load(row["file"], allow_pickle=False) as arrays:
            return {name: list(arrays[name].shape) for name in arrays.files}
    return None


def test_how_every_file_ends(answers, figures):
    assert collections.Counter(outcome for outcome, _, _ in answers.values()) == OUTCOMES
    assert {path for path, (outcome, _, _) in answers.items() if outcome[0] == 0} == set(RESNETS)
    figures("identify, corpus: " + ", ".join(f"{count} {name}" for (_, name), count in OUTCOMES.items()))


@pytest.mark.parametrize("path", RESNETS)
def test_resnets(corpus, answers, path):
    _, finished, _ = answers[path]
    said, true = json.loads(finished.output), RESNETS[path]
    assert {name: said[name] for name in true if name not in NOT_SAID} == {
        name: value for name, value in true.items() if name not in NOT_SAID
    }
    # The same facts in what the independent reader lists.
    before = ("" if true["key"] == "." else true["key"] + ".") + true["prefix"]
    tensors = {record["tensor_path"]: json.loads(record["shape"]) for record in corpus.digests[path]}
    own = {name.removeprefix(before): shape for name, shape in tensors.items() if name.startswith(before)}
    kernels = collections.defaultdict(list)
    for name, shape in own.items():
        if (match := re.match(true["stage"], name)) and name.endswith(".weight"):
            kernels[int(match[1]), int(match[2])].append(shape[2:])
    blocks = collections.Counter(stage for stage, _ in kernels)
    assert [blocks[stage] for stage in sorted(blocks)] == true["layers"]
    assert set(map(len, kernels.values())) == {{"basic": 2, "bottleneck": 3}[true["block"]]}
    channels, kernel = true["stem"]
    assert own[true["stem_name"]] == [channels, true["input_channels"], kernel, kernel]
    if true["head_name"]:
        assert own[true["head_name"]][0] == true["classes"]
        assert true["depth"] == 2 + sum(map(len, kernels.values()))
    projections = {name.split(".")[-3] for name, shape in own.items() if len(shape) == 4 and shape[2:] == [1, 1]}
    assert projections == ({true["shortcut"]} if true["shortcut"] else set())
    facts = {fact["name"]: fact for fact in said["facts"]}
    assert facts["stem"]["value"] == f"one {kernel}×{kernel} convolution, {channels} channels"
    assert facts["stem"]["source"] == f"{true['prefix']}{true['stem_name']} {own[true['stem_name']]}"
    assert facts["shortcut"]["value"].startswith("projection" if true["shortcut"] else "without parameters (option A)")
    assert ("normalization" in facts) == (not any(name.endswith("running_mean") for name in own))
    # Whether shortcuts are added at all, no shape tells.
    assert {"stride0", "residual", "preprocessing"} <= set(said["undetermined"])


def test_a_head_of_two_layers(corpus, answers):
    shape = {record["tensor_path"]: json.loads(record["shape"]) for record in corpus.digests[TWO_LAYERS]}
    assert shape["state_dict.linear1.weight"] == [100, 16 * 8 * 8] and shape["state_dict.linear2.weight"] == [10, 100]
    said = json.loads(answers[TWO_LAYERS][1].output)
    source = {fact["name"]: fact["source"] for fact in said["facts"]}["classes"]
    assert source == "linear1.weight [100, 1024], linear2.weight [10, 100] stand beside the network"


def test_refusals_name_what_is_there(corpus, answers, figures):
    """Of every file with a state dict the message names tensors and shapes; they are the file's."""
    checked = named = 0
    for row in corpus.files:
        (_, outcome), finished, found = answers[row["path"]]
        if outcome == "a ResNet":
            continue
        message = [line for line in finished.errors.splitlines() if line.startswith("decant: error: ")]
        assert len(message) == 1 and message[0].startswith(f"decant: error: {row['file']}"), row["path"]
        if outcome == "no ResNet":
            groups = FOUND.findall(found)
            names = [(name, shape) for _, name, shape in groups]
            assert 1 <= len(names) <= 8, (row["path"], found)
            said = json.loads(finished.output)
            assert said["architecture"] is None and [group["first"] for group in said["prefixes"]]
            tensors = shapes(corpus, row)
            if tensors is None:
                assert row["container"] == "torch-tar(0.1)", row["path"]
                continue
            # Names are said from the state dict on.
            known = {(name, spell(shape)) for full, shape in tensors.items() for name in endings(full)}
            if any(name.startswith(CALLED_WITH_PAIRS) for name in tensors):
                names, known = ([shape for _, shape in pairs] for pairs in (names, known))
            assert set(names) <= set(known), (row["path"], set(names) - set(known))
            checked += 1
            named += len(names)
        assert outcome == "no ResNet" or json.loads(finished.output)["error"]["code"], row["path"]
        if outcome == "no tensors":
            assert not corpus.digests.get(row["path"]), row["path"]
    assert checked == 109
    figures(f"identify, corpus: {named} names and shapes in {checked} refusals are the files'")


def endings(name: str) -> list[str]:
    """A name and what is left of it behind each of its dots."""
    steps = plain(name).split(".")
    return [".".join(steps[place:]) for place in range(len(steps))]


def plain(name: str) -> str:
    """Without the independent reader's steps into an object's state."""
    return re.sub(r"<\w+>\.", "", name)


def spell(shape: list[int]) -> str:
    return "×".join(map(str, shape)) if shape else "scalar"


def test_every_key_of_several(decant, corpus, answers):
    """What is listed to choose from can be chosen, and is no ResNet either."""
    keys = 0
    for row in corpus.files:
        (_, outcome), _, found = answers[row["path"]]
        if outcome != "several state dicts":
            continue
        candidates = CANDIDATE.findall(found)
        assert len(candidates) > 1 and CANDIDATE.sub("", found) == "", (row["path"], found)
        tensors = shapes(corpus, row)
        for key, count in candidates:
            assert sum(name.startswith(key + ".") for name in map(plain, tensors)) == int(count), (row["path"], key)
            finished = decant.attempt("identify", row["file"], "--key", key)
            assert finished.status == 1 and "prefixes found: " in finished.errors, (row["path"], key)
            keys += 1
    assert keys == 5
