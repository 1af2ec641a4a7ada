"""Poses in the world: by the body's size, by the fall, and by what the fall teaches of the size."""

import numpy as np
import pytest

from flight.falls import SIZE_SD
from tests.falling import SURE, beside, dived, observed, seen


def errors(dive, standpoint, placing, poses, pixels, rows, scale=1.0):
    """Distances (N,) of placed pelvises from the true ones, and signed errors of their heights."""
    away, heights = [], []
    for k in rows:
        root = placing.root(poses[k], pixels[k], SURE)
        placed = placing.place(float(dive.t_s[k]), poses[k], root)
        assert placed is not None
        miss = placed.joints_world_m[0] - dive.joints_world_m[k, 0]
        away.append(np.linalg.norm(miss))
        heights.append(miss[2])
    return np.array(away), np.array(heights)


def frames(dive, first, last):
    return np.flatnonzero((dive.t_s >= dive.events_s[first]) & (dive.t_s <= dive.events_s[last]))


@pytest.mark.parametrize(("code", "height_m"), [("103C", 3.0), ("407C", 10.0), ("626C", 10.0), ("5152B", 3.0)])
def test_a_fall_places_the_athlete_in_flight(code, height_m):
    dive, camera = dived(code, height_m), beside(height_m)
    poses, pixels = seen(dive, camera, 0.03, 3.0)
    placing = observed(dive, camera, poses, pixels)
    flown = placing.settle()
    assert flown is not None
    assert flown.take_off_s == pytest.approx(dive.events_s["take_off"], abs=0.1)
    assert flown.entry_s == pytest.approx(dive.events_s["entry"], abs=0.15)
    away, heights = errors(dive, camera, placing, poses, pixels, frames(dive, "take_off", "entry"))
    assert np.sqrt(np.mean(away**2)) < 0.3
    assert np.sqrt(np.mean(heights**2)) < 0.06


def test_without_a_board_the_fall_alone_gives_the_distance():
    dive, camera = dived("107B", 10.0), beside(10.0, board=False)
    poses, pixels = seen(dive, camera, 0.03, 3.0)
    placing = observed(dive, camera, poses, pixels)
    placing.settle()
    away, _ = errors(dive, camera, placing, poses, pixels, frames(dive, "take_off", "entry"))
    assert np.median(away) < 0.025 * 15


@pytest.mark.parametrize("believed", [0.9, 1.0, 1.1])
def test_the_fall_teaches_the_size_of_the_athlete(believed):
    """A decoder that draws everybody too large or small is put right, in the air and on the board."""
    dive, camera = dived("103B", 3.0), beside(3.0)
    poses, pixels = seen(dive, camera, 0.01, 1.0)
    placing = observed(dive, camera, poses * believed, pixels)
    placing.settle()
    size, sd = placing.size
    assert size * believed == pytest.approx(1.0, abs=0.03)
    assert sd < SIZE_SD / 2
    standing = np.flatnonzero(dive.t_s < dive.events_s["take_off"] - 0.3)
    away, _ = errors(dive, camera, placing, poses * believed, pixels, standing)
    assert np.median(away) < 0.035 * 15
    root = placing.root(poses[40] * believed, pixels[40], SURE)
    placed = placing.place(float(dive.t_s[40]), poses[40] * believed, root)
    thigh = np.linalg.norm(placed.joints_world_m[1] - placed.joints_world_m[2])
    true = np.linalg.norm(dive.joints_world_m[40, 1] - dive.joints_world_m[40, 2])
    assert thigh == pytest.approx(true, rel=0.04)


def test_phases_follow_each_other():
    dive, camera = dived("103C", 3.0), beside(3.0)
    poses, pixels = seen(dive, camera, 0.02, 2.0)
    placing = observed(dive, camera, poses, pixels)
    placing.settle()
    told = [placing.phase(float(t), dive.phase[k] != "under")[0] for k, t in enumerate(dive.t_s)]
    order = [phase for k, phase in enumerate(told) if k == 0 or phase != told[k - 1]]
    assert order == ["board", "flight", "entry", "water"]
    assert all(0 <= placing.phase(float(t), True)[1] <= 1 for t in dive.t_s)
    assert placing.phase(0.0, False)[0] == "board" or placing.phase(0.0, False)[0] == "idle"


def test_live_the_flight_is_known_half_a_second_after_the_take_off():
    dive, camera = dived("107C", 10.0), beside(10.0)
    poses, pixels = seen(dive, camera, 0.02, 2.0)
    off = dive.events_s["take_off"]
    placing = observed(dive, camera, poses, pixels, until_s=off + 0.55)
    assert placing.phase(off + 0.5, True)[0] == "flight"
    growing = placing.fall_at(off + 0.5)
    assert growing is not None and growing.entry_s == np.inf


def test_a_flight_is_bridged_where_the_body_was_hidden():
    dive, camera = dived("407C", 10.0), beside(10.0)
    poses, pixels = seen(dive, camera, 0.02, 2.0)
    middle = int(np.argmin(np.abs(dive.t_s - dive.events_s["apex"] - 0.4)))
    placing = observed(dive, camera, poses, pixels, hidden=range(middle, middle + 10))
    flown = placing.settle()
    assert flown is not None
    assert flown.take_off_s == pytest.approx(dive.events_s["take_off"], abs=0.1)
    assert flown.entry_s == pytest.approx(dive.events_s["entry"], abs=0.15)


def test_somebody_who_stands_is_placed_and_never_flies():
    dive, camera = dived("103C", 3.0), beside(3.0)
    poses, pixels = seen(dive, camera, 0.02, 2.0)
    placing = observed(dive, camera, poses, pixels, until_s=dive.events_s["take_off"] - 0.4)
    assert placing.settle() is None
    assert placing.size == (1.0, SIZE_SD)
    placed = placing.place(0.2, poses[10], placing.root(poses[10], pixels[10], SURE))
    sd = np.sqrt(np.linalg.eigvalsh(placed.root_covariance_m2)[-1])
    assert np.linalg.norm(placed.joints_world_m[0] - dive.joints_world_m[10, 0]) < 3 * sd


def test_nothing_is_placed_of_nothing():
    camera = beside(3.0)
    placing = observed(dived("103C", 3.0), camera, *seen(dived("103C", 3.0), camera), until_s=-1.0)
    assert placing.place(0.0, np.zeros((17, 3)), None) is None
    assert placing.settle() is None


def test_stated_covariance_holds_what_it_says():
    """Over several dives and cameras nine tenths of the places in flight lie within the stated 95 %."""
    inside = []
    for code, height_m in (("103C", 3.0), ("205B", 3.0), ("407C", 10.0), ("107B", 10.0), ("301B", 5.0)):
        for seed in range(2):
            dive, camera = dived(code, height_m), beside(height_m, 14.0 + 3 * seed)
            poses, pixels = seen(dive, camera, 0.03, 3.0, seed)
            placing = observed(dive, camera, poses, pixels)
            placing.settle()
            for k in frames(dive, "take_off", "entry")[::3]:
                placed = placing.place(float(dive.t_s[k]), poses[k], placing.root(poses[k], pixels[k], SURE))
                miss = placed.joints_world_m[0] - dive.joints_world_m[k, 0]
                own = 0.03**2 * np.eye(3)  # the pelvis's noise in the pose itself
                inside.append(miss @ np.linalg.solve(placed.root_covariance_m2 + own, miss) < 7.815)
    assert np.mean(inside) > 0.9
