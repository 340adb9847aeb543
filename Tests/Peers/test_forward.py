"""`decant run` on one network of each family: 16 images in float32, an odd size in float64.

The networks are torchvision's, timm's, transformers' and, where none of these has the family, this project's own.
"""

import networks
import nets
import numpy as np
import pytest
import torch
import transformers
from accuracy import FLOAT64, check_errors, describe, distance, image, measure
from modules import Affine, Cifar, Clip, Detector, Frozen, caffe2, stride_first, weiaicunzai, xternalz

LIBRARIES = [
    ("torchvision", "resnet18"), ("torchvision", "resnet50"), ("torchvision", "resnext50_32x4d"),
    ("torchvision", "wide_resnet50_2"), ("timm", "resnet18d"), ("timm", "resnet26t"), ("timm", "resnet50s"),
    ("timm", "seresnet50"), ("timm", "seresnext26d_32x4d"), ("timm", "ecaresnet26t"), ("timm", "resnetrs50"),
    ("timm", "ecaresnet50d_pruned"), ("timm", "resnet50_gn"), ("timm", "resnetaa50"), ("timm", "resnetblur18"),
    ("timm", "resnetv2_50"), ("timm", "resnetv2_50d_gn"), ("timm", "resnetv2_50x1_bit"), ("timm", "resnet33ts"),
    ("timm", "seresnext26ts"), ("timm", "eca_resnext26ts"), ("timm", "resnet51q"), ("timm", "resnet61q"),
    ("timm", "legacy_seresnet18"), ("timm", "legacy_seresnet50"), ("timm", "legacy_seresnext26_32x4d"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def seeded():
    """The same networks every time."""
    torch.manual_seed(1)


def check(run, folder, figures, what: str, network, *options, state=None, sizes=(64, (61, 75)), published=None):
    """The network's file, or one of the same numbers in other names, gives PyTorch's numbers.

    sizes: the side of 16 images that are run in both precisions, and an odd size for float64.
    """
    file = nets.save(state if state is not None else network, folder)
    if published:
        assert published in nets.names(nets.identify(run.decant, file))
    errors = measure(run, file, network, image(16, 3, sizes[0], sizes[0]), *options, exact=2)
    if len(sizes) > 1:
        errors["float64"] = max(errors["float64"], distance(run, file, network, image(1, 3, *sizes[1]), *options))
    figures(f"run, {what}, 16 images of {sizes[0]}x{sizes[0]}: {describe(errors)}")
    check_errors(errors)


@pytest.mark.parametrize(("library", "name"), LIBRARIES, ids=[name for _, name in LIBRARIES])
def test_family(run, folder, figures, library, name):
    network = nets.randomise(nets.build(library, name))
    # timm's average pools drop an odd map's rest and its shortcuts keep it: PyTorch itself cannot add them.
    odd = (32, 96) if name.startswith("resnetaa") else (61, 75)
    check(run, folder, figures, name, network, "--arch", name, sizes=(64, odd), published=name)


@pytest.mark.parametrize("name", nets.REFUSED)
def test_what_cannot_run_says_why(decant, folder, name):
    file = nets.save(nets.build("timm", name), folder)
    np.save(folder / "x.npy", np.zeros((1, 3, 64, 64), np.float32))
    finished = decant.attempt("run", file, "--arch", name, "--input", folder / "x.npy", "--output", folder / "y.npy")
    assert finished.status == 1 and nets.REFUSED[name] in finished.errors
    assert not (folder / "y.npy").exists()


def test_nodown(run, folder, figures):
    network = networks.set_stride0(networks.models.resnet50(num_classes=1), 1).eval()
    name = "resnet50nodown"
    check(run, folder, figures, name, nets.randomise(network), "--arch", name, sizes=(32, (29, 35)), published=name)


@pytest.mark.parametrize("projects", [False, True])
def test_cifar(decant, run, folder, figures, projects):
    network = nets.randomise(Cifar(3, projects).eval())
    found = nets.identify(decant, nets.save(network, folder))
    assert found["depth"] == 20 and found["dialect"] == "cifar" and found["classes"] == 10
    assert found["architecture"] == (None if projects else "resnet20")
    options = ["--stride0", "1"] if projects else ["--arch", "resnet20"]
    check(run, folder, figures, f"CIFAR ResNet-20, option {'AB'[projects]}", network, *options, sizes=(32, (29, 35)))


@pytest.mark.parametrize("pre", [False, True])
def test_four_stages_for_cifar(decant, run, folder, figures, pre):
    """ResNet-18 and PreActResNet-18 as kuangliu has them."""
    network = nets.randomise(Cifar(2, True, (64, 128, 256, 512), pre).eval())
    found = nets.identify(decant, nets.save(network, folder))
    assert found["depth"] == 18 and found["dialect"] == "cifar" and found["classes"] == 10
    what = "PreActResNet-18" if pre else "ResNet-18"
    check(run, folder, figures, f"CIFAR {what}", network, sizes=(32, (29, 35)))


def test_residual_functions(decant, run, folder, figures):
    network = nets.randomise(Cifar(2, True, (64, 128, 256, 512)).eval())
    state = weiaicunzai(network.state_dict())
    found = nets.identify(decant, nets.save(state, folder))
    assert found["dialect"] == "cifar-residual-function" and found["depth"] == 18 and found["classes"] == 10
    check(run, folder, figures, "weiaicunzai's ResNet-18", network, state=state, sizes=(32, (29, 35)))


def test_wide_for_cifar(decant, run, folder, figures):
    """WRN-16-2: two blocks in each of three stages, twice as wide."""
    network = nets.randomise(Cifar(2, True, (32, 64, 128), pre=True, stem=16).eval())
    state = xternalz(network.state_dict())
    found = nets.identify(decant, nets.save(state, folder))
    assert found["dialect"] == "wide-resnet" and found["layers"] == [2, 2, 2] and found["classes"] == 10
    check(run, folder, figures, "xternalz's WRN-16-2", network, state=state, sizes=(32, (29, 35)))


def test_stride_on_the_first_convolution(run, folder, figures):
    network = nets.randomise(stride_first(networks.models.resnet50()).eval())
    check(run, folder, figures, "resnet50 v1", network, "--arch", "resnet50", "--block-stride", "1x1")


@pytest.mark.parametrize("epsilon", [1e-5, 0.0])
def test_frozen_normalization(decant, run, folder, figures, epsilon):
    """detectron2's; before the third version of its module nothing was added to the variance."""
    network = nets.randomise(Detector(epsilon).eval())
    found = nets.identify(decant, nets.save(network, folder))
    assert found["architecture"] == "resnet50" and found["dialect"] == "detectron2"
    options = ["--arch", "resnet50", "--block-stride", "1x1", "--epsilon", str(epsilon)]
    check(run, folder, figures, f"detectron2's resnet50, epsilon {epsilon:g}", network, *options)


def test_torchvisions_frozen_normalization(run, folder, figures):
    """Four buffers without a count of batches, in torchvision's own names."""
    network = nets.randomise(networks.models.resnet50(norm_layer=Frozen).eval())
    check(run, folder, figures, "resnet50 with frozen normalization", network, "--arch", "resnet50")


@pytest.mark.parametrize("bias", [False, True])
def test_computed_normalization(decant, run, folder, figures, bias):
    """Caffe2's: a factor and a summand for each channel; MSRA's files have a bias in the first convolution besides."""
    network = stride_first(networks.models.resnet50(norm_layer=Affine)).eval()
    if bias:
        network.conv1.bias = torch.nn.Parameter(torch.zeros(64))
    nets.randomise(network)
    state = network.state_dict()
    stem = {"conv1_b": state.pop("conv1.bias")} if bias else {}
    state = caffe2(state) | stem
    found = nets.identify(decant, nets.save(state, folder))
    assert found["dialect"] == "caffe2" and found["depth"] == 50
    check(run, folder, figures, f"Caffe2's resnet50{', with a bias' * bias}", network, state=state)


@pytest.mark.parametrize("prefix", ["", "visual."])
def test_clip(decant, run, folder, figures, prefix):
    """The image tower in OpenAI's names, alone and beside a text tower, for small images."""
    network = nets.randomise(Clip(layers=(1, 2, 1, 1)).eval())
    state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
    beside = {"positional_embedding": torch.zeros(77, 512), "logit_scale": torch.tensor(1.0)} if prefix else {}
    beside |= {f"transformer.resblocks.0.ln_{i}.weight": torch.zeros(512) for i in (1, 2) if prefix}
    found = nets.identify(decant, nets.save(beside | state, folder))
    assert (found["dialect"], found["prefix"], found["classes"]) == ("clip", prefix, 1024)
    assert nets.verify(decant, folder / "net.pth")["beside"] == len(beside)
    check(run, folder, figures, f"CLIP's, prefix '{prefix}'", network, state=beside | state, sizes=(64,))


def test_clip_of_published_size(decant, run, folder, figures):
    network = nets.randomise(Clip(side=224).eval())
    file = nets.save(network, folder)
    assert nets.identify(decant, file)["architecture"] == "resnet50_clip"
    decant("verify", file, "--arch", "resnet50_clip")
    errors = measure(run, file, network, image(2, 3, 224, 224), "--arch", "resnet50_clip", exact=1)
    figures(f"run, CLIP's resnet50, 2 images of 224x224: {describe(errors)}")
    check_errors(errors)


@pytest.mark.parametrize("projects", [False, True])
def test_large_images_in_bands(run, folder, figures, projects):
    """Whole values would take 280 MB in float64."""
    network = nets.randomise(Cifar(3, projects).eval())
    options = ["--stride0", "1"] if projects else ["--arch", "resnet20"]
    error = distance(run, nets.save(network, folder), network, image(1, 3, 911, 803), *options)
    figures(f"run in bands, CIFAR ResNet-20, option {'AB'[projects]}, 911x803, float64: {error:.1e}")
    assert error < FLOAT64


@torch.no_grad()
def test_large_nodown_in_bands(run, folder, figures):
    """Whole values would take 0.6 GB."""
    network = nets.randomise(networks.set_stride0(networks.models.resnet50(num_classes=1), 1).eval())
    x = image(1, 3, 639, 517)
    expected = network(torch.from_numpy(x)).numpy()
    file = nets.save(network, folder)
    for engine in [["--engine", "reference"], []]:
        ours = run(file, x, "--arch", "resnet50nodown", *engine)
        error = float(np.abs(ours - expected).max() / np.abs(expected).max())
        figures(f"run in bands, resnet50nodown, 639x517, float32, {engine}: {error:.1e} from PyTorch's")
        assert error < 1e-5


@pytest.mark.parametrize("names", ["OpenAI", "timm"])
def test_clip_of_another_size(run, folder, figures, names):
    """ResNet-50's depth and 64×64 images: only the attention pool's positions differ from the published network's."""
    network = Clip().eval() if names == "OpenAI" else nets.timm.create_model("resnet50_clip", img_size=64).eval()
    check(run, folder, figures, f"CLIP's resnet50 for 64x64, {names}", nets.randomise(network), sizes=(64,))


@pytest.mark.parametrize(("depths", "block"), [([2, 2, 2, 2], "basic"), ([3, 4, 6, 3], "bottleneck")])
def test_transformers(decant, run, folder, figures, depths, block):
    sizes = [64, 128, 256, 512] if block == "basic" else [256, 512, 1024, 2048]
    config = transformers.ResNetConfig(depths=depths, hidden_sizes=sizes, layer_type=block, num_labels=1000)
    name = "resnet18" if block == "basic" else "resnet50"
    for kind, dialect in [
        (transformers.ResNetModel, "transformers-backbone"),
        (transformers.ResNetForImageClassification, "transformers"),
    ]:
        network = nets.randomise(kind(config).eval())
        found = nets.identify(decant, nets.save(network, folder))
        assert found["dialect"] == dialect and found["layers"] == depths and found["block"] == block
        assert name in nets.names(found)
    check(run, folder, figures, f"transformers' {name}", network, "--arch", name)


def test_big_transfer_of_transformers(run, folder, figures):
    network = nets.randomise(transformers.BitForImageClassification(transformers.BitConfig(num_labels=1000)).eval())
    check(run, folder, figures, "transformers' BiT-50x1", network)
