"""A body's centre of gravity as one camera sees it over a whole recording, and the stretches of it that are flights.

Where `flight.placing` follows one athlete live and places its poses, this looks at a recording as a whole and knows
less: the vertical may be a guess, and the size of a body is only as good as the decoder that told it.
"""

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.root import root_from_joints
from flight import mass
from flight.fall import Seen, fitted_fall, honest
from flight.phases import MOST_FRAMES, agreeing, falling
from flight.sighting import sighting

Floats = NDArray[np.float64]

_MASSES: Final = mass.points(0.5)
_WEIGHTS: Final = _MASSES.masses @ _MASSES.from_joints
"""(17,) of the joints, whose weighted mean is the centre of gravity, midway between man and woman."""
SURE: Final = 0.1
"""Confidence from which a joint in the picture counts as seen, as where poses are smoothed."""
UNSEEN_MASS: Final = 0.2
"""Share of the body's mass whose joints may be unseen: a whole leg is more, an arm is less."""
_SIZE_SD: Final = 0.1
"""What the size of a body in the picture is worth as a measure of its distance: bodies differ, and so do decoders."""
_SCALES: Final = (0.8, 0.9, 1.0, 1.12, 1.25)
"""True metres in what the body's size makes a metre, by that and by the cosine of a vertical that is not yet right."""
_STEADY_S: Final = 1.5
"""So long a body's distance is taken as the same where flights are looked for: its size tells it to 5 % in a frame."""
_LEAST_S: Final = 0.5
"""A hop on the board lasts less, and says little."""
_EARLY_S, _LATE_S = 0.1, 0.07
"""By how much the stretches of `falling` are too long, before and after."""
_MOST_OF: Final = 0.75
"""If less of a stretch lies on one parabola, what is off it is noise, not push."""
_EDGE_S: Final = 0.02
"""Left out at the ends of what lies on the parabola: board and water begin to push softly."""
_BESIDE_S: Final = 1.0
_SHORTER: Final = 0.7
"""A flight within a second of one that is longer by so much is none of its own."""
_ROUGH_M: Final = 0.08
"""Least deviation of a height by which flights are looked for: networks err alike in many frames of a fast turn."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The poses of one recording: F frames, NaN where nobody was seen.

    `t_s` (F,) seconds; `joints_root_m` (F, 17, 3) pelvis-relative in camera axes; `joints_img_px` (F, 17, 2) with
    `confidence` (F, 17). `name` is for messages.
    """

    name: str
    t_s: Floats
    joints_root_m: Floats
    joints_img_px: Floats
    confidence: Floats


@dataclass(frozen=True, slots=True)
class Centres:
    """A body's centre of gravity as the camera sees it: `flat` (F, 2) on the plane Z = 1 with deviations `sd` (F,),
    and its depth (F,) by the size of the body. NaN where nobody was seen; `sure` (F,) where it can be trusted."""

    t_s: Floats
    flat: Floats
    sd: Floats
    depth_m: Floats
    sure: NDArray[np.bool_]

    def between(self, first_s: float, last_s: float) -> Seen:
        """What a fall is fitted to, from one time to another."""
        inside = (self.t_s >= first_s) & (self.t_s <= last_s) & self.sure
        if not inside.any():
            return Seen(self.t_s[:0], self.flat[:0], self.sd[:0])
        depth, middle_s = float(np.median(self.depth_m[inside])), float(self.t_s[inside].mean())
        return Seen(self.t_s[inside], self.flat[inside], self.sd[inside], ((middle_s, depth, _SIZE_SD * depth),))


