"""`decant convert IN OUT.pth`: what PyTorch's safe loader makes of it is what it made of the source."""

import argparse
import collections
import datetime
import json
import pickletools
import re
import time
import zipfile

import expectations
import networks
import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
import torchvision
from pouring import load_records, name_of
from sameness import Sameness, bits


def load(file):
    return torch.load(file, map_location="cpu", weights_only=True)


@pytest.fixture
def rewrite(decant, folder):
    """Saves an object with torch, converts it, and returns what torch loads of the two."""

    def rewrite(value, *options, **how):
        source, output = folder / "source.pth", folder / "output.pth"
        torch.save(value, source, **how)
        decant("convert", source, output, *options)
        return load(output), load(source)

    return rewrite


def seeded(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def training_state():
    """A checkpoint as a training script writes it: model, EMA that shares nothing, Adam, scheduler, scaler, numbers."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, betas=(0.8, 0.95))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    network(seeded(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    scheduler.step()
    ema = torch.optim.swa_utils.AveragedModel(network)
    return {
        "model": network.state_dict(), "ema": ema.state_dict(), "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(), "epoch": 3, "best": 0.75, "rng": torch.get_rng_state(),
    }  # fmt: skip


OBJECTS = {
    "none": None,
    "booleans": [True, False],
    "integers": [0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**63, -(2**900)],
    "floats": [0.0, -0.0, 1.5, float("inf"), float("nan"), 5e-324],
    "texts": ["", "é", "層.重み", "a\nb", "\ud800", "x" * 300],
    "bytes": [b"abc", bytes(range(256)), bytearray(b"\xff\x00")],
    "complex": 1.5 - 2j,
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((1, (2,)),)],
    "sets": [set(), {1}, {("a", 1)}],
    "torch": [torch.Size([2, 3]), torch.Size([]), torch.float16, torch.device("cuda", 1), torch.device("cpu"), torch.strided],
    "counter": collections.Counter("abca"),
    "keys": {0: 1, "0": 2, 0.5: 3, (1, "a"): 4, None: 5, True: 6, b"k": 7, 2**70: 8},
    "ordered": collections.OrderedDict([("z", 1), ("a", collections.OrderedDict())]),
    "class": collections.OrderedDict,
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_that_the_safe_loader_makes(rewrite, name):
    found, expected = rewrite({"w": seeded(2), name: OBJECTS[name]})
    Sameness().require(found, expected)


def test_empty_bytes(decant, folder):
    """torch.save writes them by a name that the safe loader refuses; here they are written so that it takes them."""
    torch.save([b"", bytearray(), seeded(1)], folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "b.pth")
    assert load(folder / "b.pth")[:2] == [b"", bytearray()]


def test_shared_and_recursive_objects(rewrite):
    shared = {"a": [1, 2]}
    loop = [shared]
    loop.append(loop)
    value = {"one": shared, "two": shared, "inner": (shared["a"],), "loop": loop, "w": seeded(2)}
    value["self"] = value
    found, _ = rewrite(value)
    assert found["one"] is found["two"] and found["inner"][0] is found["one"]["a"]
    assert found["loop"][1] is found["loop"] and found["self"] is found


@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_state(decant, folder, rewrite, legacy):
    """Integer keys, lists of groups, tuples of betas, `_metadata` with every module, in and out of either format."""
    value = training_state()
    found, expected = rewrite(value, *["--legacy"] * legacy, _use_new_zipfile_serialization=not legacy)
    same = Sameness()
    same.require(found, expected)
    assert same.tensors > 20
    assert list(found["model"]._metadata) == ["", "0", "1", "2"]
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    network.load_state_dict(found["model"], strict=True)
    optimizer = torch.optim.AdamW(network.parameters())
    optimizer.load_state_dict(found["optimizer"])
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.95)
    # What was written is written again byte for byte.
    again, source = folder / "again.pth", folder / "output.pth"
    decant("convert", source, again, *["--legacy"] * legacy)
    assert again.read_bytes() == source.read_bytes()


def test_views_and_what_they_share(rewrite):
    base = seeded(6, 4)
    tied = torch.nn.Linear(4, 6)
    value = {
        "whole": base, "row": base[2], "column": base[:, 1], "transposed": base.t(), "step": base[::2, 1:3],
        "expanded": base[0, :1].expand(5), "empty": base[6:], "scalar": base[3, 3],
        "tied": collections.OrderedDict(encoder=tied.weight.data, decoder=tied.weight.data),
        "parameter": tied.weight, "untrained": torch.nn.Parameter(seeded(2), requires_grad=False),
        "trained": seeded(3).requires_grad_(), "channels_last": seeded(1, 2, 3, 3).to(memory_format=torch.channels_last),
    }  # fmt: skip
    found, expected = rewrite(value)
    Sameness().require(found, expected)
    assert found["row"].data_ptr() == found["whole"][2].data_ptr()
    assert found["tied"]["encoder"].data_ptr() == found["parameter"].data_ptr()
    assert type(found["parameter"]) is torch.nn.Parameter


def test_attributes_of_tensors(rewrite):
    tensor, parameter = seeded(2), torch.nn.Parameter(seeded(3))
    tensor.note, tensor.mask = "kept", torch.tensor([True, False])
    parameter.is_expert = {"rank": (0, 1)}
    found, expected = rewrite({"tensor": tensor, "parameter": parameter})
    Sameness().require(found, expected)
    assert found["tensor"].note == "kept" and found["parameter"].is_expert == {"rank": (0, 1)}


def test_lazy_bits_are_resolved(rewrite):
    numbers = seeded(2, 3).to(torch.complex64)
    value = {"conj": numbers.conj(), "imag": seeded(2).to(torch.complex64).conj().imag, "plain": numbers, "other": numbers[1]}
    found, expected = rewrite(value)
    Sameness(strides=False, storages=False).require(found, expected)
    assert not found["conj"].is_conj() and not found["imag"].is_neg()
    assert found["other"].data_ptr() == found["plain"][1].data_ptr()


@pytest.mark.parametrize("legacy", [False, True])
def test_every_type(decant, folder, fixtures, legacy):
    output = folder / "dtypes.pth"
    options = ["--except", "*8*", "--except", "uint[136]*", "--except", "bits*", "--except", "*x2", "--except", "complex32"]
    options = ["--legacy", *options] if legacy else []
    for name in ("dtypes.pth", "dtypes_sub_byte.pth")[: 1 if legacy else 2]:
        source = fixtures / "torch" / name
        decant("convert", source, output, *options)
        found, expected = load(output), load(source)
        if legacy:
            assert len(found) > 8
            expected = {key: expected[key] for key in found}
        Sameness().require(found, expected)


def test_legacy_refuses_types_without_a_typed_storage(decant, folder):
    source, output = folder / "source.pth", folder / "output.pth"
    torch.save({"a.8": seeded(2).to(torch.float8_e4m3fn), "u": torch.ones(1, dtype=torch.uint16)}, source)
    refused = decant.attempt("convert", source, output, "--legacy")
    assert refused.status == 2 and not output.exists()
    assert "cannot store these 2 tensors: a.8 (float8_e4m3fn), u (uint16)" in refused.errors


@pytest.mark.parametrize("name", ["sparse.pth", "quantized.pth", "without_data.pth", "same_names.pth",
                                  "hostile_keys.pth", "lazy_bits.pth", "big_endian.pth"])  # fmt: skip
def test_fixtures_of_kinds(decant, folder, fixtures, name):
    source, output = fixtures / "torch" / name, folder / "output.pth"
    decant("convert", source, output)
    exact = name not in ("lazy_bits.pth",)
    Sameness(strides=exact, storages=exact).require(load(output), load(source))


def test_every_fixture(decant, folder, fixtures, figures):
    """Every file torch wrote: the tensors' bits, and all objects where the safe loader reads the source."""
    whole = dropped = 0
    for source in sorted((fixtures / "torch").glob("*.pth")):
        output, again = folder / f"{source.stem}.1.pth", folder / f"{source.stem}.2.pth"
        finished = decant.attempt("convert", source, output, "--check")
        if finished.status:
            assert re.search("--drop-objects|--skip-unread", finished.errors) and not output.exists(), finished.errors
            unread = ["--skip-unread"] if "--skip-unread" in finished.errors else []
            decant("convert", source, output, "--drop-objects", *unread, "--check")
            dropped += 1
            load(output)
        else:
            found = load(output)
            if load_records(source) is not None:
                exact = source.stem != "lazy_bits"
                Sameness(strides=exact, storages=exact).require(found, load(source))
            whole += 1
        decant("convert", output, again)
        assert again.read_bytes() == output.read_bytes(), source.name
        digests = {t["name"]: t["sha256"] for t in decant.inspect(source)["tensors"]}
        if len(set(digests)) == len(decant.inspect(source)["tensors"]):
            assert {t["name"]: t["sha256"] for t in decant.inspect(output)["tensors"]} == digests, source.name
    assert whole > 25
    figures(f"convert to .pth, fixtures: {whole} whole, {dropped} without what the safe loader refuses, equal digests")


def test_bare_pickles_and_tar(decant, folder, fixtures):
    for name in ("bare_protocol0.pkl", "bare_protocol4.pkl", "tar.pth"):
        output = folder / "output.pth"
        source = fixtures / "torch" / name
        decant("convert", source, output, "--drop-objects")
        found = {t["name"]: t["sha256"] for t in decant.inspect(output)["tensors"]}
        assert found == {t["name"]: t["sha256"] for t in decant.inspect(source)["tensors"]}
        load(output)


def test_objects_that_are_refused(decant, folder):
    source, output = folder / "source.pth", folder / "output.pth"
    value = {
        "w": seeded(2), "args": argparse.Namespace(lr=0.1), "list": [1, datetime.date(2020, 1, 1), 3],
        "deep": {"when": datetime.timedelta(1), "kept": 5}, "frozen": frozenset([1]), "big": 1 << 3000,
        ("a", frozenset()): 1, "net": torch.nn.Linear(2, 3), "default": collections.defaultdict(int, w=seeded(1)),
    }  # fmt: skip
    torch.save(value, source)
    refused = decant.attempt("convert", source, output)
    assert refused.status == 2 and not output.exists()
    for part in ["holds 8 values that torch.load(weights_only=True) rejects", "args (argparse.Namespace)",
                 "list.1 (datetime.date)", "deep.when (datetime.timedelta)", "frozen (__builtin__.frozenset)",
                 "big (int of 376 bytes)", "net (torch.nn.modules.linear.Linear)", "default (collections.defaultdict)",
                 "--drop-objects"]:  # fmt: skip
        assert part in refused.errors, (part, refused.errors)
    done = decant("convert", source, output, "--drop-objects")
    assert "8 values" in done.errors
    found = load(output)
    assert list(found) == ["w", "list", "deep", "net", "default"]
    assert found["list"] == [1, None, 3] and found["deep"] == {"kept": 5}
    assert list(found["net"]) == ["weight", "bias"] and not found["net"]["weight"].requires_grad
    torch.nn.Linear(2, 3).load_state_dict(found["net"], strict=True)
    assert bits(found["default"]["w"]) == bits(value["default"]["w"])


@pytest.mark.parametrize("make", ["resnet18", "mobilenet_v3_small", "vit_b_16"])
def test_whole_modules_become_state_dicts(decant, folder, make):
    torch.manual_seed(1)
    network = getattr(torchvision.models, make)(weights=None)
    source, output = folder / "module.pth", folder / "output.pth"
    torch.save(network, source)
    assert decant.attempt("convert", source, output).status == 2
    decant("convert", source, output, "--drop-objects")
    found, expected = load(output), network.state_dict()
    assert list(found) == list(expected) and type(found) is collections.OrderedDict
    assert all(bits(found[name]) == bits(value) for name, value in expected.items())
    fresh = getattr(torchvision.models, make)(weights=None)
    fresh.load_state_dict(found, strict=True)


def test_torchscript_and_export(decant, folder):
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).eval()
    torch.jit.save(torch.jit.script(network), folder / "script.pt")
    torch.export.save(torch.export.export(network, (seeded(4, 2),)), folder / "program.pt2")
    for source in ("script.pt", "program.pt2"):
        output = folder / "output.pt"
        decant("convert", folder / source, output, "--drop-objects")
        network.load_state_dict(load(output), strict=True)


