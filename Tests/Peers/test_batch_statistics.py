"""Batch norms without running statistics: PyTorch normalises by the batch's own, in eval() mode too."""

import functools
import json

import networks
import nets
import numpy as np
import onnxruntime
import pytest
import torch
from accuracy import Runner, check_errors, image, measure
from torch import nn

ONNX = 1e-5  # of the largest logit
BATCH = functools.partial(nn.BatchNorm2d, track_running_stats=False)


def make(norm, **settings) -> nn.Module:
    torch.manual_seed(5)
    block = networks.models.Bottleneck
    return nets.randomise(networks.models.ResNet(block, [1, 2, 1, 1], norm_layer=norm, num_classes=9, **settings).eval())


@pytest.mark.parametrize("groups", [None, 8], ids=["batch", "group"])
def test_a_state_dict_asks_how_it_normalises(decant, folder, groups):
    network = make(functools.partial(nn.GroupNorm, groups) if groups else BATCH)
    torch.save(network.state_dict(), folder / "net.pth")
    x = image(3, 3, 64, 64)
    np.save(folder / "x.npy", x)
    refused = [
        decant.attempt("run", folder / "net.pth", "--input", folder / "x.npy"),
        decant.attempt("convert", folder / "net.pth", folder / "net.onnx"),
    ]
    assert all(done.status == 2 and "have no running statistics" in done.errors for done in refused)
    option = ["--normalization", f"group:{groups}" if groups else "batch"]
    compare(decant, folder, network, x, *option)


@pytest.mark.parametrize("scripted", [False, True], ids=["module", "torchscript"])
def test_a_module_shows_that_it_has_none(decant, folder, scripted):
    network = make(BATCH, width_per_group=24)
    network._norm_layer = None
    if scripted:
        torch.jit.script(network).save(folder / "net.pth")
    else:
        torch.save(network, folder / "net.pth")
    found = json.loads(decant("identify", "--json", folder / "net.pth").output)
    assert any(fact["name"] == "normalization" and "own statistics" in fact["value"] for fact in found["facts"])
    compare(decant, folder, network, image(2, 3, 96, 64))


def compare(decant, folder, network, x, *options):
    check_errors(measure(Runner(decant, folder), folder / "net.pth", network, x, *options))
    decant("convert", folder / "net.pth", folder / "net.onnx", *options)
    session = onnxruntime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: x})
    with torch.no_grad():
        truth = network.double()(torch.from_numpy(x).double()).numpy()
    assert np.abs(logits - truth).max() <= ONNX * np.abs(truth).max()
