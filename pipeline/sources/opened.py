"""One opened container: FFmpeg's answer to an address, and its video frames."""

import struct
import time
from collections.abc import Callable, Iterator
from typing import Final

import av
import av.error

from pipeline.address import HTTP_SCHEMES, device_of, escaped, is_live, masked, scheme_of
from pipeline.config import Source as Settings
from pipeline.errors import Cause, SourceError
from pipeline.packets import OnPacket
from pipeline.picture import rotation_of
from pipeline.sources.hardware import Accelerator
from pipeline.sources.refusal import broke_off, refused
from pipeline.sources.source import SourceInfo, Stop, never

_USUAL_RATES_HZ: Final = (0.1, 1000.0)
_FALLBACK_RATE_HZ: Final = 25.0
_ATTACHED_PICTURE: Final = 0x0400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC: the cover of a song is no video."""
_ANALYSED_US: Final = 500_000
"""So much of a camera's stream is looked at before it is decoded, to find its rate; FFmpeg would take a second more."""
_COUNTED_NS: Final = 5_000_000_000
_LATER: Final = 1.5
"""FFmpeg's time runs out after ours: it then hands out what its parser holds back, which would be a sign of life."""
_REFERENCE_TIME: Final = "prft"
"""FFmpeg's AVProducerReferenceTime, microseconds of UNIX time and flags: what RTCP's sender reports make of a time."""
_PROCESSOR: Final = Accelerator(None, "decoded by the processor")


class Opened:
    """A container with its best video stream. Raises SourceError if there is none or nothing of it decodes.

    `stop` is heard between two packets. `patience_s`: how long opening may take, if not `timeout_s` of the settings.
    `on_packet` is called with each packet before it is decoded. Counts, and `cause`, why it ended, may be read from
    another thread.
    """

    def __init__(
        self,
        uri: str,
        settings: Settings,
        decoder_threads: int,
        note: Callable[[str], None],
        accelerator: Accelerator = _PROCESSOR,
        stop: Stop = never,
        patience_s: float | None = None,
        on_packet: OnPacket | None = None,
    ) -> None:
        self.name = masked(uri)
        self._note, self._stop, self._accelerator, self._on_packet = note, stop, accelerator, on_packet
        self.packets = self.damaged = self.corrupt = self.missing = self._discarded = self._decoded = 0
        self.cause: Cause = "broken_off"
        self.clock_ahead_ns: int | None = None
        self._shown_ns: int | None = None
        self._container = _open(uri, settings, accelerator, patience_s or settings.timeout_s)
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
        if scheme_of(uri) in HTTP_SCHEMES:  # what says neither how long nor how large it is does not end by itself
            is_hls = "hls" in self._container.format.name
            return self._container.duration is None and (is_hls or self._container.size <= 0)
        return is_live(uri)

    def _set_threads(self, count: int) -> None:
        self._stream.codec_context.thread_count = count
        # Frame threads hold back as many pictures as there are threads, which a live source cannot afford.
        self._stream.codec_context.thread_type = "SLICE" if self.live else "AUTO"

    def _first(self) -> av.VideoFrame:
        frame = next(self._frames, None)
        if frame is None and self.live and not self.packets:
            raise SourceError(f"{self.name}: connected, but no picture came; check the camera", self.cause)
        if frame is None:
            remedy = "see whether ffplay shows any" if self.live else "the recording is damaged, record it again"
            raise SourceError(f"{self.name}: not one picture can be decoded; {remedy}", "undecodable")
        return frame

    @property
    def codec(self) -> str:
        """What the pictures are compressed with, and by what they are decoded if it is not the processor."""
        context = self._stream.codec_context
        return f"{context.name} by {self._accelerator.kind}" if context.is_hwaccel else str(context.name)

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

    @property
    def info(self) -> SourceInfo:
        """What is known of its pictures by the first."""
        width, height = int(self.first.width), int(self.first.height)
        rotation = rotation_of(self.first.rotation)
        if rotation in (90, 270):
            width, height = height, width
        return SourceInfo(self.name, width, height, self.rate_hz, rotation, self.live, self.claimed_frames)

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
        while not self._stop():
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.error.FFmpegError as error:
                self.cause = broke_off(error)
                self._note(f"{self.name}: reading ended early ({error.strerror})")
                yield from self._decoded_of(None)
                break
            self.packets += packet.size > 0
            self._discarded += bool(packet.is_discard)
            if self._on_packet is not None:
                self._on_packet(packet)
            if self.live:
                self._compare_clocks(packet)
            yield from self._decoded_of(packet)
        self._sum_up()

    def _decoded_of(self, packet: "av.Packet[av.VideoStream] | None") -> Iterator[av.VideoFrame]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            self.damaged += 1  # the next packets may well decode
            return
        self._decoded += len(frames)
        for frame in frames:
            self.corrupt += frame.is_corrupt
            if self.live:
                self._count_missing(self.presentation_ns(frame))
            yield frame

    def _count_missing(self, shown_ns: int | None) -> None:
        """The pictures that by the source's own times, and at an even rate, were between this one and the last."""
        if shown_ns is not None and self._shown_ns is not None and 0 < shown_ns - self._shown_ns < _COUNTED_NS:
            self.missing += max(0, round((shown_ns - self._shown_ns) * 1e-9 * self.rate_hz) - 1)
        self._shown_ns = shown_ns

    def _compare_clocks(self, packet: "av.Packet[av.VideoStream]") -> None:
        """How far the camera's clock is ahead of ours by its sender reports, less the delay of the way."""
        if not packet.has_sidedata(_REFERENCE_TIME):
            return
        (unix_us,) = struct.unpack_from("=q", bytes(packet.get_sidedata(_REFERENCE_TIME)))
        self.clock_ahead_ns = unix_us * 1000 - time.time_ns()

    def _sum_up(self) -> None:
        if self.damaged:
            self._note(f"{self.name}: {self.damaged} damaged packets were skipped")
        claimed = (self.claimed_frames or 0) - self._discarded
        if 0 < self._decoded < claimed:
            self._note(
                f"{self.name}: ended after {self._decoded} of {claimed} pictures; the file is cut off or damaged"
            )


