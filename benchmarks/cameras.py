"""What an added camera costs: one encoder for 1, 2, 3 and 4 streams of the sample dive.

    python benchmarks/cameras.py [--streams N ...] [--rounds N] [--video FILE] [--json FILE] [--markdown FILE]

Each number of streams runs twice through the real processes: live with the video played at 30 frames a second, as
cameras would, and as fast as it goes, where nothing is dropped. Latency is from the decoder to the published
provisional pose. Processor time is that of all processes of a stage, divided by the frames they took; it holds on a
busy machine too, the rest only means something on a quiet one. Medians of the rounds.
"""

import argparse
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import psutil

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import page  # noqa: E402
from pipeline import config as settings  # noqa: E402
from pipeline.bench import machine, provisional_poses, run_config  # noqa: E402
from pipeline.messages import Health, PoseFrame  # noqa: E402
from pipeline.replay import SAMPLE  # noqa: E402
from pipeline.streams import Stream  # noqa: E402
from pipeline.topology import STAGES, Layout  # noqa: E402

RATE_HZ = 30.0
WARM_UP = 10
"""Frames of each stream that are not counted: engines and caches warm up."""
NAMES = [row.name for row in STAGES]


@dataclass(frozen=True)
class Figures:
    """What so many cameras gave: `fps` of the slowest stream, `cpu_ms` by stage for a frame."""

    cameras: int
    paced: bool
    fps: float
    fps_each: list[float]
    p50_ms: float
    p95_ms: float
    dropped: float
    memory_mb: float
    cpu_ms: dict[str, float]

    @property
    def row(self) -> list[str]:
        """A row of the table."""
        played = f"{RATE_HZ:.0f} Hz" if self.paced else "as fast as it goes"
        speed = [f"{self.fps:.1f}", f"{self.p50_ms:.0f}", f"{self.p95_ms:.0f}", f"{self.dropped:.0%}"]
        stages = [f"{self.cpu_ms[name]:.1f}" for name in NAMES]
        whole = f"{sum(self.cpu_ms.values()):.1f}"
        return [str(self.cameras), played, *speed, f"{self.memory_mb:.0f}", *stages, whole]


@dataclass
class Meter:
    """Reads the clocks of all processes and the counts of all stages at heartbeats of the last stage."""

    layout: Layout
    health: dict[str, Health] = field(default_factory=dict)
    readings: list[tuple[dict[str, float], dict[str, int]]] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)

    def read(self, health: Health, pids: dict[str, int]) -> None:
        """Take a heartbeat."""
        self.health[self.layout.node(health.stage, health.stream).name] = health
        if health.stage != NAMES[-1] or health.state != "running" or len(self.health) < len(self.layout.nodes):
            return
        frames = {node.name: self._frames(node.name) for node in self.layout.nodes}
        if min(frames.values()) < WARM_UP:
            return
        processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        if not self.readings:
            self.memory = {name: process.memory_full_info().pss for name, process in processes.items()}
        self.readings.append(({name: _cpu_s(process) for name, process in processes.items()}, frames))

    def _frames(self, name: str) -> int:
        """Frames that a stage has taken; what publish takes are revisions, so those smooth took."""
        stage = self.health[name].stage
        if stage == NAMES[-1]:
            return self.health["smooth"].received
        return self.health[name].sent if stage == NAMES[0] else self.health[name].received

    def cpu_ms(self, stage: str) -> float:
        """Processor milliseconds of a stage for a frame, over all its processes."""
        nodes = [node for node in self.layout.nodes if node.row.name == stage]
        (first_s, first), (last_s, last) = self.readings[0], self.readings[-1]
        frames = sum(last[node.name] - first[node.name] for node in nodes)
        return 1e3 * sum(last_s[node.process] - first_s[node.process] for node in nodes) / max(frames, 1)


