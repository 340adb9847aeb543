"""TorchScript archives against torch.jit.load(FILE).state_dict()."""

import hashlib
import warnings

import folder_files
import pytest
import torch
import torchvision

FIELDS = ["dtype", "shape", "strides", "sha256"]


@pytest.fixture(autouse=True)
def quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def fields(tensor: torch.Tensor) -> list:
    """The fields of a tensor of numbers; expectations.py takes a second for each megabyte."""
    data = tensor.detach().contiguous().numpy().tobytes()
    dtype = str(tensor.dtype).removeprefix("torch.")
    return [dtype, list(tensor.shape), list(tensor.stride()), hashlib.sha256(data).hexdigest()]


def check(listing: dict, expected: dict[str, torch.Tensor], others=()):
    found = {tensor["name"]: [tensor[field] for field in FIELDS] for tensor in listing["tensors"]}
    records = {name: fields(tensor) for name, tensor in expected.items()}
    assert listing["container"] == "torchscript"
    assert {name: found.get(name) for name in records} == records
    assert {name for name in found if name not in records} == set(others)


def saved_ways(module, path):
    torch.jit.save(module, path.with_suffix(".pt"))
    module._save_for_lite_interpreter(str(path.with_suffix(".ptl")))
    return [path.with_suffix(".pt"), path.with_suffix(".ptl")]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_0"])
def test_networks(decant, folder, name):
    torch.manual_seed(1)
    network = getattr(torchvision.models, name)(weights=None).eval()
    for path in saved_ways(torch.jit.script(network), folder / name):
        check(decant.inspect(path), network.state_dict())
    traced = torch.jit.trace(network, torch.ones(1, 3, 64, 64))
    for path in saved_ways(traced, folder / "traced"):
        loaded = torch.jit.load(path).state_dict()
        listing = decant.inspect(path)
        check(listing, loaded, [tensor["name"] for tensor in listing["tensors"] if tensor["name"].startswith("CONSTANTS.c")])


def test_verify_takes_a_script(decant, folder):
    torch.jit.save(torch.jit.script(torchvision.models.resnet18(weights=None).eval()), folder / "r18.pt")
    assert decant("verify", folder / "r18.pt", "--arch", "resnet18").output.startswith("yes")


def test_attributes_and_constants(decant, folder):
    module = torch.jit.script(folder_files.network())
    for path in saved_ways(module, folder / "net"):
        check(decant.inspect(path), module.state_dict(), ["attribute", "tensors.0", "tensors.1", "named.a"])
    frozen = torch.jit.freeze(module)
    for path in saved_ways(frozen, folder / "frozen"):
        listing = decant.inspect(path)
        constants = {name: value for name, value in frozen.code_with_constants[1].const_mapping.items()}
        found = {tensor["name"]: tensor["sha256"] for tensor in listing["tensors"]}
        tensors = {name: value for name, value in constants.items() if isinstance(value, torch.Tensor)}
        assert {f"CONSTANTS.{name}": fields(value)[-1] for name, value in tensors.items()}.items() <= found.items()


def test_the_corpus(decant, corpus, figures):
    """The 26 TorchScript files of the corpus, by the digests of an independent reader."""
    files = [row for row in corpus.files if row["container"] == "torchscript"]
    count = 0
    for row in files:
        listing = decant.inspect(row["file"])
        expected = {
            (digest["tensor_path"].replace("<state>.", ""), digest["sha256_contiguous_le"])
            for digest in corpus.digests.get(row["path"], [])
        }
        assert listing["container"] == "torchscript"
        found = {(tensor["name"], tensor["sha256"]) for tensor in listing["tensors"]}
        assert expected <= found, row["path"]
        count += len(found)
    assert len(files) == 26
    figures(f"TorchScript of the corpus: {len(files)} files, {count} tensors")
