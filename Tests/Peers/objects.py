"""Random nested objects for torch.save, from a seed.

Everything a checkpoint holds in practice and the odd things beside it: views of shared storages, every type,
empty and 0-d tensors, parameters, conjugated and negated views, quantised, sparse, nested and meta tensors,
attributes on tensors, NumPy's arrays and scalars, modules, keys that are no text.
"""

import collections
import random

import numpy as np
import torch

# The types that torch can make and save; the most frequent more often.
DTYPES = [
    torch.float32, torch.float32, torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
    torch.bool, torch.complex32, torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.float8_e4m3fnuz,
    torch.float8_e5m2, torch.float8_e5m2fnuz, torch.float8_e8m0fnu, torch.float4_e2m1fn_x2, torch.bits1x8,
    torch.bits2x4, torch.bits4x2, torch.bits8, torch.bits16,
]  # fmt: skip
QUANTISED = [torch.qint8, torch.quint8, torch.qint32]
# Types of which torch makes sparse tensors and fills them in again.
SPARSE = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.complex64, torch.complex128,
]  # fmt: skip
LAYOUTS = [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc]
ARRAYS = [
    "<f4", ">f4", "<f8", "<f2", ">f8", "|i1", "<i2", "<i4", ">i4", "<i8", "|u1", "<u2", ">u2", "<u4", "<u8", "|b1",
    "<c8", "<c16", ">c16",
]  # fmt: skip
WORDS = [
    "weight",
    "bias",
    "layer1.0.conv1.weight",
    "module.fc",
    "ü",
    "",
    "a b",
    "日本",
    "x" * 70,
    "0",
    "🙂",
    "_x",
]


