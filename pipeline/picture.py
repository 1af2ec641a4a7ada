"""A decoded picture in the decoder's own planes, and the two things made of it: a crop and a thumbnail.

The whole picture is never converted to RGB. Pixels are those of the picture as shown, after rotation
metadata: u right, v down, centre of the top-left pixel at (0, 0). "Coded" is the picture as the decoder
gives it, before rotation.
"""

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.packets import presentation_ns
from pipeline.sampling import Bytes, Mat3, extended, halved, sampling_of

if TYPE_CHECKING:  # who hands over frames has loaded it
    import av

Layout = Literal["yuv420p", "nv12"]
Matrix = Literal["bt601", "bt709"]
Rotation = Literal[0, 90, 180, 270]

_TAKEN_AS_IS: Final[dict[str, Layout]] = {"yuv420p": "yuv420p", "yuvj420p": "yuv420p", "nv12": "nv12"}
# AVColorSpace (ITU-T H.273) to the nearer of the two matrices we convert with; BT.2020 is close to BT.709.
_BT709: Final = frozenset({1, 7, 9, 10})
_BT601: Final = frozenset({4, 5, 6})
_SWSCALE_MATRIX: Final[dict[Matrix, int]] = {"bt601": 5, "bt709": 1}
_RANGE_LIMITED: Final = 1
_RANGE_FULL: Final = 2
_HD_HEIGHT: Final = 720

# Chroma samples of H.264, HEVC and MPEG-2 lie on even luma columns and between two luma rows ("left" siting).
# MJPEG puts them between columns too: a quarter of a chroma sample away, which no crop can tell.
_CHROMA_FROM_LUMA: Final[Mat3] = np.array([[0.5, 0.0, 0.0], [0.0, 0.5, -0.25], [0.0, 0.0, 1.0]])
_NEUTRAL: Final = 128


