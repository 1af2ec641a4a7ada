"""Tables for the terminal: how the stages are while they run, and what a replay gave."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from flight.report import DiveReport, JumpReport
from pipeline.messages import Health

_STATE_STYLE: Final = {"starting": "yellow", "running": "green", "ended": "cyan", "failed": "bold red"}


def health_table(names: Sequence[str], health: Mapping[str, Health]) -> Table:
    """One row a stage or edge: state, messages in and out, drops by cause, time, memory, device or error.

    `health` by name, as in the run's `Layout`.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("stage", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("in", "out", "dropped", "p50 ms", "p99 ms", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True, style="dim")
    for name in names:
        table.add_row(name, *_health_cells(health.get(name)))
    return table


def _health_cells(beat: Health | None) -> tuple[Text | str, ...]:
    if beat is None:
        return (Text("waiting", style="dim"), "", "", "", "", "", "", "")
    remark = Text(beat.error, style="red") if beat.error else Text(beat.note)
    return (
        Text(beat.state, style=_STATE_STYLE[beat.state]),
        str(beat.received),
        str(beat.sent),
        _drops(beat.dropped),
        f"{beat.step.p50_ms:.1f}",
        f"{beat.step.p99_ms:.1f}",
        f"{beat.rss_bytes / 1e6:.0f}",
        remark,
    )


def _drops(dropped: Mapping[str, int]) -> Text:
    """`0`, or the number with its causes."""
    if not any(dropped.values()):
        return Text("0")
    return Text(", ".join(f"{count} {cause}" for cause, count in dropped.items() if count), style="yellow")


def demo_table(summary: Mapping[str, Any]) -> Group:
    """What one replay gave: counts, speed, latency, error against truth, and each stage's time a frame.

    `summary` is the content of `summary.json`.
    """
    figures = Table(box=None, pad_edge=False, show_header=False)
    figures.add_column(style="dim", no_wrap=True)
    figures.add_column(justify="right", no_wrap=True)
    figures.add_column(style="dim")
    for row in (*_counts(summary), *_speed(summary), *_errors(summary)):
        figures.add_row(*row)
    return Group(Text(str(summary["source"]), style="bold"), figures, Text(), stage_table(summary))


def dive_lines(reports: Sequence[DiveReport | JumpReport], paths: Sequence[Path]) -> list[Text]:
    """A line for each dive or jump of a replay, and where to read more."""
    pages = [path.name for path in paths if path.suffix == ".html"]
    lines = []
    for report in reports:
        time = f"{report.flight_time_s.value:.2f} s in the air"
        if isinstance(report, JumpReport):
            lines.append(Text(f"jump   {time}, {report.height_m.value:.2f} m high"))
            continue
        guess = report.numbers[0] if report.numbers else None
        code = "number not known" if guess is None else f"{guess.code} ({guess.probability:.0%})"
        turned = f"{report.somersaults:g} somersaults, {report.twists:g} twists, {report.position}"
        lines.append(Text(f"dive   {code}: {turned}; {time}, entry {report.entry_angle_deg.value:+.0f} degrees"))
    return [*lines, Text(f"       read {', '.join(pages)}", style="dim")] if pages else lines


def starting_note(health: Health) -> str:
    """What a stage does before it can run and is worth a line: an engine is built. Empty for anything else."""
    return f"{health.stage}: {health.note}" if health.state == "starting" and health.note else ""


def source_line(health: Health) -> str:
    """How a live source is, in a line that changes when it does; empty for other stages and sources."""
    source = health.source
    if source is None:
        return ""
    return f"{health.stream}: {source.state}" + (f": {source.detail}" if source.detail else "")


def stage_table(summary: Mapping[str, Any]) -> Table:
    """One row a stage: time from taking a message to handing it on, and drops."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage")
    for heading in ("p50 ms", "p99 ms", "dropped"):
        table.add_column(heading, justify="right")
    for name, times in summary["stages_ms"].items():
        drops = _drops(summary["drops_by_stage"].get(name, {}))
        table.add_row(name, f"{times['p50']:.2f}", f"{times['p99']:.2f}", drops)
    return table


def _counts(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    complete = summary["frames_in"] == summary["frames_out"]
    remark = "every frame came out" if complete else "frames are missing"
    return [
        ("frames in", str(summary["frames_in"]), ""),
        ("frames out", str(summary["frames_out"]), remark),
        ("dropped", str(summary["drops"]), ""),
        ("subject tracked", f"{summary['tracked_share']:.0%}", "of the frames"),
    ]


def _speed(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    if summary["fps"] is not None:
        rows.append(("frames per second", f"{summary['fps']:.1f}", f"{summary['wall_s']:.1f} s with starting"))
    latency = summary["capture_to_publish_ms"]
    if latency:
        tail = f"p95 {latency['p95']:.0f}, p99 {latency['p99']:.0f}; waiting in queues included"
        rows.append(("capture to publish, p50 ms", f"{latency['p50']:.0f}", tail))
    return rows


def _errors(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Errors against the truth of this very video; no row without truth."""
    if "mpjpe_mm" not in summary:
        return []
    frames = f"over {summary['n_frames_measured']} frames of this video"
    return [
        ("MPJPE, mm", _number(summary["mpjpe_mm"], "{:.0f}"), f"pelvis-relative 3D error, {frames}"),
        ("P-MPJPE, mm", _number(summary["p_mpjpe_mm"], "{:.0f}"), "after aligning rotation and scale"),
        ("PCK@0.2 torso", _number(summary["pck02_torso"], "{:.0%}"), "2D joints within a fifth of the torso"),
        ("2D error, median px", _number(summary["px_error_median"], "{:.1f}"), ""),
        ("coverage", _number(summary["coverage"], "{:.0%}"), "of the frames with the subject in view"),
    ]


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else form.format(value)


def written_files(folder: Path) -> Text:
    """Where the results lie."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".part")
    return Text(f"{folder}/: {', '.join(names)}")


def next_command(command: str = "posecast") -> Text:
    """What to type next, for somebody who has a camera."""
    line = Text("Next, with a camera:  ")
    line.append(f"{shlex.join(shlex.split(command))} run rtsp://USER:PASSWORD@CAMERA/STREAM", style="bold")
    line.append("   (or usb:0, or a file)")
    return line
