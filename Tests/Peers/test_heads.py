"""Heads of users' own: several layers behind the pooled features, with PyTorch's logits as the truth."""

import json
from collections import OrderedDict

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


class Functional(nn.Module):
    """A head whose forward calls functions."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(512, 16), nn.Linear(16, 4)

    def forward(self, x):
        x = self.fc1(torch.flatten(x, 1))
        return self.fc2(nn.functional.dropout(x, 0.1, self.training))


class WithTanh(Functional):
    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))


class WithLeakyReLU(Functional):
    def forward(self, x):
        x = nn.functional.leaky_relu(self.fc1(x), 0.2)
        return self.fc2(x)


class WithELU(Functional):
    def forward(self, x):
        return self.fc2(nn.functional.elu(self.fc1(x)))


class Outside(nn.Module):
    """A network whose output goes through a function outside its head."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x):
        return torch.sigmoid(self.network(x))


class LogOutside(Outside):
    def forward(self, x):
        return nn.functional.log_softmax(self.network(x), dim=1)


class Doubled(Outside):
    def forward(self, x):
        return 2 * self.network(x)


class Branched(Outside):
    def forward(self, x):
        x = self.network(x)
        if x.shape[0] > 1000:
            x = torch.sigmoid(x)
        return x


class Cosine(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(nn.functional.normalize(x), nn.functional.normalize(self.weight))


def linear(*between):
    return small(nn.Sequential(nn.Linear(512, 16), *between, nn.Linear(16, 4)))


ATTRIBUTES, CODE = ["module"], ["scripted", "traced"]
EVERY = ATTRIBUTES + CODE
# Each network, the forms of file that show its head, and what its output is.
SHOWN = {
    "LeakyReLU": (lambda: linear(nn.LeakyReLU(0.1)), EVERY, "logits"),
    "ReLU6": (lambda: linear(nn.ReLU6()), EVERY, "logits"),
    "Tanh": (lambda: linear(nn.Tanh()), EVERY, "logits"),
    "Sigmoid": (lambda: linear(nn.Dropout(), nn.Sigmoid()), EVERY, "logits"),
    "SiLU": (lambda: linear(nn.SiLU()), EVERY, "logits"),
    "GELU by tanh": (lambda: linear(nn.GELU(approximate="tanh")), EVERY, "logits"),
    "two functions": (lambda: linear(nn.GELU(), nn.Tanh()), EVERY, "logits"),
    "before the first layer": (lambda: small(nn.Sequential(nn.Tanh(), nn.Linear(512, 4))), EVERY, "logits"),
    "sigmoid at the end": (lambda: small(nn.Sequential(nn.Linear(512, 4), nn.Sigmoid())), EVERY, "probabilities"),
    "softmax at the end": (lambda: small(nn.Sequential(nn.Linear(512, 4), nn.Softmax(1))), EVERY, "probabilities"),
    "log-softmax at the end": (
        lambda: small(nn.Sequential(nn.Linear(512, 16), nn.ReLU(), nn.Linear(16, 4), nn.LogSoftmax(-1))),
        EVERY, "log_probabilities"),
    "tanh at the end": (lambda: small(nn.Sequential(nn.Linear(512, 1), nn.Tanh())), EVERY, "output"),
    "sigmoid outside": (lambda: Outside(small(nn.Linear(512, 4))), CODE, "probabilities"),
    "log-softmax outside": (lambda: LogOutside(linear(nn.ReLU())), CODE, "log_probabilities"),
    "children with names": (
        lambda: small(nn.Sequential(OrderedDict(
            fc1=nn.Linear(512, 16), act=nn.GELU(), drop=nn.Dropout(), fc2=nn.Linear(16, 4)))),
        EVERY, "logits"),
    "one Sequential in another": (
        lambda: small(nn.Sequential(nn.Linear(512, 16), nn.Sequential(nn.ReLU(), nn.Linear(16, 4)))), EVERY, "logits"),
    "functional tanh": (lambda: small(WithTanh()), CODE, "logits"),
    "functional leaky relu": (lambda: small(WithLeakyReLU()), CODE, "logits"),
    "no function": (lambda: small(Functional()), CODE, "logits"),
    "epsilons": (
        lambda: small(nn.Sequential(
            nn.LayerNorm(512, eps=0.1), nn.Linear(512, 16), nn.BatchNorm1d(16, eps=0.5), nn.ReLU(), nn.Linear(16, 4))),
        EVERY, "logits"),
    "norms without parameters": (
        lambda: small(nn.Sequential(
            nn.LayerNorm(512, bias=False), nn.Linear(512, 16), nn.BatchNorm1d(16, affine=False), nn.ReLU(),
            nn.Linear(16, 4))),
        EVERY, "logits"),
}  # fmt: skip


def write(network: nn.Module, form: str, images, file):
    if form == "module":
        torch.save(network, file)
    else:
        script = torch.jit.script(network) if form == "scripted" else torch.jit.trace(network, torch.from_numpy(images))
        torch.jit.save(script, str(file))


@pytest.mark.parametrize("name, form", [(name, form) for name, (_, forms, _) in SHOWN.items() for form in forms])
@torch.no_grad()
def test_every_function_that_the_file_shows(decant, run, folder, name, form):
    make, _, output = SHOWN[name]
    network, images, file = make().eval(), image(2, 3, 33, 35), folder / "net.pt"
    write(network, form, images, file)
    assert distance(run, file, network, images) < FLOAT64
    np.save(folder / "x.npy", images)
    assert json.loads(decant("run", file, "--input", folder / "x.npy", "--json").output)["output"] == output
    decant("convert", file, folder / "net.onnx")
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    assert [result.name for result in session.get_outputs()] == [output]
    expected = network.double()(torch.from_numpy(images).double()).numpy()
    (ours,) = session.run(None, {"input": images})
    assert np.abs(ours - expected).max() <= ONNX * np.abs(expected).max()


# Each network, the forms of file that show what is not supported, and its name there.
NOT_SUPPORTED = {
    "between": (lambda: linear(nn.Mish()), EVERY, "mish"),
    "first": (lambda: small(nn.Sequential(nn.ELU(), nn.Linear(512, 4))), EVERY, "elu"),
    "last": (lambda: small(nn.Sequential(nn.Linear(512, 4), nn.Softplus())), EVERY, "softplus"),
    "functional": (lambda: small(WithELU()), CODE, "elu"),
    "outside": (lambda: Doubled(small(nn.Linear(512, 4))), CODE, "mul"),
    "a layer of its own class": (lambda: small(Cosine(512, 4, bias=False)), EVERY, "cosine"),
}


@pytest.mark.parametrize("name, form", [(name, form) for name, (_, forms, _) in NOT_SUPPORTED.items() for form in forms])  # fmt: skip
@torch.no_grad()
def test_other_functions_are_refused(decant, folder, name, form):
    make, _, function = NOT_SUPPORTED[name]
    network, images, file = make().eval(), image(1, 3, 33, 35), folder / "net.pt"
    write(network, form, images, file)
    np.save(folder / "x.npy", images)
    for command in [["run", file, "--input", folder / "x.npy"], ["convert", file, folder / "net.onnx"]]:
        asked = decant.attempt(*command)
        assert asked.status == 1 and "--arch" not in asked.errors
        assert all(word in asked.errors.lower() for word in (function, ".weight", "--num-classes 0"))
        decant(*command, "--num-classes", "0")
    nets.verify(decant, file)


@torch.no_grad()
def test_code_that_cannot_be_followed_is_noted(decant, folder):
    network, images, file = Branched(small(nn.Linear(512, 4))), image(1, 3, 33, 35), folder / "net.pt"
    write(network, "scripted", images, file)
    np.save(folder / "x.npy", images)
    answer = decant("run", file, "--input", folder / "x.npy", "--json")
    assert "cannot be followed" in answer.errors
    assert json.loads(answer.output)["assumed"]["output_activation"] == "none"


@torch.no_grad()
def test_architectures_name_the_trunk(decant, run, folder):
    """A head of several layers is used with --arch as without."""
    network = networks.models.resnet18()
    network.fc = nn.Sequential(nn.Linear(512, 16), nn.ReLU(), nn.Linear(16, 10))
    nets.randomise(network.eval(), 3)
    file, images = nets.save(network, folder), image(1, 3, 33, 35)
    assert distance(run, file, network, images, "--arch", "resnet18", "--head-activation", "relu") < FLOAT64
    asked = decant.attempt("verify", file, "--arch", "resnet18")
    assert asked.status == 1 and "--num-classes 10" in asked.output
    assert decant("verify", file, "--arch", "resnet18", "--num-classes", "10").output.startswith("yes: ")
    np.save(folder / "x.npy", images)
    asked = decant.attempt("run", file, "--input", folder / "x.npy", "--arch", "resnet18")
    assert asked.status == 1 and "--head-activation" in asked.errors
    # The file's own evidence of the head counts, too.
    torch.save(network, folder / "net.pt")
    assert distance(run, folder / "net.pt", network, images, "--arch", "resnet18") < FLOAT64


HEADS_FOR_VERIFY = {
    "two heads": lambda: Wrapped(lambda network, x: network.a(x), a=nn.Linear(512, 4), b=nn.Linear(512, 2)),
    "defined in another order": lambda: Wrapped(
        lambda network, x: network.fc2(network.fc1(x)), fc2=nn.Linear(16, 2), fc1=nn.Linear(512, 16)),
    "a trainable activation": lambda: linear(nn.PReLU()),
    "features of four positions": lambda: small(nn.Linear(2048, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS_FOR_VERIFY)
def test_verify_answers_whatever_the_head(decant, folder, name):
    network = HEADS_FOR_VERIFY[name]()
    file = nets.save(network, folder)
    answer = decant("verify", file)
    assert answer.output.startswith("yes: ") and "its head is not recognised" in answer.output
    assert "naming:" not in answer.errors
    head = json.loads(decant("verify", file, "--json").output)["unrecognised_head"]
    parameters = dict(network.named_parameters())
    assert head and all(parameter in parameters for parameter in head)
    assert decant.attempt("identify", file).status == 0
    assert decant.attempt("verify", file, "--num-classes", "4").status == 1
    with torch.no_grad():
        parameters[head[0]].fill_(np.nan)
    answer = decant.attempt("verify", nets.save(network, folder))
    assert answer.status == 1 and "NaN" in answer.output


@torch.no_grad()
def test_norms_without_parameters(decant, run, folder):
    network = SHOWN["norms without parameters"][0]()
    file = nets.save(network, folder)
    assert distance(run, file, network, image(1, 3, 33, 35), *declared("relu")) < FLOAT64
    nets.verify(decant, file)
    # An RMS norm has the same tensor as a layer norm without bias.
    np.save(folder / "x.npy", image(1, 3, 33, 35))
    command = ["run", file, "--input", folder / "x.npy", "--verbose", *declared("relu")]
    assert "layer norm without bias" in decant(*command).errors
