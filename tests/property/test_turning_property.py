"""Whatever a rigid body does in the air, its somersaults and twists are counted, and nothing depends on the axes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.motion import Motion
from flight.turning import turning
from tests.dives_noisy import rigid

DIVES = st.tuples(
    st.integers(1, 9),
    st.sampled_from([1, -1]),
    st.integers(-7, 7),
    st.floats(5, 20),
    st.sampled_from([25.0, 50.0, 75.0]),
)


@settings(max_examples=25, deadline=None)
@given(DIVES, st.integers(0, 10**6))
def test_counts_of_rigid_bodies(dive, seed):
    half, sense, twist, tilt_deg, rate_hz = dive
    rng = np.random.default_rng(seed)
    found = turning(*rigid(sense * half, twist, tilt_deg, rate_hz, 1.6, 0.03, rng))
    first = next(iter(found.counts))
    assert (first[0], first[2]) == (sense * half, abs(twist))
    assert abs(sum(found.counts.values()) - 1) < 1e-3


@settings(max_examples=10, deadline=None)
@given(DIVES, st.floats(0, 6.28), st.tuples(*[st.floats(-50, 50)] * 3))
def test_turning_follows_the_direction_outward(dive, azimuth, place):
    half, sense, twist, tilt_deg, rate_hz = dive
    motion, off, entry = rigid(sense * half, twist, tilt_deg, rate_hz)
    cosine, sine = np.cos(azimuth), np.sin(azimuth)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    moved = Motion(motion.t_s, motion.joints_world_m @ turn.T + place, motion.joints_sd_m)
    here, there = turning(motion, off, entry), turning(moved, off, entry, turn[:, 0])
    assert next(iter(here.counts)) == next(iter(there.counts))
    assert abs(here.somersault.value - there.somersault.value) < 1e-6
    assert abs(here.twist.value - there.twist.value) < 1e-6
