"""`decant convert` from every container to every target, read back by the library that each format comes from."""

import fnmatch
import json
import os
import random
import re
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import gguf
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
from gguf import GGUFValueType as Value
from targets import HELD, PLACES, READERS, gguf_values, record

DTYPES = [
    "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "bool", "complex64", "complex128", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz",
    "float8_e4m3fnuz",
]  # fmt: skip
SHAPES = [(), (5,), (3, 4), (2, 3, 1, 5), (0,), (3, 0, 2), (1, 1, 1), (7, 1)]


def tensors(types=DTYPES, shapes=SHAPES) -> dict[str, torch.Tensor]:
    """Random bits of every type and shape."""
    generator = torch.Generator().manual_seed(19)
    value = {}
    for place, (dtype, shape) in enumerate((dtype, shape) for dtype in types for shape in shapes):
        size = getattr(torch, dtype).itemsize
        count = int(np.prod(shape)) * size
        raw = torch.randint(0, 2 if dtype == "bool" else 256, (count,), dtype=torch.uint8, generator=generator)
        value[f"b{place % 3}.{dtype}.{place}"] = raw.view(getattr(torch, dtype)).reshape(shape)
    return value


def held(value: dict, target: str) -> dict[str, torch.Tensor]:
    return {name: t for name, t in value.items() if str(t.dtype).removeprefix("torch.") in HELD[target]}


# MARK: Every container


class Network(torch.nn.Module):
    """A module of every type that a buffer may have."""

    def __init__(self, value: dict | None = None):
        super().__init__()
        for name, tensor in (value or {}).items():
            self.register_buffer(name.replace(".", "_"), tensor)

    def forward(self, x):
        return x


def torch_zip(folder: Path, value: dict):
    torch.save(value, folder / "a.pth")
    return folder / "a.pth", value


def torch_legacy(folder: Path, value: dict):
    torch.save(value, folder / "a.pth", _use_new_zipfile_serialization=False)
    return folder / "a.pth", value


def whole_module(folder: Path, value: dict):
    torch.save(Network(value), folder / "a.pth")
    return folder / "a.pth", {name.replace(".", "_"): tensor for name, tensor in value.items()}


def torchscript(folder: Path, value: dict):
    torch.jit.script(Network(value)).save(str(folder / "a.pt"))
    return folder / "a.pt", {name.replace(".", "_"): tensor for name, tensor in value.items()}


def safetensors_file(folder: Path, value: dict):
    safetensors.torch.save_file(value, folder / "a.safetensors", metadata={"format": "pt"})
    with safetensors.safe_open(folder / "a.safetensors", framework="pt") as file:
        return folder / "a.safetensors", {name: value[name] for name in file.offset_keys()}


def npz(folder: Path, value: dict):
    np.savez(folder / "a.npz", **{name: tensor.numpy() for name, tensor in value.items()})
    return folder / "a.npz", value


def npz_deflated(folder: Path, value: dict):
    np.savez_compressed(folder / "a.npz", **{name: tensor.numpy() for name, tensor in value.items()})
    return folder / "a.npz", value


