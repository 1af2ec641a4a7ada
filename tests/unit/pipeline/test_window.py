"""The window's bookkeeping: every frame on its cell of time, gaps masked, slow sources filled up, fast ones thinned."""

import numpy as np
import pytest

from engines.contracts import FEATURE, LIVE_READ, LIVE_WINDOW, TEMPORAL_FRAME, TEMPORAL_LIVE, TEMPORAL_WINDOW, WINDOW
from engines.skeleton import J
from pipeline.window import FASTEST_HZ, SLOWEST_HZ, WARM_UP, Look, Measured, Window, grid_rate_hz


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
        assert inputs["features"].shape == (1, *self.contract.inputs[0].shape[1:])
        seen = inputs["seen"][0]
        joints = np.zeros((1, len(seen), J, 3), np.float32)
        joints[..., :2] = inputs["features"][..., : J * 2].reshape(1, -1, J, 2) * seen[:, None, None]
        joints[..., 2] = seen[:, None]
        return {"joints": joints[:, -self.contract.outputs[0].shape[1] :]}


@pytest.fixture
def window():
    return lambda rate_hz: Window(
        *(Echo(contract) for contract in (TEMPORAL_FRAME, TEMPORAL_LIVE, TEMPORAL_WINDOW)), rate_hz
    )


def measured(value: float):
    box = np.array([value, 0, 0.2], np.float32)
    return Measured(np.full((J, 2), value, np.float32), np.zeros(J, np.float32), box)


def seen(made, end: int) -> int:
    """How many cells of the window that ends with cell `end` hold a measurement."""
    poses = made.poses(end, 0)
    return 0 if poses is None else int(poses[:, 0, 2].sum())


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
    assert poses[-10:, 0, 0].tolist() == list(range(10))
    assert poses[:-10].any() == False  # noqa: E712
    assert poses[-10:, 0, 2].all()


def test_dropped_frames_are_masked_not_invented(window) -> None:
    made = fed(window, 50, [*range(9), 26, 27])
    poses = made.poses(made.newest, 0)
    assert poses[:, 0, 2].sum() == 11
    assert poses[-2:, 0, 0].tolist() == [26, 27]
    assert not poses[-19:-2].any()


def test_short_gap_of_a_slow_source_is_bridged(window) -> None:
    made = fed(window, 30, [0, 1, 2, 3, 4])
    poses = made.poses(made.newest, 0)
    assert made.newest == 8
    assert poses[-9:, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]


def test_fast_source_is_thinned(window) -> None:
    made = fed(window, 120, list(range(24)))
    assert made.newest == round(23 / 120 * 60)
    assert seen(made, made.newest) == made.newest + 1


def test_subject_lost_leaves_a_gap(window) -> None:
    made = fed(window, 50, list(range(10)))
    made.push(round(10 / 50 * 1e9), None)
    assert made.newest == 10
    assert seen(made, 10) == 10
    assert made.poses(10, 0)[-1, 0, 2] == 0


def test_forgetting_empties_the_window(window) -> None:
    made = fed(window, 50, list(range(20)))
    made.forget()
    assert made.poses(made.newest, 0) is made.newest_poses(made.newest, 0) is None


def test_of_too_few_frames_there_are_no_poses(window) -> None:
    made = fed(window, 50, list(range(WARM_UP - 1)))
    assert made.poses(made.newest, 0) is made.newest_poses(made.newest, 0) is None
    made.push(round((WARM_UP - 1) / 50 * 1e9), measured(8))
    assert made.poses(made.newest, 0) is not None and made.newest_poses(made.newest, 0) is not None


def test_old_frames_leave_the_window(window) -> None:
    made = fed(window, 50, list(range(2 * WINDOW + 40)))
    poses = made.poses(made.newest, 0)
    assert seen(made, made.newest) == WINDOW
    assert poses[:, 0, 0].tolist() == list(range(made.newest - WINDOW + 1, made.newest + 1))
    earlier = made.newest - 121
    assert made.poses(earlier, 121)[-1, 0, 0] == earlier


def test_the_newest_poses_are_of_the_newest_frames(window) -> None:
    made = fed(window, 50, list(range(WINDOW)))
    poses = made.newest_poses(made.newest, 0)
    assert len(poses) == LIVE_READ < LIVE_WINDOW
    assert poses[:, 0, 0].tolist() == list(range(WINDOW - LIVE_READ, WINDOW))


def test_a_look_is_taken_once_and_only_when_read() -> None:
    live = Echo(TEMPORAL_LIVE)
    made = Window(Echo(TEMPORAL_FRAME), live, None, 50)
    for frame in range(LIVE_WINDOW):
        made.push(round(frame / 50 * 1e9), measured(frame))
    look = Look(made, made.newest, 0)
    assert live.calls == 0
    for behind in (0, 13, LIVE_READ - 1):
        assert look.reaches(made.newest - behind)
        assert look.pose(made.newest - behind)[0, 0] == pytest.approx(made.newest - behind, abs=1e-3)
    assert live.calls == 1
    assert not look.reaches(made.newest + 1) and not look.reaches(made.newest - LIVE_READ)


def test_a_look_from_before_a_gap_shows_what_was_there() -> None:
    """The cells before the gap are out of reach of the newest look; the earlier one is as good when it is read late."""
    made = Window(Echo(TEMPORAL_FRAME), Echo(TEMPORAL_LIVE), None, 50)
    for frame in range(LIVE_WINDOW):
        made.push(round(frame / 50 * 1e9), measured(frame))
    before = Look(made, made.newest, 0)
    made.push(10_000_000_000, measured(500))
    assert made.newest == 500 and not Look(made, made.newest, 0).reaches(LIVE_WINDOW - 1)
    assert before.pose(LIVE_WINDOW - 14)[0, 0] == pytest.approx(LIVE_WINDOW - 14, abs=1e-3)
