"""What PyTorch writes beside state dicts: programs, packages, whole modules, optimizers, wrappers, what broke off.

Every expectation is an object that was in memory; `scan` must call none of these files dangerous, and must call
dangerous the ones that are changed to run something.
"""

import collections
import enum
import io
import json
import re
import struct
import tarfile
import types
import warnings
import zipfile

import expectations
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.fx
import torch.nn.utils.prune
from safetensors.torch import load_file
from torch import nn, package
from torch.distributed.checkpoint import FileSystemWriter
from torch.distributed.checkpoint.filesystem import SerializationFormat
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor


@pytest.fixture(autouse=True)
def quietly():
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Network(nn.Module):
    """A convolution, a norm, a buffer that is not saved and a tensor that is no buffer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)
        self.register_buffer("mask", torch.randn(2), persistent=False)

    def forward(self, image):
        return self.fc(torch.relu(self.bn(self.conv(image))).mean((2, 3))) + self.mask


def digest(tensor) -> str:
    return expectations.tensor_record([], tensor)["sha256"]


def check(listing: dict, expected: dict, others=()):
    """The tensors are the expected ones, in order and bit for bit, and beside them those of the other names."""
    found = [(t["name"], t["shape"], t["dtype"], t["sha256"]) for t in listing["tensors"] if t["name"] not in others]
    assert found == [
        (name, list(tensor.shape), str(tensor.dtype).removeprefix("torch."), digest(tensor))
        for name, tensor in expected.items()
    ]
    assert set(others) <= {t["name"] for t in listing["tensors"]}


def state_dicts(decant, path) -> list:
    """The state dicts as the text names them, with their counts."""
    text = decant("inspect", "--", path).output
    found = re.findall(r"^  (?:state dict:|  --key) (.+?) +\((\d+) tensors?\)$", text, re.MULTILINE)
    return [(name, int(count)) for name, count in found]


def verdicts(decant, *paths) -> set:
    done = decant.attempt("scan", "--json", "--", *paths)
    assert done.status in (0, 1), done.errors
    return {entry["verdict"] for entry in json.loads(done.output)["files"]}


def rules(decant, path) -> set:
    found = json.loads(decant.attempt("scan", "--json", "--", path).output)["files"][0]["findings"]
    return {finding["rule"] for finding in found if finding["severity"] == "dangerous"}


def check_converts(decant, folder, source, expected: dict, *options):
    target = folder / "poured.safetensors"
    decant("convert", source, target, "--key", ".", *options)
    poured = load_file(target)
    for name, tensor in expected.items():
        assert digest(poured[name]) == digest(tensor), name


# Programs and packages


@pytest.mark.parametrize("make", [Network, lambda: nn.Linear(3, 3).bfloat16(), nn.BatchNorm1d(4).double])
def test_export(decant, folder, make):
    module = make().eval()
    example = torch.randn(2, 3, 8, 8) if isinstance(module, Network) else torch.randn(2, 3).bfloat16()
    if isinstance(module, nn.BatchNorm1d):
        example = torch.randn(2, 4).double()
    program = torch.export.export(module, (example,))
    path = folder / "program.pt2"
    torch.export.save(program, path, extra_files={"note.txt": "hello"})
    listing = decant.inspect(path)
    assert listing["container"] == "torch-export" and listing["warnings"] == []
    assert [(o["path"], o["type"]) for o in listing["objects"]] == [("extra/note.txt", "bytes")]
    constants = {name: value for name, value in program.constants.items() if isinstance(value, torch.Tensor)}
    check(listing, program.state_dict, constants)
    check_converts(decant, folder, path, program.state_dict | constants)
    assert verdicts(decant, path) == {"unknown"}


def test_export_of_tied_weights_and_two_models(decant, folder):
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    program = torch.export.export(tied, (torch.randn(2, 3),))
    path = folder / "tied.pt2"
    torch.export.save(program, path)
    listing = decant.inspect(path)
    assert {t["name"]: t["sha256"] for t in listing["tensors"]} == {
        name: digest(tensor) for name, tensor in program.state_dict.items()
    }
    storages = {t["name"]: t["storage"] for t in listing["tensors"]}
    assert storages["0.weight"] == storages["1.weight"] != storages["0.bias"]

    from torch.export.pt2_archive._package import package_pt2

    other = torch.export.export(nn.Linear(2, 1), (torch.randn(1, 2),))
    path = folder / "two.pt2"
    package_pt2(path, exported_programs={"first": program, "second": other})
    names = {t["name"] for t in decant.inspect(path)["tensors"]}
    assert names == {f"first.{name}" for name in program.state_dict} | {"second.weight", "second.bias"}


def test_export_of_older_versions(decant, folder):
    """PyTorch 2.1 to 2.7: files of torch.save in a plain zip."""
    network = Network()

    def saved(value) -> bytes:
        stream = io.BytesIO()
        torch.save(value, stream)
        return stream.getvalue()

    path = folder / "older.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", '{"graph_module": {}}')
        archive.writestr("serialized_state_dict.pt", saved(network.state_dict()))
        archive.writestr("serialized_constants.pt", saved({"mask": network.mask}))
        archive.writestr("serialized_example_inputs.pt", saved(((torch.ones(2),), {})))
        archive.writestr("version", "7.3")
    listing = decant.inspect(path)
    assert listing["container"] == "torch-export"
    check(listing, network.state_dict(), {"mask": network.mask})
    assert verdicts(decant, path) == {"unknown"}


def test_package(decant, folder):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    path = folder / "package.pt"
    with package.PackageExporter(path) as exporter:
        exporter.extern("torch.**")
        exporter.save_pickle("model", "model.pkl", network)
        exporter.save_text("model", "note.txt", "hello")
    listing = decant.inspect(path)
    assert listing["container"] == "torch-package"
    check(listing, network.state_dict())
    check_converts(decant, folder, path, network.state_dict())
    assert verdicts(decant, path) == {"unknown"}

    path = folder / "several.pt"
    with package.PackageExporter(path) as exporter:
        exporter.extern("torch.**")
        exporter.save_pickle("model", "a.pkl", network)
        exporter.save_pickle("model", "b.pkl", {"again": network[0].weight.detach()})
        exporter.save_source_string("own", "import os\nNAME = os.path.join('a', 'b')\n")
    expected = {f"model/a.pkl.{name}": tensor for name, tensor in network.state_dict().items()}
    check(decant.inspect(path), expected | {"model/b.pkl.again": network[0].weight.detach()})
    assert verdicts(decant, path) == {"unknown"}

    path = folder / "hostile.pt"
    with package.PackageExporter(path) as exporter:
        exporter.extern("torch.**")
        exporter.save_pickle("model", "a.pkl", {})
        exporter.save_source_string("own", "import os\nos.system('echo hi')\n")
    assert rules(decant, path) == {"archived-code"}


# Whole modules


class Hooked(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.inner.register_forward_hook(self.seen)

    def seen(self, module, given, result):
        return None


class Later:
    """Pickles as a bound method that is then called."""

    def __reduce__(self):
        return (eval, ("Hooked().seen",))


@pytest.mark.parametrize(
    "make",
    [
        Network,
        Hooked,
        lambda: nn.LSTM(2, 3, num_layers=2, bidirectional=True),
        lambda: nn.Transformer(8, 2, 1, 1, 16),
        lambda: nn.utils.weight_norm(nn.Linear(3, 2)),
        lambda: nn.utils.spectral_norm(nn.Linear(3, 2)),
        lambda: torch.nn.utils.prune.l1_unstructured(nn.Linear(3, 2), "weight", 0.5),
        lambda: nn.ParameterDict({"a": nn.Parameter(torch.randn(2)), "b": nn.Parameter(torch.randn(3))}),
        lambda: nn.DataParallel(nn.Linear(2, 2)),
        lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())),
        lambda: torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2)),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_whole_modules(decant, folder, make, protocol):
    """The state dict that PyTorch's module has, in its order; what else is a tensor stands beside it."""
    module = make()
    path = folder / "module.pth"
    torch.save(module, path, pickle_protocol=protocol)
    listing = decant.inspect(path)
    expected = module.state_dict()
    others = [t["name"] for t in listing["tensors"] if t["name"] not in expected]
    assert set(others) <= {"mask", "weight", *(f"_flat_weights.{index}" for index in range(16))}
    check(listing, expected, others)
    assert state_dicts(decant, path) == [("the whole file", len(expected))]
    found = rules(decant, path)
    # Loading a graph module runs the source text it holds.
    assert found == ({"library-function"} if isinstance(module, torch.fx.GraphModule) else set())


