"""Pruned weights, weight norm and spectral norm: PyTorch makes the parts and computes the weights.

The bounds are those of docs/formats/parametrised-weights.md.
"""

import json
import subprocess
import sys
import warnings

import networks
import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from accuracy import image
from nets import randomise
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

# Units in the last place from the exact weight, and from PyTorch's on layers of a ResNet.
EXACT = 3
PYTORCH = {torch.float32: 12, torch.float64: 24, torch.float16: 2, torch.bfloat16: 1}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def layers(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def prune_each(network: nn.Module):
    for layer in layers(network):
        prune.l1_unstructured(layer, "weight", 0.4)
    prune.random_unstructured(network.fc, "bias", 0.5)


def prune_globally(network: nn.Module):
    prune.global_unstructured([(layer, "weight") for layer in layers(network)], prune.L1Unstructured, amount=0.3)


def prune_twice(network: nn.Module):
    for layer in layers(network):
        prune.ln_structured(layer, "weight", 0.25, n=2, dim=0)
        prune.random_unstructured(layer, "weight", 0.25)


def norm(dim, function):
    def apply(network: nn.Module):
        for layer in layers(network):
            function(layer, "weight", dim=dim)
        # Training changes the magnitudes.
        for name, parameter in network.named_parameters():
            if name.endswith(("_g", "original0")):
                parameter.data.mul_(torch.rand_like(parameter) + 0.5)

    return apply


def spectral(function, passes: int):
    def apply(network: nn.Module):
        for layer in layers(network):
            function(layer)
        network.train()
        with torch.no_grad():
            for _ in range(passes):
                network(torch.randn(2, 3, 64, 64))

    return apply


METHODS = {
    "pruned": prune_each,
    "pruned-globally": prune_globally,
    "pruned-twice": prune_twice,
    "weight-norm": norm(0, nn.utils.weight_norm),
    "weight-norm-inputs": norm(1, nn.utils.weight_norm),
    "weight-norm-all": norm(None, nn.utils.weight_norm),
    "weight-norm-new": norm(0, parametrizations.weight_norm),
    "spectral-norm": spectral(nn.utils.spectral_norm, 5),
    "spectral-norm-untrained": spectral(nn.utils.spectral_norm, 0),
    "spectral-norm-new": spectral(parametrizations.spectral_norm, 3),
}


def make(method: str) -> nn.Module:
    network = networks.small(networks.models.BasicBlock, [1, 1, 1, 1], classes=5, stride0=2)
    randomise(network)
    METHODS[method](network)
    return network.eval()


@torch.no_grad()
def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict that the network has without its parametrizations."""
    images = torch.zeros(1, 3, 32, 32)
    network(images)  # The hooks compute the weights.
    found = {name: value for name, value in network.state_dict().items()}
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            found = {key: value for key, value in found.items() if not key.startswith(name + ".")}
            for parameter in ["weight", "bias"]:
                if getattr(module, parameter, None) is not None:
                    found[f"{name}.{parameter}"] = getattr(module, parameter).detach().clone()
    return found


def ulps(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest distance in units in the last place of b's numbers; a may be more precise."""
    digits = {torch.float64: 52, torch.float32: 23, torch.float16: 10, torch.bfloat16: 7}[b.dtype]
    a, b = a.double(), b.double()
    _, exponents = torch.frexp(torch.maximum(a.abs(), b.abs()))
    step = torch.ldexp(torch.ones_like(a), exponents - 1 - digits)
    return float(torch.where(a == b, 0.0, (a - b).abs() / step).max())


@pytest.mark.parametrize("method", METHODS)
def test_networks(decant, folder, run, method):
    """Every command understands the file, and computes what PyTorch computes."""
    network = make(method)
    expected = weights(network)
    torch.save(network.state_dict(), folder / "parts.pth")
    count = sum("weight" in name and value.ndim > 1 for name, value in expected.items()) + (method == "pruned")

    found = json.loads(decant("identify", folder / "parts.pth", "--json").output)
    assert found["ok"] and found["layers"] == [1, 1, 1, 1]
    tensors = found["tensors"]
    assert tensors["missing"] == tensors["mismatched"] == tensors["unexpected"] == tensors["beside"] == 0
    assert sum(group["weights"] for group in found["parametrized"]) == count
    finished = decant("verify", folder / "parts.pth", "--json")
    assert json.loads(finished.output)["ok"] and "computed from" in finished.errors

    images = image(2, 3, 65, 64)
    with torch.no_grad():
        truth = network(torch.from_numpy(images)).numpy()
    scale = np.abs(truth).max()
    assert np.abs(run(folder / "parts.pth", images) - truth).max() <= 2e-5 * scale

    decant("convert", folder / "parts.pth", folder / "net.onnx", "--check")
    (logits,) = onnxruntime.InferenceSession(folder / "net.onnx").run(None, {"input": images})
    assert np.abs(logits - truth).max() <= 2e-5 * scale

    decant("convert", folder / "parts.pth", folder / "whole.safetensors", "--resolve", "--check")
    whole = safetensors.torch.load_file(folder / "whole.safetensors")
    assert set(whole) == set(expected)
    for name, value in expected.items():
        assert whole[name].dtype == value.dtype and whole[name].shape == value.shape
        if method.startswith("pruned"):
            assert torch.equal(whole[name].flatten().view(torch.uint8), value.flatten().view(torch.uint8)), name
        elif method != "spectral-norm-untrained":
            assert ulps(whole[name], value) <= PYTORCH[value.dtype] if value.is_floating_point() else True, name

    # The written network loads strictly, and computes the same.
    plain = networks.small(networks.models.BasicBlock, [1, 1, 1, 1], classes=5, stride0=2)
    plain.load_state_dict(whole, strict=True)
    with torch.no_grad():
        assert np.abs(plain.eval()(torch.from_numpy(images)).numpy() - truth).max() <= 2e-5 * scale
    decant("diff", "--resolve", folder / "parts.pth", folder / "whole.safetensors")
    assert decant.attempt("diff", folder / "parts.pth", folder / "whole.safetensors").status == 1

    decant("convert", folder / "parts.pth", folder / "whole.pth", "--resolve", "--dtype", "float16")
    half = torch.load(folder / "whole.pth", weights_only=True)
    assert set(half) == set(expected)
    for name, value in whole.items():
        expected_half = value.half() if value.is_floating_point() else value
        assert torch.equal(half[name], expected_half), name


@pytest.mark.parametrize("dtype", PYTORCH)
@pytest.mark.parametrize("shape", [(64, 3, 7, 7), (256, 128, 3, 3), (512, 256, 1, 1), (1000, 512)])
def test_layers(decant, folder, dtype, shape):
    """Layers of a ResNet's sizes: distances from PyTorch's weight, and from the exact one."""
    named = {}
    for name, function in [
        ("norm", nn.utils.weight_norm),
        ("inputs", lambda layer: nn.utils.weight_norm(layer, dim=1)),
        ("spectral", parametrizations.spectral_norm),
        ("pruned", lambda layer: prune.random_unstructured(layer, "weight", 0.5)),
    ]:
        layer = nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], shape[2])
        named[name] = function(layer).to(dtype).eval()
    parts = nn.ModuleDict(named).state_dict()
    torch.save(parts, folder / "parts.pth")
    decant("convert", folder / "parts.pth", folder / "whole.safetensors", "--resolve")
    found = safetensors.torch.load_file(folder / "whole.safetensors")
    for name, module in named.items():
        for precision in [dtype, torch.float64]:
            module.to(precision)
            with torch.no_grad():
                for hook in module._forward_pre_hooks.values():
                    hook(module, None)
                expected = module.weight.detach().clone()
            distance = ulps(expected, found[f"{name}.weight"])
            if name == "pruned":
                assert distance == 0
            elif precision == dtype:
                assert distance <= PYTORCH[dtype], (name, distance)
            elif dtype == torch.float32 and name != "spectral":
                assert distance <= EXACT, name


