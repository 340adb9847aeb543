"""Files that joblib writes, with the data of arrays inside the pickle, beside the verdict of `decant scan`.

No file of this test is loaded.
"""

import gzip
import io
import os
import pickle
import random
import struct
import zlib
from pathlib import Path

import joblib
import numpy
import pytest
from joblib.numpy_pickle import NumpyArrayWrapper
from test_scan import scans

CALL = pickle.dumps(type("Call", (), {"__reduce__": lambda self: (os.system, ("true",))})(), 2)


class Call:
    def __reduce__(self):
        return os.system, ("true",)


def arrays() -> dict[str, object]:
    return {
        "one": numpy.arange(12.0).reshape(3, 4),
        "fortran": numpy.asfortranarray(numpy.arange(12, dtype=">i2").reshape(3, 4)),
        "none": numpy.zeros((0, 3)),
        "scalar": numpy.array(3.5),
        "dictionary": {"w": numpy.zeros((5, 7), "f4"), "b": numpy.ones(7, bool), "n": 3, "names": ["a", "b"]},
        "texts": numpy.array(["ab", "cde"]),
        "bytes": numpy.array([b"ab", b"cde"]),
        "records": numpy.zeros(3, [("a", "<f4"), ("b", "u1", (2,))]),
        "dates": numpy.zeros(3, "M8[ns]"),
        "large": numpy.random.default_rng(1).standard_normal(100_000),
        "objects": numpy.array([{"a": 1}, None, "x"], dtype=object),
        "shared": [numpy.arange(3)] * 2 + [numpy.arange(4)],
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_are_clean(decant, folder, protocol):
    for name, value in arrays().items():
        joblib.dump(value, folder / f"{name}.joblib", protocol=protocol)
    for path, entry in scans(decant, folder).items():
        assert entry["verdict"] == "clean" and entry["accounted"], (entry, Path(path).read_bytes()[:400])


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bz2", "lzma", "xz"])
def test_compressed_arrays_are_clean(decant, folder, compression):
    for name, value in arrays().items():
        joblib.dump(value, folder / f"{name}.joblib", compress=(compression, 3))
    for entry in scans(decant, folder).values():
        assert entry["verdict"] == "clean" and entry["accounted"], entry


def test_code_beside_and_inside_arrays_is_dangerous(decant, folder):
    array = numpy.arange(12.0)
    values = {
        "before": [Call(), array], "after": [array, Call()], "between": [array, Call(), array],
        "objects": numpy.array([Call()], dtype=object), "deep": {"a": [array, numpy.array([{"b": Call()}], dtype=object)]},
    }  # fmt: skip
    for name, value in values.items():
        for protocol in (2, 4):
            joblib.dump(value, folder / f"{name}-{protocol}", protocol=protocol)
        joblib.dump(value, folder / f"{name}-zlib", compress=("zlib", 1))
        joblib.dump(value, folder / f"{name}-gzip", compress=("gzip", 1))
        for compression in ("bz2", "lzma", "xz"):
            joblib.dump(value, folder / f"{name}-{compression}", compress=(compression, 1))
    for entry in scans(decant, folder).values():
        assert entry["verdict"] == "dangerous", entry


def raw(data: bytes) -> numpy.ndarray:
    return numpy.frombuffer(data, numpy.uint8)


def test_data_of_arrays_that_other_loaders_read_as_code(decant, folder):
    """pickle.load goes on in the data of the first array; joblib before 1.2 goes on in its last bytes."""
    alignment = NumpyArrayWrapper.__init__.__defaults__
    assert 16 in alignment
    code = b"cos\nsystem\n(S'true'\ntR."
    for name, data in {
        # The first byte of the data is the padding's length, which is an opcode when it is 0x28 to 0x71.
        "plain-old": (b"N" * 40 + code, None), "tail": (b"\x00" * 40 + code[:17], 16),
    }.items():  # fmt: skip
        payload, aligned = data
        wrapper = NumpyArrayWrapper(numpy.ndarray, (len(payload),), "C", numpy.dtype("u1"), numpy_array_alignment_bytes=aligned)
        if aligned is None:
            del wrapper.numpy_array_alignment_bytes
        head = pickle.dumps(wrapper, 2)[:-1]
        padding = b"" if aligned is None else b"\x10" + b"\xff" * 16
        (folder / name).write_bytes(head + padding + payload + b".")
    found = scans(decant, folder)
    assert found[str(folder / "plain-old")]["verdict"] == "dangerous", found
    # Seventeen bytes are read as opcodes by old versions.
    tail = b"cos\nsystem\n)R0N"
    payload = b"\x00" * 23 + tail.rjust(17, b"N")
    wrapper = NumpyArrayWrapper(numpy.ndarray, (40,), "C", numpy.dtype("u1"), numpy_array_alignment_bytes=16)
    head = pickle.dumps(wrapper, 2)[:-1]
    (folder / "tail").write_bytes(head + b"\x10" + b"\xff" * 16 + payload + b".")
    (entry,) = scans(decant, folder / "tail").values()
    assert entry["verdict"] == "dangerous", entry


def test_damaged_files_are_never_clean(decant, folder):
    source = random.Random(int(os.environ.get("DECANT_SEED", "19")))
    joblib.dump({"w": numpy.zeros(50), "b": numpy.array([1, None], dtype=object)}, folder / "sound")
    sound = (folder / "sound").read_bytes()
    (folder / "sound").unlink()
    for index in range(200):
        (folder / f"cut{index}").write_bytes(sound[: source.randrange(2, len(sound))])
    (folder / "longer").write_bytes(sound + b"x")
    packed = zlib.compress(sound)
    (folder / "zlib-cut").write_bytes(packed[:-20])
    (folder / "zlib-sum").write_bytes(packed[:-1] + bytes([packed[-1] ^ 1]))
    (folder / "zlib-longer").write_bytes(packed + b"x")
    zipped = gzip.compress(sound)
    (folder / "gzip-sum").write_bytes(zipped[:-8] + b"\0\0\0\0" + zipped[-4:])
    (folder / "gzip-two").write_bytes(zipped + gzip.compress(CALL))
    (folder / "gzip-text").write_bytes(gzip.compress(b"hello"))
    for path, entry in scans(decant, folder).items():
        assert entry["verdict"] != "clean", (path, entry)


def test_padding_is_what_joblib_writes(decant, folder):
    file = io.BytesIO()
    joblib.dump(numpy.zeros(4, "u1"), file)
    sound = file.getvalue()
    at = sound.rindex(b"\xff\xff")
    (folder / "a").write_bytes(sound[:at] + b"c" + sound[at + 1 :])
    (entry,) = scans(decant, folder / "a").values()
    assert entry["verdict"] != "clean", entry


def test_bombs_are_not_inflated(decant, folder):
    (folder / "a").write_bytes(struct.pack("BB", 0x78, 0x9C) + zlib.compress(b"\0" * (100 << 20))[2:])
    (entry,) = scans(decant, folder / "a").values()
    assert entry["verdict"] == "unknown" and entry["findings"][0]["rule"] == "limit", entry
