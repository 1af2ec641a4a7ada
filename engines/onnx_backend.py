"""ONNX Runtime on the CPU, in fp32: the fall-back that runs everywhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from engines.contracts import Tensor
from engines.errors import BackendError

Array = NDArray[Any]
_DTYPES: Final = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class OnnxRunner:
    """A model in ONNX Runtime."""

    def __init__(self, session: Any, device: str) -> None:
        self.device = device
        self.inputs = tuple(_tensor(node) for node in session.get_inputs())
        self.outputs = tuple(_tensor(node) for node in session.get_outputs())
        self._names = [tensor.name for tensor in self.outputs]
        self._session = session

    def prepare(self, shapes: Mapping[str, tuple[int, ...]] | None) -> None:
        """Nothing to do: the model was compiled when it was loaded, for any shapes."""

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name; ONNX Runtime allocates them anew at each call."""
        return dict(zip(self._names, self._session.run(self._names, dict(inputs)), strict=True))


def _tensor(node: Any) -> Tensor:
    shape = tuple(dim if isinstance(dim, int) else str(dim) for dim in node.shape)
    return Tensor(node.name, shape, _DTYPES.get(node.type, node.type), "")


def loaded(path: Path, precision: str, threads: int, because: str = "") -> OnnxRunner:
    """The model of `path` on `threads` threads; `because` says in `device` why this back-end was taken.

    Raises BackendError when ONNX Runtime is missing, cannot read the file, or is asked for another precision.
    """
    if precision == "bf16":
        raise BackendError(
            "precision bf16 runs on OpenVINO only; `pip install openvino`, or set engines.precision to auto"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"ONNX Runtime cannot be imported ({error}); `pip install onnxruntime`, or set engines.backend to openvino"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Several processes share the cores: a thread that spins while it waits takes the next stage's time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BackendError(
            f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it ({_first_line(error)}); export it again"
        ) from error
    device = f"ONNX Runtime {onnxruntime.__version__}, fp32, {_threads(threads)}"
    return OnnxRunner(session, f"{device}, {because}" if because else device)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"
