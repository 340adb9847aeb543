"""Files that each of several processes saved with torch.save, joined: against the whole tensors of one process."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import load_file

NAMES = {2: ["dtensors2", "legacy2", "fsdp2", "fsdp1", "sharded"], 4: ["dtensors4", "legacy4", "fsdp_tp", "hsdp", "sub"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for world in (2, 4):
        script = Path(__file__).with_name("rank_runs.py")
        subprocess.run([sys.executable, script, folder, str(world)], check=True, timeout=300)
    return folder


def flat(value, prefix="") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {prefix: value}
    return {k: t for key, inner in value.items() for k, t in flat(inner, f"{prefix}.{key}" if prefix else key).items()}


def check(file: Path, whole: dict[str, torch.Tensor]):
    found = load_file(file)
    assert sorted(found) == sorted(whole)
    for name, value in whole.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape, name
        assert found[name].contiguous().view(torch.uint8).equal(value.contiguous().view(torch.uint8)) if value.dim() else (
            found[name].equal(value)
        ), name


@pytest.mark.parametrize("name", [name for names in NAMES.values() for name in names])
def test_joined(decant, runs, folder, name):
    whole = flat(torch.load(runs / f"{name}.full.pt"))
    files = sorted((runs / name).iterdir())
    listing = decant.inspect(runs / name)
    assert listing["container"] == "ranks" and not listing["warnings"]
    assert all(not tensor.get("subclass") for tensor in listing["tensors"])
    aliases = [tensor["name"] for tensor in listing["tensors"] if tensor.get("alias_of")]
    assert [alias.split(".")[-1] for alias in aliases] == (["tied"] if "tied" in str(list(whole)) else [])
    options = ["--key", "."]
    decant("convert", runs / name, folder / "folder.safetensors", *options)
    check(folder / "folder.safetensors", whole)
    decant("convert", folder / "joined.safetensors", *options, "--join", *reversed(files))
    check(folder / "joined.safetensors", whole)
    decant("convert", runs / name, folder / "joined.pth", "--check", *options)
    saved = flat({k: v for k, v in torch.load(folder / "joined.pth").items() if k != "step"})
    assert all(saved[key].equal(value) for key, value in whole.items()) and len(saved) == len(whole)
    assert decant.attempt("diff", runs / f"{name}.full.pt", "--join", *files, *options).status == 0


def test_an_optimizer_and_a_value_of_each_rank(decant, runs, folder):
    done = decant("convert", runs / "training", folder / "out.safetensors", "--key", "model")
    listing = decant.inspect(runs / "training")
    assert any(text == "the ranks hold different values, those of rank 0 are used: rank" for text in listing["warnings"])
    assert "rank 0" in done.errors
    moments = {t["name"]: t["shape"] for t in listing["tensors"] if "exp_avg" in t["name"] and "_sq" not in t["name"]}
    assert [8, 6] in moments.values() and [5, 8] in moments.values()
    check(folder / "out.safetensors", torch.load(runs / "training.full.pt") | {"1.running_mean": torch.zeros(8)})


SPLIT = """
import sys, torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore
source, target, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
dist.init_process_group("fake", rank=rank, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))
def part(value):
    if not value.dim():
        return value
    pieces = torch.chunk(value, 2)
    return DTensor.from_local(pieces[rank].clone(), mesh, [Shard(0)], run_check=False, shape=value.shape, stride=value.stride())
