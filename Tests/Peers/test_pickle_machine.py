"""The pickle machine of `decant scan` against CPython's unpicklers: what does each believe is called?

Random streams of opcodes import and call only `marker.f0` … `marker.f9`, which do nothing but record their names. A
subprocess unpickles each stream with the C unpickler from bytes and from a file object, and with the unpickler in Python.
It imports nothing but markers: `find_class` refuses every other name. Whatever one of them imports or calls, `decant
scan` must report, each name with a call where there was one. PyPy unpickles the same streams when it is installed.

DECANT_FUZZ_SECONDS  how long to look (60)
DECANT_FUZZ_SEED     the seed: a number, or `new` for one that nobody has tried
"""

import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEED = os.environ.get("DECANT_FUZZ_SEED", "20261201")
SECONDS = float(os.environ.get("DECANT_FUZZ_SECONDS", "60"))
BATCH = 100
ROOT = Path(__file__).resolve().parents[2]
# What earlier runs found.
KEPT = sorted((ROOT / "fixtures" / "crashes" / "scan").iterdir())

# Runs in a subprocess, so that a stream which kills its unpickler kills nothing else. Works in CPython 3 and PyPy 3.
READER = r"""
import io, json, pickle, sys, types
sys.setrecursionlimit(2000)
seen = None
class Value:
    # Answers to whatever an unpickler does with an object.
    def __init__(self, *arguments): pass
    def append(self, value): pass
    def extend(self, values): pass
    def add(self, value): pass
    def __setitem__(self, key, value): pass
    def __setstate__(self, state): pass
def make(name):
    class Marker(Value):
        def __new__(cls, *arguments, **keywords):
            seen.add(("call", name))
            return object.__new__(cls)
        def __init__(self, *arguments, **keywords): pass
    return Marker
MARKERS = {"f%d" % i: make("f%d" % i) for i in range(10)}
class Hooks:
    def find_class(self, module, name):
        if module != "marker" or name not in MARKERS: raise pickle.UnpicklingError("not a marker")
        seen.add(("import", name))
        return MARKERS[name]
    def persistent_load(self, pid): return Value()
    def get_extension(self, code): raise pickle.UnpicklingError("no extensions")
class InPython(Hooks, pickle._Unpickler): pass
class InC(Hooks, pickle.Unpickler): pass
class Pipe:
    # A file object without peek and readinto.
    def __init__(self, data): self.file = io.BytesIO(data); self.read = self.file.read; self.readline = self.file.readline
def read(data, make_reader):
    global seen
    seen = set()
    try: make_reader(data).load()
    except RecursionError: pass
    except Exception: pass
    return sorted(seen)
READERS = {
    "in Python": lambda data: InPython(io.BytesIO(data), encoding="latin1", buffers=[bytearray(b"abc")] * 9),
    "from a file": lambda data: InC(io.BytesIO(data), encoding="latin1", buffers=[bytearray(b"abc")] * 9),
    "from a pipe": lambda data: InC(Pipe(data), encoding="bytes", buffers=[bytearray(b"abc")] * 9),
    "buffered": lambda data: InC(io.BufferedReader(io.BytesIO(data), 64), encoding="latin1", buffers=[bytearray(b"abc")] * 9),
}
for line in sys.stdin:
    data = bytes.fromhex(line)
    found = {name: read(data, reader) for name, reader in READERS.items()}
    print(json.dumps(found), flush=True)
"""


