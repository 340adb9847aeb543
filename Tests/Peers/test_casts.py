"""`decant convert --dtype`, judged by PyTorch's casts and by exact arithmetic where PyTorch rounds twice.

PyTorch takes float64 to a half type by way of float32: two roundings, so a number just beside a halfway case
can go the wrong way. Decant rounds once. Where it differs from PyTorch, it is shown to be the nearer one.
"""

import re

import ml_dtypes
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


# MARK: Eight bits

EIGHT_BITS = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]


def eight_bits(decant, folder, numbers: torch.Tensor, target: str) -> tuple[numpy.ndarray, str]:
    """The patterns of a cast, and what was said of it."""
    torch.save({"x": numbers}, folder / "numbers.pth")
    finished = decant("convert", folder / "numbers.pth", folder / "cast.safetensors", "--dtype", target)
    found = safetensors.torch.load_file(folder / "cast.safetensors")["x"]
    assert found.dtype == getattr(torch, target)
    return found.view(torch.uint8).numpy(), finished.errors


def array(numbers: torch.Tensor) -> numpy.ndarray:
    """The same numbers for NumPy, which has bfloat16 from ml_dtypes."""
    if numbers.dtype == torch.bfloat16:
        return numbers.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return numbers.numpy()


def by_ml_dtypes(numbers: torch.Tensor, target: str) -> numpy.ndarray:
    with numpy.errstate(all="ignore"):
        return array(numbers).astype(getattr(ml_dtypes, target)).view(numpy.uint8)


def by_torch(numbers: torch.Tensor, target: str) -> numpy.ndarray:
    return numbers.to(getattr(torch, target)).view(torch.uint8).numpy()


def same_numbers(left: numpy.ndarray, right: numpy.ndarray, target: str) -> numpy.ndarray:
    """Where two arrays of patterns agree; any NaN equals any NaN."""
    nan = [numpy.isnan(side.view(getattr(ml_dtypes, target)).astype(numpy.float32)) for side in (left, right)]
    return (left == right) | (nan[0] & nan[1])


def eighth_ties(target: str) -> torch.Tensor:
    """Every number of a type, every halfway case between two, beyond the largest too, and their neighbours."""
    numbers = patterns(getattr(torch, target)).float()
    numbers = numbers[numbers.isfinite()].unique()
    beyond = numbers[-1] + (numbers[-1] - numbers[-2]) * torch.tensor([0.5, 1.0, 1.5, 2.0])
    halfway = torch.cat([(numbers[1:] + numbers[:-1]) / 2, beyond, -beyond, numbers])
    infinity = torch.tensor(float("inf"))
    return torch.cat([halfway, torch.nextafter(halfway, infinity), torch.nextafter(halfway, -infinity)])


@pytest.mark.parametrize("target", EIGHT_BITS)
@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32"])
def test_to_eight_bits(decant, folder, source, target):
    """All patterns of the half types and a million of float32, as ml_dtypes and torch cast them."""
    if source == "float32":
        numbers = torch.cat([single_precision(), eighth_ties(target)])
    else:
        numbers = patterns(HALVES[source])
    found, errors = eight_bits(decant, folder, numbers, target)
    assert same_numbers(found, by_ml_dtypes(numbers, target), target).all()
    differing = ~same_numbers(found, by_torch(numbers, target), target)
    if target == "float8_e4m3fn":  # torch saturates there, infinities too, and nowhere else
        assert (differing == (numbers.float().abs() > 464).numpy()).all()
        assert (by_torch(numbers, target)[differing] & 0x7F == 0x7E).all()
    else:
        assert not differing.any()
    check_losses(errors, array(numbers), by_ml_dtypes(numbers, target).view(getattr(ml_dtypes, target)), target)


