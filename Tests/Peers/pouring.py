"""Compares a converted file with what PyTorch loads from its source, by the safetensors library."""

import hashlib
import json
import struct
from pathlib import Path

import expectations
import numpy as np
import safetensors
import safetensors.torch
import torch

# What the format calls each of PyTorch's types; a type that is not here has no name there.
TYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32",
    "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32",
    "float64": "F64", "complex64": "C64", "float8_e5m2": "F8_E5M2", "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float4_e2m1fn_x2": "F4",
}  # fmt: skip
# safetensors.torch 0.8 writes this type and cannot load it.
NOT_LOADED = {"F8_E8M0"}


# What the safe loader needs to be told of, to make arrays: the functions NumPy's pickles call, by both names.
NUMPY = [
    np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bhilqBHILQefdgFD"},
    *((function, f"numpy.{core}.multiarray.{name}") for core in ("core", "_core") for name, function in [
        ("_reconstruct", np._core.multiarray._reconstruct), ("scalar", np._core.multiarray.scalar),
    ]),
]  # fmt: skip


def name_of(path: list) -> str:
    """A path as Decant prints it."""
    return ".".join(str(step["python"] if isinstance(step, dict) else step) for step in path)


def load_records(file: Path) -> list[dict] | None:
    """What torch.load makes of a file's tensors; None where the safe loader refuses the file."""
    try:
        with torch.serialization.safe_globals(NUMPY):
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # the loader's own errors come in many kinds
        return None
    return expectations.describe(loaded)[0]


def raw_tensors(file: Path) -> list[tuple[str, dict]]:
    """Names with shape, type and bytes, from the library's own parser, whatever torch can make of them."""
    return safetensors.deserialize(file.read_bytes())


def header_of(file: Path) -> tuple[dict, int]:
    """The JSON header, its metadata included, and where the data begins."""
    with open(file, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        return json.loads(stream.read(length)), 8 + length


def check_poured(file: Path, records: list[dict]):
    """Every record stands in the file, bit for bit, and nothing else does."""
    raw = dict(raw_tensors(file))
    assert set(raw) == {name_of(record["path"]) for record in records}
    assert len(raw) == len(records)
    for record in records:
        found = raw[name_of(record["path"])]
        assert found["dtype"] == TYPES[record["dtype"]], record["path"]
        shape = list(record["shape"])
        if found["dtype"] == "F4":  # the format counts the halves of PyTorch's pairs
            shape[-1] *= 2
        assert found["shape"] == shape, record["path"]
        assert hashlib.sha256(found["data"]).hexdigest() == record["sha256"], record["path"]
    if not any(found["dtype"] in NOT_LOADED for found in raw.values()):
        check_torch_loads(file, records)
    check_layout(file)


def check_torch_loads(file: Path, records: list[dict]):
    """safetensors.torch gives torch the same tensors, whole and one by one."""
    loaded = safetensors.torch.load_file(file)
    with safetensors.safe_open(file, framework="pt") as lazily:
        assert lazily.metadata()["format"] == "pt"
        for record in records:
            name = name_of(record["path"])
            for tensor in (loaded[name], lazily.get_tensor(name)):
                assert str(tensor.dtype) == f"torch.{record['dtype']}", name
                assert list(tensor.shape) == record["shape"], name
                data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
                assert hashlib.sha256(data).hexdigest() == record["sha256"], name


def check_layout(file: Path):
    """Larger elements first, no gaps, every tensor aligned to its element, the header padded to 8."""
    header, begin = header_of(file)
    assert begin % 8 == 0
    metadata = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    end = 0
    sizes = []
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        assert start == end, f"{name}: the header's order is the data's, without gaps"
        end = stop
        sizes.append(element_bytes(entry["dtype"]))
        assert (begin + start) % sizes[-1] == 0, f"{name} is not aligned"
    assert sizes == sorted(sizes, reverse=True)
    assert begin + end == file.stat().st_size


def element_bytes(name: str) -> int:
    """The size of an element of a type by the format's name."""
    return next(getattr(torch, ours).itemsize for ours, theirs in TYPES.items() if theirs == name)
