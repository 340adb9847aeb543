"""Pictures: `decant run` makes of PNG and JPEG files what Pillow and torchvision's transforms make of them."""

import io
import json
import os
import pty
import shutil
import struct
import subprocess
import zlib

import networks
import numpy as np
import pytest
import torch
from picture_bytes import CHANNELS, chunk, drawing, exif, palette, png
from PIL import Image, ImageOps
from torchvision import transforms

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RAW = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)])
EVAL = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), RAW])
TRANSFORMS = {"imagenet-raw": RAW, "imagenet-eval": EVAL}
SIZES = [(1, 1), (2, 3), (97, 131), (131, 97), (224, 224), (256, 256), (255, 257), (300, 400), (480, 640), (33, 700)]


def bytes_of(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return drawing(height, width, channels, seed).astype(np.uint8)


def kinds_of_png():
    for colour, depths in {0: (1, 2, 4, 8), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for depth in depths:
            for interlaced in (False, True):
                for height, width in ((1, 1), (37, 53)):
                    samples = drawing(height, width, CHANNELS[colour], levels=1 << depth)
                    before = palette(1 << depth) if colour == 3 else b""
                    name = f"{colour}-{depth}-{'interlaced' if interlaced else 'plain'}-{width}x{height}"
                    yield name, png(samples, depth, colour, before=before, interlaced=interlaced)
    samples = drawing(9, 11, 1, levels=16)
    yield "palette-too-short", png(samples, 8, 3, before=palette(5))
    yield "palette-transparent", png(samples, 8, 3, before=palette(16) + chunk(b"tRNS", bytes(range(16))))
    yield "grey-transparent", png(samples, 8, 0, before=chunk(b"tRNS", b"\0\7"))
    yield "gamma", png(samples * 9, 8, 0, before=chunk(b"gAMA", struct.pack(">I", 100000)))
    yield "srgb-and-text", png(samples * 9, 8, 0, before=chunk(b"sRGB", b"\0") + chunk(b"tEXt", b"a\0b"))


def saved(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def kinds_of_jpeg():
    for height, width in ((1, 1), (7, 9), (16, 16), (97, 131)):
        image = Image.fromarray(bytes_of(height, width))
        for subsampling in (0, 1, 2):
            for options in ({}, {"progressive": True}, {"quality": 20}, {"quality": 100}, {"restart_marker_rows": 1}):
                text = "-".join(f"{key}{value}" for key, value in options.items()) or "plain"
                yield f"rgb-{subsampling}-{text}-{width}x{height}", saved(image, "JPEG", subsampling=subsampling, **options)
        yield f"grey-{width}x{height}", saved(image.convert("L"), "JPEG")
        yield f"grey-progressive-{width}x{height}", saved(image.convert("L"), "JPEG", progressive=True)
        yield f"inks-{width}x{height}", saved(Image.fromarray(bytes_of(height, width, 4), "CMYK"), "JPEG")
        yield f"kept-rgb-{width}x{height}", saved(image, "JPEG", keep_rgb=True)


    # What Pillow does not write: the same blocks under other samplings, and inks as YCCK.
    square = Image.fromarray(bytes_of(32, 32))
    for subsampling, sampling in ((1, 0x12), (2, 0x41), (2, 0x14)):
        data = bytearray(saved(square, "JPEG", subsampling=subsampling))
        data[data.index(b"\xff\xc0") + 11] = sampling
        yield f"rgb-sampling-{sampling:x}", bytes(data)
    inks = bytearray(saved(Image.fromarray(bytes_of(32, 32, 4), "CMYK"), "JPEG"))
    inks[inks.index(b"Adobe") + 11] = 2
    yield "inks-ycck", bytes(inks)


FILES = dict(kinds_of_png()) | {f"jpeg-{name}": data for name, data in kinds_of_jpeg()}


# Pillow warns of palettes with alpha, which are converted all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Palette images with Transparency")


class Pictures:
    """Runs pictures through a small network, and reads what it was given."""

    def __init__(self, decant, folder, fixtures):
        self.decant, self.folder = decant, folder
        self.network = fixtures / "torch" / "small_basic.pth"

    def write(self, name: str, data: bytes):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def __call__(self, paths, preprocess: str, *options, stage="input"):
        arguments = [part for path in paths for part in ("--input", path)]
        output = self.folder / "input.npy"
        finished = self.decant(
            "run", self.network, *arguments, "--preprocess", preprocess, "--stage", stage, "--output", output, "--json",
            *options,
        )  # fmt: skip
        return np.load(output), json.loads(finished.output)

    def refused(self, data: bytes, *options) -> str:
        path = self.write("refused", data)
        options = options or ("--preprocess", "imagenet-raw")
        finished = self.decant.attempt("run", self.network, "--input", path, *options)
        assert finished.status == 2 and finished.output == "", finished.errors
        return finished.errors


@pytest.fixture
def pictures(decant, folder, fixtures):
    return Pictures(decant, folder, fixtures)


def expected(data: bytes, preprocess: str, transpose: bool = True) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.load()
    if transpose:
        image = ImageOps.exif_transpose(image)
    return TRANSFORMS[preprocess](image.convert("RGB")).numpy()


def test_every_kind_of_file_gives_pillows_pixels(pictures, figures):
    """Bit for bit: decoding, palettes, depths, alpha, inks, and the arithmetic of ToTensor and Normalize."""
    paths = [pictures.write(name, data) for name, data in FILES.items()]
    shapes: dict[tuple, list] = {}
    for path, data in zip(paths, FILES.values(), strict=True):
        shapes.setdefault(expected(data, "imagenet-raw").shape, []).append((path, data))
    compared = 0
    for group in shapes.values():
        found, report = pictures([path for path, _ in group], "imagenet-raw")
        assert [image["file"] for image in report["images"]] == [str(path) for path, _ in group]
        for ours, (path, data) in zip(found, group, strict=True):
            wanted = expected(data, "imagenet-raw")
            assert np.array_equal(ours, wanted), f"{path.name}: {np.abs(ours - wanted).max()}"
            compared += ours.size
    figures(f"pictures, imagenet-raw: {len(paths)} files, {compared:,} numbers, every one equal to torchvision's")


def test_resizing_is_pillows(pictures, figures):
    paths, wanted = [], []
    for height, width in SIZES:
        data = saved(Image.fromarray(bytes_of(height, width)), "PNG")
        paths.append(pictures.write(f"{width}x{height}.png", data))
        wanted.append(expected(data, "imagenet-eval"))
    for name, data in list(FILES.items())[::7]:
        paths.append(pictures.write(name, data))
        wanted.append(expected(data, "imagenet-eval"))
    found, report = pictures(paths, "imagenet-eval")
    assert report["input_shape"] == [len(paths), 3, 224, 224]
    for ours, theirs, path in zip(found, wanted, paths, strict=True):
        assert np.array_equal(ours, theirs), f"{path.name}: {np.abs(ours - theirs).max()}"
    figures(f"pictures, imagenet-eval: {len(paths)} files, {found.size:,} numbers, every one equal to torchvision's")


def test_random_sizes_are_resized_as_pillow_does(pictures):
    generator = np.random.default_rng(5)
    paths, wanted = [], []
    for number in range(60):
        height, width = (int(2 ** generator.uniform(0, 10)) for _ in range(2))
        data = saved(Image.fromarray(bytes_of(height, width, seed=number)), "PNG", compress_level=0)
        paths.append(pictures.write(f"{number}.png", data))
        wanted.append(expected(data, "imagenet-eval"))
    found, _ = pictures(paths, "imagenet-eval")
    assert np.array_equal(found, np.stack(wanted))


def turned(kind: str, orientation: int, order: str) -> bytes:
    """An odd-sized picture that states an orientation in one of four places."""
    image = Image.fromarray(bytes_of(23, 41))
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    if kind == "jpeg":
        return saved(image, "JPEG", exif=b"Exif\0\0" + exif(orientation, order))
    if kind == "jpeg-xmp":
        return saved(image, "JPEG", xmp=xmp)
    text = chunk(b"eXIf", exif(orientation, order, 4))
    if kind == "png-xmp":
        text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    samples = drawing(23, 41)
    return png(samples, 8, 2, before=text) if order == ">" else png(samples, 8, 2, after=text)


@pytest.mark.parametrize("kind", ["jpeg", "png", "jpeg-xmp", "png-xmp"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientations(pictures, kind, order):
    for orientation in range(10):
        data = turned(kind, orientation, order)
        path = pictures.write(f"{kind}-{orientation}", data)
        for options, transpose in (((), True), (("--ignore-orientation",), False)):
            found, report = pictures([path], "imagenet-raw", *options)
            assert np.array_equal(found[0], expected(data, "imagenet-raw", transpose)), (orientation, options)
            stated = report["images"][0]["orientation"]
            known = 2 <= orientation <= 8
            assert stated["value"] == (orientation if known else 1) and stated["applied"] == (known and transpose)
            assert any("which is none" in note for note in report["images"][0]["notes"]) == (orientation in (0, 9))
            assert report["images"][0]["size_before"] == {"height": 23, "width": 41}


def test_what_is_dropped_is_said(pictures):
    for name, words in [("6-8-plain-53x37", "alpha channel was dropped"), ("2-16-plain-53x37", "the upper 8"),
                        ("grey-transparent", "transparency was dropped"), ("palette-too-short", "palette lacks"),
                        ("jpeg-inks-97x131", "four inks")]:  # fmt: skip
        data = FILES.get(name) or FILES["jpeg-inks-131x97"]
        _, report = pictures([pictures.write(name, data)], "imagenet-raw")
        assert any(words in note for note in report["images"][0]["notes"]), name


def test_what_cannot_be_read_is_refused(pictures):
    samples = drawing(37, 53, levels=65536)
    assert "greyscale PNG with 16 bits" in pictures.refused(png(samples[..., :1], 16, 0))
    whole = png(drawing(37, 53), 8, 2)
    jpeg = saved(Image.fromarray(bytes_of(97, 131)), "JPEG")
    for cut in (9, 20, 33, 60, len(whole) // 2, len(whole) - 13, len(whole) - 1):
        assert "truncated" in pictures.refused(whole[:cut])
    for cut in (4, 30, len(jpeg) // 2, len(jpeg) - 1):
        assert "truncated" in pictures.refused(jpeg[:cut])
    # The middle is missing, both ends are there.
    assert "damage" in pictures.refused(jpeg[: len(jpeg) // 2] + jpeg[-2:])
    wrong = bytearray(whole)
    wrong[60] ^= 1
    assert "cannot be decoded" in pictures.refused(bytes(wrong))
    header = struct.pack(">IIBBBBB", 12000, 12000, 8, 2, 0, 0, 0)
    bomb = whole[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    assert "can hold" in pictures.refused(bomb)
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb = whole[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    assert "--limit imagePixels=3600000000" in pictures.refused(bomb)
    assert "53×37 pixels, more than the limit imagePixels allows (100)" in pictures.refused(
        whole, "--preprocess", "imagenet-raw", "--limit", "imagePixels=100")
    for format in ("GIF", "WEBP", "BMP", "TIFF"):
        assert "which is not supported" in pictures.refused(saved(Image.fromarray(bytes_of(5, 5)), format))
    assert "--preprocess imagenet-eval (" in pictures.refused(whole, "--threads", "1")
    assert "--preprocess imagenet-raw (" in pictures.refused(whole, "--preprocess", "none")


def test_leftover_bytes_are_no_damage(pictures):
    """Cameras write them; Pillow reads on, and so does this, with a note."""
    jpeg = saved(Image.fromarray(bytes_of(40, 40)), "JPEG", progressive=True)
    second = jpeg.index(b"\xff\xc4", jpeg.index(b"\xff\xda"))
    data = jpeg[:second] + bytes(range(64)) + jpeg[second:] + b"trailing"
    found, report = pictures([pictures.write("a.jpg", data)], "imagenet-raw")
    assert np.array_equal(found[0], expected(data, "imagenet-raw"))
    assert any("extraneous bytes" in note for note in report["images"][0]["notes"])


@torch.no_grad()
def test_logits_end_to_end(decant, checkpoints, folder, figures):
    """A folder of pictures, and PyTorch with torchvision's transforms."""
    place = folder / "photos"
    place.mkdir()
    (place / "notes.txt").write_text("no picture")
    images = {}
    for number, (height, width) in enumerate([(300, 400), (97, 131), (640, 360), (224, 224)]):
        name = f"{number}.{'png' if number % 2 else 'jpg'}"
        data = saved(Image.fromarray(bytes_of(height, width)), "PNG" if number % 2 else "JPEG")
        (place / name).write_bytes(data)
        images[str(place / name)] = torch.from_numpy(expected(data, "imagenet-eval"))
    (folder / "labels.txt").write_text("".join(f"class \x1b[31m{number}\n" for number in range(1000)))
    file = checkpoints.file("resnet18")
    common = ["run", file, "--arch", "resnet18", "--input", place, "--preprocess", "imagenet-eval"]
    finished = decant(*common, "--labels", folder / "labels.txt", "--top", 3, "--json", "--output", folder / "y.npy", "--batch", 3)
    report = json.loads(finished.output)
    assert "skipped 1 file of other formats" in finished.errors
    network = checkpoints.network("resnet18")
    wanted = network.double()(torch.stack(list(images.values())).double()).numpy()
    found = np.load(folder / "y.npy")
    assert [image["file"] for image in report["images"]] == list(images) and found.shape == wanted.shape
    error = np.abs(found - wanted).max() / np.abs(wanted).max()
    figures(f"pictures, logits of resnet18 end to end: largest difference {error:.1e} of the largest logit")
    assert error < 1e-5
    probabilities = torch.softmax(torch.from_numpy(wanted), 1).numpy()
    for row, image in enumerate(report["images"]):
        order = np.argsort(-wanted[row])[:3]
        assert [entry["class"] for entry in image["top"]] == order.tolist()
        assert [entry["label"] for entry in image["top"]] == [f"class \x1b[31m{place}" for place in order]
        assert np.allclose([entry["probability"] for entry in image["top"]], probabilities[row, order], rtol=1e-4)
        assert np.array_equal(np.float32([entry["logit"] for entry in image["top"]]), found[row, order])
    shown = decant(*common, "--labels", folder / "labels.txt", "--top", 1).output
    assert "\x1b" not in shown and f"class {wanted[0].argmax()} class \\x1b[31m{wanted[0].argmax()}, logit" in shown
    features, _ = decant(*common, "--stage", "layer4", "--output", folder / "f.npy"), None
    assert np.load(folder / "f.npy").shape == (4, 512, 7, 7)
    refused = decant.attempt(*common[:-1], "imagenet-raw", "--stage", "layer4", "--output", folder / "g.npy")
    assert refused.status == 2 and "Run images of one size together" in refused.errors
    assert not (folder / "g.npy").exists()
    few = decant.attempt(*common, "--labels", place / "notes.txt")
    assert few.status == 2 and "has 1 line, and the network has 1,000 classes" in few.errors


def score_by_tiles(network, image: torch.Tensor) -> torch.Tensor:
    """The detector's rule, written down once more."""
    height, width = image.shape[-2:]
    if not (height > 1536 and width > 1536):
        return network(image[None])[0]
    total, areas = 0, 0
    for top in range(0, height, 1024):
        for left in range(0, width, 1024):
            tile = image[:, top : top + 1024, left : left + 1024]
            area = tile.shape[1] * tile.shape[2]
            total = total + network(tile[None])[0] * area
            areas += area
    return total / areas


@torch.no_grad()
def test_tiling(decant, folder, figures):
    """Larger than 1536 on both sides, on one, on none; a narrow rest; a picture and numbers."""
    torch.manual_seed(3)
    network = networks.small(networks.models.BasicBlock, [1, 1, 1, 1], 1, 1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    network.eval()
    torch.save(network.state_dict(), folder / "net.pth")
    sizes = [(1537, 1539, 4), (1536, 1600, 1), (2049, 1540, 6), (400, 1700, 1)]
    largest = 0
    for height, width, tiles in sizes:
        data = saved(Image.fromarray(bytes_of(height, width)), "PNG", compress_level=1)
        (folder / "a.png").write_bytes(data)
        image = torch.from_numpy(expected(data, "imagenet-raw"))
        np.save(folder / "a.npy", image.numpy()[None])
        wanted = score_by_tiles(network, image).item()
        for options in (["a.png", "--preprocess", "imagenet-raw"], ["a.npy"]):
            finished = decant(
                "run", folder / "net.pth", "--stride0", 1, "--tile", "--json", "--input", folder / options[0], *options[1:])
            report = json.loads(finished.output)
            assert report["images"][0].get("tiles", 1) == tiles
            found = report["logits"][0][0]
            assert report["images"][0]["logit"] == found
            assert report["images"][0]["probability"] == pytest.approx(1 / (1 + np.exp(-found)))
            largest = max(largest, abs(found - wanted) / abs(wanted))
            if tiles > 1 and options[0] == "a.png":
                whole = network(image[None])[0].item()
                assert abs(whole - wanted) > 100 * abs(found - wanted), "the mean of tiles is another number"
    figures(f"tiling, {len(sizes)} sizes: largest relative difference of the logit {largest:.1e}")
    assert largest < 1e-4


def test_a_bad_picture_among_good_ones(pictures, decant, folder):
    good = saved(Image.fromarray(bytes_of(40, 40)), "PNG")
    paths = [pictures.write(f"{name}.png", data) for name, data in
             [("a", good), ("b\n", good[:-20]), ("c", good)]]  # fmt: skip
    arguments = [part for path in paths for part in ("--input", path)]
    finished = decant.attempt(
        "run", pictures.network, *arguments, "--preprocess", "imagenet-raw", "--json", "--output", folder / "y.npy", "--batch", 3)
    report = json.loads(finished.output)
    assert finished.status == 2 and "b\\n.png, offset" in finished.errors and not (folder / "y.npy").exists()
    assert [image["file"] for image in report["images"]] == [str(paths[0]), str(paths[2])]
    assert [failure["file"] for failure in report["failures"]] == [str(paths[1])]


MISSING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
void *dlopen(const char *name, int mode) {
  if (name && strstr(name, getenv("MISSING_LIBRARY"))) return NULL;
  return ((void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen"))(name, mode);
}
"""


@pytest.mark.parametrize(("library", "package", "format"), [
    ("libpng16", "libpng16-16", "PNG"), ("libturbojpeg", "libturbojpeg0", "JPEG")])  # fmt: skip
def test_a_missing_library_is_named_and_nothing_else_needs_it(pictures, decant, folder, library, package, format):
    compiler = next(filter(None, map(shutil.which, ["cc", "gcc", "clang"])), None)
    if not compiler:
        pytest.skip("there is no C compiler, so no library can be made to be missing")
    (folder / "missing.c").write_text(MISSING)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "missing.so", folder / "missing.c", "-ldl"], check=True)
    environment = os.environ | {"LD_PRELOAD": str(folder / "missing.so"), "MISSING_LIBRARY": library}
    image = Image.fromarray(bytes_of(40, 40))
    np.save(folder / "x.npy", np.zeros((1, 3, 40, 40), np.float32))
    for name in ("PNG", "JPEG", "npy"):
        path = folder / "x.npy" if name == "npy" else pictures.write(name, saved(image, name))
        options = [] if name == "npy" else ["--preprocess", "imagenet-raw"]
        finished = subprocess.run(
            [decant.binary, "run", pictures.network, "--input", path, *options], env=environment, capture_output=True,
            text=True, check=False)  # fmt: skip
        assert finished.returncode == (2 if name == format else 0), finished.stderr
        assert (f"apt-get install {package}" in finished.stderr) == (name == format)


def test_a_terminal_is_told_how_far_it_is(pictures, decant, folder):
    paths = [pictures.write(f"{number}.png", saved(Image.fromarray(bytes_of(700, 701 + number)), "PNG", compress_level=1))
             for number in range(12)]  # fmt: skip
    master, terminal = pty.openpty()
    arguments = [part for path in paths for part in ("--input", path)]
    process = subprocess.Popen(
        [decant.binary, "run", pictures.network, *arguments, "--preprocess", "imagenet-raw", "--threads", "1",
         "--repeat", "8", "--json"], stdout=subprocess.DEVNULL, stderr=terminal)  # fmt: skip
    assert process.wait(60) == 0
    os.close(terminal)
    seen = b""
    try:
        while piece := os.read(master, 4096):
            seen += piece
    except OSError:
        pass  # the terminal is closed
    os.close(master)
    assert b" of 12 images, " in seen and b"\r\x1b[K" in seen
