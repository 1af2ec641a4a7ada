"""Which way is down before a resting camera, from the flights it has seen; no board, no known point.

Whoever flies falls the same way every time. So the falls of all recordings share one direction of gravity: it and the
falls are fitted together to the centre of gravity as the camera saw it. To find the falls a vertical is needed, to find
the vertical falls: a rough one finds them roughly, and both are repeated until they agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from flight.centres import Centres, Recording, centres_of, flights_in, stretches
from flight.fall import MIN_POINTS, Fall, Seen, Vertical, fitted_vertical, honest

Floats = NDArray[np.float64]

_SEEN_SHARE: Final = 0.6
"""Of the frames of a flight, with a centre of gravity."""
_SIDEWAYS_M_S: Final = 3.0
"""Expected of the horizontal speed. All dives from a board go the same way at 1 m/s, which is no chance: a closer
expectation, counted for each of them, would tilt the vertical."""
_ROUNDS: Final = 6
_WORSE_RAD: Final = np.radians(8.0)
"""A vertical less sure than this finds flights worse than the guess did."""
_SETTLED_RAD: Final = np.radians(0.05)
_TILTS_DEG: Final = (0.0, 30.0, -25.0, 55.0)
"""How far cameras look down, at which the search may begin."""
_ALMOST: Final = 0.9
_JACKKNIFE: Final = 4
"""Flights from which on leaving one out tells something."""
_STRANGE: Final = 9.0
"""Mean squared residual, in standard deviations, of what is no fall."""


@dataclass(frozen=True, slots=True)
class Flight:
    """One flight in a recording, from the first to the last moment that lies on its parabola, and the fall it is."""

    recording: int
    first_s: float
    last_s: float
    fall: Fall

    @property
    def distance_m(self) -> float:
        """From the camera to the athlete at its beginning."""
        return float(np.linalg.norm(self.fall.start_cam_m))


@dataclass(frozen=True, slots=True)
class Plumb:
    """Where down is: `down_cam` (3,), a unit vector in camera axes, with the standard deviation of its angle `sd_rad`.

    `left_out` are flights, with recording and time, that are no fall.
    """

    down_cam: Floats
    sd_rad: float
    flights: tuple[Flight, ...]
    left_out: tuple[tuple[int, float], ...] = ()

    def more_flights(self, goal_rad: float) -> int:
        """How many flights more would bring the deviation down to a goal: it falls with the root of their number."""
        count = len(self.flights)
        return max(0, int(np.ceil(count * (self.sd_rad / goal_rad) ** 2)) - count)


def plumbed(recordings: Sequence[Recording], camera: Camera, guess_cam: Floats | None = None) -> Plumb:
    """The vertical that the flights of all recordings share; `guess_cam` (3,) is where to begin, if something is known.

    Raises CalibrationError when there is no flight, or no centre of gravity in it.
    """
    centres = [centres_of(recording, camera) for recording in recordings]
    names = [recording.name for recording in recordings]
    down = _first(centres) if guess_cam is None else np.asarray(guess_cam, np.float64)
    for turn in range(_ROUNDS):
        spells = [_Spell(k, *ends) for k, one in enumerate(centres) for ends in flights_in(one, down, turn > 0)]
        _refuse_unseen(names, centres, spells)
        plumb = _shared(centres, spells, down)
        turned = float(np.arccos(np.clip(plumb.down_cam @ down, -1, 1)))
        down = plumb.down_cam
        if (turn > 0 and turned < _SETTLED_RAD) or plumb.sd_rad > _WORSE_RAD:
            break
    return plumb


@dataclass(frozen=True, slots=True)
class _Spell:
    """When somebody flies in a recording."""

    recording: int
    first_s: float
    last_s: float


def _first(centres: Sequence[Centres]) -> Floats:
    """A vertical to begin with: that of the least tilt by which bodies fall almost as surely as by any."""
    tilts = np.radians(_TILTS_DEG)
    downs = np.stack([np.zeros(len(tilts)), np.cos(tilts), np.sin(tilts)], axis=1)
    gains = np.array([sum(stretches(one, down)[1] for one in centres) for down in downs])
    return np.asarray(downs[int(np.argmax(gains >= _ALMOST * gains.max()))])


def _refuse_unseen(names: Sequence[str], centres: Sequence[Centres], spells: Sequence[_Spell]) -> None:
    """Raises CalibrationError when there is no flight, or one in which the centre of gravity cannot be had."""
    if not spells:
        where = names[0] if len(names) == 1 else f"any of {len(names)} recordings"
        raise CalibrationError(
            f"no flight was found in {where}; the athlete must be seen from take-off to entry, by a camera that rests"
        )
    for spell in spells:
        one = centres[spell.recording]
        inside = (one.t_s >= spell.first_s) & (one.t_s <= spell.last_s)
        seen = one.sure[inside]
        if seen.mean() < _SEEN_SHARE or seen.sum() < MIN_POINTS:
            raise CalibrationError(
                f"{names[spell.recording]}: too few joints are seen in the flight at {spell.first_s:.2f} s for a "
                f"centre of gravity (in {seen.mean():.0%} of its frames, {_SEEN_SHARE:.0%} are needed); the middle of "
                "the box would draw the vertical away: film larger, or leave this dive out"
            )


def _shared(centres: Sequence[Centres], spells: Sequence[_Spell], down: Floats) -> Plumb:
    """The vertical of these flights, without those that are no fall."""
    kept, left_out = list(spells), list[tuple[int, float]]()
    while True:
        seen = [centres[spell.recording].between(spell.first_s, spell.last_s) for spell in kept]
        vertical = fitted_vertical(seen, tuple(down), _SIDEWAYS_M_S)
        if vertical is None:
            raise CalibrationError(
                f"the vertical does not follow from {len(kept)} flights; were they seen by one camera that rests, and "
                "is the camera file its own?"
            )
        worst = int(np.argmax([fall.chi2 for fall in vertical.falls]))
        if vertical.falls[worst].chi2 <= _STRANGE or len(kept) == 1:
            break
        spell = kept.pop(worst)
        left_out.append((spell.recording, spell.first_s))
    flights = tuple(
        Flight(spell.recording, spell.first_s, spell.last_s, fall)
        for spell, fall in zip(kept, vertical.falls, strict=True)
    )
    return Plumb(vertical.down_cam, _deviation(vertical, seen), flights, tuple(left_out))


def _deviation(vertical: Vertical, seen: Sequence[Seen]) -> float:
    """Standard deviation of the angle: from what the falls leave over, or from how much one flight less changes it (the
    jackknife), whichever is larger."""
    left = [honest(one, fall) for one, fall in zip(seen, vertical.falls, strict=True)]
    own = vertical.sd_rad * float(np.sqrt(np.mean(np.square(left))))
    if len(seen) < _JACKKNIFE:
        return own
    less = [
        fitted_vertical([*seen[:k], *seen[k + 1 :]], tuple(vertical.down_cam), _SIDEWAYS_M_S) for k in range(len(seen))
    ]
    downs = np.array([one.down_cam for one in less if one is not None])
    if len(downs) < _JACKKNIFE:
        return own
    off = downs - downs.mean(axis=0)
    return max(own, float(np.sqrt(np.linalg.eigvalsh(off.T @ off)[-1] * (len(downs) - 1) / len(downs))))
