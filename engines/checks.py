"""Whether tensors and model files are what a network's contract says."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from engines.contracts import Contract, Dim, Tensor
from engines.errors import ContractError

Array = NDArray[Any]


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


def check_model(contract: Contract, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], where: str) -> None:
    """Refuse a model file that lacks a tensor of the contract, or wants more than that. Raises ContractError."""
    _check_tensors(contract.network, "input", contract.inputs, inputs, where)
    _check_tensors(contract.network, "output", contract.outputs, outputs, where)


def bound_shapes(contract: Contract, axes: Mapping[str, int]) -> dict[str, tuple[int, ...]] | None:
    """Shapes of the inputs with the free axes bound; None when one of them has no size."""
    names = {dim for tensor in contract.inputs for dim in tensor.shape if isinstance(dim, str)}
    if not names <= set(axes):
        return None
    return {
        tensor.name: tuple(axes[dim] if isinstance(dim, str) else dim for dim in tensor.shape)
        for tensor in contract.inputs
    }


def _fits(shape: tuple[int, ...], expected: tuple[Dim, ...], axes: dict[str, int]) -> bool:
    if len(shape) != len(expected) or 0 in shape:
        return False
    for size, dim in zip(shape, expected, strict=True):
        if size != (axes.setdefault(dim, size) if isinstance(dim, str) else dim):
            return False
    return True


def _check_tensors(
    network: str, kind: str, expected: tuple[Tensor, ...], found: tuple[Tensor, ...], where: str
) -> None:
    have = {tensor.name: tensor for tensor in found}
    wanted = {tensor.name for tensor in expected}
    if not wanted <= set(have) or (kind == "input" and wanted != set(have)):
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
