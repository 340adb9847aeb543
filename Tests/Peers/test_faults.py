"""What is left when `decant convert` fails or is killed: the old bytes or none, and nothing else.

A library that is loaded before the C library's makes the N-th system call fail, or stops the process there, so that
it can be killed at that instant; nothing here depends on how long anything takes.
"""

import errno
import fcntl
import os
import random
import resource
import shutil
import signal
import stat
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from failing import CAUSES, Failing, compiled, contents

OLD = b"what was there before"
FILES = ["new.safetensors", "new.npz", "new.gguf", "new.npy", "new.pth"]
ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def failing(decant, tmp_path_factory) -> Failing:
    return Failing(decant, compiled(tmp_path_factory.mktemp("faults")))


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A file whose tensors take a few of the writer's buffers."""
    generator = torch.Generator().manual_seed(1)
    value = {f"layer.{index}": torch.randn(200_000 + index, generator=generator) for index in range(4)}
    value["turned"] = torch.randn(300, 400, generator=generator).t()
    torch.save(value, tmp_path_factory.mktemp("source") / "source.pth")
    return tmp_path_factory.getbasetemp() / "source0" / "source.pth"


@pytest.fixture(scope="module")
def outputs(decant, source, tmp_path_factory) -> dict[str, bytes]:
    """What each kind of file looks like when nothing fails."""
    place = tmp_path_factory.mktemp("outputs")
    made = {}
    for name in FILES:
        decant("convert", source, place / name, *options(name))
        made[name] = (place / name).read_bytes()
    return made


def options(name: str) -> list[str]:
    return ["--only", "layer.1"] if name.endswith(".npy") else []


def check(finished, *texts: str):
    """One error that names the file and the cause."""
    assert finished.status == 2 and finished.output == "", finished
    assert finished.errors.count("decant: error: ") == 1
    for text in texts:
        assert text in finished.errors, finished.errors


# The calls a conversion makes, and the errors that each may end with.
FAULTS = {
    "fallocate": [errno.ENOSPC, errno.EDQUOT],
    "pwrite": [errno.ENOSPC, errno.EIO, errno.EDQUOT],
    "pread": [errno.EIO],
    "open": [errno.ENOSPC, errno.EACCES, errno.EROFS],
    "linkat": [errno.ENOSPC, errno.EIO],
    "rename": [errno.EIO],
    "fsync": [errno.EIO, errno.ENOSPC],
}


@pytest.mark.parametrize("nameless", [True, False], ids=["nameless", "no-O_TMPFILE"])
@pytest.mark.parametrize("exists", [False, True], ids=["fresh", "existing"])
@pytest.mark.parametrize("name", FILES)
def test_every_call_that_fails(failing, source, outputs, folder, name, exists, nameless):
    target = folder / name
    tried = 0
    for call, codes in FAULTS.items():
        for code in codes:
            for number in range(1, 60):
                if exists:
                    target.write_bytes(OLD)
                before = contents(folder)
                finished = failing(
                    f"{call}:{number}:{code}", source, target, "--durable", *options(name), nameless=nameless
                )
                if finished.status == 0:  # there are not as many calls
                    assert contents(folder) == {name: outputs[name]}
                    break
                # The second flush is the folder's: the file has its name by then.
                is_folders = call == "fsync" and number == 2
                named = source if call == "pread" else folder if is_folders else target
                check(finished, str(named), CAUSES[code])
                tried += 1
                if is_folders:
                    assert contents(folder) == {name: outputs[name]}
                else:
                    assert contents(folder) == before, (call, number, code)
                target.unlink(missing_ok=True)
            else:
                pytest.fail(f"{call} never ends")
            target.unlink(missing_ok=True)
    assert tried >= 12


@pytest.mark.parametrize("name", FILES)
def test_a_file_system_that_reserves_nothing(failing, source, outputs, folder, name):
    for code in [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINTR, errno.EINVAL]:
        assert failing(f"fallocate:1:{code}", source, folder / name, *options(name)).status == 0
        assert (folder / name).read_bytes() == outputs[name]


