"""Random files for the differential fuzzers: archives, arrays, tars and templates that readers may read differently."""

import random
import struct
import zipfile

import torch

from attack_arrays import object_type
from attack_templates import attribute_of, gguf_file
from honest_files import records, saved_records, torch_zip
from npy_bytes import npy as npy_file
from other_readers import EVIL
from tar_bytes import tar_member
from zip_bytes import zip_archive

INTERESTING = [0, 1, 2, 7, 8, 10, 30, 46, 64, 0x7F, 0xFF, 0xFFFF, 0xFFFFFFFF, 0x80000000, 22, 0xFFFFFFFE]


def number(rng: random.Random, size: int, near: list[int]) -> bytes:
    """A field's value: an interesting number, or one near an offset of the file."""
    value = rng.choice(INTERESTING + near * 3) + rng.choice([0, 0, 0, 1, -1, 4, -4])
    return (value % (1 << 8 * size)).to_bytes(size, "little")


def zip_base(rng: random.Random) -> bytes:
    """An honest checkpoint whose tensor data hold the parts of a hostile archive."""
    inner_entries = [
        {"name": rng.choice(["archive/data.pkl", "archive/DATA.PKL", "x/data.pkl"]), "data": EVIL},
        {"name": "archive/version", "data": b"3\n"},
    ]
    inner = zip_archive(inner_entries[: rng.randint(1, 2)])
    local = inner[: inner.index(EVIL) + len(EVIL)]
    storage = (
        bytes(rng.randrange(64))
        + rng.choice([inner, local, EVIL, inner[len(local) :], inner + EVIL])
        + bytes(rng.randrange(64))
    )
    records = saved_records({"w": torch.frombuffer(bytearray(storage), dtype=torch.uint8)})
    if rng.random() < 0.4:
        return torch_zip(rng, {}, records)
    entries = [{"name": "archive/" + entry, "data": data} for entry, data in records.items()]
    rng.shuffle(entries)
    if rng.random() < 0.3:
        for entry in entries:
            if entry["name"] == "archive/data.pkl":
                entry["name"] = rng.choice(["archive/Data.pkl", "archive/data.pkl", "ARCHIVE/data.pkl"])
                entry["stored"] = len(entry["data"])
                entry["data"] += EVIL
                entry["size"] = len(entry["data"])
    for entry in entries:
        if rng.random() < 0.1:
            entry["method"] = rng.choice([0, 8, 1, 12])
        if rng.random() < 0.1:
            entry["flags"] = rng.choice([1, 8, 0x800, 0x808, 0x40])
        if rng.random() < 0.1:
            entry["stored"] = rng.choice([0, 1, len(entry["data"]) // 2, len(entry["data"]) + 100])
        if rng.random() < 0.1:
            entry["central_extra"] = struct.pack(
                "<HHQQQ", 1, 24, *(rng.choice([0, len(EVIL), 100, 300]) for _ in range(3))
            )
        if rng.random() < 0.05:
            entry["local"] = rng.choice([b"archive/DATA.PKL", b"", b"x"])
    return zip_archive(entries, rng.choice([b"", b"", b"comment", inner]))


def two_directories(rng: random.Random) -> bytes:
    """A checkpoint with two data.pkl and two directories, each of which an end record, or a Zip64 one, may name."""
    names = ["archive/data.pkl", rng.choice(["archive/data.pkl", "archive/DATA.PKL", "archive/data/9"])]
    rest = [("archive/" + entry, data) for entry, data in records().items() if entry != "data.pkl"]
    listed = [(names[0], records()["data.pkl"]), (names[1], EVIL), *rest]
    if rng.random() < 0.5:
        listed[0], listed[1] = listed[1], listed[0]
    out, places = bytearray(), []
    for name, data in listed:
        places.append(len(out))
        raw = name.encode()
        out += (
            struct.pack(
                "<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 33, zipfile.crc32(data), len(data), len(data), len(raw), 0
            )
            + raw
            + data
        )
    found = []
    for skipped in rng.sample([EVIL, records()["data.pkl"]], 2):
        start, count = len(out), 0
        for (name, data), place in zip(listed, places):
            if data != skipped:
                raw = b"archive/data.pkl" if data == EVIL else name.encode()
                out += (
                    struct.pack(
                        "<IHHHHHHIIIHHHHHII",
                        0x02014B50,
                        20,
                        20,
                        0,
                        0,
                        0,
                        33,
                        zipfile.crc32(data),
                        len(data),
                        len(data),
                        len(raw),
                        0,
                        0,
                        0,
                        0,
                        0,
                        place,
                    )
                    + raw
                )
                count += 1
        found.append((start, len(out) - start, count))
    wide, narrow = rng.choice(found), rng.choice(found)
    is_wide = rng.random() < 0.6
    if is_wide:
        place = len(out)
        out += struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, wide[2], wide[2], wide[1], wide[0])
        out += struct.pack("<IIQI", 0x07064B50, 0, place, 1)
    size, start = (0xFFFFFFFF, 0xFFFFFFFF) if is_wide and rng.random() < 0.5 else (narrow[1], narrow[0])
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, narrow[2], narrow[2], size, start, 0)
    if rng.random() < 0.3:
        other = rng.choice(found)
        comment = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, other[2], other[2], other[1], other[0], 0)
        end = end[:-2] + struct.pack("<H", len(comment)) + comment
    return bytes(out + end)


