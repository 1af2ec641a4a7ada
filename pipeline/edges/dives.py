"""The dives of a replay: told once more from the recorded poses, with the curves that a message does not carry."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.skeleton import PELVIS
from flight.analysis import AFTER_S, BEFORE_S, Told, told_of
from flight.motion import Motion, doubts, spreads
from flight.phases import Moment
from flight.report import Dive, DiveReport, JumpReport
from flight.standpoint import Standpoint, standpoint
from pipeline.config import Config, camera_of, views_of
from pipeline.edges.dive_report import write_dive, write_jump
from pipeline.edges.poses import Poses


def told_again(poses: Poses, reports: Sequence[DiveReport | JumpReport], config: Config, stream: str) -> list[Told]:
    """Dives and jumps with their curves, as the stream's camera saw them. Raises CalibrationError."""
    if not len(poses):
        return []
    camera = views_of(config, stream).camera(*(int(side) for side in poses.size_px[-1]))
    return dives_of(poses, reports, standpoint(camera, camera_of(config, stream)))


def dives_of(poses: Poses, reports: Sequence[DiveReport | JumpReport], where: Standpoint) -> list[Told]:
    """Dives and jumps with their curves, from final poses and from what the run told of them."""
    found = (_told(poses, report, where) for report in reports)
    return [told for told in found if told is not None]


def write_dives(told: Sequence[Told], folder: Path, source: str) -> list[Path]:
    """Write each as `dive-1` or `jump-1` and so on, as JSON, CSV and HTML. Raises OutputError."""
    paths: list[Path] = []
    for kind in (Dive, None):
        for number, one in enumerate([one for one in told if isinstance(one, Dive) is (kind is Dive)], 1):
            if isinstance(one, Dive):
                paths += write_dive(one, folder, f"dive-{number}", source)
            else:
                paths += write_jump(one, folder, f"jump-{number}", source)
    return paths


def _told(poses: Poses, report: DiveReport | JumpReport, standpoint: Standpoint) -> Told | None:
    if isinstance(report, DiveReport):
        ends = report.take_off_fall_s, report.entry_fall_s
    else:
        ends = report.take_off_s, report.landing_s
    off, entry = (Moment(end.value, end.sd) for end in ends)
    seconds = poses.t_media_s
    known = np.isfinite(poses.joints_world_m).all(axis=(1, 2))
    rows = known & (seconds >= off.t_s - 2 * BEFORE_S) & (seconds <= entry.t_s + AFTER_S)
    if np.count_nonzero(rows) < 2:
        return None
    flying = (seconds[rows] >= off.t_s) & (seconds[rows] <= entry.t_s)
    sd, covariance = spreads(poses.provenance[rows]), poses.joints_cov_m2[rows, PELVIS].astype(np.float64)
    doubt = doubts(covariance, sd[:, PELVIS], poses.root_cam_m[rows].astype(np.float64))
    doubt_in_flight = float(np.median(doubt[flying] if flying.any() else doubt))
    motion = Motion(seconds[rows], poses.joints_world_m[rows].astype(np.float64), sd)
    return told_of(motion, poses.seq[rows], off, entry, standpoint, doubt_in_flight)