class Streams:
    """Makes streams that mostly are understood, so that what follows an odd opcode is reached."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def name(self):
        choose = self.random
        function = f"f{choose.randrange(10)}".encode()
        ways = [
            b"cmarker\n" + function + b"\n",
            b"\x8c\x06marker\x8c" + bytes([len(function)]) + function + b"\x93",
            b"X\x06\x00\x00\x00markerX" + struct.pack("<I", len(function)) + function + b"\x93",
            b"Vmarker\nV" + function + b"\n\x93",
            b"S'marker'\nS'" + function + b"'\n\x93",
        ]
        return choose.choice(ways)

    def call(self):
        choose = self.random
        function = f"f{choose.randrange(10)}".encode()
        ways = [
            self.name() + b")R", self.name() + b")\x81", self.name() + self.value() + b"\x85R", b"(imarker\n" + function + b"\n",
            b"(" + self.name() + self.value() + b"o", self.name() + b")}\x92", self.name() + b"]R", self.name() + b"(lR",
            self.name() + b")" + self.value() + b"0R",
        ]  # fmt: skip
        return choose.choice(ways)

    def digits(self):
        choose = self.random
        number = choose.choice([0, 1, 7, 255, 10**9, 2**63, 2**64 + 5, 10**30])
        ways = [
            f"{number}", f"-{number}", f"0{number}", f"00{number}", f" {number}", f"{number} ", f"+{number}", f"0x{number:x}",
            f"0o{number:o}", f"0b{number:b}", f"{number}L", f"{number}l", f"{number:_}", "", "x", "0_", "9" * 5000,
            f"{number}\0junk", "1" + "0" * 4300, "1e5", f"{number}.5", "inf", "-nan", "1_0.0_1", ".5", "5.", "\t7\x0b", "01", "00",
        ]  # fmt: skip
        return choose.choice(ways).encode()

    def text(self):
        choose = self.random
        return choose.choice([b"", b"a", b"key", b"append", b"\xc3\xa9", b"\xff", b"x" * 300, b"\xed\xa0\x80", b"'", b"1"])

    def counted(self, opcode, form, content):
        length = len(content)
        if self.random.random() < 0.05:
            length = max(0, length + self.random.choice([-1, 1, 5]))
        try:
            return opcode + struct.pack(form, length) + content
        except struct.error:
            return opcode + struct.pack(form, 0)

    def scalar(self):
        choose = self.random
        kind = choose.randrange(22)
        line = choose.choice([b"'a'", b'"b"', b"'a' ", b"'a'\t", b"'", b"a'", b"'\\x41'", b"'\\q'", b"'a'\x80", b"'\\'", b"''"])
        return [
            lambda: choose.choice([b"N", b"\x88", b"\x89", b"]", b"}", b")", b"\x8f", b"\x97"]),
            lambda: b"K" + bytes([choose.randrange(256)]),
            lambda: b"M" + choose.randbytes(2),
            lambda: b"J" + choose.randbytes(4),
            lambda: b"G" + choose.randbytes(8),
            lambda: b"I" + self.digits() + b"\n",
            lambda: b"L" + self.digits() + b"\n",
            lambda: b"F" + self.digits() + b"\n",
            lambda: self.counted(b"\x8a", "<B", choose.randbytes(choose.choice([0, 1, 8, 9, 30]))),
            lambda: self.counted(b"\x8b", "<i", choose.randbytes(choose.choice([0, 1, 8, 9, 30]))),
            lambda: b"S" + line + b"\n",
            lambda: self.counted(b"U", "<B", self.text()[:255]),
            lambda: self.counted(b"T", "<i", self.text()),
            lambda: b"V" + choose.choice([b"a", b"\\u0041", b"\\u12", b"\\U00110000", b"\xe9", b""]) + b"\n",
            lambda: self.counted(b"\x8c", "<B", self.text()[:255]),
            lambda: self.counted(b"X", "<I", self.text()),
            lambda: self.counted(b"\x8d", "<Q", self.text()),
            lambda: self.counted(b"C", "<B", self.text()[:255]),
            lambda: self.counted(b"B", "<I", self.text()),
            lambda: self.counted(b"\x8e", "<Q", self.text()),
            lambda: self.counted(b"\x96", "<Q", self.text()),
            lambda: b"P" + choose.choice([b"1", b"id", b"\xff", b""]) + b"\n",
        ][kind]()

    def value(self, depth=0):
        choose = self.random
        roll = choose.random()
        if depth > 3 or roll < 0.55:
            return self.scalar()
        if roll < 0.65:
            return self.call() if depth < 2 else self.name()
        if roll < 0.7:
            return self.name()
        inner = b"".join(self.value(depth + 1) for _ in range(choose.randrange(4)))
        return choose.choice([b"(" + inner + b"t", b"(" + inner + b"l", b"(" + inner + b"d", b"(" + inner + b"\x91"])

    def change(self):
        """A value that is changed in a way of any opcode."""
        choose = self.random
        target = choose.choice([
            b"]", b"}", b"\x8f", b")", b"\x96\x03\x00\x00\x00\x00\x00\x00\x00abc", b"\x97", b"C\x03abc", self.call(), self.name(),
            b"(K\x01K\x02l", self.value(),
        ])  # fmt: skip
        key = choose.choice([b"K\x00", b"K\x01", b"J\xff\xff\xff\xff", b"K\x09", b"\x88", b"X\x01\x00\x00\x00a", self.value()])
        value = choose.choice([b"K\x07", b"K\xff", b"M\x00\x01", b"\x89", self.value()])
        many = b"".join(choose.choice([key, value]) for _ in range(choose.randrange(5)))
        ways = [
            value + b"a", b"(" + many + b"e", key + value + b"s", b"(" + many + b"u", b"(" + many + b"\x90", value + b"b", b"Nb",
            b"\x98", b"(N\x86b", value + b"}\x86b", b"\x98" + value + b"a",
        ]  # fmt: skip
        return target + choose.choice(ways)

    def memo(self):
        choose = self.random
        index = choose.choice([b"0", b"1", b"300", b"-1", b"a", b"007", b" 1", b"1_0", b"9" * 30, b"1\0x", b""])
        puts = [b"p" + index + b"\n", b"q" + bytes([choose.randrange(4)]), b"r" + struct.pack("<I", choose.randrange(600)), b"\x94"]
        gets = [b"g" + index + b"\n", b"h" + bytes([choose.randrange(4)]), b"j" + struct.pack("<I", choose.randrange(600))]
        return self.value() + choose.choice(puts) + choose.choice([b"", b"0" + choose.choice(gets)])

    def odd(self):
        choose = self.random
        return choose.choice([
            b"\x80" + bytes([choose.choice([0, 2, 4, 5, 6, 77])]), b"(0", b"(1", b"0", b"2", b"(K\x010" + b"0", b"a", b"(N1", b"\x98",
            b"Q", b"\x82\x01", b"(", b"t", b"\x85", bytes([choose.randrange(256)]), b"(u", b"(e", b"(\x90", b".",
        ])  # fmt: skip

    def frames(self, body):
        """Puts FRAME opcodes around parts, some of them with a wrong length."""
        choose = self.random
        start = choose.randrange(len(body) + 1)
        length = choose.randrange(len(body) - start + 1)
        if choose.random() < 0.15:
            length += choose.randrange(20)
        return body[:start] + b"\x95" + struct.pack("<Q", length) + body[start:]

    def stream(self):
        choose = self.random
        parts = []
        for _ in range(choose.randrange(1, 9)):
            part = choose.choices([self.value, self.change, self.memo, self.call, self.odd], [3, 4, 2, 3, 1])[0]()
            parts.append(part + choose.choice([b"", b"", b"0"]))
        if choose.random() < 0.15:  # below a mark
            parts.insert(choose.randrange(len(parts) + 1), self.name() + b")(R")
        body = b"".join(parts)
        while choose.random() < 0.3:
            body = self.frames(body)
        if choose.random() < 0.1:
            cut = choose.randrange(len(body) + 1)
            body = body[:cut] + choose.randbytes(choose.randrange(3)) + body[cut:]
        return b"\x80\x04" + body + choose.choice([b".", b".", b".", b"", b"N."])


def believed(scan) -> set:
    """The markers that a scan says are imported and called. An import is also reported by its call."""
    found = set()
    for finding in scan["findings"]:
        text = finding["what"] + " " + (finding["call"] or "")
        for name in (f"f{i}" for i in range(10)):
            if f"marker.{name}" in text or f"import {name}" in text:
                found.add(("import", name))
            # An object that is made is written as a call of its class.
            if f"marker.{name}(" in text or f"marker.{name}.__new__(" in text:
                found.add(("call", name))
    return found


class Reader:
    """A process that unpickles streams and says what they imported and called."""

    def __init__(self, interpreter):
        self.interpreter = interpreter
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.interpreter, "-I", "-B", "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __call__(self, data) -> dict:
        try:
            self.process.stdin.write(data.hex().encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:  # the stream killed the unpickler
            self.process.wait()
            self.start()
            return {}
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def differences(decant, readers, streams, folder) -> list:
    """The streams of which an unpickler imports or calls what the scan does not say, and those called clean."""
    files = []
    for number, data in enumerate(streams):
        path = folder / f"{number}.pkl"
        path.write_bytes(data)
        files.append(path)
    scans = json.loads(decant.attempt("scan", "--json", "--threads", "2", folder).output)["files"]
    verdicts = {Path(scan["file"]).name: scan for scan in scans}
    wrong = []
    for path, data in zip(files, streams):
        scan = verdicts[path.name]
        ours = believed(scan)
        crosses = any(finding["rule"] == "frame-crossed" for finding in scan["findings"])
        for interpreter, reader in readers.items():
            for way, seen in reader(data).items():
                theirs = set(map(tuple, seen))
                # How a buffered file reads frames depends on its buffer: any mixture of the readings that are judged.
                if not theirs <= ours and not (crosses and way == "buffered"):
                    wrong.append((data, f"{interpreter} {way}: {sorted(theirs - ours)} beyond {scan}"))
                elif theirs and scan["verdict"] in ("clean", "unreadable"):
                    wrong.append((data, f"{interpreter} {way}: {scan['verdict']}"))
        path.unlink()
    return wrong


def test_what_is_called(decant, figures):
    seed = random.SystemRandom().randrange(10**9) if SEED == "new" else int(SEED)
    print(f"DECANT_FUZZ_SEED={seed}")
    interpreters = {"CPython": sys.executable} | ({"PyPy": shutil.which("pypy3")} if shutil.which("pypy3") else {})
    readers = {name: Reader(path) for name, path in interpreters.items()}
    made = Streams(seed)
    started = time.monotonic()
    count = 0
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        while time.monotonic() - started < SECONDS and len(wrong) < 10:
            streams = [made.stream() for _ in range(BATCH)]
            wrong += differences(decant, readers, streams, Path(scratch))
            count += len(streams)
    for reader in readers.values():
        reader.close()
    found = ROOT / ".build" / "fuzz" / "found"
    for data, _ in wrong:
        found.mkdir(parents=True, exist_ok=True)
        (found / f"machine-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
    assert not wrong, f"seed {seed}, kept in {found}\n" + "\n".join(f"{data!r}\n  {why}" for data, why in wrong)
    assert count
    figures(f"the pickle machine agreed with {' and '.join(readers)} on {count} streams, seed {seed}")


def test_what_was_found(decant, tmp_path):
    reader = Reader(sys.executable)
    streams = [path.read_bytes() for path in KEPT]
    assert streams
    assert not differences(decant, {"CPython": reader}, streams, tmp_path)
    reader.close()


def test_markers_are_called(decant, tmp_path):
    """The comparison itself: a call is seen by both sides, and a scan that missed it would fail."""
    reader = Reader(sys.executable)
    data = b"\x80\x04cmarker\nf3\n)R."
    (tmp_path / "a.pkl").write_bytes(data)
    assert all(["call", "f3"] in seen for seen in reader(data).values())
    assert not differences(decant, {"CPython": reader}, [data], tmp_path)
    assert believed({"findings": []}) == set()
    reader.close()
