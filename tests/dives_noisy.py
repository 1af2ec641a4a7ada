"""Simulated dives as joints with errors: small independent ones, or those of a network that sees a small picture."""

from functools import cache

import numpy as np

from engines.skeleton import MIRROR
from flight.code import DiveCode
from flight.motion import Motion
from flight.number import numbers, rounded
from flight.posture import POSITIONS, bends_deg, posture
from flight.sides import repaired
from flight.trunk import mirrored
from flight.turning import turning
from training.synth import dive as synth
from training.synth.poses import KEY_POSES, joints_of

PLAIN = (
    ("101A", 1.0), ("101C", 1.0), ("103B", 3.0), ("105C", 3.0), ("107C", 3.0), ("107B", 10.0), ("109C", 10.0),
    ("102C", 5.0), ("112B", 5.0), ("113B", 3.0), ("201A", 3.0), ("201C", 1.0), ("203B", 3.0), ("205C", 3.0),
    ("207C", 10.0), ("301B", 1.0), ("303A", 3.0), ("305C", 3.0), ("307C", 10.0), ("401A", 1.0), ("401B", 7.5),
    ("403B", 5.0), ("405C", 3.0), ("407C", 10.0), ("612B", 5.0), ("614C", 7.5), ("624B", 10.0), ("626C", 10.0),
    ("632C", 10.0), ("6142D", 10.0),
)  # fmt: skip
TWISTING = (
    ("5121D", 1.0), ("5152B", 3.0), ("5154B", 3.0), ("5221D", 3.0), ("5231D", 3.0), ("5253B", 3.0), ("5331D", 3.0),
    ("5335D", 3.0), ("5434D", 3.0),
)  # fmt: skip
ALL = PLAIN + TWISTING


@cache
def dived(code, height_m, seed=3, rate_hz=50.0):
    return synth.Dive.from_code(code, height_m, joints_of, rate_hz, seed)


def ends(dive, rng=None):
    """Frames of take-off and entry; with `rng` up to one frame off."""
    off, entry = (int(np.searchsorted(dive.t_s, dive.events_s[name])) for name in ("take_off", "entry"))
    if rng is None:
        return off, entry
    return off + int(rng.integers(-1, 2)), min(entry + int(rng.integers(-1, 2)), len(dive.t_s) - 1)


def noisy(dive, rng, noise_m=0.03, swapped=0.1):
    """Motion with white noise along every axis and sides exchanged at random; and which frames (T,) those are."""
    joints = dive.joints_world_m + rng.normal(0, noise_m, dive.joints_world_m.shape)
    swap = rng.random(len(joints)) < swapped
    joints[swap] = joints[swap][:, list(MIRROR)]
    return Motion(dive.t_s, joints, np.full(joints.shape[:2], noise_m)), swap


def stretches(rng, frames, share, mean_s, rate_hz=50.0, where=None):
    """(T,) whether a frame lies in one of some stretches that cover about `share` of the frames `where` holds."""
    inside = np.zeros(frames, bool)
    for start in np.flatnonzero(rng.random(frames) < share / (mean_s * rate_hz)):
        inside[start : start + 1 + int(rng.exponential(mean_s * rate_hz))] = True
    return inside if where is None else inside & where


def view_of(rng, side=1.0):
    """Unit vector from a camera about beside the board to the diver."""
    azimuth = rng.normal(0, 0.3)
    view = np.array([np.sin(azimuth), side * np.cos(azimuth), rng.normal(0, 0.1)])
    return view / np.linalg.norm(view)


