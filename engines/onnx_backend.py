"""ONNX Runtime on the CPU, in fp32 or, where such a file is given, int8: the fall-back that runs everywhere."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from engines.checks import check_model
from engines.contracts import Contract, Tensor
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
    """A network in ONNX Runtime, for any shapes."""

    batch = 1
    """A batch costs as much as its members one by one."""

    def __init__(self, contract: Contract, session: Any, device: str) -> None:
        self.device = device
        self._names = [tensor.name for tensor in contract.outputs]
        self._session = session

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name; ONNX Runtime allocates them anew at each call."""
        return dict(zip(self._names, self._session.run(self._names, dict(inputs)), strict=True))

    def close(self) -> None:
        """Nothing is held beyond memory."""


def _tensor(node: Any) -> Tensor:
    shape = tuple(dim if isinstance(dim, int) else str(dim) for dim in node.shape)
    return Tensor(node.name, shape, _DTYPES.get(node.type, node.type), "")


def loaded(contract: Contract, path: Path, precision: str, threads: int) -> OnnxRunner:
    """The network of `path`, a file whose precision is `precision`, on `threads` threads.

    Raises BackendError when ONNX Runtime is missing or cannot read the file, ContractError when that is not the
    contract's.
    """
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
    inputs, outputs = (tuple(map(_tensor, nodes)) for nodes in (session.get_inputs(), session.get_outputs()))
    check_model(contract, inputs, outputs, str(path))
    return OnnxRunner(contract, session, f"ONNX Runtime {onnxruntime.__version__}, {precision}, {_threads(threads)}")


def facts() -> dict[str, str]:
    """All that a verdict on ONNX Runtime depends on beside the file. Raises BackendError when it is missing."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"ONNX Runtime cannot be imported ({error}); `pip install onnxruntime`") from error
    return {"library": f"ONNX Runtime {onnxruntime.__version__}", "processor": platform.processor()}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"
