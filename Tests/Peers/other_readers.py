"""Prints what other readers find in files, as JSON: nothing is unpickled, and no template is rendered.

    python other_readers.py zip|npy|tar|gguf|own < paths

The answer for a file is true when the reader would hand EVIL to an unpickler, would want a pickle, or leaves bytes. It
is false when it would not, and null when it refuses the file.
"""

import io
import json
import signal
import sys
import tarfile
import tempfile
import warnings
import zipfile

# A call that no honest file has.
EVIL = b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R."


def torch_zip(data: bytes):
    """PyTorch's own reader, of the record that torch.load unpickles."""
    import torch

    try:
        return EVIL in torch._C.PyTorchFileReader(io.BytesIO(data)).get_record("data.pkl")
    except (RuntimeError, UnicodeDecodeError, MemoryError):  # its message may not be UTF-8
        return None


def python_zip(data: bytes):
    """zipfile, of every entry that a loader would take for a pickle. CRCs do not matter to those that ignore them."""
    evil = None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if entry.filename.lower().endswith(".pkl"):
                    with archive.open(entry) as file:
                        file._expected_crc = None
                        evil = evil or EVIL in file.read(1 << 20)
    except Exception:  # zipfile raises whatever struct, zlib and its own code do
        return evil
    return bool(evil)


def npy(data: bytes):
    """NumPy: does the array need a pickle, or do bytes follow it?"""
    import numpy

    file = io.BytesIO(data)
    try:
        numpy.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:
        return True if "allow_pickle" in str(error) else None
    except Exception:
        return None
    return file.tell() < len(data)


def tar(data: bytes):
    """tarfile, as torch.load opens it."""
    evil = None
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for _ in range(20):
                if (member := archive.next()) is None:
                    break
                file = archive.extractfile(member)
                if file is not None and member.name in ("storages", "pickle", "tensors"):
                    evil = evil or EVIL in file.read(1 << 16)
    except Exception:
        return evil
    return bool(evil)


def jinja(data: bytes):
    """jinja2's parser: does the template name a private attribute, or compute the name of one?"""
    import jinja2
    from jinja2 import nodes

    # The template is the last value of the file.
    start = data.index(b"tokenizer.chat_template") + len(b"tokenizer.chat_template") + 4
    length = int.from_bytes(data[start : start + 8], "little")
    try:
        tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(
            data[start + 8 : start + 8 + length].decode()
        )
    except (jinja2.TemplateError, RecursionError, UnicodeDecodeError):
        return None
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Const)):
        if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            return True
        if (
            isinstance(node, nodes.Getitem)
            and isinstance(node.arg, nodes.Const)
            and str(node.arg.value).startswith("_")
        ):
            return True
        if isinstance(node, nodes.Filter) and node.name == "attr":
            return True
        if isinstance(node, nodes.Filter) and node.name == "map":
            for word in node.kwargs:
                if word.key == "attribute" and isinstance(word.value, nodes.Const):
                    if any(part.startswith("_") for part in str(word.value.value).split(".")):
                        return True
    return False


def refuses(data: bytes):
    """True when the format's own reader refuses the file, by a file of that format with a byte changed or added."""
    import gguf
    import numpy
    import safetensors
    import torch

    signal.alarm(3)
    try:
        if data[:4] == b"GGUF":
            with tempfile.NamedTemporaryFile() as file:
                file.write(data)
                file.flush()
                gguf.GGUFReader(file.name)
        elif data[:6] == b"\x93NUMPY":
            return npy(data) is not False
        elif data[8:9] == b"{":
            safetensors.deserialize(data)
        elif b"arr_0.npy" in data or b"a.npy" in data:
            with numpy.load(io.BytesIO(data)) as arrays:
                [arrays[name] for name in arrays.files]
        else:
            torch.load(io.BytesIO(data), weights_only=True)
    except Exception:
        return True
    finally:
        signal.alarm(0)
    return False


def interrupt(number, frame):
    raise TimeoutError("the reader does not come to an end")


READERS = {
    "zip": {"torch": torch_zip, "zipfile": python_zip},
    "npy": {"numpy": npy},
    "tar": {"tarfile": tar},
    "gguf": {"jinja2": jinja},
    "own": {"its reader": refuses},
}


def main():
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, interrupt)
    for path in sys.stdin.read().splitlines():
        with open(path, "rb") as file:
            data = file.read()
        found = {title: reader(data) for title, reader in READERS[sys.argv[1]].items()}
        print(json.dumps([path, found]), flush=True)


if __name__ == "__main__":
    main()
