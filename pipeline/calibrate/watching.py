"""Views of a board out of a video, a folder of images or a live camera: the sharpest of each moment is searched.

Looking for a board takes longer than a picture lasts. So of each quarter of a second only the sharpest picture is
searched; of a folder every one.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import Pattern
from calibration.detection import Finder, View, board_in, charuco_in
from calibration.errors import CalibrationError
from pipeline.config import Config
from pipeline.errors import SourceError
from pipeline.picture import Picture
from pipeline.sources import Source, open_source
from pipeline.sources.folder import FolderSource

Bytes = npt.NDArray[np.uint8]

MOMENT_S: Final = 0.25
_KEPT: Final = 6
"""Pictures without the board that are kept, to say at the end what was on them."""


@dataclass
class Watch:
    """What was found so far in pictures of `size_px` (width, height)."""

    pattern: Pattern
    size_px: tuple[int, int] | None = None
    views: list[View] = field(default_factory=list)
    searched: int = 0
    found: int = 0
    _finder: Finder = field(init=False)
    _without: list[Bytes] = field(default_factory=list)
    _stride: int = 1

    def __post_init__(self) -> None:
        self._finder = Finder(self.pattern)

    def search(self, luma: Bytes, label: str) -> View | None:
        """Look for the board in one picture and remember what was found.

        Raises CalibrationError if the squares found have markers in them that were not said: those find it better.
        """
        self.searched += 1
        view = self._finder.view(luma, label)
        if view is not None:
            if not self.found and self.pattern.kind == "checkerboard" and (other := charuco_in(luma)):
                raise CalibrationError(f"{label}: this is {other}; type --kind charuco and its --markers")
            self.found += 1
            self.views.append(view)
        elif self.searched % self._stride == 0:
            self._without.append(luma)
            if len(self._without) > _KEPT:  # thinned evenly, however long the recording is
                self._without, self._stride = self._without[::2], self._stride * 2
        return view

    def instead(self) -> str | None:
        """Which other board was in the pictures most often, in words; None if there was none."""
        seen = Counter(filter(None, map(board_in, self._without)))
        return seen.most_common(1)[0][0] if seen else None

    def sized(self, source: Source) -> None:
        """Take the size of a source's pictures. Raises SourceError if it is not that of those before."""
        size = (source.info.width, source.info.height)
        if self.size_px not in (None, size):
            was, now = (f"{width}x{height}" for width, height in (self.size_px or size, size))
            raise SourceError(f"{source.info.name}: is {now}, but the one before {was}; one camera, one size")
        self.size_px = size


@dataclass(frozen=True)
class Span:
    """From which second to which a recording is searched, and for how long at most a live source; 0: to the end."""

    start_s: float = 0.0
    end_s: float = 0.0
    live_s: float = 0.0


@dataclass(frozen=True)
class Moment:
    """The sharpest picture of a moment: luma (H, W) as shown, and at which second of the source it was."""

    luma: Bytes
    t_s: float
    number: int


def moments(source: Source, start_s: float, end_s: float, stop: Callable[[], bool]) -> Iterator[Moment]:
    """The pictures worth searching, from one second to another; `end_s` 0 is the end of the source."""
    every = isinstance(source, FolderSource)
    best: Moment | None = None
    sharpest, until_s = -1.0, 0.0
    for number, picture in enumerate(source.pictures(stop=stop)):
        t_s = picture.t_media_ns * 1e-9
        if end_s and t_s > end_s:
            break
        if t_s < start_s:
            continue
        if best is not None and (every or t_s >= until_s):
            yield best
            best, sharpest = None, -1.0
        if best is None:
            until_s = t_s + MOMENT_S
        if (sharpness := _sharpness(picture)) > sharpest:
            best, sharpest = Moment(luma_of(picture), t_s, number), sharpness
    if best is not None:
        yield best


def luma_of(picture: Picture) -> Bytes:
    """Brightness (H, W) of a picture as shown, its own memory."""
    return np.array(np.rot90(picture.planes[0], -(picture.rotation_deg // 90)), order="C")


def _sharpness(picture: Picture) -> float:
    """How much the finest detail varies, on every other pixel."""
    return float(cv2.Laplacian(np.ascontiguousarray(picture.planes[0][::2, ::2]), cv2.CV_16S).std())


def watch(
    watched: Watch,
    uri: str,
    config: Config,
    span: Span,
    done: Callable[[Source, Moment, View | None], bool],
) -> None:
    """Search one source. `done` hears of every picture that was searched, and says whether that is enough.

    Ctrl-C ends a live source and keeps what was found. Raises SourceError.
    """
    source = open_source(uri, config)
    try:
        watched.sized(source)
        live = source.info.live
        deadline = time.monotonic() + span.live_s if live and span.live_s else np.inf
        start_s, end_s = (0.0, 0.0) if live else (span.start_s, span.end_s)
        for moment in moments(source, start_s, end_s, lambda: time.monotonic() > deadline):
            label = f"{source.info.name} {moment.t_s:.2f} s"
            if isinstance(source, FolderSource):
                label = f"{source.info.name} picture {moment.number + 1}"
            if done(source, moment, watched.search(moment.luma, label)):
                return
    except KeyboardInterrupt:
        if not live:
            raise
    finally:
        source.close()