def seen_badly(dive, rng, view, noise_m=0.06):
    """As a network sees a body of a hundred pixels from the side: joints off by correlated errors, deeper along the
    `view`; stretches mirrored in depth, with sides exchanged, upside down while folded; nothing in the splash.
    """
    joints = dive.joints_world_m - dive.joints_world_m[:, :1]
    frames = len(joints)
    error = rng.normal(0, noise_m, joints.shape)
    for k in range(1, frames):
        error[k] = 0.8 * error[k - 1] + 0.6 * error[k]
    error += np.sum(error * view, -1, keepdims=True) * view
    turned = stretches(rng, frames, 0.25, 0.2)
    joints[turned] = mirrored(joints[turned], view)[:, list(MIRROR)]
    wrong = stretches(rng, frames, 0.08, 0.1)
    joints[wrong] = mirrored(joints[wrong], view)
    swap = stretches(rng, frames, 0.08, 0.1)
    joints[swap] = joints[swap][:, list(MIRROR)]
    hips, _ = bends_deg(dive.joints_world_m)
    fallen = stretches(rng, frames, 0.15, 0.12, where=hips < 100)
    joints[fallen] = joints[fallen].mean(1, keepdims=True) * 2 - joints[fallen]
    joints = joints + error + dive.joints_world_m[:, :1]
    lost = (dive.t_s > dive.events_s["splash"]) & (rng.random(frames) < 0.5)
    joints[lost] = np.nan
    return Motion(dive.t_s, joints, np.full((frames, 17), 0.08))


def told(dive, motion, off, entry, view=None):
    """Turning, posture and numbers of a motion, as an analysis calls for them."""
    code = dive.code
    motion = repaired(motion, view).motion
    head_first = 0.95 if code.head_first else 0.05
    turned = turning(motion, off, entry, view_world=view, inverted=code.armstand, head_first=head_first)
    bent = posture(motion, off, entry, turned.twist.value)
    return turned, bent, numbers(turned, bent, float(code.armstand), 1.0, dive.plan.height_m)


def right(dive, turned, bent, guesses):
    """Whether somersaults, twists, number and position are the dive's own."""
    code = dive.code
    somersaults, twists = rounded(turned)
    return {
        "somersaults": somersaults == code.half_somersaults / 2,
        "twists": twists == code.half_twists / 2,
        "number": bool(guesses) and DiveCode.parse(guesses[0].code) == code,
        "position": POSITIONS["ABCD".index(code.position)] == bent.position,
    }


def shares_right(dives, rng, badly=False):
    """Share of `dives` told rightly by quantity: from joints with 3 cm of noise, or `badly` seen from the side."""
    found = []
    for dive in dives:
        off, entry = ends(dive, rng)
        view = view_of(rng, rng.choice([-1, 1])) if badly else None
        motion = seen_badly(dive, rng, view) if badly else noisy(dive, rng)[0]
        found.append(right(dive, *told(dive, motion, off, entry, view)))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def rigid(half_somersaults, half_twists, tilt_deg=10.0, rate_hz=50.0, flight_s=1.5, noise_m=0.0, rng=None):
    """A body of constant shape that stands for a moment, then turns evenly, its long axis tilted out of the plane of
    the somersault; and the frames of take-off and entry. Its twist and somersault have the signs of the counts.
    """
    t_s = np.arange(round((0.3 + flight_s) * rate_hz) + 1) / rate_hz
    off = round(0.3 * rate_hz)
    share = np.clip((t_s - t_s[off]) / (t_s[-1] - t_s[off]), 0, 1)
    tilt = np.radians(tilt_deg) * np.ones_like(share)
    facing_water = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turn = _about(1, half_somersaults * np.pi * share) @ _about(0, tilt) @ _about(2, half_twists * np.pi * share)
    body = joints_of(KEY_POSES["layout"][None])[0]
    joints = body @ np.swapaxes(turn @ facing_water, -1, -2)
    if rng is not None:
        joints = joints + rng.normal(0, noise_m, joints.shape)
    return Motion(t_s, joints, np.full(joints.shape[:2], max(noise_m, 0.01))), off, len(t_s) - 1


def _about(axis, angle_rad):
    """Rotations (T, 3, 3) about an axis of the world."""
    turn = np.zeros((len(angle_rad), 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1
    turn[:, first, first] = turn[:, second, second] = np.cos(angle_rad)
    turn[:, second, first] = np.sin(angle_rad)
    turn[:, first, second] = -turn[:, second, first]
    return turn
