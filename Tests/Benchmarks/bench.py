"""Measures the built tool beside what users have today, in one run; prints the tables of docs/BENCHMARKS.md.

    python Tests/Benchmarks/bench.py DECANT [--quick] [--only start,sizes,convert,engines,scan,other]
                                     [--networks resnet18,resnet50]

Python is the interpreter that runs this file, with the peers of Tests/Peers/requirements.txt. Things compared
are measured in turns (A B A B), so that both see the same machine; a figure is the median of its rounds, with
the fastest and the slowest behind it. Peak memory is the process's own (launch.c). Threads wait as each library waits
by default, which is by spinning: on a machine that does anything else, inference is not measured but drowned.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from engines import NETWORKS, Engines
from measuring import Machine, interleave, ratio, table, verdict

sys.path.append(str(Path(__file__).resolve().parent.parent / "Peers"))
import expensive  # noqa: E402

HERE = Path(__file__).resolve().parent


class Bench:
    """The measurements, each a method that prints its table."""

    def __init__(self, decant: Path, folder: Path, quick: bool, networks: list[str]):
        self.decant = str(decant)
        self.folder = folder
        self.machine = Machine(folder, HERE)
        self.quick = quick
        self.networks = networks
        self.shorten = 3 if quick else 1
        self.files = {}

    def rounds(self, count: int) -> int:
        return max(2, count // self.shorten)

    def peer(self, *arguments) -> list[str]:
        return [sys.executable, str(HERE / "peer.py"), *map(str, arguments)]

    def file(self, architecture: str) -> str:
        """A synthesised checkpoint, made once and read once, so that the page cache holds it."""
        if architecture not in self.files:
            path = str(self.folder / f"{architecture}.pth")
            self.machine.measure([self.decant, "synthesize", architecture, "--seed", "7", "-o", path])
            os.sync()
            Path(path).read_bytes()
            self.files[architecture] = path
        return self.files[architecture]

    def start(self):
        """Process start and the listing of a large file."""
        file = self.file("resnet50nodown")
        rows = []
        if self.machine.empty:
            empty, inspect = interleave(
                self.rounds(41),
                lambda: self.machine.measure([self.machine.empty]),
                lambda: self.machine.measure([self.decant, "inspect", file]),
            )
            above = inspect.milliseconds - empty.milliseconds
            rows.append(["empty C program", empty.time, empty.memory, "", ""])
            difference = f"{above:.1f} ms above the empty program"
            aim = f"≤ 20 ms above, < 25 MB: {verdict(above <= 20 and inspect.megabytes < 25)}"
            rows.append(["`decant inspect`", inspect.time, inspect.memory, difference, aim])
        else:
            print(
                "No C compiler (cc, clang, gcc) is here: neither the empty program nor memory is measured.\n"
            )
            (inspect,) = interleave(
                self.rounds(41), lambda: self.machine.measure([self.decant, "inspect", file])
            )
            rows.append(["`decant inspect`", inspect.time, inspect.memory, "", ""])
        (python,) = interleave(self.rounds(5), lambda: self.machine.measure(self.peer("list", file)))
        rows.append(["Python: torch.load, print", python.time, python.memory,
                     ratio(inspect, python, "of Python's time"), ""])  # fmt: skip
        table("Listing a 94 MB checkpoint (320 tensors), whole process",
              ["work", "time", "peak memory", "ratio", "aim"], rows)  # fmt: skip

    def sizes(self):
        """Listings of many tensors, and of large ones: what a listing costs must follow the first only."""
        many, large, small = (str(self.folder / name) for name in ("many.pth", "large.pth", "small.pth"))
        for path, tensors, elements in [(many, 100_000, 4), (large, 100, 26_843_546), (small, 100, 26_214)]:
            self.machine.output(self.peer("save", path, tensors, elements))
        listing, python = interleave(
            self.rounds(7),
            lambda: self.machine.measure([self.decant, "inspect", many]),
            lambda: self.machine.measure(self.peer("list", many)),
        )
        ten, thousandth = interleave(
            self.rounds(41),
            lambda: self.machine.measure([self.decant, "inspect", large]),
            lambda: self.machine.measure([self.decant, "inspect", small]),
        )
        factor = ten.milliseconds / thousandth.milliseconds
        table("Listing many tensors, and large ones, whole process", ["work", "time", "peak memory", "ratio", "aim"], [
            ["`decant inspect` of 100,000 tensors", listing.time, listing.memory, "",
             f"< 1 s: {verdict(listing.milliseconds < 1000)}"],
            ["Python: torch.load, print", python.time, python.memory, ratio(listing, python, "of Python's time"), ""],
            ["`decant inspect` of 10 GB (100 tensors, a sparse file)", ten.time, ten.memory,
             ratio(ten, thousandth, "× that of 10 MB"), f"as fast as of 10 MB: {verdict(factor <= 1.1)}"],
            ["`decant inspect` of 10 MB (100 tensors)", thousandth.time, thousandth.memory, "", ""],
        ])  # fmt: skip

    def fresh(self, name: str, command: list[str], touching: int = 200):
        """Runs a command that writes a file, given last, under a name that does not exist."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        os.sync()  # what the round before wrote is not this round's to wait for
        return self.machine.measure([*command, str(path)], touching)

    def convert(self):
        """Conversion to names that do not exist, beside cp."""
        file = self.file("resnet50")
        targets = ["safetensors", "npz", "gguf", "pth"]
        *ours, half, copy = interleave(
            self.rounds(31),
            *(lambda to=to: self.fresh(f"a.{to}", [self.decant, "convert", file]) for to in targets),
            lambda: self.fresh("h.safetensors", [self.decant, "convert", "--dtype", "float16", file]),
            lambda: self.fresh("b.pth", ["cp", file]),
        )
        python, python_half = interleave(
            self.rounds(5),
            lambda: self.fresh("c.safetensors", self.peer("convert", file)),
            lambda: self.fresh("d.safetensors", self.peer("halve", file)),
        )
        first = ours[0]
        times = python.milliseconds / first.milliseconds
        fits = first.milliseconds <= 1.1 * copy.milliseconds and (first.megabytes or 0) <= 40 and times >= 10
        columns = ["work", "time", "peak memory", "ratio", "aim"]
        table("102 MB .pth (ResNet-50) to a new file, whole process", columns, [
            ["`decant convert` to .safetensors", first.time, first.memory, ratio(first, copy, "× `cp`"),
             f"≤ 1.1 × `cp`, ≤ 40 MB, Python ≥ 10 ×: {verdict(fits)}"],
            *[[f"to .{to}", cell.time, cell.memory, ratio(cell, copy, "× `cp`"), ""]
              for to, cell in zip(targets[1:], ours[1:], strict=True)],
            ["to .safetensors, `--dtype float16`", half.time, half.memory, ratio(half, copy, "× `cp`"),
             "no slower than the copy: " + verdict(half.milliseconds <= 1.1 * copy.milliseconds)],
            ["`cp`", copy.time, copy.memory, "", ""],
            ["Python: torch.load, save_file", python.time, python.memory, f"{times:.1f} × `decant`'s time", ""],
            ["Python: the same in float16", python_half.time, python_half.memory,
             f"{python_half.milliseconds / half.milliseconds:.1f} × `decant`'s time", ""],
        ])  # fmt: skip
        self.convert_large()

    def convert_large(self):
        """4.2 GB in a thousand tensors, and a hundred thousand small ones."""
        large, many = str(self.folder / "random.pth"), str(self.folder / "many-random.pth")
        self.machine.output(self.peer("random", large, 1_000, 1_050_000))
        self.machine.output(self.peer("random", many, 100_000, 16))
        Path(large).read_bytes()
        ours, copy, mapped = interleave(
            self.rounds(5),
            lambda: self.fresh("a.safetensors", [self.decant, "convert", large], touching=5_000),
            lambda: self.fresh("b.pth", ["cp", large], touching=5_000),
            lambda: self.fresh("c.safetensors", self.peer("map", large), touching=5_000),
        )
        small, python = interleave(
            self.rounds(5),
            lambda: self.fresh("a.safetensors", [self.decant, "convert", many]),
            lambda: self.fresh("c.safetensors", self.peer("convert", many)),
        )
        for name in ["a.safetensors", "b.pth", "c.safetensors", "random.pth", "many-random.pth"]:
            (self.folder / name).unlink(missing_ok=True)
        times = mapped.milliseconds / ours.milliseconds
        fits = ours.milliseconds <= 1.1 * copy.milliseconds and (ours.megabytes or 0) <= 40 and times >= 1.5
        table("Many bytes and many tensors, .pth to a new .safetensors, whole process",
              ["work", "time", "peak memory", "ratio", "aim"], [
            ["`decant convert` of 4.2 GB", ours.time, ours.memory, ratio(ours, copy, "× `cp`"),
             f"≤ 1.1 × `cp`, ≤ 40 MB, Python ≥ 1.5 ×: {verdict(fits)}"],
            ["`cp`", copy.time, copy.memory, "", ""],
            ["Python: torch.load(mmap=True), save_file", mapped.time, mapped.memory, f"{times:.1f} × `decant`'s time", ""],
            ["`decant convert` of 100,000 tensors", small.time, small.memory, ratio(small, python, "of Python's time"),
             f"< 2 s: {verdict(small.milliseconds < 2000)}"],
            ["Python: torch.load, save_file", python.time, python.memory, "", ""],
        ])  # fmt: skip

    def engines(self):
        """Inference by every engine beside the peers."""
        Engines(self, self.networks).tables()

    def scan(self):
        """A folder of a thousand checkpoints, beside picklescan and beside only reading the files."""
        folder = self.folder / "thousand"
        self.machine.output(self.peer("thousand", folder))
        for path in folder.iterdir():
            path.read_bytes()
        files = sorted(str(path) for path in folder.iterdir())
        size = sum(os.path.getsize(path) for path in files)
        # cat opens every file and reads all of it, and does nothing else.
        ours, reading = interleave(
            self.rounds(15),
            lambda: self.machine.measure([self.decant, "scan", str(folder)]),
            lambda: self.machine.measure(["cat", *files]),
        )
        rows = [["`decant scan`", ours.time, ours.memory, ratio(ours, reading, "× reading"),
                 f"≤ 3 × reading: {verdict(ours.milliseconds <= 3 * reading.milliseconds)}"],
                ["`cat`: open and read", reading.time, reading.memory, "", ""]]  # fmt: skip
        (theirs,) = interleave(self.rounds(3), lambda: self.machine.measure(self.peer("picklescan", folder)))
        factor = theirs.milliseconds / ours.milliseconds
        rows.append(["picklescan, whole process", theirs.time, theirs.memory,
                     f"{factor:.0f} × `decant`'s time", f"≥ 5 ×: {verdict(factor >= 5)}"])  # fmt: skip
        table(f"Scanning a folder of 1,000 checkpoints, {size / 1e6:.0f} MB, whole process",
              ["work", "time", "peak memory", "ratio", "aim"], rows)  # fmt: skip

    def other(self):
        """Whole jobs from process start."""
        rows = []
        file = self.file("resnet50nodown")
        ours, theirs = interleave(
            self.rounds(5),
            lambda: self.machine.measure([self.decant, "verify", file, "--arch", "resnet50nodown"]),
            lambda: self.machine.measure(self.peer("verify", file, "resnet50nodown")),
        )
        figures = [ours.time, ours.memory, theirs.time, theirs.memory, ratio(ours, theirs, "×")]
        rows.append(["verify 94 MB: names, shapes, finite", *figures])

        def synthesize():
            path = self.folder / "synthesized.pth"
            path.unlink(missing_ok=True)
            os.sync()
            return self.machine.measure([self.decant, "synthesize", "resnet50nodown", "-o", str(path)])

        (made,) = interleave(self.rounds(7), synthesize)
        rows.append(["synthesize 94 MB", made.time, made.memory, "", "", ""])
        table("Whole processes", ["work", "decant", "peak memory", "Python", "peak memory", "ratio"], rows)

    def hostile(self):
        """Files that are meant to cost a scanner seconds or gigabytes (Tests/Peers/expensive.py)."""
        rows = []
        path = self.folder / "hostile.pt"
        for title in expensive.SHAPES:
            subprocess.run([sys.executable, expensive.__file__, "--make", title, str(path)], check=True)
            size = path.stat().st_size / 1e6
            costs = [expensive.cost(self.decant, path, 60) for _ in range(self.rounds(3))]
            seconds, megabytes, verdict = sorted(costs)[len(costs) // 2]
            rows.append([title, f"{size:.2f} MB", f"{seconds:.2f} s", f"{megabytes:.0f} MB", verdict])
            path.unlink()
        table("Scanning files that are meant to cost much, one thread", ["shape", "file", "processor time", "peak memory", "verdict"], rows)


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("decant", type=Path)
    parser.add_argument("--quick", action="store_true", help="a third of the rounds")
    everything = "start,sizes,convert,engines,scan,hostile,other"
    parser.add_argument("--only", default=everything, help="which tables, separated by commas")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="what `engines` runs, separated by commas")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that folders and peers go too
    decant = options.decant.resolve()
    if not os.access(decant, os.X_OK):
        parser.error(f"there is no tool at {decant}: run make build")
    peers = ", ".join(f"{name} {version(name)}" for name in ["torch", "safetensors", "onnxruntime", "openvino"])
    system = f"{platform.system()} {platform.release()}"
    print(f"{processor()}, {len(os.sched_getaffinity(0))} processors, {system}; ", end="")
    print(f"{peers}, Python {platform.python_version()}; load before: {os.getloadavg()[0]:.1f}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="decant-bench-") as folder:
        bench = Bench(decant, Path(folder), options.quick, options.networks.split(","))
        for name in options.only.split(","):
            getattr(bench, name)()
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
