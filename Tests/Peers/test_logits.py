"""`decant run` against live PyTorch: logits of real architectures in float32 and float64."""

import networks
import numpy as np
import pytest
import safetensors.torch
import synthesis
import torch
from accuracy import FLOAT64, both_precisions, check_errors, describe, measure


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50", "resnet50nodown"])
def test_accuracy_over_16_images(run, checkpoints, figures, architecture):
    """Other images than the committed goldens hold."""
    images = synthesis.image(7, 100, 16, 3, 96, 96)
    file, network = checkpoints.file(architecture), checkpoints.network(architecture)
    errors = measure(run, file, network, images, "--arch", architecture)
    figures(f"run, {architecture}, 16 images of 96x96: {describe(errors)}")
    check_errors(errors)


@pytest.mark.parametrize(
    "architecture",
    ["resnet34", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "resnet101", "resnext101_32x8d"],
)
def test_every_kind_of_network(run, checkpoints, figures, architecture):
    """Grouped, wide and deep ones: two images of 64 x 64, a thousand logits each."""
    images = synthesis.image(7, 200, 2, 3, 64, 64)
    file, network = checkpoints.file(architecture), checkpoints.network(architecture)
    errors = measure(run, file, network, images)
    figures(f"run, {architecture}, 2 images of 64x64: {describe(errors)}")
    check_errors(errors)
    file.unlink()


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 7), (33, 65), (2, 300), (113, 31)], ids=lambda size: f"{size[0]}x{size[1]}"
)
@pytest.mark.parametrize("architecture", ["resnet18", "resnet50nodown"])
def test_odd_sizes(run, checkpoints, architecture, size):
    images = synthesis.image(7, 300, 3, 3, *size)
    file, network = checkpoints.file(architecture), checkpoints.network(architecture)
    errors = measure(run, file, network, images, "--arch", architecture)
    assert errors["float64"] < FLOAT64
    assert errors["largest"] < 1e-5


def test_a_batch_is_its_images(run, checkpoints):
    """Each image's logits depend on no other image, and PyTorch agrees with all of them."""
    images = synthesis.image(7, 400, 5, 3, 40, 56)
    file = checkpoints.file("resnet18")
    together = run(file, images)
    _, double = both_precisions(checkpoints.network("resnet18"), images)
    assert np.abs(together - double).max() < 1e-5 * np.abs(double).max()
    for index in range(len(images)):
        alone = run(file, images[index : index + 1])
        assert np.abs(alone - double[index]).max() < 1e-5 * np.abs(double).max()


def test_threads_change_nothing_that_matters(run, checkpoints):
    images = synthesis.image(7, 500, 2, 3, 64, 48)
    file = checkpoints.file("resnet18")
    _, double = both_precisions(checkpoints.network("resnet18"), images)
    for threads in [1, 2, 3, 7]:
        logits = run(file, images, "--threads", str(threads), dtype=np.float64)
        assert np.abs(logits - double).max() < FLOAT64 * np.abs(double).max()


def test_a_checkpoint_that_torch_wrote(run, folder, figures):
    """torchvision's own initialisation after some training-mode passes, behind DataParallel's prefix."""
    torch.manual_seed(5)
    network = networks.models.resnet34(num_classes=10)
    with torch.no_grad():
        for _ in range(3):  # gives the running statistics values of their own
            network.train()(torch.randn(4, 3, 48, 48))
    network.eval()
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3, "arch": "resnet34"}, folder / "trained.pth")
    errors = measure(run, folder / "trained.pth", network, synthesis.image(7, 600, 16, 3, 48, 64))
    figures(f"run, resnet34 as torch initialises it, 16 images of 48x64: {describe(errors)}")
    check_errors(errors)


def test_another_epsilon_is_not_assumed_away(run, checkpoints):
    """A sharp eye for small mistakes: PyTorch with eps 1e-3 is further off than any tolerance here."""
    images = synthesis.image(7, 700, 1, 3, 64, 64)
    network = checkpoints.network("resnet18")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    _, double = both_precisions(network, images)
    ours = run(checkpoints.file("resnet18"), images, dtype=np.float64)
    assert np.abs(ours - double).max() > 1e-5 * np.abs(double).max()


@pytest.mark.parametrize("stride0", [1, 2])
def test_stride0(run, checkpoints, stride0):
    """The same weights are two networks: which one runs is what the command says."""
    images = synthesis.image(7, 800, 2, 3, 45, 61)
    network = networks.set_stride0(checkpoints.network("resnet50nodown"), stride0)
    _, double = both_precisions(network, images)
    ours = run(checkpoints.file("resnet50nodown"), images, "--stride0", str(stride0), dtype=np.float64)
    assert np.abs(ours - double).max() < FLOAT64 * np.abs(double).max()


def test_the_converted_file_gives_the_same_bits(decant, run, checkpoints, folder):
    images = synthesis.image(7, 900, 1, 3, 64, 64)
    decant("convert", checkpoints.file("resnet18"), folder / "w.safetensors", "--key", "model")
    assert np.array_equal(run(checkpoints.file("resnet18"), images), run(folder / "w.safetensors", images))


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50nodown"])
def test_every_stage(decant, checkpoints, folder, architecture):
    """Each stage's whole activation, not only what reaches the logits."""
    images = synthesis.image(7, 1000, 2, 3, 49, 70)
    np.save(folder / "x.npy", images)
    arguments = [
        "run",
        checkpoints.file(architecture),
        "--arch",
        architecture,
        "--input",
        folder / "x.npy",
        "--float64",
    ]
    decant(*arguments, "--stages", folder / "stages.safetensors")
    stages = safetensors.torch.load_file(folder / "stages.safetensors")
    network = checkpoints.network(architecture).double()
    expected = dict(networks.run_stages(network, torch.from_numpy(images).double()))
    assert set(stages) == set(expected)
    for name, value in expected.items():
        assert stages[name].dtype == torch.float64 and stages[name].shape == value.shape, name
        assert (stages[name] - value).abs().max() < FLOAT64 * value.abs().max(), name
    for name in ["stem", "layer3", "logits"]:
        decant(*arguments, "--stage", name, "--output", folder / "stage.npy")
        assert np.array_equal(np.load(folder / "stage.npy"), stages[name].numpy()), name
