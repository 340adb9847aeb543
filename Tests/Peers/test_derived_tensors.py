"""Tensors that are no plain strided view: quantised, sparse, nested, meta, wrapped, NumPy's; against live objects."""

import collections
import hashlib
import io
import pickle

import expectations
import numpy as np
import pytest
import safetensors.torch
import torch

PROTOCOLS = [2, 3, 4, 5]


def digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(expectations.row_major_bytes(tensor)).hexdigest()


def by_name(listing: dict) -> dict:
    found = {tensor["name"]: tensor for tensor in listing["tensors"]}
    assert len(found) == len(listing["tensors"])
    return found


def seeded(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quantised() -> dict[str, torch.Tensor]:
    x = seeded(6, 4, 5)
    scales, zeros = seeded(6, seed=2).abs() + 0.125, seeded(6, seed=3)
    whole = torch.tensor([0, 1, -1, 5, 7, -9])
    tensors = {
        f"{name}{'' if axis is None else axis}": (
            torch.quantize_per_tensor(x, 0.0371, 3, dtype)
            if axis is None
            else torch.quantize_per_channel(x.transpose(0, axis), scales, whole.abs(), axis, dtype)
        )
        for name, dtype in [("qint8", torch.qint8), ("quint8", torch.quint8), ("qint32", torch.qint32)]
        for axis in [None, 0, 1, 2]
    }
    tensors["float_qparams"] = torch.quantize_per_channel(x, scales, zeros, 0, torch.quint8)
    tensors["quint4x2"] = torch.quantize_per_channel(x[:, 0], scales, zeros, 0, torch.quint4x2)
    tensors["transposed"] = torch.quantize_per_tensor(x, 0.0625, 3, torch.qint8).transpose(0, 2)
    tensors["empty"] = torch.quantize_per_tensor(x[:0], 0.0625, 3, torch.qint8)
    tensors["scalar"] = torch.quantize_per_tensor(x[0, 0, 0], 0.0625, 3, torch.qint8)
    return tensors


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_quantised_tensors(decant, folder, protocol):
    tensors = quantised()
    torch.save(tensors, folder / "q.pth", pickle_protocol=protocol)
    found = by_name(decant.inspect(folder / "q.pth"))
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name]["dtype"] == str(tensor.dtype).removeprefix("torch.")
        assert found[name]["shape"] == list(tensor.shape)
        assert found[name]["strides"] == list(tensor.stride())
        if name != "quint4x2":  # torch's int_repr unpacks it
            assert found[name]["sha256"] == digest(tensor), name
        said, expected = found[name]["quantization"], expectations.quantization(tensor)
        assert said == expected, name
        parts = {part["name"]: part for part in found[name].get("parts", [])}
        assert sorted(parts) == ([] if "scale" in said else ["scales", "zero_points"])
        if parts:
            assert parts["scales"]["sha256"] == digest(tensor.q_per_channel_scales())
            assert parts["zero_points"]["sha256"] == digest(tensor.q_per_channel_zero_points())
    decant("convert", folder / "q.pth", folder / "q.safetensors", "--dequantize")
    loaded = safetensors.torch.load_file(folder / "q.safetensors")
    assert list(sorted(loaded)) == sorted(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor.dequantize()), name


