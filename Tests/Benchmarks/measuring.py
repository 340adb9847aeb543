"""Processes measured from outside, rounds that alternate, and tables in Markdown."""

import os
import re
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Sample:
    """One measured process: milliseconds, and megabytes where they could be measured."""

    milliseconds: float
    megabytes: float | None


class Cell:
    """The rounds of one thing."""

    def __init__(self, samples: list[Sample]):
        self.times = sorted(sample.milliseconds for sample in samples)
        memory = [sample.megabytes for sample in samples if sample.megabytes is not None]
        self.milliseconds = statistics.median(self.times)
        self.megabytes = statistics.median(memory) if memory else None

    @property
    def time(self) -> str:
        return f"{self.milliseconds:.1f} ms ({self.times[0]:.1f}–{self.times[-1]:.1f})"

    @property
    def memory(self) -> str:
        return "not measured" if self.megabytes is None else f"{self.megabytes:.1f} MB"


def interleave(rounds: int, *jobs) -> list[Cell]:
    """Runs each job once a round, in turns, after one round that does not count."""
    samples: list[list[Sample]] = [[] for _ in jobs]
    for index in range(rounds + 1):
        for job, taken in zip(jobs, samples, strict=True):
            sample = job()
            if index > 0:
                taken.append(sample)
    return [Cell(taken) for taken in samples]


class Machine:
    """Starts processes, through the small launcher where a C compiler can build it."""

    def __init__(self, folder: Path, sources: Path):
        self.result = folder / "result"
        self.launcher = self._compiled(sources / "launch.c", folder / "launch")
        self.empty = self._compiled(sources / "empty.c", folder / "empty")
        self.environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONDONTWRITEBYTECODE": "1"}

    @staticmethod
    def _compiled(source: Path, program: Path) -> str | None:
        compiler = next(filter(None, map(shutil.which, ["cc", "clang", "gcc"])), None)
        if not compiler:
            return None
        done = subprocess.run(
            [compiler, "-O2", "-o", program, source], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            print(f"{compiler} does not compile {source.name}: {done.stderr.strip()}\n")
            return None
        return str(program)

    def measure(self, command: list[str], touching: int = 0) -> Sample:
        """Runs a command with its output thrown away, after so many megabytes of memory were touched."""
        return self._run(command, touching=touching)[0]

    def output(self, command: list[str]) -> str:
        """Runs a command for what it prints."""
        return self._run(command, keep=True)[1]

    def median(self, command: list[str]) -> Sample:
        """The last line's `median X ms`, and the process's peak memory."""
        sample, output = self._run(command, keep=True)
        found = re.search(r"median ([0-9.]+) ms\s*$", output)
        if not found:
            raise SystemExit(f"no median at the end of {' '.join(command)}")
        return Sample(float(found[1]), sample.megabytes)

    def _run(self, command: list[str], keep: bool = False, touching: int = 0) -> tuple[Sample, str]:
        prefix = [self.launcher, str(self.result), str(touching)] if self.launcher else []
        start = time.perf_counter_ns()
        done = subprocess.run(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if keep else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
            check=False,
        )
        sample = Sample((time.perf_counter_ns() - start) / 1e6, None)
        status = done.returncode
        if self.launcher and status == 0:
            nanoseconds, kilobytes, status = map(int, self.result.read_text().split())
            sample = Sample(nanoseconds / 1e6, kilobytes * 1024 / 1e6)
        if status != 0:
            raise SystemExit(f"failed: {' '.join(command)}\n{done.stderr}")
        return sample, done.stdout or ""


def table(title: str, columns: list[str], rows: list[list[str]]):
    """Prints a Markdown table under its title."""
    print(f"### {title}\n")
    for cells in [columns, ["---"] * len(columns), *rows]:
        print("| " + " | ".join(cells) + " |")
    print(flush=True)


def ratio(a: Cell, b: Cell, unit: str) -> str:
    factor = a.milliseconds / b.milliseconds
    return f"{factor:.{2 if factor >= 0.1 else 3}f} {unit} ({a.milliseconds:.1f} / {b.milliseconds:.1f} ms)"


def verdict(met: bool) -> str:
    return "met" if met else "missed"
