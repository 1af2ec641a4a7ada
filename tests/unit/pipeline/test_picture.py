"""Crops and thumbnails from planes against the picture the planes were made from, and against full conversion."""

import av
import cv2
import numpy as np
import pytest

from pipeline.picture import Picture, cut, from_av, rotation_of, thumbnail
from tests.media import scene

ITU709, ITU601, LIMITED, FULL = 1, 5, 1, 2


def frame_of(rgb: np.ndarray, pix_fmt: str = "yuv420p", space: int = ITU709, full: bool = False) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
    return frame.reformat(format=pix_fmt, dst_colorspace=space, dst_color_range=FULL if full else LIMITED)


def error(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got.astype(float) - expected.astype(float)).mean())


def whole(picture: Picture) -> np.ndarray:
    return cut(picture, np.eye(3), (picture.width, picture.height))


def grey(luma: np.ndarray, **more) -> Picture:
    height, width = luma.shape
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    return Picture((luma, chroma, chroma), "yuv420p", full_range=True, **more)


@pytest.mark.parametrize("size", [(160, 96), (161, 97), (131, 64), (64, 131)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12"])
@pytest.mark.parametrize(("space", "matrix"), [(ITU709, "bt709"), (ITU601, "bt601")])
@pytest.mark.parametrize("full", [False, True])
def test_colours_come_back(size, pix_fmt, space, matrix, full) -> None:
    rgb = scene(*size)
    picture = from_av(frame_of(rgb, pix_fmt, space, full))
    assert (picture.layout, picture.matrix, picture.full_range) == (pix_fmt, matrix, full)
    assert (picture.width, picture.height) == size
    assert error(whole(picture), rgb) < 1.5


def test_the_wrong_matrix_or_range_would_be_seen() -> None:
    """The bound of the test above would fail on either mistake."""
    rgb = scene()
    picture = from_av(frame_of(rgb))
    wrong_matrix = Picture(picture.planes, picture.layout, "bt601", picture.full_range)
    wrong_range = Picture(picture.planes, picture.layout, picture.matrix, full_range=True)
    assert error(whole(wrong_matrix), rgb) > 3
    assert error(whole(wrong_range), rgb) > 4


@pytest.mark.parametrize(("height", "matrix"), [(480, "bt601"), (720, "bt709")])
def test_unspecified_matrix_goes_by_height(height, matrix) -> None:
    assert from_av(av.VideoFrame(64, height, "yuv420p")).matrix == matrix


@pytest.mark.parametrize("pix_fmt", ["rgb24", "gray", "yuv444p", "yuv422p10le", "yuvj422p", "gbrp"])
@pytest.mark.parametrize("size", [(160, 96), (97, 65)])
def test_other_formats_are_converted(pix_fmt, size) -> None:
    rgb = scene(*size)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pix_fmt)
    expected = frame.to_ndarray(format="rgb24")
    picture = from_av(frame)
    assert picture.layout == "yuv420p"
    assert picture.full_range == (pix_fmt == "yuvj422p")
    assert error(whole(picture), expected) < 2


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "nv12"])
def test_planes_are_the_decoders_own_and_outlive_the_frame(pix_fmt) -> None:
    frame = av.VideoFrame(161, 97, pix_fmt)
    for plane in frame.planes:
        plane.update(bytes(range(256)) * (plane.buffer_size // 256) + bytes(plane.buffer_size % 256))
    picture = from_av(frame)
    addresses = [plane.ctypes.data for plane in picture.planes]
    assert addresses == [plane.buffer_ptr for plane in frame.planes]
    before = [plane.copy() for plane in picture.planes]
    del frame
    others = [av.VideoFrame(161, 97, pix_fmt) for _ in range(4)]
    assert all(np.array_equal(plane, copy) for plane, copy in zip(picture.planes, before, strict=True))
    assert not picture.planes[0].flags.writeable
    assert len(others) == 4


@pytest.mark.parametrize("size", [(160, 96), (97, 131)])
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_rotation_shows_the_picture_upright(size, quarter_turns) -> None:
    shown = scene(*size)
    coded = np.rot90(shown, quarter_turns)  # turned counterclockwise: has to be shown turned clockwise
    picture = from_av(frame_of(coded), rotation_of(-90 * quarter_turns))
    assert picture.rotation_deg == 90 * quarter_turns
    assert (picture.width, picture.height) == size
    assert error(whole(picture), shown) < 1.5
    small = thumbnail(picture, 32)
    assert error(small, cv2.resize(shown, (32, 32), interpolation=cv2.INTER_AREA)) < 1.5


@pytest.mark.parametrize("ccw", [0, 90, -90, 180, -180, 270, 89.6, -359])
def test_rotation_is_the_nearest_quarter_turn_clockwise(ccw) -> None:
    assert abs((rotation_of(ccw) + ccw + 180) % 360 - 180) <= 1


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "img_from_crop",
    [
        [[0.5, 0, 40], [0, 0.5, 30], [0, 0, 1]],
        [[0.7, -0.5, 90], [0.5, 0.7, 20], [0, 0, 1]],
        [[1.2, 0.1, 10], [-0.05, 1.1, 30], [0.001, 0.0005, 1]],
        [[2.9, 0.3, -20], [-0.3, 2.9, 10], [0, 0, 1]],
    ],
    ids=["magnified", "turned", "perspective", "minified"],
)
def test_crop_equals_the_crop_of_the_fully_converted_picture(img_from_crop, quarter_turns) -> None:
    shown = scene(240, 180)
    picture = from_av(frame_of(np.rot90(shown, quarter_turns)), rotation_of(-90 * quarter_turns))
    matrix = np.array(img_from_crop, float)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpPerspective(shown, matrix, (72, 96), flags=flags)
    inside = cv2.warpPerspective(np.full((180, 240), 255, np.uint8), matrix, (72, 96), flags=flags)
    inside = cv2.erode(inside, np.ones((3, 3))) == 255
    assert inside.mean() > 0.3
    got = cut(picture, matrix, (72, 96))
    assert error(got[inside], expected[inside]) < 1.5
    beyond = ~cv2.dilate(inside.astype(np.uint8), np.ones((7, 7))).astype(bool)
    assert not beyond.any() or got[beyond].max() <= 2


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pixel_centres_are_whole_numbers(rotation) -> None:
    shown = np.zeros((48, 64), np.uint8)
    shown[21, 37] = 255
    coded = np.ascontiguousarray(np.rot90(shown, rotation // 90))
    crop = cut(grey(coded, rotation_deg=rotation), [[1, 0, 30], [0, 1, 15], [0, 0, 1]], (16, 12))
    assert np.argwhere(crop[..., 0] > 0).tolist() == [[6, 7]]
    assert crop[6, 7].tolist() == [255, 255, 255]


def test_chroma_lies_where_h264_puts_it() -> None:
    """A chroma ramp given at its sample places comes back as the same ramp at the luma places."""
    v, u = np.mgrid[:32, :32]
    cb = 39.5 + 2.0 * (2 * u) + 1.0 * (2 * v + 0.5)
    planes = np.full((64, 64), 128, np.uint8), cb.astype(np.uint8), np.full((32, 32), 128, np.uint8)
    picture = Picture(planes, "yuv420p", "bt601", full_range=True)
    at = np.array([[1.0, 0, 10], [0, 1, 10], [0, 0, 1]])
    blue = cut(picture, at, (20, 20))[..., 2].astype(float)
    row, column = np.mgrid[10:30, 10:30]
    expected = 128 + 1.772 * (39.5 + 2.0 * column + row - 128)
    unclipped = (expected > 5) & (expected < 250)
    assert unclipped.mean() > 0.5
    assert abs((blue - expected)[unclipped].mean()) < 0.7  # half a chroma sample off would be 1.8 or more


@pytest.mark.parametrize("factor", [2.0, 3.1, 6.0, 13.0])
def test_minified_texture_turns_grey_instead_of_aliasing(factor) -> None:
    rng = np.random.default_rng(3)
    luma = np.where(rng.random((512, 512)) > 0.5, 255, 0).astype(np.uint8)
    size = (int(440 / factor),) * 2
    crop = cut(grey(luma), [[factor, 0, 30], [0, factor, 30], [0, 0, 1]], size)[..., 0]
    assert abs(crop.mean() - 127.5) < 6
    assert crop.std() < 127.5 / factor * 1.3  # point samples would keep 127.5


def test_crop_across_the_edge_is_black_outside() -> None:
    crop = cut(grey(np.full((50, 70), 200, np.uint8)), [[1, 0, 60], [0, 1, 40], [0, 0, 1]], (20, 20))
    assert (crop[:10, :10] == 200).all()
    assert crop[11:].max() == 0
    assert crop[:, 11:].max() == 0


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("shift", [(-500, 0), (0, 900), (5000, 5000)])
def test_crop_of_nothing_is_black(shift, full) -> None:
    picture = from_av(frame_of(scene(), full=full))
    crop = cut(picture, [[4, 0, shift[0]], [0, 4, shift[1]], [0, 0, 1]], (40, 30))
    assert crop.shape == (30, 40, 3)
    assert crop.max() == 0


def test_crop_beyond_the_horizon_is_defined() -> None:
    crop = cut(from_av(frame_of(scene())), [[1, 0, 0], [0, 1, 0], [-0.02, 0, 1]], (96, 64))
    assert crop.shape == (64, 96, 3)
    assert crop[:, :20].mean() > 30


@pytest.mark.parametrize("size", [(1920, 1080), (1768, 994), (771, 433), (130, 1001), (96, 64)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12"])
def test_thumbnail_is_the_area_average(size, pix_fmt) -> None:
    rgb = scene(*size)
    rgb[size[1] // 3 : size[1] // 2, size[0] // 4 : size[0] // 3] = (250, 240, 30)
    small = thumbnail(from_av(frame_of(rgb, pix_fmt)), 64)
    expected = cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA)
    assert error(small, expected) < 1.5


def test_planes_that_do_not_fit_together_are_refused() -> None:
    luma, chroma = np.zeros((9, 7), np.uint8), np.zeros((4, 3), np.uint8)
    with pytest.raises(ValueError, match=r"expected \[\(5, 4\), \(5, 4\)\]"):
        Picture((luma, chroma, chroma), "yuv420p")
    with pytest.raises(ValueError, match="7x9 nv12"):
        Picture((luma, chroma), "nv12")
