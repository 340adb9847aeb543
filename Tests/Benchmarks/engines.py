"""Inference beside what PyPI has: speed with the weights loaded, cold start, and memory.

Contenders of a network take turns. A peer is a process that has loaded its weights and is stopped (SIGSTOP) while it is
not its turn, so that none spins while another is measured; in its turn it waits as it does by default. Decant's turn
is a process too, whose runs are timed after its weights are loaded. All must give the same logits before any is timed.
"""

import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from measuring import Cell, Sample, interleave, ratio, table, verdict

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "fixtures"))

import synthesis  # noqa: E402

THREADS = "2"
NOISE = 1.03
SAME = 1e-4
NODOWN = "resnet50nodown"
NETWORKS = ["resnet18", "resnet50", "resnet101", "resnext50_32x4d", NODOWN]
OURS = {
    "reference": ["--engine", "reference"],
    "exact": ["--engine", "onednn", "--numerics", "exact"],
    "fast": ["--engine", "onednn", "--numerics", "fast"],
}
PEERS = {
    "eager": "PyTorch eager",
    "frozen": "PyTorch frozen",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
}
TITLES = {name: f"decant, {name}" for name in OURS} | PEERS


class Ours:
    """`decant run` with one engine: a process for each round."""

    def __init__(self, machine, command: list[str]):
        self.machine = machine
        self.command = command

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def logits(self, path: Path) -> np.ndarray:
        self.machine.output([*self.command, "--output", str(path)])
        return np.load(path)

    def round(self, repeat: int) -> Sample:
        # Of one run no median is printed, and a process's first run is its slowest.
        return self.machine.median([*self.command, "--repeat", str(max(repeat, 3))])


