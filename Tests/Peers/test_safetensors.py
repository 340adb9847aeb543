"""`decant convert`, judged by the safetensors library and by torch.load of the source."""

import collections
import hashlib
import json
import re

import pytest
import safetensors.torch
import torch
from pouring import TYPES, check_poured, header_of, load_records, name_of, raw_tensors


def check_refusal(finished, records: list[dict] | None, output):
    """A refusal names a reason that is true of the tensors torch knows, and leaves nothing behind."""
    assert finished.status == 2 and finished.output == ""
    assert not output.exists() and not list(output.parent.glob(f".{output.name}*"))
    message = finished.errors
    if records is None:
        assert "holds no tensors" in message or "which is not read yet" in message, message
        return
    names = [name_of(record["path"]) for record in records]
    homeless = [record for record in records if record["dtype"] not in TYPES]
    if "safetensors cannot store the dtype" in message:
        found = re.search(r"(?:this tensor|these \d+ tensors): (.*?)\. (?:Pass --except|decant convert)", message)[1].split(", ")
        assert found == [f"{name_of(record['path'])} ({record['dtype']})" for record in homeless]
    elif "holds no tensors" in message:
        assert names == []
    elif "two tensors have the name" in message:
        name = re.search(r"two tensors have the name '(.*?)': ", message)[1]
        assert names.count(name) > 1
    elif "are quantised, which safetensors cannot hold" in message:
        assert any("quantization" in record for record in records)
    elif "are sparse, which safetensors cannot hold" in message:
        assert any("layout" in record for record in records)
    elif "that cannot be converted: " in message:
        # A storage that no tensor has, which torch.save wrote by itself.
        assert "legacy_storages.pth" in message and "(a storage that no tensor has)" in message
    elif "holds tensors without data" in message:
        assert any(record["sha256"] is None for record in records)
    else:
        pytest.fail(f"no reason to refuse: {message}")


def test_every_fixture(decant, fixtures, folder, figures):
    """Every file torch.save wrote; those the safe loader refuses by what torch held when it wrote them."""
    expected = json.loads((fixtures / "torch" / "expected.json").read_text())
    poured = refused = 0
    for source in sorted([*(fixtures / "torch").glob("*.pth"), *(fixtures / "torch").glob("*.pkl")]):
        output = folder / f"{source.stem}.safetensors"
        records = load_records(source)
        assert (records is not None) == (expected[source.name]["loader"] == "weights_only"), source.name
        records = records if records is not None else expected[source.name]["tensors"]
        finished = decant.attempt("convert", source, output, "--key", ".")
        if finished.status == 0:
            check_poured(output, records)
            poured += 1
        else:
            check_refusal(finished, records, output)
            refused += 1
    assert poured >= 24
    figures(
        f"convert, fixtures: {poured} files equal torch's tensors bit for bit, {refused} refused with reason"
    )


def test_every_torch_zip_of_the_corpus(decant, corpus, folder, figures):
    equal, by_digest, tensors, refused = 0, 0, 0, collections.Counter()
    rows = [row for row in corpus.files if row["container"] == "torch-zip" and "HOSTILE" not in row["note"]]
    for index, row in enumerate(rows):
        output = folder / f"{index}.safetensors"
        finished = decant.attempt("convert", row["file"], output, "--key", ".")
        records = load_records(row["file"])
        if finished.status != 0:
            check_refusal(finished, records, output)
            refused[
                "no tensors" if "holds no tensors" in finished.errors else "a type safetensors lacks"
            ] += 1
            continue
        if records is not None:
            check_poured(output, records)
            equal += 1
            tensors += len(records)
        else:
            check_digests(output, corpus.digests[row["path"]])
            by_digest += 1
        output.unlink()
    figures(
        f"convert, corpus: of {len(rows)} torch zips, {equal} equal torch's bit for bit ({tensors} tensors)"
    )
    figures(f"  {by_digest} that torch's safe loader refuses equal the independent reader's digests")
    figures("  refused: " + "; ".join(f"{count} for {reason}" for reason, count in refused.items()))
    assert equal > 100


