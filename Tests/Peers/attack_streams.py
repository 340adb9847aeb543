"""Attacks in pickle streams: two formats in one file, frames, refused opcodes, legacy files."""

import io
import pickle
import random
import struct
import zipfile

from attack_kinds import recipe
from attack_pickles import (
    MAGIC, call, crossing_frame, crossing_put, le32, le64, padding, plain_call, refused, skipping, stream,
    string_of_bytes,
)  # fmt: skip
from honest_files import honest, torch_zip, with_code
from npy_bytes import npy
from tar_bytes import checksum, tar_header, tar_member


# Kind 1. Two formats in one file.


def magic(rng: random.Random) -> bytes:
    raw = MAGIC.to_bytes(10, "little")
    return rng.choice(
        [b"\x8a\x0a" + raw, b"\x8b" + le32(10) + raw, b"L%dL\n" % MAGIC, b"\x8a\x0b" + raw + b"\0", b"I%d\n" % MAGIC]
    )


def legacy(rng: random.Random, code: bytes, first: bytes = b"", keys: list = (), tail: bytes = b"") -> bytes:
    """A file as torch.save wrote before 1.6, with code in its object; `first` goes before the magic number."""
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    start = first + magic(rng) + b"." if first else b"\x80\x02" + magic(rng) + b"."
    return b"".join(
        [start, pickle.dumps(1001, 2), pickle.dumps(info, 2), stream(rng, code), pickle.dumps(list(keys), 2), tail]
    )


def bodies(rng: random.Random) -> tuple[bytes, bool]:
    """The rest of a pickle that has begun: code in one of several hiding places. True when it is a legacy file."""
    kind = rng.choice([0, 0, 0, 1, 1, 1, 2, 3, 4, 4])
    code = call(rng, searchable=rng.random() < 0.5)
    if kind == 0:
        return legacy(rng, code, first=b"0"), True
    if kind == 1:
        return b"0" + refused(rng) + b"0" + call(rng, searchable=False) + b".", False
    if kind == 2:
        return b"0" + code + b".", False
    if kind == 3:
        # More values than a scanner may be willing to keep, so that it need not see what follows.
        rng.needs = "not clean"
        return b"0" + b"N0" * 1_300_000 + b"](" + b"N" * 1_200_000 + b"1" + code + b".", False
    return b"0" + b"N." + stream(rng, code), False


def gguf_start(rng: random.Random) -> bytes:
    """GGUF's magic, a version and one byte: the opcode BINFLOAT with its argument."""
    return b"GGUF" + le32(rng.choice([1, 2, 3, 3])) + bytes([rng.randrange(256)])


@recipe(1, "pickle", "pickle in Python", "torch", "pickle twice", "torch, in memory", count=10)
def gguf_and_pickle(rng):
    return {rng.choice([".gguf", ".bin", ".pth"]): gguf_start(rng) + bodies(rng)[0]}


@recipe(1, "pickle", "torch", "torch, in memory", "pickle twice", count=10)
def safetensors_and_pickle(rng):
    """The length is an opcode that skips the header's start; further byte strings in the header skip the rest."""
    while True:
        opcode = rng.choice(b"UC\x8c")
        skip = rng.randint(26, 40)
        length = opcode | skip << 8
        tail_data = bodies(rng)[0]
        header = bytearray(b'{"__metadata__":{"note":"')
        if len(header) + 8 > 2 + skip:
            continue
        shape = len(tail_data) + 200
        for _ in range(300):
            end = b'"},"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (shape, shape)
            filler = length - len(header) - len(end)
            body = bytearray(rng.choice(b"abcdefghijklmnop ") for _ in range(filler))
            data = bytearray(le64(length)) + header + body + end
            place = 2 + skip
            while place < len(data):
                left = len(data) - place - 2
                # The last jump must begin before the end of the header's text, and lands in the tensor.
                jump = rng.randint(0x23, 0x7D)
                if left <= 0x7D and left >= 0x23 and left > len(end):
                    jump = left
                if jump in b'"\\':
                    jump += 1
                data[place] = ord("C")
                data[place + 1] = jump
                place += 2 + jump
            start = place - len(data)
            if bytes(data[-len(end) :]) == end and start >= 0:
                break
        else:
            continue
        # Pops what the jumps pushed, then the code.
        tensor = b"N" * start + tail_data
        tensor += bytes(shape - len(tensor))
        return {rng.choice([".safetensors", ".pth"]): bytes(data) + tensor}


