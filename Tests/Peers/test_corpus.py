"""`decant inspect --json --digest` on every real file, against the corpus's independent reader, container by container."""

import collections
import hashlib
import json
import math
import re
import struct
import tarfile

import pytest

# Containers by the manifest's names and what the tool calls them.
READ = {"torch-zip": "torch-zip", "torch-legacy": "torch-legacy"}
# NumPy's names, in which the digests stand.
NUMPY_NAMES = {"bfloat16": "uint16", "qint8": "int8", "quint8": "uint8", "qint32": "int32", "bool": "uint8"}
# Files where the listing differs from the digests, and why.
EXCEPTIONS: dict[str, str] = {}
# Where the independent reader names tensors by their place in a call's arguments (`<arg0>.0.1`), since it does not know
# that an OrderedDict is called with its pairs; of these files everything but the paths is compared.
CALLED_WITH_PAIRS = "<arg0>"
# Pickles that are refused, and what the message must say.
BROKEN = {
    "mmaitre314+picklescan/tests/data/broken_model.pkl": "bytes are needed",
    "mmaitre314+picklescan/tests/data2/keyerror-exploit.pkl": "memo",
}


def plain_path(text: str) -> str:
    """The digests' spelling of a path and ours, reduced to what both say: [0].a, 0.a and a[0] differ."""
    return re.sub(r"[\[\]'\"]", "", text.replace("[", ".")).strip(".")


def expected_of(row: dict) -> tuple:
    return (
        plain_path(row["tensor_path"]),
        row["dtype_np"],
        json.loads(row["shape"]),
        json.loads(row["stride"]),
        int(row["offset"]),
        row["sha256_contiguous_le"],
    )


def found_of(tensor: dict) -> tuple:
    return (
        plain_path(tensor["name"]),
        NUMPY_NAMES.get(tensor["dtype"], tensor["dtype"]),
        tensor["shape"],
        tensor["strides"],
        tensor["storage_offset"],
        tensor["sha256"],
    )


@pytest.mark.parametrize("container", READ)
def test_every_tensor_equals_its_digest(decant, corpus, figures, container):
    files = tensors = 0
    wrong = []
    for row in corpus.files:
        if row["container"] != container or "HOSTILE" in row["note"] or row["path"] in EXCEPTIONS:
            continue
        listing = decant.inspect(row["file"])
        assert listing["container"] == READ[container], row["path"]
        # The digests hold PyTorch's tensors, not NumPy's arrays.
        found = [found_of(t) for t in listing["tensors"] if not t["storage"].startswith("numpy@")]
        expected = list(map(expected_of, corpus.digests.get(row["path"], [])))
        if any(record[0].startswith(CALLED_WITH_PAIRS) for record in expected):
            found, expected = ([record[1:] for record in records] for records in (found, expected))
        if sorted(found) != sorted(expected):
            wrong.append((row["path"], found[:2], expected[:2]))
        files += 1
        tensors += len(expected)
    assert not wrong, wrong[:3]
    assert files > 150
    figures(
        f"corpus: {files} files of {container}, {tensors} tensors: path, dtype, shape, strides, offset, SHA-256"
    )


STORAGE = re.compile(rb"\x80\x02\(U.(\d+)U\x03cpuctorch\n(\w+)Storage\nt\.", re.S)
STRUCT_CODES = {"Float": ("float32", 4), "Double": ("float64", 8), "Long": ("int64", 8)}


def test_tar_files(decant, corpus, figures):
    """The corpus's tar files have no digests: each tensor is a whole storage, whose bytes are found here by their layout."""
    files = tensors = 0
    for row in corpus.files:
        if row["container"] != "torch-tar(0.1)":
            continue
        with tarfile.open(row["file"]) as archive:
            stored = archive.extractfile("storages").read()
        expected = []
        for match in STORAGE.finditer(stored):
            dtype, size = STRUCT_CODES[match[2].decode()]
            (count,) = struct.unpack_from("<q", stored, match.end())
            data = stored[match.end() + 8 :][: count * size]
            expected.append((match[1].decode(), dtype, count, hashlib.sha256(data).hexdigest()))
        listing = decant.inspect(row["file"])
        assert listing["container"] == "torch-tar"
        assert len(listing["warnings"]) == 1 and "no member tensors" in listing["warnings"][0]
        assert expected == [
            (tensor["storage"], tensor["dtype"], math.prod(tensor["shape"]), tensor["sha256"])
            for tensor in listing["tensors"]
        ]
        files += 1
        tensors += len(expected)
    assert files == 6
    figures(f"corpus: {files} tar files, {tensors} tensors: dtype, elements, SHA-256 of their storages")


def test_bare_pickles(decant, corpus, figures):
    """Each is listed, or refused for what is wrong with it; none has a tensor in it."""
    counts = collections.Counter()
    for row in corpus.files:
        if not row["container"].startswith("raw-pickle"):
            continue
        finished = decant.attempt("inspect", "--json", row["file"])
        if finished.status == 0:
            listing = json.loads(finished.output)
            assert listing["container"] == "pickle" and listing["tensors"] == [], row["path"]
            counts["listed"] += 1
        else:
            counts["refused"] += 1
            assert row["path"] in BROKEN or "HOSTILE" in row["note"], (row["path"], finished.errors)
    assert counts["listed"] > 100
    figures(f"corpus: {counts['listed']} bare pickles listed, {counts['refused']} refused")
