"""`inspect --head` prints values as NumPy prints them."""

import numpy as np
import pytest

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def arrays(dtype: str, random: np.random.Generator):
    """Arrays of many shapes and magnitudes."""
    for shape in [(), (1,), (3,), (40,), (2, 3), (1, 2, 3), (4, 1, 2, 2), (0,), (0, 3), (1001,), (20, 60), (7, 12, 13), (1200, 1)]:
        for scale in [1, 1e-3, 1e-6, 1e3, 1e5, 1e9]:
            values = random.standard_normal(shape) * scale
            yield values
            yield np.round(values)
            spread = values * 10.0 ** random.integers(-3, 4, shape)
            yield spread
            if np.size(values) > 1:
                special = np.array(values)
                special.flat[0] = np.nan
                special.flat[-1] = random.choice([np.inf, -np.inf, np.nan, 0.0, -0.0])
                yield special
                yield np.full(shape, special.flat[-1])


# A column is filled up with zeros, where NumPy writes more digits of the exact number.
OPEN = pytest.mark.xfail(strict=True, reason="digits that fill up a column of float32 or float16")


@pytest.mark.parametrize("dtype", [pytest.param(dtype, marks=OPEN if dtype in ("float32", "float16") else []) for dtype in DTYPES])
def test_values_are_printed_as_numpy_prints_them(decant, folder, dtype):
    random = np.random.default_rng(DTYPES.index(dtype))
    entries = {}
    with np.errstate(all="ignore"):
        for index, values in enumerate(arrays(dtype, random)):
            if np.dtype(dtype).kind != "f":
                values = np.nan_to_num(values, posinf=0, neginf=0)
            entries[f"t{index}"] = np.asarray(values).astype(dtype)
    np.savez(folder / "all.npz", **entries)
    output = decant("inspect", folder / "all.npz", "--head", 10**9).output
    expected = "\n".join(f"{name} {title(value)}\n{value!s}\n" for name, value in entries.items())
    for found, wanted in zip(output.split("\n\nt"), expected.split("\n\nt")):
        assert found.rstrip() == wanted.rstrip()
    assert output.rstrip() == expected.rstrip()


def title(value: np.ndarray) -> str:
    return ("×".join(map(str, value.shape)) or "scalar") + f" {value.dtype}"


def test_the_head_is_the_first_rows(decant, folder):
    values = np.arange(60, dtype=np.float32).reshape(10, 6) / 8
    np.savez(folder / "x.npz", x=values)
    assert decant("inspect", folder / "x.npz", "--head", 2, "--key", "x").output == f"{values[:2]}\n"
