"""Whatever is measured, at whatever times: probabilities, covariances, and no place, scale or direction preferred."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.box import BoxFilter
from flight.modes import DIVE, GROUND

steps = st.lists(
    st.tuples(st.floats(0.004, 0.2), st.floats(-40, 40), st.floats(-40, 40), st.floats(0.5, 1.5), st.booleans()),
    min_size=1,
    max_size=40,
)


def ran(taken, modes=DIVE, scale=1.0, shift=(0.0, 0.0), mirrored=False):
    sign = -1.0 if mirrored else 1.0
    u, v = 300.0, 200.0

    def box(height):
        half_w, half_h = 15 * scale, 60 * height * scale
        a, b = sign * u * scale + shift[0], v * scale + shift[1]
        return (a - half_w, b - half_h, a + half_w, b + half_h)

    tracker = BoxFilter(box(1.0), modes)
    for dt, du, dv, height, seen in taken:
        u, v = u + du, v + dv
        tracker.predict(dt)
        if seen:
            tracker.update(box(height))
    return tracker


def told(tracker):
    left, top, right, bottom = tracker.box_img_px
    return np.array([left + right, top + bottom, right - left, bottom - top]) / 2


@settings(max_examples=60, deadline=None)
@given(steps)
def test_probabilities_sum_to_one_and_covariances_stay_covariances(taken) -> None:
    tracker = ran(taken)
    probabilities = [tracker.probability(mode) for mode in DIVE]
    assert abs(sum(probabilities) - 1) < 1e-9 and min(probabilities) >= 0
    for covariance in tracker._imm._covariance:
        np.testing.assert_allclose(covariance, covariance.T, rtol=1e-6, atol=1e-6 * np.abs(covariance).max())
        assert np.linalg.eigvalsh(covariance).min() > -1e-6 * np.abs(covariance).max()
    assert tracker.sd_px > 0 and np.isfinite(told(tracker)).all()


@settings(max_examples=40, deadline=None)
@given(steps, st.floats(0.1, 20), st.sampled_from([DIVE, GROUND]))
def test_near_and_far_subjects_are_followed_alike(taken, scale, modes) -> None:
    near, far = ran(taken, modes, scale), ran(taken, modes)
    np.testing.assert_allclose(told(near), scale * told(far), rtol=1e-6, atol=1e-6 * scale)
    assert abs(near.probability("flight") - far.probability("flight")) < 1e-6


@settings(max_examples=40, deadline=None)
@given(steps, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_no_part_of_the_picture_and_no_side_is_preferred(taken, across, down) -> None:
    usual, moved, mirrored = ran(taken), ran(taken, shift=(across, down)), ran(taken, mirrored=True)
    np.testing.assert_allclose(told(moved)[:2] - (across, down), told(usual)[:2], atol=1e-6)
    np.testing.assert_allclose(told(mirrored) * (-1, 1, 1, 1), told(usual), atol=1e-6)
