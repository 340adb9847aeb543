"""gguf-py writes GGUF files, and `decant inspect` sees in them what gguf-py's own reader sees."""

import hashlib
import struct

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value

ENDS = [gguf.GGUFEndian.LITTLE, gguf.GGUFEndian.BIG]
PLAIN = {
    Type.F16: np.float16, Type.F32: np.float32, Type.F64: np.float64,
    Type.I8: np.int8, Type.I16: np.int16, Type.I32: np.int32, Type.I64: np.int64,
}  # fmt: skip
BLOCKS = [type for type in Type if type not in PLAIN and type != Type.BF16]


def random_bytes(count: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(count)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name)
@pytest.mark.parametrize("alignment", [None, 8, 256])
def test_every_plain_type(decant, folder, end, alignment):
    path = folder / "a.gguf"
    writer = gguf.GGUFWriter(path, "resnet", endianess=end)
    if alignment:
        writer.add_custom_alignment(alignment)
    wanted = {}
    for type, dtype in PLAIN.items():
        for shape in [(3,), (5, 3), (2, 3, 4), (2, 1, 2, 3)]:
            count = int(np.prod(shape))
            array = np.frombuffer(random_bytes(count * dtype().itemsize, type), dtype).reshape(shape)
            name = f"{type.name}.{len(shape)}"
            writer.add_tensor(name, array)
            wanted[name] = (np.dtype(dtype).name, list(shape), array.tobytes())
    halves = np.frombuffer(random_bytes(2 * 6, 9), np.uint8).reshape(2, 6)
    # gguf-py takes bfloat16 as bytes and swaps none, so the test does.
    stored = halves if end == gguf.GGUFEndian.LITTLE else halves.reshape(-1, 2)[:, ::-1].reshape(2, 6)
    writer.add_tensor("BF16", np.ascontiguousarray(stored), raw_dtype=Type.BF16)
    wanted["BF16"] = ("bfloat16", [2, 3], halves.tobytes())
    finish(writer)

    reader = gguf.GGUFReader(path)
    seen = decant.inspect(path)
    assert seen["container"] == "gguf" and seen["warnings"] == []
    assert [tensor["name"] for tensor in seen["tensors"]] == [tensor.name for tensor in reader.tensors]
    for tensor, peer in zip(seen["tensors"], reader.tensors):
        dtype, shape, data = wanted[tensor["name"]]
        assert (tensor["dtype"], tensor["shape"], tensor["path"]) == (dtype, shape, [tensor["name"]])
        assert tensor["shape"] == [int(size) for size in reversed(peer.shape)]
        assert tensor["bytes"] == peer.n_bytes and int(tensor["storage"]) == peer.data_offset - reader.data_offset
        assert tensor["sha256"] == hashlib.sha256(data).hexdigest()
        if tensor["name"] != "BF16":
            values = peer.data.astype(peer.data.dtype.newbyteorder("<"))
            assert tensor["sha256"] == hashlib.sha256(values.tobytes()).hexdigest()
    decant("convert", path, folder / "a.safetensors")
    converted = {t["name"]: (t["dtype"], t["shape"], t["sha256"]) for t in decant.inspect(folder / "a.safetensors")["tensors"]}
    assert converted == {t["name"]: (t["dtype"], t["shape"], t["sha256"]) for t in seen["tensors"]}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name)