@pytest.mark.parametrize("name", FILES)
def test_a_write_that_changes_a_bit(failing, source, outputs, folder, name):
    """`--check` finds a tensor's bit that is not what was to be."""
    (folder / name).write_bytes(OLD)
    for number in range(1, 60):
        finished = failing(f"pwrite:{number}:flip", source, folder / name, *options(name), "--check")
        if finished.status == 0:
            break
        check(finished, str(folder / name), "the output differs from the source")
        assert contents(folder) == {name: OLD}
    assert number > (1 if name == "new.npy" else 3), "every block holds numbers of a tensor"
    assert failing("pwrite:1:flip", source, folder / name, *options(name)).status == 0
    assert (folder / name).read_bytes() != outputs[name], "nothing tells without --check"


@pytest.mark.parametrize("name", FILES)
def test_short_reads_and_writes(failing, source, outputs, folder, name):
    for call in ["pwrite", "pread"]:
        for number in [1, 2, 3, 5, 9]:
            assert failing(f"{call}:{number}:short", source, folder / name, *options(name)).status == 0
            assert (folder / name).read_bytes() == outputs[name]
        finished = failing(f"{call}:1:short", source, folder / name, *options(name), lasts=True)
        assert finished.status == 0 and (folder / name).read_bytes() == outputs[name]


@pytest.mark.parametrize("name", FILES)
def test_a_source_that_ends_early(failing, source, folder, name):
    (folder / name).write_bytes(OLD)
    for number in range(1, 60):
        finished = failing(f"pread:{number}:end", source, folder / name, *options(name))
        if finished.status == 0:
            break
        check(finished, str(source))
        assert contents(folder) == {name: OLD}
    assert number > 6


@pytest.mark.parametrize("name", [*FILES, "folder/"])
def test_limits_of_file_size(decant, failing, source, outputs, folder, name):
    """RLIMIT_FSIZE, whose signal would end a process that does not expect it."""
    size = len(outputs.get(name, b"")) or 800_140
    buffer = 1 << 20
    for limit in [0, 1, 64, 4095, buffer - 1, buffer, buffer + 1, 2 * buffer, size - 1]:
        if limit >= size:
            continue
        if not name.endswith("/"):
            (folder / name).write_bytes(OLD)
        before = contents(folder)
        finished = failing(
            None, source, f"{folder}/{name}", *options(name),
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )  # fmt: skip
        check(finished, str(folder), CAUSES[errno.EFBIG])
        assert contents(folder) == before
    if name in outputs:
        limited = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # noqa: E731
        assert failing(None, source, folder / name, *options(name), preexec_fn=limited).status == 0
        assert contents(folder) == {name: outputs[name]}


@pytest.mark.parametrize("nameless", [True, False], ids=["nameless", "no-O_TMPFILE"])
def test_a_folder_whose_files_fail(failing, source, folder, nameless):
    """A folder of arrays appears whole or not at all; an empty one that was there stays."""
    tried = 0
    for exists in [False, True]:
        for call, codes in (FAULTS | {"mkdir": [errno.ENOSPC, errno.EACCES]}).items():
            for number in range(1, 60):
                if exists:
                    (folder / "out").mkdir()
                before = contents(folder)
                finished = failing(
                    f"{call}:{number}:{codes[0]}", source, f"{folder}/out/", "--durable", nameless=nameless
                )
                if finished.status == 0:
                    shutil.rmtree(folder / "out")
                    break
                check(finished, CAUSES[codes[0]])
                tried += 1
                left = contents(folder)
                # The last flush is that of the folder it stands in, when it has its name.
                assert left == before or call == "fsync" and len(left) == 6, (call, number)
                shutil.rmtree(folder / "out", ignore_errors=True)
    assert tried > 30




def test_a_folder_whose_files_fail_is_named(failing, source, folder):
    finished = failing(f"pwrite:2:{errno.ENOSPC}", source, f"{folder}/out/")
    check(finished, f"{folder}/out/")


SHARDS = ["--shard-size", "900kB"]


def shards(decant, source, folder) -> dict[str, object]:
    decant("convert", source, folder / "s.safetensors", *SHARDS)
    return contents(folder)


