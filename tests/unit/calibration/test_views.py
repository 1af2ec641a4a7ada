"""The choice of views, and what is said to who holds the board."""

import numpy as np
import pytest

from calibration.board import Pattern
from calibration.camera import Camera
from calibration.views import MAX_VIEWS, attitude, chosen, covered, to_film, unusable
from tests.unit.calibration.board_views import pose, view_of, views_of

PATTERN = Pattern()
SIZE = (1920, 1080)
TELE = Camera(*SIZE, 6000.0, (959.5, 539.5))
WIDE = Camera(*SIZE, 1300.0, (959.5, 539.5), (-0.1, 0.02), model="opencv")


def seen(place=(0.5, 0.5), part=0.4, tilt_deg=(0.0, 0.0), camera=WIDE, rise_px=3.0, noise_px=0.1, seed=0):
    rng = np.random.default_rng(seed)
    return view_of(pose(camera, PATTERN, place, part, tilt_deg), camera, PATTERN, rng, noise_px, rise_px)


@pytest.mark.parametrize("camera", [TELE, WIDE], ids=["tele", "wide"])
@pytest.mark.parametrize(("tilt_deg", "axis"), [((30, 0), 0), ((-30, 0), 0), ((0, 30), 1), ((0, -30), 1)])
def test_tilt_is_seen_through_any_lens(camera, tilt_deg, axis):
    tilt = attitude(seen(tilt_deg=tilt_deg, camera=camera), PATTERN, SIZE).tilt
    assert abs(tilt[axis]) == pytest.approx(0.5, abs=0.12)
    assert abs(tilt[1 - axis]) < 0.15


def test_the_sign_of_a_tilt_tells_which_side_is_farther():
    """Turned about the downward axis by a positive angle, the right side comes nearer; the left one is farther."""
    right_nearer = attitude(seen(tilt_deg=(30, 0)), PATTERN, SIZE).tilt[0]
    left_nearer = attitude(seen(tilt_deg=(-30, 0)), PATTERN, SIZE).tilt[0]
    assert right_nearer < -0.3
    assert left_nearer > 0.3


def test_place_and_size_are_parts_of_the_picture():
    one = attitude(seen(place=(0.3, 0.6), part=0.3), PATTERN, SIZE)
    np.testing.assert_allclose(one.place, (0.3, 0.6), atol=0.02)
    assert 0.15 < one.size < 0.3


def test_of_equal_views_one_is_chosen_and_it_is_the_sharpest():
    same = [seen(rise_px=rise, seed=index) for index, rise in enumerate((4.0, 2.5, 3.0, 5.0))]
    other = seen(place=(0.2, 0.3), tilt_deg=(30, 0))
    assert chosen([*same, other], PATTERN, SIZE) == [same[1], other]


def test_blurred_views_are_not_chosen():
    blurred = [seen(place=(0.2 + 0.1 * step, 0.5), rise_px=9.0) for step in range(5)]
    assert chosen(blurred, PATTERN, SIZE) == []
    sharp = seen()
    assert chosen([*blurred, sharp], PATTERN, SIZE) == [sharp]


def test_the_choice_is_limited_and_keeps_what_differs_most():
    many = views_of(WIDE, PATTERN, 90)
    taken = chosen(many, PATTERN, SIZE)
    assert len(taken) <= MAX_VIEWS
    assert to_film(taken, PATTERN, SIZE) == []
    order = [int(view.label) for view in taken]
    assert order == sorted(order)


def test_good_views_lack_nothing():
    views = views_of(WIDE, PATTERN)
    assert to_film(views, PATTERN, SIZE) == []
    assert unusable(views, PATTERN, SIZE) == []


def test_a_board_never_tilted_is_to_be_tilted():
    flat = [seen(place=(0.2 + 0.3 * u, 0.2 + 0.3 * v), camera=TELE) for u in range(3) for v in range(3)]
    advice = unusable(flat, PATTERN, SIZE)
    assert advice[:2] == ["tilt the board by 30 degrees left and right", "tilt the board by 30 degrees up and down"]


def test_a_corner_never_covered_is_named():
    views = [view for view in views_of(WIDE, PATTERN, 30) if covered([view], SIZE)[0, 2] == 0]
    assert any("show it in the upper right corner of the picture" in advice for advice in to_film(views, PATTERN, SIZE))


def test_a_board_always_small_is_to_come_nearer():
    small = [
        seen(place=(0.2 + 0.3 * u, 0.2 + 0.3 * v), part=0.15, tilt_deg=(30, 25)) for u in range(3) for v in range(3)
    ]
    assert any("nearer" in advice for advice in to_film(small, PATTERN, SIZE))


def test_nothing_seen_lacks_everything():
    assert len(to_film([], PATTERN, SIZE)) == 5
    assert covered([], SIZE).sum() == 0
