"""Intrinsics from pictures, through the verb: folder, film and live stream, its files, and what a failure says."""

import io
import threading
import time

import av
import cv2
import numpy as np
import pytest
from rich.console import Console

from calibration.board import Pattern
from calibration.errors import CalibrationError
from calibration.store import load
from pipeline.calibrate.coverage import WIDTH_PX, drawn
from pipeline.calibrate.intrinsics import Wanted, calibrate_intrinsics
from pipeline.calibrate.watching import Span, Watch, luma_of, moments
from pipeline.config import Config
from pipeline.errors import SourceError
from pipeline.picture import Picture
from pipeline.sources import open_source
from tests.board_film import LENS, PATTERN, SIZE, board_film, board_pictures
from tests.unit.calibration.board_views import views_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return board_pictures(tmp_path_factory.mktemp("board") / "pictures")


@pytest.fixture(scope="module")
def film(tmp_path_factory, folder):
    return board_film(tmp_path_factory.mktemp("film") / "board.mp4", folder)


def run(out, *sources, pattern=PATTERN, span=Span()):  # noqa: B008
    said = io.StringIO()
    wanted = Wanted(tuple(map(str, sources)), out, pattern, "opencv", "left", span)
    fit = calibrate_intrinsics(wanted, Console(file=said, width=160))
    return fit, said.getvalue()


def test_a_folder_gives_a_camera_file_and_its_plot(tmp_path, folder):
    out = tmp_path / "new" / "left.toml"
    fit, said = run(out, folder)
    calibration = load(out)
    assert calibration.camera == fit.camera
    assert calibration.camera.focal_px == pytest.approx(LENS.focal_px, rel=0.005)
    assert calibration.name == "left"
    assert "views of a ChArUco board with 5x5 markers, 9 x 6 squares of 28 mm" in calibration.source
    assert 0 < calibration.focal_sd_px < 5
    assert 0 < calibration.reprojection_px < 0.5
    plot = cv2.imread(str(out.with_suffix(".png")))
    assert plot.shape[1] > 1000
    assert sorted(path.name for path in out.parent.iterdir()) == ["left.png", "left.toml"]
    for words in ("focal length", "18 pictures", "next: posecast calibrate show"):
        assert words in said


def test_of_a_film_the_sharpest_picture_of_each_moment_is_taken(tmp_path, film, folder):
    fit, _ = run(tmp_path / "left.toml", film)
    assert fit.camera.focal_px == pytest.approx(LENS.focal_px, rel=0.005)
    source = open_source(str(film), Config())
    numbers = [moment.number for moment in moments(source, 0.0, 0.0, lambda: False)]
    source.close()
    assert numbers == list(range(1, 3 * len(list(folder.iterdir())), 3))


def test_a_part_of_a_film(film):
    source = open_source(str(film), Config())
    times = [moment.t_s for moment in moments(source, 1.0, 2.0, lambda: False)]
    source.close()
    assert len(times) == 5, "four moments of three pictures, and the last picture alone"
    assert 1.0 <= min(times) < max(times) <= 2.0


def test_several_sources_are_one_camera(tmp_path, folder, tmp_path_factory):
    more = board_pictures(tmp_path_factory.mktemp("more") / "pictures", count=6, seed=2)
    fit, _ = run(tmp_path / "left.toml", folder, more)
    assert {view.label.split(" picture")[0] for view in fit.views} == {str(folder), str(more)}


def test_sources_of_two_sizes_are_two_cameras(tmp_path, folder):
    other = tmp_path / "other"
    other.mkdir()
    cv2.imwrite(str(other / "0.png"), np.zeros((100, 200), np.uint8))
    with pytest.raises(SourceError, match="is 200x100, but the one before 640x360"):
        run(tmp_path / "left.toml", folder, other)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (Pattern(columns=7, rows=5), "found is a ChArUco board with 5x5 markers, 9 squares wide"),
        (Pattern(markers="4x4"), "found is a ChArUco board with 5x5 markers"),
        (Pattern("checkerboard"), "this is a ChArUco board with 5x5 markers"),
    ],
    ids=["size", "markers", "kind"],
)
def test_another_board_is_told(tmp_path, folder, pattern, says):
    with pytest.raises(CalibrationError, match=says):
        run(tmp_path / "left.toml", folder, pattern=pattern)
    assert not (tmp_path / "left.toml").exists()


