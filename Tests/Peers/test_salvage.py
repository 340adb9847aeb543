"""Checkpoints cut off anywhere: what is said to be whole is what PyTorch saved."""

import io
import json
import re
import random

import expectations
import pytest
import safetensors.torch
import torch
from objects import ObjectGenerator
from pouring import load_records, name_of


def saved(value, legacy=False) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=not legacy)
    return out.getvalue()


@pytest.mark.parametrize("seed", range(6))
def test_random_objects(decant, folder, figures, seed):
    value = ObjectGenerator(seed=500 + seed).generate()
    data = saved(value)
    expected = {json.dumps(record["path"]): record["sha256"] for record in expectations.describe(value)[0]}
    generator = random.Random(seed)
    states = {"whole": 0, "truncated": 0, "missing": 0, "refused": 0}
    for _ in range(40):
        count = generator.randrange(len(data))
        (folder / "cut.pth").write_bytes(data[:count])
        finished = decant.attempt("inspect", "--json", "--digest", folder / "cut.pth")
        if finished.status != 0:
            assert finished.status == 2 and finished.errors
            states["refused"] += 1
            continue
        listing = json.loads(finished.output)
        assert len(listing["tensors"]) == len(expected)
        for tensor in listing["tensors"]:
            state = tensor.get("state", "whole")
            states[state] += 1
            assert tensor["sha256"] == (expected[json.dumps(tensor["path"])] if state == "whole" else None)
        assert any(re.search(r"tensors? (is|are) complete", warning) for warning in listing["warnings"])
        for command in ("verify", "convert"):
            arguments = [folder / "cut.pth"] + ([folder / "out.safetensors"] if command == "convert" else [])
            assert decant.attempt(command, *arguments).status == 2
    figures(f"salvage of random objects, seed {seed}: {states}")


def test_the_expected_size(decant, folder):
    """The size of the whole file is told exactly, from a part of it."""
    for value in [{"a": torch.randn(100, 7), "b": torch.arange(50)}, {f"w{index}": torch.ones(index) for index in range(12)}]:
        data = saved(value)
        for part in (0.5, 0.6, 0.7):
            count = int(len(data) * part)
            (folder / "cut.pth").write_bytes(data[:count])
            listing = decant.inspect(folder / "cut.pth")
            assert any(f"has {count:,} of {len(data):,} bytes" in warning for warning in listing["warnings"]), listing["warnings"]


@pytest.mark.parametrize("format", ["pth", "legacy", "safetensors"])
def test_convert_salvage(decant, folder, format):
    value = {f"layer{index}.weight": torch.randn(50, index + 1) for index in range(10)}
    data = safetensors.torch.save(value) if format == "safetensors" else saved(value, format == "legacy")
    (folder / f"cut.{format}").write_bytes(data[: len(data) // 2])
    finished = decant("convert", "--salvage", folder / f"cut.{format}", folder / "out.safetensors")
    kept = safetensors.torch.load_file(folder / "out.safetensors")
    assert 0 < len(kept) < len(value)
    for name, tensor in kept.items():
        assert torch.equal(tensor, value[name])
    for name in value.keys() - kept.keys():
        assert f"left out: {name} (" in finished.errors


def test_a_download_that_broke_off(decant, corpus, folder, figures):
    """Real checkpoints of the corpus, cut in the middle of their data."""
    seen = 0
    for row in corpus.files:
        if seen == 40:
            break
        file = row["file"]
        if row["container"] != "torch-zip" or "HOSTILE" in row["note"]:
            continue
        records = load_records(file)
        if not records or file.stat().st_size > 20 << 20:
            continue
        data = file.read_bytes()
        (folder / "cut.pth").write_bytes(data[: len(data) * 2 // 3])
        finished = decant.attempt("inspect", "--json", "--digest", folder / "cut.pth")
        if finished.status != 0:
            continue
        seen += 1
        expected = {name_of(record["path"]): record["sha256"] for record in records}
        for tensor in json.loads(finished.output)["tensors"]:
            if tensor.get("state", "whole") == "whole":
                assert tensor["sha256"] == expected[tensor["name"]]
    figures(f"salvage of real checkpoints: {seen} files cut at two thirds")
    assert seen > 10
