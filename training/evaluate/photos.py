"""`photos`: keypoints on real photographs of sport, by the tilt of the trunk, beside small networks of others.

PCK@0.2 of the torso over the twelve limb joints (ankles, knees, hips, wrists, elbows, shoulders); neck and head top of
the labels have no exact counterpart among our joints. The torso is the distance from the middle of the shoulders to
the middle of the hips, where all four are labelled; pictures in which they are not are left out and counted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from engines.codecs import Crop, img_from_crop, transformed
from engines.contracts import CROP_H, CROP_W
from training import geometry as geo
from training import metrics
from training.convert import photos as source
from training.convert.crop import Frame
from training.convert.frames import Pictures
from training.errors import TrainingError
from training.evaluate.networks import Networks
from training.evaluate.peers import Peers, installed
from training.evaluate.result import Figures, MaterialMissing, Plot, Request, Result, Row
from training.metrics import TILTS
from training.npz import read_npz
from training.synth.shards import is_validation

Array = NDArray[Any]

OURS: Final = "posecast"
SHARE: Final = 0.2
HIPS, SHOULDERS = (2, 3), (8, 9)
SWAPPED: Final = (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6)
"""The twelve limb joints with left and right exchanged."""
PARTS: Final = {"ankles": (0, 5), "knees": (1, 4), "hips": (2, 3), "wrists": (6, 11), "elbows": (7, 10)} | {
    "shoulders": (8, 9)
}
EXACT = "PCK@0.2 of the torso, percent"
BETTER = "PCK@0.2 of the torso, better of the two side assignments of each picture, percent"
ROUGH = "PCK@0.2 of the torso, pictures with only one shoulder or hip labelled included, percent"
BY_JOINT = "PCK@0.2 of the torso by joint, percent"
COUNTS = "Pictures"


@dataclass(frozen=True)
class Labels:
    """Limb joints of N pictures: where, which are labelled, torso length (NaN: not measurable), tilt, sureness."""

    joints_px: Array  # (N, 12, 2)
    labelled: Array  # (N, 12)
    torso_px: Array  # (N,)
    tilt: Array  # (N,) of TILTS, or ""
    exact: Array  # (N,) both shoulders and both hips are labelled

    @classmethod
    def of(cls, joints: Array) -> "Labels":
        """From the fourteen joints (N, 14, 3) of a file."""
        there = joints[..., 2] > 0
        shoulders, hips = (_middle(joints[:, list(pair), :2], there[:, list(pair)]) for pair in (SHOULDERS, HIPS))
        trunk = shoulders - hips
        exact = there[:, [*SHOULDERS, *HIPS]].all(1)
        return cls(joints[:, :12, :2], there[:, :12], np.linalg.norm(trunk, axis=1), metrics.tilt(trunk), exact)


def photos(request: Request) -> Result:
    """Our encoder, and the peers where they are given, on the photographs of one split."""
    folder = _folder(request.data)
    files, joints = _read(folder, request)
    labels = Labels.of(joints)
    networks = Networks(request.weights, request.encoder, request.precision)
    peers, notes = _peers(request)
    found: dict[str, list[Array]] = {}
    for file, row in zip(track(files, "photos", transient=True), joints, strict=True):
        picture = _picture(file)
        for name, points in _found(networks, peers, picture, row).items():
            found.setdefault(name, []).append(points)
    points = {name: np.stack(rows) for name, rows in found.items()}
    return Result(
        "photos",
        _data(folder, request.split),
        len(files),
        _tables(points, labels),
        (_plot(points, labels),),
        (*notes, *_remarks(points, labels)),
        networks.used,
    )


def hits(points_px: Array, labels: Labels) -> Array:
    """Which joints (N, 12) lie within 0.2 of the torso of their label; a joint that was not found does not."""
    distance = np.linalg.norm(points_px - labels.joints_px, axis=-1)
    return np.asarray(distance <= SHARE * labels.torso_px[:, None])


def better_side(points_px: Array, labels: Labels) -> Array:
    """`hits` of whichever of the two side assignments of a picture has more of them."""
    plain, swapped = (hits(p, labels) & labels.labelled for p in (points_px, points_px[:, list(SWAPPED)]))
    return np.where((swapped.sum(1) > plain.sum(1))[:, None], swapped, plain)


def _middle(points: Array, there: Array) -> Array:
    """Mean (N, 2) of the labelled ones of points (N, 2, 2); NaN without one."""
    count = there.sum(1)[:, None].astype(float)
    total = (points * there[..., None]).sum(1)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _folder(data: Path) -> Path:
    for folder in (data, data / "sport_photos"):
        if (folder / "joints.npz").is_file():
            return folder
    raise MaterialMissing(f"{data}: no joints.npz beside crops/; give a folder of labelled photographs with --data")


def _read(folder: Path, request: Request) -> tuple[list[Path], Array]:
    files = [athlete.frame.path for athlete in source.read(folder).athletes]
    joints = read_npz(folder / "joints.npz", source.LAYOUT, ("joints",))["joints"].astype(np.float64)
    known = joints[..., 2].sum(1) >= 4
    chosen = known & ([request.split == "all" or is_validation(source.photo_key(f.name)) for f in files])
    rows = np.flatnonzero(chosen)[: request.limit or None]
    if not len(rows):
        raise TrainingError(f"{folder}: no photograph in the split {request.split}; try --split all")
    return [files[i] for i in rows], joints[rows]


def _peers(request: Request) -> tuple[Peers | None, tuple[str, ...]]:
    if request.peers is None:
        return None, ()
    if not installed():
        return None, ("The peers were not measured: ai-edge-litert is not installed (extra `peers`).",)
    return Peers(request.peers), ()


def _picture(path: Path) -> Array:
    return np.ascontiguousarray(Pictures().read(Frame(path))[..., ::-1])


def _found(networks: Networks, peers: Peers | None, picture: Array, joints: Array) -> dict[str, Array]:
    seen = joints[joints[:, 2] > 0, :2]
    img_from_cut = img_from_crop(crop_of_joints(seen))
    size = (CROP_W, CROP_H)
    # Black where the picture ends, as the live tracker has it.
    cut = cv2.warpPerspective(picture, img_from_cut, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    points = transformed(networks.see(cut[None])["points_px"][0], img_from_cut)[list(source.LIMBS)]
    others = {} if peers is None else peers.points(picture, np.concatenate([seen.min(0), seen.max(0)]))
    return {OURS: points} | others


def crop_of_joints(points_px: Array) -> Crop:
    """The crop that the live tracker would cut around joints (K, 2): by the rule that training follows."""
    centre, size = geo.keypoint_box(points_px)
    return Crop((float(centre[0]), float(centre[1])), float(geo.crop_height(size)))


def _by_tilt(hit: Array, labels: Labels, counted: Array) -> Row:
    """Percentage of labelled joints by tilt, over all, and how much worse the inverted are than the upright."""
    row = {}
    for tilt in (*TILTS, "all"):
        pictures = counted & ((labels.tilt == tilt) | (tilt == "all"))
        joints = labels.labelled & pictures[:, None]
        if joints.any():
            row[tilt] = float(100 * hit[joints].mean())
    if "upright" in row and "inverted" in row:
        row["upright minus inverted"] = row["upright"] - row["inverted"]
    return row


def _tables(points: dict[str, Array], labels: Labels) -> tuple[Figures, ...]:
    rough = np.isfinite(labels.torso_px)
    plain = {name: hits(found, labels) for name, found in points.items()}
    better = {name: better_side(found, labels) for name, found in points.items()}
    counts: dict[str, Row] = {
        "torso measured": _counts(labels, labels.exact),
        "torso from one shoulder or hip": _counts(labels, rough & ~labels.exact),
        "left out: no shoulder or no hip labelled": {"all": float((~rough).sum())},
    }
    return (
        Figures(EXACT, {name: _by_tilt(hit, labels, labels.exact) for name, hit in plain.items()}),
        Figures(BETTER, {name: _by_tilt(hit, labels, labels.exact) for name, hit in better.items()}),
        Figures(ROUGH, {name: _by_tilt(hit, labels, rough) for name, hit in plain.items()}),
        Figures(BY_JOINT, {name: _by_part(hit, labels) for name, hit in plain.items()}),
        Figures(COUNTS, counts),
    )


def _by_part(hit: Array, labels: Labels) -> Row:
    joints = labels.labelled & labels.exact[:, None]
    return {
        part: float(100 * hit[:, list(pair)][joints[:, list(pair)]].mean())
        for part, pair in PARTS.items()
        if joints[:, list(pair)].any()
    }


def _counts(labels: Labels, pictures: Array) -> Row:
    counts = {tilt: float((pictures & (labels.tilt == tilt)).sum()) for tilt in TILTS}
    return counts | {"all": float(pictures.sum())}


def _plot(points: dict[str, Array], labels: Labels) -> Plot:
    rows = {name: _by_tilt(hits(found, labels), labels, labels.exact) for name, found in points.items()}
    series = {name: tuple(row.get(tilt, float("nan")) for tilt in TILTS) for name, row in rows.items()}
    return Plot("photos", "Keypoints on photographs of sport", TILTS, series, "trunk", "PCK@0.2 of the torso, %")


def _remarks(points: dict[str, Array], labels: Labels) -> tuple[str, ...]:
    lost = {name: int(np.isnan(found).all((1, 2)).sum()) for name, found in points.items()}
    return (
        "Upright: trunk less than 45 degrees from up; inverted: more than 135; sideways: between. Labels are from "
        "crowd workers, with errors of several pixels and exchanged sides, most often in inverted athletes.",
        f"{int(labels.exact.sum())} of {len(labels.exact)} pictures have both shoulders and both hips labelled and "
        "count in the first tables; the others are left out there. Every labelled limb joint counts once.",
        *(f"{name} found nobody in {n} pictures: all their joints count as misses." for name, n in lost.items() if n),
    )


def _data(folder: Path, split: str) -> str:
    part = "held-out tenth (by hash of the file name)" if split == "validation" else "all pictures"
    return f"photographs with 14 labelled joints in `{folder.name}`, {part}"
