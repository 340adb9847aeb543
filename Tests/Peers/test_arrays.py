"""What NumPy writes is what `decant inspect` sees in .npy and .npz files, and what NumPy refuses is refused."""

import hashlib
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16"]
SHAPES = [(), (1,), (0,), (7,), (3, 5), (2, 3, 4), (0, 3), (3, 1, 2, 2), (1, 1)]


def numbers(dtype: str, shape, seed: int = 0) -> np.ndarray:
    """Every bit pattern of a type, NaNs and subnormals too; booleans are 0 and 1."""
    generator = np.random.default_rng([seed, len(shape), *shape])
    plain = np.dtype(dtype)
    if plain.kind == "b":
        return generator.integers(0, 2, shape).astype(plain)
    count = int(np.prod(shape)) * plain.itemsize
    return np.frombuffer(generator.bytes(count), plain).reshape(shape)


def row_major_digest(array: np.ndarray) -> str:
    """SHA-256 of the elements in row-major order, little-endian."""
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=True)
    return hashlib.sha256(little.tobytes("C")).hexdigest()


def expected(array: np.ndarray, name: str) -> dict:
    return {
        "name": name, "dtype": array.dtype.newbyteorder("=").name, "shape": list(array.shape),
        "sha256": row_major_digest(array),
    }  # fmt: skip


def found(tensor: dict) -> dict:
    return {key: tensor[key] for key in ("name", "dtype", "shape", "sha256")}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("mark", "<>")
