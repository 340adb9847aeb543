"""`decant inspect --pickle` against CPython's own pickletools.dis, line for line. Nothing is unpickled."""

import io
import pickletools
import re
import sys
import warnings
import zipfile

import pytest

if sys.version_info[:2] != (3, 11):
    pytest.skip("pickletools.dis is that of CPython 3.11", allow_module_level=True)

# Containers of the corpus whose pickles `inspect --pickle` shows.
CONTAINERS = {"torch-zip", "torch-legacy", "torch-tar(0.1)", "raw-pickle", "raw-pickle(broken)"}


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


HEADING = re.compile(r"stream (\d+) at byte (\d+): [a-z ]+")


def streams_of(output: str) -> list[tuple[int, list[str]]]:
    """What the tool shows: of each stream, where it begins and its lines. One alone has no heading."""
    shown: list[tuple[int, list[str]]] = []
    for line in output.split("\n")[:-1]:
        if heading := HEADING.fullmatch(line):
            shown.append((int(heading[2]), []))
            assert int(heading[1]) == len(shown)
        else:
            if not shown:
                shown.append((0, []))
            shown[-1][1].append(line)
    return shown or [(0, [])]


def check(decant, path, stream: bytes) -> int:
    """Compares every stream the tool shows with pickletools; how many there were."""
    finished = decant.attempt("inspect", "--pickle", "--", path)
    shown = streams_of(finished.output)
    end = 0
    for offset, got in shown:
        if stream[257:262] != b"ustar":  # there other bytes stand between pickles
            assert offset == end, f"{path}: a stream at {offset}, and the one before ends at {end}"
        lines, error = reference(stream[offset:])
        for number, (line, expected) in enumerate(zip(got, lines)):
            assert line == expected, f"{path}, stream at {offset}, line {number + 1}"
        assert len(got) == len(lines), path
        if error is None:
            end = offset + max(place for _, _, place in pickletools.genops(stream[offset:])) + 1
    assert (finished.status == 0) == (error is None), f"{path}: exit {finished.status}, dis raises {error!r}"
    return len(shown)


def test_pickles_of_fixtures(decant, fixtures, figures):
    files = sorted((fixtures / "pickles").glob("*.pkl"))
    assert len(files) > 200
    for path in files:
        check(decant, path, path.read_bytes())
    figures(f"inspect --pickle: {len(files)} pickles equal pickletools.dis")


def test_checkpoints_of_fixtures(decant, fixtures, figures):
    files = sorted((fixtures / "torch").glob("*.pth")) + sorted((fixtures / "torch").glob("*.pkl"))
    assert files
    for path in files:
        stream = pickle_of(path)
        assert stream is not None, path
        count = check(decant, path, stream)
        assert count == (5 if path.name.startswith("legacy") else 1) or path.name == "tar.pth" and count > 20
    figures(f"inspect --pickle: {len(files)} checkpoints of torch.save equal pickletools.dis")


def test_corpus(decant, corpus, figures):
    compared = skipped = 0
    for row in corpus.files:
        stream = pickle_of(row["file"]) if row["container"] in CONTAINERS else None
        # A file no opcode begins is no pickle, and the tool says what it is instead.
        if stream is None or not (row["container"].startswith("torch-tar") or reference(stream)[0]):
            skipped += 1
            continue
        check(decant, row["file"], stream)
        compared += 1
    assert compared > 200
    figures(f"inspect --pickle, corpus: {compared} files equal pickletools.dis, {skipped} hold no pickle to show")
