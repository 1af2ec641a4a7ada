"""The falls of one athlete before one resting camera: noticed while they begin, followed as they grow, fitted whole.

Also what they teach: how large the athlete is beside what the decoder believes of bodies.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.contact import CENTRE_OFF_M
from flight.fall import GRAVITY_M_S2, Fall, fitted_fall, honest
from flight.history import History, Rows
from flight.phases import Moment, agreeing, departure, falling
from flight.standpoint import Standpoint

Floats = NDArray[np.float64]

SIZE_SD: Final = 0.07
"""By how much bodies differ in size from what the decoder has learned: adults' statures by 5 %, the rest is its own."""
LOOK_BACK_S: Final = 1.6
"""Live, a take-off is sought among the frames of so long."""
WHOLE_S: Final = 3.2
OFF_EDGE_M: Final = np.array([0.12, 0.0, CENTRE_OFF_M])
OFF_EDGE_SD_M: Final = np.array([0.25, 0.25, 0.2])
"""Centre of gravity in the world at the take-off from a board whose edge is the origin: a hand's breadth over the
water, in the middle, at half a stretched body's height."""
_LOST_SIGMAS: Final = 5.0
_LOST_FRAMES: Final = 3
_SURE_S: Final = 0.4
"""Live, a fall is believed when it lasts so long already."""
_SHORTEST_S: Final = 0.42
"""A crouch on a springboard that gives way falls freely for almost as long; a shorter jump is 20 cm high."""
_ROUGHLY_S: Final = 0.06
"""What the ends of a stretch are off by before the departure from the parabola is sought."""
_REFITS: Final = 4
_REFIT_SHARE: Final = 0.08
"""A fall that grows is fitted again when it has become so much longer: a frame more of many changes little."""
_PUSHED_M_S2: Final = 2 * GRAVITY_M_S2
_PUSHED_S: Final = (0.12, 0.08)
"""What a board or water may still do to a body so long inside the ends that were found: they let go of it slowly."""
_FAR_SIGMAS: Final = 3.5
"""A fall farther from where the body's size puts it is none: something else bends as a fall would."""
_SCALES_UNSURE: Final = (0.88, 1.0, 1.13)


@dataclass(frozen=True, slots=True, eq=False)
class Flown:
    """One fall of the athlete: its ends (the last at infinity while it lasts), and how surely it is one (`gain`)."""

    off: Moment
    entry: Moment
    fall: Fall
    gain: float

    @property
    def take_off_s(self) -> float:
        """When it began."""
        return self.off.t_s

    @property
    def entry_s(self) -> float:
        """When it ended; infinity while it lasts."""
        return self.entry.t_s

    def covers(self, t_s: float) -> bool:
        """Whether the body falls at this time."""
        return self.take_off_s <= t_s <= self.entry_s


