"""Small pictures for the page: shrunk at once, in the decoder's planes, made a JPEG only when they are sent."""

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.picture import Picture, rgb_from_yuv

Bytes = npt.NDArray[np.uint8]

_TURNS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def shrunk(picture: Picture, height_px: int) -> Picture:
    """A copy whose shorter side is `height_px` at most, yuv420p, area averaged."""
    scale = min(1.0, height_px / min(picture.coded_width, picture.coded_height))
    half = (max(1, round(picture.coded_width * scale / 2)), max(1, round(picture.coded_height * scale / 2)))
    luma, *chroma = picture.planes
    if picture.layout == "nv12":
        chroma = [chroma[0][:, 0::2].copy(), chroma[0][:, 1::2].copy()]
    planes = (_resized(luma, (2 * half[0], 2 * half[1])), *(_resized(plane, half) for plane in chroma))
    return Picture(planes, "yuv420p", picture.matrix, picture.full_range, picture.rotation_deg, picture.t_media_ns)


def _resized(plane: Bytes, size: tuple[int, int]) -> Bytes:
    if plane.shape == (size[1], size[0]):
        return plane.copy()  # what lies in the ring is overwritten
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def jpeg(picture: Picture, quality: int) -> bytes:
    """The picture as shown."""
    luma = picture.planes[0]
    size = (luma.shape[1], luma.shape[0])
    chroma = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in picture.planes[1:]]
    rgb_rows = rgb_from_yuv(picture.matrix, picture.full_range)
    bgr: Any = cv2.transform(cv2.merge([luma, *chroma]), rgb_rows[::-1].copy())
    if picture.rotation_deg:
        bgr = cv2.rotate(bgr, _TURNS[picture.rotation_deg])
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of {size[0]}x{size[1]} cannot be encoded")
    return encoded.tobytes()
