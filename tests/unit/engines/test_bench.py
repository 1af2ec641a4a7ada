"""The stopwatch: it measures the session it is given."""

import time

import numpy as np
import pytest

from engines.bench import time_session
from engines.contracts import TEMPORAL_FRAME


class Sleeper:
    """A session that takes a known time, and works during a known part of it."""

    contract = TEMPORAL_FRAME
    device = "a clock, 1 thread"

    def __init__(self):
        self.calls = 0
        self.shapes = set()

    def run(self, inputs):
        self.calls += 1
        self.shapes.add(inputs["keypoints"].shape)
        time.sleep(0.05 if self.calls == 1 else 0.004)
        return {"feature": np.zeros((1, 256), np.float32)}


def test_times_are_those_of_the_session():
    session = Sleeper()
    timing = time_session(session, runs=20)
    assert (timing.network, timing.device) == ("temporal_frame", "a clock, 1 thread")
    assert timing.runs == 20
    assert session.calls == 24
    assert session.shapes == {(1, 17, 2)}
    assert timing.first_ms >= 50
    assert 4 <= timing.p50_ms <= timing.p99_ms
    assert timing.cpu_ms < 2


def test_the_budget_ends_it():
    timing = time_session(Sleeper(), {"B": 2}, budget_s=0.0)
    assert timing.runs == 5


def test_a_failing_session_fails_the_bench():
    class Broken(Sleeper):
        def run(self, inputs):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        time_session(Broken())
