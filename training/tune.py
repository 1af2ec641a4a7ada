"""Quantised networks, tuned until they give again what they gave in single precision.

Rounding every product's operands to eight bits disturbs a network that was never trained for it. Here the ONNX graph
itself is run in torch: rounding passes gradients on as if it were not there (the straight-through estimator, Bengio,
Leonard and Courville: "Estimating or propagating gradients through stochastic neurons", 2013), scales stay as they were
found, and weights and biases move until all layers and the outputs agree with those of the original network, its own
teacher. No labels are needed. What comes out is the same graph with other weights.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError

Array = NDArray[Any]
Values = dict[str, Tensor]

LEVELS: Final = {onnx.TensorProto.INT8: (-128, 127), onnx.TensorProto.UINT8: (0, 255)}


@dataclass(frozen=True, slots=True)
class Tuning:
    """How long and how fast; batches are as large as what `batches` gives."""

    steps: int = 600
    rate: float = 1e-4
    layers: float = 0.3
    """Weight of the agreement of the layers beside that of the outputs."""


def tuned(
    quantised: onnx.ModelProto,
    single: onnx.ModelProto,
    batches: Callable[[int], dict[str, Array]],
    tuning: Tuning,
    say: Callable[[int, float], None] = lambda step, loss: None,
) -> onnx.ModelProto:
    """`quantised` with weights and biases such that it agrees with `single` on `batches(step)`.

    Both are graphs of the same network, `single` with its weights in single precision. Raises TrainingError for an
    operator that is not known here.
    """
    student, teacher = Graph(quantised, single), Graph(single)
    optimiser = torch.optim.AdamW(student.parameters(), lr=tuning.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, tuning.steps))
    watched = student.shared(teacher)
    for step in range(tuning.steps):
        inputs = {name: torch.from_numpy(values) for name, values in batches(step).items()}
        with torch.no_grad():
            truth = teacher.run(inputs, watched)
        found = student.run(inputs, watched)
        loss = sum((_apart(found[name], truth[name]) for name in student.outputs), torch.zeros(()))
        layers = [_apart(found[name], truth[name]) for name in watched]
        loss = loss + tuning.layers * torch.stack(layers).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        say(step, float(loss.detach()))
    return student.written()


def _rate(step: int, steps: int) -> float:
    """A short warm-up, then half a cosine."""
    return min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _apart(found: Tensor, truth: Tensor) -> Tensor:
    """Mean square difference in units of what the truth varies by; of probability maps, how badly they are coded."""
    if truth.dim() == 4 and truth.min() >= 0 and torch.allclose(truth.sum((2, 3)), torch.ones(()), atol=1e-3):
        return (truth * (truth.clamp_min(1e-9).log() - found.clamp_min(1e-9).log())).sum((2, 3)).mean()
    return functional.mse_loss(found, truth) / truth.var().clamp_min(1e-8)


class Graph(nn.Module):
    """An ONNX graph in torch, with quantisation as rounding that lets gradients through.

    Weights in whole numbers are trained as the numbers of `latent`, the same graph in single precision.
    """

    def __init__(self, proto: onnx.ModelProto, latent: onnx.ModelProto | None = None) -> None:
        super().__init__()
        self._proto = proto
        self.outputs = [value.name for value in proto.graph.output]
        self._nodes = list(proto.graph.node)
        self._constants: Values = {}
        self._names: dict[str, str] = {}
        exact = {tensor.name: tensor for tensor in latent.graph.initializer} if latent is not None else {}
        self._levels = {tensor.name: LEVELS.get(tensor.data_type) for tensor in proto.graph.initializer}
        for tensor in proto.graph.initializer:
            source = exact.get(_weight_of(tensor.name))
            values = torch.from_numpy(numpy_helper.to_array(source if source is not None else tensor).copy())
            trained = source is not None or (latent is not None and tensor.name.endswith("bias"))
            if trained and values.is_floating_point():
                self._names[tensor.name] = tensor.name.replace(".", "/")
                self.register_parameter(self._names[tensor.name], nn.Parameter(values.float()))
            else:
                self._constants[tensor.name] = values.float() if values.is_floating_point() else values

    def shared(self, other: "Graph") -> list[str]:
        """Names of the layers that both graphs have: what convolutions and products give."""
        theirs = {name for node in other._nodes for name in node.output}
        kinds = ("Conv", "Gemm", "MatMul", "Add")
        return [node.output[0] for node in self._nodes if node.op_type in kinds and node.output[0] in theirs]

    def run(self, inputs: Values, also: Iterable[str] = ()) -> Values:
        """Outputs, and the layers `also`, by name."""
        values = {**self._constants, **{name: getattr(self, own) for name, own in self._names.items()}, **inputs}
        for node in self._nodes:
            operator = _OPERATORS.get(node.op_type)
            if operator is None:
                raise TrainingError(
                    f"operator {node.op_type} ({node.name}) cannot be tuned; leave the network as it is"
                )
            attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
            taken = [values[name] if name else None for name in node.input]
            if node.op_type.endswith("quantizeLinear") or node.op_type == "QuantizeLinear":
                attributes["levels"] = self._levels.get(node.input[2]) if len(node.input) > 2 else None
                attributes["latent"] = node.input[0] in self._names
            values[node.output[0]] = operator(taken, attributes)
        return {name: values[name] for name in (*self.outputs, *also)}

    def written(self) -> onnx.ModelProto:
        """The graph with the weights as they are now, in whole numbers where they were."""
        out = onnx.ModelProto()
        out.CopyFrom(self._proto)
        scales = {
            node.input[0]: (node.input[1], next((item.i for item in node.attribute if item.name == "axis"), 1))
            for node in out.graph.node
            if node.op_type == "DequantizeLinear"
        }
        for tensor in out.graph.initializer:
            if tensor.name not in self._names:
                continue
            values = getattr(self, self._names[tensor.name]).detach()
            if tensor.data_type == onnx.TensorProto.INT8:
                scale, axis = scales[tensor.name]
                values = (values / _along(self._constants[scale], axis, values.dim())).round().clamp(-128, 127)
                stored = values.to(torch.int8).numpy()
            else:
                stored = values.numpy().astype(numpy_helper.to_array(tensor).dtype)
            tensor.CopyFrom(numpy_helper.from_array(stored, tensor.name))
        return out


def _weight_of(name: str) -> str:
    """The original's name of a quantised weight."""
    return name.removeprefix("q_output_").rpartition("_")[0] if name.startswith("q_output_") else ""