def test_memory_is_one_tensor(decant, folder):
    """`convert --resolve` holds one weight, not the file."""
    count, size = 24, 1 << 20
    parts = {}
    for index in range(count):
        parts[f"{index}.weight_orig"] = torch.randn(size)
        parts[f"{index}.weight_mask"] = torch.ones(size)
    torch.save(parts, folder / "parts.pth")
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    line = [decant.binary, "convert", folder / "parts.pth", folder / "whole.safetensors", "--resolve"]
    peak = int(subprocess.run([sys.executable, "-c", code, *line], check=True, capture_output=True).stdout)
    assert peak < 100_000, f"{peak} kB for {count} weights of {4 * size} bytes"
    whole = safetensors.torch.load_file(folder / "whole.safetensors")
    assert all(torch.equal(whole[f"{index}.weight"], parts[f"{index}.weight_orig"]) for index in range(count))


def test_the_rest_is_refused_by_name(decant, folder):
    network = make("weight-norm")
    layer = nn.Conv2d(3, 8, 7, padding=3, stride=2, bias=False)
    network.conv1 = parametrizations.orthogonal(layer)
    torch.save(network.state_dict(), folder / "parts.pth")
    np.save(folder / "x.npy", image(1, 3, 32, 32))
    text = "the weight of conv1 is parametrised in a way that is not known: parametrizations.weight.original"
    for line in [
        ["identify", folder / "parts.pth"], ["verify", folder / "parts.pth"],
        ["run", folder / "parts.pth", "--input", folder / "x.npy"],
        ["convert", folder / "parts.pth", folder / "net.onnx"],
    ]:  # fmt: skip
        finished = decant.attempt(*line)
        assert finished.status == 2 and text in finished.errors, line
    assert not (folder / "net.onnx").exists()
    finished = decant("convert", folder / "parts.pth", folder / "whole.safetensors", "--resolve")
    assert "not resolved: " + text in finished.errors
    found = safetensors.torch.load_file(folder / "whole.safetensors")
    assert "conv1.parametrizations.weight.original" in found and "layer1.0.conv1.weight" in found

    # A parametrization outside the network does not matter to it.
    state = make("weight-norm").state_dict()
    other = nn.Linear(3, 3)
    parametrizations.orthogonal(other)
    state |= {f"decoder.{name}": value for name, value in other.state_dict().items()}
    torch.save(state, folder / "parts.pth")
    finished = decant("verify", folder / "parts.pth")
    assert "3 other tensors" in finished.output + finished.errors