@recipe(1, "torch", "torch, in memory", count=8)
def entry_that_begins_otherwise(rng):
    """A data.pkl that begins as another format, or breaks before its code."""
    code = call(rng, searchable=False)
    data = rng.choice([
        gguf_start(rng) + b"0" + refused(rng) + b"0" + code + b".",
        gguf_start(rng) + b"0" + code + b".",
        safetensors_start(rng, refused(rng) + b"0" + code + b"."),
        tar_start(rng, refused(rng) + b"0" + code + b"."),
    ])  # fmt: skip
    return {".pth": torch_zip(rng, {"data.pkl": data})}


@recipe(1, "pickle", "torch", count=4)
def tar_and_pickle(rng):
    """A tar archive by its checksum whose first header is a text that a pickle skips."""
    code = call(rng, searchable=False)
    return tar_start(rng, rng.choice([refused(rng) + b"0", b""]) + code + b".")


@recipe(1, "pickle", "torch", count=4)
def picture_and_pickle(rng):
    """Beginnings of other formats that are opcodes: GIF, BMP, TIFF's INT, a text file."""
    code = call(rng, searchable=False)
    hidden = rng.choice([refused(rng) + b"0", b""])
    start = rng.choice([
        b"GIF89a" + bytes(3) + b"0",
        b"M" + b"Z\0" + b"0",
        b"GIF87a\1\0\1" + b"0",
        b"(1",
        b"B" + b"M\0\0\0" + b"A" * 77 + b"0",
    ])  # fmt: skip
    return {rng.choice([".gif", ".dat", ".pkl", ".pt"]): start + hidden + code + b"."}


@recipe(1, "pickle twice", "torch then pickle", "torch twice", count=6)
def stream_behind_the_first(rng):
    code = stream(rng, rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=False))
    if rng.random() < 0.3:
        code = code[2:]  # without PROTO
    first = rng.choice([
        stream(rng, b"K\x01"),
        honest("legacy"),
        pickle.dumps({"a": [1, 2.5]}, rng.randrange(2, 6)),
        gguf_start(rng) + b".",
    ])  # fmt: skip
    return first + code


def safetensors_start(rng, rest: bytes) -> bytes:
    """A small safetensors file that a pickle skips, with the rest in its tensor."""
    skip = 60
    length = ord("C") | skip << 8
    start = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(rest), len(rest))
    data = bytearray(le64(length) + start + b" " * (length - len(start)))
    if 2 + skip < 8 + len(start):
        skip = len(start) + 8
        length = ord("C") | skip << 8
        start = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(rest), len(rest))
        data = bytearray(le64(length) + start + b" " * (length - len(start)))
    place = 2 + skip
    # White space is no opcode: one long string skips it, whose length has NULs, which is no white space either.
    data[place : place + 5] = b"B" + le32(len(data) - place - 5)
    return bytes(data) + b"0" + rest


def tar_start(rng, rest: bytes) -> bytes:
    """A tar archive of one member. As a pickle, it is a byte string that ends after the header, then the rest."""
    opcode = rng.choice([b"B" + le32(507), b"\x80\x04B" + le32(505)])
    body = rest + bytes(rng.randrange(200))
    return tar_member(opcode, b"0" + body, ustar=rng.random() < 0.5) + bytes(1024)


