"""The inlet of `capture` for what ends by itself: pictures decoded in a thread of their own, numbered and timed."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.config import Config
from pipeline.messages import End, Flowing, Frame
from pipeline.packets import OnPacket
from pipeline.picture import Picture
from pipeline.ring import Ring, slot_bytes_for
from pipeline.sources import Source, open_source
from pipeline.stages.capture import Capture
from pipeline.stopping import Stop

_DECODED_AHEAD: Final = 2
_TURN_S: Final = 0.05
_JOIN_S: Final = 1.0
"""The thread lets go of a closed source by itself; there is no need to wait for a camera's time-out."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that just left the decoder."""

    picture: Picture
    seq: int
    t_capture_ns: int
    t_in_ns: int


class CaptureComputation:
    """`Capture` as the runner calls it."""

    batch = 1

    def __init__(self, capture: Capture, source: Source) -> None:
        self._capture = capture
        self._source = source

    @property
    def note(self) -> str:
        """The source in a line, with what went wrong without ending it."""
        reconnects = self._source.reconnects
        again = [f"reconnected {reconnects} times"] if reconnects else []
        return "; ".join([self._source.info.describe(), *again, *self._source.notes])

    def step(self, decoded: Sequence[Decoded]) -> Iterable[Frame]:
        """The pictures go into the ring, their messages on."""
        for one in decoded:
            yield self._capture.step(one.picture, one.seq, one.t_capture_ns)

    def flush(self, stream: str) -> Iterable[Flowing]:
        """Nothing is held back."""
        return ()


class SourceInlet:
    """Decodes ahead by two pictures. Live, the older waits for nobody; in replay the ring's reader sets the pace."""

    def __init__(
        self, config: Config, uri: str, ring_path: Path, stop: Stop, on_packet: OnPacket | None = None
    ) -> None:
        self._config = config
        self._live = config.policy == "live"
        self._stop = stop
        self._closed = threading.Event()
        self._source = open_source(uri, config, on_packet)
        info = self._source.info
        slot_bytes = slot_bytes_for(info.width, info.height)
        self._ring = Ring.reopen(ring_path, config.capture.ring_slots, slot_bytes)
        self.computation = CaptureComputation(Capture(config, self._ring, info), self._source)
        self.dropped: Counter[str] = Counter()
        self.taken_ns = 0
        self._decoded: queue.Queue[Decoded | End | Exception] = queue.Queue(_DECODED_AHEAD)
        self._waiting: Decoded | None = None
        self._thread = threading.Thread(target=self._decode, name="decode", daemon=True)
        self._thread.start()

    def receive(self, timeout_s: float) -> list[Decoded | End]:
        """The next picture, the end, or nothing within the time. Raises what the source raised."""
        if self._waiting is None:
            try:
                item = self._decoded.get(timeout=timeout_s)
            except queue.Empty:
                return []
            if isinstance(item, Exception):
                raise item
            if isinstance(item, End):
                return [item]
            self._waiting = item
        if not self._live and not self._ring.wait_writable(timeout_s):
            return []
        decoded, self._waiting = self._waiting, None
        self.taken_ns = decoded.t_in_ns
        return [decoded]

    def close(self) -> None:
        """Stop decoding and let go of the source and the ring."""
        self._closed.set()
        self._source.close()
        self._thread.join(_JOIN_S)
        self._ring.close()

    def _decode(self) -> None:
        seq = self._ring.last_seq + 1
        t_media_ns = 0
        try:
            after_ns = self._ring.last_t_media_ns + round(1e9 / max(self._source.info.rate_hz, 1.0))
            resumed_ns = after_ns if seq else 0
            for picture in self._source.pictures(start=seq, stop=self._told_to_stop, t_first_ns=resumed_ns):
                t_media_ns = picture.t_media_ns
                self._offer(Decoded(picture, seq, time.time_ns(), time.monotonic_ns()))
                seq += 1
                if self._told_to_stop():
                    return
        except Exception as error:
            self._put(error)
            return
        self._put(End(stream=self._config.stream, seq=seq, t_media_ns=t_media_ns, t_capture_ns=time.time_ns()))

    def _told_to_stop(self) -> bool:
        return self._stop.is_set() or self._closed.is_set()

    def _offer(self, decoded: Decoded) -> None:
        if not self._live:
            self._put(decoded)
            return
        while True:
            try:
                self._decoded.put_nowait(decoded)
                return
            except queue.Full:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        try:
            self._decoded.get_nowait()
            self.dropped["superseded"] += 1
        except queue.Empty:
            return

    def _put(self, item: Decoded | End | Exception) -> None:
        while not self._told_to_stop():
            try:
                self._decoded.put(item, timeout=_TURN_S)
                return
            except queue.Full:
                continue
