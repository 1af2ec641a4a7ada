"""The spatial transformer as the tracker asks it: is somebody in this window of the picture, and where."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from engines.codecs import box_of_theta, img_from_window, window_of_picture
from engines.contracts import STN_PX
from engines.session import Session
from pipeline.messages import Box
from pipeline.picture import Picture, cut


class Finder(Protocol):
    """Looks at windows of pictures. What it finds is a box in `img` and the probability that somebody is there."""

    @property
    def device(self) -> str:
        """What it runs on, for people."""
        ...

    def look(self, picture: Picture, window: Box) -> tuple[Box, float]:
        """At the part of the picture in `window`."""
        ...

    def glance(self, small: npt.NDArray[np.uint8], width: int, height: int) -> tuple[Box, float]:
        """At the whole of a picture of this size, squeezed to (STN_PX, STN_PX, 3)."""
        ...


class Detector:
    """The `Finder` that asks the network."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.device = session.device

    def look(self, picture: Picture, window: Box) -> tuple[Box, float]:
        """See `Finder`."""
        return self._found(cut(picture, img_from_window(window), (STN_PX, STN_PX)), window)

    def glance(self, small: npt.NDArray[np.uint8], width: int, height: int) -> tuple[Box, float]:
        """See `Finder`."""
        return self._found(small, window_of_picture(width, height))

    def _found(self, pixels: npt.NDArray[np.uint8], window: Box) -> tuple[Box, float]:
        result = self._session.run({"picture": pixels[None]})
        return box_of_theta(result["theta"][0], window), float(result["presence"][0, 0])
