"""How fast somebody goes up or down is known from a few looks, and arms that go up are no jump."""

import numpy as np
import pytest

from pipeline.haste import Haste

METRE_PX = 40.0
PULL = (0.0, 9.81 * METRE_PX)


def looked(top, bottom, looks=12, every_s=0.02, noise_px=0.0, seed=1):
    """After looks at somebody whose head and feet (m, downwards) are where two functions of time say."""
    haste, rng = Haste(), np.random.default_rng(seed)
    for look in range(looks):
        t_s = look * every_s
        edges = METRE_PX * np.array([top(t_s), bottom(t_s)]) + rng.normal(0, noise_px, 2)
        haste.saw(t_s, (100.0, float(edges[0]), 120.0, float(edges[1])), PULL)
    return haste


def still(t_s):
    return 0.0


def feet(t_s):
    return 1.7


@pytest.mark.parametrize(("speed_m_s", "way"), [(4.0, 1), (-2.5, -1), (0.3, 0)])
def test_who_jumps_or_falls_is_told_by_the_way_they_go(speed_m_s, way) -> None:
    haste = looked(lambda t: speed_m_s * t, lambda t: 1.7 + speed_m_s * t, noise_px=1.0)
    assert haste.speed_m_s(METRE_PX) == pytest.approx(speed_m_s, abs=0.4) or way == 0
    assert haste.way(METRE_PX) == way


def test_arms_that_go_up_and_legs_that_are_drawn_in_are_no_jump() -> None:
    assert looked(lambda t: -5 * t, feet).way(METRE_PX) == 0
    assert looked(still, lambda t: 1.7 - 4 * t).way(METRE_PX) == 0


def test_one_end_that_goes_far_is_no_jump_of_nobody_standing_either() -> None:
    walkers = [looked(still, feet, noise_px=3.0, seed=seed).way(METRE_PX) for seed in range(40)]
    assert sum(map(abs, walkers)) == 0


def test_nothing_is_known_of_two_looks_nor_of_two_at_one_picture() -> None:
    assert looked(lambda t: 8 * t, lambda t: 1.7 + 8 * t, looks=2).way(METRE_PX) == 0
    haste = Haste()
    for _ in range(5):
        haste.saw(0.1, (0.0, 0.0, 20.0, 60.0), PULL)
    assert haste.speed_m_s(METRE_PX) == 0 and not haste.stands(METRE_PX)


def test_from_straight_above_nobody_goes_up_or_down() -> None:
    haste = Haste()
    haste.saw(0.0, (0.0, 0.0, 20.0, 60.0), (0.0, 0.0))
    assert haste.speed_m_s(METRE_PX) == 0


def test_who_stands_is_told_from_who_is_at_the_top_of_a_leap() -> None:
    def leap(t_s):
        return 9.81 / 2 * (t_s - 0.35) ** 2

    assert looked(still, feet, looks=36, noise_px=1.0).stands(METRE_PX)
    assert not looked(leap, lambda t: 1.7 + leap(t), looks=36, noise_px=1.0).stands(METRE_PX)


def test_who_was_found_is_not_who_fell_when_they_stand() -> None:
    assert looked(still, feet, looks=6, every_s=0.04).differs(7.0, METRE_PX)
    assert not looked(lambda t: 6 * t, lambda t: 1.7 + 6 * t, looks=6, every_s=0.04).differs(7.0, METRE_PX)
