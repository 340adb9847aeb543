"""`decant convert --fold-bn` for weights, judged by PyTorch's own fusion of convolutions and normalizations."""

import numpy
import pytest
import safetensors.torch
import torch
from accuracy import image
from nets import build, randomise, save
from torch.nn.utils.fusion import fuse_conv_bn_weights

NETWORKS = [("torchvision", "resnet18"), ("torchvision", "resnet50"), ("timm", "resnet50d"), ("timm", "seresnet18")]


def pairs(network: torch.nn.Module):
    """Every convolution that a batch normalization follows, by their names in these libraries."""
    modules = dict(network.named_modules())
    for name, module in modules.items():
        if not isinstance(module, torch.nn.Conv2d):
            continue
        head, _, last = name.rpartition(".")
        if last.isdigit():
            follower = f"{head}.{int(last) + 1}"
            # A deep stem's last normalization is bn1.
            follower = follower if follower in modules else "bn1"
        else:
            follower = name.replace("conv", "bn")
        if isinstance(modules.get(follower), torch.nn.BatchNorm2d) and ".se." not in name:
            yield name, module, follower, modules[follower]


@pytest.mark.parametrize("target", ["folded.safetensors", "folded.pth"])
@pytest.mark.parametrize(("library", "name"), NETWORKS)
def test_as_pytorch_fuses(decant, folder, library, name, target):
    network = randomise(build(library, name))
    file = save({"model": network.state_dict()}, folder)
    decant("convert", file, folder / target, "--fold-bn", "--key", "model", "--arch", name, "--check")
    if target.endswith(".pth"):
        found = torch.load(folder / target, weights_only=True)
    else:
        found = safetensors.torch.load_file(folder / target)
    expected = dict(network.state_dict())
    for convolution, module, follower, normalization in pairs(network):
        weight, bias = fuse_conv_bn_weights(
            module.weight.double(), None, normalization.running_mean.double(), normalization.running_var.double(),
            normalization.eps, normalization.weight.double(), normalization.bias.double(),
        )  # fmt: skip
        for parameter in list(expected):
            if parameter.startswith(follower + "."):
                del expected[parameter]
        expected[convolution + ".weight"] = weight.float()
        expected[convolution + ".bias"] = bias.float()
    assert set(found) == set(expected) and not any("running_mean" in key for key in found)
    for key, value in expected.items():
        # Both round once what was computed in float64, if not in the same order: half a step apart at most.
        assert numpy.allclose(found[key].detach().numpy(), value.detach().numpy(), rtol=1.2e-7, atol=0), key


@pytest.mark.parametrize("names", ["torchvision", "detectron2"])
def test_computes_the_same(decant, folder, run, names):
    network = randomise(build("torchvision", "resnet18"))
    file = save(network, folder)
    decant("convert", file, folder / "named.safetensors", "--names", names)
    decant("convert", folder / "named.safetensors", folder / "folded.safetensors", "--fold-bn", "--arch", "resnet18")
    images = image(2, 3, 65, 64)
    found = run(folder / "folded.safetensors", images)
    with torch.no_grad():
        truth = network.double()(torch.from_numpy(images).double()).numpy()
    assert numpy.abs(found - truth).max() <= 1e-5 * numpy.abs(truth).max()


def test_another_network_is_not_folded(decant, folder):
    network = randomise(build("torchvision", "resnet18"))
    state = network.state_dict()
    del state["layer2.0.bn1.running_var"]
    file = save(state, folder)
    finished = decant.attempt("convert", file, folder / "folded.safetensors", "--fold-bn", "--arch", "resnet18")
    assert finished.status == 1 and "1 missing" in finished.errors and not (folder / "folded.safetensors").exists()
    torch.save({"x": torch.zeros(3)}, folder / "none.pth")
    finished = decant.attempt("convert", folder / "none.pth", folder / "folded.safetensors", "--fold-bn")
    assert finished.status == 1 and "not recognised as a ResNet" in finished.errors


def test_no_stride_is_asked_for(decant, folder):
    """With one output either stride of the stem is possible, and the folded numbers are the same."""
    network = randomise(build("torchvision", "resnet18"))
    network.fc = torch.nn.Linear(512, 1)
    file = save(network.state_dict(), folder)
    written = []
    for options in [], ["--stride0", "1"], ["--stride0", "2"]:
        finished = decant("convert", file, folder / "a.safetensors", "--fold-bn", *options)
        assert "stride" not in finished.errors and "epsilon" in finished.errors, finished.errors
        written.append((folder / "a.safetensors").read_bytes())
    assert written[0] == written[1] == written[2]
