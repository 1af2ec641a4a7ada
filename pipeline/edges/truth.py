"""Exact truth of a rendered video, and the errors of its poses against it.

The numbers are of this one video: they say whether the chain works, not how accurate it is on dives in
general.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from engines.skeleton import JOINT_NAMES, PELVIS, J
from pipeline.edges.poses import Poses
from pipeline.errors import SourceError

Array = npt.NDArray[np.float64]

PCK_SHARE: Final = 0.2
IN_VIEW_JOINTS: Final = 9
"""A subject is in view when its pelvis and so many of its 17 joints are inside the picture and not under water."""
_RIGHT_SHOULDER: Final = JOINT_NAMES.index("right_shoulder")
_LEFT_HIP: Final = JOINT_NAMES.index("left_hip")


@dataclass(frozen=True, slots=True)
class Truth:
    """Exact joints of every frame, by seq. Camera axes x right, y down, z forward, metres."""

    joints_cam_m: Array  # [F,17,3]
    joints_img_px: Array  # [F,17,2]
    in_view: npt.NDArray[np.bool_]  # [F]
    rate_hz: float

    def __len__(self) -> int:
        return len(self.in_view)

    @property
    def joints_root_m(self) -> Array:
        """Pelvis-relative joints in camera axes, [F,17,3]."""
        return self.joints_cam_m - self.joints_cam_m[:, PELVIS : PELVIS + 1]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Truth of a `*.truth.json`. Raises SourceError naming the file when it is not one."""
        try:
            return cls._of_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from error
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise SourceError(f"{path}: not a truth file ({error!r}); render the sample again") from error

    @classmethod
    def _of_json(cls, data: dict[str, Any]) -> Self:
        world_m = column(data, "joints_world_m", (J, 3))
        joints_img_px = column(data, "joints_img_px", (J, 2))
        cam_from_world = np.linalg.inv(_poses4(data, len(world_m)))
        turned = np.einsum("fab,fjb->fja", cam_from_world[:, :3, :3], world_m)
        joints_cam_m = turned + cam_from_world[:, None, :3, 3]
        if len(joints_img_px) != len(world_m):
            raise ValueError(f"{len(world_m)} frames in 3D, {len(joints_img_px)} in 2D")
        width, height = data["size_px"]
        seen = inside_picture(joints_img_px, int(width), int(height))
        if "water_z_m" in data:
            seen &= world_m[..., 2] > float(data["water_z_m"])
        return cls(joints_cam_m, joints_img_px, in_view(seen), float(data["fps"]))


def truth_beside(video: Path) -> Path | None:
    """The truth file of a video, `dive.truth.json` beside `dive.mp4`, if there is one."""
    path = video.with_suffix(".truth.json")
    return path if path.is_file() else None


def column(data: dict[str, Any], name: str, shape: tuple[int, ...]) -> Array:
    """A quantity of every frame, stored as a column or frame by frame; null is NaN. Shape (F, *shape)."""
    values = data[name] if name in data else [frame[name] for frame in data["frames"]]
    rows = [np.full(shape, np.nan) if value is None else np.asarray(value, np.float64) for value in values]
    result = np.stack(rows)
    if result.shape[1:] != shape:
        raise ValueError(f"{name} has shape {result.shape[1:]} a frame, expected {shape}")
    return result


def _poses4(data: dict[str, Any], frames: int) -> Array:
    """world_from_cam of every frame, (F, 4, 4): one for a camera at rest, or one a frame."""
    if "world_from_cam" in data and np.shape(data["world_from_cam"]) in ((4, 4), (3, 4)):
        stored = np.asarray(data["world_from_cam"], np.float64)[None]
    elif "world_from_cam" in data:
        stored = np.asarray(data["world_from_cam"], np.float64)
    else:
        stored = np.asarray([frame["world_from_cam"] for frame in data["frames"]], np.float64)
    whole = np.tile(np.eye(4), (len(stored), 1, 1))
    whole[:, : stored.shape[1]] = stored
    return np.broadcast_to(whole, (frames, 4, 4)) if len(whole) == 1 else whole


