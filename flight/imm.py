"""Interacting multiple models: where a body is in the picture and how fast; whether it stands, falls or is in water.

Several Kalman filters run side by side, one for each way of moving; how well each foretold what was measured says how
probable it is, and each starts a frame from what all of them know. Per axis of the picture the state is place and
speed of the centre of gravity, the acceleration in flight, and how far the measured point (a box's middle) lies off
the centre of gravity: arms that go up move a box, not the body. Both axes share one covariance, as they share noise
and times. How many pixels a metre is in the picture is told at each step.
"""

import copy
from collections.abc import Sequence
from math import hypot, sqrt
from typing import Final

import numpy as np

from flight.modes import DIVE, PLACE, PULL, SIZE, SPEED, Floats, ImmSettings, Mode, dynamics

IMPOSSIBLE: Final = 1e-3
"""No mode becomes less probable than this, or it could not come back."""
HINT: Final = 0.7
"""How far who seems to jump is believed to be in flight: the push is not, and looks alike."""
_SEEN: Final = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
"""What is measured of the state: the place, and how far the measured point is off it."""


class Imm:
    """A point of the picture, pixels of `img`, from frame to frame."""

    def __init__(
        self,
        place_px: tuple[float, float],
        place_sd_px: float,
        speed_sd_px_s: float,
        modes: Sequence[Mode] = DIVE,
        settings: ImmSettings | None = None,
        flying: float = 0.0,
    ) -> None:
        """`flying` is how probably it is in flight when it is first seen."""
        self.settings = ImmSettings() if settings is None else settings
        self.modes = tuple(modes)
        self._dynamics = dynamics(self.modes, self.settings)
        count = len(self.modes)
        start = {"board": 1 - flying, "flight": flying, "water": 0.0, "ground": 1.0}
        self._probability = np.array([start[mode] for mode in self.modes])
        self._state = np.zeros((count, SIZE, 2))
        self._state[:, PLACE] = place_px
        self._covariance = np.zeros((count, SIZE, SIZE))
        self._covariance[:, PLACE, PLACE] = place_sd_px**2
        self._covariance[:, SPEED, SPEED] = speed_sd_px_s**2
        self._told = False

    def copied(self) -> "Imm":
        """Another one that knows the same."""
        other = copy.copy(self)
        other._state, other._covariance = self._state.copy(), self._covariance.copy()
        return other

    def probability(self, mode: Mode) -> float:
        """Of being in this mode, 0 to 1; 0 for one that is not among the modes."""
        return float(self._probability[self.modes.index(mode)]) if mode in self.modes else 0.0

    @property
    def place_px(self) -> tuple[float, float]:
        """The measured point as filtered or predicted, u and v."""
        u, v = (self._probability @ (_SEEN @ self._state)).tolist()
        return u, v

    @property
    def speed_px_s(self) -> tuple[float, float]:
        """Of the centre of gravity."""
        u, v = (self._probability @ self._state[:, SPEED]).tolist()
        return u, v

    @property
    def speed_sd_px_s(self) -> float:
        """Standard deviation of the speed along either axis, by the modes' own filters."""
        return sqrt(float(self._probability @ self._covariance[:, SPEED, SPEED]))

    @property
    def pull_px_s2(self) -> tuple[float, float]:
        """The acceleration in flight as learnt so far."""
        u, v = self._state[self.modes.index("flight"), PULL].tolist()
        return u, v

    @property
    def variance_px2(self) -> float:
        """Of the measured point along either axis, what the modes disagree by included."""
        seen = _SEEN @ self._state
        apart = seen - self._probability @ seen
        return float(self._probability @ (self._covariance @ _SEEN @ _SEEN + (apart * apart).sum(1) / 2))

    def predict(
        self,
        dt_s: float,
        metre_px: float,
        pull_px_s2: tuple[float, float] = (0.0, 0.0),
        pull_sd_px_s2: float = 0.0,
        may_enter: bool = True,
    ) -> None:
        """Advance by `dt_s`. `metre_px` is the size of a metre in the picture, `pull_px_s2` gravity as it is expected
        to act there, with its uncertainty along either axis; `may_enter` is false where there certainly is no water."""
        if len(self.modes) > 1:
            speed, sd = self._speed_along(pull_px_s2)
            leaves = abs(speed) - sd > self.settings.leaving_m_s * metre_px
            enters = may_enter and speed - sd > self.settings.entering_m_s * metre_px
            self._mix(self._dynamics.transitions(dt_s, enters, leaves))
        step, noise, learnt = self._dynamics.step(dt_s)
        if not self._told:  # whoever was just taken up in flight has learnt nothing yet
            self._told, learnt = True, np.zeros_like(learnt)
        learning = self._state[:, PULL] * learnt[:, None]
        self._state = step @ self._state
        self._state[:, PULL] = learning + (1 - learnt[:, None]) * pull_px_s2
        self._covariance = step @ self._covariance @ step.transpose(0, 2, 1) + noise * metre_px**2
        self._covariance[:, PULL, PULL] += (1 - learnt**2) * pull_sd_px_s2**2

    def distance2(self, place_px: tuple[float, float], variance_px2: float) -> float:
        """Squared Mahalanobis distance of a measured point from the prediction."""
        u, v = self.place_px
        return ((place_px[0] - u) ** 2 + (place_px[1] - v) ** 2) / (self.variance_px2 + variance_px2)

    def update(self, place_px: tuple[float, float], variance_px2: float) -> None:
        """Correct by a measured point of this variance along either axis."""
        off = np.array(place_px) - _SEEN @ self._state
        beside = self._covariance @ _SEEN
        total = beside @ _SEEN + variance_px2
        gain = beside / total[:, None]
        self._state += gain[:, :, None] * off[:, None]
        self._covariance -= gain[:, :, None] * beside[:, None]
        surprise = (off * off).sum(1) / total / 2 + np.log(total)
        weight = self._probability * np.exp(surprise.min() - surprise)
        weight = np.maximum(weight / weight.sum(), IMPOSSIBLE)
        self._probability = weight / weight.sum()

    def take_off(self) -> None:
        """It certainly left what it stood on just now: it is in flight, of which nothing is learnt yet."""
        self.fly(*self.modes, share=HINT)
        self._covariance[:, PULL] = self._covariance[:, :, PULL] = 0.0
        self._told = False

    def fly(self, *instead: str, share: float = 1 - IMPOSSIBLE) -> None:
        """It is in flight, by this share, if it seemed to be `instead` in one of these modes."""
        if "flight" in self.modes:
            rows = [self.modes.index(mode) for mode in instead if mode not in ("flight", "ground")]
            others = share * self._probability[rows]
            self._probability[rows] -= others
            self._probability[self.modes.index("flight")] += others.sum()

    def _speed_along(self, pull_px_s2: tuple[float, float]) -> tuple[float, float]:
        """Speed along gravity and its standard deviation, in pixels per second."""
        (v_u, v_v), (a_u, a_v) = self.speed_px_s, pull_px_s2
        size = hypot(a_u, a_v)
        return (v_u * a_u + v_v * a_v) / size if size else 0.0, self.speed_sd_px_s

    def _mix(self, transitions: Floats) -> None:
        """What each mode starts from: the states of all, by how probable it is that they went over to it."""
        joint = self._probability[:, None] * transitions
        self._probability = joint.sum(0)
        unreached = self._probability <= 0  # such a mode starts from itself, not from nothing
        share = ((joint + np.diag(unreached)) / (self._probability + unreached)).T  # to, from
        count = len(share)
        mixed = (share @ self._state.reshape(count, 2 * SIZE)).reshape(count, SIZE, 2)
        apart = self._state - mixed[:, None]  # to, from, 5, 2
        spread = apart @ apart.transpose(0, 1, 3, 2) / 2
        among = (self._covariance + spread).reshape(count, count, SIZE**2)
        self._covariance = (share[:, None] @ among).reshape(count, SIZE, SIZE)
        self._state = mixed
