"""The window's bookkeeping: every frame on its cell of time, gaps masked, slow sources filled up, fast ones thinned."""

import numpy as np
import pytest

from engines.contracts import FEATURE, TEMPORAL_FRAME, TEMPORAL_WINDOW, WINDOW
from engines.skeleton import J
from pipeline.window import FASTEST_HZ, SLOWEST_HZ, Measured, Window, grid_rate_hz


class Echo:
    """Networks whose features are the keypoints, and whose pose of a frame shows its features and the mask."""

    device = "echo"

    def __init__(self, contract) -> None:
        self.contract = contract
        self.calls = 0

    def run(self, inputs):
        self.calls += 1
        if self.contract is TEMPORAL_FRAME:
            feature = np.zeros((len(inputs["keypoints"]), FEATURE), np.float32)
            feature[:, : J * 2] = inputs["keypoints"].reshape(-1, J * 2)
            feature[:, J * 2 : J * 3] = inputs["missing"]
            return {"feature": feature}
        joints = np.zeros((1, WINDOW, J, 3), np.float32)
        joints[..., :2] = inputs["features"][..., : J * 2].reshape(1, WINDOW, J, 2)
        joints[..., 2] = inputs["seen"][..., None]
        return {"joints": joints}


@pytest.fixture
def window():
    return lambda rate_hz: Window(Echo(TEMPORAL_FRAME), Echo(TEMPORAL_WINDOW), rate_hz)


def measured(value: float):
    box = np.array([value, 0, 0.2], np.float32)
    return Measured(np.full((J, 2), value, np.float32), np.zeros(J, np.float32), box)


def fed(window, rate_hz: float, frames: list[int]):
    made = window(rate_hz)
    for frame in frames:
        made.push(round(frame / rate_hz * 1e9), measured(frame))
    return made


@pytest.mark.parametrize("rate_hz", [5, 10, 12.5, 23.976, 25, 29.97, 30, 48, 50, 59.94, 60, 100, 120, 240])
def test_grid_is_within_what_the_network_knows(rate_hz) -> None:
    grid = grid_rate_hz(rate_hz)
    assert SLOWEST_HZ <= grid <= FASTEST_HZ
    ratio = max(grid / rate_hz, rate_hz / grid)
    assert ratio == pytest.approx(round(ratio))


def test_unknown_rate_has_a_grid() -> None:
    assert grid_rate_hz(0) == 50


def test_frames_lie_in_order_and_the_past_is_masked(window) -> None:
    made = fed(window, 50, list(range(10)))
    poses = made.poses(made.newest, 0)
    assert made.newest == 9
    assert made.seen(made.newest) == 10
    assert poses[-10:, 0, 0].tolist() == list(range(10))
    assert poses[:-10].any() == False  # noqa: E712
    assert poses[-10:, 0, 2].all()


def test_dropped_frames_are_masked_not_invented(window) -> None:
    made = fed(window, 50, [0, 1, 2, 20, 21])
    poses = made.poses(made.newest, 0)
    assert made.seen(made.newest) == 5
    assert poses[-2:, 0, 0].tolist() == [20, 21]
    assert not poses[-19:-2].any()


def test_short_gap_of_a_slow_source_is_bridged(window) -> None:
    made = fed(window, 30, [0, 1, 2])
    poses = made.poses(made.newest, 0)
    assert made.newest == 4
    assert poses[-5:, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2]


def test_fast_source_is_thinned(window) -> None:
    made = fed(window, 120, list(range(12)))
    assert made.newest == round(11 / 120 * 60)
    assert made.seen(made.newest) == made.newest + 1


def test_subject_lost_leaves_a_gap(window) -> None:
    made = fed(window, 50, [0, 1])
    made.push(round(2 / 50 * 1e9), None)
    assert made.newest == 2
    assert made.seen(2) == 2
    assert made.poses(2, 0)[-1, 0, 2] == 0


def test_forgetting_empties_the_window(window) -> None:
    made = fed(window, 50, list(range(5)))
    made.forget()
    assert made.seen(made.newest) == 0


def test_old_frames_leave_the_window(window) -> None:
    made = fed(window, 50, list(range(2 * WINDOW + 40)))
    poses = made.poses(made.newest, 0)
    assert made.seen(made.newest) == WINDOW
    assert poses[:, 0, 0].tolist() == list(range(made.newest - WINDOW + 1, made.newest + 1))
    earlier = made.newest - 121
    assert made.poses(earlier, 121)[-1, 0, 0] == earlier
