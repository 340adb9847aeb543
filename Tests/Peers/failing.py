"""Runs `decant convert` where something goes wrong, and says what is left in the folder afterwards."""

import errno
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tool import Decant, Finished

SOURCE = Path(__file__).with_name("faults.c")


def compiled(folder: Path) -> Path:
    """The library that lets system calls fail."""
    compiler = next(filter(None, map(shutil.which, ["cc", "gcc", "clang"])), None)
    if not compiler:
        pytest.skip("there is no C compiler, so no system call can be made to fail")
    library = folder / "faults.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def contents(folder: Path) -> dict[str, object]:
    """Every entry below a folder: bytes of files, targets of links, kinds of others."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder" if path.is_dir() else "special"
    return found


class Failing:
    """`decant convert` under the library of faults."""

    def __init__(self, decant: Decant, library: Path):
        self.decant = decant
        self.library = library

    def environment(self, fault: str | None, lasts: bool = False, nameless: bool = True) -> dict[str, str]:
        environment = {**os.environ, "LD_PRELOAD": str(self.library)}
        if fault:
            environment["FAULT"] = fault
        if lasts:
            environment["FAULT_LASTS"] = "1"
        if not nameless:
            environment["NO_TMPFILE"] = "1"
        return environment

    def __call__(self, fault: str | None, *arguments, lasts=False, nameless=True, **options) -> Finished:
        """Converts while a system call fails: `"pwrite:2:28"`."""
        done = subprocess.run(
            [self.decant.binary, "convert", *map(str, arguments)], capture_output=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL, env=self.environment(fault, lasts, nameless), **options,
        )  # fmt: skip
        finished = Finished(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8"))
        assert finished.status >= 0, f"killed by signal {-finished.status}: {fault} {arguments}\n{finished.errors}"
        return finished

    def stopped(self, fault: str, *arguments, nameless=True, **options) -> "Stopped | None":
        """Converts until it stops at a system call: `"rename:1:before"`; None when it ended without."""
        process = subprocess.Popen(
            [self.decant.binary, "convert", *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.environment(fault, nameless=nameless),
            **options,
        )  # fmt: skip
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return Stopped(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        assert process.returncode == 0, f"{fault}: {process.returncode}"
        return None


class Stopped:
    """A conversion that waits in the middle of a system call."""

    def __init__(self, process: subprocess.Popen):
        self.process = process

    def end(self, *signals: signal.Signals) -> Finished:
        """Sends signals, lets it go on and waits for its end; the status is negative for death by a signal."""
        for number in signals:
            self.process.send_signal(number)
        self.process.send_signal(signal.SIGCONT)
        _, errors = self.process.communicate(timeout=60)
        return Finished(self.process.returncode, "", errors.decode("utf-8"))


CAUSES = {
    errno.ENOSPC: "No space left on device",
    errno.EIO: "Input/output error",
    errno.EDQUOT: "Disk quota exceeded",
    errno.EFBIG: "File too large",
    errno.EROFS: "Read-only file system",
    errno.EACCES: "Permission denied",
}