def test_lazy_modules(decant, folder):
    path = folder / "lazy.pth"
    torch.save(nn.Sequential(nn.LazyLinear(3), nn.Linear(2, 2)), path)
    assert [t["name"] for t in decant.inspect(path)["tensors"]] == ["1.weight", "1.bias"]
    assert verdicts(decant, path) == {"unknown"}


def test_quantized_modules(decant, folder):
    """Packed weights have the names they have in the state dict."""
    quantization = torch.ao.quantization
    module = nn.Sequential(quantization.QuantStub(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)).eval()
    module.qconfig = quantization.get_default_qconfig("fbgemm")
    quantization.prepare(module, inplace=True)
    module(torch.randn(2, 3, 3, 3))
    quantization.convert(module, inplace=True)
    tensors = {}
    for name, value in module.state_dict().items():
        for place, tensor in enumerate(value if isinstance(value, tuple) else [value]):
            if isinstance(tensor, torch.Tensor):
                tensors[f"{name}.{place}" if isinstance(value, tuple) else name] = digest(tensor)
    torch.save(module, folder / "module.pth")
    found = {t["name"]: t["sha256"] for t in decant.inspect(folder / "module.pth")["tensors"]}
    # Scales and zero points of layers are numbers in the module and tensors in the state dict.
    numbers = {name for name in tensors if name.endswith(("scale", "zero_point"))} - {"0.scale", "0.zero_point"}
    assert found == {name: value for name, value in tensors.items() if name not in numbers}
    assert verdicts(decant, folder / "module.pth") == {"unknown"}


