"""What a long conversion shows while it runs: a line on a terminal, nothing in a pipe."""

import os
import pty
import re
import signal
import subprocess
import threading
import time

import numpy
import pytest

SIZE = 40_000_000


@pytest.fixture
def source(folder):
    numpy.savez(folder / "source.npz", x=numpy.zeros(SIZE, numpy.uint8))
    return folder / "source.npz"


def pour_slowly(decant, source, errors) -> subprocess.Popen:
    """Converts into a pipe that is read at twenty megabytes a second for a second and a half, then at once."""
    command = [decant.binary, "convert", source, "-", "--format", "safetensors"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    received, end = 0, time.monotonic() + 1.5
    while time.monotonic() < end:
        received += len(process.stdout.read(1_000_000))
        time.sleep(0.05)
    received += len(process.stdout.read())
    assert process.wait() == 0 and received > SIZE
    return process


def test_a_terminal_is_told_how_far_it_is(decant, source):
    master, terminal = pty.openpty()
    seen = bytearray()

    def watch():
        try:
            while piece := os.read(master, 4096):
                seen.extend(piece)
        except OSError:
            pass  # the terminal is closed

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    pour_slowly(decant, source, terminal)
    os.close(terminal)
    watcher.join(10)
    os.close(master)
    lines = re.findall(rb"\r(\d+) %, (\d+) MB/s, (\d+) s left\x1b\[K", bytes(seen))
    shares = [int(share) for share, _, _ in lines]
    assert len(lines) >= 3 and shares == sorted(shares) and shares[-1] < 100
    # The line is gone before the result is told.
    assert b"\r\x1b[K\x1b[2mdecant: 1 tensor, 40,0" in seen


def test_a_pipe_is_told_nothing(decant, source):
    process = pour_slowly(decant, source, subprocess.PIPE)
    assert re.fullmatch(rb"decant: 1 tensor, 40,0\d\d,\d+ bytes, \d+\.\d+ m?s: standard output\n", process.stderr.read())


def on_a_terminal(*command) -> tuple[int, bytes]:
    """Runs a command on a terminal, and returns its exit code and what the terminal received."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal, stdin=subprocess.DEVNULL)
    os.close(terminal)
    seen = bytearray()
    try:
        while piece := os.read(master, 65536):
            seen.extend(piece)
    except OSError:
        pass  # the terminal is closed
    os.close(master)
    return process.wait(), bytes(seen)


@pytest.fixture
def large(folder):
    """A file of 30 tensors of 100 MB, which takes no room on the disk."""
    size, count = 100_000_000, 30
    entries = [
        f'"{index}": {{"dtype": "F32", "shape": [{size // 4}], "data_offsets": [{index * size}, {(index + 1) * size}]}}'
        for index in range(count)
    ]
    header = ("{" + ", ".join(entries) + "}").encode()
    header += b" " * (-len(header) % 8)
    with open(folder / "large.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size * count)
    return folder / "large.safetensors"


@pytest.mark.parametrize("command", [["inspect", "--stats"], ["inspect", "--digest"], ["diff"]], ids=" ".join)
def test_reading_tells_how_far_it_is(decant, large, command):
    files = [large, large] if command == ["diff"] else [large]
    status, seen = on_a_terminal(decant.binary, *command, *files, "--no-pager")
    lines = re.findall(rb"\r(\d+) %, (\d+) MB/s, (\d+) s left\x1b\[K", seen)
    assert status == 0 and lines
    assert [int(share) for share, _, _ in lines] == sorted(int(share) for share, _, _ in lines)
    # The line is erased before the answer.
    assert b"left" not in seen.rpartition(b"\r\x1b[K")[2]


def test_an_interrupted_run_keeps_what_is_done(decant, folder):
    decant("synthesize", "resnet18", "-o", folder / "r18.pth")
    numpy.save(folder / "x.npy", numpy.zeros((1, 3, 224, 224), numpy.float32))
    inputs = [word for _ in range(500) for word in ("--input", folder / "x.npy")]
    process = subprocess.Popen(
        [decant.binary, "run", folder / "r18.pth", "--quiet", "--output", folder / "y.npy", *inputs],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    first = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate()
    assert process.returncode == -signal.SIGINT and errors == "" and "x.npy image 0:" in first[0]
    run, failed, left = map(int, re.fullmatch(r"(\d+) run, (\d+) failed, (\d+) not run", rest.splitlines()[-1]).groups())
    assert run > 0 and failed == 0 and run + left == 500
    assert numpy.load(folder / "y.npy").shape == (run, 1000)