def main() -> None:
    """Measure and write."""
    options = _options()
    found = [
        _median_of([_measured(options.video, cameras, paced) for _ in range(options.rounds)])
        for paced in (True, False)
        for cameras in options.streams
    ]
    figures = {
        "machine": machine(),
        "rounds": options.rounds,
        "video": options.video.name,
        "runs": [asdict(run) for run in found],
    }
    page.finish(figures, markdown, options)


def markdown(figures: page.Figures) -> str:
    """The section for the page."""
    head = ("cameras", "played", "frames/s each", "p50 ms", "p95 ms", "dropped", "MB", *NAMES, "all")
    facts = page.facts(
        figures,
        f"{figures['video']} in every camera",
        f"{figures['rounds']} run of each to the end of the video; by stage processor ms a frame",
        f"python benchmarks/cameras.py --rounds {figures['rounds']}",
    )
    return f"{facts}\n{page.table(head, [Figures(**run).row for run in figures['runs']], words=2)}"


def _options() -> argparse.Namespace:
    parser = page.arguments("What an added camera costs.")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 3, 4], help="numbers of cameras")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each; medians are printed")
    parser.add_argument("--video", type=Path, default=SAMPLE, help="what every camera shows")
    return page.chosen(parser)


def _measured(video: Path, cameras: int, paced: bool) -> Figures:
    streams = [Stream(f"cam{number}", str(video)) for number in range(1, cameras + 1)]
    config = run_config(settings.load(settings.shipped("live")), str(video), RATE_HZ if paced else None)
    meter = Meter(Layout([stream.name for stream in streams], config.processes))
    published, outcome = provisional_poses(config, streams, meter.read)
    poses = [[pose for pose in published if pose.stream == stream.name] for stream in streams]
    if outcome.error or any(outcome.restarts.values()) or len(meter.readings) < 2:
        sys.exit(f"{cameras} cameras: {outcome.error or 'a stage was restarted, or the video is too short'}")
    captured = sum(meter.health[node.name].sent for node in meter.layout.nodes if node.row.reads is None)
    return _figures(poses, captured, paced, meter)


def _figures(poses: list[list[PoseFrame]], captured: int, paced: bool, meter: Meter) -> Figures:
    counted = [stream[WARM_UP:] for stream in poses]
    if min(map(len, counted)) < 2:
        sys.exit(f"too few poses to measure ({[len(stream) for stream in poses]}); give a longer video")
    fps_each = [round((len(stream) - 1) / _span_s(stream), 2) for stream in counted]
    latency_ms = [(pose.stamps[-1].t_out_ns - pose.stamps[0].t_in_ns) * 1e-6 for stream in counted for pose in stream]
    p50_ms, p95_ms = (round(float(value), 2) for value in np.percentile(latency_ms, (50, 95)))
    return Figures(
        cameras=len(poses),
        paced=paced,
        fps=min(fps_each),
        fps_each=fps_each,
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        dropped=round(1 - sum(map(len, poses)) / captured, 4),
        memory_mb=round(sum(meter.memory.values()) / 1e6, 1),
        cpu_ms={name: round(meter.cpu_ms(name), 3) for name in NAMES},
    )


def _span_s(poses: list[PoseFrame]) -> float:
    return (poses[-1].stamps[-1].t_out_ns - poses[0].stamps[-1].t_out_ns) * 1e-9


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _median_of(rounds: list[Figures]) -> Figures:
    """Medians of all figures; of those for each stream, those of the round in the middle."""
    middle = sorted(rounds, key=lambda figures: figures.fps)[len(rounds) // 2]
    numbers = {
        name: median(getattr(figures, name) for figures in rounds)
        for name in ("fps", "p50_ms", "p95_ms", "dropped", "memory_mb")
    }
    cpu_ms = {name: median(figures.cpu_ms[name] for figures in rounds) for name in NAMES}
    return Figures(middle.cameras, middle.paced, fps_each=middle.fps_each, cpu_ms=cpu_ms, **numbers)


if __name__ == "__main__":
    page.guarded(main)
