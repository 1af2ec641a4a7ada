"""The box filter: what it follows, what it refuses, and how fast it is."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.kalman import BoxFilter, KalmanSettings


def box(u, v, width=60.0, height=120.0):
    return (u - width / 2, v - height / 2, u + width / 2, v + height / 2)


def centre(given_box):
    left, top, right, bottom = given_box
    return np.array([(left + right) / 2, (top + bottom) / 2])


def followed(path, dt, acceleration, noise=None):
    """Errors of the prediction, just before each measured box is seen."""
    tracker = BoxFilter(box(*path[0]))
    errors, taken = [], 0
    for step, place in enumerate(path[1:], start=1):
        tracker.predict(dt, acceleration)
        errors.append(centre(tracker.box_img_px) - place)
        taken += tracker.update(box(*(place if noise is None else place + noise[step])))
    assert taken >= (0.95 if noise is not None else 1) * len(errors)
    return np.array(errors), tracker


def ballistic(start, velocity, gravity, dt, seconds):
    t = np.arange(0, seconds, dt)[:, None]
    return np.asarray(start) + t * velocity + t**2 / 2 * [0.0, gravity]


flights = {
    "velocity": st.tuples(st.floats(-150, 150), st.floats(-400, 100)),
    "gravity": st.floats(500, 1500),
    "rate": st.sampled_from([25, 30, 50, 100]),
}


@given(**flights)
def test_a_flight_with_its_known_acceleration_is_followed_without_bias(velocity, gravity, rate):
    path = ballistic((500, 300), velocity, gravity, 1 / rate, 2.0)
    errors, tracker = followed(path, 1 / rate, (0.0, gravity))
    assert np.abs(errors[-3:]).max() < 0.2
    np.testing.assert_allclose(tracker.velocity_px_s[1], velocity[1] + gravity * (len(path) - 1) / rate, rtol=0.01)


@given(**flights)
def test_without_it_the_filter_lags_behind_the_fall(velocity, gravity, rate):
    path = ballistic((500, 300), velocity, gravity, 1 / rate, 2.0)
    with_input, _ = followed(path, 1 / rate, (0.0, gravity))
    without, _ = followed(path, 1 / rate, (0.0, 0.0))
    assert without[-1, 1] < -0.1
    assert abs(without[-1, 1]) > 5 * abs(with_input[-1, 1])


def test_noise_averages_out_to_no_bias():
    rng, dt = np.random.default_rng(3), 1 / 50
    path = ballistic((500, 300), (60, -200), 980, dt, 1.6)
    errors = []
    for _ in range(200):
        errors.append(followed(path, dt, (0, 980), rng.normal(0, 4, path.shape))[0][20:])
    mean, sd = np.mean(errors, axis=(0, 1)), np.std(errors, axis=(0, 1))
    assert np.abs(mean).max() < 0.5
    assert sd.max() < 5.0


def test_a_box_beyond_the_gate_changes_nothing():
    path = ballistic((500, 300), (0, 0), 0, 0.02, 1.0)
    _, tracker = followed(path, 0.02, (0, 0))
    tracker.predict(0.02)
    before = (tracker.box_img_px, tracker.velocity_px_s, tracker.sd_px)
    assert tracker.distance2(box(800, 300)) > 9.21
    assert not tracker.update(box(800, 300))
    assert (tracker.box_img_px, tracker.velocity_px_s, tracker.sd_px) == before
    assert tracker.update(box(502, 301))


def test_coasting_follows_the_parabola_and_grows_unsure():
    dt, gravity = 0.02, 980
    path = ballistic((500, 300), (50, -300), gravity, dt, 1.4)
    _, tracker = followed(path[:50], dt, (0, gravity))
    sure = tracker.sd_px
    for _ in path[50:]:
        tracker.predict(dt, (0, gravity))
    np.testing.assert_allclose(centre(tracker.box_img_px), path[-1], atol=3.0)
    assert tracker.sd_px > 3 * sure


@pytest.mark.parametrize("dt", [0.02, 0.04])
def test_the_size_changes_no_faster_than_the_limit_whatever_the_frame_rate(dt):
    tracker, slow = BoxFilter(box(500, 300)), KalmanSettings(size_rate=2.0)
    limited = BoxFilter(box(500, 300), slow)
    heights = [120.0]
    for _ in range(40):
        limited.predict(dt)
        assert limited.update(box(500, 300, 60, 60))
        heights.append(limited.box_img_px[3] - limited.box_img_px[1])
    rates = np.diff(np.log(heights)) / dt
    assert rates.min() == pytest.approx(-2.0)
    assert heights[-1] == pytest.approx(60, rel=0.02)
    # A tuck halves the height in a tenth of a second, and the usual filter goes along.
    for _ in range(round(0.12 / dt)):
        tracker.predict(dt)
        tracker.update(box(500, 300, 60, 60))
    assert tracker.box_img_px[3] - tracker.box_img_px[1] < 70


def test_noise_in_proportion_to_the_subject():
    near, far = BoxFilter(box(500, 300)), BoxFilter(box(50, 30, 6, 12))
    for tracker, scale in ((near, 1.0), (far, 0.1)):
        tracker.predict(0.02)
        assert tracker.update(box(503 * scale, 301 * scale, 60 * scale, 120 * scale))
    np.testing.assert_allclose(np.multiply(far.box_img_px, 10), near.box_img_px, rtol=1e-9)


@pytest.mark.parametrize("wrong", [(0, 0, 0, 10), (0, 10, 5, 10), (5, 0, 3, 10), (0, 0, float("nan"), 4)])
def test_a_box_without_size_is_refused(wrong):
    with pytest.raises(ValueError, match="left < right and top < bottom"):
        BoxFilter(wrong)


def test_a_step_takes_less_than_a_twentieth_of_a_millisecond():
    tracker = BoxFilter(box(500, 300))
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(20):
            tracker.predict(0.02, (0.0, 10.0))
            tracker.update(tracker.box_img_px)
        best = min(best, (time.perf_counter() - start) / 20)
    assert best < 0.05e-3


def test_a_box_that_folds_may_move_its_centre_further():
    """Of an athlete who tucks the feet come up: the box's lower edge rises, and with it its centre."""
    path = ballistic((500, 300), (0, 0), 0, 0.02, 1.0)
    _, tracker = followed(path, 0.02, (0, 0))
    tracker.predict(0.02)
    height, far = tracker.box_img_px[3] - tracker.box_img_px[1], 0.25
    assert tracker.distance2(box(500, 300 - far * height)) > 9.21
    assert tracker.distance2(box(500, 300 - far * height, height=(1 - 2 * far) * height)) < 9.21
