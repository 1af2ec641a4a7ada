"""docs/accuracy.md: one section a suite between markers, replaced one by one, with the plots beside it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from training.errors import TrainingError
from training.evaluate.goals import measured
from training.evaluate.result import Figures, Result
from training.evaluate.show import draw, machine, text, write_whole
from training.evaluate.suites import SUITES

HEAD: Final = """# Accuracy

What the shipped networks were measured to do, on data they have not seen. Every section is written by the command that
it names, with `--report docs/accuracy.md`; it says on what it was measured, and is replaced when that is run again.
Nothing here is typed by hand. Paths are shown by their last part.

Terms: MPJPE, mean distance of the joints from their truth, both relative to the pelvis; P-MPJPE, the same after the
best rotation, translation and scale of each frame; N-MPJPE, after the best scale; PCK, percentage of joints within a
distance; AUC, mean PCK over 0 to 150 mm; MPJVE, mean error of velocities; PSS, percentage of poses in the cluster of
their truth; EPE, mean distance in pixels; ECE, how far the spread of hypotheses is from that of errors, 0 to 1.
"""
_MARKER: Final = re.compile(r"^<!-- (?:posecast eval|end of) (.+) -->$", re.MULTILINE)


def write_report(path: Path, results: list[Result], command: str) -> None:
    """Replace the sections of `results` in `path`, which is made where there is none; the other sections stay."""
    sections = _sections(path)
    for result in results:
        for plot in result.plots:
            draw(plot, _picture(path, plot.name))
        name = f"{result.suite}: {result.part}" if result.part else result.suite
        sections[name] = section(result, command.replace("SUITE", result.suite), path.stem)
    write_whole(path, HEAD + "".join(f"\n{_begin(name)}{sections[name]}{_end(name)}" for name in _ordered(sections)))


def _ordered(sections: Iterable[str]) -> list[str]:
    """Names of sections as the suites stand in their table, parts of one suite by name."""
    order = list(SUITES)
    return sorted(sections, key=lambda name: (order.index(name.partition(": ")[0]), name))


def section(result: Result, command: str, folder: str) -> str:
    """One section as Markdown."""
    networks = ", ".join(f"{name} `{digest}`" for name, digest in sorted(result.networks.items()))
    part = f": {result.part}" if result.part else ""
    lines = [f"## {SUITES[result.suite].title}{part} (`{result.suite}`)", ""]
    lines += [
        f"- data: {result.data}; {result.samples} samples",
        f"- networks (SHA-256): {networks or 'none'}",
        f"- machine: {machine()}; {result.seconds:.0f} s",
        f"- command: `{command}`",
        "",
    ]
    goals = measured(result)
    if goals:
        lines += ["| to reach | bound | measured |", "|---|---|---|"]
        lines += [f"| {g.words} | {'≥' if g.at_least else '≤'} {g.bound:g} | {text(value)} |" for g, value in goals]
        lines += [""]
    for figures in result.tables:
        lines += [*_markdown(figures), ""]
    for plot in result.plots:
        lines += [f"![{plot.title}]({folder}/{plot.name}.png)", ""]
    for note in result.notes:
        lines += [note, ""]
    return "\n".join(lines)


def _markdown(figures: Figures) -> list[str]:
    head = [f"**{figures.title}**", "", "| | " + " | ".join(figures.columns) + " |"]
    rule = "|---|" + "---|" * len(figures.columns)
    rows = [
        f"| {name} | " + " | ".join(text(row.get(column)) for column in figures.columns) + " |"
        for name, row in figures.rows.items()
    ]
    return [*head, rule, *rows]


def _picture(report: Path, name: str) -> Path:
    return report.with_suffix("") / f"{name}.png"


def _begin(name: str) -> str:
    return f"<!-- posecast eval {name} -->\n"


def _end(name: str) -> str:
    return f"<!-- end of {name} -->\n"


def _sections(path: Path) -> dict[str, str]:
    """The sections that are in the file, by suite. Raises TrainingError where a marker has lost its partner."""
    if not path.is_file():
        return {}
    try:
        content, found = path.read_text(encoding="utf-8"), {}
    except (OSError, UnicodeDecodeError):
        raise TrainingError(f"{path}: not a report, or not readable; name another file") from None
    for name in dict.fromkeys(_MARKER.findall(content)):
        begin, end = _begin(name), _end(name)
        if (begin in content) != (end in content):
            raise TrainingError(f"{path}: one of the two markers of {name} is missing; restore the file or delete it")
        if name.partition(": ")[0] in SUITES:
            found[name] = content.split(begin, 1)[1].split(end, 1)[0]
    return found
