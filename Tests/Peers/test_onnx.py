"""`decant convert OUT.onnx`: onnx's checker proves the models, ONNX Runtime executes them, PyTorch says what is right.

Weights are compared bit for bit, logits with PyTorch's float64 as the truth and its own float32 error as the measure.
"""

import hashlib
import json
import os
import resource
import subprocess
from functools import cached_property
from pathlib import Path

import networks
import nets
import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from accuracy import image, rms
from failing import Failing, compiled
from modules import Affine, Cifar, Clip, Frozen, caffe2, stride_first

# Largest ratio of the RMS errors, and what is right at any ratio, as a part of the largest number.
RATIO = 3.0
ENOUGH = 1e-6
SIZES = [(1, 64, 64), (3, 33, 35)]
# Whose blocks PyTorch itself cannot add at odd sizes.
EVEN = [(1, 64, 64), (3, 32, 64)]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(1)


class Model:
    """A model on disk: checked when it is opened, run when it is called."""

    def __init__(self, path: Path):
        self.path = path
        onnx.checker.check_model(str(path), full_check=True)
        self.proto = onnx.load(path, load_external_data=False)
        onnx.shape_inference.infer_shapes(self.proto, check_type=True, strict_mode=True, data_prop=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        options.log_severity_level = 3
        # Threads that wait for work leave the processor to PyTorch's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        (result,) = self.session.run(None, {"input": images})
        return result

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        place = str(self.path.parent)
        return {tensor.name: onnx.numpy_helper.to_array(tensor, place) for tensor in self.proto.graph.initializer}

    @property
    def operators(self) -> list[str]:
        return [node.op_type for node in self.proto.graph.node]

    @property
    def metadata(self) -> dict[str, str]:
        return {entry.key: entry.value for entry in self.proto.metadata_props}


@pytest.fixture
def export(decant, folder):
    """Converts a file, or a network's state dict, and opens the result."""

    def run(content, *options, output="net.onnx") -> Model:
        file = content if isinstance(content, Path) else nets.save(content, folder)
        decant("convert", file, folder / output, "--check", *options)
        return Model(folder / output)

    return run


@torch.no_grad()
def reference(network, sizes):
    """Images of each size, with PyTorch's answers in either precision."""
    images = [image(batch, 3, height, width) for batch, height, width in sizes]
    single = [network(torch.from_numpy(x)).numpy() for x in images]
    network.double()
    double = [network(torch.from_numpy(x).double()).numpy() for x in images]
    network.float()  # the same bits as before
    return zip(images, single, double, strict=True)


def agree(figures, what: str, models: dict[str, Model], network, sizes):
    """Every model gives PyTorch's numbers, at every size."""
    for images, single, double in reference(network, sizes):
        largest = np.abs(double).max()
        allowed = max(RATIO * rms(single - double), ENOUGH * largest)
        for kind, model in models.items():
            ours = model(images)
            assert ours.dtype == np.float32 and ours.shape == double.shape
            error = rms(ours - double)
            sizes = "x".join(map(str, images.shape))
            figures(
                f"onnx, {what}{kind}, {sizes}: RMS error {error / largest:.2e} of the largest number, "
                f"torch's {rms(single - double) / largest:.2e}"
            )
            assert error <= allowed, f"{what}{kind} at {sizes}"


def check(export, figures, what, network, *options, state=None, sizes=SIZES, normalizations=None):
    """The model and the folded one, which has fewer normalizations left."""
    plain = export(network if state is None else state, *options, "--external-data")
    folded = export(plain.path.with_name("net.pth"), *options, "--fold-bn", "--external-data", output="folded.onnx")
    agree(figures, what, {"": plain, ", folded": folded}, network, sizes)
    before, after = plain.operators.count("BatchNormalization"), folded.operators.count("BatchNormalization")
    assert after == (0 if normalizations is None else normalizations) and (before > 0 or normalizations == 0)
    return plain


def equal_bits(one: np.ndarray, other: torch.Tensor) -> bool:
    other = other.detach().numpy()
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


# MARK: The main networks


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_torchvision(export, folder, figures, name):
    network = nets.randomise(nets.build("torchvision", name))
    model = check(export, figures, name, network)
    state = network.state_dict()
    wanted = {key for key in state if not key.endswith("num_batches_tracked")}
    assert set(model.weights) == wanted
    assert all(equal_bits(model.weights[key], state[key]) for key in wanted)
    assert [list(model.weights[key].shape) for key in wanted] == [list(state[key].shape) for key in wanted]
    # The modules' names stand at the operators.
    convolutions = {key.removesuffix(".weight") for key, value in state.items() if value.ndim == 4}
    assert convolutions == {node.name for node in model.proto.graph.node if node.op_type == "Conv"}
    inside = export(folder / "net.pth", "--arch", name, output="inside.onnx")
    assert not any(tensor.external_data for tensor in inside.proto.graph.initializer)
    images = image(2, 3, 64, 64)
    assert np.array_equal(inside(images), model(images))
    # What no shape shows is said.
    assert model.metadata["architecture"] == name and model.metadata["stride0"] == "2"
    assert "stride0 2" in model.metadata["decant.assumed"] and model.metadata["decant.container"] == "torch-zip"
    assert "decant.assumed" not in inside.metadata


def test_nodown(decant, export, folder, figures):
    """The case every part must serve: the key chosen, the prefix read, one output, and a stride no shape shows."""
    network = nets.randomise(networks.set_stride0(networks.models.resnet50(num_classes=1), 1).eval())
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    file = nets.save({"model": state, "epoch": 3}, folder)
    refused = decant.attempt("convert", file, folder / "net.onnx")
    assert refused.status == 2 and "--stride0" in refused.errors and not (folder / "net.onnx").exists()
    # One number of one image is chance.
    sizes = [(5, 24, 24), (6, 19, 21)]
    models = {}
    for kind, options in [
        (", --arch", ["--arch", "resnet50nodown"]), (", --stride0", ["--stride0", "1", "--fold-bn", "--key", "model"]),
    ]:  # fmt: skip
        models[kind] = export(file, *options, output=f"net{len(models)}.onnx")
        assert models[kind].metadata["architecture"] == "resnet50nodown"
    assert all(key in state for key in models[", --arch"].weights)
    agree(figures, "resnet50nodown", models, network, sizes)
    (result,) = models[", --arch"].proto.graph.output
    assert result.name == "logits"
    assert [size.dim_param or size.dim_value for size in result.type.tensor_type.shape.dim] == ["batch", 1]


@pytest.mark.parametrize("projects", [False, True])
def test_cifar(export, figures, projects):
    network = nets.randomise(Cifar(3, projects).eval())
    options = ["--stride0", "1"] if projects else ["--arch", "resnet20"]
    sizes = [(1, 32, 32), (3, 29, 35)]
    model = check(export, figures, f"CIFAR, option {'AB'[projects]}", network, *options, sizes=sizes)
    assert ("Slice" in model.operators) == (not projects)
    # As torchvision names it, whatever the file calls it.
    assert "linear.weight" in model.weights


# MARK: One of each other operator

OTHERS = {
    # A pooled shortcut whose last window reaches over the edge.
    "resnet50d": ("AveragePool", SIZES, 0), "seresnet18": ("Sigmoid", SIZES, 0),
    "ecaresnet26t": ("Reshape", SIZES, 0), "resnetblur18": ("Pad", SIZES, 0), "resnetaa50": ("AveragePool", EVEN, 0),
    # Before the first convolutions of its blocks nothing can be folded.
    "resnetv2_50": ("BatchNormalization", SIZES, 17), "resnetv2_50x1_bit": ("InstanceNormalization", SIZES, 0),
    "resnet50_gn": ("InstanceNormalization", SIZES, 0), "resnet33ts": ("Sigmoid", SIZES, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_timm(export, figures, name):
    operator, sizes, normalizations = OTHERS[name]
    network = nets.randomise(nets.build("timm", name))
    model = check(export, figures, name, network, "--arch", name, sizes=sizes, normalizations=normalizations)
    assert operator in model.operators


def test_max_pool_over_zeros(export):
    """Padding that counts as zeros is the maximum where everything else is negative."""
    model = export(nets.randomise(nets.build("timm", "resnetv2_50x1_bit")), "--arch", "resnetv2_50x1_bit")
    first, second = (node for node in model.proto.graph.node if node.op_type in ("Pad", "MaxPool"))
    assert second.input[0] == first.output[0]
    pads = [tensor for tensor in model.proto.graph.initializer if tensor.name in first.input]
    value = onnx.helper.make_tensor_value_info
    ends = [value(name, onnx.TensorProto.FLOAT, ["n", 64, "h", "w"]) for name in (first.input[0], second.output[0])]
    graph = onnx.helper.make_graph([first, second], "pool", ends[:1], ends[1:], pads)
    pool = onnx.helper.make_model(graph, opset_imports=model.proto.opset_import, ir_version=model.proto.ir_version)
    images = -1 - np.abs(image(2, 64, 13, 17))
    session = onnxruntime.InferenceSession(pool.SerializeToString(), providers=["CPUExecutionProvider"])
    (ours,) = session.run(None, {first.input[0]: images})
    padded = torch.nn.functional.pad(torch.from_numpy(images), (1, 1, 1, 1))
    assert np.array_equal(ours, torch.nn.functional.max_pool2d(padded, 3, 2).numpy()) and ours.max() == 0


def test_clip(export, figures):
    network = nets.randomise(Clip(layers=(1, 2, 1, 1)).eval())
    sizes = [(1, 64, 64), (3, 64, 64)]
    model = check(export, figures, "CLIP's trunk", network, sizes=sizes)
    assert "Softmax" in model.operators
    with pytest.raises(Exception, match="attnpool"):
        model(image(1, 3, 96, 96))


def test_computed_normalization(export, figures):
    """Caffe2's: a factor and a summand for each channel, and a bias in the first convolution."""
    network = stride_first(networks.models.resnet50(norm_layer=Affine)).eval()
    network.conv1.bias = torch.nn.Parameter(torch.zeros(64))
    state = nets.randomise(network).state_dict()
    stem = {"conv1_b": state.pop("conv1.bias")}
    state = caffe2(state) | stem
    model = check(export, figures, "Caffe2's", network, state=state, normalizations=0)
    assert model.metadata["dialect"] == "caffe2" and {"conv1_w", "res_conv1_bn_s", "fc1000_w"} <= set(model.weights)
    assert model.weights["res_conv1_bn_s"].shape == (64, 1, 1)
    assert equal_bits(model.weights["res_conv1_bn_s"], state["res_conv1_bn_s"])


def test_frozen_normalization(export, figures):
    network = nets.randomise(networks.models.resnet18(norm_layer=Frozen).eval())
    check(export, figures, "frozen normalization", network, "--arch", "resnet18")


def test_dilation_and_features(export, figures):
    """A network whose stages are dilated, and one without a head."""
    network = nets.randomise(networks.models.resnet50(replace_stride_with_dilation=[False, True, True]).eval())
    check(export, figures, "dilated", network, "--arch", "resnet50", "--output-stride", "8")
    network.fc = torch.nn.Identity()
    model = export(network, "--output-stride", "8", "--num-classes", "0", output="features.onnx")
    agree(figures, "features", {"": model}, network, SIZES[:1])
    assert [value.name for value in model.proto.graph.output] == ["features"]


def test_pool_over_the_edge(export, figures):
    network = nets.randomise(nets.build("torchvision", "resnet18"))
    network.maxpool = torch.nn.MaxPool2d(3, 2, 0, ceil_mode=True)
    check(export, figures, "Caffe's pool", network, "--stem-pooling", "max over the edge")


@pytest.mark.parametrize("name", nets.REFUSED)
def test_what_is_not_written_says_why(decant, folder, name):
    (folder / "net.onnx").write_bytes(b"before")
    file = nets.save(nets.build("timm", name), folder)
    finished = decant.attempt("convert", file, folder / "net.onnx", "--arch", name)
    assert finished.status == 1 and nets.REFUSED[name] in finished.errors
    assert (folder / "net.onnx").read_bytes() == b"before"


# MARK: The file


@pytest.fixture
def small(folder):
    """A network's file of about a megabyte."""
    network = nets.randomise(Cifar(3, False).eval())
    return nets.save(network, folder)


SMALL = ["--arch", "resnet20"]


def test_bytes(export, folder, small):
    """Protobuf's own writer makes the same bytes of what is read, and the same input gives the same file."""
    model = export(small, *SMALL)
    written = model.path.read_bytes()
    assert model.proto.SerializeToString(deterministic=True) == written
    (folder / "elsewhere").mkdir()
    assert export(small, *SMALL, "--durable", output="elsewhere/other.onnx").path.read_bytes() == written
    assert model.proto.producer_name == "decant" and model.proto.ir_version == 8
    assert [(opset.domain, opset.version) for opset in model.proto.opset_import] == [("", 17)]
    (value,) = model.proto.graph.input
    sizes = [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
    assert value.name == "input" and sizes == ["batch", 3, "height", "width"]


def test_metadata(export, folder, small):
    """What the files beside it say, and which file it was."""
    plain = export(small, *SMALL, output="plain.onnx")
    assert list(plain.metadata) == ["architecture", "dialect", "stride0", "geometry", "decant.container", "decant.constants"]
    assert plain.proto.graph.name == plain.metadata["architecture"] == "resnet20"
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5, 0.25, 0.125], "image_std": [0.5] * 3}))
    model = export(small, *SMALL, "--source-digest")
    assert all(number in model.metadata["preprocessing"] for number in ("0.5", "0.25", "0.125"))
    assert model.metadata["decant.source_sha256"] == hashlib.sha256(small.read_bytes()).hexdigest()


