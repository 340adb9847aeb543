"""Attacks in archives: zip, tar, packages, exported and compiled models, TorchScript, distributed checkpoints."""

import io
import json
import pickle
import struct
import subprocess
import tempfile
import warnings
import zipfile
import zlib
from functools import cache
from pathlib import Path

import torch
from attack_kinds import recipe
from attack_pickles import CALLS, call, le32, refused, stream
from attack_streams import gguf_start, tar_start
from attack_templates import gguf_file
from honest_files import entries_of, records, torch_zip, with_code
from npy_bytes import npy
from tar_bytes import tar_member
from zip_bytes import zip_archive


# Kind 4. Zip archives.


def checkpoint_entries(changes: dict[str, dict]) -> list[dict]:
    """The entries of an honest checkpoint for `zip_archive`, some of them changed."""
    made = []
    for entry, data in records().items():
        made.append({"name": "archive/" + entry, "data": data} | changes.pop(entry, {}))
    return made + [{"name": "archive/" + entry} | fields for entry, fields in changes.items()]


@recipe(4, "torch", count=8)
def two_sizes(rng):
    """A stored entry whose two sizes differ: torch takes the larger, and reads the pickle beyond the smaller."""
    code = call(rng, searchable=rng.random() < 0.3)
    data = with_code(rng, code)
    cut = rng.choice([rng.randrange(0, len(data)), len(data) - rng.randrange(2, len(code))])
    entry = {
        "data": data,
        "stored": cut,
        "size": len(data),
        "local_sizes": rng.choice([(cut, len(data)), (len(data), len(data)), (cut, cut)]),
    }
    return {".pth": zip_archive(checkpoint_entries({"data.pkl": entry}))}


@recipe(4, "torch", count=6)
def two_sizes_over_the_next(rng):
    """The same, and the code is in the next entry's data, which the pickle reaches by a string over its header."""
    code = b"0" + call(rng, searchable=False) + b"."
    start = records()["data.pkl"][:-1]
    header = 30 + len("archive/data/9")
    start += b"B" + le32(header)
    data = start
    later = {"data": code + bytes(64), "name": "archive/data/9"}
    entries = [
        {
            "name": "archive/data.pkl",
            "data": data,
            "stored": len(data),
            "size": len(data) + header + len(code),
            "crc": 0,
        }
    ]
    entries.append(later)
    entries += [entry for entry in checkpoint_entries({}) if not entry["name"].endswith("data.pkl")]
    return {".pth": zip_archive(entries)}


@recipe(4, "numpy", count=5)
def deflated_beyond_its_size(rng):
    """Deflated data that go on beyond the size in the headers. zipfile stops at the size; others refuse the entry."""
    code = stream(rng, call(rng, searchable=rng.random() < 0.5))
    data = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", code)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data + bytes(rng.randrange(1, 9000))) + packer.flush()
    entry = {
        "name": rng.choice(["arr_0.npy", "weights"]),
        "data": packed,
        "size": len(data),
        "stored": len(packed),
        "method": 8,
    }
    return {".npz": zip_archive([entry | {"crc": zipfile.crc32(data)}])}


@recipe(4, "numpy", count=4)
def seldom_compressed(rng):
    """Methods that torch does not read, and Python does."""
    code = stream(rng, refused(rng) + b"0" + call(rng, searchable=False))
    target = io.BytesIO()
    method = rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
    if method == zipfile.ZIP_LZMA:
        # Decant reads no LZMA, and says so.
        rng.needs = "not clean"
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.writestr("a.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", bytes(4)))
        archive.writestr(rng.choice(["b.npy", "b", "b.txt"]), npy(rng.choice([
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "{'descr': 'T', 'fortran_order': False, 'shape': (1,), }",
        ]), code))  # fmt: skip
    return {".npz": target.getvalue()}


@recipe(4, "torch", count=8)
def names_in_capitals(rng):
    """torch finds entries whatever the case of their letters."""

    def cased(entry):
        while True:
            made = "".join(letter.upper() if rng.random() < 0.6 else letter for letter in entry)
            if made != entry:
                return made

    code = rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=False)
    data = rng.choice([
        gguf_start(rng) + b"0" + code + b".",
        with_code(rng, code),
        refused(rng) + b"0" + code + b".",
        tar_start(rng, refused(rng) + b"0" + code + b"."),
    ])  # fmt: skip
    changes = {cased("data.pkl"): data, "data.pkl": None}
    return {".pth": torch_zip(rng, changes)}


