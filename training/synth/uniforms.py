"""What the renderer's programs are told: views of camera and lamp, where garments end, colours of an athlete."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth.body import Body, BodyModel
from training.synth.camera import Camera
from training.synth.clothes import OUTFITS, TOP_NUMBER, Landmarks, Outfit
from training.synth.lighting import Lighting
from training.synth.look import Look
from training.synth.shading import Shell

Array = npt.NDArray[Any]

CLOTH_SPAN_M: Final = 0.5
"""Half the width and height of the body that one panel of cloth is painted over."""


def outfit_of(look: Look) -> Outfit:
    """What is worn; trunks end where `leg_share` says."""
    outfit = OUTFITS[look.suit]
    return outfit if look.suit not in (2, 3) else Outfit(outfit.top, outfit.sleeve, leg=0.5 * look.leg_share)


def shells_of(look: Look, outfit: Outfit) -> list[Shell]:
    """The surfaces to draw, outermost first: what they hide then need not be painted."""
    worn = [
        (Shell.TAIL, look.head == 0 and look.tail is not None),
        (Shell.HAIR, look.head < 2),
        (Shell.UPPER, outfit.loose_top_m > 0),
        (Shell.LOWER, outfit.loose_leg_m > 0 or is_shod(look, outfit)),
        (Shell.SKIN, True),
        (Shell.HEAD, True),
    ]
    return [shell for shell, there in worn if there]


def is_shod(look: Look, outfit: Outfit) -> bool:
    """Whether shoes are worn."""
    return outfit.shoes and not look.barefoot


def camera_clip(camera: Camera, near_m: float, far_m: float) -> Array:
    """OpenGL's clip matrix [4, 4] of a camera: picture row 0 comes out first."""
    width, height = camera.size_px
    matrix = camera.matrix_px
    clip = np.zeros((4, 4))
    clip[0, 0], clip[1, 1] = 2 * matrix[0, 0] / width, 2 * matrix[1, 1] / height
    clip[:2, 2] = 2 * (matrix[:2, 2] + 0.5) / [width, height] - 1
    clip[2, 2:] = (far_m + near_m) / (far_m - near_m), -2 * far_m * near_m / (far_m - near_m)
    clip[3, 2] = 1
    return clip


def lamp_clip(points: Array, direction: Array) -> Array:
    """Orthographic clip matrix [4, 4] along the light that holds all points [N, 3], with room for loose clothes."""
    hint = np.eye(3)[int(np.argmin(np.abs(direction)))]
    across = np.cross(direction, hint)
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(direction, across), -direction])
    seen = points @ axes.T
    low, high = seen.min(0) - 0.08, seen.max(0) + 0.08
    view = np.eye(4)
    view[:3, :3] = axes * (2 / (high - low))[:, None]
    view[:3, 3] = -(high + low) / (high - low)
    return view


def cover_values(model: BodyModel, body: Body, marks: Landmarks, look: Look) -> dict[str, Any]:
    """Where garments, shoes and hair end."""
    outfit = outfit_of(look)
    eye = body.bone_heads_m[model.index["eye.L"]]
    head_size = float(body.vertices_m[:, 2].max() - eye[2]) / 0.114
    shod = is_shod(look, outfit)
    sock = marks.ankle + look.sock_share * (marks.knee - marks.ankle) if look.sock_share > 0 else -9.0
    shoe = marks.ankle - 0.005 if shod else -9.0
    bottom = marks.hip - 0.13 if outfit.high_cut > 0 else marks.leg_end(outfit.leg)
    return {
        "upper": (_hem(marks, outfit), outfit.sleeve, marks.neck + 0.01, TOP_NUMBER[outfit.top]),
        "lower": (marks.hip + 0.07, bottom, outfit.high_cut, float(outfit.bottom)),
        "feet": (max(sock, shoe), shoe, marks.sole + 0.018 if shod else -9.0, marks.chest),
        "crown": (float(eye[2]), float(eye[1]), head_size, look.head),
        "hairline": (look.hairline,),
    }


def _hem(marks: Landmarks, outfit: Outfit) -> float:
    if outfit.top == "band":
        return marks.chest - 0.10
    if outfit.top == "straps" or (outfit.high_cut > 0 and outfit.top == "sleeves"):
        return marks.hip
    return marks.hip - 0.02 if outfit.loose_top_m > 0 else marks.hip + 0.05


def paint_values(
    model: BodyModel, body: Body, marks: Landmarks, look: Look, light: Lighting, camera: Camera
) -> dict[str, Any]:
    """Colours and light, in camera axes where they have a direction."""
    cam_from_world = camera.world_from_cam[:3, :3].T
    eye = body.bone_heads_m[model.index["eye.L"]]
    return {
        "skin": look.skin,
        "hair": look.hair,
        "lips": look.skin * [0.85, 0.5, 0.5],
        "shoe_colour": look.shoe if look.shoe is not None else look.cloth_b,
        "sock_colour": look.sock if look.sock is not None else np.full(3, 0.7),
        "light": cam_from_world @ light.direction,
        "sun": light.sun,
        "sh": light.diffuse,
        "finish": (look.gloss, look.wet, look.folds_m, 0.0),
        "face": (abs(eye[0]), look.brows, look.beard, look.mottled),
        "middle": ((marks.neck + marks.hip) / 2, (marks.hip + 0.07 + marks.ankle) / 2),
        "span": (CLOTH_SPAN_M,),
        "world_from_cam": cam_from_world,  # column-major there: the transpose
    }
