"""Every ResNet of torchvision and timm, whatever its size: named, verified, run; the table of docs/IDENTIFIED.md.

`make peers-all` runs this file; pytest does not take it for a test by itself. The table is written when every network
had its turn, also when some were wrong.
"""

from dataclasses import dataclass

import nets
import pytest
import timm
import torch
import torchvision
from accuracy import FLOAT64, RATIO, check_errors, image, measure
from conftest import ROOT
from modules import Cifar

# 6n + 2 layers: He et al. 2015.
CIFAR = {f"resnet{6 * blocks + 2}": blocks for blocks in (3, 5, 7, 9, 18, 200)}
NAMED = [
    *[("torchvision", name) for name in nets.TORCHVISION],
    *[("timm", name) for name in nets.TIMM],
    *[("CIFAR", name) for name in CIFAR],
]
# Behind the patches of a transformer.
INSIDE = {
    "vit_base_resnet26d_224": "resnet26d",
    "vit_small_resnet26d_224": "resnet26d",
    "vit_base_resnet50d_224": "resnet50d",
}


@dataclass
class Row:
    """What became of one network; every column says so until it went well."""

    library: str
    name: str
    parameters: int
    named: str = "no"
    verified: str = "no"
    forward: str = "fails"
    images: str = ""

    def line(self) -> str:
        return (
            f"| {self.name} | {self.library} | {self.parameters / 1e6:.1f} | {self.named} | {self.verified} "
            f"| {self.forward} | {self.images} |"
        )


class Table:
    """The rows of a run, written when all are there."""

    def __init__(self):
        self.named: list[Row] = []
        self.around: list[str] = []
        self.others: list[str] = []

    def write(self):
        lists = [(self.named, NAMED), (self.around, nets.AROUND), (self.others, nets.OTHERS)]
        if any(len(rows) != len(names) for rows, names in lists):
            return
        (ROOT / "docs" / "IDENTIFIED.md").write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        named = sum(row.named != "no" for row in self.named)
        verified = sum(row.verified == "yes" for row in self.named)
        refused = sum(row.forward.startswith("refused") for row in self.named)
        right = sum(row.forward[0].isdigit() and float(row.forward) <= RATIO["reference"] for row in self.named)
        return "\n".join([
            "# Which networks are identified and run",
            "",
            f"Written by `make peers-all` with PyTorch {torch.__version__}, torchvision {torchvision.__version__}",
            f"and timm {timm.__version__}: every ResNet of theirs, initialised at random and saved by PyTorch.",
            "",
            f"Of {len(self.named)} networks {named} are named and {verified} verified with `--arch NAME`. {right} run as",
            f"accurately as asked, {refused} are refused.",
            "",
            "- *Named*: `decant identify` gives the name as its `architecture`, or in `same_shapes_as` beside the one",
            "  in brackets.",
            "- *Error*: RMS of the error of the float32 logits of `--engine reference` against PyTorch in float64, as a",
            f"  multiple of PyTorch's own on the same images; {RATIO["reference"]:g} is allowed. In float64 every one is within {FLOAT64:g} of the",
            "  largest logit. Where an operator is missing, `decant run` names it and exits 2.",
            "- The CIFAR networks are He et al.'s of 2015 with shortcuts that have no parameters (option A), for 10",
            "  classes.",
            "",
            "| Network | Library | Million parameters | Named | Verified | Error | Images |",
            "|---|---|---:|---|---|---|---|",
            *[row.line() for row in self.named],
            "",
            "## Around a ResNet",
            "",
            "torchvision's networks for detection and segmentation. `decant verify` counts what stands beside them.",
            "",
            "| Network | Million parameters | Prefix | Named | Verified | Its tensors | Beside it |",
            "|---|---:|---|---|---|---:|---:|",
            *self.around,
            "",
            "## Names like theirs",
            "",
            "timm's other networks with `resne` in their names. None is called what it is not.",
            "",
            "| Network | What `decant identify` says |",
            "|---|---|",
            *self.others,
            "",
        ])  # fmt: skip


@pytest.fixture(scope="session")
def table():
    table = Table()
    yield table
    table.write()


def made(library: str, name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    network = Cifar(CIFAR[name], projects=False).eval() if library == "CIFAR" else nets.build(library, name)
    nets.randomise(network)
    side = nets.input_size(network) or 64
    images = torch.from_numpy(image(4, 3, side, side, seed=7))
    return network if name in nets.REFUSED else nets.calibrate(network, images)


@pytest.mark.parametrize(("library", "name"), NAMED)
def test_named(decant, run, folder, table, library, name):
    network = made(library, name)
    row = Row(library, name, nets.parameters(network))
    table.named.append(row)
    file = nets.save(network, folder)
    found = nets.identify(decant, file)
    if name in nets.names(found):
        row.named = "yes" if found["architecture"] == name else f"yes ({found['architecture']})"
    if decant.attempt("verify", file, "--arch", name, seconds=900).status == 0:
        row.verified = "yes"
    side = nets.input_size(network)
    images = image(2, 3, side, side) if side else image(16, 3, 64, 64)
    if name in nets.REFUSED:
        refused(run, folder, file, images[:1], row)
    else:
        errors = measure(run, file, network, images, "--arch", name, exact=2)
        row.forward = f"{errors['reference'] / errors['torch']:.2f}"
        row.images = f"{len(images)} of {images.shape[2]}×{images.shape[3]}"
        check_errors(errors)
    assert row.named != "no" and row.verified == "yes"


def refused(run, folder, file, images, row: Row):
    """`run` names the operator that it lacks."""
    with pytest.raises(AssertionError, match=nets.REFUSED[row.name]):
        run(file, images, "--arch", row.name)
    row.forward = f"refused: {nets.REFUSED[row.name]}"


@pytest.mark.parametrize("name", nets.AROUND)
def test_around(decant, folder, table, name):
    network = nets.randomise(nets.build("torchvision", name))
    file = nets.save(network, folder)
    found = nets.identify(decant, file)
    expected = "resnet101" if "resnet101" in name else "resnet50"
    named = "yes" if expected == found["architecture"] else "no"
    verified = nets.verify(decant, file)
    table.around.append(
        f"| {name} | {nets.parameters(network) / 1e6:.1f} | `{found['prefix']}` | {named} ({expected}) | yes "
        f"| {len(network.state_dict()) - verified['beside']} | {verified['beside']} |"
    )
    assert named == "yes"


@pytest.mark.parametrize("name", nets.OTHERS)
def test_others(decant, folder, table, name):
    with torch.device("meta"):
        network = nets.build("timm", name)
    file = nets.save(nets.zeros(network), folder)
    finished = decant.attempt("identify", file)
    assert finished.status in (0, 1)
    says = "no ResNet"
    if finished.status == 0:
        found = nets.identify(decant, file)
        behind = f" behind `{found['prefix']}`" if found["prefix"] else ""
        matches = decant.attempt("verify", file).status == 0
        says = found["architecture"] or "a custom ResNet"
        says += behind if matches else f"{behind}, with parts that `verify` does not know"
        assert nets.names(found)[:1] == ([INSIDE[name]] if name in INSIDE else [])
    assert (name in INSIDE) <= (finished.status == 0)
    table.others.append(f"| {name} | {says} |")
