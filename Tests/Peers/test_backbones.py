"""Detection and segmentation networks: the ResNet inside is found, verified, counted and run."""

import nets
import numpy as np
import pytest
import torch
import transformers
from accuracy import FLOAT64, image


def test_every_one_of_torchvision(decant, folder):
    for name in nets.AROUND:
        with torch.device("meta"):
            network = nets.build("torchvision", name)
        state = nets.zeros(network)
        file = nets.save(state, folder)
        expected = "resnet101" if "resnet101" in name else "resnet50"
        prefix = "backbone.body." if "fpn" in name else "backbone."
        found = nets.identify(decant, file)
        assert found["architecture"] == expected and found["prefix"] == prefix, name
        assert found["classes"] == 0 and "output_stride" in found["undetermined"]
        verified = nets.verify(decant, file)
        assert verified["beside"] == sum(not tensor.startswith(prefix) for tensor in state) > 0
        decant("verify", file, "--arch", expected, "--num-classes", "0", "--prefix", prefix)
    assert len(nets.AROUND) >= 12


def layer4(decant, folder, file, images: np.ndarray, *options) -> np.ndarray:
    """What the last stage gives in float64."""
    np.save(folder / "x.npy", images)
    paths = ["--input", folder / "x.npy", "--output", folder / "y.npy"]
    decant("run", file, *paths, "--float64", "--stage", "layer4", *options, seconds=600)
    return np.load(folder / "y.npy")


def far(ours: np.ndarray, expected: torch.Tensor) -> float:
    assert ours.shape == tuple(expected.shape)
    return float(np.abs(ours - expected.numpy()).max() / expected.abs().max())


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet101"])
@torch.no_grad()
def test_dilated_stages(decant, folder, name):
    """torchvision's segmentation networks see one eighth of the image: the last two stages are dilated."""
    torch.manual_seed(1)
    network = nets.randomise(nets.build("torchvision", name)).double()
    file = nets.save({key: value.float() if value.is_floating_point() else value
                      for key, value in network.state_dict().items()}, folder)  # fmt: skip
    for size in [(64, 64), (61, 75)]:
        images = image(1, 3, *size)
        expected = network.backbone(torch.from_numpy(images).double())["out"]
        ours = layer4(decant, folder, file, images, "--output-stride", "8")
        assert far(ours, expected) < FLOAT64
    # Without it the strides stay, which is another map.
    assert layer4(decant, folder, file, images).shape != tuple(expected.shape)


@torch.no_grad()
def test_a_body_can_be_declared(decant, folder):
    """Which of the networks of equal shapes a body is, only its user can say."""
    torch.manual_seed(1)
    body = nets.randomise(nets.timm.create_model("resnetblur18", num_classes=0).eval())
    file = nets.save(body, folder)
    images = image(1, 3, 61, 75)
    expected = body.double().forward_features(torch.from_numpy(images).double())
    assert far(layer4(decant, folder, file, images, "--arch", "resnetblur18", "--num-classes", "0"), expected) < FLOAT64


@pytest.mark.parametrize("name", ["fasterrcnn_resnet50_fpn", "retinanet_resnet50_fpn_v2"])
@torch.no_grad()
def test_detectors(decant, folder, name):
    """Frozen normalizations and ordinary ones; the body's last stage is what the pyramid begins with."""
    torch.manual_seed(1)
    network = nets.randomise(nets.build("torchvision", name)).backbone.body
    file = nets.save(
        {f"backbone.body.{key}": value for key, value in network.state_dict().items()}
        | {"rpn.head.conv.weight": torch.zeros(4, 4, 3, 3)}, folder,
    )  # fmt: skip
    epsilon = next(part.eps for part in network.modules() if hasattr(part, "eps"))
    images = image(1, 3, 61, 75)
    *_, expected = network.double()(torch.from_numpy(images).double()).values()
    options = ["--prefix", "backbone.body.", "--epsilon", str(epsilon)]
    assert far(layer4(decant, folder, file, images, *options), expected) < FLOAT64


def detr():
    body = transformers.ResNetConfig()
    config = transformers.DetrConfig(
        use_timm_backbone=False, backbone=None, use_pretrained_backbone=False,
        backbone_config=transformers.ResNetConfig(out_features=["stage4"]), encoder_layers=1, decoder_layers=1,
    )  # fmt: skip
    return transformers.DetrForObjectDetection(config), body


def upernet():
    body = transformers.ResNetConfig(out_features=["stage1", "stage2", "stage3", "stage4"])
    return transformers.UperNetForSemanticSegmentation(transformers.UperNetConfig(backbone_config=body)), body


def maskformer():
    body = transformers.ResNetConfig(
        depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return transformers.MaskFormerModel(transformers.MaskFormerConfig(backbone_config=body)), body


@pytest.mark.parametrize("make", [detr, upernet, maskformer])
@torch.no_grad()
def test_within_transformers(decant, folder, make):
    torch.manual_seed(1)
    network, config = make()
    depths = list(config.depths)
    state = nets.randomise(network.eval()).state_dict()
    file = nets.save(state, folder)
    found = nets.identify(decant, file)
    name = "resnet18" if depths == [2, 2, 2, 2] else "resnet50"
    assert found["dialect"] == "transformers-backbone" and found["layers"] == depths and found["classes"] == 0
    assert found["prefix"].endswith(("backbone.", "encoder.", "model.")) and name in nets.names(found)
    prefix = found["prefix"]
    assert nets.verify(decant, file)["beside"] == sum(not key.startswith(prefix) for key in state)
    body = network.get_submodule(prefix.rstrip(".")).double()
    images = image(1, 3, 61, 75)
    expected = body.encoder(body.embedder(torch.from_numpy(images).double())).last_hidden_state
    assert far(layer4(decant, folder, file, images), expected) < FLOAT64


@pytest.mark.parametrize("library", ["timm", "torchvision"])
@torch.no_grad()
def test_an_encoder(decant, folder, library):
    """As segmentation libraries keep it: an encoder without a head beside a decoder."""
    torch.manual_seed(1)
    name = "resnet18" if library == "torchvision" else "resnet50d"
    body = nets.randomise(nets.build(library, name))
    state = {f"encoder.{key}": value for key, value in body.state_dict().items() if not key.startswith("fc.")}
    beside = {f"decoder.blocks.{block}.conv1.0.weight": torch.zeros(8, 8, 3, 3) for block in range(5)}
    beside |= {"segmentation_head.0.weight": torch.zeros(1, 8, 3, 3), "segmentation_head.0.bias": torch.zeros(1)}
    file = nets.save({"state_dict": state | beside, "epoch": 3}, folder)
    found = nets.identify(decant, file)
    assert found["prefix"] == "encoder." and found["classes"] == 0 and found["key"] == "state_dict"
    assert name in nets.names(found)
    for options in [[], ["--arch", name, "--num-classes", "0"]]:
        assert nets.verify(decant, file, *options)["beside"] == len(beside)
    images = image(1, 3, 61, 75)
    x = body.double().maxpool(torch.relu(body.bn1(body.conv1(torch.from_numpy(images).double()))))
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        x = body.get_submodule(stage)(x)
    assert far(layer4(decant, folder, file, images), x) < FLOAT64
