"""A real RTSP server for the tests: loops H.264 or H.265 pictures endlessly with its own clock.

Run under the system's Python, which has GStreamer's bindings, as a process of its own:

    /usr/bin/python3 tests/rtsp_server.py PACKETS PORT [--user USER --password PASSWORD] [--jump AT_S BY_S] [--offset N]

PACKETS is what `tests.rtsp.packets_of` wrote. Prints `ready` when it listens. Mounted at /live. `--jump`: after so many
seconds its clock jumps by so many; `--offset`: the RTP timestamp that it begins with, of 2^32.
"""

import argparse
import struct
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    "( appsrc name=source is-live=true format=time do-timestamp=false block=false max-bytes=4000000 "
    "caps=video/x-{codec},stream-format=byte-stream,alignment=au ! {codec}parse ! "
    "rtp{codec}pay name=pay0 pt=96 config-interval=1 timestamp-offset={offset} )"
)


def read(path: str) -> tuple[float, str, list[bytes]]:
    """Pictures a second, the codec and the access units of a packet file."""
    data = Path(path).read_bytes()
    rate_hz, codec = struct.unpack_from("<d4s", data)
    at, packets = 12, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        packets.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return rate_hz, codec.decode(), packets


class Loop(GstRtspServer.RTSPMediaFactory):
    """One stream for all clients, started with the first."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        rate_hz, codec, self._packets = read(options.packets)
        self._period_ns = int(1e9 / rate_hz)
        self._jump_ns = [int(1e9 * seconds) for seconds in options.jump]
        self.set_shared(True)
        self.set_launch(PIPELINE.format(codec=codec, offset=options.offset))

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
            at_ns, by_ns = self._jump_ns
            pts_ns = state["count"] * self._period_ns
            packet.pts = packet.dts = pts_ns + (by_ns if by_ns and pts_ns >= at_ns else 0)
            packet.duration = self._period_ns
            if source.emit("push-buffer", packet) != Gst.FlowReturn.OK:
                return False
            state["count"] += 1
        return True


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("packets")
    parser.add_argument("port")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--jump", nargs=2, type=float, default=(0.0, 0.0))
    parser.add_argument("--offset", type=int, default=-1)
    return parser.parse_args()


def guard(server: GstRtspServer.RTSPServer, factory: Loop, user: str, password: str) -> None:
    """Let nobody see the stream who does not know the password."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)


def main() -> None:
    options = parsed()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factory = Loop(options)
    if options.user:
        guard(server, factory, options.user, options.password)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
