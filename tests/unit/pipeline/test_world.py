"""The world of a stream: fields of every revision, what is told of dives and when, and who is forgotten."""

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from calibration.venue import Calibration
from flight.report import Dive
from pipeline.config import Config, TrackSettings
from pipeline.messages import Hypotheses, PoseFrame, decode_public, encode
from pipeline.world import World
from tests.falling import SIZE_PX, beside, dived, seen


def calibration_of(standpoint):
    return Calibration(standpoint.camera, standpoint.world_from_cam, board=standpoint.board)


@pytest.fixture(scope="module")
def filmed():
    dive, camera = dived("103C", 3.0), beside(3.0)
    poses, pixels = seen(dive, camera, 0.02, 2.0)
    return SimpleNamespace(dive=dive, camera=camera, poses=poses, pixels=pixels, calibration=calibration_of(camera))


def hypotheses(filmed, k, state="followed", sure=0.9):
    there = filmed.dive.phase[k] != "under"
    return Hypotheses(
        stream="main", seq=k, t_media_ns=round(filmed.dive.t_s[k] * 1e9), t_capture_ns=0, width=SIZE_PX[0],
        height=SIZE_PX[1], rate_hz=50.0, subject=int(there), state=state if there else "none", presence=0.9,
        crop_img_px=(960.0, 540.0, 400.0) if there else None,
        joints_img_px=tuple(map(tuple, filmed.pixels[k].tolist())) if there else (),
        joints_conf=(sure,) * 17 if there else (),
    )  # fmt: skip


def run(filmed, world, lookahead=13, last=None):
    """Every revision as `smooth` asks for them; fields by frame and revision, and what was told with the frame."""
    fields, told = {}, []
    count = len(filmed.dive.t_s) if last is None else last

    def ask(k, revision):
        message = hypotheses(filmed, k)
        pose = filmed.poses[k] if message.joints_img_px else None
        fields[k, revision] = world.fields(message, pose, revision)

    for k in range(count):
        ask(k, "provisional")
        if k >= lookahead:
            ask(k - lookahead, "refined")
        told += [(k, one) for one in world.told()]
    for k in range(max(0, count - lookahead), count):
        ask(k, "refined")
    for k in range(count):
        ask(k, "final")
    told += [(count, one) for one in world.told(ended=True)]
    return fields, told


@pytest.fixture(scope="module")
def run_of_it(filmed):
    return run(filmed, World(Config(), filmed.calibration, "refined"))


def test_every_placed_revision_has_all_fields(filmed, run_of_it):
    fields, _ = run_of_it
    one = fields[60, "final"]
    pose = PoseFrame(
        stream="main", seq=1, t_media_ns=0, t_capture_ns=0, width=1, height=1, rate_hz=50.0, revision="final",
        lookahead=0, subject=1, tracked=True, presence=1.0, **one,
    )  # fmt: skip
    again = decode_public(encode(pose))
    assert again == pose
    assert len(again.joints_world_m) == len(again.joints_cov_m2) == len(again.provenance) == 17
    assert again.world == again.metric == "metric"
    for xx, xy, xz, yy, yz, zz in again.joints_cov_m2:
        assert np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])[0] > 0


def test_final_places_are_nearer_than_provisional_ones(filmed, run_of_it):
    fields, _ = run_of_it
    dive = filmed.dive
    air = np.flatnonzero((dive.t_s > dive.events_s["take_off"]) & (dive.t_s < dive.events_s["entry"]))

    def away(revision):
        places = np.array([fields[k, revision]["joints_world_m"] for k in air])
        return np.linalg.norm(places[:, 0] - dive.joints_world_m[air, 0], axis=1)

    assert np.median(away("final")) < 0.12
    assert np.median(away("final")) < np.median(away("provisional"))


def test_phases_and_who_is_not_there(filmed, run_of_it):
    fields, _ = run_of_it
    phases = [fields[k, "final"]["phase"] for k in range(len(filmed.dive.t_s))]
    assert [phase for k, phase in enumerate(phases) if k == 0 or phase != phases[k - 1]] == [
        "board", "flight", "entry", "water",
    ]  # fmt: skip
    under = fields[len(filmed.dive.t_s) - 1, "final"]
    assert "joints_world_m" not in under and under["focal_px"] == filmed.camera.camera.focal_px


def test_the_dive_is_told_once_and_soon(filmed, run_of_it):
    _, told = run_of_it
    (frame, dive) = told[0]
    assert len(told) == 1 and isinstance(dive, Dive)
    assert dive.report.numbers[0].code == "103C"
    late_s = filmed.dive.t_s[min(frame, len(filmed.dive.t_s) - 1)] - filmed.dive.events_s["entry"]
    assert late_s < 1.0


def test_a_dive_told_from_final_poses_waits_for_them(filmed):
    _, told = run(filmed, World(Config(), filmed.calibration, "final"))
    assert [frame for frame, _ in told] == [len(filmed.dive.t_s)]


def test_a_sport_on_the_ground_knows_no_flight(filmed):
    config = msgspec.structs.replace(Config(), track=msgspec.structs.replace(TrackSettings(), sport="ground"))
    fields, told = run(filmed, World(config, filmed.calibration, "refined"), last=110)
    assert told == []
    assert {fields[k, "final"]["phase"] for k in range(110)} == {"board"}


def test_another_athlete_starts_afresh(filmed):
    world = World(Config(), filmed.calibration, "refined")
    run(filmed, world)
    world.forget()
    again, told = run(filmed, world)
    assert len(told) == 1
    assert again[20, "provisional"]["phase"] == "board"


def test_without_a_calibration_everything_is_an_estimate(filmed):
    fields, told = run(filmed, World(Config(), None, "refined"))
    assert fields[60, "final"]["world"] == fields[60, "final"]["metric"] == "estimated"
    assert told and told[0][1].report.world == "estimated"
    assert told[0][1].report.clearance_m is None


def test_provenance_says_what_was_seen(filmed):
    world = World(Config(), filmed.calibration, "refined")

    def told_of(message):
        return world.fields(message, filmed.poses[5], "provisional")["provenance"]

    seen_well = hypotheses(filmed, 5)
    assert set(told_of(seen_well)) == {"measured"}
    dim = msgspec.structs.replace(seen_well, joints_conf=(0.9,) * 10 + (0.02,) * 7)
    assert told_of(dim) == ("measured",) * 10 + ("completed",) * 7
    assert set(told_of(hypotheses(filmed, 5, state="coasted"))) == {"predicted"}


def test_joints_that_were_not_measured_say_nothing_of_the_place(filmed):
    """Sure of nothing: somewhere in the picture, but nobody is put there."""
    world = World(Config(), filmed.calibration, "refined")
    fields = world.fields(hypotheses(filmed, 5, sure=0.02), filmed.poses[5], "provisional")
    assert "joints_world_m" not in fields
