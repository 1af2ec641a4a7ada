"""The poses of one video as columns: what `poses.npz` holds, and what drawing and measuring read."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self, get_args

import numpy as np
import numpy.typing as npt

from engines.skeleton import JOINT_NAMES, J
from flight.report import Phase
from pipeline.edges.output import whole_file
from pipeline.errors import OutputError
from pipeline.messages import PoseFrame, Provenance

Floats = npt.NDArray[np.float32]

REVISIONS: Final = ("provisional", "refined", "final")
PROVENANCES: Final[tuple[Provenance, ...]] = get_args(Provenance)
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
WORLDS: Final = ("none", "estimated", "metric")
"""What the codes of these columns mean, by their place."""
RANK: Final = {name: rank for rank, name in enumerate(REVISIONS)}
"""A higher rank supersedes a lower one; the code of a revision in `Poses.revision`."""

ROW: Final = np.dtype(
    [
        ("seq", np.int64),
        ("t_media_s", np.float64),
        ("revision", np.int8),
        ("lookahead", np.int16),
        ("subject", np.int32),
        ("tracked", np.bool_),
        ("presence", np.float32),
        ("size_px", np.int32, (2,)),
        ("rate_hz", np.float32),
        ("focal_px", np.float32),
        ("box_img_px", np.float32, (4,)),
        ("joints_img_px", np.float32, (J, 2)),
        ("joints_conf", np.float32, (J,)),
        ("joints_root_m", np.float32, (J, 3)),
        ("joints_sd_m", np.float32, (J,)),
        ("root_cam_m", np.float32, (3,)),
        ("joints_world_m", np.float32, (J, 3)),
        ("joints_cov_m2", np.float32, (J, 6)),
        ("provenance", np.int8, (J,)),
        ("phase", np.int8),
        ("phase_conf", np.float32),
        ("world", np.int8),
    ]
)
"""One frame, compact: a recording of hours stays in memory."""


def row_of(pose: PoseFrame) -> npt.NDArray[Any]:
    """A pose as one record of type ROW, shape (); NaN where nothing was measured."""
    nothing = np.nan
    row = np.zeros((), ROW)
    row["seq"], row["t_media_s"] = pose.seq, pose.t_media_ns / 1e9
    row["revision"], row["lookahead"] = RANK[pose.revision], pose.lookahead
    row["subject"], row["tracked"], row["presence"] = pose.subject, pose.tracked, pose.presence
    row["size_px"], row["rate_hz"], row["focal_px"] = (pose.width, pose.height), pose.rate_hz, pose.focal_px
    seen = pose.tracked
    row["box_img_px"] = pose.box_img_px if seen and pose.box_img_px else nothing
    row["joints_img_px"] = pose.joints_img_px if seen and pose.joints_img_px else nothing
    row["joints_conf"] = pose.joints_conf if seen and pose.joints_conf else nothing
    row["joints_root_m"] = pose.joints_root_m if seen and pose.joints_root_m else nothing
    row["joints_sd_m"] = pose.joints_sd_m if seen and pose.joints_sd_m else nothing
    row["root_cam_m"] = pose.root_cam_m if seen and pose.root_cam_m else nothing
    row["joints_world_m"] = pose.joints_world_m if seen and pose.joints_world_m else nothing
    row["joints_cov_m2"] = pose.joints_cov_m2 if seen and pose.joints_cov_m2 else nothing
    row["provenance"] = [PROVENANCES.index(of) for of in pose.provenance] if seen and pose.provenance else -1
    row["phase"], row["phase_conf"] = PHASES.index(pose.phase), pose.phase_conf
    row["world"] = WORLDS.index(pose.world)
    return row


@dataclass(frozen=True, slots=True)
class Poses:
    """One pose a frame, in order of `seq`. NaN where the subject was not tracked or the quantity not known.

    Shapes: F frames, 17 joints. `revision` holds indices into `REVISIONS`. Pixels are of the picture as
    shown, boxes left, top, right, bottom; `root` is pelvis-relative in camera axes (x right, y down, z
    forward), metres.
    """

    seq: npt.NDArray[np.int64]  # [F]
    t_media_s: npt.NDArray[np.float64]  # [F]
    revision: npt.NDArray[np.int8]  # [F]
    lookahead: npt.NDArray[np.int16]  # [F]
    subject: npt.NDArray[np.int32]  # [F]
    tracked: npt.NDArray[np.bool_]  # [F]
    presence: Floats  # [F]
    size_px: npt.NDArray[np.int32]  # [F,2] width, height
    rate_hz: Floats  # [F]
    focal_px: Floats  # [F]
    box_img_px: Floats  # [F,4]
    joints_img_px: Floats  # [F,17,2]
    joints_conf: Floats  # [F,17]
    joints_root_m: Floats  # [F,17,3]
    joints_sd_m: Floats  # [F,17]
    root_cam_m: Floats  # [F,3]
    joints_world_m: Floats  # [F,17,3]
    joints_cov_m2: Floats  # [F,17,6] xx, xy, xz, yy, yz, zz
    provenance: npt.NDArray[np.int8]  # [F,17] indices into `PROVENANCES`, -1: no joint
    phase: npt.NDArray[np.int8]  # [F] indices into `PHASES`
    phase_conf: Floats  # [F]
    world: npt.NDArray[np.int8]  # [F] indices into `WORLDS`

    def __len__(self) -> int:
        return len(self.seq)

    @classmethod
    def of_rows(cls, rows: Iterable[npt.NDArray[Any]]) -> Self:
        """Columns of records of type ROW, at most one a seq, in any order."""
        table = np.array(sorted(rows, key=lambda row: int(row["seq"])), dtype=ROW)
        return cls(**{name: np.ascontiguousarray(table[name]) for name in ROW.names or ()})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The columns of a `poses.npz`. Raises OutputError when there is none or it is not one."""
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(**{field.name: data[field.name] for field in fields(cls)})
        except (OSError, KeyError, ValueError) as error:
            raise OutputError(f"{path}: not the poses of a replay ({error}); run `posecast replay` again") from error

    def write(self, path: Path) -> None:
        """Write `poses.npz`, whole or not at all, with joint and revision names. Raises OutputError."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        with whole_file(path) as part, part.open("wb") as handle:
            np.savez_compressed(
                handle,
                joint_names=np.array(JOINT_NAMES),
                revision_names=np.array(REVISIONS),
                provenance_names=np.array(PROVENANCES),
                phase_names=np.array(PHASES),
                world_names=np.array(WORLDS),
                **columns,
            )


class Best:
    """Keeps the best pose of every frame: a subject over nobody, then the later revision."""

    def __init__(self) -> None:
        self._rows: dict[int, npt.NDArray[Any]] = {}

    def add(self, pose: PoseFrame) -> None:
        """Take a pose that may replace what is known of its frame.

        Another subject's pose replaces only "nobody"; a subject's own pose follows the revisions.
        """
        known = self._rows.get(pose.seq)
        if known is None or self._supersedes(pose, known):
            self._rows[pose.seq] = row_of(pose)

    @staticmethod
    def _supersedes(pose: PoseFrame, known: npt.NDArray[Any]) -> bool:
        if int(known["subject"]) != pose.subject and bool(known["tracked"]) != pose.tracked:
            return pose.tracked
        return RANK[pose.revision] >= int(known["revision"])

    def poses(self) -> Poses:
        """What is kept, in order."""
        return Poses.of_rows(self._rows.values())
