"""Gravity's direction from flights before a resting camera: from joints of several dives, or refused with a reason."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.errors import CalibrationError
from flight.centres import centres_of, flights_in
from flight.verticals import Plumb, plumbed
from training.evaluate.verticals import dives_of, gravity_error_deg, recorded


@pytest.fixture(scope="module")
def dives():
    return dives_of(range(5), 7.5)


@pytest.fixture(scope="module")
def seen(dives):
    return recorded(dives, 3)


def between_deg(one, other) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


def test_five_dives_tell_it_within_a_degree_and_a_half(seen) -> None:
    recordings, camera, down = seen
    plumb = plumbed(recordings, camera)
    assert between_deg(plumb.down_cam, down) < 1.5
    assert between_deg(plumb.down_cam, down) < 3 * np.degrees(plumb.sd_rad)
    assert len(plumb.flights) == 5 and plumb.left_out == ()


def test_flights_are_found_where_they_are(seen, dives) -> None:
    recordings, camera, down = seen
    for recording, dive in zip(recordings, dives, strict=True):
        ((first_s, last_s),) = flights_in(centres_of(recording, camera), down)
        assert first_s == pytest.approx(dive.events_s["take_off"], abs=0.1)
        assert last_s == pytest.approx(dive.events_s["entry"], abs=0.2)


def test_distances_are_those_of_the_bodies(seen) -> None:
    recordings, camera, _ = seen
    plumb = plumbed(recordings, camera)
    sizes = [np.nanmedian(centres_of(one, camera).depth_m) for one in recordings]
    for flight in plumb.flights:
        assert flight.fall.at(np.array([flight.first_s]))[0, 2] == pytest.approx(sizes[flight.recording], rel=0.08)


def test_one_dive_is_less_sure_and_says_how_many_more(seen) -> None:
    recordings, camera, down = seen
    one, five = plumbed(recordings[:1], camera), plumbed(recordings, camera)
    assert one.sd_rad > five.sd_rad
    assert between_deg(one.down_cam, down) < 3 * np.degrees(one.sd_rad)
    assert one.more_flights(one.sd_rad / 2) == 3
    assert one.more_flights(2 * one.sd_rad) == 0
    assert Plumb(down, 0.1, one.flights).more_flights(0.1) == 0


def test_the_box_in_place_of_the_centre_of_gravity_is_wrong() -> None:
    """The negative control, on the same flights."""
    seeds = range(2000, 2005)
    right, wrong = (gravity_error_deg(seeds, 3.0, point=point) for point in ("centre of gravity", "box"))
    assert right < 2.0
    assert wrong > 5 * right


def test_unseen_joints_are_refused(seen) -> None:
    recordings, camera, _ = seen
    legs = np.ones(17)
    legs[1:7] = 0.0
    hidden = [replace(one, confidence=one.confidence * legs) for one in recordings]
    with pytest.raises(CalibrationError, match="too few joints are seen in the flight"):
        plumbed(hidden, camera)


def test_an_unseen_wrist_does_no_harm(seen) -> None:
    recordings, camera, down = seen
    wrist = np.ones(17)
    wrist[13] = 0.0
    hidden = [replace(one, confidence=one.confidence * wrist) for one in recordings]
    assert between_deg(plumbed(hidden, camera).down_cam, down) < 2.0


def test_nobody_who_flies_is_refused(seen) -> None:
    recordings, camera, _ = seen
    standing = recordings[0]
    frames = np.zeros(len(standing.t_s), int)  # stands in the first pose for ever
    still = replace(
        standing,
        joints_root_m=standing.joints_root_m[frames],
        joints_img_px=standing.joints_img_px[frames],
        confidence=standing.confidence[frames],
    )
    with pytest.raises(CalibrationError, match="no flight was found in dive 0"):
        plumbed([still], camera)
