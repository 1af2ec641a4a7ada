"""The box filter: standing, falling and being in water told apart, falls followed through gaps, what it refuses."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.camera import Camera
from calibration.venue import Board, Calibration
from flight.box import TALLEST_M, BoxFilter, BoxSettings
from flight.modes import DIVE, GROUND
from flight.pull import GRAVITY_M_S2, Pull

HEIGHT_PX = 126.0
METRE_PX = HEIGHT_PX / TALLEST_M
FALL_PX_S2 = GRAVITY_M_S2 * METRE_PX


def box(u, v, width=60.0, height=HEIGHT_PX):
    return (u - width / 2, v - height / 2, u + width / 2, v + height / 2)


def centre(given_box):
    left, top, right, bottom = given_box
    return np.array([(left + right) / 2, (top + bottom) / 2])


def dived(rate, up_m_s=2.6, out_m_s=1.2, stand_s=1.0, flight_s=1.5):
    """Middles (F, 2) of a box that stands, flies and comes to rest; frames of take-off and entry."""
    t = np.arange(0, stand_s + flight_s + 0.6, 1 / rate)
    air = np.clip(t - stand_s, 0, flight_s)
    wet = np.maximum(t - stand_s - flight_s, 0)
    speed = -up_m_s + GRAVITY_M_S2 * flight_s
    down = -up_m_s * air + GRAVITY_M_S2 * air**2 / 2 + speed * 0.25 * (1 - np.exp(-wet / 0.25))
    path = np.stack([300 + out_m_s * METRE_PX * air, 200 + METRE_PX * down], -1)
    return path, round(stand_s * rate), round((stand_s + flight_s) * rate)


def followed(path, rate, modes=DIVE, noise_px=0.0, hidden=range(0), seed=0):
    """The filter after a path, errors of its predictions (F, 2), and the probability of each mode in every frame."""
    rng = np.random.default_rng(seed)
    subject = BoxFilter(box(*path[0]), modes)
    errors, likely = [np.zeros(2)], [{mode: subject.probability(mode) for mode in modes}]
    for k, place in enumerate(path[1:], start=1):
        subject.predict(1 / rate)
        errors.append(centre(subject.box_img_px) - place)
        if k not in hidden:
            subject.update(box(*(place + rng.normal(0, noise_px, 2))))
        likely.append({mode: subject.probability(mode) for mode in modes})
    return subject, np.array(errors), likely


@pytest.mark.parametrize("rate", [25, 30, 50, 100])
def test_stand_flight_and_water_are_told_apart(rate):
    path, off, entry = dived(rate)
    _, _, likely = followed(path, rate, noise_px=2.0)
    assert likely[off - 1]["board"] == max(likely[off - 1].values())
    middle = (off + entry) // 2
    assert likely[middle]["flight"] > 0.7
    assert likely[-1]["flight"] < 0.5
    for row in likely:
        assert sum(row.values()) == pytest.approx(1)


@pytest.mark.parametrize("rate", [30, 50])
def test_a_fall_goes_on_behind_an_occlusion_as_gravity_makes_it(rate):
    path, off, entry = dived(rate)
    hidden = range((off + entry) // 2, (off + entry) // 2 + round(0.3 * rate))
    _, errors, _ = followed(path, rate, noise_px=2.0, hidden=hidden)
    _, ground, _ = followed(path, rate, GROUND, noise_px=2.0, hidden=hidden)
    last = hidden[-1]
    side = HEIGHT_PX
    assert np.linalg.norm(errors[last]) < 0.5 * side
    assert np.linalg.norm(errors[last]) < 0.6 * np.linalg.norm(ground[last]), "control: without gravity it is lost"


def test_the_metre_is_that_of_the_standing_body_not_of_the_tucked_one():
    path, off, entry = dived(50)
    subject = BoxFilter(box(*path[0]))
    for k, place in enumerate(path[1:entry], start=1):
        subject.predict(0.02)
        subject.update(box(*place, 60, HEIGHT_PX if k < off + 5 else HEIGHT_PX / 2))
    assert subject.box_img_px[3] - subject.box_img_px[1] < 0.6 * HEIGHT_PX
    assert subject.metre_px == pytest.approx(METRE_PX, rel=0.1)


def test_people_on_the_ground_never_fly():
    path, _, _ = dived(50)
    _, _, likely = followed(path, 50, GROUND)
    assert all(row == {"ground": pytest.approx(1)} for row in likely)


def test_noise_averages_out_to_no_bias_in_flight():
    path, off, entry = dived(50)
    errors = np.array([followed(path, 50, noise_px=3.0, seed=seed)[1][off + 25 : entry] for seed in range(60)])
    assert np.abs(errors.mean(axis=(0, 1))).max() < 0.04 * HEIGHT_PX
    assert errors.std(axis=(0, 1)).max() < 0.08 * HEIGHT_PX


def test_a_box_beyond_the_gate_changes_nothing():
    path = np.tile([[500.0, 300.0]], (50, 1))
    subject, _, _ = followed(path, 50)
    subject.predict(0.02)
    before = (subject.box_img_px, subject.speed_px_s, subject.sd_px)
    assert subject.distance2(box(800, 300)) > 9.21
    assert not subject.update(box(800, 300))
    assert (subject.box_img_px, subject.speed_px_s, subject.sd_px) == before
    assert subject.update(box(502, 301))


@pytest.mark.parametrize("dt", [0.02, 0.04])
def test_the_size_changes_no_faster_than_the_limit_whatever_the_frame_rate(dt):
    limited = BoxFilter(box(500, 300), settings=BoxSettings(size_rate=2.0))
    heights = [HEIGHT_PX]
    for _ in range(40):
        limited.predict(dt)
        assert limited.update(box(500, 300, 60, 60))
        heights.append(limited.box_img_px[3] - limited.box_img_px[1])
    assert (np.diff(np.log(heights)) / dt).min() == pytest.approx(-2.0)
    # A tuck halves the height in a tenth of a second, and the usual filter goes along.
    usual = BoxFilter(box(500, 300))
    for _ in range(round(0.14 / dt)):
        usual.predict(dt)
        usual.update(box(500, 300, 60, 60))
    assert usual.box_img_px[3] - usual.box_img_px[1] < 75


@given(st.floats(0.1, 4.0), st.integers(0, 5))
def test_noise_in_proportion_to_the_subject(scale, steps):
    near, far = BoxFilter(box(500, 300)), BoxFilter(tuple(scale * edge for edge in box(500, 300)))
    for subject, size in ((near, 1.0), (far, scale)):
        for step in range(steps):
            subject.predict(0.02)
            subject.update(tuple(size * edge for edge in box(500 + step, 300 + 2 * step)))
    np.testing.assert_allclose(far.box_img_px, np.multiply(scale, near.box_img_px), rtol=1e-6)


@pytest.mark.parametrize("wrong", [(0, 0, 0, 10), (0, 10, 5, 10), (5, 0, 3, 10), (0, 0, float("nan"), 4)])
def test_a_box_without_size_is_refused(wrong):
    with pytest.raises(ValueError, match="left < right and top < bottom"):
        BoxFilter(wrong)


def test_gravity_in_the_picture_of_a_placed_camera_is_the_projected_one():
    """Against a point that really falls on the line of the dives, seen by the camera's own projection."""
    pitch = np.radians(12.0)
    ahead, right = np.array([0.0, np.cos(pitch), -np.sin(pitch)]), np.array([1.0, 0, 0])
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
    world_from_cam[:3, 3] = (0.9, -16.0, 3.0)
    camera = Camera(1920, 1080, 1500.0, (959.5, 539.5))
    placed = Calibration(camera, world_from_cam, board=Board("platform", 10.0, 2.0, 5.0))
    pull = Pull(camera, placed)

    def seen(z):
        return camera.project((np.array([0.9, 0.0, z]) - world_from_cam[:3, 3]) @ world_from_cam[:3, :3])

    here, step_s = seen(0.0), 1e-3
    up, down = (seen(sign * GRAVITY_M_S2 * step_s**2 / 2) for sign in (1, -1))
    expected = (down - up) / step_s**2
    metre = pull.metre_px(tuple(here))
    np.testing.assert_allclose(pull.pull_px_s2(tuple(here), metre), expected, rtol=0.06, atol=3.0)
    assert not pull.may_enter(tuple(seen(-2.0)))
    assert pull.may_enter(tuple(seen(-9.5)))
    assert Pull().metre_px((0.0, 0.0)) is None
    assert Pull().pull_px_s2((0.0, 0.0), 60.0) == (0.0, 60.0 * GRAVITY_M_S2)


def test_a_step_takes_no_more_than_some_tenths_of_a_millisecond():
    subject = BoxFilter(box(500, 300))
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(20):
            subject.predict(0.02)
            subject.update(subject.box_img_px)
        best = min(best, (time.perf_counter() - start) / 20)
    assert best < 0.6e-3


def test_a_box_that_folds_may_move_its_centre_further():
    """Of an athlete who tucks the feet come up: the box's lower edge rises, and with it its centre."""
    path = np.tile([[500.0, 300.0]], (50, 1))
    subject, _, _ = followed(path, 50)
    subject.predict(0.02)
    height, far = subject.box_img_px[3] - subject.box_img_px[1], 0.25
    assert subject.distance2(box(500, 300 - far * height)) > 9.21
    assert subject.distance2(box(500, 300 - far * height, height=(1 - 2 * far) * height)) < 9.21
