"""`decant identify`, `verify`, `convert --names` and `run` on networks that torchvision, timm and transformers made."""

import collections
import hashlib
import json

import networks  # noqa: F401  (before timm: it makes torchvision's import work on a CPU build)
import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
import transformers

LARGEST = 120_000_000
# timm's nets of these beginnings are named by decant, but for the ones below.
FAMILIES = ("resnet", "resnext", "wide_resnet", "seresnet", "seresnext", "ecaresnet")
# Of other build: pre-activation (resnetv2), byobnet's (ts, q, clip, mlp), GroupNorm, pruned to widths of their own.
NOT_YET = ("resnetv2", "resnet32ts", "resnet33ts", "resnet51q", "resnet61q", "resnext26ts", "seresnet33ts",
           "seresnext26ts", "resnet50_gn")  # fmt: skip
TIMM = [
    name for name in timm.list_models()
    if name.startswith(FAMILIES) and not name.startswith(NOT_YET)
    and not any(part in name for part in ("_clip", "_mlp", "pruned"))
]  # fmt: skip
TORCHVISION = [name for name in torchvision.models.list_models(module=torchvision.models) if "resne" in name]
FORWARD = [
    "resnet18d", "resnet26t", "resnet50s", "seresnet50", "seresnet18", "ecaresnet26t", "resnetrs50",
    "seresnext26d_32x4d",
]  # fmt: skip


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Numbers of any kind: identify and verify look at names and shapes, and read that all are finite."""
    return {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in module.state_dict().items()}


def identify(decant, file) -> dict:
    return json.loads(decant("identify", file, "--json").output)


def check_named(decant, folder, name: str, module: torch.nn.Module, *options):
    torch.save(weights(module), folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert name == found["architecture"] or name in found["same_shapes_as"], (name, found["nearest"])
    decant("verify", folder / "net.pth", "--arch", name, *options)
    return found


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_every_name(decant, folder, figures, library):
    right, large = [], []
    for name in TORCHVISION if library == "torchvision" else TIMM:
        with torch.device("meta"):
            module = torchvision.models.get_model(name) if library == "torchvision" else timm.create_model(name)
        if sum(parameter.numel() for parameter in module.parameters()) > LARGEST:
            large.append(name)
            continue
        found = check_named(decant, folder, name, module)
        assert found["classes"] == 1000 and found["input_channels"] == 3
        right.append(name)
    assert len(right) >= (9 if library == "torchvision" else 60)
    figures(f"identify, {library}: {len(right)} of {len(right)} names right, {len(large)} larger nets not made")


@pytest.mark.parametrize(("depths", "block"), [([2, 2, 2, 2], "basic"), ([3, 4, 6, 3], "bottleneck")])
def test_transformers(decant, folder, depths, block):
    sizes = [64, 128, 256, 512] if block == "basic" else [256, 512, 1024, 2048]
    config = transformers.ResNetConfig(depths=depths, hidden_sizes=sizes, layer_type=block, num_labels=1000)
    for kind, dialect in [
        (transformers.ResNetForImageClassification, "transformers"), (transformers.ResNetModel, "transformers-backbone"),
    ]:  # fmt: skip
        module = kind(config).eval()
        randomise(module)
        torch.save(module.state_dict(), folder / "net.pth")
        found = identify(decant, folder / "net.pth")
        assert found["dialect"] == dialect and found["layers"] == depths and found["block"] == block
        assert ("resnet18" if block == "basic" else "resnet50") in found["same_shapes_as"]
        if kind is transformers.ResNetForImageClassification:
            compare(decant, folder, module, "--stride0", "2")


def randomise(module: torch.nn.Module):
    generator = torch.Generator().manual_seed(5)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for tensor, low, high in [
                (part.weight, 0.5, 1.5), (part.bias, -0.3, 0.3), (part.running_mean, -0.3, 0.3),
                (part.running_var, 0.5, 1.5),
            ]:  # fmt: skip
                tensor.data.uniform_(low, high, generator=generator)


def compare(decant, folder, network: torch.nn.Module, *options):
    """Logits in float64 agree with PyTorch's to rounding, at an even and an odd size."""
    network.double()
    for shape in [(2, 3, 64, 64), (1, 3, 61, 75)]:
        image = torch.randn(shape, generator=torch.Generator().manual_seed(6))
        np.save(folder / "x.npy", image.numpy())
        with torch.no_grad():
            expected = network(image.double())
        expected = getattr(expected, "logits", expected).numpy()
        decant("run", folder / "net.pth", "--input", folder / "x.npy", "--float64", "--output", folder / "y.npy", *options)
        error = np.abs(np.load(folder / "y.npy") - expected).max() / np.abs(expected).max()
        assert error < 1e-12, (options, shape, error)