def test_through_safetensors_and_back(decant, folder):
    network = torchvision.models.resnet18(weights=None)
    torch.save({"model": network.state_dict(), "epoch": 3}, folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "b.safetensors", "--key", "model")
    decant("convert", folder / "b.safetensors", folder / "c.pth")
    found = load(folder / "c.pth")
    assert list(found) == list(safetensors.torch.load_file(folder / "b.safetensors")) or set(found) == set(network.state_dict())
    network.load_state_dict(found, strict=True)
    assert all(bits(found[name]) == bits(value) for name, value in network.state_dict().items())
    decant("convert", folder / "a.pth", folder / "d.pth", "--key", "model")
    Sameness().require(load(folder / "d.pth"), load(folder / "a.pth")["model"])


def test_names_and_filters(decant, folder):
    network = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)))
    value = {"state_dict": network.state_dict(), "ema": {"module.0.weight": seeded(2, 2)}, "epoch": 1,
             "optimizer": {"state": {0: {"exp_avg": seeded(2)}}, "param_groups": [{"lr": 0.1}]}}  # fmt: skip
    source, output = folder / "a.pth", folder / "b.pth"
    torch.save(value, source)
    decant("convert", source, output, "--rename", r"s/^state_dict\.module\./state_dict./", "--except", "ema.*", "--except", "optimizer.*")  # fmt: skip
    found = load(output)
    assert list(found) == ["state_dict", "epoch"]
    network.module.load_state_dict(found["state_dict"], strict=True)
    decant("convert", source, output, "--key", "state_dict", "--strip-prefix", "module.")
    found = load(output)
    network.module.load_state_dict(found, strict=True)
    assert dict(found._metadata) == dict(network.module.state_dict()._metadata)
    # A name that leaves its dictionary goes to the nearest one that it fits.
    decant("convert", source, output, "--rename", r"s/^ema\.module\.0\.weight/averaged/")
    found = load(output)
    assert list(found) == ["state_dict", "epoch", "optimizer", "averaged"]
    refused = decant.attempt("convert", source, output, "--rename", r"s/^ema\.module\.0\.weight/epoch/")
    assert refused.status == 2 and "two values of one dictionary would have the key 'epoch'" in refused.errors


