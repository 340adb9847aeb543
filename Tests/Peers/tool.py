"""Runs the built tool as a user does."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import json_schemas


@dataclass
class Finished:
    """How a run ended."""

    status: int
    output: str
    errors: str


class Decant:
    """Called with a command line: `decant("verify", file, "--arch", "resnet18")`."""

    def __init__(self, binary: Path):
        self.binary = binary

    def attempt(self, *arguments, seconds: float = 120, validates: bool = True) -> Finished:
        """Runs and returns whatever came of it; a signal is never an answer. JSON is validated (docs/json)."""
        done = subprocess.run(
            [self.binary, *map(str, arguments)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False,
        )  # fmt: skip
        finished = Finished(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))
        assert finished.status >= 0, f"killed by signal {-finished.status}: {arguments}\n{finished.errors}"
        if validates and "--json" in arguments and 0 < len(finished.output) <= json_schemas.LARGEST:
            json_schemas.validate(arguments, finished.output)
        return finished

    def __call__(self, *arguments, seconds: float = 120) -> Finished:
        """Runs and requires success."""
        finished = self.attempt(*arguments, seconds=seconds)
        assert finished.status == 0, f"exit {finished.status}: {arguments}\n{finished.errors}"
        return finished

    def inspect(self, file, *options) -> dict:
        """`decant inspect --json --digest`, parsed; a duplicate key in the JSON is a failure."""
        return json.loads(
            self("inspect", "--json", "--digest", *options, "--", file).output,
            object_pairs_hook=_without_duplicates,
        )


def _without_duplicates(pairs):
    result = dict(pairs)
    assert len(result) == len(pairs), f"a JSON object holds a key twice: {[key for key, _ in pairs]}"
    return result