def sparse() -> dict[str, torch.Tensor]:
    # Zeros without a sign: torch's to_dense turns the others into these.
    dense = torch.where(seeded(4, 6, seed=2) > 0.3, seeded(4, 6), 0.0)
    batched = torch.zeros(2, 4, 6)
    batched[:, [0, 2, 3], [5, 0, 1]] = seeded(2, 3)
    hybrid = torch.zeros(3, 4, 2)
    hybrid[[0, 2], [1, 3]] = seeded(2, 2)
    repeated = torch.sparse_coo_tensor([[0, 1, 0, 0], [2, 0, 2, 2]], [1.5, 2.0, 0.25, 1e-9], (2, 3))
    tensors = {
        "coo": dense.to_sparse(),
        "coo_hybrid": hybrid.to_sparse(2),
        "coo_repeated": repeated,
        "coo_empty": torch.sparse_coo_tensor(size=(3, 5)),
        "coo_scalar": torch.tensor(2.5).to_sparse(),
        "coo_zero_size": torch.sparse_coo_tensor(size=(3, 0)),
        "csr": dense.to_sparse_csr(),
        "csc": dense.to_sparse_csc(),
        "bsr": dense.to_sparse_bsr((2, 3)),
        "bsc": dense.to_sparse_bsc((2, 3)),
        "csr_batch": batched.to_sparse_csr(),
        "csc_batch": batched.to_sparse_csc(),
        "csr_hybrid": torch.sparse_csr_tensor(
            torch.tensor([0, 1, 3]), torch.tensor([1, 0, 2]), seeded(3, 2), (2, 3, 2)
        ),
        "csr_int32": torch.sparse_csr_tensor(
            torch.tensor([0, 1, 3], dtype=torch.int32), torch.tensor([1, 0, 2], dtype=torch.int32),
            seeded(3), (2, 3),
        ),  # fmt: skip
    }
    for dtype in [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.complex64]:
        tensors[f"repeated {dtype}".replace("torch.", "")] = torch.sparse_coo_tensor(
            [[0, 1, 0, 0], [2, 0, 2, 2]], seeded(4).mul(9).to(dtype), (2, 3)
        )
    return tensors


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sparse_tensors(decant, folder, protocol):
    tensors = sparse()
    torch.save(tensors, folder / "s.pth", pickle_protocol=protocol)
    found = by_name(decant.inspect(folder / "s.pth"))
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        entry = found[name]
        assert entry["layout"] == str(tensor.layout).removeprefix("torch.")
        assert entry["dtype"] == str(tensor.dtype).removeprefix("torch.")
        assert entry["shape"] == list(tensor.shape)
        parts = {
            part: getattr(tensor, {"indices": "_indices", "values": "_values"}.get(part, part) if
                          tensor.layout == torch.sparse_coo else part)()
            for part in [part["name"] for part in entry["parts"]]
        }  # fmt: skip
        assert len(parts) == (2 if tensor.layout == torch.sparse_coo else 3)
        for part in entry["parts"]:
            assert part["shape"] == list(parts[part["name"]].shape)
            assert part["sha256"] == digest(parts[part["name"]]), (name, part["name"])
        assert entry["sha256"] == digest(tensor.to_dense()), name
    refused = decant.attempt("convert", folder / "s.pth", folder / "s.safetensors")
    assert refused.status == 2 and "--to-dense" in refused.errors and not (folder / "s.safetensors").exists()
    decant("convert", folder / "s.pth", folder / "s.safetensors", "--to-dense")
    loaded = safetensors.torch.load_file(folder / "s.safetensors")
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor.to_dense()), name


def test_a_sparse_tensor_too_large_to_fill_in_is_listed(decant, folder):
    huge = torch.sparse_coo_tensor([[7], [9]], [1.0], (2**30, 2**30))
    torch.save({"huge": huge}, folder / "huge.pth")
    (entry,) = decant.inspect(folder / "huge.pth")["tensors"]
    assert entry["shape"] == [2**30, 2**30] and entry["sha256"] is None
    assert [part["sha256"] for part in entry["parts"]] == [digest(huge._indices()), digest(huge._values())]
    refused = decant.attempt("convert", folder / "huge.pth", folder / "huge.safetensors", "--to-dense")
    assert refused.status == 2 and "the limit expansion" in refused.errors


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors(decant, folder, layout):
    components = [seeded(2, 3), seeded(5, 3, seed=2), seeded(1, 3, seed=3)]
    nested = torch.nested.nested_tensor(components, layout=layout)
    torch.save({"n": nested, "after": components[0]}, folder / "n.pth")
    listing = decant.inspect(folder / "n.pth")
    found = by_name(listing)
    assert list(found) == ["n.0", "n.1", "n.2", "after"]
    for index, component in enumerate(nested.unbind()):
        assert found[f"n.{index}"]["shape"] == list(component.shape)
        assert found[f"n.{index}"]["sha256"] == digest(component.contiguous())
    assert [(entry["path"], entry["type"], entry.get("count")) for entry in listing["objects"]] == [
        ("n", "nested tensor", 3)
    ]


