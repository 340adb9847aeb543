"""Random nested objects for torch.save, from a seed.

Everything a checkpoint holds in practice and the odd things beside it: views of shared storages, every type,
empty and 0-d tensors, parameters, conjugated and negated views, keys that are no text.
"""

import collections
import random

import torch

DTYPES = [
    torch.float32, torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64,
    torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool,
    torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2,
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
        if choice < 0.6 or depth == 0:
            return self.tensor() if choice < 0.45 else self.scalar()
        return self.mapping(depth - 1) if choice < 0.85 else self.sequence(depth - 1)

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
        if tensor.is_complex() and choice < 0.4:
            return tensor.conj()
        # torch negates complex numbers as 0 - x in long tensors and by the sign bit in short ones, so only
        # numbers on which the two agree have one expected digest.
        if tensor.is_complex() and choice < 0.7 and is_ordinary(tensor):
            return torch._neg_view(tensor)
        if tensor.is_floating_point() and choice < 0.2:
            return torch.nn.Parameter(tensor, requires_grad=self.random.random() < 0.7)
        return tensor


def is_ordinary(tensor: torch.Tensor) -> bool:
    """Whether no part is zero or other than finite."""
    parts = torch.view_as_real(tensor)
    return bool((parts.isfinite() & (parts != 0)).all())
