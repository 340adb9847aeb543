"""`decant inspect --json --digest` on files of torch.save, against the objects that were in memory."""

import collections
import pickle
import warnings

import expectations
import pytest
import torch
from objects import DTYPES, LAYOUTS, QUANTISED, ObjectGenerator
from pouring import name_of

FIELDS = ["path", "dtype", "shape", "strides", "storage_offset", "sha256"]
SEED, COUNT = 100, 320


@pytest.fixture(scope="module")
def objects() -> list:
    """The same objects for every container and protocol, and what torch says of each."""
    generator = ObjectGenerator(SEED)
    values = [generator.generate() for _ in range(COUNT)]
    described = []
    for value in values:
        seen = []
        described.append((value, *expectations.describe(value, seen), seen))
    tensors = [record for _, records, _, _ in described for record in records]
    spelled = {str(name).removeprefix("torch.") for name in DTYPES + QUANTISED + LAYOUTS}
    assert spelled == {record[field] for record in tensors for field in ("dtype", "layout") if field in record}
    return described


@pytest.mark.parametrize(
    ("container", "protocol"),
    [(container, protocol) for container in ("torch-zip", "torch-legacy") for protocol in (2, 3, 4, 5)]
    + [("torch-legacy", 1)],
)
def test_random_objects(decant, folder, figures, objects, container, protocol):
    kinds = collections.Counter()
    for value, tensors, others, seen in objects:
        file = folder / "object.pth"
        try:
            torch.save(
                value, file, pickle_protocol=protocol, _use_new_zipfile_serialization=container == "torch-zip"
            )
        except RuntimeError as error:  # the legacy format has no place for two types in one storage
            assert container == "torch-legacy" and "view the same data as different types" in str(error)
            kinds["not saved"] += 1
            continue
        listing = decant.inspect(file)
        check_tensors(listing["tensors"], tensors)
        check_sharing(listing["tensors"], seen)
        check_objects(listing["objects"], others)
        assert listing["container"] == container and listing["warnings"] == []
        assert listing["schema"] == 1 and listing["file"] == str(file)
        kinds.update(kind_of(record) for record in tensors)
    total = sum(kinds.values()) - kinds["not saved"]
    assert total > 700 and kinds["not saved"] < 20
    assert all(kinds[kind] > 20 for kind in ["strided", "view", "quantised", "sparse"])
    figures(
        f"inspect, {container}, protocol {protocol}: {COUNT - kinds['not saved']} random objects, {total} tensors: "
        + ", ".join(f"{count} {kind}" for kind, count in kinds.items() if kind != "not saved")
    )


@pytest.mark.parametrize("protocol", range(6))
def test_bare_pickles(decant, folder, figures, objects, protocol):
    """pickle.dumps of tensors puts a file of torch.save's into the pickle for each storage."""
    file = folder / "object.pkl"
    for value, tensors, others, _ in objects:
        file.write_bytes(pickle.dumps(value, protocol=protocol))
        listing = decant.inspect(file)
        check_tensors(listing["tensors"], tensors)
        check_objects(listing["objects"], others)
        assert listing["container"] == "pickle" and listing["warnings"] == []
    figures(f"inspect, pickle.dumps, protocol {protocol}: {COUNT} random objects")


def test_an_empty_view_may_begin_beyond_its_storage(decant, folder):
    """torch.load takes these files, since nothing is read through such a view."""
    value = {"of nothing": torch.empty(0, 3).select(1, 2), "of something": torch.zeros(2, 3)[2:].select(1, 2)}
    torch.save(value, folder / "empty.pth")
    loaded = torch.load(folder / "empty.pth", weights_only=True)
    assert [tensor.storage_offset() for tensor in loaded.values()] == [2, 8]
    check_tensors(decant.inspect(folder / "empty.pth")["tensors"], expectations.describe(loaded)[0])


def check_tensors(found: list[dict], expected: list[dict]):
    """The same tensors in the same order, in every field."""
    assert [[tensor[field] for field in FIELDS] for tensor in found] == [
        [record[field] for field in FIELDS] for record in expected
    ]
    for tensor, record in zip(found, expected, strict=True):
        assert tensor["name"] == name_of(record["path"])
        for field in ["requires_grad", "layout", "quantization"]:
            assert tensor.get(field) == record.get(field), (tensor, record)
        if "layout" in record:
            parts = [{"name": part["name"], "sha256": part["sha256"]} for part in tensor["parts"]]
            assert parts == record["parts"]
        count = 1
        for size in record["shape"]:
            count *= size
        assert int(tensor["bytes"]) == count * getattr(torch, record["dtype"]).itemsize


def check_sharing(found: list[dict], seen: list):
    """Two tensors have one storage in the listing exactly when they have one in memory."""
    plain = [isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided for tensor in seen]
    keys = [
        tensor.untyped_storage()._cdata if is_plain and not tensor.is_meta else id(tensor)
        for tensor, is_plain in zip(seen, plain, strict=True)
    ]
    names = [
        tensor["storage"] if is_plain and tensor["storage"] != "meta" else index
        for index, (tensor, is_plain) in enumerate(zip(found, plain, strict=True))
    ]
    assert pairing(names) == pairing(keys)


def pairing(keys: list) -> list[int]:
    """For each key, where it stood first."""
    return [keys.index(key) for key in keys]


def check_objects(found: list[dict], expected: list[dict]):
    """Every scalar and object with its type and value; empty containers, which describe() omits, stand beside them."""
    scalars = [entry for entry in found if entry.get("count") != 0]
    assert [[entry["path"], entry["type"], entry.get("count")] for entry in scalars] == [
        [name_of(entry["path"]), entry["type"], entry.get("count")] for entry in expected
    ]
    for entry, record in zip(scalars, expected, strict=True):
        value, wanted = entry.get("value"), record.get("value")
        assert type(value) is type(wanted), record
        if isinstance(value, str) and entry["type"] == "float":  # not finite
            assert str(float(value)) == wanted
        elif isinstance(value, str) and entry["type"] == "int":  # beyond 2**53
            assert str(int(value, 0)) == wanted
        else:
            assert value == wanted, record


def kind_of(record: dict) -> str:
    """What the figures call a tensor."""
    if "layout" in record:
        return "sparse"
    if "quantization" in record:
        return "quantised"
    if record["sha256"] is None:
        return "without data"
    strides, step = [], 1
    for size in reversed(record["shape"]):
        strides.insert(0, step)
        step *= max(size, 1)
    return "strided" if record["storage_offset"] == 0 and record["strides"] == strides else "view"
