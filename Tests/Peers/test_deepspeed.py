"""Checkpoints that DeepSpeed wrote with ZeRO 1, 2 and 3, joined: against DeepSpeed's own function."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

RUNS = [(stage, dtype) for stage in (1, 2, 3) for dtype in ("fp32", "bf16")]
pytestmark = pytest.mark.skipif(not importlib.util.find_spec("deepspeed"), reason="DeepSpeed is not installed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("zero")
    script = Path(__file__).with_name("zero_run.py")
    # DeepSpeed looks for ninja on PATH.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for stage, dtype in RUNS:
        subprocess.run(
            [sys.executable, script, str(stage), dtype, folder / f"{dtype}_{stage}"],
            check=True, timeout=300, env=os.environ | {"PATH": path, "DS_ACCELERATOR": "cpu"}, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return folder


def check(found: dict, expected: dict):
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape and found[name].equal(value), name


@pytest.mark.parametrize("stage, dtype", RUNS)
def test_joined(decant, runs, folder, stage, dtype):
    source = runs / f"{dtype}_{stage}"
    expected = torch.load(runs / f"{dtype}_{stage}.full.pt")
    listing = decant.inspect(source)
    assert listing["container"] == "deepspeed"
    assert [tensor["name"] for tensor in listing["tensors"]] == list(expected)
    assert [tensor["name"] for tensor in listing["tensors"] if tensor.get("alias_of")] == ["head.weight"]
    # DeepSpeed records no frozen parameters in stage 1, and leaves them out.
    assert ("module.frozen.weight" in str(listing["warnings"])) == (stage == 1)
    for place in (source, source / "global_step1"):
        decant("convert", place, folder / "out.safetensors")
        check(load_file(folder / "out.safetensors"), expected)
    decant("convert", source, folder / "out.pth", "--check")
    check(torch.load(folder / "out.pth"), expected)
    decant("convert", folder / "joined.safetensors", "--join", *(source / "global_step1").glob("*.pt"))
    decant("diff", folder / "joined.safetensors", source)


def test_a_single_piece_is_refused(decant, runs, folder):
    for stage in (1, 2, 3):
        for file in (runs / f"fp32_{stage}" / "global_step1").glob("*.pt"):
            if stage < 3 and file.name.endswith("model_states.pt"):
                continue
            assert decant.attempt("inspect", file).status == 0
            for command in (["convert", file, folder / "out.safetensors"], ["verify", file]):
                refused = decant.attempt(*command)
                assert refused.status == 2 and "holds only one rank's part" in refused.errors, refused.errors
                assert "Name the checkpoint's folder" in refused.errors


def test_incomplete_and_hostile_folders(decant, runs, folder):
    def copy(stage: int) -> Path:
        shutil.rmtree(folder / "run", ignore_errors=True)
        return Path(shutil.copytree(runs / f"fp32_{stage}", folder / "run"))

    def refused(place: Path) -> str:
        done = decant.attempt("convert", place, folder / "out.safetensors")
        assert done.status == 2 and not (folder / "out.safetensors").exists()
        return done.errors

    for stage in (1, 2, 3):
        place = copy(stage)
        (place / "global_step1" / "zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink()
        assert "1 of 2 optimizer files is missing, such as zero_pp_rank_1_mp_rank_00_optim_states.pt" in refused(place)
    place = copy(3)
    (place / "global_step1" / "zero_pp_rank_1_mp_rank_00_model_states.pt").unlink()
    assert "2 model files are needed" in refused(place)
    place = copy(2)
    shutil.copy(runs / "fp32_3/global_step1/zero_pp_rank_1_mp_rank_00_optim_states.pt", place / "global_step1")
    assert "describes other partitions than" in refused(place)
    for name, message in [("../other", "is not the plain name"), ("/tmp", "is not the plain name"), ("step9", "does not exist")]:
        (place / "latest").write_text(name)
        assert message in refused(place)
    place = copy(1)
    shutil.copy(runs / "fp32_1.full.pt", place / "pytorch_model.bin")
    ambiguous = refused(place)
    assert "global_step1" in ambiguous and "pytorch_model.bin" in ambiguous
    decant("inspect", place / "pytorch_model.bin")
    decant("inspect", place / "global_step1")
