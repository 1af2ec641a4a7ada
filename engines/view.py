"""How a crop sees the athlete: as cut out of the picture, or as a virtual camera that looks straight at it.

Where the camera is only guessed the crop is a plain rectangle of the picture, and the box token tells the networks its
bearing by the guess. Where it is known (PersPose) the camera is turned by the smallest rotation onto the crop's centre:
the crop is what the turned camera sees, keypoints are normalised in it, the token's bearing is 0, and the decoded pose
is turned back. An athlete then looks the same to every network wherever in the picture the athlete is.

PersPose also encodes the perspective: it gives the network the map K_crop^-1 (u, v, 1) of all pixels of the crop. In a
plain crop that map depends on where the crop lies; in a turned camera it is the same ramp for every crop, times
height / focal length. That one number is the token's third, which the keypoint encoder, the decoders and the
temporal network take: a map would tell them nothing more.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration import rotation
from calibration.camera import Camera, CameraError
from engines import codecs
from engines.codecs import Box, Crop, Floats
from engines.contracts import CROP_H, CROP_W

Singles = NDArray[np.float32]

_CROP_PX: Final = (CROP_H, CROP_W)


@dataclass(frozen=True, slots=True)
class View:
    """A crop, the camera whose picture it is of, and how that was turned: not at all for a plain crop.

    `crop` has its centre in `img`; its height is in pixels of the virtual camera, whose pixels are square and whose
    focal length is the real one's along v: where nothing is turned, of `img`. `virtual_from_cam` (3, 3).
    """

    crop: Crop
    camera: Camera
    virtual_from_cam: Floats | None = None

    @property
    def height_focal(self) -> float:
        """The crop's height in focal lengths."""
        return self.crop.height_px / (self.camera.focal_px * self.camera.pixel_aspect)

    @property
    def img_from_crop(self) -> Floats:
        """Homography (3, 3) from pixels of the 256 x 192 crop to pixels of `img`: what the crop shows is cut by it."""
        if self.virtual_from_cam is None:
            return codecs.img_from_crop(self.crop)
        height, angle = self.crop.height_px, self.crop.angle_rad
        return rotation.img_from_perspective_crop(self.camera, self.virtual_from_cam, height, _CROP_PX, angle)

    @property
    def box(self) -> Singles:
        """The contract's `box` (3,): bearing of what is looked at in this view, and the height in focal lengths."""
        if self.virtual_from_cam is None:
            return codecs.box_token(self.crop, self.camera)
        return np.array([0.0, 0.0, self.height_focal], np.float32)

    def keypoints(self, joints_img_px: ArrayLike) -> Singles:
        """The contract's `keypoints` (..., 2) of joints (..., 2) in pixels of `img`.

        In a turned camera by the exact ray of each joint, distortion undone; where no ray ends at a joint, far outside
        a distorted picture, by the crop's homography.
        """
        joints = np.asarray(joints_img_px, np.float64)
        if self.virtual_from_cam is None:
            return codecs.normalised_keypoints(joints, self.crop)
        rays = self.camera.unproject(joints) @ self.virtual_from_cam.T
        points = rays[..., :2] / rays[..., 2:]
        if not np.isfinite(points).all():
            virtual_from_img = np.linalg.inv(rotation.img_from_virtual(self.camera, self.virtual_from_cam))
            points = np.where(np.isfinite(points), points, codecs.transformed(joints, virtual_from_img))
        return np.asarray(points / (self.height_focal / 2), np.float32)

    def cam_from_view(self, joints_m: ArrayLike) -> Singles:
        """Joints (..., 3), as a network gives them for this view's keypoints and box, in the real camera's axes.

        R^T x for a turned camera. For a plain crop they are in those axes already: the networks turn them by the
        bearing that the box tells.
        """
        joints = np.asarray(joints_m, np.float32)
        return joints if self.virtual_from_cam is None else joints @ self.virtual_from_cam.astype(np.float32)

    def view_from_cam(self, joints_m: ArrayLike) -> Singles:
        """Inverse of `cam_from_view`: for joints that a network takes."""
        joints = np.asarray(joints_m, np.float32)
        return joints if self.virtual_from_cam is None else joints @ self.virtual_from_cam.astype(np.float32).T


