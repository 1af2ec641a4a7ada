"""What the page is told: JSON, coordinates as whole numbers, since a thousandth more is not seen; pictures in binary.

A message has a `type`: hello, pose, event, dive, health. A picture is the length of a JSON map (4 bytes, little
endian), the map, and a JPEG.
"""

import math
import struct
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import numpy as np

from calibration.venue import Calibration
from engines.skeleton import JOINT_NAMES, LEFT, PARENTS, RIGHT
from flight.moments import centre_of
from flight.report import DiveReport
from pipeline.messages import Event, Health, PoseFrame

Whole = int | None
"""A rounded number; None: it could not be computed."""
_PX: Final = 10
_MM: Final = 1000
_MM2: Final = 1_000_000


class ViewPose(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="pose", omit_defaults=True):
    """A pose for drawing. `t_ms` is media time; `px` tenths of pixels, `mm` and `centre_mm` the world's millimetres,
    `cov_mm2` square millimetres (xx, xy, xz, yy, yz, zz), all flat; `conf` percent; `age_ms` since the capture."""

    stream: str
    seq: int
    t_ms: float
    revision: str
    width: int
    height: int
    subject: int = 0
    tracked: bool = False
    phase: str = "idle"
    world: str = "none"
    age_ms: float = 0.0
    rate_hz: float = 0.0
    px: tuple[Whole, ...] = ()
    conf: tuple[Whole, ...] = ()
    mm: tuple[Whole, ...] = ()
    cov_mm2: tuple[Whole, ...] = ()
    centre_mm: tuple[Whole, ...] = ()


class ViewEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="event"):
    """Something happened."""

    stream: str
    seq: int
    t_ms: float
    kind: str
    detail: str


class ViewDive(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="dive"):
    """A dive and the poses of it, so that it can be looked at when the page no longer has its pictures."""

    stream: str
    seq: int
    t_ms: float
    t_unix_ms: float
    report: DiveReport
    poses: tuple[ViewPose, ...]


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """Where the board is, if that is known: x along it over the water from the world's origin, its upper edge."""

    height_m: float
    width_m: float
    length_m: float


class ViewHello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """What a page needs to know first. Another `run`: nothing of what was shown before goes on."""

    run: str
    version: str
    streams: tuple[str, ...]
    stream: str
    venue: Venue | None = None
    joint_names: tuple[str, ...] = JOINT_NAMES
    parents: tuple[int, ...] = PARENTS
    left: tuple[int, ...] = tuple(sorted(LEFT))
    right: tuple[int, ...] = tuple(sorted(RIGHT))
    keep_s: float = 60.0


def pose(message: PoseFrame, t_unix_ns: int) -> ViewPose:
    """A published pose as the page gets it."""
    joints = message.joints_world_m
    return ViewPose(
        stream=message.stream,
        seq=message.seq,
        t_ms=message.t_media_ns / 1e6,
        revision=message.revision,
        width=message.width,
        height=message.height,
        subject=message.subject,
        tracked=message.tracked,
        phase=message.phase,
        world=message.world,
        age_ms=round((t_unix_ns - message.t_capture_ns) / 1e6, 1),
        rate_hz=message.rate_hz,
        px=_whole(message.joints_img_px, _PX),
        conf=_whole([message.joints_conf], 100),
        mm=_whole(joints, _MM),
        cov_mm2=_whole(message.joints_cov_m2, _MM2),
        centre_mm=_whole([centre_of(np.asarray(joints)).tolist()], _MM) if joints else (),
    )


def event(message: Event) -> ViewEvent:
    """An event as the page gets it."""
    t_ms = message.t_media_ns / 1e6
    return ViewEvent(stream=message.stream, seq=message.seq, t_ms=t_ms, kind=message.kind, detail=message.detail)


def dive(message: Event, report: DiveReport, poses: Iterable[ViewPose]) -> ViewDive:
    """A dive as the page gets it, without what its poses need not say again."""
    kept = tuple(msgspec.structs.replace(one, px=(), conf=(), cov_mm2=()) for one in poses)
    return ViewDive(
        stream=message.stream,
        seq=message.seq,
        t_ms=message.t_media_ns / 1e6,
        t_unix_ms=message.t_capture_ns / 1e6,
        report=report,
        poses=kept,
    )


def venue(calibration: Calibration | None) -> Venue | None:
    """The board of a camera that knows where it stands."""
    if calibration is None or calibration.board is None or calibration.world_from_cam is None:
        return None
    board = calibration.board
    return Venue(height_m=board.height_m, width_m=board.width_m, length_m=board.length_m)


def text(message: ViewPose | ViewEvent | ViewDive | ViewHello | Health) -> str:
    """A message as JSON."""
    return msgspec.json.encode(message).decode()


def picture(stream: str, seq: int, t_ms: float, t_capture_ns: int, size: tuple[int, int], jpeg: bytes) -> bytes:
    """A picture with the number of its frame; `size` is that of the source's picture as shown."""
    head: dict[str, Any] = {"stream": stream, "seq": seq, "t_ms": t_ms, "t_capture_ms": t_capture_ns / 1e6}
    head |= {"width": size[0], "height": size[1]}
    packed = msgspec.json.encode(head)
    return struct.pack("<I", len(packed)) + packed + jpeg


def _whole(rows: Iterable[Iterable[float]], scale: int) -> tuple[Whole, ...]:
    return tuple(round(value * scale) if math.isfinite(value) else None for row in rows for value in row)
