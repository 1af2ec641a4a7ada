"""Sources on real media, encoded on the spot: order, times, sizes, rotation, skipping, pace, folders."""

import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline import config
from pipeline.address import device_of, masked, scheme_of
from pipeline.errors import SourceError
from pipeline.picture import Picture, cut
from pipeline.sources import open_source
from pipeline.sources.clock import MediaClock
from pipeline.sources.live_pictures import LivePictures
from pipeline.sources.opened import Opened
from pipeline.sources.paced import Paced
from pipeline.sources.source import Source, wait
from tests.media import HEIGHT, WIDTH, film, number_of, numbered, scene

B_FRAMES = {"bf": "3", "g": "12"}


def settings(**source: object) -> config.Config:
    return config.from_mapping({"source": source}, "test")


def opened(path: Path | str, **source: object) -> Source:
    return open_source(str(path), settings(**source))


def numbers(pictures) -> list[int]:
    return [number_of(picture.planes[0]) for picture in pictures]


def shown(picture: Picture) -> np.ndarray:
    return cut(picture, np.eye(3), (picture.width, picture.height))


def error(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got.astype(float) - expected.astype(float)).mean())


@pytest.fixture(scope="module")
def with_b_frames(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("media") / "b.mp4", 30, options=B_FRAMES)


def test_b_frames_come_in_order_of_showing(with_b_frames) -> None:
    with av.open(str(with_b_frames)) as container:
        packets = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert packets != sorted(packets), "the film has no B-frames"
    source = opened(with_b_frames)
    pictures = list(source.pictures())
    assert numbers(pictures) == list(range(30))
    assert [picture.t_media_ns for picture in pictures] == [40_000_000 * index for index in range(30)]
    info = source.info
    assert (info.width, info.height, info.rate_hz, info.rotation_deg) == (WIDTH, HEIGHT, 25.0, 0)
    assert (info.live, info.frames, info.name) == (False, 30, str(with_b_frames))
    assert info.describe() == f"{with_b_frames}: 160x96, 25 Hz, 30 pictures"
    assert source.notes == []
    source.close()


@pytest.mark.parametrize("start", [0, 1, 13, 29, 30, 99])
def test_a_restart_skips_and_keeps_time(with_b_frames, start) -> None:
    pictures = list(opened(with_b_frames).pictures(start=start))
    assert numbers(pictures) == list(range(start, 30))
    assert [picture.t_media_ns for picture in pictures] == [40_000_000 * index for index in range(start, 30)]


def test_variable_rate_keeps_the_containers_times(tmp_path) -> None:
    times_ms = [700, 733, 750, 900, 1400, 1401, 1402, 2500]
    path = film(tmp_path / "vfr.mkv", len(times_ms), pts_ms=times_ms, options=B_FRAMES)
    pictures = list(opened(path).pictures())
    assert numbers(pictures) == list(range(len(times_ms)))
    assert [picture.t_media_ns // 1_000_000 for picture in pictures] == [ms - 700 for ms in times_ms]


@pytest.mark.parametrize(("ccw", "clockwise"), [(90, 270), (-90, 90), (180, 180)])
def test_rotation_metadata_is_obeyed(tmp_path, ccw, clockwise) -> None:
    source = opened(film(tmp_path / "turned.mp4", 3, rotation_ccw_deg=ccw, options={"crf": "10"}))
    expected = np.rot90(numbered(2), ccw // 90)
    picture = list(source.pictures())[-1]
    assert source.info.rotation_deg == picture.rotation_deg == clockwise
    assert (source.info.height, source.info.width) == (picture.height, picture.width) == expected.shape[:2]
    assert error(shown(picture), expected) < 6
    assert "turned" in source.info.describe()


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("odd.mkv", "ffv1", "yuv444p"),
        ("odd.mkv", "ffv1", "yuv420p"),
        ("odd.mkv", "ffv1", "yuv422p10le"),
        ("odd.mp4", "libx264", "yuv444p"),
        ("odd.mkv", "rawvideo", "yuv420p"),
        ("odd.mov", "png", "rgb24"),
        ("odd.avi", "mjpeg", "yuvj420p"),
        ("odd.avi", "mjpeg", "yuvj422p"),
    ],
)
def test_odd_sizes_and_other_formats(tmp_path, name, codec, pix_fmt) -> None:
    options = {"crf": "10"} if codec == "libx264" else {"qmin": "2", "qmax": "2"} if codec == "mjpeg" else {}
    source = opened(film(tmp_path / name, 4, size=(131, 97), codec=codec, pix_fmt=pix_fmt, options=options))
    pictures = list(source.pictures())
    assert numbers(pictures) == [0, 1, 2, 3]
    assert (source.info.width, source.info.height) == (131, 97)
    assert pictures[0].full_range == pix_fmt.startswith("yuvj")
    assert error(shown(pictures[3]), numbered(3, 131, 97)) < 5


