"""Falls seen by one camera: depth without bias in all cases of a pool, deviations as announced, gravity's direction
from the fall alone; and what the middle of a swinging box does to it.

The cases: focal length 1500 px, 15 m away, 50 pictures a second, noise of 3 px, a diver who travels at 1.2 m/s 20
degrees off the picture's plane, a camera that looks down by 5 degrees, 1.76 s of flight, unless said otherwise.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from flight.fall import GRAVITY_M_S2, Seen, fitted_fall, fitted_vertical

TRIALS = 40


@dataclass(frozen=True)
class Case:
    duration_s: float = 1.76
    focal_px: float = 1500.0
    distance_m: float = 15.0
    rate_hz: float = 50.0
    noise_px: float = 3.0
    pitch_deg: float = 5.0
    speed_m_s: float = 1.2
    yaw_deg: float = 20.0
    swing_px: float = 0.0
    """Of the middle of a box about the centre of gravity, at 2.5 Hz."""

    @property
    def down(self):
        pitch = np.radians(self.pitch_deg)
        return np.array([0.0, np.cos(pitch), np.sin(pitch)])

    @property
    def path(self):
        """Times (N,), start, velocity and places (N, 3) in camera axes."""
        t = np.arange(0, self.duration_s, 1 / self.rate_hz)
        pitch, yaw = np.radians(self.pitch_deg), np.radians(self.yaw_deg)
        ahead, right = np.array([0.0, -np.sin(pitch), np.cos(pitch)]), np.array([1.0, 0.0, 0.0])
        start = self.distance_m * ahead - 3.0 * self.down - 0.5 * right
        up_m_s = 0.15 * GRAVITY_M_S2 * self.duration_s
        velocity = self.speed_m_s * (np.cos(yaw) * right + np.sin(yaw) * ahead) - up_m_s * self.down
        return t, start, velocity, start + t[:, None] * velocity + t[:, None] ** 2 / 2 * GRAVITY_M_S2 * self.down

    def seen(self, rng) -> Seen:
        t, _, _, places = self.path
        flat = places[:, :2] / places[:, 2:] + rng.normal(0, self.noise_px / self.focal_px, (len(t), 2))
        flat[:, 1] += self.swing_px / self.focal_px * np.sin(2 * np.pi * 2.5 * t + rng.uniform(0, 2 * np.pi))
        return Seen(t, flat, np.full(len(t), self.noise_px / self.focal_px))


BASE = Case()
CASES = {
    "base": BASE,
    "3 m board": replace(BASE, duration_s=1.36),
    "120 Hz": replace(BASE, rate_hz=120.0),
    "30 m away": replace(BASE, distance_m=30.0, focal_px=3000.0),
    "camera looks down by 20 degrees": replace(BASE, pitch_deg=20.0, distance_m=12.0),
    "diver moves away": replace(BASE, speed_m_s=2.0, yaw_deg=90.0),
}


def known(case, trials=TRIALS, seed=0):
    """Falls with gravity's direction known."""
    rng = np.random.default_rng(seed)
    return [fitted_fall(case.seen(rng), case.down) for _ in range(trials)]


def unknown(case, trials=TRIALS, seed=0, dives=1):
    """Errors of the direction, degrees, and of the depth, relative."""
    rng = np.random.default_rng(seed)
    start = case.path[1]
    found = [fitted_vertical([case.seen(rng) for _ in range(dives)]) for _ in range(trials)]
    angles = [np.degrees(np.arccos(min(1.0, one.down_cam @ case.down))) for one in found]
    return np.array(angles), np.array([one.falls[0].start_cam_m[2] / start[2] - 1 for one in found])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_depth_has_no_bias_where_down_is_known(case) -> None:
    depth = np.array([fall.start_cam_m[2] for fall in known(case)]) / case.path[1][2] - 1
    assert abs(depth.mean()) < 0.01
    assert depth.std() < 0.03


@pytest.mark.parametrize("case", [CASES["base"], CASES["3 m board"], CASES["diver moves away"]])
def test_the_announced_deviation_is_the_true_one(case) -> None:
    falls = known(case, trials=150, seed=3)
    start, velocity = case.path[1:3]
    off = np.array([np.concatenate([fall.start_cam_m - start, fall.velocity_cam_m_s - velocity]) for fall in falls])
    scaled = [one @ np.linalg.solve(fall.covariance, one) for one, fall in zip(off, falls, strict=True)]
    assert np.mean(scaled) / 6 == pytest.approx(1.0, abs=0.25)
    assert np.mean([fall.chi2 for fall in falls]) == pytest.approx(1.0, abs=0.15)


def test_heights_of_a_fall_are_known_to_centimetres() -> None:
    t, _, _, places = BASE.path
    off = np.array([(fall.at(t) - places) @ BASE.down for fall in known(BASE)])
    assert np.sqrt((off**2).mean()) < 0.08


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_down_follows_from_one_fall_within_degrees(case) -> None:
    angles, depth = unknown(case)
    assert np.median(angles) < 5.0
    assert abs(np.median(depth)) < 0.06


def test_five_dives_are_better_than_one() -> None:
    one, five = (unknown(BASE, 25, seed=8, dives=dives)[0] for dives in (1, 5))
    assert np.median(five) < 0.7 * np.median(one)
    assert np.median(five) < 1.5


def test_the_middle_of_a_swinging_box_draws_down_away() -> None:
    """The negative control: 15 px at 2.5 Hz, as the box of a turning body does about its centre of gravity."""
    angles, depth = unknown(replace(BASE, swing_px=15.0))
    right_angles, right_depth = unknown(BASE)
    assert 5.0 < np.median(angles) < 20.0
    assert np.median(angles) > 3 * np.median(right_angles)
    assert np.median(np.abs(depth)) > 2 * np.median(np.abs(right_depth))
    assert np.median(np.abs(depth)) > 0.05


def test_too_little_is_no_fall() -> None:
    seen = BASE.seen(np.random.default_rng(0))
    few = Seen(seen.t_s[:4], seen.flat[:4], seen.sd[:4])
    assert fitted_fall(few, BASE.down) is None
    assert fitted_vertical([few]) is None
    assert fitted_vertical([]) is None
    hidden = Seen(seen.t_s, np.full_like(seen.flat, np.nan), seen.sd)
    assert fitted_fall(hidden, BASE.down) is None


def test_a_rising_thing_is_no_fall() -> None:
    seen = BASE.seen(np.random.default_rng(0))
    upside_down = Seen(seen.t_s, -seen.flat, seen.sd)
    assert fitted_fall(upside_down, BASE.down) is None
