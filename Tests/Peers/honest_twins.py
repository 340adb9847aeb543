"""Honest files of the shapes that attacks have, each written by its own library: none may alarm."""

import collections
import io
import pickle
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import attack_archives
import numpy as np
import torch
from attack_templates import gguf_file
from honest_files import honest, records, torch_zip

CLEAN = {"clean"}
NOT_DANGEROUS = {"clean", "unknown"}
TWINS = []


def twin(kind: int, allowed: set[str] = NOT_DANGEROUS):
    """Registers a function that returns files by name."""

    def register(function):
        TWINS.append((kind, allowed, function))
        return function

    return register


def saved(value, **options) -> bytes:
    target = io.BytesIO()
    torch.save(value, target, **options)
    return target.getvalue()


# Kind 1.


@twin(1, CLEAN)
def one_format(rng):
    import safetensors.torch

    tensors = {"a": torch.ones(3), "b": torch.zeros(2, 2, dtype=torch.uint8)}
    return {
        "plain.safetensors": safetensors.torch.save(tensors, {"format": "pt", "note": "C#" * 30}),
        "numbers.safetensors": safetensors.torch.save({"x": torch.frombuffer(bytearray(pickle.dumps([1])), dtype=torch.uint8)}),
        "legacy.pth": honest("legacy"), "zip.pth": honest("zip"),
        "plain.pkl": pickle.dumps({"a": [1, 2.5, None, "x"], "b": (b"bytes", {1, 2})}, rng.randrange(2, 6)),
    }  # fmt: skip


@twin(1)
def streams(rng):
    return {"two.pkl": b"".join(pickle.dumps([index], rng.randrange(2, 6)) for index in range(3))}


