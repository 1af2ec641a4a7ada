"""A dive told from noisy poses: every quantity near the truth, uncertainties that hold, and what not to trust."""

import dataclasses

import msgspec
import numpy as np
import pytest

from flight.analysis import told_of
from flight.motion import Motion
from flight.phases import Moment
from flight.report import Dive, DiveReport, Jump
from tests.falling import beside, dived
from training.evaluate.told import entry_angle_deg
from training.synth import report

DIVES = (("103C", 3.0), ("407C", 10.0), ("205B", 3.0), ("301B", 5.0), ("626C", 10.0), ("5152B", 3.0), ("201A", 1.0))


def motion_of(dive, noise_m=0.03, seed=0):
    rng = np.random.default_rng(seed)
    joints = dive.joints_world_m + rng.normal(0, noise_m, dive.joints_world_m.shape)
    wet = np.array([phase == "under" for phase in dive.phase])
    joints[wet] = np.nan
    return Motion(dive.t_s, joints, np.full(joints.shape[:2], max(noise_m, 0.01)))


def tell(dive, standpoint, motion=None, doubt=0.01):
    motion = motion_of(dive) if motion is None else motion
    off, entry = Moment(dive.events_s["take_off"] + 0.02, 0.03), Moment(dive.events_s["entry"] + 0.05, 0.03)
    return told_of(motion, np.arange(len(motion)) + 100, off, entry, standpoint, doubt)


@pytest.fixture(scope="module", params=DIVES, ids=lambda pair: f"{pair[0]}-{pair[1]:g}m")
def told(request):
    dive = dived(*request.param)
    found = tell(dive, beside(request.param[1]))
    assert isinstance(found, Dive)
    return dive, found, report.of(dive)


def test_number_and_counts(told):
    _, found, truth = told
    assert found.report.numbers[0].code == truth["code"]
    assert found.report.somersaults == truth["somersaults"]
    assert found.report.twists == truth["twists"]
    assert found.report.head_first == truth["head_first"]
    assert sum(guess.probability for guess in found.report.numbers) <= 1 + 1e-9


def test_moments(told):
    _, found, truth = told
    slow = 0.06 if truth["group"] == 6 else 0.045  # hands leave gently
    assert found.report.take_off_s.value == pytest.approx(truth["take_off_s"], abs=slow)
    assert found.report.entry_s.value == pytest.approx(truth["entry_s"], abs=0.015)
    assert found.report.flight_time_s.value == pytest.approx(truth["flight_time_s"], abs=slow + 0.01)
    assert found.report.take_off_s.value < found.report.apex_s < found.report.entry_s.value


def test_heights_and_distances(told):
    _, found, truth = told
    told_of_it = found.report
    assert told_of_it.apex_above_board_m.value == pytest.approx(truth["apex_above_board_m"], abs=0.06)
    assert told_of_it.apex_above_water_m.value == pytest.approx(truth["water_clear_apex_m"], abs=0.06)
    assert told_of_it.clearance_m.value == pytest.approx(truth["clearance_m"], abs=0.12)
    assert told_of_it.entry_speed_m_s.value == pytest.approx(truth["entry_speed_m_s"], abs=0.3)
    assert told_of_it.speed_out_m_s.value == pytest.approx(truth["speed_out_m_s"], abs=0.1)


def test_entry_line(told):
    dive, found, truth = told
    exact = entry_angle_deg(dive.t_s, dive.joints_world_m, truth["entry_s"], truth["head_first"])
    sense = 1 if dive.code.turns_outward else -1
    assert found.report.entry_angle_deg.value * sense == pytest.approx(exact, abs=3.5)
    assert abs(found.report.entry_lean_deg.value) < 4
    assert found.report.entry_knee_deg > 150


def test_uncertainties_are_of_the_size_of_the_errors(told):
    _, found, truth = told
    told_of_it = found.report
    for value, exact in (
        (told_of_it.entry_s, truth["entry_s"]),
        (told_of_it.apex_above_board_m, truth["apex_above_board_m"]),
        (told_of_it.somersaults_turned, abs(truth["somersault_turned"])),
    ):
        assert value.sd > 0
        assert abs(value.value - exact) < 5 * value.sd


def test_curves_belong_to_the_report(told):
    _, found, truth = told
    curves = found.curves
    assert len(curves.t_s) == len(curves.seq) == len(curves.joints_world_m) == len(curves.positions)
    assert (np.diff(curves.seq) == 1).all()
    assert curves.seq[0] >= 100, "frames are numbered as they came"
    flying = curves.t_s[curves.flying]
    assert flying[0] == pytest.approx(found.report.take_off_s.value, abs=0.021)
    assert flying[-1] == pytest.approx(found.report.entry_s.value, abs=0.021)
    assert np.nanmax(curves.fall_world_m[:, 2]) == pytest.approx(truth["apex_above_board_m"], abs=0.06)
    assert 0.7 < found.report.momentum_consistency <= 1


