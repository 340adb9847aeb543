"""Networks in the names that authors choose for themselves: identified, verified and run as PyTorch runs them."""

import re

import nets
import pytest
import torch
from accuracy import check_errors, describe, image, measure
from modules import Cifar, conv
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18, resnet50


def renamed(state: dict[str, torch.Tensor], *rules: tuple[str, str]) -> dict[str, torch.Tensor]:
    """The tensors under other names: every rule is a regular expression and its replacement, the first match counts."""

    def name(old: str) -> str:
        for pattern, new in rules:
            if re.search(pattern, old):
                return re.sub(pattern, new, old)
        return old

    return {name(old): tensor for old, tensor in state.items()}


def places(container: str) -> list[tuple[str, str]]:
    """Rules for blocks that have their layers in one Sequential: convolution, normalization, ReLU, and again."""
    return [
        rule
        for number in (1, 2, 3)
        for rule in [
            (rf"^(.*\.)conv{number}\.(\w+)$", rf"\g<1>{container}.{3 * number - 3}.\2"),
            (rf"^(.*\.)bn{number}\.(\w+)$", rf"\g<1>{container}.{3 * number - 2}.\2"),
        ]
    ]


STEM = (r"^conv1\.", "conv1.0."), (r"^bn1\.", "conv1.1.")


def numbered(state: dict[str, torch.Tensor], shortcut: str) -> dict[str, torch.Tensor]:
    """Blocks numbered through the network: layer1, layer2, …"""
    blocks = list(dict.fromkeys(name[: name.index(".", 7)] for name in state if name.startswith("layer")))
    numbers = {block: f"layer{index + 1}" for index, block in enumerate(blocks)}
    result = {}
    for name, tensor in state.items():
        if name.startswith("layer"):
            block = name[: name.index(".", 7)]
            name = numbers[block] + name[len(block) :].replace("shortcut", shortcut)
        result[name] = tensor
    return result


class WideShortcut(nn.Module):
    """A CIFAR ResNet with 3×3 shortcuts: a convolution and a normalization, in a tutorial's names."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = conv(3, 16, 3), nn.BatchNorm2d(16)
        inputs = 16
        for stage, outputs in enumerate((16, 32, 64)):
            layer = nn.Sequential()
            for block in range(2):
                layer.append(WideBlock(inputs, outputs, 2 if stage and not block else 1))
                inputs = outputs
            self.add_module(f"layer{stage + 1}", layer)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)) if inputs != outputs else None
        )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class BookBlock(nn.Module):
    """d2l.ai's residual block: biases everywhere, and `conv3` is the shortcut, without a normalization."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.conv3 = nn.Conv2d(inputs, outputs, 1, stride) if inputs != outputs else None
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.conv3(x) if self.conv3 else x))


def book() -> nn.Module:
    stages, inputs = [], 64
    for stage, outputs in enumerate((64, 128, 256, 512)):
        blocks = [BookBlock(inputs if not block else outputs, outputs, 2 if stage and not block else 1) for block in range(2)]
        stages.append(nn.Sequential(*blocks))
        inputs = outputs
    stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class Projected(Cifar):
    """A CIFAR ResNet of three stages whose shortcuts are projections."""

    def __init__(self, planes=(16, 32, 64)):
        super().__init__(2, True, planes)


class Headless(nn.Module):
    """ResNet-18 for 32-pixel images without its head: SimCLR's encoder for CIFAR."""

    def __init__(self):
        super().__init__()
        self.trunk = resnet18()
        self.trunk.conv1, self.trunk.maxpool, self.trunk.fc = conv(3, 64, 3), nn.Identity(), nn.Identity()

    def forward(self, x):
        return self.trunk(x)


def kuangliu(**rules) -> nn.Module:
    return Cifar(2, True, (64, 128, 256, 512))


CIFAR_SIZE, PHOTO_SIZE = 32, 64
# By name: the network, its names, the layers that identify must say, the size of the images.
NAMINGS = {
    "stem in a Sequential, layer0": (lambda: resnet18(num_classes=7), [(r"^conv1\.", "layer0.0."), (r"^bn1\.", "layer0.1.")]),
    "stem in a Sequential, conv1": (lambda: resnet50(num_classes=7), STEM),
    "encoder0, a pool in encoder1": (
        lambda: resnet18(num_classes=7),
        [(r"^conv1\.", "encoder0.0."), (r"^bn1\.", "encoder0.1."), (r"^layer1\.", "encoder1.1."), (r"^layer(\d)\.", r"encoder\1.")],
    ),
    "left and shortcut": (kuangliu, [*places("left"), *STEM, (r"^linear", "fc")]),
    "left and right, a stem called pre": (
        kuangliu, [*places("left"), (r"\.shortcut\.", ".right."), (r"^conv1\.", "pre.0."), (r"^bn1\.", "pre.1.")],
    ),
    "conv_cell": (kuangliu, [*places("conv_cell"), (r"\.shortcut\.", ".skip.")]),
    "layers_2n": (
        lambda: Cifar(3, False),
        [(r"^layer1\.", "layers_2n."), (r"^layer2\.", "layers_4n."), (r"^layer3\.", "layers_6n."), (r"^linear", "fc_out")],
    ),
    "layers_2n with projections": (
        Projected,
        [
            (r"^layer(\d)(.*)\.shortcut\.", r"layer\1\2.downsample."), (r"^linear", "fc_out"),
        ],
    ),
    "conv and bn, 3×3 shortcuts": (WideShortcut, []),
    "conv and bn, no projections": (lambda: Cifar(2, False), [(r"^conv1\.", "conv."), (r"^bn1\.", "bn."), (r"^linear", "fc")]),
    "blocks in a module, downsample_conv": (
        Projected,
        [
            (r"^layer(\d)\.(\d)\.shortcut\.0", r"layer\1.blocks.\2.downsample_conv"),
            (r"^layer(\d)\.(\d)\.shortcut\.1", r"layer\1.blocks.\2.downsample_bn"),
            (r"^layer(\d)\.(\d)\.", r"layer\1.blocks.\2."),
        ],
    ),
    "d2l.ai": (book, []),
    "children without a pool": (
        Headless,
        [(r"^trunk\.conv1\.", "f.0."), (r"^trunk\.bn1\.", "f.1."), *[(rf"^trunk\.layer{n}\.", f"f.{n + 2}.") for n in range(1, 5)]],
    ),
}  # fmt: skip
LAYERS = {"layers_2n": [3, 3, 3], "stem in a Sequential, conv1": [3, 4, 6, 3]}
PROJECTED = {"layers_2n", "conv and bn, no projections"}


