"""A network that runs: opened by its contract, whatever the back-end, and checked against it at each call."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from engines import onnx_backend, openvino_backend, store
from engines.contracts import Contract, Dim, Tensor
from engines.errors import BackendError, ContractError

Array = NDArray[Any]
Backend = Literal["auto", "openvino", "onnxruntime"]
Precision = Literal["auto", "fp32", "bf16"]
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What runs a network.

    `weights` is a folder, empty for the shipped one; `threads` are those of one network, 0 for one a core.
    """

    backend: Backend = "auto"
    precision: Precision = "auto"
    weights: str = ""
    threads: int = 0


class Session(Protocol):
    """A network ready to run."""

    @property
    def contract(self) -> Contract:
        """What it takes and gives."""

    @property
    def device(self) -> str:
        """Back-end, precision and threads, for people."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, the caller's own arrays. Raises ContractError when an input is not as agreed."""


class Runner(Protocol):
    """What a back-end gives: a compiled model, and the names, types and shapes that its file has."""

    @property
    def device(self) -> str:
        """Back-end, precision and threads, for people."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Inputs of the model file."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Outputs of the model file."""

    def prepare(self, shapes: Mapping[str, tuple[int, ...]] | None) -> None:
        """Compile for these shapes of the inputs, None for any; others may come later."""

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, none of them overwritten by a later call."""


class CheckedSession:
    """A runner behind the contract of its network."""

    def __init__(self, contract: Contract, runner: Runner, where: str) -> None:
        _check_model(contract.network, "input", contract.inputs, runner.inputs, where)
        _check_model(contract.network, "output", contract.outputs, runner.outputs, where)
        self._contract, self._runner = contract, runner

    @property
    def contract(self) -> Contract:
        """What the network takes and gives."""
        return self._contract

    @property
    def device(self) -> str:
        """Back-end, precision and threads, for people."""
        return self._runner.device

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. Raises ContractError naming the input, what was expected and what came."""
        check_inputs(self._contract, inputs)
        return self._runner.infer(inputs)


def open_session(
    contract: Contract, settings: EngineSettings, cores: int, axes: Mapping[str, int] | None = None
) -> Session:
    """A session for the network of `contract`, on at most `cores` threads.

    `axes` are the sizes of the contract's free axes to expect (default: a batch of 1): the model is compiled
    for them now; other sizes run as well. Raises WeightsError, BackendError or ContractError.
    """
    path = store.usable(contract.network, settings.weights)
    threads = settings.threads or max(1, cores)
    runner = _load(path, settings, threads, contract.network)
    session = CheckedSession(contract, runner, str(path))
    runner.prepare(_bound(contract, {"B": 1} if axes is None else axes))
    _log.info("%s: %s", contract.network, session.device)
    return session


def _load(path: Path, settings: EngineSettings, threads: int, network: str) -> Runner:
    if settings.backend == "onnxruntime":
        return onnx_backend.loaded(path, settings.precision, threads)
    missing = openvino_backend.why_missing() if settings.backend == "auto" else None
    if missing is None:
        return openvino_backend.loaded(path, settings.precision, threads)
    _log.warning("%s: ONNX Runtime instead of OpenVINO: %s", network, missing)
    return onnx_backend.loaded(path, settings.precision, threads, f"because {missing}")


def _bound(contract: Contract, axes: Mapping[str, int]) -> dict[str, tuple[int, ...]] | None:
    """Shapes of the inputs with the free axes bound; None when one of them has no size."""
    names = {dim for tensor in contract.inputs for dim in tensor.shape if isinstance(dim, str)}
    if not names <= set(axes):
        return None
    return {
        tensor.name: tuple(axes[dim] if isinstance(dim, str) else dim for dim in tensor.shape)
        for tensor in contract.inputs
    }


def check_inputs(contract: Contract, inputs: Mapping[str, Array]) -> None:
    """Refuse what the contract does not say: names, types, shapes. Raises ContractError."""
    if len(inputs) != len(contract.inputs) or any(tensor.name not in inputs for tensor in contract.inputs):
        expected = ", ".join(tensor.name for tensor in contract.inputs)
        raise ContractError(f"{contract.network}: expected inputs {expected}; got {', '.join(inputs) or 'none'}")
    axes: dict[str, int] = {}
    for tensor in contract.inputs:
        array = inputs[tensor.name]
        if array.dtype.name != tensor.dtype or not _fits(array.shape, tensor.shape, axes):
            free = "".join(f", {name}={size}" for name, size in axes.items())
            raise ContractError(
                f"{contract.network}: input {tensor.name!r} expected {tensor.dtype} "
                f"{_text(tensor.shape)}{free}; got {array.dtype.name} {_text(array.shape)}"
            )


def _fits(shape: tuple[int, ...], expected: tuple[Dim, ...], axes: dict[str, int]) -> bool:
    if len(shape) != len(expected) or 0 in shape:
        return False
    for size, dim in zip(shape, expected, strict=True):
        if size != (axes.setdefault(dim, size) if isinstance(dim, str) else dim):
            return False
    return True


def _check_model(network: str, kind: str, expected: tuple[Tensor, ...], found: tuple[Tensor, ...], where: str) -> None:
    have = {tensor.name: tensor for tensor in found}
    if set(have) != {tensor.name for tensor in expected}:
        names = ", ".join(tensor.name for tensor in expected)
        raise ContractError(
            f"{where}: {network} has the {kind}s {names}; the file has {', '.join(have)}; export it again"
        )
    for tensor in expected:
        if not _compatible(tensor, have[tensor.name]):
            raise ContractError(
                f"{where}: {kind} {tensor.name!r} of {network} is {tensor.dtype} {_text(tensor.shape)}; "
                f"the file has {have[tensor.name].dtype} {_text(have[tensor.name].shape)}; export it again"
            )


def _compatible(expected: Tensor, found: Tensor) -> bool:
    """Whether a file's tensor can hold the contract's: an axis the file leaves free fits anything."""
    if expected.dtype != found.dtype or len(expected.shape) != len(found.shape):
        return False
    pairs = zip(expected.shape, found.shape, strict=True)
    return all(isinstance(have, str) or (isinstance(want, int) and want == have) for want, have in pairs)


def _text(shape: tuple[Dim, ...]) -> str:
    return "(" + ", ".join(str(dim) for dim in shape) + ")"


def example_inputs(contract: Contract, axes: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
    """Inputs of the right names, types and shapes: noise for pictures and floats, zeros for indices."""
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for tensor in contract.inputs:
        shape = tuple(axes[dim] if isinstance(dim, str) else dim for dim in tensor.shape)
        if tensor.dtype == "uint8":
            made[tensor.name] = rng.integers(0, 256, shape, dtype=np.uint8)
        elif tensor.dtype == "float32":
            made[tensor.name] = rng.standard_normal(shape, dtype=np.float32)
        elif tensor.dtype == "int64":
            made[tensor.name] = np.zeros(shape, dtype=np.int64)
        else:
            raise BackendError(f"{contract.network}: no example for an input of type {tensor.dtype}")
    return made
