"""Which engine is taken: what was asked for, else the best the machine has, and why not a better one."""

from pathlib import Path

import pytest

from engines import choice, openvino_backend
from engines.choice import Candidate, candidates
from engines.errors import BackendError
from engines.settings import EngineSettings

NO_GPU = "no GPU: there is no NVIDIA driver here"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that says what the machine has; the folder holds `stn` in int8 and `mlp_decoder` without."""
    for name in ("stn", "stn.int8", "mlp_decoder"):
        (tmp_path / f"{name}.onnx").write_bytes(b"x")

    def has(*, gpu=False, bf16=True, openvino=True):
        monkeypatch.setattr(choice, "why_no_gpu", lambda: None if gpu else NO_GPU)
        monkeypatch.setattr(openvino_backend, "computes_bf16", lambda: bf16)
        monkeypatch.setattr(openvino_backend, "why_missing", lambda: None if openvino else "OpenVINO is not here")
        return str(tmp_path)

    return has


def ways(network, **settings):
    return [(c.backend, c.device, c.precision) for c in candidates(network, EngineSettings(**settings))]


def test_auto_takes_few_bits_first(machine):
    weights = machine()
    assert ways("stn", weights=weights) == [
        ("openvino", "cpu", "int8"),
        ("openvino", "cpu", "bf16"),
        ("openvino", "cpu", "fp32"),
    ]
    assert ways("mlp_decoder", weights=weights) == [("openvino", "cpu", "bf16"), ("openvino", "cpu", "fp32")]


def test_a_cpu_without_bf16_is_not_asked_for_it(machine):
    weights = machine(bf16=False)
    assert ways("mlp_decoder", weights=weights) == [("openvino", "cpu", "fp32")]
    with pytest.raises(BackendError, match="does not compute in bf16"):
        candidates("stn", EngineSettings(weights=weights, precision="bf16"))


def test_a_gpu_comes_first_and_the_cpu_stays_behind_it(machine):
    weights = machine(gpu=True)
    found = ways("stn", weights=weights)
    assert found[0] == ("tensorrt", "cuda:0", "fp16")
    assert found[-1] == ("openvino", "cpu", "fp32")
    assert {device for _, device, _ in ways("stn", weights=weights, device="cuda:1")} == {"cuda:1"}
    assert {device for _, device, _ in ways("stn", weights=weights, device="cpu")} == {"cpu"}


@pytest.mark.parametrize("asked", [{"device": "cuda:0"}, {"backend": "tensorrt"}])
def test_a_gpu_that_is_asked_for_and_missing_is_an_error(machine, asked):
    weights = machine()
    with pytest.raises(BackendError, match=f"{NO_GPU}; or set engines.device to cpu"):
        candidates("stn", EngineSettings(weights=weights, **asked))


@pytest.mark.parametrize(
    "asked", [{"device": "cpu", "backend": "tensorrt"}, {"device": "cuda:0", "backend": "openvino"}]
)
def test_settings_that_exclude_each_other_are_an_error(machine, asked):
    weights = machine(gpu=True)
    with pytest.raises(BackendError, match=r"does not run on engines\.device"):
        candidates("stn", EngineSettings(weights=weights, **asked))


def test_without_openvino_onnx_runtime_and_why(machine):
    weights = machine(openvino=False)
    found = candidates("stn", EngineSettings(weights=weights))
    assert [(c.backend, c.precision) for c in found] == [("onnxruntime", "int8"), ("onnxruntime", "fp32")]
    assert found[0].because == "ONNX Runtime instead of OpenVINO: OpenVINO is not here"
    with pytest.raises(BackendError, match="pip install openvino"):
        candidates("stn", EngineSettings(weights=weights, backend="openvino"))


def test_int8_is_for_the_networks_that_have_such_a_file(machine):
    weights = machine(gpu=True)
    assert ways("stn", weights=weights, precision="int8", device="cuda:0")[0] == ("tensorrt", "cuda:0", "int8")
    assert ways("stn", weights=weights, precision="int8", device="cpu")[0] == ("openvino", "cpu", "int8")
    assert ways("mlp_decoder", weights=weights, precision="int8", device="cpu")[0] == ("openvino", "cpu", "bf16")


def test_a_gpu_gains_nothing_from_weights_alone_in_whole_numbers(machine):
    weights = machine(gpu=True)
    (Path(weights) / "mlp_decoder.int8.onnx").touch()
    assert ways("mlp_decoder", weights=weights, precision="int8", device="cuda:0")[0] == ("tensorrt", "cuda:0", "fp16")
    assert ways("mlp_decoder", weights=weights, precision="int8", device="cpu")[0] == ("openvino", "cpu", "int8")


def test_what_was_asked_for_is_the_only_way(machine):
    weights = machine(gpu=True)
    asked = EngineSettings(weights=weights, device="cpu", precision="bf16")
    assert candidates("stn", asked) == [Candidate("openvino", "cpu", "bf16")]
    with pytest.raises(BackendError, match="fp16 does not run on onnxruntime"):
        candidates("stn", EngineSettings(weights=weights, backend="onnxruntime", precision="fp16"))


def test_the_driver_is_asked_on_this_machine():
    why = choice.why_no_gpu()
    assert why is None or why.startswith(("no GPU", "TensorRT", "PyCUDA"))
