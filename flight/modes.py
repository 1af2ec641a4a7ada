"""The ways of moving that `imm` weighs against each other, as matrices for steps of any length.

Board: people accelerate somehow and soon come to rest. Flight: gravity alone acts; it is known to some per cent and
learnt on the way. Water: the speed decays. Ground: they accelerate somehow. Noise is in metres.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mode = Literal["board", "flight", "water", "ground"]

DIVE: Final[tuple[Mode, ...]] = ("board", "flight", "water")
GROUND: Final[tuple[Mode, ...]] = ("ground",)
_NEXT: Final[dict[Mode, Mode]] = {"board": "flight", "flight": "water", "water": "board"}
PLACE, SPEED, PULL, OFF, OFF_SPEED = range(5)
"""Rows of the state."""
SIZE: Final = 5


@dataclass(frozen=True, slots=True)
class ImmSettings:
    """Noise of the filters. An acceleration acts as white noise of that size times the square root of a second.

    `board_s`, `water_s`: time constants after which a speed on the board, or in the water, is forgotten; without the
    former a fall would pass for somebody who runs. `off_m`, `off_s`: how far the middle of a found box is off the
    centre of gravity, and for how long; of dives seen through the tracker, mostly from stretched arms. `pull_s`: how
    long what was learnt of gravity in flight holds, as perspective changes it. `stay_s`: mean time in a mode; at 50
    frames a second 98 % of them stay. Who certainly goes up or down faster than `leaving_m_s`, which nobody does who
    stands on something, leaves the board within `leaving_s`: the first of a flight, the rise that slows down, is
    otherwise hard to tell from a step. Nobody meets the water, or a mat, below `entering_m_s`.
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


class Dynamics:
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
        step, noise = np.zeros((count, SIZE, SIZE)), np.zeros((count, SIZE, SIZE))
        for row, mode in enumerate(self._modes):
            step[row, :2, :2] = np.array([[1.0, dt_s], [0.0, 1.0]])
            if mode in fading:
                slowed = exp(-dt_s / fading[mode])
                step[row, :2, SPEED] = fading[mode] * (1 - slowed), slowed
            if mode == "flight":
                step[row, :3, PULL] = dt_s**2 / 2, dt_s, exp(-dt_s / settings.pull_s)
            noise[row, :2, :2] = white[mode] ** 2 * np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
        swing = still * np.array([[1 + rate * dt_s, dt_s], [-(rate**2) * dt_s, 1 - rate * dt_s]])
        usual = settings.off_m**2 * np.diag([1.0, rate**2])
        step[:, OFF:, OFF:] = swing
        noise[:, OFF:, OFF:] = usual - swing @ usual @ swing.T
        return step, noise, step[:, PULL, PULL].copy()


@lru_cache(maxsize=8)
def dynamics(modes: tuple[Mode, ...], settings: ImmSettings) -> Dynamics:
    """The same for all filters of a kind: there may be many, and short-lived ones."""
    return Dynamics(modes, settings)
