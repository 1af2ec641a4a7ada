"""What a suite is asked, and what it answers: tables of figures, plots, and how they came about."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.errors import TrainingError

Row = dict[str, float]
"""Column to figure; a figure that could not be measured is left out."""


class MaterialMissing(TrainingError):
    """A suite's data are not there: refused when the suite was asked for by name, skipped by name in `all`."""


@dataclass(frozen=True)
class Request:
    """What is to be measured, on what."""

    data: Path
    """Folder with crops/, scenes/, dives/, sport_photos/; or the one folder or file that a suite measures on."""
    mocap: Path
    weights: Path
    encoder: str = "w18_small_v2"
    precision: str = "fp32"
    peers: Path | None = None
    runs: Path | None = None
    """Folder of training runs, for networks that are not shipped."""
    compare: tuple[tuple[str, Path], ...] = ()
    """Names and folders of weights or runs, for `ablation`."""
    suites: tuple[str, ...] = ()
    """Suites that `ablation` compares on."""
    split: str = "validation"
    limit: int = 0
    """Samples at most; 0: as many as the suite thinks right."""

    def at_most(self, samples: int) -> int:
        """`samples`, or the limit where one was given."""
        return self.limit or samples


@dataclass(frozen=True)
class Figures:
    """One table: a row a case, a column a figure; every title says its unit."""

    title: str
    rows: dict[str, Row]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the order in which rows bring them."""
        return tuple(dict.fromkeys(column for row in self.rows.values() for column in row))


@dataclass(frozen=True)
class Plot:
    """Series over the same places `x`, as bars where `x` are words, as lines where they are numbers."""

    name: str
    title: str
    x: tuple[Any, ...]
    series: dict[str, tuple[float, ...]]
    x_label: str
    y_label: str


@dataclass
class Result:
    """The answer of a suite. `data` and `notes` are sentences for people."""

    suite: str
    data: str
    samples: int
    tables: tuple[Figures, ...]
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = ()
    networks: dict[str, str] = field(default_factory=dict)
    """First 12 digits of the SHA-256 of every network that was opened."""
    seconds: float = 0.0
    part: str = ""
    """Tells the sections of one suite apart, where several may stand in a report."""

    def figure(self, table: str, row: str, column: str) -> float:
        """One figure; KeyError where it was not measured."""
        return next(t for t in self.tables if t.title == table).rows[row][column]