def test_every_type_order_shape_and_version(decant, folder, dtype, mark):
    for place, shape in enumerate(SHAPES):
        for order in "CF":
            array = np.array(numbers(mark + dtype, shape), order=order)
            version = [(1, 0), (2, 0), (3, 0)][place % 3]
            with open(folder / "a.npy", "wb") as file:
                np.lib.format.write_array(file, array, version=version)
            assert np.load(folder / "a.npy", allow_pickle=False).tobytes() == array.tobytes()
            seen = decant.inspect(folder / "a.npy")
            assert seen["container"] == "npy" and seen["objects"] == [] and seen["warnings"] == []
            assert [found(tensor) for tensor in seen["tensors"]] == [expected(array, "")]
            assert seen["tensors"][0]["path"] == []
            if array.size > 0:
                steps = [step // array.itemsize for step in array.strides]
                sizes = [size for size in array.shape]
                kept = [i for i, size in enumerate(sizes) if size != 1]
                assert [seen["tensors"][0]["strides"][i] for i in kept] == [steps[i] for i in kept]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_type_in_an_archive(decant, folder, save):
    arrays = {}
    for place, dtype in enumerate(TYPES):
        for mark in "<>":
            shape = SHAPES[place % len(SHAPES)]
            arrays[f"block/{mark}{dtype}"] = np.array(numbers(mark + dtype, shape), order="CF"[place % 2])
    arrays["large"] = np.arange(300_000, dtype=np.float32)
    arrays["a.npy"] = np.ones(3)
    save(folder / "a.npz", **arrays)
    with np.load(folder / "a.npz", allow_pickle=False) as loaded:
        assert loaded.files == list(arrays)
    seen = decant.inspect(folder / "a.npz", "--checksums")
    assert seen["container"] == "npz" and seen["objects"] == [] and seen["warnings"] == []
    assert [found(tensor) for tensor in seen["tensors"]] == [
        expected(array, name) for name, array in arrays.items()
    ]


def test_archives_are_converted(decant, folder):
    from safetensors.numpy import load_file

    arrays = {"w": np.asfortranarray(numbers("<f4", (3, 5))), "b": np.arange(4, dtype=">i8"), "s": np.float64(2)}
    for save in (np.savez, np.savez_compressed):
        save(folder / "a.npz", **arrays)
        decant("convert", folder / "a.npz", folder / "a.safetensors")
        loaded = load_file(folder / "a.safetensors")
        assert loaded.keys() == arrays.keys()
        for name, array in arrays.items():
            assert row_major_digest(loaded[name]) == row_major_digest(np.asarray(array))
            assert loaded[name].shape == np.shape(array)


def test_many_zeros_in_few_bytes_are_asked_for(decant, folder):
    """136 MB of zeros fill 132 kB: what a bomb looks like, and what an honest array can be."""
    np.savez_compressed(folder / "z.npz", w=np.zeros(34_000_000, np.float32))
    finished = decant.attempt("inspect", folder / "z.npz")
    assert finished.status == 2 and "--limit largeInflation=" in finished.errors
    (tensor,) = decant.inspect(folder / "z.npz", "--limit", "largeInflation=1032")["tensors"]
    assert tensor["shape"] == [34_000_000]


def test_a_changed_byte_is_found(decant, folder):
    np.savez(folder / "a.npz", w=np.arange(1000, dtype=np.float32))
    data = bytearray((folder / "a.npz").read_bytes())
    data[1500] ^= 1
    (folder / "a.npz").write_bytes(data)
    with pytest.raises(zipfile.BadZipFile), np.load(folder / "a.npz") as loaded:
        loaded["w"]
    finished = decant.attempt("inspect", "--checksums", folder / "a.npz")
    assert finished.status == 2 and "entry w.npy, tensor w: CRC-32 mismatch: " in finished.errors
    finished = decant.attempt("convert", folder / "a.npz", folder / "a.safetensors")
    assert finished.status == 2 and "CRC-32" in finished.errors and not (folder / "a.safetensors").exists()


OTHERS = [
    np.array(["one", "three"]), np.array([b"one", b"three"]), np.zeros((2, 2), "V5"),
    np.zeros(3, "M8[ns]"), np.zeros(3, "m8[25s]"), np.zeros(3, "M8"),
    np.zeros(2, np.longdouble), np.zeros(2, np.clongdouble),
]  # fmt: skip


@pytest.mark.parametrize("array", OTHERS, ids=lambda array: str(array.dtype))
def test_arrays_of_no_numbers_are_named(decant, folder, array):
    np.save(folder / "a.npy", array)
    np.savez_compressed(folder / "a.npz", other=array, w=np.ones(2))
    for file, path in [("a.npy", ""), ("a.npz", "other")]:
        seen = decant.inspect(folder / file)
        (record,) = seen["objects"]
        assert record["path"] == path and record["type"] == "numpy.ndarray"
        assert record["unread_tensor"].startswith("numpy ")
        assert record["shape"] == list(array.shape) and record["bytes"] == array.nbytes
        finished = decant.attempt("convert", folder / file, folder / "out.safetensors")
        assert finished.status == 2 and "holds tensors that cannot be converted: " in finished.errors
        assert ("other (numpy " if path else "the one at the root (numpy ") in finished.errors
        assert not (folder / "out.safetensors").exists()


def test_arrays_of_objects_are_listed_and_not_executed(decant, folder):
    array = np.array([1, "two", {"three": 3.5}, None], object)
    np.save(folder / "a.npy", array, allow_pickle=True)
    np.savez(folder / "a.npz", o=array, w=np.ones(2))
    for file, root in [("a.npy", []), ("a.npz", ["o"])]:
        seen = decant.inspect(folder / file)
        first, *rest = seen["objects"]
        assert first["unread_tensor"] == "numpy array of Python objects" and first["shape"] == [4]
        values = [record.get("value") for record in rest]
        assert all(value in values for value in (1, "two", 3.5))
        assert all(record["path"].startswith(".".join(root)) for record in rest)
        (warning,) = seen["warnings"]
        assert "it was not executed" in warning
        finished = decant.attempt("convert", folder / file, folder / "out.safetensors")
        assert finished.status == 2 and "numpy array of Python objects" in finished.errors
    for file in ("a.npy", "a.npz"):
        dis = decant("inspect", "--pickle", folder / file).output
        assert "_reconstruct" in dis and dis.splitlines()[-1].startswith("highest protocol among opcodes")
    np.savez(folder / "a.npz", o=array, w=np.ones(2), p=array)
    dis = decant("inspect", "--pickle", folder / "a.npz").output
    assert "stream 1: o.npy" in dis.splitlines() and "stream 2: p.npy" in dis.splitlines()
    np.savez(folder / "a.npz", w=np.ones(2))
    finished = decant.attempt("inspect", "--pickle", folder / "a.npz")
    assert finished.status == 2 and "holds arrays of numbers only" in finished.errors


def npy(header: bytes, data: bytes = b"", version: int = 1, minor: int = 0, length: int | None = None) -> bytes:
    form = "<H" if version == 1 else "<I"
    return (
        b"\x93NUMPY" + bytes([version, minor]) + struct.pack(form, len(header) if length is None else length)
        + header + data
    )  # fmt: skip


GOOD = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
EIGHT = b"\0\0\x80?\0\0\0@"

# Spellings that NumPy reads; Decant reads them too.
READ = [
    npy(GOOD + b"\n", EIGHT), npy(GOOD, EIGHT), npy(GOOD + b"   \n", EIGHT, 2), npy(GOOD + b"\n \n", EIGHT, 3),
    npy(b"  " + GOOD, EIGHT), npy(b'{"descr": "<f4", "fortran_order": False, "shape": (2,)}', EIGHT),
    npy(b"{'shape': (2,), 'fortran_order': True, 'descr': '<f4'}", EIGHT),
    npy(b"{'descr':'<f4','fortran_order':False,'shape':(2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }\n", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }\n", EIGHT, 2),
    npy(b"{'descr': '=f4', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '|f4', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': 'f4', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,1)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", EIGHT[:4]),
    npy(b"{\n'descr': '<f4',\n\t'fortran_order': False, 'shape': (\n2,)}", EIGHT),
    npy(GOOD + b" " * (10_000 - len(GOOD)), EIGHT), npy(GOOD + b"\r\n", EIGHT),
]  # fmt: skip

# What NumPy refuses; so does Decant.
REFUSED = [
    npy(GOOD, EIGHT, 0), npy(GOOD, EIGHT, 4), npy(GOOD, EIGHT, 1, 1), npy(GOOD, EIGHT, 2, 7),
    npy(GOOD, EIGHT, length=len(GOOD) - 1), npy(GOOD, EIGHT, length=60_000), npy(GOOD, EIGHT[:7]),
    npy(GOOD, EIGHT, 2, length=2**32 - 1), npy(b""), npy(GOOD), b"\x93NUMPY", b"\x93NUMPY\x01\x00\x02",
    npy(GOOD + b" " * (10_001 - len(GOOD)), EIGHT), npy(GOOD + b"\0\n", EIGHT), npy(GOOD + b" x\n", EIGHT),
    npy(GOOD + b"{}", EIGHT), npy(b"(" + GOOD, EIGHT), npy(b"{", EIGHT), npy(b"[]", EIGHT), npy(b"1", EIGHT),
    npy(b"\xff" + GOOD, EIGHT, 3),
    npy(b"{'descr': '<f4', 'fortran_order': False}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'Shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': None, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': 'False', 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': false, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': 2}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': [2]}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': ('2',)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (02,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,)}", EIGHT, 3),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", EIGHT),
    npy(b"{'descr': '<f5', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<M8[parsec]', 'fortran_order': False, 'shape': (1,)}", EIGHT),
    npy(b"{'descr': 4, 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': [('a', '<f4'), ('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", EIGHT),
    npy(b"{'descr': [('a',)], 'fortran_order': False, 'shape': (1,)}", EIGHT),
    npy(b"{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr' '<f4', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{descr: '<f4', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2)}", EIGHT),
    npy(b"__import__('os').abort()", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", EIGHT),
]  # fmt: skip

# What NumPy reads and Decant refuses: no writer spells it so, and a second meaning could hide in it.
STRICTER = [
    npy(b"{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (0x2,)}", EIGHT),
    npy(b"{'descr': '<' 'f4', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} # note\n", EIGHT),
    npy(b"{'descr': 'float32', 'fortran_order': False, 'shape': (2,)}", EIGHT),
    npy(GOOD, EIGHT + b"more"),
]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::SyntaxWarning")
@pytest.mark.parametrize(
    ("cases", "numpy_reads", "decant_reads"),
    [(READ, True, True), (REFUSED, False, False), (STRICTER, True, False)],
    ids=["read", "refused", "stricter"],
)
def test_headers(decant, folder, cases, numpy_reads, decant_reads):
    for data in cases:
        (folder / "a.npy").write_bytes(data)
        try:
            array = np.load(io.BytesIO(data), allow_pickle=False)
        except Exception:  # every refusal, whatever NumPy calls it
            array = None
        assert (array is not None) == numpy_reads, data
        finished = decant.attempt("inspect", "--json", "--digest", folder / "a.npy")
        assert finished.status == (0 if decant_reads else 2), (data, finished.errors)
        if decant_reads:
            (tensor,) = json.loads(finished.output)["tensors"]
            assert found(tensor) == expected(array, ""), data


def records(out_of_order: bool = False) -> dict[str, np.ndarray]:
    """Arrays of records: packed, aligned, big-endian, nested, with sizes of their own, of one record and of none."""
    inner = np.dtype([("a", ">f4"), ("t", "U3"), ("b", "i2", (2,))])
    types = {
        "packed": np.dtype([("w", "f4", (3, 4)), ("n", "i8")]),
        "aligned": np.dtype([("flag", "b1"), ("x", "f8"), ("y", ">u2")], align=True),
        "nested": np.dtype([("in", inner), ("z", "c8")]),
        "gaps": np.dtype({"names": ["early", "late"], "formats": ["u1", "f4"], "offsets": [1, 8], "itemsize": 16}),
    }
    if out_of_order:
        types["odd"] = np.dtype({"names": ["late", "early"], "formats": ["f4", "u1"], "offsets": [8, 1], "itemsize": 16})
    generator = np.random.default_rng(5)
    arrays = {}
    for name, dtype in types.items():
        for shape in ((), (5,), (2, 3), (0,)):
            array = np.zeros(shape, dtype)
            for path in leaves(dtype):
                place = array
                for step in path[:-1]:
                    place = place[step]
                field = place[path[-1]]
                place[path[-1]] = "abc" if field.dtype.kind == "U" else generator.integers(0, 2, field.shape)
            arrays[f"{name}{len(arrays)}"] = array
            arrays[f"{name}_f{len(arrays)}"] = np.asfortranarray(array)
    return arrays


def leaves(dtype: np.dtype) -> list[tuple[str, ...]]:
    found = []
    for name in dtype.names:
        field = dtype.fields[name][0]
        found += [(name, *inner) for inner in leaves(field)] if field.names else [(name,)]
    return found


def fields(name: str, array: np.ndarray) -> list[dict]:
    """The fields of numbers, as NumPy reads them."""
    found = []
    for path in leaves(array.dtype):
        field = array
        for step in path:
            field = field[step]
        if field.dtype.kind != "U":
            found.append(expected(np.asarray(field), ".".join([*([name] if name else []), *path])))
    return found


def test_records(decant, folder):
    arrays = records()
    for name, array in arrays.items():
        np.save(folder / "a.npy", array)
        seen = decant.inspect(folder / "a.npy")
        assert [found(tensor) for tensor in seen["tensors"]] == fields("", np.load(folder / "a.npy")), name
        assert not any("unread_tensor" in value for value in seen["objects"]), name
    np.savez(folder / "a.npz", **arrays)
    seen = decant.inspect(folder / "a.npz")
    assert [found(tensor) for tensor in seen["tensors"]] == [x for name, array in arrays.items() for x in fields(name, array)]
    decant("convert", folder / "a.npz", folder / "b.npz", "--check")


@pytest.mark.parametrize("protocol", range(6))
def test_records_in_pickles(decant, folder, protocol):
    arrays = records(out_of_order=True)
    arrays |= {"rec": np.rec.array(arrays["packed0"].reshape(1)), "one": arrays["packed2"][0]}
    (folder / "a.pkl").write_bytes(pickle.dumps(arrays, protocol))
    seen = decant.inspect(folder / "a.pkl")
    assert [found(tensor) for tensor in seen["tensors"]] == [
        x for name, array in arrays.items() for x in fields(name, np.asarray(array))
    ]
