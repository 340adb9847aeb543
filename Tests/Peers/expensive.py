"""Files of a few kilobytes to megabytes that are meant to cost a scanner seconds or gigabytes, and what they cost.

    python expensive.py DECANT [DECANT…] [--only NAME]

writes each shape to a temporary folder, runs `decant scan --json` on it, and prints a table with the bytes of the file,
the processor's seconds and the megabytes of the run, the verdict and its rules. Nothing here is ever loaded.
"""

import argparse
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from pathlib import Path

PROTO = b"\x80\x04"


def text(value) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value) -> bytes:
    return b"J" + struct.pack("<i", value)


def name(module, function) -> bytes:
    return f"c{module}\n{function}\n".encode()


def put(index) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index) -> bytes:
    return b"j" + struct.pack("<I", index)


def checkpoint(data: bytes, **entries) -> bytes:
    """A zip with the entries of torch.save."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/data.pkl", data)
        archive.writestr("a/version", "3\n")
        for path, content in entries.items():
            archive.writestr(f"a/{path}", content)
    return out.getvalue()


def nested_states(breadth=1_000, depth=3):
    """The state of an object: dictionaries that hold the same dictionaries, breadth^depth paths."""
    stream = PROTO + b"N" + put(0) + b"0"
    for level in range(1, depth + 1):
        pairs = b"".join(number(key) + get(level - 1) for key in range(breadth))
        stream += b"(" + pairs + b"d" + put(level) + b"0"
    # A call makes the state, so that its values are searched for names.
    state = name("collections", "OrderedDict") + get(depth) + b"\x85R"
    return stream + name("collections", "OrderedDict") + b")R" + state + b"b."


def nested_lists(breadth=1_000, depth=3):
    stream = PROTO + b"N" + put(0) + b"0"
    for level in range(1, depth + 1):
        stream += b"(" + get(level - 1) * breadth + b"l" + put(level) + b"0"
    state = name("collections", "OrderedDict") + get(depth) + b"\x85R"
    return stream + b"(" + (name("collections", "OrderedDict") + b")R" + state + b"b") * 20 + b"l."


def one_text_for_calls(calls=60_000, length=1_000_000):
    """One text of 1 MB handed to 60,000 calls."""
    body = text("x" * length) + put(0) + b"0" + name("_codecs", "encode") + put(1) + b"0" + text("latin1") + put(2) + b"0"
    call = get(1) + get(0) + get(2) + b"\x86R0"
    return PROTO + body + call * calls + b"N."


def one_text_for_methods(calls=60_000, length=1_000_000):
    body = text("x" * length) + put(0) + b"0" + name("builtins", "getattr") + put(1) + b"0" + name("a", "B") + put(2) + b"0"
    call = get(1) + get(2) + get(0) + b"\x86R0"
    return PROTO + body + call * calls + b"N."


def dots(length=1_000_000):
    return PROTO + b"ctorch\n" + b"a." * (length // 2) + b"a\n)R."


def dots_in_many_names(count=2_000, length=10_000):
    return PROTO + b"".join(b"clib%d\n" % index + b"a." * (length // 2) + b"a\n0" for index in range(count)) + b"N."


def one_dictionary_as_states(states=100_000, pairs=10_000):
    body = b"(" + b"".join(text(f"k{key}") + b"N" for key in range(pairs)) + b"d" + put(0) + b"0"
    make = name("collections", "OrderedDict") + put(1) + b"0"
    return PROTO + body + make + (get(1) + b")R" + get(0) + b"b0") * states + b"N."


def payload_loaded(times=3_000, length=200_000):
    """_load_from_bytes of one payload, 3,000 times."""
    inner = PROTO + b"(" + text("k") * (length // 6) + b"l."
    body = b"B" + struct.pack("<I", len(inner)) + inner + put(0) + b"0" + name("torch.storage", "_load_from_bytes") + put(1) + b"0"
    return PROTO + body + (get(1) + get(0) + b"\x85R0") * times + b"N."


def payload_copied(times=3_000, length=10_000):
    inner = PROTO + b"(" + text("k") * (length // 6) + b"l."
    item = b"B" + struct.pack("<I", len(inner)) + inner + b"0"
    return PROTO + item * times + b"N."


def payloads_nested(depth=4, breadth=20):
    """Each payload holds the next one twenty times over: as calls, so that each is judged."""
    inner = PROTO + b"(" + b"N" * 20_000 + b"l."
    for _ in range(depth):
        parts = b"".join(
            name("torch.storage", "_load_from_bytes") + b"B" + struct.pack("<I", len(inner)) + inner + b"\x85R0"
            for _ in range(1)
        )
        body = name("torch.storage", "_load_from_bytes") + put(0) + b"0B" + struct.pack("<I", len(inner)) + inner + put(1) + b"0"
        inner = PROTO + parts + body + (get(0) + get(1) + b"\x85R0") * breadth + b"N."
    return inner


def torchscript(names=300_000):
    source = "class M(Module):\n  __parameters__ = []\n" + "".join(f"  a{index} : Tensor\n" for index in range(names))
    body = "  def forward(self: __torch__.M) -> Tensor:\n" + "".join(f"    _{index} = self.a{index}\n" for index in range(2_000))
    return checkpoint(
        PROTO + b"N.", **{"constants.pkl": PROTO + b").", "code/__torch__.py": source + body + "    return _0\n"}
    )


def torchscript_attributes(names=300_000):
    body = "def f(x: Tensor) -> Tensor:\n" + "".join(f"  t{index} = torch.a{index}.b\n" for index in range(names // 3))
    return checkpoint(PROTO + b"N.", **{"constants.pkl": PROTO + b").", "code/__torch__.py": body})


def npz_header(length=12_000_000):
    fields = ", ".join(f"('f{index}', '<f4')" for index in range(length // 20))
    header = "{'descr': [" + fields + "], 'fortran_order': False, 'shape': (0,), }\n"
    array = b"\x93NUMPY\x03\x00" + struct.pack("<I", len(header)) + header.encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(4):
            archive.writestr(f"a{index}.npy", array)
    return out.getvalue()


def npz_nested_header(length=12_000_000):
    header = "{'descr': " + "[" * (length // 2) + "]" * (length // 2) + ", 'fortran_order': False, 'shape': (0,), }\n"
    array = b"\x93NUMPY\x03\x00" + struct.pack("<I", len(header)) + header.encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", array)
    return out.getvalue()


def tiny_entries(count=150_000):
    return checkpoint(PROTO + b"N.", **{f"d/{index}": PROTO + b"N." for index in range(count)})


def overlapping_entries(count=20_000, length=200_000):
    """Every entry of the directory is the same deflated pickle."""
    content = PROTO + b"(" + b"N" * length + b"l."
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packed.compress(content) + packed.flush()
    checksum = zlib.crc32(content)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, checksum, len(data), len(content), 10, 0) + b"a/data.pkl"
    directory = b""
    for index in range(count):
        path = f"a/{index:08}".encode()
        directory += struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 0, checksum, len(data), len(content), len(path), 0, 0, 0, 0, 0, 0,
        ) + path  # fmt: skip
    start = len(local) + len(data)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), start, 0)
    return local + data + directory + end


def chained_end_records(count=20_000):
    """Many end records, one after the other, each of which points at a directory."""
    first = checkpoint(PROTO + b"N.")
    return first + first[-22:] * count


def concatenated_archives(count=3_000):
    return checkpoint(PROTO + b"N.") * count


def many_findings(count=200_000):
    return PROTO + b"".join(name(f"lib{index}", "f") + b")R0" for index in range(count)) + b"N."


def equal_calls(count=400_000):
    return PROTO + name("os", "system") + put(0) + b"0" + text("x" * 400) + put(1) + b"0" + (get(0) + get(1) + b"\x85R0") * count + b"N."


def wide_values(count=2_300_000):
    return PROTO + b"(" + b"K\x01" * count + b"l."


def many_streams(count=200_000):
    return (PROTO + b"N.") * count


def many_breaks(count=300):
    """Entries that break at once and are searched for names."""
    content = PROTO + b"\xff" + b"cos\n" * 20_000
    return checkpoint(PROTO + b"N.", **{f"d{index}.pkl": content for index in range(count)})


def names_after_break(length=4_000_000):
    return PROTO + b"\xff" + b"c" * 90 + b"os.path.x\n" + (b"iabcdefgh.i\nsystem\n") * (length // 20)


def deep_lists(depth=1_000_000):
    return PROTO + b"]" * depth + b"a" * (depth - 1) + b"."


def memo_changes(count=400_000):
    return PROTO + b"".join(text(f"{index}") + b"q\x000" for index in range(count)) + b"N."


def deflated_values(count=1_300_000):
    """Values that take a thousandth of a byte each in the file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(12):
            archive.writestr(f"a/{index}.pkl", PROTO + b"(" + b"]" * count + b"l.")
    return out.getvalue()