def test_shards_that_cannot_be_written(decant, failing, source, folder):
    """A failure before the first file gets its name changes nothing."""
    (folder / "good").mkdir()
    whole = shards(decant, source, folder / "good")
    assert len(whole) == 6
    for exists in [False, True]:
        for call in ["pwrite", "pread", "open"]:
            for number in range(1, 60):
                place = folder / f"{exists}{call}{number}"
                place.mkdir()
                if exists:
                    for name in whole:
                        (place / name).write_bytes(OLD)
                before = contents(place)
                finished = failing(f"{call}:{number}:{errno.EIO}", source, place / "s.safetensors", *SHARDS)
                if finished.status == 0:
                    assert contents(place) == whole
                    break
                check(finished, CAUSES[errno.EIO])
                assert contents(place) == before
                shutil.rmtree(place)


@pytest.mark.parametrize("exists", [False, True], ids=["fresh", "existing"])
def test_shards_that_cannot_be_named(decant, failing, source, folder, exists):
    if exists:
        decant("convert", source, folder / "s.safetensors", *SHARDS, "--dtype", "float16", "--shard-size", "450kB")
    fault = f"rename:2:{errno.EIO}" if exists else f"linkat:2:{errno.EIO}"
    finished = failing(fault, source, folder / "s.safetensors", *SHARDS)
    # What has a name keeps it, whole; the message says so, and no index leads to a mixture.
    check(finished, "1 of the ")
    assert "were replaced, and the index is missing. Convert again" in finished.errors
    assert "s.safetensors.index.json" not in contents(folder)


def test_an_index_never_stands_beside_shards_of_another_run(decant, failing, source, folder):
    """Killed between two names: an index is there only with the shards it was written with."""
    (folder / "good").mkdir()
    whole = shards(decant, source, folder / "good")
    seen = set()
    for number in range(1, 9):
        for when in ["before", "after"]:
            place = folder / f"{number}{when}"
            place.mkdir()
            for name in whole:
                (place / name).write_bytes(OLD)
            stopped = failing.stopped(f"rename:{number}:{when}", source, place / "s.safetensors", *SHARDS)
            if stopped is None:
                assert contents(place) == whole
                continue
            assert stopped.end(signal.SIGKILL).status == -signal.SIGKILL
            left = {name: data for name, data in contents(place).items() if not name.startswith(".decant-")}
            index = left.pop("s.safetensors.index.json", None)
            assert all(data in (OLD, whole[name]) for name, data in left.items())
            if index is not None:
                assert index == whole["s.safetensors.index.json"]
                assert all(data == whole[name] for name, data in left.items())
            seen.add((index is None, sum(data == OLD for data in left.values())))
    assert len(seen) > 5


# MARK: Killed


def new_or_old(left: dict, name: str, new: bytes, old: bytes | None, others: bool):
    """The target is whole or as it was; beside it nothing, or where it cannot be helped one temporary file."""
    found = left.pop(name, None)
    assert found == new or found == old, f"{name} has {len(found or b'')} bytes"
    names = list(left)
    assert not names or others and len(names) == 1 and names[0].startswith(".decant-"), names


@pytest.mark.parametrize("exists", [False, True], ids=["fresh", "existing"])
@pytest.mark.parametrize("name", ["new.safetensors", "new.npz"])
def test_killed_at_every_call(failing, source, outputs, folder, name, exists):
    """SIGKILL at every call that writes or gives a name."""
    moments = 0
    for call in ["pwrite", "open", "linkat", "rename", "pread"]:
        for number in range(1, 60):
            stops = []
            for when in ["before", "after"]:
                if exists:
                    (folder / name).write_bytes(OLD)
                stopped = failing.stopped(f"{call}:{number}:{when}", source, folder / name)
                stops.append(stopped)
                if stopped:
                    assert stopped.end(signal.SIGKILL).status == -signal.SIGKILL
                    moments += 1
                # Only between a link and the rename that replaces the old file is there a second name.
                between = exists and (call, when) in [("linkat", "after"), ("rename", "before")]
                new_or_old(contents(folder), name, outputs[name], OLD if exists else None, between)
                for path in folder.iterdir():
                    path.unlink()
            if not any(stops):
                break
    assert moments > 30


