"""Writes the pictures of docs/images: the report, and every command on a terminal of 80 and of 140 columns.

python Tests/Scripts/screenshots.py DECANT [docs/images]
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "Tests" / "Peers"), str(ROOT / "Tests" / "Scripts")]

from browser import Browser  # noqa: E402
from PIL import Image  # noqa: E402
from terminal import capture, page  # noqa: E402

COLUMNS = [80, 140]
ROWS = 42

# The name of the picture, and the command. Files are made by PREPARATION.
COMMANDS = [
    ("summary", "decant nodown.pth"),
    ("inspect", "decant inspect nodown.pth"),
    ("stats", "decant inspect small.pth --stats"),
    ("identify", "decant identify nodown.pth"),
    ("verify", "decant verify nodown.pth --arch resnet50nodown"),
    ("convert", "decant convert nodown.pth nodown.safetensors --dtype float16"),
    ("diff", "decant diff nodown.pth nodown.safetensors"),
    ("run", "decant run resnet50.pth --input photo.jpg --preprocess imagenet-eval"),
    ("scan", "decant scan os-system.pkl nodown.pth"),
    ("report", "decant report nodown.pth -o report.html"),
    ("spec", "decant spec small.pth"),
    ("bom", "decant bom nodown.pth"),
    ("synthesize", "decant synthesize resnet18 -o resnet18.pth"),
    ("help", "decant --help"),
]
PREPARATION = [
    "synthesize resnet50nodown --seed 7 -o nodown.pth",
    "synthesize resnet50 --seed 7 -o resnet50.pth",
]


def save(shot: bytes, path: Path, colors: int):
    """Writes a PNG with a palette, which is a third of the size."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


def main():
    decant = Path(sys.argv[1]).resolve()
    images = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "docs" / "images").resolve()
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Browser() as browser:
        folder = Path(name)
        for source, target in [
            ("torch/small_basic.pth", "small.pth"), ("pictures/photo.jpg", "photo.jpg"),
            ("pickles/hand-os-system.pkl", "os-system.pkl"),
        ]:  # fmt: skip
            shutil.copy(ROOT / "fixtures" / source, folder / target)
        for line in PREPARATION:
            subprocess.run([decant, *line.split()], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([decant, "report", "resnet50.pth", "-o", "resnet50.html"], cwd=folder, check=True)
        subprocess.run([decant, "report", "resnet50.pth", "-o", images / "resnet50.svg"], check=True, cwd=folder)
        for width, height in [(360, 1500), (1440, 2100)]:
            for scheme in ("light", "dark"):
                browser.resize(width, scale=2 if width < 500 else 1)
                browser.prefer(scheme)
                browser.open(folder / "resnet50.html")
                save(browser.screenshot(height), images / f"report-{width}-{scheme}.png", 160)
        browser.prefer("light")
        known = subprocess.run([decant, "--help"], capture_output=True, text=True, check=True).stdout
        environment = {"PATH": f"{decant.parent}:{os.environ['PATH']}"}
        for title, command in COMMANDS:
            word = command.split()[1]
            if word.isalpha() and f"\n  {word} " not in known:
                print(f"no command {word}: no picture of it")
                continue
            for columns in COLUMNS:
                text = capture(f"{command} --no-pager" if word != "--help" else command, columns, folder=folder, environment=environment)
                (folder / "terminal.html").write_text(page(command, text, columns, ROWS), encoding="utf-8")
                browser.resize(columns * 9 + 60, height=100)
                browser.open(folder / "terminal.html")
                save(browser.screenshot(), images / f"{title}-{columns}.png", 48)
    total = sum(path.stat().st_size for path in images.iterdir())
    print(f"{len(list(images.iterdir()))} pictures, {total / 1e6:.2f} MB")
    assert total < 2_000_000, "the pictures are too large"


if __name__ == "__main__":
    main()
