"""Recordings as a replay writes them, for the verbs that read its poses."""

from pathlib import Path

import numpy as np

from flight.centres import Recording
from pipeline.edges.poses import ROW, Poses


def written(path: Path, seen: Recording, size_px: tuple[int, int] = (1920, 1080)) -> Path:
    """Write the poses of one recording."""
    rows = []
    for k, t_s in enumerate(seen.t_s):
        row = np.zeros((), ROW)
        row["seq"], row["t_media_s"], row["size_px"] = k, t_s, size_px
        row["tracked"] = np.isfinite(seen.joints_root_m[k]).all()
        row["joints_root_m"], row["joints_img_px"] = seen.joints_root_m[k], seen.joints_img_px[k]
        row["joints_conf"] = seen.confidence[k]
        rows.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    Poses.of_rows(rows).write(path)
    return path
