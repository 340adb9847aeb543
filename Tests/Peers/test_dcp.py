"""Folders of torch.distributed.checkpoint, against the objects that were in memory and torch's own converter."""

import random
import shutil
import time
import warnings

import expectations
import folder_files
import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import FileSystemWriter, format_utils
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter

FIELDS = ["path", "dtype", "shape", "sha256"]
DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.uint16,
]  # fmt: skip


@pytest.fixture(autouse=True)
def quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def check(listing: dict, value):
    expected = expectations.describe(value)[0]
    key = lambda record: str(record["path"])  # noqa: E731
    assert [[tensor[field] for field in FIELDS] for tensor in sorted(listing["tensors"], key=key)] == [
        [record[field] for field in FIELDS] for record in sorted(expected, key=key)
    ]


def random_tensor(generator: random.Random) -> torch.Tensor:
    shape = [generator.randint(0 if generator.random() < 0.1 else 1, 6) for _ in range(generator.randint(0, 4))]
    tensor = (torch.rand(shape) * 200 - 100).to(generator.choice(DTYPES))
    if len(shape) > 1 and generator.random() < 0.3:
        tensor = tensor.transpose(0, -1)
    if len(shape) == 4 and generator.random() < 0.5:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def random_object(generator: random.Random, depth=0):
    if depth == 3 or generator.random() < 0.4:
        return generator.choice([random_tensor(generator), 3, "text", None, 2.5])
    if generator.random() < 0.3:
        return [random_object(generator, depth + 1) for _ in range(generator.randint(1, 3))]
    return {f"k{index}": random_object(generator, depth + 1) for index in range(generator.randint(1, 4))}


@pytest.mark.parametrize("options", [{}, {"single_file_per_rank": False}, {"thread_count": 3}])
def test_random_objects(decant, folder, figures, options):
    generator = random.Random(7)
    torch.manual_seed(7)
    count = 0
    for index in range(15):
        value = {f"root{place}": random_object(generator) for place in range(3)} | {"one": random_tensor(generator)}
        place = folder / str(index)
        dcp.save(value, storage_writer=FileSystemWriter(place, **options), no_dist=True)
        listing = decant.inspect(place)
        assert listing["container"] == "dcp" and listing["warnings"] == []
        check(listing, value)
        count += len(listing["tensors"])
    assert count > 40
    figures(f"dcp {options}: 15 random objects, {count} tensors")


def test_as_torch_converts_it(decant, folder):
    """dcp_to_torch_save makes the nested object; ours has the same tensors under the same paths."""
    for name in ["dcp", "dcp_ranks"]:
        source = folder_files.Path(folder_files.__file__).parent / "folders" / name
        if name == "dcp":
            format_utils.dcp_to_torch_save(source, folder / "torch.pth")
        check(decant.inspect(source), torch.load(folder / "torch.pth", weights_only=False))


def test_four_ranks(decant, folder):
    """Fresh folders, not the fixtures: rows, columns, a grid, replicas, uneven and empty parts."""
    report = folder_files.write_distributed(folder)
    for name, expected in report.items():
        listing = decant.inspect(folder / name)
        found = {str(tensor["path"]): [tensor[field] for field in FIELDS] for tensor in listing["tensors"]}
        assert found == {str(record["path"]): [record[field] for field in FIELDS] for record in expected["tensors"]}
        decant("convert", folder / name, folder / f"{name}.safetensors")


def test_safetensors_of_one_rank(decant, folder):
    value = {f"w{index}": torch.randn(3, 4) for index in range(6)}
    mapping = {name: 1 + place % 2 for place, name in enumerate(value)}
    dcp.save(value, storage_writer=HuggingFaceStorageWriter(str(folder / "hf"), fqn_to_index_mapping=mapping), no_dist=True)
    listing = decant.inspect(folder / "hf")
    assert listing["container"] == "shards" and listing["warnings"] == []
    check(listing, value)


def test_ten_thousand_tensors(decant, folder, figures):
    value = {f"layer{index}.weight": torch.full((4,), float(index)) for index in range(10_000)}
    dcp.save(value, storage_writer=FileSystemWriter(folder / "many", sync_files=False), no_dist=True)
    start = time.perf_counter()
    decant("inspect", "--json", folder / "many")
    listed = time.perf_counter() - start
    start = time.perf_counter()
    check(decant.inspect(folder / "many"), value)
    figures(f"dcp of 10,000 tensors: listed in {listed:.2f} s, listed with digests in {time.perf_counter() - start:.2f} s")


def test_a_missing_file(decant, folder):
    source = folder_files.Path(folder_files.__file__).parent / "folders" / "dcp"
    shutil.copytree(source, folder / "dcp")
    (folder / "dcp" / "__1_0.distcp").unlink()
    listing = decant.inspect(folder / "dcp")
    states = {tensor["name"]: tensor.get("state", "whole") for tensor in listing["tensors"]}
    assert "truncated" in states.values() and "whole" in states.values()
    finished = decant.attempt("convert", folder / "dcp", folder / "out.safetensors")
    assert finished.status == 2 and "__1_0.distcp" in finished.errors and "--salvage" in finished.errors
    decant("convert", "--salvage", folder / "dcp", folder / "out.safetensors")
