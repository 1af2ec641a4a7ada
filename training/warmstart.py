"""Shipped ONNX networks as a starting point for further training, where no checkpoint is at hand.

Export folds batch normalisation into the convolutions, stores linear weights transposed under names of its own, and
keeps big weights in half precision. Here that is undone: convolutions and named tensors by name, linear weights
through the bias that is added behind them, and each batch normalisation is set so that it passes its input on
unchanged on a given batch, with the folded shift behind it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from training.errors import TrainingError

Array = NDArray[Any]


def read_tensors(path: Path) -> dict[str, Array]:
    """Weights of an exported network by their names in torch, linear ones transposed back, in single precision."""
    try:
        graph = onnx.load(path).graph
    except (OSError, ValueError, DecodeError) as error:
        raise TrainingError(f"{path}: no ONNX network to start from ({error}); restore the file") from None
    stored = {tensor.name: tensor for tensor in graph.initializer}
    halves = {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in stored
    }

    def value(name: str) -> Array | None:
        source = halves.get(name, name)
        return numpy_helper.to_array(stored[source]).astype(np.float32) if source in stored else None

    made = {output: node for node in graph.node for output in node.output}
    tensors = {name.removesuffix("__half").removeprefix("model."): value(name) for name in stored}
    for node in graph.node:
        names = [name for name in node.input if name.endswith(".bias")]
        product = next((made[name] for name in node.input if name in made and made[name].op_type == "MatMul"), None)
        if node.op_type == "Add" and names and product is not None:
            weight = value(product.input[1])
            if weight is not None:
                tensors[names[0].removeprefix("model.").removesuffix("bias") + "weight"] = weight.T
        if node.op_type == "Where" and all(name in stored and len(stored[name].dims) == 1 for name in node.input[1:]):
            one, other = (value(name) for name in node.input[1:])
            if one is not None and other is not None and len(one) > 1:
                tensors["mode"] = np.stack([other, one])  # the choice of the temporal network's mode, its rows apart
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items() if tensor is not None}


def initialise(path: Path, module: nn.Module, calibrate: Tensor | Callable[[], object] | None = None) -> int:
    """Fills `module` from an exported network and returns how many tensors it took.

    A network with batch normalisation needs `calibrate`, a batch of its inputs, or what passes one through it: their
    statistics take the place of the ones that export folded away.
    """
    found, own = read_tensors(path), module.state_dict()
    usable = {
        name: torch.from_numpy(found[name]) for name in own if name in found and found[name].shape == own[name].shape
    }
    if not usable:
        raise TrainingError(f"{path}: shares no tensor with {type(module).__name__}; is it this network's file?")
    module.load_state_dict(usable, strict=False)
    if calibrate is not None:
        shifts = {
            name.removesuffix(".weight_bias"): torch.from_numpy(t)
            for name, t in found.items()
            if name.endswith("_bias")
        }
        norms = {name for name in own if name.endswith(".running_mean") and name not in usable}
        _pass_on(module, {name.removesuffix(".running_mean") for name in norms}, shifts, calibrate)
    return len(usable)


@torch.no_grad()
def _pass_on(
    module: nn.Module, norms: set[str], shifts: dict[str, Tensor], batch: Tensor | Callable[[], object]
) -> None:
    """Sets the batch normalisations of these names to x + shift on `batch`, in order of use. A folded convolution has
    its shift apart, a folded linear layer has it in its bias."""
    last: list[str] = []
    names = {child: name for name, child in module.named_modules()}

    def remember(conv: nn.Module, _: Any, __: Any) -> None:
        last.append(names[conv])

    def settle(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        x = inputs[0].float()
        others = [axis for axis in range(x.ndim) if axis != 1]
        mean, var = x.mean(others), x.var(others, unbiased=False)
        norm.running_mean, norm.running_var = mean, var  # type: ignore[assignment]
        norm.weight.copy_((var + norm.eps).sqrt())
        norm.bias.copy_(mean + shifts.get(last[-1], torch.zeros_like(mean)))

    hooks = [m.register_forward_hook(remember) for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks += [m.register_forward_pre_hook(settle) for name, m in module.named_modules() if name in norms]
    module.eval()
    if callable(batch):
        batch()
    else:
        module(batch)
    for hook in hooks:
        hook.remove()
