"""Interacting multiple models: where a body is in the picture and how fast; whether it stands, falls or is in water.

Several Kalman filters run side by side, one for each way of moving; how well each foretold what was measured says how
probable it is, and each starts a frame from what all of them know (Blom and Bar-Shalom's algorithm). Per axis of the
picture the state is place and speed of the centre of gravity, the acceleration in flight, and how far the measured
point (a box's middle) lies off the centre of gravity: arms that go up move a box, not the body. Both axes share one
covariance, as they share noise and times.

Board: people accelerate somehow and soon come to rest. Flight: gravity alone acts; it is known to some per cent and
learnt on the way. Water: the speed decays. Ground: they accelerate somehow. Noise is in metres; how many pixels a
metre is in the picture is told at each step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, hypot, sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mode = Literal["board", "flight", "water", "ground"]

DIVE: Final[tuple[Mode, ...]] = ("board", "flight", "water")
GROUND: Final[tuple[Mode, ...]] = ("ground",)
IMPOSSIBLE: Final = 1e-3
"""No mode becomes less probable than this, or it could not come back."""
_NEXT: Final[dict[Mode, Mode]] = {"board": "flight", "flight": "water", "water": "board"}
_PLACE, _SPEED, _PULL, _OFF, _OFF_SPEED = range(5)
_SIZE: Final = 5
_SEEN: Final = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
"""What is measured of the state: the place, and how far the measured point is off it."""


@dataclass(frozen=True, slots=True)
class ImmSettings:
    """Noise of the filters. An acceleration acts as white noise of that size times the square root of a second.

    `board_s`, `water_s`: time constants after which a speed on the board, or in the water, is forgotten; without the
    former a fall would pass for somebody who runs. `off_m`, `off_s`: how far the middle of a found box is off the
    centre of gravity, and for how long; of dives seen through the tracker, mostly from stretched arms. `pull_s`: how
    long what was learnt of gravity in flight holds, as perspective changes it.
    `stay_s` mean time in a mode: at 50 frames a second 98 % of them stay. Who certainly goes up or down faster than
    `leaving_m_s`, which nobody does who stands on something, leaves the board within `leaving_s`: the first of a
    flight, the rise that slows down, is otherwise hard to tell from a step. Nobody meets the water, or a mat, below
    `entering_m_s`.
    """

    board_m_s2: float = 5.0
    board_s: float = 0.3
    flight_m_s2: float = 0.3
    water_m_s2: float = 5.0
    water_s: float = 0.25
    ground_m_s2: float = 8.0
    off_m: float = 0.15
    off_s: float = 0.07
    pull_s: float = 1.0
    stay_s: float = 0.99
    leaving_m_s: float = 1.5
    leaving_s: float = 0.03
    entering_m_s: float = 3.0


class Imm:
    """A point of the picture, pixels of `img`, from frame to frame."""

    def __init__(
        self,
        place_px: tuple[float, float],
        place_sd_px: float,
        speed_sd_px_s: float,
        modes: Sequence[Mode] = DIVE,
        settings: ImmSettings | None = None,
    ) -> None:
        self.settings = ImmSettings() if settings is None else settings
        self.modes = tuple(modes)
        self._dynamics = _Dynamics(self.modes, self.settings)
        count = len(self.modes)
        self._probability = np.eye(count)[0]  # nobody is in the air, as long as nothing speaks for it
        self._state = np.zeros((count, _SIZE, 2))
        self._state[:, _PLACE] = place_px
        self._covariance = np.zeros((count, _SIZE, _SIZE))
        self._covariance[:, _PLACE, _PLACE] = place_sd_px**2
        self._covariance[:, _SPEED, _SPEED] = speed_sd_px_s**2
        self._told = False

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
        u, v = (self._probability @ self._state[:, _SPEED]).tolist()
        return u, v

    @property
    def pull_px_s2(self) -> tuple[float, float]:
        """The acceleration in flight as learnt so far."""
        u, v = self._state[self.modes.index("flight"), _PULL].tolist()
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
            enters = may_enter and speed > self.settings.entering_m_s * metre_px
            self._mix(self._dynamics.transitions(dt_s, enters, leaves))
        step, noise, learnt = self._dynamics.step(dt_s)
        if not self._told:  # whoever was just taken up in flight has learnt nothing yet
            self._told, learnt = True, np.zeros_like(learnt)
        learning = self._state[:, _PULL] * learnt[:, None]
        self._state = step @ self._state
        self._state[:, _PULL] = learning + (1 - learnt[:, None]) * pull_px_s2
        self._covariance = step @ self._covariance @ step.transpose(0, 2, 1) + noise * metre_px**2
        self._covariance[:, _PULL, _PULL] += (1 - learnt**2) * pull_sd_px_s2**2

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

    def _speed_along(self, pull_px_s2: tuple[float, float]) -> tuple[float, float]:
        """Speed along gravity and its standard deviation, in pixels per second."""
        (v_u, v_v), (a_u, a_v) = self.speed_px_s, pull_px_s2
        size = hypot(a_u, a_v)
        variance = float(self._probability @ self._covariance[:, _SPEED, _SPEED])
        return (v_u * a_u + v_v * a_v) / size if size else 0.0, sqrt(variance)

    def _mix(self, transitions: Floats) -> None:
        """What each mode starts from: the states of all, by how probable it is that they went over to it."""
        joint = self._probability[:, None] * transitions
        self._probability = joint.sum(0)
        unreached = self._probability <= 0  # such a mode starts from itself, not from nothing
        share = ((joint + np.diag(unreached)) / (self._probability + unreached)).T  # to, from
        count = len(share)
        mixed = (share @ self._state.reshape(count, 2 * _SIZE)).reshape(count, _SIZE, 2)
        apart = self._state - mixed[:, None]  # to, from, 5, 2
        spread = apart @ apart.transpose(0, 1, 3, 2) / 2
        among = (self._covariance + spread).reshape(count, count, _SIZE**2)
        self._covariance = (share[:, None] @ among).reshape(count, _SIZE, _SIZE)
        self._state = mixed


class _Dynamics:
    """Matrices of the modes for steps of any length; those of the last lengths are kept."""

    def __init__(self, modes: tuple[Mode, ...], settings: ImmSettings) -> None:
        self._modes, self._settings = modes, settings
        self.step = lru_cache(maxsize=16)(self._step)
        self.transitions = lru_cache(maxsize=16)(self._transitions)

    def _transitions(self, dt_s: float, enters: bool, leaves: bool) -> Floats:
        """Probability (M, M) of going over from a mode (rows) to another within `dt_s`."""
        going = np.eye(len(self._modes))
        for row, mode in enumerate(self._modes):
            if mode != "flight" or enters:
                hurries = leaves and mode == "board"
                stay = exp(-dt_s / (self._settings.leaving_s if hurries else self._settings.stay_s))
                going[row, row] = stay
                going[row, self._modes.index(_NEXT[mode])] += 1 - stay
        return going

    def _step(self, dt_s: float) -> tuple[Floats, Floats, Floats]:
        """Transition of the state (M, 5, 5), its noise (M, 5, 5) in metres, and the share (M,) that is kept of what
        was learnt of gravity: nothing but in flight."""
        settings, count = self._settings, len(self._modes)
        white = {
            "board": settings.board_m_s2,
            "flight": settings.flight_m_s2,
            "water": settings.water_m_s2,
            "ground": settings.ground_m_s2,
        }
        fading = {"board": settings.board_s, "water": settings.water_s}
        rate = 1 / settings.off_s
        still = exp(-dt_s * rate)
        step, noise = np.tile(np.eye(_SIZE), (count, 1, 1)), np.zeros((count, _SIZE, _SIZE))
        step[:, _PULL, _PULL] = 0.0
        for row, mode in enumerate(self._modes):
            step[row, 0, 1] = dt_s
            if mode in fading:
                slowed = exp(-dt_s / fading[mode])
                step[row, :2, _SPEED] = fading[mode] * (1 - slowed), slowed
            if mode == "flight":
                step[row, :3, _PULL] = dt_s**2 / 2, dt_s, exp(-dt_s / settings.pull_s)
            noise[row, :2, :2] = white[mode] ** 2 * np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
        swing = still * np.array([[1 + rate * dt_s, dt_s], [-(rate**2) * dt_s, 1 - rate * dt_s]])
        usual = settings.off_m**2 * np.diag([1.0, rate**2])
        step[:, _OFF:, _OFF:] = swing
        noise[:, _OFF:, _OFF:] = usual - swing @ usual @ swing.T
        return step, noise, step[:, _PULL, _PULL].copy()