class Falls:
    """Of the athlete whose sightings are in `history`: `flown` those that are over, oldest first, `now` one that lasts.

    `size` is how large the athlete is beside what the decoder believes, `size_sd` the standard deviation of that.
    """

    def __init__(self, standpoint: Standpoint, history: History) -> None:
        self._standpoint = standpoint
        self._history = history
        self._frames = 0
        self._fitted_s = -np.inf
        self.size, self.size_sd = 1.0, SIZE_SD
        self.now: Flown | None = None
        self.flown: list[Flown] = []

    def at(self, t_s: float) -> Flown | None:
        """The fall that covers a time."""
        for flown in (self.now, *reversed(self.flown)):
            if flown is not None and flown.covers(t_s):
                return flown
        return None

    def follow(self, t_s: float) -> None:
        """Take in the newest frame, seen at `t_s`."""
        self._frames += 1
        if self.now is None:
            if self._frames % 2 == 0:
                self.now = self._beginning(t_s)
            return
        rows = self._history.between(self.now.take_off_s, t_s)
        if self._left(self.now, rows):
            self._finish(float(rows.t_s[-1 - _LOST_FRAMES]))
            return
        self.now = replace(self.now, gain=self.now.gain + 1.0)
        if t_s - self._fitted_s >= _REFIT_SHARE * (t_s - self.now.take_off_s):
            fall = self._fitted(rows, self.now.take_off_s, t_s, self.now.fall)
            self.now = self.now if fall is None else replace(self.now, fall=fall)
            self._fitted_s = t_s

    def settle(self) -> Flown | None:
        """The newest fall fitted once more from all that is known of it by now; None where there was none."""
        if self.now is not None:
            self._finish(self._history.newest_s)
        if not self.flown:
            return None
        last = self.flown.pop()
        rows = self._history.between(last.take_off_s - WHOLE_S / 2, last.entry_s + WHOLE_S / 2)
        self._add(self._longest(last, rows) or last, rows)
        return self.flown[-1] if self.flown else None

    def _beginning(self, t_s: float) -> Flown | None:
        """The fall that the newest frames belong to."""
        rows = self._history.between(t_s - LOOK_BACK_S, t_s)
        if self.flown:
            rows = Rows(rows.table[rows.t_s > self.flown[-1].entry_s])
        if len(rows.t_s) < 6:
            return None
        heights = self._heights(rows)
        stretch = None if heights is None else falling(rows.t_s, *heights, scales=self._scales(), least_s=_SURE_S)
        if stretch is None or stretch.last < len(rows.t_s) - _LOST_FRAMES:
            return None
        take_off_s = float(rows.t_s[stretch.first])
        fall = self._fitted(rows, take_off_s + 0.25 * (t_s - take_off_s), t_s)
        if fall is None:
            return None
        return Flown(Moment(take_off_s, _ROUGHLY_S), Moment(np.inf, _ROUGHLY_S), fall, stretch.gain)

    def _left(self, flown: Flown, rows: Rows) -> bool:
        """Whether the last frames lie off the parabola, or nobody was seen in them."""
        if len(rows.t_s) <= _LOST_FRAMES + 3:
            return False
        last = rows.table[-_LOST_FRAMES:]
        place = flown.fall.at(last[:, 0])
        spread = flown.fall.covariance_at(last[:, 0])
        miss = np.linalg.norm(place[:, :2] / place[:, 2:] - last[:, 1:3], axis=1)
        sd = np.sqrt((last[:, 3] * flown.fall.noise) ** 2 + spread[:, 1, 1] / place[:, 2] ** 2)
        unseen = np.isnan(miss)
        if unseen.all():
            return bool(len(rows.t_s) > 12 and np.isnan(rows.table[-12:, 1]).all())
        return bool((miss > _LOST_SIGMAS * sd).all())

    def _finish(self, entry_s: float) -> None:
        """The fall is over, if it was one: taken as a whole, a crouch that began like it is none."""
        assert self.now is not None
        over = replace(self.now, entry=Moment(entry_s, _ROUGHLY_S))
        self.now = None
        rows = self._history.between(over.take_off_s - WHOLE_S / 2, self._history.newest_s)
        whole = self._longest(over, rows)
        if whole is not None:
            self._add(whole, rows)

    def _add(self, flown: Flown, rows: Rows) -> None:
        """Keep a fall, and of those that overlap the surest."""
        apart = [fall for fall in self.flown if fall.entry_s < flown.take_off_s or fall.take_off_s > flown.entry_s]
        rivals = [fall for fall in self.flown if fall not in apart and fall.gain > flown.gain]
        if not rivals:
            self.flown = [*apart, flown]
            self._learn_size(flown, rows)

    def _whole(self, rows: Rows) -> Flown | None:
        """The surest fall among these frames, with its ends where the body comes onto the parabola and leaves it."""
        heights = self._heights(rows)
        stretch = None if heights is None else falling(rows.t_s, *heights, scales=self._scales())
        if stretch is None:
            return None
        first_s, last_s = float(rows.t_s[stretch.first]), float(rows.t_s[stretch.last])
        inner = 0.15 * (last_s - first_s)
        fall = self._fitted(rows, first_s + inner, last_s - inner)
        if fall is None:
            return None
        ends = Moment(first_s, _ROUGHLY_S), Moment(last_s, _ROUGHLY_S)
        return self._grown(Flown(*ends, fall, stretch.gain), rows)

    def _longest(self, flown: Flown, rows: Rows) -> Flown | None:
        """The fall as a whole, found anew among all frames or grown from what is known of it."""
        middle_s = (flown.take_off_s + flown.entry_s) / 2
        found = [fall for fall in (self._whole(rows), self._grown(flown, rows)) if fall and fall.covers(middle_s)]
        return max(found, key=lambda fall: fall.entry_s - fall.take_off_s, default=None)

    def _grown(self, flown: Flown, rows: Rows) -> Flown | None:
        grown: Flown | None = flown
        for _ in range(_REFITS):
            grown = None if grown is None else self._better_ends(grown, rows)
        return grown

    def _better_ends(self, flown: Flown, rows: Rows) -> Flown | None:
        """The same fall from where the body comes onto its parabola to where it leaves it."""
        above, sd = self._above(flown.fall, rows)
        ends = agreeing(above, sd)
        if ends is None:
            return None
        off = departure(rows.t_s, above, sd, float(rows.t_s[ends[0]]), before=True)
        entry = departure(rows.t_s, above, sd, float(rows.t_s[ends[1]]), before=False)
        if off is None or entry is None or entry.t_s - off.t_s < _SHORTEST_S:
            return None
        fall = self._fitted(_unsure_ends(rows, off, entry, flown.fall), off.t_s, entry.t_s, flown.fall)
        return None if fall is None else Flown(off, entry, fall, flown.gain)

    def _fitted(self, rows: Rows, first_s: float, last_s: float, begin: Fall | None = None) -> Fall | None:
        """The fall between two times, which is to lie where the size of the body allows it."""
        inside = Rows(rows.table[(rows.t_s >= first_s) & (rows.t_s <= last_s)])
        known = np.isfinite(inside.depth_m)
        if not known.any():
            return None
        depth = self.size * float(np.median(inside.depth_m[known]))
        # Frames err alike: however many there are, their scatter is what their middle may be off by.
        scatter = 1.4826 * float(np.median(np.abs(self.size * inside.depth_m[known] / depth - 1)))
        sd = depth * float(np.hypot(self.size_sd / self.size, scatter))
        seen = inside.seen(((float(inside.t_s[known].mean()), depth, sd), *self._at_edge(first_s)))
        fall = fitted_fall(seen, self._standpoint.down_cam, begin=begin)
        if fall is not None:
            noise = honest(seen, fall)
            again = fitted_fall(replace(seen, sd=seen.sd * noise), self._standpoint.down_cam, begin=fall)
            fall = None if again is None else replace(again, noise=noise)
        if fall is None or abs(float(np.median(fall.at(inside.t_s)[:, 2])) - depth) > _FAR_SIGMAS * sd:
            return None
        return fall

    def _at_edge(self, take_off_s: float) -> tuple[tuple[float, float, float], ...]:
        """Where a board is known falls begin at its edge: the depth of the centre of gravity there."""
        if self._standpoint.board is None:
            return ()
        turn, place = self._standpoint.world_from_cam[:3, :3], self._standpoint.world_from_cam[:3, 3]
        ahead = turn[:, 2]
        sd = float(np.linalg.norm(ahead * OFF_EDGE_SD_M))
        return ((take_off_s, float((OFF_EDGE_M - place) @ ahead), sd),)

    def _heights(self, rows: Rows) -> tuple[Floats, Floats] | None:
        """Heights above the camera (N,) and their deviations: the ray's rise over the level distance, which changes
        evenly with time and so is told from all frames together."""
        known = np.isfinite(rows.depth_m)
        if np.count_nonzero(known) < 6:
            return None
        up = -self._standpoint.down_cam
        ray = np.column_stack([rows.flat, np.ones(len(rows.t_s))])
        rise = ray @ up
        level = np.linalg.norm(ray - rise[:, None] * up, axis=1)
        away = self.size * rows.depth_m * level
        line = steady_line(rows.t_s[known], away[known], rows.depth_sd[known] * away[known])
        distance = np.maximum(line[0] * rows.t_s + line[1], 0.5)
        return distance * rise / level, distance * rows.flat_sd / level

    def _above(self, fall: Fall, rows: Rows) -> tuple[Floats, Floats]:
        """How far (N,) the centre lies above the fall at the fall's distance, and the deviations."""
        up = -self._standpoint.down_cam
        place = fall.at(rows.t_s)
        ray = np.column_stack([rows.flat, np.ones(len(rows.t_s))])
        noise = place[:, 2] * rows.flat_sd * fall.noise
        # Beyond the frames it was fitted to, a fall itself is ever less sure.
        return (ray * place[:, 2:] - place) @ up, np.sqrt(noise**2 + fall.covariance_at(rows.t_s) @ up @ up)

    def _scales(self) -> tuple[float, ...]:
        return (1.0,) if self.size_sd < 0.03 else _SCALES_UNSURE

    def _learn_size(self, flown: Flown, rows: Rows) -> None:
        """The athlete's size by how far away the fall was and how far the body's size in the picture said."""
        inside = (rows.t_s >= flown.take_off_s) & (rows.t_s <= flown.entry_s) & np.isfinite(rows.depth_m)
        if np.count_nonzero(inside) < 5:
            return
        ratio = flown.fall.at(rows.t_s[inside])[:, 2] / rows.depth_m[inside]
        noise = 1.25 * float(np.std(ratio)) / np.sqrt(len(ratio) / 4)  # neighbouring frames err alike
        sd = float(np.hypot(flown.fall.depth_sd, noise))
        weight, prior = 1 / sd**2, 1 / SIZE_SD**2
        self.size = float((weight * np.median(ratio) + prior) / (weight + prior))
        self.size_sd = float((weight + prior) ** -0.5)


