"""Straight, pike, tuck, free: by frame and as the position of the dive, from noisy joints."""

import numpy as np
import pytest

from flight.motion import Motion
from flight.posture import POSITIONS, bends_deg, classified, posture
from tests.dives_noisy import ALL, dived, ends, noisy
from training.synth import report


def bent(dive, rng):
    motion, _ = noisy(dive, rng)
    return posture(motion, *ends(dive, rng), dive.code.half_twists / 2)


def test_positions_of_dives_have_high_scores():
    rng = np.random.default_rng(1)
    true = [POSITIONS["ABCD".index(dived(*dive).code.position)] for dive in ALL]
    told = [bent(dived(*dive), rng).position for dive in ALL]
    for position in POSITIONS:
        hits = sum(a == b == position for a, b in zip(true, told, strict=True))
        assert 2 * hits / (true.count(position) + told.count(position)) > 0.95, position


def test_angles_are_the_true_ones():
    dive = dived("405C", 3.0)
    found = bent(dive, np.random.default_rng(2))
    truth = report.of(dive)
    assert found.least_hip_deg == pytest.approx(truth["least_hip_deg"], abs=8)
    assert found.least_knee_deg == pytest.approx(truth["least_knee_deg"], abs=8)
    off, entry = ends(dive)
    hip, knee = report.bends_deg(dive.joints_world_m)
    assert np.allclose(bends_deg(dive.joints_world_m), (hip, knee))
    inside = slice(off + 5, entry - 4)
    assert np.abs(found.hip_deg - hip)[inside].max() < 25
    assert np.isnan(found.hip_deg[: off - 2]).all()
    assert (found.classes[: off - 2] == -1).all()


def test_shares_and_opening():
    found, dive = bent(dived("203B", 3.0), np.random.default_rng(3)), dived("203B", 3.0)
    off, entry = ends(dive)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["pike"] > 0.5
    assert off + 0.6 * (entry - off) < found.opening < off + 0.95 * (entry - off)
    assert bent(dived("201A", 3.0), np.random.default_rng(4)).opening is None


def test_flying_dives_are_straight_first():
    rng = np.random.default_rng(5)
    for code, height_m in (("113B", 3.0), ("112B", 5.0)):
        assert bent(dived(code, height_m), rng).held_straight > 0.9
    for code, height_m in (("103B", 3.0), ("102C", 5.0), ("401A", 1.0), ("203B", 3.0)):
        assert bent(dived(code, height_m), rng).held_straight < 0.1


def test_only_twisting_dives_are_free():
    dive = dived("5231D", 3.0)
    motion, _ = noisy(dive, np.random.default_rng(6))
    assert posture(motion, *ends(dive), 1.5).position == "free"
    assert posture(motion, *ends(dive), 0.0).position == "straight"


def test_classes_do_not_flicker():
    rng, t_s = np.random.default_rng(7), np.arange(100) / 50
    hip = np.where(t_s < 1, 118.0, 170.0) + rng.normal(0, 6, 100)
    classes = classified(t_s, hip, np.full(100, 175.0))
    # Without memory the same angles change their class in many frames.
    alone = np.where(hip < 120, 1, np.where(hip > 150, 0, 3))
    assert np.count_nonzero(np.diff(alone)) > 10
    assert np.count_nonzero(np.diff(classes)) <= 2
    assert POSITIONS[classes[20]] == "pike"
    assert POSITIONS[classes[80]] == "straight"


def test_gaps_are_bridged_and_nothing_is_refused():
    dive = dived("107C", 3.0)
    motion, _ = noisy(dive, np.random.default_rng(8))
    off, entry = ends(dive)
    motion.joints_world_m[off + 15 : off + 22] = np.nan
    assert posture(motion, off, entry).position == "tuck"
    nothing = Motion(motion.t_s, np.full_like(motion.joints_world_m, np.nan), motion.joints_sd_m)
    with pytest.raises(ValueError, match="no frame"):
        posture(nothing, off, entry)
