"""`convert --names` into every dialect and back: every digest is the same, and the libraries load what was written."""

import collections
import hashlib
import json
import re

import nets
import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
import transformers
from modules import Cifar, Clip, xternalz


def without_head(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")}


def uncounted(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without the counts of batches, which frozen normalizations lack and Caffe2 cannot name."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def resnet(name: str = "resnet18") -> dict[str, torch.Tensor]:
    return torchvision.models.get_model(name).state_dict()


def of_timm(name: str, **options) -> dict[str, torch.Tensor]:
    return nets.timm.create_model(name, **options).state_dict()


# A network for each dialect that it can name, and the dialect that it comes from and goes back to.
NETWORKS = {
    "torchvision": (lambda: of_timm("resnet18"), "detectron2"),
    "timm": (lambda: of_timm("seresnet18"), "pretrainedmodels"),
    "timm-resnetv2": (lambda: of_timm("resnetv2_50d"), "canonical"),
    "timm-byobnet": (lambda: of_timm("seresnet33ts"), "canonical"),
    "timm-clip": (lambda: Clip((1, 1, 1, 1)).state_dict(), "clip"),
    "timm-byobnet-51q": (lambda: of_timm("resnet51q"), "canonical"),
    "timm-byobnet-61q": (lambda: of_timm("resnet61q"), "canonical"),
    "transformers": (lambda: resnet("resnet50"), "torchvision"),
    "transformers-backbone": (lambda: without_head(torchvision.models.resnet18()), "torchvision"),
    "transformers-bit": (lambda: of_timm("resnetv2_50x1_bit"), "timm-resnetv2"),
    "transformers-bit-backbone": (lambda: of_timm("resnetv2_50x1_bit", num_classes=0), "timm-resnetv2"),
    "detectron2": (lambda: resnet("resnet50"), "torchvision"),
    "maskrcnn-benchmark": (lambda: without_head(torchvision.models.resnet50()), "torchvision"),
    "caffe2": (lambda: uncounted(resnet("resnet50")), "torchvision"),
    "mmpretrain": (lambda: resnet("resnext50_32x4d"), "torchvision"),
    "mmpretrain-deep": (lambda: of_timm("resnet50d"), "timm"),
    "mmdetection-deep": (lambda: without_head(nets.timm.create_model("resnet50c")), "timm"),
    "mmpretrain-ema": (lambda: resnet(), "torchvision"),
    "cifar": (lambda: resnet(), "torchvision"),
    "cifar-underscored": (lambda: Cifar(3, True).state_dict(), "cifar"),
    "cifar-residual-function": (lambda: Cifar(2, True, (64, 128, 256, 512)).state_dict(), "cifar"),
    "wide-resnet": (lambda: xternalz(Cifar(2, True, (32, 64, 128), pre=True, stem=16).state_dict()), "canonical"),
    "pretrainedmodels": (lambda: of_timm("seresnet50"), "timm"),
    "clip": (lambda: of_timm("resnet50_clip", img_size=64), "timm-clip"),
    "sequential": (lambda: without_head(torchvision.models.resnet50()), "torchvision"),
    "bit": (lambda: of_timm("resnetv2_50x1_bit"), "timm-resnetv2"),
    "bit-npz": (lambda: of_timm("resnetv2_50x1_bit"), "timm-resnetv2"),
    "canonical": (lambda: of_timm("seresnext26ts"), "timm-byobnet"),
}
# Quantised networks have tensors that no other dialect names.
APART = {"torchvision-quantized"}


def digests(state: dict[str, torch.Tensor]) -> collections.Counter:
    """How often each content occurs, whatever it is called; a head may be a 1×1 convolution or fully connected."""
    return collections.Counter(
        (tuple(size for size in tensor.shape if size != 1), hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest())
        for tensor in state.values()
    )


def test_every_dialect_has_a_network(decant):
    listed = re.findall(r"^([a-z][\w-]*): ", decant("identify", "--dialects").output, re.MULTILINE)
    assert sorted(listed) == sorted([*NETWORKS, *APART])


@pytest.mark.parametrize("dialect", NETWORKS)
def test_there_and_back(decant, folder, dialect):
    make, home = NETWORKS[dialect]
    torch.manual_seed(1)
    state = make()
    nets.save({"model": state}, folder)
    there, back, again = (folder / f"{name}.safetensors" for name in ("there", "back", "again"))
    decant("convert", folder / "net.pth", there, "--key", "model", "--names", dialect)
    decant("convert", there, back, "--names", home)
    decant("convert", back, again, "--names", dialect)
    found = nets.identify(decant, there)
    before = nets.identify(decant, folder / "net.pth")
    # Of two networks with the same shapes the dialect's own is named first.
    assert before["architecture"] in [*nets.names(found), None]
    assert {name: found[name] for name in ("layers", "classes", "depth")} == {
        name: before[name] for name in ("layers", "classes", "depth")
    }
    loaded = [safetensors.torch.load_file(path) for path in (there, back, again)]
    assert digests(loaded[1]) == digests(state)
    assert loaded[0].keys() == loaded[2].keys() != loaded[1].keys()
    assert all(torch.equal(tensor, loaded[2][name]) for name, tensor in loaded[0].items())
    if dialect != "bit-npz":  # whose kernels lie otherwise
        assert digests(loaded[0]) == digests(state)


def converted(decant, folder, state, dialect: str) -> dict[str, torch.Tensor]:
    nets.save(state, folder)
    decant("convert", folder / "net.pth", folder / "there.safetensors", "--names", dialect)
    return safetensors.torch.load_file(folder / "there.safetensors")


def equal(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return state.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in state.items())


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d", "wide_resnet50_2"])
def test_torchvision_loads_its_names(decant, folder, name):
    """Out of detectron2's, which names everything otherwise."""
    state = resnet(name)
    theirs = converted(decant, folder, state, "detectron2")
    loaded = converted(decant, folder, theirs, "torchvision")
    torchvision.models.get_model(name).load_state_dict(loaded, strict=True)
    assert equal(loaded, state)


@pytest.mark.parametrize(
    ("name", "other", "own"),
    [
        ("resnetv2_50x1_bit", "bit", "timm-resnetv2"), ("resnetv2_50d", "canonical", "timm-resnetv2"),
        ("resnet50d", "mmpretrain-deep", "timm"), ("seresnet50", "pretrainedmodels", "timm"),
        ("resnet51q", "canonical", "timm-byobnet-51q"), ("resnet61q", "canonical", "timm-byobnet-61q"),
        ("seresnext26ts", "canonical", "timm-byobnet"), ("resnet50_clip", "clip", "timm-clip"),
        ("legacy_seresnet50", "timm", "pretrainedmodels"),
    ],
)  # fmt: skip
def test_timm_loads_its_names(decant, folder, name, other, own):
    state = of_timm(name)
    theirs = converted(decant, folder, state, other)
    assert theirs.keys() != state.keys()
    loaded = converted(decant, folder, theirs, own)
    nets.timm.create_model(name).load_state_dict(loaded, strict=True)
    assert equal(loaded, state)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_transformers_loads_its_names(decant, folder, block):
    """And computes the same: both libraries' modules in float64."""
    network = nets.randomise(torchvision.models.get_model("resnet18" if block == "basic" else "resnet50").eval())
    config = transformers.ResNetConfig(
        depths=[2, 2, 2, 2] if block == "basic" else [3, 4, 6, 3], layer_type=block, num_labels=1000,
        hidden_sizes=[64, 128, 256, 512] if block == "basic" else [256, 512, 1024, 2048],
    )  # fmt: skip
    theirs = transformers.ResNetForImageClassification(config).eval()
    theirs.load_state_dict(converted(decant, folder, network.state_dict(), "transformers"), strict=True)
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected, answer = network.double()(images), theirs.double()(images).logits
    assert (answer - expected).abs().max() < 1e-12 * expected.abs().max()


def test_big_transfer_of_transformers_there_and_back(decant, folder):
    """Its head is a fully connected layer, which Big Transfer's own names have as a 1×1 convolution."""
    state = transformers.BitForImageClassification(transformers.BitConfig(num_labels=1000)).state_dict()
    found = nets.identify(decant, nets.save(state, folder))
    assert found["dialect"] == "transformers-bit" and found["classes"] == 1000 and found["layers"] == [3, 4, 6, 3]
    assert nets.verify(decant, folder / "net.pth")["ok"]
    theirs = converted(decant, folder, state, "timm-resnetv2")
    assert equal(converted(decant, folder, theirs, "transformers-bit"), state)


def test_transformers_loads_big_transfers(decant, folder):
    loaded = converted(decant, folder, of_timm("resnetv2_50x1_bit"), "transformers-bit")
    config = transformers.BitConfig(num_labels=1000)
    transformers.BitForImageClassification(config).load_state_dict(loaded, strict=True)


def test_timm_loads_big_transfers_of_transformers(decant, folder):
    state = transformers.BitForImageClassification(transformers.BitConfig(num_labels=1000)).state_dict()
    loaded = converted(decant, folder, state, "timm-resnetv2")
    nets.timm.create_model("resnetv2_50x1_bit").load_state_dict(loaded, strict=True)


def test_timm_reads_the_arrays(decant, folder):
    """Big Transfer's .npz: TensorFlow's layout of kernels, read by timm's own loader."""
    torch.manual_seed(1)
    network = nets.randomise(nets.timm.create_model("resnetv2_50x1_bit").eval())
    arrays = converted(decant, folder, network.state_dict(), "bit-npz")
    assert tuple(arrays["resnet/root_block/standardized_conv2d/kernel"].shape) == (7, 7, 3, 64)
    np.savez(folder / "bit.npz", **{name: tensor.numpy() for name, tensor in arrays.items()})
    other = nets.timm.create_model("resnetv2_50x1_bit")
    other.load_pretrained(str(folder / "bit.npz"))
    assert equal(other.state_dict(), network.state_dict())
    found = nets.identify(decant, folder / "bit.npz")
    assert found["architecture"] == "resnetv2_50x1_bit" and found["dialect"] == "bit-npz"
    decant("verify", folder / "bit.npz", "--arch", "resnetv2_50x1_bit")
    decant("convert", folder / "bit.npz", folder / "back.safetensors", "--names", "timm-resnetv2")
    assert equal(safetensors.torch.load_file(folder / "back.safetensors"), network.state_dict())


def test_a_dialect_without_the_name_writes_nothing(decant, folder):
    """Caffe2 has no word for a count of batches, transformers none for squeeze and excitation."""
    for state, dialect in [(resnet(), "caffe2"), (of_timm("seresnet18"), "transformers"), (resnet(), "bit")]:
        nets.save(state, folder)
        finished = decant.attempt("convert", folder / "net.pth", folder / "x.safetensors", "--names", dialect)
        assert finished.status == 2 and dialect in finished.errors
        assert not (folder / "x.safetensors").exists()


def test_what_stands_beside_keeps_its_name(decant, folder):
    state = {f"module.encoder.{name}": tensor for name, tensor in resnet().items()}
    beside = {"module.head.weight": torch.randn(3, 4), "epoch_seen": torch.tensor(4)}
    nets.save(state | beside, folder)
    arguments = ["convert", folder / "net.pth", folder / "there.safetensors", "--names", "detectron2"]
    decant(*arguments)
    there = safetensors.torch.load_file(folder / "there.safetensors")
    assert all(torch.equal(there[name], tensor) for name, tensor in beside.items())
    assert "module.encoder.res2.0.conv1.weight" in there and digests(there) == digests(state | beside)
    said = json.loads(decant("identify", folder / "there.safetensors", "--json").output)
    assert (said["prefix"], said["dialect"]) == ("module.encoder.", "detectron2")
