"""Loads files that attacks.py has just made, each in a process of its own, and prints which of them ran code.

    python loading.py < jobs.json

This runs in a sandbox (sandbox.py): the root is read-only, there is no network, and only one folder and /tmp are writable.
A job is `{"path", "loader", "folder", "seconds"}`. The loader runs in the empty folder `folder`. A file ran code when a
file named `ran` is there afterwards. The script also runs under PyPy and CPython 2.7, with the loaders of pickles only.
"""

from __future__ import print_function

import io
import json
import os
import pickle
import resource
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True
MEMORY = 6 << 30


def pickle_file(path):
    with open(path, "rb") as file:
        pickle.load(file)


def pickle_buffer(path):
    pickle.load(contents(path))


def pickle_text(path):
    pickle.loads(contents(path).getvalue())


def pickle_python(path):
    with open(path, "rb") as file:
        pickle._Unpickler(file).load()


def pickle_twice(path):
    with open(path, "rb") as file:
        pickle.load(file)
        pickle.load(file)


def contents(path):
    with open(path, "rb") as file:
        return io.BytesIO(file.read())


def torch_file(path):
    torch.load(path, weights_only=False)


def torch_buffer(path):
    torch.load(contents(path), weights_only=False)


def torch_safe(path):
    torch.load(path, weights_only=True)


def torch_twice(path):
    with open(path, "rb") as file:
        torch.load(file, weights_only=False)
        torch.load(file, weights_only=False)


def torch_twice_buffer(path):
    file = contents(path)
    torch.load(file, weights_only=False)
    torch.load(file, weights_only=False)


def torch_then_pickle(path):
    with open(path, "rb") as file:
        torch.load(file, weights_only=False)
        pickle.load(file)


def numpy_file(path):
    loaded = numpy.load(path, allow_pickle=True)
    if hasattr(loaded, "files"):
        for name in loaded.files:
            loaded[name]


def numpy_twice(path):
    with open(path, "rb") as file:
        numpy.load(file, allow_pickle=True)
        numpy.load(file, allow_pickle=True)


def jit(path):
    torch.jit.load(path)


def package(path):
    """Loads every resource and module of a package, as its own program does by name."""
    importer = torch.package.PackageImporter(path)
    for name in importer.zip_reader.get_all_records():
        folder, _, leaf = name.rpartition("/")
        try:
            if leaf.endswith(".py"):
                importer.import_module(name[:-3].replace("/", "."))
            elif folder and folder != ".data":
                importer.load_pickle(folder.replace("/", "."), leaf)
        except Exception:  # not what its program would load
            pass


def export(path):
    from torch.export.pt2_archive._package import load_pt2

    load_pt2(path)


def compiled(path):
    """Does what torch._inductor.aoti_load_package does, whose Python part starts threads, which a fork has not."""
    torch._C._aoti.AOTIModelPackageLoader(path, "model", False, 1, -1)


def exported(path):
    torch.export.load(path)


def joblib_file(path):
    joblib.load(path)


def distributed(path):
    """Reads every item of a folder of torch.distributed.checkpoint, as its own converter does."""
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp_to_torch_save(path, "whole.pth")


def template(path):
    """Renders a chat template in jinja2's plain environment, as llama-cpp-python before 0.2.72 did."""
    import gguf
    import jinja2

    for field in gguf.GGUFReader(path).fields.values():
        if field.name.startswith("tokenizer.chat_template") and not field.name.endswith("s"):
            jinja2.Environment().from_string(field.contents()).render(messages=[{"role": "user", "content": "hello"}])


LOADERS = {
    "pickle": pickle_file, "pickle, in memory": pickle_buffer, "pickle.loads": pickle_text,
    "pickle in Python": pickle_python, "pickle twice": pickle_twice,
    "torch": torch_file, "torch, in memory": torch_buffer, "torch, weights only": torch_safe,
    "torch twice": torch_twice, "torch then pickle": torch_then_pickle,
    "numpy": numpy_file, "numpy twice": numpy_twice, "jit": jit, "package": package, "pt2": export,
    "torch twice, in memory": torch_twice_buffer, "compiled": compiled, "export": exported, "joblib": joblib_file,
    "distributed": distributed, "template": template,
}  # fmt: skip


def child(job):
    """Runs a job and ends the process."""
    os.chdir(job["folder"])
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    errors = os.open("errors", os.O_CREAT | os.O_WRONLY)
    os.dup2(errors, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = 0
    try:
        LOADERS[job["loader"]](job["path"])
    except MemoryError:
        status = 3
    except BaseException as error:
        text = "%s: %s" % (type(error).__name__, str(error)[:300])
        # PyTorch's allocator raises an error of its own.
        status = 3 if "allocate memory" in text else 1
        os.write(2, text.encode("utf-8", "replace"))
    os._exit(status)


def wait(process, seconds):
    """Returns how a process ended; one that takes too long is killed with its group."""
    end = time.time() + seconds
    pause = 0.001
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                return "signal %d" % os.WTERMSIG(status)
            return {0: "loaded", 3: "out of memory"}.get(os.WEXITSTATUS(status), "error")
        if time.time() > end:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return "out of time"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def run(job):
    start = time.time()
    os.makedirs(job["folder"])
    for path in job.get("copy", ()):
        shutil.copy(path, job["folder"])
    process = os.fork()
    if process == 0:
        os.setpgid(0, 0)
        child(job)
    ended = wait(process, job["seconds"])
    ran = os.path.lexists(os.path.join(job["folder"], "ran"))
    with io.open(os.path.join(job["folder"], "errors"), encoding="utf-8", errors="replace") as errors:
        text = errors.read()[-400:]
    return {
        "path": job["path"],
        "loader": job["loader"],
        "ran": ran,
        "ended": ended,
        "error": text,
        "seconds": time.time() - start,
    }


def main():
    jobs = json.load(sys.stdin)
    if any(not job["loader"].startswith("pickle") for job in jobs):
        import_libraries({job["loader"] for job in jobs})
    results = []
    exhausted = set()
    for job in jobs:
        # One loader that does not come to an end is enough.
        if job["path"] in exhausted:
            continue
        results.append(run(job))
        if results[-1]["ended"] in ("out of time", "out of memory"):
            exhausted.add(job["path"])
    print(json.dumps(results))


def import_libraries(loaders):
    """Imports what the loaders need once, before the processes split off."""
    global torch, numpy, joblib
    os.environ["OMP_NUM_THREADS"] = "1"
    import numpy
    import numpy.testing  # noqa: F401
    import sympy  # noqa: F401  (slow to import; the files of kind 10 do)
    import torch
    import torch.package

    if loaders & {"pt2", "export"}:
        import torch.export.pt2_archive._package
    if "template" in loaders:
        import gguf  # noqa: F401
        import jinja2  # noqa: F401

    torch.set_num_threads(1)
    if "joblib" in loaders:
        import joblib


if __name__ == "__main__":
    main()