# Optimizers


@pytest.mark.parametrize("kind", ["SGD", "Adam", "Adagrad", "RMSprop", "LBFGS", "Adafactor", "Rprop"])
def test_optimizers(decant, folder, kind):
    """A pickled optimizer names its state as its state_dict() does."""
    module = nn.Linear(3, 2)
    optimizer = getattr(torch.optim, kind)(module.parameters(), lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = module(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    path = folder / "optimizer.pth"
    torch.save({"optimizer": optimizer, "model": module.state_dict()}, path)
    listing = decant.inspect(path)
    found = {t["name"]: t["sha256"] for t in listing["tensors"] if t["name"].startswith("optimizer.state.")}
    expected = {
        f"optimizer.state.{number}.{name}": digest(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    assert found == expected
    assert state_dicts(decant, path) == [("model", 2)]
    assert verdicts(decant, path) == {"unknown"}


# Wrappers


@pytest.fixture
def mesh():
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def test_distributed_tensors(decant, folder, mesh):
    """What lies on one rank whole is read as the tensor it is."""
    whole = torch.randn(4, 3)
    path = folder / "dtensor.pth"
    torch.save({"w": nn.Parameter(distribute_tensor(whole, mesh, [Shard(0)])), "b": torch.ones(2)}, path)
    listing = decant.inspect(path)
    check(listing, {"w": whole, "b": torch.ones(2)})
    assert listing["tensors"][0]["subclass"].endswith("DTensor")
    check_converts(decant, folder, path, {"w": whole, "b": torch.ones(2)})
    assert verdicts(decant, path) == {"unknown"}


class Scaled(torch.Tensor):
    """A wrapper as torchao's: integers and a scale, no data of its own."""

    @staticmethod
    def __new__(cls, integers, scale):
        return torch.Tensor._make_wrapper_subclass(cls, integers.shape, dtype=torch.float32)

    def __init__(self, integers, scale):
        self.integers = integers
        self.scale = scale

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), keywords=None):
        raise NotImplementedError(function)


def test_wrappers_are_poured_as_their_parts(decant, folder):
    integers, scale = torch.arange(6, dtype=torch.int8).reshape(2, 3), torch.rand(2)
    path = folder / "wrapper.pth"
    torch.save({"w": Scaled(integers, scale), "b": torch.ones(2)}, path)
    listing = decant.inspect(path)
    assert [(t["name"], t["sha256"]) for t in listing["tensors"]] == [
        ("w", None), ("w.__dict__.integers", digest(integers)), ("w.__dict__.scale", digest(scale)),
        ("b", digest(torch.ones(2))),
    ]  # fmt: skip
    assert state_dicts(decant, path) == [("the whole file", 2)]
    done = decant("convert", path, folder / "parts.safetensors")
    assert "is a wrapper without data" in done.errors
    assert set(load_file(folder / "parts.safetensors")) == {"w.__dict__.integers", "w.__dict__.scale", "b"}


def test_jagged_tensors_are_clean(decant, folder):
    jagged = torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(3, 2)], layout=torch.jagged)
    torch.save({"n": jagged}, folder / "jagged.pth")
    assert verdicts(decant, folder / "jagged.pth") == {"clean"}