@pytest.mark.parametrize("target", EIGHT_BITS)
def test_doubles_to_eight_bits(decant, folder, figures, target):
    """Rounded once: where torch differs it went by way of float32, and is never the nearer."""
    numbers = double_precision()
    ties = eighth_ties(target).double()
    numbers = torch.cat([numbers, ties, ties * (1 + 2.0**-30), ties * (1 - 2.0**-30), ties * (1 + 2.0**-52)])
    found, _ = eight_bits(decant, folder, numbers, target)
    peers = {"ml_dtypes": by_ml_dtypes(numbers, target), "torch": by_torch(numbers, target)}
    values = patterns(getattr(torch, target)).double()
    values = torch.where(values.isnan(), torch.tensor(float("inf"), dtype=torch.float64), values).numpy()
    largest = values[numpy.isfinite(values)].max()
    step = largest - numpy.sort(values[numpy.isfinite(values)])[-2]
    # Beyond the largest number torch saturates in this type, where ml_dtypes has NaN as Decant.
    saturated = (numbers.abs() > 464).numpy() & (target == "float8_e4m3fn")
    for peer, theirs in peers.items():
        differing = ~same_numbers(found, theirs, target)
        where = numpy.flatnonzero(differing & ~saturated if peer == "torch" else differing)
        if where.size:
            there = numbers.numpy()[where]
            assert (there.astype(numpy.float32).astype(numpy.float64) != there).all(), peer
            # What has no number stands for the one after the largest, as IEEE 754 rounds.
            ours, other = (
                numpy.abs(numpy.minimum(numpy.abs(values[side[where]]), largest + step) - numpy.abs(there))
                for side in (found, theirs)
            )
            assert (ours < other).all(), peer
        figures(
            f"convert --dtype {target}: {numbers.numel()} float64 numbers, {where.size} differ from {peer}'s"
            + (", which rounds twice; Decant's is nearer in each" if where.size else "")
        )


# MARK: What is lost


def check_losses(errors: str, numbers: numpy.ndarray, cast: numpy.ndarray, target: str):
    """What is printed are the numbers that NumPy counts."""
    with numpy.errstate(all="ignore"):
        wide, narrow = numbers.astype(numpy.float64), cast.astype(numpy.float64)
    if (numbers.dtype, target) == (numpy.float64, "bfloat16"):
        # ml_dtypes rounds twice. Half the least number and what is less becomes zero, ties to even.
        narrow = numpy.where(numpy.abs(wide) <= 2.0**-134, 0, 1)
        narrow = numpy.where(numpy.abs(wide) >= 2.0**128 - 2.0**119, numpy.inf, narrow)
    overflowed = int((numpy.isfinite(wide) & ~numpy.isfinite(narrow)).sum())
    underflowed = int(((wide != 0) & ~numpy.isnan(wide) & (narrow == 0)).sum())
    for count, what in [(overflowed, f"too large for {target}"), (underflowed, f"became zero in {target}")]:
        printed = re.findall(rf"warning: ([\d,]+) numbers? of 1 tensor (?:were )?{what}: x \(([\d,]+)\)", errors)
        wanted = [(f"{count:,}", f"{count:,}")] if count else []
        assert printed == wanted, (what, count, errors)


@pytest.mark.parametrize("target", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("source", ["float64", "float32", "float16", "bfloat16", "float8_e5m2"])
def test_losses_are_numpys(decant, folder, source, target):
    if source == target:
        return
    if source == "float64":
        numbers = double_precision()
    elif source == "float32":
        numbers = single_precision()
    else:
        numbers = patterns(getattr(torch, source))
    torch.save({"x": numbers, "exact": torch.ones(3), "whole": torch.arange(3)}, folder / "numbers.pth")
    errors = decant("convert", folder / "numbers.pth", folder / "cast.npz", *cast_to(target)).errors
    if source == "float8_e5m2":
        numbers = numbers.float()
    with numpy.errstate(all="ignore"):
        cast = array(numbers).astype({"bfloat16": ml_dtypes.bfloat16}.get(target, target))
    check_losses(errors, array(numbers), cast, target)


def cast_to(target: str) -> list[str]:
    """NumPy has no bfloat16, so that is written in another format."""
    return ["--dtype", target, "--format", "gguf" if target == "bfloat16" else "npz"]


def test_losses_of_several_tensors(decant, folder):
    value = {"a": torch.tensor([1e6, 1.0]), "b": torch.tensor([1e-9, 1e6, float("inf"), float("nan"), 0.0, -0.0])}
    value |= {"none": torch.tensor([1.0]), "empty": torch.empty(0)}
    torch.save(value, folder / "a.pth")
    finished = decant("convert", folder / "a.pth", folder / "a.npz", "--dtype", "float16")
    assert "warning: 2 numbers of 2 tensors were too large for float16: a (1), b (1)\n" in finished.errors
    assert "warning: 1 number of 1 tensor became zero in float16: b (1)\n" in finished.errors
    assert ", cast 4 tensors to float16, " in finished.output
