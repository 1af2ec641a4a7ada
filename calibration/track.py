"""What one camera has seen of a body's joints over time, by its own clock; and at times between its pictures."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ABOUT_S: Final = 0.08
"""Pictures so near to a time are smoothed by a parabola, the nearest most; all cameras smooth the same motion alike."""
_LEAST_KNOWN: Final = 4
_SPIKE_SIGMAS: Final = 5.0
_SPIKE_FRAMES: Final = 5
_OFF_SIGMAS: Final = 3.5
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Between:
    """Directions `flat` (T, J, 2) at some times, NaN where too little was seen, their `speed`, 1/s, and the part
    `noise` (T, J) of a picture's noise that is left in them."""

    flat: Floats
    speed: Floats
    noise: Floats


@dataclass(frozen=True, slots=True)
class Track:
    """F moments of a camera's own clock: `t_s` (F,); `flat` (F, J, 2) directions on the plane Z = 1, NaN where nothing
    was seen; `sd` their standard deviation."""

    t_s: Floats
    flat: Floats
    sd: float

    def at(self, t_s: Floats) -> Between:
        """What was seen at times (T,) of its clock: of the parabola through the pictures about each, by least squares.

        Not interpolated between two pictures: the noise of that is least half-way, which draws the clocks there.
        """
        size = min(2 * round(_ABOUT_S / float(np.median(np.diff(self.t_s)))) + 2, len(self.t_s))
        first = np.clip(np.searchsorted(self.t_s, t_s) - size // 2, 0, len(self.t_s) - size)
        rows = first[:, None] + np.arange(size)
        tau = (self.t_s[rows] - t_s[:, None]) / _ABOUT_S
        seen = self.flat[rows]  # (T, K, J, 2)
        # Cleveland's weights: a picture comes in and goes out of the sum without a jump.
        known = np.asarray(np.isfinite(seen).all(axis=3))
        weight = np.where(known, np.clip(1 - np.abs(tau) ** 3, 0, None)[..., None] ** 3, 0.0)
        powers = tau[..., None] ** np.arange(3)
        normal, squares = (np.einsum("tkj,tka,tkb->tjab", weight**n, powers, powers) for n in (1, 2))
        # On one side of a time alone nothing tells what is there.
        enough = (weight > 0).sum(axis=1) >= _LEAST_KNOWN
        for side in (tau >= 0, tau <= 0):
            enough &= ((weight > 0) & side[..., None]).any(axis=1)
        inverse = np.linalg.inv(np.where(enough[..., None, None], normal, np.eye(3)))
        right = np.einsum("tkj,tka,tkjc->tjac", weight, powers, np.where(weight[..., None] > 0, seen, 0.0))
        found = np.where(enough[..., None, None], inverse @ right, np.nan)
        noise = np.where(enough, np.einsum("tja,tjab,tjb->tj", inverse[..., 0], squares, inverse[..., 0]), 1.0)
        return Between(found[:, :, 0], found[:, :, 1] / _ABOUT_S, np.sqrt(noise))

    @property
    def despiked(self) -> "Track":
        """Without joints that jump away from their neighbours for a moment."""
        track = Track(self.t_s, np.where(self._jumps()[..., None], np.nan, self.flat), self.sd)
        for _ in range(_ROUNDS):
            off = np.linalg.norm(track.flat - track.at(self.t_s).flat, axis=2)
            padded = np.pad(np.nan_to_num(off), ((_SPIKE_FRAMES // 2,) * 2, (0, 0)))
            most = np.lib.stride_tricks.sliding_window_view(padded, _SPIKE_FRAMES, axis=0).max(axis=-1)
            # The worst alone: it has drawn its neighbours' parabolas to itself.
            wrong = (off > _OFF_SIGMAS * self.sd) & (off >= most)
            track = Track(self.t_s, np.where(wrong[..., None], np.nan, track.flat), self.sd)
        return track

    def _jumps(self) -> NDArray[np.bool_]:
        """Joints (F, J) far from the middle of five pictures."""
        half = _SPIKE_FRAMES // 2
        padded = np.pad(self.flat, ((half, half), (0, 0), (0, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, _SPIKE_FRAMES, axis=0)
        known = np.asarray(np.isfinite(windows).all(axis=-1))
        ordered = np.sort(np.where(known[..., None], windows, 0.0), axis=-1)
        # Of what moves steadily the middle of five is the one in the middle; the inner three say how far it moves.
        reach = ordered[..., half + 1] - ordered[..., half - 1]
        jumps = (np.abs(self.flat - ordered[..., half]) > _SPIKE_SIGMAS * self.sd + 1.5 * reach) & known
        return np.asarray(jumps.any(axis=-1))