def test_jagged_views(decant, folder):
    """Ragged along the second dimension of the values, and with lengths apart from offsets."""
    base = torch.nested.nested_tensor([seeded(2, 3), seeded(5, 3, seed=2)], layout=torch.jagged)
    turned = base.transpose(1, 2)
    narrow = torch.nested.narrow(
        seeded(3, 6), 1, torch.tensor([0, 1, 2]), torch.tensor([2, 4, 3]), layout=torch.jagged
    )
    torch.save({"turned": turned, "narrow": narrow}, folder / "j.pth")
    found = by_name(decant.inspect(folder / "j.pth"))
    expected = {
        f"{name}.{index}": component
        for name, tensor in [("turned", turned), ("narrow", narrow)]
        for index, component in enumerate(tensor.unbind())
    }
    assert list(found) == list(expected)
    for name, component in expected.items():
        assert found[name]["shape"] == list(component.shape), name
        assert found[name]["sha256"] == digest(component.contiguous()), name


def test_meta_tensors_have_no_data(decant, folder):
    tensors = {
        "plain": torch.empty(3, 4, device="meta"),
        "turned": torch.empty(3, 4, device="meta", dtype=torch.bfloat16).t(),
        "large": torch.empty(2**20, 2**20, device="meta"),
        "parameter": torch.nn.Parameter(torch.empty(2, device="meta")),
    }
    torch.save(tensors, folder / "meta.pth")
    found = by_name(decant.inspect(folder / "meta.pth"))
    for name, tensor in tensors.items():
        assert found[name]["shape"] == list(tensor.shape)
        assert found[name]["strides"] == list(tensor.stride())
        assert found[name]["location"] == "meta" and found[name]["sha256"] is None
    refused = decant.attempt("convert", folder / "meta.pth", folder / "meta.safetensors")
    assert refused.status == 2 and "holds tensors without data" in refused.errors
    assert ": plain, turned, large, parameter" in refused.errors