@pytest.mark.parametrize("name", ["new.safetensors", "out/"])
def test_killed_at_a_hundred_moments(decant, source, outputs, folder, name):
    """SIGKILL after delays spread over the length of a run; what holds, holds at each."""
    start = time.monotonic()
    decant("convert", source, f"{folder}/{name}")
    length = time.monotonic() - start
    whole = contents(folder)
    shutil.rmtree(folder)
    generator = random.Random(5)
    for number in range(100):
        folder.mkdir()
        if number % 2 and not name.endswith("/"):
            (folder / name).write_bytes(OLD)
        process = subprocess.Popen(
            [decant.binary, "convert", source, f"{folder}/{name}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(generator.uniform(0, 1.2 * length))
        process.kill()
        process.wait()
        left = contents(folder)
        if name.endswith("/"):  # what SIGKILL leaves of a folder is under a temporary name
            left = {key: value for key, value in left.items() if not key.startswith(".decant-")}
            assert left in ({}, whole)
        else:
            new_or_old(left, name, outputs[name], OLD if number % 2 else None, bool(number % 2))
        shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("nameless", [True, False], ids=["nameless", "no-O_TMPFILE"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["new.safetensors", "new.npz", "out/", "s.safetensors"])
def test_signals(decant, failing, source, folder, name, number, nameless):
    """Ended by a signal it leaves nothing, or what was asked for is done."""
    extra = SHARDS if name == "s.safetensors" else []
    (folder / "good").mkdir()
    decant("convert", source, f"{folder}/good/{name}", *extra)
    whole = contents(folder / "good")
    ended = 0
    for call, places in {"pwrite": range(1, 8), "pread": range(5, 12), "open": range(1, 4), "mkdir": [1]}.items():
        for place in places:
            where = folder / "here"
            where.mkdir()
            stopped = failing.stopped(
                f"{call}:{place}:after", source, f"{where}/{name}", *extra, nameless=nameless
            )
            if stopped:
                status = stopped.end(number).status
                # Before the first byte there is nothing to take away, and the signal ends it at once.
                assert status in (0, -number)
                ended += status == -number
                assert contents(where) == (whole if status == 0 else {}), (call, place)
            shutil.rmtree(where)
    assert ended >= 5




@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_ignored_signals_stay_ignored(failing, source, outputs, folder, number):
    stopped = failing.stopped(
        "pwrite:1:after", source, folder / "new.npz",
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
    )  # fmt: skip
    assert stopped.end(number).status == 0
    assert contents(folder) == {"new.npz": outputs["new.npz"]}


def test_a_signal_ends_a_write_to_a_pipe_that_nobody_reads(decant, source, folder):
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    with subprocess.Popen(
        [decant.binary, "convert", source, "-", "--format", "npz"],
        stdout=writing, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        os.close(writing)
        try:
            # Once the pipe is full, whatever is written waits.
            while struct.unpack("i", fcntl.ioctl(reading, termios.FIONREAD, bytes(4)))[0] < size:
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=2) == -signal.SIGTERM
        finally:
            process.kill()
            os.close(reading)


# MARK: What happens to the source meanwhile


def sources(folder: Path, value: dict) -> list[Path]:
    import numpy as np

    torch.save(value, folder / "a.pth")
    torch.save(value, folder / "b.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(value, folder / "c.safetensors")
    arrays = {name: tensor.numpy() for name, tensor in value.items()}
    np.savez(folder / "d.npz", **arrays)
    np.savez_compressed(folder / "e.npz", **arrays)
    return sorted(folder.iterdir())


def test_a_source_that_is_truncated_meanwhile(failing, folder):
    """An error that names it, never a bus error and never a file of what was not there."""
    (folder / "in").mkdir()
    generator = torch.Generator().manual_seed(2)
    value = {f"t{index}": torch.randn(300_000, generator=generator) for index in range(3)}
    refused = 0
    for file in sources(folder / "in", value):
        whole = file.read_bytes()
        for number in range(1, 40):
            for left in [0, len(whole) // 2]:
                (folder / "out").mkdir()
                stopped = failing.stopped(f"pread:{number}:before", file, folder / "out" / "x.safetensors")
                if stopped is None:
                    break
                os.truncate(file, left)
                finished = stopped.end()
                if finished.status == 0:  # what was lost had been read before
                    loaded = safetensors.torch.load_file(folder / "out" / "x.safetensors")
                    assert all(torch.equal(loaded[name], value[name]) for name in value)
                else:
                    check(finished, str(file))
                    assert contents(folder / "out") == {}
                    refused += 1
                file.write_bytes(whole)
                shutil.rmtree(folder / "out")
            if stopped is None:
                shutil.rmtree(folder / "out")
                break
    assert refused > 30


def test_a_source_that_is_replaced_meanwhile(failing, source, outputs, folder):
    """The file that was opened is read to its end, whatever has its name by then."""
    copy = folder / "copy.pth"
    for number in [1, 4, 8, 10]:
        shutil.copy(source, copy)
        (folder / "other.pth").write_bytes(b"another file")
        stopped = failing.stopped(f"pread:{number}:before", copy, folder / "new.npz")
        os.replace(folder / "other.pth", copy)
        assert stopped.end().status == 0
        assert (folder / "new.npz").read_bytes() == outputs["new.npz"]


def test_a_source_that_is_overwritten_meanwhile(failing, source, folder):
    """Bytes that changed under the reader have another checksum than the archive's directory says."""
    copy = folder / "copy.pth"
    shutil.copy(source, copy)
    size = copy.stat().st_size
    # Reads come one after the other, so what follows the fourth has not been read.
    stopped = failing.stopped("pread:4:before", copy, folder / "new.npz")
    with open(copy, "r+b") as file:
        file.seek(size * 3 // 4)
        file.write(b"other" * 1000)
    check(stopped.end(), str(copy), "CRC-32")
    assert not (folder / "new.npz").exists()


# MARK: Targets that are no plain file


@pytest.mark.parametrize("format", ["safetensors", "npz", "gguf"])
def test_special_targets(decant, source, folder, format):
    os.mkfifo(folder / "fifo")
    (folder / "directory").mkdir()
    before = contents(folder)
    for target, text in {
        folder / "fifo": "is not a regular file", folder / "directory": "is a directory",
        Path("/dev/full"): "is not a regular file", Path("/dev/null"): "is not a regular file",
    }.items():  # fmt: skip
        check(decant.attempt("convert", source, target, "--format", format), str(target), text)
        assert contents(folder) == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and stat.S_ISCHR(os.stat("/dev/full").st_mode)
    missing = folder / "absent" / "x.npz"
    check(decant.attempt("convert", source, missing, "--format", format), str(missing), "mkdir -p")
    inside = source / "x.npz"
    check(decant.attempt("convert", source, inside, "--format", format), str(inside), "Not a directory")


def test_standard_output_that_is_full(decant, source):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [decant.binary, "convert", source, "-", "--format", "npz"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2 and CAUSES[errno.ENOSPC].encode() in done.stderr


def test_a_symbolic_link_is_followed(decant, source, outputs, folder):
    (folder / "real.npz").write_bytes(OLD)
    (folder / "real.npz").chmod(0o640)
    (folder / "link.npz").symlink_to("real.npz")
    (folder / "chain.npz").symlink_to(folder / "link.npz")
    decant("convert", source, folder / "chain.npz")
    assert contents(folder) == {
        "real.npz": outputs["new.npz"], "link.npz": "real.npz", "chain.npz": str(folder / "link.npz"),
    }  # fmt: skip
    assert stat.S_IMODE((folder / "real.npz").stat().st_mode) == 0o640
    check(decant.attempt("convert", source, folder / "link.npz", "--no-clobber"), "exists already")




@pytest.mark.parametrize("clobber", [[], ["--no-clobber"]], ids=["plain", "no-clobber"])
def test_a_dangling_link_is_not_replaced(decant, source, folder, clobber):
    """cp refuses to write through it; writing to where it leads would be as good, replacing it is neither."""
    (folder / "link.npz").symlink_to("absent.npz")
    decant.attempt("convert", source, folder / "link.npz", *clobber)
    assert (folder / "link.npz").is_symlink()


def test_a_link_to_an_empty_folder(decant, source, folder):
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    decant("convert", source, f"{folder}/link/")
    assert len(list((folder / "real").iterdir())) == 5


def test_an_index_that_is_a_link(decant, source, folder):
    (folder / "elsewhere.json").write_text("{}")
    (folder / "s.safetensors.index.json").symlink_to("elsewhere.json")
    decant("convert", source, folder / "s.safetensors", *SHARDS)
    assert (folder / "s.safetensors.index.json").exists()


def test_no_clobber_keeps_a_file_that_appears_meanwhile(failing, source, folder):
    stopped = failing.stopped("pwrite:1:before", source, folder / "new.npz", "--no-clobber")
    (folder / "new.npz").write_bytes(OLD)
    stopped.end()
    assert (folder / "new.npz").read_bytes() == OLD


def test_the_source_itself(decant, source, folder):
    """Under its own name, as a hard link, by a link, through a linked folder, in another spelling."""
    value = {"w": torch.ones(3)}
    original = folder / "a.safetensors"
    safetensors.torch.save_file(value, original)
    os.link(original, folder / "hard.safetensors")
    (folder / "soft.safetensors").symlink_to("a.safetensors")
    (folder / "here").symlink_to(".")
    before = contents(folder)
    for name in ["a", "hard", "soft", "here/a", "./a", f"../{folder.name}/a"]:
        finished = decant.attempt("convert", original, f"{folder}/{name}.safetensors")
        check(finished, "is the file being read")
        finished = decant.attempt("convert", f"{folder}/{name}.safetensors", original)
        check(finished, "is the file being read")
        assert contents(folder) == before


def test_a_file_of_a_source_of_several(decant, folder):
    names = {"a": "one.safetensors", "b": "two.safetensors"}
    for name, file in names.items():
        safetensors.torch.save_file({name: torch.ones(300)}, folder / file)
    index = folder / "s.safetensors.index.json"
    index.write_text('{"metadata": {}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}')
    before = contents(folder)
    for target in [*names.values(), index.name]:
        check(
            decant.attempt("convert", index, folder / target, "--format", "safetensors"), "is the file being read"
        )
    # Its index is written too, and is the one being read.
    check(decant.attempt("convert", index, folder / "s.safetensors", "--shard-size", "1500"), "is the file being read")
    assert contents(folder) == before


def test_folders_that_hold_something(decant, source, folder):
    for hidden in ["x", ".x"]:
        (folder / "out").mkdir(exist_ok=True)
        (folder / "out" / hidden).write_bytes(OLD)
        before = contents(folder)
        check(decant.attempt("convert", source, f"{folder}/out/"), "is not empty")
        assert contents(folder) == before
        shutil.rmtree(folder / "out")
    (folder / "out").write_bytes(OLD)
    check(decant.attempt("convert", source, f"{folder}/out/"), "is not a folder")
    assert contents(folder) == {"out": OLD}


def test_a_folder_that_is_filled_meanwhile(failing, source, folder):
    (folder / "out").mkdir()
    stopped = failing.stopped("rename:1:before", source, f"{folder}/out/")
    (folder / "out" / "mine").write_bytes(OLD)
    check(stopped.end(), "Directory not empty")
    assert contents(folder) == {"out": "folder", "out/mine": OLD}


# MARK: Folders that cannot be written


@pytest.mark.parametrize("name", ["new.safetensors", "new.npz", "out/"])
def test_a_folder_one_may_not_write(decant, source, folder, name):
    """As another user when this one may do everything."""
    closed = folder / "closed"
    closed.mkdir()
    folder.chmod(0o755)
    (closed / "new.npz").write_bytes(OLD)
    closed.chmod(0o555)
    shutil.copy(source, folder / "source.pth")
    (folder / "source.pth").chmod(0o644)
    shutil.copy(decant.binary, folder / "tool")
    before = contents(closed)
    someone = {"user": 65534, "group": 65534, "extra_groups": []} if ROOT else {}
    done = subprocess.run(
        [folder / "tool", "convert", folder / "source.pth", f"{closed}/{name}"], capture_output=True, check=False,
        text=True, **someone,
    )  # fmt: skip
    assert done.returncode == 2 and CAUSES[errno.EACCES] in done.stderr and str(closed) in done.stderr
    assert contents(closed) == before
    closed.chmod(0o755)


@pytest.mark.parametrize("name", ["new.safetensors", "new.npz", "out/"])
def test_a_read_only_file_system(decant, source, folder, name):
    closed = folder / "closed"
    closed.mkdir()
    (closed / "new.npz").write_bytes(OLD)
    before = contents(closed)
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 77; shift; exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", closed, decant.binary, "convert", source, f"{closed}/{name}"],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    if done.returncode in (1, 77):
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 2 and CAUSES[errno.EROFS] in done.stderr and str(closed) in done.stderr
    assert contents(closed) == before


def test_a_folder_of_which_nothing_may_be_changed(decant, source, folder):
    closed = folder / "closed"
    closed.mkdir()
    (closed / "new.npz").write_bytes(OLD)
    before = contents(closed)
    if subprocess.run(["chattr", "+i", closed], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("chattr +i is not possible here")
    try:
        for name in ["new.safetensors", "new.npz", "out/"]:
            check(decant.attempt("convert", source, f"{closed}/{name}"), str(closed), "Operation not permitted")
            assert contents(closed) == before
    finally:
        subprocess.run(["chattr", "-i", closed], check=True)


def test_a_target_that_may_not_be_changed(decant, source, folder):
    """The file is immutable and its folder is not: the rename at the end is what fails."""
    (folder / "new.npz").write_bytes(OLD)
    if subprocess.run(["chattr", "+i", folder / "new.npz"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("chattr +i is not possible here")
    try:
        check(decant.attempt("convert", source, folder / "new.npz"), "Operation not permitted")
        assert contents(folder) == {"new.npz": OLD}
    finally:
        subprocess.run(["chattr", "-i", folder / "new.npz"], check=True)


# MARK: File systems


def mounted(kind: str, options: str, place: Path, *command) -> subprocess.CompletedProcess:
    """Runs a command where a file system of its own is mounted."""
    script = 'mount -t "$1" -o "$2" test "$3" || exit 77; shift 3; "$@"; s=$?; ls -A "$place"; exit $s'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", kind, options, place, *command], capture_output=True, check=False,
        text=True, env={**os.environ, "place": str(place)},
    )  # fmt: skip
    if done.returncode in (1, 77):
        pytest.skip("no file system can be mounted here")
    return done


@pytest.mark.parametrize("name", [*FILES, "out/", "s.safetensors"])
@pytest.mark.parametrize("size", ["0k", "4k", "300k", "700k"])
def test_a_disk_that_is_full(decant, source, folder, name, size):
    extra = SHARDS if name == "s.safetensors" else options(name)
    place = folder / "disk"
    place.mkdir()
    size = "nr_inodes=1" if size == "0k" else f"size={size}"
    done = mounted("tmpfs", size, place, decant.binary, "convert", source, f"{place}/{name}", *extra)
    assert done.returncode == 2 and CAUSES[errno.ENOSPC] in done.stderr and str(place) in done.stderr
    assert done.stdout == "", "something is left on the disk"


def test_standard_output_that_is_the_source(decant, source, folder):
    """`decant convert a.pth - 1<> a.pth`, which `cat` refuses too."""
    copy = folder / "a.pth"
    shutil.copy(source, copy)
    with open(copy, "r+b") as file:
        done = subprocess.run(
            [decant.binary, "convert", copy, "-", "--format", "npz"], stdout=file, stderr=subprocess.DEVNULL, check=False
        )
    assert done.returncode == 2 and copy.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("name", [*FILES, "out/"])
def test_reading_again_that_fails(failing, source, folder, name):
    """--check: what cannot be read again gets no name."""
    for number in range(1, 800, 5):
        finished = failing(f"pread:{number}:{errno.EIO}", source, f"{folder}/{name}", "--check", *options(name))
        if finished.status == 0:
            break
        check(finished, CAUSES[errno.EIO])
        assert contents(folder) == {}
    assert 15 < number < 790


def test_reading_again_that_fails_is_named(failing, source, folder):
    for number in range(1, 90):
        finished = failing(f"pread:{number}:end", source, folder / "new.gguf", "--check")
        if finished.status == 0:
            break
        assert str(source) in finished.errors or str(folder / "new.gguf") in finished.errors, finished.errors