class ObjectGenerator:
    """One object after another; the same seed gives the same ones."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.torch = torch.Generator().manual_seed(seed)

    def generate(self):
        """An object with tensors in it, never a bare scalar."""
        self.earlier: list[torch.Tensor] = []
        root = self.random.choice([self.mapping, self.mapping, self.mapping, self.sequence, self.tensor])
        return root(3) if root != self.tensor else self.tensor()

    def value(self, depth: int):
        choice = self.random.random()
        if choice < 0.7 or depth == 0:
            make = self.tensor if choice < 0.4 else self.derived if choice < 0.55 else self.scalar
            return make()
        return self.mapping(depth - 1) if choice < 0.88 else self.sequence(depth - 1)

    def mapping(self, depth: int):
        kind = self.random.choice([dict, dict, collections.OrderedDict])
        return kind((self.key(), self.value(depth)) for _ in range(self.random.randint(1, 6)))

    def sequence(self, depth: int):
        values = [self.value(depth) for _ in range(self.random.randint(0, 5))]
        return values if self.random.random() < 0.5 else tuple(values)

    def key(self):
        choice = self.random.random()
        if choice < 0.75:
            return self.random.choice(WORDS) + self.random.choice(["", "", str(self.random.randint(0, 9))])
        if choice < 0.95:
            return self.random.choice([0, 1, 2, 3, -1, 255, 256, 65536, -(2**31), 2**31, 2**40])
        return self.random.choice([(1, "a"), 2.5, None, True, ("k",), (0, 1)])

    def scalar(self):
        return self.random.choice(
            [
                None,
                True,
                False,
                0,
                -1,
                255,
                70000,
                2**31,
                -(2**40),
                2**70,
                0.1,
                -1e300,
                5e-324,
                float("inf"),
                float("nan"),
                2 - 0.5j,
                "",
                "text",
                "line\nbreak",
                "\x1b[31m",
                "日本",
                "a" * 300,
            ]  # fmt: skip
        )

    def tensor(self) -> torch.Tensor:
        if self.earlier and self.random.random() < 0.25:
            return self.view(self.random.choice(self.earlier))
        shape = [self.random.choice([0, 1, 1, 2, 3, 4, 5, 7]) for _ in range(self.random.randint(0, 4))]
        tensor = self.filled(shape, self.random.choice(DTYPES))
        self.earlier.append(tensor)
        if self.random.random() < 0.4:
            tensor = self.view(tensor)
        return self.dressed(tensor)

    def filled(self, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
        """Random bits: NaNs, infinities and denormals of every kind among them."""
        count = 1
        for size in shape:
            count *= size
        high = 2 if dtype == torch.bool else 256
        raw = torch.randint(0, high, (count * dtype.itemsize,), dtype=torch.uint8, generator=self.torch)
        return raw.view(dtype).reshape(shape)

    def view(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same storage, seen otherwise; some views of views."""
        for _ in range(self.random.randint(1, 2)):
            if tensor.dim() == 0:
                tensor = tensor.expand(self.random.choice([(3,), (2, 2), (1, 0)]))
                continue
            axis = self.random.randrange(tensor.dim())
            size = tensor.shape[axis]
            choice = self.random.randrange(6)
            if choice == 0:
                tensor = tensor.transpose(axis, self.random.randrange(tensor.dim()))
            elif choice == 1 and size > 0:
                start = self.random.randrange(size)
                tensor = tensor.narrow(axis, start, self.random.randint(0, size - start))
            elif choice == 2 and size > 0:
                tensor = tensor.select(axis, self.random.randrange(size))
            elif choice == 3 and size > 1:
                tensor = tensor[(slice(None),) * axis + (slice(self.random.randrange(2), None, 2),)]
            elif choice == 4:
                tensor = tensor.unsqueeze(axis).expand(*tensor.shape[:axis], 2, *tensor.shape[axis:])
            elif size > 1:
                tensor = tensor.unfold(axis, 2, 1)
        return tensor

    def dressed(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sometimes a parameter, sometimes with a lazy conjugation or negation."""
        choice = self.random.random()
        # torch conjugates halves in float32, which changes the bits of some NaNs.
        if tensor.is_complex() and choice < 0.4 and (tensor.dtype != torch.complex32 or is_ordinary(tensor)):
            return tensor.conj()
        # torch negates complex numbers as 0 - x in long tensors and by the sign bit in short ones, so only
        # numbers on which the two agree have one expected digest.
        if tensor.is_complex() and choice < 0.7 and is_ordinary(tensor):
            return torch._neg_view(tensor)
        if tensor.is_floating_point() and choice < 0.2:
            return torch.nn.Parameter(tensor, requires_grad=self.random.random() < 0.7)
        return tensor

    def derived(self):
        """What is no strided view of a storage."""
        kinds = [self.quantised, self.sparse, self.nested, self.meta, self.marked, self.array, self.number, self.module]
        return self.random.choice(kinds)()

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.torch)

    def quantised(self) -> torch.Tensor:
        """Per tensor or per channel, of any type, some transposed."""
        shape = [self.random.choice([0, 1, 2, 3, 5]) for _ in range(self.random.randint(1, 4))]
        axis = self.random.randrange(len(shape))
        dtype = self.random.choice(QUANTISED)
        zero = lambda: self.random.randint(0, 100)  # noqa: E731
        match self.random.randrange(4):
            case 0 | 1:
                tensor = torch.quantize_per_tensor(self.normal(*shape), self.random.uniform(1e-6, 10), zero(), dtype)
            case 2:
                zeros = torch.tensor([zero() for _ in range(shape[axis])], dtype=torch.int64)
                scales = self.normal(shape[axis]).abs() + 0.01
                tensor = torch.quantize_per_channel(self.normal(*shape), scales, zeros, axis, dtype)
            case _:
                scales = self.normal(shape[axis]).abs() + 0.01
                zeros = self.normal(shape[axis])
                tensor = torch.quantize_per_channel(self.normal(*shape), scales, zeros, axis, torch.quint8)
        if self.random.random() < 0.3 and tensor.qscheme() == torch.per_tensor_affine:
            tensor = tensor.transpose(0, -1)
        return tensor

    def sparse(self) -> torch.Tensor:
        """Of any layout and type; with repeated indices, dense dimensions or a batch."""
        layout, dtype = self.random.choice(LAYOUTS), self.random.choice(SPARSE)
        rows, columns = self.random.choice([2, 4, 6]), self.random.choice([2, 4, 6])
        # No zero has a sign: torch's to_dense turns the others into these.
        dense = (self.normal(rows, columns) * 20).to(dtype)
        dense = torch.where(self.normal(rows, columns) > 0, dense, torch.zeros_like(dense))
        if layout in (torch.sparse_bsr, torch.sparse_bsc):
            tensor = dense.to_sparse(layout=layout, blocksize=(2, self.random.choice([1, 2])))
        elif layout == torch.sparse_coo and self.random.random() < 0.4:
            count = self.random.randint(0, 6)
            indices = torch.stack([torch.randint(0, size, (count,), generator=self.torch) for size in (rows, columns)])
            inner = self.random.choice([(), (3,)])
            tensor = torch.sparse_coo_tensor(indices, (self.normal(count, *inner) * 20).to(dtype), (rows, columns, *inner))
        else:
            tensor = dense.to_sparse(layout=layout)
        return torch.nn.Parameter(tensor) if dtype == torch.float32 and self.random.random() < 0.2 else tensor

    def nested(self) -> torch.Tensor:
        layout = self.random.choice([torch.strided, torch.jagged])
        width = self.random.randint(1, 4)
        components = [self.normal(self.random.randint(1, 4), width) for _ in range(self.random.randint(1, 4))]
        dtype = self.random.choice([torch.float32, torch.float64, torch.float16, torch.bfloat16])
        return torch.nested.nested_tensor([component.to(dtype) for component in components], layout=layout)

    def meta(self) -> torch.Tensor:
        """A shape without numbers."""
        shape = [self.random.choice([1, 2, 10**5]) for _ in range(self.random.randint(0, 3))]
        tensor = torch.empty(shape, device="meta", dtype=self.random.choice(DTYPES))
        return tensor.transpose(0, -1) if shape and self.random.random() < 0.3 else tensor

    def marked(self) -> torch.Tensor:
        """A tensor with attributes of somebody's own."""
        tensor = self.filled([self.random.randint(1, 4)], torch.float32)
        self.earlier.append(tensor)
        if self.random.random() < 0.5:
            tensor = torch.nn.Parameter(tensor, requires_grad=self.random.random() < 0.5)
        for name in self.random.sample(["tag", "is_shared", "sequence_parallel"], self.random.randint(1, 2)):
            setattr(tensor, name, self.random.choice([True, 3, "text", [1, "two"]]))
        return tensor

    def array(self) -> np.ndarray:
        """Either order of bytes and of axes, strided at times."""
        shape = [self.random.choice([0, 1, 2, 3, 5]) for _ in range(self.random.randint(0, 3))]
        dtype = np.dtype(self.random.choice(ARRAYS))
        raw = self.filled([int(np.prod(shape)) * dtype.itemsize], torch.uint8).numpy()
        array = (raw % 2).astype(dtype).reshape(shape) if dtype.kind == "b" else raw.view(dtype).reshape(shape)
        match self.random.randrange(4):
            case 0: return np.asfortranarray(array)
            case 1 if shape: return array[::2]
            case _: return array

    def number(self) -> np.generic:
        return np.dtype(self.random.choice(ARRAYS).replace(">", "<")).type(self.random.randint(0, 100))

    def module(self) -> torch.nn.Module:
        """A whole module, pickled as one."""
        width = self.random.randint(1, 4)
        return self.random.choice([
            lambda: torch.nn.Linear(width, 2, bias=self.random.random() < 0.5),
            lambda: torch.nn.BatchNorm2d(width),
            lambda: torch.nn.Sequential(
                collections.OrderedDict(a=torch.nn.Conv2d(width, 4, 3, groups=1), b=torch.nn.PReLU())),
            lambda: torch.nn.LSTM(width, 2),
            lambda: torch.nn.ModuleDict({"x": torch.nn.Embedding(3, width), "list": torch.nn.ModuleList()}),
        ])()  # fmt: skip


def is_ordinary(tensor: torch.Tensor) -> bool:
    """Whether no part is zero or other than finite."""
    parts = torch.view_as_real(tensor)
    return bool((parts.isfinite() & (parts != 0)).all())