def test_casts_keep_what_is_shared(decant, folder):
    base = seeded(4, 4)
    value = {"a": base, "b": base[1:], "c": base.t(), "n": torch.arange(3), "mixed": seeded(4)}
    value["raw"] = value["mixed"].view(torch.int32)[1:]
    source, output = folder / "a.pth", folder / "b.pth"
    save_mixed(value, source)
    decant("convert", source, output, "--dtype", "float16")
    found = load(output)
    for key in "abc":
        assert torch.equal(found[key], value[key].half()) and found[key].stride() == value[key].stride()
        assert found[key].untyped_storage().data_ptr() == found["a"].untyped_storage().data_ptr()
    assert found["n"].dtype == torch.int64
    assert torch.equal(found["mixed"], value["mixed"].half()) and torch.equal(found["raw"], value["raw"])
    decant("convert", source, output)
    found = load(output)
    assert found["raw"].dtype == torch.int32 and torch.equal(found["raw"], value["raw"])
    assert found["raw"].data_ptr() == found["mixed"].data_ptr() + 4


def save_mixed(value, file):
    """torch.save refuses views of one storage in two types; one untyped storage says the same."""

    class Untyped:
        def __init__(self, tensor):
            self.tensor = tensor

        def __reduce__(self):
            t = self.tensor
            arguments = (t.untyped_storage(), t.storage_offset(), tuple(t.size()), t.stride(), False)
            return torch._utils._rebuild_tensor_v3, (*arguments, collections.OrderedDict(), t.dtype)

    torch.save({key: Untyped(item) if key in ("mixed", "raw") else item for key, item in value.items()}, file)


