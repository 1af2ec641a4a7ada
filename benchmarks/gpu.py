"""The networks and the whole chain on an NVIDIA GPU.

    python benchmarks/gpu.py [--cameras N ...] [--json FILE] [--markdown FILE]

Per network: a call with a batch of one and with the batch that gives most a second, through the session that the
stages use (so copies to the card and back are part of it), as operations a second and as share of what the card gives
in one large matrix product in half precision. The whole chain: how many cameras at 50 frames a second one card serves,
each with processes of its own. Needs the package's extra `gpu`; without a GPU it says so and ends with code 2.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

import msgspec  # noqa: E402

from benchmarks import page, untrained  # noqa: E402
from benchmarks.clip import repeated  # noqa: E402
from benchmarks.matrix import peak_tflops, the_gpu  # noqa: E402
from engines.bench import time_session  # noqa: E402
from engines.contracts import SHIPPED, Contract, encoder  # noqa: E402
from engines.errors import BackendError, EngineError  # noqa: E402
from engines.session import open_session  # noqa: E402
from engines.settings import EngineSettings  # noqa: E402
from pipeline.bench import chain, described, machine  # noqa: E402
from pipeline.config import Config, load, shipped  # noqa: E402
from pipeline.replay import SAMPLE  # noqa: E402

DEVICE = "cuda:0"
PRECISION = "fp16"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
CAMERA_HZ = 50.0
REPEATS = 6
"""How often a camera shows the dive: long enough that all of them run at once for most of the time."""
SERVED = 0.98
"""A camera is served when it gets poses for this share of its frames."""
COMMAND = "python benchmarks/gpu.py --json results/gpu.json"


def main() -> None:
    """Measure and write."""
    options = _options()
    if options.camera:
        print(json.dumps(chain(_config(), options.camera, CAMERA_HZ)))
        return
    try:
        card = the_gpu()
    except BackendError as error:
        page.refuse(str(error))
        return
    figures: page.Figures = {
        "machine": machine() | {"gpu": card},
        "source": described(Config(), str(SAMPLE)),
        "peak_tflops": peak_tflops(),
        "rows": [],
        "left_out": [],
    }
    for name, contract, weights in _networks(options.untrained, figures["left_out"]):
        _measured(name, contract, weights, figures)
    figures["cameras"] = _cameras(options.cameras, figures["left_out"])
    page.finish(figures, markdown, options)


def _options() -> argparse.Namespace:
    parser = page.arguments("The networks and the whole chain on an NVIDIA GPU.")
    parser.add_argument("--cameras", nargs="*", type=int, default=[1, 2, 4, 6, 8], help="how many at once, in order")
    parser.add_argument("--untrained", type=Path, default=untrained.FOLDER, help="folder of random weights")
    parser.add_argument("--camera", default="", help=argparse.SUPPRESS)
    return page.chosen(parser)


def _networks(folder: Path, left_out: list[str]) -> list[tuple[str, Contract, str]]:
    """Name, contract and folder of weights: the shipped ones, and HRNet-W32 with random weights."""
    networks = [(contract.network, contract, "") for contract in SHIPPED]
    try:
        untrained.exported("hrnet_w32", folder)
    except untrained.UntrainedError as error:
        left_out.append(str(error))
        return networks
    return [*networks, ("hrnet_w32, random weights", encoder("w32"), str(folder))]


def _measured(name: str, contract: Contract, weights: str, figures: page.Figures) -> None:
    """A row for each size of batch, until twice the batch takes more than twice the time; or a line of left out."""
    path = (Path(weights) if weights else untrained.SHIPPED_WEIGHTS) / f"{contract.network}.onnx"
    settings = EngineSettings(device=DEVICE, precision=PRECISION, weights=weights)
    best_per_s = 0.0
    for batch in BATCHES:
        axes = {"B": batch, "H": 5}
        try:
            timing = time_session(open_session(contract, settings, 1, axes=axes), axes, budget_s=0.5)
        except EngineError as error:
            figures["left_out"].append(f"{name}, batch {batch}: {error}")
            return
        row = {"name": name, "batch": batch, "per_s": batch / timing.p50_ms * 1e3, "gflop": _gflop(path, axes)}
        figures["rows"].append(row | asdict(timing))
        print(f"{name:28} batch {batch:4} {timing.p50_ms:9.3f} ms {row['per_s']:10.0f} /s  {timing.device}", flush=True)
        if row["per_s"] < best_per_s:
            return
        best_per_s = row["per_s"]


def _gflop(path: Path, axes: dict[str, int]) -> float | None:
    """Thousand million operations of a call; None where the package onnx is missing."""
    try:
        from benchmarks.flops import flops
    except ImportError:
        return None
    return flops(path, axes) / 1e9


def _config() -> Config:
    config = load(shipped("live"))
    engines = msgspec.structs.replace(config.engines, device=DEVICE, precision=PRECISION)
    return msgspec.structs.replace(config, engines=engines)


def _cameras(counts: list[int], left_out: list[str]) -> list[page.Figures]:
    """More and more cameras at once, until one of them is not served."""
    with tempfile.TemporaryDirectory() as folder:
        return _until_too_many(counts, repeated(SAMPLE, REPEATS, Path(folder) / SAMPLE.name), left_out)


def _until_too_many(counts: list[int], clip: Path, left_out: list[str]) -> list[page.Figures]:
    rows: list[page.Figures] = []
    for count in counts:
        runs = _at_once(count, clip, left_out)
        if not runs:
            return rows
        frames = max(run["frames"] for run in runs)
        rows.append(
            {
                "cameras": count,
                "least_fps": min(run["fps"] for run in runs),
                "latency_p50_ms": max(run["latency_p50_ms"] for run in runs),
                "latency_p95_ms": max(run["latency_p95_ms"] for run in runs),
                "frames": frames,
            }
        )
        print(f"{count} cameras: {rows[-1]['least_fps']:.1f} frames/s at least", flush=True)
        if not served(rows[-1]):
            return rows
    return rows


def _at_once(count: int, clip: Path, left_out: list[str]) -> list[page.Figures]:
    """So many chains at the same time, each started by a process of its own; nothing if one of them failed."""
    command = [sys.executable, str(Path(__file__).resolve()), "--camera", str(clip)]
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(count)]
    answers = [child.communicate() for child in children]
    for child, (_, complaint) in zip(children, answers, strict=True):
        if child.returncode:
            reason = (complaint.strip().splitlines() or ["no reason given"])[-1][:200]
            left_out.append(f"{count} cameras: {reason}")
            return []
    return [json.loads(answer) for answer, _ in answers]


def served(row: page.Figures) -> bool:
    """Whether all cameras of a row got poses at their rate."""
    return bool(row["least_fps"] >= SERVED * CAMERA_HZ)


def markdown(figures: page.Figures, gflop: dict[str, float] | None = None) -> str:
    """The section. `gflop` are those of a call with a batch of one, by name, where the figures lack them."""
    rows = figures["rows"]
    runs = [row["runs"] for row in rows] or [0]
    card, processor = figures["machine"]["gpu"], figures["machine"]["cpu"]
    on = figures | {"machine": figures["machine"] | {"cpu": f"{card}; {processor}"}}
    chain_data = f"{figures['source']}, {REPEATS} times over, played at {CAMERA_HZ:.0f} frames/s"
    data = f"networks: noise of their shapes, {PRECISION}; chain: {chain_data}"
    samples = f"{min(runs)} to {max(runs)} calls of each after a warm-up, medians; one run for each number of cameras"
    peak = f"Largest matrix product in half precision: {figures['peak_tflops']:.0f} TFLOP/s.\n"
    names = list(dict.fromkeys(row["name"] for row in rows))
    lines = [line for name in names for line in _lines(name, rows, figures["peak_tflops"], gflop or {})]
    head = ("network", "batch", "ms", "a second", "GFLOP/s", "share of that product")
    parts = (page.facts(on, data, samples, COMMAND), peak, page.table(head, lines), _camera_table(figures["cameras"]))
    return "\n".join(parts) + page.left_out(figures["left_out"])


def _lines(name: str, rows: list[page.Figures], peak_tflops: float, gflop: dict[str, float]) -> list[tuple[str, ...]]:
    """A batch of one, and the best batch if that is another."""
    mine = [row for row in rows if row["name"] == name]
    best = max(mine, key=lambda row: row["per_s"])
    lines = []
    for row in [mine[0]] if best is mine[0] else [mine[0], best]:
        a_call = row["gflop"] if row["gflop"] is not None else gflop.get(name, 0.0) * row["batch"]
        rate = a_call / row["p50_ms"] * 1e3
        share = (f"{rate:.0f}", f"{rate / peak_tflops / 1e3:.1%}") if a_call else ("", "")
        lines.append((name, str(row["batch"]), f"{row['p50_ms']:.3f}", f"{row['per_s']:.0f}", *share))
    return lines


def _camera_table(rows: list[dict[str, Any]]) -> str:
    most = max((row["cameras"] for row in rows if served(row)), default=0)
    lines = [
        (str(row["cameras"]), f"{row['least_fps']:.1f}", f"{row['latency_p50_ms']:.1f}", f"{row['latency_p95_ms']:.1f}")
        for row in rows
    ]
    head = ("cameras at once", "frames/s, slowest of them", "latency p50, ms, worst", "latency p95, ms, worst")
    return page.table(head, lines) + f"\nCameras at {CAMERA_HZ:.0f} frames/s that one GPU serves: {most}.\n"


if __name__ == "__main__":
    page.guarded(main)