def check(decant, run, folder, figures, what: str, network: nn.Module, state, size: int):
    network = nets.randomise(network.eval())
    file = nets.save(state(network.state_dict()), folder)
    found = nets.identify(decant, file)
    assert found["ok"] and not found.get("by_structure"), found
    options = ["--stride0", "1"] if size == CIFAR_SIZE else ["--stride0", "2"]
    assert nets.verify(decant, file, *options)["ok"]
    errors = measure(run, file, network, image(2, 3, size, size), *options)
    figures(f"naming, {what}: {describe(errors)}")
    check_errors(errors)
    return found


@pytest.mark.parametrize("what", NAMINGS)
def test_namings(decant, run, folder, figures, what):
    make, rules = NAMINGS[what]
    torch.manual_seed(3)
    network = make()
    first = next(tensor for tensor in network.state_dict().values() if tensor.ndim == 4)
    size = PHOTO_SIZE if first.shape[-1] == 7 else CIFAR_SIZE
    found = check(decant, run, folder, figures, what, network, lambda state: renamed(state, *rules), size)
    stages = len(found["layers"])
    assert found["layers"] == LAYERS.get(what, [2] * stages) and stages == (3 if first.shape[0] == 16 else 4)
    if what not in PROJECTED:
        shortcut = {fact["name"]: fact["value"] for fact in found["facts"]}["shortcut"]
        assert "projection" in shortcut


@pytest.mark.parametrize("shortcut", ["skipper", "downsample"])
def test_single_blocks_as_layers(decant, run, folder, figures, shortcut):
    """layer1 … layer8 are blocks: where a stage begins, the channels tell."""
    torch.manual_seed(3)
    found = check(
        decant, run, folder, figures, f"single blocks, {shortcut}", kuangliu(),
        lambda state: numbered(state, shortcut), CIFAR_SIZE,
    )  # fmt: skip
    assert found["layers"] == [2, 2, 2, 2] and found["classes"] == 10


def test_names_torchvision(decant, folder):
    """A cut encoder keeps its four stages, and nothing is renamed while a tensor of the network has no place."""
    import safetensors.torch

    network = Headless()
    state = renamed(network.state_dict(), *NAMINGS["children without a pool"][1])
    state |= {"g.0.weight": torch.randn(16, 512), "g.3.weight": torch.randn(8, 16)}
    file = nets.save(state, folder)
    decant("convert", file, folder / "out.safetensors", "--names", "torchvision")
    written = safetensors.torch.load_file(folder / "out.safetensors")
    expected = {name.replace("trunk.", "f."): tensor for name, tensor in network.state_dict().items()}
    assert written.keys() == expected.keys() | {"g.0.weight", "g.3.weight"}
    assert all(torch.equal(written[name], tensor) for name, tensor in expected.items())
    file = nets.save(state | {"f.3.0.extra.weight": torch.randn(3, 3, 1, 1)}, folder)
    finished = decant.attempt("convert", file, folder / "no.safetensors", "--names", "torchvision")
    assert finished.status == 1 and "unexpected" in finished.errors
    assert not (folder / "no.safetensors").exists()


def test_plain_networks_in_these_names_are_no_resnets(decant, folder):
    """Two convolutions per module and no shortcut: a plain network of the same names gets none."""

    def double(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            conv(inputs, outputs, 3), nn.BatchNorm2d(outputs), nn.ReLU(), conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        )

    class Plain(nn.Module):
        def __init__(self, name: str):
            super().__init__()
            self.conv1, self.bn1 = conv(3, 16, 3), nn.BatchNorm2d(16)
            for index, (inputs, outputs) in enumerate([(16, 16), (16, 32), (32, 64)]):
                block = nn.Module()
                block.add_module(name, double(inputs, outputs))
                self.add_module(f"layer{index + 1}", block)
            self.fc = nn.Linear(64, 10)

    for name in ("conv", "double_conv", "block"):
        finished = decant.attempt("identify", nets.save(Plain(name), folder))
        assert finished.status == 1 and "not recognised" in finished.errors
