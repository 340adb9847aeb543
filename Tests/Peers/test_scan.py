"""`decant scan` beside picklescan and modelscan on the same files, and on what the pinned PyTorch writes."""

import collections
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
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
