"""The board to print: its size on paper is the one stated, and it is found in a scan of the page."""

import io

import numpy as np
import pypdfium2
import pytest
from rich.console import Console

from calibration.board import Pattern
from calibration.detection import Finder
from calibration.errors import CalibrationError
from pipeline.calibrate.board import PAPERS_MM, fitted, next_command, write_board

DPI = 200
PX_PER_MM = DPI / 25.4


def page(path) -> tuple[np.ndarray, tuple[float, float]]:
    """The first page as grey pixels at 200 dpi, and its size in mm."""
    document = pypdfium2.PdfDocument(path)
    try:
        first = document[0]
        width, height = (side * 25.4 / 72 for side in first.get_size())
        pixels = np.array(first.render(scale=DPI / 72, grayscale=True).to_numpy())
        return pixels.reshape(pixels.shape[:2]), (width, height)
    finally:
        document.close()


def printed(tmp_path, kind="charuco", sides=(9, 6), square_mm=0.0, paper="a4"):
    said = io.StringIO()
    path = tmp_path / "board.pdf"
    write_board(path, kind, sides, square_mm, "5x5", paper, Console(file=said, width=200))
    return path, said.getvalue()


@pytest.mark.parametrize(
    ("kind", "sides", "square_mm", "paper"),
    [("charuco", (9, 6), 0.0, "a4"), ("charuco", (7, 5), 33.5, "a3"), ("checkerboard", (10, 7), 0.0, "a4")],
)
def test_squares_have_the_stated_size_on_paper(tmp_path, kind, sides, square_mm, paper):
    path, _ = printed(tmp_path, kind, sides, square_mm, paper)
    pattern = fitted(kind, sides, square_mm, "5x5", paper)
    pixels, size_mm = page(path)
    np.testing.assert_allclose(size_mm, PAPERS_MM[paper], atol=0.1)
    view = Finder(pattern).view(pixels)
    assert len(view.ids) == len(pattern.corners_mm)
    corners_mm = view.corners_img_px / PX_PER_MM
    across = np.linalg.norm(
        np.diff(corners_mm[view.ids.argsort()].reshape(sides[1] - 1, sides[0] - 1, 2), axis=1), axis=2
    )
    np.testing.assert_allclose(across, pattern.square_mm, atol=0.03)
    assert np.linalg.norm(corners_mm[0] - corners_mm[-1]) == pytest.approx(
        np.linalg.norm(pattern.corners_mm[0] - pattern.corners_mm[-1]), abs=0.1
    )


def test_the_ruler_is_a_hundred_millimetres_long(tmp_path):
    path, _ = printed(tmp_path)
    pixels, (_, height_mm) = page(path)
    line = pixels[round((height_mm - 24) * PX_PER_MM) - 2 : round((height_mm - 24) * PX_PER_MM) + 3].min(axis=0)
    dark = np.flatnonzero(line[: round(132 * PX_PER_MM)] < 128)
    assert (dark[-1] - dark[0]) / PX_PER_MM == pytest.approx(100.0, abs=0.5)


def test_areas_that_touch_show_no_hair_between_them(tmp_path):
    path, _ = printed(tmp_path)
    pixels, _ = page(path)
    pattern = fitted("charuco", (9, 6), 0.0, "5x5", "a4")
    left = (297 - pattern.size_mm[0]) / 2
    # The black border of the first marker, along its upper side: one field beside the next.
    y = (10 + 3.5 + 1.5) * PX_PER_MM
    x = np.arange((left + 28 + 3.5 + 0.5) * PX_PER_MM, (left + 56 - 3.5 - 0.5) * PX_PER_MM).astype(int)
    assert pixels[round(y), x].max() < 10


def test_the_page_says_what_to_type_and_it_is_right(tmp_path):
    path, said = printed(tmp_path, square_mm=25.0)
    command = next_command(Pattern(square_mm=25.0))
    assert command in said
    document = pypdfium2.PdfDocument(path)
    text = document[0].get_textpage().get_text_range()
    document.close()
    for words in (
        "posecast calibrate intrinsics VIDEO --out camera.toml",
        "--columns 9 --rows 6",
        "--square-mm 25",
        "100 %",
    ):
        assert words in text


def test_a_board_too_large_for_its_paper_says_what_fits(tmp_path):
    with pytest.raises(CalibrationError, match="do not fit on A4; at most 28 mm, or another --paper"):
        printed(tmp_path, square_mm=30.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("paper", PAPERS_MM)
def test_every_paper_has_a_default(paper):
    width, height = PAPERS_MM[paper]
    size = fitted("charuco", (9, 6), 0.0, "5x5", paper).size_mm
    assert 0.5 * width < size[0] < width - 20
    assert size[1] < height - 40
