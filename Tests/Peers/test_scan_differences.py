"""`decant scan` beside other readers on random files: where another reader finds code, the file is not clean.

SCAN_SECONDS   how long each format is compared: 60 in the gate
SCAN_SEED      "new" takes the time
"""

import collections
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
import safetensors.torch
import torch
from attack_templates import gguf_file
from honest_files import honest
from mutants import MUTANTS

SECONDS = float(os.environ.get("SCAN_SECONDS", "60"))
SEED = os.environ.get("SCAN_SEED", "19")
SEED = int(time.time()) if SEED == "new" else int(SEED)
KEPT = Path(__file__).resolve().parents[2] / ".build" / "differences"
BATCH = 500


def others(kind: str, paths: list[str]) -> dict[str, dict]:
    """What the other readers say; a file that crashes them says nothing."""
    answers, left = {}, list(paths)
    while left:
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("other_readers.py"), kind], input="\n".join(left), text=True,
            capture_output=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode <= 0, done.stderr[-2000:]
        listed = [json.loads(line) for line in done.stdout.splitlines()]
        answers.update(listed)
        left = left[len(listed) + 1 :]
    return answers


@pytest.mark.parametrize("kind", MUTANTS)
def test_what_other_readers_find_is_not_clean(decant, folder, figures, kind):
    end = time.monotonic() + SECONDS
    count, found, verdicts = 0, collections.Counter(), collections.Counter()
    missed = []
    while time.monotonic() < end and len(missed) < 20:
        place = folder / str(count)
        place.mkdir()
        paths = []
        for index in range(count, count + BATCH):
            path = place / f"{index:06}.{'pth' if kind == 'zip' else kind}"
            path.write_bytes(MUTANTS[kind](random.Random(f"{SEED} {kind} {index}")))
            paths.append(str(path))
        done = decant.attempt("scan", "--json", place)
        assert done.status in (0, 1), done.errors
        ours = {entry["file"]: entry["verdict"] for entry in json.loads(done.output)["files"]}
        for path, answers in others(kind, paths).items():
            verdicts[ours[path]] += 1
            for reader, answer in answers.items():
                found[reader] += bool(answer)
                if answer and ours[path] == "clean":
                    missed.append(f"{Path(path).name}: clean, but {reader} finds code")
                    KEPT.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, KEPT / f"{SEED}-{Path(path).name}")
        shutil.rmtree(place)
        count += BATCH
    figures(
        f"differences, seed {SEED}, {kind}: {count} files; code found by "
        + ", ".join(f"{reader} in {number}" for reader, number in found.items())
        + "; decant: " + ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()))
    )  # fmt: skip
    # No random tar has exactly the padding and the numbers that writers give it.
    assert all(found.values()) and (verdicts["clean"] > 0 or kind == "tar"), "the files do not reach both sides"
    assert not missed, f"seed {SEED}; see {KEPT}:\n" + "\n".join(missed)


def changed(data: bytes, only_more: bool) -> list[bytes]:
    """A file with one byte more at every offset, and with one bit changed in every byte.

    - Parameter only_more: One NUL more, and nothing else. A changed bit in a pickle can be another value, of which no
      loader makes a tensor (A1 of docs/SECURITY-MODEL.md), and one in an archive a tensor's, whose checksum scan does
      not compare.
    """
    extras = [b"\0"] if only_more else [b"\0", b"N"]
    made = [data[:place] + extra + data[place:] for place in range(len(data) + 1) for extra in extras]
    if not only_more:
        made += [data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :] for place in range(len(data))]
    return made


def small_files() -> dict[str, tuple[bytes, bool]]:
    """Clean files of each format, and whether only a byte more must be noticed."""
    arrays = io.BytesIO()
    numpy.savez(arrays, numpy.arange(3.0))
    array = io.BytesIO()
    numpy.save(array, numpy.zeros(2, [("a", "<f4"), ("b", "|S2")]))
    tensors = {"a": torch.ones(3), "b": torch.zeros(2, 2, dtype=torch.uint8)}
    return {
        "numbers.safetensors": (safetensors.torch.save(tensors, {"format": "pt"}), False),
        "array.npy": (array.getvalue(), False),
        "arrays.npz": (arrays.getvalue(), True),
        "metadata.gguf": (gguf_file({"general.architecture": "llama", "general.alignment": 32, "x": ["a", "b"]}), False),
        "zip.pth": (honest("zip"), True),
        "legacy.pth": (honest("legacy"), True),
    }


def test_one_byte_more_is_noticed(decant, folder, figures):
    """Where a file's own reader refuses it, it is not clean: each byte belongs to something."""
    missed, count = [], 0
    for name, (data, only_more) in small_files().items():
        place = folder / name.partition(".")[0]
        place.mkdir()
        for index, content in enumerate(changed(data, only_more)):
            (place / f"{index:05}.{name}").write_bytes(content)
            count += 1
        done = decant.attempt("scan", "--json", place)
        ours = {entry["file"]: entry["verdict"] for entry in json.loads(done.output)["files"]}
        clean = sorted(path for path, verdict in ours.items() if verdict == "clean")
        for path, answers in others("own", clean).items():
            if answers["its reader"]:
                missed.append(Path(path).name)
    figures(f"differences: {count} files with one byte more, or one bit changed: {len(missed)} clean that their readers refuse")
    assert not missed, f"{len(missed)} files are clean, and their own reader refuses them: {missed[:40]}"
