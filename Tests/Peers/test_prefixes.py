"""Networks behind what training puts before their names, and files that hold more than one: found, or asked for."""

import nets
import numpy as np
import pytest
import torch
from accuracy import FLOAT64, distance, image
from nets import networks
from torch import nn


def resnet18(seed: int, head: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(seed)
    network = networks.models.resnet18()
    network.fc = head or network.fc
    return nets.randomise(network.eval(), seed)


def perceptron(outputs: int = 128) -> nn.Module:
    """Two layers and a ReLU: MoCo v2's head, and SimCLR's."""
    return nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, outputs))


def behind(prefix: str, network: nn.Module) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in network.state_dict().items()}


def agrees(run, file, network, *options):
    """The logits are PyTorch's; a network without a head gives its pooled features."""
    assert distance(run, file, network, image(1, 3, 45, 61), *options) < FLOAT64


WRAPPERS = {
    "DataParallel": (nn.DataParallel, "module.", 0),
    "torch.compile": (torch.compile, "_orig_mod.", 0),
    "a compiled DataParallel": (lambda network: torch.compile(nn.DataParallel(network)), "_orig_mod.module.", 0),
    "AveragedModel": (torch.optim.swa_utils.AveragedModel, "module.", 0),
    "Sequential": (lambda network: nn.Sequential(nn.BatchNorm1d(3), network), "1.", 5),
    "a module": (lambda network: nn.ModuleDict({"model": network}), "model.", 0),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers(decant, run, folder, wrapper):
    """PyTorch's own wrappers, saved while they wrap."""
    wrap, prefix, beside = WRAPPERS[wrapper]
    network = resnet18(1)
    file = nets.save({"model": wrap(network).state_dict(), "epoch": 3}, folder)
    found = nets.identify(decant, file)
    assert (found["architecture"], found["prefix"], found["key"]) == ("resnet18", prefix, "model")
    assert nets.verify(decant, file, "--arch", "resnet18")["beside"] == beside
    agrees(run, file, network, "--arch", "resnet18")


@pytest.mark.parametrize("version", [1, 2])
def test_momentum_contrast(decant, run, folder, version):
    """Two encoders and a queue: asked which, and each prefix answers."""
    query, key = (resnet18(seed, nn.Linear(512, 128) if version == 1 else perceptron()) for seed in (1, 2))
    state = {"module.queue": torch.randn(128, 4096), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    state |= behind("module.encoder_q.", query) | behind("module.encoder_k.", key)
    file = nets.save({"epoch": 200, "arch": "resnet18", "state_dict": state}, folder)
    for command in ("identify", "verify"):
        asked = decant.attempt(command, file)
        assert asked.status == 2
        assert all(word in asked.errors for word in ("module.encoder_q.", "module.encoder_k.", "--prefix", "2 ResNets"))
    for prefix, network in [("module.encoder_q.", query), ("module.encoder_k.", key)]:
        found = nets.identify(decant, file, "--prefix", prefix)
        assert (found["architecture"], found["classes"], found["prefix"]) == ("resnet18", 128, prefix)
        assert found["layers"] == [2, 2, 2, 2]
        declared = ["--prefix", prefix, "--arch", "resnet18", "--num-classes", "128"]
        # A head of two layers is the file's own, and has the declared number of outputs.
        assert decant.attempt("verify", file, *declared).status == 0
        verified = nets.verify(decant, file, "--prefix", prefix)
        assert verified["beside"] == 2 + len(network.state_dict())
        agrees(run, file, network, "--prefix", prefix, *(["--head-activation", "relu"] if version == 2 else []))


def test_contrastive_learning(decant, run, folder):
    """SimCLR: an encoder without a head, and a projection beside it, which continues the features."""
    network = resnet18(1, nn.Identity())
    projection = behind("module.projection_head.", perceptron())
    file = nets.save({"model": behind("module.encoder.", network) | projection}, folder)
    found = nets.identify(decant, file)
    assert (found["architecture"], found["prefix"], found["classes"]) == ("resnet18", "module.encoder.", 128)
    assert nets.verify(decant, file)["beside"] == 0
    agrees(run, file, network, "--num-classes", "0")


def test_bootstrap_your_own_latent(decant, run, folder):
    online, target = resnet18(1), resnet18(2)
    state = behind("online_encoder.net.", online) | behind("online_encoder.projector.", perceptron())
    state |= behind("target_encoder.net.", target) | behind("target_encoder.projector.", perceptron())
    file = nets.save(state | behind("online_predictor.", perceptron()), folder)
    asked = decant.attempt("identify", file)
    assert asked.status == 2 and "online_encoder.net." in asked.errors and "target_encoder.net." in asked.errors
    agrees(run, file, target, "--prefix", "target_encoder.net.")
    wrong = decant.attempt("identify", file, "--prefix", "encoder.")
    assert wrong.status == 2 and "online_encoder.net." in wrong.errors


def test_distillation(decant, run, folder):
    """DINO: two state dicts, student and teacher, with prefixes of their own."""
    student, teacher = resnet18(1, nn.Identity()), resnet18(2, nn.Identity())
    head = perceptron(300)
    content = {
        "student": behind("module.backbone.", student) | behind("module.head.mlp.", head),
        "teacher": behind("backbone.", teacher) | behind("head.mlp.", head),
        "epoch": 100,
    }
    file = nets.save(content, folder)
    asked = decant.attempt("identify", file)
    assert asked.status == 2 and "student" in asked.errors and "teacher" in asked.errors
    assert str(len(content["teacher"])) in asked.errors
    for key, prefix, network in [("student", "module.backbone.", student), ("teacher", "backbone.", teacher)]:
        found = nets.identify(decant, file, "--key", key)
        assert (found["architecture"], found["prefix"], found["classes"]) == ("resnet18", prefix, 300)
        assert nets.verify(decant, file, "--key", key)["beside"] == 0
        agrees(run, file, network, "--key", key, "--num-classes", "0")


def test_an_average_beside_the_model(decant, run, folder):
    model, average = resnet18(1), resnet18(2)
    file = nets.save({"model": model.state_dict(), "ema": average.state_dict(), "step": 7}, folder)
    for command in ("identify", "verify"):
        asked = decant.attempt(command, file)
        assert asked.status == 2 and "--key" in asked.errors
        assert asked.errors.count("122") == 2 and "model" in asked.errors and "ema" in asked.errors
    agrees(run, file, average, "--key", "ema", "--arch", "resnet18")
    agrees(run, file, model, "--key", "model", "--arch", "resnet18")


def test_vissl(decant, run, folder):
    network = resnet18(1, nn.Identity())
    trunk = behind("_feature_blocks.", network)
    content = {"classy_state_dict": {"base_model": {"model": {"trunk": trunk, "heads": {}}}}, "phase_idx": 4}
    file = nets.save(content, folder)
    found = nets.identify(decant, file)
    assert (found["architecture"], found["prefix"]) == ("resnet18", "_feature_blocks.")
    agrees(run, file, network)


@pytest.mark.parametrize("prefix", ["", "0."])
def test_fastai(decant, run, folder, prefix):
    """A ResNet's children in a Sequential, up to the pool; alone, and as the first of two, before a head."""
    network = resnet18(1)
    body = nn.Sequential(*list(network.children())[:-2])
    whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(512), nn.Linear(512, 10))
    state = behind("", nn.Sequential(body, whole)) if prefix else behind("", body)
    file = nets.save(state, folder)
    found = nets.identify(decant, file)
    assert (found["architecture"], found["dialect"], found["prefix"]) == ("resnet18", "sequential", prefix)
    assert nets.verify(decant, file)["beside"] == 0
    network.fc = whole[2:].eval() if prefix else nn.Identity()
    agrees(run, file, network)


def test_two_of_different_build(decant, run, folder):
    """Two networks in one state dict, one of them deeper and in other names."""
    torch.manual_seed(3)
    other = nets.randomise(nets.timm.create_model("resnetv2_18").eval())
    network = resnet18(1)
    file = nets.save(behind("image.", network) | behind("depth.", other), folder)
    asked = decant.attempt("identify", file)
    assert asked.status == 2 and "timm-resnetv2" in asked.errors and "torchvision" in asked.errors
    assert nets.identify(decant, file, "--prefix", "depth.")["architecture"] == "resnetv2_18"
    agrees(run, file, network, "--prefix", "image.", "--arch", "resnet18")
    agrees(run, file, other, "--prefix", "depth.", "--arch", "resnetv2_18")


def test_a_choice_changes_the_numbers(decant, run, folder):
    """Two networks of equal names: the prefix decides whose logits come out."""
    file = nets.save(behind("a.", resnet18(1)) | behind("b.", resnet18(2)), folder)
    images = image(1, 3, 45, 61)
    logits = [run(file, images, "--prefix", prefix, "--arch", "resnet18") for prefix in ("a.", "b.")]
    assert np.abs(logits[0] - logits[1]).max() > 0.1 * np.abs(logits[0]).max()
