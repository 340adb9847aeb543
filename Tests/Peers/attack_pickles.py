"""Writes pickles that run code, opcode by opcode, with everything that may vary chosen at random.

Each touches one file, `ran`, in the working folder, and does nothing else.
"""

import random
import struct

MAGIC = 0x1950A86A20F9469CFC6C
TOUCH = "open('ran','w').close()"
# Functions that make the marker, and their arguments.
CALLS = [
    ("os", "system", ["touch ran"]),
    ("posix", "system", [":>ran"]),
    ("os", "mkdir", ["ran"]),
    ("posix", "mkdir", ["ran"]),
    ("os", "mkfifo", ["ran"]),
    ("os", "symlink", ["x", "ran"]),
    ("subprocess", "getoutput", ["touch ran"]),
    ("subprocess", "check_output", [["touch", "ran"]]),
    ("subprocess", "call", [["touch", "ran"]]),
    ("builtins", "exec", [TOUCH]),
    ("builtins", "eval", [TOUCH]),
    ("builtins", "open", ["ran", "w"]),
    ("io", "open", ["ran", "a"]),
    ("shutil", "copyfile", ["/etc/hostname", "ran"]),
    ("logging", "FileHandler", ["ran"]),
    ("cProfile", "run", [TOUCH]),
]


def le32(number: int) -> bytes:
    return struct.pack("<I", number)


def le64(number: int) -> bytes:
    return struct.pack("<Q", number)


def text(rng: random.Random, value: str) -> bytes:
    """A text in one of the ways that CPython reads; strings of Python 2 are decoded."""
    raw = value.encode()
    ways = [b"X" + le32(len(raw)) + raw, b"\x8d" + le64(len(raw)) + raw, b"T" + le32(len(raw)) + raw]
    ways.append(b"V" + raw + b"\n")
    if len(raw) < 256:
        ways += [b"\x8c" + bytes([len(raw)]) + raw, b"U" + bytes([len(raw)]) + raw]
    ways.append(b"S" + repr(value).encode() + b"\n")
    return rng.choice(ways)


def integer(rng: random.Random, value: int) -> bytes:
    ways = [b"I%d\n" % value, b"J" + struct.pack("<i", value), b"L%dL\n" % value, b"\x8b" + le32(4) + le32(value)]
    if value < 256:
        ways.append(b"K" + bytes([value]))
    return rng.choice(ways)


def value(rng: random.Random, item) -> bytes:
    if isinstance(item, str):
        return text(rng, item)
    if isinstance(item, int):
        return integer(rng, item)
    if item is None:
        return b"N"
    parts = [value(rng, part) for part in item]
    return rng.choice(
        [b"](" + b"".join(parts) + b"e", b"(" + b"".join(parts) + b"l", b"]" + b"".join(part + b"a" for part in parts)]
    )


def arguments(rng: random.Random, items: list) -> bytes:
    parts = b"".join(value(rng, item) for item in items)
    short = {0: b")", 1: parts + b"\x85", 2: parts + b"\x86", 3: parts + b"\x87"}
    return rng.choice([b"(" + parts + b"t", short.get(len(items), b"(" + parts + b"t")])


def name(rng: random.Random, module: str, attribute: str, searchable: bool = True) -> bytes:
    """An import. One that is not searchable has no bytes that a search for names in broken streams knows."""
    line = b"c%s\n%s\n" % (module.encode(), attribute.encode())
    if searchable and rng.random() < 0.4:
        return line
    texts = [text(rng, module), text(rng, attribute)]
    while not searchable and any(part[:1] == b"\x8c" for part in texts):
        texts = [text(rng, module), text(rng, attribute)]
    return texts[0] + rng.choice([b"", b"q\x07"]) + texts[1] + rng.choice([b"", b"\x94"]) + b"\x93"


