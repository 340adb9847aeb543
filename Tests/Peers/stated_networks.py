"""What burn states of the small networks in its fixtures: the seed of their weights, and what they compute.

Each row says how the network is made, what conditions it before it is saved, its input (drawn after the weights) and
the output that burn's tests expect of the loaded weights, in the digits they give it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Callable

import torch
from torch import nn


@dataclass
class Network:
    """A network of burn's, by the name of its file."""

    build: Callable[[], nn.Module]
    given: Callable[[], torch.Tensor] | None = None
    expected: list[float] | None = None
    seed: int = 1
    conditioning: Callable[[], list[torch.Tensor]] = field(default=list)
    key: str = ""  # what the file holds the parameters under

    def made(self) -> tuple[nn.Module, torch.Tensor | None]:
        """The network as its script makes it, and the input."""
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.seed)
            network = self.build()
            for value in self.conditioning():
                network(value)
            return network.eval(), self.given() if self.given else None


def parts(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def ones(*shape: int, less: float = 0) -> Callable[[], torch.Tensor]:
    return lambda: torch.ones(shape) - less


def rand(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.rand(shape)


class Buffer(nn.Module):
    """Adds what it holds, or answers with it."""

    def __init__(self, values: torch.Tensor, adds: bool):
        super().__init__()
        self.adds = adds
        self.register_buffer("buffer", values)

    def forward(self, value):
        return self.buffer + value if self.adds else self.buffer


def convolutions(kind: type) -> nn.Module:
    return parts(conv1=kind(2, 2, 2), conv2=kind(2, 2, 2, bias=False))


def block(inner: int, outer: int) -> nn.Module:
    return parts(conv=nn.Conv2d(inner, outer, (3, 2)), norm=nn.BatchNorm2d(outer))


def nested() -> nn.Module:
    return parts(
        conv_blocks=nn.Sequential(block(2, 4), block(4, 6)), norm1=nn.BatchNorm2d(6), flatten=nn.Flatten(),
        fc1=nn.Linear(120, 12), relu=nn.ReLU(), fc2=nn.Linear(12, 10), softmax=nn.LogSoftmax(1),
    )  # fmt: skip


def chained() -> nn.Module:
    def inner() -> nn.Module:
        return parts(block=nn.Sequential(nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6)))

    convolution = nn.Conv2d(3, 6, 3, bias=False)
    return parts(conv=convolution, bn=nn.BatchNorm2d(6), layer=nn.Sequential(inner(), inner()))


def layers() -> nn.Module:
    return parts(
        conv1=nn.Conv2d(3, 4, 3, padding=1), norm1=nn.BatchNorm2d(4), relu=nn.ReLU(), flatten=nn.Flatten(),
        fc1=nn.Linear(256, 16),
    )  # fmt: skip


def alternating() -> nn.Module:
    pairs = [[nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()] for _ in range(5)]
    return parts(fc=nn.Sequential(*(module for pair in pairs for module in pair)))


def linear() -> nn.Module:
    return parts(fc1=nn.Linear(2, 3), relu=nn.ReLU(), fc2=nn.Linear(3, 4, bias=False))


def second(first: Callable[[], object], then: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A network that its script makes after another one."""

    def build() -> nn.Module:
        first()
        return then()

    return build


def depthwise() -> nn.Module:
    return parts(conv=parts(dconv=nn.Conv2d(2, 2, 3, groups=2), pconv=nn.Conv2d(2, 2, 1)))


def plain() -> nn.Module:
    return parts(conv=nn.Conv2d(2, 2, 3))


def between() -> torch.Tensor:
    """The one input of a script's two networks, drawn between them."""
    torch.manual_seed(1)
    plain()
    return torch.rand(1, 2, 5, 5)


def chained_input() -> torch.Tensor:
    torch.manual_seed(42)
    chained()
    return torch.rand(1, 3, 4, 4)


def linear_input() -> torch.Tensor:
    torch.manual_seed(1)
    linear(), nn.Linear(2, 3)
    return torch.rand(1, 2, 2, 2)


CONV2D = [
    -0.02502128, 0.00250649, 0.04841233, 0.04589614, -0.00296854, 0.01991477, 0.02920526, 0.0594973, 0.04326791,
    -0.04825336, 0.0801909, -0.02375088, 0.02885434, 0.09638263, -0.07460806, 0.02004079, 0.06244051, 0.0358871,
]  # fmt: skip

NETWORKS = {
    "batch_norm2d": Network(
        lambda: parts(norm1=nn.BatchNorm2d(5)), ones(1, 5, 2, 2, less=0.3), [0.68515635] * 20,
        conditioning=lambda: [torch.ones(1, 5, 2, 2) - 0.5],
    ),
    "boolean": Network(lambda: Buffer(torch.tensor([True, False, True]), False), ones(3, 3), [True, False, True]),
    "buffer": Network(lambda: Buffer(torch.ones(3, 3), True), ones(3, 3), [2.0] * 9),
    "integer": Network(lambda: Buffer(torch.tensor([1, 2, 3]), False), ones(3, 3), [1, 2, 3]),
    "complex_nested": Network(
        nested, ones(1, 2, 9, 6, less=0.5),
        [-2.306613, -2.0589454, -2.2983727, -2.358294, -2.2963955, -2.4160905, -2.107669, -2.4284208, -2.526469,
         -2.3199186],
        seed=2, conditioning=lambda: [torch.ones(1, 2, 9, 6) - 0.1, torch.ones(1, 2, 9, 6) - 0.3],
    ),
    "conv1d": Network(
        lambda: convolutions(nn.Conv1d), rand(1, 2, 6),
        [0.02987457, 0.03134188, 0.04234261, -0.02437721, -0.03788019, -0.02972012, -0.0080609, -0.01981254],
    ),
    "conv2d": Network(lambda: convolutions(nn.Conv2d), rand(1, 2, 5, 5), CONV2D),
    "conv_transpose1d": Network(
        lambda: convolutions(nn.ConvTranspose1d), rand(1, 2, 2),
        [0.02935525, 0.01119324, -0.01356167, -0.00682688, 0.01644749, -0.01429807, 0.00083987, 0.00279229],
    ),
    "conv_transpose2d": Network(
        lambda: convolutions(nn.ConvTranspose2d), rand(1, 2, 2, 2),
        [0.04547675, 0.01879685, -0.01636661, 0.00310803, 0.02090115, 0.01192738, -0.0482402, 0.02252235, 0.03249975,
         -0.00460748, 0.05003899, 0.04029131, 0.02185687, -0.10226749, -0.06508022, -0.01267705, 0.00277598,
         -0.00513832, -0.0590483, 0.00567626, -0.03149522, -0.1957574, 0.03474613, 0.01997269, -0.10096474,
         0.00679589, 0.0419197, -0.02464108, -0.03174751, 0.02963913, -0.02703723, -0.01860938],
    ),
    "embedding": Network(
        lambda: parts(embed=nn.Embedding(10, 3)), lambda: torch.tensor([[1, 2, 4, 5], [4, 3, 2, 9]]),
        [-1.6094849, -0.10016718, -0.6091889, -0.97977227, -1.6090963, -0.7121446, -0.22227049, 1.6871134, -0.32062083,
         -0.29934573, 1.8793457, -0.07213178, -0.22227049, 1.6871134, -0.32062083, 0.303722, -0.7773143, -0.25145486,
         -0.97977227, -1.6090963, -0.7121446, -0.02878714, 2.357111, -1.0373387],
    ),
    "enum_depthwise_false": Network(
        plain, rand(1, 2, 5, 5),
        [0.35449377, -0.02832414, 0.4909761, 0.29709217, 0.3325863, 0.30594018, 0.18101373, 0.30932188, 0.30558896,
         -0.17683622, -0.13244139, -0.05608707, 0.23467252, -0.07038684, 0.2550441, -0.2419313, -0.20476191,
         -0.14468731],
    ),
    "enum_depthwise_true": Network(
        second(lambda: (plain(), torch.rand(1, 2, 5, 5)), depthwise), between,
        [0.77874625, 0.8590176, 0.8342835, 0.7730564, 0.73817325, 0.78292674, 0.7107752, 0.7471872, 0.7332644,
         -0.44891885, -0.49027523, -0.3941707, -0.43836114, -0.33961445, -0.3873115, -0.5811343, -0.34197026,
         -0.5350357],
    ),
    "group_norm": Network(
        lambda: parts(norm1=nn.GroupNorm(2, 6)), rand(1, 6, 2, 2),
        [1.0425785, -1.1220167, -0.56195974, 0.9387336, -2.2535007, 1.2336729, -0.5888041, 1.0278273, 0.19124532,
         -0.40036356, 0.5042765, -0.01168585, 1.0138292, -0.8919846, -0.09224463, -0.13546038, 0.45772314, 0.08172822,
         2.2986414, 0.8774104, -0.84832406, -1.4328834, -0.3313315, -0.9971037],
    ),
    "layer_norm": Network(
        lambda: parts(norm1=nn.LayerNorm(2)), rand(1, 2, 2, 2),
        [0.99991274, -0.9999125, -0.9998183, 0.9998183, -0.9999662, 0.99996626, -0.99984336, 0.99984336],
    ),
    "key_remap": Network(lambda: parts(conv=convolutions(nn.Conv2d)), rand(1, 2, 5, 5), CONV2D),
    "key_remap_chained": Network(
        chained, chained_input,
        [0.1989671, 0.17847246, 0.06883702, 0.20012866, 0.17582723, 0.11344293, 0.05444185, 0.13307181, 0.1922295,
         0.20391327, 0.06150475, 0.22688155, 0.00230906, -0.02177845, 0.01129148, 0.00925517, 0.14751078, 0.14433631,
         0.05498439, 0.29049855, 0.16868964, 0.1332693, 0.06917118, 0.35094324],
        seed=42, conditioning=lambda: [torch.rand(1, 3, 4, 4)],
    ),
    "linear": Network(
        linear, linear_input,
        [0.09778349, -0.13756673, 0.04962806, 0.08856435, 0.03163241, -0.02848549, 0.01437942, 0.11905234, 0.07628226,
         -0.10757702, 0.03656857, 0.03824598, 0.05443089, -0.06904714, 0.02744314, 0.09997337],
    ),
    "linear_with_bias": Network(
        second(linear, lambda: parts(fc1=nn.Linear(2, 3))), linear_input,
        [-0.00432095, -1.1071012, 0.8706914, 0.0245955, -0.9544629, 0.48518157, 0.34315687, -0.7573842, 0.548288,
         -0.06608963, -1.0720727, 0.6458005],
    ),
    "non_contiguous_indexes": Network(
        alternating, rand(1, 2, 5, 5),
        [0.0] * 20 + [0.04485746, 0.03582812, 0.03432692, 0.02892298, 0.0138443] + [0.0] * 25,
    ),
    "multi_layer": Network(
        layers, ones(1, 3, 8, 8),
        [0.04971555, -0.16849735, 0.05182848, -0.18032673, 0.23138367, 0.05041867, 0.13005908, -0.32202929, -0.0791569,
         -0.03232457, -0.19790289, -0.17476529, -0.19627589, -0.21757686, -0.31376451, 0.08377837],
        conditioning=lambda: [torch.ones(1, 3, 8, 8)],
    ),
    "missing_module_field": Network(lambda: parts(conv1=nn.Conv2d(2, 2, 2))),
    "top_level_key": Network(lambda: parts(conv1=nn.Conv2d(2, 2, 2)), key="my_state_dict."),
}  # fmt: skip


def stated(path: str) -> Network | None:
    """The network of a file of burn's tests of whole modules."""
    folder, _, name = path.rpartition("/")
    if "/pytorch-tests/" not in path and "/safetensors-tests/" not in path:
        return None
    if folder.endswith("/key_remap_chained"):
        name = "key_remap_chained"
    return NETWORKS.get(name.partition("@")[0].partition(".")[0])
