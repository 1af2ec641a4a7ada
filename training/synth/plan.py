"""What a diver attempts: the dive number, the height, the speeds at take-off, the timing; drawn at random for training.

Speeds and boards by common figures of elite diving: springboards lift 4 to 5 m/s, a platform jump 2.5 m/s, an armstand
hardly anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from flight.code import MOST_HALF_TWISTS, DiveCode, DiveError

HEIGHTS_M: Final = (1.0, 3.0, 5.0, 7.5, 10.0)
SPRINGBOARDS_M: Final = (1.0, 3.0)

_MOST_HALF_SOMERSAULTS: Final = {
    1.0: (5, 5, 5, 5),
    3.0: (9, 7, 7, 7),
    5.0: (6, 6, 5, 5),
    7.5: (7, 7, 6, 6),
    10.0: (9, 7, 7, 7),
}
"""By height, for take-off forward, back, reverse, inward: what is dived in competition."""
_MOST_STRAIGHT: Final = {1.0: 3, 3.0: 5, 5.0: 4, 7.5: 4, 10.0: 5}
_MOST_TWISTS: Final = {1.0: 5, 3.0: 7, 5.0: 5, 7.5: 6, 10.0: 7}


SURE_TWISTS: Final = (
    ("5121D", 1.0), ("5221D", 1.0), ("5132D", 3.0), ("5134D", 3.0), ("5152B", 3.0), ("5154B", 3.0), ("5231D", 3.0),
    ("5235D", 3.0), ("5251B", 3.0), ("5253B", 3.0), ("5331D", 3.0), ("5333D", 3.0), ("5335D", 3.0), ("5353B", 3.0),
    ("5434D", 3.0), ("5172B", 10.0), ("5255B", 10.0),
)  # fmt: skip
"""Twisting dives that the search for the turns of the arms solves for most bodies and timings."""


@dataclass(frozen=True)
class Plan:
    """One attempt. Raises DiveError when nobody can make this dive from this height.

    `speed_up_m_s`, `speed_out_m_s` of the centre of gravity at the take-off; `board_dip_m` how far a springboard is
    pressed down; `short_rad` angle missing to the vertical at the entry; `female` 0 to 1; `left_first` mirrors a
    twist; `seed` draws small differences of poses and timing.
    """

    code: DiveCode = field(default_factory=lambda: DiveCode(1, 3))
    height_m: float = 3.0
    speed_up_m_s: float = 4.4
    speed_out_m_s: float = 1.15
    board_dip_m: float = 0.4
    stand_s: float = 0.35
    crouch_s: float = 0.5
    push_s: float = 0.3
    under_s: float = 0.45
    short_rad: float = 0.08
    female: float = 0.0
    left_first: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check(self.code, self.height_m)

    @classmethod
    def of(cls, text: str, height_m: float = 3.0, seed: int | None = None, female: float = 0.0) -> Plan:
        """The plan of a dive number; `seed` varies speeds, timing and poses (None: as in the book)."""
        code = DiveCode.parse(text)
        check(code, height_m)
        return _plan(code, height_m, None if seed is None else np.random.default_rng(seed), female)


def check(code: DiveCode, height_m: float) -> None:
    """Raise DiveError, one line, for a dive that height and physics do not allow."""
    if height_m not in HEIGHTS_M:
        raise DiveError(f"height {height_m:g} m: no such board; choose 1, 3, 5, 7.5 or 10")
    if code.armstand and height_m < 5:
        raise DiveError(f"dive {code} from {height_m:g} m: armstands need a platform; choose 5, 7.5 or 10 m")
    most = _MOST_HALF_SOMERSAULTS[height_m][code.base - 1] - (1 if code.armstand else 0)
    if code.position == "A" or code.flying:
        most = min(most, _MOST_STRAIGHT[height_m])
    if code.half_twists:
        most = min(most, 7 - (code.half_twists > 4) - (code.base > 2))
    if code.half_somersaults > most:
        raise DiveError(
            f"dive {code} from {height_m:g} m: too many somersaults for the time; at most {most} halves here"
        )
    twists = _MOST_TWISTS[height_m]
    if code.half_twists and code.position in "BC":
        twists = min(twists, 6)
    if code.half_somersaults == 1:
        twists = min(twists, 2)
    if code.half_twists > twists:
        raise DiveError(f"dive {code} from {height_m:g} m: too many twists for the time; at most {twists} halves here")


def _plan(code: DiveCode, height_m: float, rng: np.random.Generator | None, female: float) -> Plan:
    spring = height_m in SPRINGBOARDS_M
    up = (4.6 if height_m > 1 else 4.5) if spring else 2.7
    up = 0.9 if code.armstand else up - (0.0, 0.1, 0.1, 0.4)[code.base - 1]
    out = 0.75 if code.armstand else (1.25, 1.05, 1.2, 1.05)[code.base - 1]
    dip = 0.4 if spring else 0.0
    if rng is None:
        return Plan(code, height_m, up, out, dip, female=female)
    return Plan(
        code, height_m, up + float(rng.normal(0, 0.12)), out + float(rng.normal(0, 0.08)),
        dip * float(rng.uniform(0.7, 1.3)), float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.4, 0.65)),
        float(rng.uniform(0.26, 0.36)), float(rng.uniform(0.35, 0.6)), 0.03 + float(rng.normal(0, 0.07)),
        female, bool(rng.integers(2)), int(rng.integers(1, 2**31)),
    )  # fmt: skip


def random_plan(rng: np.random.Generator) -> Plan:
    """A dive of any group, height and position that can be made; groups are equally likely."""
    group = int(rng.integers(1, 7))
    while True:
        if group == 5 and rng.random() < 0.8:
            text, height = SURE_TWISTS[int(rng.integers(len(SURE_TWISTS)))]
            return _plan(DiveCode.parse(text), height, rng, float(rng.integers(2)))
        base = group if group <= 4 else int(rng.integers(1, 5))
        twists = int(rng.integers(1, MOST_HALF_TWISTS + 1)) if group == 5 or (group == 6 and rng.random() < 0.3) else 0
        try:
            code = DiveCode(
                base, int(rng.integers(1, 10)), twists, str(rng.choice(list("ABCCD" if twists else "ABBCC"))),
                armstand=group == 6, flying=group <= 4 and rng.random() < 0.05,
            )  # fmt: skip
            height = float(rng.choice(HEIGHTS_M))
            check(code, height)
        except DiveError:
            continue
        return _plan(code, height, rng, float(rng.integers(2)))
