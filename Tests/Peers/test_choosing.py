"""The state dict that convert chooses, against what PyTorch saved: state_dict(), optimizers and everything beside."""

import numpy
import pytest
import safetensors.torch
import torch
from torch import nn


class Recurrent(nn.Module):
    """Everything that a module holds and its state_dict() does not."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 3, 2)
        self.fc = torch.nn.utils.weight_norm(nn.Linear(3, 2))
        self.sn = torch.nn.utils.spectral_norm(nn.Linear(2, 2))
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("lost", torch.ones(2, 5), persistent=False)
        self.anchors = [torch.ones(2, 3), torch.zeros(3)]
        self.hidden = [nn.Linear(3, 3)]

    def forward(self, sequence):
        return self.sn(self.fc(self.rnn(sequence)[0]))


def equal(path, expected: dict):
    found = safetensors.torch.load_file(path)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_whole_module_is_its_state_dict(decant, folder):
    module = Recurrent().eval()
    with torch.no_grad():
        module(torch.randn(2, 1, 4))
    # weight_norm leaves a tensor with a history, which PyTorch does not pickle.
    module.fc.weight = module.fc.weight.detach()
    torch.save(module, folder / "module.pth")
    torch.save({"net": module, "epoch": 3}, folder / "nested.pth")
    for name in ("module", "nested"):
        done = decant("convert", folder / f"{name}.pth", folder / "out.safetensors")
        equal(folder / "out.safetensors", module.state_dict())
        assert "--with-attributes takes them" in done.errors
    decant("convert", folder / "nested.pth", folder / "keyed.safetensors", "--key", "net")
    equal(folder / "keyed.safetensors", module.state_dict())
    decant("convert", folder / "module.pth", folder / "all.safetensors", "--with-attributes")
    everything = safetensors.torch.load_file(folder / "all.safetensors")
    assert {"lost", "anchors.0", "rnn._flat_weights.0"} < set(everything)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adagrad])
def test_a_training_state(decant, folder, optimizer):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    stepper = optimizer(network.parameters(), lr=0.1, **options)
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    stepper.step()
    torch.save(
        {
            "model": network.state_dict(), "optimizer": stepper.state_dict(), "epoch": 3,
            "best_acc": torch.tensor(0.9), "rng_state": torch.get_rng_state(),
            "rng": {"torch": torch.get_rng_state(), "cuda_rng": [torch.get_rng_state()]},
        },
        folder / "a.pth",
    )  # fmt: skip
    for target in ("out.safetensors", "again.safetensors"):
        done = decant("convert", folder / "a.pth", folder / target)
        equal(folder / target, network.state_dict())
        assert "using model (7 tensors); left out: optimizer" in done.errors
    # A .pth holds everything.
    decant("convert", folder / "a.pth", folder / "b.pth")
    assert set(torch.load(folder / "b.pth", weights_only=True)) == set(torch.load(folder / "a.pth", weights_only=True))


def test_twins_and_others_are_asked(decant, folder):
    network = nn.Linear(3, 2)
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.save({"model": network.state_dict(), "model_ema": average}, folder / "twins.pth")
    torch.save({"model": network.state_dict(), "bank": torch.randn(5, 3)}, folder / "bank.pth")
    torch.save({"model": network.state_dict(), "features": [torch.randn(5, 3)]}, folder / "list.pth")
    for name, word in (("twins", "average (EMA)"), ("bank", "bank"), ("list", "features.0")):
        for command in (["convert", folder / f"{name}.pth", folder / "out.safetensors"], ["verify", folder / f"{name}.pth"]):
            asked = decant.attempt(*command)
            assert asked.status == 2 and word in asked.errors, command
        decant("convert", folder / f"{name}.pth", folder / "out.safetensors", "--key", "model")
        equal(folder / "out.safetensors", network.state_dict())


OPTIMIZERS = ["Adadelta", "Adafactor", "Adamax", "ASGD", "LBFGS", "NAdam", "RAdam", "Rprop"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_set_aside(decant, folder, name):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    stepper = getattr(torch.optim, name)(network.parameters(), lr=0.1)

    def loss():
        stepper.zero_grad()
        value = network(torch.ones(2, 3, 8, 8)).square().sum()
        value.backward()
        return value

    stepper.step(loss)
    torch.save({"model": network.state_dict(), "optimizer": stepper.state_dict()}, folder / "a.pth")
    done = decant("convert", folder / "a.pth", folder / "out.safetensors")
    equal(folder / "out.safetensors", network.state_dict())
    assert "left out: optimizer" in done.errors
    # A network in the optimizer's mapping is none of its values.
    hidden = {**stepper.state_dict(), "ema": network.state_dict()}
    torch.save({"optimizer": hidden}, folder / "hidden.pth")
    decant("convert", folder / "hidden.pth", folder / "out.safetensors")
    equal(folder / "out.safetensors", network.state_dict())


def test_averaged_and_parallel_models_are_twins(decant, folder):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    averaged = torch.optim.swa_utils.AveragedModel(network)
    averaged.update_parameters(network)
    parallel = nn.DataParallel(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    for name, twin in (("swa", averaged), ("parallel", parallel)):
        torch.save({"model": network.state_dict(), name: twin.state_dict()}, folder / "a.pth")
        asked = decant.attempt("convert", folder / "a.pth", folder / "out.safetensors")
        assert asked.status == 2 and "but for a prefix: often the weights as trained" in asked.errors


def test_a_root_beside_a_bank(decant, folder):
    network = nn.Linear(3, 2)
    torch.save({**network.state_dict(), "bank": {"x": torch.randn(5, 3)}}, folder / "a.pth")
    asked = decant.attempt("convert", folder / "a.pth", folder / "out.safetensors")
    assert asked.status == 2 and "--except 'bank.*' leaves it out" in asked.errors
    decant("convert", folder / "a.pth", folder / "out.safetensors", "--except", "bank.*")
    equal(folder / "out.safetensors", network.state_dict())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_module_in_a_pth_is_its_state_dict(decant, folder):
    module = Recurrent().eval()
    with torch.no_grad():
        module(torch.randn(2, 1, 4))
    module.fc.weight = module.fc.weight.detach()
    torch.save({"net": module}, folder / "a.pth")
    done = decant("convert", folder / "a.pth", folder / "out.pth", "--drop-objects")
    found = torch.load(folder / "out.pth", weights_only=True)["net"]
    assert "--with-attributes takes them" in done.errors
    assert set(found) == set(module.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in module.state_dict().items())


def test_layouts_in_archives(decant, folder):
    weights = {"c.weight": torch.randn(4, 3, 2, 2), "up.weight": torch.randn(3, 4, 2, 2), "fc.weight": torch.randn(5, 4)}
    turned = {"c.weight": (0, 2, 3, 1), "up.weight": (1, 2, 3, 0)}
    torch.save(weights, folder / "a.pth")
    options = ["--layout", "nhwc", "--layout-only", "c.weight", "--layout-transposed", "up.weight"]
    for target in ("n.npz", "n.pth", "n.safetensors"):
        decant("convert", folder / "a.pth", folder / target, *options, "--check")
        assert decant.attempt("diff", folder / "a.pth", folder / target).status == 0
        assert decant.attempt("convert", folder / target, folder / "x.pth", *options).status == 2
        for copy in ("m.npz", "m.pth", "m.safetensors"):
            decant("convert", folder / target, folder / copy)
            decant("convert", folder / copy, folder / "back.pth", "--layout", "nchw")
            back = torch.load(folder / "back.pth", weights_only=True)
            assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())
    found = torch.load(folder / "n.pth", weights_only=True)
    with numpy.load(folder / "n.npz") as arrays:
        assert set(arrays) == set(weights)
        for name, axes in turned.items():
            assert torch.equal(found[name], weights[name].permute(axes))
            assert numpy.array_equal(arrays[name], weights[name].permute(axes).numpy())
