"""`lookahead`: the temporal networks' error against how many frames they may look ahead, and against no time at all."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.contracts import LOOKAHEADS, WINDOW
from training import metrics
from training.evaluate.networks import Networks
from training.evaluate.poses3d import sequence_row
from training.evaluate.result import Figures, Plot, Request, Result, Row
from training.evaluate.windows import frame_features, held_out_windows, per_frame_poses, temporal_poses
from training.sequences import RATE_HZ, Windows

Array = NDArray[Any]

COUNT: Final = 60
SPAN: Final = 25
"""Frames around the wanted one over which velocity, acceleration and jitter are taken."""
PER_FRAME = "per frame"
COMPARED: Final = {"MPJPE": " mm", "acceleration": " mm/frame2"}
"""Figures that are also given as a change against the per-frame lifter, and their units."""


def lookahead(request: Request) -> Result:
    """Error by look-ahead over windows of dives and of motion capture, beside the per-frame lifter."""
    networks = Networks(request.weights, request.encoder)
    windows = held_out_windows(request, request.at_most(COUNT), clean=False)
    tables = tuple(Figures(title(kind), _rows(networks, window)) for kind, window in windows.items())
    return Result(
        "lookahead",
        "windows of 243 frames at 50 a second: generated dives of another seed, and motion capture held out by "
        "subject, with noise, drop-outs and a moving crop",
        sum(len(window.seen) for window in windows.values()),
        tables,
        (_plot(tables),),
        (
            "Each row is the frame so many frames before the newest of its window; that frame was measured, not lost. "
            f"Motion is taken from one window's output over the {SPAN} frames around it, fewer at the window's end. "
            "Per frame: the keypoint encoder and the MLP decoder on the last frames, each alone.",
        ),
        networks.used,
    )


def title(kind: str) -> str:
    """Title of the table of a kind of windows."""
    return f"Look-ahead, {kind}"


def row_name(frames: int) -> str:
    """Name of the row of a look-ahead."""
    return f"k = {frames}"


def _rows(networks: Networks, windows: Windows) -> dict[str, Row]:
    keypoints, missing, seen, truth, box = (x.numpy() for x in windows)
    last = slice(WINDOW - SPAN, WINDOW)
    alone = per_frame_poses(networks, keypoints[:, last], missing[:, last], box[:, last])
    rows = {PER_FRAME: _row(alone, truth[:, last], SPAN - 1)}
    features = frame_features(networks, keypoints, missing, box)
    for frames in LOOKAHEADS:
        at = WINDOW - 1 - frames
        measured = (seen[:, at] > 0) & (missing[:, at].min(1) < 1)
        if measured.any():
            poses = temporal_poses(networks, features[measured], seen[measured], frames)
            around = slice(max(0, at - SPAN // 2), min(WINDOW, at + SPAN // 2 + 1))
            rows[row_name(frames)] = _row(poses[:, around], truth[measured][:, around], at - around.start)
    first = rows[PER_FRAME]
    against = {column: first[f"{column}{unit}"] for column, unit in COMPARED.items()}
    for row in rows.values():
        for column, unit in COMPARED.items():
            row[f"{column} against per frame %"] = 100 * (row[f"{column}{unit}"] / against[column] - 1)
    return rows


def _row(predicted: Array, truth: Array, at: int) -> Row:
    row = {
        "MPJPE mm": metrics.mpjpe(predicted[:, at], truth[:, at]),
        "P-MPJPE mm": metrics.p_mpjpe(predicted[:, at], truth[:, at]),
    }
    return row | sequence_row(predicted, truth, RATE_HZ) | {"windows": float(len(truth))}


def _plot(tables: tuple[Figures, ...]) -> Plot:
    series = {}
    for table in tables:
        kind = table.title.rpartition(", ")[2]
        for name in ("MPJPE mm", "P-MPJPE mm"):
            rows = (table.rows.get(row_name(k), {}) for k in LOOKAHEADS)
            series[f"{kind}, {name}"] = tuple(row.get(name, np.nan) for row in rows)
    return Plot("lookahead", "Error against look-ahead", LOOKAHEADS, series, "frames looked ahead (50 a second)", "mm")