@recipe(4, "package", count=8)
def package_in_checkpoint(rng):
    """A tree of torch.package beside an honest data.pkl: source, or a pickle, in folders that checkpoints have."""
    changes = {".data/extern_modules": b"os\nposix\nbuiltins\nsubprocess\n", ".data/python_version": b"3.11.7"}
    folder = rng.choice(["data", "extra", "model", ".data/model", "tensors", "constants", "attributes"])
    if "." in folder:
        folder = "data/model"
    stem = rng.choice(["net", "weights", "zoo", "_impl"])
    if rng.random() < 0.5:
        source = rng.choice([
            "import os\nos.system('touch ran')\n", "open('ran', 'w').close()\n", "import os as o\no.mkdir('ran')\n",
            "getattr(__import__('o' + 's'), 'sys' + 'tem')('touch ran')\n",
        ])  # fmt: skip
        changes[f"{folder}/{stem}.py"] = source.encode()
    else:
        code = call(rng, ("os", "system", ["touch ran"]), searchable=False)
        changes[f"{folder}/{stem}" + rng.choice(["", ".pkl", ".bin", ".tensor"])] = stream(
            rng, refused(rng) + b"0" + code
        )
        changes[".data/extern_modules"] = b"os\nposix\nbuiltins\n_codecs\ncollections\n"
    if "/" in folder:
        changes["data/__init__.py"] = b""
    base = {entry: data for entry, data in records().items() if entry != "data.pkl" and not entry.startswith("data/")}
    base |= {"data.pkl": records()["data.pkl"]} if rng.random() < 0.5 else {}
    return (
        {".pt": torch_zip(rng, changes, base)}
        if base.get("data.pkl") is None
        else {".pt": package_zip(rng, base | changes)}
    )


def package_zip(rng, entries) -> bytes:
    """The same, with the package's entries first, so that the loader reaches them before data.pkl, which it refuses."""
    order = sorted(entries, key=lambda entry: (entry == "data.pkl", entry == "byteorder", entry.startswith("data/0")))
    return torch_zip(rng, {entry: entries[entry] for entry in order}, {})


@recipe(4, "package", count=5)
def package_resource(rng):
    """A resource of a package without a pickle's name, which `load_pickle` reads as one."""
    code = call(rng, rng.choice([CALLS[0], CALLS[1]]), searchable=False)
    data = rng.choice([
        stream(rng, refused(rng) + b"0" + code),
        gguf_start(rng) + b"0" + code + b".",
        refused(rng) + b"0" + code + b".",
        gguf_start(rng) + b"0" + refused(rng) + b"0" + code + b".",
    ])  # fmt: skip
    externs = b"os\nposix\nbuiltins\n_codecs\ncollections\n"
    entry = rng.choice(["model/weights", "res/data.bin", "model/model.txt", "a/b.json"])
    return {".pt": torch_zip(rng, {".data/extern_modules": externs, ".data/python_version": b"3.11", entry: data}, {})}


@cache
def exported() -> dict[str, bytes]:
    """The entries of an honest .pt2 of torch.export."""

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)

        def forward(self, x):
            return self.linear(x)

    target = io.BytesIO()
    torch.export.save(torch.export.export(Net(), (torch.ones(1, 3),)), target)
    return entries_of(target.getvalue())


@cache
def library() -> bytes:
    """A shared library whose constructor makes the marker."""
    source = '#include <fcntl.h>\n__attribute__((constructor)) static void f(void) { creat("ran", 0600); }\n'
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "ran.so"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-Os", "-s", "-x", "c", "-", "-o", target], input=source, text=True, check=True
        )
        return target.read_bytes()


@recipe(4, "compiled", count=6)
def compiled_model(rng):
    """Sources, flags or a library of AOTInductor in an honest .pt2."""
    stem = "data/aotinductor/model/" + rng.choice(["", "a/", "c3/"]) + rng.choice(["c1", "net", "m.wrapper"])
    bare = stem.removesuffix(".wrapper")
    changes = {part + "_metadata.json": b'{"AOTI_DEVICE_KEY": "cpu"}' for part in (bare, bare + ".wrapper")}
    if rng.random() < 0.4:
        # Any library runs code when it is linked, an honest one too.
        rng.needs = "not clean"
        changes[bare + ".wrapper.so"] = library()
    else:
        flags = {
            "compiler": "touch ran; true", "compile_only": True, "cflags": [], "definitions": [], "include_dirs": [],
            "ldflags": [], "libraries_dirs": [], "libraries": [], "passthrough_args": [],
        }  # fmt: skip
        place = rng.choice(["compiler", "cflags", "include_dirs", "definitions", "passthrough_args"])
        if place != "compiler":
            flags |= {"compiler": "true", place: ["x; touch ran; true"]}
        changes[bare + ".wrapper.cpp"] = b"int main() {}\n"
        for part in ("_compile_flags.json", "_linker_flags.json"):
            changes[bare + ".wrapper" + part] = json.dumps(flags).encode()
            changes[bare + ".kernel" + part] = json.dumps(flags).encode()
    return {".pt2": torch_zip(rng, changes, exported())}