def tar_and_legacy_bytes(rng, code: bytes) -> bytes:
    """A legacy file whose first 512 bytes are a tar header too, by a checksum with white space.

    The tar's members are in the data of the legacy file's storage. torch.load tries tar first.
    """
    white = rng.choice([b"\x1c", b"\x1d", b"\x1e", b"\x1f"])
    spelled = white + b"%06o\0"
    start = b"\x80\x02\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"." + pickle.dumps(1001, 2) + b"\x80\x02"
    # The third pickle holds the header's fields in a byte string.
    start += b"B" + le32(512 - 3 - len(start) - 5)
    block = bytearray(tar_header(start, 512))
    block[509:512] = b"0}."
    header = checksum(block, spelled)
    members = b"".join(
        tar_member(member, stream(rng, code), spelled=spelled) for member in (b"storages", b"tensors", b"pickle")
    )
    members += bytes(1024)
    # The storage's data begin in the tar's first member and end with the file.
    size = len(b"\x80\x02" + persistent("ByteStorage", "0", 0) + b"." + pickle.dumps(["0"], 2)) + 8
    count = 512 - size + len(members)
    streams = b"\x80\x02" + persistent("ByteStorage", "0", count) + b"." + pickle.dumps(["0"], 2)
    return header + (streams + le64(count)).ljust(512, b"\0") + members


@recipe(6, "torch", count=4)
def tar_and_legacy(rng):
    code = rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=False)
    return {".pth": tar_and_legacy_bytes(rng, code)}


# Kind 2. Frames.


@recipe(2, "pickle, in memory", "pickle", count=8)
def frame_in_pickle(rng):
    return stream(rng, crossing_frame(rng, plain_call(rng)), rng.choice([2, 4, 5]))


@recipe(2, "pickle", "torch", count=8)
def large_frame(rng):
    """Frames beyond the buffer of open()."""
    code = crossing_frame(rng, plain_call(rng), frame_size=rng.choice([8192, 70_000, 140_000]))
    return {rng.choice([".pkl", ".bin"]): stream(rng, code, 4)}


@recipe(2, "torch", "torch, in memory", count=8)
def frame_in_checkpoint(rng):
    code = crossing_frame(rng, plain_call(rng)) + b"0"
    return {".pth": torch_zip(rng, {"data.pkl": with_code(rng, code)})}


@recipe(2, "torch, in memory", count=4)
def frame_in_legacy(rng):
    return {".pth": legacy(rng, crossing_frame(rng, plain_call(rng)))}


@recipe(2, "pickle, in memory", "torch", count=4)
def frame_and_memo(rng):
    return stream(rng, crossing_put(rng), 4)


@recipe(2, "pickle in Python", "pickle", count=5)
def frame_beyond_the_end(rng):
    """A frame longer than the file: the unpicklers in Python, PyPy's too, run what there is; the C one refuses it."""
    code = rng.choice([refused(rng) + b"0", b"N0"]) + call(rng, searchable=rng.random() < 0.3) + b"."
    return b"\x80" + bytes([rng.choice([2, 4, 5])]) + b"\x95" + le64(len(code) + rng.choice([1, 9, 10**6])) + code


@recipe(
    2,
    "pickle, in memory",
    argued="CPython before 3.8: load_counted_binbytes calls _Unpickler_Read",
    interpreter="3.6",
    count=3,
)
def frame_and_bytes(rng):
    """The argument of BINBYTES, which only CPython before 3.8 reads in this way."""
    code = plain_call(rng)
    hidden = skipping(rng, code)
    length = len(hidden) + rng.randint(1, 90)
    content = string_of_bytes(rng, length) + b"A" * len(hidden)
    return b"\x80\x04\x95" + le64(len(content)) + content + b"B" * (length - len(hidden)) + hidden + code + b"."


@recipe(2, "numpy", count=3)
def frame_in_array(rng):
    is_packed = rng.random() < 0.5
    code = crossing_frame(rng, plain_call(rng), frame_size=140_000 if is_packed else 8192)
    data = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", stream(rng, code, 4))
    if not is_packed:
        return {".npy": data}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("weights.npy", data)
    return {".npz": target.getvalue()}


