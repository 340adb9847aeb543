"""`decant diff`, judged by NumPy's arithmetic in float64 and by an order of patterns written here a second time."""

import itertools
import json
import math
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision

SMALL = ["float16", "bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz"]
FLOATS = ["float64", "float32", *SMALL]
WIDTHS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}


def diff(decant, *arguments, status: int) -> dict:
    finished = decant.attempt("diff", "--json", *arguments)
    assert finished.status == status, finished.output + finished.errors
    return json.loads(finished.output)


def only_change(decant, folder, left, right, *options) -> dict:
    """What is said of two tensors of one name, saved by PyTorch, that differ."""
    torch.save({"x": left}, folder / "a.pth")
    torch.save({"x": right}, folder / "b.pth")
    found = diff(decant, folder / "a.pth", folder / "b.pth", *options, status=1)
    assert found["identical"] == 0 and found["renamed"] == found["only_a"] == found["only_b"] == []
    (change,) = found["changed"]
    assert change["name"] == "x" and found["same"] is False
    return change


def order(tensor: torch.Tensor) -> np.ndarray:
    """The place of every number in the order of its type: -0 at -1, +0 at 0."""
    bits = 8 * tensor.dtype.itemsize
    pattern = tensor.contiguous().view(WIDTHS[tensor.dtype.itemsize]).numpy().astype(object) % (1 << bits)
    magnitude = pattern % (1 << (bits - 1))
    below = 0 if str(tensor.dtype).endswith("fnuz") else 1
    return np.where(pattern >= 1 << (bits - 1), -magnitude - below, magnitude)


def measures(left: torch.Tensor, right: torch.Tensor) -> dict:
    """The same by NumPy: finite numbers of one floating-point type."""
    x, y = (tensor.to(torch.float64).numpy().ravel() for tensor in (left, right))
    distance = np.abs(x - y)
    with np.errstate(invalid="ignore"):
        relative = np.where(distance == 0, 0, distance / np.maximum(np.abs(x), np.abs(y)))
    ulp = np.abs(order(left.ravel()) - order(right.ravel()))
    return {
        "max_abs": distance.max(), "max_rel": relative.max(), "max_ulp": ulp.max(),
        "differing": int(((distance > 0) | (ulp > 0)).sum()),
        "cosine": (x @ y) / (np.linalg.norm(x) * np.linalg.norm(y)),
    }  # fmt: skip


def check(change: dict, expected: dict):
    for field in ("max_abs", "max_rel", "max_ulp", "differing"):
        assert float(change[field]) == float(expected[field]), field
    assert change["cosine"] == pytest.approx(expected["cosine"], rel=1e-12, abs=1e-12)


# Same content in every container


def contents() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    whole = torch.randn(6, 5, 4, generator=generator)
    return {
        "float64": torch.randn(3, generator=generator).double(), "float32": whole, "float16": whole.half(),
        "view": whole.permute(2, 0, 1)[1:, ::2], "expanded": whole[:, :1].expand(6, 5, 4), "alias": whole[1],
        "complex": torch.randn(4, dtype=torch.complex64, generator=generator),
        "int64": torch.tensor([2**53 + 1, -(2**63), 2**63 - 1]), "int8": torch.arange(-3, 3, dtype=torch.int8),
        "uint8": torch.arange(5, dtype=torch.uint8), "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(7), "empty": torch.zeros(0, 3), "nan": torch.tensor([math.nan, math.inf, -0.0]),
    }  # fmt: skip


