"""The networks of torchvision and timm that are ResNets, made with their own numbers, and what decant calls them."""

import json
from pathlib import Path

import networks  # noqa: F401  (before timm: it makes torchvision's import work on a CPU build)
import timm
import torch
import torchvision

# Networks of more parameters are for `make peers-all`.
LARGEST = 120_000_000
FAMILIES = (
    "resnet", "resnext", "wide_resnet", "seresnet", "seresnext", "ecaresnet", "eca_resnet", "eca_resnext",
    "ecaresnext", "legacy_seresnet", "legacy_seresnext", "gcresne", "bat_resnext",
)  # fmt: skip

TORCHVISION = [name for name in torchvision.models.list_models(module=torchvision.models) if "resne" in name]
# Detection and segmentation around a ResNet.
AROUND = [
    name for name in torchvision.models.list_models()
    if "resnet" in name and name not in TORCHVISION and not name.startswith("quantized")
]  # fmt: skip
TIMM = [name for name in timm.list_models() if name.startswith(FAMILIES)]
# Names that say so and networks that are others, or that hold a ResNet.
OTHERS = [name for name in timm.list_models() if "resne" in name and name not in TIMM]

# What decant cannot compute, by the operator that it names.
REFUSED = {
    "resnetv2_50d_evos": "EvoNorm-S0",
    "resnetv2_50d_frn": "filter response normalization",
    "resnet50_mlp": "batch normalization of pooled features",
    **{name: "global context attention" for name in TIMM if name.startswith("gc")},
    "bat_resnext26ts": "bilinear attention",
}


def build(library: str, name: str) -> torch.nn.Module:
    if library == "torchvision":
        around = {} if name in TORCHVISION else {"weights_backbone": None}
        return torchvision.models.get_model(name, weights=None, **around).eval()
    return timm.create_model(name).eval()


def size(library: str, name: str) -> int:
    """How many parameters a network has, without making them."""
    with torch.device("meta"):
        return parameters(build(library, name))


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def input_size(network: torch.nn.Module) -> int | None:
    """The side of the only images that a network takes; nil where any will do."""
    published = getattr(network, "default_cfg", {})
    return published["input_size"][1] if published.get("fixed_input_size") else None


def randomise(network: torch.nn.Module, seed: int = 5) -> torch.nn.Module:
    """Gives everything that a library begins with zeros and ones numbers of its own."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: torch.Tensor, low: float, high: float):
        tensor.data.uniform_(low, high, generator=generator)

    for name, tensor in network.state_dict().items():
        kind = name.rpartition(".")[2]
        if kind in ("running_mean", "bias"):
            uniform(tensor, -0.3, 0.3)
        elif kind == "weight" and tensor.ndim == 1 and not tensor.any():
            # What ends a branch begins at zero, and stays small in training: hundreds of blocks would be chaos.
            uniform(tensor, 0.1, 0.3)
        elif kind == "running_var" or tensor.ndim == 1:
            uniform(tensor, 0.5, 1.5)
        elif tensor.ndim > 1 and not tensor.any():
            tensor.data.normal_(0, 0.05, generator=generator)
    return network


@torch.no_grad()
def calibrate(network: torch.nn.Module, images: torch.Tensor) -> torch.nn.Module:
    """Gives batch normalizations the statistics of some images: hundreds of random layers would else amplify any
    rounding beyond measure."""
    for part in network.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.reset_running_stats()
            part.momentum = None
    network.train()(images)
    return network.eval()


def save(content, folder: Path) -> Path:
    """Writes a network's state dict, or any object, as PyTorch does."""
    content = content.state_dict() if isinstance(content, torch.nn.Module) else content
    torch.save(content, folder / "net.pth")
    return folder / "net.pth"


def zeros(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A state dict of zeros: identify and verify look at names and shapes, and read that all numbers are finite."""
    return {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in network.state_dict().items()}


def identify(decant, file, *options) -> dict:
    return json.loads(decant("identify", file, "--json", *options).output)


def verify(decant, file, *options) -> dict:
    """Requires the answer yes."""
    return json.loads(decant("verify", file, "--json", *options, seconds=900).output)


def names(found: dict) -> list[str]:
    """Every published name that an identification gives."""
    return [found["architecture"], *found["same_shapes_as"]] if found["architecture"] else found["same_shapes_as"]
