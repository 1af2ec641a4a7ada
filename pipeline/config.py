"""Settings: typed, with defaults, read from TOML; what is unknown is refused with the nearest valid name."""

import dataclasses
import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from calibration.store import load as load_camera
from calibration.venue import Calibration
from engines.settings import DEVICE_PATTERN, Backend, EngineSettings, Precision
from engines.view import Views
from pipeline.errors import ConfigError
from pipeline.topology import EDGES, STAGES, Edge

Positive = Annotated[float, msgspec.Meta(gt=0)]
Unit = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Source(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pictures are fetched."""

    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    timeout_s: Positive = 5.0
    silence_s: Positive = 2.0
    """A camera over RTSP that sends nothing for so long, or for timeout_s if that is less, is connected anew."""
    folder_rate_hz: Positive = 25.0
    paced: bool = False
    """Play a file by its own clock, as a camera would."""
    speed: Positive = 1.0
    """How much faster than its own clock a paced file is played."""


class Capture(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ring that holds decoded pictures."""

    ring_slots: Annotated[int, msgspec.Meta(ge=4, le=256)] = 12
    decoder_threads: Count = 1
    hardware: Literal["auto", "off"] = "auto"
    """Whether a graphics card may decode what cameras send; recordings are decoded by the processor."""


class TrackSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a subject is taken up, kept and given up."""

    sport: Literal["dive", "ground"] = "dive"
    """dive: who falls freely is followed by the law of the fall; ground: for people who never fly."""
    acquire_presence: Unit = 0.6
    keep_presence: Unit = 0.3
    coast_s: Positive = 0.4
    search_factor: Annotated[float, msgspec.Meta(ge=1.2, le=8)] = 2.0
    crop_factor: Annotated[float, msgspec.Meta(ge=1, le=2)] = 1.25


class Encode(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which HRNet looks at the crop."""

    network: Literal["w18_small_v2", "w32", "w48"] = "w18_small_v2"


class Decode(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an embedding becomes 3D poses."""

    decoder: Literal["mlp", "diffusion"] = "mlp"
    source: Literal["image", "keypoints"] = "keypoints"
    hypotheses: Annotated[int, msgspec.Meta(ge=1, le=50)] = 5


class Smooth(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which revisions are published and how long after the frame."""

    provisional: Annotated[int, msgspec.Meta(ge=0, le=2)] = 0
    refined: Literal[4, 8, 13, 27] = 13
    final: bool = False
    final_lookahead: Literal[27, 121] = 121
    """Frames that a final pose looks ahead; 121: the window is centred on it."""
    min_confidence: Unit = 0.1
    """A joint less certain than this counts as not measured; even probability over the map gives 0.02."""
    every: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    """Run the window every n-th frame; the frames between take the per-frame decoder's pose."""


class Publish(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where poses are published."""

    endpoint: str = "tcp://127.0.0.1:5599"
    insecure: bool = False
    subscriber_queue: Count = 500


class Record(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the edge `record` writes."""

    folder: str = ""
    """Folder of the recordings, relative to where posecast is started; empty: nothing is recorded."""
    video: bool = False
    """Record the sources' compressed pictures, too, as they come."""
    file_minutes: Positive = 15.0
    file_mb: Positive = 2000.0
    """A new file is begun when one is so long or so large."""

    @property
    def wanted(self) -> bool:
        """Whether anything is recorded."""
        return bool(self.folder)


class ViewSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page on which the run is watched."""

    address: str = ""
    """HOST:PORT where it is served; empty: nowhere. Beyond this machine only with `token` and TLS."""
    token: str = ""
    """What a browser must know, at least 16 characters."""
    tls_cert: str = ""
    tls_key: str = ""
    """Files in PEM."""
    height_px: Annotated[int, msgspec.Meta(ge=120, le=1080)] = 540
    """Of the pictures on the page at most; so is their width, where they are upright."""
    quality: Annotated[int, msgspec.Meta(ge=20, le=95)] = 75
    """Of their JPEG."""
    rate_hz: Positive = 30.0
    """Pictures a second at most; poses come at their own rate."""

    @property
    def wanted(self) -> bool:
        """Whether there is a page."""
        return bool(self.address)


class Batch(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stage that serves several streams takes at once, where its network gains from it."""

    size: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    wait_ms: Annotated[float, msgspec.Meta(ge=0, le=100)] = 3.0
    """How long the first picture waits for those of other streams; a single stream never waits."""


class Camera(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The picture's geometry."""

    file: str = ""
    """The camera's file, from posecast calibrate; empty: nothing was calibrated. Relative to the settings' own file."""
    files: dict[str, str] = {}
    """Of several cameras, the file of each by its stream's name."""
    vertical_fov_deg: Annotated[float, msgspec.Meta(gt=1, lt=150)] = 25.0
    """What is assumed where nothing was calibrated."""


class Engines(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs the networks."""

    backend: Backend = "auto"
    device: Annotated[str, msgspec.Meta(pattern=DEVICE_PATTERN)] = "auto"
    """auto, cpu, or cuda:0 for the first NVIDIA GPU."""
    precision: Precision = "auto"
    weights: str = ""
    """Folder of the networks; empty: the ones shipped."""
    threads: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Threads of one network; 0: what the cores allow."""
    cache: str = ""
    """Folder of built engines; empty: the user's."""
    checked: bool = True
    """Believe an engine only when it gives what single precision gives; false to measure untrained networks."""
    metered: bool = False
    """Have the heartbeats tell what each network costs the processor; costs some milliseconds of latency."""


class Config(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a run needs to know beside its sources."""

    policy: Literal["live", "replay"] = "live"
    stream: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "main"
    source: Source = Source()
    capture: Capture = Capture()
    track: TrackSettings = TrackSettings()
    encode: Encode = Encode()
    decode: Decode = Decode()
    smooth: Smooth = Smooth()
    publish: Publish = Publish()
    record: Record = Record()
    view: ViewSettings = ViewSettings()
    batch: Batch = Batch()
    camera: Camera = Camera()
    engines: Engines = Engines()
    processes: dict[str, str] = msgspec.field(default_factory=lambda: {row.name: row.process for row in STAGES})
    """Stage to process; stages of one process share it, for very small machines."""


def camera_of(config: Config, stream: str) -> Calibration | None:
    """The camera of a stream, if the settings name a file for it. Raises CalibrationError, one line."""
    file = config.camera.files.get(stream, config.camera.file)
    return load_camera(Path(file)) if file else None


def views_of(config: Config, stream: str) -> Views:
    """How the crops of a stream's pictures see the athlete. Raises CalibrationError, one line."""
    calibration = camera_of(config, stream)
    return Views(None if calibration is None else calibration.camera, config.camera.vertical_fov_deg)


def edges_of(config: Config) -> tuple[Edge, ...]:
    """The edges that the settings ask for: each has a section of its name that says whether it is wanted, and, if it
    can take the sources' packets, whether their `video` is."""
    wanted = ((row, section) for row in EDGES if (section := getattr(config, row.name)).wanted)
    return tuple(dataclasses.replace(row, packets=row.packets and section.video) for row, section in wanted)


CONFIGS: Final = Path(__file__).resolve().parent.parent / "configs"


def load(path: Path) -> Config:
    """Settings of a TOML file over the defaults. Raises ConfigError naming the file, the key and the remedy."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from error
    return _beside(from_mapping(data, str(path)), path.parent)


def _beside(config: Config, folder: Path) -> Config:
    """The settings with the cameras' files where they lie: relative ones beside the settings."""
    files = {stream: str(folder / file) for stream, file in config.camera.files.items()}
    file = str(folder / config.camera.file) if config.camera.file else ""
    return msgspec.structs.replace(config, camera=msgspec.structs.replace(config.camera, file=file, files=files))


def shipped(name: str) -> Path:
    """Path of a shipped configuration by its bare name, or the path itself when it is a file."""
    bundled = CONFIGS / f"{name}.toml"
    return bundled if bundled.is_file() and not Path(name).exists() else Path(name)


def from_mapping(data: dict[str, object], where: str) -> Config:
    """Validated settings of a mapping. Raises ConfigError."""
    _refuse_unknown(Config, data, where, "")
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {str(error).replace('`$.', '`')}") from error
    return _with_all_processes(config, where)


def _refuse_unknown(section: type[msgspec.Struct], data: dict[str, object], where: str, prefix: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    for key, value in data.items():
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {prefix}{key!r}{nearest(key, list(fields))}")
        inner = fields[key].type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
            _refuse_unknown(inner, value, where, f"{key}.")


def nearest(name: str, valid: list[str]) -> str:
    """A hint at the valid name closest to `name`, or the list of valid names."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; valid are {', '.join(valid)}"


def _with_all_processes(config: Config, where: str) -> Config:
    names = [row.name for row in STAGES]
    for name in config.processes:
        if name not in names:
            raise ConfigError(f"{where}: unknown key processes.{name!r}{nearest(name, names)}")
    taken = {edge.name for edge in EDGES}
    for stage, process in config.processes.items():
        if process in taken:
            raise ConfigError(f"{where}: processes.{stage} = {process!r} is the name of an edge; choose another")
    merged = {row.name: config.processes.get(row.name, row.process) for row in STAGES}
    return msgspec.structs.replace(config, processes=merged)


def with_cameras(config: Config, typed: Sequence[str]) -> Config:
    """The settings with camera files as typed: FILE for all streams, or NAME=FILE for one. Raises ConfigError."""
    files = dict(config.camera.files)
    file = config.camera.file
    for word in typed:
        name, equals, path = word.partition("=")
        if equals and not (name and path):
            raise ConfigError(f"--camera {word}: expected FILE, or NAME=FILE for one of several cameras")
        if equals:
            files[name] = path
        else:
            file = word
    return msgspec.structs.replace(config, camera=msgspec.structs.replace(config.camera, file=file, files=files))


def changed(
    config: Config,
    *,
    endpoint: str = "",
    insecure: bool = False,
    paced: bool = False,
    record: str = "",
    video: bool = False,
    view: str = "",
    token: str = "",
    tls: tuple[str, str] | None = None,
) -> Config:
    """The settings with what was typed on the command line."""
    publish = msgspec.structs.replace(
        config.publish,
        endpoint=endpoint or config.publish.endpoint,
        insecure=insecure or config.publish.insecure,
    )
    source = msgspec.structs.replace(config.source, paced=paced or config.source.paced)
    recorded = msgspec.structs.replace(
        config.record, folder=record or config.record.folder, video=video or config.record.video
    )
    cert, key = tls or (config.view.tls_cert, config.view.tls_key)
    viewed = msgspec.structs.replace(
        config.view,
        address=view or config.view.address,
        token=token or config.view.token,
        tls_cert=cert,
        tls_key=key,
    )
    return msgspec.structs.replace(config, publish=publish, source=source, record=recorded, view=viewed)


def engine_settings(config: Config, threads: int, calls: int = 1) -> EngineSettings:
    """How a network is run: on `threads` threads unless the settings say otherwise, `calls` at once."""
    engines = config.engines
    threads = engines.threads or threads
    return EngineSettings(
        backend=engines.backend,
        device=engines.device,
        precision=engines.precision,
        weights=engines.weights,
        threads=threads,
        calls=min(calls, threads),
        cache=engines.cache,
        checked=engines.checked,
    )


def as_toml(config: Config) -> str:
    """The settings as TOML text that `load` reads back to the same settings."""
    tables = msgspec.to_builtins(config)
    lines = [f"{key} = {_toml(value)}" for key, value in tables.items() if not isinstance(value, dict)]
    for key, table in tables.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]", *(f"{name} = {_toml(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)
