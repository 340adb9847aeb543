"""Honest checkpoints in memory, and archives written by PyTorch with entries changed."""

import io
import zipfile
from functools import cache

import torch


# Honest files.


@cache
def honest(kind: str) -> bytes:
    target = io.BytesIO()
    generator = torch.Generator().manual_seed(3)
    state = {"conv.weight": torch.randn(4, 3, generator=generator), "bn.bias": torch.randn(4, generator=generator)}
    torch.save(state, target, _use_new_zipfile_serialization=kind == "zip")
    return target.getvalue()


def entries_of(archive: bytes) -> dict[str, bytes]:
    """The entries of an archive, without the folder's name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {entry.split("/", 1)[1]: opened.read(entry) for entry in opened.namelist()}


@cache
def records() -> dict[str, bytes]:
    """The entries of an honest checkpoint."""
    return entries_of(honest("zip"))


def saved_records(value) -> dict[str, bytes]:
    """The entries of what torch.save writes."""
    target = io.BytesIO()
    torch.save(value, target)
    return entries_of(target.getvalue())


def torch_zip(rng, changes: dict[str, bytes], base=None) -> bytes:
    """An archive written by PyTorch's own writer: an honest checkpoint, with entries changed or added."""
    target = io.BytesIO()
    entries = dict(records() if base is None else base) | changes
    writer = torch._C.PyTorchFileWriter(target)
    for entry, data in entries.items():
        if data is not None and entry not in ("version", ".data/serialization_id"):
            writer.write_record(entry, data, len(data))
    writer.write_end_of_file()
    return target.getvalue()


def with_code(rng, code: bytes) -> bytes:
    """The data.pkl of an honest checkpoint with code before its end."""
    data = records()["data.pkl"]
    return data[:-1] + code + rng.choice([b"0", b"0N0"]) + b"."
