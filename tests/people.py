"""People drawn as coloured dots at their joints, and whether crops of them show the dots where the labels say."""

import cv2
import numpy as np
import pytest

from engines.skeleton import JOINT_NAMES, LEFT, RIGHT
from training.synth.shards import read_shard


def standing(root=(0.3, -0.2, 4.0)):
    """Joints (17, 3) of somebody who faces the camera: the right side is on the left of the picture."""
    places = {
        "pelvis": (0, 0), "right_hip": (-0.13, 0), "right_knee": (-0.14, 0.45), "right_ankle": (-0.15, 0.9),
        "left_hip": (0.13, 0), "left_knee": (0.14, 0.45), "left_ankle": (0.15, 0.9), "spine": (0, -0.25),
        "thorax": (0, -0.5), "nose": (0, -0.6), "head": (0, -0.72), "left_shoulder": (0.18, -0.48),
        "left_elbow": (0.3, -0.2), "left_wrist": (0.35, 0.05), "right_shoulder": (-0.18, -0.48),
        "right_elbow": (-0.3, -0.2), "right_wrist": (-0.35, 0.05),
    }  # fmt: skip
    depth = 0.05 * np.arange(17) % 0.17
    return np.array([[*places[name], z] for name, z in zip(JOINT_NAMES, depth, strict=True)]) + root


def drawn(points, size):
    """A dark picture with a bright dot at every joint, red on the right side, green on the left, blue between."""
    picture = np.full((size[1], size[0], 3), 30, np.uint8)
    for joint, (u, v) in enumerate(points):
        colour = (0, 0, 255) if joint in RIGHT else (0, 255, 0) if joint in LEFT else (255, 0, 0)
        cv2.circle(picture, (round(16 * u), round(16 * v)), 16 * max(3, size[0] // 180), colour, -1, cv2.LINE_AA, 4)
    return picture


def seen_at(jpeg, label):
    """Where the crop's dots really are, by the middle of their colour around each label; (17, 2), NaN unlabelled."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(float)
    assert picture.shape == (label["side_px"], label["side_px"], 3)
    found = np.full((17, 2), np.nan)
    for joint, (u, v) in enumerate(label["joints_crop_px"]):
        if label["labelled"][joint]:
            x, y, r = round(u), round(v), max(4, label["side_px"] // 40)
            patch = picture[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1]
            weight = patch[..., 2 if joint in RIGHT else 1 if joint in LEFT else 0] - 60
            weight = weight.clip(0) * (weight > 50)
            if weight.sum() > 0:
                rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
                middle = [(weight * axis).sum() / weight.sum() for axis in (columns, rows)]
                found[joint] = np.add(middle, (max(x - r, 0), max(y - r, 0)))
    return found


def check_picture(jpeg, label, joints=None, within=1.3):
    """The dots lie where the label says, in the colour of their side."""
    off = np.linalg.norm(seen_at(jpeg, label) - label["joints_crop_px"], axis=1)
    chosen = [i for i in range(17) if label["labelled"][i]] if joints is None else joints
    assert np.nanmax(off[chosen]) < within, off
    assert not np.isnan(off[chosen]).any()


def check_share(label):
    points = np.array(label["joints_crop_px"])[np.array(label["labelled"], bool)]
    assert np.ptp(points, axis=0).max() / label["side_px"] == pytest.approx(0.6, abs=0.02)
    assert points.min() > 0
    assert points.max() < label["side_px"] - 1


def shards_of(folder):
    return [sample for path in sorted(folder.glob("*.tar")) for sample in read_shard(path)]