def check_digests(file, digests: list[dict]):
    """The same shapes and bits as digests.tsv, which gives paths in another spelling."""
    found = [(entry["shape"], hashlib.sha256(entry["data"]).hexdigest()) for _, entry in raw_tensors(file)]
    assert sorted(found) == sorted((json.loads(row["shape"]), row["sha256_contiguous_le"]) for row in digests)
    assert found


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50nodown"])
def test_real_size(decant, checkpoints, folder, architecture):
    output = folder / "weights.safetensors"
    decant("convert", checkpoints.file(architecture), output, "--key", "model", "--source-digest")
    loaded = safetensors.torch.load_file(output)
    expected = torch.load(checkpoints.file(architecture), weights_only=True)["model"]
    assert set(loaded) == set(expected)
    assert all(torch.equal(loaded[name], value) for name, value in expected.items())
    checkpoints.network(architecture).load_state_dict(loaded, strict=True)
    with safetensors.safe_open(output, framework="pt") as lazily:
        digest = hashlib.sha256(checkpoints.file(architecture).read_bytes()).hexdigest()
        assert lazily.metadata() == {
            "format": "pt",
            "decant.container": "torch-zip",
            "decant.key": "model",
            "decant.source_sha256": digest,
        }


@pytest.fixture
def training_state(folder):
    """A checkpoint as training scripts write them, DataParallel's prefix included."""
    generator = torch.Generator().manual_seed(3)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    optimizer = torch.optim.AdamW(network.parameters())
    network[2](torch.ones(1, 4)).sum().backward()
    optimizer.step()
    state = {
        "state_dict": {f"module.{name}": value for name, value in network.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "epoch": 12,
        "best": (0.5, [torch.arange(4.0), torch.arange(6, dtype=torch.int16).reshape(2, 3).t()]),
    }
    file = folder / "checkpoint.pth"
    torch.save(state, file)
    return file, state


def test_key(decant, training_state, folder):
    source, state = training_state
    output = folder / "out.safetensors"
    decant("convert", source, output, "--key", "state_dict")
    assert_same(safetensors.torch.load_file(output), state["state_dict"])
    decant("convert", source, output, "--key", "best.1")
    assert_same(safetensors.torch.load_file(output), {str(i): t for i, t in enumerate(state["best"][1])})
    decant("convert", source, output, "--key", "optimizer.state.4")
    assert_same(safetensors.torch.load_file(output), state["optimizer"]["state"][4])
    decant("convert", source, output, "--key", ".")
    assert "best.1.1" in safetensors.torch.load_file(output)
    # A tensor outside the state dict may be a weight.
    asked = decant.attempt("convert", source, output)
    assert asked.status == 2 and "best.1.1" in asked.errors and "Choose one: --key state_dict; --key . takes" in asked.errors
    finished = decant.attempt("convert", source, folder / "none.safetensors", "--key", "absent")
    assert finished.status == 2 and not (folder / "none.safetensors").exists()


def test_strip_prefix(decant, training_state, folder):
    source, state = training_state
    output = folder / "out.safetensors"
    decant("convert", source, output, "--key", "state_dict", "--strip-prefix", "module.")
    assert_same(
        safetensors.torch.load_file(output),
        {name.removeprefix("module."): value for name, value in state["state_dict"].items()},
    )
    finished = decant.attempt("convert", source, folder / "no.safetensors", "--key", ".", "--strip-prefix", "module.")
    assert finished.status == 2 and "does not begin with the prefix module." in finished.errors
    assert not (folder / "no.safetensors").exists()


def assert_same(found: dict, expected: dict):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


def test_elements_of_every_size_in_the_wrong_order(decant, folder):
    """One-byte tensors of odd length first: only sorting by element size keeps the others aligned."""
    state = {
        "a": torch.tensor([True, False, True]),
        "b": torch.arange(5, dtype=torch.int8),
        "c": torch.arange(3, dtype=torch.float16),
        "d": torch.arange(3, dtype=torch.float64),
        "e": torch.arange(1, dtype=torch.float32),
        "f": torch.arange(7, dtype=torch.uint8).view(torch.float8_e4m3fn),
        "g": torch.tensor(2 + 3j, dtype=torch.complex64),
        "h": torch.arange(3, dtype=torch.int64),
        "i": torch.empty(0, 5),
    }
    torch.save(state, folder / "mixed.pth")
    decant("convert", folder / "mixed.pth", folder / "mixed.safetensors")
    check_poured(folder / "mixed.safetensors", load_records(folder / "mixed.pth"))
    header, _ = header_of(folder / "mixed.safetensors")
    assert [name for name in header if name != "__metadata__"] == [
        "d",
        "g",
        "h",
        "e",
        "i",
        "c",
        "a",
        "b",
        "f",
    ]


def test_decant_reads_what_the_library_wrote(decant, folder):
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for ours in TYPES:
        dtype = getattr(torch, ours)
        count = 6 * dtype.itemsize
        raw = torch.randint(0, 2 if ours == "bool" else 256, (count,), dtype=torch.uint8, generator=generator)
        tensors[f"{ours} ü.weight"] = raw.view(dtype).reshape(2, 3)
    tensors |= {"scalar": torch.tensor(1.5), "empty": torch.empty(0, 3, dtype=torch.int16)}
    file = folder / "library.safetensors"
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt", "note": "plain"})
    listing = decant.inspect(file)
    assert listing["container"] == "safetensors"
    found = {tensor["name"]: tensor for tensor in listing["tensors"]}
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        assert found[name]["path"] == [name]
        assert found[name]["dtype"] == str(tensor.dtype).removeprefix("torch.")
        assert found[name]["shape"] == list(tensor.shape)
        assert found[name]["strides"] == list(tensor.stride())
        assert found[name]["sha256"] == hashlib.sha256(data).hexdigest(), name
    decant("convert", file, folder / "again.safetensors")
    again = folder / "again.safetensors"
    assert {name: bytes(entry["data"]) for name, entry in raw_tensors(again)} == {
        name: bytes(entry["data"]) for name, entry in raw_tensors(file)
    }


def test_four_bit_floats(decant, folder):
    """Shapes of F4 are halved along the last dimension, as safetensors' own loader does."""
    pairs = torch.arange(24, dtype=torch.uint8).reshape(4, 6).view(torch.float4_e2m1fn_x2)
    safetensors.torch.save_file({"w": pairs}, folder / "a.safetensors")
    torch.save({"w": pairs}, folder / "a.pth")
    decant("convert", folder / "a.pth", folder / "b.safetensors")
    digest = hashlib.sha256(bytes(range(24))).hexdigest()
    for file in ("a.safetensors", "b.safetensors", "a.pth"):
        (tensor,) = decant.inspect(folder / file)["tensors"]
        assert (tensor["dtype"], tensor["shape"], tensor["sha256"]) == ("float4_e2m1fn_x2", [4, 6], digest)
    loaded = safetensors.torch.load_file(folder / "b.safetensors")["w"]
    assert loaded.dtype == torch.float4_e2m1fn_x2 and loaded.shape == (4, 6)
    assert torch.equal(loaded.view(torch.uint8), pairs.view(torch.uint8))


@pytest.mark.parametrize(
    ("dtype", "shape", "count"),
    [
        ("F4", [3, 4], 6), ("F4", [4, 3], 6), ("F4", [3], 1), ("F4", [], 0), ("F4", [0], 0), ("F4", [0, 3], 0),
        ("F4", [1, 1, 2], 1), ("F6_E2M3", [3], 3), ("F32", [0, 2**62, 8], 0),
    ],
)  # fmt: skip
def test_odd_shapes(decant, folder, dtype, shape, count):
    """The two readers take and refuse the same shapes."""
    header = json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, count]}}).encode()
    path = folder / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(count))
    try:
        with safetensors.safe_open(path, "pt") as file:
            wanted = list(file.get_tensor("w").shape)
    except safetensors.SafetensorError:
        wanted = None
    finished = decant.attempt("inspect", "--json", path)
    assert (finished.status == 0) == (wanted is not None), finished.errors
    if wanted is not None:
        # Sizes beyond 2^53 stand as text.
        assert [int(size) for size in json.loads(finished.output)["tensors"][0]["shape"]] == wanted
