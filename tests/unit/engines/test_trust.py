"""An engine is believed only when it gives what single precision gives."""

import numpy as np
import pytest

from engines import store, trust
from engines.choice import Candidate, candidates
from engines.contracts import MLP_DECODER, SHIPPED, STN, TEMPORAL_FRAME, encoder
from engines.errors import WeightsError
from engines.examples import examples_of, one_by_one
from engines.opening import Opening, Refused
from engines.session import open_session
from engines.settings import EngineSettings
from engines.trust import Deviation, Verdict


@pytest.mark.parametrize("contract", SHIPPED, ids=lambda contract: contract.network)
def test_every_shipped_network_has_examples_that_fit_its_contract(contract):
    stacked = examples_of(contract)
    examples = list(one_by_one(stacked))
    assert len(examples) >= 6
    trust.reference(contract, "")(examples[0])
    for tensor in contract.inputs:
        assert stacked[tensor.name].dtype == tensor.dtype
        assert len(np.unique(stacked[tensor.name])) > 1 or tensor.name in ("seen", "use_decoded")


@pytest.mark.parametrize(
    "contract", [STN, encoder("w18_small_v2"), MLP_DECODER, TEMPORAL_FRAME], ids=lambda c: c.network
)
def test_the_reference_agrees_with_itself_and_not_with_a_disturbed_one(contract):
    run = trust.reference(contract, "")
    verdict = trust.judge(contract, run, "fp16", "")
    assert verdict.ok
    assert [deviation.output for deviation in verdict.deviations] == [tensor.name for tensor in contract.outputs]
    assert all(deviation.p90 == 0 for deviation in verdict.deviations)

    def disturbed(inputs):
        rng = np.random.default_rng(1)
        return {name: (values * rng.normal(1, 0.3, values.shape)).astype("f4") for name, values in run(inputs).items()}

    verdict = trust.judge(contract, disturbed, "int8", "")
    assert not verdict.ok
    assert verdict.deviations[0].output in verdict.why_not


def test_what_is_not_a_number_is_never_good():
    run = trust.reference(STN, "")

    def broken(inputs):
        return {name: values * np.float32("nan") for name, values in run(inputs).items()}

    assert not trust.judge(STN, broken, "int8", "").ok


@pytest.mark.parametrize("contract", SHIPPED, ids=lambda contract: contract.network)
def test_what_auto_takes_of_each_shipped_network_is_within_its_bounds(contract):
    settings = EngineSettings(device="cpu", threads=1)
    taken = open_session(contract, settings, 1, axes={"B": 1, "H": 5}).device
    for way in candidates(contract.network, settings):
        if f", {way.precision}, " in taken:
            assert Opening(contract, way, settings, {"B": 1, "H": 5}, print).checked().ok
            return
    pytest.fail(f"{taken} is none of the ways")


def test_half_of_the_joints_have_to_be_within_the_bound_and_most_within_four():
    assert Deviation("joints", "mm", 4.9, 19.0, 5.0).ok
    assert not Deviation("joints", "mm", 5.1, 5.2, 5.0).ok
    assert not Deviation("joints", "mm", 1.0, 20.5, 5.0).ok


def test_a_verdict_survives_being_written():
    verdict = Verdict((Deviation("joints", "mm", 1.5, 3.0, 5.0), Deviation("presence", "probability", 0.2, 0.4, 0.1)))
    assert Verdict.from_json(verdict.to_json()) == verdict
    assert verdict.why_not == ("presence 0.2 probability off in the median, 0.4 at nine tenths (allowed 0.1, 0.4)")


def test_an_engine_out_of_bounds_is_refused_when_asked_for_and_passed_over_by_auto(monkeypatch, tmp_path, caplog):
    monkeypatch.setitem(trust.BOUNDS, "bf16", {"mm": 1e-6, "px": 1e-6, "probability": 1e-6})
    settings = EngineSettings(device="cpu", threads=1, cache=str(tmp_path))
    bf16 = Candidate("openvino", "cpu", "bf16")
    if bf16 not in candidates(TEMPORAL_FRAME.network, settings):
        pytest.skip("this CPU does not compute in bf16")
    with pytest.raises(Refused, match=r"feature .* mm off"):
        Opening(TEMPORAL_FRAME, bf16, settings, {"B": 1}, print).runner()
    session = open_session(TEMPORAL_FRAME, settings, 1)
    assert "fp32" in session.device and "because not bf16: feature" in session.device
    assert "not bf16: feature" in caplog.text
    again = [kept for kept in tmp_path.glob("*.engine") if kept.stat().st_size < 5000]
    assert len(again) == 1  # the verdict alone, so that it is not found out again at each start


def test_a_folder_without_examples_takes_the_shipped_ones(tmp_path):
    shipped = examples_of(STN)
    np.testing.assert_array_equal(examples_of(STN, tmp_path)["picture"], shipped["picture"])
    (tmp_path / store.EXAMPLES).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(WeightsError, match=r"examples\.npz: no inputs to check stn by .*posecast quantise"):
        examples_of(STN, tmp_path)
