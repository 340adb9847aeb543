"""`.npy` headers as numpy.lib.format reads them, beside the verdict of `decant scan`.

Every header gets a pickle that calls a function as its data, and is given to NumPy without data: nothing is loaded.
"""

import collections
import io
import os
import pickle
import random
import struct
import tokenize
import warnings
from pathlib import Path

import numpy
import pytest
from numpy.lib import _format_impl as npy
from test_scan import scans

ATOMS = (
    ["<f4", ">i8", "|b1", "|S5", "<U3", "|V7", "<M8[ns]", "m8[25s]", "f2", "c16", "i4", "S", "S0", "V", "U0", "u1"]
    + ["|O", "O"] * 12
    + ["O8", "object", "object_", "O4", "<O", "OO", "o", "T", "T8", "StringDType", "|T16"]
    + ["f4,O", "f4,\x0bO", "i4 ,\tO", "\tO", "O,", "2O", "(2,)O", "(1,2)f4", "f4, f8", "\x0cf4", "f4\x1f,O", "d", "float"]
    + ["float64", "int", "bool", "?", "b", "B", "a5", "str", "bytes", "void", "longdouble", "half", "e", "S007", "S-1"]
    + ["M8[5h/3]", "M", "M8[xs]", "M8[\u03bcs]", "datetime64[s]", "Obj", "\u00ad", "f\u0034", "i4\0O", "|\x4f"]
)


def quoted(source: random.Random, text: str) -> str:
    """A Python literal of a text, in one of the ways that ast.literal_eval reads."""
    plain = repr(text)
    kind = source.randrange(24)
    if kind > 11:
        return plain
    kind = kind // 2 + 5
    if kind == 5:
        return source.choice(["u", "U", "r", "R", "b", "B", "br", "Rb", "f", ""]) + plain
    if kind == 6:
        cut = source.randrange(len(text) + 1)
        return repr(text[:cut]) + source.choice(["", " ", "\t", "\n", "\x0c"]) + source.choice(["", "u", "r"]) + repr(text[cut:])
    if kind == 7:
        return "'" + "".join(f"\\x{ord(c):02x}" if ord(c) < 256 else c for c in text) + "'"
    if kind == 8:
        return "'" + "".join(f"\\{ord(c):03o}" if ord(c) < 256 else c for c in text) + "'"
    if kind == 9:
        return "'''" + text + "'''"
    if kind == 10:
        return "(" + plain + ")"
    return "'" + "".join(f"\\u{ord(c):04x}" for c in text) + "'"


def space(source: random.Random) -> str:
    return source.choice([" "] * 60 + ["", "\t", "\x0c", "\n", " # '\n", "\\\n", "\x0b", "\r\n"])


def described(source: random.Random, depth: int = 0) -> str:
    kind = source.randrange(10)
    if kind < 6 or depth > 2:
        return quoted(source, source.choice(ATOMS))
    if kind == 6:
        shape = source.choice(["(2,)", "3", "()", "(2, 0)", "(-1,)", "(1, 2)", "1", "True", "'O'", "{'a': 1}", "(2L,)", "0x2"])
        return f"({described(source, depth + 1)},{space(source)}{shape})"
    if kind == 7:
        return source.choice(["None", "3", "{'names': ['a'], 'formats': ['O']}", "{'a': ('O', 0)}", "True", "[]", "()"])
    fields = []
    for index in range(source.randint(1, 3)):
        name = source.choice([f"'f{index}'", "''", f"('t{index}', 'n{index}')", quoted(source, f"g{index}"), "u'x'"])
        shape = source.choice(["", "", ", (2,)", ", 3", ", ()"])
        fields.append(f"({name},{space(source)}{described(source, depth + 1)}{shape})")
    return "[" + f",{space(source)}".join(fields) + source.choice(["", ","]) + "]"


def header(source: random.Random) -> str:
    shape = source.choice(["(3,)", "(2, 2)", "()", "(0,)", "(1,)", "(4,)", "(2L,)", "[3]", "(1,)", "(4294967296, 4294967296)", "(True,)", "3"])
    parts = [
        (quoted(source, "descr"), described(source)), ("'fortran_order'", source.choice(["False"] * 5 + ["True", "0"])),
        ("'shape'", shape),
    ]  # fmt: skip
    if source.randrange(12) == 0:
        parts.append(source.choice([("'descr'", quoted(source, "|O")), ("'x'", "1"), ("'shape'", "(9,)")]))
    source.shuffle(parts)
    text = "{" + ",".join(f"{space(source)}{key}:{space(source)}{value}" for key, value in parts) + "}"
    return source.choice(["", "", "", " ", "\t", "#\n", "("]) + text + source.choice(["", "\n", "  \n", ", "])


def written(text: str, version: int) -> bytes | None:
    try:
        body = text.encode("latin1" if version < 3 else "utf8")
    except UnicodeEncodeError:
        return None
    length = struct.pack("<H", len(body)) if version == 1 else struct.pack("<I", len(body))
    return b"\x93NUMPY" + bytes([version, 0]) + length + body