def call(rng: random.Random, function=None, searchable: bool = True) -> bytes:
    """Opcodes that call a function and leave its result on the stack."""
    module, attribute, items = function or rng.choice(CALLS)
    made = name(rng, module, attribute, searchable)
    parts = b"".join(value(rng, item) for item in items)
    ways = [made + arguments(rng, items) + b"R"] * 3 + [b"(" + made + parts + b"o"]
    if searchable and "." not in attribute:
        ways.append(b"(" + parts + b"i%s\n%s\n" % (module.encode(), attribute.encode()))
    return rng.choice(ways)


def plain_call(rng: random.Random, most: int | None = None) -> bytes:
    """A call in ASCII, at most some bytes long: it is also a valid text."""
    while True:
        module, attribute, items = rng.choice(CALLS)
        parts = b"".join(
            b"S%s\n" % repr(item).encode() if isinstance(item, str)
            else b"(" + b"".join(b"V%s\n" % part.encode() for part in item) + b"l"
            for item in items
        )  # fmt: skip
        made = b"c%s\n%s\n(%stR" % (module.encode(), attribute.encode(), parts)
        if most is None or len(made) <= most:
            return made


def padding(rng: random.Random) -> bytes:
    """Opcodes that leave the stack as it was."""
    made = b""
    for _ in range(rng.randrange(4)):
        made += rng.choice([b"N0", b"]0", b"K\x010", b"(1", b"}0", b"\x88" + b"0", text(rng, "weights") + b"0", b"(N1"])
    return made


def stream(rng: random.Random, body: bytes, protocol: int | None = None) -> bytes:
    """A whole pickle; `body` leaves one value."""
    if protocol is None:
        protocol = rng.choice([2, 2, 3, 4, 5])
    return b"\x80" + bytes([protocol]) + padding(rng) + body + b"."


def string_of_bytes(rng: random.Random, length: int) -> bytes:
    """The beginning of a byte string: the opcode and the length."""
    ways = [b"B" + le32(length), b"\x8e" + le64(length)]
    if length < 256:
        ways.append(b"C" + bytes([length]))
    return rng.choice(ways)


def skipping(rng: random.Random, code: bytes) -> bytes:
    """The beginning of a string that holds `code`: of text, where `code` is ASCII, so that it does not look like bytes."""
    if not code.isascii():
        return string_of_bytes(rng, len(code))
    ways = [b"X" + le32(len(code)), b"\x8d" + le64(len(code)), b"T" + le32(len(code))]
    if len(code) < 256:
        ways += [b"\x8c" + bytes([len(code)]), b"U" + bytes([len(code)])]
    return rng.choice(ways)


def crossing_frame(rng: random.Random, code: bytes, frame_size: int = 0) -> bytes:
    """Opcodes in which `code` runs in CPython's C unpickler and is a byte string for a straight reading.

    An argument crosses the end of a frame. The C unpickler of CPython before 3.13.15 and 3.14.7 drops the frame's rest
    and takes the argument from the bytes after the frame. Both readings leave two values.

    - Parameter frame_size: The least size of the frame. When the file can be peeked, as those of open() can, only frames
      beyond its buffer are read in this way.
    """
    hidden = skipping(rng, code)
    dropped = len(hidden)
    kind = rng.choice("XXTU\x8c\x8dGJJFF") if dropped <= 3 else rng.choice("XXTU\x8c\x8dFF")
    if dropped <= 8 and rng.random() < 0.15:
        kind = "G"
    fill = b""
    if frame_size:
        count = frame_size + rng.randrange(9000)
        fill = b"B" + le32(count) + b"A" * count + b"0"
    if kind == "F":
        # A frame within the frame, longer than what is left of it. The straight reading goes on with the rest.
        content = fill + b"N" + b"\x95" + le64(len(code)) + hidden
        return b"\x95" + le64(len(content)) + content + code
    length = {"G": 8, "J": 4}.get(kind) or rng.randint(dropped + 1, 200)
    if length <= dropped:
        kind, length = "X", dropped + rng.randint(1, 20)
    filler = bytes(rng.choice(b"abcdefgh") for _ in range(length - dropped))
    opcode = {
        "X": b"X" + le32(length), "T": b"T" + le32(length), "U": b"U" + bytes([length]), "\x8c": b"\x8c" + bytes([length]),
        "\x8d": b"\x8d" + le64(length), "G": b"G", "J": b"J",
    }[kind]  # fmt: skip
    content = fill + opcode + bytes(rng.choice(b"ABCDEF") for _ in range(dropped))
    # The C unpickler's argument ends with `hidden`, which must be text for it where the argument is text.
    if kind in "XTU\x8c\x8d" and any(byte >= 0x80 for byte in hidden):
        return crossing_frame(rng, code, frame_size)
    return b"\x95" + le64(len(content)) + content + filler + hidden + code


