"""The engines of `decant run` against live PyTorch: the same logits by each, and what is said when one cannot be had.

Networks are of few channels or blocks where their kind allows, so that every kind, size and engine is run.
"""

import json
import platform
import re
from importlib.metadata import files
from pathlib import Path

import networks
import nets
import numpy as np
import pytest
import synthesis
import timm
import torch
from accuracy import both_precisions, image
from modules import Cifar

ENGINES = {
    "reference": ["--engine", "reference"],
    "exact": ["--engine", "onednn", "--numerics", "exact"],
    "fast": ["--engine", "onednn", "--numerics", "fast"],
}
# The largest difference from PyTorch's float64, as a part of the largest logit.
CLOSE = 1e-5
BASIC, BOTTLENECK = networks.models.BasicBlock, networks.models.Bottleneck
ODD = [(1, 1), (1, 7), (33, 65), (2, 150)]


def one_channel():
    network = networks.small(BASIC, [1, 1, 1, 1], classes=10, stride0=2)
    network.conv1 = torch.nn.Conv2d(1, 8, 7, stride=2, padding=3, bias=False)
    return network


def resnext():
    return networks.models.ResNet(BOTTLENECK, [1, 1, 1, 1], num_classes=50, groups=32, width_per_group=4)


def timms(name: str):
    """A network of timm for twenty classes, and what tells the command so."""
    return lambda: timm.create_model(name, num_classes=20), ["--arch", name, "--num-classes", "20"]


