"""Runs loading.py in bubblewrap: a read-only root, no network, no capability, and one writable folder."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent


def command(scratch: Path, *arguments) -> list[str]:
    """Returns a command line that runs in the sandbox; only `scratch` and an own /tmp are writable in it."""
    line = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    line += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    # These may lie below /tmp, which the sandbox replaces.
    for needed in {str(HERE), sys.prefix, sys.base_prefix}:
        if needed.startswith("/tmp/"):
            line += ["--ro-bind", needed, needed]
    for name, value in {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LC_ALL": "C.UTF-8"}.items():
        line += ["--setenv", name, value]
    if path := os.environ.get("PYTHONPATH"):
        line += ["--setenv", "PYTHONPATH", path]
    return [*line, "--bind", str(scratch), str(scratch), "--chdir", str(scratch), *map(str, arguments)]


# What bwrap says when the kernel, or the container around it, forbids namespaces.
FORBIDDEN = ("namespace", "Operation not permitted", "Permission denied", "uid map", "Function not implemented")


def refusal(scratch: Path) -> str | None:
    """Returns why the kernel forbids the sandbox, or None. Any other failure is an error."""
    assert shutil.which("bwrap"), "bubblewrap is not installed: run apt-get install bubblewrap"
    done = subprocess.run(command(scratch, "true"), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    reason = done.stderr.strip()
    assert any(word in reason for word in FORBIDDEN), f"bwrap ends with status {done.returncode}: {reason}"
    return reason


def load(scratch: Path, interpreter: str, jobs: list[dict]) -> list[dict]:
    """Runs jobs, in two processes, and returns their results in any order."""
    half = len(jobs) // 2
    parts = [part for part in (jobs[:half], jobs[half:]) if part]
    with ThreadPoolExecutor(2) as pool:
        return [result for part in pool.map(lambda part: _load(scratch, interpreter, part), parts) for result in part]


def _load(scratch: Path, interpreter: str, jobs: list[dict]) -> list[dict]:
    done = subprocess.run(
        command(scratch, interpreter, HERE / "loading.py"), input=json.dumps(jobs), capture_output=True, text=True,
        check=False, timeout=60 + 5 * len(jobs),
    )  # fmt: skip
    assert done.returncode == 0, f"{interpreter}: {done.stderr[-2000:]}"
    return json.loads(done.stdout)
