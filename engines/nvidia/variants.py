"""A network's ONNX file rewritten for engines whose precision lies in the graph, as TensorRT's does.

`fp16` computes in half precision what gains by it, `symmetric` turns a quantised graph into the only kind that TensorRT
takes, `picture_cast_first` moves the one operator that it takes in no other place. Inputs and outputs stay those of the
contract. Needs the onnx package; raises BackendError without it, or when the bytes are no network.
"""

from typing import Any

import numpy as np

from engines.errors import BackendError
from engines.nvidia.halving import Halving
from engines.nvidia.symmetric import Symmetric


def fp16(model: bytes) -> bytes:
    """The network in half precision: strongly typed, weights halved, casts at the borders.

    ONNX Runtime's own converter is not used: it writes two casts of one name for a value with two readers in single
    precision, and rounds to half between every two operators in single precision.
    """
    onnx, proto = _loaded(unpacked(model))
    Halving(onnx, proto).rewrite()
    return _bytes(onnx, proto)


def unpacked(model: bytes) -> bytes:
    """The network with its weights in single precision, which the shipped files store as half precision and a cast."""
    onnx, proto = _loaded(model)
    _fold_casts(onnx, proto)
    return _bytes(onnx, proto)


def picture_cast_first(model: bytes) -> bytes:
    """The network with its uint8 inputs cast to float before anything else; TensorRT only casts such, moves none."""
    onnx, proto = _loaded(model)
    graph = proto.graph
    for value in graph.input:
        if value.type.tensor_type.elem_type != onnx.TensorProto.UINT8:
            continue
        floats = f"{value.name}__float"
        _rename_readers(graph, value.name, floats)
        cast = onnx.helper.make_node("Cast", [value.name], [floats], f"{floats}_cast", to=onnx.TensorProto.FLOAT)
        graph.node.insert(0, cast)
    return _bytes(onnx, proto)


def symmetric(model: bytes) -> bytes:
    """A quantised network (QuantizeLinear and DequantizeLinear) with int8 alone, zero points of 0 and float biases.

    A range of activations that does not lie about zero is widened to one that does: the values after a ReLU keep 127
    of 255 levels. Weights with a zero point are quantised anew, channel by channel; quantised biases become floats.
    Raises BackendError for integer operators (QLinearConv and its kind).
    """
    onnx, proto = _loaded(model)
    Symmetric(onnx, proto).rewrite()
    return _bytes(onnx, proto)


def _loaded(model: bytes) -> tuple[Any, Any]:
    try:
        import onnx
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as error:
        raise BackendError(f"the onnx package cannot be imported ({error}); pip install 'posecast[gpu]'") from error
    try:
        proto = onnx.load_model_from_string(model)
    except Exception as error:
        raise BackendError("the bytes are no ONNX network; export it again") from error
    if not proto.graph.node:
        raise BackendError("the bytes are an ONNX file without nodes; export it again")
    return onnx, proto


def _bytes(onnx: Any, proto: Any) -> bytes:
    """The rewritten file: without what nothing reads, and without types of values, which may have changed."""
    del proto.graph.value_info[:]
    _drop_unread(proto.graph)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _fold_casts(onnx: Any, proto: Any) -> None:
    """Weights stored as half precision become single-precision ones, their casts go."""
    graph = proto.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        to = [field.i for field in node.attribute if field.name == "to"]
        if node.op_type == "Cast" and node.input[0] in stored and to == [onnx.TensorProto.FLOAT]:
            values = onnx.numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _rename_readers(graph: Any, name: str, new: str) -> None:
    for node in graph.node:
        for place, read in enumerate(node.input):
            if read == name:
                node.input[place] = new


def _drop_unread(graph: Any) -> None:
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
