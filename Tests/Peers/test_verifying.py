"""What `decant verify` accepts and finds, in files that PyTorch writes and loads."""

import json

import nets
import networks
import numpy as np
import pytest
import torch
from accuracy import image
from torch import nn


def resnet18(classes: int = 1000) -> nn.Module:
    torch.manual_seed(1)
    return nets.randomise(networks.models.resnet18(num_classes=classes).eval())


def counted(network: nn.Module) -> nn.Module:
    """Adds the buffers that thop's profiler registers."""
    for module in network.modules():
        module.register_buffer("total_ops", torch.zeros(1, dtype=torch.float64))
        module.register_buffer("total_params", torch.zeros(1, dtype=torch.float64))
    return network


def observed(network: nn.Module) -> nn.Module:
    """Adds quantisation observers, as eager mode does before calibration."""
    quantization = torch.ao.quantization
    network.qconfig = quantization.get_default_qconfig("x86")
    return quantization.prepare(network)


def averaged(network: nn.Module) -> nn.Module:
    return torch.optim.swa_utils.AveragedModel(network)


@pytest.mark.parametrize("extra", [counted, observed, averaged])
def test_known_extras(decant, folder, extra):
    network = resnet18()
    file = nets.save(extra(network), folder)
    np.save(folder / "x.npy", image(1, 3, 33, 35))
    assert nets.identify(decant, file)["architecture"] == "resnet18"
    for options in ([], ["--arch", "resnet18"]):
        finished = decant("verify", file, "--json", *options)
        result = json.loads(finished.output)
        assert result["ok"] and sum(result["set_aside"].values()) > 0
        assert finished.errors.count("set aside") == 1
    ran = decant("run", file, "--input", folder / "x.npy")
    assert ran.errors.count("set aside") == 1
    decant("convert", file, folder / "net.onnx")


def test_except(decant, folder):
    network = resnet18()
    network.layer1[0].adapter = nn.Linear(64, 64)
    network.layer2[0].adapter = nn.Linear(128, 128)
    file = nets.save(network, folder)
    np.save(folder / "x.npy", image(1, 3, 33, 35))
    commands = [["identify", file], ["verify", file], ["run", file, "--input", folder / "x.npy"],
                ["convert", file, folder / "net.onnx"]]  # fmt: skip
    for command in commands:
        refused = decant.attempt(*command)
        assert refused.status == 1
        if command[0] != "identify":
            assert "--except '*.adapter.*'" in refused.output + refused.errors
        decant(*command, "--except", "*.adapter.*")
    assert decant.attempt("verify", file, "--except", "nothing.*").status == 2


COUNTERS = {
    "float": lambda tensor: tensor.float(),
    "one": lambda tensor: tensor.reshape(1),
    "half": lambda tensor: tensor.half().reshape(1, 1),
    "absent": lambda tensor: None,
}


@pytest.mark.parametrize("kind", COUNTERS)
def test_counters(decant, folder, kind):
    """num_batches_tracked in any form, as PyTorch's strict loading accepts most of them."""
    state = {}
    for name, tensor in resnet18().state_dict().items():
        value = COUNTERS[kind](tensor) if name.endswith("num_batches_tracked") else tensor
        if value is not None:
            state[name] = value
    file = nets.save(state, folder)
    for options in ([], ["--arch", "resnet18"]):
        output = decant("verify", file, *options).output
        assert "num_batches_tracked" in output and "PyTorch 0.4" not in output
    expected = "absent in all 20 batch norms" if kind == "absent" else "in 20 batch norms"
    assert expected in output
    if kind in ("float", "one"):
        resnet18().load_state_dict(state, strict=True)


def test_another_head(decant, folder):
    file = nets.save(resnet18(10), folder)
    assert nets.verify(decant, file)["architecture"] == "resnet18"
    asked = decant.attempt("verify", file, "--arch", "resnet18")
    assert asked.status == 1 and "--num-classes 10" in asked.output
    decant("verify", file, "--arch", "resnet18", "--num-classes", "10")
    assert decant.attempt("verify", file, "--num-classes", "11").status == 1


def test_one_class_needs_no_stride(decant, folder):
    torch.manual_seed(1)
    file = nets.save(networks.models.resnet50(num_classes=1), folder)
    output = decant("verify", file).output
    assert output.startswith("yes: ") and "not in the file: stem stride" in output


def test_not_a_resnet(decant, folder):
    file = nets.save(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), folder)
    np.save(folder / "x.npy", image(1, 3, 33, 35))
    for command in (["identify", file], ["verify", file], ["verify", file, "--arch", "resnet18"],
                    ["run", file, "--input", folder / "x.npy"], ["convert", file, folder / "net.onnx"],
                    ["run", file, "--input", folder / "x.npy", "--arch", "resnet18"]):  # fmt: skip
        assert decant.attempt(*command).status == 1, command


def test_prefixes_with_an_architecture(decant, folder):
    """A stem that is missing does not hide the prefix."""
    state = {f"module.{name}": tensor for name, tensor in resnet18().state_dict().items() if name != "conv1.weight"}
    file = nets.save(state, folder)
    asked = decant.attempt("verify", file, "--arch", "resnet18", "--json")
    result = json.loads(asked.output)
    assert asked.status == 1 and result["prefix"] == "module." and result["missing"] == ["module.conv1.weight"]


