"""When the athlete leaves the board and meets the water, by feet and hands: finer than the fall alone tells.

A fall says when gravity began to rule, within some hundredths of a second. Feet tell better where it is known how high
they were: they pass the level of the last contact with the speed of the take-off. So does the water, whose level is
known: the first joint below it. Both are read from lines through some frames, between the frames.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES
from flight.phases import Moment

Floats = NDArray[np.float64]

ANKLES: Final = (JOINT_NAMES.index("left_ankle"), JOINT_NAMES.index("right_ankle"))
WRISTS: Final = (JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist"))

ON_TIPTOE_M: Final = 0.17
"""Height of the ankles over the board when the toes leave it: the length of a foot from ankle to ball and the height of
the ankle, on tiptoe."""
ON_HANDS_M: Final = 0.07
CENTRE_OFF_M: Final = 1.0
CENTRE_OFF_SD_M: Final = 0.12
"""Height of the centre of gravity over the board at the take-off, on toes or hands."""
_STEEP_SD_M: Final = 0.05
"""Feet are of different sizes and stand more or less steep at the end; boards bend."""
_REACH_SD_M: Final = 0.03
"""What meets the water first is of different sizes too."""
_NEAR_S: Final = 0.18
_LINE_S: Final = 0.07
_SLOWEST_M_S: Final = 0.2
_LIFTED_M: Final = 0.04
_RISING: Final = 4
"""Frames above that height by which the beginning of the rise is told."""


def left_board(
    t_s: Floats, height_m: Floats, speed_m_s: float, level_m: float, noise_m: float, level_sd_m: float, guess_s: float
) -> Moment | None:
    """When what stood on the board rises past `level_m` for good, from its heights (N,); None where it does not.

    `speed_m_s` is how fast the body rises there, `noise_m` the noise of a height, `level_sd_m` what all of them may be
    off by together, as they are where a camera looks steeply up.
    """
    near = np.isfinite(height_m) & (np.abs(t_s - guess_s) <= _NEAR_S)
    rising = _rising(height_m[near] - level_m)
    if rising is None or speed_m_s <= _SLOWEST_M_S:
        return None
    t, z = t_s[near][rising], height_m[near][rising] - level_m
    slope = max(float(np.polyfit(t - guess_s, z, 1)[0]), speed_m_s / 2)
    moment = float(np.mean(t - z / slope))
    # Hands and feet are soon flung faster than the body rises: of the level the body's speed tells.
    return Moment(moment, float(np.hypot(np.hypot(_STEEP_SD_M, level_sd_m), noise_m) / min(slope, speed_m_s)))


def _rising(above_m: Floats) -> slice | None:
    """The first frames that are clearly, and for good, above 0; None where there are too few."""
    low = np.flatnonzero(above_m < _LIFTED_M)
    if not len(low) or len(above_m) - int(low[-1]) - 1 < _RISING:
        return None
    return slice(int(low[-1]) + 1, int(low[-1]) + 1 + _RISING)


def met_water(t_s: Floats, lowest_m: Floats, water_z_m: float, speed_m_s: float, noise_m: float) -> Moment | None:
    """When the lowest joint, heights (N,), first goes below the water's level; None where it never does."""
    known = np.isfinite(lowest_m)
    t, z = t_s[known], lowest_m[known] - water_z_m
    places = np.flatnonzero((z[:-1] >= 0) & (z[1:] < 0))
    if not len(places):
        return None
    return _crossed(t, z, float(t[places[0]]), -abs(speed_m_s), noise_m)


def _crossed(t: Floats, z: Floats, guess_s: float, speed_m_s: float, noise_m: float) -> Moment:
    """Where the line of the frames about the guess is 0; its slope is near the speed that is known."""
    near = np.abs(t - guess_s) <= _LINE_S
    count = max(int(np.count_nonzero(near)), 1)
    slope = speed_m_s
    if count >= 4:
        own = float(np.polyfit(t[near], z[near], 1)[0])
        slope = own if own * speed_m_s > 0 and abs(own) > abs(speed_m_s) / 3 else speed_m_s
    moment = float(np.mean(t[near] - z[near] / slope)) if near.any() else guess_s
    sd = np.hypot(_REACH_SD_M, noise_m / np.sqrt(count)) / abs(slope)
    return Moment(moment, float(sd))


def both(one: Moment | None, other: Moment | None) -> Moment | None:
    """Two estimates of a moment as one, by inverse variance; where they contradict each other, the surer."""
    if one is None or other is None:
        return one or other
    if abs(one.t_s - other.t_s) > 3 * np.hypot(one.sd_s, other.sd_s):
        return min(one, other, key=lambda moment: moment.sd_s)
    weight = one.sd_s**-2, other.sd_s**-2
    total = weight[0] + weight[1]
    return Moment((weight[0] * one.t_s + weight[1] * other.t_s) / total, total**-0.5)