@pytest.fixture
def containers(folder):
    value = contents()
    torch.save({"model": value, "epoch": 3}, folder / "zip.pth")
    torch.save({"state_dict": value}, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    flat = {name: tensor.contiguous().clone() for name, tensor in value.items()}
    safetensors.torch.save_file(flat, folder / "flat.safetensors")
    arrays = {name: tensor.numpy() for name, tensor in flat.items()}
    np.savez(folder / "stored.npz", **arrays)
    np.savez_compressed(folder / "deflated.npz", **arrays)
    torch.save({f"module.{name}": tensor for name, tensor in reversed(value.items())}, folder / "wrapped.pth")
    return sorted(folder.iterdir())


def test_the_same_content_in_every_container(decant, containers):
    for left, right in itertools.product(containers, repeat=2):
        found = diff(decant, left, right, status=0)
        assert found["same"] is True and found["identical"] == len(contents()), (left, right)
        assert found["renamed"] == found["changed"] == found["only_a"] == found["only_b"] == []


def test_a_prefix_is_said_and_can_be_refused(decant, containers, folder):
    finished = decant("diff", folder / "zip.pth", folder / "wrapped.pth")
    assert finished.output == "the same: 14 tensors, every bit\n"
    assert finished.errors == (
        "decant: in A, using model (14 tensors); left out: epoch; --key . takes everything\n"
        "decant: ignoring the prefix 'module.' of B in 14 names\n"
    )
    whole = decant("diff", folder / "zip.pth", folder / "wrapped.pth", "--key", ".")
    assert whole.output == "the same: 14 tensors, every bit\n"
    assert whole.errors == "decant: ignoring the prefix 'model.' of A and 'module.' of B in 14 names\n"
    keyed = decant("diff", folder / "zip.pth", folder / "flat.safetensors", "--key-a", "model", "--exact-names")
    assert keyed.output == "the same: 14 tensors, every bit\n" and keyed.errors == ""
    exact = diff(decant, folder / "zip.pth", folder / "flat.safetensors", "--key", ".", "--exact-names", status=1)
    assert len(exact["only_a"]) == len(exact["only_b"]) == 14 and "model.bool" in exact["only_a"]
    assert decant.attempt("diff", folder / "zip.pth", folder / "flat.safetensors", "--key-b", "nothing").status == 2


def test_two_names_of_a_layer_are_no_prefix(decant, folder):
    weights = {"weight": torch.randn(3, 3), "bias": torch.randn(3)}
    torch.save({f"fc.{name}": tensor for name, tensor in weights.items()}, folder / "a.pth")
    torch.save({f"head.{name}": tensor for name, tensor in weights.items()}, folder / "b.pth")
    found = diff(decant, folder / "a.pth", folder / "b.pth", status=1)
    assert [(pair["a"], pair["b"], pair["by"]) for pair in found["renamed"]] == [
        ("fc.weight", "head.weight", "data"), ("fc.bias", "head.bias", "data")
    ]  # fmt: skip
    assert diff(decant, folder / "a.pth", folder / "b.pth", "--ignore-names", status=0)["same"] is True


# Measures


def verdict(decant, folder, left: dict, right: dict) -> tuple[str, dict]:
    """The first line of the report, and the verdict in the JSON, on two state dicts saved by PyTorch."""
    torch.save(left, folder / "a.pth")
    torch.save(right, folder / "b.pth")
    text = decant.attempt("diff", folder / "a.pth", folder / "b.pth")
    assert text.status == 1
    found = diff(decant, folder / "a.pth", folder / "b.pth", status=1)
    return text.output.splitlines()[0], found["verdict"]


def test_verdicts_on_real_networks(decant, folder):
    torch.manual_seed(0)
    network, other = torchvision.models.resnet18(), torchvision.models.resnet18()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    floats = {name for name, value in before.items() if value.is_floating_point()}

    half = {name: value.half() if name in floats else value for name, value in before.items()}
    line, found = verdict(decant, folder, before, half)
    assert line.endswith("changed: exact float16 rounding") and found["kind"] == "rounding"

    line, found = verdict(decant, folder, before, other.state_dict())
    wide = [name for name in floats if before[name].ndim > 1]
    cosines = [
        torch.nn.functional.cosine_similarity(
            before[name].double().ravel(), other.state_dict()[name].double().ravel(), dim=0).item()
        for name in wide
    ]
    assert line.endswith(f"mean cosine {np.mean(cosines):.3f}: unrelated weights")
    assert math.isclose(found["mean_cosine"], np.mean(cosines), abs_tol=1e-12)

    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    line, found = verdict(decant, folder, before, network.state_dict())
    assert ": drift, max abs " in line and found["kind"] == "drift"
    changes = [(network.state_dict()[name] - before[name]).abs().max().item() for name in floats]
    assert math.isclose(found["max_abs"], max(changes), rel_tol=1e-6)


@pytest.mark.parametrize("left", ["module.", "_orig_mod.", "module._orig_mod.", "_fsdp_wrapped_module."])
@pytest.mark.parametrize("right", ["", "module.", "_orig_mod."])
def test_wrappers_of_both_sides(decant, folder, left, right):
    network = torchvision.models.resnet18().state_dict()
    for name, prefix in [("a.pth", left), ("b.pth", right)]:
        torch.save({prefix + key: value for key, value in network.items()}, folder / name)
    assert diff(decant, folder / "a.pth", folder / "b.pth", status=0)["same"] is True


def test_a_compiled_part(decant, folder):
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), folder / "a.pth")
    network.layer2 = torch.compile(network.layer2)
    assert any("layer2._orig_mod." in name for name in network.state_dict())
    torch.save(network.state_dict(), folder / "b.pth")
    assert diff(decant, folder / "a.pth", folder / "b.pth", status=0)["same"] is True


