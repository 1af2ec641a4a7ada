"""`posecast bench`: every engine and the whole chain, measured on this machine.

Three runs tell three things. Replay, as fast as it goes: frames per second. The same metered: what each stage and
network costs the processor. Live, with the source played at 30 frames a second: latency from the decoder to the
published provisional pose, the hops between processes, and memory.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
import numpy as np
import psutil
from rich.console import Console

from engines.bench import time_session
from engines.contracts import SHIPPED, Contract, encoder
from pipeline.address import masked
from pipeline.bench_tables import chain_table, cost_table, engines_table
from pipeline.config import Config
from pipeline.errors import OutputError, SourceError
from pipeline.messages import Health, PoseFrame
from pipeline.meter import SKIPPED, Meter
from pipeline.replay import SAMPLE
from pipeline.run_dir import new_run_dir
from pipeline.sources import open_source
from pipeline.stage import Host
from pipeline.streams import Stream
from pipeline.subscribe import Subscription
from pipeline.supervisor import Outcome, Supervisor
from pipeline.topology import STAGES

_READY_S: Final = 20.0
_DRAIN_S: Final = 10.0
LIVE_RATE_HZ: Final = 30.0
_QUANTILES: Final = (50, 95, 99)

Figures = dict[str, Any]


def measure(config: Config, source: str, out: Path | None, rounds: int, console: Console) -> int:
    """Measure, print, and write the figures to `out` if given; the exit code."""
    uri = source or str(SAMPLE)
    if out is not None:
        _make_folder(out)  # that it cannot be is told before the measuring
    figures: Figures = {"machine": machine(), "source": described(config, uri), "rounds": rounds}
    with console.status("engines"):
        figures["engines"] = [_engine(config, contract) for contract in _contracts(config)]
    with console.status("whole chain, as fast as it goes"):
        figures["replay"] = median_of([chain(config, uri) for _ in range(rounds)])
    with console.status("cost of a frame"):
        figures["cost"] = median_of([chain(metered(config), uri) for _ in range(rounds)])
    with console.status(f"whole chain, live at {LIVE_RATE_HZ:.0f} frames a second"):
        figures["live"] = median_of([chain(config, uri, LIVE_RATE_HZ) for _ in range(rounds)])
    for table in (engines_table, cost_table, chain_table):
        console.print(table(figures))
    if out is not None:
        _write(figures, out)
    return 0


def machine() -> Figures:
    """What a figure was measured on: processor, cores, memory."""
    model = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {"cpu": model, "cores": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 1e9, 1)}


def metered(config: Config) -> Config:
    """The settings, with what each network costs told in the heartbeats; speeds are to be taken without."""
    return msgspec.structs.replace(config, engines=msgspec.structs.replace(config.engines, metered=True))


def described(config: Config, uri: str) -> str:
    """Name and format of a source. Raises SourceError when it cannot be opened."""
    source = open_source(uri, config)
    try:
        info = source.info
        return f"{Path(info.name).name}, {info.width}x{info.height} at {info.rate_hz:g} frames/s"
    finally:
        source.close()


def chain(config: Config, uri: str, rate_hz: float | None = None) -> Figures:
    """One run of the whole chain: live at `rate_hz`, or as fast as it goes; what its provisional poses tell."""
    started_ns = time.monotonic_ns()
    poses, meter = _run(run_config(config, uri, rate_hz), uri)
    if len(poses) <= 2 * SKIPPED:
        raise SourceError(f"{masked(uri)}: too short to measure; give a video of more than {2 * SKIPPED} frames")
    counted = poses[SKIPPED:]
    span_s = (counted[-1].stamps[-1].t_out_ns - counted[0].stamps[-1].t_out_ns) * 1e-9
    latency_ms = [(pose.stamps[-1].t_out_ns - pose.stamps[0].t_in_ns) * 1e-6 for pose in counted]
    hops_ms = [(after.t_in_ns - before.t_out_ns) * 1e-6 for pose in counted for before, after in pairwise(pose.stamps)]
    return {
        "frames": len(poses),
        "tracked": sum(pose.tracked for pose in poses),
        "fps": (len(counted) - 1) / span_s,
        "first_pose_s": (poses[0].stamps[-1].t_out_ns - started_ns) * 1e-9,
        **{f"latency_{name}": value for name, value in quantiles(latency_ms).items()},
        "hop_p50_ms": float(np.percentile(hops_ms, 50)),
        "memory_mb": meter.peak_bytes / 1e6,
        "stages": {row.name: _stage(meter, row.name, counted) for row in STAGES},
        "networks": {
            network: {"stage": row.name, "calls": cost.calls, "cpu_ms": cost.cpu_ms}
            for row in STAGES
            for network, cost in meter.networks(row.name).items()
        },
    }


def _stage(meter: Meter, name: str, poses: list[PoseFrame]) -> Figures:
    """A stage's costs a frame, its time from taking a message to handing it on, and how long messages wait for it."""
    place = [row.name for row in STAGES].index(name)
    inside_ms = [(pose.stamps[place].t_out_ns - pose.stamps[place].t_in_ns) * 1e-6 for pose in poses]
    waits_ms = [(pose.stamps[place].t_in_ns - pose.stamps[place - 1].t_out_ns) * 1e-6 for pose in poses if place]
    return {
        "step_ms": meter.step_ms(name),
        "cpu_ms": meter.cpu_ms(name),
        "networks_ms": sum(cost.cpu_ms for cost in meter.networks(name).values()),
        **{f"inside_{quantile}": value for quantile, value in quantiles(inside_ms).items()},
        **{f"wait_{quantile}": value for quantile, value in quantiles(waits_ms or [0.0]).items()},
    }


