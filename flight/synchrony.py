"""Clocks of several cameras set by one thing they all saw: the moment a diver is at the top of the flight.

Each camera's fall tells when the vertical speed was nothing. Two cameras' parabolas of the same dive agree in height
exactly if these moments do, so the difference of two such moments is that of the clocks, to some hundredths of a
second; the bundle adjustment does the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.scene import Body
from calibration.several import Watched
from calibration.track import Track
from flight import mass
from flight.centres import SURE, Centres, Recording, flights_in
from flight.fall import GRAVITY_M_S2, fitted_fall

Floats = NDArray[np.float64]

_ALIKE_S: Final = 0.15
"""Tops of the same flight, by a vertical that is known to some degrees, and lengths of it as found by two cameras."""
_INNER_S: Final = 0.02
_LEAST_NOISE_PX: Final = 2.0
"""What joints in a picture 1080 pixels high are off at least; networks err alike from picture to picture, which their
scatter does not show."""
_THIRD_DIFFERENCE: Final = 20.0**0.5
"""Standard deviation of x3 - 3 x2 + 3 x1 - x0 over that of each."""
_RIGID: Final = ((0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (1, 4), (11, 12), (12, 13), (14, 15), (15, 16))
"""Pairs of the 17 joints that keep their distance: limbs and pelvis; spine and shoulders do not."""


@dataclass(frozen=True, slots=True)
class Top:
    """A flight in a camera's own clock: its ends, and when it was at its top (before its beginning if it only fell)."""

    first_s: float
    last_s: float
    top_s: float


def body() -> Body:
    """What joins the 17 joints: masses midway between man and woman, and the bones."""
    masses = mass.points(0.5)
    return Body(np.asarray(masses.masses @ masses.from_joints, np.float64), np.array(_RIGID))


def watched(name: str, seen: Recording, camera: Camera) -> Watched:
    """Joints that were seen surely, on the plane Z = 1, with the noise they have."""
    flat = camera.normalised(seen.joints_img_px)
    flat = np.where((seen.confidence >= SURE)[..., None], flat, np.nan)
    jerk = flat[3:] - 3 * flat[2:-1] + 3 * flat[1:-2] - flat[:-3]
    scatter = 1.4826 * float(np.nanmedian(np.abs(jerk))) / _THIRD_DIFFERENCE
    least = _LEAST_NOISE_PX * camera.height / 1080 / camera.focal_px
    return Watched(name, Track(seen.t_s, flat, max(scatter, least)), seen.joints_root_m)


def tops_of(centres: Centres, down_cam: Floats) -> list[Top]:
    """The flights that one camera saw."""
    found = []
    for first_s, last_s in flights_in(centres, down_cam):
        fall = fitted_fall(centres.between(first_s, last_s), down_cam)
        if fall is not None:
            top_s = fall.t0_s - float(fall.velocity_cam_m_s @ down_cam) / GRAVITY_M_S2
            found.append(Top(first_s, last_s, top_s))
    return found


def offset_between(first: Sequence[Top], other: Sequence[Top], names: tuple[str, str]) -> float:
    """What the other camera's clock shows more than the first one's: that by which most flights agree.

    Raises CalibrationError when none does.
    """
    best: tuple[int, float, float] | None = None
    for one in first:
        for same in other:
            pairs = _agreeing(first, other, same.top_s - one.top_s)
            if not pairs:
                continue
            offsets = np.array([theirs.top_s - ours.top_s for ours, theirs in pairs])
            spread = float(np.abs(offsets - np.median(offsets)).sum())
            if best is None or (len(pairs), -spread) > (best[0], -best[1]):
                best = len(pairs), spread, float(np.median(offsets))
    if best is None:
        raise CalibrationError(
            f"{names[0]} and {names[1]} have no flight in common ({len(first)} and {len(other)} were found); record "
            "the same dives with both, from take-off to entry"
        )
    return best[2]


def _agreeing(first: Sequence[Top], other: Sequence[Top], offset_s: float) -> list[tuple[Top, Top]]:
    """Flights that are the same if the clocks differ by this much."""
    pairs = []
    for one in first:
        near = [same for same in other if abs(same.top_s - one.top_s - offset_s) < _ALIKE_S]
        near = [same for same in near if _overlap(one, same, offset_s) > 0.5 * (one.last_s - one.first_s)]
        if near:
            pairs.append((one, min(near, key=lambda same: abs(same.top_s - one.top_s - offset_s))))
    return pairs


def _overlap(one: Top, other: Top, offset_s: float) -> float:
    return min(one.last_s, other.last_s - offset_s) - max(one.first_s, other.first_s - offset_s)


def common(tops: Sequence[Sequence[Top]], offsets_s: Sequence[float]) -> list[tuple[float, float]]:
    """Flights that the first camera and another have seen, from and to by the first one's clock, where both did."""
    found = []
    for one in tops[0]:
        spans = []
        for other, offset in zip(tops[1:], offsets_s[1:], strict=True):
            for _, same in _agreeing([one], other, offset):
                spans.append((max(one.first_s, same.first_s - offset), min(one.last_s, same.last_s - offset)))
        if spans:
            first_s, last_s = max(spans, key=lambda span: span[1] - span[0])
            found.append((first_s + _INNER_S, last_s - _INNER_S))
    return found
