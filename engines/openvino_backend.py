"""OpenVINO on the CPU: int8 and bf16 where the network's file and the processor have them, else single precision."""

import io
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import store
from engines.checks import check_model
from engines.contracts import Contract, Dim, Tensor
from engines.errors import BackendError
from engines.examples import one_by_one

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Share:
    """What a network computes in, and its part of the processor: `calls` at once share the `threads`."""

    precision: str
    threads: int
    calls: int = 1

    def __str__(self) -> str:
        threads = f"{self.precision}, {self.threads} thread{'s' if self.threads > 1 else ''}"
        return threads if self.calls == 1 else f"{threads} for {self.calls} calls"


class OpenVinoRunner:
    """A network compiled for the expected shapes; of a batch of these each member is a call of its own. For any other
    shapes it is compiled when they first come."""

    def __init__(self, contract: Contract, path: Path, share: Share) -> None:
        self.device = f"OpenVINO {version()}, {share}"
        self.batch = share.calls  # a call for several costs as much as one for each
        self._contract, self._path = contract, path
        self._config = _config(contract.network, share)
        self._expected: list[_Call] = []
        self._free: Any = None

    def built(self, shapes: Shapes | None) -> bytes:
        """The network compiled for these shapes of its inputs, or for any, as `load` takes it.

        Raises BackendError when OpenVINO cannot, ContractError when the file is not the contract's.
        """
        engine = io.BytesIO()
        self._compiled(shapes).export_model(engine)
        return engine.getvalue()

    def load(self, engine: bytes, shapes: Shapes | None) -> None:
        """Take over what `built` gave on this machine. Raises BackendError when OpenVINO cannot read it."""
        try:
            compiled = process_core().import_model(io.BytesIO(engine), "CPU", self._config)
        except RuntimeError as error:
            raise self._refused(error) from error
        if shapes:
            self._expected = [_Call(compiled) for _ in range(self.batch)]
        else:
            self._free = compiled.create_infer_request()

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, copied out."""
        if not self._expected:
            return self._of_any_shape(inputs)
        first = self._expected[0]
        if first.fits(inputs):
            return first.infer(inputs)
        rows = list(one_by_one(inputs))
        if not all(first.fits(row) for row in rows):
            return self._of_any_shape(inputs)
        answers = list(self._one_after_the_other(rows))
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    def close(self) -> None:
        """Nothing is held beyond memory."""

    def _one_after_the_other(self, rows: Sequence[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """A call for each row, begun as soon as an earlier one is through."""
        under_way: deque[_Call] = deque()
        for place, row in enumerate(rows):
            if len(under_way) == len(self._expected):
                yield under_way.popleft().answer()
            call = self._expected[place % len(self._expected)]
            call.start(row)
            under_way.append(call)
        for call in under_way:
            yield call.answer()

    def _of_any_shape(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if self._free is None:
            self._free = self._compiled(None).create_infer_request()
        results = self._free.infer(dict(inputs), share_inputs=True, share_outputs=False)
        return {port.get_any_name(): results[port] for port in self._free.model_outputs}

    def _compiled(self, shapes: Shapes | None) -> Any:
        core = process_core()
        try:
            model = core.read_model(str(self._path))
            check_model(self._contract, _tensors(model.inputs), _tensors(model.outputs), str(self._path))
            wanted = {tensor.name for tensor in self._contract.outputs}
            for result in model.get_results():
                if not wanted & result.output(0).get_names():
                    model.remove_result(result)
            if shapes:
                model.reshape({name: list(shape) for name, shape in shapes.items()})
            return core.compile_model(model, "CPU", self._config)
        except RuntimeError as error:
            raise self._refused(error) from error

    def _refused(self, error: RuntimeError) -> BackendError:
        return BackendError(f"{self._path}: {self.device} cannot load it ({_reason(error)}); export it again")


class _Call:
    """One call at a time of a network compiled for fixed shapes. Its tensors are looked up once: to do so in every
    call, as the library does, is felt in small networks."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._inputs = {port.get_any_name(): self._request.get_tensor(port).data for port in compiled.inputs}
        self._outputs = {port.get_any_name(): self._request.get_tensor(port).data for port in compiled.outputs}

    def fits(self, inputs: Mapping[str, Array]) -> bool:
        """Whether these are of the shapes it was compiled for."""
        return all(inputs[name].shape == tensor.shape for name, tensor in self._inputs.items())

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, copied out."""
        self._take(inputs)
        self._request.infer(share_outputs=True)
        return self._given()

    def start(self, inputs: Mapping[str, Array]) -> None:
        """Compute on threads of the network's own, until `answer` is asked for."""
        self._take(inputs)
        self._request.start_async()

    def answer(self) -> dict[str, Array]:
        """Outputs by name of what was started, copied out."""
        self._request.wait()
        return self._given()

    def _take(self, inputs: Mapping[str, Array]) -> None:
        for name, tensor in self._inputs.items():
            np.copyto(tensor, inputs[name])

    def _given(self) -> dict[str, Array]:
        return {name: tensor.copy() for name, tensor in self._outputs.items()}