def test_pictures_without_a_board(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for index in range(3):
        cv2.imwrite(str(empty / f"{index}.png"), np.full((360, 640), 90 + index, np.uint8))
    with pytest.raises(CalibrationError, match=r"no ChArUco board .* in 3 pictures; show the whole board"):
        run(tmp_path / "left.toml", empty)


def test_a_blurred_board(tmp_path, folder):
    blurred = tmp_path / "blurred"
    blurred.mkdir()
    for file in sorted(folder.iterdir())[:6]:
        cv2.imwrite(str(blurred / file.name), cv2.GaussianBlur(cv2.imread(str(file)), (0, 0), 2.8))
    with pytest.raises(CalibrationError, match=r"blurred in all|no ChArUco board|usable views"):
        run(tmp_path / "left.toml", blurred)


def test_too_few_views_say_what_to_film(tmp_path, folder):
    few = tmp_path / "few"
    few.mkdir()
    for file in sorted(folder.iterdir())[:3]:
        (few / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CalibrationError, match="3 usable views are not enough; film also: "):
        run(tmp_path / "left.toml", few)


def stream_of(film, url: str, stop: threading.Event) -> None:
    """Send a film over and over, as a camera would."""
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    with av.open(url, "w", format="mpegts") as out:
        stream = out.add_stream(
            "libx264", rate=12, options={"tune": "zerolatency", "preset": "ultrafast", "g": "6", "crf": "16"}
        )
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        number, start = 0, time.monotonic()
        while not stop.is_set():
            frame = av.VideoFrame.from_ndarray(frames[number % len(frames)], "yuv420p")
            frame.pts = number
            out.mux(stream.encode(frame))
            number += 1
            stop.wait(max(0.0, start + number / 12 - time.monotonic()))


@pytest.mark.slow
def test_a_live_camera_is_watched_until_it_will_do(tmp_path, tmp_path_factory):
    views = board_pictures(tmp_path_factory.mktemp("live") / "pictures", count=30, seed=3)
    film = board_film(tmp_path / "film.mp4", views, each=2)
    stop = threading.Event()
    sender = threading.Thread(target=stream_of, args=(film, "udp://127.0.0.1:24511?pkt_size=1316", stop))
    sender.start()
    try:
        fit, said = run(tmp_path / "left.toml", "udp://127.0.0.1:24511?timeout=5000000", span=Span(live_s=30.0))
    finally:
        stop.set()
        sender.join()
    assert fit.camera.focal_px == pytest.approx(LENS.focal_px, rel=0.01)
    coverage = cv2.imread(str(tmp_path / "left.coverage.png"))
    assert coverage.shape[1] == WIDTH_PX
    assert "127.0.0.1" in said


def test_what_is_covered_turns_green_and_what_is_not_has_a_frame():
    views = [view for view in views_of(LENS, PATTERN, 20) if view.corners_img_px[:, 0].max() < 400]
    luma = np.full((360, 640), 120, np.uint8)
    picture = drawn(luma, None, views, ["show it in the right edge of the picture"])
    scale = WIDTH_PX / 640
    u, v = (views[0].corners_img_px.mean(axis=0) * scale).astype(int)
    blue, green, red = picture[v, u].astype(int)
    assert green > blue
    assert green > red + 10
    blue, green, red = picture[int(180 * scale), int(640 * 2 / 3 * scale) + 4].astype(int)
    assert red > green + 60


def test_luma_is_that_of_the_picture_as_shown():
    coded = np.arange(24, dtype=np.uint8).reshape(4, 6)
    chroma = np.zeros((2, 3), np.uint8)
    turned = luma_of(Picture((coded, chroma, chroma), "yuv420p", rotation_deg=90))
    np.testing.assert_array_equal(turned, np.rot90(coded, -1))
    assert turned.base is None, "the decoder's own memory is given back"


def test_pictures_without_the_board_are_kept_from_all_of_the_recording():
    watched = Watch(PATTERN)
    for index in range(100):
        watched.search(np.full((60, 80), index, np.uint8), "")
    levels = [int(luma[0, 0]) for luma in watched._without]
    assert 3 <= len(levels) <= 6
    assert max(levels) > 60
