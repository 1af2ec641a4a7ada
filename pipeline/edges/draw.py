"""Skeletons drawn on pictures (BGR, in place): sides by colour, doubt by dashes and hollow joints.

Colours are of the Okabe-Ito family, told apart with every common colour blindness: the athlete's left is
orange, right is blue, the midline white.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engines.skeleton import BONES, JOINT_NAMES, LEFT, RIGHT, J
from pipeline.edges.lettering import INK, PAPER, Bytes, Colour, blend, text_size, write

Floats = npt.NDArray[np.float32]

LEFT_COLOUR: Final[Colour] = (20, 160, 255)
RIGHT_COLOUR: Final[Colour] = (255, 170, 60)
MID_COLOUR: Final[Colour] = (240, 240, 240)
DOUBT_COLOUR: Final[Colour] = (170, 170, 170)
NOSE: Final = JOINT_NAMES.index("nose")
HEAD: Final = JOINT_NAMES.index("head")
SURE: Final = 0.3
"""Joints below this confidence are drawn hollow, their bones dashed."""
_SHIFT: Final = 4
"""Fractional bits of OpenCV's drawing coordinates."""


def side_colour(joint: int) -> Colour:
    """Colour of a joint and of the bone that ends in it, BGR."""
    if joint in LEFT:
        return LEFT_COLOUR
    return RIGHT_COLOUR if joint in RIGHT else MID_COLOUR


def bone_width(size_px: float, picture_height: int) -> int:
    """Width of a bone, pixels, for a subject whose longer side is `size_px` in a picture of that height."""
    return max(2, round(picture_height / 540), min(round(size_px / 65), round(picture_height / 90)))


def _fixed(point: Floats) -> tuple[int, int]:
    return round(float(point[0]) * (1 << _SHIFT)), round(float(point[1]) * (1 << _SHIFT))


def line(picture: Bytes, start: Floats, end: Floats, colour: Colour, width: int) -> None:
    """An antialiased line between sub-pixel points."""
    cv2.line(picture, _fixed(start), _fixed(end), colour, width, cv2.LINE_AA, _SHIFT)


def disc(picture: Bytes, centre: Floats, radius: float, colour: Colour, width: int = -1) -> None:
    """An antialiased disc, or a ring of `width`, at a sub-pixel point."""
    cv2.circle(picture, _fixed(centre), round(radius * (1 << _SHIFT)), colour, width, cv2.LINE_AA, _SHIFT)


def _dashed(picture: Bytes, start: Floats, end: Floats, colour: Colour, width: int) -> None:
    length = float(np.linalg.norm(end - start))
    dashes = max(2, round(length / (5.0 * width)))
    # Between two joints' rings; round ends make each dash longer by its width.
    edges = np.linspace(0.5, 2 * dashes + 0.5, 2 * dashes + 1)[:-1].reshape(-1, 2) / (2 * dashes + 0.5)
    for begin, stop in edges:
        line(picture, start + (end - start) * begin, start + (end - start) * stop, colour, max(1, width // 2))


def draw_bones(
    picture: Bytes, joints_px: Floats, conf: Floats, depth_m: Floats, width: int, sure: float = SURE
) -> None:
    """One skeleton: joints [17,2] in pixels, confidence [17], depth [17] (far bones are drawn first).

    Bones with an end that is not finite are left out. Outlines keep it visible on any background.
    """
    known = [bool(np.isfinite(joint).all()) for joint in joints_px]
    bones = [bone for bone in BONES if known[bone[0]] and known[bone[1]]]
    if np.isfinite(depth_m).all():
        bones.sort(key=lambda bone: -float(depth_m[bone[0]] + depth_m[bone[1]]))
    outline = max(1, round(width * 0.35))
    for parent, joint in bones:
        if min(conf[parent], conf[joint]) >= sure:
            line(picture, joints_px[parent], joints_px[joint], INK, width + 2 * outline)
    for parent, joint in bones:
        stroke = line if min(conf[parent], conf[joint]) >= sure else _dashed
        stroke(picture, joints_px[parent], joints_px[joint], side_colour(joint), width)
    if known[NOSE] and known[HEAD]:
        _head(picture, joints_px, width, min(conf[NOSE], conf[HEAD]) >= sure)
    for joint in range(J):
        if known[joint]:
            _joint(picture, joints_px[joint], joint, width, outline, bool(conf[joint] >= sure))


def _head(picture: Bytes, joints_px: Floats, width: int, sure: bool) -> None:
    """A ring around the head, so that up and down are told apart at a glance."""
    centre = 0.5 * (joints_px[NOSE] + joints_px[HEAD])
    radius = max(0.75 * float(np.linalg.norm(joints_px[HEAD] - joints_px[NOSE])), 1.5 * width)
    thin = max(1, width // 2)
    disc(picture, centre, radius, INK, thin + 2)
    disc(picture, centre, radius, MID_COLOUR if sure else DOUBT_COLOUR, thin)


def _joint(picture: Bytes, centre: Floats, joint: int, width: int, outline: int, sure: bool) -> None:
    radius = 0.85 * width
    if sure:
        disc(picture, centre, radius + outline, INK)
        disc(picture, centre, radius, PAPER)
        disc(picture, centre, radius * 0.6, side_colour(joint))
    else:
        disc(picture, centre, radius, INK, max(1, width // 3) + 2)
        disc(picture, centre, radius, side_colour(joint), max(1, width // 3))


def draw_box(picture: Bytes, box_img_px: Floats, label: str, text_px: int) -> None:
    """The subject's box (left, top, right, bottom, pixels) as four corner marks, with a small label above."""
    left, top, right, bottom = (float(edge) for edge in box_img_px)
    arm = 0.12 * min(right - left, bottom - top)
    for u, v, du, dv in (
        (left, top, 1, 1),
        (right, top, -1, 1),
        (left, bottom, 1, -1),
        (right, bottom, -1, -1),
    ):
        corner = np.array([u, v], np.float32)
        for step in (np.array([du * arm, 0], np.float32), np.array([0, dv * arm], np.float32)):
            line(picture, corner, corner + step, INK, 3)
            line(picture, corner, corner + step, PAPER, 1)
    if text_px >= 9:
        height = text_size(label, text_px)[1]
        write(picture, label, (max(2, round(left)), max(2, round(top) - height - 2)), text_px)


def plate(picture: Bytes, left: int, top: int, width: int, height: int, opacity: float = 0.7) -> None:
    """A dark translucent plate with round corners."""
    radius = min(max(3, height // 10), 14)
    mask = np.zeros((height, width), np.uint8)
    cv2.rectangle(mask, (radius, 0), (width - 1 - radius, height - 1), 255, -1)
    cv2.rectangle(mask, (0, radius), (width - 1, height - 1 - radius), 255, -1)
    for u in (radius, width - 1 - radius):
        for v in (radius, height - 1 - radius):
            cv2.circle(mask, (u, v), radius, 255, -1, cv2.LINE_AA)
    blend(picture, mask, (left, top), INK, opacity)
