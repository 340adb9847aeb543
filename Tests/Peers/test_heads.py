"""Heads of users' own: several layers behind the pooled features, with PyTorch's logits as the truth."""

import json

import networks
import nets
import numpy as np
import onnxruntime
import pytest
import torch
from accuracy import FLOAT64, distance, image
from torch import nn

ONNX = 1e-5  # of the largest logit


def small(head: nn.Module, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    network = networks.models.ResNet(networks.models.BasicBlock, [1, 1, 1, 1])
    network.fc = head
    return nets.randomise(network.eval(), seed)


class Wrapped(nn.Module):
    """A backbone without a head, and layers with names of their own."""

    def __init__(self, forward=None, features: nn.Module | None = None, **layers):
        super().__init__()
        self.backbone = small(features or nn.Identity())
        for name, layer in layers.items():
            setattr(self, name, nets.randomise(layer.eval()))
        self.head = list(layers)
        self.way = forward

    def forward(self, x):
        x = self.backbone(x)
        if self.way:
            return self.way(self, x)
        for name in self.head:
            x = getattr(self, name)(x)
        return x


def first(network, x):
    return network.fc2(torch.relu(x))


def between(network, x):
    return network.fc2(nn.functional.gelu(network.fc1(x)))


# Each network, the activation to declare (None: nothing is open), and a tensor of the head.
HEADS = {
    "two layers and a ReLU": (
        lambda: small(nn.Sequential(nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 5))), "relu", "fc.2.weight"),
    "dropout and batch norm": (
        lambda: small(nn.Sequential(
            nn.Dropout(0.3), nn.Linear(512, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 5))),
        "relu", "fc.5.weight"),
    "layer norm": (lambda: small(nn.Sequential(nn.LayerNorm(512), nn.Linear(512, 5))), None, "fc.1.weight"),
    "three layers and GELUs": (
        lambda: small(nn.Sequential(
            nn.Linear(512, 32), nn.GELU(), nn.Linear(32, 16), nn.GELU(), nn.Dropout(), nn.Linear(16, 5))),
        "gelu", "fc.5.weight"),
    "beside the backbone": (
        lambda: Wrapped(mlp=nn.Sequential(nn.Linear(512, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 1))),
        "relu", "mlp.3.weight"),
    "behind fc": (
        lambda: Wrapped(first, nn.Linear(512, 20), fc2=nn.Linear(20, 3)), "relu", "fc2.weight"),
    "modules of their own": (
        lambda: Wrapped(between, fc1=nn.Linear(512, 32), fc2=nn.Linear(32, 3, bias=False)), "gelu", "fc2.weight"),
    "a batch norm first": (
        lambda: Wrapped(bottleneck=nn.BatchNorm1d(512), classifier=nn.Linear(512, 7, bias=False)),
        "none", "bottleneck.weight"),
    "a batch norm last": (
        lambda: small(nn.Sequential(
            nn.Linear(512, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16), nn.BatchNorm1d(16))),
        "relu", "fc.3.weight"),
    "the activation before the norm": (
        lambda: small(nn.Sequential(
            nn.Linear(512, 32, bias=False), nn.ReLU(), nn.BatchNorm1d(32), nn.Dropout(), nn.Linear(32, 5, bias=False))),
        "relu,none", "fc.4.weight"),
    "one layer beside the backbone": (lambda: Wrapped(classifier=nn.Linear(512, 5)), None, None),
}  # fmt: skip


def declared(activation):
    return ["--stride0", "2"] + (["--head-activation", activation] if activation else [])


@pytest.mark.parametrize("name", HEADS)
@torch.no_grad()
def test_logits(decant, run, folder, name):
    make, activation, _ = HEADS[name]
    torch.manual_seed(4)
    network = make()
    file = nets.save(network, folder)
    images = image(2, 3, 33, 35)
    assert distance(run, file, network, images, *declared(activation)) < FLOAT64
    nets.verify(decant, file)
    decant("convert", file, folder / "net.onnx", "--check", *declared(activation))
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["logits"]
    expected = network.double()(torch.from_numpy(images).double()).numpy()
    (ours,) = session.run(None, {"input": images})
    assert np.abs(ours - expected).max() <= ONNX * np.abs(expected).max()


@pytest.mark.parametrize("name", [name for name, (_, activation, _) in HEADS.items() if activation])
@torch.no_grad()
def test_nothing_is_left_out_in_silence(decant, run, folder, name):
    make, activation, tensor = HEADS[name]
    network = make()
    file = nets.save(network, folder)
    images = image(1, 3, 33, 35)
    np.save(folder / "x.npy", images)
    commands = [["run", file, "--input", folder / "x.npy"], ["convert", file, folder / "net.onnx"]]
    for command in commands:
        asked = decant.attempt(*command, "--stride0", "2")
        assert asked.status == 1
        assert all(word in asked.errors for word in (tensor, "--head-activation", "--num-classes 0"))
    if activation == "relu,none":
        assert decant.attempt(*commands[0], "--stride0", "2", "--head-activation", "relu").status == 2
    # Without the head: the features, and they are called so.
    body = network.backbone if isinstance(network, Wrapped) else network
    body.fc = nn.Identity()
    expected = body.double()(torch.from_numpy(images).double()).numpy()
    answer = decant(*commands[0], "--num-classes", "0", "--float64", "--json")
    result = json.loads(answer.output)
    assert result["output"] == "features" and "not part of the network" in answer.errors
    assert np.abs(np.array(result["features"]) - expected).max() < FLOAT64 * np.abs(expected).max()
    assert "pooled features" in decant(*commands[0], "--num-classes", "0").output
    decant(*commands[1], "--num-classes", "0")
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["features"]


@pytest.mark.parametrize("form", ["module", "scripted", "traced"])
@pytest.mark.parametrize(
    "name", ["two layers and a ReLU", "dropout and batch norm", "three layers and GELUs", "the activation before the norm"])  # fmt: skip
@torch.no_grad()
def test_the_file_tells(decant, run, folder, name, form):
    """A pickled module's attributes and TorchScript's code name the activations."""
    network = HEADS[name][0]()
    images = image(1, 3, 33, 35)
    file = folder / "net.pt"
    if form == "module":
        torch.save(network, file)
    else:
        script = torch.jit.script(network) if form == "scripted" else torch.jit.trace(network, torch.from_numpy(images))
        torch.jit.save(script, str(file))
    assert distance(run, file, network, images) < FLOAT64


@torch.no_grad()
def test_other_activations_are_refused(decant, folder):
    file = folder / "net.pt"
    torch.save(small(nn.Sequential(nn.Linear(512, 32), nn.Tanh(), nn.Linear(32, 5))), file)
    np.save(folder / "x.npy", image(1, 3, 33, 35))
    asked = decant.attempt("run", file, "--input", folder / "x.npy")
    assert asked.status == 1 and "Tanh" in asked.errors