def test_blocks_are_folded(decant, folder):
    torch.manual_seed(1)
    small, large = networks.models.resnet50(), networks.models.resnet101()
    nets.save(small, folder).rename(folder / "small.pth")
    nets.save(large, folder).rename(folder / "large.pth")
    asked = decant.attempt("verify", folder / "small.pth", "--arch", "resnet101")
    assert asked.status == 1 and "\n  layer3: blocks 6-22 missing (17 blocks, 255 tensors)\n" in asked.output
    asked = decant.attempt("verify", folder / "large.pth", "--arch", "resnet50")
    assert asked.status == 1 and "\n  layer3: blocks 6-22 unexpected (17 blocks, 306 tensors)\n" in asked.output
    result = json.loads(decant.attempt("verify", folder / "small.pth", "--arch", "resnet101", "--json").output)
    assert len(result["missing"]) == 255


def test_not_finite(decant, folder):
    network = resnet18()
    network.conv1.weight.data[0, 0, 0, :2] = torch.nan
    network.fc.bias.data[3] = torch.inf
    file = nets.save(network, folder)
    asked = decant.attempt("verify", file)
    assert asked.status == 1
    assert asked.output.startswith("no: resnet18, but 2 tensors hold NaN or Inf: conv1.weight (2), fc.bias (1)\n")
    np.save(folder / "x.npy", image(1, 3, 33, 35))
    ran = decant.attempt("run", file, "--input", folder / "x.npy", "--output", folder / "y.npy")
    assert ran.status == 1 and (folder / "y.npy").exists() and "not finite: 2 tensors hold NaN or Inf" in ran.output
    ran = decant.attempt("run", file, "--input", folder / "x.npy", "--json")
    assert ran.status == 1 and json.loads(ran.output)["non_finite"] and json.loads(ran.output)["numerics"] == "exact"


def test_not_finite_input(decant, folder):
    file = nets.save(resnet18(), folder)
    images = image(1, 3, 33, 35)
    images[0, 0, 0, 0] = np.nan
    np.save(folder / "x.npy", images)
    ran = decant.attempt("run", file, "--input", folder / "x.npy", "--output", folder / "y.npy")
    assert ran.status == 1 and (folder / "y.npy").exists() and "holds 1 number that is NaN or Inf" in ran.output


def test_damage_is_listed(decant, folder):
    """Every storage with a wrong checksum is a finding of verify; run and convert fail."""
    file = nets.save(resnet18(), folder)
    content = bytearray(file.read_bytes())
    for tensor in (resnet18().conv1.weight, resnet18().layer1[0].conv2.weight):
        place = content.find(tensor.detach().numpy().tobytes())
        assert place > 0
        # The lowest bits of a number's fraction: it stays finite.
        content[place] ^= 1
    file.write_bytes(content)
    asked = decant.attempt("verify", file)
    assert asked.status == 1 and asked.output.startswith("no: resnet18, but 2 checksums are wrong\n")
    assert "damaged     conv1.weight" in asked.output and "damaged     layer1.0.conv2.weight" in asked.output
    assert len(json.loads(decant.attempt("verify", file, "--json").output)["damaged"]) == 2
    np.save(folder / "x.npy", image(1, 3, 33, 35))
    for command in (["run", file, "--input", folder / "x.npy"], ["convert", file, folder / "out.safetensors"]):
        assert decant.attempt(*command).status == 2


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_cut_off(decant, folder, form):
    file = folder / "net.pth"
    torch.save(resnet18().state_dict(), file, _use_new_zipfile_serialization=form == "zip")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    np.save(folder / "x.npy", image(1, 3, 33, 35))
    for command in (["verify", file], ["verify", file, "--arch", "resnet18"], ["run", file, "--input", folder / "x.npy"],
                    ["convert", file, folder / "out.safetensors"], ["convert", file, folder / "out.onnx"]):  # fmt: skip
        asked = decant.attempt(*command)
        assert asked.status == 2 and "cut short" in asked.errors, (command, asked.errors)
    for command in ("inspect", "identify", "diff"):
        asked = decant.attempt(command, file, *([file] if command == "diff" else []))
        assert "cut short" in asked.errors + asked.output, (command, asked.errors)


def test_pruned_blocks(decant, folder):
    """Channels removed from single blocks: every block's widths are told, alike in identify and verify."""
    network = resnet18()
    block = network.layer2[1]
    block.conv1 = nn.Conv2d(128, 100, 3, padding=1, bias=False)
    block.bn1 = nn.BatchNorm2d(100)
    block.conv2 = nn.Conv2d(100, 128, 3, padding=1, bias=False)
    network.fc = nn.Identity()
    file = nets.save(network, folder)
    output = decant("verify", file).output
    assert "layer2.1: 128 → 100 → 128" in output and "layer2.0: 64 → 128 → 128" in output
    assert "fully connected layer" not in output
    facts = {fact["name"]: fact["value"] for fact in nets.identify(decant, file)["facts"]}
    assert facts["layer2.1"] == "128 → 100 → 128" and facts["layer2.0"] == "64 → 128 → 128"