def inside_picture(joints_img_px: Array, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Which joints [F,17,2] lie inside the picture, [F,17]."""
    u, v = joints_img_px[..., 0], joints_img_px[..., 1]
    return np.asarray((u >= -0.5) & (v >= -0.5) & (u <= width - 0.5) & (v <= height - 0.5))


def in_view(seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Per frame whether the subject is in view, see IN_VIEW_JOINTS; [F,17] to [F]."""
    return np.asarray(seen[:, PELVIS] & (seen.sum(axis=1) >= IN_VIEW_JOINTS))


def per_frame_mpjpe_mm(joints_root_m: Array, truth_root_m: Array) -> Array:
    """Mean distance over the 17 joints, pelvis subtracted from both, in mm. (F, 17, 3) twice to (F,)."""
    ours = joints_root_m - joints_root_m[:, PELVIS : PELVIS + 1]
    theirs = truth_root_m - truth_root_m[:, PELVIS : PELVIS + 1]
    return np.asarray(np.linalg.norm(ours - theirs, axis=-1).mean(axis=-1) * 1000.0)


def aligned(joints_m: Array, truth_m: Array) -> Array:
    """`joints_m` moved onto `truth_m` by each frame's best rotation, scale and translation, metres.

    Orthogonal Procrustes without reflection; (F, 17, 3) twice to (F, 17, 3).
    """
    mean, truth_mean = joints_m.mean(axis=1, keepdims=True), truth_m.mean(axis=1, keepdims=True)
    ours, theirs = joints_m - mean, truth_m - truth_mean
    left, singular, right = np.linalg.svd(np.swapaxes(ours, 1, 2) @ theirs)
    sign = np.sign(np.linalg.det(left @ right))
    singular[:, -1] *= sign
    left[:, :, -1] *= sign[:, None]
    extent = np.square(ours).sum(axis=(1, 2))
    scale = singular.sum(axis=1) / np.maximum(extent, np.finfo(np.float64).tiny)  # a pose collapsed to a point: 0
    return np.asarray(scale[:, None, None] * (ours @ (left @ right)) + truth_mean)


@dataclass(frozen=True, slots=True)
class VideoErrors:
    """Errors of one video's poses; None where no frame could be compared.

    `mpjpe_mm`, `p_mpjpe_mm`: mean over the frames tracked and in view, root-relative in camera axes.
    `pck02_torso`: share of those frames' joints nearer than 0.2 torso lengths (right shoulder to left hip
    of the truth, in the picture) in 2D. `px_error_median`: of the same joints. `coverage`: share of frames
    with the subject in view in which it was tracked.
    """

    n_frames: int
    coverage: float | None
    mpjpe_mm: float | None
    p_mpjpe_mm: float | None
    pck02_torso: float | None
    px_error_median: float | None

    def as_summary(self) -> dict[str, Any]:
        """Keys of `summary.json`."""
        return {
            "mpjpe_mm": _rounded(self.mpjpe_mm, 2),
            "p_mpjpe_mm": _rounded(self.p_mpjpe_mm, 2),
            "pck02_torso": _rounded(self.pck02_torso, 4),
            "px_error_median": _rounded(self.px_error_median, 2),
            "coverage": _rounded(self.coverage, 4),
            "n_frames_measured": self.n_frames,
            "errors_are_of": "this video alone, against its exact truth",
        }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def compared(poses: Poses, truth: Truth) -> npt.NDArray[np.bool_]:
    """Which rows of `poses` are tracked, of a truth frame, and have the subject in view. (F,)"""
    known = (poses.seq >= 0) & (poses.seq < len(truth))
    in_view = truth.in_view[np.where(known, poses.seq, 0)]
    return np.asarray(poses.tracked & known & in_view)


def video_errors(poses: Poses, truth: Truth) -> VideoErrors:
    """Errors of a video's poses against its truth, frame `seq` against frame `seq`."""
    rows = compared(poses, truth)
    seq = poses.seq[rows]
    viewed = int(truth.in_view.sum())
    coverage = len(np.unique(seq)) / viewed if viewed else None
    ours, theirs = poses.joints_root_m[rows].astype(np.float64), truth.joints_root_m[seq]
    solid = np.isfinite(ours).all(axis=(1, 2))
    mpjpe = per_frame_mpjpe_mm(ours[solid], theirs[solid])
    p_mpjpe = per_frame_mpjpe_of_aligned_mm(ours[solid], theirs[solid])
    px = np.linalg.norm(poses.joints_img_px[rows] - truth.joints_img_px[seq], axis=-1)
    torso = np.linalg.norm(truth.joints_img_px[seq, _RIGHT_SHOULDER] - truth.joints_img_px[seq, _LEFT_HIP], axis=-1)
    hit = px < PCK_SHARE * torso[:, None]  # a joint that was not measured is a miss
    return VideoErrors(
        n_frames=int(solid.sum()),
        coverage=coverage,
        mpjpe_mm=_mean(mpjpe),
        p_mpjpe_mm=_mean(p_mpjpe),
        pck02_torso=_mean(hit),
        px_error_median=float(np.nanmedian(px)) if np.isfinite(px).any() else None,
    )


def per_frame_mpjpe_of_aligned_mm(joints_root_m: Array, truth_root_m: Array) -> Array:
    """Mean distance over the joints after `aligned`, mm: P-MPJPE of each frame. (F, 17, 3) twice to (F,)."""
    moved = aligned(joints_root_m, truth_root_m)
    return np.asarray(np.linalg.norm(moved - truth_root_m, axis=-1).mean(axis=-1) * 1000.0)


def _mean(values: npt.NDArray[Any]) -> float | None:
    return float(values.mean()) if values.size else None