def gguf_file(folder: Path, value: dict):
    writer = gguf.GGUFWriter(folder / "a.gguf", "resnet")
    for name, tensor in value.items():
        if tensor.dtype == torch.bfloat16:
            raw = tensor.reshape(-1).view(torch.uint8).reshape(*tensor.shape[:-1], 2 * tensor.shape[-1])
            writer.add_tensor(name, raw.numpy(), raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "a.gguf", value


def distributed(folder: Path, value: dict):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(value, checkpoint_id=folder / "dcp", no_dist=True)
    return folder / "dcp", value


def shards(folder: Path, value: dict):
    names = list(value)
    parts = [names[::2], names[1::2]]
    weight_map = {}
    for place, part in enumerate(parts):
        file = f"model-{place + 1:05}-of-00002.safetensors"
        safetensors.torch.save_file({name: value[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index, value


PICKLED = set(DTYPES)
EIGHT_BITS = {"float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz"}
# How each container is made, the types its library writes, and whether its order is one.
CONTAINERS = {
    "torch-zip": (torch_zip, PICKLED, True),
    "torch-legacy": (torch_legacy, PICKLED - {"uint16", "uint32", "uint64"}, True),
    "module": (whole_module, PICKLED, True),
    "torchscript": (torchscript, PICKLED - EIGHT_BITS - {"uint16", "uint32", "uint64"}, True),
    "safetensors": (safetensors_file, HELD["safetensors"], True),
    "npz": (npz, HELD["npz"], True),
    "npz-deflated": (npz_deflated, HELD["npz"], True),
    "gguf": (gguf_file, HELD["gguf"], True),
    "dcp": (distributed, PICKLED - {"uint16", "uint32", "uint64"}, False),
    "shards": (shards, HELD["safetensors"], False),
}


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_to_every_target(decant, folder, container, target):
    make, types, is_ordered = CONTAINERS[container]
    shapes = [shape for shape in SHAPES if container != "gguf" or shape and 0 not in shape]
    types = [dtype for dtype in DTYPES if dtype in types & HELD[target]]
    value = tensors(types, shapes)
    if target == "gguf":  # gguf-py's reader fails on a bfloat16 without dimensions
        value = {name: tensor for name, tensor in value.items() if tensor.dtype != torch.bfloat16 or tensor.dim() > 0}
    count = len(value)
    source, value = make(folder, value)
    decant("convert", source, f"{folder}/{PLACES[target]}", "--check")
    found = READERS[target](folder / PLACES[target])
    expected = [record(name, tensor) for name, tensor in value.items()]
    assert len(expected) == count > 30
    if target == "safetensors":  # larger elements first, the source's order among equals
        expected.sort(key=lambda record: -getattr(torch, record[1]).itemsize)
    assert sorted(found) == sorted(expected)
    # safetensors' own order is that of the data, where empty tensors have no place.
    if target != "folder" and is_ordered:
        assert [record for record in found if record[3]] == [record for record in expected if record[3]]


@pytest.mark.parametrize("dtype", ["float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz"])
def test_eight_bit_floats_of_torchscript(decant, folder, dtype):
    source, value = torchscript(folder, tensors([dtype]))
    loaded = torch.jit.load(source).state_dict()
    assert all(record(name, loaded[name]) == record(name, tensor) for name, tensor in value.items())
    decant("convert", source, folder / "a.safetensors", "--check")


def test_one_array(decant, folder):
    value = tensors([dtype for dtype in DTYPES if dtype in HELD["npz"]])
    torch.save(value, folder / "a.pth")
    for name, tensor in value.items():
        decant("convert", folder / "a.pth", folder / "a.npy", "--only", name, "--check")
        array = np.load(folder / "a.npy", allow_pickle=False)
        assert array.tobytes() == tensor.numpy().tobytes()
        assert (array.dtype, array.shape) == (tensor.numpy().dtype, tuple(tensor.shape))
    finished = decant.attempt("convert", folder / "a.pth", folder / "b.npy")
    assert finished.status == 2 and f"not {len(value)} tensors" in finished.errors
    assert not (folder / "b.npy").exists()


# MARK: What a target cannot hold


def check_refused(decant, folder: Path, source: Path, target: str, *names: str, options=()):
    """An error that names every tensor, and nothing written."""
    before = sorted(folder.rglob("*"))
    finished = decant.attempt("convert", source, f"{folder}/{PLACES.get(target, target)}", *options)
    assert finished.status == 2 and finished.output == "", finished
    for name in names:
        assert name in finished.errors, (name, finished.errors)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("target", PLACES)
def test_types_a_target_lacks(decant, folder, target):
    value = tensors(shapes=[(2, 3)])
    torch.save(value, folder / "a.pth")
    missing = [name for name in value if name not in held(value, target)]
    assert missing or target == "safetensors"
    check_refused(decant, folder, folder / "a.pth", target, *missing)
    # With those left out, the rest is written.
    left_out = [option for name in missing for option in ("--except", name)]
    decant("convert", folder / "a.pth", f"{folder}/{PLACES[target]}", *left_out)
    assert sorted(READERS[target](folder / PLACES[target])) == sorted(
        record(name, tensor) for name, tensor in held(value, target).items()
    )


def test_what_gguf_has_no_room_for(decant, folder):
    long = "é" * 31 + "xy"  # 64 bytes, 33 characters
    value = {"five": torch.ones(1, 1, 1, 1, 2), "four": torch.ones(1, 1, 1, 2), long: torch.ones(1), "x" * 63: torch.ones(1)}
    torch.save(value, folder / "a.pth")
    check_refused(decant, folder, folder / "a.pth", "gguf", "five (float32)", f"{long} (float32)")
    finished = decant.attempt("convert", folder / "a.pth", folder / "b.gguf")
    assert "four" not in finished.errors and "x" * 63 not in finished.errors
    decant("convert", folder / "a.pth", folder / "b.gguf", "--except", "five", "--rename", "s/xy$/x/")
    names = [name for name, *_ in READERS["gguf"](folder / "b.gguf")]
    assert names == ["four", long[:-1], "x" * 63]


NO_FILES = ["../x", "/etc/x", "a/b", ".hidden", ".", "..", "", "n\0l", "x" * 251, "é" * 126]
FILE_NAMES = ["x" * 250, "é" * 125, "new\nline", "case", "CASE", "sp ace", "-rf", "\x1b[31m", "a\\b", "~", "*", "ü", "u\u0308"]


def test_names_that_are_no_file_names(decant, folder):
    """A hostile name never leaves the folder; a strange one is a file in it."""
    (folder / "in").mkdir()
    value = {name: torch.full((2,), float(place)) for place, name in enumerate(NO_FILES + FILE_NAMES)}
    safetensors.torch.save_file(value, folder / "in" / "a.safetensors")
    before = sorted(folder.rglob("*"))
    finished = decant.attempt("convert", folder / "in" / "a.safetensors", f"{folder}/in/out/")
    assert finished.status == 2 and f"these {len(NO_FILES)} tensors" in finished.errors
    assert sorted(folder.rglob("*")) == before
    for name in NO_FILES:
        safetensors.torch.save_file({name: value[name]}, folder / "in" / "a.safetensors")
        finished = decant.attempt("convert", folder / "in" / "a.safetensors", f"{folder}/in/out/")
        assert finished.status == 2 and "a file cannot have the name of this tensor" in finished.errors
        assert sorted(folder.rglob("*")) == before
    kept = {name: value[name] for name in FILE_NAMES}
    safetensors.torch.save_file(kept, folder / "in" / "a.safetensors")
    decant("convert", folder / "in" / "a.safetensors", f"{folder}/in/out/")
    found = READERS["folder"](folder / "in" / "out")
    assert sorted(found) == sorted(record(name, tensor) for name, tensor in kept.items())




@pytest.mark.parametrize("names", [["x", "x.npy"], ["a\0b", "a\0c"]], ids=["suffix", "NUL"])
def test_names_numpy_takes_for_others(decant, folder, names):
    value = {name: torch.full((2,), float(place)) for place, name in enumerate(names)}
    safetensors.torch.save_file(value, folder / "a.safetensors")
    if decant.attempt("convert", folder / "a.safetensors", folder / "a.npz").status == 0:
        with np.load(folder / "a.npz") as file:
            assert {name: file[name][0] for name in file.files} == {name: float(value[name][0]) for name in names}


def test_names_that_become_equal(decant, folder):
    torch.save({"a.x": torch.ones(1), "b.x": torch.ones(1), "c": torch.ones(1)}, folder / "a.pth")
    for target in PLACES:
        options = ["--rename", "s/^[ab]/n/"]
        check_refused(decant, folder, folder / "a.pth", target, "n.x", "'a.x'", "'b.x'", options=options)
    decant("convert", folder / "a.pth", folder / "a.npz", "--rename", "s/^[ab]/n/", "--except", "b.*")
    assert [name for name, *_ in READERS["npz"](folder / "a.npz")] == ["n.x", "c"]


def test_the_name_safetensors_keeps(decant, folder):
    torch.save({"__metadata__": torch.ones(1)}, folder / "a.pth")
    finished = decant.attempt("convert", folder / "a.pth", folder / "a.safetensors")
    assert finished.status == 2 and "__metadata__" in finished.errors
    assert not (folder / "a.safetensors").exists()
    decant("convert", folder / "a.pth", folder / "a.npz")


# MARK: Metadata


def metadata_of(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="pt") as file:
        return file.metadata()


def test_metadata_survives(decant, folder):
    """safetensors → safetensors → gguf → safetensors, and what a conversion adds never nests."""
    texts = {"format": "pt", "author": "ü \n\x1b", "empty": "", "json": '{"a": [1]}', "decant.key": "of before"}
    kept = {key: text for key, text in texts.items() if not key.startswith("decant.")}
    safetensors.torch.save_file({"w": torch.ones(2)}, folder / "0.safetensors", metadata=texts)
    previous = folder / "0.safetensors"
    containers = ["safetensors", "safetensors", "gguf", "safetensors", "gguf", "gguf", "safetensors"]
    for place, kind in enumerate(containers, 1):
        current = folder / f"{place}.{kind}"
        decant("convert", previous, current)
        if kind == "safetensors":
            found = metadata_of(current)
        else:
            found = {key: value for key, (_, value) in gguf_values(current).items()}
            found["format"] = "pt"
        assert kept.items() <= found.items(), (current.name, found)
        own = {key: value for key, value in found.items() if key.startswith("decant.")}
        assert own == {"decant.container": previous.suffix[1:]}
        added = {key for key in found if key not in kept and key not in own}
        assert all(key.startswith("general.") for key in added)
        previous = current


SCALARS = {
    "u8": (255, Value.UINT8), "i8": (-128, Value.INT8), "u16": (65535, Value.UINT16), "i16": (-32768, Value.INT16),
    "u32": (2**32 - 1, Value.UINT32), "i32": (-(2**31), Value.INT32), "u64": (2**53, Value.UINT64),
    "i64": (-(2**53), Value.INT64), "f32": (0.1, Value.FLOAT32), "f64": (0.1, Value.FLOAT64),
    "zero": (-0.0, Value.FLOAT32), "yes": (True, Value.BOOL), "no": (False, Value.BOOL),
    "text": ("Grüße\n\x1b[31m", Value.STRING),
}  # fmt: skip
EXTREMES = {
    "u64.max": (2**64 - 1, Value.UINT64), "i64.min": (-(2**63), Value.INT64), "i64.odd": (2**53 + 1, Value.INT64),
    "inf": (float("inf"), Value.FLOAT32), "less": (float("-inf"), Value.FLOAT64), "nan": (float("nan"), Value.FLOAT64),
}  # fmt: skip


def typed(folder: Path, values: dict, arrays: dict | None = None, end=gguf.GGUFEndian.LITTLE) -> Path:
    writer = gguf.GGUFWriter(folder / "typed.gguf", "resnet", endianess=end)
    for key, (value, kind) in values.items():
        writer.add_key_value(key, value, kind)
    for key, value in (arrays or {}).items():
        writer.add_array(key, value)
    writer.add_tensor("w", np.ones((2, 3), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "typed.gguf"


def check_typed(decant, source: Path):
    target = source.with_name("again.gguf")
    decant("convert", source, target)
    # As text: NaN is not equal to itself.
    before = {key: repr(value) for key, value in gguf_values(source).items()}
    after = {key: repr(value) for key, value in gguf_values(target).items()}
    assert {key: after.get(key) for key in before} == before


def test_typed_values_survive(decant, folder):
    check_typed(decant, typed(folder, SCALARS))


@pytest.mark.parametrize("key", EXTREMES)
def test_extreme_values_survive(decant, folder, key):
    check_typed(decant, typed(folder, {key: EXTREMES[key]}))


ARRAYS = {
    "few": [1, 2, 3], "few texts": ["a", "b"], "many": list(range(-20, 40_000)), "flags": [True, False] * 20,
    "floats": [0.5, -0.0, 1e30] * 20, "texts": ["", "ü", '"', "\n"] * 10_000, "nested": [[1, 2], [3]] * 20,
}  # fmt: skip


@pytest.mark.parametrize("end", list(gguf.GGUFEndian), ids=lambda end: end.name)
@pytest.mark.parametrize("array", ARRAYS)
def test_arrays_survive(decant, folder, array, end):
    check_typed(decant, typed(folder, {}, {"array": ARRAYS[array]}, end))


@pytest.mark.parametrize("end", list(gguf.GGUFEndian), ids=lambda end: end.name)
def test_arrays_become_texts(decant, folder, end):
    """Where metadata is text, an array is JSON, whose elements are texts."""
    arrays = {key: ARRAYS[key] for key in ["few", "many", "texts", "nested"]}
    decant("convert", typed(folder, {}, arrays, end), folder / "a.safetensors")

    def texts(value):
        return [texts(element) for element in value] if isinstance(value, list) else str(value)

    found = metadata_of(folder / "a.safetensors")
    assert {key: json.loads(found[key]) for key in arrays} == {key: texts(value) for key, value in arrays.items()}


def test_long_texts_survive(decant, folder):
    check_typed(decant, typed(folder, {"text": ("ü" * 3_000_000, Value.STRING)}))


def test_what_is_too_long_is_said_to_be_left(decant, folder):
    """A text of more than a quarter of what safetensors allows its header."""
    source = typed(folder, {"long": ("x" * 25_000_001, Value.STRING), "short": ("y", Value.STRING)})
    finished = decant("convert", source, folder / "a.safetensors")
    assert "skipped 1 metadata key that safetensors cannot store: long" in finished.errors
    found = metadata_of(folder / "a.safetensors")
    assert found["short"] == "y" and "long" not in found
    source = typed(folder, {"short": ("y", Value.STRING)}, {"array": ["a", "x" * 25_000_001, "b"]})
    finished = decant("convert", source, folder / "a.safetensors")
    assert "skipped 1 metadata key that safetensors cannot store: array" in finished.errors
    assert "array" not in metadata_of(folder / "a.safetensors"), "an array that lacks an element is another"


def test_what_was_kept_is_not_said_to_be_left(decant, folder):
    finished = decant("convert", typed(folder, SCALARS), folder / "again.gguf")
    assert "skipped" not in finished.errors


def test_metadata_that_has_no_place(decant, folder):
    safetensors.torch.save_file({"w": torch.ones(2)}, folder / "a.safetensors", metadata={"author": "me", "b": "c"})
    for target in ["a.npz", "out/"]:
        finished = decant("convert", folder / "a.safetensors", f"{folder}/{target}")
        assert "skipped 2 metadata keys that NumPy cannot store" in finished.errors
        assert "author" in finished.errors


# MARK: The same bytes


@pytest.mark.parametrize("target", [*PLACES, "shards"])
def test_the_same_bytes_each_time(decant, folder, target):
    """In another folder, at another time, under another name of the source."""
    value = held(tensors(), "gguf" if target == "gguf" else "npz")
    value = held(value, "safetensors") if target in ("safetensors", "shards") else value
    seen = []
    for place in ["one", "two"]:
        (folder / place / place).mkdir(parents=True)
        source = folder / place / place / f"{place}.pth"
        torch.save(value, source)
        os.utime(source, (0, 10**9 * len(seen)))
        options = ["--shard-size", "300"] if target == "shards" else []
        decant("convert", source, f"{folder}/{place}/{PLACES.get(target, 'out.safetensors')}", *options)
        files = {str(p.relative_to(folder / place)): p.read_bytes() for p in (folder / place).rglob("out*") if p.is_file()}
        files |= {p.name: p.read_bytes() for p in (folder / place).rglob("*.npy")}
        seen.append(files)
    assert seen[0] and seen[0] == seen[1]


def test_standard_output_is_the_file(decant, folder):
    value = held(held(tensors(), "gguf"), "npz")
    torch.save(value, folder / "a.pth")
    for target in ["safetensors", "npz", "gguf"]:
        decant("convert", folder / "a.pth", folder / PLACES[target])
        done = subprocess.run(
            [decant.binary, "convert", folder / "a.pth", "-", "--format", target], capture_output=True, check=True
        )
        assert done.stdout == (folder / PLACES[target]).read_bytes()
        assert b"standard output" in done.stderr
    for options in [[], ["--format", "npy-folder"], ["--format", "npz", "--check"]]:
        finished = decant.attempt("convert", folder / "a.pth", "-", *options)
        assert finished.status == 64 and finished.output == ""


@pytest.mark.parametrize("target", ["safetensors", "npz", "gguf"])
def test_a_reader_that_leaves(decant, folder, target):
    """`decant convert … - | head`: what was written is no file, and the status says so."""
    torch.save({"w": torch.ones(3_000_000)}, folder / "a.pth")
    process = subprocess.Popen(
        [decant.binary, "convert", folder / "a.pth", "-", "--format", target],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert len(process.stdout.read(10)) == 10
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(timeout=60) == 2 and "Broken pipe" in errors


# MARK: Options


def test_layout(decant, folder):
    """Weights of convolutions as torch.permute has them; everything else as it is."""
    generator = torch.Generator().manual_seed(23)
    value = {
        "conv": torch.randn(8, 3, 5, 7, generator=generator),
        "half": torch.randn(4, 2, 3, 3, generator=generator).half(),
        "view": torch.randn(6, 5, 4, 3, generator=generator).permute(3, 1, 0, 2)[1:, ::2],
        "last": torch.randn(2, 3, 4, 5, generator=generator).to(memory_format=torch.channels_last),
        "empty": torch.empty(2, 0, 3, 3),
        "large": torch.randn(256, 128, 3, 3, generator=generator),
        "linear": torch.randn(4, 5, generator=generator),
        "conv1d": torch.randn(4, 5, 3, generator=generator),
        "conv3d": torch.randn(2, 3, 1, 2, 2, generator=generator),
        "counts": torch.arange(16).reshape(2, 2, 2, 2),
    }
    torch.save(value, folder / "a.pth")
    turning = ["--layout", "nhwc", "--check"]
    weights = ["conv", "half", "view", "last", "empty", "large", "conv1d", "conv3d"]
    for name in weights:
        turning += ["--layout-only", name]
    for extra in [[], ["--dtype", "float64"]]:
        decant("convert", folder / "a.pth", folder / "a.safetensors", *turning, *extra)
        found = safetensors.torch.load_file(folder / "a.safetensors")
        for name, tensor in value.items():
            turned = tensor.permute(0, *range(2, tensor.dim()), 1) if name in weights else tensor
            turned = turned.double() if extra and tensor.is_floating_point() else turned
            assert record(name, found[name]) == record(name, turned), name
    layout = json.loads(metadata_of(folder / "a.safetensors")["decant.layout"])
    assert sorted(layout["nhwc"]["ordinary"]) == sorted(weights)


RENAMINGS = [
    "s/layer/stage/", "s/a/b/g", r"s/^module\.//", r"s/(\w+)\.(\w+)/\2-\1/", "s/[0-9]+/<&>/g", r"s/[0-9]/\&/",
    "s|layer.|block/|", r"s|\||I|", r"s/\./\//g", "s/weight$/w/", "s/^/p./", "s/$/.s/", "s/e/&&/g",
    r"s/(l)(a)(y)(e)(r)/\5\4\3\2\1/", r"s/(layer)?(conv)?/[\1\2]/", "s/absent/x/", "s/.//", "s,[.],,g",
]  # fmt: skip


@pytest.mark.parametrize("expression", RENAMINGS)
def test_renaming_is_seds(decant, folder, expression):
    """The names that `sed -E` makes of them."""
    names = [
        "module.layer1.0.conv1.weight", "module.layer12.bn.bias", "conv1.weight", "fc", "läyer.ü.weight", "a|b",
        "aaa.eee", "layer",
    ]  # fmt: skip
    done = subprocess.run(
        ["sed", "-E", expression], input="\n".join(names) + "\n", text=True, capture_output=True, check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    expected = done.stdout.splitlines()
    assert len(set(expected)) == len(names)
    torch.save({name: torch.tensor([place]) for place, name in enumerate(names)}, folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "a.safetensors", "--rename", expression)
    found = safetensors.torch.load_file(folder / "a.safetensors")
    assert {name: int(tensor) for name, tensor in found.items()} == {name: i for i, name in enumerate(expected)}


def test_renamings_follow_each_other(decant, folder):
    torch.save({"model": {"a.b": torch.ones(1), "a.c": torch.ones(1)}}, folder / "a.pth")
    decant(
        "convert", folder / "a.pth", folder / "a.npz", "--key", "model", "--strip-prefix", "a.", "--rename", "s/b/c2/",
        "--rename", r"s/c(.?)$/d\1/",
    )  # fmt: skip
    assert [name for name, *_ in READERS["npz"](folder / "a.npz")] == ["d2", "d"]


@pytest.mark.parametrize("expression", ["s/a/b", "s/a", "a/b/", "", "s", "s/(/x/", r"s/a/\1/", "s/a/b/gi", "sxaxbx", "s/a/b/c/"])
def test_expressions_that_are_none(decant, folder, expression):
    torch.save({"a": torch.ones(1)}, folder / "a.pth")
    finished = decant.attempt("convert", folder / "a.pth", folder / "a.npz", "--rename", expression)
    assert finished.status == 64 and "--rename" in finished.errors
    assert not (folder / "a.npz").exists()


def test_globs(decant, folder):
    names = ["layer1.weight", "layer1.bias", "layer2.weight", "fc.weight", "fc.bias", "x[0]"]
    torch.save({name: torch.ones(1) for name in names}, folder / "a.pth")

    def written(*options) -> list[str]:
        decant("convert", folder / "a.pth", folder / "a.npz", *options)
        return [name for name, *_ in READERS["npz"](folder / "a.npz")]

    assert written("--only", "layer*") == names[:3]
    assert written("--only", "layer*", "--only", "fc.*") == names[:5]
    assert written("--except", "*.bias") == ["layer1.weight", "layer2.weight", "fc.weight", "x[0]"]
    assert written("--only", "*.weight", "--except", "fc*") == ["layer1.weight", "layer2.weight"]
    assert written("--only", "layer[!1].*") == ["layer2.weight"]
    assert written("--only", "layer?.bias") == ["layer1.bias"]
    assert written("--only", r"x\[0\]") == ["x[0]"]
    # The names before they are changed.
    assert written("--only", "fc.*", "--rename", "s/fc/head/") == ["head.weight", "head.bias"]
    before = (folder / "a.npz").read_bytes()
    for options in [("--only", "laier*"), ("--except", "laier*"), ("--only", "fc.*", "--except", "laier*")]:
        finished = decant.attempt("convert", folder / "a.pth", folder / "a.npz", *options)
        assert finished.status == 2 and "no tensor name matches 'laier*'" in finished.errors
    finished = decant.attempt("convert", folder / "a.pth", folder / "a.npz", "--except", "*")
    assert finished.status == 2 and (folder / "a.npz").read_bytes() == before


# MARK: Shards


def test_shards(decant, folder):
    """The limit is kept, and the index says what Hugging Face's says."""
    generator = random.Random(29)
    value = {f"t{place}": torch.randn(generator.randint(1, 900)) for place in range(60)}
    value["empty"] = torch.empty(0)
    value["large"] = torch.randn(5000)
    torch.save(value, folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "model.safetensors", "--shard-size", "10kB")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    total = sum(tensor.nbytes for tensor in value.values())
    assert index["metadata"]["total_size"] == total
    assert list(index["weight_map"]) == list(value)
    files = sorted(set(index["weight_map"].values()))
    assert files == [f"model-{place + 1:05}-of-{len(files):05}.safetensors" for place in range(len(files))]
    assert sorted(path.name for path in folder.glob("*.safetensors")) == files
    found = {}
    for file in files:
        part = safetensors.torch.load_file(folder / file)
        assert part and all(index["weight_map"][name] == file for name in part)
        assert sum(tensor.nbytes for tensor in part.values()) <= 10_000 or list(part) == ["large"]
        found |= part
    assert {name: record(name, tensor) for name, tensor in found.items()} == {
        name: record(name, tensor) for name, tensor in value.items()
    }
    # The greedy count, and a file of its own for what is larger than the limit.
    assert len(files) < 2 * total / 10_000 + 2
    listing = decant.inspect(folder / "model.safetensors.index.json")
    assert listing["container"] == "shards" and listing["warnings"] == [] and len(listing["tensors"]) == len(value)
    decant("convert", folder / "model.safetensors.index.json", folder / "whole.npz", "--check")


def test_what_fits_into_one_shard(decant, folder):
    torch.save({"w": torch.ones(10)}, folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "m.safetensors", "--shard-size", "40")
    assert sorted(path.name for path in folder.iterdir()) == ["a.pth", "m.safetensors"]
    for size in ["0", "-1", "many", "5XB", ""]:
        finished = decant.attempt("convert", folder / "a.pth", folder / "m.safetensors", f"--shard-size={size}")
        assert finished.status == 64, size


def test_transformers_loads_shards(decant, folder):
    import transformers

    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    torch.manual_seed(31)
    network = transformers.BertModel(config).eval()
    torch.save(network.state_dict(), folder / "a.pth")
    (folder / "model").mkdir()
    config.save_pretrained(folder / "model")
    decant("convert", folder / "a.pth", folder / "model" / "model.safetensors", "--shard-size", "8kB")
    assert len(list((folder / "model").glob("*.safetensors"))) > 3
    loaded, report = transformers.BertModel.from_pretrained(folder / "model", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    expected = network.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())




def test_more_shards_than_files_may_be_open(decant, folder):
    torch.save({f"t{place}": torch.ones(1) for place in range(300)}, folder / "a.pth")

    def attempt(limit: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["sh", "-c", f'ulimit {limit} 256; exec "$@"', "sh", decant.binary, "convert", folder / "a.pth",
             folder / "m.safetensors", "--shard-size", "4"],
            check=False, capture_output=True,
        )  # fmt: skip

    # A hard limit is the system's word, a soft one is not.
    refused = attempt("-n")
    assert refused.returncode == 2 and b"300 files would be open at once, and the system allows 256" in refused.stderr
    assert [path.name for path in folder.iterdir()] == ["a.pth"]
    assert attempt("-S -n").returncode == 0 and len(list(folder.iterdir())) == 302


# MARK: Unusual tensors


def test_views_and_aliases(decant, folder):
    generator = torch.Generator().manual_seed(37)
    whole = torch.randn(40, 30, 20, generator=generator)
    complex_ = torch.randn(6, 4, dtype=torch.complex64, generator=generator)
    value = {
        "whole": whole, "same": whole, "turned": whole.permute(2, 0, 1), "stepped": whole[1::7, ::3, 5:],
        "row": whole[3], "column": whole[:, 2, 5], "expanded": whole[0, 0, 0].expand(50, 60), "window": whole.reshape(-1).unfold(0, 5, 2),
        "scalar": whole[1, 2, 3], "none": whole[5:5], "conj": complex_.conj(), "imag": torch.view_as_real(complex_).clone()[..., 1].neg(),
        "turned conj": complex_.conj().t(),
    }  # fmt: skip
    torch.save(value, folder / "a.pth")
    for target in PLACES:
        kept = held(value, target)
        options = [] if len(kept) == len(value) else ["--except", "*conj"]
        finished = decant("convert", folder / "a.pth", f"{folder}/{PLACES[target]}", "--check", *options)
        found = {name: found for name, *found in READERS[target](folder / PLACES[target])}
        assert found == {name: list(record(name, tensor)[1:]) for name, tensor in kept.items()}
        assert "same (of whole)" in finished.errors


def test_sixty_four_dimensions(decant, folder):
    """NumPy's bound and PyTorch's; GGUF has four, and safetensors none."""
    for rank in [33, 64]:
        value = {"deep": torch.arange(6.0).reshape([1] * (rank - 2) + [2, 3]), "view": torch.ones([1] * rank).expand([2] + [1] * (rank - 1))}
        torch.save(value, folder / "a.pth")
        for target in ["safetensors", "npz", "folder"]:
            decant("convert", folder / "a.pth", f"{folder}/{PLACES[target]}", "--check")
            found = sorted(READERS[target](folder / PLACES[target]))
            assert found == [record(name, tensor) for name, tensor in value.items()]
            for path in (folder / "out").glob("*"):
                path.unlink()
        check_refused(decant, folder, folder / "a.pth", "gguf", "deep (float32)", "view (float32)")


def test_more_dimensions_than_numpy_has(decant, folder):
    """Beyond --limit rank the shape must be refused: NumPy has 64 dimensions."""
    header = json.dumps({"x": {"dtype": "F32", "shape": [1] * 30_000, "data_offsets": [0, 4]}}).encode()
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    finished = decant.attempt("convert", folder / "a.safetensors", folder / "a.npz", "--limit", "rank=100000")
    assert finished.status == 2


def test_a_hundred_thousand_small_tensors(decant, folder, figures):
    """More than a zip directory without zip64 counts."""
    count = 100_000
    data = np.arange(count, dtype=np.int32)
    header = {f"t{i}": {"dtype": "I32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]} for i in range(count)}
    text = json.dumps(header, separators=(",", ":")).encode()
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data.tobytes())
    seconds = {}
    for target, place in PLACES.items():
        start = time.monotonic()
        # Of a folder fewer: taking so many files away again takes a minute.
        decant("convert", folder / "a.safetensors", f"{folder}/{place}", *(["--only", "t????"] if target == "folder" else []))
        seconds[target] = time.monotonic() - start
    with safetensors.safe_open(folder / PLACES["safetensors"], framework="np") as file:
        assert list(file.offset_keys()) == list(header)
        assert all(file.get_tensor(f"t{i}")[0] == i for i in range(0, count, 101))
    with np.load(folder / PLACES["npz"]) as file:
        assert file.files == list(header)
        assert all(file[f"t{i}"][0] == i for i in range(0, count, 101))
    assert len(os.listdir(folder / "out")) == 9000
    assert all(np.load(folder / "out" / f"t{i}.npy")[0] == i for i in range(1000, 10_000, 101))
    listing = decant("inspect", folder / PLACES["gguf"], "--json").output
    assert len(json.loads(listing)["tensors"]) == count
    figures("convert: 100,000 tensors (9,000 as a folder): " + ", ".join(f"{target} {time:.1f} s" for target, time in seconds.items()))


# MARK: Anything with anything


def random_tensor(generator: random.Random) -> torch.Tensor:
    """A view of random bits: any type, up to five dimensions, turned, stepped, spread out, conjugated."""
    dtype = getattr(torch, generator.choice(DTYPES))
    shape = [generator.choice([0, 1, 1, 2, 3, 5, 8]) for _ in range(generator.randint(0, 5))]
    count = int(np.prod(shape)) * dtype.itemsize
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (count,), dtype=torch.uint8)
    tensor = raw.view(dtype).reshape(shape)
    for _ in range(generator.randint(0, 2)):
        kind = generator.randrange(4)
        if kind == 0:
            tensor = tensor.permute(generator.sample(range(tensor.dim()), tensor.dim()))
        elif kind == 1 and tensor.dim():
            axis = generator.randrange(tensor.dim())
            tensor = tensor.narrow(axis, 0, tensor.shape[axis] - tensor.shape[axis] // 3)
        elif kind == 2:
            tensor = tensor.unsqueeze(0).expand(generator.randint(1, 3), *tensor.shape)
        elif tensor.is_complex():
            tensor = tensor.conj()
    return tensor


@pytest.mark.parametrize("seed", range(40))
def test_random_tensors_and_options(decant, folder, seed):
    """A random checkpoint with random options, against the same done by torch and Python."""
    generator = random.Random(seed)
    torch.manual_seed(seed)
    target = generator.choice(list(PLACES))
    tree = {
        f"{group}{place}": random_tensor(generator) for group in ("layer", "bn", "häd") for place in range(generator.randint(1, 6))
    }  # fmt: skip
    torch.save({"model": tree, "epoch": 3}, folder / "a.pth", _use_new_zipfile_serialization=True)
    expected = dict(tree)
    options = ["--key", "model", "--check"]
    if generator.random() < 0.4:
        glob = generator.choice(["layer*", "*1", "bn?"])
        expected = {name: tensor for name, tensor in expected.items() if not fnmatch.fnmatchcase(name, glob)}
        if len(expected) not in (0, len(tree)):
            options += ["--except", glob]
        else:
            expected = dict(tree)
    cast = generator.choice([None, None, "float64", "float32", "float16"])
    weights = [name for name, tensor in expected.items() if 3 <= tensor.dim() <= 5]
    if weights and generator.random() < 0.5:
        options += ["--layout", "nhwc"] + [option for name in weights for option in ("--layout-only", name)]
        expected = {
            name: tensor.permute(0, *range(2, tensor.dim()), 1) if name in weights else tensor
            for name, tensor in expected.items()
        }
    if cast:
        options += ["--dtype", cast]
        wide = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16}[cast]
        expected = {
            name: once(tensor, wide) if tensor.is_floating_point() and tensor.dtype != wide else tensor
            for name, tensor in expected.items()
        }
    fits = {
        name: tensor for name, tensor in held(expected, target).items() if target != "gguf" or tensor.dim() <= 4 and tensor.dim() > 0
    }  # fmt: skip
    if not fits:
        return
    options += [option for name in expected if name not in fits for option in ("--except", name)]
    if generator.random() < 0.5:
        options += ["--rename", r"s/(\D+)([0-9]+)/\2.\1/"]
        fits = {re.sub(r"(\D+)([0-9]+)", r"\2.\1", name): tensor for name, tensor in fits.items()}
    decant("convert", folder / "a.pth", f"{folder}/{PLACES[target]}", *options)
    found = sorted(READERS[target](folder / PLACES[target]))
    wanted = sorted(record(name, tensor) for name, tensor in fits.items())
    assert [entry[:3] for entry in found] == [entry[:3] for entry in wanted], options
    for ours, theirs in zip(found, wanted):
        # NaNs of a cast may have other bits.
        assert ours[3] == theirs[3] or cast and same_but_for_nan(ours, theirs), (ours[:3], options)


def once(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A cast that rounds once: NumPy's from float64, where torch goes by way of float32."""
    if tensor.dtype == torch.float64 and dtype == torch.float16:
        with np.errstate(over="ignore"):
            return torch.from_numpy(tensor.contiguous().numpy().astype(np.float16))
    return tensor.contiguous().float().to(dtype) if tensor.dtype.itemsize == 1 else tensor.to(dtype)


def same_but_for_nan(left, right) -> bool:
    arrays = [np.frombuffer(side[3], side[1]) for side in (left, right)]
    return np.array_equal(*arrays, equal_nan=True)


# MARK: Memory


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("a.safetensors", []), ("a.npz", ["--check"]), ("a.npz", ["--dtype", "float16"]), ("a.gguf", []), ("out/", []),
        ("a.safetensors", ["--shard-size", "5MB"]),
    ],
)  # fmt: skip
def test_memory(decant, folder, target, options):
    """Bounded whatever the file's size: 128 MiB take less than 40."""
    count = 1 << 20
    header = {f"w{i}": {"dtype": "F32", "shape": [count], "data_offsets": [4 * count * i, 4 * count * (i + 1)]} for i in range(32)}
    text = json.dumps(header).encode()
    with open(folder / "a.st", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(file.tell() + 32 * 4 * count)  # zeros that take no room
    # Its parent is small: a process begins with the peak of the one that forks.
    script = "import os,resource,subprocess,sys; subprocess.run(sys.argv[1:], check=True, stdout=2); " \
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, decant.binary, "convert", folder / "a.st", f"{folder}/{target}", *options],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert int(done.stdout) < 40 << 10, f"{int(done.stdout) >> 10} MiB"


def test_keys_that_arrays_make_equal(decant, folder):
    source = typed(folder, {"few.0": ("x", Value.STRING)}, {"few": [1]})
    decant("convert", source, folder / "a.safetensors")
    decant("inspect", folder / "a.safetensors")
