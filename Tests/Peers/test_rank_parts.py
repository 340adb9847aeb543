"""What one rank of several saved is refused, by name; what a single rank saved, or every rank in full, is whole."""

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

SHARDED = {
    "shard": ["w"], "partial": ["w"], "parameter": ["w"], "fsdp2": ["0.weight", "0.bias", "1.weight", "1.bias"],
    "fsdp1": ["0.weight", "0.bias", "1.weight", "1.bias"],
}  # fmt: skip


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> dict[int, Path]:
    """The files of the first of two ranks, and those of an only one."""
    folders = {}
    for world in (1, 2):
        folders[world] = tmp_path_factory.mktemp(f"ranks{world}")
        script = Path(__file__).with_name("rank_files.py")
        subprocess.run([sys.executable, script, folders[world], str(world)], check=True, timeout=300)
    return folders


@pytest.mark.parametrize("name", SHARDED)
def test_one_rank_of_two(decant, ranks, folder, name):
    file = ranks[2] / f"{name}.pth"
    kind = "ShardedTensor" if name == "fsdp1" else "DTensor"
    count = len(SHARDED[name])
    expected = f"holds only one rank's part of {count} tensor{'s' if count > 1 else ''} ({kind}): {', '.join(SHARDED[name])}."
    for command in (
        ["convert", file, folder / "out.safetensors"], ["convert", file, folder / "out.pth"],
        ["convert", file, folder / "out.onnx"], ["verify", file],
    ):  # fmt: skip
        refused = decant.attempt(*command)
        assert refused.status == 2 and expected in refused.errors and not refused.output, command
    assert not any(folder.iterdir())
    assert decant.attempt("inspect", file).status == 0
    if "b" not in SHARDED[name] and name in ("shard", "partial", "parameter"):
        decant("convert", file, folder / "rest.safetensors", "--except", "w")
        assert list(load_file(folder / "rest.safetensors")) == ["b"]


@pytest.mark.parametrize("world, names", [(1, [*SHARDED, "replicate", "optimizer"]), (2, ["replicate"])])
def test_whole_files(decant, ranks, folder, world, names):
    for name in names:
        decant("convert", ranks[world] / f"{name}.pth", folder / "out.safetensors")
        written = load_file(folder / "out.safetensors")
        assert not any("_local_tensor" in key for key in written), name
        if "w" in written:
            assert written["w"].flatten().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], name
        elif name != "optimizer":
            assert written["0.weight"].shape == (4, 3) and written["1.bias"].shape == (2,), name


def test_an_optimizer_beside_whole_weights(decant, ranks, folder):
    file = ranks[2] / "optimizer.pth"
    refused = decant.attempt("convert", file, folder / "out.safetensors", "--key", ".")
    assert refused.status == 2 and "optimizer.state.0.exp_avg" in refused.errors
    done = decant("convert", file, folder / "out.safetensors", "--key", "model")
    assert "outside model the file also holds one rank's part of 8 tensors: optimizer.state.0.exp_avg, " in done.errors
    assert list(load_file(folder / "out.safetensors")) == ["w"]