def test_shrink(decant, folder):
    large = seeded(1000, 100)
    value = {"row": large[10], "overlap": large[10:12], "far": large[500, :5], "column": large[:, 0], "same": large[:, 0],
             "whole": seeded(3), "none": large[1000:]}  # fmt: skip
    value["column"] = value["same"] = seeded(1000, 100)[:, 0]
    source, output = folder / "a.pth", folder / "b.pth"
    torch.save(value, source)
    decant("convert", source, output)
    assert output.stat().st_size > 800_000
    Sameness().require(load(output), value)
    decant("convert", source, output, "--shrink")
    assert output.stat().st_size < 10_000
    found = load(output)
    Sameness(strides=False, storages=False).require(found, value)
    assert found["row"].data_ptr() == found["overlap"].data_ptr()
    assert found["far"].untyped_storage().data_ptr() != found["row"].untyped_storage().data_ptr()
    assert found["column"].data_ptr() == found["same"].data_ptr() and found["column"].is_contiguous()


def test_distributed_checkpoints_nest_again(decant, folder):
    value = {"model": {"a.weight": seeded(3, 2), "b": seeded(4)}, "optimizer": {"groups": [{"lr": 0.5, "m": seeded(2)}, {"lr": None, "m": seeded(2)}]},
             "epoch": 7, "name": "run"}  # fmt: skip
    dcp.save(value, checkpoint_id=folder / "dcp", no_dist=True)
    decant("convert", folder / "dcp", folder / "whole.pth")
    found = load(folder / "whole.pth")
    assert set(found) == set(value) and set(found["model"]) == {"a.weight", "b"}
    assert all(bits(found["model"][key]) == bits(tensor) for key, tensor in value["model"].items())
    assert found["epoch"] == 7 and found["name"] == "run"
    assert [group["lr"] for group in found["optimizer"]["groups"]] == [0.5, None]
    assert bits(found["optimizer"]["groups"][1]["m"]) == bits(value["optimizer"]["groups"][1]["m"])
    decant("convert", folder / "dcp", folder / "part.pth", "--key", "model")
    assert set(load(folder / "part.pth")) == {"a.weight", "b"}