def frames_in_frames(count=100_000):
    """Every opcode crosses a frame, and each frame can be read in several ways."""
    return PROTO + (b"\x95" + struct.pack("<Q", 1) + b"K\x010") * count + b"N."


def gguf_keys(count=300_000):
    body = b"".join(struct.pack("<Q", 8) + b"%08d" % index + struct.pack("<IB", 0, 1) for index in range(count))
    return b"GGUF" + struct.pack("<IQQ", 3, 0, count) + body


def safetensors_header(count=200_000):
    header = json.dumps({f"t{index}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for index in range(count)}).encode()
    return struct.pack("<Q", len(header)) + header


def tensors(count=100_000):
    """What a large honest state dict costs: 100,000 tensors."""
    storage = name("torch", "FloatStorage") + put(0) + b"0" + name("torch._utils", "_rebuild_tensor_v2") + put(1) + b"0"
    storage += name("collections", "OrderedDict") + put(2) + b"0" + text("storage") + put(3) + b"0" + text("cpu") + put(4) + b"0"
    items = b"".join(
        text(f"layer.{index}.weight") + get(1) + b"((" + get(3) + get(0) + text(str(index)) + get(4) + b"K\x01tQK\x00K\x01\x85K\x01\x85\x89"
        + get(2) + b")RtR"
        for index in range(count)
    )  # fmt: skip
    return PROTO + storage + b"}(" + items + b"u."


SHAPES = {
    "breadth^depth dictionaries in a state": nested_states, "breadth^depth lists in 20 states": nested_lists,
    "one text of 1 MB for 60,000 calls": one_text_for_calls, "one text of 1 MB as 60,000 attributes": one_text_for_methods,
    "a name of 1 MB of dots": dots, "2,000 names of 10 KB of dots": dots_in_many_names,
    "one dictionary as 100,000 states": one_dictionary_as_states, "one payload loaded 3,000 times": payload_loaded,
    "3,000 copies of a payload": payload_copied, "payloads in payloads, 20 times each": payloads_nested,
    "300,000 attribute names in TorchScript": torchscript, "100,000 attributes used in TorchScript": torchscript_attributes,
    "npz headers of 12 MB": npz_header, "an npz header of 6 million brackets": npz_nested_header,
    "150,000 tiny entries": tiny_entries, "20,000 overlapping entries": overlapping_entries,
    "20,000 chained end records": chained_end_records, "3,000 archives in a row": concatenated_archives,
    "200,000 names": many_findings, "400,000 equal calls": equal_calls, "2.3 million values": wide_values,
    "200,000 streams": many_streams, "300 broken entries": many_breaks, "200,000 names after a break": names_after_break,
    "lists nested a million deep": deep_lists, "400,000 changes of a memo entry": memo_changes,
    "15 million deflated values": deflated_values, "100,000 crossed frames": frames_in_frames,
    "300,000 keys of GGUF": gguf_keys, "200,000 safetensors entries": safetensors_header,
    "honest: 100,000 tensors": tensors,
}  # fmt: skip


def cost(decant, path, most):
    """The processor's seconds, the megabytes, verdict and rules of one scan. Other processes hardly change the seconds."""
    command = [decant, "scan", "--json", "--threads", "1", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        killer = threading.Timer(most, process.kill)
        killer.start()
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        killer.cancel()
    seconds = usage.ru_utime + usage.ru_stime
    try:
        scan = json.loads(output)["files"][0]
        rules = ", ".join(sorted({finding["rule"] for finding in scan["findings"]}))
        verdict = scan["verdict"] + (f": {rules}" if rules else "")
    except (json.JSONDecodeError, KeyError, IndexError):
        verdict = "no answer"
    return seconds, usage.ru_maxrss / 1024, verdict


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("decant", nargs="*")
    parser.add_argument("--only", default="")
    parser.add_argument("--most", type=float, default=60, help="stop a scan after so many seconds")
    parser.add_argument("--make", nargs=2, metavar=("SHAPE", "FILE"))
    options = parser.parse_args()
    if options.make:
        return Path(options.make[1]).write_bytes(SHAPES[options.make[0]]())
    print("| shape | file | " + " | ".join("time | memory | verdict" for _ in options.decant) + " |")
    print("|---|--:|" + "--:|--:|---|" * len(options.decant))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.pt"
        for title in SHAPES:
            if options.only not in title:
                continue
            # In a process of its own: the peak memory of a child includes that of the process which started it.
            subprocess.run([sys.executable, __file__, "--make", title, str(path)], check=True)
            cells = []
            for decant in options.decant:
                seconds, megabytes, verdict = cost(decant, path, options.most)
                cells.append(f"{seconds:.2f} s | {megabytes:.0f} MB | {verdict}")
            print(f"| {title} | {path.stat().st_size / 1e6:.2f} MB | " + " | ".join(cells) + " |", flush=True)
    return None


if __name__ == "__main__":
    main()
