"""Attacks in files of arrays: NumPy and joblib."""

import io
import random
import struct
import zipfile

from attack_kinds import recipe
from attack_pickles import call, le32, plain_call, refused, skipping, stream
from npy_bytes import npy


# Kind 5. NumPy.


def object_type(rng: random.Random) -> str:
    """A dtype with objects, in Python's notation, spelled as writers do not."""
    space = rng.choice(["\t", "\f", "\v", " \t", "\t ", "\x1c", "\x1f", "\x85", "\xa0"])
    return rng.choice([
        lambda: rng.choice(["'obj'", "'ob'", "'o'"]) and "'ob' " + rng.choice("uUrR") + "'ject'",
        lambda: "'obj'" + rng.choice(["u", "r", "R", "U"]) + '"ect"',
        lambda: "u'obj' r'ect'",
        lambda: "'''ob''' u'ject'",
        lambda: "('obj' u'ect')",
        lambda: f"'i4,{space}O'",
        lambda: f"'i4{space},{space}O'",
        lambda: f"'i4,O{space}'",
        lambda: f"'f4,{space}(2,)O'",
        lambda: f"'{space}O,i4'" if space.strip() else f"'i4,{space}O'",
        lambda: "'T'",
        lambda: "[('a', '<i4'), ('b', 'T')]",
        lambda: "'i4,T'",
        lambda: "[('a', 'obj' u'ect')]",
        lambda: "[('a', [('b', 'ob' r'ject')], (2,))]",
        lambda: "('obj' u'ect', (2,))",
        lambda: f"[('a', 'i4,{space}O')]",
        lambda: "'object_'",
        lambda: "u'|O'",
        lambda: "'=O'",
        lambda: "'>O8'",
        lambda: "'|O8'",
    ])()  # fmt: skip


@recipe(5, "numpy", count=16)
def object_header(rng):
    """A type that needs a pickle, whose name a reader that does not evaluate the header misses."""
    code = stream(rng, rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=False))
    items = [f"'descr': {object_type(rng)}", "'fortran_order': False", "'shape': (1,)"]
    rng.shuffle(items)
    text = "{" + rng.choice([", ", ",", " ,\t", ",\f"]).join(items) + rng.choice(["}", ", }", ",}"])
    version = rng.choice([1, 1, 2, 3])
    data = npy(text, code, version, "utf-8" if version == 3 else "latin1")
    if rng.random() < 0.3:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("arr_0.npy", data)
        return {".npz": target.getvalue()}
    return {".npy": data}


@recipe(5, "numpy twice", count=6)
def behind_an_array(rng):
    """A second array, or a pickle, that a second load on the same open file reads."""
    first = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", bytes(12))
    code = stream(rng, call(rng, searchable=False))
    second = rng.choice(
        [npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", code), code, refused(rng) + b"0" + code[2:]]
    )
    return {".npy": first + second}


# Kind 14. joblib.


def array_wrapper(count: int, dtype: bytes) -> bytes:
    """The opcodes of joblib's NumpyArrayWrapper of bytes: what follows the BUILD is raw data."""
    state = {
        "subclass": None,
        "shape": count,
        "order": "C",
        "dtype": dtype,
        "allow_mmap": False,
        "numpy_array_alignment_bytes": None,
    }
    out = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}("
    for key, item in state.items():
        out += b"X" + le32(len(key)) + key.encode()
        if key == "subclass":
            out += b"cnumpy\nndarray\n"
        elif key == "shape":
            out += b"J" + struct.pack("<i", count) + b"\x85"
        elif key == "dtype":
            out += (
                b"cnumpy\ndtype\n"
                + b"X"
                + le32(len(dtype))
                + dtype
                + b"\x89\x88\x87R(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK"
            )
            out += (b"\x3f" if dtype[:1] == b"O" else b"\0") + b"tb"
        elif item is None:
            out += b"N"
        elif item is False:
            out += b"\x89"
        else:
            out += b"X" + le32(len(item)) + item.encode()
    return out + b"ub"


@recipe(14, "joblib", count=6)
def raw_data_in_a_pickle(rng):
    """joblib reads an array's data from the file in the middle of the pickle. As opcodes, the data skip the code."""
    # Text, or bytes that do not begin like a pickle.
    code = rng.choice([plain_call(rng), b"20" + call(rng, searchable=False)])
    hidden = rng.choice([b"", b"N0", b"]0"]) + skipping(rng, code)
    start = b"\x80\x03](" + array_wrapper(len(hidden), b"u1") + hidden
    return {".joblib": start + code + b"e."}


@recipe(14, "joblib", count=4)
def objects_in_a_wrapper(rng):
    """A wrapper of objects: another pickle follows."""
    code = stream(rng, rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=False))
    return {".joblib": b"\x80\x03" + array_wrapper(1, b"O8") + code + b"."}