def test_the_archive_is_as_torch_writes_it(decant, folder):
    """Records, their order, alignment and the opcodes."""
    value = training_state()
    torch.save(value, folder / "archive.pth")
    decant("convert", folder / "archive.pth", folder / "output.pth")
    with zipfile.ZipFile(folder / "output.pth") as found, zipfile.ZipFile(folder / "archive.pth") as expected:
        assert found.namelist() == expected.namelist()
        for name in found.namelist():
            if not name.endswith(("data.pkl", "serialization_id")):
                assert found.read(name) == expected.read(name), name
            entry = found.getinfo(name)
            with open(folder / "output.pth", "rb") as raw:
                raw.seek(entry.header_offset + 26)
                name_bytes, extra_bytes = raw.read(2)[0], int.from_bytes(raw.read(2), "little")
                assert (entry.header_offset + 30 + name_bytes + extra_bytes) % 64 == 0
        opcodes = {opcode.name for opcode, _, _ in pickletools.genops(found.read("archive/data.pkl"))}
        assert opcodes <= {opcode.name for opcode, _, _ in pickletools.genops(expected.read("archive/data.pkl"))} | {"NONE"}
    reader = torch._C.PyTorchFileReader(str(folder / "output.pth"))
    assert "data/0" in reader.get_all_records()


def test_one_source_one_file(decant, folder, fixtures):
    """The same bytes every time, whatever the output is called."""
    for options in ([], ["--legacy"], ["--shrink"]):
        files = []
        for name in ("one.pth", "two.pt"):
            decant("convert", fixtures / "torch" / "nested_adam.pth", folder / name, *options)
            files.append((folder / name).read_bytes())
        assert files[0] == files[1]


def test_many_tensors(decant, folder, figures):
    base = seeded(4)
    torch.save({f"layers.{index}.weight": base[index % 4].clone() for index in range(100_000)}, folder / "a.pth")
    start = time.monotonic()
    decant("convert", folder / "a.pth", folder / "b.pth")
    figures(f"convert to .pth: 100,000 tensors in {time.monotonic() - start:.2f} s")
    found, expected = load(folder / "b.pth"), load(folder / "a.pth")
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_large_storage(decant, folder, figures):
    """Beyond 4 GiB in zip64, from a file with a hole where the data is."""
    with torch.serialization.skip_data():
        torch.save({"big": torch.empty((1 << 30) + 7, dtype=torch.float32), "b": seeded(3)}, folder / "a.pth")
    with open(folder / "a.pth", "rb") as stream:
        assert stream.seek(0, 2) > 4 << 30
    decant("convert", folder / "a.pth", folder / "b.pth", seconds=300)
    found = torch.load(folder / "b.pth", weights_only=True, mmap=True)
    assert found["big"].shape == ((1 << 30) + 7,) and float(found["big"][-1]) == 0
    (folder / "b.pth").unlink()


def test_every_file_of_the_corpus(decant, corpus, folder, figures):
    """Whatever reads is written, and the safe loader reads it back with equal bits."""
    counts, tensors = collections.Counter(), 0
    for row in corpus.files:
        listing = decant.attempt("inspect", "--json", "--digest", row["file"])
        if listing.status:
            counts["not read"] += 1
            continue
        listing = json.loads(listing.output)
        output = folder / "output.pth"
        output.unlink(missing_ok=True)
        finished = decant.attempt("convert", row["file"], output)
        if finished.status and "--drop-objects" in finished.errors:
            finished = decant.attempt("convert", row["file"], output, "--drop-objects")
            counts["without objects"] += 1
        if finished.status:
            reason = finished.errors
            assert not output.exists()
            assert "holds no tensors" in reason or "checksum" in reason or "CRC" in reason or "are called" in reason \
                or "would have the" in reason or "without data" in reason or "cut short" in reason \
                or "that cannot be converted" in reason, (row["path"], reason)  # fmt: skip
            counts["no tensors" if "holds no tensors" in reason else "refused"] += 1
            continue
        counts["converted"] += 1
        found = expectations.describe(load(output))[0]
        expected = {t["name"]: t["sha256"] for t in listing["tensors"]}
        found = {name_of(record["path"]): record["sha256"] for record in found}
        assert found == expected or sorted(found.values()) == sorted(expected.values()), row["path"]
        tensors += len(found)
    figures(f"convert to .pth, corpus: {counts['converted']} files, {tensors} tensors equal; {dict(counts)}")
    assert counts["converted"] > 300
