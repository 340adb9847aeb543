"""`decant identify`, `verify` and `run` on what real libraries save besides names and shapes: whole modules, TorchScript,
`_metadata`, configurations inside and beside the file."""

import argparse
import collections
import json
import warnings

import networks
import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
import transformers

GEOMETRY = {"stride0", "block_stride", "max_pool", "epsilon", "shortcut", "residual"}


def identify(decant, file, *options) -> dict:
    return json.loads(decant("identify", file, "--json", *options).output)


def facts(found: dict, *kinds: str) -> dict:
    """The facts of evidence by their names; the strongest of each."""
    told = {}
    for fact in found["facts"]:
        if fact["kind"] != "shape" and (not kinds or fact["kind"] in kinds):
            told.setdefault(fact["name"], fact["value"])
    return told


def small(stride0=2, classes=1, block=torchvision.models.resnet.Bottleneck):
    torch.manual_seed(3)
    return networks.small(block, [1, 2, 1, 1], classes, stride0)


def run(decant, folder, file, network, *options, size=(61, 75)) -> str:
    """The logits of a run are PyTorch's in float64 to rounding; returns what stands on standard error."""
    image = torch.randn((1, 3, *size), generator=torch.Generator().manual_seed(6))
    np.save(folder / "x.npy", image.numpy())
    with torch.no_grad():
        expected = network.double().eval()(image.double())
    expected = getattr(expected, "logits", expected).numpy()
    done = decant(
        "run", file, "--input", folder / "x.npy", "--float64", "--output", folder / "y.npy", *options
    )
    error = np.abs(np.load(folder / "y.npy") - expected).max() / np.abs(expected).max()
    assert error < 1e-12, error
    return done.errors


def randomise(module: torch.nn.Module):
    generator = torch.Generator().manual_seed(5)
    for part in module.modules():
        if isinstance(getattr(part, "running_var", None), torch.Tensor):
            for tensor, low, high in [
                (part.weight, 0.5, 1.5), (part.bias, -0.3, 0.3), (part.running_mean, -0.3, 0.3),
                (part.running_var, 0.5, 1.5),
            ]:  # fmt: skip
                tensor.data.uniform_(low, high, generator=generator)
    return module


def refuse(decant, folder, file, *words: str):
    np.save(folder / "x.npy", np.zeros((1, 3, 64, 64), np.float32))
    finished = decant.attempt("run", file, "--input", folder / "x.npy")
    assert finished.status == 1, finished.errors
    for word in words:
        assert word in finished.errors


# Whole modules


@pytest.mark.parametrize("legacy", [False, True])
def test_whole_modules_of_torchvision(decant, folder, legacy):
    for name in ["resnet18", "resnet50", "resnext50_32x4d"]:
        network = torchvision.models.get_model(name)
        torch.save({"model": network}, folder / "net.pth", _use_new_zipfile_serialization=not legacy)
        found = identify(decant, folder / "net.pth")
        assert found["architecture"] == name and found["proven"] and found["contradictions"] == []
        assert found["undetermined"] == ["preprocessing"] and GEOMETRY <= set(facts(found, "attribute"))
        assert decant("identify", folder / "net.pth").output.startswith(f"is {name}\n")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_detector_of_stride_1_runs_without_a_flag(decant, folder, legacy):
    network = randomise(small(stride0=1))
    torch.save(network, folder / "net.pth", _use_new_zipfile_serialization=not legacy)
    errors = run(decant, folder, folder / "net.pth", network)
    assert "read from module attributes: " in errors and "stride0 1" in errors and "defaults used" not in errors
    errors = decant("verify", folder / "net.pth").output
    assert "read from module attributes (weights cannot confirm these)" in errors
    contradicted = decant("run", folder / "net.pth", "--stride0", "2", "--input", folder / "x.npy").errors
    assert "warning: --stride0 2 contradicts stride0 1 of module attributes: conv1.stride 1, maxpool.stride 1" in contradicted
    torch.save(network.state_dict(), folder / "weights.pth")
    finished = decant.attempt("run", folder / "weights.pth", "--input", folder / "x.npy")
    assert finished.status == 2 and "Pass --stride0 1 or --stride0 2" in finished.errors


