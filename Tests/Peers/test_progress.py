"""What a long conversion shows while it runs: a line on a terminal, nothing in a pipe."""

import os
import pty
import re
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
    assert b"\r\x1b[Kdecant: 1 tensor, 40,0" in seen


def test_a_pipe_is_told_nothing(decant, source):
    process = pour_slowly(decant, source, subprocess.PIPE)
    assert re.fullmatch(rb"decant: 1 tensor, 40,0\d\d,\d+ bytes, \d+\.\d+ m?s: standard output\n", process.stderr.read())