def _along(scale: Tensor, axis: int, dims: int) -> Tensor:
    shape = [1] * dims
    if scale.dim():
        shape[axis] = -1
    return scale.reshape(shape)


def _through(exact: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, with the gradient of `exact`."""
    return exact + (rounded - exact).detach()


def _quantise(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    """The rounded number in the units of the input: dequantising has nothing left to do."""
    x, scale, zero = taken
    low, high = attributes["levels"]
    scale, zero = _along(scale, attributes.get("axis", 1), x.dim()), zero.float()
    exact = torch.clamp(x / scale, low - zero, high - zero)
    return _through(exact, exact.round()) * scale


def _dequantise(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    """Of a weight: its latent numbers, rounded."""
    x, scale = taken[:2]
    if not attributes["latent"]:
        return x if x.is_floating_point() else (x.float() - taken[2].float()) * scale
    scale = _along(scale, attributes.get("axis", 1), x.dim())
    exact = torch.clamp(x / scale, -128, 127)
    return _through(exact, exact.round()) * scale


def _conv(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    pads = attributes.get("pads", [0, 0, 0, 0])
    bias = taken[2] if len(taken) > 2 else None
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    return functional.conv2d(taken[0], taken[1], bias, strides, pads[:2], dilations, attributes.get("group", 1))


def _resize(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    x, scales = taken[0], taken[2] if len(taken) > 2 else None
    size = taken[3][2:] if len(taken) > 3 and taken[3] is not None else None
    if size is None:
        size = [round(length * float(scale)) for length, scale in zip(x.shape[2:], scales[2:], strict=True)]
    height, width = (int(length) for length in size)
    linear = attributes.get("mode", b"nearest") == b"linear"
    mode = {"mode": "bilinear", "align_corners": False} if linear else {"mode": "nearest"}
    return functional.interpolate(x, (height, width), **mode)


def _slice(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    x, starts, ends = taken[:3]
    axes = taken[3].tolist() if len(taken) > 3 and taken[3] is not None else range(len(starts))
    steps = taken[4].tolist() if len(taken) > 4 and taken[4] is not None else [1] * len(starts)
    places = [slice(None)] * x.dim()
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        places[axis] = slice(start, min(end, x.shape[axis]) if end >= 0 else end, step)
    return x[tuple(places)]


def _reduced(reduce: Callable[..., Tensor]) -> Callable[[list[Any], dict[str, Any]], Tensor]:
    def run(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
        axes = taken[1].tolist() if len(taken) > 1 else list(range(taken[0].dim()))
        return reduce(taken[0], dim=axes, keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _reshape(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    x, shape = taken[0], taken[1].tolist()
    return x.reshape([x.shape[place] if length == 0 else length for place, length in enumerate(shape)])


def _gemm(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    a, b = taken[0], taken[1].T if attributes.get("transB") else taken[1]
    return a @ b + taken[2]


def _pool(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    pads = attributes.get("pads", [0, 0, 0, 0])
    return functional.max_pool2d(taken[0], attributes["kernel_shape"], attributes.get("strides"), pads[0])


def _cast(taken: list[Any], attributes: dict[str, Any]) -> Tensor:
    kind = helper.tensor_dtype_to_np_dtype(attributes["to"])
    return taken[0].to(torch.from_numpy(np.zeros(0, kind)).dtype)


_OPERATORS: Final[dict[str, Callable[[list[Any], dict[str, Any]], Tensor]]] = {
    "QuantizeLinear": _quantise,
    "DequantizeLinear": _dequantise,
    "Conv": _conv,
    "Gemm": _gemm,
    "MaxPool": _pool,
    "Resize": _resize,
    "Slice": _slice,
    "Reshape": _reshape,
    "Cast": _cast,
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Add": lambda taken, _: taken[0] + taken[1],
    "Sub": lambda taken, _: taken[0] - taken[1],
    "Mul": lambda taken, _: taken[0] * taken[1],
    "Div": lambda taken, _: taken[0] / taken[1],
    "Relu": lambda taken, _: torch.relu(taken[0]),
    "Sigmoid": lambda taken, _: torch.sigmoid(taken[0]),
    "Tanh": lambda taken, _: torch.tanh(taken[0]),
    "Clip": lambda taken, _: torch.clamp(taken[0], *taken[1:]),
    "Softmax": lambda taken, attributes: torch.softmax(taken[0], attributes.get("axis", -1)),
    "Transpose": lambda taken, attributes: taken[0].permute(*attributes["perm"]),
    "Concat": lambda taken, attributes: torch.cat(taken, attributes["axis"]),
    "Unsqueeze": lambda taken, _: taken[0].unsqueeze(int(taken[1])),
    "Gather": lambda taken, attributes: taken[0].select(attributes.get("axis", 0), int(taken[1])),
    "Shape": lambda taken, attributes: torch.tensor(
        taken[0].shape[attributes.get("start", 0) : attributes.get("end", None)]
    ),
}
