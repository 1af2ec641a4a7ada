"""What networks cost: counted at each call, told in the heartbeat, divided by frames."""

from collections import Counter

import numpy as np
import pytest

from engines.contracts import MLP_DECODER
from engines.examples import noise
from pipeline.config import Config, from_mapping
from pipeline.messages import Health
from pipeline.meter import Calls, Meter
from pipeline.metered import Spent
from pipeline.runner import Pulse
from pipeline.stage import Host
from tests.posecast import require_weights

METERED = from_mapping({"engines": {"metered": True}}, "test")


def beat(stage, received, cpu_ms=0.0, calls=0, engine_ms=0.0, state="running", sent=None):
    return Health(
        stream="main",
        stage=stage,
        pid=1,
        t_unix_ns=0,
        state=state,
        received=received,
        sent=received if sent is None else sent,
        cpu_ms=cpu_ms,
        engine_calls={"stn": calls} if calls else {},
        engine_cpu_ms={"stn": engine_ms} if calls else {},
    )


def read(*beats, config=None):
    meter = Meter(config or Config())
    for health in beats:
        meter.read(health, {})
    return meter


def test_a_session_of_the_host_gives_the_same_and_counts(tmp_path):
    require_weights()
    host = Host(METERED, tmp_path, cores=1)
    session = host.session(MLP_DECODER)
    inputs = noise(MLP_DECODER, {"B": 1})
    first, second = session.run(inputs), session.run(inputs)
    assert session.contract is MLP_DECODER
    assert session.device
    assert np.array_equal(first["joints"], second["joints"])
    assert host.spent.calls == Counter({"mlp_decoder": 2})
    assert host.spent.cpu_ns["mlp_decoder"] > 0


def test_each_member_of_a_batch_is_a_call(tmp_path):
    require_weights()
    host = Host(METERED, tmp_path, cores=1)
    host.session(MLP_DECODER).run(noise(MLP_DECODER, {"B": 3}))
    assert host.spent.calls == Counter({"mlp_decoder": 3})


def test_nothing_is_measured_unless_asked_for(tmp_path):
    """The processor's clock is not read on the way of a live picture."""
    require_weights()
    host = Host(Config(), tmp_path, cores=1)
    host.session(MLP_DECODER).run(noise(MLP_DECODER, {"B": 1}))
    assert host.spent == Spent()


def test_a_failed_call_is_not_counted(tmp_path):
    require_weights()
    host = Host(METERED, tmp_path, cores=1)
    session = host.session(MLP_DECODER)
    with pytest.raises(Exception, match="expected inputs"):
        session.run({})
    assert host.spent == Spent()


def test_the_heartbeat_tells_what_was_spent():
    sent = []

    class Control:
        def send(self, message, alive):
            sent.append(message)
            return True

    pulse = Pulse("track", "main", Control())
    pulse.spent.calls["stn"] += 3
    pulse.spent.cpu_ns["stn"] += 4_500_000
    pulse.beat(Counter(), state="running")
    assert sent[0].engine_calls == {"stn": 3}
    assert sent[0].engine_cpu_ms == {"stn": 4.5}
    assert sent[0].cpu_ms > 0


def test_cost_is_that_between_the_warm_up_and_the_end():
    meter = read(
        beat("capture", 0, 50.0),
        beat("track", 2, 900.0, 9, 800.0),  # compiling and warming up: not counted
        beat("track", 20, 1000.0, 40, 840.0),
        beat("track", 70, 1500.0, 140, 1040.0),
        beat("capture", 100, 200.0, state="ended"),
        beat("track", 100, 1800.0, 200, 1160.0, state="ended"),
        beat("track", 100, 1900.0, 200, 1160.0, state="ended"),  # it only waits
    )
    assert meter.cpu_ms("track") == pytest.approx(10.0)
    assert meter.networks("track") == {"stn": Calls(pytest.approx(2.0), pytest.approx(4.0))}


def test_a_stage_that_saw_half_of_the_frames_costs_half_a_frame():
    meter = read(
        beat("capture", 100, state="ended"),
        beat("encode", 10, 100.0),
        beat("encode", 50, 500.0, state="ended"),
    )
    assert meter.cpu_ms("encode") == pytest.approx(5.0)


def test_too_short_a_run_costs_nothing_rather_than_something_wrong():
    meter = read(beat("capture", 100, 10.0, state="ended"), beat("track", 100, 300.0, state="ended"))
    assert meter.cpu_ms("track") == 0.0


def test_a_shared_process_is_told_once():
    config = from_mapping({"processes": {"track": "one", "encode": "one"}}, "test")
    beats = [beat("capture", 100, state="ended")]
    for stage in ("track", "encode"):
        beats += [beat(stage, 10, 100.0), beat(stage, 100, 1000.0, state="ended")]
    meter = read(*beats, config=config)
    assert meter.cpu_ms("track") == pytest.approx(10.0)
    assert meter.cpu_ms("encode") == 0.0