@twin(1, CLEAN)
def tensors_of_gguf(rng):
    import gguf

    path = rng.folder / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_token_list(
        ["<s>", "#!/bin/sh", "__init__", "eval(", "powershell", "import os", "attr", "format"] + ["é"] * 50
    )
    writer.add_token_merges(["_ _", "e val", "o s.system"])
    writer.add_tensor("token_embd.weight", np.arange(64, dtype=np.float32).reshape(8, 8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"model.gguf": path.read_bytes()}


# Kind 2.


@twin(2, CLEAN)
def frames(rng):
    values = {
        "small.pkl": [b"A" * 10, "text", 1.5],
        "large.pkl": [b"A" * 200_000, "B" * 70_000, bytearray(100_000)],
        "many.pkl": [f"name {index}" for index in range(20_000)],
        "edge.pkl": ["x" * size for size in range(65_400, 65_600, 13)],
    }
    made = {name: pickle.dumps(value, rng.choice([4, 5])) for name, value in values.items()}
    for name, value in values.items():
        target = io.BytesIO()
        pickle._Pickler(target, 4).dump(value)
        made["python-" + name] = target.getvalue()
    state = collections.OrderedDict((f"layer{index}.weight", torch.ones(2)) for index in range(2000))
    made["four.pth"] = saved(state, pickle_protocol=4)
    made["five.pth"] = saved(state, pickle_protocol=5)
    made["legacy-four.pth"] = saved(state, pickle_protocol=4, _use_new_zipfile_serialization=False)
    return made


# Kind 3.


@twin(3, CLEAN)
def values(rng):
    value = [
        10**2000, -(10**300), 255, 2**31, 1.5, float("inf"), True, None, "é\n'\"\\", b"\x80\x04", bytearray(b"abc"), {1, 2},
        frozenset([3]), (1, (2, (3,))), {"a": {"b": []}}, collections.OrderedDict(a=1), collections.Counter("aab"), range(3),
        slice(1, 2), 1 + 2j, collections.defaultdict(list, a=[1]), torch.float32, torch.Size([1, 2]), torch.device("cpu"),
    ]  # fmt: skip
    return {f"{protocol}.pkl": pickle.dumps(value, protocol) for protocol in range(2, 6)} | {
        f"{protocol}.pth": saved(value, pickle_protocol=protocol) for protocol in range(2, 6)
    }


# Kind 4.


@twin(4, CLEAN)
def checkpoints(rng):
    made = {"plain.pth": honest("zip"), "again.pth": torch_zip(rng, {})}
    for name, method in {"stored.pth": zipfile.ZIP_STORED, "deflated.pth": zipfile.ZIP_DEFLATED}.items():
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", method) as archive:
            for entry, data in records().items():
                archive.writestr("archive/" + entry, data)
        made[name] = target.getvalue()
    return made


@twin(4)
def programs(rng):
    entries = attack_archives.exported()
    made = {"model.pt2": torch_zip(rng, {}, entries), "script.pt": torch_zip(rng, {}, attack_archives.script())}
    target = io.BytesIO()
    with torch.package.PackageExporter(target) as exporter:
        exporter.save_text("model", "notes.txt", "some text")
        exporter.save_binary("model", "blob", bytes(range(256)))
        exporter.save_pickle("model", "weights.pkl", {"a": torch.ones(3), "b": [1, 2]})
        exporter.save_source_string("model.net", "import math\n\ndef area(r):\n    return math.pi * r * r\n")
    return made | {"package.pt": target.getvalue()}


# Kind 5.


@twin(5, CLEAN)
def arrays(rng):
    types = [
        "<f4", ">f8", "|b1", "<U5", "|S3", "<M8[ns]", "<c8", "|V8", "<i8", "<f2",
        [("O", "<f4"), ("T", "<i4")], [("object", "<f4", (2, 3)), ("é", "|S4")], [("a", [("b", "<f4"), ("c", "<i2")])],
        [("x", "<f4"), ("y y", "<i4")],
    ]  # fmt: skip
    made = {}
    for index, kind in enumerate(types):
        for shape in [(), (0,), (3,), (2, 3)]:
            target = io.BytesIO()
            np.save(target, np.zeros(shape, kind, order=rng.choice("CF")))
            made[f"{index}-{len(shape)}-{sum(shape)}.npy"] = target.getvalue()
    for name, write in {"plain.npz": np.savez, "packed.npz": np.savez_compressed}.items():
        target = io.BytesIO()
        write(target, a=np.ones(3), O=np.zeros((2, 2), "<f2"))
        made[name] = target.getvalue()
    return made


# Kind 6.


@twin(6, CLEAN)
def archive_of_torch(rng):
    """The layout of PyTorch 0.1: its loader is in torch/serialization.py, legacy_load."""
    storages = pickle.dumps(1, 2) + pickle.dumps((7, "cpu", torch.FloatStorage), 2) + struct.pack("<q3f", 3, 1, 2, 3)
    storages += pickle.dumps([], 2)
    tensors = pickle.dumps(1, 2) + pickle.dumps((9, 7, torch.FloatTensor), 2) + struct.pack("<i4xqqq", 1, 3, 1, 0)
    target = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.number if isinstance(value, Numbered) else None

    Pickler(target, 2).dump(collections.OrderedDict(weight=Numbered(9)))
    members = {"sys_info": pickle.dumps({}, 2), "pickle": target.getvalue(), "storages": storages, "tensors": tensors}
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    # This loader reads only files with a descriptor.
    (rng.folder / "tar.pth").write_bytes(target.getvalue())
    assert torch.load(rng.folder / "tar.pth", weights_only=False)["weight"].tolist() == [1, 2, 3]
    return {"tar.pth": target.getvalue()}


class Numbered:
    """Stands for a tensor, which the file refers to by a number."""

    def __init__(self, number: int):
        self.number = number


@twin(6)
def archives(rng):
    made = {}
    for name, style in {
        "gnu.tar": tarfile.GNU_FORMAT,
        "pax.tar": tarfile.PAX_FORMAT,
        "ustar.tar": tarfile.USTAR_FORMAT,
    }.items():
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=style) as archive:
            for member in ("model/weights.pth", "model/" + "x" * rng.choice([20, 90]) + ".pth"):
                info = tarfile.TarInfo(member)
                info.size = len(honest("zip"))
                info.mtime = 1_700_000_000
                archive.addfile(info, io.BytesIO(honest("zip")))
        made[name] = target.getvalue()
    return made


# Kind 7.


@twin(7, CLEAN)
def legacy_files(rng):
    base = torch.arange(24, dtype=torch.float32)
    shared = {"whole": base, "part": base[3:9], "turned": base.view(4, 6).t(), "again": base}
    kinds = [
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.uint8,
        torch.bool,
        torch.complex64,
        torch.float64,
        torch.int16,
    ]
    every = {str(kind): torch.zeros(3).to(kind) for kind in kinds} | {"none": torch.empty(0)}
    made = {"shared.pth": shared, "types.pth": every}
    return {name: saved(value, _use_new_zipfile_serialization=False) for name, value in made.items()}


