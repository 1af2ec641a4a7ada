"""Pictures of the page: the colours and the orientation of the source."""

import cv2
import numpy as np
import pytest

from pipeline.picture import Picture, cut
from pipeline.viewer.pictures import jpeg, shrunk


def picture(rotation: int = 0, layout: str = "yuv420p", size: tuple[int, int] = (400, 240)) -> Picture:
    """Coloured quarters."""
    width, height = size
    luma = np.full((height, width), 90, np.uint8)
    luma[: height // 2] = 180
    chroma = [np.full((height // 2, width // 2), 128, np.uint8) for _ in range(2)]
    chroma[0][:, : width // 4] = 60
    chroma[1][: height // 4] = 200
    planes = [luma, *chroma] if layout == "yuv420p" else [luma, np.dstack(chroma).reshape(height // 2, width)]
    return Picture(tuple(planes), layout, "bt709", False, rotation)


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("layout", ("yuv420p", "nv12"))
@pytest.mark.parametrize("rotation", (0, 90, 180, 270))
def test_colours_and_orientation_are_those_of_the_picture_as_shown(rotation, layout) -> None:
    source = picture(rotation, layout)
    got = decoded(jpeg(shrunk(source, 120), 95))
    factor = source.height / got.shape[0]
    assert got.shape[:2] == (source.height / factor, source.width / factor)
    assert factor == 2
    half = np.array([[factor, 0, 0.5], [0, factor, 0.5], [0, 0, 1]])
    expected = cut(source, half, (got.shape[1], got.shape[0]))[..., ::-1]
    inner = np.ix_((got.shape[0] // 4, 3 * got.shape[0] // 4), (got.shape[1] // 4, 3 * got.shape[1] // 4))
    np.testing.assert_allclose(got[inner].astype(int), expected[inner].astype(int), atol=4)


def test_small_and_odd_pictures_are_not_enlarged() -> None:
    odd = Picture(
        (np.zeros((77, 101), np.uint8), np.full((39, 51), 128, np.uint8), np.full((39, 51), 128, np.uint8)), "yuv420p"
    )
    small = shrunk(odd, 540)
    assert (small.width, small.height) == (100, 76)


def test_nothing_of_the_ring_is_kept() -> None:
    for source in (picture(), picture(layout="nv12")):
        for small in shrunk(source, 240).planes:
            assert not any(np.shares_memory(small, plane) for plane in source.planes)
