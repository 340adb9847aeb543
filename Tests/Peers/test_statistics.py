"""What `inspect --stats` computes, against NumPy in float64."""

import json

import numpy as np
import pytest


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "uint8"])
def test_statistics(decant, folder, dtype):
    random = np.random.default_rng(5)
    arrays = {}
    for index, (scale, offset) in enumerate([(1, 0), (3, 1000), (20, 100), (1, 0)]):
        values = random.standard_normal((123, 457)) * scale + offset
        values[random.random(values.shape) < 0.1] = 0
        values = np.abs(values) if dtype == "uint8" else values
        values = values.astype(dtype)
        if index == 3 and np.dtype(dtype).kind == "f":
            values[0, :3], values[1, :2], values[2, 0] = np.nan, np.inf, -np.inf
        arrays[f"x{index}"] = values
    np.savez(folder / "x.npz", **arrays)
    document = json.loads(decant("inspect", folder / "x.npz", "--stats", "--json").output)
    for tensor in document["tensors"]:
        values = arrays[tensor["name"]]
        finite = values[np.isfinite(values)].astype(np.float64)
        assert tensor["std"] == pytest.approx(finite.std(), rel=1e-12)
        assert tensor["mean"] == pytest.approx(finite.mean(), rel=1e-9, abs=1e-12)
        assert tensor["zeros"] == np.count_nonzero(values == 0)
        assert (tensor["nan"], tensor["infinite"]) == (np.isnan(values).sum(), np.isinf(values).sum())
        assert tensor["non_finite"] == tensor["nan"] + tensor["infinite"]
