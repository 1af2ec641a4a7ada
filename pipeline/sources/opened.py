"""One opened container: FFmpeg's answer to an address, its video frames, and its failures in words for people."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import av
import av.error

from pipeline.config import Source as Settings
from pipeline.errors import SourceError
from pipeline.packets import OnPacket
from pipeline.streams import masked

_DEVICE: Final = "/dev/video"
_LIVE_SCHEMES: Final = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp"})
_USUAL_RATES_HZ: Final = (0.1, 1000.0)
_FALLBACK_RATE_HZ: Final = 25.0
_ATTACHED_PICTURE: Final = 0x0400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC: the cover of a song is no video."""


def device_of(uri: str) -> str | None:
    """Path of the camera device that `usb:N` or /dev/videoN means; None for anything else."""
    if uri.startswith("usb:") and uri[4:].isdigit():
        return f"{_DEVICE}{uri[4:]}"
    return uri if uri.startswith(_DEVICE) else None


def scheme_of(uri: str) -> str:
    """The part before ://, lower case; empty for paths."""
    scheme, separator, _ = uri.partition("://")
    return scheme.lower() if separator else ""


class Opened:
    """A container with its best video stream. Raises SourceError if there is none or nothing of it decodes."""

    def __init__(
        self,
        uri: str,
        settings: Settings,
        decoder_threads: int,
        note: Callable[[str], None],
        on_packet: OnPacket | None = None,
    ) -> None:
        self.name = masked(uri)
        self._note = note
        self._on_packet = on_packet
        self._damaged = self._discarded = self._decoded = 0
        self._container = _open(uri, settings)
        try:
            self._stream = _video_of(self._container, self.name)
            self.live = self._is_live(uri)
            self._set_threads(decoder_threads)
            self._frames = self._decode()
            self.first = self._first()
        except BaseException:
            self._container.close()
            raise
        self._waiting: av.VideoFrame | None = self.first

    def _is_live(self, uri: str) -> bool:
        scheme = scheme_of(uri)
        if scheme in ("http", "https"):  # what says neither how long nor how large it is does not end by itself
            is_hls = "hls" in self._container.format.name
            return self._container.duration is None and (is_hls or self._container.size <= 0)
        return scheme in _LIVE_SCHEMES or device_of(uri) is not None

    def _set_threads(self, count: int) -> None:
        self._stream.codec_context.thread_count = count
        # Frame threads hold back as many pictures as there are threads, which a live source cannot afford.
        self._stream.codec_context.thread_type = "SLICE" if self.live else "AUTO"

    def _first(self) -> av.VideoFrame:
        frame = next(self._frames, None)
        if frame is None:
            raise SourceError(f"{self.name}: not one picture can be decoded; the recording is damaged, record it again")
        return frame

    @property
    def rate_hz(self) -> float:
        """Pictures a second, on average."""
        low, high = _USUAL_RATES_HZ
        for rate in (self._stream.average_rate, self._stream.guessed_rate):
            if rate and low <= float(rate) <= high:
                return float(rate)
        return _FALLBACK_RATE_HZ

    @property
    def claimed_frames(self) -> int | None:
        """Number of pictures according to the container, None if it does not say or does not end."""
        return None if self.live else int(self._stream.frames) or None

    def next(self) -> av.VideoFrame | None:
        """The next frame in order of showing, None at the end."""
        waiting, self._waiting = self._waiting, None
        return waiting if waiting is not None else next(self._frames, None)

    def presentation_ns(self, frame: av.VideoFrame) -> int | None:
        """When the container shows the frame, on its own clock."""
        base = frame.time_base or self._stream.time_base
        if frame.pts is None or base is None:
            return None
        return int(frame.pts) * int(base.numerator) * 1_000_000_000 // int(base.denominator)

    def close(self) -> None:
        """Let go of the file or connection; frames handed out stay valid."""
        self._container.close()

    def _decode(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.error.FFmpegError as error:
                self._note(f"{self.name}: reading ended early ({error.strerror})")
                yield from self._decoded_of(None)
                break
            self._discarded += bool(packet.is_discard)
            if self._on_packet is not None:
                self._on_packet(packet)
            yield from self._decoded_of(packet)
        self._sum_up()

    def _decoded_of(self, packet: "av.Packet[av.VideoStream] | None") -> Iterator[av.VideoFrame]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            self._damaged += 1  # the next packets may well decode
            return
        self._decoded += len(frames)
        yield from frames

    def _sum_up(self) -> None:
        if self._damaged:
            self._note(f"{self.name}: {self._damaged} damaged packets were skipped")
        claimed = (self.claimed_frames or 0) - self._discarded
        if 0 < self._decoded < claimed:
            self._note(
                f"{self.name}: ended after {self._decoded} of {claimed} pictures; the file is cut off or damaged"
            )


def _open(uri: str, settings: Settings) -> av.container.InputContainer:
    device = device_of(uri)
    scheme = scheme_of(uri)
    options = {}
    if scheme.startswith("rtsp"):
        options = {"rtsp_transport": settings.rtsp_transport, "timeout": str(round(settings.timeout_s * 1e6))}
    # Without "file:" a colon in a file's name would read as a protocol.
    address = device or (uri if scheme else f"file:{uri}")
    timeout = (settings.timeout_s, settings.timeout_s)
    began = time.monotonic()
    try:
        return av.open(address, format="v4l2" if device else None, options=options, timeout=timeout)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # Some protocols report their time-out as broken data.
        is_late = bool(scheme) and time.monotonic() - began > 0.95 * settings.timeout_s
        reason = _LATE.format(timeout_s=settings.timeout_s) if is_late else _reason(error, uri)
        raise SourceError(f"{masked(uri)}: {reason}") from None


def _video_of(container: av.container.InputContainer, name: str) -> av.VideoStream:
    streams = [stream for stream in container.streams.video if not int(stream.disposition) & _ATTACHED_PICTURE]
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams} - {"video"})) or "nothing"
        raise SourceError(f"{name}: no video in it, only {kinds}; give a file or stream that has pictures")
    stream = max(streams, key=lambda candidate: candidate.codec_context.width * candidate.codec_context.height)
    if stream.codec_context is None:
        raise SourceError(f"{name}: its video codec is unknown; convert it, for example to H.264, with ffmpeg")
    return stream


