"""Zip archives as other programs write them: compressed otherwise, encrypted, unzipped, and with bytes around them."""

import ctypes
import shutil
import subprocess
import zipfile

import expectations
import pytest
import torch

PASSWORD = "sécret"


@pytest.fixture
def value():
    torch.manual_seed(5)
    return {"model": {f"layer.{index}": torch.randn(index + 1, 33) for index in range(12)}, "epoch": 3}


@pytest.fixture
def saved(value, folder):
    torch.save(value, folder / "whole.pth")
    return folder / "whole.pth"


@pytest.fixture
def same(decant, value):
    """Requires that a path is read as the saved value, without a warning besides the given ones."""

    def check(path, *options, warnings=0):
        listing = decant.inspect(path, *options)
        records = expectations.describe(value)[0]
        fields = ("path", "dtype", "shape", "sha256")
        found = [[tensor[field] for field in fields] for tensor in listing["tensors"]]
        assert found == [[record[field] for field in fields] for record in records]
        assert listing["container"] == "torch-zip" and len(listing["warnings"]) == warnings
        return listing

    return check


@pytest.fixture
def password(folder):
    (folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    (folder / "wrong").write_text("secret\n")
    return ("--password-file", folder / "password")


def entries(path):
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def rezip(path, target, method=zipfile.ZIP_STORED, name=lambda name: name):
    with zipfile.ZipFile(target, "w", method) as archive:
        for entry, data in entries(path):
            archive.writestr(name(entry), data)
    return target


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_methods_of_zipfile(saved, same, folder, method):
    same(rezip(saved, folder / "other.zip", method))
    with zipfile.ZipFile(folder / "outer.zip", "w", method) as archive:
        archive.write(rezip(saved, folder / "inner.pth", zipfile.ZIP_BZIP2), "inner.pth")
    same(folder / "outer.zip")


def test_lzma_is_read_or_refused_by_name(decant, saved, same, folder):
    path = rezip(saved, folder / "lzma.zip", zipfile.ZIP_LZMA)
    run = decant.attempt("inspect", path)
    if run.status == 0:
        same(path)
    else:
        assert run.status == 2 and "LZMA (method 14)" in run.errors
        # The remedy.
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / "unzipped")
        same(folder / "unzipped", warnings=1)
        assert decant.attempt("scan", path).output.startswith("unreadable")


def libzip(path, records, method, encryption):
    """Writes an archive with libzip."""
    library = ctypes.CDLL("libzip.so.4")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64
    library.zip_open.restype, library.zip_open.argtypes = pointer, [text, ctypes.c_int, pointer]
    library.zip_source_buffer.restype = pointer
    library.zip_source_buffer.argtypes = [pointer, text, number, ctypes.c_int]
    library.zip_file_add.restype = ctypes.c_int64
    library.zip_file_add.argtypes = [pointer, text, pointer, ctypes.c_uint32]
    library.zip_set_file_compression.argtypes = [pointer, number, ctypes.c_int32, ctypes.c_uint32]
    library.zip_file_set_encryption.argtypes = [pointer, number, ctypes.c_uint16, text]
    library.zip_close.argtypes = [pointer]
    archive = library.zip_open(str(path).encode(), 9, None)
    for name, data in records:
        index = library.zip_file_add(archive, name.encode(), library.zip_source_buffer(archive, data, len(data), 0), 0)
        assert library.zip_set_file_compression(archive, index, method, 0) == 0
        assert library.zip_file_set_encryption(archive, index, encryption, PASSWORD.encode()) == 0
    assert library.zip_close(archive) == 0


@pytest.mark.parametrize("method", [0, 8, 12])
@pytest.mark.parametrize("encryption", [1, 0x101, 0x102, 0x103])
def test_encryption_of_libzip(decant, saved, same, folder, password, method, encryption):
    try:
        ctypes.CDLL("libzip.so.4")
    except OSError:
        pytest.skip("libzip4 is not installed")
    path = folder / "secret.zip"
    libzip(path, entries(saved), method, encryption)
    same(path, *password)
    for options in ((), ("--password-file", folder / "wrong")):
        run = decant.attempt("inspect", path, *options)
        assert run.status == 2 and "pass it with --password-file." in run.errors
        scan = decant.attempt("scan", path, *options)
        assert scan.status == 1 and "encrypted" in scan.output and not scan.output.startswith("clean")
    assert decant("scan", path, *password).output.startswith("clean")
    with pytest.raises(Exception):  # noqa: B017: whatever torch raises, it does not load an encrypted entry
        torch.load(path, weights_only=True)


@pytest.mark.skipif(not shutil.which("zip"), reason="zip is not installed")
@pytest.mark.parametrize("level", ["-0", "-9"])
def test_traditional_encryption_of_info_zip(saved, same, folder, password, level):
    with zipfile.ZipFile(saved) as archive:
        archive.extractall(folder / "unzipped")
    (root,) = (folder / "unzipped").iterdir()
    subprocess.run(
        ["zip", "-q", "-r", "-D", level, "-P", PASSWORD, folder / "secret.zip", root.name], cwd=root.parent, check=True
    )
    same(folder / "secret.zip", *password)


@pytest.mark.parametrize("named", ["", "archive", "archive/data.pkl"])
def test_unzipped(decant, saved, same, folder, named):
    with zipfile.ZipFile(rezip(saved, folder / "a.zip", name=lambda name: "archive/" + name.split("/", 1)[1])) as archive:
        archive.extractall(folder / "unzipped")
    path = folder / "unzipped" / named
    same(path, warnings=1)
    assert all(line.startswith("clean") for line in decant("scan", folder / "unzipped").output.splitlines()[:-1])
    decant("convert", path, folder / "again.pth")
    found, expected = (torch.load(file, weights_only=True) for file in (folder / "again.pth", saved))
    assert found["epoch"] == 3 and all(torch.equal(found["model"][key], expected["model"][key]) for key in expected["model"])


def test_backslashes(saved, same, folder):
    same(rezip(saved, folder / "b.zip", name=lambda name: name.replace("/", "\\")), warnings=1)
    (folder / "flat").mkdir()
    for name, data in entries(saved):
        (folder / "flat" / name.replace("/", "\\")).write_bytes(data)
    same(folder / "flat", warnings=1)


def around(data):
    yield "nothing", data, 0
    for count in (1, 4000, 60000):
        yield f"{count} zeros after", data + bytes(count), 1
    yield "text after", data + b"<html>not found</html>", 1
    yield "the archive twice", data + data, 1
    yield "zeros before", bytes(512) + data, None
    yield "a header before", b"HTTP/1.1 200 OK\r\n\r\n" + data, None


def test_bytes_around(decant, saved, same, folder):
    """Decant reads what PyTorch loads, with a warning, and refuses or salvages what PyTorch refuses."""
    for name, data, warnings in around(saved.read_bytes()):
        path = folder / "around.pth"
        path.write_bytes(data)
        try:
            torch.load(path, weights_only=True)
            loads = True
        except Exception:  # noqa: BLE001: PyTorch refuses in many ways
            loads = False
        assert loads == (warnings is not None), name
        if loads:
            same(path, warnings=warnings)
            decant("convert", path, folder / "out.safetensors", "--key", "model")
        else:
            assert decant.attempt("inspect", path).status == 2
