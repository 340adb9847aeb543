"""Networks without a known name, recognised by the order and shapes of their tensors: the right ones, and no others."""

import itertools
import random

import nets
import numpy as np
import pytest
import torch
import torchvision
from accuracy import check_errors, describe, image, measure
from modules import Cifar


def anonymous(state: dict[str, torch.Tensor], seed: int = 1) -> dict[str, torch.Tensor]:
    """The same tensors in the same order under random names."""
    letters = random.Random(seed)
    names = iter({"".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=12)): None for _ in range(len(state) * 2)})
    return {next(names): tensor for tensor in state.values()}


def attempt(decant, file):
    finished = decant.attempt("identify", file, "--json")
    assert finished.status in (0, 1), finished.errors
    return nets.json.loads(finished.output)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_every_resnet_without_names(decant, folder, figures, library):
    """The right name is among those that fit, or none is given: a wrong one is the worst answer."""
    names = nets.TORCHVISION if library == "torchvision" else nets.TIMM
    small = [name for name in names if nets.size(library, name) <= nets.LARGEST]
    right, unread = 0, []
    for name in small:
        with torch.device("meta"):
            network = nets.build(library, name)
        found = attempt(decant, nets.save(anonymous(nets.zeros(network)), folder))
        if found["architecture"] is None and not found["same_shapes_as"]:
            assert not found.get("ok"), (name, found)
            unread.append(name)
            continue
        assert name in nets.names(found) and found["by_structure"], (name, found)
        right += 1
    figures(f"by structure, {library}: {right} of {len(small)} right, none wrong; not recognised: {' '.join(unread) or 'none'}")
    assert right >= {"torchvision": len(small), "timm": 0.8 * len(small)}[library]


OTHERS = [
    "alexnet", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "vgg16", "densenet121", "densenet201", "googlenet",
    "inception_v3", "mobilenet_v2", "mobilenet_v3_small", "mnasnet1_0", "shufflenet_v2_x1_0", "squeezenet1_1",
    "efficientnet_b0", "efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf", "regnet_x_3_2gf", "convnext_tiny", "vit_b_16",
    "swin_t", "maxvit_t",
]  # fmt: skip
TIMM_OTHERS = [
    "cspresnet50", "nf_resnet50", "resnest26d", "skresnet18", "tresnet_m", "inception_resnet_v2", "regnetx_002", "regnety_002",
    "vit_tiny_patch16_224", "darknet53", "cspdarknet53", "dla34", "dpn68", "hrnet_w18_small", "xception", "res2net50_14w_8s",
    "selecsls42b", "vovnet39a", "repvgg_a0", "dm_nfnet_f0", "convmixer_768_32", "mixer_s16_224", "hardcorenas_a", "ghostnet_100",
    "lambda_resnet26t", "botnet26t_256", "halonet26t",
]  # fmt: skip


def plain(channels, kernels) -> torch.nn.Module:
    """Convolutions with normalizations, one after the other, and a fully connected layer."""
    layers, inputs = [], 3
    for outputs, kernel in zip(channels, kernels, strict=True):
        layers += [torch.nn.Conv2d(inputs, outputs, kernel, bias=False), torch.nn.BatchNorm2d(outputs), torch.nn.ReLU()]
        inputs = outputs
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(inputs, 10))


PLAIN = {
    "a CIFAR ResNet-20's convolutions without shortcuts": lambda: plain([16] * 7 + [32] * 6 + [64] * 6, [3] * 19),
    "two stages of 3×3": lambda: plain([64, 64, 64, 128, 128], [3] * 5),
    "bottlenecks in a row": lambda: plain([64, 64, 64, 256, 64, 64, 256], [7, 1, 3, 1, 1, 3, 1]),
    "wide and narrow": lambda: plain([64, 64, 128, 64, 128], [7, 3, 1, 3, 3]),
}


def other(name: str) -> torch.nn.Module:
    make = torchvision.models.get_model if name in OTHERS else nets.timm.create_model
    try:
        with torch.device("meta"):
            return make(name)
    except NotImplementedError:  # its constructor computes with numbers
        return make(name)


