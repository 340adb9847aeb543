"""Every real file that is read, converted to each target and read back by that format's own library.

What it must hold is what the corpus's independent reader says (digests.tsv); of files it does not know, what
`decant inspect --digest` says of them. A file is left out of a target only for a reason that is checked.
"""

import collections
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from pouring import raw_tensors
from targets import HELD, PLACES, READERS
from test_corpus import CALLED_WITH_PAIRS, NUMPY_NAMES, plain_path

TARGETS = ["safetensors", "npz", "gguf"]
# The least number of files and tensors that are read back with an independent digest, and of files without one.
LEAST = {"safetensors": (362, 887, 16), "npz": (351, 876, 19), "gguf": (301, 814, 16)}
# Files that `decant inspect` refuses, and those without tensors, of 612.
MOST_UNREADABLE, MOST_WITHOUT_TENSORS = 39, 182
SAFETENSORS_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip


def numpy_name(dtype: str) -> str:
    return NUMPY_NAMES.get(dtype, dtype)


def written(place, target: str) -> list[tuple]:
    """Name, NumPy's name of the type, shape and digest of everything in a converted file."""
    if target == "safetensors":  # by the parser: torch has no loader for some of its types
        records = [
            (name, SAFETENSORS_NAMES.get(entry["dtype"], entry["dtype"]), entry["shape"], entry["data"])
            for name, entry in raw_tensors(place)
        ]
    else:
        records = READERS[target](place)
    return [
        (name, numpy_name(dtype), tuple(shape), hashlib.sha256(data).hexdigest()) for name, dtype, shape, data in records
    ]


def reason_is_true(errors: str, listing: dict, target: str) -> str | None:
    """A short name for why a file was refused, if its tensors show that it had to be."""
    tensors = listing["tensors"]
    dtypes = {tensor["dtype"] for tensor in tensors}
    if "holds no tensors" in errors:
        return "no tensors" if not tensors else None
    if "are quantised" in errors or "is quantised" in errors:
        return "quantised" if any("quantization" in tensor for tensor in tensors) else None
    if "are sparse" in errors or "is sparse" in errors:
        return "sparse" if any("layout" in tensor for tensor in tensors) else None
    if "without data" in errors:
        return "no data" if any(tensor["sha256"] is None for tensor in tensors) else None
    if "two tensors would have the name" in errors:
        return "equal names" if len({tensor["name"] for tensor in tensors}) < len(tensors) else None
    if "that cannot be converted" in errors:
        return "unread kinds" if any("unread_tensor" in record for record in listing["objects"]) else None
    if "CRC-32" in errors or "checksum" in errors:
        return "damaged" if listing["warnings"] else None
    reasons = []
    if "cannot store the dtype of" in errors:
        reasons.append("a type it lacks" if not dtypes <= HELD[target] else None)
    if "4 dimensions, exceeded by" in errors:
        reasons.append("dimensions" if any(len(tensor["shape"]) > 4 for tensor in tensors) else None)
    if "bytes, exceeded by" in errors:
        reasons.append("long names" if any(len(tensor["name"].encode()) > 63 for tensor in tensors) else None)
    return ", ".join(reasons) if reasons and all(reasons) else None


@pytest.fixture(scope="module")
def listings(decant, corpus) -> list[tuple[dict, dict | None]]:
    """Every file with what `decant inspect` says of it; None for what it refuses."""

    def look(row):
        finished = decant.attempt("inspect", "--json", "--digest", "--", row["file"])
        return row, json.loads(finished.output) if finished.status == 0 else None

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(look, corpus.files))


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_of_the_corpus(decant, corpus, listings, folder, figures, target):
    def convert(numbered):
        number, (row, listing) = numbered
        if listing is None:
            return row, None, None, None
        place = folder / str(number) / PLACES[target]
        place.parent.mkdir()
        finished = decant.attempt("convert", row["file"], place, "--key", ".")
        assert list(place.parent.iterdir()) == ([place] if finished.status == 0 else [])
        return row, listing, finished, place

    counts = collections.Counter()
    refused = collections.Counter()
    with ThreadPoolExecutor(4) as pool:
        for row, listing, finished, place in pool.map(convert, enumerate(listings)):
            if listing is None:
                counts["unreadable"] += 1
                continue
            if finished.status != 0:
                reason = reason_is_true(finished.errors, listing, target)
                assert finished.status == 2 and reason, (row["path"], finished.errors)
                refused[reason] += 1
                continue
            found = sorted(written(place, target))
            known = corpus.digests.get(row["path"])
            arrays = any(tensor["storage"].startswith("numpy@") for tensor in listing["tensors"])
            if known and not arrays:
                expected = [
                    (record["tensor_path"], numpy_name(record["dtype_np"]), tuple(json.loads(record["shape"])), record["sha256_contiguous_le"])
                    for record in known
                ]  # fmt: skip
                compare(row, found, expected)
                counts["files with digests"] += 1
                counts["tensors with digests"] += len(expected)
            else:
                expected = sorted(
                    (tensor["name"], numpy_name(tensor["dtype"]), tuple(tensor["shape"]), tensor["sha256"])
                    for tensor in listing["tensors"]
                )
                assert found == expected, row["path"]
                counts["other files"] += 1
                counts["other tensors"] += len(expected)
            place.unlink()
    figures(
        f"corpus to {target}: " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        + "; refused: " + ", ".join(f"{count} {what}" for what, count in sorted(refused.items()))
    )  # fmt: skip
    found = (counts["files with digests"], counts["tensors with digests"], counts["other files"])
    assert all(have >= least for have, least in zip(found, LEAST[target])), found
    assert counts["unreadable"] <= MOST_UNREADABLE and refused["no tensors"] <= MOST_WITHOUT_TENSORS


def compare(row: dict, found: list[tuple], expected: list[tuple]):
    """Names as far as the independent reader spells them as we do, and everything else."""
    named = not any(record[0].startswith(CALLED_WITH_PAIRS) for record in expected)
    unnamed_root = any(not plain_path(record[0]) for record in expected)

    def plain(record):
        place = record[0].replace("<state>.", "")
        return (plain_path(place) if named and not unnamed_root else "", *record[1:])

    ours, theirs = collections.Counter(map(plain, found)), collections.Counter(map(plain, expected))
    if row["container"] == "torchscript":  # the digests have the state dict, and not the constants of the code
        assert not theirs - ours, row["path"]
        assert all(re.search("CONSTANTS", record[0]) for record in ours - theirs), row["path"]
    else:
        assert ours == theirs, (row["path"], list((ours - theirs))[:2], list((theirs - ours))[:2])
