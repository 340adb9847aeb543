"""Loads attacks in the sandbox, and scans them."""

import collections
import glob
import json
import shutil
from pathlib import Path

import sandbox
from attacks import Attack

# The interpreters other than this one. PyPy's pickle is its own; the others are used where they are found.
PYPY = shutil.which("pypy3")
CPYTHONS = {
    Path(path).parts[-3][:3].rstrip("."): path
    for path in sorted(glob.glob(str(Path.home() / ".pyenv/versions/*/bin/python")))
}


def prove(attacks: list[Attack], scratch: Path, python: str) -> dict[str, Path]:
    """Writes attacks, loads each with its loaders, and records what happened. Returns the paths by label."""
    files = scratch / "files"
    files.mkdir()
    paths = {}
    jobs = collections.defaultdict(list)
    by_path = {}
    for attack in attacks:
        path = attack.write(files)
        paths[attack.label] = path
        by_path[str(path)] = attack
        target = path / attack.target
        by_path[str(target)] = attack
        for loader in attack.loaders:
            interpreters = (
                [(CPYTHONS.get(attack.interpreter), attack.interpreter)] if attack.interpreter else [(python, "")]
            )
            if loader == "pickle" and not attack.interpreter and not attack.denial:
                interpreters.append((PYPY, "pypy"))
            for interpreter, title in interpreters:
                if interpreter:
                    folder = scratch / "runs" / f"{len(jobs[interpreter])}{title}"
                    jobs[interpreter].append(
                        {
                            "path": str(target),
                            "loader": loader,
                            "folder": str(folder),
                            "seconds": 3 if attack.denial else 10,
                        }
                    )
                    if attack.target == "model.pkl":
                        jobs[interpreter][-1]["copy"] = [str(path / name) for name in attack.files]
    for interpreter, listed in jobs.items():
        title = (
            ""
            if interpreter == python
            else Path(interpreter).name
            if interpreter == PYPY
            else interpreter.split("/")[-3]
        )
        for result in sandbox.load(scratch, interpreter, listed):
            result["loader"] += f", {title}" if title else ""
            by_path[result["path"]].results.append(result)
    return paths


def verdicts(decant, folder: Path, paths: dict[str, Path]) -> dict[str, str]:
    """The verdict of each attack; the worst of its files for a folder."""
    order = ["clean", "unreadable", "unknown", "dangerous"]
    worst: dict[str, str] = {}
    done = decant.attempt("scan", "--json", folder)
    assert done.status in (0, 1), done.errors
    for entry in json.loads(done.output)["files"]:
        top = Path(entry["file"]).relative_to(folder).parts[0]
        worst[top] = max(worst.get(top, "clean"), entry["verdict"], key=order.index)
    return {label: worst.get(path.name, "not scanned") for label, path in paths.items()}
