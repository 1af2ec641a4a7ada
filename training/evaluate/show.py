"""Results for people and programs: rich tables, JSON, plots."""

import json
import os
import platform
import textwrap
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from training.errors import TrainingError
from training.evaluate.goals import measured
from training.evaluate.result import Figures, Plot, Result

COLOURS: Final = ("#0b6e99", "#d9822b", "#7a7f87", "#6a994e", "#a44a5a", "#5b5f97")


def print_result(result: Result, console: Console) -> None:
    """Every table of a result, what it was measured on, and the goals."""
    console.print(f"\n[bold]{result.suite}[/]: {result.data}; {result.samples} samples, {result.seconds:.0f} s")
    for figures in result.tables:
        console.print(_rich(figures))
    for note in result.notes:
        console.print(note, style="dim", markup=False)
    for goal, value in measured(result):
        sign, mark = (">=" if goal.at_least else "<="), "reached" if goal.reached(value) else "not reached"
        console.print(f"{goal.words}: {text(value)} (to reach: {sign} {goal.bound:g}; {mark})", markup=False)


def _rich(figures: Figures) -> Table:
    table = Table(title=figures.title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for column in figures.columns:
        table.add_column(column, justify="right")
    for name, row in figures.rows.items():
        table.add_row(name, *(text(row.get(column)) for column in figures.columns))
    return table


def text(value: float | None) -> str:
    """A figure with the digits it deserves."""
    if value is None or not np.isfinite(value):
        return "-"
    if (float(value).is_integer() and abs(value) >= 10) or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def as_json(results: list[Result], skipped: dict[str, str]) -> dict[str, Any]:
    """All results as plain data: by suite the tables by title, rows by name, figures by column."""
    suites = {
        result.suite: {
            "data": result.data,
            "samples": result.samples,
            "seconds": round(result.seconds, 1),
            "networks": result.networks,
            "notes": list(result.notes),
            "tables": {table.title: _finite(table.rows) for table in result.tables},
        }
        for result in results
    }
    return {"machine": machine(), "suites": suites, "skipped": skipped}


def _finite(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    return {
        name: {column: float(value) if np.isfinite(value) else None for column, value in row.items()}
        for name, row in rows.items()
    }


def write_json(path: Path, results: list[Result], skipped: dict[str, str]) -> None:
    """The results as a file, whole or not at all."""
    write_whole(path, json.dumps(as_json(results, skipped), indent=2, allow_nan=False) + "\n")


def write_whole(path: Path, content: str) -> None:
    """Write a text file beside its place and rename it. Raises TrainingError when that is refused."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(content, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror}); choose another place") from None


def machine() -> str:
    """The processor, its cores, and the memory of this machine."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB"


def draw(plot: Plot, path: Path) -> None:
    """One plot as a PNG: bars where x are words, lines where they are numbers. Raises TrainingError as above."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 3.6), dpi=120, layout="constrained")
    if all(isinstance(place, str) for place in plot.x):
        _bars(axes, plot)
    else:
        _lines(axes, plot)
    axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    part = path.with_name("part-" + path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(part)
        part.replace(path)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    finally:
        pyplot.close(figure)


def _bars(axes: Any, plot: Plot) -> None:
    places, width = np.arange(len(plot.x)), 0.8 / len(plot.series)
    lowest, largest = np.nanmin([*plot.series.values()]), np.nanmax([*plot.series.values()])
    for number, (name, values) in enumerate(plot.series.items()):
        offset = (number - (len(plot.series) - 1) / 2) * width
        bars = axes.bar(places + offset, values, width * 0.92, label=name, color=COLOURS[number % len(COLOURS)])
        axes.bar_label(bars, fmt="%.0f" if largest > 10 else "%.2g", fontsize=7, color="#444444")
    labels = [textwrap.fill(str(place), 72 // len(plot.x)) for place in plot.x]
    axes.set_xticks(places, labels, fontsize=9 if len(plot.x) < 5 else 7)
    axes.set_ylim(bottom=0 if lowest >= 0 else None)


def _lines(axes: Any, plot: Plot) -> None:
    for number, (name, values) in enumerate(plot.series.items()):
        axes.plot(plot.x, values, marker="o", markersize=3.5, label=name, color=COLOURS[number % len(COLOURS)])
    axes.set_ylim(bottom=0)
    if min(plot.x) >= 0 and max(plot.x) > 50 and np.ptp(np.diff(plot.x)) > 0:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=min(plot.x) - 0.1)
        axes.set_xticks(plot.x, [f"{place:g}" for place in plot.x])
