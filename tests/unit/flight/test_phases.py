"""Stretches of free fall among heights, where a body leaves its parabola, and crossings of noise with it."""

import numpy as np
import pytest

from flight.fall import GRAVITY_M_S2
from flight.phases import LEAST_S, agreeing, departure, falling

RATE_HZ = 50.0


def path(up_m_s, flight_s, before_s=0.8, after_s=0.4, push_m_s2=14.0):
    """Times and heights of somebody who stands, pushes off, flies and is slowed at the end; and the two moments."""
    t = np.arange(0, before_s + flight_s + after_s, 1 / RATE_HZ)
    off, end = before_s, before_s + flight_s
    tau = np.maximum(off - t, 0)
    rising = np.where(tau < up_m_s / push_m_s2, -up_m_s * tau + push_m_s2 * tau**2 / 2, -(up_m_s**2) / push_m_s2 / 2)
    air = up_m_s * (t - off) - GRAVITY_M_S2 * (t - off) ** 2 / 2
    late = np.maximum(t - end, 0)
    return t, np.where(t < off, rising, air + np.where(late > 0, 18 * late**2, 0)), off, end


@pytest.mark.parametrize("flight_s", [0.5, 0.9, 1.4, 1.8])
@pytest.mark.parametrize("noise_m", [0.005, 0.03])
def test_the_flight_is_found_a_little_too_long(flight_s, noise_m):
    t, height, off, end = path(2.6, flight_s)
    rng = np.random.default_rng(1)
    found = falling(t, height + rng.normal(0, noise_m, len(t)), np.full(len(t), noise_m), scales=(1.0,))
    assert found is not None
    assert -0.15 <= t[found.first] - off <= 0.06
    assert -0.06 <= t[found.last] - end <= 0.15


@pytest.mark.parametrize("scale", [0.85, 1.0, 1.17])
def test_the_size_of_a_metre_is_told_from_the_bend(scale):
    t, height, _, _ = path(2.6, 1.4)
    rng = np.random.default_rng(2)
    found = falling(t, height / scale + rng.normal(0, 0.01, len(t)), np.full(len(t), 0.01))
    assert found is not None and found.scale == pytest.approx(scale, abs=0.09)


def test_standing_walking_and_a_slow_crouch_are_no_flight():
    t = np.arange(0, 3, 1 / RATE_HZ)
    rng = np.random.default_rng(3)
    noise, sd = rng.normal(0, 0.03, len(t)), np.full(len(t), 0.03)
    for height in (0 * t, 0.4 * t, -0.25 * (1 - np.cos(np.pi * np.clip(t, 0, 1.4) / 1.4))):
        assert falling(t, height + noise, sd) is None


def test_frames_that_are_not_known_are_passed_over():
    t, height, off, end = path(2.6, 1.4)
    gaps = height.copy()
    gaps[::3] = np.nan
    found = falling(t, gaps, np.full(len(t), 0.02), scales=(1.0,))
    assert found is not None
    assert abs(t[found.first] - off) < 0.2 and abs(t[found.last] - end) < 0.2
    assert falling(t, np.full(len(t), np.nan), np.full(len(t), 0.02)) is None


def test_a_fall_shorter_than_the_least_is_none():
    t, height, _, _ = path(1.0, 0.2)
    found = falling(t, height, np.full(len(t), 0.005), scales=(1.0,), least_s=LEAST_S)
    assert found is None or found.gain < 5 * RATE_HZ * 0.5


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("early_s", [0.04, 0.08, 0.12])
def test_the_departure_is_found_from_outside(before, early_s):
    """Within a frame, for the noise of a centre of gravity, wherever the stretch was thought to end."""
    t, height, off, end = path(4.0, 1.4)
    truth = off if before else end
    misses = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        parabola = 4.0 * (t - off) - GRAVITY_M_S2 * (t - off) ** 2 / 2
        above = height - parabola + rng.normal(0, 0.01, len(t))
        side = -1 if before else 1
        found = departure(t, above, np.full(len(t), 0.01), truth + side * early_s, before)
        assert found is not None
        misses.append(found.t_s - truth)
    assert abs(np.mean(misses)) < 0.025
    assert np.std(misses) < 0.025


def test_no_departure_is_told_of_too_few_frames():
    t = np.arange(4) / RATE_HZ
    assert departure(t, 0 * t, 0 * t + 0.01, 0.0, before=True) is None


def test_the_stretch_that_agrees_with_a_parabola():
    above = np.concatenate([np.linspace(1, 0.1, 20), np.zeros(40), np.linspace(0.1, 1, 20)])
    above[35] = 0.5  # one frame that errs does not end it
    above[40] = np.nan
    assert agreeing(above, np.full(len(above), 0.02)) == (20, 59)
    assert agreeing(np.full(10, 9.0), np.full(10, 0.01)) is None
