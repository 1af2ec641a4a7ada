"""A real RTSP server for the tests: loops H.264 pictures endlessly with its own clock.

Run under the system's Python, which has GStreamer's bindings, as a process of its own:

    /usr/bin/python3 tests/rtsp_server.py PACKETS PORT

PACKETS is what `tests.rtsp.packets_of` wrote. Prints `ready` when it listens. Mounted at /live.
"""

import struct
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    "( appsrc name=source is-live=true format=time do-timestamp=false block=false max-bytes=4000000 "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse ! "
    "rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def read(path: str) -> tuple[float, list[bytes]]:
    """Pictures a second and the access units of a packet file."""
    data = Path(path).read_bytes()
    rate_hz, at, packets = struct.unpack_from("<d", data)[0], 8, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        packets.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return rate_hz, packets


class Loop(GstRtspServer.RTSPMediaFactory):
    """One stream for all clients, started with the first."""

    def __init__(self, rate_hz: float, packets: list[bytes]) -> None:
        super().__init__()
        self._period_ns = int(1e9 / rate_hz)
        self._packets = packets
        self.set_shared(True)
        self.set_launch(PIPELINE)

    def do_media_configure(self, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_child_by_name("source")
        state = {"count": 0}
        GLib.timeout_add(max(1, self._period_ns // 2_000_000), self._push, source, state)

    def _push(self, source: Gst.Element, state: dict) -> bool:
        """Push what is due by the element's clock; stop when the media is gone."""
        clock = source.get_clock()
        if clock is None:
            return True
        now_ns = clock.get_time() - source.get_base_time()
        while state["count"] * self._period_ns <= now_ns:
            packet = Gst.Buffer.new_wrapped(self._packets[state["count"] % len(self._packets)])
            packet.pts = packet.dts = state["count"] * self._period_ns
            packet.duration = self._period_ns
            if source.emit("push-buffer", packet) != Gst.FlowReturn.OK:
                return False
            state["count"] += 1
        return True


def main() -> None:
    rate_hz, packets = read(sys.argv[1])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[2])
    factory = Loop(rate_hz, packets)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