# Kind 3. Opcodes.


@recipe(3, "pickle", "pickle in Python", "torch", count=14)
def refused_opcode(rng):
    code = call(rng, searchable=rng.random() < 0.2)
    return {rng.choice([".pkl", ".bin"]): stream(rng, refused(rng) + b"0" + padding(rng) + code)}


@recipe(3, "torch", count=10)
def refused_in_checkpoint(rng):
    code = refused(rng) + b"0" + call(rng, searchable=False)
    return {".pth": torch_zip(rng, {"data.pkl": with_code(rng, code)})}


@recipe(3, "pickle", "pickle in Python", count=6)
def refused_in_old_pickle(rng):
    """Without PROTO, so that nothing announces a pickle."""
    return refused(rng) + b"0" + call(rng, searchable=False) + b"."


@recipe(
    3,
    "pickle",
    argued="CPython 3.6 to 3.10.6 have no limit on the digits of integers (bpo-95778)",
    interpreter="3.6",
    count=3,
)
def long_integer(rng):
    digits = b"".join(b"%d" % rng.randint(1, 9) for _ in range(rng.randint(4301, 9000)))
    number = rng.choice([b"L" + digits + b"L\n", b"L-" + digits + b"L\n"])
    return stream(rng, number + b"0" + call(rng, searchable=False), 3)


@recipe(3, "pickle", argued="CPython 2.7's cPickle", interpreter="2.7", count=6)
def python_2(rng):
    """Protocols 0 to 2, as Python 2 reads them."""
    module, function = rng.choice(
        [("os", "system"), ("posix", "system"), ("commands", "getoutput"), ("__builtin__", "eval")]
    )
    argument = "__import__('os').mkdir('ran')" if function == "eval" else "touch ran"
    body = rng.choice([
        b"I017\n0", b"L10000000000000000000L\n0", b"S'a'\n0", b"c__builtin__\nbytearray\n)RK\x01a0", b"S'a'\npfoo\n0gfoo\n0", b"Npx y\n0",
    ])  # fmt: skip
    body += b"c%s\n%s\n(S%s\ntR." % (module.encode(), function.encode(), repr(argument).encode())
    return rng.choice([b"\x80\x02", b"\x80\x01", b""]) + body


# Kind 7. Legacy files.


def persistent(kind: str, key: str, count: int) -> bytes:
    parts = b"X\x07\0\0\0storagectorch\n%s\n" % kind.encode()
    return b"(" + parts + b"X" + le32(len(key)) + key.encode() + b"X\x03\0\0\0cpuJ" + struct.pack("<i", count) + b"NtQ"


@recipe(7, "torch twice", "torch twice, in memory", "torch then pickle", count=8)
def early_end(rng):
    """A storage whose elements share bytes, or two counts for one key; what follows is another file."""
    code = rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=False)
    second = rng.choice([stream(rng, code), legacy(rng, code), b"N0" + code + b"."])
    count = rng.randint(1, 9)
    if rng.random() < 0.5:
        kind = rng.choice(["QUInt4x2Storage", "QUInt2x4Storage"])
        body = persistent(kind, "0", count)
        data = le64(count) + bytes(count)
    else:
        more = rng.choice([(len(second) + 3) // 4 + count, count + 1, 10_000])
        body = b"]" + persistent("FloatStorage", "0", count) + b"a" + persistent("FloatStorage", "0", more) + b"a"
        data = le64(count) + bytes(4 * count)
        second += bytes(rng.choice([0, (count + (len(second) + 3) // 4 - count) * 4 - len(second)]))
    return {".pth": legacy(rng, body, keys=["0"], tail=data + second)}


@recipe(7, "torch", count=4)
def magic_spelled_otherwise(rng):
    """The magic number as text or with more bytes, and code after an opcode that readers refuse."""
    code = refused(rng) + b"0" + call(rng, searchable=False)
    return {".pth": rng.choice([b"\x80\x02", b"", b"N0"]) + legacy(rng, code, first=b"N0")}
