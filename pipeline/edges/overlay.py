"""The overlay video: a second pass over the source with the best pose of every frame drawn on it."""

import os
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import numpy.typing as npt

from pipeline.config import Config
from pipeline.edges.draw import bone_width, draw_bones, draw_box, plate
from pipeline.edges.inset import Panel, draw_inset, place
from pipeline.edges.lettering import text_size, write
from pipeline.edges.output import whole_file
from pipeline.edges.poses import REVISIONS, Poses
from pipeline.errors import OutputError
from pipeline.picture import Picture, cut
from pipeline.sources import open_source

Bytes = npt.NDArray[np.uint8]

CLOCK_HZ: Final = 90_000
"""Time base of the video: a picture keeps its own time, also where the source's rate varies."""
_BT709: Final = 1
_LIMITED_RANGE: Final = 1
_COLOUR: Final = {
    "colorspace": _BT709,
    "color_primaries": _BT709,
    "color_trc": _BT709,
    "color_range": _LIMITED_RANGE,
}


class Overlay:
    """Draws the poses of one video on its pictures."""

    def __init__(self, poses: Poses) -> None:
        self._poses = poses
        self._row_of_seq = {int(seq): row for row, seq in enumerate(poses.seq)}
        self._size_px = _median_size_px(poses)
        self._panel: Panel | None = None
        self._sized_for: tuple[int, int] | None = None

    def draw(self, picture: Bytes, seq: int) -> None:
        """Draw frame `seq` on its picture (H, W, 3), BGR as shown, in place."""
        height, width = picture.shape[:2]
        if self._sized_for != (width, height):
            self._panel = place((width, height), self._poses.box_img_px, self._poses.joints_root_m)
            self._sized_for = (width, height)
        row = self._row_of_seq.get(seq)
        if row is not None and self._poses.tracked[row]:
            self._subject(picture, row)
        if self._panel is not None:
            nothing = np.full((17, 3), np.nan, np.float32)
            draw_inset(picture, self._panel, nothing if row is None else self._poses.joints_root_m[row])
        _caption(picture, self._caption(seq, row))

    def _subject(self, picture: Bytes, row: int) -> None:
        poses, height = self._poses, picture.shape[0]
        box = poses.box_img_px[row]
        if np.isfinite(box).all():
            label = f"subject {poses.subject[row]}  {poses.presence[row]:.0%}"
            draw_box(picture, box, label, _text_px(height))
        width = bone_width(self._size_px, height)
        draw_bones(picture, poses.joints_img_px[row], poses.joints_conf[row], poses.joints_root_m[row, :, 2], width)

    def _caption(self, seq: int, row: int | None) -> str:
        if row is None:
            return f"frame {seq}   no pose"
        poses = self._poses
        state = REVISIONS[poses.revision[row]] if poses.tracked[row] else "no subject"
        return f"frame {seq}   {poses.t_media_s[row]:.2f} s   {state}   {poses.rate_hz[row]:.4g} fps"


def _median_size_px(poses: Poses) -> float:
    """Longer side of the subject's joints in the picture, median over the video, so that bones keep their width."""
    joints_px = poses.joints_img_px[np.isfinite(poses.joints_img_px).all(axis=(1, 2))]
    return float(np.median(np.ptp(joints_px, axis=1).max(axis=1))) if len(joints_px) else 0.0


def _text_px(height: int) -> int:
    return min(max(9, round(height / 56)), 30)


def _caption(picture: Bytes, text: str) -> None:
    """Small print on a plate in the top left corner."""
    height, width = picture.shape[:2]
    size_px, margin = _text_px(height), max(4, round(0.015 * height))
    text_w, text_h = text_size(text, size_px)
    if text_w + 3 * margin > width:
        return
    plate(picture, margin, margin, text_w + size_px, text_h + size_px // 2)
    write(picture, text, (margin + size_px // 2, margin + size_px // 4), size_px)


def bgr_of(picture: Picture) -> Bytes:
    """The whole picture as shown, in BGR (H, W, 3). For offline edges: the live path converts crops alone."""
    rgb = cut(picture, np.eye(3), (picture.width, picture.height))
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)


class VideoWriter:
    """H.264, yuv420p, index at the front. Odd sizes are filled up by repeating the last row or column."""

    def __init__(self, path: Path, size_px: tuple[int, int], rate_hz: float) -> None:
        width, height = size_px
        self._pad = (height % 2, width % 2)
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(rate_hz).limit_denominator(1001)
        stream = self._container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height = width + self._pad[1], height + self._pad[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLOCK_HZ)
        stream.codec_context.thread_count = min(4, os.cpu_count() or 1)
        for name, value in _COLOUR.items():
            setattr(stream.codec_context, name, value)
        self._stream = stream
        self._last_pts = -1

    def add(self, bgr: Bytes, t_media_s: float) -> None:
        """Append a picture (H, W, 3) to be shown at its media time."""
        bottom, right = self._pad
        if bottom or right:
            bgr = np.asarray(cv2.copyMakeBorder(bgr, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(
            format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE
        )
        frame.time_base = Fraction(1, CLOCK_HZ)
        frame.pts = self._last_pts = max(self._last_pts + 1, round(t_media_s * CLOCK_HZ))
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flush the encoder and write the index."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def discard(self) -> None:
        """Let go of the file without finishing it."""
        self._container.close()


def write_overlay(
    video_uri: str,
    poses: Poses,
    out_mp4: Path,
    progress: Callable[[int], None] = lambda frames: None,
    config: Config | None = None,
) -> int:
    """Write the video with its poses drawn on it, whole or not at all; the number of pictures written.

    `progress` is called with the number done after each. Raises SourceError and OutputError.
    """
    source = open_source(video_uri, config or Config())
    try:
        frames = draw_overlay(enumerate(source.pictures()), poses, out_mp4, progress)
    finally:
        source.close()
    return frames


def draw_overlay(
    pictures: Iterable[tuple[int, Picture]],
    poses: Poses,
    out_mp4: Path,
    progress: Callable[[int], None] = lambda frames: None,
) -> int:
    """Write numbered pictures with their poses drawn on them, whole or not at all; how many. Raises OutputError."""
    rate_hz = float(np.median(poses.rate_hz)) if len(poses) and np.median(poses.rate_hz) > 0 else 25.0
    with whole_file(out_mp4) as part:
        frames = _encode(pictures, Overlay(poses), part, rate_hz, progress)
        if frames == 0:
            raise OutputError(f"{out_mp4}: the source gave no picture this time; check it")
    return frames


def _encode(
    pictures: Iterable[tuple[int, Picture]],
    overlay: Overlay,
    part: Path,
    rate_hz: float,
    progress: Callable[[int], None],
) -> int:
    writer: VideoWriter | None = None
    frames = 0
    try:
        for seq, picture in pictures:
            bgr = bgr_of(picture)
            overlay.draw(bgr, seq)
            writer = writer or VideoWriter(part, (picture.width, picture.height), rate_hz)
            writer.add(bgr, picture.t_media_ns / 1e9)
            frames += 1
            progress(frames)
    except BaseException:
        if writer is not None:
            writer.discard()
        raise
    if writer is not None:
        writer.close()
    return frames
