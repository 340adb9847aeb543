"""Shards and their index as safetensors and torch.save write them."""

import json
import random

import expectations
import pytest
import safetensors.torch
import torch
from pouring import check_poured


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards(decant, folder, kind, count):
    torch.manual_seed(count)
    names = [f"model.layers.{index}.weight" for index in range(20)]
    value = {name: torch.randn(random.Random(name).randint(1, 9), 5).to(torch.bfloat16) for name in names}
    weight_map = {name: f"sub/part-{random.Random(name).randrange(count)}.{kind}" for name in names}
    (folder / "sub").mkdir()
    for file in set(weight_map.values()):
        part = {name: tensor for name, tensor in value.items() if weight_map[name] == file}
        if kind == "bin":
            torch.save(part, folder / file)
        else:
            safetensors.torch.save_file(part, folder / file)
    total = sum(tensor.nbytes for tensor in value.values())
    index = folder / f"model.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    records = expectations.describe(value)[0]
    for place in (folder, index):
        listing = decant.inspect(place)
        assert listing["container"] == "shards" and listing["warnings"] == []
        found = [[tensor[field] for field in ("path", "dtype", "shape", "sha256")] for tensor in listing["tensors"]]
        assert found == [[record[field] for field in ("path", "dtype", "shape", "sha256")] for record in records]
    decant("convert", folder, folder / "one.safetensors")
    check_poured(folder / "one.safetensors", records)
    finished = decant.attempt("convert", folder, folder / next(iter(weight_map.values())))
    assert finished.status in (2, 64)
