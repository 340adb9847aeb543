"""NumPy reads what `decant run` writes, and `decant run` takes what NumPy writes."""

import json

import numpy as np
import pytest
import synthesis


@pytest.fixture
def image():
    """Numbers that float16 holds, so that every type below stands for the same input."""
    return synthesis.image(7, 40, 2, 3, 40, 36).astype(np.float16).astype(np.float32)


@pytest.fixture
def run(decant, checkpoints, folder):
    """Runs resnet18 on a saved array; returns the logits as NumPy loads them."""

    def run(path, *options):
        output = folder / "y.npy"
        decant("run", checkpoints.file("resnet18"), "--input", path, "--output", output, *options)
        return np.load(output, allow_pickle=False)

    return run


def test_numpy_reads_the_output(decant, checkpoints, folder, image, run):
    np.save(folder / "x.npy", image)
    for options, dtype in [([], np.float32), (["--float64"], np.float64)]:
        logits = run(folder / "x.npy", *options)
        assert logits.dtype == dtype and logits.shape == (2, 1000)
        assert logits.flags.c_contiguous
        with open(folder / "y.npy", "rb") as file:
            assert np.lib.format.read_magic(file) == (1, 0)
            shape, fortran_order, described = np.lib.format.read_array_header_1_0(file)
            assert (shape, fortran_order, described) == ((2, 1000), False, np.dtype(dtype))
            assert file.tell() % 64 == 0
        mapped = np.load(folder / "y.npy", mmap_mode="r")
        assert np.array_equal(mapped, logits)
        printed = decant("run", checkpoints.file("resnet18"), "--input", folder / "x.npy", *options, "--json")
        assert np.array_equal(np.array(json.loads(printed.output)["logits"], dtype), logits)
    stem = run(folder / "x.npy", "--stage", "stem")
    assert stem.shape == (2, 64, 20, 18) and stem.dtype == np.float32


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("precision", [[], ["--float64"]], ids=["float32", "float64"])
def test_every_type_and_order_of_input(folder, image, run, dtype, order, precision):
    np.save(folder / "plain.npy", image)
    array = image.astype(dtype, order=order)
    assert array.flags.f_contiguous == (order == "F")
    np.save(folder / "other.npy", array)
    assert np.array_equal(run(folder / "other.npy", *precision), run(folder / "plain.npy", *precision))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format(folder, image, run, version):
    np.save(folder / "plain.npy", image)
    with open(folder / "versioned.npy", "wb") as file:
        np.lib.format.write_array(file, image, version=version)
    assert np.array_equal(run(folder / "versioned.npy"), run(folder / "plain.npy"))


def test_transposed_views(folder, image, run):
    """N x H x W x C in memory, saved as N x C x H x W: NumPy writes it in row-major order."""
    np.save(folder / "plain.npy", image)
    channels_last = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    np.save(folder / "view.npy", channels_last.transpose(0, 3, 1, 2))
    assert np.array_equal(run(folder / "view.npy"), run(folder / "plain.npy"))


def test_float64_input_keeps_its_digits(decant, checkpoints, folder, run):
    """In float64 the input is not rounded to float32 on the way."""
    image = synthesis.image(7, 50, 1, 3, 32, 32).astype(np.float64) * (1 + 2.0**-40)
    np.save(folder / "exact.npy", image)
    np.save(folder / "rounded.npy", image.astype(np.float32))
    assert not np.array_equal(
        run(folder / "exact.npy", "--float64"), run(folder / "rounded.npy", "--float64")
    )


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 3, 8, 8), np.uint8),
        np.zeros((1, 3, 8, 8), np.int64),
        np.zeros((1, 3, 8, 8), np.complex64),
        np.zeros((1, 3, 8, 8), bool),
        np.zeros((1, 3, 8, 8), "U4"),
        np.zeros((1, 3, 8, 8), [("r", "f4"), ("g", "f4")]),
        np.zeros((1, 3, 8, 8), np.longdouble),
        np.zeros((1, 3, 8, 8), "M8[s]"),
        np.zeros((3, 8, 8), np.float32),
        np.zeros((1, 8, 8, 3), np.float32),
        np.zeros((0, 3, 8, 8), np.float32),
        np.zeros((), np.float32),
    ],
    ids=lambda array: f"{array.dtype.str}-{array.ndim}d-{array.size}",
)
def test_other_arrays_are_refused(decant, checkpoints, folder, array):
    np.save(folder / "x.npy", array)
    arguments = ["--input", folder / "x.npy", "--output", folder / "y.npy"]
    finished = decant.attempt("run", checkpoints.file("resnet18"), *arguments)
    assert finished.status == 2 and "decant: error: " in finished.errors
    assert not (folder / "y.npy").exists()


def test_pickled_arrays_are_refused(decant, checkpoints, folder):
    np.save(folder / "x.npy", np.array([1, "two"], object), allow_pickle=True)
    arguments = ["--input", folder / "x.npy", "--output", folder / "y.npy"]
    finished = decant.attempt("run", checkpoints.file("resnet18"), *arguments)
    assert finished.status == 2 and "not plain numbers" in finished.errors