@pytest.mark.parametrize("dtype", FLOATS)
def test_measures_of_one_type(decant, folder, dtype):
    generator = torch.Generator().manual_seed(5)
    left = (torch.randn(70_001, generator=generator) * 3).to(getattr(torch, dtype))
    right = (left.float() + 0.05 * torch.randn(70_001, generator=generator)).to(left.dtype)
    change = only_change(decant, folder, left, right)
    check(change, measures(left, right))
    assert change["dtype_a"] == change["dtype_b"] == dtype and change["rounded"] is False


@pytest.mark.parametrize("dtype", SMALL)
def test_every_two_patterns_of_a_small_type(decant, folder, dtype):
    """All patterns beside a shuffle of them: subnormals, both zeros, infinities and NaNs."""
    bits = 8 * getattr(torch, dtype).itemsize
    numbers = torch.arange(1 << bits, dtype=torch.int32).to({16: torch.uint16, 8: torch.uint8}[bits])
    shuffle = torch.randperm(1 << bits, generator=torch.Generator().manual_seed(1))
    left = numbers.view(getattr(torch, dtype))
    right = numbers.to(torch.int32)[shuffle].to(numbers.dtype).view(left.dtype)
    change = only_change(decant, folder, left, right)
    x, y = left.double().numpy(), right.double().numpy()
    assert change["nan_on_one_side"] == (np.isnan(x) != np.isnan(y)).sum()
    assert change["max_abs"] == change["max_ulp"] == "Infinity"
    kept = torch.from_numpy(np.isfinite(x) & np.isfinite(y))
    patterns = (tensor.view(numbers.dtype).to(torch.int32)[kept].to(numbers.dtype) for tensor in (left, right))
    left, right = (pattern.view(left.dtype) for pattern in patterns)
    check(only_change(decant, folder, left, right), measures(left, right))


@pytest.mark.parametrize("coarse", [*SMALL, "float8_e8m0fnu"])
@pytest.mark.parametrize("swapped", [False, True])
def test_float32_rounded_once(decant, folder, coarse, swapped):
    generator = torch.Generator().manual_seed(7)
    fine = torch.cat([torch.randn(50_000, generator=generator) * scale for scale in (1e-6, 0.02, 1, 40)])
    if coarse == "float8_e8m0fnu":
        fine = fine.abs()
    rounded = fine.to(getattr(torch, coarse))
    pair = (rounded, fine) if swapped else (fine, rounded)
    change = only_change(decant, folder, *pair)
    assert change["rounded"] is True and change["remark"] == "rounded once" and change["max_ulp"] == 0
    x, y = fine.double().numpy(), rounded.double().numpy()
    assert change["max_abs"] == np.abs(x - y).max()
    text = decant.attempt("diff", folder / "a.pth", folder / "b.pth").output
    assert text.startswith(f"not the same: 1 changed: exact {coarse} rounding")
    # One number that is the next one instead, and nothing is rounded any more.
    moved = rounded.view(WIDTHS[rounded.dtype.itemsize]).clone()
    moved[3] += 1
    moved = moved.view(rounded.dtype)
    change = only_change(decant, folder, *((moved, fine) if swapped else (fine, moved)))
    assert change["rounded"] is False and change["max_ulp"] == 1


