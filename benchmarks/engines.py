"""Median time of every network on both back-ends, in every precision.

    python benchmarks/engines.py [--threads N] [--json FILE]

Networks come from `weights/` (or `--weights DIR`); one that is not there is named and left out. Needs no GPU; close
everything else first.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

# Python puts this file's folder first, where this file itself would be taken for the package `engines`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from engines.bench import Timing, time_session  # noqa: E402
from engines.contracts import ENCODERS, SHIPPED, Contract, encoder  # noqa: E402
from engines.errors import BackendError, WeightsError  # noqa: E402
from engines.session import open_session  # noqa: E402
from engines.settings import EngineSettings  # noqa: E402
from engines.store import find  # noqa: E402

COMBINATIONS = (("openvino", "bf16"), ("openvino", "fp32"), ("onnxruntime", "fp32"))


def main() -> None:
    options = _options()
    rows = []
    for contract in _contracts():
        try:
            find(contract.network, options.weights)
        except WeightsError as error:
            print(f"left out: {error}")
            continue
        for threads in [options.threads] if options.threads else [1, 2]:
            rows += _timed(contract, threads, options.weights)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Median time of every network on both back-ends.")
    parser.add_argument("--threads", type=int, default=0, help="threads of a network; default: 1, then 2")
    parser.add_argument("--weights", default="", help="folder of the networks; default: the shipped one")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def _contracts() -> list[Contract]:
    shipped = list(SHIPPED)
    return shipped + [encoder(name) for name in ENCODERS if encoder(name) not in shipped]


def _timed(contract: Contract, threads: int, weights: str) -> list[Timing]:
    rows = []
    for backend, precision in COMBINATIONS:
        settings = EngineSettings(backend, precision, weights, threads)
        try:
            row = time_session(open_session(contract, settings, threads))
        except BackendError as error:
            print(f"{contract.network:20} left out: {error}")
            continue
        print(
            f"{row.network:20} {row.device:38} p50 {row.p50_ms:8.3f} ms  p99 {row.p99_ms:8.3f} ms  "
            f"cpu {row.cpu_ms:8.3f} ms  first {row.first_ms:8.1f} ms"
        )
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
