"""What the stages say to each other and to the world: one msgpack map per message, one frame on the wire.

Times are nanoseconds. `t_media_ns` is the source's own clock (0 at the first picture), `t_capture_ns` is UNIX time when
the picture left the decoder, stamps are the host's monotonic clock. Pixels of `img` are those of the picture as shown
(after rotation metadata), u right, v down, centre of the top-left pixel at (0, 0). `root` is pelvis-relative in camera
axes: x right, y down, z forward, metres. `docs/messages.md` describes every field for consumers in other languages.
"""

from typing import Any, Final, Literal

import msgspec

from flight.report import DiveReport, JumpReport, Phase
from pipeline.errors import Cause

SCHEMA: Final = 1
"""Version of the wire; a consumer refuses a higher one."""

Point2 = tuple[float, float]
Point3 = tuple[float, float, float]
Box = tuple[float, float, float, float]
Matrix3 = tuple[float, float, float, float, float, float, float, float, float]
Revision = Literal["provisional", "refined", "final"]
TrackState = Literal["none", "acquired", "followed", "coasted"]
EventKind = Literal[
    "stream_started",
    "subject_acquired",
    "subject_lost",
    "dive",
    "jump",
    "stream_restarted",
    "stream_ended",
    "source_connecting",
    "source_live",
    "source_stalled",
    "source_lost",
    "source_ended",
]
SourceState = Literal["connecting", "live", "stalled", "lost", "ended"]
Provenance = Literal["measured", "completed", "predicted"]
Symmetric3 = tuple[float, float, float, float, float, float]


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """One stage's times for one message: taken from its queue, handed on (monotonic nanoseconds)."""

    stage: str
    t_in_ns: int
    t_out_ns: int


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every message carries."""

    schema: int = SCHEMA
    stream: str
    seq: int
    t_media_ns: int
    t_capture_ns: int
    stamps: tuple[Stamp, ...] = ()


class Plane(msgspec.Struct, frozen=True, array_like=True):
    """One plane of a picture in its ring slot: offset and row stride in bytes, width and height in samples."""

    offset: int
    stride: int
    width: int
    height: int


class Frame(Message, frozen=True, kw_only=True, tag="frame"):
    """A decoded picture. Its planes lie in the ring. `presentation_ns` is its time by the source's clock, as sent."""

    width: int
    height: int
    rotation_deg: Literal[0, 90, 180, 270]
    layout: Literal["yuv420p", "nv12"]
    matrix: Literal["bt601", "bt709"]
    full_range: bool
    planes: tuple[Plane, ...]
    slot: int
    generation: int
    rate_hz: float
    presentation_ns: int | None = None


class OfSubject(Message, frozen=True, kw_only=True):
    """What every message about a subject carries on its way from track to smooth.

    `state` none: nobody is seen, box and crop are absent. `crop_img_px` is the crop's centre u, v and its height: where
    the camera is known, the height in pixels of that camera turned to look at the centre (`engines.view`).
    """

    width: int
    height: int
    rate_hz: float
    subject: int
    state: TrackState
    presence: float
    box_img_px: Box | None = None
    crop_img_px: Point3 | None = None


class Track(OfSubject, frozen=True, kw_only=True, tag="track"):
    """Where the subject is, and its crop: uint8 RGB, 256 x 192, with the homography back to the picture."""

    img_from_crop: Matrix3 | None = None
    crop: bytes | None = None


class Observation(OfSubject, frozen=True, kw_only=True, tag="observation"):
    """2D keypoints of one subject with confidences, and the image embedding (float32, little endian) where poses are
    decoded from it."""

    joints_img_px: tuple[Point2, ...] = ()
    joints_conf: tuple[float, ...] = ()
    embedding: bytes | None = None


class Hypotheses(OfSubject, frozen=True, kw_only=True, tag="hypotheses"):
    """One or several 3D poses of a frame (float32, little endian, shape (count, 17, 3)) and the evidence for them."""

    joints_img_px: tuple[Point2, ...] = ()
    joints_conf: tuple[float, ...] = ()
    count: int = 0
    joints_root_m: bytes | None = None