def silence_s(uri: str, settings: Settings) -> float:
    """How long a source may say nothing."""
    is_rtsp = scheme_of(uri).startswith("rtsp")
    return min(settings.silence_s, settings.timeout_s) if is_rtsp else settings.timeout_s


def _open(uri: str, settings: Settings, accelerator: Accelerator, patience_s: float) -> av.container.InputContainer:
    device = device_of(uri)
    scheme = scheme_of(uri)
    options = {}
    if scheme.startswith("rtsp"):
        options = {
            "rtsp_transport": settings.rtsp_transport,
            "allowed_media_types": "video",
            "timeout": str(round(patience_s * 1e6)),
            "analyzeduration": str(_ANALYSED_US),
        }
    # Without "file:" a colon in a file's name would read as a protocol.
    address = device or (escaped(uri) if scheme else f"file:{uri}")
    began = time.monotonic()
    try:
        return av.open(
            address,
            format="v4l2" if device else None,
            options=options,
            timeout=(patience_s, _LATER * silence_s(uri, settings)),
            hwaccel=accelerator.opening(),
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        is_late = bool(scheme) and time.monotonic() - began > 0.95 * patience_s
        raise refused(uri, error, patience_s if is_late else None) from None


def _video_of(container: av.container.InputContainer, name: str) -> av.VideoStream:
    streams = [stream for stream in container.streams.video if not int(stream.disposition) & _ATTACHED_PICTURE]
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams} - {"video"})) or "nothing"
        raise SourceError(f"{name}: no video in it, only {kinds}; give a file or stream that has pictures", "no_video")
    stream = max(streams, key=lambda candidate: candidate.codec_context.width * candidate.codec_context.height)
    if stream.codec_context is None:
        raise SourceError(
            f"{name}: its video codec is unknown; convert it, for example to H.264, with ffmpeg", "no_video"
        )
    return stream
