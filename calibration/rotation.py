"""Virtual cameras: the real one turned so that it looks straight at the subject (PersPose, and its undoing).

A subject away from the optical axis is seen from the side; a network that sees only its crop cannot know.
Turning the camera by the smallest rotation that brings the crop's centre onto the axis removes this, and its
inverse takes the pose back to the real camera. Rotations are named target_from_source; poses are rows (...,
3) in camera axes.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera

Floats = NDArray[np.float64]

_STEP: Final = 1e-4
"""Of the slope of a projection, in focal lengths: a tenth of a pixel."""
_CROSS: Final = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def virtual_from_cam(ray_cam: ArrayLike) -> Floats:
    """Smallest rotation (3, 3) that takes a ray (3,) in camera axes to the optical axis (0, 0, 1).

    Raises ValueError when the ray does not point forward.
    """
    ray = np.asarray(ray_cam, dtype=np.float64)
    length = float(np.linalg.norm(ray))
    if not (math.isfinite(length) and length > 0 and ray[2] > 0):
        raise ValueError(f"expected a ray that points forward (z above 0); got {ray.tolist()}")
    x, y, z = (float(value) / length for value in ray)
    # Rodrigues about (y, -x, 0), the axis perpendicular to the ray and to the optical axis.
    bend = 1 / (1 + z)
    return np.array([[1 - x * x * bend, -x * y * bend, -x], [-x * y * bend, 1 - y * y * bend, -y], [x, y, z]])


def virtual_from_cam_at(camera: Camera, centre_img_px: tuple[float, float]) -> Floats:
    """Rotation (3, 3) from the camera to the virtual one that looks at a pixel."""
    return virtual_from_cam(camera.unproject(centre_img_px))


def img_from_virtual(camera: Camera, virtual_from_cam: Floats) -> Floats:
    """Homography (3, 3) from the plane Z = 1 of a virtual camera to pixels of `img`.

    K R^T, exact for a camera without distortion. Distortion is taken as linear around the pixel looked at: right there
    and in its first derivatives. What a crop cut by it shows at one of its pixels is still exactly what lies at the
    mapped pixel of `img`; only the crop as a whole is a little bent against a true virtual camera's.
    """
    forward = virtual_from_cam[2]
    homography = _img_from_flat(camera, forward[:2] / forward[2]) @ virtual_from_cam.T
    return np.asarray(homography / homography[2, 2])


def _img_from_flat(camera: Camera, flat: Floats) -> Floats:
    """Affine map (3, 3) of normalised points to pixels that touches the camera's own at `flat` (2,)."""
    around = np.ones((5, 3))
    around[:, :2] = flat + _STEP * _CROSS
    at = camera.project(around)
    matrix = np.eye(3)
    matrix[:2, :2] = (at[1:3] - at[3:5]).T / (2 * _STEP)
    matrix[:2, 2] = at[0] - matrix[:2, :2] @ flat
    return matrix


def img_from_perspective_crop(
    camera: Camera,
    virtual_from_cam: Floats,
    height_px: float,
    crop_px: tuple[int, int],
    angle_rad: float = 0.0,
) -> Floats:
    """Homography (3, 3) from a crop of `crop_px` (height, width) of a virtual camera to pixels of `img`.

    The crop's centre is what the virtual camera looks at; it spans `height_px` pixels of it, which are square and of
    the real one's focal length along v; `angle_rad` turns the crop clockwise as seen. Inverse of A_crop K R K^-1,
    exact for a camera without distortion; see `img_from_virtual`.
    """
    rows, columns = crop_px
    scale = height_px / (rows * camera.focal_px * camera.pixel_aspect)
    cos, sin = scale * math.cos(angle_rad), scale * math.sin(angle_rad)
    x, y = (columns - 1) / 2, (rows - 1) / 2
    virtual_from_crop = np.array([[cos, -sin, -cos * x + sin * y], [sin, cos, -sin * x - cos * y], [0.0, 0.0, 1.0]])
    homography = img_from_virtual(camera, virtual_from_cam) @ virtual_from_crop
    return np.asarray(homography / homography[2, 2])


def cam_from_virtual_pose(points_virtual_m: ArrayLike, virtual_from_cam: ArrayLike) -> Floats:
    """Points (..., 3) of the virtual camera in the axes of the real one: R^T x."""
    return np.asarray(points_virtual_m, dtype=np.float64) @ np.asarray(virtual_from_cam, dtype=np.float64)


def virtual_from_cam_pose(points_cam_m: ArrayLike, virtual_from_cam: ArrayLike) -> Floats:
    """Points (..., 3) of the real camera in the axes of the virtual one: R x."""
    return np.asarray(points_cam_m, dtype=np.float64) @ np.asarray(virtual_from_cam, dtype=np.float64).T


def undo_implicit_rotation(joints_crop_m: ArrayLike, camera: Camera, centre_img_px: tuple[float, float]) -> Floats:
    """Root-relative pose (..., 3) seen as if the crop's centre were the optical axis, in camera axes.

    For plain crops and a network without box token: turned by the rotation that takes the optical axis to the
    ray of the crop's centre.
    """
    return cam_from_virtual_pose(joints_crop_m, virtual_from_cam_at(camera, centre_img_px))
