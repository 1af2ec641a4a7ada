"""Time of every network on every back-end, in every precision, on one thread and on two.

    python benchmarks/engines.py [--threads N] [--json FILE] [--markdown FILE]

Networks come from `weights/` (or `--weights DIR`). Two are measured with random weights, exported for it: HRNet-W32,
and HRNet-W18-small-v2 at its full working size. What this machine cannot run is named and left out. Needs no GPU;
close everything else first.
"""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

# Python puts this file's folder first, where this file itself would be taken for the package `engines`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import page, untrained  # noqa: E402
from benchmarks.flops import flops  # noqa: E402
from engines.bench import time_session  # noqa: E402
from engines.contracts import SHIPPED, STN, Contract, encoder  # noqa: E402
from engines.errors import EngineError  # noqa: E402
from engines.session import open_session  # noqa: E402
from engines.settings import EngineSettings  # noqa: E402
from engines.store import folder_of  # noqa: E402
from pipeline.bench import machine  # noqa: E402

COMBINATIONS = (
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
)
REACH_MS = {
    "hrnet_w32, random weights": 22.3,
    "hrnet_w18_small_v2, random weights": 7.6,
    "stn, random weights": 2.0,
    "stn": 2.0,
    "temporal_window": 5.4,
}
"""Milliseconds to reach in int8 on two threads: networks of these shapes with random weights, quantised by NNCF."""


@dataclass(frozen=True)
class Network:
    """What is measured: a name for the table, the contract, and the folder in which the file lies."""

    name: str
    contract: Contract
    weights: str

    @property
    def path(self) -> Path:
        """The file in single precision."""
        return folder_of(self.weights) / f"{self.contract.network}.onnx"

    @property
    def int8(self) -> Path:
        """The quantised file beside it."""
        return self.path.with_suffix(".int8.onnx")


def main() -> None:
    """Measure and write."""
    options = _options()
    figures: page.Figures = {"machine": machine(), "budget_s": options.budget, "rows": [], "left_out": []}
    networks = _networks(options, figures["left_out"])
    whole = [network.name for network in networks if not network.int8.is_file()]
    if whole:
        figures["left_out"].append(f"int8, no file NETWORK.int8.onnx: {'; '.join(whole)}")
    for network in networks:
        for backend, precision in COMBINATIONS:
            if precision == "int8" and network.name in whole:
                continue
            for threads in [options.threads] if options.threads else [1, 2]:
                if not _measured(network, backend, precision, threads, options.budget, figures):
                    break
    page.finish(figures, markdown, options)


def _options() -> argparse.Namespace:
    parser = page.arguments("Time of every network on every back-end, in every precision.")
    parser.add_argument("--threads", type=int, default=0, help="threads of a network; default: 1, then 2")
    parser.add_argument("--weights", default="", help="folder of the networks; default: the shipped one")
    parser.add_argument("--untrained", type=Path, default=untrained.FOLDER, help="folder of those with random weights")
    parser.add_argument("--budget", type=float, default=0.7, help="seconds for one network on one engine")
    return page.chosen(parser)


def _networks(options: argparse.Namespace, left_out: list[str]) -> list[Network]:
    found = [Network(contract.network, contract, options.weights) for contract in SHIPPED]
    for contract in (encoder("w32"), encoder("w18_small_v2"), STN):
        name = f"{contract.network}, random weights"
        try:
            untrained.exported(contract.network, options.untrained)
        except untrained.UntrainedError as error:
            left_out.append(str(error))
            continue
        found.append(Network(name, contract, str(options.untrained)))
    present = [network for network in found if network.path.is_file()]
    left_out += [f"{network.name}: no file {network.path.name}" for network in found if network not in present]
    return present


def _measured(
    network: Network, backend: str, precision: str, threads: int, budget_s: float, figures: page.Figures
) -> bool:
    """One row, or one line of what was left out and False."""
    what = f"{network.name} on {backend} in {precision}"
    settings = EngineSettings(
        backend=backend,
        device="cpu",
        precision=precision,
        weights=network.weights,
        threads=threads,
        checked=False,  # random weights are measured too
    )
    try:
        session = open_session(network.contract, settings, threads)
        timing = time_session(session, budget_s=budget_s)
    except EngineError as error:
        figures["left_out"].append(f"{what}: {error}")
        return False
    row = {"name": network.name, "gflop": flops(network.path) / 1e9, "backend": backend, "precision": precision}
    figures["rows"].append(row | {"threads": threads} | asdict(timing))
    print(f"{network.name:36} {timing.device:40} p50 {timing.p50_ms:8.3f} ms  cpu {timing.cpu_ms:8.3f} ms", flush=True)
    return True


def markdown(figures: page.Figures) -> str:
    """The section: what is to be reached, then everything."""
    rows = figures["rows"]
    runs = [row["runs"] for row in rows]
    samples = f"{min(runs)} to {max(runs)} calls of each after a warm-up, medians" if runs else "none"
    data = "noise of each network's shapes, batch 1"
    facts = page.facts(figures, data, samples, "python benchmarks/engines.py --json results/engines.json")
    return facts + "\n" + _goals(rows) + "\n" + _everything(rows) + page.left_out(figures["left_out"])


def _goals(rows: list[page.Figures]) -> str:
    """The fastest int8 engine with two threads beside the time that is to be reached."""
    lines = []
    for name, reach_ms in REACH_MS.items():
        here = [row for row in rows if (row["name"], row["precision"], row["threads"]) == (name, "int8", 2)]
        best = min(here, key=lambda row: row["p50_ms"], default=None)
        measured = ("not measured", "") if best is None else (f"{best['p50_ms']:.1f}", f"{best['cpu_ms']:.1f}")
        lines.append((name, f"{reach_ms:.1f}", *measured))
    return page.table(("int8, two threads", "to reach, ms", "measured, ms", "processor ms"), lines)


def _everything(rows: list[page.Figures]) -> str:
    """A line for each network, back-end and precision; wall and processor time for each number of threads."""
    threads = sorted({row["threads"] for row in rows})
    columns = [
        f"{kind}, {count} thread{'s' if count > 1 else ''}" for count in threads for kind in ("p50 ms", "CPU ms")
    ]
    lines: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        engine = f"{row['backend']} {row['precision']}"
        line = lines.setdefault(
            (row["name"], engine), [row["name"], engine, f"{row['gflop']:.3f}"] + [""] * len(columns)
        )
        place = 3 + 2 * threads.index(row["threads"])
        line[place : place + 2] = [f"{row['p50_ms']:.2f}", f"{row['cpu_ms']:.2f}"]
    return page.table(("network", "engine", "GFLOP", *columns), lines.values(), words=2)


if __name__ == "__main__":
    page.guarded(main)
