"""What peers say of the tensors in their fixtures: in their tests, and in the scripts that wrote the files.

Facts only: names, types, shapes and numbers. A file stands by its path in the corpus without the `@hist-…` of older
versions, which hold the same, or with it where they differ. A tensor says everything of itself (type, shape, strides,
offset, every number); the classes below say less.
"""

import functools
import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

FILE_OF_THE_SAME = re.compile(r"@hist-[0-9a-f]+")


@dataclass
class Shaped:
    """A tensor whose numbers are not stated; None is what is not stated either."""

    shape: list[int | None] | None = None
    dtype: str | None = None


@dataclass
class Near:
    """Numbers that are stated rounded, or that torch drew: its generators differ in the last bits of a float."""

    tensor: torch.Tensor
    tolerance: float


@dataclass
class Numbers:
    """Integers that are stated without their width."""

    values: list


def f32(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def shapes_of(network: nn.Module, prefix: str = "") -> dict:
    """The shapes of a network that a peer describes in code, which is where the file's names come from."""
    return {
        prefix + name: Shaped(list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in network.state_dict().items()
    }


@functools.cache
def by_file() -> dict[str, dict]:
    """The tensors of each file, by name."""
    with torch.random.fork_rng():
        return {
            **gopickle(), **bumblebee(), **candle(), **tch(), **samples(), **burn_reader(), **burn_random(),
            **burn_config(), **networks(), **picklescan(),
        }  # fmt: skip


def stated(path: str) -> dict | None:
    table = by_file()
    return table.get(path, table.get(FILE_OF_THE_SAME.sub("", path)))


def gopickle() -> dict:
    """One tensor a file, by the type, protocol and container in its name."""
    floats, integers = [1.2, -3.4, 5.6, -7.8], [1, -2, 3, -4]
    values = {
        **dict.fromkeys(["float16", "float32", "float64", "bfloat16"], floats),
        **dict.fromkeys(["int8", "int16", "int32", "int64"], integers),
        "uint8": [1, 10, 100, 255], "bool": [True, False, True, False],
    }  # fmt: skip
    return {
        f"nlpodyssey+gopickle/pytorch/testdata/tensor_{name}_proto{protocol}{container}.pt": {
            "": torch.tensor(numbers, dtype=getattr(torch, name))
        }
        for name, numbers in values.items() for protocol in range(1, 6) for container in ["", "_zip"]
    }  # fmt: skip


def bumblebee() -> dict:
    place = "elixir-nx+bumblebee/test/fixtures/pytorch/"
    signed = ["float64", "float32", "float16", "int64", "int32", "int16", "int8"]
    complexes = ["complex128", "complex64"]
    tensors = [torch.tensor([-1, 1], dtype=getattr(torch, name)) for name in signed]
    tensors += [torch.tensor([0, 1], dtype=torch.uint8), torch.tensor([False, True, False, True])]
    tensors += [torch.tensor([-1, 1], dtype=torch.bfloat16)]
    tensors += [torch.tensor([1 - 1j, 1 + 1j], dtype=getattr(torch, name)) for name in complexes]
    arrays = [np.array([-1, 1], name) for name in signed]
    arrays += [np.array([0, 1], name) for name in ["uint64", "uint32", "uint16", "uint8", "bool"]]
    arrays += [np.array([1 - 1j, 1 + 1j], name) for name in complexes]
    permuted = torch.tensor([[[1, 1], [2, 2], [3, 3]], [[4, 4], [5, 5], [6, 6]]]).permute(2, 0, 1)
    transposed = torch.tensor([[1, 2, 3], [4, 5, 6]]).t()
    early = {str(index): tensor for index, tensor in enumerate(tensors[:8] + tensors[9:])}  # before bool was read
    base = {"conv.weight": torch.ones(2, 3, 2, 2), "conv.bias": torch.zeros(2)}
    both = {
        "tensors": {str(index): tensor for index, tensor in enumerate(tensors)},
        "numpy_arrays": {str(index): torch.from_numpy(array) for index, array in enumerate(arrays)},
        "noncontiguous_tensor": {"": permuted},
        "noncontiguous_numpy_array": {"": transposed},
    }
    return {
        **{f"{place}{name}.{kind}.pt": table for name, table in both.items() for kind in ["zip", "legacy"]},
        **{f"{place}noncontiguous_tensor.{version}.pt": {"": transposed}
           for version in ["legacy@hist-36ef4df", "zip@hist-d7613cb"]},
        **{f"{place}tensors.{version}.pt": early for version in ["legacy@hist-973c1e6", "zip@hist-f9f754f"]},
        f"{place}state_dict_base.zip.pt": base,
        f"{place}state_dict_full.zip.pt": {
            **{"base." + name: tensor for name, tensor in base.items()},
            "classifier.layers.0.weight": torch.ones(1, 1), "classifier.layers.0.bias": torch.zeros(1),
            "extra.weight": torch.ones(1),
        },
    }  # fmt: skip


def candle() -> dict:
    place = "huggingface+candle/"
    fortran = torch.from_numpy(np.asfortranarray(np.arange(1, 25).reshape(2, 3, 4)))
    test = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    return {
        f"{place}candle-core/tests/test.pt": {"test": test},
        f"{place}candle-core/tests/test_with_key.pt": {"model_state_dict.test": test},
        f"{place}candle-core/tests/fortran_tensor_3d.pth": {"tensor_fortran": fortran},
        f"{place}candle-core/tests/boolean.pt": {"bool": torch.tensor([[True, False], [False, True]])},
        f"{place}candle-core/tests/test.npy": {"": Numbers(list(range(10)))},
        f"{place}candle-core/tests/test.npz": {
            "x": Numbers(list(range(10))), "x_plus_one": Numbers(list(range(1, 11)))
        },
        f"{place}candle-examples/examples/encodec/jfk-codes.safetensors": {"codes": Shaped()},
        f"{place}candle-examples/examples/whisper/mel_filters.safetensors": {"mel_80": Shaped([80, None])},
    }  # fmt: skip


def tch() -> dict:
    """TorchScript: `foo` has a buffer, the others have no tensor; the oldest format holds the code's `2 *` as one.

    What the arrays satisfy is a test of its own.
    """
    place = "LaurentMazare+tch-rs/tests/"
    linear = {"ws": [4, 257], "bs": [4], "in": [2, 257], "out": [2, 4]}
    return {
        f"{place}foo.pt": {"value": f32(42)},
        **{f"{place}foo{number}.pt": {} for number in range(1, 9)},
        f"{place}foo1@hist-f37ef57.pt": {"CONSTANTS.c0": f32(2)},
        f"{place}foo2@hist-4a86798.pt": {"CONSTANTS.c0": torch.tensor(2)},
        **{f"{place}linear/{name}.npy": {"": Shaped(shape, "float32")} for name, shape in linear.items()},
    }


def samples() -> dict:
    """safetensors: six numbers of every type NumPy has a letter for, alone and together."""
    numbers = {letter: torch.from_numpy(np.arange(-3, 3).astype(letter)) for letter in "BHIbdefhi"}
    place = "huggingface+safetensors/samples/"
    return {
        **{f"{place}{letter}.safetensors": {letter: tensor} for letter, tensor in numbers.items()},
        f"{place}overall.safetensors": numbers,
    }


READER = "tracel-ai+burn/crates/burn-store/src/pytorch/tests/reader/test_data/"


def burn_reader() -> dict:
    storage, views = torch.arange(32, dtype=torch.float32), torch.arange(100, dtype=torch.float32)
    large = torch.zeros(100, 100)
    large[0, 0], large[50, 50], large[99, 99] = 1, 2, 3
    numbers = {
        "float32": f32(1, 2.5, -3.7, 0),
        "float64": torch.tensor([1.1, 2.2, 3.3], dtype=torch.float64),
        "int64": torch.tensor([100, -200, 300, 0]),
        "int32": torch.tensor([10, 20, -30], dtype=torch.int32),
        "int16": torch.tensor([1000, -2000, 3000], dtype=torch.int16),
        "int8": torch.tensor([127, -128, 0, 50], dtype=torch.int8),
        "uint8": torch.tensor([0, 128, 255, 42], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True, True, False]),
        "float16": torch.tensor([1.5, -2.25, 3.125], dtype=torch.float16),
        "bfloat16": torch.tensor([1.5, -2.5, 3.5], dtype=torch.bfloat16),
        "tensor_2d": f32([1, 2], [3, 4], [5, 6]),
        "empty": torch.zeros(0),
        "scalar": torch.tensor(42.0),
        "large_shape": large,
        "special_values": f32(float("nan"), float("inf"), float("-inf"), 0, 1),
        "extreme_values": f32(1e-30, 1e30, -1e-30, -1e30),
    }
    simple = {"weight": Shaped([2, 3], "float32"), "bias": torch.ones(2), "running_mean": torch.zeros(2)}
    files = {
        **{f"{name}.pt": {"tensor": tensor} for name, tensor in numbers.items()},
        **{f"tar_{name}.tar": {"tensor": numbers[name]} for name in ["float32", "float64", "int64"]},
        "tar_weight_bias.tar": {"weight": f32([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), "bias": f32(0.01, 0.02)},
        "tar_multi_dtype.tar": {
            "float_tensor": f32(1.5, 2.5, 3.5),
            "double_tensor": torch.tensor([1.111, 2.222], dtype=torch.float64),
            "int_tensor": torch.tensor([10, 20, 30, 40]),
        },
        "tar_2d_tensor.tar": {"matrix": torch.arange(1, 13, dtype=torch.float32).reshape(3, 4)},
        "mixed_types.pt": {
            "float32": f32(1, 2), "int64": torch.tensor([100, 200]), "bool": torch.tensor([True, False]),
            "float64": torch.tensor([1.1, 2.2], dtype=torch.float64),
        },
        "buffers.pt": {
            "buffer1": torch.tensor([1, 2, 3], dtype=torch.int32), "buffer2": torch.tensor([True, False])
        },
        "non_contiguous.pt": {
            "permuted": storage.as_strided((2, 4, 3), (12, 1, 4), 5),
            "expanded": storage.as_strided((2, 3), (0, 1), 1),
        },
        "simple_legacy.pt": simple,
        "legacy_uncloned_views.pt": {"tensor1": views[10:20], "tensor2": views[50:60]},
        "legacy_with_offsets.pt": {
            f"tensor{start}": Near(torch.linspace(start, end, count), 1e-5)
            for start, end, count in [(1, 1.09, 10), (2, 2.4, 5), (3, 3.4, 5)]
        },
        "legacy_shared_storage.pt": {
            "view1": Shaped([10], "float32"), "view2": Shaped([20], "float32"), "view3": Shaped([10], "float32")
        },
    }  # fmt: skip
    return {READER + name: tensors for name, tensors in files.items()}


def burn_random() -> dict:
    """Files that one run of a script drew from one seed, in this order."""
    torch.manual_seed(42)

    def drawn(*shape: int, factor: float = 1) -> Near:
        return Near(torch.randn(shape) * factor, 1e-5 * factor)

    files = {
        "tensor_3d.pt": {"tensor": drawn(2, 3, 4, factor=10)},
        "tensor_4d.pt": {"tensor": drawn(2, 3, 2, 2)},
        "state_dict.pt": {
            "weight": drawn(3, 4), "bias": drawn(3), "running_mean": torch.zeros(3), "running_var": torch.ones(3)
        },
        "nested_dict.pt": {
            "layer1.weight": drawn(2, 3), "layer1.bias": drawn(2), "layer2.weight": drawn(4, 2),
            "layer2.bias": drawn(4),
        },
        "checkpoint.pt": {
            "model_state_dict.fc1.weight": drawn(10, 5), "model_state_dict.fc1.bias": drawn(10),
            "model_state_dict.fc2.weight": drawn(3, 10), "model_state_dict.fc2.bias": drawn(3),
            "optimizer_state_dict.state.0.momentum_buffer": drawn(10, 5),
        },
        "parameter.pt": {"param": drawn(3, 3)},
        "complex_structure.pt": {
            "state.encoder.layer_0.weight": drawn(4, 3), "state.encoder.layer_0.bias": drawn(4),
            "state.encoder.layer_1.weight": drawn(2, 4), "state.encoder.layer_1.bias": drawn(2),
            "state.decoder.weight": drawn(3, 2), "state.decoder.bias": drawn(3),
        },
    }  # fmt: skip
    torch.manual_seed(42)
    shapes = {"feature.weight": (64, 3), "feature.bias": (64,), "classifier.weight": (10, 64), "classifier.bias": (10,)}
    enums = {name: Near(torch.empty(shape).normal_(0, 0.1), 1e-6) for name, shape in shapes.items()}
    store = READER.replace("reader/", "store/")
    return {
        **{READER + name: tensors for name, tensors in files.items()},
        store + "model_without_enum_variants.pt": enums,
    }


def burn_config() -> dict:
    layers = {"fc1": nn.Linear(2, 3), "fc2": nn.Linear(3, 4, bias=False)}
    path = "tracel-ai+burn/crates/burn-store/pytorch-tests/tests/config/weights_with_config.pt"
    return {path: shapes_of(nn.ModuleDict(layers), "my_model.")}


def networks() -> dict:
    """Shapes that follow from the networks the peers load their weights into."""
    perceptual = {
        "alex": [64, 192, 384, 256, 256], "vgg": [64, 128, 256, 512, 512],
        "squeeze": [64, 128, 256, 384, 384, 512, 512],
    }  # fmt: skip
    detection = nn.ModuleDict({
        "conv1": nn.Conv2d(3, 10, 3), "prelu1": nn.PReLU(10), "conv2": nn.Conv2d(10, 16, 3),
        "prelu2": nn.PReLU(16), "conv3": nn.Conv2d(16, 32, 3), "prelu3": nn.PReLU(32),
        "conv4_1": nn.Conv2d(32, 2, 1), "conv4_2": nn.Conv2d(32, 4, 1),
    })  # fmt: skip
    old = {
        name: shape
        for name, shape in shapes_of(small_resnet("layer{}", "{}{}", "linear", {}), "module.").items()
        if not name.endswith("num_batches_tracked")  # which came with torch 0.4.1
    }
    shortcut = {16: 32, 32: 64}
    return {
        **{
            f"richzhang+PerceptualSimilarity/lpips/weights/{version}/{name}.pth": {
                f"lin{index}.model.1.weight": Shaped([1, count, 1, 1], "float32")
                for index, count in enumerate(counts)
            }
            for name, counts in perceptual.items() for version in ["v0.0", "v0.1"]
        },
        "timesler+facenet-pytorch/data/pnet.pt": shapes_of(detection),
        "akamaster+pytorch_resnet_cifar10/pretrained_models/resnet20-12fca82f.th": {
            "state_dict." + name: shape for name, shape in old.items()
        },
        "EhanW+advrob-cifar10/pretrained/resnet20.pth": shapes_of(
            small_resnet("stage_{}", "{}_{}", "fc", shortcut)
        ),
        "WisconsinAIVision+UniversalFakeDetect/pretrained_weights/fc_weights.pth": shapes_of(nn.Linear(768, 1)),
        "Verified-Intelligence+alpha-beta-CROWN/complete_verifier/models/cifar10_resnet/resnet2b.pth":
            shapes_of(verified(), "state_dict."),
    }  # fmt: skip


def small_resnet(stage: str, layer: str, head: str, shortcuts: dict) -> nn.Module:
    """The ResNet-20 for CIFAR-10, as several repositories name its parts; `shortcuts` are convolutions, if any."""

    def pair(inner: int, outer: int, number: int) -> dict:
        convolution, norm = nn.Conv2d(inner, outer, 3, bias=False), nn.BatchNorm2d(outer)
        return {layer.format("conv", number): convolution, layer.format("bn", number): norm}

    parts, width = nn.ModuleDict(pair(3, 16, 1)), 16
    for number, planes in enumerate([16, 32, 64], start=1):
        blocks = []
        for _ in range(3):
            block = nn.ModuleDict({**pair(width, planes, 1), **pair(planes, planes, 2)})
            if shortcuts.get(width) == planes:
                convolution = nn.Conv2d(width, planes, 1, bias=False)
                block["downsample"] = nn.Sequential(convolution, nn.BatchNorm2d(planes))
            blocks.append(block)
            width = planes
        parts[stage.format(number)] = nn.Sequential(*blocks)
    parts[head] = nn.Linear(64, 10)
    return parts


def verified() -> nn.Module:
    def block(inner: int) -> nn.ModuleDict:
        parts = {"conv1": nn.Conv2d(inner, 16, 3), "conv2": nn.Conv2d(16, 16, 3)}
        return nn.ModuleDict(parts | ({"shortcut": nn.Sequential(nn.Conv2d(inner, 16, 1))} if inner != 16 else {}))

    return nn.ModuleDict({
        "conv1": nn.Conv2d(3, 8, 3), "layer1": nn.Sequential(block(8), block(16)),
        "linear1": nn.Linear(1024, 100), "linear2": nn.Linear(100, 10),
    })  # fmt: skip


def picklescan() -> dict:
    place = "mmaitre314+picklescan/tests/data2/"
    pair = {"a": Numbers([0, 1, 2]), "b": Numbers([3, 4, 5])}
    return {
        f"{place}int_array.npy": {"": Numbers([[1, 2], [3, 4]])},
        f"{place}int_arrays.npz": pair,
        f"{place}int_arrays_compressed.npz": pair,
    }
