import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engines.skeleton import JOINT_NAMES
from pipeline.edges.draw import LEFT_COLOUR
from pipeline.edges.overlay import write_overlay
from pipeline.edges.poses import ROW, Poses
from pipeline.errors import OutputError, SourceError

COLOUR = (150, 110, 60)
"""Of the background, BGR."""
KNEE, ANKLE = JOINT_NAMES.index("left_knee"), JOINT_NAMES.index("left_ankle")
TIMES_MS = (0, 40, 80, 140, 150, 300)


def make_video(path: Path, size=(320, 240), times_ms=TIMES_MS) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for t_ms in times_ms:
            bgr = np.full((size[1], size[0], 3), COLOUR, np.uint8)
            bgr[-20:, -20:] = 255  # marks the coded bottom right corner
            frame = av.VideoFrame.from_ndarray(bgr, "bgr24").reformat(format="yuv420p", dst_colorspace=5)
            frame.pts, frame.time_base = t_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn_clockwise(path: Path) -> None:
    """Write a quarter turn into the track header of an mp4, as a telephone does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    struct.pack_into(">9i", data, at, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def poses(joints_of, count=6, rate_hz=25.0) -> Poses:
    rows = []
    for seq in range(count):
        row = np.zeros((), ROW)
        row["seq"], row["tracked"], row["subject"], row["rate_hz"] = seq, True, 1, rate_hz
        row["box_img_px"] = row["root_cam_m"] = row["joints_sd_m"] = np.nan
        row["joints_img_px"], row["joints_conf"], row["joints_root_m"] = np.nan, 0.9, np.nan
        row["joints_img_px"][KNEE], row["joints_img_px"][ANKLE] = joints_of(seq)
        rows.append(row)
    return Poses.of_rows(rows)


def decoded(path: Path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        return (
            stream.codec_context.name,
            [float(f.time) for f in frames],
            [f.to_ndarray(format="bgr24") for f in frames],
        )


def shank(seq):
    """A shank that moves down a little in each frame: knee and ankle, pixels."""
    return (60, 60 + 20 * seq), (200, 60 + 20 * seq)


def test_every_picture_keeps_its_time_and_gets_its_own_pose(tmp_path):
    video = make_video(tmp_path / "dive.mp4")
    done: list[int] = []
    out = tmp_path / "overlay.mp4"
    assert write_overlay(str(video), poses(shank), out, done.append) == len(TIMES_MS)
    assert done == list(range(1, len(TIMES_MS) + 1))
    codec, times, pictures = decoded(out)
    assert codec == "h264"
    assert times == pytest.approx([t / 1000 for t in TIMES_MS], abs=1e-4)
    for seq, picture in enumerate(pictures):
        assert picture.shape == (240, 320, 3)
        drawn = [
            at for at in range(len(TIMES_MS)) if np.abs(picture[60 + 20 * at, 130].astype(int) - LEFT_COLOUR).max() < 90
        ]
        assert drawn == [seq]
        assert np.abs(picture[220, 20].astype(int) - COLOUR).max() < 8  # colours survive both conversions
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert {file.name for file in tmp_path.iterdir()} == {"dive.mp4", "overlay.mp4"}


def test_a_turned_video_is_shown_and_drawn_upright(tmp_path):
    video = make_video(tmp_path / "phone.mp4")
    turn_clockwise(video)
    write_overlay(str(video), poses(lambda seq: ((60, 150), (200, 150))), tmp_path / "overlay.mp4")
    _, _, pictures = decoded(tmp_path / "overlay.mp4")
    assert pictures[0].shape == (320, 240, 3)
    assert np.abs(pictures[3][150, 130].astype(int) - LEFT_COLOUR).max() < 90
    white = (pictures[3] > 230).all(axis=2)
    assert white[-15:-5, 5:15].mean() > 0.9  # coded bottom right is shown bottom left after a clockwise turn


@pytest.mark.parametrize("size", [(161, 121), (33, 160), (1, 1)])
def test_odd_sizes_are_filled_up_to_even_ones(tmp_path, size):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number:03d}.png"), np.full((size[1], size[0], 3), COLOUR, np.uint8))
    write_overlay(str(folder), poses(shank, 3), tmp_path / "overlay.mp4")
    _, times, pictures = decoded(tmp_path / "overlay.mp4")
    assert len(times) == 3
    assert pictures[0].shape == (size[1] + size[1] % 2, size[0] + size[0] % 2, 3)


def test_a_video_without_poses_is_written_too(tmp_path):
    video = make_video(tmp_path / "dive.mp4")
    assert write_overlay(str(video), poses(shank, 0), tmp_path / "overlay.mp4") == len(TIMES_MS)


def test_a_missing_source_is_told_and_leaves_nothing(tmp_path):
    with pytest.raises(SourceError, match=r"missing\.mp4"):
        write_overlay(str(tmp_path / "missing.mp4"), poses(shank), tmp_path / "overlay.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path):
    video = make_video(tmp_path / "dive.mp4")
    with pytest.raises(OutputError, match=r"overlay\.mp4") as error:
        write_overlay(str(video), poses(shank), tmp_path / "missing" / "overlay.mp4")
    assert "\n" not in str(error.value)


def test_an_interrupted_overlay_leaves_no_file(tmp_path):
    video = make_video(tmp_path / "dive.mp4")

    def interrupt(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_overlay(str(video), poses(shank), tmp_path / "overlay.mp4", interrupt)
    assert {file.name for file in tmp_path.iterdir()} == {"dive.mp4"}