def centres_of(recording: Recording, camera: Camera) -> Centres:
    """The centre of gravity in every frame with a pose; sure where enough of the body was seen.

    A joint's direction is the mean of where it is seen and where the pose about the root puts it, whose errors are not
    the same; that of a joint not seen is the pose's alone.
    """
    frames = len(recording.t_s)
    flat, sd, depth = np.full((frames, 2), np.nan), np.full(frames, np.nan), np.full(frames, np.nan)
    seen = camera.normalised(recording.joints_img_px)
    known = (recording.confidence >= SURE) & np.isfinite(seen).all(axis=2)
    for k in np.flatnonzero(np.isfinite(recording.joints_root_m).all(axis=(1, 2))):
        pose = recording.joints_root_m[k]
        root = root_from_joints(pose, recording.joints_img_px[k], recording.confidence[k], camera)
        if root is None:
            continue
        place = root.root_cam_m + pose
        joints = place[:, :2] / place[:, 2:]
        joints[known[k]] = (joints[known[k]] + seen[k, known[k]]) / 2
        weight = _WEIGHTS * place[:, 2]
        flat[k] = weight @ joints / weight.sum()
        rough = sighting(root, pose)
        sd[k], depth[k] = rough.flat_sd, rough.depth_m
    unseen = ~known @ np.abs(_WEIGHTS) / np.abs(_WEIGHTS).sum()
    return Centres(recording.t_s, flat, sd, depth, np.isfinite(sd) & (unseen <= UNSEEN_MASS))


def stretches(centres: Centres, down: Floats) -> tuple[list[tuple[float, float]], float]:
    """Begin and end of every flight in a recording, by a guess of the vertical, and how surely they are flights."""
    height, sd = _heights(centres, down)
    found, gain, begin = [], 0.0, 0
    while begin < len(height):
        part = slice(begin, begin + MOST_FRAMES)
        stretch = falling(centres.t_s[part], height[part], sd[part], _SCALES, _LEAST_S)
        if stretch is None or (begin + MOST_FRAMES < len(height) and stretch.last >= MOST_FRAMES - 2):
            # Half a window on; a flight that the window cuts is then whole.
            begin += MOST_FRAMES // 2
            continue
        first_s, last_s = centres.t_s[begin + stretch.first] + _EARLY_S, centres.t_s[begin + stretch.last] - _LATE_S
        found.append((float(first_s), float(last_s)))
        gain += stretch.gain
        begin += stretch.last + 1
    return found, gain


def _heights(centres: Centres, down: Floats) -> tuple[Floats, Floats]:
    """Heights above the camera (F,) and their deviations, at the distance that the body's size has about then."""
    ray = np.column_stack([centres.flat, np.ones(len(centres.sd))])
    frames = max(1, round(_STEADY_S / max(float(np.median(np.diff(centres.t_s))), 1e-3)) // 2)
    padded = np.pad(centres.depth_m, frames, constant_values=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nobody was seen for so long: NaN it is
        depth = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * frames + 1), axis=1)
    return -(ray @ down) * depth, np.maximum(depth * centres.sd, _ROUGH_M)


def flights_in(centres: Centres, down: Floats, known: bool = True) -> list[tuple[float, float]]:
    """First and last moment of every flight in a recording, gravity along `down` (3,); where that is `known` and not a
    guess, the ends of what lies on a parabola."""
    found = stretches(centres, down)[0]
    if known:
        found = [_on_parabola(centres, down, *ends) for ends in found]
    return [one for one in found if not any(_belongs_to(one, other) for other in found)]


def _belongs_to(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether what looks like a short flight is what comes before or after a longer one: a hop, or sinking in water."""
    apart = max(one[0] - other[1], other[0] - one[1])
    return apart < _BESIDE_S and one[1] - one[0] < _SHORTER * (other[1] - other[0])


def _on_parabola(centres: Centres, down: Floats, first_s: float, last_s: float) -> tuple[float, float]:
    seen = centres.between(first_s, last_s)
    fall = fitted_fall(seen, down)
    if fall is None:
        return first_s, last_s
    near = np.flatnonzero((centres.t_s >= first_s - _EARLY_S) & (centres.t_s <= last_s + _LATE_S) & centres.sure)
    t_s = centres.t_s[near]
    place, ray = fall.at(t_s), np.column_stack([centres.flat[near], np.ones(len(near))])
    sd = place[:, 2] * centres.sd[near] * honest(seen, fall)
    ends = agreeing((place - ray * place[:, 2:]) @ down, sd)
    if ends is None or t_s[ends[1]] - t_s[ends[0]] < _MOST_OF * (last_s - first_s):
        return first_s, last_s
    return float(t_s[ends[0]]) + _EDGE_S, float(t_s[ends[1]]) - _EDGE_S