def test_one_picture_is_a_film(tmp_path) -> None:
    source = opened(film(tmp_path / "one.mp4", 1))
    assert [picture.t_media_ns for picture in source.pictures()] == [0]
    assert source.info.frames == 1


def test_a_single_image_is_a_film_of_one(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), scene()[..., ::-1])
    assert len(list(opened(tmp_path / "one.png").pictures())) == 1


def test_a_colon_in_the_name_is_no_protocol(tmp_path) -> None:
    path = film(tmp_path / "dive 3:02 %d #1.mp4", 2)
    assert len(list(opened(path).pictures())) == 2
    assert len(list(opened(f"file://{path}").pictures())) == 2


def test_the_larger_of_two_videos_is_taken_and_sound_is_ignored(tmp_path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for width in (32, 64):
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
            streams.append(stream)
        for index in range(3):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(scene(stream.width, 48), "rgb24")
                frame.pts = index
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    source = opened(path)
    assert source.info.width == 64
    assert len(list(source.pictures())) == 3


def test_stop_ends_the_pictures(with_b_frames) -> None:
    stop = threading.Event()
    seen = []
    for picture in opened(with_b_frames).pictures(stop=stop.is_set):
        seen.append(picture)
        if len(seen) == 4:
            stop.set()
    assert len(seen) == 4


def test_close_is_safe_at_any_time(with_b_frames) -> None:
    never_read = opened(with_b_frames)
    never_read.close()
    never_read.close()
    assert list(never_read.pictures()) == []
    half_read = opened(with_b_frames)
    pictures = half_read.pictures()
    kept = next(pictures)
    half_read.close()
    assert list(pictures) == []
    assert number_of(kept.planes[0]) == 0  # a picture outlives its source


def test_paced_plays_by_its_own_clock(with_b_frames) -> None:
    began = time.monotonic()
    pictures = opened(with_b_frames, paced=True, speed=4.0).pictures()
    arrivals = [time.monotonic() - began for _ in pictures]
    assert len(arrivals) == 30
    assert 0.28 < arrivals[-1] - arrivals[0] < 0.9  # 29 x 40 ms, four times as fast


def test_paced_hears_stop_while_it_waits(tmp_path) -> None:
    path = film(tmp_path / "slow.mkv", 2, pts_ms=[0, 60_000])
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    assert len(list(opened(path, paced=True).pictures(stop=stop.is_set))) == 1
    assert time.monotonic() - began < 5


def test_decoder_threads_are_those_of_the_settings(with_b_frames) -> None:
    with_two = config.from_mapping({"capture": {"decoder_threads": 2}}, "test")
    source = open_source(str(with_b_frames), with_two)
    assert source._opened._stream.codec_context.thread_count == 2  # type: ignore[attr-defined]
    assert numbers(source.pictures()) == list(range(30))


# -- folders -----------------------------------------------------------------------------------------------------


def images(folder: Path, names: list[str], size: tuple[int, int] = (131, 97)) -> Path:
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), np.ascontiguousarray(numbered(index, *size)[..., ::-1]))
    return folder


def test_a_folder_goes_by_natural_order(tmp_path) -> None:
    folder = images(tmp_path / "dive", ["f1.png", "f2.jpg", "F3.png", "f10.bmp", "f21.tiff"])
    (folder / "notes.txt").write_text("not an image")
    (folder / ".f0.png").write_bytes(b"hidden")
    source = opened(folder, folder_rate_hz=50)
    pictures = list(source.pictures())
    assert numbers(pictures) == [0, 1, 2, 3, 4]
    assert [picture.t_media_ns for picture in pictures] == [20_000_000 * index for index in range(5)]
    assert (source.info.width, source.info.height, source.info.frames, source.info.live) == (131, 97, 5, False)
    assert numbers(opened(folder).pictures(start=3)) == [3, 4]
    assert error(shown(pictures[4]), numbered(4, 131, 97)) < 5


def test_images_of_two_sizes_are_refused_by_name(tmp_path) -> None:
    folder = images(tmp_path / "dive", ["1.jpg", "2.jpg"])
    images(folder, ["10.jpg"], (64, 48))
    with pytest.raises(SourceError, match=r"10\.jpg: is 64x48 but the first image is 131x97; keep"):
        opened(folder)


