"""Capture: a decoded picture goes into the ring, its whereabouts into a `Frame`."""

from pipeline.config import Config
from pipeline.messages import Frame
from pipeline.picture import Picture
from pipeline.ring import Ring
from pipeline.sources.source import SourceInfo


class Capture:
    """Numbered pictures to `Frame` messages. Without socket and clock; the ring is its only outlet."""

    def __init__(self, config: Config, ring: Ring, info: SourceInfo) -> None:
        self._stream = config.stream
        self._ring = ring
        self._rate_hz = info.rate_hz

    def step(self, picture: Picture, seq: int, t_capture_ns: int) -> Frame:
        """The message about `picture`, which lies in the ring from now on. Raises OutputError if it does not fit.

        `seq` must grow from call to call; `t_capture_ns` is UNIX time when the picture left the decoder.
        """
        slot, generation, planes = self._ring.write(picture, seq)
        return Frame(
            stream=self._stream,
            seq=seq,
            t_media_ns=picture.t_media_ns,
            t_capture_ns=t_capture_ns,
            width=picture.width,
            height=picture.height,
            rotation_deg=picture.rotation_deg,
            layout=picture.layout,
            matrix=picture.matrix,
            full_range=picture.full_range,
            planes=planes,
            slot=slot,
            generation=generation,
            rate_hz=self._rate_hz,
            presentation_ns=picture.presentation_ns,
        )
