"""Networks that are part of another one, whose weights they share: written anew from its file where there is no run."""

from pathlib import Path
from typing import Final

import onnx

from models.exportable import CONTRACTS, exportable
from training import warmstart
from training.errors import TrainingError
from training.export import BOUND, Row, build_model, compare, entries_of, export_model, run_of, runtime

CUT_FROM: Final = {"temporal_live": "temporal_window"}
"""Part and whole."""


def is_cut(network: str, runs: Path) -> bool:
    """Whether `network` is to be made from its whole's file: it is part of another and has no run."""
    return network in CUT_FROM and run_of(network, runs) is None


def export_cut(network: str, out: Path) -> Row:
    """Writes `network` with the weights of its whole, which must lie in `out`. Raises TrainingError.

    The torch network is proven equal to the whole's file before a part of it is written.
    """
    whole = CUT_FROM[network]
    model = build_model(network, {})
    path = out / f"{whole}.onnx"
    warmstart.initialise(path, model)
    error = max(compare(exportable(whole, model), runtime(onnx.load(path)), CONTRACTS[whole], seed) for seed in (1, 2))
    if not error < BOUND:
        raise TrainingError(f"{path}: another {whole} than this version's ({error:.2e} off); export it again first")
    entry = entries_of(out).get(whole, {})
    header = {"cut_from": f"`{whole}`, version {entry.get('version', 1)}"}
    return export_model(network, model, header, str(entry.get("created_from", "not recorded")), out)
