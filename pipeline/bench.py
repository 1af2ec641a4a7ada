"""`posecast bench`: every engine and the whole chain, measured on this machine.

Two runs tell two things. Replay, as fast as it goes: frames per second. Live, with the source played at 30 frames a
second: latency from the decoder to the published provisional pose, the hops between processes, and memory.
"""

import json
import os
import platform
import threading
import time
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
    poses, memory = _run(_run_config(config, uri, live=live), uri)
    if len(poses) <= 2 * _SKIPPED:
        raise SourceError(f"{uri}: too short to measure; give a video of more than {2 * _SKIPPED} frames")
    counted = poses[_SKIPPED:]
    span_s = (counted[-1].stamps[-1].t_out_ns - counted[0].stamps[-1].t_out_ns) * 1e-9
    latency_ms = [(pose.stamps[-1].t_out_ns - pose.stamps[0].t_in_ns) * 1e-6 for pose in counted]
    hops_ms = [
        (after.t_in_ns - before.t_out_ns) * 1e-6
        for pose in counted
        for before, after in zip(pose.stamps, pose.stamps[1:], strict=False)
    ]
    result = {
        "frames": float(len(poses)),
        "fps": (len(counted) - 1) / span_s,
        "latency_p50_ms": float(np.percentile(latency_ms, 50)),
        "latency_p95_ms": float(np.percentile(latency_ms, 95)),
        "hop_p50_ms": float(np.percentile(hops_ms, 50)),
        "memory_mb": memory / 1e6,
    }
    for at, row in enumerate(STAGES):
        times = [(pose.stamps[at].t_out_ns - pose.stamps[at].t_in_ns) * 1e-6 for pose in counted]
        result[f"{row.name}_p50_ms"] = float(np.percentile(times, 50))
    return result


def _run_config(config: Config, uri: str, *, live: bool) -> Config:
    speed = 1.0
    if live:
        source = open_source(uri, config)
        speed = LIVE_RATE_HZ / source.info.rate_hz if source.info.rate_hz > 0 else 1.0
        source.close()
    settings = msgspec.structs.replace(config.source, paced=live, speed=speed)
    smooth = msgspec.structs.replace(config.smooth, provisional=0, final=False)
    return msgspec.structs.replace(config, policy="live" if live else "replay", source=settings, smooth=smooth)


def _run(config: Config, uri: str) -> tuple[list[PoseFrame], int]:
    """Provisional poses of one run, in order of frames, and the peak memory of all processes, bytes."""
    run_dir = new_run_dir()
    endpoint = f"ipc://{run_dir}/poses.sock"
    config = msgspec.structs.replace(config, publish=msgspec.structs.replace(config.publish, endpoint=endpoint))
    poses: list[PoseFrame] = []
    peak = [0]

    def weigh(health: Health) -> None:
        if health.stage == STAGES[-1].name:
            peak[0] = max(peak[0], _memory(supervisor.pids()))

    def listen() -> None:
        with Subscription(endpoint, ("pose/",)) as subscription:
            poses.extend(
                message
                for message in subscription
                if isinstance(message, PoseFrame) and message.revision == "provisional"
            )

    thread = threading.Thread(target=listen, daemon=True)

    def start_listening() -> None:
        thread.start()
        time.sleep(0.5)

    supervisor = Supervisor(config, uri, on_health=weigh, before_capture=start_listening, run_dir=run_dir)
    outcome = supervisor.run()
    thread.join(5)
    if outcome.error:
        raise SourceError(outcome.error)
    return sorted(poses, key=lambda pose: pose.seq), peak[0]


def _memory(pids: dict[str, int]) -> int:
    """Proportional share of memory of the processes: what they use together, shared pages counted once."""
    total = 0
    for pid in pids.values():
        try:
            total += psutil.Process(pid).memory_full_info().pss
        except (psutil.Error, AttributeError):
            continue
    return total


def _median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(run[name] for run in runs), 3) for name in runs[0]}


def _engines_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title="engines, batch 1", title_justify="left")
    for heading in ("network", "p50 ms", "p99 ms", "runs", "on"):
        table.add_column(heading, justify="left" if heading in ("network", "on") else "right")
    for row in rows:
        table.add_row(row["network"], f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", str(row["runs"]), row["device"])
    return table


def _chain_table(figures: dict[str, Any]) -> Table:
    replay, live = figures["replay"], figures["live"]
    title = f"whole chain on {figures['source']}, medians of {figures['rounds']} runs, {replay['frames']:.0f} frames"
    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("as fast as it goes", f"{replay['fps']:.1f}", "frames/s")
    for row in STAGES:
        table.add_row(f"  {row.name}", f"{replay[row.name + '_p50_ms']:.2f}", "ms a frame, p50")
    table.add_row("live, capture to publish", f"{live['latency_p50_ms']:.1f}", "ms p50, provisional poses")
    table.add_row("", f"{live['latency_p95_ms']:.1f}", f"ms p95, {live['fps']:.1f} frames/s")
    table.add_row("hop between processes", f"{live['hop_p50_ms']:.3f}", "ms p50")
    table.add_row("memory, all processes", f"{live['memory_mb']:.0f}", "MB, proportional")
    return table
