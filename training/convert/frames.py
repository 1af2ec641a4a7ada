"""Pictures of a user's data set, read once each: image files with their checksum, and videos from front to back."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from training.convert.crop import Frame
from training.errors import TrainingError

Picture = NDArray[np.uint8]


class Pictures:
    """Reads frames; `sha256` holds the checksum of every image file read, as hexadecimal digits.

    Frames of one video should be asked for in rising order: going back opens the file anew.
    """

    def __init__(self) -> None:
        self.sha256: dict[Path, str] = {}
        self._last: tuple[Frame, Picture] | None = None
        self._video: tuple[Path, Iterator[tuple[int, Picture]]] | None = None

    def read(self, frame: Frame) -> Picture:
        """Picture (h, w, 3) BGR; TrainingError when it cannot be read."""
        if self._last is None or self._last[0] != frame:
            picture = self._image(frame.path) if frame.index is None else self._frame(frame.path, frame.index)
            self._last = frame, picture
        return self._last[1]

    def _image(self, path: Path) -> Picture:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TrainingError(f"{path}: no picture can be read here ({error.strerror}); restore the file") from None
        self.sha256[path] = hashlib.sha256(data).hexdigest()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if picture is None:
            raise TrainingError(f"{path}: not a picture; restore the file")
        return np.asarray(picture, np.uint8)

    def _frame(self, path: Path, index: int) -> Picture:
        going_on = self._last is not None and self._last[0].path == path and (self._last[0].index or 0) < index
        if self._video is None or self._video[0] != path or not going_on:
            self._video = path, _decoded(path)
        count = 0
        for number, picture in self._video[1]:
            count = number + 1
            if number == index:
                return picture
        raise TrainingError(f"{path}: frame {index} is labelled, the video ends before (after {count}); restore it")


def _decoded(path: Path) -> Iterator[tuple[int, Picture]]:
    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                yield number, np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise TrainingError(f"{path}: no video can be read here ({error}); restore the file") from None
