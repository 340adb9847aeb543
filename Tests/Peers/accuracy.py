"""How far `decant run` is from PyTorch, whose float64 is the truth.

A float32 engine is judged by the RMS of its error over many numbers, beside PyTorch's own float32 error on the same
images: one number of one image is chance.
"""

import numpy as np
import torch

# Largest float64 difference, as a part of the largest number.
FLOAT64 = 1e-12
# Largest ratio of our float32 RMS error to PyTorch's, by engine. The default is oneDNN 2.6, whose AVX-512 kernels (brgconv) sum each
# output's products in one go: on an EPYC with AVX-512 its error is up to 2.16 times PyTorch's; without AVX-512 2.0 was enough.
RATIO = {"default": 2.5, "reference": 2.0}
ENGINES = ["default", "reference"]


class Runner:
    """Runs `decant run` on arrays."""

    def __init__(self, decant, folder):
        self.decant = decant
        self.folder = folder

    def __call__(self, file, images: np.ndarray, *options, dtype=np.float32) -> np.ndarray:
        np.save(self.folder / "x.npy", images)
        precision = ["--float64"] if dtype == np.float64 else []
        paths = ["--input", self.folder / "x.npy", "--output", self.folder / "y.npy"]
        self.decant("run", file, *paths, *precision, *options, seconds=900)
        result = np.load(self.folder / "y.npy")
        assert result.dtype == dtype and len(result) == len(images)
        return result


def image(*shape: int, seed: int = 6) -> np.ndarray:
    """Normal numbers, as a normalised photograph roughly is."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).numpy()


def result(network, x: torch.Tensor) -> np.ndarray:
    """What a network or a function answers; transformers wraps its logits."""
    answer = network(x)
    return getattr(answer, "logits", answer).numpy()


@torch.no_grad()
def both_precisions(network, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PyTorch's logits in float32 and in float64."""
    x = torch.from_numpy(images)
    single = result(network.float(), x)
    double = result(network.double(), x.double())
    network.float()  # the same bits as before
    return single, double


def rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(error))))


def measure(run, file, network, images: np.ndarray, *options, exact: int | None = None) -> dict[str, float]:
    """Errors against PyTorch's float64, relative: RMS in float32 of each engine and of PyTorch, our largest in either precision.

    In float64 the first `exact` images are run, by default all.
    """
    single, double = both_precisions(network, images)
    assert np.isfinite(single).all()
    largest = np.abs(double).max()
    engines = {"default": run(file, images, *options), "reference": run(file, images, *options, "--engine", "reference")}
    ours64 = run(file, images[:exact], *options, dtype=np.float64)
    assert all(np.isfinite(ours).all() and ours.shape == double.shape for ours in engines.values())
    assert np.isfinite(ours64).all() and ours64.shape == double[:exact].shape
    return {
        **{engine: rms(ours - double) / largest for engine, ours in engines.items()},
        "torch": rms(single - double) / largest,
        "largest": max(float(np.abs(ours - double).max() / largest) for ours in engines.values()),
        "float64": float(np.abs(ours64 - double[:exact]).max() / largest),
    }


def check_errors(errors: dict[str, float]):
    """Requires what is promised of `measure`'s errors."""
    assert errors["float64"] < FLOAT64
    for engine in ENGINES:
        assert errors[engine] <= RATIO[engine] * errors["torch"], engine


@torch.no_grad()
def distance(run, file, network, images: np.ndarray, *options) -> float:
    """The largest difference in float64, as a part of PyTorch's largest number; leaves the network in float64."""
    expected = result(network.double(), torch.from_numpy(images).double())
    ours = run(file, images, *options, dtype=np.float64)
    assert ours.shape == expected.shape
    return float(np.abs(ours - expected).max() / np.abs(expected).max())


def describe(errors: dict[str, float]) -> str:
    said = ", ".join(f"{engine} {errors[engine]:.2e}, {errors[engine] / errors['torch']:.2f} times" for engine in ENGINES)
    return f"RMS error of the largest logit: {said} torch's {errors['torch']:.2e}; float64, largest: {errors['float64']:.1e}"
