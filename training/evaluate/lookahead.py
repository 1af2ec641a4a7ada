"""`lookahead`: the temporal networks' error against how many frames they may look ahead, and against no time at all."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.codecs import fitted
from engines.contracts import LIVE_READ, LIVE_WINDOW, LOOKAHEADS, WINDOW
from training import metrics
from training.evaluate.networks import Networks
from training.evaluate.poses3d import sequence_row
from training.evaluate.result import Figures, Plot, Request, Result, Row
from training.evaluate.windows import (
    frame_features,
    held_out_windows,
    live_poses,
    per_frame_poses,
    temporal_poses,
)
from training.sequences import RATE_HZ, Windows

Array = NDArray[Any]

COUNT: Final = 60
SPAN: Final = 9
"""Frames one after the other over which velocity, acceleration and jitter are taken."""
FURTHEST: Final = max(LOOKAHEADS)
WANTED: Final = slice(WINDOW - 1, WINDOW - 1 + SPAN)
"""The frames whose poses are compared; so many precede them that the window is full for every look-ahead."""
PER_FRAME = "per frame"
LIVE: Final = (0, 13)
"""Look-aheads of what is published live."""
COMPARED: Final = {"MPJPE": " mm", "acceleration": " mm/frame2"}
"""Figures that are also given as a change against the per-frame lifter, and their units."""


def lookahead(request: Request) -> Result:
    """Error by look-ahead over windows of dives and of motion capture, beside the per-frame lifter."""
    networks = Networks(request.weights, request.encoder, request.precision)
    frames = WINDOW - 1 + SPAN + FURTHEST
    windows = held_out_windows(request, request.at_most(COUNT), clean=False, frames=frames, ahead=FURTHEST + SPAN // 2)
    tables = tuple(Figures(title(kind), _rows(networks, window)) for kind, window in windows.items())
    return Result(
        "lookahead",
        "windows of 243 frames at 50 a second: generated dives of another seed, and motion capture held out by "
        "subject, with noise, drop-outs and a moving crop",
        sum(len(window.seen) for window in windows.values()),
        tables,
        (_plot(tables),),
        (
            f"All rows are of the same {SPAN} frames of each motion, in a dive any of its frames, none of them lost. "
            "As in a live stream each comes from a window of its own, whose newest frame is so many frames later, and "
            "is fitted as the live chain does it. Live: by the network of the live chain, which sees the newest "
            f"{LIVE_WINDOW} frames of the window. Per frame: keypoint encoder and MLP decoder, each frame alone.",
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
    whole = (windows.seen[:, WANTED] > 0).all(1) & (windows.missing[:, WANTED].amin(2) < 1).all(1)
    keypoints, missing, seen, truth, box = (x[whole].numpy() for x in windows)
    alone = per_frame_poses(networks, keypoints[:, WANTED], missing[:, WANTED], box[:, WANTED])
    rows = {PER_FRAME: _row(alone, truth[:, WANTED])}
    features = frame_features(networks, keypoints, missing, box)
    for frames in LOOKAHEADS:
        rows[row_name(frames)] = _row(_published(networks, features, seen, frames), truth[:, WANTED])
    for frames in LIVE:
        rows[f"live, {row_name(frames)}"] = _row(_published_live(networks, features, seen, frames), truth[:, WANTED])
    first = rows[PER_FRAME]
    against = {column: first[f"{column}{unit}"] for column, unit in COMPARED.items()}
    for row in rows.values():
        for column, unit in COMPARED.items():
            row[f"{column} against per frame %"] = 100 * (row[f"{column}{unit}"] / against[column] - 1)
    return rows


def _published(networks: Networks, features: Array, seen: Array, frames: int) -> Array:
    """Poses (N, SPAN, J, 3) of the wanted frames, each from the window that ends `frames` later."""
    poses = []
    for at in range(WANTED.start, WANTED.stop):
        window = slice(at + frames - WINDOW + 1, at + frames + 1)
        found = temporal_poses(networks, features[:, window], seen[:, window], frames)
        poses.append([fitted(each, WINDOW - 1 - frames) for each in found])
    return np.swapaxes(np.array(poses), 0, 1)


def _published_live(networks: Networks, features: Array, seen: Array, frames: int) -> Array:
    """The same by the live network."""
    poses = []
    for at in range(WANTED.start + frames + 1, WANTED.stop + frames + 1):
        found = live_poses(networks, features[:, :at], seen[:, :at])
        poses.append([fitted(each, LIVE_READ - 1 - frames) for each in found])
    return np.swapaxes(np.array(poses), 0, 1)


def _row(predicted: Array, truth: Array) -> Row:
    flat, right = (poses.reshape(-1, *poses.shape[2:]) for poses in (predicted, truth))
    row = {"MPJPE mm": metrics.mpjpe(flat, right), "P-MPJPE mm": metrics.p_mpjpe(flat, right)}
    return row | sequence_row(predicted, truth, RATE_HZ) | {"windows": float(len(truth))}


def _plot(tables: tuple[Figures, ...]) -> Plot:
    series = {}
    for table in tables:
        kind = table.title.rpartition(", ")[2]
        for name in ("MPJPE mm", "P-MPJPE mm"):
            rows = (table.rows.get(row_name(k), {}) for k in LOOKAHEADS)
            series[f"{kind}, {name}"] = tuple(row.get(name, np.nan) for row in rows)
    return Plot("lookahead", "Error against look-ahead", LOOKAHEADS, series, "frames looked ahead (50 a second)", "mm")
