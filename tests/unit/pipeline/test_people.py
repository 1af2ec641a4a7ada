"""Everybody else in the picture is looked at in turn, and who falls is told from who walks."""

import numpy as np

from flight.modes import DIVE, GROUND
from flight.pull import Pull
from pipeline.people import GONE_S, MOST, People

METRE_PX = 40.0
STEP_S = 0.04


def standing(u, v):
    return (u - 0.3 * METRE_PX, v - METRE_PX, u + 0.3 * METRE_PX, v + METRE_PX)


def walking(t):
    return standing(100 + 1.5 * METRE_PX * t, 300 + 2 * np.sin(8 * t))


def falling(t):
    return standing(400 + METRE_PX * t, 100 + METRE_PX * (9.81 * t * t / 2 - 2.7 * t))


def watched(people, ways, seconds, start_s=0.0, noise_px=1.0):
    """Who was looked at, by the number of their way, and who was caught falling and when."""
    looks, caught, rng = [], [], np.random.default_rng(3)
    for step in range(round(seconds / STEP_S)):
        t_s = start_s + step * STEP_S
        boxes = [way(t_s) for way in ways]
        people.saw(boxes, t_s)
        person = people.due(t_s)
        if person is None:
            continue
        middle = [(box[0] + box[2]) / 2 for box in boxes]
        place = (person.box_img_px[0] + person.box_img_px[2]) / 2
        who = int(np.argmin(np.abs(np.array(middle) - place)))
        box = tuple((np.array(boxes[who]) + rng.normal(0, noise_px, 4)).tolist())
        looks.append(who)
        if people.looked(person, box) is not None:
            caught.append((who, t_s))
    return looks, caught


def test_who_falls_is_caught_soon_and_who_walks_never() -> None:
    looks, caught = watched(People(DIVE, Pull()), (walking, falling), 1.2)
    assert caught[0][0] == 1 and caught[0][1] < 0.7
    assert all(who == 1 for who, _ in caught)
    assert {0, 1} <= set(looks)


def test_who_is_caught_is_in_flight_at_the_speed_of_a_fall() -> None:
    people = People(DIVE, Pull())
    for step in range(12):
        t_s = 0.5 + step * STEP_S
        people.saw([falling(t_s)], t_s)
        person = people.due(t_s)
        found = None if person is None else people.looked(person, falling(t_s))
        if found is not None:
            assert found.probability("flight") > 0.6 and found.falling_m_s > 1.5
            return
    raise AssertionError("not caught")


def test_where_nobody_can_fly_nobody_is_looked_at() -> None:
    people = People(GROUND, Pull())
    assert watched(people, (walking, falling), 1.0) == ([], [])
    assert not people.urgent


def test_who_is_followed_is_not_somebody_else() -> None:
    people = People(DIVE, Pull())
    people.saw([walking(0.0)], 0.0, here=walking(0.0))
    assert people.due(0.0) is None


def test_a_place_where_nobody_was_found_waits_and_is_forgotten() -> None:
    people = People(DIVE, Pull())
    people.saw([walking(0.0)], 0.0)
    person = people.due(0.0)
    assert person is not None and people.looked(person, None) is None
    assert people.due(0.02) is None
    people.saw([], GONE_S + 0.1)
    assert people.due(GONE_S + 0.1) is None


def test_a_box_is_of_who_is_known_there_rather_than_of_the_diver() -> None:
    people = People(DIVE, Pull())
    watched(people, (walking,), 1.0)
    here = falling(1.0)
    assert people.is_known(walking(1.0), here, 1.0)
    assert not people.is_known(here, here, 1.0)


def test_so_many_are_known_at_most() -> None:
    people = People(DIVE, Pull())
    people.saw([standing(100 * k, 100) for k in range(3 * MOST)], 0.0)
    assert len(people._known) == MOST