def quantiles(values_ms: list[float]) -> dict[str, float]:
    """Median, and what 5 % and 1 % of the values exceed."""
    return {f"p{share}_ms": float(np.percentile(values_ms, share)) for share in _QUANTILES}


def median_of(runs: list[Figures]) -> Figures:
    """Medians of numbers over runs, of what is nested in them too; words are those of the first run."""
    return {name: _median([run[name] for run in runs if name in run]) for name in runs[0]}


def _median(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return median_of(values)
    return values[0] if isinstance(values[0], str) else round(median(values), 3)


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def _contracts(config: Config) -> list[Contract]:
    chosen = encoder(config.encode.network, embedding=config.decode.source == "image")
    return [chosen if contract.network == chosen.network else contract for contract in SHIPPED] + [
        contract for contract in [chosen] if contract.network not in {shipped.network for shipped in SHIPPED}
    ]


def _engine(config: Config, contract: Contract) -> Figures:
    stage = "encode" if contract.network.startswith("hrnet_") else "decode"
    host = Host.of(next(row for row in STAGES if row.name == stage), config, Path())
    session = host.session(contract, config.decode.hypotheses)
    timing = time_session(session, {"B": 1, "H": config.decode.hypotheses})
    return msgspec.to_builtins(timing)  # type: ignore[no-any-return]


def _make_folder(out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); check the path") from error


def _write(figures: Figures, out: Path) -> None:
    try:
        out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); check the path") from error


def run_config(config: Config, uri: str, rate_hz: float | None) -> Config:
    """The settings for a run live at this rate, or as fast as it goes."""
    speed = 1.0
    if rate_hz is not None:
        source = open_source(uri, config)
        speed = rate_hz / source.info.rate_hz if source.info.rate_hz > 0 else 1.0
        source.close()
    live = rate_hz is not None
    settings = msgspec.structs.replace(config.source, paced=live, speed=speed)
    smooth = msgspec.structs.replace(config.smooth, provisional=0, final=False)
    return msgspec.structs.replace(config, policy="live" if live else "replay", source=settings, smooth=smooth)


def _run(config: Config, uri: str) -> tuple[list[PoseFrame], Meter]:
    """Provisional poses of one run, in order of frames, and what it used."""
    meter = Meter(config)
    poses, outcome = provisional_poses(config, uri, meter.read)
    if outcome.error:
        raise SourceError(outcome.error)
    return sorted(poses, key=lambda pose: pose.seq), meter


def provisional_poses(
    config: Config, source: str | Sequence[Stream], read: Callable[[Health, dict[str, int]], None]
) -> tuple[list[PoseFrame], Outcome]:
    """Provisional poses of one run of one or several streams as they were published, and how it ended.

    `read` gets every heartbeat, with the process ids by name.
    """
    run_dir = new_run_dir()
    endpoint = f"ipc://{run_dir}/poses.sock"
    config = msgspec.structs.replace(config, publish=msgspec.structs.replace(config.publish, endpoint=endpoint))
    poses: list[PoseFrame] = []
    ready = threading.Event()

    def listen() -> None:
        with Subscription(endpoint, ("pose/",)) as subscription:
            for message in subscription:
                ready.set()
                if isinstance(message, PoseFrame) and message.revision == "provisional":
                    poses.append(message)

    thread = threading.Thread(target=listen, daemon=True)

    def start_listening() -> None:
        thread.start()
        ready.wait(_READY_S)

    supervisor = Supervisor(
        config,
        source,
        on_health=lambda health: read(health, supervisor.pids()),
        before_capture=start_listening,
        run_dir=run_dir,
    )
    outcome = supervisor.run()
    thread.join(_DRAIN_S)
    return poses, outcome