def test_the_remedy_works(decant, folder):
    """PyTorch makes a weight plain, as the error says."""
    network = make("pruned")
    network.conv1 = parametrizations.orthogonal(nn.Conv2d(3, 8, 7, padding=3, stride=2, bias=False))
    parametrize.remove_parametrizations(network.conv1, "weight")
    torch.save(network.state_dict(), folder / "parts.pth")
    decant("verify", folder / "parts.pth")


@pytest.mark.parametrize("method", ["weight-norm", "spectral-norm-new"])
def test_zero_norms_are_not_finite(decant, folder, method):
    """PyTorch divides by a norm of zero, and the weight is NaN."""
    network = make(method)
    with torch.no_grad():
        part = "fc.weight_v" if method == "weight-norm" else "fc.parametrizations.weight.original"
        network.state_dict()[part][0 if method == "weight-norm" else ...] = 0
    expected = weights(network)["fc.weight"]
    count = int((~torch.isfinite(expected)).sum())
    assert count > 0
    torch.save(network.state_dict(), folder / "parts.pth")
    finished = decant.attempt("verify", folder / "parts.pth", "--json")
    assert finished.status == 1
    assert json.loads(finished.output)["non_finite"] == [{"name": "fc.weight", "count": count}]


def test_wrong_shapes_are_named(decant, folder):
    state = make("pruned").state_dict()
    state["layer1.0.conv1.weight_mask"] = torch.ones(3, 3)
    torch.save(state, folder / "parts.pth")
    finished = decant.attempt("verify", folder / "parts.pth")
    assert finished.status == 2
    assert "the weight of layer1.0.conv1 cannot be computed: its parts do not fit each other" in finished.errors
    state = make("weight-norm").state_dict()
    state["layer1.0.conv1.weight_g"] = torch.ones(3, 8)
    torch.save(state, folder / "parts.pth")
    finished = decant.attempt("identify", folder / "parts.pth")
    assert finished.status == 2 and "weight_g (float32 3×8), weight_v (float32 8×8×3×3)" in finished.errors


