"""The skeleton every part of posecast speaks: Human3.6M's 17 joints, their parents, sides and bones.

One table; nothing else lists joints. Left and right are the athlete's own.
"""

from typing import Final

JOINT_NAMES: Final = (
    "pelvis",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "spine",
    "thorax",
    "nose",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
)
J: Final = len(JOINT_NAMES)
PELVIS: Final = 0

PARENTS: Final = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
BONES: Final = tuple((parent, joint) for joint, parent in enumerate(PARENTS) if parent >= 0)

MIRROR_PAIRS: Final = ((1, 4), (2, 5), (3, 6), (14, 11), (15, 12), (16, 13))
"""(right joint, left joint); joints on the midline are in no pair."""

RIGHT: Final = frozenset(right for right, _ in MIRROR_PAIRS)
LEFT: Final = frozenset(left for _, left in MIRROR_PAIRS)


def _mirror() -> tuple[int, ...]:
    order = list(range(J))
    for right, left in MIRROR_PAIRS:
        order[right], order[left] = left, right
    return tuple(order)


MIRROR: Final = _mirror()
"""Joint order of the mirrored athlete: `joints[..., MIRROR, :]` with the lateral axis negated."""