def test_every_block_type(decant, folder, end):
    path = folder / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama", endianess=end)
    for type in BLOCKS:
        elements, size = gguf.GGML_QUANT_SIZES[type]
        rows = np.frombuffer(random_bytes(3 * 2 * size, type), np.uint8).reshape(3, 2 * size)
        writer.add_tensor(f"blk.0.{type.name}", rows, raw_dtype=type)
    weights = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)
    writer.add_tensor("real", gguf.quantize(weights, Type.Q8_0), raw_dtype=Type.Q8_0)
    writer.add_tensor("norm", np.ones(4, np.float32))
    finish(writer)

    reader = gguf.GGUFReader(path)
    seen = decant.inspect(path)
    blocks = [record for record in seen["objects"] if "unread_tensor" in record]
    peers = [tensor for tensor in reader.tensors if tensor.name != "norm"]
    assert [record["path"] for record in blocks] == [tensor.name for tensor in peers]
    for record, peer in zip(blocks, peers):
        elements, size = gguf.GGML_QUANT_SIZES[peer.tensor_type]
        assert record["unread_tensor"] == f"gguf {peer.tensor_type.name}"
        assert record["type"] == f"blocks of {elements} elements in {size} bytes"
        assert record["shape"] == [int(value) for value in reversed(peer.shape)]
        assert record["bytes"] == peer.n_bytes
    assert [tensor["name"] for tensor in seen["tensors"]] == ["norm"]
    text = decant("inspect", path).output
    assert "unsupported tensor: gguf Q4_0, shape 3×64, 108 bytes" in text
    finished = decant.attempt("convert", path, folder / "a.safetensors")
    assert finished.status == 2 and not (folder / "a.safetensors").exists()
    for type in BLOCKS:
        assert f"blk.0.{type.name} (gguf {type.name})" in finished.errors


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name)
def test_metadata(decant, folder, end):
    path = folder / "a.gguf"
    writer = gguf.GGUFWriter(path, "resnet", endianess=end)
    values = {
        "u8": (255, Value.UINT8), "i8": (-128, Value.INT8), "u16": (65535, Value.UINT16),
        "i16": (-32768, Value.INT16), "u32": (2**32 - 1, Value.UINT32), "i32": (-(2**31), Value.INT32),
        "f32": (0.1, Value.FLOAT32), "u64": (2**64 - 1, Value.UINT64), "i64": (-(2**63), Value.INT64),
        "f64": (0.1, Value.FLOAT64), "inf": (float("inf"), Value.FLOAT32), "yes": (True, Value.BOOL),
        "no": (False, Value.BOOL), "text": ("Grüße\n\x1b[31m", Value.STRING), "empty": ("x", Value.STRING),
    }  # fmt: skip
    for key, (value, kind) in values.items():
        writer.add_key_value(key, value, kind)
    arrays = {"few": [1, 2, 3], "words": ["a", "", "ü"], "floats": [0.5, 1.5], "flags": [True, False]}
    for key, value in arrays.items():
        writer.add_array(key, [word or " " for word in value] if key == "words" else value)
    long = {"tokens": [f"token {place}" for place in range(5000)], "scores": [0.5] * 5000, "seventeen": list(range(17))}
    for key, value in long.items():
        writer.add_array(key, value)
    writer.add_tensor("t", np.zeros(1, np.float32))
    finish(writer)

    reader = gguf.GGUFReader(path)
    objects = {record["path"]: record for record in decant.inspect(path)["objects"]}
    names = {Value.BOOL: "bool", Value.STRING: "string", Value.FLOAT32: "float32", Value.FLOAT64: "float64"}
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        value = field.contents()
        if isinstance(value, list) and len(value) > 16:
            assert objects[key]["count"] == len(value) and "value" not in objects[key]
            assert objects[key]["type"] == f"array of {field.types[-1].name.lower()}"
            continue
        pairs = [(key, value)] if not isinstance(value, list) else [(f"{key}.{i}", v) for i, v in enumerate(value)]
        for path_, element in pairs:
            record = objects[path_]
            assert record["type"] == names.get(field.types[-1], field.types[-1].name.lower())
            if isinstance(element, int) and not isinstance(element, bool) and abs(element) > 2**53:
                element = str(element)
            if isinstance(element, float) and not np.isfinite(element):
                element = "Infinity"
            assert record["value"] == element and type(record["value"]) is type(element), path_


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def test_version_2_and_what_gguf_py_refuses(decant, folder):
    """Both read version 2; both refuse versions 1 and 4, names that stand twice, and a wrong alignment."""
    info = text(b"w") + struct.pack("<IQIQ", 1, 4, 0, 0)

    def file(version=3, tensors=(info,), values=(), pad=32) -> bytes:
        head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values)) + b"".join([*values, *tensors])
        return head + bytes(-len(head) % pad) + bytes(32)

    def alignment(value, kind=4):
        return text(b"general.alignment") + struct.pack("<II", kind, value)

    cases = [
        (file(2), True), (file(3), True), (file(3, values=[alignment(64)], pad=64), True),
        (file(1), False), (file(4), False), (file(3, [info, info]), False),
        (file(3, values=[alignment(32), alignment(32)]), False), (file(3, values=[alignment(0)]), False),
        (file(3, values=[alignment(48)]), False), (file(3, values=[alignment(32, kind=5)]), False),
        (file(3, values=[text(b"k") + struct.pack("<II", 13, 0)]), False),
        (file(3, [text(b"w") + struct.pack("<IQIQ", 1, 4, 4, 0)]), False), (b"GGUF", False),
    ]  # fmt: skip
    for data, reads in cases:
        (folder / "a.gguf").write_bytes(data)
        try:
            gguf.GGUFReader(folder / "a.gguf")
            peer = True
        except Exception:  # every refusal, whatever the reader calls it
            peer = False
        assert peer == reads, data
        assert decant.attempt("inspect", "--digest", folder / "a.gguf").status == (0 if reads else 2), data
