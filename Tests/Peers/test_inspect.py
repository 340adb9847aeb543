"""`decant inspect --json --digest` on files of torch.save, against the objects that were in memory."""

import collections
import pickle
import warnings

import expectations
import pytest
import torch
from objects import ObjectGenerator
from pouring import name_of

FIELDS = ["path", "dtype", "shape", "strides", "storage_offset", "sha256"]
PER_PROTOCOL = 50


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_random_objects(decant, folder, figures, protocol):
    generator = ObjectGenerator(seed=100 + protocol)
    total = collections.Counter()
    for index in range(PER_PROTOCOL):
        value = generator.generate()
        file = folder / f"{index}.pth"
        torch.save(value, file, pickle_protocol=protocol)
        listing = decant.inspect(file)
        tensors, objects = expectations.describe(value)
        check_tensors(listing["tensors"], tensors)
        check_sharing(listing["tensors"], value)
        check_objects(listing["objects"], objects)
        assert listing["schema"] == 1 and listing["container"] == "torch-zip" and listing["file"] == str(file)
        total["objects"] += 1
        total["tensors"] += len(tensors)
        total["views"] += sum(not is_plain(record) for record in tensors)
    assert total["tensors"] > 100 and total["views"] > 30
    figures(
        f"inspect, protocol {protocol}: {total['objects']} random objects, {total['tensors']} tensors, "
        f"{total['views']} of them strided or offset"
    )


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_random_objects_in_the_legacy_format(decant, folder, figures, protocol):
    generator = ObjectGenerator(seed=200 + protocol)
    count = 0
    for index in range(PER_PROTOCOL):
        value = generator.generate()
        file = folder / f"{index}.pth"
        try:
            torch.save(value, file, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
        except RuntimeError as error:  # the format has no place for two types in one storage
            assert "view the same data as different types" in str(error)
            continue
        listing = decant.inspect(file)
        tensors, objects = expectations.describe(value)
        check_tensors(listing["tensors"], tensors)
        check_sharing(listing["tensors"], value)
        check_objects(listing["objects"], objects)
        assert listing["container"] == "torch-legacy" and listing["warnings"] == []
        count += 1
    assert count > 30
    figures(f"inspect, legacy format, protocol {protocol}: {count} random objects")


@pytest.mark.parametrize("protocol", range(6))
def test_bare_pickles(decant, folder, figures, protocol):
    """pickle.dumps of tensors puts a file of torch.save's into the pickle for each storage."""
    generator = ObjectGenerator(seed=300 + protocol)
    for index in range(PER_PROTOCOL):
        value = generator.generate()
        file = folder / f"{index}.pkl"
        file.write_bytes(pickle.dumps(value, protocol=protocol))
        listing = decant.inspect(file)
        tensors, objects = expectations.describe(value)
        check_tensors(listing["tensors"], tensors)
        check_objects(listing["objects"], objects)
        assert listing["container"] == "pickle" and listing["warnings"] == []
    figures(f"inspect, pickle.dumps, protocol {protocol}: {PER_PROTOCOL} random objects")


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
        assert tensor.get("requires_grad", False) == record.get("requires_grad", False)
        count = 1
        for size in record["shape"]:
            count *= size
        assert tensor["bytes"] == count * getattr(torch, record["dtype"]).itemsize


def check_sharing(found: list[dict], value):
    """Two tensors have one storage in the listing exactly when they have one in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storages = [tensor.untyped_storage()._cdata for tensor in walk(value)]
    assert pairing([tensor["storage"] for tensor in found]) == pairing(storages)


def walk(value):
    """Every tensor, in the order of describe()."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for element in value.values():
            yield from walk(element)
    elif isinstance(value, (list, tuple)):
        for element in value:
            yield from walk(element)


def pairing(keys: list) -> list[int]:
    """For each key, where it stood first."""
    return [keys.index(key) for key in keys]


def check_objects(found: list[dict], expected: list[dict]):
    """Every scalar with its type and value; empty containers, which describe() omits, stand beside them."""
    scalars = [entry for entry in found if entry.get("count") is None]
    assert [[entry["path"], entry["type"]] for entry in scalars] == [
        [name_of(entry["path"]), entry["type"]] for entry in expected
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
    for entry in found:
        if entry.get("count") is not None:
            assert entry["count"] == 0, entry


def is_plain(record: dict) -> bool:
    strides, step = [], 1
    for size in reversed(record["shape"]):
        strides.insert(0, step)
        step *= max(size, 1)
    return record["storage_offset"] == 0 and record["strides"] == strides
