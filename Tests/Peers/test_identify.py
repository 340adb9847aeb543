"""`decant identify` and `verify` on the ResNets of torchvision and timm: each gets its name, and no other network does.

Networks of more than 120 million parameters are made by `make peers-all`, and so are all of them with random numbers.
"""

import warnings

import nets
import numpy as np
import pytest
import torch
import torchvision
import transformers


def check_named(decant, folder, library: str, name: str):
    with torch.device("meta"):
        network = nets.build(library, name)
    file = nets.save(nets.zeros(network), folder)
    found = nets.identify(decant, file)
    assert name in nets.names(found), (name, found["nearest"])
    outputs = 1000 if library == "torchvision" else network.num_classes
    assert found["classes"] == outputs and found["input_channels"] == 3
    assert found["prefix"] == "" and found["key"] == "."
    verified = nets.verify(decant, file, "--arch", name)
    assert verified["architecture"] == name and verified["beside"] == 0 and not verified["assumed"]


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_every_name(decant, folder, figures, library):
    names = nets.TORCHVISION if library == "torchvision" else nets.TIMM
    small = [name for name in names if nets.size(library, name) <= nets.LARGEST]
    assert len(small) >= (9 if library == "torchvision" else 100)
    for name in small:
        check_named(decant, folder, library, name)
    large = len(names) - len(small)
    figures(f"identify, {library}: {len(small)} of {len(small)} names right, {large} larger nets not made")


def test_every_name_decant_knows_is_a_librarys(decant):
    """The list is torchvision's and timm's, He et al.'s networks for CIFAR, and one detector."""
    listed = [line.split()[0] for line in decant("identify", "--architectures").output.splitlines()[1:]]
    cifar = [f"resnet{depth}" for depth in (20, 32, 44, 56, 110, 1202)]
    assert sorted(listed) == sorted({*nets.TORCHVISION, *nets.TIMM, *cifar, "resnet50nodown"})


@pytest.mark.parametrize(
    "name",
    [
        "cspresnet50", "lambda_resnet26t", "nf_resnet50", "resnest50d", "skresnet18", "skresnext50_32x4d", "tresnet_m",
        "inception_resnet_v2", "densenet121", "regnetx_002", "vit_tiny_patch16_224",
    ],
)  # fmt: skip
def test_other_networks_get_no_name(decant, folder, name):
    with torch.device("meta"):
        network = nets.build("timm", name)
    file = nets.save(nets.zeros(network), folder)
    finished = decant.attempt("identify", file)
    assert finished.status in (0, 1)
    if finished.status == 0:
        assert nets.names(nets.identify(decant, file)) == []
    # None is verified under the name that its own contains.
    within = [known for known in nets.TIMM if known in name]
    for known in within:
        assert decant.attempt("verify", file, "--arch", known).status == 1, known


@pytest.fixture
def quantized(folder):
    """torchvision's, quantised in eager mode; the deprecation of its operators is PyTorch's affair."""
    with warnings.catch_warnings(action="ignore"):
        network = torchvision.models.get_model("quantized_resnet18", weights=None, quantize=True)
    return nets.save(network, folder)


def test_quantised(decant, folder, quantized):
    found = nets.identify(decant, quantized)
    assert found["architecture"] == "resnet18" and found["classes"] == 1000
    assert found["dialect"] == "torchvision-quantized"
    assert nets.verify(decant, quantized)["beside"] == 0
    np.save(folder / "x.npy", np.zeros((1, 3, 32, 32), np.float32))
    finished = decant.attempt("run", quantized, "--arch", "resnet18", "--input", folder / "x.npy")
    assert finished.status == 1 and "this engine has no quantisation" in finished.errors


def test_quantised_by_name(decant, quantized):
    nets.verify(decant, quantized, "--arch", "resnet18")


@pytest.mark.parametrize("name", ["vit_small_resnet26d_224", "vit_base_resnet50d_224"])
def test_behind_a_transformer(decant, folder, name):
    with torch.device("meta"):
        network = nets.build("timm", name)
    file = nets.save(nets.zeros(network), folder)
    found = nets.identify(decant, file)
    assert found["prefix"] == "patch_embed.backbone." and found["classes"] == 0
    assert name.split("_")[2] in nets.names(found)
    assert nets.verify(decant, file)["beside"] > 100


@pytest.mark.parametrize(
    ("options", "value", "says"),
    [
        ({"num_classes": 7}, 7, "classes"), ({"in_chans": 1}, 1, "input_channels"),
        ({"num_classes": 0}, 0, "classes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["resnet18", "seresnet18", "resnetv2_18"])
def test_other_ends(decant, folder, name, options, value, says):
    """Another count of outputs or of channels, and a network without a head."""
    with torch.device("meta"):
        network = nets.timm.create_model(name, **options)
    file = nets.save(nets.zeros(network), folder)
    found = nets.identify(decant, file)
    assert found[says] == value
    assert nets.verify(decant, file)["ok"]
    if says == "classes":
        assert name in nets.names(found)
        assert nets.verify(decant, file, "--arch", name, "--num-classes", str(value))["ok"]
        assert decant.attempt("verify", file, "--arch", name).status == 1


def test_every_tensor_counts(decant, folder):
    """A tensor that is missing, renamed, of another shape or not finite is found, and named."""
    state = nets.zeros(torchvision.models.resnet18())

    def check(finding: str, name: str, changed):
        finished = decant.attempt("verify", nets.save(changed, folder), "--arch", "resnet18", "--json")
        assert finished.status == 1 and name in finished.output, finding

    for name in ["conv1.weight", "layer2.0.downsample.1.running_var", "layer4.1.bn2.bias", "fc.bias"]:
        check("missing", name, {key: value for key, value in state.items() if key != name})
        check("shape", name, state | {name: torch.zeros(3)})
        broken = state[name].clone()
        broken.view(-1)[-1] = float("nan")
        check("not finite", name, state | {name: broken})
    check("unexpected", "layer1.2.conv1.weight", state | {"layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)})


@pytest.mark.parametrize("widths", [[64, 128, 256, 512], [32, 64, 128, 256], [16, 48, 64]])
def test_configurations_without_a_name(decant, folder, widths):
    """transformers makes ResNets of any widths and depths: all are told from their shapes."""
    depths = [2, 1, 3, 1][: len(widths)]
    config = transformers.ResNetConfig(
        depths=depths, hidden_sizes=widths, embedding_size=24, layer_type="bottleneck", num_labels=11
    )
    file = nets.save(nets.zeros(transformers.ResNetForImageClassification(config)), folder)
    found = nets.identify(decant, file)
    assert nets.names(found) == [] and found["nearest"]
    assert found["layers"] == depths and found["classes"] == 11 and found["dialect"] == "transformers"
    assert nets.verify(decant, file)["ok"]
