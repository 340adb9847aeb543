"""Reads what `decant convert` wrote with each format's own library: every tensor as (name, type, shape, bytes)."""

from pathlib import Path

import gguf
import numpy as np
import safetensors
import torch

# What a format has element types for, by PyTorch's names.
INTEGERS = {"int8", "int16", "int32", "int64"}
HELD = {
    "safetensors": INTEGERS
    | {"uint8", "uint16", "uint32", "uint64", "bool", "float16", "bfloat16", "float32", "float64", "complex64"}
    | {"float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz"},
    "npz": INTEGERS
    | {"uint8", "uint16", "uint32", "uint64", "bool", "float16", "float32", "float64", "complex64", "complex128"},
    "gguf": INTEGERS | {"float16", "bfloat16", "float32", "float64"},
}
HELD["folder"] = HELD["npz"]
# Where the target of a format is, in a folder.
PLACES = {"safetensors": "out.safetensors", "npz": "out.npz", "folder": "out/", "gguf": "out.gguf"}

Record = tuple[str, str, list[int], bytes]


def record(name: str, tensor: torch.Tensor) -> Record:
    """A tensor as torch has it."""
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    # The view below is refused for an empty tensor of odd strides.
    data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape), data


def array_record(name: str, array: np.ndarray) -> Record:
    assert array.flags.c_contiguous and array.dtype.byteorder in "<=|"
    return name, array.dtype.name, list(array.shape), array.tobytes()


def read_safetensors(path: Path) -> list[Record]:
    with safetensors.safe_open(path, framework="pt") as file:
        return [record(name, file.get_tensor(name)) for name in file.offset_keys()]


def read_npz(path: Path) -> list[Record]:
    with np.load(path, allow_pickle=False) as file:
        assert len(set(file.files)) == len(file.files)
        return [array_record(name, file[name]) for name in file.files]


def read_folder(path: Path) -> list[Record]:
    # The record of turned weights is no array.
    files = sorted(file for file in Path(path).iterdir() if file.name != "decant.layout.json")
    assert all(file.suffix == ".npy" for file in files), files
    return [array_record(file.name[:-4], np.load(file, allow_pickle=False)) for file in files]


def read_gguf(path: Path) -> list[Record]:
    reader = gguf.GGUFReader(path)
    names = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
    found = []
    for tensor in reader.tensors:
        name = tensor.tensor_type.name
        assert tensor.data_offset % 32 == 0
        found.append((
            str(tensor.name), names.get(name, name.replace("I", "int")),
            [int(size) for size in reversed(tensor.shape)], tensor.data.tobytes(),
        ))  # fmt: skip
    return found


READERS = {"safetensors": read_safetensors, "npz": read_npz, "folder": read_folder, "gguf": read_gguf}


def gguf_values(path: Path) -> dict[str, tuple[list[str], object]]:
    """The metadata of a GGUF file with its types, without what is in every file."""
    fields = gguf.GGUFReader(path).fields
    return {
        key: ([kind.name for kind in field.types], field.contents())
        for key, field in fields.items()
        if not key.startswith("GGUF.")
    }
