"""`decant inspect --pickle` against CPython's own pickletools.dis, line for line. Nothing is unpickled."""

import io
import pickletools
import sys
import warnings
import zipfile

import pytest

if sys.version_info[:2] != (3, 11):
    pytest.skip("pickletools.dis is that of CPython 3.11", allow_module_level=True)

# Containers of the corpus whose first pickle `inspect --pickle` shows.
CONTAINERS = {"torch-zip", "torch-legacy", "raw-pickle", "raw-pickle(broken)"}


def reference(stream: bytes) -> tuple[list[str], str | None]:
    """The whole lines that dis prints, and what it raises."""
    out = io.StringIO()
    error = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in strings
        try:
            pickletools.dis(stream, out)
        except Exception as raised:  # noqa: BLE001  (dis raises whatever its readers do)
            error = str(raised)
    # dis prints an offset before it looks at the argument; that unfinished line is not compared.
    return out.getvalue().split("\n")[:-1], error


def pickle_of(path) -> bytes | None:
    """The data.pkl of a zip, or the file itself; None when Python reads no such zip."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.split("/")[-1] == "data.pkl" and name.count("/") < 2]
            if len(names) != 1:
                return None
            with archive.open(names[0]) as entry:
                entry._expected_crc = None  # torch can be told to write none
                return entry.read()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return None


def check(decant, path, stream: bytes):
    lines, error = reference(stream)
    finished = decant.attempt("inspect", "--pickle", "--", path)
    got = finished.output.split("\n")[:-1]
    for number, (line, expected) in enumerate(zip(got, lines)):
        assert line == expected, f"{path}, line {number + 1}"
    assert len(got) == len(lines), path
    assert (finished.status == 0) == (error is None), f"{path}: exit {finished.status}, dis raises {error!r}"


def test_pickles_of_fixtures(decant, fixtures, figures):
    files = sorted((fixtures / "pickles").glob("*.pkl"))
    assert len(files) > 200
    for path in files:
        check(decant, path, path.read_bytes())
    figures(f"inspect --pickle: {len(files)} pickles equal pickletools.dis")


def test_checkpoints_of_fixtures(decant, fixtures, figures):
    files = sorted((fixtures / "torch").glob("*.pth"))
    assert files
    for path in files:
        stream = pickle_of(path)
        assert stream is not None, path
        check(decant, path, stream)
    figures(f"inspect --pickle: {len(files)} checkpoints of torch.save equal pickletools.dis")


def test_corpus(decant, corpus, figures):
    compared = skipped = 0
    for row in corpus.files:
        stream = pickle_of(row["file"]) if row["container"] in CONTAINERS else None
        # A file no opcode begins is no pickle, and the tool says what it is instead.
        if stream is None or not reference(stream)[0]:
            skipped += 1
            continue
        check(decant, row["file"], stream)
        compared += 1
    assert compared > 200
    figures(f"inspect --pickle, corpus: {compared} files equal pickletools.dis, {skipped} hold no pickle to show")
