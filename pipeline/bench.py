"""`posecast bench`: every engine and the whole chain, measured on this machine.

Two runs tell two things. Replay, as fast as it goes: frames per second. Live, with the source played at 30 frames a
second: latency from the decoder to the published provisional pose, the hops between processes, and memory.
"""

import json
import os
import platform
import threading
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from engines.bench import time_session
from engines.contracts import SHIPPED
from pipeline.config import Config
from pipeline.errors import SourceError
from pipeline.messages import Health, PoseFrame
from pipeline.replay import SAMPLE
from pipeline.sources import open_source
from pipeline.stage import Host
from pipeline.subscribe import Subscription
from pipeline.supervisor import Supervisor, new_run_dir
from pipeline.topology import STAGES

LIVE_RATE_HZ: Final = 30.0
_THREADS: Final = {"hrnet_w18_small_v2": 2}
_SKIPPED: Final = 10
"""Frames at the start that are not counted: engines and caches warm up."""


def measure(config: Config, source: str, out: Path | None, rounds: int, console: Console) -> int:
    """Measure, print, and write the figures to `out` if given; the exit code."""
    uri = source or str(SAMPLE)
    figures: dict[str, Any] = {"machine": _machine(), "source": Path(uri).name, "rounds": rounds}
    with console.status("engines"):
        figures["engines"] = [_engine(config, contract) for contract in SHIPPED]
    console.print(_engines_table(figures["engines"]))
    with console.status("whole chain, as fast as it goes"):
        figures["replay"] = _median_of([_chain(config, uri, live=False) for _ in range(rounds)])
    with console.status(f"whole chain, live at {LIVE_RATE_HZ:.0f} frames a second"):
        figures["live"] = _median_of([_chain(config, uri, live=True) for _ in range(rounds)])
    console.print(_chain_table(figures))
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def _machine() -> dict[str, Any]:
    model = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {"cpu": model, "cores": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 1e9, 1)}


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def _engine(config: Config, contract: Any) -> dict[str, Any]:
    host = Host(config, Path(), os.cpu_count() or 1)
    session = host.session(contract, threads=_THREADS.get(contract.network, 1))
    return msgspec.to_builtins(time_session(session))  # type: ignore[no-any-return]


def _chain(config: Config, uri: str, *, live: bool) -> dict[str, float]:
    """One run of the whole chain; medians and quantiles of its provisional poses."""
    poses, meter = _run(_run_config(config, uri, live=live), uri)
    if len(poses) <= 2 * _SKIPPED:
        raise SourceError(f"{uri}: too short to measure; give a video of more than {2 * _SKIPPED} frames")
    counted = poses[_SKIPPED:]
    span_s = (counted[-1].stamps[-1].t_out_ns - counted[0].stamps[-1].t_out_ns) * 1e-9
    latency_ms = [(pose.stamps[-1].t_out_ns - pose.stamps[0].t_in_ns) * 1e-6 for pose in counted]
    hops_ms = [(after.t_in_ns - before.t_out_ns) * 1e-6 for pose in counted for before, after in pairwise(pose.stamps)]
    result = {
        "frames": float(len(poses)),
        "fps": (len(counted) - 1) / span_s,
        "latency_p50_ms": float(np.percentile(latency_ms, 50)),
        "latency_p95_ms": float(np.percentile(latency_ms, 95)),
        "hop_p50_ms": float(np.percentile(hops_ms, 50)),
        "memory_mb": meter.peak_bytes / 1e6,
    }
    for row in STAGES:
        result[f"{row.name}_step_ms"] = meter.health[row.name].step.p50_ms
        result[f"{row.name}_cpu_ms"] = meter.cpu_ms(config.processes[row.name])
    return result


class Meter:
    """Processor time and memory of a run's processes, read at their heartbeats."""

    def __init__(self) -> None:
        self.health: dict[str, Health] = {}
        self.peak_bytes = 0
        self._first: tuple[int, dict[str, float]] | None = None
        self._last: tuple[int, dict[str, float]] = (0, {})

    def read(self, health: Health, pids: dict[str, int]) -> None:
        """Take a heartbeat; at those of the last stage, once frames flow, read the clocks of all processes."""
        self.health[health.stage] = health
        if health.stage != STAGES[-1].name or "capture" not in self.health:
            return
        self.peak_bytes = max(self.peak_bytes, sum(_memory(pid) for pid in pids.values()))
        frames = self.health["capture"].sent
        if frames < _SKIPPED or health.state != "running":
            return
        self._last = (frames, {name: _cpu_s(pid) for name, pid in pids.items()})
        self._first = self._first or self._last

    def cpu_ms(self, process: str) -> float:
        """Processor milliseconds a frame of one process; 0 if the run was too short to tell."""
        if self._first is None or self._last[0] <= self._first[0]:
            return 0.0
        seconds = self._last[1].get(process, 0.0) - self._first[1].get(process, 0.0)
        return 1e3 * seconds / (self._last[0] - self._first[0])