class Served:
    """A peer's process, which runs only while it is asked something."""

    def __init__(self, machine, command: list[str]):
        self.command = command
        self.environment = machine.environment

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment
        )
        return self

    def __exit__(self, *_):
        # One that is stopped is killed just as well.
        self.process.kill()
        self.process.communicate()

    def ask(self, line: str) -> str:
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise SystemExit(f"failed: {' '.join(self.command)}")
        self.process.send_signal(signal.SIGSTOP)
        return answer

    def logits(self, path: Path) -> np.ndarray:
        self.ask(f"logits {path}")
        return np.load(path)

    def round(self, repeat: int) -> Sample:
        return Sample(float(self.ask(f"run {repeat}").split()[1]), self._peak())

    def _peak(self) -> float | None:
        """The process's peak memory in megabytes, where the system tells it."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        except OSError:
            return None
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM:"))


@dataclass
class Row:
    """What a network cost everyone on one input."""

    network: str
    batch: int
    side: int
    cells: dict[str, Cell]

    @property
    def name(self) -> list[str]:
        return [self.network, f"{self.batch}×3×{self.side}×{self.side}"]

    def factor(self, ours: str, theirs: str) -> float:
        return self.cells[ours].milliseconds / self.cells[theirs].milliseconds

    def aims(self) -> str:
        """The aims for this row, each with what became of it."""
        said = [
            self._aim("exact", "onnxruntime", 0.95 if self.network == "resnet50" else 1.0),
            self._aim("exact", "eager", 0.7),
        ]
        if self.network == NODOWN or (self.network == "resnet50" and self.batch == 8):
            said.append(self._aim("fast", "onnxruntime", 0.8, better=0.75))
        elif self.network == "resnet50":
            said.append(self._aim("fast", "onnxruntime", 0.88, better=0.8))
        if self.network == "resnet50" and self.batch == 1:
            said.append(self._aim("reference", "eager", 1.2))
        return "; ".join(said)

    def _aim(self, ours: str, theirs: str, most: float, better: float | None = None) -> str:
        factor = self.factor(ours, theirs)
        said = f"{ours} ≤ {most} × {PEERS[theirs]}: {verdict(factor <= most * NOISE)}"
        return said if better is None else f"{said} (≤ {better} ×: {verdict(factor <= better * NOISE)})"


class Engines:
    """The measurements; `bench` has the tool, the files and the machine."""

    def __init__(self, bench, networks: list[str]):
        self.bench = bench
        self.networks = networks
        self.models: dict[str, str] = {}

    def tables(self):
        batches = {network: [1] if network == NODOWN else [1, 8] for network in self.networks}
        inputs = [(network, batch, 224) for network in self.networks for batch in batches[network]]
        if NODOWN in self.networks and not self.bench.quick:
            inputs.append((NODOWN, 1, 1024))
        rows = []
        for shape in inputs:
            rows.append(self.row(*shape))
            # Tables come at the end; a run of half an hour says where it is.
            medians = (f"{name} {cell.milliseconds:.1f}" for name, cell in rows[-1].cells.items())
            print(*rows[-1].name, "ms:", ", ".join(medians), file=sys.stderr, flush=True)
        self.print_times(rows)
        self.print_ratios(rows)
        self.print_memory(rows)
        self.print_cold()

    def row(self, network: str, batch: int, side: int) -> Row:
        contenders = self.contenders(network, self.image(batch, side))
        if side > 224:
            # Gigabytes and most of a minute each: one at a time, one run after the one that shows the logits.
            answers, cells = {}, {}
            for name, contender in contenders.items():
                with contender:
                    answers[name] = contender.logits(self.bench.folder / "logits.npy")
                    cells[name] = Cell([contender.round(1)])
            self.compare(network, answers)
            return Row(network, batch, side, cells)
        with ExitStack() as stack:
            for contender in contenders.values():
                stack.enter_context(contender)
            self.compare(network, {name: contender.logits(self.bench.folder / "logits.npy")
                                   for name, contender in contenders.items()})  # fmt: skip
            repeat = 3 if self.bench.quick else 5
            jobs = [partial(contender.round, repeat) for contender in contenders.values()]
            cells = interleave(self.bench.rounds(5), *jobs)
        return Row(network, batch, side, dict(zip(contenders, cells, strict=True)))

    def contenders(self, network: str, image: str) -> dict[str, Ours | Served]:
        machine, file, model = self.bench.machine, self.bench.file(network), self.model(network)
        ours = {name: Ours(machine, self.command(network, image, name)) for name in OURS}
        for name in PEERS:
            read = file if name in ("eager", "frozen") else model
            command = [sys.executable, str(HERE / "serving.py"), name, read, network, image, THREADS]
            ours[name] = Served(machine, command)
        return ours

    def command(self, network: str, image: str, engine: str) -> list[str]:
        file = self.bench.file(network)
        arguments = ["--arch", network, "--input", image, "--threads", THREADS, *OURS[engine]]
        return [self.bench.decant, "run", file, *arguments]

    def image(self, batch: int, side: int) -> str:
        path = self.bench.folder / f"{batch}x{side}.npy"
        if not path.exists():
            np.save(path, synthesis.image(7, 0, batch, 3, side, side))
        return str(path)

    def model(self, network: str) -> str:
        """The network as ONNX, normalizations folded."""
        if network not in self.models:
            path = str(self.bench.folder / f"{network}.onnx")
            self.bench.machine.measure(
                [self.bench.decant, "convert", self.bench.file(network), path, "--arch", network, "--fold-bn"]
            )
            self.models[network] = path
        return self.models[network]

    @staticmethod
    def compare(network: str, answers: dict[str, np.ndarray]):
        """Requires that everyone computed the same network."""
        expected = answers["eager"]
        for name, logits in answers.items():
            if logits.shape != expected.shape:
                raise SystemExit(f"{network}: {TITLES[name]} gives {logits.shape}, PyTorch {expected.shape}")
            difference = float(np.abs(logits - expected).max() / np.abs(expected).max())
            if not difference <= SAME:
                raise SystemExit(
                    f"{network}: {TITLES[name]} differs from PyTorch by {difference:.1e} of the largest logit"
                )

    def print_times(self, rows: list[Row]):
        table(f"Inference, float32, {THREADS} threads, weights loaded, median of rounds that are medians",
              ["network", "input", *TITLES.values()],
              [[*row.name, *(row.cells[name].time for name in TITLES)] for row in rows])  # fmt: skip

    def print_ratios(self, rows: list[Row]):
        pairs = [("exact", peer) for peer in PEERS] + [("fast", peer) for peer in PEERS] + [("reference", "eager")]
        table("The same, decant's time as a part of the peers' (the aims allow 3 % for noise)",
              ["network", "input", *(f"{ours} / {PEERS[theirs]}" for ours, theirs in pairs), "aims"],
              [[*row.name, *(f"{row.factor(*pair):.2f}" for pair in pairs), row.aims()] for row in rows])  # fmt: skip

    def print_memory(self, rows: list[Row]):
        """Peak memory of the processes that were timed."""

        def aim(row: Row) -> str:
            theirs = row.cells["eager"].megabytes
            mine = {name: row.cells[name].megabytes for name in OURS}
            if (row.network, row.side) != (NODOWN, 1024) or theirs is None or None in mine.values():
                return ""
            said = (f"{name} {mine[name] / theirs:.2f} ×: {verdict(mine[name] <= theirs / 4)}" for name in OURS)
            return "≤ 1/4 of PyTorch eager's: " + "; ".join(said)

        table("Peak memory of the same processes", ["network", "input", *TITLES.values(), "aim"],
              [[*row.name, *(row.cells[name].memory for name in TITLES), aim(row)] for row in rows])  # fmt: skip

    def print_cold(self):
        """From the start of a process to logits, nothing loaded but the page cache."""
        machine, image, rows = self.bench.machine, self.image(1, 224), []
        for network in self.networks:
            if network not in ("resnet18", "resnet50", NODOWN):
                continue
            file = self.bench.file(network)
            python = self.bench.peer("run", file, network, image, THREADS, 1)
            commands = [self.command(network, image, name) for name in OURS] + [python]
            *ours, theirs = interleave(self.bench.rounds(5), *(partial(machine.measure, c) for c in commands))
            for name, cell in zip(OURS, ours, strict=True):
                times = theirs.milliseconds / cell.milliseconds
                rows.append([network, TITLES[name], cell.time, cell.memory, theirs.time, theirs.memory,
                             ratio(cell, theirs, "×"), f"Python ≥ 8 ×: {verdict(times >= 8)}"])  # fmt: skip
        table("Cold start: process start to logits, 1×3×224×224, whole process",
              ["network", "engine", "time", "peak memory", "PyTorch eager", "peak memory", "ratio", "aim"],
              rows)  # fmt: skip