def test_architectures_that_shapes_cannot_tell_apart(decant, folder):
    nodown = networks.set_stride0(torchvision.models.resnet50(num_classes=1), 1)
    torch.save(nodown, folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert found["architecture"] == "resnet50nodown" and found["proven"]
    for name in ["resnet50", "resnetaa50", "resnetblur50", "resnet50d", "seresnet50", "resnetrs50"]:
        torch.save(timm.create_model(name), folder / "net.pth")
        found = identify(decant, folder / "net.pth")
        assert found["architecture"] == name, name
        assert found["contradictions"] == [], found["contradictions"]
        assert "preprocessing" in facts(found, "configuration")
        filters = "average pools" if "aa" in name else "binomial filters" if "blur" in name else "none"
        assert facts(found, "attribute")["antialiasing"] == filters


def test_transformers_modules(decant, folder):
    for block, sizes in [("basic", [64, 128, 256, 512]), ("bottleneck", [256, 512, 1024, 2048])]:
        config = transformers.ResNetConfig(depths=[2, 2, 2, 2], hidden_sizes=sizes, layer_type=block)
        torch.save(transformers.ResNetForImageClassification(config), folder / "net.pth")
        found = identify(decant, folder / "net.pth")
        assert found["dialect"] == "transformers" and GEOMETRY <= set(facts(found, "attribute")), facts(found)
        assert found["contradictions"] == []


@pytest.mark.parametrize(("change", "name"), [
    (lambda net: setattr(net.layer4[0].conv2, "stride", (1, 1)), "strides"),
    (lambda net: setattr(net.layer4[0].conv3, "stride", (2, 2)), "block_stride"),
    (lambda net: setattr(net.layer4[0].downsample[0], "stride", (1, 1)), "strides"),
    (lambda net: setattr(net.layer3[0].conv2, "dilation", (2, 2)), "dilation"),
    (lambda net: setattr(net.layer1[0].conv2, "padding", (0, 0)), "padding"),
    (lambda net: setattr(net.layer1[0].conv2, "padding_mode", "circular"), "padding"),
    (lambda net: setattr(net.maxpool, "ceil_mode", True), "max_pool"),
    (lambda net: setattr(net.maxpool, "kernel_size", 2), "max_pool"),
    (lambda net: setattr(net.maxpool, "stride", 1), "stride0"),
    (lambda net: setattr(net, "relu", torch.nn.GELU()), "activation"),
    (lambda net: setattr(net.bn1, "track_running_stats", False), "normalization"),
])  # fmt: skip
def test_geometry_that_is_not_built_is_refused(decant, folder, change, name):
    network = small(classes=10)
    change(network)
    torch.save(network, folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert name in facts(found, "attribute") and found["architecture"] is None and not found["proven"]
    refuse(decant, folder, folder / "net.pth", "geometry is not supported", name)


def test_no_pool_and_epsilons_are_built(decant, folder):
    network = randomise(small(classes=10))
    network.maxpool = torch.nn.Identity()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.eps = 1e-3
    torch.save(network, folder / "net.pth")
    errors = run(decant, folder, folder / "net.pth", network)
    assert "max_pool none" in errors and "epsilon 0.001" in errors
    network.float().layer2[0].bn2.eps = 0.25
    torch.save(network, folder / "net.pth")
    assert "epsilon not alike" in run(decant, folder, folder / "net.pth", network)


@pytest.mark.parametrize("name", [
    "resnet50", "resnetaa50", "resnetblur18", "resnet50_gn", "resnetv2_50x1_bit", "resnetv2_50", "resnet33ts", "seresnet18",
])  # fmt: skip
def test_modules_of_timm_run_without_a_word(decant, folder, name):
    network = randomise(timm.create_model(name, num_classes=5).eval())
    torch.save(network, folder / "net.pth")
    # PyTorch itself cannot add what average pools make of odd sizes.
    errors = run(decant, folder, folder / "net.pth", network, size=(64, 96) if "aa" in name else (61, 75))
    assumed = [line for line in errors.splitlines() if " used" in line]
    # A block of byobnet's can be without its shortcut.
    assert assumed == (["decant: 1 default used: shortcut added before the last SiLU"] if "ts" in name else [])
    assert identify(decant, folder / "net.pth")["contradictions"] == []


def last_stride(network):
    """As re-identification has it: the last stage does not halve the map."""
    network.layer4[0].conv2.stride = network.layer4[0].downsample[0].stride = (1, 1)


def v1(network):
    """As Caffe has it: the stride on the first convolution."""
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)


def dilated(network):
    """As segmentation has it."""
    network.layer4[0].conv2.stride = network.layer4[0].downsample[0].stride = (1, 1)
    for place, block in enumerate(network.layer4):
        if place > 0:
            block.conv2.dilation = block.conv2.padding = (2, 2)


@pytest.mark.parametrize(("change", "name", "value"), [
    (last_stride, "stage_strides", "1, 2, 2, 1"), (v1, "block_stride", "on the first 1×1 convolution (v1)"),
    (dilated, "output_stride", "16, by dilation"),
])  # fmt: skip
def test_geometry_that_attributes_tell_is_built(decant, folder, change, name, value):
    torch.manual_seed(3)
    network = randomise(networks.small(torchvision.models.resnet.Bottleneck, [1, 2, 1, 3], 10, 2))
    change(network)
    torch.save(network, folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert facts(found, "attribute")[name] == value and found["contradictions"] == [], facts(found)
    assert f"{name} {value}" in run(decant, folder, folder / "net.pth", network)
    traced = torch.jit.trace(network.float(), torch.zeros(1, 3, 64, 64))
    traced.save(folder / "net.pt")
    assert f"{name} {value}" in run(decant, folder, folder / "net.pt", network)


def test_a_replaced_forward_proves_nothing(decant, folder):
    network = torchvision.models.resnet18()
    network.layer1[0].register_forward_hook(print)
    torch.save(network, folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert not found["proven"] and "residual" in found["undetermined"]


class Plain(torch.nn.Module):
    """A basic block's layers without its shortcut: the names and shapes are a ResNet's."""

    def __init__(self, block):
        super().__init__()
        for name, module in block.named_children():
            setattr(self, name, module)

    def forward(self, x):
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))


def plain():
    network = torchvision.models.resnet18().eval()
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        for place, block in enumerate(stage):
            stage[place] = Plain(block)
    return network


def test_a_plain_network_is_never_proven(decant, folder):
    torch.save(plain(), folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert found["architecture"] == "resnet18" and not found["proven"] and "residual" in found["undetermined"]
    torch.jit.trace(plain(), torch.zeros(1, 3, 64, 64)).save(folder / "net.pt")
    found = identify(decant, folder / "net.pt")
    assert not found["proven"] and "residual" in found["undetermined"] and "stride0" not in found["undetermined"]


# TorchScript


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "wide_resnet50_2"])
@pytest.mark.parametrize("kind", ["script", "trace"])
def test_torchscript(decant, folder, name, kind):
    network = torchvision.models.get_model(name).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(network) if kind == "script" else torch.jit.trace(network, torch.zeros(1, 3, 64, 64))
        made.save(folder / "net.pt")
    found = identify(decant, folder / "net.pt")
    assert found["architecture"] == name and found["proven"] and found["contradictions"] == []
    assert GEOMETRY <= set(facts(found, "code"))


