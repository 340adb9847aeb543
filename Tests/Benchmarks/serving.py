"""A peer that keeps a network loaded and computes when it is told to; engines.py starts one as a process of its own.

    serving.py eager|frozen FILE.pth ARCHITECTURE INPUT THREADS
    serving.py onnxruntime|openvino FILE.onnx ARCHITECTURE INPUT THREADS

Reads `run N` and answers `median X ms`; reads `logits OUT.npy`, writes what the network answers, and says `written`.
Each peer has the settings of someone who wants it fast on one image at a time: shapes are fixed where that can be said.
"""

import ctypes
import signal
import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures"))


def eager(file: str, architecture: str, x: np.ndarray, threads: int):
    import torch
    from peer import network_of

    torch.set_num_threads(threads)
    network, image = network_of(file, architecture), torch.from_numpy(x)

    def once() -> np.ndarray:
        with torch.inference_mode():
            return network(image).numpy()

    return once


def frozen(file: str, architecture: str, x: np.ndarray, threads: int):
    """Traced, normalizations folded, and in oneDNN's layouts throughout."""
    import torch
    from peer import network_of

    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # torch.jit, which is what is meant
    network, image = network_of(file, architecture), torch.from_numpy(x)
    with torch.inference_mode():
        # A trace has no sizes in it, so a small image does.
        traced = torch.jit.trace(network, image[:1, :, :64, :64], check_trace=False)
        network = torch.jit.optimize_for_inference(torch.jit.freeze(traced))

    def once() -> np.ndarray:
        with torch.inference_mode():
            return network(image).numpy()

    return once


def onnxruntime(file: str, _: str, x: np.ndarray, threads: int):
    """Its threads spin between operations, as they do by default; engines.py stops the process between its turns."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    shape = runtime.InferenceSession(file, providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    for name, size in zip(shape, x.shape, strict=True):
        if isinstance(name, str):
            options.add_free_dimension_override_by_name(name, size)
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})[0]


def openvino(file: str, _: str, x: np.ndarray, threads: int):
    import openvino as vino

    model = vino.Core().read_model(file)
    model.reshape(x.shape)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = vino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([x], share_inputs=True, share_outputs=True)[0]


def main(kind: str, file: str, architecture: str, image: str, threads: str):
    if sys.platform == "linux":
        # Ends with whoever started it: a process that is stopped would never see that its input has ended.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    peers = {"eager": eager, "frozen": frozen, "onnxruntime": onnxruntime, "openvino": openvino}
    once = peers[kind](file, architecture, np.load(image), int(threads))
    for line in sys.stdin:
        job, _, argument = line.strip().partition(" ")
        if job == "logits":
            np.save(argument, once())
            print("written", flush=True)
        elif job == "run":
            times = []
            for _ in range(int(argument)):
                start = time.perf_counter()
                once()
                times.append(time.perf_counter() - start)
            print(f"median {statistics.median(times) * 1000:.3f} ms", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
