"""Graphs rewritten for TensorRT: they compute what the shipped ones compute, in the types that were promised."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from engines import store
from engines.contracts import SHIPPED, STN, TEMPORAL_WINDOW, encoder
from engines.errors import BackendError
from engines.nvidia import variants
from tests import dive_inputs, quantised

LIMITS_FP16 = {"joints mm": 1.0, "keypoints px": 0.1, "box px": 0.1}
SHARE_FP16 = 0.01
IN_INT8 = (STN, encoder("w18_small_v2"), TEMPORAL_WINDOW)
FLOAT, HALF, INT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8


def by_name(contract):
    return contract.network


def model_of(contract):
    return store.find(contract.network).read_bytes()


def types_of(model):
    graph = onnx.load_model_from_string(model).graph
    return {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}


def inferred(model):
    """Nodes, and the element type of every value."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model), strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    return graph.node, types | {tensor.name: tensor.data_type for tensor in graph.initializer}


@pytest.mark.parametrize("contract", SHIPPED, ids=by_name)
def test_half_precision_keeps_the_contract_and_stays_within_its_error(contract):
    halved = variants.fp16(model_of(contract))
    assert types_of(halved) == types_of(model_of(contract))
    inputs = dive_inputs.example(contract, 8)
    found = dive_inputs.differences(
        contract, dive_inputs.shipped(contract.network)(inputs), dive_inputs.runtime(halved)(inputs)
    )
    for quantity, value in found.items():
        assert value < LIMITS_FP16.get(quantity, SHARE_FP16), found


@pytest.mark.parametrize("contract", [c for c in SHIPPED if c not in IN_INT8], ids=by_name)
def test_half_precision_stays_within_its_error_when_every_step_is_rounded(contract):
    """ONNX Runtime leaves out casts on the CPU; ONNX's own evaluator does not, but is slow for the larger networks."""
    halved = onnx.load_model_from_string(variants.fp16(model_of(contract)))
    inputs = dive_inputs.example(contract, 8)
    got = ReferenceEvaluator(halved).run([tensor.name for tensor in contract.outputs], inputs)
    found = dive_inputs.differences(
        contract,
        dive_inputs.shipped(contract.network)(inputs),
        dict(zip([tensor.name for tensor in contract.outputs], got, strict=True)),
    )
    for quantity, value in found.items():
        assert 0 < value < LIMITS_FP16.get(quantity, SHARE_FP16), found


