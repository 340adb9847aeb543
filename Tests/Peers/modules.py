"""Residual networks that no library of the peers holds, each from its description and in its authors' names."""

import math

import torch
from torch import nn
from torch.nn import functional


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class CifarBlock(nn.Module):
    """Two 3×3 convolutions; activations after them (2015) or before them (2016)."""

    def __init__(self, inputs: int, planes: int, stride: int, projects: bool, pre: bool):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, planes, 3, stride), nn.BatchNorm2d(inputs if pre else planes)
        self.conv2, self.bn2 = conv(planes, planes, 3), nn.BatchNorm2d(planes)
        self.stride, self.missing, self.pre = stride, planes - inputs, pre
        self.shortcut = nn.Sequential()
        if projects and (stride != 1 or inputs != planes):
            self.shortcut.append(conv(inputs, planes, 1, stride))
            if not pre:
                self.shortcut.append(nn.BatchNorm2d(planes))

    def forward(self, x):
        if self.pre:
            y = torch.relu(self.bn1(x))
            passed = self.shortcut(y) if len(self.shortcut) else x
            return passed + self.conv2(torch.relu(self.bn2(self.conv1(y))))
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if len(self.shortcut) == 0 and self.missing > 0:
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, self.missing // 2, self.missing // 2))
        return torch.relu(y + self.shortcut(x))


class Cifar(nn.Module):
    """For images of 32 pixels.

    He et al. 2015, section 4.2, has three stages of 16, 32 and 64 channels; shortcuts are padded (A) or projected (B).
    kuangliu's networks have the four stages of ResNet-18 and ResNet-50's smaller siblings.
    """

    def __init__(self, blocks: int, projects: bool, planes=(16, 32, 64), pre: bool = False, stem: int | None = None):
        super().__init__()
        inputs = stem or planes[0]
        self.conv1 = conv(3, inputs, 3)
        self.bn1 = nn.Identity() if pre else nn.BatchNorm2d(inputs)
        self.pre, self.stages = pre, []
        for index, outputs in enumerate(planes):
            layer = nn.Sequential()
            for block in range(blocks):
                layer.append(CifarBlock(inputs, outputs, 2 if index > 0 and block == 0 else 1, projects, pre))
                inputs = outputs
            self.stages.append(f"layer{index + 1}")
            self.add_module(self.stages[-1], layer)
        # Wide ResNets, whose stem is narrower than their first stage, normalise once more at the end.
        self.norm = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU()) if stem else nn.Identity()
        self.linear = nn.Linear(inputs, 10)

    def forward(self, x):
        x = self.bn1(self.conv1(x))
        x = x if self.pre else torch.relu(x)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return self.linear(self.norm(x).mean((2, 3)))


