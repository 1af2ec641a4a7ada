"""What moves is found where it moves; a lamp, noise and a camera that pans are not taken for it."""

import numpy as np
import pytest

from engines.contracts import STN_PX
from pipeline.motion import APART_S, Motion

WIDTH, HEIGHT = 1920, 1080
RATE_HZ = 50.0


def scene(seed: int = 0) -> np.ndarray:
    """A thumbnail with much to see in it."""
    blocks = np.random.default_rng(seed).integers(40, 200, (16, 16, 3)).astype(np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)


def with_athlete(thumbnail: np.ndarray, left: int, top: int) -> np.ndarray:
    out = thumbnail.copy()
    out[top : top + 14, left : left + 5] = 255
    return out


def shown(pictures) -> Motion:
    motion = Motion()
    for number, picture in enumerate(pictures):
        motion.saw(picture, number / RATE_HZ)
    return motion


def test_an_athlete_who_walks_is_the_only_thing_that_moves() -> None:
    motion = shown([with_athlete(scene(), 20 + step, 50) for step in range(12)])
    (blob,) = motion.blobs(WIDTH, HEIGHT)
    left, top, right, bottom = blob
    assert left <= 31 * 15 and right >= 36 * 15 - 1  # where it is now
    assert left >= (20 + 11 - APART_S * RATE_HZ - 2) * 15 and right <= 38 * 15  # and where it just was
    assert (top, bottom) == pytest.approx((50 * 8.4375, 64 * 8.4375), abs=2 * 8.4375)
    assert motion.share(blob, WIDTH, HEIGHT) > 0.3
    assert motion.share((1200, 100, 1500, 900), WIDTH, HEIGHT) == 0


def test_the_larger_of_two_comes_first() -> None:
    pictures = []
    for step in range(12):
        picture = with_athlete(scene(), 20 + step, 50)
        picture[100:104, 80 - step : 84 - step] = 255
        pictures.append(picture)
    first, second = shown(pictures).blobs(WIDTH, HEIGHT)
    assert first[1] < 60 * 8.4375 < second[1]


def test_noise_a_lamp_and_stillness_are_no_motion() -> None:
    rng = np.random.default_rng(4)
    still = with_athlete(scene(), 40, 40).astype(float)
    noisy = [np.clip(still + rng.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(12)]
    assert shown(noisy).blobs(WIDTH, HEIGHT) == ()
    lamp = [np.clip(still * 0.6 + 6 * step, 0, 255).astype(np.uint8) for step in range(12)]
    assert shown(lamp).blobs(WIDTH, HEIGHT) == ()


@pytest.mark.parametrize("speed", [1, 4])
def test_while_the_camera_pans_nothing_is_known(speed: int) -> None:
    wide = np.concatenate([scene(1), scene(2)], 1)
    motion = shown([wide[:, speed * step : speed * step + STN_PX] for step in range(12)])
    assert not motion.camera_rests
    assert motion.blobs(WIDTH, HEIGHT) == ()
    assert motion.share((0, 0, 100, 100), WIDTH, HEIGHT) == 1


def test_the_first_picture_moves_nowhere_and_a_box_outside_has_no_motion() -> None:
    motion = shown([scene()])
    assert motion.blobs(WIDTH, HEIGHT) == () and motion.camera_rests
    assert motion.share((-500, -500, -400, -400), WIDTH, HEIGHT) == 0
    assert motion.share((WIDTH + 10, 0, WIDTH + 90, 90), WIDTH, HEIGHT) == 0
