"""Prints the table of docs/SECURITY-MODEL.md: what each scanner says of the files that run code, by kind.

    DECANT=path python attack_table.py [PYTHON]

The files are those of the gate's seed that ran. PYTHON is an interpreter with picklescan, modelscan, fickling and
modelaudit; by default this one, and the scanners that it has. The scanners run in the sandbox, without a network.
"""

import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import honest_twins
import running
import sandbox
from attack_kinds import KINDS
from attacks import make
from scanners import SCANNERS
from tool import Decant

ORDER = ["skipped", "clean", "error", "suspicious", "dangerous"]


def said(scratch: Path, python: str, scanner: str, paths: dict[str, Path]) -> dict[str, str] | None:
    """The verdict of another scanner for each attack, the worst of its files; None when it is not installed."""
    if subprocess.run([python, "-c", f"import {scanner}"], capture_output=True, check=False).returncode:
        return None
    files = {
        label: [str(file) for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
        for label, path in paths.items()
    }
    done = subprocess.run(
        sandbox.command(scratch, python, Path(__file__).with_name("scanners.py"), scanner),
        input="\n".join(sum(files.values(), [])), capture_output=True, text=True, check=True,
    )  # fmt: skip
    verdicts = json.loads(done.stdout)
    return {label: max((verdicts[file] for file in listed), key=ORDER.index) for label, listed in files.items()}


def main():
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    decant = Decant(Path(os.environ["DECANT"]))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        attacks = make(19)
        paths = running.prove(attacks, scratch, sys.executable)
        attacks = [attack for attack in attacks if attack.succeeded()]
        paths = {attack.label: paths[attack.label] for attack in attacks}
        answers = {"decant": running.verdicts(decant, scratch / "files", paths)}
        for scanner in SCANNERS:
            answers[scanner] = said(scratch, python, scanner, paths)
        answers = {scanner: verdicts for scanner, verdicts in answers.items() if verdicts}
        print("| kind | files | " + " | ".join(answers) + " |")
        print("|---|---:|" + "---|" * len(answers))
        for kind in [*KINDS, None]:
            listed = [attack for attack in attacks if kind in (attack.kind, None)]
            cells = []
            for verdicts in answers.values():
                count = collections.Counter(verdicts[attack.label] for attack in listed)
                cells.append(", ".join(f"{number} {verdict}" for verdict, number in sorted(count.items())))
            title = f"{kind}. {KINDS[kind]}" if kind else "all"
            print(f"| {title} | {len(listed)} | " + " | ".join(cells) + " |")
        honest = scratch / "honest"
        honest.mkdir()
        paths = {name: path for name, (_, path) in honest_twins.write(honest, 19).items()}
        done = decant.attempt("scan", "--json", honest)
        answers = {"decant": {entry["file"]: entry["verdict"] for entry in json.loads(done.output)["files"]}}
        for scanner in SCANNERS:
            answers[scanner] = said(scratch, python, scanner, paths)
        cells = []
        for verdicts in filter(None, answers.values()):
            count = collections.Counter(verdicts.values())
            cells.append(", ".join(f"{number} {verdict}" for verdict, number in sorted(count.items())))
        print(f"| honest files of the same shapes | {len(paths)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