def weiaicunzai(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names of kuangliu's ResNets in weiaicunzai's for CIFAR-100: a block is a Sequential of convolution,
    normalization and ReLU."""
    def place(module: str) -> int:
        return 3 * (int(module[-1]) - 1) + module.startswith("bn")

    renamed = {}
    for name, tensor in state.items():
        stage, *rest = name.replace("linear", "fc").split(".")
        if stage.startswith("layer"):
            stage = f"conv{int(stage[5:]) + 1}_x"
            rest[1:2] = rest[1:2] if rest[1] == "shortcut" else ["residual_function", str(place(rest[1]))]
        elif stage in ("conv1", "bn1"):
            stage = f"conv1.{place(stage)}"
        renamed[".".join([stage, *rest])] = tensor
    return renamed


def xternalz(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names of a Wide ResNet here in xternalz's: `bn1` is the last normalization."""
    return {
        name.replace("norm.0", "bn1").replace("layer", "block").replace("block1.", "block1.layer.")
        .replace("block2.", "block2.layer.").replace("block3.", "block3.layer.")
        .replace("shortcut.0", "convShortcut").replace("linear", "fc"): tensor
        for name, tensor in state.items()
    }  # fmt: skip


def stride_first(network: nn.Module) -> nn.Module:
    """torchvision's network as He et al. had it (v1): a bottleneck's stride on its first convolution."""
    for block in network.modules():
        if hasattr(block, "conv3"):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return network


class Affine(nn.Module):
    """Factors and summands of the channels: a normalization that was computed."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class Frozen(nn.Module):
    """Batch normalization whose numbers are all buffers, and that counts no batches."""

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(channels))

    def forward(self, x):
        scale = self.weight / torch.sqrt(self.running_var + self.eps)
        return x * scale[:, None, None] + (self.bias - self.running_mean * scale)[:, None, None]


class NormedConv(nn.Conv2d):
    """A convolution that holds its normalization."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, eps: float = 1e-5):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = Frozen(outputs, eps)

    def forward(self, x):
        return self.norm(super().forward(x))


class DetectorBlock(nn.Module):
    """A bottleneck of detectron2's names, with the stride on the 1×1."""

    def __init__(self, inputs: int, width: int, stride: int, eps: float):
        super().__init__()
        self.conv1 = NormedConv(inputs, width, 1, stride, eps=eps)
        self.conv2 = NormedConv(width, width, 3, eps=eps)
        self.conv3 = NormedConv(width, 4 * width, 1, eps=eps)
        self.shortcut = NormedConv(inputs, 4 * width, 1, stride, eps=eps) if inputs != 4 * width else nn.Identity()

    def forward(self, x):
        y = self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class Detector(nn.Module):
    """ResNet-50 in detectron2's names, its normalizations frozen."""

    def __init__(self, eps: float = 1e-5):
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv1 = NormedConv(3, 64, 7, 2, eps=eps)
        inputs = 64
        for index, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(DetectorBlock(inputs, width, 2 if index > 0 and block == 0 else 1, eps))
                inputs = 4 * width
            self.add_module(f"res{index + 2}", stage)
        self.linear = nn.Linear(inputs, 1000)

    def forward(self, x):
        x = functional.max_pool2d(torch.relu(self.stem.conv1(x)), 3, 2, 1)
        for stage in (self.res2, self.res3, self.res4, self.res5):
            x = stage(x)
        return self.linear(x.mean((2, 3)))


def caffe2(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """torchvision's names of a network of affine normalizations in Caffe2's."""
    renamed = {}
    for name, tensor in state.items():
        *place, module, kind = name.split(".")
        suffix = {"weight": "s", "bias": "b"}[kind]
        if module == "fc":
            new = f"fc1000_{kind[0]}"
        elif not place:
            new = "conv1_w" if module == "conv1" else f"res_conv1_bn_{suffix}"
        elif place[-1] == "downsample":
            new = f"res{int(place[0][5:]) + 1}_{place[1]}_branch1"
            new += "_w" if module == "0" else f"_bn_{suffix}"
        else:
            new = f"res{int(place[0][5:]) + 1}_{place[1]}_branch2{'abc'[int(module[-1]) - 1]}"
            new += "_w" if module.startswith("conv") else f"_bn_{suffix}"
        renamed[new] = tensor
    return renamed


class PooledBlock(nn.Module):
    """Radford et al. 2021: an average pool has the stride, behind the 3×3 and before the shortcut's projection."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample = nn.Sequential()
        if inputs != 4 * width or stride > 1:
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", conv(inputs, 4 * width, 1))
            self.downsample.add_module("1", nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.pool(torch.relu(self.bn2(self.conv2(y))))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class AttentionPool(nn.Module):
    """The mean and every position, with embedded places, attended to by the mean; heads of 64 channels."""

    def __init__(self, tokens: int, channels: int, outputs: int):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(tokens, channels) / math.sqrt(channels))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))
        self.c_proj = nn.Linear(channels, outputs)
        self.heads = channels // 64

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + self.positional_embedding

        def split(y):
            return y.unflatten(2, (self.heads, -1)).transpose(1, 2)

        query, key, value = split(self.q_proj(x[:, :1])), split(self.k_proj(x)), split(self.v_proj(x))
        weights = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]), -1)
        return self.c_proj((weights @ value).transpose(1, 2).flatten(1))


class Clip(nn.Module):
    """CLIP's image tower for square images of one size."""

    def __init__(self, layers=(3, 4, 6, 3), side: int = 64, outputs: int = 1024):
        super().__init__()
        for index, (inputs, channels) in enumerate([(3, 32), (32, 32), (32, 64)]):
            self.add_module(f"conv{index + 1}", conv(inputs, channels, 3, 2 if index == 0 else 1))
            self.add_module(f"bn{index + 1}", nn.BatchNorm2d(channels))
        inputs = 64
        for index, blocks in enumerate(layers):
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(PooledBlock(inputs, 64 << index, 2 if index > 0 and block == 0 else 1))
                inputs = 256 << index
            self.add_module(f"layer{index + 1}", stage)
        self.attnpool = AttentionPool((side // 32) ** 2 + 1, inputs, outputs)

    def forward(self, x):
        for convolution, norm in [(self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)]:
            x = torch.relu(norm(convolution(x)))
        x = functional.avg_pool2d(x, 2)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.attnpool(x)
