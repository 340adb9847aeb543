"""What an attack is, the kinds of docs/SECURITY-MODEL.md, and the list of recipes that make them."""

from dataclasses import dataclass, field
from pathlib import Path

# Kinds 12 and 13 are about paths and about what `convert` writes: no loader runs them.
KINDS = {
    1: "two formats in one file, and streams behind the first",
    2: "an argument crosses the end of a frame",
    3: "opcodes that CPython executes and readers refuse",
    4: "zip: sizes, names, packages, resources and compiled models",
    5: "NumPy headers, and what follows an array",
    6: "tar by its checksum",
    7: "legacy files: storages that end a check early",
    8: "GGUF chat templates",
    9: "distributed checkpoints: an item inside a tensor's data",
    10: "functions of libraries that run text",
    11: "loading that never ends or asks for terabytes",
    14: "joblib: raw data inside a pickle",
    15: "TorchScript that writes when it is loaded",
    16: "files beside an unzipped data.pkl",
}


@dataclass
class Attack:
    """A file or folder, and the loaders that may run it."""

    kind: int
    recipe: str
    number: int
    files: dict[str, bytes]
    loaders: tuple[str, ...]
    needs: str  # "dangerous", or "not clean"
    # True when it does not run code but exhausts time or memory.
    denial: bool = False
    # Why it counts although no loader at hand runs it: the source that says so.
    argued: str = ""
    interpreter: str = ""
    results: list[dict] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"kind {self.kind}, {self.recipe} {self.number}"

    def found(self, verdict: str) -> bool:
        """True when a verdict is as severe as the kind demands."""
        return verdict == "dangerous" or self.needs == "not clean" and verdict in ("unknown", "unreadable")

    @property
    def is_folder(self) -> bool:
        return len(self.files) > 1

    def write(self, folder: Path) -> Path:
        """Writes the files; returns the path to load and to scan."""
        stem = f"{self.kind:02}-{self.recipe}-{self.number}"
        target = folder / stem
        if not self.is_folder:
            ((suffix, data),) = self.files.items()
            target = folder / (stem + suffix)
            target.write_bytes(data)
            return target
        target.mkdir()
        for path, data in self.files.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(data)
        return target

    @property
    def target(self) -> str:
        """The path that a loader is given, below the folder; empty for the folder or file itself."""
        if "model.pkl" in self.files:
            return "model.pkl"
        return list(self.files)[-1] if self.kind == 16 and self.loaders == ("pickle",) else ""

    def succeeded(self) -> bool:
        if self.denial:
            return any(result["ended"] not in ("loaded", "error") for result in self.results)
        return any(result["ran"] for result in self.results)


@dataclass
class Recipe:
    kind: int
    loaders: tuple[str, ...]
    make: object
    count: int
    needs: str
    denial: bool
    argued: str
    interpreter: str


RECIPES: list[Recipe] = []


def recipe(kind, *loaders, count=4, needs="dangerous", denial=False, argued="", interpreter=""):
    """Registers a function of a random generator that returns a file's bytes, or several files by their names."""

    def register(function):
        RECIPES.append(Recipe(kind, loaders, function, count, needs, denial, argued, interpreter))
        return function

    return register
