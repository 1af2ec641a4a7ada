"""Sessions on both back-ends, on tiny networks that fulfil the contracts."""

import builtins
import dataclasses
import logging
import subprocess
import sys

import numpy as np
import pytest

from engines import contracts, onnx_backend
from engines.errors import BackendError, ContractError, WeightsError
from engines.examples import noise
from engines.openvino_backend import OpenVinoRunner
from engines.session import open_session
from engines.settings import EngineSettings
from tests.conftest import ROOT

onnx = pytest.importorskip("onnx", reason="the tiny networks of this test are written with the onnx package")

BACKENDS = ("openvino", "onnxruntime")
CONTRACTS = (*contracts.SHIPPED, contracts.POSE3D_ENCODER)
_TYPES = {"uint8": onnx.TensorProto.UINT8, "int64": onnx.TensorProto.INT64, "float32": onnx.TensorProto.FLOAT}


def gains(contract, seed=7):
    """Per output the weights (last axes) of the tiny network: output = gain * (sum of the inputs' means)."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: rng.standard_normal([dim for dim in tensor.shape if isinstance(dim, int)]).astype(np.float16)
        for tensor in contract.outputs
    }


def write_network(contract, folder, seed=7):
    """An ONNX file with fp16 initialisers and Cast nodes, free axes free: output = gain * mean."""
    helper, nodes, initialisers = onnx.helper, [], []
    for tensor in contract.inputs:
        last = list(range(1, len(tensor.shape)))
        nodes.append(helper.make_node("Cast", [tensor.name], [f"{tensor.name}_f"], to=onnx.TensorProto.FLOAT))
        source = f"{tensor.name}_f"
        if last:
            initialisers.append(onnx.numpy_helper.from_array(np.array(last), f"{tensor.name}_axes"))
            nodes.append(
                helper.make_node("ReduceMean", [source, f"{tensor.name}_axes"], [f"{tensor.name}_m"], keepdims=0)
            )
            source = f"{tensor.name}_m"
        nodes.append(helper.make_node("Identity", [source], [f"{tensor.name}_s"]))
    nodes.append(helper.make_node("Sum", [f"{tensor.name}_s" for tensor in contract.inputs], ["total"]))
    for tensor in contract.outputs:
        _output(tensor, gains(contract, seed)[tensor.name], contract, nodes, initialisers)
    graph = helper.make_graph(
        nodes,
        contract.network,
        [helper.make_tensor_value_info(t.name, _TYPES[t.dtype], t.shape) for t in contract.inputs],
        [helper.make_tensor_value_info(t.name, _TYPES[t.dtype], t.shape) for t in contract.outputs],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, folder / f"{contract.network}.onnx")


def _output(tensor, gain, contract, nodes, initialisers):
    helper, name = onnx.helper, tensor.name
    rest = gain.ndim
    free = len(tensor.shape) - rest
    initialisers.append(onnx.numpy_helper.from_array(gain, f"{name}_gain16"))
    initialisers.append(onnx.numpy_helper.from_array(np.arange(1, rest + free), f"{name}_new"))
    nodes.append(helper.make_node("Cast", [f"{name}_gain16"], [f"{name}_gain"], to=onnx.TensorProto.FLOAT))
    nodes.append(helper.make_node("Unsqueeze", ["total", f"{name}_new"], [f"{name}_total"]))
    if free == 1:
        nodes.append(helper.make_node("Mul", [f"{name}_total", f"{name}_gain"], [name]))
        return
    # A second free axis: as long as that of the input which has it.
    source = next(t.name for t in contract.inputs if t.shape[:2] == tensor.shape[:2])
    initialisers.append(onnx.numpy_helper.from_array(np.array(gain.shape), f"{name}_rest"))
    nodes.append(helper.make_node("Shape", [source], [f"{name}_axes"], start=0, end=2))
    nodes.append(helper.make_node("Concat", [f"{name}_axes", f"{name}_rest"], [f"{name}_shape"], axis=0))
    nodes.append(helper.make_node("Mul", [f"{name}_total", f"{name}_gain"], [f"{name}_one"]))
    nodes.append(helper.make_node("Expand", [f"{name}_one", f"{name}_shape"], [name]))


def expected(contract, inputs, axes):
    total = sum(
        array.reshape(len(array), -1).astype(np.float64).mean(axis=1) if array.ndim > 1 else array
        for array in inputs.values()
    )
    made = {}
    for tensor in contract.outputs:
        shape = tuple(axes[dim] if isinstance(dim, str) else dim for dim in tensor.shape)
        gain = gains(contract)[tensor.name].astype(np.float64)
        made[tensor.name] = np.broadcast_to(total.reshape(-1, *[1] * (len(shape) - 1)) * gain, shape)
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for contract in CONTRACTS:
        write_network(contract, folder)
    return folder


def settings_of(weights, **changes):
    return EngineSettings(weights=str(weights), precision="fp32", threads=1, **changes)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.network)
def test_every_contract_runs_on_both_back_ends_at_any_free_size(contract, backend, weights):
    session = open_session(contract, settings_of(weights, backend=backend), cores=1)
    for axes in ({"B": 1, "H": 5}, {"B": 3, "H": 2}, {"B": 1, "H": 5}):
        inputs = noise(contract, axes)
        outputs = session.run(inputs)
        truth = expected(contract, inputs, axes)
        assert set(outputs) == set(truth)
        for name, array in outputs.items():
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, truth[name], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_belong_to_the_caller(backend, weights):
    session = open_session(contracts.STN, settings_of(weights, backend=backend), cores=1)
    inputs = noise(contracts.STN, {"B": 1})
    kept = session.run(inputs)["theta"]
    before = kept.copy()
    session.run({"picture": np.zeros_like(inputs["picture"])})
    np.testing.assert_array_equal(kept, before)
    kept[:] = 0
    np.testing.assert_array_equal(session.run(inputs)["theta"], before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_read_only_and_strided_inputs_are_taken(backend, weights):
    session = open_session(contracts.STN, settings_of(weights, backend=backend), cores=1)
    picture = noise(contracts.STN, {"B": 1})["picture"]
    plain = session.run({"picture": picture})["theta"]
    frozen = np.frombuffer(picture.tobytes(), np.uint8).reshape(picture.shape)
    strided = np.repeat(picture, 2, axis=2)[:, :, ::2]
    assert not strided.flags.c_contiguous
    np.testing.assert_allclose(session.run({"picture": frozen})["theta"], plain, rtol=1e-6)
    np.testing.assert_allclose(session.run({"picture": strided})["theta"], plain, rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "expected inputs picture; got none"),
        ({"image": np.zeros((1, 128, 128, 3), np.uint8)}, "expected inputs picture; got image"),
        (
            {"picture": np.zeros((1, 128, 128, 3), np.float32)},
            r"input 'picture' expected uint8 \(B, 128, 128, 3\).*got float32 \(1, 128, 128, 3\)",
        ),
        ({"picture": np.zeros((128, 128, 3), np.uint8)}, r"expected uint8 .*; got uint8 \(128, 128, 3\)"),
        ({"picture": np.zeros((1, 96, 128, 3), np.uint8)}, r"got uint8 \(1, 96, 128, 3\)"),
        ({"picture": np.zeros((0, 128, 128, 3), np.uint8)}, r"got uint8 \(0, 128, 128, 3\)"),
    ],
)
def test_wrong_inputs_are_named(inputs, says, weights):
    session = open_session(contracts.STN, settings_of(weights, backend="onnxruntime"), cores=1)
    with pytest.raises(ContractError, match=says):
        session.run(inputs)


def test_a_free_axis_has_one_size(weights):
    session = open_session(contracts.MLP_DECODER, settings_of(weights, backend="onnxruntime"), cores=1)
    inputs = noise(contracts.MLP_DECODER, {"B": 2})
    inputs["box"] = inputs["box"][:1]
    with pytest.raises(ContractError, match=r"'box' expected float32 \(B, 3\), B=2; got float32 \(1, 3\)"):
        session.run(inputs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_is_another_network_is_refused(backend, tmp_path):
    other = dataclasses.replace(contracts.POSE3D_ENCODER, network=contracts.MLP_DECODER.network)
    write_network(other, tmp_path)
    with pytest.raises(ContractError, match="mlp_decoder has the inputs embedding, modality, box; the file has"):
        open_session(contracts.MLP_DECODER, settings_of(tmp_path, backend=backend), cores=1)
    wide = dataclasses.replace(
        contracts.POSE3D_ENCODER,
        outputs=(dataclasses.replace(contracts.POSE3D_ENCODER.outputs[0], shape=("B", 512)),),
    )
    write_network(wide, tmp_path)
    with pytest.raises(ContractError, match=r"\(B, 1024\); the file has float32 \(.*, 512\)"):
        open_session(contracts.POSE3D_ENCODER, settings_of(tmp_path, backend=backend), cores=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_is_no_network_is_refused_in_one_line(backend, tmp_path):
    (tmp_path / "stn.onnx").write_bytes(b"not a network at all")
    with pytest.raises(BackendError, match=r"stn\.onnx: .*export it again") as caught:
        open_session(contracts.STN, settings_of(tmp_path, backend=backend), cores=1)
    assert "\n" not in str(caught.value)


def test_missing_weights_say_where_and_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match=r"no file .*stn\.onnx \(networks there: none\); point"):
        open_session(contracts.STN, settings_of(tmp_path), cores=1)


def test_threads_follow_the_cores_unless_set(weights):
    free = EngineSettings(weights=str(weights), precision="fp32")
    assert open_session(contracts.STN, free, cores=2).device.endswith("fp32, 2 threads")
    assert open_session(contracts.STN, settings_of(weights), cores=2).device.endswith("fp32, 1 thread")


def test_calls_at_once_share_the_threads_and_give_each_its_own(weights):
    settings = EngineSettings(weights=str(weights), precision="fp32", threads=2, calls=2, backend="openvino")
    session = open_session(contracts.STN, settings, cores=2)
    assert session.device.endswith("fp32, 2 threads for 2 calls") and session.batch == 2
    for count in (1, 2, 5):
        inputs = noise(contracts.STN, {"B": count}, seed=count)
        truth = expected(contracts.STN, inputs, {"B": count})
        for name, array in session.run(inputs).items():
            np.testing.assert_allclose(array, truth[name], rtol=2e-4, atol=1e-5)


def test_a_batch_does_not_compile_the_network_again(weights, monkeypatch):
    session = open_session(contracts.STN, settings_of(weights, backend="openvino"), cores=1)
    monkeypatch.setattr(OpenVinoRunner, "_compiled", lambda *_: pytest.fail("compiled on the way of a picture"))
    assert session.run(noise(contracts.STN, {"B": 3}))["theta"].shape == (3, 4)


def _without(monkeypatch, package):
    real = builtins.__import__

    def importing(name, *args, **kwargs):
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)


SIGNALLED = """
import gc, signal, sys
from engines.contracts import STN
from engines.session import open_session
from engines.settings import EngineSettings
settings = EngineSettings(weights=sys.argv[1], precision="fp32", threads=1)
sessions = [open_session(STN, settings, cores=1) for _ in range(3)]
while sessions:
    sessions.pop(0)
    gc.collect()
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
signal.raise_signal(signal.SIGTERM)
sys.exit(0 if heard else 1)
"""


def test_a_process_that_closed_its_sessions_still_hears_signals(weights):
    done = subprocess.run([sys.executable, "-c", SIGNALLED, str(weights)], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_auto_is_openvino(weights):
    assert open_session(contracts.STN, settings_of(weights), cores=1).device.startswith("OpenVINO ")


def test_auto_falls_back_aloud(weights, monkeypatch, caplog):
    _without(monkeypatch, "openvino")
    with caplog.at_level(logging.WARNING):
        session = open_session(contracts.STN, settings_of(weights), cores=1)
    assert session.device.startswith("ONNX Runtime ")
    assert "because ONNX Runtime instead of OpenVINO: OpenVINO cannot be imported (No module" in session.device
    assert "stn: ONNX Runtime instead of OpenVINO" in caplog.text
    inputs = noise(contracts.STN, {"B": 1})
    np.testing.assert_allclose(
        session.run(inputs)["theta"], expected(contracts.STN, inputs, {"B": 1})["theta"], rtol=2e-4
    )


@pytest.mark.parametrize(("backend", "package"), [("openvino", "openvino"), ("onnxruntime", "onnxruntime")])
def test_a_missing_back_end_that_was_asked_for_is_an_error(backend, package, weights, monkeypatch):
    _without(monkeypatch, package)
    with pytest.raises(BackendError, match=f"cannot be imported .*pip install {package}"):
        open_session(contracts.STN, settings_of(weights, backend=backend), cores=1)


def test_bf16_is_given_or_refused(weights):
    import openvino

    asked = EngineSettings(weights=str(weights), precision="bf16", threads=1)
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert "bf16" in open_session(contracts.STN, asked, cores=1).device
    else:
        with pytest.raises(BackendError, match="does not compute in bf16"):
            open_session(contracts.STN, asked, cores=1)
    with pytest.raises(BackendError, match="bf16 does not run on onnxruntime"):
        open_session(contracts.STN, dataclasses.replace(asked, backend="onnxruntime"), cores=1)


def test_onnx_runtime_does_not_spin(weights):
    runner = onnx_backend.loaded(contracts.STN, weights / "stn.onnx", "fp32", 2)
    options = runner._session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.intra_op_num_threads == 2