@recipe(4, "pt2", "export", count=4)
def constant_of_export(rng):
    """An opaque constant of an exported program, which loading unpickles, or pickled weights."""
    code = call(rng, searchable=False)
    data = rng.choice([
        gguf_start(rng) + b"0" + code + b".", stream(rng, refused(rng) + b"0" + code), refused(rng) + b"0" + code + b".",
    ])  # fmt: skip
    path, config = rng.choice([
        ("data/constants/opaque_obj_0", "data/constants/model_constants_config.json"),
        ("data/weights/weight_9", "data/weights/model_weights_config.json"),
    ])  # fmt: skip
    entries = dict(exported())
    described = json.loads(entries[config])
    leaf = path.rsplit("/", 1)[1]
    meta = {"path_name": leaf, "is_param": False, "use_pickle": True, "tensor_meta": None}
    described["config"]["hidden"] = meta
    return {".pt2": torch_zip(rng, {config: json.dumps(described).encode(), path: data}, entries)}


# Kind 6. Tar.


def torch_tar(rng, code: bytes, first: bytes, hide: bool) -> bytes:
    """A file of PyTorch 0.1 whose first pickle runs code; the first member has a name of our choice."""
    white = rng.choice([b"\x1c", b"\x1d", b"\x1e", b"\x1f"])
    spelled = rng.choice([white + b"%06o\0", b"%06o" + white + b"\0", b" " + white + b"%05o\0"]) if hide else None
    options = {"spelled": spelled}
    storages = stream(rng, code)
    where = rng.choice(["storages", "pickle"])
    parts = tar_member(first, b"x", **options)
    if where == "storages":
        parts += tar_member(b"storages", storages, **options)
    else:
        parts += tar_member(b"storages", pickle.dumps(0, 2) + pickle.dumps([], 2), **options)
        parts += tar_member(b"tensors", pickle.dumps(0, 2), **options)
        parts += tar_member(b"pickle", storages, **options)
    parts += tar_member(b"sys_info", pickle.dumps({}, 2), **options)
    return parts + bytes(1024)


