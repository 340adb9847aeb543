"""The state dict that convert chooses, against what PyTorch saved: state_dict(), optimizers and everything beside."""

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
