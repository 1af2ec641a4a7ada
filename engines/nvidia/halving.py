"""An ONNX graph to half precision, node by node; `variants.fp16` is the way in."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MATRIX: Final = {"Conv", "Gemm", "MatMul"}
"""Where the time goes: always in half precision."""
PASSING: Final = {
    *("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Add", "Mul", "MaxPool", "Resize", "Concat", "Split", "Slice"),
    *("Reshape", "Transpose", "Unsqueeze", "Squeeze", "Gather", "Expand", "QuantizeLinear", "DequantizeLinear"),
}
"""In half precision where all that they read is; every other operator (soft-max, norms, sums, roots, logarithms,
divisions, the samplers of grids) and whatever touches the network's inputs stays in single precision."""
LARGEST: Final = 6e4
"""A node whose constants reach beyond this cannot be in half precision (its largest number is 65504)."""
_SINGLE_INPUTS: Final = {"Resize": (1, 2)}
"""Inputs that an operator wants in single precision, whatever the precision of its data."""


class Halving:
    """One pass over the nodes in their order, with a cast wherever a value crosses from one precision to the other."""

    def __init__(self, onnx: Any, proto: Any) -> None:
        self._onnx, self._proto, self._graph = onnx, proto, proto.graph
        self._half, self._single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
        self._weights = {tensor.name: tensor for tensor in self._graph.initializer}
        self._floats = self._float_names()
        self._readers = _readers(self._graph)
        self._in_half = self._chosen()
        self._nodes: list[Any] = []
        self._have: dict[tuple[str, int], str] = {}

    def rewrite(self) -> None:
        """Replace the graph's nodes; what they no longer read stays behind."""
        outputs = {value.name for value in self._graph.output}
        for value in self._graph.input:
            self._have[value.name, self._single] = value.name
        for place, node in enumerate(self._graph.node):
            kind = self._half if place in self._in_half else self._single
            self._read(node, kind)
            self._nodes.append(node)
            self._write(node, kind, outputs)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _float_names(self) -> set[str]:
        inferred = self._onnx.shape_inference.infer_shapes(self._proto).graph
        typed = (*inferred.input, *inferred.output, *inferred.value_info)
        names = {value.name for value in typed if value.type.tensor_type.elem_type == self._single}
        return names | {name for name, tensor in self._weights.items() if tensor.data_type == self._single}

    def _chosen(self) -> set[int]:
        """Places of the nodes that compute in half precision."""
        made = {name: place for place, node in enumerate(self._graph.node) for name in node.output}
        half: set[int] = set()
        for place, node in enumerate(self._graph.node):
            if self._too_large(node):
                continue
            # What is dequantised takes the precision of its reader, below.
            if node.op_type in MATRIX or node.op_type == "DequantizeLinear" or self._passes(node, made, half):
                half.add(place)
        for place, node in enumerate(self._graph.node):
            if node.op_type == "DequantizeLinear" and not any(
                reader in half for name in node.output for reader in self._readers.get(name, ())
            ):
                half.discard(place)
        return half

    def _passes(self, node: Any, made: dict[str, int], half: set[int]) -> bool:
        if node.op_type not in PASSING:
            return False
        computed = [name for name in node.input if name in self._floats and name not in self._weights]
        return bool(computed) and all(made.get(name) in half for name in computed)

    def _too_large(self, node: Any) -> bool:
        constants = [name for name in node.input if name in self._floats and name in self._weights]
        return any(np.abs(self._array(name)).max(initial=0) > LARGEST for name in constants)

    def _read(self, node: Any, kind: int) -> None:
        for place, name in enumerate(node.input):
            if name in self._floats:
                wanted = self._single if place in _SINGLE_INPUTS.get(node.op_type, ()) else kind
                node.input[place] = self._as(name, wanted)

    def _write(self, node: Any, kind: int, outputs: set[str]) -> None:
        for place, name in enumerate(node.output):
            if name not in self._floats:
                continue
            if kind == self._half:
                node.output[place] = f"{name}__fp16"
            self._have[name, kind] = node.output[place]
            if name in outputs:
                self._as(name, self._single)

    def _as(self, name: str, kind: int) -> str:
        """The value's name in one precision; casts it, once, where there is only the other."""
        if (name, kind) not in self._have:
            self._have[name, kind] = self._constant(name, kind) if name in self._weights else self._cast(name, kind)
        return self._have[name, kind]

    def _constant(self, name: str, kind: int) -> str:
        if kind == self._single:
            return name
        halved = self._onnx.numpy_helper.from_array(self._array(name).astype(np.float16), f"{name}__fp16")
        self._graph.initializer.append(halved)
        return str(halved.name)

    def _cast(self, name: str, kind: int) -> str:
        other = self._single if kind == self._half else self._half
        target = f"{name}__fp16" if kind == self._half else name
        source = self._have[name, other]
        self._nodes.append(self._onnx.helper.make_node("Cast", [source], [target], f"{target}__cast", to=kind))
        return target

    def _array(self, name: str) -> Array:
        return np.asarray(self._onnx.numpy_helper.to_array(self._weights[name]))


def _readers(graph: Any) -> dict[str, list[int]]:
    """Places of the nodes that read each value."""
    readers: dict[str, list[int]] = {}
    for place, node in enumerate(graph.node):
        for name in node.input:
            readers.setdefault(name, []).append(place)
    return readers