def test_a_photographs_orientation_is_obeyed(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    Image.fromarray(numbered(5)).save(tmp_path / "1.jpg", exif=exif, quality=95)
    source = opened(tmp_path)
    picture = next(iter(source.pictures()))
    assert source.info.rotation_deg == 90
    assert (source.info.width, source.info.height) == (HEIGHT, WIDTH)
    assert error(shown(picture), np.rot90(numbered(5), -1)) < 6


def test_an_unreadable_image_is_refused_by_name(tmp_path) -> None:
    folder = images(tmp_path / "dive", ["1.png"])
    (folder / "2.png").write_text("no image")
    with pytest.raises(SourceError, match=r"2\.png: not an image"):
        opened(folder)


def test_a_folder_hears_stop_and_close(tmp_path) -> None:
    folder = images(tmp_path / "dive", ["1.png", "2.png", "3.png"])
    assert list(opened(folder).pictures(stop=lambda: True)) == []
    source = opened(folder)
    pictures = source.pictures()
    next(pictures)
    source.close()
    assert list(pictures) == []


# -- names and times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "shown_as"),
    [
        ("rtsp://user:secret@cam:554/live", "rtsp://***@cam:554/live"),
        ("rtsp://user:sec/ret@cam/live", "rtsp://***@cam/live"),
        ("rtsp://user:sec@ret@cam/live", "rtsp://***@cam/live"),
        ("http://cam/live.m3u8?user=me&password=secret&x=1", "http://cam/live.m3u8?user=me&password=***&x=1"),
        ("https://cam/a?access_token=secret", "https://cam/a?access_token=***"),
        ("http://cam/plain", "http://cam/plain"),
        ("/videos/a@b.mp4", "/videos/a@b.mp4"),
    ],
)
def test_credentials_are_never_shown(uri, shown_as) -> None:
    assert masked(uri) == shown_as


@pytest.mark.parametrize(
    ("uri", "device", "scheme"),
    [
        ("usb:0", "/dev/video0", ""),
        ("/dev/video12", "/dev/video12", ""),
        ("usb:camera", None, ""),
        ("RTSP://cam/live", None, "rtsp"),
        ("dive.mp4", None, ""),
    ],
)
def test_forms_of_addresses(uri, device, scheme) -> None:
    assert (device_of(uri), scheme_of(uri)) == (device, scheme)


def test_media_time_always_grows() -> None:
    clock = MediaClock(25.0)
    ms = [clock.at(None if pts is None else pts * 1_000_000) / 1e6 for pts in (500, 540, 540, 530, None, 620)]
    assert ms == [0, 40, 40.001, 40.002, 80.002, 120]


def test_a_container_clock_that_starts_again_goes_on() -> None:
    clock = MediaClock(25.0)
    assert [clock.at(pts * 1_000_000) // 1_000_000 for pts in (9_000, 9_040, 100, 140)] == [0, 40, 80, 120]


def test_wait_hears_stop_before_and_after() -> None:
    assert wait(0, lambda: False)
    assert wait(-1, lambda: False)
    assert not wait(10, lambda: True)
    assert not wait(0, lambda: True)


def test_pacing_never_delays_what_is_late(with_b_frames) -> None:
    class Late:
        def __init__(self, source: Source) -> None:
            self.info, self.notes, self.source = source.info, source.notes, source

        def pictures(self, start, stop, t_first_ns):
            for picture in self.source.pictures(start, stop, t_first_ns):
                yield picture.at(picture.t_media_ns // 1000)

    began = time.monotonic()
    assert len(list(Paced(Late(opened(with_b_frames)), 1.0).pictures())) == 30
    assert time.monotonic() - began < 2


def test_played_faster_times_and_rate_are_those_of_a_faster_camera(with_b_frames) -> None:
    own, faster = opened(with_b_frames), opened(with_b_frames, paced=True, speed=8.0)
    assert faster.info.rate_hz == 8 * own.info.rate_hz
    times = [picture.t_media_ns for picture in faster.pictures()]
    assert times == [round(picture.t_media_ns / 8) for picture in own.pictures()]


def test_a_live_source_is_never_paced(with_b_frames, monkeypatch) -> None:
    monkeypatch.setattr(Opened, "_is_live", lambda self, uri: True)
    source = opened(with_b_frames, paced=True)
    assert isinstance(source, LivePictures)
    source.close()


def test_the_clips(shared) -> None:
    """Real recordings, if they are there: sizes, rates, numbers of pictures and growing times."""
    expected = {"intel_one_by_one_person.mp4": (768, 432, 10, 1394), "sports2d_demo.mp4": (1768, 994, 30, 230)}
    for name, (width, height, rate_hz, frames) in expected.items():
        source = opened(shared / "clips" / name)
        info = source.info
        assert (info.width, info.height, round(info.rate_hz), info.frames) == (width, height, rate_hz, frames)
        times = [picture.t_media_ns for picture, _ in zip(source.pictures(), range(60), strict=False)]
        assert len(times) == 60
        assert (np.diff(times) > 0).all()
        source.close()