weights = torch.load(source, weights_only=True)["model"]
torch.save({"model": {name: part(value) for name, value in weights.items()}}, target)
"""


def test_a_network(decant, checkpoints, folder):
    """identify, verify, run and ONNX on the files of two ranks, as on the whole file."""
    whole = checkpoints.file("resnet18")
    (folder / "run").mkdir()
    files = [folder / "run" / f"model_rank_{rank}.pt" for rank in (0, 1)]
    for rank, file in enumerate(files):
        subprocess.run([sys.executable, "-c", SPLIT, whole, file, str(rank)], check=True, timeout=300)
    input = folder / "x.npy"
    numpy.save(input, numpy.random.default_rng(1).standard_normal((1, 3, 64, 64), numpy.float32))
    assert decant("identify", folder / "run").output == decant("identify", "--join", *files).output
    assert "resnet18" in decant("identify", folder / "run").output
    decant("verify", "--arch", "resnet18", "--join", *files)
    decant("diff", whole, folder / "run", "--key", "model")
    expected = decant("run", whole, "--arch", "resnet18", "--input", input).output
    assert decant("run", folder / "run", "--arch", "resnet18", "--input", input).output == expected
    assert decant("run", "--arch", "resnet18", "--input", input, "--join", *files).output == expected
    decant("convert", folder / "joined.onnx", "--arch", "resnet18", "--join", *files)
    decant("convert", whole, folder / "whole.onnx", "--arch", "resnet18")
    assert (folder / "joined.onnx").stat().st_size == pytest.approx((folder / "whole.onnx").stat().st_size, abs=4096)
    refused = decant.attempt("run", files[1], "--arch", "resnet18", "--input", input)
    assert refused.status == 2 and "The rest is in the files of rank 0" in refused.errors


def test_the_scan_of_pieces(decant, runs):
    for name in [*NAMES[2], *NAMES[4]]:
        scan = decant.attempt("scan", runs / name)
        assert "dangerous" not in scan.output.replace("0 dangerous", ""), scan.output


def test_a_partial_sum_is_refused(decant, runs, folder):
    refused = decant.attempt("convert", runs / "partial", folder / "out.safetensors")
    assert refused.status == 2 and "1 tensor (DTensor with the placement Partial): w" in refused.errors
    decant("convert", runs / "partial", folder / "out.safetensors", "--except", "w")
    check(folder / "out.safetensors", {"b": torch.arange(3.0)})


def test_a_missing_rank(decant, runs, folder):
    for name, missing in [("fsdp2", "the file of rank 1 is missing"), ("fsdp1", "the file of rank 1 is missing")]:
        files = sorted((runs / name).iterdir())
        listing = decant("inspect", "--join", files[0])
        assert missing in listing.errors
        for command in (["convert", folder / "out.safetensors"], ["verify"]):
            refused = decant.attempt(*command, "--join", files[0])
            assert refused.status == 2 and missing in refused.errors
        decant("convert", folder / "out.safetensors", "--salvage", "--join", files[0])
        assert "1.running_mean" in str(list(load_file(folder / "out.safetensors")))


def test_ranks_that_disagree(decant, runs, folder):
    """A replica with another value, found when the tensor is read."""
    target = folder / "hsdp"
    target.mkdir()
    for file in (runs / "hsdp").iterdir():
        shutil.copy(file, target)
    weight = torch.load(runs / "hsdp.full.pt")["0.weight"][0, :4].numpy().tobytes()
    with zipfile.ZipFile(runs / "hsdp" / "model_rank_2.pt") as old, zipfile.ZipFile(target / "model_rank_2.pt", "w") as new:
        for entry in old.infolist():
            data = bytearray(old.read(entry))
            if weight in data:
                data[data.find(weight)] ^= 1
            new.writestr(entry.filename, bytes(data))
    assert decant.attempt("inspect", target).status == 0
    refused = decant.attempt("convert", target, folder / "out.safetensors")
    assert refused.status == 2 and "tensor 0.weight: rank 0 and rank 2 hold different values" in refused.errors


def test_files_that_do_not_belong_together(decant, runs, folder):
    first, second = sorted((runs / "fsdp2").iterdir())
    other = sorted((runs / "fsdp1").iterdir())[1]
    twice = decant.attempt("inspect", "--join", first, first)
    assert twice.status == 2 and "is of rank 0, and so is" in twice.errors
    whole = decant.attempt("inspect", "--join", first, second, runs / "fsdp2.full.pt")
    assert whole.status == 2 and "holds no parts of DTensors or ShardedTensors" in whole.errors
    (folder / "both").mkdir()
    for file in (first, second, runs / "fsdp2.full.pt"):
        (folder / "both" / file.name).write_bytes(file.read_bytes())
    both = decant.attempt("inspect", folder / "both")
    assert both.status == 2 and "model_rank_*.pt" in both.errors and "fsdp2.full.pt" in both.errors
    (folder / "both" / "fsdp2.full.pt").unlink()
    (folder / "both" / "other_rank_1.pt").write_bytes(other.read_bytes())
    several = decant.attempt("inspect", folder / "both")
    assert several.status == 2 and "the files of several runs: model_rank_*.pt, other_rank_*.pt" in several.errors
