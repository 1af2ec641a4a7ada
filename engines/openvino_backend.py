"""OpenVINO on the CPU: the default, in bf16 where the CPU computes it."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from engines.contracts import Dim, Tensor
from engines.errors import BackendError

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]


class OpenVinoRunner:
    """A model in OpenVINO: compiled for the expected shapes, and for any others when they first come."""

    def __init__(self, core: Any, model: Any, config: dict[str, str], device: str, where: str) -> None:
        self.device = device
        self.inputs = tuple(_tensor(port) for port in model.inputs)
        self.outputs = tuple(_tensor(port) for port in model.outputs)
        self._core, self._model, self._config, self._where = core, model, config, where
        self._expected: dict[str, tuple[int, ...]] = {}
        self._fixed: Any = None
        self._free: Any = None

    def prepare(self, shapes: Shapes | None) -> None:
        """Compile for these shapes of the inputs, or for any. Raises BackendError when it cannot be done."""
        if shapes:
            self._expected, self._fixed = dict(shapes), self._request(shapes)
        else:
            self._of_any_shape()

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. Inputs are read in place where they are contiguous; outputs are copied out."""
        request = self._fixed if self._is_expected(inputs) else self._of_any_shape()
        results = request.infer(dict(inputs), share_inputs=True, share_outputs=False)
        return {tensor.name: results[place] for place, tensor in enumerate(self.outputs)}

    def _is_expected(self, inputs: Mapping[str, Array]) -> bool:
        return self._fixed is not None and all(inputs[name].shape == shape for name, shape in self._expected.items())

    def _of_any_shape(self) -> Any:
        if self._free is None:
            self._free = self._request(None)
        return self._free

    def _request(self, shapes: Shapes | None) -> Any:
        try:
            model = self._model
            if shapes:
                model = model.clone()
                model.reshape({name: list(shape) for name, shape in shapes.items()})
            return self._core.compile_model(model, "CPU", self._config).create_infer_request()
        except RuntimeError as error:
            raise _refused(self._where, self.device, error) from error


def _tensor(port: Any) -> Tensor:
    shape: tuple[Dim, ...] = tuple(str(dim) if dim.is_dynamic else dim.get_length() for dim in port.get_partial_shape())
    return Tensor(port.get_any_name(), shape, port.get_element_type().to_dtype().name, "")


def why_missing() -> str | None:
    """Why OpenVINO cannot be used here; None when it can."""
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        return f"OpenVINO cannot be imported ({error})"
    return None


def loaded(path: Path, precision: str, threads: int) -> OpenVinoRunner:
    """The model of `path` to run on `threads` threads; `prepare` compiles it.

    Raises BackendError when OpenVINO is missing, cannot read the file, or the CPU lacks the precision.
    """
    missing = why_missing()
    if missing is not None:
        raise BackendError(f"{missing}; `pip install openvino`, or set engines.backend to onnxruntime")
    import openvino

    core = process_core()
    chosen = chosen_precision(core, precision)
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[chosen],
        # Several processes share the cores; pinned threads of two of them would sit on the same one.
        "ENABLE_CPU_PINNING": "NO",
    }
    device = f"OpenVINO {_version(openvino)}, {chosen}, {threads} thread{'s' if threads > 1 else ''}"
    try:
        return OpenVinoRunner(core, core.read_model(str(path)), config, device, str(path))
    except RuntimeError as error:
        raise _refused(str(path), device, error) from error


@cache
def process_core() -> Any:
    """The one Core of this process, never let go.

    Each Core gives the thread a signal stack and, when it goes, puts back the one it found, even if the Core that
    owned that is gone too: after two of them the next signal that Python handles would end the process.
    """
    import openvino

    return openvino.Core()


def _refused(where: str, device: str, error: RuntimeError) -> BackendError:
    return BackendError(f"{where}: {device} cannot load it ({_reason(error)}); export it again")


def chosen_precision(core: Any, asked: str) -> str:
    """`fp32` or `bf16` for what was asked, by what the CPU can do. Raises BackendError when it cannot."""
    able = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if asked == "bf16" and not able:
        raise BackendError("this CPU does not compute in bf16; set engines.precision to fp32 or auto")
    if asked == "auto":
        return "bf16" if able else "fp32"
    return asked


def _version(openvino: Any) -> str:
    found = re.match(r"\d+\.\d+(\.\d+)?", str(openvino.__version__))
    return found.group() if found else "of unknown version"


def _reason(error: RuntimeError) -> str:
    """The last line that says something: OpenVINO puts the place in its sources first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"