def _run_config(config: Config, uri: str, *, live: bool) -> Config:
    speed = 1.0
    if live:
        source = open_source(uri, config)
        speed = LIVE_RATE_HZ / source.info.rate_hz if source.info.rate_hz > 0 else 1.0
        source.close()
    settings = msgspec.structs.replace(config.source, paced=live, speed=speed)
    smooth = msgspec.structs.replace(config.smooth, provisional=0, final=False)
    return msgspec.structs.replace(config, policy="live" if live else "replay", source=settings, smooth=smooth)


def _run(config: Config, uri: str) -> tuple[list[PoseFrame], Meter]:
    """Provisional poses of one run, in order of frames, and what it used."""
    run_dir = new_run_dir()
    endpoint = f"ipc://{run_dir}/poses.sock"
    config = msgspec.structs.replace(config, publish=msgspec.structs.replace(config.publish, endpoint=endpoint))
    poses: list[PoseFrame] = []
    ready = threading.Event()
    meter = Meter()

    def listen() -> None:
        with Subscription(endpoint, ("pose/",)) as subscription:
            for message in subscription:
                ready.set()
                if isinstance(message, PoseFrame) and message.revision == "provisional":
                    poses.append(message)

    thread = threading.Thread(target=listen, daemon=True)

    def start_listening() -> None:
        thread.start()
        ready.wait(10)

    supervisor = Supervisor(
        config,
        uri,
        on_health=lambda health: meter.read(health, supervisor.pids()),
        before_capture=start_listening,
        run_dir=run_dir,
    )
    outcome = supervisor.run()
    thread.join(5)
    if outcome.error:
        raise SourceError(outcome.error)
    return sorted(poses, key=lambda pose: pose.seq), meter


def _memory(pid: int) -> int:
    """What a process uses, pages shared with others counted in proportion."""
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0


def _cpu_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(run[name] for run in runs), 3) for name in runs[0]}


def _engines_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title="engines, batch 1", title_justify="left")
    for heading in ("network", "p50 ms", "p99 ms", "runs", "on"):
        table.add_column(heading, justify="left" if heading in ("network", "on") else "right")
    for row in rows:
        table.add_row(row["network"], f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", str(row["runs"]), row["device"])
    return table


def _limit(replay: dict[str, float], cores: int) -> str:
    """What keeps the chain from being faster: all cores, or the slowest stage."""
    total_ms = sum(replay[f"{row.name}_cpu_ms"] for row in STAGES)
    slowest = max(STAGES, key=lambda row: replay[f"{row.name}_step_ms"])
    busy = total_ms * replay["fps"] / (1e3 * cores)
    return f"{busy:.0%} of {cores} cores in use ({total_ms:.0f} ms a frame); the slowest stage is {slowest.name}"


def _chain_table(figures: dict[str, Any]) -> Table:
    replay, live = figures["replay"], figures["live"]
    title = f"whole chain on {figures['source']}, medians of {figures['rounds']} runs, {replay['frames']:.0f} frames"
    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("as fast as it goes", f"{replay['fps']:.1f}", "frames/s")
    for row in STAGES:
        step_ms, cpu_ms = replay[f"{row.name}_step_ms"], replay[f"{row.name}_cpu_ms"]
        table.add_row(f"  {row.name}", f"{step_ms:.2f}", f"ms a frame, p50; {cpu_ms:.1f} ms of processor")
    table.add_row("  limited by", "", _limit(replay, figures["machine"]["cores"]))
    table.add_row("live, capture to publish", f"{live['latency_p50_ms']:.1f}", "ms p50, provisional poses")
    table.add_row("", f"{live['latency_p95_ms']:.1f}", f"ms p95, {live['fps']:.1f} frames/s")
    table.add_row("hop between processes", f"{live['hop_p50_ms']:.3f}", "ms p50")
    table.add_row("memory, all processes", f"{live['memory_mb']:.0f}", "MB, proportional")
    return table
