"""One angle over time: which of many courses the frames support, though any frame may be wrong.

A course is what could be expected of the angle; the true one strays from it slowly. A hidden Markov model, whose states
are the deviation on a grid and what is wrong with the frame, sums over both for every course at once (the forward
pass), and tells the true course of one or some of them (the backward pass).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TABLE: Final = 120
"""Angles of a turn at which likelihoods are tabled."""
_LEVELS: Final = 2
"""Spreads are told apart by their logarithm, so many steps from one to twice of it."""
_LEAST_SPREAD: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Expected:
    """`turns` (N, T) of N courses in T frames; `spread` (N, T - 1) how far the true angle strays in a step, turns;
    `prior` (N,); `deviations` (D,) turns, evenly spaced, and how likely they are at first, `start` (D,).
    """

    turns: Floats
    spread: Floats
    prior: Floats
    deviations: Floats
    start: Floats

    def of(self, rows: NDArray[np.bool_]) -> "Expected":
        """Some of the courses (N,)."""
        return Expected(self.turns[rows], self.spread[rows], self.prior[rows], self.deviations, self.start)

    def ends(self) -> Floats:
        """(N, D) turns at the last frame."""
        return np.asarray(self.turns[:, -1:] + self.deviations)

    def moved(self, message: Floats, step: int, back: bool = False) -> Floats:
        """`message` (N, F, D) after the deviation has changed in a step, or `back` before."""
        count = len(self.deviations)
        gaps = (np.arange(count) - np.arange(count)[:, None]) * (self.deviations[1] - self.deviations[0])
        # Courses that stray about as much move together: one kernel for each of a few spreads.
        levels = np.round(_LEVELS * np.log2(np.maximum(self.spread[:, step], _LEAST_SPREAD)))
        found = np.empty_like(message)
        for level in np.unique(levels):
            kernel = np.exp(-0.5 * (gaps / 2 ** (level / _LEVELS)) ** 2)
            kernel /= kernel.sum(1, keepdims=True)
            rows = levels == level
            found[rows] = message[rows] @ (kernel.T if back else kernel)
        return found


@dataclass(frozen=True, slots=True)
class Course:
    """The true angle: `turns` (T,) with its spread `sd`, and `faults` (T, F) probabilities of what is wrong."""

    turns: Floats
    sd: Floats
    faults: Floats


@dataclass(frozen=True, slots=True)
class Evidence:
    """Log likelihoods `fits` (T, F, TABLE) of the angles of a turn, for each fault a frame may have; `faults` (T, F)
    how often it has it; `stay` how likely it keeps it in the next frame.
    """

    fits: Floats
    faults: Floats
    stay: float = 0.9

    def ends(self, expected: Expected) -> Floats:
        """Log probability (N, D) of every course with its last deviation, all frames considered."""
        message, scale = self._first(expected), np.zeros(len(expected.prior))
        for k in range(len(self.fits)):
            if k:
                message = expected.moved(self._mixed(message, k), k - 1)
            message = message * self._weights(expected, k)
            total = message.sum((1, 2))
            scale += np.log(total)
            message = message / total[:, None, None]
        return np.asarray(np.log(np.maximum(message.sum(1), 1e-300)) + scale[:, None])

    def course(self, expected: Expected, ended: Floats) -> Course:
        """The true course, given the weights `ended` (N, D) of the ends."""
        frames = len(self.fits)
        forward = [self._first(expected) * self._weights(expected, 0)]
        for k in range(1, frames):
            ahead = expected.moved(self._mixed(forward[-1], k), k - 1) * self._weights(expected, k)
            forward.append(ahead / ahead.sum())
        backward = np.broadcast_to(ended[:, None], forward[0].shape)
        turns, sd, faults = np.empty(frames), np.empty(frames), np.empty(self.faults.shape)
        for k in range(frames - 1, -1, -1):
            both = forward[k] * backward
            both = both / both.sum()
            faults[k] = both.sum((0, 2))
            places = expected.turns[:, k, None] + expected.deviations
            of_place = both.sum(1)
            turns[k] = np.sum(of_place * places)
            sd[k] = np.sqrt(np.sum(of_place * (places - turns[k]) ** 2))
            if k:
                behind = expected.moved(backward * self._weights(expected, k), k - 1, back=True)
                changed = np.einsum("f,nfd->nd", self.faults[k], behind)[:, None]
                behind = self.stay * behind + (1 - self.stay) * changed
                backward = behind / behind.sum()
        return Course(turns, sd, faults)

    def _first(self, expected: Expected) -> Floats:
        return np.asarray(expected.prior[:, None, None] * self.faults[0][:, None] * expected.start)

    def _mixed(self, message: Floats, k: int) -> Floats:
        """`message` (N, F, D) of the frame before `k`, whose fault may be another."""
        changed = self.faults[k][:, None] * message.sum(1, keepdims=True)
        return np.asarray(self.stay * message + (1 - self.stay) * changed)

    def _weights(self, expected: Expected, k: int) -> Floats:
        """Likelihood (N, F, D) of frame `k`."""
        places = np.round((expected.turns[:, k, None] + expected.deviations) * TABLE).astype(int) % TABLE
        return np.asarray(np.swapaxes(np.exp(self.fits[k])[:, places], 0, 1))