def read(head: bytes) -> tuple[tuple, numpy.dtype] | None:
    """The shape and dtype that numpy.load would use, or nothing when it refuses the header."""
    file = io.BytesIO(head)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            version = npy.read_magic(file)
            shape, _, dtype = npy._read_array_header(file, version, max_header_size=2**64)
            return shape, dtype
        except (ValueError, TypeError, SyntaxError, LookupError, tokenize.TokenError, MemoryError, RecursionError):
            return None


class Call:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("seed", [int(os.environ.get("DECANT_SEED", "19"))])
def test_headers_beside_numpy(decant, folder, figures, seed):
    source = random.Random(seed)
    payload = pickle.dumps([Call()], 2)
    read_as: dict[str, tuple | None] = {}
    counts: collections.Counter = collections.Counter()
    for index in range(6000):
        version = source.choice([1, 1, 2, 3])
        head = written(header(source), version)
        if head is None:
            continue
        path = folder / f"{index:05}"
        path.write_bytes(head + payload)
        read_as[str(path)] = read(head)
    for path, entry in scans(decant, folder).items():
        known = read_as[path]
        counts[entry["verdict"]] += 1
        if known and known[1].hasobject:
            counts["objects"] += 1
            assert entry["verdict"] == "dangerous", (seed, Path(path).read_bytes())
        if entry["verdict"] == "clean":
            assert known is None, (seed, "the data is a pickle of another length", Path(path).read_bytes())
    figures(f"npy: {len(read_as)} headers, seed {seed}: {dict(sorted(counts.items()))}")
    assert counts["objects"] > 500

    # The same headers with the data that NumPy would read: nothing but numbers is clean.
    sizes: dict[str, int] = {}
    for path, known in read_as.items():
        file = Path(path)
        head = file.read_bytes()[: -len(payload)]
        if known is None or known[1].hasobject or min(known[0], default=1) < 0:
            file.unlink()
            continue
        size = known[1].itemsize * int(numpy.prod(known[0], dtype=object))
        if size > 1 << 16:
            file.unlink()
            continue
        sizes[path] = size
        file.write_bytes(head + b"\x80" * size)
    clean = 0
    for path, entry in scans(decant, folder).items():
        if entry["verdict"] == "clean":
            clean += 1
    figures(f"npy: {clean} of {len(sizes)} arrays of numbers in odd spellings are clean, the others unknown")
    assert clean > 50
    for path in sizes:
        with open(path, "ab") as file:
            file.write(b"\x80")
    for path, entry in scans(decant, folder).items():
        assert entry["verdict"] != "clean", (seed, Path(path).read_bytes())


DTYPES = [
    "<f4", ">f8", "?", "i1", ">u8", "c8", "c16", "g", "S3", "U4", "V9", "M8[ns]", "m8[25s]", "M8[D]", "f2", "M8",
    [("a", "<f4"), ("b", "S3", (2, 3))], [(("title", "name"), "i4"), ("r", [("x", "u2"), ("y", "f8", (2,))])],
    {"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [0, 8], "itemsize": 24},
]  # fmt: skip


@pytest.mark.parametrize("version", [None, (1, 0), (2, 0), (3, 0)])
def test_arrays_that_numpy_writes_are_clean(decant, folder, version):
    for index, dtype in enumerate(DTYPES):
        for shape in [(), (3,), (0, 2), (2, 3, 1)]:
            array = numpy.zeros(shape, dtype)
            for order in "CF":
                with open(folder / f"{index}-{len(shape)}-{order}.npy", "wb") as file:
                    npy.write_array(file, numpy.asarray(array, order=order), version=version)
    for path, entry in scans(decant, folder).items():
        assert entry["verdict"] == "clean", (entry, Path(path).read_bytes()[:200])


def test_what_follows_an_array_is_judged(decant, folder):
    """numpy.load called again on an open file reads on."""

    def file(name: str, *parts) -> None:
        with open(folder / name, "wb") as opened:
            for part in parts:
                opened.write(part) if isinstance(part, bytes) else numpy.save(opened, part)

    numbers, objects = numpy.arange(3.0), numpy.array([{"a": 1}, None], dtype=object)
    evil = numpy.array([Call()], dtype=object)
    file("clean-one", numbers)
    file("clean-objects", objects)
    file("unknown-two", numbers, numbers)
    file("unknown-three", objects, numbers, objects)
    file("unknown-pickle", numbers, pickle.dumps({"a": 1}, 4))
    file("dangerous-second", numbers, evil)
    file("dangerous-third", numbers, objects, evil)
    file("dangerous-pickle", numbers, pickle.dumps(Call(), 4))
    file("dangerous-old-pickle", numbers, pickle.dumps(Call(), 0))
    file("dangerous-text", numbers, b"hello, world")
    file("unknown-cut", io.BytesIO().getvalue(), numbers)
    cut = folder / "unknown-cut"
    cut.write_bytes(cut.read_bytes()[:-1])
    for path, entry in scans(decant, folder).items():
        assert entry["verdict"] == Path(path).name.partition("-")[0], entry
