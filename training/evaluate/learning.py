"""`learning`: how the figures of training runs grew on their held-out split, from the `validation.csv` of each.

Whether more of the same would help: a curve that still rises says that the samples seen are the limit.
"""

import csv
from pathlib import Path
from typing import Final

from training import checkpoint
from training.errors import TrainingError
from training.evaluate.result import Figures, MaterialMissing, Plot, Request, Result, Row

LOG: Final = "validation.csv"
SHOWN: Final = {
    "backbone": {
        "height": "height px",
        "photos_pck20_torso": "photographs, PCK@0.2 torso %",
        "crops_pck10_box": "synthetic, PCK@0.1 box %",
    },
    "decode": {"lift_mpjpe_mm": "2D to 3D, MPJPE mm", "lift_p_mpjpe_mm": "2D to 3D, P-MPJPE mm"},
    "align": {"image_3d_matched": "picture and 3D, cosine", "2d_3d_matched": "2D and 3D, cosine"},
    "temporal": {"mpjpe_k13_mm": "k = 13, MPJPE mm", "dive_k13_mpjpe_mm": "dives, k = 13, MPJPE mm"},
    "track": {"iou_mean": "IoU mean", "absent_recognised": "absence seen %"},
}
"""By recipe the columns that are shown, and their words."""
SETTINGS: Final = ("height px",)
"""Columns that are conditions, not figures: in the table, not in the plot."""


def learning(request: Request) -> Result:
    """Figures over training time of every run in `--runs`."""
    if request.runs is None:
        raise TrainingError("learning: give the folder of training runs with --runs")
    logs = sorted(request.runs.glob(f"*/{LOG}"))
    curves = {log.parent.name: curve for log in logs if (curve := curve_of(log))}
    if not curves:
        raise MaterialMissing(f"{request.runs}: no run with a {LOG} here; give the folder that holds the runs")
    seen = {name: _samples(request.runs / name) for name in curves}
    return Result(
        "learning",
        "training runs on their held-out splits, averaged weights; "
        + ", ".join(f"{name} after {count:,} samples" for name, count in seen.items()),
        sum(len(curve) for curve in curves.values()),
        tuple(Figures(f"Run {name}", {f"{at:.0f} min": row for at, row in curve}) for name, curve in curves.items()),
        tuple(_plot(name, curve) for name, curve in curves.items() if len(curve) > 1),
        ("Minutes are those of training on the machine of the run, which had other work at the same time.",),
    )


def curve_of(log: Path) -> list[tuple[float, Row]]:
    """Minutes of training and the shown figures at each validation; empty where the recipe has none to show."""
    shown = SHOWN.get(_recipe(log.parent), {})
    curve = []
    try:
        with log.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                row = {words: float(line[f"val_{key}"]) for key, words in shown.items() if line.get(f"val_{key}")}
                if row:
                    curve.append((float(line["elapsed_s"]) / 60, row))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{log}: not a validation log ({error!r}); remove it or train again") from None
    return curve


def _recipe(run: Path) -> str:
    return str(checkpoint.read_header(run / checkpoint.LAST)["recipe"])


def _samples(run: Path) -> int:
    return int(checkpoint.read_header(run / checkpoint.LAST)["samples"])


def _plot(name: str, curve: list[tuple[float, Row]]) -> Plot:
    columns = [column for column in curve[-1][1] if column not in SETTINGS]
    series = {column: tuple(row.get(column, float("nan")) for _, row in curve) for column in columns}
    minutes = tuple(round(at, 1) for at, _ in curve)
    return Plot(f"learning-{name}", f"Learning curve of {name}", minutes, series, "minutes", "held-out figure")