@pytest.mark.parametrize("coarse", ["float32", "float16"])
def test_float64_rounded_once(decant, folder, coarse):
    fine = torch.randn(50_000, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    rounded = torch.from_numpy(fine.numpy().astype(coarse))
    change = only_change(decant, folder, fine, rounded)
    assert change["rounded"] is True and change["max_ulp"] == 0
    assert only_change(decant, folder, fine.to(torch.bfloat16), fine.to(torch.float16))["max_ulp"] <= 1


@pytest.mark.parametrize("coarse", ["float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz", "float8_e8m0fnu"])
def test_what_is_too_large_for_a_type_without_infinity(decant, folder, coarse):
    """PyTorch's casts make NaN or the largest number of it, by type and version: it is rounded all the same."""
    dtype = getattr(torch, coarse)
    fine = torch.tensor([1.0, 3e38 if coarse == "float8_e8m0fnu" else 1e6])
    assert only_change(decant, folder, fine, fine.to(dtype))["rounded"] is True
    largest = torch.finfo(dtype).max
    change = only_change(decant, folder, fine, torch.tensor([1.0, largest]).to(dtype))
    assert change["rounded"] is True and change["max_ulp"] == 0 and change["nan_on_one_side"] == 0
    change = only_change(decant, folder, fine, torch.tensor([1.0, math.nan]).to(dtype))
    assert change["rounded"] is True and change["max_ulp"] == "Infinity" and change["nan_on_one_side"] == 1
    change = only_change(decant, folder, torch.tensor([1.0, largest]), torch.tensor([1.0, math.nan]).to(dtype))
    assert change["rounded"] is False and change["nan_on_one_side"] == 1


def test_the_same_numbers_in_another_type(decant, folder):
    half = torch.randn(100, generator=torch.Generator().manual_seed(2)).half()
    change = only_change(decant, folder, half, half.double())
    assert (change["max_abs"], change["max_ulp"], change["differing"]) == (0, 0, 0)
    assert change["remark"] == "the same numbers" and change["cosine"] == pytest.approx(1)
    for tolerance in ("--tolerance-abs", "--tolerance-rel", "--tolerance-ulp"):
        found = diff(decant, folder / "a.pth", folder / "b.pth", tolerance, "0", status=0)
        assert found["same"] is True and found["changed"] == [] and len(found["within_tolerance"]) == 1


def test_what_is_not_finite(decant, folder):
    nan, inf = math.nan, math.inf
    finished = same_pair(decant, folder, torch.tensor([nan, inf, -inf, 0.0]), torch.tensor([nan, inf, -inf, 0.0]))
    assert finished == "the same: 1 tensor, every bit\n"
    zero = only_change(decant, folder, torch.tensor([0.0, 1.0]), torch.tensor([-0.0, 1.0]))
    assert (zero["max_abs"], zero["max_rel"], zero["max_ulp"], zero["differing"]) == (0, 0, 1, 1)
    other = only_change(decant, folder, torch.tensor([nan, 1.0]), torch.tensor([2.0, 1.0]))
    assert (other["max_abs"], other["max_ulp"], other["nan_on_one_side"]) == ("Infinity", "Infinity", 1)
    assert "NaN differs" in decant.attempt("diff", folder / "a.pth", folder / "b.pth").output
    assert diff(decant, folder / "a.pth", folder / "b.pth", "--tolerance-abs", "1e300", status=1)["same"] is False
    largest = torch.tensor([torch.finfo(torch.float32).max])
    beyond = only_change(decant, folder, largest, torch.tensor([inf]))
    assert (beyond["max_abs"], beyond["max_ulp"], beyond["nan_on_one_side"]) == ("Infinity", 1, 0)
    payload = torch.tensor([0x7FC00000, 0x7FC00001], dtype=torch.int32).view(torch.float32)
    bits = only_change(decant, folder, payload[:1], payload[1:])
    assert (bits["max_abs"], bits["differing"], bits["remark"]) == (0, 0, "other NaN bits")
    # The difference itself leaves float64.
    huge = torch.tensor([1.7e308], dtype=torch.float64)
    assert only_change(decant, folder, huge, -huge)["max_abs"] == "Infinity"


def same_pair(decant, folder, left, right) -> str:
    torch.save({"x": left}, folder / "a.pth")
    torch.save({"x": right}, folder / "b.pth")
    return decant("diff", folder / "a.pth", folder / "b.pth").output


def test_whole_numbers_are_exact(decant, folder):
    left = torch.tensor([2**53, -(2**63), 5])
    change = only_change(decant, folder, left, torch.tensor([2**53 + 1, -(2**63), 5]))
    assert (change["max_abs"], change["max_ulp"], change["differing"]) == (1, 1, 1)
    change = only_change(decant, folder, torch.tensor([-(2**63)]), torch.tensor([2**63 - 1]))
    assert change["max_ulp"] == str(2**64 - 1)
    # A float64 cannot hold 2^53 + 1: they differ by one all the same.
    change = only_change(decant, folder, torch.tensor([2**53 + 1]), torch.tensor([2.0**53], dtype=torch.float64))
    assert (change["max_abs"], change["max_ulp"]) == (1, None)
    unsigned = torch.tensor([2**63 - 1], dtype=torch.int64).to(torch.uint64)
    assert only_change(decant, folder, torch.tensor([-(2**63)]), unsigned)["max_ulp"] == str(2**64 - 1)
    assert only_change(decant, folder, torch.tensor([1, 2]), torch.tensor([1, 2], dtype=torch.int8))["max_abs"] == 0
    bytes_ = torch.tensor([200], dtype=torch.uint8), torch.tensor([-3], dtype=torch.int8)
    assert only_change(decant, folder, *bytes_)["max_ulp"] == 203
    change = only_change(decant, folder, torch.tensor([True, False]), torch.tensor([1, 1], dtype=torch.uint8))
    assert (change["max_abs"], change["max_ulp"], change["dtype_a"], change["dtype_b"]) == (1, 1, "bool", "uint8")
    assert only_change(decant, folder, torch.tensor([True]), torch.tensor([0.25]))["max_abs"] == 0.75


def test_complex_numbers_part_by_part(decant, folder):
    generator = torch.Generator().manual_seed(4)
    left = torch.randn(500, dtype=torch.complex64, generator=generator)
    right = left + 0.01 * torch.randn(500, dtype=torch.complex64, generator=generator)
    check(only_change(decant, folder, left, right), measures(torch.view_as_real(left), torch.view_as_real(right)))
    assert same_pair(decant, folder, left.conj(), left.conj().resolve_conj()).startswith("the same")
    assert only_change(decant, folder, left.to(torch.complex128), left)["remark"] == "the same numbers"
    assert only_change(decant, folder, left.real.clone(), left)["max_abs"] == left.imag.abs().max().double().item()


def test_tolerances(decant, folder):
    left = torch.tensor([1.0, 1000.0, 0.0])
    right = torch.tensor([1.0 + 2**-23, 1000.5, 1e-9])
    only_change(decant, folder, left, right)
    files = folder / "a.pth", folder / "b.pth"
    for options, status in [
        (("--tolerance-abs", "0.5"), 0), (("--tolerance-abs", "0.49"), 1),
        (("--tolerance-rel", "1e-3"), 1), (("--tolerance-rel", "1e-3", "--tolerance-abs", "1e-8"), 0),
        (("--tolerance-rel", "1"), 0), (("--tolerance-ulp", "1"), 1),
        (("--tolerance-ulp", "1", "--tolerance-abs", "1e-8", "--tolerance-rel", "6e-4"), 0),
    ]:  # fmt: skip
        assert diff(decant, *files, *options, status=status)["same"] is (status == 0), options
    allowed = decant("diff", *files, "--tolerance-abs", "0.5").output
    assert allowed.startswith("the same: 1 tensor: 1 within tolerance\n")
    for wrong in ("-1", "inf", "nan", "x"):
        assert decant.attempt("diff", *files, f"--tolerance-abs={wrong}").status == 64


# Names, shapes and what is missing


@pytest.mark.parametrize("dialect", ["timm-resnetv2", "detectron2", "transformers", "mmpretrain", "caffe2"])
def test_renamed_into_another_library(decant, folder, dialect):
    state = torchvision.models.resnet50().state_dict()
    if dialect == "caffe2":
        state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    torch.save({"model": state}, folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "b.safetensors", "--key", "model", "--names", dialect)
    found = diff(decant, folder / "a.pth", folder / "b.safetensors", status=1)
    assert len(found["renamed"]) + found["identical"] == len(state)
    assert found["changed"] == found["only_a"] == found["only_b"] == []
    with safetensors.safe_open(folder / "b.safetensors", "pt") as file:
        for pair in found["renamed"]:
            assert pair["by"] == "dialect"
            there = file.get_tensor(pair["b"])
            here = state[pair["a"].removeprefix("model.")]
            assert torch.equal(there, here.reshape(there.shape))
            assert (there.shape == here.shape) == ("axes" not in pair)
    answer = decant.attempt("diff", folder / "a.pth", folder / "b.safetensors").output.split("\n")[0]
    assert answer.startswith("not the same: ") and "all data is the same, every bit, only names differ" in answer
    assert diff(decant, folder / "a.pth", folder / "b.safetensors", "--ignore-names", status=0)["same"] is True
    # A changed number is found behind its new name, and so is a cast network.
    name = "layer4.1.conv2.weight"
    state[name] = state[name].clone()
    state[name][1, 2, 0, 1] += 0.25
    torch.save({"model": state}, folder / "c.pth")
    found = diff(decant, folder / "c.pth", folder / "b.safetensors", "--ignore-names", status=1)
    (change,) = found["changed"]
    assert change["name"] == name and change["differing"] == 1
    assert change["max_abs"] == pytest.approx(0.25, rel=1e-5)


def test_kernels_in_another_layout(decant, folder):
    import nets

    torch.save(nets.timm.create_model("resnetv2_50x1_bit").state_dict(), folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "b.safetensors", "--names", "bit-npz")
    found = diff(decant, folder / "a.pth", folder / "b.safetensors", "--ignore-names", status=0)
    assert [2, 3, 1, 0] in [pair.get("axes") for pair in found["renamed"]]


def test_names_that_mean_two_things(decant, folder):
    """CLIP's downsample.1 is a normalization, here it is a convolution."""
    from modules import Clip

    torch.save(Clip((1, 1, 1, 1)).state_dict(), folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "b.safetensors", "--names", "canonical")
    found = diff(decant, folder / "a.pth", folder / "b.safetensors", "--ignore-names", status=0)
    pairs = {pair["a"]: pair["b"] for pair in found["renamed"]}
    assert any(pairs[name] in pairs and pairs[name] != name for name in pairs), pairs


def test_what_is_missing_or_shaped_otherwise(decant, folder):
    state = torchvision.models.resnet18().state_dict()
    other = dict(state)
    del other["layer1.0.bn1.num_batches_tracked"], other["fc.bias"]
    other["fc.weight"] = state["fc.weight"][:, :, None, None]
    other["conv1.weight"] = state["conv1.weight"][:32]
    other["extra"] = torch.zeros(3)
    torch.save(state, folder / "a.pth")
    torch.save(other, folder / "b.pth")
    found = diff(decant, folder / "a.pth", folder / "b.pth", status=1)
    assert sorted(found["only_a"]) == ["fc.bias", "layer1.0.bn1.num_batches_tracked"] and found["only_b"] == ["extra"]
    (reshaped,) = found["reshaped"]
    assert reshaped == {"a": "fc.weight", "b": "fc.weight", "shape_a": [1000, 512], "shape_b": [1000, 512, 1, 1]}
    (change,) = found["changed"]
    assert (change["name"], change["max_abs"], change["remark"]) == ("conv1.weight", None, "shape")
    assert change["shape_a"] == [64, 3, 7, 7] and change["shape_b"] == [32, 3, 7, 7]
    assert found["identical"] == len(state) - 4
    finished = decant.attempt("diff", folder / "a.pth", folder / "b.pth")
    assert finished.output.startswith("not the same: 118 identical, 1 reshaped, 1 changed, 2 only in A, 1 only in B\n")


def test_other_axes(decant, folder):
    kernel = torch.randn(8, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    torch.save({"matrix": kernel[0, 0], "kernel": kernel, "view": kernel.permute(1, 0, 2, 3)}, folder / "a.pth")
    other = {"matrix": kernel[0, 0].T.contiguous(), "kernel": kernel.permute(2, 3, 1, 0).contiguous()}
    other["view"] = other["kernel"].permute(2, 3, 0, 1).contiguous()
    torch.save(other, folder / "b.pth")
    found = diff(decant, folder / "a.pth", folder / "b.pth", status=1)
    assert {pair["a"]: pair["axes"] for pair in found["reshaped"]} == {"matrix": [1, 0], "kernel": [2, 3, 1, 0]}
    assert found["identical"] == 1 and found["changed"] == []


def test_a_part_by_its_names(decant, folder, fixtures):
    torch.save({"model": {"weight": torch.ones(3), "bias": torch.ones(2), "steps": torch.tensor(3)}}, folder / "a.pth")
    torch.save({"weight": torch.ones(3), "bias": torch.zeros(2), "steps": torch.tensor(4)}, folder / "b.pth")
    files = folder / "a.pth", folder / "b.pth"
    (steps,) = diff(decant, *files, "--key", ".", "--except", "*bias", status=1)["changed"]
    assert (steps["name"], steps["name_b"], steps["max_abs"]) == ("model.steps", "steps", 1)
    left_out = decant("diff", *files, "--key", ".", "--except", "*bias", "--except", "*steps")
    assert left_out.output == "the same: 1 tensor, every bit\n"
    assert left_out.errors.startswith("decant: skipped 2 tensors of A\ndecant: skipped 2 tensors of B\n")
    assert diff(decant, *files, "--only", "*weight", status=0)["identical"] == 1
    assert decant.attempt("diff", *files, "--key", ".", "--only", "weight").status == 2
    assert decant.attempt("diff", *files, "--except", "*.bais").status == 2
    gguf = fixtures / "arrays" / "tensors.gguf"
    refused = decant.attempt("diff", gguf, gguf)
    assert refused.status == 2 and "blk.0.weight (gguf Q4_0)" in refused.errors
    assert decant("diff", gguf, gguf, "--except", "blk.*").output == "the same: 5 tensors, every bit\n"


def test_equal_data_is_paired_only_where_it_is_plain(decant, folder):
    torch.manual_seed(0)
    one, two, zeros = torch.randn(4, 4), torch.randn(4, 4), torch.zeros(8)
    torch.save({"a": one, "b": two, "z1": zeros, "z2": zeros.clone(), "r": one.reshape(2, 8)}, folder / "a.pth")
    torch.save({"p": two, "q": one, "y": zeros}, folder / "b.pth")
    found = diff(decant, folder / "a.pth", folder / "b.pth", status=1)
    assert {(pair["a"], pair["b"]) for pair in found["renamed"]} == {("a", "q"), ("b", "p")}
    assert found["only_a"] == ["z1", "z2", "r"] and found["only_b"] == ["y"]
    torch.save({"q": one}, folder / "b.pth")
    torch.save({"r": one.reshape(2, 8)}, folder / "a.pth")
    found = diff(decant, folder / "a.pth", folder / "b.pth", "--ignore-names", status=1)
    assert [(pair["a"], pair["b"]) for pair in found["reshaped"]] == [("r", "q")]


def test_names_are_bytes_and_are_escaped(decant, folder):
    one, two = "caf\u00e9", "cafe\u0301"
    safetensors.torch.save_file({one: torch.ones(2), "\x1b[31m": torch.ones(3)}, folder / "a.safetensors")
    safetensors.torch.save_file({two: torch.zeros(2)}, folder / "b.safetensors")
    found = diff(decant, folder / "a.safetensors", folder / "b.safetensors", status=1)
    assert found["only_a"] and found["only_b"] == [two] and found["changed"] == []
    assert "\x1b" not in decant.attempt("diff", folder / "a.safetensors", folder / "b.safetensors").output


# Quantised, sparse, and what cannot be compared


def test_quantised_and_sparse(decant, folder, fixtures):
    scheme = dict(scale=0.5, zero_point=3, dtype=torch.qint8)
    numbers = torch.randn(6, 6, generator=torch.Generator().manual_seed(6))
    left = torch.quantize_per_tensor(numbers, **scheme)
    right = torch.quantize_per_tensor(numbers + 0.5, **scheme)
    assert same_pair(decant, folder, left, left.clone()).startswith("the same: 1 tensor, every bit")
    change = only_change(decant, folder, left, right)
    assert change["max_abs"] is None and change["remark"] == "integers; --dequantize measures it"
    assert only_change(decant, folder, left, right, "--dequantize")["max_abs"] == 0.5
    other = torch.quantize_per_tensor(numbers, 0.25, 3, torch.qint8)
    assert only_change(decant, folder, left, other)["remark"] == "scale, integers; --dequantize measures it"
    torch.save({"x": left.dequantize()}, folder / "b.pth")
    refused = decant.attempt("diff", folder / "a.pth", folder / "b.pth")
    assert refused.status == 2 and "x" in refused.errors and "--dequantize" in refused.errors
    assert diff(decant, folder / "a.pth", folder / "b.pth", "--dequantize", status=0)["same"] is True

    dense = torch.eye(5)
    assert same_pair(decant, folder, dense.to_sparse(), dense.to_sparse()).startswith("the same")
    change = only_change(decant, folder, dense.to_sparse(), (2 * dense).to_sparse())
    assert change["remark"] == "values; --to-dense measures it"
    assert only_change(decant, folder, dense.to_sparse(), (2 * dense).to_sparse_csr(), "--to-dense")["max_abs"] == 1
    torch.save({"x": dense}, folder / "a.pth")
    refused = decant.attempt("diff", folder / "a.pth", folder / "b.pth")
    assert refused.status == 2 and "--to-dense" in refused.errors
    for name in ("sparse", "quantized", "nested_tensors", "subclass", "dtypes", "dtypes_sub_byte"):
        file = fixtures / "torch" / f"{name}.pth"
        assert decant("diff", file, file).output.startswith("the same: "), name


def test_refusals_name_what_is_wrong(decant, folder, fixtures):
    good = folder / "good.pth"
    torch.save({"x": torch.ones(1000), "y": torch.ones(3)}, good)
    meta = decant.attempt("diff", good, fixtures / "torch" / "without_data.pth")
    assert meta.status == 2 and "without_data.pth" in meta.errors and "meta_transposed" in meta.errors
    torch.save({"epoch": 3}, folder / "none.pth")
    assert "holds no tensors" in decant.attempt("diff", good, folder / "none.pth").errors
    twice = decant.attempt("diff", good, fixtures / "torch" / "same_names.pth", "--key", ".")
    assert twice.status == 2 and "a.b" in twice.errors
    cut = folder / "cut.pth"
    cut.write_bytes(good.read_bytes()[:3000])
    assert decant.attempt("diff", good, cut).status == 2 and decant.attempt("diff", cut, good).status == 2
    assert decant.attempt("diff", good, folder / "absent.pth").status == 2
    assert decant.attempt("diff", good).status == 64
    # A wrong byte is a damaged file, not another number.
    with zipfile.ZipFile(good) as archive:
        (entry,) = [entry for entry in archive.infolist() if entry.filename.endswith("/data/0")]
    data = bytearray(good.read_bytes())
    place = data.index(torch.ones(1000).numpy().tobytes())
    data[place + 400] ^= 1
    (folder / "damaged.pth").write_bytes(data)
    for pair in ((good, folder / "damaged.pth"), (folder / "damaged.pth", good)):
        damaged = decant.attempt("diff", *pair)
        assert damaged.status == 2 and "damaged.pth" in damaged.errors and "tensor x" in damaged.errors, damaged
        assert entry.filename in damaged.errors


def test_a_damaged_part_of_a_sparse_tensor(decant, folder):
    good, damaged = folder / "good.pth", folder / "damaged.pth"
    torch.save({"x": (torch.eye(40) * 7).to_sparse()}, good)
    data = bytearray(good.read_bytes())
    data[data.index(torch.full((40,), 7.0).numpy().tobytes()) + 9] ^= 1
    damaged.write_bytes(data)
    refused = decant.attempt("diff", good, damaged)
    assert refused.status == 2 and "damaged.pth" in refused.errors and "tensor x" in refused.errors
    assert decant.attempt("inspect", "--checksums", damaged).status == 2
    decant("inspect", "--checksums", good)


def test_a_reader_that_goes_away(decant, folder):
    torch.save({f"tensor{index}": torch.ones(2) for index in range(5000)}, folder / "a.pth")
    torch.save({f"tensor{index}": torch.zeros(2) for index in range(5000)}, folder / "b.pth")
    process = subprocess.Popen(
        [decant.binary, "diff", folder / "a.pth", folder / "b.pth"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"not the same: all 5,000 tensors differ\n"
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait() in (0, 1) and errors == b""


# Size


def test_a_hundred_thousand_small_tensors(decant, folder, figures):
    tensors = {f"block{index // 10}.t{index % 10}": torch.full((3,), float(index)) for index in range(100_000)}
    safetensors.torch.save_file(tensors, folder / "a.safetensors")
    torch.save({"model": tensors}, folder / "b.pth")
    start = time.monotonic()
    assert diff(decant, folder / "a.safetensors", folder / "b.pth", status=0)["identical"] == 100_000
    figures(f"diff: 100,000 tensors of .safetensors and .pth in {time.monotonic() - start:.1f} s")


def test_memory_is_bounded(decant, folder, figures):
    count = 400_000_000 // 4
    tensors = {"large": torch.randn(count, generator=torch.Generator().manual_seed(8))}
    torch.save(tensors, folder / "a.pth")
    safetensors.torch.save_file(tensors, folder / "b.safetensors")
    tensors["large"][count - 1] += 1
    safetensors.torch.save_file(tensors, folder / "c.safetensors")
    del tensors
    for name, status, what in (("b", 0, "equal"), ("c", 1, "one number differs")):
        start = time.monotonic()
        ended, kilobytes = measured(decant.binary, "diff", folder / "a.pth", folder / f"{name}.safetensors")
        assert ended == status and kilobytes < 40_000, f"{kilobytes} KB resident"
        figures(f"diff: 400 MB, {what}: {time.monotonic() - start:.2f} s, {kilobytes // 1000} MB resident")


# Runs a command from a small process: what a child inherits before it starts counts as its own.
LAUNCHER = """
import os, sys
child = os.fork()
if child == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def measured(*command) -> tuple[int, int]:
    """The exit code of a command and the most memory it had, in KB."""
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *command], capture_output=True, text=True, check=True)
    status, kilobytes = map(int, done.stdout.split())
    return status, kilobytes
