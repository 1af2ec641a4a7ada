"""Sides that a network exchanged are put back; bodies that are right stay as they are."""

import numpy as np
import pytest

from engines.skeleton import MIRROR
from flight.motion import Motion
from flight.sides import repaired
from flight.trunk import body_axes, mirrored
from tests.dives_noisy import dived, ends, noisy, rigid, view_of


def naive_half_twists(motion, off, entry):
    """Twist by unwrapping the angle of the left, frame by frame."""
    axes = body_axes(motion.joints_world_m[off : entry + 1])
    across, up = axes[..., 0], axes[..., 2]
    level = np.array([0.0, 1, 0]) - up[:, 1:2] * up
    angle = np.unwrap(np.arctan2(np.sum(np.cross(level, across) * up, -1), np.sum(across * level, -1)))
    return round(abs(angle[-1] - angle[0]) / np.pi)


def test_random_exchanges_destroy_the_count_and_are_put_back():
    rng, destroyed = np.random.default_rng(1), []
    for trial in range(40):
        half_twists = trial % 8
        motion, off, entry = rigid(3, half_twists, 10.0, 50.0, 1.4, 0.03, rng)
        swap = rng.random(len(motion)) < 0.1
        motion.joints_world_m[swap] = motion.joints_world_m[swap][:, list(MIRROR)]
        destroyed.append(naive_half_twists(motion, off, entry) != half_twists)
        found = repaired(motion)
        assert (found.swapped == swap).all()
        assert naive_half_twists(found.motion, off, entry) == half_twists
    assert np.mean(destroyed) > 0.4


@pytest.mark.parametrize("code", ["107C", "5253B", "403B"])
def test_simulated_dives(code):
    dive, rng = dived(code, 3.0), np.random.default_rng(2)
    motion, swap = noisy(dive, rng)
    found = repaired(motion)
    off, entry = ends(dive)
    assert (found.swapped == swap)[off - 10 : entry].all()
    assert np.abs(found.motion.joints_world_m - dive.joints_world_m)[off - 10 : entry].max() < 0.2


def test_a_stretch_of_exchanged_sides():
    dive = dived("5152B", 3.0)
    motion, _ = noisy(dive, np.random.default_rng(3), swapped=0.0)
    off, _ = ends(dive)
    swap = np.zeros(len(motion), bool)
    swap[off + 10 : off + 22] = True
    motion.joints_world_m[swap] = motion.joints_world_m[swap][:, list(MIRROR)]
    assert (repaired(motion).swapped == swap)[: off + 60].all()


def test_bodies_mirrored_in_depth_are_turned_back():
    dive, rng = dived("305C", 3.0), np.random.default_rng(4)
    view = np.array([0.6, 0.8, 0.0])
    motion, _ = noisy(dive, rng, 0.02, 0.0)
    off, entry = ends(dive)
    wrong = np.zeros(len(motion), bool)
    wrong[off + 12 : off + 20] = True
    root = motion.joints_world_m[:, :1]
    motion.joints_world_m[wrong] = (root + mirrored(motion.joints_world_m - root, view))[wrong][:, list(MIRROR)]
    found = repaired(motion, view)
    assert (found.mirrored == wrong)[off:entry].all()
    assert np.abs(found.motion.joints_world_m - dive.joints_world_m)[off:entry].max() < 0.15


def test_what_is_right_stays():
    dive, rng = dived("5253B", 3.0), np.random.default_rng(5)
    motion, _ = noisy(dive, rng, swapped=0.0)
    off, entry = ends(dive)
    found = repaired(motion, view_of(rng))
    assert not (found.swapped | found.mirrored)[off - 10 : entry].any()


def test_gaps_and_bodies_too_short():
    dive = dived("107C", 3.0)
    motion, swap = noisy(dive, np.random.default_rng(6))
    off, entry = ends(dive)
    motion.joints_world_m[off + 20 : off + 30] = np.nan
    found = repaired(motion).swapped
    known = np.isfinite(motion.joints_world_m).all((1, 2))
    assert (found == swap)[known][off - 10 : entry - 10].all()
    two = Motion(motion.t_s[:2], motion.joints_world_m[:2], motion.joints_sd_m[:2])
    assert not repaired(two).swapped.any()
    nothing = Motion(motion.t_s, np.full_like(motion.joints_world_m, np.nan), motion.joints_sd_m)
    assert np.isnan(repaired(nothing).motion.joints_world_m).all()
