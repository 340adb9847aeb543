"""Makes files that run code, or never finish, when an ordinary loader opens them: the kinds of docs/SECURITY-MODEL.md.

    python attacks.py FOLDER [SEED]      writes them all, to look at

Each recipe makes one file (or folder) from a random generator. The only thing that any of them does is to make the file
`ran` in the working folder. test_attacks.py loads them in a sandbox, and demands a verdict of those that ran.
"""

import random
import sys
from pathlib import Path

# The recipes are registered when their modules are imported.
import attack_archives  # noqa: F401
import attack_arrays  # noqa: F401
import attack_calls  # noqa: F401
import attack_streams  # noqa: F401
import attack_templates  # noqa: F401
from attack_kinds import RECIPES, Attack


def make(seed: int, share: float = 1, kinds=None) -> list[Attack]:
    """Makes all attacks of a seed; `share` scales how many of each recipe."""
    made = []
    for entry in RECIPES:
        if kinds and entry.kind not in kinds:
            continue
        title = entry.make.__name__.replace("_", "-")
        for number in range(max(1, round(entry.count * share))):
            rng = random.Random(f"{seed} {title} {number}")
            rng.number = number
            rng.needs = entry.needs
            files = entry.make(rng)
            files = {".bin": files} if isinstance(files, bytes) else files
            made.append(
                Attack(
                    entry.kind,
                    title,
                    number,
                    files,
                    entry.loaders,
                    rng.needs,
                    entry.denial,
                    entry.argued,
                    entry.interpreter,
                )  # fmt: skip
            )
    return made


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for attack in make(int(sys.argv[2]) if len(sys.argv) > 2 else 19):
        attack.write(folder)