# torch.distributed.checkpoint


def stateful() -> dict:
    module = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 2))
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 40)).sum().backward()
    optimizer.step()
    return {"model": module.state_dict(), "optim": optimizer.state_dict(), "step": 5}


@pytest.mark.parametrize("options", [{}, {"thread_count": 3}, {"single_file_per_rank": False}])
def test_scan_of_distributed_checkpoints(decant, folder, options):
    """Archives that stand one after the other, whose offsets count from their own starts."""
    dcp.save(stateful(), storage_writer=FileSystemWriter(folder / "dcp", **options), no_dist=True)
    assert "dangerous" not in verdicts(decant, folder / "dcp")


def test_scan_of_a_second_end_record_in_data(decant, folder):
    """Who counts from the file's start finds an end record that is no archive's: a trap."""
    dcp.save(stateful(), storage_writer=FileSystemWriter(folder / "dcp"), no_dist=True)
    (path,) = (folder / "dcp").glob("*.distcp")
    data = bytearray(path.read_bytes())
    locator = data.rfind(b"PK\x06\x07")
    (told,) = struct.unpack_from("<Q", data, locator + 8)
    assert told < locator - 76 and b"PK" not in data[told - 4 : told + 60]
    data[told : told + 4] = b"PK\x06\x06"
    path.write_bytes(data)
    assert "zip-headers" in rules(decant, path)


@pytest.mark.parametrize("everything", [False, True])
def test_distributed_safetensors(decant, folder, everything):
    """`serialization_format=SAFETENSORS`: one file of tensors behind everything else."""
    state = stateful()
    value = state if everything else {"model": state["model"]}
    writer = FileSystemWriter(folder / "dcp", serialization_format=SerializationFormat.SAFETENSORS)
    dcp.save(value, storage_writer=writer, no_dist=True)
    listing = decant.inspect(folder / "dcp")
    expected = {f"model.{name}": tensor for name, tensor in state["model"].items()}
    if everything:
        for number, entry in state["optim"]["state"].items():
            expected |= {f"optim.state.{number}.{name}": tensor for name, tensor in entry.items()}
    assert {t["name"]: t["sha256"] for t in listing["tensors"]} == {n: digest(t) for n, t in expected.items()}
    check_converts(decant, folder, folder / "dcp", expected)
    assert "dangerous" not in verdicts(decant, folder / "dcp")


# What broke off, and what was packed


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_scan_of_what_broke_off(decant, folder, share):
    network = Network().eval()
    torch.save(network.state_dict(), folder / "state.pth")
    torch.jit.script(network).save(folder / "script.pt")
    torch.export.save(torch.export.export(network, (torch.randn(2, 3, 8, 8),)), folder / "program.pt2")
    with package.PackageExporter(folder / "package.pt") as exporter:
        exporter.extern("torch.**")
        exporter.save_pickle("model", "model.pkl", {"w": torch.ones(300)})
    paths = [folder / name for name in ("state.pth", "script.pt", "program.pt2", "package.pt")]
    for path in paths:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
    # Of a program, the first entries alone are nothing that can be read.
    assert "unknown" in verdicts(decant, *paths) <= {"unknown", "unreadable"}


