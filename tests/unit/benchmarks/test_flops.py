"""The count of a network's arithmetic, against counts made by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.flops import UncountedError, flops
from tests.conftest import ROOT


def saved(tmp_path, nodes, inputs, outputs, weights):
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()],
    )
    path = tmp_path / "made.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    return path


def test_a_grouped_convolution_with_a_stride_and_what_follows_it(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], group=4),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    path = saved(tmp_path, nodes, {"x": ["B", 8, 16, 12]}, ["z"], {"w": (16, 2, 3, 3)})
    one = 2 * (16 * 8 * 6) * (2 * 3 * 3)
    assert flops(path) == one
    assert flops(path, {"B": 3}) == 3 * one


def test_matrix_products_and_the_turned_one(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("MatMul", ["y", "y"], ["z"]),
        helper.make_node("Gemm", ["a", "b"], ["c"], transA=1, transB=1),
    ]
    inputs = {"x": ["B", "H", 7, 5], "a": [11, 13]}
    path = saved(tmp_path, nodes, inputs, ["z", "c"], {"w": (5, 7), "b": (17, 11)})
    per_hypothesis = 2 * 7 * 5 * 7 + 2 * 7 * 7 * 7
    assert flops(path, {"B": 2, "H": 3}) == 6 * per_hypothesis + 2 * 13 * 11 * 17


def test_a_shape_that_cannot_be_known_is_an_error_not_a_zero(tmp_path):
    nodes = [helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("MatMul", ["f", "w"], ["y"])]
    path = saved(tmp_path, nodes, {"x": [4, 4]}, ["y"], {"w": (3, 2)})
    with pytest.raises(UncountedError, match="not known"):
        flops(path)


def test_a_free_axis_without_a_size_is_named(tmp_path):
    path = saved(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], {"x": ["N", 3]}, ["y"], {})
    with pytest.raises(UncountedError, match="'N'"):
        flops(path)


def test_the_shipped_stn_is_a_resnet18_and_two_small_heads():
    """ResNet-18 at 128 x 128 takes 2 * 0.595 thousand million operations without its last layer."""
    assert flops(ROOT / "weights" / "stn.onnx") == pytest.approx(2 * 0.595e9, rel=0.1)
