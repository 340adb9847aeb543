"""`decant identify --measure` on networks that PyTorch trains here, with either stride of the stem.

The verdict is a hint with an error rate (docs/adr/0010), so single networks may be wrong; with images of the kind a
network was trained on, and for the statistics themselves, none may.
"""

import json

import numpy as np
import pytest
import torch
import torchvision
from torch.nn import functional

# Seeds, each trained with either stride. Two minutes on two cores.
SEEDS = range(4)
SIZE = 48


class Network(torchvision.models.ResNet):
    """A narrow ResNet whose stem has a stride of its own choice."""

    def __init__(self, stride0: int, classes: int):
        super().__init__(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes)
        self.conv1 = torch.nn.Conv2d(3, 16, 7, stride0, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.maxpool = torch.nn.MaxPool2d(3, stride0, 1)
        self.inplanes = 16
        for stage in range(4):
            layer = self._make_layer(torchvision.models.resnet.BasicBlock, 16 << stage, 1, min(stage, 1) + 1)
            setattr(self, f"layer{stage + 1}", layer)
        self.fc = torch.nn.Linear(128, classes)
        for module in self.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def noise(generator: np.random.Generator, count: int, exponent: float) -> np.ndarray:
    """Coloured noise of unit variance whose amplitudes fall as 1/f^exponent."""
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    frequency[0, 0] = np.inf
    white = generator.standard_normal((count, 3, SIZE, SIZE)) * 0.6 + generator.standard_normal((count, 1, SIZE, SIZE))
    values = np.fft.irfft2(np.fft.rfft2(white) * frequency**-exponent, s=(SIZE, SIZE))
    return values / values.std((2, 3), keepdims=True)


def shapes(generator: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Discs, squares, diamonds and rings of one colour each, before and behind noise."""
    y, x = np.mgrid[:SIZE, :SIZE]
    labels = generator.integers(0, 4, count)
    images = noise(generator, count, generator.uniform(0.7, 1.3))
    for image, label in zip(images, labels, strict=True):
        for _ in range(4):
            radius = generator.uniform(SIZE / 10, SIZE / 4)
            across, down = (abs(axis - generator.uniform(0, SIZE)) for axis in (x, y))
            distance = np.hypot(across, down)
            inside = [
                distance < radius, np.maximum(across, down) < radius, across + down < radius,
                abs(distance - radius) < radius / 4,
            ][label]  # fmt: skip
            colour = generator.normal(0, 1.2) + generator.normal(0, 0.4, (3, 1, 1))
            image[:] = np.where(inside, colour + 0.1 * image, image)
    return torch.from_numpy(images).float(), torch.from_numpy(labels)


def gratings(generator: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stripes of four directions and many widths under noise."""
    y, x = np.mgrid[:SIZE, :SIZE]
    labels = generator.integers(0, 4, count)
    images = 0.5 * noise(generator, count, generator.uniform(0.5, 1.2))
    for image, label in zip(images, labels, strict=True):
        angle, width = np.pi * (label + generator.uniform(-0.3, 0.3)) / 4, np.exp(generator.uniform(1.4, 3.2))
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / width + generator.uniform(0, 7))
        image += generator.uniform(0.4, 1.2, (3, 1, 1)) * wave
    return torch.from_numpy(images).float(), torch.from_numpy(labels)


def trained(task, seed: int, stride0: int) -> Network:
    torch.manual_seed(seed)
    generator = np.random.default_rng([seed, stride0])
    batches = [task(generator, 16) for _ in range(30)]
    network = Network(stride0, 4).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    steps = 40 if stride0 == 1 else 160
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        images, labels = batches[step % len(batches)]
        loss = functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def measured(decant, file, *options) -> dict:
    return json.loads(decant("identify", file, "--measure", "--json", *options).output)["measured"]


def test_verdicts(decant, folder, figures):
    """Noise: at most one in four wrong, at least half right. The networks' own images: none wrong, and all but one told."""
    counts = {source: {"right": 0, "undecided": 0, "wrong": 0} for source in ("noise", "own images")}
    for seed in SEEDS:
        task = (shapes, gratings)[seed % 2]
        images = task(np.random.default_rng(1000 + seed), 64)[0]
        np.save(folder / "images.npy", images.numpy())
        for stride0 in (1, 2):
            torch.save(trained(task, seed, stride0).state_dict(), folder / "net.pth")
            for source, options in [("noise", []), ("own images", ["--images", folder / "images.npy"])]:
                found = measured(decant, folder / "net.pth", *options)
                outcome = {stride0: "right", None: "undecided"}.get(found["stride0"], "wrong")
                counts[source][outcome] += 1
                divergences = [round(one["divergence"], 3) for one in found["hypotheses"]]
                figures(f"measure, {task.__name__} {seed}, stride0 {stride0}, {source}: {outcome}, {divergences}")
    figures(f"measure, {2 * len(SEEDS)} networks: {counts}")
    assert counts["noise"]["wrong"] <= len(SEEDS) / 2 and counts["noise"]["right"] >= len(SEEDS), counts
    assert counts["own images"]["wrong"] == 0 and counts["own images"]["undecided"] <= 1, counts


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_statistics_are_torchs(decant, folder, name):
    """Mean and variance of every layer's batch, each layer behind normalizations by their own batch, in float64."""
    torch.manual_seed(4)
    network = torchvision.models.get_model(name).train()
    network(torch.randn(4, 3, 64, 64))  # gives the running statistics values of their own
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(-0.5, 0.5)
    torch.save(network.state_dict(), folder / "net.pth")
    images = torch.randn((3, 3, 45, 62), generator=torch.Generator().manual_seed(9))
    np.save(folder / "images.npy", images.numpy())
    found = measured(decant, folder / "net.pth", "--images", folder / "images.npy")
    assert [one["stride0"] for one in found["hypotheses"]] == [1, 2] and found["error_rate"] is None
    network.double()
    for hypothesis in found["hypotheses"]:
        network.conv1.stride = network.maxpool.stride = hypothesis["stride0"]
        expected = {}

        def record(module, inputs, into=expected, names={m: n for n, m in network.named_modules()}):
            value = inputs[0]
            into[names[module]] = value.mean((0, 2, 3)).numpy(), value.var((0, 2, 3), unbiased=False).numpy()

        hooks = [
            module.register_forward_pre_hook(record)
            for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)
        ]  # fmt: skip
        state = {key: value.clone() for key, value in network.state_dict().items()}
        network(images.double())
        network.load_state_dict(state)  # training changes the running statistics
        for hook in hooks:
            hook.remove()
        layers = hypothesis["layers"]
        assert {layer["name"] for layer in layers} == {key for key in expected if key.startswith("layer1.0.")}
        for layer in layers:
            mean, variance = expected[layer["name"]]
            assert np.abs(np.array(layer["mean"]) - mean).max() < 1e-9 * np.sqrt(variance.max())
            assert np.abs(np.array(layer["variance"]) / variance - 1).max() < 1e-9
            running = state[layer["name"] + ".running_var"].numpy()
            alive = running > 1e-3 * np.sort(running)[len(running) // 2]
            divergence = np.abs(np.log((variance + 1e-5) / (running + 1e-5)))[alive].mean()
            assert abs(layer["divergence"] - divergence) < 1e-9
        mean = np.mean([layer["divergence"] for layer in layers])
        assert abs(hypothesis["divergence"] - mean) < 1e-9


def test_what_has_no_statistics_is_refused(decant, folder):
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), folder / "net.pth")
    fresh = decant.attempt("identify", folder / "net.pth", "--measure")
    assert fresh.status == 2 and "the network is not trained" in fresh.errors
    state = {name: value for name, value in network.state_dict().items() if "running" not in name}
    torch.save(state, folder / "net.pth")
    bare = decant.attempt("identify", folder / "net.pth", "--measure")
    assert bare.status == 2 and "its normalization layers have no running statistics" in bare.errors and not bare.output
