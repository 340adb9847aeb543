"""ONNX models as the onnx package and PyTorch write them, Core ML packages as coremltools writes them, folders of .npy."""

import hashlib
import json

import model_files
import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from onnx import TensorProto, helper


def hashed(array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def found(listing: dict) -> dict[str, tuple]:
    return {tensor["name"]: (tensor["dtype"], tensor["shape"], tensor["sha256"]) for tensor in listing["tensors"]}


def initialisers(path) -> dict[str, tuple]:
    """What numpy_helper reads from a model, also from its external data."""
    result = {}
    for tensor in onnx.load(path).graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        result[tensor.name] = (model_files.TORCH[TensorProto.DataType.Name(tensor.data_type)], list(tensor.dims), hashed(values))
    return result


class Branches(torch.nn.Module):
    """A small network with what exporters turn into constants: sizes, a table, a scale."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.bn1 = torch.nn.BatchNorm2d(8)
        self.fc = torch.nn.Linear(32, 4)
        self.register_buffer("table", torch.arange(12.0).reshape(4, 3))

    def forward(self, images):
        maps = torch.relu(self.bn1(self.conv1(images)))
        maps = torch.nn.functional.adaptive_avg_pool2d(maps, 2).reshape(images.shape[0], -1)
        return self.fc(maps) @ self.table * 0.5


@pytest.fixture
def module():
    torch.manual_seed(3)
    return Branches().eval()


@pytest.mark.parametrize("training", ["EVAL", "TRAINING"])
def test_exported_by_torch(decant, folder, module, training):
    """The exporter folds batch norms for inference and keeps them for training."""
    path = folder / "net.onnx"
    mode = getattr(torch.onnx.TrainingMode, training)
    torch.onnx.export(module, torch.zeros(1, 3, 8, 8), path, dynamo=False, training=mode)
    listing = decant.inspect(path)
    assert listing["container"] == "onnx" and listing["warnings"] == []
    tensors = found(listing)
    expected = initialisers(path)
    assert expected.items() <= tensors.items()
    assert tensors["fc.weight"] == ("float32", [4, 32], hashed(module.fc.weight.detach().numpy()))
    if training == "TRAINING":
        torch.save(module.state_dict(), folder / "net.pth")
        answer = json.loads(decant.attempt("diff", "--json", path, folder / "net.pth", "--except", "*num_batches_tracked").output)
        assert answer["identical"] + len(answer["renamed"]) == 9 and answer["changed"] == [] and answer["only_b"] == []


def test_every_type(decant, folder):
    """Also the types whose tensors are not read: they are listed, and no conversion passes over them."""
    path = folder / "types.onnx"
    made = model_files.types()
    path.write_bytes(made.SerializeToString())
    listing = decant.inspect(path)
    tensors = found(listing)
    for tensor in made.graph.initializer:
        kind = TensorProto.DataType.Name(tensor.data_type)
        if kind in model_files.TORCH:
            assert tensors[tensor.name] == (
                model_files.TORCH[kind], list(tensor.dims), hashed(onnx.numpy_helper.to_array(tensor))
            )  # fmt: skip
        elif kind == "FLOAT4E2M1":
            assert tensors[tensor.name][:2] == ("float4_e2m1fn_x2", [3, 2])
        else:
            assert any(value["path"] == tensor.name for value in listing["objects"])
    refused = decant.attempt("convert", path, folder / "out.safetensors")
    assert refused.status == 2 and "INT4.raw" in refused.errors and not (folder / "out.safetensors").exists()


@pytest.mark.parametrize("threshold", [0, 1000])
def test_external_data(decant, folder, threshold):
    tensors = [onnx.numpy_helper.from_array(model_files.array("FLOAT", (size, 40), size), f"w{size}") for size in (1, 7, 50)]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [model_files.info("x")], [model_files.info("y")], tensors)
    path = folder / "net.onnx"
    onnx.save_model(model_files.model(graph), path, save_as_external_data=True, location="weights.bin", size_threshold=threshold)
    assert found(decant.inspect(path)) == initialisers(path)
    decant("convert", path, folder / "net.safetensors", "--check")
    (folder / "weights.bin").unlink()
    missing = decant.attempt("inspect", path)
    assert missing.status == 2 and "weights.bin" in missing.errors


def test_written_by_decant(decant, checkpoints, folder):
    """Every weight of the model that Decant writes is read back, and is the checkpoint's."""
    source = checkpoints.file("resnet18")
    for options in ([], ["--external-data"]):
        path = folder / "net.onnx"
        decant("convert", source, path, "--arch", "resnet18", *options)
        tensors = found(decant.inspect(path))
        assert initialisers(path).items() <= tensors.items()
        same = decant("diff", path, source, "--except", "*num_batches_tracked")
        assert "the same: 102 tensors" in same.output
        decant("verify", path, "--arch", "resnet18")
    stale = decant("convert", source, folder / "net.onnx", "--arch", "resnet18")
    assert "net.onnx.data is of an earlier model" in stale.errors


@pytest.mark.parametrize("precision", ["FLOAT32", "FLOAT16"])
def test_core_ml_packages(decant, folder, precision):
    """The weights are those that coremltools' own loader reads; a package is a checkpoint to every command."""
    path = folder / "net.mlpackage"
    module = model_files.network()
    model_files.coreml(module, path, convert_to="mlprogram", precision=precision)
    listing = decant.inspect(path)
    assert listing["container"] == "mlpackage" and listing["warnings"] == []
    expected = {
        name: (str(value.dtype), list(value.shape), hashed(value)) for name, value in model_files.program_tensors(path).items()
    }  # fmt: skip
    assert found(listing) == expected and len(expected) == 4
    decant("convert", path, folder / "net.safetensors", "--check")
    assert "the same: 4 tensors" in decant("diff", path, folder / "net.safetensors").output
    if precision == "FLOAT32":
        torch.save({"weights": module.fc.weight.detach(), "bias": module.fc.bias.detach()}, folder / "head.pth")
        answer = json.loads(decant.attempt("diff", "--json", path, folder / "head.pth").output)
        assert len(answer["renamed"]) == 2 and len(answer["only_a"]) == 2 and answer["only_b"] == []


def test_core_ml_models_before_ml_programs(decant, folder):
    path = folder / "net.mlmodel"
    model_files.coreml(model_files.network(), path, convert_to="neuralnetwork")
    refused = decant.attempt("inspect", path)
    assert refused.status == 2 and "neuralNetwork" in refused.errors


def test_folders_of_arrays(decant, folder):
    """NumPy's own folder, and the one that Decant writes: the same bits."""
    generator = np.random.default_rng(1)
    arrays = {
        name: generator.standard_normal((3, 5)).astype(dtype)
        for name, dtype in [("layer1.0.conv1.weight", "<f4"), ("b", "<f2"), ("c", ">f8"), ("d", "<i4"), ("e", "<c8")]
    }
    (folder / "numpy").mkdir()
    for name, values in arrays.items():
        np.save(folder / "numpy" / f"{name}.npy", values)
    listing = decant.inspect(folder / "numpy")
    assert listing["container"] == "npy-folder"
    assert {name: value[2] for name, value in found(listing).items()} == {
        name: hashed(values.astype(values.dtype.newbyteorder("<"))) for name, values in arrays.items()
    }
    decant("convert", folder / "numpy", f"{folder}/decant/", "--check")
    for name, values in arrays.items():
        assert np.array_equal(np.load(folder / "decant" / f"{name}.npy"), values)
    assert "the same: 5 tensors" in decant("diff", folder / "numpy", folder / "decant").output