def why_missing() -> str | None:
    """Why OpenVINO cannot be used here; None when it can."""
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        return f"OpenVINO cannot be imported ({error})"
    return None


@cache
def process_core() -> Any:
    """The one Core of this process, never let go.

    Each Core gives the thread a signal stack and, when it goes, puts back the one it found, even if the Core that
    owned that is gone too: after two of them the next signal that Python handles would end the process.
    """
    import openvino

    return openvino.Core()


def computes_bf16() -> bool:
    """Whether the processor computes in bf16 (AVX-512 BF16, AMX)."""
    return "BF16" in process_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def facts(network: str, share: Share) -> dict[str, str]:
    """All that a compiled network depends on beside its file and its shapes."""
    core = process_core()
    return {
        "library": f"OpenVINO {core.get_versions('CPU')['CPU'].build_number}",
        "processor": str(core.get_property("CPU", "FULL_DEVICE_NAME")),
        "capabilities": " ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        **_config(network, share),
    }


@cache
def version() -> str:
    """Version of the library, as people write it."""
    import openvino

    found = re.match(r"\d+\.\d+(\.\d+)?", str(openvino.__version__))
    return found.group() if found else "of unknown version"


def _config(network: str, share: Share) -> dict[str, str]:
    return {
        "PERFORMANCE_HINT": "LATENCY" if share.calls == 1 else "THROUGHPUT",
        "NUM_STREAMS": str(share.calls),
        "INFERENCE_NUM_THREADS": str(share.threads),
        "INFERENCE_PRECISION_HINT": "bf16" if _uses_bf16(network, share.precision) else "f32",
        # Weights in whole numbers do not mean that what they are multiplied with may be rounded too.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        # Several processes share the cores; pinned threads of two of them would sit on the same one.
        "ENABLE_CPU_PINNING": "NO",
    }


def _uses_bf16(network: str, precision: str) -> bool:
    """What is not in whole numbers in an int8 network is in bf16 where the processor can, unless it waits for its
    weights anyway."""
    if precision == "fp32" or (precision == "int8" and network in store.ONLY_WEIGHTS):
        return False
    return computes_bf16()


def _tensors(ports: Any) -> tuple[Tensor, ...]:
    return tuple(_tensor(port) for port in ports)


def _tensor(port: Any) -> Tensor:
    shape: tuple[Dim, ...] = tuple(str(dim) if dim.is_dynamic else dim.get_length() for dim in port.get_partial_shape())
    return Tensor(port.get_any_name(), shape, port.get_element_type().to_dtype().name, "")


def _reason(error: RuntimeError) -> str:
    """The last line that says something: OpenVINO puts the place in its sources first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"