@twin(7)
def legacy_quantised(rng):
    weight = torch.quantize_per_channel(torch.randn(4, 8), torch.ones(4), torch.zeros(4), 0, torch.quint4x2)
    return {
        "four-bits.pth": saved({"w": weight}, _use_new_zipfile_serialization=False),
        "four-bits-zip.pth": saved({"w": weight}),
    }


# Kind 8.

TEMPLATES = [
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{{- bos_token }}{%- if tools is not none %}{{- tools | tojson(indent=4) }}{%- endif %}{%- set ns = namespace(found=false) -%}"
    "{%- for m in messages -%}{%- if m.role == 'system' and loop.first -%}{%- set ns.found = true -%}{{ m.content | trim }}"
    "{%- elif m['content'] is string -%}{{ m['content'].split('</think>')[-1].lstrip('\\n') }}{%- endif -%}{%- endfor -%}",
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% else %}{% set loop_messages = messages %}"
    "{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% endfor %}",
    "{%- macro render(x, y=1) -%}{{ x ~ ': ' ~ y }}{%- endmacro -%}{{ render(strftime_now('%d %b %Y')) }}"
    "{%- for k, v in messages[0] | dictsort -%}{{ k | upper }}={{ v | default('') | replace('a', 'b') }}{%- endfor -%}",
    "{# a comment with __globals__ and eval( #}{% raw %}{{ __class__ }}{% endraw %}{{ messages | map(attribute='content') | join(', ') }}"
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
]  # fmt: skip


@twin(8, CLEAN)
def templates(rng):
    return {
        f"{index}.gguf": gguf_file({"general.architecture": "llama", "tokenizer.chat_template": template})
        for index, template in enumerate(TEMPLATES)
    }


# Kind 9.


@twin(9)
def distributed(rng):
    described, data = attack_archives.distributed()
    return {"dcp/.metadata": described, "dcp/__0_0.distcp": data}


# Kind 10.


@twin(10)
def common_values(rng):
    import argparse
    import datetime
    import pathlib

    value = {
        "args": argparse.Namespace(lr=0.1), "path": pathlib.PurePosixPath("a/b"), "date": datetime.datetime(2024, 1, 2),
        "activation": torch.nn.functional.relu, "optimizer": torch.optim.SGD, "queue": collections.deque([1, 2], 5),
        "random": np.random.RandomState(3).get_state(), "generator": np.random.default_rng(3), "masked": np.ma.masked_array([1, 2], [0, 1]),
        "module": torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()),
    }  # fmt: skip
    return {f"{name}.pth": saved({name: item}) for name, item in value.items()}


# Kind 11.


@twin(11, CLEAN)
def large_and_nested(rng):
    shared = [1, 2, 3]
    nested = ()
    for _ in range(40):
        nested = (nested, 1)
    value = {
        "tuples.pth": {(1, (2, 3)): "a", ("x", ("y", ("z",))): 1},
        "nested.pth": nested,
        "shared.pth": [shared] * 50,
        "expanded.pth": torch.zeros(1).expand(1000, 1000),
        "size.pth": torch.Size(range(10)),
    }
    return {name: saved(item) for name, item in value.items()}


# Kind 14.


@twin(14)
def joblib_files(rng):
    import joblib

    made = {}
    for name, value in {
        "array.joblib": np.arange(12.0), "two.joblib": {"a": np.ones((3, 4), "<f4"), "b": [np.zeros(5, "u1"), "text"]},
        "empty.joblib": np.zeros((0, 3)), "plain.joblib": {"a": [1, 2]}, "fortran.joblib": np.ones((3, 2), order="F"),
    }.items():  # fmt: skip
        target = io.BytesIO()
        joblib.dump(value, target)
        made[name] = target.getvalue()
    return made


# Kind 16.


@twin(16)
def unzipped(rng):
    return {"unzipped/" + entry: data for entry, data in records().items()}


def write(folder: Path, seed: int) -> dict[str, tuple[set[str], Path]]:
    """Writes the twins; returns the allowed verdicts and the path of each file by its name."""
    written = {}
    for number, allowed, function in TWINS:
        rng = random.Random(f"{seed} {function.__name__}")
        place = folder / f"{number:02}-{function.__name__.replace('_', '-')}"
        place.mkdir()
        rng.folder = place
        for name, data in function(rng).items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written[str(path)] = (allowed, path)
    return written
