"""What the peers of the corpus say is in their fixtures: every fact of the tables `stated_*` against the built tool."""

import collections
import csv
import fnmatch
import json
from pathlib import Path

import expectations
import numpy as np
import pytest
import safetensors.torch
import stated_networks
import stated_objects
import stated_tensors
import torch
from stated_tensors import FILE_OF_THE_SAME, Near, Numbers, Shaped

# How many files of each repository a fact is asserted of; the rest stands in UNSTATED.
COVERED = {
    "EhanW+advrob-cifar10": 1,
    "LaurentMazare+tch-rs": 30,
    "Verified-Intelligence+alpha-beta-CROWN": 1,
    "WisconsinAIVision+UniversalFakeDetect": 1,
    "akamaster+pytorch_resnet_cifar10": 1,
    "birkenfeld+serde-pickle": 61,
    "coldwaterq+pickle_injector": 3,
    "elixir-nx+bumblebee": 24,
    "huggingface+candle": 9,
    "huggingface+safetensors": 10,
    "mmaitre314+picklescan": 111,
    "nlpodyssey+gopickle": 235,
    "protectai+modelscan": 3,
    "richzhang+PerceptualSimilarity": 6,
    "timesler+facenet-pytorch": 1,
    "tinygrad+tinygrad": 1,
    "tracel-ai+burn": 80,
    "weichsel+ZIPFoundation": 25,
}

# Where the scanner says otherwise than the peers, which is a stricter verdict each time.
NOT_LOADED = "unreadable", "not-a-checkpoint"
VERDICTS = {
    "mmaitre314+picklescan/tests/data/bad_pytorch.pt": NOT_LOADED,  # a picture: nothing was found in it
    "mmaitre314+picklescan/tests/data/not_a_pickle.bin": NOT_LOADED,  # likewise
    "mmaitre314+picklescan/tests/data/malicious1.7z": NOT_LOADED,  # 7z archives are not opened
    "protectai+modelscan/tests/data/password_protected.zip": ("unreadable", "encrypted"),
    "coldwaterq+pickle_injector/billionLaughs.pt": ("unknown", "expansion"),
    "coldwaterq+pickle_injector/billionLaughsAlt.pkl": ("unknown", "expansion"),
    "coldwaterq+pickle_injector/globalLaughs.pt": ("unknown", "expansion"),
}
# Names that picklescan makes up for what it cannot tell, and the rule that finds the same.
MADE_UP = {
    "_rebuild_tensor.unknown": "computed-name",
    "unknown.os": "broken-pickle",
    "42.os": "computed-name",
}


def same(path: str) -> str:
    """A file's name without its version."""
    return FILE_OF_THE_SAME.sub("", path)


def rows(corpus, table: dict) -> list[dict]:
    return [row for row in corpus.files if row["path"] in table or same(row["path"]) in table]


def fact(table: dict, row: dict):
    return table.get(row["path"], table.get(same(row["path"])))


def count(figures, what: str, files: list[dict], **more):
    repositories = collections.Counter(row["repo"] for row in files)
    figures(
        f"stated: {what}: {len(files)} files"
        + "".join(f", {number} {name.replace('_', ' ')}" for name, number in more.items())
        + " (" + ", ".join(f"{repo} {number}" for repo, number in sorted(repositories.items())) + ")"
    )  # fmt: skip