def test_the_sources_metadata(export, decant, folder, small):
    """Texts of a safetensors source go along, before the conversion's own; what is said of its format does not."""
    state = torch.load(small, weights_only=True)
    texts = {"author": "me", "stride0": "7", "Grüße": "\n\"", "format": "pt"}
    safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, folder / "a.safetensors", metadata=texts)
    model = export(folder / "a.safetensors", *SMALL)
    assert model.metadata["author"] == "me" and model.metadata["Grüße"] == '\n"' and "format" not in model.metadata
    assert model.metadata["stride0"] == "1" and model.metadata["decant.container"] == "safetensors"


def test_external_data(export, folder, small):
    inside = export(small, *SMALL)
    outside = export(small, *SMALL, "--external-data", output="outside.onnx")
    raw = onnx.load(outside.path, load_external_data=False)
    data = (folder / "outside.onnx.data").read_bytes()
    end = 0
    for tensor in raw.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            assert set(entries) == {"location", "offset", "length"} and entries["location"] == "outside.onnx.data"
            start, length = int(entries["offset"]), int(entries["length"])
            assert start % (4096 if length >= 4096 else 64) == 0 and start - end < 4096
            assert data[start : start + length] == inside.weights[tensor.name].tobytes()
            end = start + length
        else:
            assert tensor.data_type == onnx.TensorProto.INT64
    assert end == len(data) and outside.path.stat().st_size < 40_000
    assert raw.SerializeToString(deterministic=True) == outside.path.read_bytes()
    images = image(2, 3, 32, 32)
    assert np.array_equal(inside(images), outside(images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(decant, export, folder, dtype):
    network = nets.randomise(Cifar(3, False).eval()).to(dtype)
    file = nets.save(network, folder)
    note = decant("convert", file, folder / "x.onnx", *SMALL).errors
    assert f"of {str(dtype).removeprefix('torch.')} to float32, " in note
    model = export(file, *SMALL)
    state = network.state_dict()
    for name, value in model.weights.items():
        if name in state:
            assert equal_bits(value, state[name].float()), name
    with torch.no_grad():
        expected = network.double()(torch.from_numpy(image(2, 3, 32, 32)).double()).numpy()
    assert np.abs(model(image(2, 3, 32, 32)) - expected).max() < 1e-5 * np.abs(expected).max()


@torch.no_grad()
def test_folded_numbers_are_rounded_once(export, folder):
    network = nets.randomise(Cifar(3, False).eval())
    model = export(network, *SMALL, "--fold-bn")
    conv, norm = network.conv1.weight.double(), network.bn1.double()
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    assert equal_bits(model.weights["conv1.weight.folded"], (conv * scale[:, None, None, None]).float())
    assert equal_bits(model.weights["bn1.bias.folded"], shift.float())
    assert "conv1.weight" not in model.weights and "bn1.bias" not in model.weights


def test_views(export, folder):
    """Numbers that do not lie in order."""
    network = nets.randomise(Cifar(3, False).eval())
    plain = export(network, *SMALL).weights
    last = network.to(memory_format=torch.channels_last)
    assert not last.conv1.weight.is_contiguous()
    for name, value in export(last, *SMALL, output="last.onnx").weights.items():
        assert value.tobytes() == plain[name].tobytes()


# MARK: What goes wrong


def test_another_network_is_a_no(decant, folder, small):
    for options in [["--arch", "resnet18"], [*SMALL, "--num-classes", "7"]]:
        finished = decant.attempt("convert", small, folder / "net.onnx", *options)
        assert finished.status == 1 and "do not match" in finished.errors
    state = torch.load(small, weights_only=True)
    state["conv1.weight"][0, 0, 0, 0] = float("nan")
    finished = decant.attempt("convert", nets.save(state, folder), folder / "net.onnx", *SMALL)
    assert finished.status == 1 and "1 with NaN or infinity" in finished.errors
    assert not (folder / "net.onnx").exists()


def test_numbers_beyond_float32(decant, folder):
    state = nets.randomise(Cifar(3, False).eval()).double().state_dict()
    state["layer2.0.conv1.weight"][0, 0, 0, 0] = 1e300
    finished = decant.attempt("convert", nets.save(state, folder), folder / "net.onnx", *SMALL)
    assert finished.status == 2 and "layer2.0.conv1.weight" in finished.errors and "inf" in finished.errors
    state = nets.randomise(Cifar(3, False).eval()).state_dict()
    state["bn1.running_var"][0] = -1.0
    finished = decant.attempt("convert", nets.save(state, folder), folder / "net.onnx", *SMALL, "--fold-bn")
    assert finished.status == 2 and "nan" in finished.errors
    assert not (folder / "net.onnx").exists()


def test_a_write_that_changes_a_bit(decant, folder, small, tmp_path):
    """`--check` finds a bit that is not what was to be, in the model and beside it, and the file that was there stays."""
    failing = Failing(decant, compiled(tmp_path))
    (folder / "net.onnx").write_bytes(b"before")
    for options in [[], ["--external-data"], ["--fold-bn"]]:
        finished = failing("pwrite:1:flip", small, folder / "net.onnx", *SMALL, *options, "--check")
        assert finished.status == 2 and "the output differs from the source" in finished.errors, finished
        assert (folder / "net.onnx").read_bytes() == b"before" and not (folder / "net.onnx.data").exists()
    # Without it nothing tells.
    assert failing("pwrite:1:flip", small, folder / "net.onnx", *SMALL).status == 0


def test_options_of_other_formats(decant, folder, small):
    for output, options in [
        ("net.onnx", ["--names", "timm"]), ("net.onnx", ["--strip-prefix", "module."]), ("net.onnx", ["--dtype", "float16"]),
        ("net.onnx", ["--salvage"]), ("net.onnx", ["--to-dense"]), ("net.onnx", ["--only", "*"]),
        ("net.onnx", ["--format", "gguf"]), ("net.onnx", ["--layout", "nhwc"]), ("net.onnx", ["--rename", "s/a/b/"]),
        ("net.onnx", ["--shard-size", "1GB"]), ("net.onnx", ["--num-classes", "-1"]),
        ("net.safetensors", ["--arch", "resnet20"]), ("net.safetensors", ["--stride0", "1"]),
        ("net.safetensors", ["--external-data"]),
        ("net.safetensors", ["--num-classes", "10"]), ("net.onnx", ["--arch", "resnet9000"]), ("net.ort", []),
    ]:  # fmt: skip
        finished = decant.attempt("convert", small, folder / output, *options)
        assert finished.status == 64, options
        assert not (folder / output).exists()


def test_several_state_dicts(decant, export, folder):
    state, average = (nets.randomise(Cifar(3, False).eval()).state_dict() for _ in range(2))
    file = nets.save({"model": state, "ema": average}, folder)
    finished = decant.attempt("convert", file, folder / "net.onnx", *SMALL)
    assert finished.status == 2 and "--key" in finished.errors and "ema" in finished.errors
    export(file, *SMALL, "--key", "ema")


@pytest.mark.parametrize("external", [False, True])
def test_targets_are_kept(decant, folder, small, external):
    """Whatever fails, both files are what they were, and nothing lies beside them."""
    options = [*SMALL, *["--external-data"] * external]
    target, data = folder / "net.onnx", folder / "net.onnx.data"
    target.write_bytes(b"model")
    data.write_bytes(b"data")
    before = sorted(folder.iterdir())

    def same():
        kept = target.read_bytes() == b"model" and data.read_bytes() == b"data"
        return kept and sorted(folder.iterdir()) == before

    finished = decant.attempt("convert", small, target, *options, "--no-clobber")
    assert finished.status == 2 and "exists already" in finished.errors and same()

    limit = 100_000  # smaller than the weights
    done = subprocess.run(
        [decant.binary, "convert", small, target, *options], capture_output=True, check=False, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2 and b"cannot be written" in done.stderr and same()

    broken = bytearray(small.read_bytes())
    place = broken.find(torch.load(small, weights_only=True)["layer3.0.conv1.weight"].numpy().tobytes())
    broken[place] ^= 1
    small.write_bytes(broken)
    finished = decant.attempt("convert", small, target, *options)
    assert finished.status == 2 and "layer3.0.conv1.weight" in finished.errors and same()
    if external:
        target.unlink()
        before.remove(target)
        finished = decant.attempt("convert", small, target, *options, "--no-clobber")
        assert finished.status == 2 and not target.exists() and data.read_bytes() == b"data"


def test_targets_that_cannot_be(decant, folder, small):
    named = small.rename(folder / "net.onnx")
    before = named.read_bytes()
    finished = decant.attempt("convert", named, named, *SMALL)
    assert finished.status == 2 and "is the file being read" in finished.errors and named.read_bytes() == before
    source = named.rename(folder / "net.onnx.data")
    finished = decant.attempt("convert", source, folder / "net.onnx", *SMALL, "--external-data")
    assert finished.status == 2 and "is the file being read" in finished.errors and source.read_bytes() == before
    assert sorted(folder.iterdir()) == [source]
    (folder / "net.onnx.data").rename(folder / "net.pth")
    (folder / "net.onnx.data").mkdir()
    finished = decant.attempt("convert", folder / "net.pth", folder / "net.onnx", *SMALL, "--external-data")
    assert finished.status == 2 and "is a directory" in finished.errors and not (folder / "net.onnx").exists()
    finished = decant.attempt("convert", folder / "net.pth", folder / "none" / "net.onnx", *SMALL)
    assert finished.status == 2 and "mkdir -p" in finished.errors


def test_read_only_folder(decant, folder, small):
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    if os.geteuid() == 0:
        # Root writes anywhere; not into /proc.
        closed = Path("/proc")
    finished = decant.attempt("convert", small, closed / "net.onnx", *SMALL, "--external-data")
    assert finished.status == 2 and "cannot be written" in finished.errors
