"""The box of a subject from frame to frame: its middle by the physics of `imm`, its size as a random walk.

How large a metre is in the picture is seen from the box itself: nobody's box is tallest but when standing, and a diver
who tucks is no farther away. So all noise is relative to the subject, near or far. Width and height are random walks
in their logarithms.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engines.codecs import Box
from flight.imm import HINT, IMPOSSIBLE, Imm
from flight.modes import DIVE, ImmSettings, Mode
from flight.pull import Pull

GATE: Final = 9.21
"""99 % of chi-square with two degrees of freedom."""
TALLEST_M: Final = 2.1
"""Longest side of the box that the detector finds around somebody who stands, arms up or down: it is a little larger
than the body. Of rendered athletes within 20 %."""
LIKE: Final = 0.7
FOLDED: Final = 3.0
"""A tucked body does not show how tall it is: as tall as somebody else in the picture, about; less than 1 for those in
front. And nobody is so many times as tall as tucked."""
UNSEEN_S: Final = 0.05
"""Of whom nothing was seen for longer, nothing tells of water either: the fall goes on."""


@dataclass(frozen=True, slots=True)
class BoxSettings:
    """Noise of a measured box; lengths in units of its longer side.

    `measurement` the noise of a measured middle; `folding` what a change of size adds to it; `start_speed` the
    spread of the speed of a new subject, in its height (per s); `size_walk` the relative change of size per square
    root of a second, `size_measurement` the relative noise of a measured size, `size_rate` how fast the logarithms
    of width and height may change, per s: a diver who tucks halves the height of the box in a tenth of a second.
    `pull_share` relative uncertainty of gravity in the picture, `pull_share_new` what a subject just taken up adds
    to it, which may be tucked, for about `new_s`. `growing` share by which a taller box raises the height that a
    metre is seen from, and `shrinking_s` how slowly a smaller one lowers it outside flight.
    """

    measurement: float = 0.03
    folding: float = 0.3
    start_speed: float = 5.0
    size_walk: float = 1.0
    size_measurement: float = 0.11
    size_rate: float = 7.0
    gate: float = GATE
    pull_share: float = 0.15
    pull_share_new: float = 0.3
    new_s: float = 0.3
    shrinking_s: float = 3.0
    growing: float = 0.3


class BoxFilter:
    """One subject's box (left, top, right, bottom), pixels of `img`, from frame to frame."""

    def __init__(
        self,
        box_img_px: Box,
        modes: Sequence[Mode] = DIVE,
        pull: Pull | None = None,
        settings: BoxSettings | None = None,
        imm: ImmSettings | None = None,
        flying: float = 0.0,
        tallest_px: float = 0.0,
    ) -> None:
        """Of somebody who is seen for the first time: `flying` how probably in flight, `tallest_px` the longer
        side of somebody else in the picture who stands, 0 if nobody is known."""
        self.settings = BoxSettings() if settings is None else settings
        self._pull = Pull() if pull is None else pull
        u, v, self.width, self.height = _centred(box_img_px)
        side = self.side_px
        self._tallest_px = max(side, min(LIKE * tallest_px, FOLDED * side))
        speed_sd = self.settings.start_speed * self._tallest_px
        self._imm = Imm((u, v), self.settings.measurement * side, speed_sd, modes, imm, flying)
        self._size_variance = self.settings.size_measurement**2
        self._age_s = self._unmeasured_s = 0.0

    def copied(self) -> "BoxFilter":
        """Another one that knows the same."""
        other = copy.copy(self)
        other._imm = self._imm.copied()
        return other

    @property
    def box_img_px(self) -> Box:
        """The box as filtered or predicted."""
        u, v = self._imm.place_px
        return (u - self.width / 2, v - self.height / 2, u + self.width / 2, v + self.height / 2)

    @property
    def side_px(self) -> float:
        """The longer side."""
        return max(self.width, self.height)

    @property
    def sd_px(self) -> float:
        """Standard deviation of the middle, along either axis."""
        return math.sqrt(self._imm.variance_px2)

    @property
    def speed_px_s(self) -> tuple[float, float]:
        """Of the body."""
        return self._imm.speed_px_s

    @property
    def metre_px(self) -> float:
        """Pixels of a metre where the subject is: by the camera if it stands in a known world, else by the subject."""
        return self._pull.metre_px(self._imm.place_px) or self._tallest_px / TALLEST_M

    @property
    def tallest_px(self) -> float:
        """The longer side when standing, as far as it was seen."""
        return self._tallest_px

    @property
    def speed_sd_m_s(self) -> float:
        """Standard deviation of the speed in any direction."""
        return self._imm.speed_sd_px_s / self.metre_px

    @property
    def pull_px_s2(self) -> tuple[float, float]:
        """Gravity in the picture, where the subject is."""
        return self._pull.pull_px_s2(self._imm.place_px, self.metre_px)

    @property
    def falling_m_s(self) -> float:
        """Speed of the body along gravity, 0 or negative while it rises."""
        (v_u, v_v), (a_u, a_v) = self._imm.speed_px_s, self.pull_px_s2
        return (v_u * a_u + v_v * a_v) / (math.hypot(a_u, a_v) or 1.0) / self.metre_px

    def probability(self, mode: Mode) -> float:
        """Of moving so, 0 to 1."""
        return self._imm.probability(mode)

    def take_off(self) -> None:
        """It certainly left what it stood on just now."""
        self._imm.take_off()

    def fly(self, unseen: bool = False) -> None:
        """It certainly does not stand on anything, nor is it in the water if it rises, or is not seen and was not
        likely there."""
        dry = self.falling_m_s < 0 or (unseen and self.probability("flight") > self.probability("water"))
        share = 1 - IMPOSSIBLE if unseen else HINT
        self._imm.fly("board", *(["water"] if dry else []), share=share)

    def predict(self, dt_s: float) -> None:
        """Advance by `dt_s`."""
        settings, place, metre = self.settings, self._imm.place_px, self.metre_px
        pull = self._pull.pull_px_s2(place, metre)
        doubt = settings.pull_share + settings.pull_share_new * math.exp(-self._age_s / settings.new_s)
        may_enter = self._unmeasured_s < UNSEEN_S and self._pull.may_enter(place)
        self._imm.predict(dt_s, metre, pull, doubt * math.hypot(*pull), may_enter)
        self._size_variance += settings.size_walk**2 * dt_s
        self._unmeasured_s += dt_s
        self._age_s += dt_s

    def distance2(self, box_img_px: Box) -> float:
        """Squared Mahalanobis distance of a measured box's middle from the prediction."""
        u, v, width, height = _centred(box_img_px)
        return self._imm.distance2((u, v), self._noise(width, height))

    def sideways_m(self, box_img_px: Box) -> float:
        """How far a measured box's middle is from the prediction across gravity, metres."""
        u, v, _, _ = _centred(box_img_px)
        place, metre = self._imm.place_px, self.metre_px
        a_u, a_v = self._pull.pull_px_s2(place, metre)
        return abs((u - place[0]) * a_v - (v - place[1]) * a_u) / math.hypot(a_u, a_v) / metre

    def update(self, box_img_px: Box) -> bool:
        """Correct by a measured box; False, and nothing changes, when it lies beyond the gate."""
        u, v, width, height = _centred(box_img_px)
        noise = self._noise(width, height)
        if self._imm.distance2((u, v), noise) > self.settings.gate:
            return False
        self._imm.update((u, v), noise)
        self._resize(width, height)
        self._unmeasured_s = 0.0
        return True

    def _noise(self, width: float, height: float) -> float:
        """Variance of a measured middle: a body that folds or stretches moves its box's middle without moving."""
        change = max(abs(width - self.width), abs(height - self.height))
        return (self.settings.measurement * self.side_px) ** 2 + (self.settings.folding * change) ** 2

    def _resize(self, width: float, height: float) -> None:
        """Width and height towards the measured ones, by no more than the limit since the last update."""
        gain = self._size_variance / (self._size_variance + self.settings.size_measurement**2)
        limit = self.settings.size_rate * self._unmeasured_s
        self._size_variance *= 1 - gain
        self.width *= math.exp(_clamped(gain * math.log(width / self.width), limit))
        self.height *= math.exp(_clamped(gain * math.log(height / self.height), limit))
        if self.side_px > self._tallest_px:
            self._tallest_px += self.settings.growing * (self.side_px - self._tallest_px)
        else:
            aground = 1 - self.probability("flight")
            self._tallest_px *= (self.side_px / self._tallest_px) ** (
                aground * self._unmeasured_s / self.settings.shrinking_s
            )


def _centred(box_img_px: Box) -> tuple[float, float, float, float]:
    left, top, right, bottom = box_img_px
    if not (right > left and bottom > top):
        raise ValueError(f"expected a box with left < right and top < bottom; got {box_img_px}")
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _clamped(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