@pytest.mark.parametrize("contract", SHIPPED, ids=by_name)
def test_half_precision_is_where_the_time_goes_and_nowhere_delicate(contract):
    nodes, types = inferred(variants.fp16(model_of(contract)))
    delicate = {"Softmax", "LayerNormalization", "ReduceSum", "ReduceMean", "Sqrt", "Pow", "Log", "Div", "Reciprocal"}
    matrix = [node for node in nodes if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert matrix
    assert all(types[name] == HALF for node in matrix for name in (*node.input, *node.output) if name)
    assert all(types[node.output[0]] != HALF for node in nodes if node.op_type in delicate)


def test_half_precision_stores_no_weight_twice():
    halved = variants.fp16(model_of(STN))
    names = [tensor.name.removesuffix("__fp16") for tensor in onnx.load_model_from_string(halved).graph.initializer]
    assert len(names) == len(set(names))
    assert len(halved) < 1.05 * len(model_of(STN))


def _small(nodes, constants, output="y"):
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", FLOAT, [2, 3])],
        [helper.make_tensor_value_info(output, FLOAT, [2, 3])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def test_a_value_with_readers_in_both_precisions_is_cast_once():
    node = onnx.helper.make_node
    nodes = [
        node("MatMul", ["x", "w"], ["a"], "a"),
        node("Softmax", ["a"], ["b"], "b"),
        node("Softmax", ["a"], ["c"], "c", axis=0),
        node("Add", ["b", "c"], ["y"], "y"),
    ]
    model = _small(nodes, {"w": np.eye(3, dtype=np.float32)})
    halved = variants.fp16(model)
    x = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    np.testing.assert_allclose(dive_inputs.runtime(halved)(x)["y"], dive_inputs.runtime(model)(x)["y"], atol=1e-3)
    casts = [n.input[0] for n in onnx.load_model_from_string(halved).graph.node if n.op_type == "Cast"]
    assert len(casts) == len(set(casts)) == 2


def test_constants_beyond_half_precision_stay_single():
    node = onnx.helper.make_node
    nodes = [node("MatMul", ["x", "w"], ["a"], "a"), node("MatMul", ["a", "v"], ["y"], "y")]
    constants = {"w": 1e5 * np.eye(3, dtype=np.float32), "v": 1e-5 * np.eye(3, dtype=np.float32)}
    x = {"x": np.full((2, 3), 0.5, np.float32)}
    y = dive_inputs.runtime(variants.fp16(_small(nodes, constants)))(x)["y"]
    np.testing.assert_allclose(y, x["x"], rtol=2e-3)


@pytest.mark.parametrize("contract", [c for c in SHIPPED if "uint8" in {t.dtype for t in c.inputs}], ids=by_name)
def test_pictures_are_cast_before_anything_else(contract):
    model = variants.picture_cast_first(model_of(contract))
    assert types_of(model) == types_of(model_of(contract))
    graph = onnx.load_model_from_string(model).graph
    pictures = {tensor.name for tensor in contract.inputs}
    assert [node.op_type for node in graph.node if pictures & set(node.input)] == ["Cast"]
    inputs = dive_inputs.example(contract)
    for name, array in dive_inputs.runtime(model)(inputs).items():
        np.testing.assert_allclose(array, dive_inputs.shipped(contract.network)(inputs)[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("maker", quantised.MAKERS)
@pytest.mark.parametrize("contract", IN_INT8, ids=by_name)
def test_symmetric_graphs_hold_int8_and_float_alone(contract, maker):
    before = quantised.quantised(contract, maker)
    after = variants.symmetric(before)
    assert types_of(after) == types_of(before)
    nodes, types = inferred(after)
    constants = {t.name: t for t in onnx.load_model_from_string(after).graph.initializer}
    pairs = [node for node in nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        zero = constants[node.input[2]]
        assert zero.data_type == INT8
        assert not onnx.numpy_helper.to_array(zero).any()
        assert types[node.input[0] if node.op_type == "DequantizeLinear" else node.output[0]] == INT8


@pytest.mark.parametrize("contract", IN_INT8, ids=by_name)
def test_symmetric_costs_little_beside_the_quantising(contract):
    before = quantised.quantised(contract, "onnxruntime")
    inputs = dive_inputs.example(contract, 6)
    want = dive_inputs.shipped(contract.network)(inputs)
    lost = dive_inputs.runtime(before)(inputs)
    after = dive_inputs.runtime(variants.symmetric(before))(inputs)
    for tensor in contract.outputs:
        scale = np.abs(want[tensor.name]).max()
        once = np.abs(lost[tensor.name] - want[tensor.name]).mean() / scale
        twice = np.abs(after[tensor.name] - want[tensor.name]).mean() / scale
        assert twice < 1.6 * once + 1e-3, (tensor.name, once, twice)


def _quantised_small(zero, stored, weight_zero):
    node = onnx.helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], "d"),
        node("DequantizeLinear", ["w8", "ws", "wz"], ["w"], "w", axis=1),
        node("DequantizeLinear", ["b32", "bs", "bz"], ["b"], "b", axis=0),
        node("Gemm", ["d", "w", "b"], ["y"], "y"),
    ]
    constants = {
        "s": np.float32(0.02),
        "z": zero,
        "w8": stored,
        "ws": np.array([0.1, 0.2, 0.3], np.float32),
        "wz": weight_zero,
        "b32": np.array([100, -200, 300], np.int32),
        "bs": np.array([0.01, 0.02, 0.03], np.float32),
        "bz": np.zeros(3, np.int32),
    }
    return _small(nodes, constants)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("offset", [0, 7])
def test_zero_points_of_values_and_weights_are_taken_out(dtype, offset):
    stored = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], dtype)
    model = _quantised_small(dtype(offset), stored, np.array([0, offset, 2 * offset], dtype))
    x = {"x": np.array([[0.1, 0.7, 1.5], [0.0, 2.0, 0.3]], np.float32)}
    want = dive_inputs.runtime(model)(x)["y"]
    np.testing.assert_allclose(dive_inputs.runtime(variants.symmetric(model))(x)["y"], want, rtol=0.02, atol=0.2)


def test_integer_operators_and_computed_scales_are_refused_by_name():
    node = onnx.helper.make_node
    integer = _small([node("MatMulInteger", ["x", "x"], ["y"], "product")], {})
    with pytest.raises(BackendError, match=r"node product \(MatMulInteger\): an integer operator; quantise with pairs"):
        variants.symmetric(integer)
    nodes = [
        node("ReduceMax", ["x"], ["s"], "s", keepdims=0),
        node("QuantizeLinear", ["x", "s"], ["q"], "q"),
        node("DequantizeLinear", ["q", "s"], ["y"], "y"),
    ]
    with pytest.raises(BackendError, match=r"node q \(QuantizeLinear\): its scale is computed"):
        variants.symmetric(_small(nodes, {}))


@pytest.mark.parametrize("rewrite", [variants.fp16, variants.symmetric, variants.picture_cast_first])
@pytest.mark.parametrize("junk", [b"not a network at all", b""])
def test_bytes_that_are_no_network_are_refused_in_one_line(rewrite, junk):
    with pytest.raises(BackendError, match="export it again") as caught:
        rewrite(junk)
    assert "\n" not in str(caught.value)