class PoseFrame(Message, frozen=True, kw_only=True, tag="pose"):
    """The public pose of one frame. A later revision of the same (stream, subject, seq) replaces an earlier one."""

    width: int
    height: int
    rate_hz: float
    revision: Revision
    lookahead: int
    subject: int
    tracked: bool
    presence: float
    box_img_px: Box | None = None
    joints_img_px: tuple[Point2, ...] = ()
    joints_conf: tuple[float, ...] = ()
    joints_root_m: tuple[Point3, ...] = ()
    joints_sd_m: tuple[float, ...] = ()
    root_cam_m: Point3 | None = None
    focal_px: float = 0.0
    metric: Literal["none", "estimated", "metric"] = "none"
    world: Literal["none", "estimated", "metric"] = "none"
    joints_world_m: tuple[Point3, ...] = ()
    joints_cov_m2: tuple[Symmetric3, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    phase: Phase = "idle"
    phase_conf: float = 0.0


class Event(Message, frozen=True, kw_only=True, tag="event"):
    """Something happened to the stream or the subject at frame `seq`."""

    kind: EventKind
    subject: int = 0
    detail: str = ""
    cause: Cause | None = None
    dive: DiveReport | None = None
    jump: JumpReport | None = None


class End(Message, frozen=True, kw_only=True, tag="end"):
    """The stream is over: the reader flushes what it holds and passes this on. `seq` is the number of frames sent."""


class SourceChange(Message, frozen=True, kw_only=True, tag="source"):
    """A live source entered another state before frame `seq`. Stages hand it on, publish makes an `Event` of it."""

    state: SourceState
    cause: Cause | None = None
    detail: str = ""


class Latency(msgspec.Struct, frozen=True, array_like=True):
    """Quantiles of a stage's time per message over its last seconds, in milliseconds."""

    p50_ms: float
    p99_ms: float


class SourceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a live source is: its state, how often what went wrong since the start, and its clock against the host's.

    `drift_ppm`: by how many parts in a million its media time runs fast; `clock_ahead_ms`: its wall clock, by RTCP
    sender reports, less the host's, less the delay on the way. Both None where that is not known.
    """

    state: SourceState
    since_unix_ns: int
    cause: Cause | None = None
    detail: str = ""
    attempts: int = 0
    reconnects: int = 0
    stalls: int = 0
    failures: dict[str, int] = {}
    damaged: int = 0
    missing: int = 0
    jumps: int = 0
    drift_ppm: float | None = None
    jitter_ms: float = 0.0
    clock_ahead_ms: float | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="health"):
    """A stage's or edge's heartbeat: state, counts since its start, drops by cause, speed, cost and memory.

    `stream` is empty where the stage serves several; `ended` are those of its streams that are over. `cpu_ms` is
    processor time of its process since the start, `engine_cpu_ms` the part of it spent in each network, if the run is
    metered.
    """

    schema: int = SCHEMA
    stream: str
    stage: str
    pid: int
    t_unix_ns: int
    state: Literal["starting", "running", "ended", "failed"]
    received: int = 0
    sent: int = 0
    dropped: dict[str, int] = {}
    step: Latency = Latency(0.0, 0.0)
    cpu_ms: float = 0.0
    engine_calls: dict[str, int] = {}
    engine_cpu_ms: dict[str, float] = {}
    rss_bytes: int = 0
    note: str = ""
    error: str = ""
    exit_code: int = 0
    ended: tuple[str, ...] = ()
    source: SourceHealth | None = None


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """First message to a new subscriber: what follows, in which units and frames of reference.

    `streams` are those that are not over yet, `stream` the first of all.
    """

    schema: int = SCHEMA
    stream: str
    version: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    mirror_pairs: tuple[tuple[int, int], ...]
    units: dict[str, str]
    frames_of_reference: dict[str, str]
    revisions: tuple[str, ...]
    streams: tuple[str, ...] = ()


Flowing = Frame | Track | Observation | Hypotheses | PoseFrame | Event | SourceChange | End
Inbound = Flowing | Health
"""What may arrive at a stage: `publish` also relays the heartbeats."""
Public = PoseFrame | Event | Health | Hello

MESSAGES: Final[dict[str, type[msgspec.Struct]]] = {
    struct.__name__: struct
    for struct in (
        Frame,
        Track,
        Observation,
        Hypotheses,
        PoseFrame,
        Event,
        SourceChange,
        End,
        Health,
        Hello,
    )
}

_encoder: Final = msgspec.msgpack.Encoder()
_inbound: Final = msgspec.msgpack.Decoder(Inbound)
_public: Final = msgspec.msgpack.Decoder(Public)
_health: Final = msgspec.msgpack.Decoder(Health)


def encode(message: Flowing | Public) -> bytes:
    """Message to msgpack."""
    return _encoder.encode(message)


def decode(data: bytes) -> Inbound:
    """Msgpack to a message between stages. Raises msgspec.ValidationError on anything else."""
    message: Inbound = _inbound.decode(data)
    return message


def decode_public(data: bytes) -> Public:
    """Msgpack to a message for consumers. Raises msgspec.ValidationError on anything else."""
    message: Public = _public.decode(data)
    return message


def decode_health(data: bytes) -> Health:
    """Msgpack to a heartbeat. Raises msgspec.ValidationError on anything else."""
    return _health.decode(data)


def topic_of(message: Public) -> str:
    """The topic under which a message is published."""
    kind = str(type(message).__struct_config__.tag)
    return f"{kind}/{message.stage if isinstance(message, Health) else message.stream}"


def moment_of(message: Message) -> dict[str, Any]:
    """Stream, number, times and stamps of a message, for one that follows from it."""
    return {field: getattr(message, field) for field in _MOMENT}


def subject_of(message: OfSubject) -> dict[str, Any]:
    """What `moment_of` gives, and picture, subject, box and crop."""
    return {field: getattr(message, field) for field in _SUBJECT}


_MOMENT: Final = ("stream", "seq", "t_media_ns", "t_capture_ns", "stamps")
_SUBJECT: Final = tuple(field for field in OfSubject.__struct_fields__ if field != "schema")