@pytest.mark.parametrize("kind", ["script", "trace"])
def test_torchscript_of_stride_1_runs(decant, folder, kind):
    network = randomise(small(stride0=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(network) if kind == "script" else torch.jit.trace(network, torch.zeros(1, 3, 64, 64))
        made.save(folder / "net.pt")
    assert "read from TorchScript code: " in run(decant, folder, folder / "net.pt", network)


@pytest.mark.parametrize("name", ["resnet50", "resnetaa50", "resnetblur50", "seresnet50"])
@pytest.mark.parametrize("kind", ["script", "trace"])
def test_torchscript_of_timm(decant, folder, name, kind):
    network = timm.create_model(name, scriptable=True).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(network) if kind == "script" else torch.jit.trace(network, torch.zeros(1, 3, 64, 64))
        made.save(folder / "net.pt")
    # Filters are buffers that state_dict() leaves out, and TorchScript does not say which those are: they are in the way.
    found = json.loads(decant.attempt("identify", folder / "net.pt", "--json").output)
    assert {"residual": "shortcuts are added", "stride0": "2"}.items() <= facts(found).items(), facts(found)
    if name == "resnetblur50":
        assert facts(found)["antialiasing"] == "binomial filters"
    else:
        assert found["architecture"] == name


# _metadata


class Nodown(torchvision.models.ResNet):
    """As detectors have it: stride 1 in the stem and a dropout before the head."""

    def __init__(self):
        super().__init__(torchvision.models.resnet.Bottleneck, [3, 4, 6, 3], num_classes=1)
        self.dropout = torch.nn.Dropout(0.5)
        networks.set_stride0(self, 1)


def test_the_module_list_is_a_hint(decant, folder):
    torch.save({"model": Nodown().state_dict()}, folder / "weights.pth")
    listed = decant.inspect(folder / "weights.pth")["objects"]
    modules = next(entry for entry in listed if entry["type"] == "module versions")["modules"]
    expected = Nodown().state_dict()._metadata
    assert [(entry["path"], entry["version"]) for entry in modules] == [
        (path, record["version"]) for path, record in expected.items()
    ]
    found = identify(decant, folder / "weights.pth")
    assert facts(found, "module_list") == {"stride0": "1"} and "stride0" in found["undetermined"]
    assert found["architecture"] == "resnet50"
    finished = decant.attempt("run", folder / "weights.pth", "--input", folder / "none.npy")
    assert finished.status == 2 and "Pass --stride0 1 (resnet50nodown) or --stride0 2 (resnet50)" in finished.errors
    torch.save(Nodown(), folder / "module.pth")
    found = identify(decant, folder / "module.pth")
    assert found["architecture"] == "resnet50nodown" and facts(found)["dropout"].startswith("0.5")
    without = torchvision.models.resnet18()
    del without.maxpool
    torch.save(without.state_dict(), folder / "weights.pth")
    assert facts(identify(decant, folder / "weights.pth"), "module_list") == {"max_pool": "none"}
    torch.save(timm.create_model("resnetblur50").state_dict(), folder / "weights.pth")
    assert "antialiasing" in facts(identify(decant, folder / "weights.pth"), "module_list")


def detectron2_names(decant, folder, network, frozen: dict[str, int]):
    """The weights under detectron2's names; frozen layers have no counter and the format that is given."""
    torch.save(network.state_dict(), folder / "net.pth")
    decant("convert", folder / "net.pth", folder / "d2.safetensors", "--names", "detectron2")
    state = collections.OrderedDict(safetensors.torch.load_file(folder / "d2.safetensors"))
    state._metadata = collections.OrderedDict()
    for name in list(state):
        path = name.rsplit(".", 1)[0]
        version = next((number for part, number in frozen.items() if path.startswith(part)), None)
        if not path.endswith("norm"):
            version = 1
        elif version is None:
            version = 2
        elif name.endswith("num_batches_tracked"):
            del state[name]
        state._metadata[path] = {"version": version}
    torch.save(state, folder / "d2.pth")


@pytest.mark.parametrize(("frozen", "zero"), [
    ({"stem": 2, "res": 2}, "all"), ({"stem": 1, "res2": 1}, "some"), ({"stem": 3, "res": 3}, "none"), ({}, "none"),
])  # fmt: skip
def test_frozen_normalizations_of_old_formats_add_no_epsilon(decant, folder, frozen, zero):
    network = randomise(small(classes=10))
    # So small that an epsilon shows.
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_var.mul_(1e-4)
    detectron2_names(decant, folder, network, frozen)
    found = identify(decant, folder / "d2.pth")
    assert found["dialect"] == "detectron2" and ("epsilon" in facts(found, "module_version")) == (zero != "none")
    for name, part in network.named_modules():
        if isinstance(part, torch.nn.BatchNorm2d) and (
            zero == "all" or zero == "some" and (name == "bn1" or name.startswith("layer1") )
        ):
            part.eps = 0.0
    errors = run(decant, folder, folder / "d2.pth", network, "--stride0", "2")
    assert ("read from _metadata: epsilon 0" in errors) == (zero != "none")


def test_torchvisions_frozen_normalization_adds_its_epsilon(decant, folder):
    network = torchvision.models.resnet50(norm_layer=torchvision.ops.FrozenBatchNorm2d)
    torch.save(network.state_dict(), folder / "net.pth")
    assert "epsilon" in identify(decant, folder / "net.pth")["undetermined"]
    torch.save(network, folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert found["proven"] and facts(found)["epsilon"] == "1e-05"


# Configurations


def test_transformers_folder(decant, folder):
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[32, 64, 128, 256], depths=[1, 1, 1, 1], layer_type="bottleneck", num_labels=1
    )  # fmt: skip
    network = randomise(transformers.ResNetForImageClassification(config))
    network.save_pretrained(folder)
    transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875).save_pretrained(folder)
    found = identify(decant, folder / "model.safetensors")
    assert GEOMETRY | {"preprocessing"} <= set(facts(found, "configuration")) and found["undetermined"] == []
    assert not found["proven"]
    assert "read from config.json: " in run(decant, folder, folder / "model.safetensors", network)


@pytest.mark.parametrize(("setting", "name"), [
    ({"downsample_in_bottleneck": True}, "block_stride"), ({"downsample_in_first_stage": True}, "stage_strides"),
    ({"hidden_act": "gelu"}, "activation"),
])  # fmt: skip
def test_transformers_geometry_that_differs(decant, folder, setting, name):
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[32, 64, 128, 256], depths=[1, 1, 1, 1], num_labels=3, **setting
    )
    network = randomise(transformers.ResNetForImageClassification(config))
    network.save_pretrained(folder)
    assert name in facts(identify(decant, folder / "model.safetensors"), "configuration")
    if "hidden_act" in setting:
        refuse(decant, folder, folder / "model.safetensors", "geometry is not supported: activation gelu")
    else:
        assert name in run(decant, folder, folder / "model.safetensors", network)


