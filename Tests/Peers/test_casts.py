"""`decant convert --dtype`, judged by PyTorch's casts and by exact arithmetic where PyTorch rounds twice.

PyTorch takes float64 to a half type by way of float32: two roundings, so a number just beside a halfway case
can go the wrong way. Decant rounds once. Where it differs from PyTorch, it is shown to be the nearer one.
"""

import numpy
import pytest
import safetensors.torch
import torch

HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
TARGETS = ["float64", "float32", "float16", "bfloat16"]


def cast(decant, folder, tensors: dict[str, torch.Tensor], target: str) -> dict[str, torch.Tensor]:
    torch.save(tensors, folder / "numbers.pth")
    decant("convert", folder / "numbers.pth", folder / "cast.safetensors", "--dtype", target)
    return safetensors.torch.load_file(folder / "cast.safetensors")


def differing(found: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Positions whose bits differ; any NaN equals any NaN."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    integer = {8: torch.int64, 4: torch.int32, 2: torch.int16}[found.dtype.itemsize]
    both_nan = found.isnan() & expected.isnan()
    return ((found.view(integer) != expected.view(integer)) & ~both_nan).nonzero().flatten()


def patterns(dtype: torch.dtype) -> torch.Tensor:
    """Every one of the 65,536 numbers of a half type, or the 256 of an 8-bit one."""
    bits = 8 * dtype.itemsize
    return (
        torch.arange(1 << bits, dtype=torch.int32).to(torch.uint16 if bits == 16 else torch.uint8).view(dtype)
    )


def single_precision() -> torch.Tensor:
    """A million float32 numbers: random bits, random near one, and every halfway case with its neighbours."""
    generator = torch.Generator().manual_seed(11)
    random = torch.randint(-(2**31), 2**31, (1_000_000,), dtype=torch.int64, generator=generator)
    parts = [random.to(torch.int32).view(torch.float32), torch.randn(100_000, generator=generator)]
    for half in HALVES.values():
        numbers = patterns(half).to(torch.float32)
        numbers = numbers[numbers.isfinite()].unique()  # ascending
        middle = ((numbers[1:].double() + numbers[:-1].double()) / 2).float()
        infinity = torch.tensor(float("inf"))
        # The least number that becomes infinite lies halfway to the power of two that the format lacks.
        edge = torch.tensor([65520.0, -65520.0, 3.3961775292304957e38, -3.3961775292304957e38])
        for halfway in (middle, edge):
            parts += [halfway, torch.nextafter(halfway, infinity), torch.nextafter(halfway, -infinity)]
    return torch.cat(parts)


def double_precision() -> torch.Tensor:
    """A million float64 numbers: random, every halfway case, its neighbours, and those that round twice."""
    generator = torch.Generator().manual_seed(13)
    bits = torch.randint(-(2**63), 2**63 - 1, (500_000,), dtype=torch.int64, generator=generator)
    scale = torch.exp2(torch.randint(-160, 160, (500_000,), generator=generator).double())
    ordinary = torch.randn(500_000, dtype=torch.float64, generator=generator) * scale
    parts = [bits.view(torch.float64), ordinary, single_precision().double()]
    infinity = torch.tensor(float("inf"), dtype=torch.float64)
    for half in HALVES.values():
        numbers = patterns(half).to(torch.float64)
        numbers = numbers[numbers.isfinite()].unique()
        halfway = (numbers[1:] + numbers[:-1]) / 2
        parts += [halfway, torch.nextafter(halfway, infinity), torch.nextafter(halfway, -infinity)]
        parts += [halfway * (1 + 2.0**-30), halfway * (1 - 2.0**-30)]
    return torch.cat(parts)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", HALVES)
def test_all_patterns_of_the_half_types(decant, folder, source, target):
    numbers = patterns(HALVES[source])
    found = cast(decant, folder, {"x": numbers}, target)["x"]
    assert differing(found, numbers.to(getattr(torch, target))).numel() == 0


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "source", ["float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz", "float8_e8m0fnu"]
)
def test_all_patterns_of_the_8_bit_types(decant, folder, source, target):
    numbers = patterns(getattr(torch, source))
    found = cast(decant, folder, {"x": numbers}, target)["x"]
    # Through float32, which holds them all: torch has no direct cast to every target.
    assert differing(found, numbers.to(torch.float32).to(getattr(torch, target))).numel() == 0


@pytest.mark.parametrize("target", TARGETS)
def test_a_million_float32(decant, folder, target):
    numbers = single_precision()
    found = cast(decant, folder, {"x": numbers}, target)["x"]
    assert differing(found, numbers.to(getattr(torch, target))).numel() == 0


def test_a_million_float64_to_float32(decant, folder):
    numbers = double_precision()
    found = cast(decant, folder, {"x": numbers}, "float32")["x"]
    assert differing(found, numbers.to(torch.float32)).numel() == 0


@pytest.mark.parametrize("target", HALVES)
def test_a_million_float64_to_half(decant, folder, figures, target):
    numbers = double_precision()
    theirs = numbers.to(HALVES[target])
    found = cast(decant, folder, {"x": numbers}, target)["x"]
    if target == "float16":  # NumPy has this type and rounds once
        with numpy.errstate(over="ignore"):
            rounded_once = torch.from_numpy(numbers.numpy().astype(numpy.float16))
        assert differing(found, rounded_once).numel() == 0
    where = differing(found, theirs)
    twice = numbers[where]
    assert not torch.equal(twice.float().double(), twice), "float32 holds the number, so torch rounds once"
    assert ((twice.float().double() != twice) & twice.isfinite()).all()
    # The distances are exact: the numbers lie within one unit of the last place (Sterbenz). An infinity
    # stands for the power of two after the largest number, as IEEE 754 rounds.
    distance = (stand_in(found[where]) - twice).abs()
    other = (stand_in(theirs[where]) - twice).abs()
    assert (distance < other).all()
    figures(
        f"convert --dtype {target}: {numbers.numel()} float64 numbers, {where.numel()} differ from torch's, "
        "which rounds twice; Decant's is nearer in each"
    )


def stand_in(halves: torch.Tensor) -> torch.Tensor:
    limit = 65536.0 if halves.dtype == torch.float16 else 2.0**128
    return halves.double().clamp(-limit, limit)


def test_only_floating_point_is_cast(decant, folder):
    kept = {
        "int64": torch.arange(3),
        "uint8": torch.arange(3, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "complex64": torch.tensor([1 + 2j]),
    }
    for target in TARGETS:
        found = cast(decant, folder, {"x": torch.ones(2, 3).t(), **kept}, target)
        assert found["x"].dtype == getattr(torch, target) and found["x"].shape == (3, 2)
        for name, value in kept.items():
            assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


@pytest.mark.parametrize("target", ["float64", "float16"])
def test_views_are_cast_in_their_own_order(decant, folder, target):
    whole = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(17))
    views = {
        "transposed": whole.transpose(0, 2),
        "stepped": whole[::2, 1::3, ::4],
        "expanded": whole[:, :1].expand(4, 6, 5),
        "scalar": whole[1, 2, 3],
        "empty": whole[:0],
    }
    found = cast(decant, folder, views, target)
    for name, value in views.items():
        assert torch.equal(found[name], value.to(getattr(torch, target))), name