def view_of(crop_img_px: tuple[float, float, float], camera: Camera, known: bool) -> View:
    """The view of a crop: centre u, v and height as `View.crop` has them. `known`: the camera is not a guess.

    Plain where no ray ends at the centre: far outside a distorted picture.
    """
    u, v, height_px = crop_img_px
    return View(Crop((u, v), height_px), camera, _turn(camera, (u, v)) if known else None)


def view_of_box(box_img_px: Box, factor: float, camera: Camera, known: bool) -> View:
    """The view of a box, `factor` times what holds it, as `codecs.crop_of_box`.

    Away from the axis a body is drawn larger, and stretched away from the middle: for a turned camera the box is first
    brought to the size that it has there, so that an athlete fills the crop alike wherever in the picture.
    """
    left, top, right, bottom = box_img_px
    centre = ((left + right) / 2, (top + bottom) / 2)
    turn = _turn(camera, centre) if known else None
    if turn is None:
        return View(codecs.crop_of_box(box_img_px, factor), camera)
    across, down = _px_per_focal(rotation.img_from_virtual(camera, turn), centre)
    focal = camera.focal_px * camera.pixel_aspect
    half_w, half_h = (right - left) / 2 * focal / across, (bottom - top) / 2 * focal / down
    crop = codecs.crop_of_box((-half_w, -half_h, half_w, half_h), factor)
    return View(replace(crop, centre_img_px=centre), camera, turn)


def _turn(camera: Camera, centre_img_px: tuple[float, float]) -> Floats | None:
    ray = camera.unproject(centre_img_px)
    return rotation.virtual_from_cam(ray) if np.isfinite(ray).all() else None


def _px_per_focal(img_from_virtual: Floats, centre_img_px: tuple[float, float]) -> tuple[float, float]:
    """Scale along u and v at the centre: the diagonal of the homography's derivative at the virtual axis."""
    slope = np.diag(img_from_virtual)[:2] - centre_img_px * img_from_virtual[2, :2]
    return float(slope[0]), float(slope[1])


class Views:
    """Views of the pictures of one source: by its calibrated camera where there is one, else by a guess.

    A stream may be smaller than the pictures that were calibrated with: the camera is scaled to it.
    """

    def __init__(self, calibrated: Camera | None, vertical_fov_deg: float) -> None:
        """`vertical_fov_deg`: what a picture spans from top to bottom where nothing is known."""
        self._calibrated = calibrated
        self._fov_deg = vertical_fov_deg
        self._cameras: dict[tuple[int, int], Camera] = {}

    @property
    def known(self) -> bool:
        """Whether the camera is calibrated."""
        return self._calibrated is not None

    def camera(self, width: int, height: int) -> Camera:
        """The camera of pictures of that size. Raises CameraError where the calibrated one's have another shape."""
        size = (width, height)
        if size not in self._cameras:
            self._cameras[size] = (
                Camera.guessed(width, height, self._fov_deg)
                if self._calibrated is None
                else _scaled(self._calibrated, width, height)
            )
        return self._cameras[size]

    def of_box(self, box_img_px: Box, factor: float, width: int, height: int) -> View:
        """`view_of_box` in a picture of that size."""
        return view_of_box(box_img_px, factor, self.camera(width, height), self.known)

    def of_crop(self, crop_img_px: tuple[float, float, float], width: int, height: int) -> View:
        """`view_of` in a picture of that size."""
        return view_of(crop_img_px, self.camera(width, height), self.known)


def _scaled(camera: Camera, width: int, height: int) -> Camera:
    scale = width / camera.width
    if abs(height - camera.height * scale) > 1:
        raise CameraError(
            f"the pictures are {width}x{height}, the camera was calibrated with {camera.width}x{camera.height}: "
            "expected the same shape; calibrate with pictures of this stream"
        )
    u, v = ((place + 0.5) * scale - 0.5 for place in camera.centre_px)
    return replace(camera, width=width, height=height, focal_px=camera.focal_px * scale, centre_px=(u, v))