def test_timm_folder(decant, folder):
    timm.models.push_to_hf_hub  # noqa: B018  (the function whose files these are)
    network = timm.create_model("resnetblur50", num_classes=3)
    timm.models._hub.save_for_hf(network, folder, safe_serialization=True)
    found = identify(decant, folder / "model.safetensors")
    assert found["architecture"] == "resnetblur50"
    assert {"architecture", "preprocessing"} <= set(facts(found, "configuration"))


@pytest.mark.parametrize("content", [
    {"arch": "resnet50nodown"}, {"args": argparse.Namespace(arch="res50nodown", lr=0.1)},
    {"hyper_parameters": {"model_name": "resnet50nodown", "lr": 0.1}}, {"opt": argparse.Namespace(stride0=1)},
    {"config": {"backbone": "ResNet50-nodown"}},
])  # fmt: skip
def test_training_scripts(decant, folder, content):
    network = networks.set_stride0(torchvision.models.resnet50(num_classes=1), 1)
    torch.save({"state_dict": network.state_dict(), "epoch": 3, **content}, folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    assert found["architecture"] == "resnet50nodown", facts(found)
    assert "stride0" not in found["undetermined"]
    assert "stride0" in run(decant, folder, folder / "net.pth", network.eval())


def test_a_detectors_yaml(decant, folder):
    network = networks.set_stride0(torchvision.models.resnet50(num_classes=1), 1).eval()
    torch.save({"model": network.state_dict(), "total_steps": 7}, folder / "weights.pth")
    (folder / "config.yaml").write_text("# a detector\nweights_file: weights.pth\narch: res50nodown\nnorm_type: resnet\npatch_size: null\n")
    assert "read from config.yaml: architecture resnet50nodown" in run(decant, folder, folder / "weights.pth", network)
    (folder / "config.yaml").write_text("arch: res50\n")
    errors = run(decant, folder, folder / "weights.pth", network, "--stride0", "1")
    assert "warning: --stride0 1 contradicts stride0 2 of config.yaml: arch res50" in errors


MMCV = """model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet', depth=50, num_stages=4, out_indices=(3, ), style='{style}',
        norm_cfg=dict(type='BN', requires_grad=True)),
    head=dict(type='LinearClsHead', num_classes=1000))
img_norm_cfg = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
"""


@pytest.mark.parametrize("style", ["pytorch", "caffe"])
def test_mmcv(decant, folder, style):
    state = torchvision.models.resnet50().state_dict()
    renamed = {("head." if name.startswith("fc.") else "backbone.") + name: value for name, value in state.items()}
    torch.save({"meta": {"config": MMCV.format(style=style)}, "state_dict": renamed}, folder / "net.pth")
    found = identify(decant, folder / "net.pth")
    told = facts(found, "configuration")
    assert ("v1.5" if style == "pytorch" else "(v1)") in told["block_stride"]
    assert told["preprocessing"] == "RGB, 0 to 255, mean 123.675 116.28 103.53, deviation 58.395 57.12 57.375"


def test_contradictions_are_shown(decant, folder):
    torch.save({"arch": "resnet101", "state_dict": torchvision.models.resnet50().state_dict()}, folder / "net.pth")
    (folder / "config.json").write_text('{"architecture": "resnet34"}')
    found = identify(decant, folder / "net.pth")
    assert found["architecture"] == "resnet50"
    names = [entry["name"] for entry in found["contradictions"]]
    assert names == ["architecture"], found["contradictions"]
    values = [claim["value"] for claim in found["contradictions"][0]["claims"]]
    assert values == ["resnet50, resnet50nodown, resnetaa50, resnetblur50", "resnet101", "resnet34"]


def test_a_files_name_is_weak(decant, folder):
    torch.save(torchvision.models.resnet50(num_classes=1).state_dict(), folder / "resnet50nodown.pth")
    found = identify(decant, folder / "resnet50nodown.pth")
    assert facts(found, "file_name") == {"architecture": "resnet50nodown", "stride0": "1"}
    assert found["architecture"] == "resnet50" and "stride0" in found["undetermined"]
    finished = decant.attempt("run", folder / "resnet50nodown.pth", "--input", folder / "none.npy")
    assert finished.status == 2 and "Pass --stride0 1 (resnet50nodown) or --stride0 2 (resnet50)" in finished.errors


def test_what_lies_beside_stays_in_the_folder(decant, folder):
    (folder / "inner").mkdir()
    (folder / "config.json").write_text('{"arch": "resnet50nodown"}')
    (folder / "inner" / "config.json").symlink_to("../config.json")
    torch.save(torchvision.models.resnet50().state_dict(), folder / "inner" / "net.pth")
    finished = decant("identify", folder / "inner" / "net.pth")
    assert "ignoring config.json next to the checkpoint: " in finished.errors and "outside its folder" in finished.errors
    (folder / "inner" / "config.json").unlink()
    (folder / "inner" / "config.json").write_bytes(b" " * (1 << 20) + b"{}")
    assert "more than a configuration needs" in decant("identify", folder / "inner" / "net.pth").errors
    (folder / "inner" / "config.json").write_bytes(b"\xff{")
    assert ": not JSON" in decant("identify", folder / "inner" / "net.pth").errors
