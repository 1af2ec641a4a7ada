"""The dive's number: what turned, how often, from which stance and in which position, put together by probability.

Somersaults and twists come with the probabilities of their counts, the stance from the twist before the take-off (the
chest towards the water or the board), the position from the bends of the body. Which numbers are dived at all weighs
in by common practice of competition: twisting dives of few somersaults are free or straight, of many piked or tucked.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.code import MOST_HALF_SOMERSAULTS, MOST_HALF_TWISTS, DiveCode, DiveError
from flight.posture import Posture
from flight.report import NumberGuess
from flight.turning import Turning

Floats = NDArray[np.float64]

BASES: Final = {(0, 1): 1, (1, 1): 2, (0, -1): 3, (1, -1): 4}
"""(half turns from facing as an upright diver who looks over the water, sense of the somersault) to the take-off."""
_LETTERS: Final = "ABCD"
_UNUSUAL: Final = 0.05
"""Weight of a dive that is allowed and hardly ever done."""
_LOWEST_ARMSTAND_M: Final = 4.0
"""Armstands are done on platforms, of which the lowest in competition is at 5 m."""
LEAST: Final = 0.005
"""Probabilities below are not told."""
DOUBTFUL_TURNS: Final = 0.15
"""A count that is further from its rounded value is not to be trusted."""


def rounded(turning: Turning) -> tuple[float, float]:
    """Somersaults and twists of the likeliest counts, in halves."""
    half, _, twist = next(iter(turning.counts))
    return abs(half) / 2, twist / 2


def doubtful(turning: Turning) -> tuple[bool, bool]:
    """Whether the somersaults turned, and the twists, are further than `DOUBTFUL_TURNS` from their counts."""
    counts, turned = rounded(turning), (turning.somersault.value, turning.twist.value)
    first, second = (abs(value - count) > DOUBTFUL_TURNS for value, count in zip(turned, counts, strict=True))
    return first, second


def numbers(
    turning: Turning,
    posture: Posture,
    inverted: float = 0.0,
    outward_sure: float = 1.0,
    board_height_m: float | None = None,
) -> tuple[NumberGuess, ...]:
    """Dive numbers with their probabilities, likeliest first; the sum is at most 1, empty when no dive fits.

    `inverted`: probability that the dive began as an armstand (as `turning` was told). `outward_sure`: probability that
    the direction away from the board, which `turning` was given, is not the opposite one.
    """
    if board_height_m is not None and board_height_m < _LOWEST_ARMSTAND_M:
        inverted = 0.0
    found: dict[str, float] = {}
    for (half, facing, twist), of_counts in turning.counts.items():
        for same, of_same in ((1, outward_sure), (-1, 1 - outward_sure)):
            # Seen from the other side the body faces the other way and turns in the other sense.
            key = ((facing + (same < 0)) % 2, same * (1 if half > 0 else -1))
            for armstand, of_armstand in ((False, 1 - inverted), (True, inverted)):
                share = of_counts * of_same * of_armstand
                if share > LEAST / 100 and half:
                    _add(found, share, BASES[key], abs(half), twist, armstand, posture)
    total = sum(found.values())
    if total <= 0:
        return ()
    ranked = sorted(found.items(), key=lambda pair: -pair[1])
    return tuple(NumberGuess(code, float(share / total)) for code, share in ranked if share / total >= LEAST)


def _add(
    found: dict[str, float], share: float, base: int, halves: int, twists: int, armstand: bool, posture: Posture
) -> None:
    """Add `share` to the numbers in `found` that these counts may have, by position and by flying or not."""
    if halves > MOST_HALF_SOMERSAULTS or twists > MOST_HALF_TWISTS:
        return
    for letter, of_letter in zip(_LETTERS, _positions(posture, halves, twists), strict=True):
        for flying in (False, True):
            try:
                code = DiveCode(base, halves, twists, letter, armstand, flying)
            except DiveError:
                continue
            may_fly = letter in "BC" and not twists and not armstand and 2 <= halves <= 5
            of_flying = posture.held_straight if may_fly else 0.0
            weight = share * of_letter * (of_flying if flying else 1 - of_flying)
            if weight > 0:
                found[str(code)] = found.get(str(code), 0.0) + weight * _usual(code)


def _positions(posture: Posture, halves: int, twists: int) -> Floats:
    """Probability (4,) of A, B, C and D from the posture when so many half twists were counted."""
    straight, pike, tuck, free = posture.probabilities
    straight += free
    if not twists:
        return np.asarray(np.array([straight, pike, tuck, 0.0]) / max(straight + pike + tuck, 1e-9))
    # Free is any of them: what has no fold is called straight in plain dives only, what folds after it piked or tucked.
    called = 0.9 if halves <= 1 else 0.15
    return np.array([called * straight, 0.85 * pike, 0.95 * tuck, (1 - called) * straight + 0.15 * pike + 0.05 * tuck])


def _usual(code: DiveCode) -> float:
    """Weight of a number by common practice."""
    halves = code.half_somersaults - code.armstand
    unusual = (
        (code.position == "A" and halves > 5)
        or (code.half_twists > 0 and halves > 7)
        or (halves <= 1 and code.half_twists > 2)
        or (code.flying and halves > 5)
    )
    return _UNUSUAL if unusual else 1.0