@dataclass(frozen=True, slots=True)
class Picture:
    """Planes of one picture, uint8, coded orientation: Y, U, V of yuv420p, or Y and interleaved UV of nv12.

    Chroma planes of a picture of odd size are (n + 1) // 2 samples high and wide; the second plane of nv12
    is twice as wide. Turning the coded picture clockwise by `rotation_deg` shows it upright.
    """

    planes: tuple[Bytes, ...]
    layout: Layout
    matrix: Matrix = "bt709"
    full_range: bool = False
    rotation_deg: Rotation = 0
    t_media_ns: int = 0
    presentation_ns: int | None = None
    """When the source shows it by its own clock, which may start anew; None if it does not say."""

    def __post_init__(self) -> None:
        height, width = self.planes[0].shape
        chroma = ((height + 1) // 2, (width + 1) // 2)
        wanted = {"yuv420p": [chroma, chroma], "nv12": [(chroma[0], 2 * chroma[1])]}[self.layout]
        got = [plane.shape for plane in self.planes[1:]]
        if got != wanted:
            raise ValueError(f"chroma of a {width}x{height} {self.layout} picture: expected {wanted}, got {got}")

    @property
    def coded_width(self) -> int:
        """Width before rotation, pixels."""
        return int(self.planes[0].shape[1])

    @property
    def coded_height(self) -> int:
        """Height before rotation, pixels."""
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        """Width as shown, pixels."""
        return self.coded_height if self.rotation_deg in (90, 270) else self.coded_width

    @property
    def height(self) -> int:
        """Height as shown, pixels."""
        return self.coded_width if self.rotation_deg in (90, 270) else self.coded_height

    @property
    def coded_from_img(self) -> Mat3:
        """Coded pixel of a shown one, homogeneous (3, 3)."""
        right, bottom = self.coded_width - 1.0, self.coded_height - 1.0
        rows: dict[int, list[list[float]]] = {
            0: [[1, 0, 0], [0, 1, 0]],
            90: [[0, 1, 0], [-1, 0, bottom]],
            180: [[-1, 0, right], [0, -1, bottom]],
            270: [[0, -1, right], [1, 0, 0]],
        }
        return np.array([*rows[self.rotation_deg], [0, 0, 1]], np.float64)

    def at(self, t_media_ns: int) -> "Picture":
        """The same picture at another media time."""
        return replace(self, t_media_ns=t_media_ns)


def rotation_of(counterclockwise_deg: float) -> Rotation:
    """Nearest quarter turn, clockwise, of the angle that FFmpeg reports counterclockwise."""
    return cast(Rotation, round(-counterclockwise_deg / 90.0) * 90 % 360)


def from_av(frame: "av.VideoFrame", rotation: Rotation = 0, t_media_ns: int = 0) -> Picture:
    """Picture of a decoded frame: no copy for yuv420p, yuvj420p and nv12; the planes keep the frame alive."""
    shown_ns = presentation_ns(frame.pts, frame.time_base)
    if frame.format.name not in _TAKEN_AS_IS or any(plane.line_size < 0 for plane in frame.planes):
        frame = _reformatted(frame)
    layout = _TAKEN_AS_IS[frame.format.name]
    width, height = int(frame.width), int(frame.height)
    chroma = ((height + 1) // 2, (width + 1) // 2)
    shapes = [(height, width), *([chroma, chroma] if layout == "yuv420p" else [(chroma[0], 2 * chroma[1])])]
    return Picture(
        planes=tuple(_plane(plane, shape) for plane, shape in zip(frame.planes, shapes, strict=True)),
        layout=layout,
        matrix=_matrix_of(frame),
        full_range=_is_full_range(frame),
        rotation_deg=rotation,
        t_media_ns=t_media_ns,
        presentation_ns=shown_ns,
    )


def _plane(plane: "av.video.plane.VideoPlane", shape: tuple[int, int]) -> Bytes:
    stride = int(plane.line_size)
    flat = np.frombuffer(memoryview(plane), np.uint8)
    return np.lib.stride_tricks.as_strided(flat, shape, (stride, 1), writeable=False)


def _matrix_of(frame: "av.VideoFrame") -> Matrix:
    space = int(frame.colorspace)
    if space in _BT709 or space in _BT601:
        return "bt709" if space in _BT709 else "bt601"
    return _unspecified(int(frame.height))


def _unspecified(height: int) -> Matrix:
    return "bt709" if height >= _HD_HEIGHT else "bt601"


def _is_full_range(frame: "av.VideoFrame") -> bool:
    return frame.format.name.startswith("yuvj") or int(frame.color_range) == _RANGE_FULL


def _reformatted(frame: "av.VideoFrame") -> "av.VideoFrame":
    # One swscale pass over the whole picture. It hits PNG and other RGB images, grey images, most USB cameras
    # (YUYV, or MJPEG with 4:2:2 chroma), studio codecs (ProRes, DNxHD, 4:2:2 and 4:4:4) and 10-bit HEVC.
    # Ordinary H.264 and HEVC of cameras, telephones and RTSP never come here.
    if frame.format.is_rgb or frame.format.has_palette:
        matrix = _SWSCALE_MATRIX[_unspecified(int(frame.height))]
        return frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=_RANGE_LIMITED)
    target = _RANGE_FULL if _is_full_range(frame) else _RANGE_LIMITED
    return frame.reformat(format="yuv420p", dst_color_range=target)


@functools.cache
def rgb_from_yuv(matrix: Matrix, full_range: bool) -> npt.NDArray[np.float32]:
    """Affine map (3, 4) from (Y, Cb, Cr) to (R, G, B), all 0..255 (ITU-R BT.601 and BT.709)."""
    red, blue = (0.2126, 0.0722) if matrix == "bt709" else (0.299, 0.114)
    green = 1.0 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    linear = np.array(
        [
            [luma, 0.0, chroma * 2 * (1 - red)],
            [luma, -chroma * 2 * (1 - blue) * blue / green, -chroma * 2 * (1 - red) * red / green],
            [luma, chroma * 2 * (1 - blue), 0.0],
        ]
    )
    offset = -linear @ np.array([black, _NEUTRAL, _NEUTRAL])
    return np.column_stack([linear, offset]).astype(np.float32)


def cut(picture: Picture, img_from_crop: npt.ArrayLike, size: tuple[int, int]) -> Bytes:
    """Crop of `size` (width, height) as uint8 RGB (height, width, 3); black where the picture ends.

    `img_from_crop` (3, 3) takes crop pixels to shown pixels. Only the pixels under the crop are read,
    warped and converted; minified crops are averaged first, so that fine texture does not alias.
    """
    luma_from_crop = np.asarray(img_from_crop, np.float64).reshape(3, 3)
    if picture.rotation_deg:
        luma_from_crop = picture.coded_from_img @ luma_from_crop
    luma = sampling_of(picture.planes[0].shape, luma_from_crop, size)
    if luma is None:
        return np.zeros((size[1], size[0], 3), np.uint8)
    planes = _chroma(picture)
    chroma = sampling_of(planes[0].shape, _CHROMA_FROM_LUMA @ luma_from_crop, size)
    colours = [_neutral(size) if chroma is None else chroma.warp(plane) for plane in planes]
    yuv = cv2.merge([luma.warp(picture.planes[0]), *colours])
    rgb = cv2.transform(yuv, rgb_from_yuv(picture.matrix, picture.full_range))
    if luma.is_inside:
        return cast(Bytes, rgb)
    return cast(Bytes, cv2.bitwise_and(rgb, rgb, mask=luma.covered()))


def _neutral(size: tuple[int, int]) -> Bytes:
    return np.full((size[1], size[0]), _NEUTRAL, np.uint8)


def _chroma(picture: Picture) -> tuple[Bytes, Bytes]:
    """Cb and Cr as views; those of nv12 have a step of two."""
    if picture.layout == "yuv420p":
        return picture.planes[1], picture.planes[2]
    return picture.planes[1][:, 0::2], picture.planes[1][:, 1::2]


def thumbnail(picture: Picture, size_px: int) -> Bytes:
    """The whole shown picture squeezed to (size_px, size_px, 3), area averaged, RGB."""
    yuv = cv2.merge([_squeezed(plane, size_px) for plane in (picture.planes[0], *_chroma(picture))])
    rgb = cv2.transform(yuv, rgb_from_yuv(picture.matrix, picture.full_range))
    return np.ascontiguousarray(np.rot90(rgb, -(picture.rotation_deg // 90)))


def _squeezed(plane: Bytes, size_px: int) -> Bytes:
    if plane.strides[1] != 1:
        plane = np.ascontiguousarray(plane)
    if min(plane.shape) < size_px:  # INTER_AREA does not interpolate when it enlarges
        return cast(Bytes, cv2.resize(plane, (size_px, size_px), interpolation=cv2.INTER_LINEAR))
    extent_y, extent_x = (float(side) for side in plane.shape)
    while min(plane.shape) >= 2 * size_px:
        odd_y, odd_x = plane.shape[0] % 2, plane.shape[1] % 2
        if odd_x or odd_y:
            plane = extended(plane, odd_x, odd_y)
        plane = halved(plane, 2, 2)
        extent_y, extent_x = extent_y / 2, extent_x / 2
    # The picture ends at `extent`, up to a pixel before the padded plane does; what lies beyond is cut off.
    fx, fy = size_px / extent_x, size_px / extent_y
    squeezed = cv2.resize(plane, None, fx=fx, fy=fy, interpolation=cv2.INTER_AREA)
    return cast(Bytes, squeezed[:size_px, :size_px])