# How a network is made, what the command must be told of it, batches, and sizes of images.
NETWORKS = {
    "batches and a thousand classes": (
        lambda: networks.small(BASIC, [2, 2, 2, 2], classes=1000, stride0=2), [], [1, 3, 8], [(64, 64)]),
    "basic blocks, odd sizes": (
        lambda: networks.small(BASIC, [2, 2, 2, 2], classes=1000, stride0=2), [], [2], ODD),
    "bottlenecks, odd sizes": (
        lambda: networks.small(BOTTLENECK, [1, 2, 1, 1], classes=10, stride0=2), [], [2], ODD),
    "nodown, one class": (
        lambda: networks.small(BOTTLENECK, [1, 2, 1, 1], classes=1, stride0=1), ["--stride0", "1"], [1, 3],
        [(1, 1), (29, 35)]),
    "groups": (resnext, [], [1, 3], [(1, 1), (61, 75)]),
    "one channel": (one_channel, [], [1, 3], [(1, 1), (37, 64)]),
    "deep stem, pooled shortcuts": (*timms("resnet18d"), [2], [(61, 75)]),
    "SE": (*timms("seresnet18"), [2], [(1, 1), (61, 75)]),
    "ECA": (*timms("ecaresnet26t"), [2], [(61, 75)]),
    "groups with SE": (*timms("seresnext26d_32x4d"), [1], [(61, 75)]),
    "pre-activation": (*timms("resnetv2_18"), [2], [(61, 75)]),
    "CIFAR, option A": (lambda: Cifar(3, projects=False), ["--arch", "resnet20"], [1, 8], [(32, 32), (29, 35), (1, 1)]),
    "CIFAR, option B": (lambda: Cifar(3, projects=True), ["--stride0", "1"], [1, 3], [(32, 32), (29, 35)]),
    "CIFAR, pre-activation": (
        lambda: Cifar(1, True, (16, 32, 64, 128), pre=True), [], [2], [(32, 32), (29, 35)]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(1)


@pytest.fixture
def small(folder) -> tuple[Path, torch.nn.Module]:
    """A file of a network with few channels, and the network."""
    network = nets.randomise(networks.small(BASIC, [1, 1, 1, 1], classes=10, stride0=2))
    return nets.save(network, folder), network


def far(logits: np.ndarray, expected: np.ndarray) -> float:
    assert logits.shape == expected.shape and np.isfinite(logits).all()
    return float(np.abs(logits - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_engine_gives_pytorchs_logits(run, folder, figures, name):
    make, options, batches, sizes = NETWORKS[name]
    network = nets.randomise(make().eval())
    file = nets.save(network, folder)
    channels = next(part for part in network.modules() if isinstance(part, torch.nn.Conv2d)).in_channels
    worst = dict.fromkeys([*ENGINES, "PyTorch"], 0.0)
    for batch in batches:
        for size in sizes:
            images = image(batch, channels, *size)
            single, double = both_precisions(network, images)
            worst["PyTorch"] = max(worst["PyTorch"], far(single, double))
            for engine, chosen in ENGINES.items():
                error = far(run(file, images, *options, *chosen), double)
                assert error < CLOSE, f"{engine}, {batch} images of {size}"
                worst[engine] = max(worst[engine], error)
    said = ", ".join(f"{engine} {error:.1e}" for engine, error in worst.items())
    figures(f"engines, {name}: largest error of the largest logit: {said}")


def test_winograd(decant, run, checkpoints, figures):
    """Of a size at which some convolutions are worth it: other bits than exact's, and as close as is promised.

    Where the processor has none, a note says so.
    """
    images = synthesis.image(7, 0, 1, 3, 224, 224)
    file, network = checkpoints.file("resnet18"), checkpoints.network("resnet18")
    single, double = both_precisions(network, images)
    logits = {engine: run(file, images, "--arch", "resnet18", *chosen) for engine, chosen in ENGINES.items()}
    errors = {engine: far(result, double) for engine, result in logits.items()}
    said = ", ".join(f"{engine} {error:.1e}" for engine, error in errors.items())
    figures(f"engines, resnet18 at 224x224: largest error: {said}, PyTorch {far(single, double):.1e}")
    assert max(errors.values()) < CLOSE
    said = decant("run", file, "--arch", "resnet18", "--input", run.folder / "x.npy", *ENGINES["fast"]).errors
    assert np.array_equal(logits["exact"], logits["fast"]) == ("no Winograd convolutions for this processor" in said)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_bits_every_time(decant, checkpoints, folder, engine):
    np.save(folder / "x.npy", synthesis.image(7, 0, 2, 3, 113, 97))
    results = []
    for index in range(3):
        output = folder / f"{index}.npy"
        decant("run", checkpoints.file("resnet18"), "--arch", "resnet18", "--input", folder / "x.npy",
               "--output", output, *ENGINES[engine])  # fmt: skip
        results.append(output.read_bytes())
    assert results[0] == results[1] == results[2] and len(results[0]) > 2 * 1000 * 4


def said_engine(output: str) -> str:
    """What the report's line on the settings says of the engine."""
    found = re.search(r", ((?:onednn|reference) engine[^,]*), ", output)
    assert found, output
    return found[1]


def test_the_default_is_onednn_in_exact_numerics(decant, small, folder):
    np.save(folder / "x.npy", image(1, 3, 64, 64))
    finished = decant("run", small[0], "--input", folder / "x.npy")
    assert re.fullmatch(r"onednn engine \d+\.\d+\.\d+", said_engine(finished.output))
    assert ", exact, float32, " in finished.output
    assert "reference engine" not in finished.errors


@pytest.mark.parametrize(("name", "lacks"), [
    ("resnetblur18", "blur pooling"), ("resnetv2_50d_gn", "group normalization"),
    ("resnetv2_50x1_bit", "max pooling padded with zeros"),
])  # fmt: skip
def test_what_onednn_lacks_runs_on_the_reference(decant, run, folder, name, lacks):
    """By default, and said; who asks for onednn is told which operator it has not."""
    network = nets.randomise(nets.build("timm", name))
    file, images = nets.save(network, folder), image(1, 3, 64, 75)
    single, double = both_precisions(network, images)
    # Group normalizations of few numbers amplify rounding, PyTorch's too.
    assert far(run(file, images, "--arch", name), double) < max(CLOSE, 3 * far(single, double))
    command = ["run", file, "--arch", name, "--input", folder / "x.npy"]
    finished = decant(*command)
    assert said_engine(finished.output) == "reference engine"
    assert "using the reference engine: " in finished.errors and lacks in finished.errors
    for engine in ["onednn", "both"]:
        finished = decant.attempt(*command, "--engine", engine)
        assert finished.status == 1 and lacks in finished.errors and "--engine reference" in finished.errors


@pytest.mark.parametrize("engine", ["reference", "exact", "fast"])
@pytest.mark.parametrize("where", ["weights", "image"])
@torch.no_grad()
def test_what_is_not_a_number_stays(decant, small, folder, where, engine):
    """As in PyTorch: of a training that diverged nobody may read logits that look like some."""
    file, network = small
    images = image(1, 3, 64, 64)
    if where == "image":
        images[0, 1, 20, 20] = np.nan
    else:
        network.layer1[0].conv1.weight[0, 0, 0, 0] = np.nan
        nets.save(network, folder)
    assert np.isnan(network(torch.from_numpy(images)).numpy()).all()
    np.save(folder / "x.npy", images)
    paths = ["--input", folder / "x.npy", "--output", folder / "y.npy"]
    finished = decant.attempt("run", file, *paths, *ENGINES[engine])
    # The numbers are written, and the answer is no.
    assert finished.status == 1 and np.isnan(np.load(folder / "y.npy")).all()


STAGES = ["stem", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "logits"]


@pytest.mark.parametrize(("options", "against"), [
    (["--engine", "both"], "float32"), (["--validate"], "float64"), (["--validate", "--engine", "both"], "float64"),
    (["--engine", "both", "--numerics", "fast"], "float32"), (["--validate", "--numerics", "fast"], "float64"),
    (["--validate", "--engine", "reference"], "float64"),
], ids=lambda value: value if isinstance(value, str) else " ".join(value))  # fmt: skip
def test_stages_are_compared(decant, small, folder, options, against):
    np.save(folder / "x.npy", image(2, 3, 61, 75))
    output = decant("run", small[0], "--input", folder / "x.npy", *options).output
    _, _, table = output.partition(f"compared with the reference engine in {against}:\n")
    rows = [line.split() for line in table.splitlines() if line.split()[0] in STAGES]
    engines = {row[1] for row in rows}
    expected = {"reference"} if options[-1] == "reference" else {"onednn"}
    if options == ["--validate", "--engine", "both"]:
        expected = {"onednn", "reference"}
    assert engines == expected
    for engine in engines:
        assert [row[0] for row in rows if row[1] == engine] == STAGES
    assert all(row[-1] == "rounding" and float(row[4]) < CLOSE for row in rows)


@torch.no_grad()
def beyond_float32(network: torch.nn.Module) -> np.ndarray:
    """Makes a network of which float32 is not enough, and returns the image that shows it.

    Its first convolution adds up what hardly changes; the normalization subtracts that sum and multiplies what is left,
    rounding included, by ten thousand.
    """
    network.conv1.weight.abs_()
    network.bn1.running_mean.copy_(network.conv1.weight.sum((1, 2, 3)))
    network.bn1.running_var.fill_(1)
    network.bn1.weight.fill_(1e4)
    network.bn1.bias.fill_(0)
    return 1 + 1e-4 * image(1, 3, 64, 64)


def test_what_is_not_rounding_is_told(decant, small, folder):
    file, network = small
    images = beyond_float32(network).astype(np.float32)
    nets.save(network, folder)
    # PyTorch's own float32 is as far off: it is the network, not an engine.
    assert far(*both_precisions(network, images)) > 10 * CLOSE
    np.save(folder / "x.npy", images)
    for options in [[], ["--engine", "reference"], ["--engine", "both"], ["--numerics", "fast"]]:
        command = ["run", file, "--input", folder / "x.npy", "--validate", *options]
        finished = decant.attempt(*command)
        assert finished.status == 1, finished.output
        logits = [line for line in finished.output.splitlines() if line.split()[:1] == ["logits"]]
        assert logits and all(not line.endswith(" rounding") and float(line.split()[4]) > CLOSE for line in logits)
        told = json.loads(decant.attempt(*command, "--json").output)["validation"]
        assert told["rounding"] is False and told["truth"] == "the reference engine in float64"
        assert {stage["stage"] for stage in told["stages"]} == set(STAGES)
        assert all(stage["max_relative"] > CLOSE for stage in told["stages"])
        assert decant.attempt(*command, "--tolerance", "10").status == 0


def test_float64_is_what_validate_compares_with(decant, small, folder):
    np.save(folder / "x.npy", image(1, 3, 64, 64))
    finished = decant.attempt("run", small[0], "--input", folder / "x.npy", "--validate", "--float64")
    assert finished.status == 64 and "--float64" in finished.errors


def test_onednn_has_no_float64(decant, small, folder):
    np.save(folder / "x.npy", image(1, 3, 64, 64))
    command = ["run", small[0], "--input", folder / "x.npy", "--float64"]
    for engine in ["onednn", "both"]:
        finished = decant.attempt(*command, "--engine", engine)
        assert finished.status == 2 and "float32" in finished.errors
    assert said_engine(decant(*command).output) == "reference engine"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="PyPI has oneDNN for x86-64 only")
@pytest.mark.parametrize("numerics", ["exact", "fast"])
def test_version_3_of_the_library(decant, run, checkpoints, figures, folder, monkeypatch, numerics):
    library = next(file for file in files("onednn-cpu-gomp") if file.name == "libdnnl.so.3")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library.locate().resolve().parent))
    images = synthesis.image(7, 0, 1, 3, 224, 224)
    network = checkpoints.network("resnet18")
    _, double = both_precisions(network, images)
    options = ["--arch", "resnet18", "--engine", "onednn", "--numerics", numerics]
    error = far(run(checkpoints.file("resnet18"), images, *options), double)
    finished = decant("run", checkpoints.file("resnet18"), "--input", folder / "x.npy", *options)
    assert said_engine(finished.output) == "onednn engine 3.2.0"
    figures(f"engines, oneDNN 3.2.0, {numerics}: largest error of the largest logit {error:.1e}")
    assert error < CLOSE
    make, options, _, _ = NETWORKS["groups with SE"]
    network = nets.randomise(make().eval())
    _, double = both_precisions(network, images)
    assert far(run(nets.save(network, folder), images, *options, *ENGINES[numerics]), double) < CLOSE


def test_without_the_library(decant, run, small, folder, monkeypatch):
    """The loader looks at the first file of a name, and gives up where that is too short to be a library."""
    for name in ["libdnnl.so.3", "libdnnl.so.2"]:
        (folder / name).touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    file, network = small
    images = image(1, 3, 64, 64)
    _, double = both_precisions(network, images)
    assert far(run(file, images), double) < CLOSE
    command = ["run", file, "--input", folder / "x.npy"]
    finished = decant(*command)
    assert said_engine(finished.output) == "reference engine"
    assert "using the reference engine: " in finished.errors and "libdnnl2" in finished.errors
    assert "libdnnl2" not in decant(*command, "--engine", "reference").errors
    for engine in ["onednn", "both"]:
        finished = decant.attempt(*command, "--engine", engine)
        assert finished.status == 2 and "libdnnl2" in finished.errors and finished.output == ""
