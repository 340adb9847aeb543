"""`decant synthesize` writes what PyTorch loads: the archive, the names, the bits."""

import struct
import zipfile

import networks
import pytest
import torch

SMALL = ["resnet18", "resnet50nodown"]


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_torch_loads_the_weights_that_python_computes(decant, folder, architecture):
    file = folder / "synthesized.pth"
    decant("synthesize", architecture, "--seed", "7", "--epoch", "3", "-o", file)
    loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    assert list(loaded) == ["model", "epoch"]
    assert type(loaded["epoch"]) is int and loaded["epoch"] == 3

    network = networks.build(architecture)
    expected = networks.synthesise(network, 7)
    assert list(loaded["model"]) == list(expected)
    for name, value in expected.items():
        found = loaded["model"][name]
        assert found.dtype == value.dtype and found.shape == value.shape, name
        assert found.is_contiguous() and not found.requires_grad, name
        # Bits, not numbers: 0.0 == -0.0.
        assert torch.equal(as_integers(found), as_integers(value)), name
    assert network.load_state_dict(loaded["model"], strict=True, assign=True)


def as_integers(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.view(torch.int32) if tensor.dtype == torch.float32 else tensor


@pytest.mark.parametrize("architecture", SMALL)
def test_the_archive_is_sound(decant, checkpoints, architecture):
    file = checkpoints.file(architecture)
    with zipfile.ZipFile(file) as archive, open(file, "rb") as raw:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(set(names)) == len(names)
        assert {name.partition("/")[0] for name in names} == {"archive"}
        assert archive.read("archive/version").strip() == b"3"
        assert archive.read("archive/byteorder") == b"little"
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.CRC != 0 or entry.file_size == 0
            raw.seek(entry.header_offset)
            name_bytes, extra_bytes = struct.unpack("<26xHH", raw.read(30))
            assert (entry.header_offset + 30 + name_bytes + extra_bytes) % 64 == 0, entry.filename


@pytest.mark.parametrize("architecture", SMALL)
def test_torchs_own_zip_reader(checkpoints, architecture):
    """The C++ reader beneath torch.load, asked directly."""
    reader = torch._C.PyTorchFileReader(str(checkpoints.file(architecture)))
    records = reader.get_all_records()
    assert "data.pkl" in records
    data = [name for name in records if name.startswith("data/")]
    assert len(data) == len(networks.build(architecture).state_dict())
    assert all(reader.get_record_offset(name) % 64 == 0 for name in data)
    assert reader.has_record("byteorder") and reader.get_record("byteorder") == b"little"


def test_the_same_seed_gives_the_same_bytes(decant, folder):
    for name, seed in [("a", 7), ("b", 7), ("c", 8)]:
        decant("synthesize", "resnet18", "--seed", seed, "-o", folder / f"{name}.pth")
    a, b, c = ((folder / f"{name}.pth").read_bytes() for name in "abc")
    assert a == b
    assert a != c and len(a) == len(c)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_any_seed_key_and_class_count(decant, folder, seed):
    file = folder / "other.pth"
    decant("synthesize", "resnet18", "--seed", seed, "--num-classes", "5", "--key", "net/ä", "-o", file)
    loaded = torch.load(file, weights_only=True)["net/ä"]
    network = networks.models.resnet18(num_classes=5)
    expected = networks.synthesise(network, seed)
    assert networks.weights_digest(loaded) == networks.weights_digest(expected)
    network.load_state_dict(loaded, strict=True)


def test_torch_writes_it_again_and_nothing_changes(decant, checkpoints, folder):
    """Decant's file, loaded and saved by torch, gives Decant the same tensors."""
    file = checkpoints.file("resnet18")
    again = folder / "again.pth"
    torch.save(torch.load(file, weights_only=True), again)
    first, second = decant.inspect(file), decant.inspect(again)
    assert [(t["path"], t["shape"], t["strides"], t["sha256"]) for t in first["tensors"]] == [
        (t["path"], t["shape"], t["strides"], t["sha256"]) for t in second["tensors"]
    ]
    assert first["objects"] == second["objects"]
