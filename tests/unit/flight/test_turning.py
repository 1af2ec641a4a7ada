"""Somersaults and twists: counted exactly from noisy joints, without the false twist of a tilted body."""

import numpy as np
import pytest

from flight.trunk import body_axes, hinge_left_of
from flight.turning import local_fits, somersault_axis, turning
from tests.dives_noisy import TWISTING, dived, ends, noisy, rigid, seen_badly, told, view_of
from training.synth import report

RIGHT = [(1, 0), (-3, 0), (7, 0), (9, 0), (2, 1), (3, -2), (-3, 3), (5, 4), (-5, -3), (3, 7)]


def counted(found):
    half, _, twist = next(iter(found.counts))
    return half, twist


@pytest.mark.parametrize(("tilt_deg", "noise_m"), [(5.0, 0.06), (20.0, 0.03)])
def test_rigid_bodies_are_counted_exactly_at_25_frames_a_second(tilt_deg, noise_m):
    rng = np.random.default_rng(7)
    for half, twist in RIGHT:
        found = turning(*rigid(half, twist, tilt_deg, 25.0, 1.6, noise_m, rng))
        assert counted(found) == (half, abs(twist)), (half, twist)
        assert found.somersault.value == pytest.approx(abs(half) / 2, abs=0.06)
        assert found.twist.value == pytest.approx(abs(twist) / 2, abs=0.1)


def test_a_tilted_somersault_is_no_twist():
    motion, off, entry = rigid(9, 0, 10.0, 100.0)
    # Negative control: the rate about the long axis, summed up, is a twist that nobody made.
    axes = body_axes(motion.joints_world_m[off:])
    steps = axes[1:] @ np.swapaxes(axes[:-1], -1, -2)
    spin = np.stack([steps[:, 2, 1] - steps[:, 1, 2], steps[:, 0, 2] - steps[:, 2, 0], steps[:, 1, 0] - steps[:, 0, 1]])
    summed = np.sum(spin.T / 2 * axes[:-1, :, 2]) / (2 * np.pi)
    assert abs(summed) > 0.3
    found = turning(motion, off, entry)
    assert abs(found.twist.value) < 0.02
    assert counted(found) == (9, 0)


def test_curves_and_totals_agree_with_the_motion():
    dive = dived("5253B", 3.0)
    off, entry = ends(dive)
    motion, _ = noisy(dive, np.random.default_rng(1), 0.0, 0.0)
    found = turning(motion, off, entry, head_first=0.95)
    truth, flying = report.curves(dive), slice(off, entry + 1)
    assert found.sense == 1
    assert np.abs(found.somersault_turns - truth.somersault_turns)[flying].max() < 0.02
    twist = truth.twist_turns * np.sign(truth.twist_turns[entry])
    assert np.abs(found.twist_turns - twist)[flying].max() < 0.06
    assert found.somersault_deg_s[flying].max() == pytest.approx(report.of(dive)["peak_somersault_deg_s"], rel=0.05)
    assert found.twist_deg_s[flying].max() == pytest.approx(report.of(dive)["peak_twist_deg_s"], rel=0.05)
    assert np.isnan(found.somersault_turns[: off - 20]).all()
    assert np.isnan(found.somersault_turns[entry + 1 :]).all()


def test_totals_keep_their_intervals():
    rng, inside, dive = np.random.default_rng(3), [], dived("405C", 3.0)
    truth = abs(report.of(dive)["somersault_turned"])
    for _ in range(8):
        motion, _ = noisy(dive, rng, swapped=0.0)
        found = turning(motion, *ends(dive), head_first=0.95).somersault
        inside.append(abs(found.value - truth) < 2.5 * found.sd)
        assert found.sd < 0.03
    assert np.mean(inside) >= 0.75


def test_an_armstand_starts_upside_down():
    dive = dived("624B", 10.0)
    motion, _ = noisy(dive, np.random.default_rng(2))
    found, _, _ = told(dive, motion, *ends(dive))
    assert next(iter(found.counts)) == (4, 1, 0)
    assert found.somersault_turns[ends(dive)[0]] == pytest.approx(0, abs=0.15)


