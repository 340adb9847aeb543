"""Shared by all tests against live peers: the tool, the fixtures, the corpus, and printed figures.

DECANT         the built tool; default: the release build of this checkout
DECANT_CORPUS  real checkpoints with MANIFEST.tsv and digests.tsv; without it their tests are skipped
"""

import csv
import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
# PyTorch's threads spin while they wait, and take the processors from the tool and from ONNX Runtime. Read when torch is
# imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "fixtures"))

import networks  # noqa: E402  (before anything imports torchvision: it makes that import work on a CPU build)
import torch  # noqa: E402
from accuracy import Runner  # noqa: E402
from tool import Decant  # noqa: E402

torch.set_num_threads(2)
_figures: list[str] = []


def pytest_configure(config):
    # Deprecations and experimental types of torch: the fixtures use them on purpose.
    config.addinivalue_line("filterwarnings", "ignore::UserWarning:torch.*")


def pytest_report_header():
    return f"torch {torch.__version__}; the tool: {_binary()}"


def pytest_runtest_logreport(report):
    """Takes the figures of a test, whichever process ran it."""
    if report.when == "teardown":
        _figures.extend(line for name, line in report.user_properties if name == "figure")


def pytest_terminal_summary(terminalreporter):
    """Figures are part of the result: they are printed whether or not a test fails."""
    if _figures:
        terminalreporter.section("figures")
        for line in _figures:
            terminalreporter.write_line(line)


def _binary() -> Path:
    return Path(os.environ.get("DECANT") or ROOT / ".build" / "release" / "decant").resolve()


@pytest.fixture
def figures(record_property):
    """Takes a line that the summary prints."""
    return lambda line: record_property("figure", line)


@pytest.fixture(scope="session")
def decant() -> Decant:
    binary = _binary()
    if not os.access(binary, os.X_OK):
        pytest.exit(f"there is no tool at {binary}: run make build, or set DECANT", returncode=2)
    return Decant(binary)


@pytest.fixture
def folder():
    """A folder that is gone after the test, whatever became of it: checkpoints are large."""
    with tempfile.TemporaryDirectory(prefix="decant-peers-") as path:
        yield Path(path)


@pytest.fixture
def run(decant, folder):
    """`decant run` on arrays."""
    return Runner(decant, folder)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return ROOT / "fixtures"


class Corpus:
    """Real checkpoints of public repositories, and what an independent reader says of their tensors."""

    def __init__(self, place: Path):
        self.files = self._table(place / "MANIFEST.tsv")
        for row in self.files:
            row["file"] = place / row["path"]
        self.digests: dict[str, list[dict]] = {}
        for row in self._table(place / "digests.tsv"):
            self.digests.setdefault(row["path"], []).append(row)

    @staticmethod
    def _table(path: Path) -> list[dict]:
        with open(path, encoding="utf-8", newline="") as table:
            return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    place = os.environ.get("DECANT_CORPUS")
    if not place or not (Path(place) / "MANIFEST.tsv").is_file():
        pytest.skip("DECANT_CORPUS names no folder with a MANIFEST.tsv, so no file of the corpus is read")
    return Corpus(Path(place))


class Checkpoints:
    """Synthesised checkpoints of a session, each made once."""

    def __init__(self, decant: Decant, place: Path):
        self.decant = decant
        self.place = place

    def file(self, architecture: str) -> Path:
        path = self.place / f"{architecture}.pth"
        if not path.exists():
            self.decant("synthesize", architecture, "--seed", "7", "-o", path)
        return path

    def network(self, architecture: str) -> torch.nn.Module:
        """torchvision's module with what PyTorch itself loads from the file."""
        network = networks.build(architecture)
        loaded = torch.load(self.file(architecture), map_location="cpu", weights_only=True)
        network.load_state_dict(loaded["model"], strict=True, assign=True)
        return network.eval()


@pytest.fixture(scope="session")
def checkpoints(decant):
    with tempfile.TemporaryDirectory(prefix="decant-peers-") as path:
        yield Checkpoints(decant, Path(path))
