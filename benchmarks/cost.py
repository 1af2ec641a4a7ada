"""Latency live at 30 frames a second, and where the processor time of a frame goes: `posecast bench`, as Markdown.

    python benchmarks/cost.py [--rounds N] [--json FILE] [--markdown FILE]

The figures are those of `posecast bench --json FILE`, which takes the same measurements.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rich.console import Console  # noqa: E402

from benchmarks import page  # noqa: E402
from pipeline.bench import LIVE_RATE_HZ, measure  # noqa: E402
from pipeline.bench_tables import largest, limit, split_ms  # noqa: E402
from pipeline.config import load, shipped  # noqa: E402


def main() -> None:
    """Measure and write."""
    parser = page.arguments("Latency, and processor time of a frame in networks and in everything else.")
    parser.add_argument("--rounds", type=int, default=3, help="runs of the whole chain")
    parser.add_argument("--config", default="live", help="a TOML file, or a shipped one")
    options = page.chosen(parser)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "bench.json"
        measure(load(shipped(options.config)), "", written, options.rounds, Console(stderr=True))
        figures = json.loads(written.read_text(encoding="utf-8"))
    page.finish(figures, markdown, options)


def markdown(figures: page.Figures) -> str:
    """The section: latency by stage, cost by stage, cost by network."""
    replay, cost, live, rounds = figures["replay"], figures["cost"], figures["live"], figures["rounds"]
    frames = f"{replay['frames']:.0f} frames"
    samples = f"medians of {rounds} runs of {frames} each live, as fast as it goes, and so with its networks metered"
    facts = page.facts(figures, figures["source"], samples, "posecast bench --json results/bench.json")
    parts = (facts, _latency(live), _stages(cost), _networks(figures))
    return "\n".join(parts) + f"\nAs fast as it goes: {limit(replay, figures['machine']['cores'])}; {largest(cost)}.\n"


def _latency(live: page.Figures) -> str:
    """From the decoder to the published provisional pose, and inside and before each stage."""
    rows = [_quantiles("decoder to published provisional pose", live, "latency")]
    for number, (name, stage) in enumerate(live["stages"].items()):
        if number:
            rows.append(_quantiles(f"waiting for {name}", stage, "wait"))
        rows.append(_quantiles(f"in {name}", stage, "inside"))
    rows.append(("source, frames/s", f"{LIVE_RATE_HZ:.0f}", "", ""))
    rows.append(("published, frames/s", f"{live['fps']:.1f}", "", ""))
    rows.append(("from start to the first pose, s", f"{live['first_pose_s']:.2f}", "", ""))
    return page.table((f"live at {LIVE_RATE_HZ:.0f} frames/s, ms", "p50", "p95", "p99"), rows)


def _quantiles(name: str, figures: page.Figures, prefix: str) -> tuple[str, ...]:
    return (name, *(f"{figures[f'{prefix}_p{share}_ms']:.2f}" for share in (50, 95, 99)))


def _stages(cost: page.Figures) -> str:
    """Processor time of a frame by stage."""
    rows = [
        (name, f"{stage['cpu_ms']:.2f}", f"{stage['networks_ms']:.2f}", f"{stage['cpu_ms'] - stage['networks_ms']:.2f}")
        for name, stage in cost["stages"].items()
    ]
    networks_ms, rest_ms = split_ms(cost)
    rows.append(("all", f"{networks_ms + rest_ms:.2f}", f"{networks_ms:.2f}", f"{rest_ms:.2f}"))
    return page.table(("processor ms a frame", "all", "in networks", "the rest"), rows)


def _networks(figures: page.Figures) -> str:
    """What each network costs a frame of the chain, beside a call of it alone."""
    alone = {row["network"]: row for row in figures["engines"]}
    rows = []
    for name, used in figures["cost"]["networks"].items():
        calls, cpu_ms = used["calls"], used["cpu_ms"]
        a_call = f"{cpu_ms / calls:.2f}" if calls else "-"
        by_itself = (f"{alone[name]['cpu_ms']:.2f}", alone[name]["device"]) if name in alone else ("-", "-")
        rows.append((name, used["stage"], f"{calls:.2f}", f"{cpu_ms:.2f}", a_call, *by_itself))
    head = ("network", "stage", "calls a frame", "CPU ms a frame", "CPU ms a call", "a call alone", "on")
    return page.table(head, rows, words=2)


if __name__ == "__main__":
    page.guarded(main)