def zip_mutant(rng: random.Random) -> bytes:
    data = bytearray(rng.choice([zip_base, zip_base, two_directories])(rng))
    places = [
        index
        for index in range(len(data) - 3)
        if data[index : index + 2] == b"PK" and data[index + 2] in (1, 3, 5, 6, 7)
    ]
    near = places + [data.index(EVIL) if EVIL in data else 0, len(data)]
    for _ in range(rng.randint(0, 3)):
        kind = rng.randrange(7)
        place = rng.choice(places)
        if kind < 4:
            # A field of a header: its offset within the record and its size.
            offset, size = rng.choice([
                (4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (14, 4), (16, 4), (18, 4), (20, 4), (20, 2), (22, 4), (24, 4), (26, 2), (28, 2),
                (30, 2), (32, 2), (42, 4), (48, 8), (40, 8), (8, 8),
            ])  # fmt: skip
            if place + offset + size <= len(data):
                data[place + offset : place + offset + size] = number(rng, size, near)
        elif kind == 4:
            data[place : place + 4] = rng.choice([b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"XX\0\0"])
        elif kind == 5:
            letters = [index for index in range(place, min(place + 80, len(data))) if 97 <= data[index] <= 122]
            if letters:
                data[rng.choice(letters)] ^= 0x20
        else:
            at = rng.choice([0, len(data), place])
            data[at:at] = rng.choice([b"\0" * 7, b"PK\5\6" + bytes(18), EVIL, b"junk"])
    return bytes(data)


DTYPES = [
    "'<f4'",
    "'|u1'",
    "'<U3'",
    "'|V8'",
    "'|b1'",
    "'>i2'",
    "'<M8[s]'",
    "[('a', '<f4'), ('O', '|S2')]",
    "('<f4', (2,))",
    "'i4,f4'",
]
PIECES = [
    "O",
    "T",
    "|O",
    "object",
    "i4",
    "f8",
    ",",
    " ",
    "\t",
    "\f",
    "\v",
    "\x1c",
    "\xa0",
    "(2,)",
    "S3",
    "V4",
    "<",
    "=",
    "U",
    "8",
    "?",
    "b1",
    "M8[s]",
    "O8",
    "object_",
]


def type_text(rng: random.Random) -> str:
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(DTYPES)
    if kind == 1:
        return object_type(rng)
    text = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 5)))
    if kind == 2:
        split = rng.randrange(len(text) + 1)
        return (
            rng.choice(["'", "u'", "r'"])
            + text[:split]
            + "'"
            + rng.choice([" ", "\t", "", "\f"])
            + rng.choice(["u'", "r'", "'"])
            + text[split:]
            + "'"
        )
    quote = rng.choice(["'", '"', "'''"])
    spelled = f"{rng.choice(['', '', 'u', 'r', 'U', 'R', 'b', 'f'])}{quote}{text}{quote}"
    if kind == 3:
        return f"[('a', {spelled}), ('b', '<i4')]"
    if kind == 4:
        return rng.choice(
            [
                f"({spelled}, (2,))",
                f"[('x', {spelled}, (1,))]",
                f"[(('t', 'n'), {spelled})]",
                f"({spelled}, 1)",
                f"[['a', {spelled}]]",
            ]
        )
    return spelled


