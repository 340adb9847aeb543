"""What a Python user runs instead of Decant; bench.py starts it as a process of its own.

    peer.py list FILE
    peer.py convert|halve|map FILE OUT      to safetensors: as it is, in float16, through a mapping
    peer.py save|random FILE TENSORS ELEMENTS
    peer.py verify FILE ARCHITECTURE
    peer.py run FILE ARCHITECTURE INPUT THREADS REPEAT [LOGITS]    compares with LOGITS.npy where it is given

Each imports only what its job needs.
"""

import statistics
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures"))


def load(file: str):
    import torch

    return torch.load(file, map_location="cpu", weights_only=True)["model"]


def list_tensors(file: str):
    for name, tensor in load(file).items():
        print(name, tuple(tensor.shape), tensor.dtype)


def convert(file: str, output: str):
    from safetensors.torch import save_file

    save_file(load(file), output)


def halve(file: str, output: str):
    from safetensors.torch import save_file

    save_file({name: t.half() if t.is_floating_point() else t for name, t in load(file).items()}, output)


def convert_mapped(file: str, output: str):
    import torch
    from safetensors.torch import save_file

    save_file(torch.load(file, mmap=True, weights_only=True)["model"], output)


def save_random(file: str, tensors: str, elements: str):
    import torch

    generator = torch.Generator().manual_seed(7)
    state = {f"layer{i}.weight": torch.rand(int(elements), generator=generator) for i in range(int(tensors))}
    torch.save({"model": state}, file)


def save(file: str, tensors: str, elements: str):
    """A checkpoint whose storages take no room on the disk: PyTorch leaves their places empty."""
    import torch

    with torch.serialization.skip_data():
        state = {f"layer{i}.weight": torch.empty(int(elements)) for i in range(int(tensors))}
        torch.save({"model": state}, file)


def network_of(file: str, architecture: str):
    import networks

    network = networks.build(architecture)
    network.load_state_dict(load(file), strict=True, assign=True)
    return network.eval()


def verify(file: str, architecture: str):
    import torch

    for name, tensor in network_of(file, architecture).state_dict().items():
        if not torch.isfinite(tensor).all():
            sys.exit(f"{name} is not finite")


def run(file: str, architecture: str, image: str, threads: str, repeat: str, logits: str | None = None):
    import numpy as np
    import torch

    torch.set_num_threads(int(threads))
    network = network_of(file, architecture)
    x = torch.from_numpy(np.load(image))
    times = []
    with torch.inference_mode():
        for _ in range(int(repeat)):
            start = time.perf_counter()
            y = network(x)
            times.append(time.perf_counter() - start)
    if logits:
        difference = float(np.abs(np.load(logits) - y.numpy()).max() / y.abs().max())
        if not difference < 1e-5:
            sys.exit(
                f"the logits differ by {difference:.1e} of the largest: these are two different networks"
            )
    print(f"median {statistics.median(times) * 1000:.3f} ms")


def thousand(folder: str):
    """Makes a thousand checkpoints: torch's zip and legacy files, bare pickles of arrays."""
    import os
    import pickle

    import numpy as np
    import torch

    os.mkdir(folder)
    generator = torch.Generator().manual_seed(7)
    for index in range(1000):
        state = {f"layer{i}.weight": torch.randn(32, 32, generator=generator) for i in range(24)}
        value = {"model": state, "epoch": index, "optimizer": {"lr": 0.1, "betas": (0.9, 0.999)}}
        path = f"{folder}/{index:04}"
        if index % 10 == 0:
            with open(f"{path}.pkl", "wb") as file:
                pickle.dump({name: np.array(tensor) for name, tensor in state.items()}, file)
        else:
            torch.save(value, f"{path}.pth", _use_new_zipfile_serialization=index % 10 != 1)


def picklescan(folder: str):
    """The whole of its command line."""
    from picklescan.cli import main

    sys.argv = ["picklescan", "-p", folder]
    sys.exit(main())


if __name__ == "__main__":
    jobs = {
        "list": list_tensors,
        "save": save,
        "convert": convert,
        "halve": halve,
        "map": convert_mapped,
        "random": save_random,
        "verify": verify,
        "run": run,
        "thousand": thousand,
        "picklescan": picklescan,
    }
    jobs[sys.argv[1]](*sys.argv[2:])