def _reason(error: Exception, uri: str) -> str:
    if isinstance(error, av.error.FileNotFoundError):
        return _missing(uri)
    if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return _unreadable(uri)
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    text = error.strerror if isinstance(error, OSError | av.error.FFmpegError) else type(error).__name__
    remedy = "check address, host name and network" if scheme_of(uri) else "check that ffplay can show it"
    return f"cannot be opened ({text}); {remedy}"


def _missing(uri: str) -> str:
    if device_of(uri):
        return "no such device; plug the camera in and look at ls /dev/video*"
    return "no such file; check the path" if not scheme_of(uri) else "not there; check the address"


def _unreadable(uri: str) -> str:
    if scheme_of(uri):
        return "answers, but not with video; check the address"
    path = Path(uri)
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty; record or copy it again"
    return "not a video that can be read, or cut off before its index was written; check that ffplay can show it"


_LATE: Final = "no answer within {timeout_s:g} s; check the network, or raise source.timeout_s"
_REASONS: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        "the server refuses user and password; check them (special characters need %-encoding)",
    ),
    ((av.error.HTTPNotFoundError,), "the server has no such stream (404); check the path of the address"),
    ((av.error.HTTPError,), "the server refuses; check the address in a browser or with ffplay"),
    ((av.error.ConnectionRefusedError,), "connection refused; check host and port, and that the camera is on"),
    ((av.error.ExitError, av.error.TimeoutError), "no answer; check address and network"),
    ((av.error.PermissionError,), "may not be read; check its permissions"),
    (
        (av.error.ProtocolNotFoundError,),
        "protocol not built in; let ffmpeg pass it on (-c copy -f mpegts udp://127.0.0.1:5000) and give that address",
    ),
)