def crossing_put(rng: random.Random, function=None) -> bytes:
    """Opcodes that store a text in the memo by an index that crosses a frame's end, and import by it."""
    module, attribute, items = function or ("os", "system", ["touch ran"])
    decoy = rng.choice([("collections", "OrderedDict"), ("torch", "Size"), ("builtins", "set")])
    low = rng.randint(2, 9)
    high = rng.randint(1, 9)
    start = text(rng, decoy[0]) + b"q\x00" + b"0" + text(rng, decoy[1]) + b"q" + bytes([low]) + b"0"
    start += text(rng, module) + b"r" + le32(70) + b"0" + text(rng, attribute)
    content = start + b"p%d" % high
    body = b"\x95" + le64(len(content)) + content + b"%d\n0" % low
    # The C unpickler stored the attribute as `low`; a straight reading keeps the decoy there.
    return body + b"j" + le32(70) + b"h" + bytes([low]) + b"\x93" + arguments(rng, items) + b"R"


def refused(rng: random.Random) -> bytes:
    """Opcodes that CPython executes, and that readers of pickles may refuse. They leave one value."""
    array = rng.choice([b"cbuiltins\nbytearray\n)R", b"\x96" + le64(2) + b"ab"])
    one = rng.choice([b"K\x01", b"I7\n", b"J\x05\0\0\0"])
    full = b"\x96" + le64(3) + b"abc"
    return rng.choice([
        array + one + b"a",
        array + b"(" + one + one + b"e",
        array + one + b"a" + one + b"a",
        full + b"K\x00" + one + b"s",
        full + b"(K\x01" + one + b"K\x02" + one + b"u",
        b"]K\x01aK\x00" + one + b"s",
        b"](K\x01K\x02eK\x01" + text(rng, "x") + b"s",
        b"C\x05hello\x98",
        full + b"\x98",
        b"I0x1F\n", b"I0777\n", b"I -7\n", b"L0x10\n", b"L1_000L\n", b"L 12 \n", b"I1_0\n", b"Np 9\n", b"Np1_2\n", b"Np+3\n",
        b"Np-0\n",
        b"Finf\n", b"Fnan\n", b"F1e5\n", b"\x8a\x00", b"\x8b\0\0\0\0", b"N\x80\x05", b"N\x80\x00",
        b"S'a\\x41\\n\\u0041'\n", b'S"it\'s"\n', b"V\\u0041\\\n", b"X\x03\0\0\0\xed\xa0\x80",
        b"cbuiltins\nset\n)R(K\x01K\x02\x90",
        b"(K\x01\x91", b"cbuiltins\nobject\n)\x81", b"cbuiltins\nset\n)\x81",
        b"ccollections\nOrderedDict\n)R(K\x01K\x02u", b"ccollections\nCounter\n)RK\x01K\x02s",
        b"cbuiltins\ncomplex\nG\x3f\xf0\0\0\0\0\0\0\x85R", b"cbuiltins\nobject\n)R",
        b"ccollections\ndefaultdict\n)RK\x01K\x02s", b"cbuiltins\nslice\nNNN\x87R", b"cbuiltins\nrange\nK\x05\x85R",
    ])  # fmt: skip
