"""The video of a recording: decoded again with its frames' numbers, or put into a container as it came."""

import io
import itertools
from collections import defaultdict, deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error

from pipeline.edges.output import whole_file
from pipeline.errors import OutputError
from pipeline.messages import Frame
from pipeline.packets import Packet, decode_taped, presentation_ns
from pipeline.picture import Picture, from_av
from pipeline.recordings.reader import Recorded, Recording


def packets_of(recording: Recording, stream: str) -> Iterator[Packet]:
    """The packets of a stream from the first key packet on, in the order in which they came."""
    started = False
    for recorded in recording.messages():
        if recorded.topic == f"video/{stream}":
            packet = _packet(recorded)
            started = started or packet.key
            if started:
                yield packet


def _packet(recorded: Recorded) -> Packet:
    packet = decode_taped(recorded.data)
    assert isinstance(packet, Packet)
    return packet


def pictures_of(recording: Recording, stream: str) -> Iterator[tuple[int, Picture]]:
    """The frames of a stream: number and picture. Frames that the run numbered are found by their source's time.

    What was decoded in the run but dropped before it had a number is left out.
    """
    numbered = {connection: _by_time(frames) for connection, frames in _frames(recording, stream).items()}
    for frame, packet in _decoded(recording, stream):
        shown_ns = presentation_ns(frame.pts, Fraction(*packet.time_base))
        of_time = numbered.get(packet.connection, {}).get(shown_ns)
        if of_time:
            known = of_time.popleft()
            yield known.seq, from_av(frame, known.rotation_deg, known.t_media_ns)


def _by_time(frames: list[Frame]) -> dict[int | None, deque[Frame]]:
    """By the source's time; where it tells none, all in order."""
    found: defaultdict[int | None, deque[Frame]] = defaultdict(deque)
    for frame in frames:
        found[frame.presentation_ns].append(frame)
    return found


def _frames(recording: Recording, stream: str) -> dict[int, list[Frame]]:
    """By the connection that they came over: a source that is opened again may begin its time anew.

    The last frames of a connection may come behind the first packets of the next; then time goes back after them.
    """
    frames: dict[int, list[Frame]] = {}
    now: list[Frame] = []
    before: list[Frame] = []
    for recorded in recording.messages():
        if recorded.topic == f"video/{stream}":
            connection = _packet(recorded).connection
            if connection not in frames:
                before, now = now, frames.setdefault(connection, [])
        elif recorded.topic == f"frame/{stream}":
            frame = decode_taped(recorded.data)
            assert isinstance(frame, Frame)
            if now and (frame.presentation_ns or 0) < (now[-1].presentation_ns or 0):
                before += now
                now.clear()
            now.append(frame)
    return frames


def _decoded(recording: Recording, stream: str) -> Iterator[tuple[av.VideoFrame, Packet]]:
    """Decoded pictures with the newest packet of their connection."""
    context: av.VideoCodecContext | None = None
    last: Packet | None = None
    for packet in packets_of(recording, stream):
        if last is None or packet.connection != last.connection:
            if context is not None and last is not None:
                yield from ((frame, last) for frame in _through(context, None))
            context = _decoder(packet)
        assert context is not None
        yield from ((frame, packet) for frame in _through(context, _as_av(packet)))
        last = packet
    if context is not None and last is not None:
        yield from ((frame, last) for frame in _through(context, None))


def _through(context: av.VideoCodecContext, packet: "av.Packet[av.VideoStream] | None") -> list[av.VideoFrame]:
    try:
        return list(context.decode(packet))
    except av.error.FFmpegError:
        return []  # damaged, or lost before it: the next ones may well decode


def _decoder(packet: Packet) -> av.VideoCodecContext:
    context = av.CodecContext.create(packet.codec, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.extradata = packet.extradata or None
    return context


def _as_av(packet: Packet) -> "av.Packet[av.VideoStream]":
    made = cast("av.Packet[av.VideoStream]", av.Packet(packet.data))
    made.pts, made.dts, made.time_base = packet.pts, packet.dts, Fraction(*packet.time_base)
    made.duration = packet.duration
    made.is_keyframe = packet.key
    return made


def write_video(recording: Recording, stream: str, path: Path) -> int:
    """Put the packets of a stream into a container (.mkv or .mp4), not encoded again; how many.

    Only those of the first connection: a container has one clock. Raises OutputError.
    """
    packets = packets_of(recording, stream)
    first = next(packets, None)
    if first is None:
        raise OutputError(f"{recording.path}: no video of {stream} in it; record with --record-video")
    of_first = itertools.takewhile(lambda packet: packet.connection == first.connection, packets)
    count = 0
    with whole_file(path) as part, av.open(io.BytesIO(first.parameters)) as parameters:
        try:
            with av.open(str(part), "w", format="mp4" if path.suffix == ".mp4" else "matroska") as container:
                made = container.add_stream_from_template(parameters.streams.video[0])
                for packet in itertools.chain([first], of_first):
                    one = _as_av(packet)
                    one.stream = made
                    container.mux(one)
                    count += 1
        except av.error.FFmpegError as error:
            raise OutputError(f"{path}: the video cannot be put there ({error.strerror}); try .mkv") from error
    return count