def test_other_networks_are_no_resnets(decant, folder, figures):
    """Under their own names and without any."""
    count = 0
    for name in [*OTHERS, *TIMM_OTHERS, *PLAIN]:
        if name in PLAIN:
            state = PLAIN[name]().state_dict()
        else:
            state = nets.zeros(other(name))
        for tensors in (state, anonymous(state)):
            finished = decant.attempt("identify", nets.save(tensors, folder), "--json")
            assert finished.status == 1, name
            said = nets.json.loads(finished.output)
            assert said["architecture"] is None and not said["same_shapes_as"] and not said.get("ok"), (name, said)
        count += 1
    assert count >= 50
    figures(f"by structure: {count} other networks, none taken for a ResNet")


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_swapped_and_missing_tensors_are_refused(decant, folder, figures, name):
    """Tensors of different shapes; equal shapes in another order are the same structure."""
    state = list(nets.zeros(torchvision.models.get_model(name)).items())
    chosen = random.Random(name)
    refused = 0
    for _ in range(12):
        one, other = sorted(chosen.sample(range(len(state)), 2))
        if state[one][1].shape == state[other][1].shape:
            continue
        swapped = list(state)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        lost = state[:one] + state[one + 1 :]
        for entries in (swapped, lost):
            finished = decant.attempt("identify", nets.save(anonymous(dict(entries)), folder), "--json")
            assert finished.status == 1, (name, state[one][0], state[other][0])
            refused += 1
    figures(f"by structure, {name}: {refused} of {refused} with two tensors swapped or one missing are refused")
    assert refused


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_run_by_structure(decant, run, folder, figures, name):
    network = nets.randomise(torchvision.models.get_model(name).eval())
    file = nets.save(anonymous(network.state_dict()), folder)
    refused = decant.attempt("verify", file)
    assert refused.status != 0 and "--by-structure" in refused.errors
    assert nets.verify(decant, file, "--by-structure")["ok"]
    errors = measure(run, file, network, image(2, 3, 64, 64), "--by-structure")
    figures(f"by structure, {name}: {describe(errors)}")
    check_errors(errors)


def test_projected_cifar_by_structure(decant, run, folder, figures):
    network = nets.randomise(Cifar(2, True).eval())
    file = nets.save(anonymous(network.state_dict()), folder)
    found = nets.identify(decant, file)
    assert found["by_structure"] and found["architecture"] is None and found["layers"] == [2, 2, 2]
    errors = measure(run, file, network, image(2, 3, 32, 32), "--by-structure", "--stride0", "1")
    figures(f"by structure, a CIFAR ResNet-14: {describe(errors)}")
    check_errors(errors)


def test_names_by_structure(decant, folder):
    """A rename needs the option, and gives torchvision's names to every tensor."""
    import safetensors.torch

    network = nets.randomise(torchvision.models.resnet18())
    file = nets.save(anonymous(network.state_dict()), folder)
    out = folder / "out.safetensors"
    assert decant.attempt("convert", file, out, "--names", "torchvision").status != 0 and not out.exists()
    decant("convert", file, out, "--names", "torchvision", "--by-structure")
    written = safetensors.torch.load_file(out)
    assert written.keys() == network.state_dict().keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in network.state_dict().items())


def test_open_shortcuts_need_the_network(decant, run, folder):
    """resnet50c and resnet50d have the same shapes: only names show that shortcuts pool."""
    network = nets.randomise(nets.timm.create_model("resnet50d").eval())
    file = nets.save(anonymous(network.state_dict()), folder)
    found = nets.identify(decant, file)
    assert found["architecture"] is None and {"resnet50c", "resnet50d"} <= set(found["same_shapes_as"])
    assert "shortcut_pooling" in found["undetermined"]
    np.save(folder / "x.npy", image(1, 3, 64, 64))
    refused = decant.attempt("run", file, "--by-structure", "--input", folder / "x.npy")
    assert refused.status == 2 and "--arch" in refused.errors
    x = image(1, 3, 64, 64)
    ours = run(file, x, "--by-structure", "--arch", "resnet50d", dtype=np.float64)
    with torch.no_grad():
        expected = network.double()(torch.from_numpy(x).double()).numpy()
    assert np.abs(ours - expected).max() < 1e-12 * np.abs(expected).max()


def test_modules_of_unknown_names(decant, folder):
    """Module names that nobody knows, with PyTorch's names of parameters: also where counters come first."""
    state = nets.zeros(torchvision.models.resnet18())
    letters = random.Random(4)
    modules = dict.fromkeys(name.rpartition(".")[0] for name in state)
    unknown = {module: "z." + "".join(letters.choices("abcdefgh", k=9)) for module in modules}
    renamed = {f"{unknown[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": tensor for name, tensor in state.items()}
    counters = {name: tensor for name, tensor in renamed.items() if name.endswith("tracked")}
    for tensors in (renamed, counters | renamed):
        found = nets.identify(decant, nets.save(tensors, folder))
        assert found["architecture"] == "resnet18" and found["by_structure"]
    # In alphabetical order nothing is left of the order of the layers.
    alphabetical = dict(sorted(renamed.items()))
    assert decant.attempt("identify", nets.save(alphabetical, folder)).status == 1


def test_normalizations_without_counters(decant, folder):
    """The order of a normalization's four vectors is believed when means are negative and variances are not."""
    network = nets.randomise(torchvision.models.resnet18())
    state = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("tracked")}
    assert nets.identify(decant, nets.save(anonymous(state), folder))["architecture"] == "resnet18"
    groups = [list(group) for _, group in itertools.groupby(state.items(), lambda item: item[0].rpartition(".")[0])]
    alphabetical = dict(item for group in groups for item in sorted(group))
    assert decant.attempt("identify", nets.save(anonymous(alphabetical), folder)).status == 1
