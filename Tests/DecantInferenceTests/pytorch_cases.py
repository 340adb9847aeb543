"""Prints PyTorchCases.swift: the checksums of PyTorch's results for small integer convolutions and pools.

    python Tests/DecantInferenceTests/pytorch_cases.py > Tests/DecantInferenceTests/PyTorchCases.swift

Inputs and weights are small integers, so every sum is exact in float32. Each case is compared by one checksum:
the sum over i of (i % 97 + 1) * y[i], with y in row-major order.
"""

import torch

torch.set_num_threads(1)

# n, c, h, w, out channels, kernel, stride, padding, dilation, groups
CONVOLUTIONS = [
    (1, 1, 1, 1, 1, 1, 1, 0, 1, 1), (1, 3, 1, 1, 5, 7, 2, 3, 1, 1), (1, 3, 1, 1, 5, 7, 1, 3, 1, 1),
    (2, 2, 1, 9, 3, 3, 1, 1, 1, 1), (2, 2, 9, 1, 3, 3, 1, 1, 1, 1), (3, 2, 2, 2, 4, 7, 1, 3, 1, 1),
    (1, 4, 5, 7, 6, 1, 1, 0, 1, 1), (2, 4, 5, 7, 6, 1, 2, 0, 1, 1), (1, 4, 30, 31, 6, 1, 1, 0, 1, 1),
    (1, 4, 30, 31, 6, 1, 2, 0, 1, 1), (2, 3, 29, 31, 5, 3, 1, 1, 1, 1), (2, 3, 29, 31, 5, 3, 2, 1, 1, 1),
    (1, 3, 41, 37, 8, 7, 2, 3, 1, 1), (1, 3, 41, 37, 8, 7, 1, 3, 1, 1), (1, 3, 23, 40, 4, 3, 1, 0, 1, 1),
    (1, 2, 23, 40, 4, 3, 1, 2, 2, 1), (1, 2, 23, 40, 4, 3, 1, 1, 2, 1), (1, 2, 23, 40, 4, 3, 3, 4, 2, 1),
    (1, 8, 9, 9, 12, 3, 1, 1, 1, 4), (2, 8, 25, 21, 12, 3, 1, 1, 1, 2), (2, 8, 25, 21, 8, 3, 2, 1, 1, 8),
    (1, 300, 3, 3, 310, 1, 1, 0, 1, 1), (1, 20, 7, 7, 70, 3, 1, 1, 1, 1), (1, 20, 30, 30, 270, 3, 1, 1, 1, 1),
    (2, 3, 64, 67, 4, 4, 2, 1, 1, 1), (1, 1, 5, 5, 2, 5, 1, 4, 1, 1), (1, 1, 2, 900, 2, 3, 1, 1, 1, 1),
]  # fmt: skip
# n, c, h, w, kernel, stride, padding
POOLS = [
    (1, 1, 1, 1, 3, 2, 1), (1, 2, 1, 1, 3, 1, 1), (2, 3, 5, 7, 3, 2, 1), (2, 3, 5, 7, 3, 1, 1), (1, 2, 8, 9, 2, 2, 0),
    (1, 2, 19, 33, 3, 2, 1), (1, 2, 19, 33, 3, 1, 1), (2, 1, 1, 20, 3, 2, 1), (2, 1, 20, 1, 3, 1, 1),
    (1, 1, 11, 12, 5, 3, 2), (1, 1, 8, 9, 3, 2, 0), (2, 2, 13, 16, 3, 2, 0), (1, 1, 6, 7, 2, 3, 1),
]  # fmt: skip
# n, c, h, w, size: means of 4, 2 or 1 integers, exact in float32
MEANS = [(1, 1, 1, 1, 2), (2, 3, 4, 6, 2), (2, 3, 5, 7, 2), (1, 2, 1, 9, 2), (1, 2, 8, 9, 4), (3, 2, 3, 3, 1)]
# n, c, h, w, channels of zeros on each side, stride
PADS = [(1, 1, 1, 1, 1, 2), (2, 3, 5, 7, 2, 2), (2, 3, 4, 6, 0, 2), (1, 2, 3, 3, 1, 1), (1, 2, 10, 9, 3, 3)]
# n, c, h, w, size: the same without partial windows
WHOLE_MEANS = [(2, 3, 4, 6, 2), (2, 3, 5, 7, 2), (1, 2, 9, 8, 4)]
# n, c, h, w, stride of a binomial filter with reflection padding; sums of sixteenths, exact in float32
BLURS = [(1, 1, 2, 2, 1), (2, 3, 5, 7, 2), (1, 2, 8, 9, 2), (1, 2, 9, 8, 1), (1, 1, 2, 20, 3)]


