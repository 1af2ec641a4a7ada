"""How a dive's numbers and its name are put into words: digits, fractions, what a dive number stands for."""

import math
from typing import Final

from flight.code import GROUPS, POSITIONS, DiveCode, DiveError
from pipeline.edges.dive_svg import MINUS

BOARDS_M: Final = (1.0, 3.0, 5.0, 7.5, 10.0)
"""Heights of competition; springboards are those of 1 m and 3 m."""
_SPRINGBOARD_M: Final = 4.0
_NEAR_M: Final = 0.15
"""A measured height so near to one of competition is that one."""


def number(value: float, digits: int) -> str:
    """A value with so many decimals; a zero has no sign."""
    if not math.isfinite(value):
        return "not known"
    shown = f"{value:.{digits}f}"
    return (shown.lstrip("-") if float(shown) == 0 else shown).replace("-", MINUS)


def spread(sd: float, digits: int) -> str:
    """`± 0.02`, the standard deviation with the digits of its value; empty where there is none."""
    if not math.isfinite(sd) or sd <= 0:
        return ""
    least = 10.0**-digits
    return f"± {sd:.{digits}f}" if sd >= least / 2 else f"± less than {least:.{digits}f}"


def percent(share: float) -> str:
    """A share 0..1 in whole per cent; no share short of certainty is called 100 %."""
    if not math.isfinite(share):
        return "unknown"
    if 0 < share < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def halves(turns: float) -> str:
    """Turns in halves as divers write them: 3½, ½, 2."""
    if not math.isfinite(turns):
        return "?"
    whole, half = divmod(round(2 * abs(turns)), 2)
    return f"{whole or '' if half else whole}{'½' if half else ''}"


def counted(turns: float, what: str) -> str:
    """Turns to the nearest half with their noun: `no twist`, `1 somersault`, `3½ somersaults`."""
    count = halves(turns)
    return f"{'no' if count == '0' else count} {what}{'' if count in ('0', '½', '1') else 's'}"


def dive_words(code: str) -> str:
    """What a dive number says: 107B is `Forward 3½ somersaults, pike`. Empty for what is not a dive number."""
    try:
        dive = DiveCode.parse(code)
    except DiveError:
        return ""
    start = f"{'armstand ' if dive.armstand else ''}{GROUPS[dive.base]}{' flying' if dive.flying else ''}"
    turns = "dive" if dive.half_somersaults == 1 and not dive.armstand else ""
    parts = [f"{start} {turns or counted(dive.half_somersaults / 2, 'somersault')}"]
    if dive.half_twists:
        parts.append(counted(dive.half_twists / 2, "twist"))
    return ", ".join([*parts, POSITIONS[dive.position]]).capitalize()


def turned_words(somersaults: float, twists: float) -> str:
    """A flight without a number, by what was turned: `1½ somersaults, no twist`."""
    return f"{counted(somersaults, 'somersault')}, {counted(twists, 'twist')}".capitalize()


def board_words(height_m: float | None) -> str:
    """`3 m springboard`, `10 m platform`, `4.2 m platform`; empty where the height is not known."""
    if height_m is None or not math.isfinite(height_m):
        return ""
    near = min(BOARDS_M, key=lambda height: abs(height - height_m))
    shown = f"{near:g}" if abs(near - height_m) <= _NEAR_M else f"{height_m:.1f}"
    return f"{shown} m {'springboard' if is_springboard(height_m) else 'platform'}"


def is_springboard(height_m: float) -> bool:
    """Whether a board of this height is taken for a springboard: platforms of competition begin at 5 m."""
    return height_m < _SPRINGBOARD_M


def joint_words(joint: str) -> str:
    """A joint's name for people."""
    return joint.replace("_", " ")