@recipe(6, "torch", count=10)
def tar_behind_a_name(rng):
    """The first member's name begins like GGUF, an array, safetensors or a pickle, and its checksum has white space."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"
    first = rng.choice([
        b"GGUF\x03\0\0\0" + bytes(16),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header,
        b"\x80\x02N.",
        b"\x80\x04]\x94.",
        b"N.",
        b"\xf8\x01\0\0\0\0\0\0{}",
    ])  # fmt: skip
    code = rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=rng.random() < 0.3)
    return {rng.choice([".pth", ".tar", ".npy"]): torch_tar(rng, code, first, hide=rng.random() < 0.8)}


@recipe(6, "torch", count=4)
def renamed_member(rng):
    """Extended headers that name the next member `storages`."""
    code = refused(rng) + b"0" + call(rng, searchable=False)
    if rng.random() < 0.5:
        record = b"path=storages\n"
        record = b"%d " % (len(record) + 3) + record
        header = tar_member(b"PaxHeader", record, kind=b"x", ustar=True)
    else:
        header = tar_member(b"././@LongLink", b"storages\0", kind=b"L", ustar=True)
    member = tar_member(rng.choice([b"notes", b"README", b"a"]), stream(rng, code), ustar=True)
    return header + member + bytes(1024)


# Kind 9. torch.distributed.checkpoint.


@cache
def distributed() -> tuple[bytes, bytes]:
    """An honest checkpoint of torch.distributed: its .metadata and its data, with room in a tensor."""
    import torch.distributed.checkpoint as dcp

    with tempfile.TemporaryDirectory() as folder:
        state = {"weight": torch.full((4096,), 0x5A, dtype=torch.uint8), "step": 3}
        dcp.save(state, checkpoint_id=folder, no_dist=True)
        return (Path(folder) / ".metadata").read_bytes(), (Path(folder) / "__0_0.distcp").read_bytes()


@recipe(9, "distributed", count=6)
def item_in_a_tensor(rng):
    """The metadata of an honest checkpoint, but a value's place lies in a tensor's data."""
    code = stream(rng, rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=False))
    described, data = distributed()
    metadata = pickle.loads(described)  # made above
    start = data.index(b"\x5a" * 4096) + rng.randrange(2000)
    data = data[:start] + code + data[start + len(code) :]
    for index, info in metadata.storage_data.items():
        if index.fqn == "step":
            info.offset, info.length = start, len(code)
    return {".metadata": pickle.dumps(metadata), "__0_0.distcp": data}


@recipe(9, "distributed", count=4)
def item_in_another_file(rng):
    """The same, and the place is in a file that is no part of the checkpoint: the data of a safetensors file."""
    code = stream(rng, rng.choice([refused(rng) + b"0", b""]) + call(rng, searchable=False))
    described, data = distributed()
    metadata = pickle.loads(described)  # made above
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(code), len(code))
    header += b" " * (-len(header) % 8)
    other = rng.choice(["model.safetensors", "model.gguf", "README.npy"])
    before = {
        "model.safetensors": struct.pack("<Q", len(header)) + header,
        "model.gguf": gguf_file({"general.architecture": "llama"}),
        "README.npy": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % len(code), b""),
    }[other]  # fmt: skip
    for index, info in metadata.storage_data.items():
        if index.fqn == "step":
            info.relative_path, info.offset, info.length = other, len(before), len(code)
    return {".metadata": pickle.dumps(metadata), "__0_0.distcp": data, other: before + code}


# Kind 15. TorchScript.


@cache
def script() -> dict[str, bytes]:
    """The entries of an honest module of TorchScript with a `__setstate__`, which loading calls."""

    class Net(torch.nn.Module):
        @torch.jit.export
        def __getstate__(self):
            return (torch.zeros(1), self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]):
            self.training = state[1]

        def forward(self, x):
            return x

    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and here to stay
        torch.jit.save(torch.jit.script(Net()), target)
    return entries_of(target.getvalue())


def with_saving(rng, source: bytes) -> bytes:
    """TorchScript with a call in `__setstate__` that saves a file."""
    saving = rng.choice([
        b'ops.aten.save(torch.zeros([1]), "ran")', b'torch.save(torch.zeros([1]), "ran")', b'ops . aten\\\n.save(torch.zeros([1]), "ran")',
    ])  # fmt: skip
    start = source.index(b"-> NoneType:\n", source.index(b"def __setstate__")) + len(b"-> NoneType:\n")
    return source[:start] + b"    _9 = " + saving + b"\n" + source[start:]


@recipe(15, "jit", count=8)
def script_that_saves(rng):
    """A module whose __setstate__ saves a file; the names of its entries may be in capitals."""
    entries = {entry: data for entry, data in script().items() if not entry.endswith(".debug_pkl")}
    (source,) = [entry for entry in entries if entry.endswith(".py") and b"__setstate__" in entries[entry]]
    name = rng.choice([source, source, source.upper(), source[:-2] + "PY", "CODE" + source[4:]])
    entries[name] = with_saving(rng, entries.pop(source))
    return {".pt": torch_zip(rng, entries, {})}


@recipe(15, "package", count=4)
def script_in_a_package(rng):
    """A module of TorchScript inside a package of torch.package; its code is beside Python's."""
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # "a beta feature", behind this switch
        torch.package.package_exporter._gate_torchscript_serialization = False
        with torch.package.PackageExporter(target) as exporter:
            exporter.save_pickle("model", "model.pkl", torch.jit.load(io.BytesIO(torch_zip(rng, {}, script()))))
    entries = entries_of(target.getvalue())
    (source,) = [entry for entry in entries if entry.endswith(".py") and b"__setstate__" in entries[entry]]
    entries = {entry: data for entry, data in entries.items() if not entry.endswith(".debug_pkl")}
    entries[source] = with_saving(rng, entries[source])
    return {".pt": torch_zip(rng, {}, entries)}


# Kind 16. Unzipped archives.


@recipe(16, "pickle", count=4)
def record_that_is_a_pickle(rng):
    """A file with a record's name beside an honest data.pkl, which begins like no format."""
    code = refused(rng) + b"0" + call(rng, searchable=False) + b"."
    return {
        "data.pkl": records()["data.pkl"],
        "version": b"3\n",
        rng.choice(["data/0", "extra/0", "data/weights"]): code,
    }


@recipe(16, "package", count=4, needs="not clean")
def unzipped_package(rng):
    """A folder that PackageImporter reads, with its source in a folder that checkpoints have."""
    stem = rng.choice(["data/net.py", "extra/net.py", "data/__init__.py", "code/zoo.py"])
    source = rng.choice([b"import os\nos.system('touch ran')\n", b"getattr(__import__('o' + 's'), 'mkdir')('ran')\n"])
    files = {"data.pkl": records()["data.pkl"], "version": b"3\n", ".data/extern_modules": b"os\nbuiltins\n"}
    return files | {".data/python_version": b"3.11", stem: source}