def integers(shape, factor, modulus, centre):
    count = torch.Size(shape).numel()
    return ((torch.arange(count) * factor) % modulus - centre).float().reshape(shape)


def checksum(y):
    weights = torch.arange(y.numel(), dtype=torch.float64) % 97 + 1
    return int((y.double().flatten() * weights).sum().item())


print("// Written by pytorch_cases.py with PyTorch", torch.__version__.split("+")[0])
print("// swift-format-ignore-file")
print("\n/// Sizes of a convolution and the checksum of PyTorch's result.")
print("let convolutionCases: [(sizes: [Int], checksum: Double)] = [")
for case in CONVOLUTIONS:
    n, c, h, w, out, kernel, stride, padding, dilation, groups = case
    x, k = integers((n, c, h, w), 7, 23, 11), integers((out, c // groups, kernel, kernel), 5, 13, 6)
    y = torch.nn.functional.conv2d(x.double(), k.double(), None, stride, padding, dilation, groups)
    print(f"  ({list(case)}, {checksum(y)}),")
print("]\n\n/// Sizes of a max pool and the checksum of PyTorch's result.")
print("let poolCases: [(sizes: [Int], checksum: Double)] = [")
for case in POOLS:
    n, c, h, w, kernel, stride, padding = case
    x = integers((n, c, h, w), 7, 23, 30)
    print(f"  ({list(case)}, {checksum(torch.nn.functional.max_pool2d(x, kernel, stride, padding))}),")
print("]")
print("\n/// Sizes of an average pool in ceil mode and the checksum of PyTorch's result.")
print("let meanCases: [(sizes: [Int], checksum: Double)] = [")
for case in MEANS:
    n, c, h, w, size = case
    y = torch.nn.functional.avg_pool2d(
        integers((n, c, h, w), 7, 23, 30), size, size, ceil_mode=True, count_include_pad=False
    )
    print(f"  ({list(case)}, {checksum(y * size * size) / size**2}),")
print("]\n\n/// Sizes of a shortcut without parameters and the checksum of PyTorch's result.")
print("let padCases: [(sizes: [Int], checksum: Double)] = [")
for case in PADS:
    n, c, h, w, each, stride = case
    y = torch.nn.functional.pad(integers((n, c, h, w), 7, 23, 30)[:, :, ::stride, ::stride], (0, 0, 0, 0, each, each))
    print(f"  ({list(case)}, {checksum(y)}),")
print("]")
print("\n/// Sizes of a max pool over a border of zeros and the checksum of PyTorch's result.")
print("let zeroPoolCases: [(sizes: [Int], checksum: Double)] = [")
for case in POOLS:
    n, c, h, w, kernel, stride, padding = case
    x = torch.nn.functional.pad(integers((n, c, h, w), 7, 23, 30), (padding,) * 4)
    print(f"  ({list(case)}, {checksum(torch.nn.functional.max_pool2d(x, kernel, stride))}),")
print("]\n\n/// Sizes of a max pool in ceil mode and the checksum of PyTorch's result.")
print("let edgePoolCases: [(sizes: [Int], checksum: Double)] = [")
for case in POOLS:
    n, c, h, w, kernel, stride, padding = case
    y = torch.nn.functional.max_pool2d(integers((n, c, h, w), 7, 23, 30), kernel, stride, padding, ceil_mode=True)
    print(f"  ({list(case)}, {checksum(y)}),")
print("]\n\n/// Sizes of an average pool of full windows and the checksum of PyTorch's result.")
print("let wholeMeanCases: [(sizes: [Int], checksum: Double)] = [")
for case in WHOLE_MEANS:
    n, c, h, w, size = case
    y = torch.nn.functional.avg_pool2d(integers((n, c, h, w), 7, 23, 30), size)
    print(f"  ({list(case)}, {checksum(y * size * size) / size**2}),")
print("]\n\n/// Sizes of a binomial filter and the checksum of PyTorch's result.")
print("let blurCases: [(sizes: [Int], checksum: Double)] = [")
for case in BLURS:
    n, c, h, w, stride = case
    x = torch.nn.functional.pad(integers((n, c, h, w), 7, 23, 30), (1, 1, 1, 1), mode="reflect")
    row = torch.tensor([1.0, 2.0, 1.0])
    kernel = (row[:, None] * row)[None, None].expand(c, 1, 3, 3)
    print(f"  ({list(case)}, {checksum(torch.nn.functional.conv2d(x, kernel, stride=stride, groups=c)) / 16}),")
print("]")