@pytest.mark.parametrize("method", ["pruned", "weight-norm", "spectral-norm"])
def test_folding_and_renaming(decant, folder, run, method):
    network = make(method)
    torch.save(network.state_dict(), folder / "parts.pth")
    target = folder / "folded.safetensors"
    for options in (["--fold-bn"], ["--names", "detectron2"]):
        finished = decant.attempt("convert", folder / "parts.pth", target, *options)
        assert finished.status == 2 and "--resolve" in finished.errors and not target.exists()
    decant("convert", folder / "parts.pth", target, "--resolve", "--fold-bn", "--names", "detectron2")
    images = image(1, 3, 65, 64)
    with torch.no_grad():
        truth = network(torch.from_numpy(images)).numpy()
    assert np.abs(run(target, images) - truth).max() <= 2e-5 * np.abs(truth).max()


def test_whole_modules(decant, folder):
    """A pickled module holds parts and a cached weight; state_dict() has the parts only."""
    network = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 3)), nn.ReLU(), nn.Linear(3, 2))
    prune.l1_unstructured(network[2], "weight", 0.5)
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 4))
        expected = {f"{place}.weight": network[place].weight.detach().clone() for place in (0, 2)}
    for place in (0, 2):  # PyTorch does not pickle tensors with a history.
        network[place].weight = expected[f"{place}.weight"]
    torch.save(network, folder / "module.pth")
    for target, options in [("a.safetensors", []), ("b.pth", ["--drop-objects"])]:
        decant("convert", folder / "module.pth", folder / target, "--resolve", *options)
    for found in [
        safetensors.torch.load_file(folder / "a.safetensors"), torch.load(folder / "b.pth", weights_only=True),
    ]:  # fmt: skip
        assert set(found) == {"0.weight", "0.bias", "2.weight", "2.bias"}
        assert torch.equal(found["2.weight"], expected["2.weight"])
        assert ulps(found["0.weight"], expected["0.weight"]) <= 4


def test_damage_in_a_part_is_found(decant, folder):
    """The checksums of the parts are those of the weight."""
    state = make("pruned").state_dict()
    torch.save(state, folder / "parts.pth")
    data = bytearray((folder / "parts.pth").read_bytes())
    needle = state["layer4.0.conv2.weight_orig"].numpy().tobytes()
    data[data.index(needle) + 5] ^= 1
    (folder / "parts.pth").write_bytes(data)
    for target in ["a.safetensors", "a.pth"]:
        finished = decant.attempt("convert", folder / "parts.pth", folder / target, "--resolve")
        assert finished.status == 2 and "CRC-32" in finished.errors and not (folder / target).exists()
    finished = decant.attempt("convert", folder / "parts.pth", folder / "a.safetensors", "--resolve", "--salvage")
    found = safetensors.torch.load_file(folder / "a.safetensors")
    assert "layer4.0.conv2.weight" not in found and "layer4.0.conv1.weight" in found
    assert "layer4.0.conv2.weight" in finished.errors