def test_scan_of_a_tar_of_checkpoints(decant, folder):
    torch.save({"w": torch.ones(3)}, folder / "a.pth")
    with tarfile.open(folder / "extended.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("one", "two"):
            member = archive.gettarinfo(folder / "a.pth", f"{name}/a.pth")
            member.mtime += 0.5
            with open(folder / "a.pth", "rb") as stream:
                archive.addfile(member, stream)
    assert verdicts(decant, folder / "extended.tar") == {"unknown"}
    with tarfile.open(folder / "packed.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(folder / "a.pth", "one/a.pth")
        archive.add(folder / "a.pth", "two/a.pth")
    assert verdicts(decant, folder / "packed.tar") == {"clean"}
    # The same with an archive behind the tar's end, where readers that look from the end find it.
    with open(folder / "packed.tar", "ab") as stream:
        stream.write((folder / "a.pth").read_bytes())
    assert "polyglot" in rules(decant, folder / "packed.tar")


def test_skipped_data(decant, folder):
    """skip_data leaves records without checksums; who fills them has a checkpoint."""
    value = {"w": torch.arange(6.0)}
    path = folder / "skipped.pth"
    with torch.serialization.skip_data():
        torch.save(value, path)
    listing = decant.inspect(path)
    assert listing["tensors"][0]["sha256"] == digest(torch.zeros(6))
    assert "torch.serialization.skip_data" in listing["warnings"][0]
    data = bytearray(path.read_bytes())
    place = data.find(bytes(24))
    header = zipfile.ZipFile(path).getinfo("skipped/data/0").header_offset
    name, extra = struct.unpack_from("<HH", data, header + 26)
    place = header + 30 + name + extra
    data[place : place + 24] = value["w"].numpy().tobytes()
    path.write_bytes(data)
    assert torch.equal(torch.load(path)["w"], value["w"])
    assert decant.inspect(path)["tensors"][0]["sha256"] == digest(value["w"])
    decant("convert", path, folder / "filled.safetensors")


# Everything else a checkpoint may hold


class Color(enum.Enum):
    RED = 1


def test_scan_of_values(decant, folder):
    """Values of Python, NumPy and PyTorch that people keep beside their weights are not dangerous."""
    values = {
        "iterator": iter([1, 2]), "builtin": len, "generator": np.random.default_rng(3),
        "state": np.random.RandomState(4), "class": nn.Linear, "function": torch.relu, "method": Hooked().seen,
        "enum": Color.RED, "namespace": types.SimpleNamespace(a=1), "deque": collections.deque([1], maxlen=3),
        "text": np.array(["a"], dtype=np.dtypes.StringDType()),
    }  # fmt: skip
    for protocol in (2, 4, 5):
        for name, value in values.items():
            path = folder / f"{name}{protocol}.pth"
            torch.save({name: value, "w": torch.ones(2)}, path, pickle_protocol=protocol)
            assert rules(decant, path) == set(), (name, protocol)
            assert "w" in {tensor["name"] for tensor in decant.inspect(path)["tensors"]}
    torch.save(Later(), folder / "later.pth")
    assert rules(decant, folder / "later.pth") == {"runs-code"}


class Node:
    """Refers to the nodes before it, twice each."""

    def __init__(self, earlier):
        self.left = self.right = earlier


def test_scores_are_no_state_dict(decant, folder):
    """Lightning keeps scores as scalars in mappings beside the weights."""
    path = folder / "lightning.ckpt"
    weights = nn.Linear(3, 2).state_dict()
    scores = {"best_score": torch.tensor(0.5), "wait_count": 0}
    torch.save({"state_dict": weights, "callbacks": {"EarlyStopping{'monitor': 'loss'}": scores}}, path)
    assert state_dicts(decant, path) == [("state_dict", 2)]
    torch.save(scores, path)
    assert state_dicts(decant, path) == [("the whole file", 1)]


def test_objects_that_share_each_other(decant, folder):
    """Paths that multiply are no reason to refuse the weights beside them."""
    node = None
    for _ in range(40):
        node = Node(node)
    path = folder / "shared.pth"
    torch.save({"graph": node, "w": torch.ones(3)}, path)
    check(decant.inspect(path), {"w": torch.ones(3)})