def test_a_report_travels(told):
    _, found, _ = told
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(found.report), type=DiveReport)
    assert again == found.report


def test_without_a_board_what_needs_one_is_absent_and_said():
    dive = dived("107B", 10.0)
    found = tell(dive, beside(10.0, board=False))
    told_of_it = found.report
    assert told_of_it.clearance_m is told_of_it.distance_entry_m is told_of_it.distance_apex_m is None
    assert "no_board" in {flag.key for flag in told_of_it.flags}
    assert told_of_it.board_height_m == 10.0, "the drop fits one board"
    assert told_of_it.numbers[0].code == "107B"
    assert told_of_it.apex_above_board_m.value == pytest.approx(report.of(dive)["apex_above_board_m"], abs=0.12)


def test_a_motion_seen_in_other_axes_without_a_board_is_told_alike():
    """Where the camera stood and how the world was turned about the vertical is of no matter to a dive."""
    dive, where = dived("107B", 10.0), beside(10.0, board=False)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(1.1), -np.sin(1.1)], [np.sin(1.1), np.cos(1.1)]]
    turn[:3, 3] = (5.0, -3.0, 7.0)
    motion = motion_of(dive)
    moved = Motion(motion.t_s, motion.joints_world_m @ turn[:3, :3].T + turn[:3, 3], motion.joints_sd_m)
    elsewhere = dataclasses.replace(where, world_from_cam=turn @ where.world_from_cam)
    one, other = tell(dive, where, motion).report, tell(dive, elsewhere, moved).report
    assert one.numbers[0].code == other.numbers[0].code
    assert other.speed_out_m_s.value == pytest.approx(one.speed_out_m_s.value, abs=1e-6)
    assert other.entry_angle_deg.value == pytest.approx(one.entry_angle_deg.value, abs=1e-6)


def test_of_who_is_lost_in_the_air_the_fall_foretells_the_entry():
    dive, standpoint = dived("205B", 3.0), beside(3.0)
    seen = motion_of(dive)
    lost_s = dive.events_s["entry"] - 0.2
    joints = np.where((dive.t_s > lost_s)[:, None, None], np.nan, seen.joints_world_m)
    off, end = Moment(dive.events_s["take_off"] + 0.02, 0.03), Moment(lost_s, 0.06)
    found = told_of(Motion(seen.t_s, joints, seen.joints_sd_m), np.arange(len(seen)), off, end, standpoint, 0.01).report
    assert found.entry_s.value == pytest.approx(dive.events_s["entry"], abs=0.05)
    assert found.entry_s.sd > 0.015
    assert "entry_unseen" in {flag.key for flag in found.flags}
    assert found.entry_angle_deg.sd > 20, "how it opened nobody saw"
    assert "entry_unseen" not in {flag.key for flag in tell(dive, standpoint, seen).report.flags}


def test_an_estimated_world_is_said():
    where = dataclasses.replace(beside(3.0, board=False), world="estimated")
    told_of_it = tell(dived("103C", 3.0), where).report
    assert told_of_it.world == "estimated"
    assert {"not_calibrated", "no_board"} <= {flag.key for flag in told_of_it.flags}


def test_what_lands_where_it_began_is_a_jump():
    """A dive cut off when it has come back to the height of the take-off."""
    dive = dived("103C", 3.0)
    off = dive.events_s["take_off"]
    up = dive.plan.speed_up_m_s
    motion = motion_of(dive)
    landing = off + 2 * up / 9.81
    air = motion.part(0, int(np.searchsorted(dive.t_s, landing + 0.1)))
    ends = Moment(off, 0.02), Moment(landing, 0.02)
    found = told_of(air, np.arange(len(air)), *ends, beside(3.0, board=False), 0.01)
    assert isinstance(found, Jump)
    assert found.report.flight_time_s.value == pytest.approx(landing - off, abs=0.02)
    assert found.report.height_m.value == pytest.approx(up**2 / 2 / 9.81, rel=0.06)


def test_nothing_is_told_of_what_was_not_seen():
    dive, where = dived("103C", 3.0), beside(3.0)
    motion = motion_of(dive)
    blind = Motion(motion.t_s, np.full_like(motion.joints_world_m, np.nan), motion.joints_sd_m)
    with np.errstate(all="ignore"):
        assert tell(dive, where, blind) is None


def test_gaps_in_the_splash_and_in_the_air_are_borne():
    dive, where = dived("107C", 10.0), beside(10.0)
    motion = motion_of(dive)
    joints = motion.joints_world_m.copy()
    middle = int(np.searchsorted(dive.t_s, dive.events_s["apex"] + 0.2))
    joints[middle : middle + 4] = np.nan
    joints[dive.t_s > dive.events_s["entry"]] = np.nan
    told_of_it = tell(dive, where, Motion(motion.t_s, joints, motion.joints_sd_m)).report
    assert told_of_it.numbers[0].code == "107C"
    assert told_of_it.entry_s.value == pytest.approx(dive.events_s["entry"], abs=0.07)