class Doubled(torch.Tensor):
    """A wrapper subclass: its own storage is none, its data another tensor."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=inner.device
        )

    def __init__(self, inner):
        self.inner = inner

    def __reduce_ex__(self, protocol):
        arguments = (
            type(self), self.dtype, tuple(self.size()), self.stride(), self.storage_offset(), self.layout,
            self.device, self.requires_grad,
        )  # fmt: skip
        state = torch._utils._get_obj_state(self)
        return torch._tensor._rebuild_from_type_v2, (
            torch._utils._rebuild_wrapper_subclass, type(self), arguments, state,
        )  # fmt: skip

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), keywords=None):
        raise NotImplementedError(function)


def test_wrapper_subclasses_and_their_inner_tensors(decant, folder):
    inner = seeded(2, 3)
    torch.save({"w": Doubled(inner)}, folder / "w.pth")
    found = by_name(decant.inspect(folder / "w.pth"))
    assert list(found) == ["w", "w.__dict__.inner"]
    assert found["w"]["shape"] == [2, 3] and found["w"]["sha256"] is None
    assert found["w"]["subclass"].endswith(".Doubled")
    assert found["w.__dict__.inner"]["sha256"] == digest(inner)


def test_device_tensors_made_from_host_data(decant, folder):
    """What torch.save writes of an XLA or HPU tensor, by the functions it would call."""

    class Elsewhere:
        def __init__(self, function, *arguments):
            self.reduced = function, arguments

        def __reduce__(self):
            return self.reduced

    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    torch.save(
        {
            "numpy": Elsewhere(
                torch._utils._rebuild_device_tensor_from_numpy, array, torch.float32, "xla:0", True
            ),
            "narrowed": Elsewhere(
                torch._utils._rebuild_device_tensor_from_numpy, array, torch.bfloat16, "xla:0", False
            ),
            "cpu": Elsewhere(
                torch._utils._rebuild_device_tensor_from_cpu_tensor, torch.from_numpy(array), torch.float32,
                "hpu", False,
            ),
        },
        folder / "d.pth",
    )  # fmt: skip
    found = by_name(decant.inspect(folder / "d.pth"))
    assert [found[name]["location"] for name in found] == ["xla:0", "xla:0", "hpu"]
    assert found["numpy"]["sha256"] == found["cpu"]["sha256"] == hashlib.sha256(array.tobytes()).hexdigest()
    assert found["numpy"]["requires_grad"] is True
    assert found["narrowed"]["dtype"] == "bfloat16"
    assert found["narrowed"]["sha256"] == digest(torch.from_numpy(array).bfloat16())


NUMPY_TYPES = "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1 c8 c16".split()


def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    found = {}
    for code in NUMPY_TYPES:
        count = 12 * np.dtype(code).itemsize
        raw = generator.integers(0, 2 if code == "b1" else 256, count, dtype=np.uint8)
        found[code] = raw.view(code).reshape(3, 4)
        found[code + " columns"] = np.asfortranarray(found[code])
        found[code + " big"] = found[code].astype(np.dtype(code).newbyteorder(">"))
        found[code + " strided"] = found[code][::2, 1::2]
    found["scalar array"] = np.array(2.5)
    found["empty"] = np.zeros((0, 3), dtype=np.int16)
    return found


@pytest.mark.parametrize("protocol", [0, 1, *PROTOCOLS])
def test_numpy_arrays_in_pickles(decant, folder, protocol):
    values = arrays()
    bare = folder / "bare.pkl"
    bare.write_bytes(pickle.dumps(collections.OrderedDict(values), protocol=protocol))
    files = [bare]
    if protocol >= 2:
        torch.save(values, folder / "zip.pth", pickle_protocol=protocol)
        files.append(folder / "zip.pth")
    for file in files:
        found = by_name(decant.inspect(file))
        assert list(found) == list(values)
        for name, array in values.items():
            little = array.astype(array.dtype.newbyteorder("<"))
            assert found[name]["dtype"] == str(little.dtype), name
            assert found[name]["shape"] == list(array.shape), name
            assert found[name]["sha256"] == hashlib.sha256(little.tobytes("C")).hexdigest(), name


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_scalars_and_what_no_tensor_holds(decant, folder, protocol):
    state = {
        "f": np.float64(0.1), "f2": np.float16(1.5), "i": np.int32(-7), "u": np.uint64(2**64 - 1), "b": np.bool_(True),
        "c": np.complex64(1 + 2j), "text": np.array(["ab", "c"]), "objects": np.array([1, "two", None], dtype=object),
        "date": np.array(["2020-01-01"], dtype="M8[D]"),
    }  # fmt: skip
    torch.save(state, folder / "n.pth", pickle_protocol=protocol)
    listing = decant.inspect(folder / "n.pth")
    assert listing["tensors"] == []
    found = {entry["path"]: entry for entry in listing["objects"]}
    assert [found[name].get("value") for name in ("f", "f2", "i", "u", "b", "c")] == [
        0.1, 1.5, -7, str(2**64 - 1), True, [1.0, 2.0],
    ]  # fmt: skip
    assert [found[name]["type"] for name in ("f", "u", "b")] == ["numpy.float64", "numpy.uint64", "numpy.bool"]
    assert [found[name]["count"] for name in ("text", "objects", "date")] == [2, 3, 1]


def test_tensors_pickled_without_torch_save(decant, folder):
    """Python's own pickle writes each storage as a file within the pickle; shared ones once."""
    base = seeded(4, 3)
    state = {"whole": base, "row": base[1], "turned": base.t(), "ints": torch.arange(5), "half": base.half()}
    for protocol in PROTOCOLS:
        (folder / "t.pkl").write_bytes(pickle.dumps(state, protocol=protocol))
        found = by_name(decant.inspect(folder / "t.pkl"))
        assert list(found) == list(state)
        for name, tensor in state.items():
            assert found[name]["shape"] == list(tensor.shape)
            assert found[name]["strides"] == list(tensor.stride())
            assert found[name]["sha256"] == digest(tensor), name


def test_whole_files_within_a_pickle(decant, folder):
    """torch.storage._load_from_bytes gives whatever the bytes hold."""
    buffer = io.BytesIO()
    torch.save({"w": seeded(2, 2), "epoch": 3}, buffer, _use_new_zipfile_serialization=False)

    class Inner:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (buffer.getvalue(),)

    torch.save({"inner": Inner()}, folder / "i.pth")
    listing = decant.inspect(folder / "i.pth")
    assert [tensor["name"] for tensor in listing["tensors"]] == ["inner.w"]
    assert listing["tensors"][0]["sha256"] == digest(seeded(2, 2))
    assert [(entry["path"], entry["value"]) for entry in listing["objects"]] == [("inner.epoch", 3)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bytes_as_keys(decant, folder, protocol):
    torch.save({b"conv.weight": seeded(2), "b": 1}, folder / "b.pth", pickle_protocol=protocol)
    (entry,) = decant.inspect(folder / "b.pth")["tensors"]
    assert entry["name"] == "conv.weight" and entry["path"] == [{"python": "b'conv.weight'"}]
