"""`ablation`: the same suites for several folders of weights or of runs, side by side; or, for one folder, MLP against
diffusion and per-frame against temporal.

Gravity on and off, triplet loss on and off, pre-training on and off: train each, then
`posecast eval ablation --compare on=runs/a --compare off=runs/b --suite track`.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from engines import store
from engines.contracts import ENCODERS
from training import checkpoint
from training.errors import TrainingError
from training.evaluate import embedding, lift, lookahead, occlusion, photos, suites, synth_crops, synth_dives, track
from training.evaluate.result import Figures, Request, Result, Row

DEFAULT: Final = ("synth-crops", "lift", "lookahead")
TOGETHER: Final = (
    ("stn",),
    (*(f"hrnet_{v}" for v in ENCODERS), "pose2d_encoder", "pose3d_encoder", "mlp_decoder", "diffusion_decoder"),
    ("temporal_frame", "temporal_window", "temporal_live"),
)
"""Networks that fit each other only within one run; what a folder lacks is taken from --weights group by group."""
_LEVEL = f"mocap, level, {lift.EXACT}"
KEY: Final = {
    "photos": [(f"PCK@0.2 {tilt} %", photos.EXACT, photos.OURS, tilt) for tilt in photos.TILTS],
    "synth-crops": [
        ("PCK@0.1 box %", synth_crops.KEYPOINTS, "all", synth_crops.PCK_BOX),
        ("picture MPJPE mm", synth_crops.POSES, synth_crops.MLP_IMAGE, "MPJPE mm"),
        ("picture P-MPJPE mm", synth_crops.POSES, synth_crops.MLP_IMAGE, "P-MPJPE mm"),
    ],
    "synth-dives": [
        ("MPJPE mm", synth_dives.POSES, synth_dives.PIPELINE, "MPJPE mm"),
        ("P-MPJPE mm", synth_dives.POSES, synth_dives.PIPELINE, "P-MPJPE mm"),
        ("box IoU > 0.5 %", synth_dives.PICTURE, synth_dives.ALL, "box IoU > 0.5 %"),
    ],
    "lift": [
        ("MLP P-MPJPE mm", lift.MLP, _LEVEL, "P-MPJPE mm"),
        ("diffusion P-MPJPE mm", lift.DIFFUSION, _LEVEL, "P-MPJPE mm"),
    ],
    "lookahead": [
        (f"dives k={k} {name}", lookahead.title("dives"), lookahead.row_name(k), name)
        for k in (0, 13)
        for name in ("MPJPE mm", "acceleration mm/frame2")
    ],
    "occlusion": [("both legs MPJPE mm", occlusion.title("mocap"), "both legs", f"{occlusion.TEMPORAL}, MPJPE mm")],
    "embedding": [
        (f"picture-2D {name}", embedding.COSINE, "picture and 2D", name)
        for name in (embedding.MATCHED, embedding.MISMATCHED)
    ],
    "track": [
        ("IoU mean", track.WINDOWS, "posecast", "IoU mean"),
        ("IoU > 0.5 %", track.WINDOWS, "posecast", "IoU > 0.5 %"),
    ],
}
"""Per suite the figures that are compared: words, table, row, column."""


def ablation(request: Request) -> Result:
    """Key figures of every folder on every suite."""
    if not request.compare:
        return _within(request)
    names = request.suites or DEFAULT
    for name in names:
        if name not in KEY:
            raise TrainingError(f"--suite {name}: not one to compare on; have {', '.join(KEY)}")
    tables: dict[str, dict[str, Row]] = {name: {} for name in names}
    notes, networks, samples = [], {}, 0
    for label, folder in request.compare:
        with tempfile.TemporaryDirectory() as scratch:
            filled = assembled(folder, request.weights, Path(scratch))
            notes.append(f"{label}: {trained(folder)}; {', '.join(filled) or 'nothing'} from the common weights.")
            for name in names:
                # Runs of one folder hold its own encoder of 3D poses, others' would not fit.
                result = suites.measure(name, replace(request, weights=Path(scratch), compare=(), runs=None))
                tables[name][label] = key_figures(result)
                networks |= {f"{label}/{network}": digest for network, digest in result.networks.items()}
                samples = max(samples, result.samples)
    return Result(
        "ablation",
        f"the suites {', '.join(names)}, as described in their sections",
        samples,
        tuple(Figures(f"Suite {name}", rows) for name, rows in tables.items()),
        notes=tuple(notes),
        networks=networks,
        part=", ".join(label for label, _ in request.compare),
    )


def trained(folder: Path) -> str:
    """How far the runs of a folder went, in words."""
    headers = [checkpoint.read_header(path) for path in sorted(folder.glob(f"*/{checkpoint.LAST}"))]
    runs = (f"{h['recipe']}, {h['step']:,} steps, {h['samples']:,} samples" for h in headers)
    return "; ".join(runs) or "networks as they lie in the folder"


def key_figures(result: Result) -> Row:
    """The compared figures of a result, by words; those it does not hold are left out."""
    row: Row = {}
    for words, title, name, column in KEY[result.suite]:
        for table in result.tables:
            if table.title == title and column in table.rows.get(name, {}):
                row[words] = table.rows[name][column]
    return row


def assembled(folder: Path, common: Path, out: Path) -> list[str]:
    """Fill `out` with the networks of `folder` (weights, or runs that are exported); what it lacks from `common`.

    Returns the names of those from `common`.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such folder of weights or runs")
    if list(folder.glob("*.onnx")):
        for file in folder.glob("*.onnx"):
            shutil.copy2(file, out)
    elif list(folder.glob(f"*/{checkpoint.LAST}")):
        from training.export import export_networks

        export_networks("all", folder, out, untrained=False)
        (out / store.MANIFEST).unlink(missing_ok=True)
    else:
        raise TrainingError(f"{folder}: neither networks (*.onnx) nor runs (*/{checkpoint.LAST}) here")
    filled = []
    for group in TOGETHER:
        if any((out / f"{network}.onnx").is_file() for network in group):
            continue
        for network in group:
            file = store.folder_of(common) / f"{network}.onnx"
            if file.is_file():
                shutil.copy2(file, out)
                filled.append(network)
    return filled


def _within(request: Request) -> Result:
    """What one folder of weights can tell by itself."""
    lifted, ahead = (suites.measure(name, request) for name in ("lift", "lookahead"))
    rows = {table.title: table.rows for table in (*lifted.tables, *ahead.tables)}
    decoders = {
        f"{decoder}; {name}": rows[decoder][name] for name in rows[lift.MLP] for decoder in (lift.MLP, lift.DIFFUSION)
    }
    time = {
        f"{kind}; {name}": rows[lookahead.title(kind)][name]
        for kind in ("dives", "mocap")
        for name in (lookahead.PER_FRAME, lookahead.row_name(0), lookahead.row_name(13), lookahead.row_name(121))
        if name in rows[lookahead.title(kind)]
    }
    return Result(
        "ablation",
        f"poses: {lifted.data}; motion: {ahead.data}",
        lifted.samples + ahead.samples,
        (Figures("MLP against diffusion decoder", decoders), Figures("Per frame against temporal", time)),
        notes=("More rows (gravity, triplet loss, pre-training) come with --compare NAME=FOLDER.",),
        networks=lifted.networks | ahead.networks,
    )