def _unsure_ends(rows: Rows, off: Moment, entry: Moment, fall: Fall) -> Rows:
    """The frames with a greater deviation near either end, where a push that is not over would bend the parabola."""
    inside = np.stack([rows.t_s - off.t_s, entry.t_s - rows.t_s], axis=1)
    pushed_m = _PUSHED_M_S2 / 2 * (np.maximum(np.array(_PUSHED_S) - inside, 0.0) ** 2).sum(axis=1)
    table = rows.table.copy()
    table[:, 3] = np.hypot(rows.flat_sd, pushed_m / fall.at(rows.t_s)[:, 2])
    return Rows(table)


def steady_line(t: Floats, values: Floats, sd: Floats) -> tuple[float, float]:
    """Slope and value at 0 of the line through values (N,), those far from it counting less."""
    sure = 1 / np.maximum(sd, 1e-6) ** 2
    weight = sure
    for _ in range(3):
        total = float(weight.sum())
        middle, mean = float(weight @ t) / total, float(weight @ values) / total
        slope = float(weight @ ((t - middle) * values)) / max(float(weight @ (t - middle) ** 2), 1e-12)
        miss = np.abs(values - mean - slope * (t - middle)) * np.sqrt(sure)
        limit = 1.5 * max(float(np.median(miss)) * 1.4826, 1e-9)
        weight = sure * np.minimum(1.0, limit / np.maximum(miss, 1e-12))
    return slope, mean - slope * middle
