"""The edge `view` with nothing behind it: its settings, frames in a ring, poses of them."""

import json
import struct
import time
from pathlib import Path

import numpy as np

from pipeline.config import Config, from_mapping
from pipeline.edge import EdgeHost
from pipeline.messages import Frame, Health, Latency, PoseFrame, Stamp
from pipeline.picture import Picture
from pipeline.ring import Ring, slot_bytes_for
from pipeline.sources.source import SourceInfo
from pipeline.stages.capture import Capture
from pipeline.streams import Stream
from pipeline.viewer.edge import View
from tests.rtsp import free_port

SIZE = (160, 90)
RATE_HZ = 25


def view(names: tuple[str, ...] = ("main",), **settings: object) -> tuple[View, str]:
    """The edge, serving, and the address of its page."""
    address = f"127.0.0.1:{free_port()}"
    config = from_mapping({"view": {"address": address, "rate_hz": 1000} | settings}, "test")
    return View(EdgeHost(config, tuple(Stream(name, "camera") for name in names))), f"http://{address}"


class Camera:
    """Frames of a stream in a ring."""

    def __init__(self, folder: Path) -> None:
        self.ring = Ring.create(folder / "frames", 8, slot_bytes_for(*SIZE))
        self._capture = Capture(Config(), self.ring, SourceInfo("test", *SIZE, RATE_HZ, 0, True, None))

    def frame(self, seq: int) -> Frame:
        planes = [np.full(SIZE[::-1], 20 + seq % 200, np.uint8), *(np.full((45, 80), 128, np.uint8) for _ in range(2))]
        t_media_ns = round(seq * 1e9 / RATE_HZ)
        return self._capture.step(Picture(tuple(planes), "yuv420p", t_media_ns=t_media_ns), seq, time.time_ns())


def pose(seq: int, revision: str = "provisional", stream: str = "main", tracked: bool = True) -> PoseFrame:
    """A body that falls, seen by a camera 6 m away."""
    joints = tuple((0.1 * joint, 2.0, 3.0 - 0.1 * seq) for joint in range(17)) if tracked else ()
    stamps = (Stamp("capture", 0, 1_000_000), Stamp("track", 3_000_000, 9_000_000))
    return PoseFrame(
        stream=stream,
        seq=seq,
        t_media_ns=round(seq * 1e9 / RATE_HZ),
        t_capture_ns=time.time_ns() - 40_000_000,
        stamps=stamps,
        width=SIZE[0],
        height=SIZE[1],
        rate_hz=RATE_HZ,
        revision=revision,
        lookahead=0,
        subject=int(tracked),
        tracked=tracked,
        presence=1.0,
        joints_img_px=tuple((10.04 + joint, 20.0) for joint in range(17)) if tracked else (),
        joints_conf=(0.5,) * 17 if tracked else (),
        joints_world_m=joints,
        joints_cov_m2=((0.01, 0.0, 0.0, 0.01, 0.0, 0.01),) * 17 if tracked else (),
        provenance=("measured",) * 17 if tracked else (),
        phase="flight" if tracked else "idle",
    )


def health(stage: str, stream: str = "", pid: int = 1, state: str = "running", **fields: object) -> Health:
    """A heartbeat."""
    values = {"received": 7, "sent": 6, "step": Latency(1.5, 4.0)} | fields
    return Health(stream=stream, stage=stage, pid=pid, t_unix_ns=time.time_ns(), state=state, **values)


def unpacked(data: bytes) -> tuple[dict, bytes]:
    """What is told of a picture, and its JPEG."""
    (size,) = struct.unpack_from("<I", data)
    return json.loads(data[4 : 4 + size]), data[4 + size :]
