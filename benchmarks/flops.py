"""Arithmetic of a network: floating point operations of one call, counted from its ONNX graph.

A multiplication and an addition are two operations. Counted are `Conv`, `Gemm` and `MatMul`, which hold all but a
hundredth of the work; the rest (normalisation, soft-max, activation) is left out, as is usual.

    python benchmarks/flops.py [NETWORK.onnx ...]
"""

import sys
from collections.abc import Mapping
from math import prod
from pathlib import Path

import onnx
from onnx import shape_inference

Shapes = Mapping[str, tuple[int, ...]]
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


class UncountedError(Exception):
    """A shape that the count needs is not known from the graph."""


def flops(path: Path, axes: Mapping[str, int] | None = None) -> int:
    """Operations of one call with the free axes bound to these sizes (default: a batch of 1, 5 hypotheses)."""
    model = onnx.load(str(path))
    shapes = _shapes(model, {"B": 1, "H": 5} if axes is None else axes)
    return sum(operations(node, shapes) for node in model.graph.node)


def operations(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Operations of one node; 0 if it is of a kind that is not counted. Raises UncountedError."""
    if node.op_type == "Conv":
        _, *kernel = _shape(node.input[1], shapes)  # (out, in / groups, height, width)
        return 2 * prod(kernel) * prod(_shape(node.output[0], shapes))
    if node.op_type == "MatMul":
        return 2 * _shape(node.input[0], shapes)[-1] * prod(_shape(node.output[0], shapes))
    if node.op_type == "Gemm":
        rows, columns = _shape(node.input[0], shapes)
        turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return 2 * (rows if turned else columns) * prod(_shape(node.output[0], shapes))
    return 0


def _shape(name: str, shapes: Shapes) -> tuple[int, ...]:
    if name not in shapes:
        raise UncountedError(f"the shape of {name!r} is not known from the graph")
    return shapes[name]


def _shapes(model: onnx.ModelProto, axes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Every tensor's shape that is a number in all its axes, once the free ones are bound."""
    for tensor in model.graph.input:
        for dim in tensor.type.tensor_type.shape.dim:
            if dim.dim_param:
                if dim.dim_param not in axes:
                    raise UncountedError(f"{tensor.name}: no size for the free axis {dim.dim_param!r}")
                dim.dim_value = axes[dim.dim_param]
    # What the exporter noted has free axes in it; all follows from the inputs.
    del model.graph.value_info[:]
    for tensor in model.graph.output:
        tensor.type.tensor_type.ClearField("shape")
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    known = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for tensor in (*graph.input, *graph.value_info, *graph.output):
        dims = tensor.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            known[tensor.name] = tuple(dim.dim_value for dim in dims)
    return known


def main() -> None:
    """Print the count of each file, in units of a thousand million."""
    for path in map(Path, sys.argv[1:] or sorted(map(str, WEIGHTS.glob("*.onnx")))):
        print(f"{path.stem:24} {flops(path) / 1e9:9.3f} GFLOP")


if __name__ == "__main__":
    main()
