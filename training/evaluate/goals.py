"""The figures that posecast is to reach, for the tables that show them beside what was measured."""

from dataclasses import dataclass
from typing import Final

from training.evaluate import photos
from training.evaluate.result import Result


@dataclass(frozen=True)
class Goal:
    """One figure of a suite, by table, row and column, and its bound."""

    suite: str
    words: str
    table: str
    row: str
    column: str
    bound: float
    at_least: bool = True

    def reached(self, value: float) -> bool:
        """Whether a measured value is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound


GOALS: Final = (
    *(
        Goal("photos", f"photos PCK@0.2, {tilt}, %", photos.EXACT, photos.OURS, tilt, bound)
        for tilt, bound in (("upright", 75), ("sideways", 70), ("inverted", 68))
    ),
    Goal(
        "photos",
        "photos, upright minus inverted, points",
        photos.EXACT,
        photos.OURS,
        "upright minus inverted",
        10,
        at_least=False,
    ),
)


def measured(result: Result) -> list[tuple[Goal, float]]:
    """The goals of a suite with what it measured; those it did not measure are left out."""
    found = []
    for goal in GOALS:
        for table in result.tables:
            value = table.rows.get(goal.row, {}).get(goal.column)
            if goal.suite == result.suite and table.title == goal.table and value is not None:
                found.append((goal, value))
    return found
