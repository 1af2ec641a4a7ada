"""A quantised ONNX graph to the kind that TensorRT takes; `variants.symmetric` is the way in."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.errors import BackendError

Array = NDArray[Any]

INT8_LEVELS: Final = 127


class Symmetric:
    """Scales, zero points and quantised constants of a graph, rewritten in place."""

    def __init__(self, onnx: Any, proto: Any) -> None:
        self._onnx, self._graph = onnx, proto.graph
        self._constants = {tensor.name: tensor for tensor in self._graph.initializer}
        self._zeros: dict[tuple[int, ...], str] = {}

    def rewrite(self) -> None:
        """Replace the graph's nodes; what they no longer read stays behind."""
        kept = []
        for node in self._graph.node:
            if node.op_type.startswith("QLinear") or node.op_type.endswith("Integer"):
                raise BackendError(
                    f"node {node.name} ({node.op_type}): an integer operator; "
                    f"quantise with pairs of QuantizeLinear and DequantizeLinear"
                )
            if node.op_type == "DequantizeLinear" and node.input[0] in self._constants:
                if self._constant(node):
                    continue
            elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                self._activations(node)
            kept.append(node)
        del self._graph.node[:]
        self._graph.node.extend(kept)

    def _activations(self, node: Any) -> None:
        scale, zero, info = self._parameters(node)
        if info.dtype == np.int8 and not zero.any():
            self._set(node, node.input[1], zero.shape)
            return
        reach = np.maximum(zero - info.min, info.max - zero).astype(np.float32)
        name = f"{node.input[1]}__{info.dtype}_{int(zero.flat[0])}"
        self._set(node, self._stored(name, scale * reach / np.float32(INT8_LEVELS)), zero.shape)

    def _constant(self, node: Any) -> bool:
        """Rewrites a quantised constant; True when it became a float one, as biases and single numbers have to be."""
        stored = np.asarray(self._onnx.numpy_helper.to_array(self._constants[node.input[0]]))
        scale, zero, info = self._parameters(node, stored.dtype)
        axis = next((field.i for field in node.attribute if field.name == "axis"), 1)
        real = (stored.astype(np.float32) - _along(zero, axis, stored.ndim)) * _along(scale, axis, stored.ndim)
        if info.dtype == np.int32 or stored.size == 1:
            self._stored(node.output[0], real.astype(np.float32))
            return True
        if info.dtype == np.int8 and not zero.any():
            self._set(node, node.input[1], scale.shape)
            return False
        others = tuple(at for at in range(stored.ndim) if not scale.ndim or at != axis % stored.ndim)
        levels = np.maximum(np.abs(real).max(axis=others), np.finfo(np.float32).tiny) / INT8_LEVELS
        anew = np.rint(real / _along(levels, axis, stored.ndim)).astype(np.int8)
        node.input[0] = self._stored(f"{node.input[0]}__int8", anew)
        self._set(node, self._stored(f"{node.input[1]}__int8", levels.astype(np.float32)), scale.shape)
        return False

    def _parameters(self, node: Any, stored: Any = None) -> tuple[Array, Array, np.iinfo[Any]]:
        """Scale, zero point (as wide integers) and the integer type of a node."""
        scale = self._value(node, 1)
        named = len(node.input) > 2 and node.input[2]
        zero = self._value(node, 2) if named else np.zeros(scale.shape, stored or np.uint8)
        return scale, zero.astype(np.int32), np.iinfo(zero.dtype)

    def _value(self, node: Any, place: int) -> Array:
        tensor = self._constants.get(node.input[place])
        if tensor is None:
            raise BackendError(f"node {node.name} ({node.op_type}): its scale is computed; quantise with fixed scales")
        return np.asarray(self._onnx.numpy_helper.to_array(tensor))

    def _set(self, node: Any, scale: str, shape: tuple[int, ...]) -> None:
        if shape not in self._zeros:
            name = "__".join(("zero_int8", *map(str, shape)))
            self._zeros[shape] = self._stored(name, np.zeros(shape, np.int8))
        data = node.input[0]
        del node.input[:]
        node.input.extend([data, scale, self._zeros[shape]])

    def _stored(self, name: str, array: Array) -> str:
        if name not in self._constants:
            self._constants[name] = self._onnx.numpy_helper.from_array(np.asarray(array), name)
            self._graph.initializer.append(self._constants[name])
        return name


def _along(values: Array, axis: int, ndim: int) -> Array:
    """Values of one axis in a shape that broadcasts over all of them."""
    return values if not values.ndim else values.reshape([-1 if at == axis % ndim else 1 for at in range(ndim)])
