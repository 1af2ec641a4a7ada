"""Every network is built for NVIDIA GPUs, in every precision; TensorRT for RTX does that without a GPU."""

import pytest

from engines import store
from engines.contracts import DIFFUSION_DECODER, MLP_DECODER, SHIPPED, STN, TEMPORAL_WINDOW, encoder
from engines.errors import BackendError
from engines.nvidia import cuda, tensorrt_build, variants
from tests import quantised

onnx = pytest.importorskip("onnx", reason="graphs are rewritten with the onnx package")
trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: no engine is built here")

IN_INT8 = (STN, encoder("w18_small_v2"), TEMPORAL_WINDOW)
CASES = [(contract, precision) for contract in SHIPPED for precision in ("fp32", "fp16")]
CASES += [(contract, precision) for contract in IN_INT8 for precision in ("int8", "int8 and fp16")]


def graph_of(contract, precision, maker="nncf"):
    model = store.find(contract.network).read_bytes()
    if precision == "fp32":
        return model
    if precision == "fp16":
        return variants.fp16(model)
    model = variants.symmetric(quantised.quantised(contract, maker))
    return model if precision == "int8" else variants.fp16(model)


@pytest.mark.parametrize(("contract", "precision"), CASES, ids=lambda case: getattr(case, "network", case))
def test_builds(contract, precision):
    said = []
    engine = tensorrt_build.build(graph_of(contract, precision), contract, (1,), 5, said.append)
    assert len(engine) > 1_000_000
    assert any("building engine" in line for line in said)
    assert all(line.startswith(f"{contract.network}: ") for line in said)


@pytest.mark.parametrize("contract", IN_INT8, ids=lambda contract: contract.network)
def test_builds_what_has_zero_points_and_quantised_biases(contract):
    assert tensorrt_build.build(graph_of(contract, "int8", "onnxruntime"), contract, (1,), 5, str)


def test_builds_for_all_batch_sizes_at_once():
    engine = tensorrt_build.build(store.find("mlp_decoder").read_bytes(), MLP_DECODER, say=str)
    one = tensorrt_build.build(store.find("mlp_decoder").read_bytes(), MLP_DECODER, (1,), say=str)
    assert len(engine) > len(one)


def test_half_precision_makes_smaller_engines():
    single, half = (
        len(tensorrt_build.build(graph_of(MLP_DECODER, precision), MLP_DECODER, (1,), 5, str))
        for precision in ("fp32", "fp16")
    )
    assert half < 0.7 * single


def test_every_batch_size_and_number_of_hypotheses_has_its_shape():
    profiles = tensorrt_build._sizes(DIFFUSION_DECODER, (8, 1, 2, 1), 7)
    assert [shapes["noise"] for shapes in profiles] == [(1, 7, 51), (2, 7, 51), (8, 7, 51)]
    assert [shapes["modality"] for shapes in profiles] == [(1,), (2,), (8,)]


@pytest.mark.parametrize(("batches", "hypotheses"), [((), 5), ((0, 1), 5), ((1,), 0)])
def test_sizes_that_cannot_be_are_refused(batches, hypotheses):
    with pytest.raises(BackendError, match="must be 1 or more"):
        tensorrt_build.build(b"", STN, batches, hypotheses, str)


def test_an_operator_that_it_cannot_take_is_named():
    node, helper = onnx.helper.make_node, onnx.helper
    graph = helper.make_graph(
        [node("Det", ["x"], ["d"], "the_determinant"), node("Identity", ["d"], ["y"], "same")],
        "unsupported",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["B", 3, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["B"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with pytest.raises(BackendError, match=r"stn: tensorrt_rtx cannot take node the_determinant \(Det\): ") as caught:
        tensorrt_build.build(model.SerializeToString(), STN, (1,), 5, str)
    assert "\n" not in str(caught.value)


def test_asymmetric_quantising_is_refused_in_one_line():
    with pytest.raises(BackendError, match=r"stn: tensorrt_rtx cannot take node \S+ \(DequantizeLinear\): ") as caught:
        tensorrt_build.build(quantised.quantised(STN, "onnxruntime"), STN, (1,), 5, str)
    assert "\n" not in str(caught.value)


def test_a_network_whose_inputs_are_others_is_refused():
    with pytest.raises(BackendError, match=r"temporal_window: tensorrt_rtx .* cannot build it"):
        tensorrt_build.build(store.find("mlp_decoder").read_bytes(), TEMPORAL_WINDOW, (1,), 5, str)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_who_listens_can_end_the_building(raised):
    heard = []

    def say(line):
        heard.append(line)
        if len(heard) == 3:
            raise raised

    with pytest.raises(raised):
        tensorrt_build.build(store.find("mlp_decoder").read_bytes(), MLP_DECODER, (1,), 5, say)
    assert len(heard) == 3


def test_hopper_is_no_target_of_tensorrt_for_rtx():
    assert "8.9" in tensorrt_build.targets(trt)
    if "9.0" in tensorrt_build.targets(trt):
        pytest.fail("TensorRT for RTX knows Hopper now: say so in engines/README.md and tensorrt_build.py")


@pytest.mark.parametrize("capability", tensorrt_build.targets(trt))
def test_it_builds_for_every_gpu_that_it_lists(capability):
    builder = trt.Builder(tensorrt_build.logger(trt))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    assert config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}"), 0)
    network = builder.create_network(1)
    parser = trt.OnnxParser(network, tensorrt_build.logger(trt))
    assert parser.parse(variants.fp16(store.find("mlp_decoder").read_bytes()))
    profile = builder.create_optimization_profile()
    for tensor in MLP_DECODER.inputs:
        shape = tuple(1 if dim == "B" else dim for dim in tensor.shape)
        profile.set_shape(tensor.name, shape, shape, shape)
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config)


@pytest.mark.skipif(cuda.why_missing() is None, reason="there is a GPU")
def test_facts_without_a_gpu_name_the_library_alone():
    facts = tensorrt_build.facts(0)
    assert facts == {
        "library": f"tensorrt_rtx {trt.__version__}",
        "gpu": "none",
        "compute_capability": "none",
        "driver": "none",
    }