@pytest.mark.parametrize("name", FORWARD)
def test_forward_of_timms(decant, folder, name):
    torch.manual_seed(1)
    module = timm.create_model(name).eval()
    randomise(module)
    torch.save(module.state_dict(), folder / "net.pth")
    compare(decant, folder, module, "--arch", name)


def test_what_cannot_run_says_why(decant, folder):
    module = timm.create_model("resnetaa50").eval()
    torch.save(module.state_dict(), folder / "net.pth")
    np.save(folder / "x.npy", np.zeros((1, 3, 64, 64), np.float32))
    finished = decant.attempt("run", folder / "net.pth", "--arch", "resnetaa50", "--input", folder / "x.npy")
    assert finished.status == 2 and "against aliasing" in finished.errors


class Cifar(torch.nn.Module):
    """He et al. 2015, section 4.2: three stages of basic blocks; shortcuts padded (A) or projected (B)."""

    def __init__(self, blocks: int, projects: bool):
        super().__init__()
        self.conv1, self.bn1 = torch.nn.Conv2d(3, 16, 3, padding=1, bias=False), torch.nn.BatchNorm2d(16)
        channels = 16
        for stage, planes in enumerate([16, 32, 64]):
            layer = torch.nn.Sequential()
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layer.append(CifarBlock(channels, planes, stride, projects))
                channels = planes
            setattr(self, f"layer{stage + 1}", layer)
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)
        return self.linear(x.mean((2, 3)))


class CifarBlock(torch.nn.Module):
    def __init__(self, channels: int, planes: int, stride: int, projects: bool):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels, planes, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(planes)
        self.conv2 = torch.nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(planes)
        self.stride, self.missing = stride, planes - channels
        self.shortcut = torch.nn.Sequential()
        if projects and (stride != 1 or channels != planes):
            self.shortcut = torch.nn.Sequential(
                torch.nn.Conv2d(channels, planes, 1, stride, bias=False), torch.nn.BatchNorm2d(planes)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if len(self.shortcut) == 0 and self.missing > 0:
            x = x[:, :, :: self.stride, :: self.stride]
            x = torch.nn.functional.pad(x, (0, 0, 0, 0, self.missing // 2, self.missing // 2))
        return torch.relu(y + self.shortcut(x))


@pytest.mark.parametrize("projects", [False, True])
def test_cifar(decant, folder, projects):
    module = Cifar(3, projects).eval()
    randomise(module)
    torch.save(module.state_dict(), folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert found["depth"] == 20 and found["dialect"] == "cifar"
    assert found["architecture"] == (None if projects else "resnet20")
    compare(decant, folder, module, "--stride0", "1")


@pytest.mark.parametrize("dialect", ["timm", "transformers", "detectron2", "mmpretrain", "cifar"])
def test_names_there_and_back(decant, folder, dialect):
    """torch's own module takes the weights again, and every digest is the same."""
    module = torchvision.models.resnet18()
    torch.save({"model": module.state_dict()}, folder / "net.pth")
    decant("convert", folder / "net.pth", folder / "there.safetensors", "--key", "model", "--names", dialect)
    decant("convert", folder / "there.safetensors", folder / "back.safetensors", "--names", "torchvision")
    assert identify(decant, folder / "there.safetensors")["architecture"] == "resnet18"
    loaded = safetensors.torch.load_file(folder / "back.safetensors")
    torchvision.models.resnet18().load_state_dict(loaded, strict=True)
    digests = [
        collections.Counter(hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for tensor in state.values())
        for state in (module.state_dict(), safetensors.torch.load_file(folder / "there.safetensors"), loaded)
    ]
    assert digests[0] == digests[1] == digests[2]
    if dialect == "transformers":
        config = transformers.ResNetConfig(
            depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic", num_labels=1000
        )
        theirs = safetensors.torch.load_file(folder / "there.safetensors")
        transformers.ResNetForImageClassification(config).load_state_dict(theirs, strict=True)
