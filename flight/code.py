"""Dive numbers of World Aquatics: 107C, 5253B, 626C to their parts and back.

Groups 1 to 4 (forward, back, reverse, inward): group, 1 for flying or 0, half somersaults, position. Group 5: 5, the
group it takes off like, half somersaults, half twists, position. Group 6 (armstand): 6, direction 1 to 3, half
somersaults, half twists if any, position. Positions: A straight, B pike, C tuck, D free (only with twists).
Source: World Aquatics Diving Rules, appendix on dive numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

_FORM: Final = re.compile(r"([1-6])(\d{2,3})([ABCD])")
GROUPS: Final = {1: "forward", 2: "back", 3: "reverse", 4: "inward", 5: "twisting", 6: "armstand"}
POSITIONS: Final = {"A": "straight", "B": "pike", "C": "tuck", "D": "free"}
MOST_HALF_SOMERSAULTS: Final = 9
MOST_HALF_TWISTS: Final = 7


class DiveError(ValueError):
    """A dive that has no number, or that nobody can make from that height. One line, with what to do."""


@dataclass(frozen=True)
class DiveCode:
    """What a dive number says. `base` is the take-off: 1 to 4, for armstands 1 to 3. Raises DiveError if impossible."""

    base: int
    half_somersaults: int
    half_twists: int = 0
    position: str = "C"
    armstand: bool = False
    flying: bool = False

    def __post_init__(self) -> None:
        for wrong, why in (
            (self.position not in POSITIONS, f"position {self.position!r} unknown; use A, B, C or D"),
            (
                not 1 <= self.base <= (3 if self.armstand else 4),
                f"no take-off {self.base}; use 1 to 4, armstand 1 to 3",
            ),
            (not 1 <= self.half_somersaults <= MOST_HALF_SOMERSAULTS, "somersaults go from 1/2 to 4 1/2"),
            (not 0 <= self.half_twists <= MOST_HALF_TWISTS, "twists go from 0 to 3 1/2"),
            (self.position == "D" and not self.half_twists, "position D is for twisting dives; use A, B or C"),
            (self.flying and (self.half_twists or self.armstand), "flying dives have no twist and no armstand"),
            (self.flying and self.half_somersaults < 2, "a flying dive needs a whole somersault"),
        ):
            if wrong:
                raise DiveError(f"dive {self}: {why}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of a dive number such as 107C, 5253B or 626C. Raises DiveError."""
        match = _FORM.fullmatch(text.strip().upper())
        if match is None:
            raise DiveError(f"dive {text!r}: not a dive number; give one like 107C, 5253B or 626C")
        group, digits, position = int(match[1]), [int(digit) for digit in match[2]], match[3]
        if group <= 4:
            if len(digits) != 2 or digits[0] > 1:
                raise DiveError(f"dive {text}: groups 1 to 4 have 0 or 1 (flying), then half somersaults: like 107C")
            return cls(group, digits[1], 0, position, flying=digits[0] == 1)
        if group == 5 and (len(digits) != 3 or not digits[2]):
            raise DiveError(f"dive {text}: group 5 has take-off, half somersaults, half twists: like 5253B")
        return cls(digits[0], digits[1], digits[2] if len(digits) == 3 else 0, position, armstand=group == 6)

    @property
    def group(self) -> int:
        """1 forward, 2 back, 3 reverse, 4 inward, 5 twisting, 6 armstand."""
        return 6 if self.armstand else 5 if self.half_twists else self.base

    @property
    def head_first(self) -> bool:
        """Whether the hands meet the water first."""
        return bool(self.half_somersaults % 2) is not self.armstand

    @property
    def turns_outward(self) -> bool:
        """Whether the body turns with its top towards the water: forward and back, not reverse and inward."""
        return self.base <= 2

    @property
    def faces_water(self) -> bool:
        """Where the chest looks before the take-off (an armstand forward or reverse starts with the back outward)."""
        return self.base == 2 if self.armstand else self.base in (1, 3)

    def __str__(self) -> str:
        if self.group <= 4:
            return f"{self.base}{int(self.flying)}{self.half_somersaults}{self.position}"
        twists = self.half_twists or ""
        return f"{self.group}{self.base}{self.half_somersaults}{twists}{self.position}"
