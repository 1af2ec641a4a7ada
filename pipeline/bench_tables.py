"""What `posecast bench` prints: the engines, the cost of a frame, the whole chain."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

Figures = Mapping[str, Any]


def engines_table(figures: Figures) -> Table:
    """One row a network: time of a call alone, and how often and how long it runs in a frame of the chain."""
    table = _table("engines, batch 1; calls a frame of the chain", ("network", "p50 ms", "p99 ms", "calls", "on"))
    used = figures["cost"]["networks"]
    for row in figures["engines"]:
        calls = f"{used[row['network']]['calls']:.2f}" if row["network"] in used else "-"
        times = (f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}")
        table.add_row(row["network"], *times, calls, row["device"])
    return table


def cost_table(figures: Figures) -> Table:
    """One row a stage: processor time of a frame, in networks and in everything else."""
    cost = figures["cost"]
    table = _table("processor time of a frame", ("stage", "networks ms", "the rest ms", "step p50 ms"))
    for name, stage in cost["stages"].items():
        rest_ms = stage["cpu_ms"] - stage["networks_ms"]
        table.add_row(name, f"{stage['networks_ms']:.2f}", f"{rest_ms:.2f}", f"{stage['step_ms']:.2f}")
    networks_ms, rest_ms = split_ms(cost)
    table.add_row("all", f"{networks_ms:.1f}", f"{rest_ms:.1f}", "", style="bold")
    table.caption, table.caption_justify = largest(cost), "left"
    return table


def split_ms(run: Figures) -> tuple[float, float]:
    """Processor milliseconds a frame in the networks, and in everything else."""
    networks_ms = sum(stage["networks_ms"] for stage in run["stages"].values())
    return networks_ms, sum(stage["cpu_ms"] for stage in run["stages"].values()) - networks_ms


def largest(run: Figures) -> str:
    """The largest part of a frame's processor time, by name: one network, or what a stage does besides."""
    parts = {f"network {name}": network["cpu_ms"] for name, network in run["networks"].items()}
    parts |= {f"{name} beside its networks": row["cpu_ms"] - row["networks_ms"] for name, row in run["stages"].items()}
    name = max(parts, key=parts.__getitem__)
    total_ms = sum(split_ms(run))
    return f"largest: {name}, {parts[name]:.1f} ms" + (f" ({parts[name] / total_ms:.0%})" if total_ms else "")


def limit(run: Figures, cores: int) -> str:
    """What keeps the chain from being faster: all cores, or the slowest stage."""
    total_ms = sum(split_ms(run))
    slowest = max(run["stages"], key=lambda name: run["stages"][name]["step_ms"])
    busy = total_ms * run["fps"] / (1e3 * cores)
    return f"{busy:.0%} of {cores} cores in use ({total_ms:.0f} ms a frame); the slowest stage is {slowest}"


def chain_table(figures: Figures) -> Table:
    """The whole chain: speed, limit, latency, start and memory."""
    replay, live = figures["replay"], figures["live"]
    title = f"whole chain on {figures['source']}, medians of {figures['rounds']} runs, {replay['frames']:.0f} frames"
    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("as fast as it goes", f"{replay['fps']:.1f}", "frames/s")
    table.add_row("  limited by", "", limit(replay, figures["machine"]["cores"]))
    table.add_row("live, capture to publish", f"{live['latency_p50_ms']:.1f}", "ms p50, provisional poses")
    tail = f"p99 {live['latency_p99_ms']:.1f}, {live['fps']:.1f} frames/s"
    table.add_row("", f"{live['latency_p95_ms']:.1f}", f"ms p95, {tail}")
    table.add_row("start to first pose", f"{live['first_pose_s']:.2f}", "s")
    table.add_row("hop between processes", f"{live['hop_p50_ms']:.3f}", "ms p50")
    table.add_row("memory, all processes", f"{live['memory_mb']:.0f}", "MB, proportional")
    return table


def _table(title: str, headings: tuple[str, ...]) -> Table:
    """A table whose first column is words; so is the last one if it says on what something runs."""
    table = Table(box=None, pad_edge=False, header_style="dim", title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in (headings[0], "on") else "right")
    return table