def poured(decant, source: Path, target: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file as `decant convert` writes them."""
    decant("convert", source, target, "--key", ".")
    return safetensors.torch.load_file(target)


def test_tensors(decant, corpus, folder, figures):
    checked, tensors, numbers = [], 0, 0
    for row in corpus.files:
        expected = stated_tensors.stated(row["path"])
        if expected is None:
            continue
        listed = decant.inspect(row["file"])["tensors"]
        found = {tensor["name"]: tensor for tensor in listed}
        assert set(found) == set(expected) and len(found) == len(listed), row["path"]
        rounded = [name for name, value in expected.items() if isinstance(value, (Near, Numbers))]
        values = poured(decant, row["file"], folder / "poured.safetensors") if rounded else {}
        for name, value in expected.items():
            where = f"{row['path']} {name}"
            check_tensor(found[name], value, values.get(name), where)
            tensors += 1
            numbers += not isinstance(value, Shaped)
        checked.append(row)
    count(figures, "tensors", checked, tensors=tensors, with_numbers=numbers)
    assert len(checked) == 356 and (tensors, numbers) == (755, 450)


def check_tensor(found: dict, value, converted: torch.Tensor | None, where: str):
    if isinstance(value, Shaped):
        assert value.dtype in (None, found["dtype"]), where
        sizes = value.shape if value.shape is not None else [None] * len(found["shape"])
        assert len(sizes) == len(found["shape"]), where
        assert all(size in (None, other) for size, other in zip(sizes, found["shape"])), where
    elif isinstance(value, Numbers):
        assert found["dtype"] in ("int32", "int64"), where
        assert converted.tolist() == value.values, where
    elif isinstance(value, Near):
        assert converted.dtype == value.tensor.dtype and converted.shape == value.tensor.shape, where
        assert np.allclose(converted, value.tensor, rtol=0, atol=value.tolerance), where
    else:
        record = expectations.tensor_record([], value)
        for field in ["dtype", "shape", "strides", "storage_offset", "sha256"]:
            assert found[field] == record[field], (where, field)
        assert found["location"] == "cpu" and not found.get("requires_grad", False), where


def test_the_protocol_and_container_in_a_name(decant, corpus, figures):
    """gopickle's files say both in their names, and how many numbers a storage has follows from the shape."""
    checked = []
    for row in corpus.files:
        if row["repo"] != "nlpodyssey/gopickle":
            continue
        name = same(row["path"]).rpartition("_proto")[2]
        container = "torch-zip" if "_zip" in name else "torch-legacy"
        assert decant.inspect(row["file"])["container"] == container, row["path"]
        lines = decant("inspect", "--pickle", row["file"]).output.splitlines()
        written = {line.split()[-1] for line in lines if "PROTO" in line.split()}
        assert written == (set() if name[0] == "1" else {name[0]}), row["path"]
        checked.append(row)
    count(figures, "protocol and container", checked)
    assert len(checked) == 235


def test_networks(decant, corpus, folder, figures):
    """burn's networks: the seeded weights, and the stated outputs of the weights that were read."""
    checked, outputs = [], 0
    for row in corpus.files:
        stated = stated_networks.stated(row["path"]) if row["repo"] == "tracel-ai/burn" else None
        if stated is None:
            continue
        network, given = stated.made()
        values = poured(decant, row["file"], folder / "poured.safetensors")
        drawn = {stated.key + name: tensor for name, tensor in network.state_dict().items()}
        assert set(values) == set(drawn), row["path"]
        for name, tensor in drawn.items():
            assert values[name].dtype == tensor.dtype and values[name].shape == tensor.shape, (row["path"], name)
            assert np.allclose(values[name], tensor, rtol=1e-6, atol=1e-6), (row["path"], name)
        network.load_state_dict({name.removeprefix(stated.key): values[name] for name in drawn}, strict=True)
        if stated.expected is not None:
            with torch.no_grad():
                answer = network(given).flatten()
            assert len(answer) == len(stated.expected), row["path"]
            assert np.allclose(answer, torch.tensor(stated.expected), rtol=1e-4, atol=2e-6), (row["path"], answer)
            outputs += len(answer)
        checked.append(row)
    count(figures, "networks", checked, outputs=outputs)
    assert (len(checked), outputs) == (40, 622)


def test_values(decant, corpus, figures):
    checked, values = rows(corpus, stated_objects.VALUES), 0
    for row in checked:
        objects = decant.inspect(row["file"])["objects"]
        expected = fact(stated_objects.VALUES, row)
        found = {entry["path"]: entry["value"] for entry in objects if "value" in entry}
        assert found == expected, row["path"]
        assert all(type(found[path]) is type(value) for path, value in expected.items()), row["path"]
        values += len(expected)
    count(figures, "values", checked, values=values)
    assert (len(checked), values) == (9, 37)


def test_objects_by_their_type(decant, corpus, figures):
    checked = rows(corpus, stated_objects.ENTRIES) + rows(corpus, stated_objects.COUNTED)
    for row in checked:
        objects = decant.inspect(row["file"])["objects"]
        for expected in fact(stated_objects.ENTRIES, row) or []:
            assert any(expected.items() <= entry.items() for entry in objects), (row["path"], expected)
        for kind, number in [fact(stated_objects.COUNTED, row) or (None, 0)]:
            assert sum(entry["type"] == kind for entry in objects) == number, row["path"]
    count(figures, "objects by type", checked)
    assert len(checked) == 41


def test_the_object_in_every_protocol(decant, corpus, figures):
    """serde-pickle's test object, from both Pythons, in every protocol and in its seven versions."""
    checked, entries = [], 0
    for row in corpus.files:
        stated = stated_objects.serde(row["path"], row["commit"])
        if stated is None:
            continue
        expected, literals = stated
        found = {}
        for entry in decant.inspect(row["file"])["objects"]:
            path = entry["path"].replace("frozenset({42, 0})", "frozenset({0, 42})")
            found[path] = entry["type"], entry.get("value", entry.get("count"))
        for elements in ["frozenset({0, 42})", "().1"]:  # a set has no order
            pair = sorted([found[f"{elements}.0"], found[f"{elements}.1"]])
            found[f"{elements}.0"], found[f"{elements}.1"] = pair
        assert found == expected, row["path"]
        written = {line.rpartition(" ")[2] for line in decant("inspect", "--pickle", row["file"]).output.splitlines()}
        assert set(literals) <= written, row["path"]
        checked.append(row)
        entries += len(expected)
    count(figures, "one object in every protocol", checked, entries=entries)
    assert (len(checked), entries) == (51, 1134)


def test_a_linear_layer(decant, corpus, folder, figures):
    """tch-rs: the fourth of its arrays is what the others compute."""
    place = "LaurentMazare+tch-rs/tests/linear/"
    files = {Path(row["path"]).stem: row["file"] for row in corpus.files if row["path"].startswith(place)}
    arrays = {
        name: poured(decant, file, folder / f"{name}.safetensors")[""] for name, file in files.items()
    }
    answer = torch.nn.functional.linear(arrays["in"], arrays["ws"], arrays["bs"])
    assert torch.allclose(answer, arrays["out"], rtol=1e-5, atol=1e-8)
    figures("stated: a linear layer of 4 arrays: its output within 1e-5")


def test_metadata(decant, corpus):
    """safetensors: the sample files name one text of their own."""
    checked = [row for row in corpus.files if row["repo"] == "huggingface/safetensors"]
    assert len(checked) == 10
    for row in checked:
        assert "\n  test: a\n" in decant("inspect", row["file"]).output, row["path"]


def test_what_is_refused(decant, corpus, figures):
    checked = rows(corpus, stated_objects.REFUSED) + rows(corpus, stated_objects.STRICTER)
    for row in checked:
        finished = decant.attempt("inspect", row["file"])
        expected = fact(stated_objects.REFUSED | stated_objects.STRICTER, row)
        assert finished.status == 2 and expected in finished.errors, (row["path"], finished)
        if row["path"] in stated_objects.STRICTER:
            with pytest.raises(RuntimeError):
                torch._C.PyTorchFileReader(str(row["file"]))
    count(figures, "refused", checked)
    assert len(checked) == 26


def stated_scans() -> list[dict]:
    with open(Path(__file__).with_name("stated_scans.tsv"), encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_scans(decant, corpus, figures):
    """The names scanners' tests list, `!` dangerous and `?` suspicious, and what a call is given in them."""
    files = {row["path"]: row for row in corpus.files}
    scans = stated_scans()
    done = decant.attempt("scan", "--json", *(files[scan["file"]]["file"] for scan in scans))
    assert done.status == 1
    found = {entry["file"]: entry for entry in json.loads(done.output)["files"]}
    names = arguments = 0
    for scan in scans:
        entry = found[str(files[scan["file"]]["file"])]
        listed = [name for name in scan["globals"].split() if name[0] in "!?"]
        dangerous = any(name[0] == "!" for name in listed)
        verdict, rule = VERDICTS.get(scan["file"], ("dangerous" if dangerous else "clean", None))
        rules = {finding["rule"] for finding in entry["findings"]}
        assert entry["verdict"] == verdict and (rule is None or rule in rules), (scan, entry)
        if verdict == "unreadable":
            continue
        text = "\n".join(f"{finding['what']}\n{finding['call'] or ''}" for finding in entry["findings"])
        for name in listed:
            made_up = MADE_UP.get(name[1:])
            assert made_up in rules if made_up else name[1:] in text, (scan, entry)
            names += 1
        assert scan["argument"] in text, (scan, entry)
        arguments += bool(scan["argument"])
    count(figures, "scans", [files[scan["file"]] for scan in scans], names=names, arguments=arguments)
    assert len(scans) == 117 and (names, arguments) == (125, 77)


def test_every_file_is_accounted_for(corpus, figures):
    """Each file has a fact of some table, or stands among those of which nothing is stated, with the reason."""
    scans = {scan["file"] for scan in stated_scans()}
    tables = [stated_objects.VALUES, stated_objects.ENTRIES, stated_objects.COUNTED, stated_objects.REFUSED,
              stated_objects.STRICTER]  # fmt: skip
    covered, silent = collections.Counter(), collections.Counter()
    for row in corpus.files:
        path = row["path"]
        known = (
            path in scans
            or stated_tensors.stated(path) is not None
            or stated_networks.stated(path) is not None
            or stated_objects.serde(path, row["commit"]) is not None
            or any(path in table or same(path) in table for table in tables)
        )
        unstated = any(fnmatch.fnmatchcase(path, pattern) for pattern in stated_objects.UNSTATED)
        assert known != unstated, path
        (covered if known else silent)[path.partition("/")[0]] += 1
    figures(
        f"stated: facts of {covered.total()} of the corpus's {len(corpus.files)} files; nothing is stated of "
        + ", ".join(f"{number} of {repo}" for repo, number in sorted(silent.items()))
    )
    assert covered == COVERED


def test_the_tables_are_of_this_corpus(corpus):
    """No row of a table is idle."""
    paths = {row["path"] for row in corpus.files}
    known = paths | {same(path) for path in paths}
    for table in [stated_tensors.by_file(), stated_objects.VALUES, stated_objects.ENTRIES, stated_objects.COUNTED,
                  stated_objects.REFUSED, stated_objects.STRICTER, VERDICTS]:  # fmt: skip
        assert set(table) <= known, set(table) - known
    for pattern in stated_objects.UNSTATED:
        assert fnmatch.filter(paths, pattern), pattern
