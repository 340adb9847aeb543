"""Whether one loaded object is another: types, order, values, bits, views, storages and what is shared."""

import math
from collections import Counter, OrderedDict

import torch

CONTAINERS = (dict, OrderedDict, Counter, list, set)


class Sameness:
    """Compares two objects that torch.load made, value by value."""

    def __init__(self, strides: bool = True, storages: bool = True):
        """`storages`: whether the storages must be of the same size too, which shrinking changes."""
        self.strides, self.storages = strides, storages
        self.objects: dict[int, int] = {}
        self.pointers: dict[int, int] = {}
        self.tensors = 0

    def require(self, found, expected, path: str = ""):
        assert type(found) is type(expected), (path, type(found), type(expected))
        if isinstance(expected, torch.Tensor):
            return self.tensor(found, expected, path)
        if isinstance(expected, CONTAINERS):
            # Shared containers stay shared; a container inside itself is compared once.
            known = self.objects.setdefault(id(expected), id(found))
            assert known == id(found), (path, "is no longer the object that it was")
            if (id(expected), "seen") in self.objects:
                return None
            self.objects[id(expected), "seen"] = 1
        if isinstance(expected, dict):
            assert [repr(key) for key in found] == [repr(key) for key in expected], path
            assert list(map(type, found)) == list(map(type, expected)), path
            for key in expected:
                self.require(found[key], expected[key], f"{path}.{key}")
            if isinstance(expected, OrderedDict):
                self.require(found.__dict__, expected.__dict__, path + ".__dict__")
        elif isinstance(expected, (list, tuple)):
            assert len(found) == len(expected), path
            for place, pair in enumerate(zip(found, expected, strict=True)):
                self.require(*pair, f"{path}[{place}]")
        elif isinstance(expected, float):
            assert found == expected or math.isnan(found) and math.isnan(expected), path
            assert math.copysign(1, found) == math.copysign(1, expected) or math.isnan(expected), path
        else:
            assert found == expected, (path, found, expected)
        return None

    def tensor(self, found, expected, path: str):
        self.tensors += 1
        for what in ("dtype", "shape", "layout", "requires_grad", "device"):
            assert getattr(found, what) == getattr(expected, what), (path, what)
        if expected.__dict__:
            self.require(found.__dict__, expected.__dict__, path + ".__dict__")
        if expected.is_meta:
            return
        if expected.layout != torch.strided:
            parts = ["_indices", "_values"] if expected.layout == torch.sparse_coo else ["values"]
            if expected.layout in (torch.sparse_csr, torch.sparse_bsr):
                parts += ["crow_indices", "col_indices"]
            elif expected.layout in (torch.sparse_csc, torch.sparse_bsc):
                parts += ["ccol_indices", "row_indices"]
            else:
                assert found.is_coalesced() == expected.is_coalesced(), path
            for part in parts:
                self.tensor(getattr(found, part)(), getattr(expected, part)(), f"{path}.{part}")
            return
        if self.strides:
            assert found.stride() == expected.stride(), (path, found.stride(), expected.stride())
        if expected.is_quantized:
            assert found.qscheme() == expected.qscheme(), path
            if expected.qscheme() == torch.per_tensor_affine:
                assert (found.q_scale(), found.q_zero_point()) == (expected.q_scale(), expected.q_zero_point())
            else:
                self.tensor(found.q_per_channel_scales(), expected.q_per_channel_scales(), path + ".scales")
                self.tensor(found.q_per_channel_zero_points(), expected.q_per_channel_zero_points(), path)
                assert found.q_per_channel_axis() == expected.q_per_channel_axis()
        assert bits(found) == bits(expected), (path, "differs")
        own, other = found.untyped_storage(), expected.untyped_storage()
        if self.storages:
            assert found.storage_offset() == expected.storage_offset(), path
            assert own.nbytes() == other.nbytes(), path
        if other.nbytes():
            known = self.pointers.setdefault(other.data_ptr(), own.data_ptr())
            assert known == own.data_ptr() or not self.storages, (path, "shares another storage")


def bits(tensor: torch.Tensor) -> bytes:
    """The elements in row-major order, conj and neg resolved, as raw bytes."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.is_quantized:
        if tensor.dtype in (torch.quint4x2, torch.quint2x4):
            return bytes(tensor.untyped_storage())
        tensor = tensor.int_repr()
    if tensor.numel() == 0:
        return b""
    # as_strided on bytes: some types have no operators at all.
    size = tensor.element_size()
    raw = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    view = raw.as_strided(
        (*tensor.shape, size), (*(stride * size for stride in tensor.stride()), 1), tensor.storage_offset() * size
    )
    return view.contiguous().numpy().tobytes()
