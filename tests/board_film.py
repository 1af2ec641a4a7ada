"""Folders and films of a rendered calibration board, and the camera that made them."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from calibration.board import Pattern
from calibration.camera import Camera
from training.synth.boards import pictures

SIZE = (640, 360)
LENS = Camera(*SIZE, 520.0, (322.0, 178.0), (-0.12, 0.02, 0.0005, -0.0005), 1.0, "opencv")
PATTERN = Pattern()


def board_pictures(folder: Path, count: int = 18, pattern: Pattern = PATTERN, seed: int = 1) -> Path:
    """PNGs of the board in a new folder."""
    folder.mkdir(parents=True)
    for index, luma in enumerate(pictures(seed, LENS, pattern, count)):
        cv2.imwrite(str(folder / f"{index:03d}.png"), luma)
    return folder


def board_film(path: Path, folder: Path, each: int = 3, rate_hz: int = 12) -> Path:
    """A film that shows every picture of a folder for `each` frames, the middle one sharp and the others blurred."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate_hz, options={"crf": "14"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        number = 0
        for file in sorted(folder.iterdir()):
            picture = cv2.imread(str(file))
            blurred = cv2.GaussianBlur(picture, (0, 0), 2.0)
            for index in range(each):
                shown = picture if index == each // 2 else blurred
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), "bgr24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, rate_hz)
                number += 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
