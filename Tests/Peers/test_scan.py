"""`decant scan` beside picklescan and modelscan on the same files, and on what the pinned PyTorch writes."""

import collections
import io
import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch._weights_only_unpickler as weights_only
from objects import ObjectGenerator

HARMLESS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
}
TORCH = {"torch-zip", "torch-legacy", "torch-tar(0.1)", "torchscript", "safetensors", "npy", "npz"}


def calls(row: dict) -> set[str]:
    """What the manifest says that loading a file calls, beyond what rebuilds tensors."""
    if not row["note"].startswith("calls "):
        return set()
    return set(row["note"][6:].partition("|")[0].strip().split(",")) - HARMLESS


def scans(decant, *paths) -> dict[str, dict]:
    done = decant.attempt("scan", "--json", *paths)
    assert done.status in (0, 1), done.errors
    return {entry["file"]: entry for entry in json.loads(done.output)["files"]}


def other(name: str, paths: list[Path]) -> dict[str, str]:
    """The verdicts of another scanner, in a process of its own: it parses hostile files."""
    pytest.importorskip(name)
    script = Path(__file__).with_name("scanners.py")
    done = subprocess.run(
        [sys.executable, script, name], input="\n".join(map(str, paths)), capture_output=True, text=True,
        check=True, timeout=600,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_counts_beside_other_scanners(decant, corpus, figures):
    paths = [row["file"] for row in corpus.files]
    ours = {path: entry["verdict"] for path, entry in scans(decant, *paths).items()}
    verdicts = {"decant": ours, "picklescan": other("picklescan", paths), "modelscan": other("modelscan", paths)}
    bombs = [row for row in corpus.files if "memory bomb" in row["note"]]
    hostile = [row for row in corpus.files if "HOSTILE" in row["note"] or calls(row)]
    running = [row for row in hostile if row not in bombs and row["container"] != "7z"]
    benign = [row for row in corpus.files if row not in hostile and row["container"] in TORCH]
    for group, rows in [("hostile, runs code", running), ("memory bombs", bombs), ("benign", benign)]:
        for name, said in verdicts.items():
            count = collections.Counter(said[str(row["file"])] for row in rows)
            figures(f"scan: {len(rows)} {group}: {name}: " + ", ".join(f"{count[key]} {key}" for key in sorted(count)))
    assert len(running) >= 80 and len(benign) > 400
    assert {ours[str(row["file"])] for row in running} == {"dangerous"}
    assert "clean" not in {ours[str(row["file"])] for row in hostile}
    assert {ours[str(row["file"])] for row in benign} <= {"clean", "unknown"}
    found = {name: sum(said[str(row["file"])] == "dangerous" for row in running) for name, said in verdicts.items()}
    assert found["decant"] >= max(found["picklescan"], found["modelscan"])


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_saves_is_clean(decant, folder, protocol, legacy):
    """Random objects of tensors and plain values; none is dangerous, and those that the safe loader reads are clean."""
    generator = ObjectGenerator(seed=300 + protocol)
    safe = set()
    for index in range(25):
        path, value = folder / f"{index}.pth", generator.generate()
        torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
        # The safe loader reads protocol 2 only; what it says of the object holds for every protocol.
        plain = io.BytesIO()
        torch.save(value, plain)
        try:
            plain.seek(0)
            torch.load(plain, weights_only=True)
            safe.add(str(path))
        except Exception:  # a type that this loader does not know
            pass
    found = scans(decant, folder)
    assert len(found) == 25 and len(safe) > 5
    for path, entry in found.items():
        assert entry["verdict"] != "dangerous", entry
        if path in safe:
            assert entry["verdict"] == "clean", entry


def test_whole_modules_are_unknown(decant, folder):
    for legacy in [False, True]:
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
        torch.save(network, folder / "module.pth", _use_new_zipfile_serialization=not legacy)
        (entry,) = scans(decant, folder / "module.pth").values()
        assert entry["verdict"] == "unknown", entry
        names = {finding["what"].partition(":")[0] for finding in entry["findings"]}
        assert "torch.nn.modules.conv.Conv2d" in names


def test_distributed_checkpoints_are_not_dangerous(decant, folder):
    import torch.distributed.checkpoint as dcp

    dcp.save({"model": {"a": torch.ones(3), "b": torch.zeros(2, 2)}, "step": 3}, checkpoint_id=folder / "dcp")
    found = scans(decant, folder / "dcp")
    assert len(found) >= 2
    for entry in found.values():
        assert entry["verdict"] in ("clean", "unknown"), entry


# What may be imported from a file that is clean: PyTorch's own list, and how NumPy and CPython spell values.
KNOWN = set(weights_only._get_allowed_globals()) | {
    "builtins.bytes", "builtins.complex", "builtins.dict", "builtins.float", "builtins.frozenset", "builtins.int",
    "builtins.list", "builtins.object", "builtins.range", "builtins.set", "builtins.slice", "builtins.str",
    "builtins.tuple", "collections.defaultdict", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct", "numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar",
    "numpy._core.numeric._frombuffer", "numpy.core.numeric._frombuffer", "numpy.ndarray", "numpy.dtype",
}  # fmt: skip


class Hostile:
    def __init__(self, function, arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def seeds() -> list[bytes]:
    """Pickles of every protocol: plain, of tensors' parts, and hostile in several ways."""
    import numpy
    import os

    values = [
        {"a": [1, 2.5, "text", None, True], "b": (b"bytes", {1, 2}, frozenset([3]))},
        collections.OrderedDict(weight=numpy.arange(6.0).reshape(2, 3), scalar=numpy.float32(2)),
        [torch.float32, torch.Size([1, 2]), collections.Counter("aab"), collections.defaultdict(list, a=[1])],
        [Hostile(os.system, ("true",)), {"a": 1}, "a"],
        {"safe": "torch", "name": "float32", "evil": Hostile(exec, ("pass",)), "again": "torch"},
        [Hostile(getattr, (Hostile, "call")), collections.OrderedDict(a=1)],
    ]
    return [pickle.dumps(value, protocol) for value in values for protocol in range(6)]


def mutated(source: random.Random, pool: list[bytes]) -> bytes:
    """A pickle with a few bytes changed, cut, moved, or taken from another."""
    data = bytearray(source.choice(pool))
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(data) + 1)
        kind = source.randrange(5)
        if kind == 0 and place < len(data):
            data[place] = source.choice(b"\x93\x94\x81\x85\x86\x87R.0122chqjrbs}])(aetui\x8c\x95\x80X" + bytes([data[place] ^ 1]))
        elif kind == 1:
            data[place:place] = source.choice([b"0", b"2", b"(", b"}", b"h\x00", h(source), q(source), b"\x94", b"b", b"R", b"N"])
        elif kind == 2:
            del data[place : place + source.randint(1, 6)]
        elif kind == 3:
            other = source.choice(pool)
            start = source.randrange(len(other))
            data[place:place] = other[start : start + source.randint(1, 40)]
        else:
            end = min(len(data), place + source.randint(1, 20))
            data[place:place] = data[place:end]
    return bytes(data)


def h(source: random.Random) -> bytes:
    return b"h" + bytes([source.randrange(12)])


def q(source: random.Random) -> bytes:
    return b"q" + bytes([source.randrange(12)])


def test_no_mutant_is_clean_that_imports_more(decant, folder, figures):
    """What CPython's unpickler would import from a clean file is known, however the stream was bent."""
    source, pool = random.Random(7), seeds()
    for index in range(6000):
        (folder / f"{index:05}").write_bytes(mutated(source, pool))
    found = scans(decant, folder)
    script = Path(__file__).with_name("tracing.py")
    done = subprocess.run(
        [sys.executable, script], input="\n".join(found), capture_output=True, text=True, check=True, timeout=300
    )
    traced = json.loads(done.stdout)
    verdicts = collections.Counter(entry["verdict"] for entry in found.values())
    figures(f"scan: 6000 mutants of {len(pool)} pickles: {dict(sorted(verdicts.items()))}")
    assert verdicts["clean"] > 40 and verdicts["dangerous"] > 300
    for path, entry in found.items():
        names = {f"{module.replace('__builtin__', 'builtins')}.{name}" for module, name in traced[path]}
        if entry["verdict"] == "clean":
            assert names <= KNOWN | {"builtins.xrange", "builtins.unicode", "builtins.long"}, (path, names)
        # Not getattr: of a literal class and attribute it spells a class inside a class, which is unknown.
        if names & {"os.system", "posix.system", "builtins.exec"}:
            assert entry["verdict"] == "dangerous", (entry, names, Path(path).read_bytes())