def test_gaps_and_uneven_frames():
    dive = dived("107C", 3.0)
    motion, _ = noisy(dive, np.random.default_rng(5), swapped=0.0)
    off, entry = ends(dive)
    motion.joints_world_m[off + 20 : off + 27] = np.nan
    motion.joints_world_m[entry - 2 : entry + 1] = np.nan
    kept = np.delete(np.arange(len(motion)), [off + 9, off + 10, off + 40])
    part = type(motion)(motion.t_s[kept], motion.joints_world_m[kept], motion.joints_sd_m[kept])
    found = turning(part, int(np.searchsorted(kept, off)), int(np.searchsorted(kept, entry)))
    assert counted(found) == (7, 0)
    motion.joints_world_m[:] = np.nan
    with pytest.raises(ValueError, match="fewer than four"):
        turning(motion, off, entry)


def test_faster_cameras_give_the_same():
    dive = dived("305C", 3.0, rate_hz=250.0)
    motion, _ = noisy(dive, np.random.default_rng(6), swapped=0.0)
    found = turning(motion, *ends(dive), head_first=0.95)
    assert counted(found) == (-5, 0)
    assert found.somersault.value == pytest.approx(abs(report.of(dive)["somersault_turned"]), abs=0.02)


def test_counts_survive_a_network_that_sees_badly():
    rng, naive = np.random.default_rng(8), []
    for code in ("107C", "405C", "205C", "626C"):
        dive, view = dived(code, 10.0), view_of(rng)
        motion = seen_badly(dive, rng, view)
        found, _, _ = told(dive, motion, *ends(dive, rng), view)
        half = dive.code.half_somersaults
        assert counted(found) == (half * (1 if dive.code.turns_outward else -1), 0)
        off, entry = ends(dive)
        up = body_axes(motion.joints_world_m[off : entry + 1])[..., 2]
        angle = np.unwrap(np.arctan2(up[:, 0], up[:, 2])[np.isfinite(up).all(1)])
        naive.append(abs(abs(angle[-1] - angle[0]) / np.pi - half) < 0.5)
    # Negative control: the trunk's angle as measured, unwrapped, gives other counts.
    assert sum(naive) <= 2


def test_the_side_that_hips_and_knees_tell_needs_no_names():
    dive = dived("5152B", 3.0)
    folded = dive.joints_world_m[[phase == "crouch" for phase in dive.phase]][-3:]
    told_by_names, bent = body_axes(folded)[..., 0], hinge_left_of(folded)
    assert np.sum(told_by_names * bent, -1).min() > 0.3
    assert np.allclose(bent, hinge_left_of(folded[:, [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]]))


def test_somersault_axis_is_across_the_flight():
    outward = np.array([0.6, 0.8, 0.0])
    angle = np.linspace(0, 9, 60)[:, None]
    up = np.cos(angle) * [0, 0, 1] + np.sin(angle) * np.array([0.8, 0.6, 0])
    assert somersault_axis(up, outward, 0.02) @ [-0.8, 0.6, 0] > 0.99
    assert somersault_axis(up, outward, 2.0) @ [-0.6, 0.8, 0] > 0.99


def test_local_fits_follow_parabolas():
    t_s = np.sort(np.random.default_rng(0).uniform(0, 1, 80))
    value, rate, sd = local_fits(t_s, 3 * t_s**2 - t_s, np.full(80, 25.0), 0.1)
    assert np.allclose(value, 3 * t_s**2 - t_s, atol=1e-4)
    assert np.allclose(rate, 6 * t_s - 1, atol=1e-2)
    assert sd[40] < 0.2


def test_twists_of_every_kind():
    rng = np.random.default_rng(9)
    for code, height_m in TWISTING[::3]:
        dive = dived(code, height_m)
        found, _, _ = told(dive, noisy(dive, rng)[0], *ends(dive, rng))
        half = dive.code.half_somersaults * (1 if dive.code.turns_outward else -1)
        assert next(iter(found.counts)) == (half, int(dive.code.base in (2, 4)), dive.code.half_twists), code