def npy_mutant(rng: random.Random) -> bytes:
    items = [f"'descr': {type_text(rng)}", f"'fortran_order': {rng.choice(['False', 'True', 'False', '0'])}",
             f"'shape': {rng.choice(['(1,)', '()', '(0,)', '(2, 1)', '(1L,)', '(1)', '[1]'])}"]  # fmt: skip
    rng.shuffle(items)
    if rng.random() < 0.1:
        items.insert(rng.randrange(4), rng.choice(["'descr': '|O'", "'descr': '<f4'", "'x': 1"]))
    header = "{" + rng.choice([", ", ",", ",\t", " , "]).join(items) + rng.choice(["}", ", }", "} "])
    if rng.random() < 0.15:
        place = rng.randrange(len(header))
        header = (
            header[:place]
            + rng.choice([" ", "\t", "\f", "#\n", "\\\n", "\0", "(", ")", "'", "\n"])
            + header[place + rng.randrange(2) :]
        )
    version = rng.choice([1, 1, 2, 3])
    data = bytes(rng.choice([0, 4, 8, 16])) if rng.random() < 0.5 else EVIL
    return npy_file(header, data, version, "utf-8" if version == 3 else "latin1")


def octal(rng: random.Random, value: int, size: int) -> bytes:
    """A tar header's number, in the ways that Python's int() accepts, and some that it does not."""
    text = b"%o" % value
    white = lambda: bytes(rng.choice(b" \t\n\v\f\x1c\x1d\x1e\x1f") for _ in range(rng.choice([0, 0, 1, 2])))  # noqa: E731
    text = rng.choice([b"", b"", b"0", b"00", b"+", b"0o", b"0O", b"0_", b"-", b"+0o"]) + text
    if rng.random() < 0.15:
        text = text[:1] + b"_" + text[1:]
    text = white() + text + white()
    if rng.random() < 0.1:
        return b"\x80" + value.to_bytes(size - 1, "big")
    return text[:size].ljust(size, rng.choice([b"\0", b" ", b"\0"]))


def tar_mutant(rng: random.Random) -> bytes:
    names = [
        rng.choice([b"sys_info", b"GGUF\x03\0\0\0" + bytes(16), b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
                    b"\x80\x02N.", b"x/y", b"\x80\x02}."]),
        rng.choice([b"storages", b"pickle", b"./storages", b"tensors"]), b"tensors", b"pickle",
    ]  # fmt: skip
    out = b""
    for index, member in enumerate(names):
        body = EVIL if index == 1 else b"\x80\x02K\0.\x80\x02]."
        size = octal(rng, len(body), 12) if rng.random() < 0.5 else None
        spelled = rng.choice(
            [None, b"\x1c%06o\0", b"%06o\x1f\0", b" %05o\0 ", b"\t%05o\0", b"+%05o\0", b"0o%05o\0"[:9], b"%07o\0"]
        )
        kind = (
            rng.choice([b"0", b"0", b"0", b"\0", b"7", b"1", b"2", b"5", b"x", b"L", b"S", b"Z"])
            if rng.random() < 0.3
            else b"0"
        )
        out += tar_member(member, body, spelled=spelled, size_text=size, kind=kind, ustar=rng.random() < 0.3)
        if rng.random() < 0.05:
            out += bytes(rng.choice([1, 512]))
    return out + bytes(rng.choice([0, 512, 1024]))


