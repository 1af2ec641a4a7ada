"""Starts the RTSP server of `tests/rtsp_server.py` on a clip, or says why it cannot."""

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def has_gstreamer() -> bool:
    """Whether GStreamer's RTSP server is there."""
    there = Path(SYSTEM_PYTHON).exists()
    return there and subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True).returncode == 0


def require_gstreamer() -> None:
    """Skip, with the reason, where GStreamer's RTSP server is missing."""
    if not has_gstreamer():
        pytest.skip("needs GStreamer's RTSP server for the system's Python (see .ci/run for the Debian packages)")


CODECS = {"h264": b"h264", "hevc": b"h265"}


def packets_of(video: Path, out: Path, *more: Path, keys: bool = True) -> Path:
    """The H.264 or H.265 access units of videos without B-frames, one behind the other, to a file.

    Rate (double) and codec (4 bytes), then size (uint32) and bytes each. A video with B-frames, which no camera sends,
    is encoded again without them. `keys`: with the key frames; without, nothing of it can be decoded.
    """
    with out.open("wb") as file:
        for number, source in enumerate((video, *more)):
            with av.open(str(_sendable(source, out.with_suffix(f".{number}.mp4")))) as container:
                stream = container.streams.video[0]
                codec = stream.codec_context.name
                if number == 0:
                    file.write(struct.pack("<d4s", float(stream.average_rate or 25), CODECS[codec]))
                to_annexb = av.bitstream.BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
                for packet in container.demux(stream):
                    for filtered in to_annexb.filter(packet):
                        data = bytes(filtered)
                        if data and (keys or not filtered.is_keyframe):
                            file.write(struct.pack("<I", len(data)) + data)
    return out


def _sendable(video: Path, otherwise: Path) -> Path:
    with av.open(str(video)) as container:
        context = container.streams.video[0].codec_context
        if context.name in CODECS and not context.has_b_frames:
            return video
    return _without_b_frames(video, otherwise)


def _without_b_frames(video: Path, out: Path) -> Path:
    with av.open(str(video)) as source, av.open(str(out), "w") as sink:
        taken = source.streams.video[0]
        options = {"preset": "ultrafast", "bf": "0", "g": "25", "crf": "23"}
        made = sink.add_stream("libx264", rate=taken.average_rate, options=options)
        made.width, made.height, made.pix_fmt = taken.width, taken.height, "yuv420p"
        for frame in source.decode(taken):
            frame.pict_type = 0
            sink.mux(made.encode(frame))
        sink.mux(made.encode(None))
    return out


def free_port() -> int:
    """A port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(packets: Path, port: int, *options: object) -> Iterator[subprocess.Popen]:
    """The server as a process; it listens when the block is entered and is gone when it is left."""
    command = [SYSTEM_PYTHON, str(SERVER), str(packets), str(port), *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().strip() == "ready"
            yield server
        finally:
            server.kill()
