"""Which engine to take for a network: what was asked for, by what this machine has, best first.

`auto` prefers a GPU to the CPU, OpenVINO to ONNX Runtime, and few bits to many: int8 where such a file lies beside the
network, bf16 where the CPU computes in it, fp16 on a GPU. An engine that turns out not to give what single precision
gives (`engines.trust`) is passed over for the next. int8, asked for by name, is the same with int8 first: not every
network has such a file.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Final

from engines import openvino_backend, store
from engines.errors import BackendError
from engines.nvidia import tensorrt_backend
from engines.settings import EngineSettings

_CPU_BACKENDS: Final = ("openvino", "onnxruntime")
_OF_BACKEND: Final = {
    "openvino": ("int8", "bf16", "fp32"),
    "onnxruntime": ("int8", "fp32"),
    "tensorrt": ("fp16", "int8", "fp32"),
}
"""Precisions of each back-end, in the order in which `auto` tries them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a network; `because` says why nothing better is tried before it, empty if nothing is better."""

    backend: str
    device: str
    precision: str
    because: str = ""


def candidates(network: str, settings: EngineSettings) -> list[Candidate]:
    """The ways to run `network`, best first; one alone unless something is left to `auto` or int8 is not for it.

    Raises BackendError when what was asked for is not to be had.
    """
    return [
        Candidate(backend, device, precision, because)
        for backend, device, because in _places(settings)
        for precision in _precisions(network, backend, settings)
    ]


def _places(settings: EngineSettings) -> list[tuple[str, str, str]]:
    """Back-end, device, and why not a better one."""
    on_gpu = settings.backend == "tensorrt" or settings.device.startswith("cuda")
    if on_gpu and (settings.device == "cpu" or settings.backend in _CPU_BACKENDS):
        raise BackendError(
            f"engines.backend {settings.backend} does not run on engines.device {settings.device}; set one to auto"
        )
    no_gpu = why_no_gpu() if settings.device != "cpu" and settings.backend not in _CPU_BACKENDS else ""
    if on_gpu and no_gpu:
        raise BackendError(f"{no_gpu}; or set engines.device to cpu and engines.backend to auto")
    if on_gpu:
        return [("tensorrt", _gpu(settings), "")]
    gpu = [] if no_gpu is not None else [("tensorrt", _gpu(settings), "")]
    return gpu + _cpu_places(settings)


def _cpu_places(settings: EngineSettings) -> list[tuple[str, str, str]]:
    if settings.backend == "onnxruntime":
        return [("onnxruntime", "cpu", "")]
    missing = openvino_backend.why_missing()
    if missing is None:
        return [("openvino", "cpu", "")]
    if settings.backend == "openvino":
        raise BackendError(f"{missing}; `pip install openvino`, or set engines.backend to onnxruntime")
    return [("onnxruntime", "cpu", f"ONNX Runtime instead of OpenVINO: {missing}")]


def _precisions(network: str, backend: str, settings: EngineSettings) -> list[str]:
    able = [name for name in _OF_BACKEND[backend] if _computes(backend, name)]
    if settings.precision not in ("auto", "int8"):
        if settings.precision not in able:
            raise BackendError(_unable(backend, settings.precision))
        return [settings.precision]
    if settings.precision == "int8":
        able = sorted(able, key=lambda name: name != "int8")
    has_int8 = store.has(store.whole_numbers(network), settings.weights)
    has_int8 &= not (backend == "tensorrt" and network in store.ONLY_WEIGHTS)
    return [name for name in able if name != "int8" or has_int8]


def _computes(backend: str, precision: str) -> bool:
    return precision != "bf16" or (backend == "openvino" and openvino_backend.computes_bf16())


def _unable(backend: str, precision: str) -> str:
    if precision == "bf16" and backend == "openvino":
        return "this CPU does not compute in bf16; set engines.precision to auto"
    able = ", ".join(_OF_BACKEND[backend])
    return f"precision {precision} does not run on {backend} (it has {able}); set engines.precision to auto"


def _gpu(settings: EngineSettings) -> str:
    return settings.device if settings.device.startswith("cuda") else "cuda:0"


@cache
def why_no_gpu() -> str | None:
    """Why no NVIDIA GPU can be used, in one line; None when one can. The driver is asked first, which costs nothing."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no GPU: there is no NVIDIA driver here"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "no GPU: the NVIDIA driver finds none"
    return tensorrt_backend.why_missing()