WORDS = [
    "messages",
    "m.content",
    "message['role']",
    "'text'",
    "loop.index",
    "x",
    "ns.found",
    "bos_token",
    "1",
    "none",
    "cycler",
]


def expression(rng: random.Random, depth: int = 0) -> str:
    if depth > 3:
        return rng.choice(WORDS)
    inner = lambda: expression(rng, depth + 1)  # noqa: E731
    white = rng.choice(["", "", " ", "\n", "\t"])
    return rng.choice([
        lambda: rng.choice(WORDS), lambda: f"{inner()}{white}.{white}{rng.choice(['role', 'content', '__class__', '_x', 'format', 'items'])}",
        lambda: f"{inner()}[{rng.choice(['0', inner(), repr('__init__'), repr('role'), '1:2'])}]",
        lambda: f"{inner()}{white}|{white}{rng.choice(['trim', 'upper', 'length', 'first', 'tojson', 'list'])}",
        lambda: f"{inner()}|attr({inner()})", lambda: attribute_of(rng, inner(), "__globals__"),
        lambda: f"{inner()} {rng.choice(['+', '~', '-', 'and', 'or', 'in', '==', 'is not', '%', '*'])} {inner()}",
        lambda: f"({inner()})", lambda: f"{inner()} if {inner()} else {inner()}", lambda: f"[{inner()}, {inner()}]",
        lambda: f"{{'a': {inner()}}}", lambda: f"{inner()}({inner()})", lambda: f"not {inner()}",
        lambda: f"{inner()} is defined", lambda: f"{inner()}|map(attribute={repr(rng.choice(['role', '__x__', 'a.__b']))})|list",
    ])()  # fmt: skip


def template(rng: random.Random, depth: int = 0) -> str:
    dash = lambda: rng.choice(["", "", "-", "+"])  # noqa: E731
    out = ""
    for _ in range(rng.randint(1, 4)):
        value = expression(rng, rng.choice([0, 1, 2]))
        inner = template(rng, depth + 1) if depth < 2 else "text"
        out += rng.choice([
            lambda: f"{{{{{dash()} {value} {dash().replace('+', '')}}}}}", lambda: f"{{%{dash()} if {value} %}}{inner}{{% endif %}}",
            lambda: f"{{% for m in {value} %}}{inner}{{% endfor {dash()}%}}", lambda: f"{{% set x = {value} %}}",
            lambda: f"{{# {value} {inner if '#}' not in inner else ''} #}}", lambda: f"{{% raw %}}{{{{ {value} }}}}{{% endraw %}}", lambda: "text '\" {% raw %}{% endraw %}",
            lambda: f"{{% set x %}}{inner}{{% endset %}}", lambda: f"{{% macro f(a={value}) %}}{inner}{{% endmacro %}}",
            lambda: f"{{% filter upper %}}{inner}{{% endfilter %}}", lambda: f"{{{{ '{{{{' }}}}{{{{ \"%}}\" ~ {value} }}}}",
            lambda: f"{{% with a = {value} %}}{inner}{{% endwith %}}", lambda: f"{{% call(x) f({value}) %}}{inner}{{% endcall %}}",
        ])()  # fmt: skip
    return out


def gguf_mutant(rng: random.Random) -> bytes:
    return gguf_file({"general.architecture": "llama", "tokenizer.chat_template": template(rng)})


MUTANTS = {"zip": zip_mutant, "npy": npy_mutant, "tar": tar_mutant, "gguf": gguf_mutant}
