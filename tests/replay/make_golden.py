"""Makes the goldens of this folder from the sample dive's first frames: its poses, and what every stage said.

    python tests/replay/make_golden.py

Run it, look at the differences it prints, and say in the commit why the numbers moved.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engines.skeleton import J
from pipeline import config
from pipeline.messages import Event, Frame, Hypotheses, Observation, PoseFrame, Track
from pipeline.ring import Ring, slot_bytes_for
from pipeline.sources import open_source
from pipeline.stage import Computation, Host, ring_path
from pipeline.stages import capture, decode, encode, smooth, track

FRAMES = 40
CROPS = 6
"""So many tracks keep their crop in the golden: it has 150 kB."""
GOLDEN = Path(__file__).with_name("dive_golden.npz")
STAGES_GOLDEN = Path(__file__).with_name("stages_golden.npz")
SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "dive.mp4"
BUILD: dict[str, Callable[[Host], Computation]] = {
    "track": track.build,
    "encode": encode.build,
    "decode": decode.build,
    "smooth": smooth.build,
}
SAYS = {
    "track": list[Track],
    "encode": list[Observation],
    "decode": list[Hypotheses],
    "smooth": list[PoseFrame | Event],
}
Said = dict[str, list[Any]]


def host_of(run_dir: Path) -> Host:
    """What the stages are built from: every revision, single precision, one thread."""
    settings = config.from_mapping(
        {"policy": "replay", "smooth": {"final": True}, "engines": {"precision": "fp32", "threads": 1}}, "golden"
    )
    return Host(settings, run_dir, cores=1)


class Film:
    """The sample dive's first frames, one after the other in the ring of `host`."""

    def __init__(self, host: Host) -> None:
        stream = host.config.stream
        size = slot_bytes_for(1920, 1080)
        self._ring = Ring.create(ring_path(host.run_dir, stream), host.config.capture.ring_slots, size)
        self._source = open_source(str(SAMPLE), host.config)
        self._capture = capture.Capture(host.config, self._ring, self._source.info)

    def frames(self, take: Callable[[Frame], None]) -> None:
        """Show each while it lies there."""
        for seq, picture in zip(range(FRAMES), self._source.pictures(), strict=False):
            take(self._capture.step(picture, seq, 0))
        self._source.close()
        self._ring.close()


def said_by_all(run_dir: Path) -> Said:
    """What each stage says when one hands on to the next, in this process."""
    host = host_of(run_dir)
    said: Said = {name: [] for name in BUILD}
    film = Film(host)
    stages = {name: build(host) for name, build in BUILD.items()}

    def through(frame: Frame) -> None:
        messages: Sequence[Any] = [frame]
        for name, stage in stages.items():
            messages = list(stage.step(messages)) if messages else []
            said[name] += messages

    film.frames(through)
    said["smooth"] += stages["smooth"].flush(host.config.stream)
    return said


def said_alone(name: str, run_dir: Path, golden: Said) -> list[Any]:
    """What one stage says to what the golden has the one before it say; `track` looks at the pictures."""
    host = host_of(run_dir)
    film = Film(host)  # the tracker attaches its ring
    stage = BUILD[name](host)
    said: list[Any] = []
    if name == "track":
        film.frames(lambda frame: said.extend(stage.step([frame])))
        said = [
            msgspec.structs.replace(one, crop=None) if other.crop is None else one
            for one, other in zip(said, golden["track"], strict=True)
        ]
    else:
        names = list(BUILD)
        before = golden[names[names.index(name) - 1]]
        for message in inputs_of(name, before):
            said += stage.step([message])
    said += stage.flush(host.config.stream)
    return said


def inputs_of(name: str, before: list[Any]) -> list[Any]:
    """Of what the stage before said, what the golden can give this one: `encode` needs the crop."""
    return [message for message in before if message.crop is not None] if name == "encode" else before


def outputs_of(name: str, golden: Said) -> list[Any]:
    """What the golden says should come of these inputs."""
    if name != "encode":
        return golden[name]
    seen = {message.seq for message in inputs_of(name, golden["track"])}
    return [message for message in golden["encode"] if message.seq in seen]


def final_poses(said: Said) -> list[PoseFrame]:
    """The final poses among what was said."""
    return [one for one in said["smooth"] if isinstance(one, PoseFrame) and one.revision == "final"]


def columns(found: list[PoseFrame]) -> dict[str, np.ndarray]:
    """The numbers that are compared; NaN where nobody is tracked."""
    box = [pose.box_img_px or (np.nan,) * 4 for pose in found]
    joints_img = [pose.joints_img_px or [(np.nan, np.nan)] * J for pose in found]
    joints_root = [pose.joints_root_m or [(np.nan,) * 3] * J for pose in found]
    return {
        "seq": np.array([pose.seq for pose in found]),
        "box_img_px": np.array(box, np.float32),
        "joints_img_px": np.array(joints_img, np.float32),
        "joints_root_m": np.array(joints_root, np.float32),
    }


def kept(said: Said) -> Said:
    """What goes into the golden: few crops."""
    seen = [message.seq for message in said["track"] if message.crop is not None]
    with_crop = set(np.take(seen, np.linspace(0, len(seen) - 1, CROPS).round().astype(int)).tolist())
    tracks = [
        message if message.seq in with_crop else msgspec.structs.replace(message, crop=None)
        for message in said["track"]
    ]
    return {**said, "track": tracks}


def write_stages(said: Said) -> None:
    """Write what the stages said: of each a list of messages in msgpack, as bytes."""
    arrays = {name: np.frombuffer(msgspec.msgpack.encode(messages), np.uint8) for name, messages in said.items()}
    np.savez_compressed(STAGES_GOLDEN, **arrays)


def read_stages() -> Said:
    """What the golden has the stages say."""
    with np.load(STAGES_GOLDEN) as data:
        return {name: msgspec.msgpack.decode(data[name].tobytes(), type=kind) for name, kind in SAYS.items()}


EXACT = ("seq", "t_media_ns", "state", "subject", "revision", "lookahead", "tracked", "kind", "phase", "provenance")
EXACT += ("metric", "world")
PASSED = ("schema", "stream", "t_capture_ns", "stamps", "detail", "dive", "jump")
"""Fields that are not compared: they say nothing of the computation, or are told elsewhere."""
KINDS = {"joints_root_m": "<f4", "crop": "u1"}
"""Fields that are bytes, and of what numbers."""


def differences(found: list[Any], golden: list[Any]) -> dict[str, float]:
    """By field how far what a stage says is from the golden.

    Of measurements the median, as one joint may jump where two are alike; what is none must be equal, else infinite.
    """
    if [type(one) for one in found] != [type(one) for one in golden]:
        return {"messages": np.inf}
    apart: dict[str, list[np.ndarray]] = {}
    for one, other in zip(found, golden, strict=True):
        for name in (name for name in one.__struct_fields__ if name not in PASSED):
            value, expected = getattr(one, name), getattr(other, name)
            if name in EXACT or (value is None or expected is None or len(np.ravel(value)) != len(np.ravel(expected))):
                apart.setdefault(name, []).append(np.full(1, 0.0 if value == expected else np.inf))
            elif np.size(expected):
                apart.setdefault(name, []).append(np.abs(_numbers(value, name) - _numbers(expected, name)))
    return {
        name: float(np.max(all_) if np.isinf(all_ := np.concatenate(parts)).any() else np.median(all_))
        for name, parts in apart.items()
    }


def _numbers(value: Any, name: str) -> np.ndarray:
    if isinstance(value, bytes):
        return np.frombuffer(value, KINDS[name]).astype(np.float64)
    return np.ravel(value).astype(np.float64)


def main() -> None:
    """Write the goldens anew and print how far they moved."""
    with tempfile.TemporaryDirectory() as folder:
        said = kept(said_by_all(Path(folder)))
    made = columns(final_poses(said))
    if GOLDEN.is_file():
        with np.load(GOLDEN) as old:
            for name, values in made.items():
                print(f"{name}: moved by at most {np.nanmax(np.abs(values - old[name])):.4g}")
    if STAGES_GOLDEN.is_file():
        for stage, golden in read_stages().items():
            moved = {name: value for name, value in differences(said[stage], golden).items() if value}
            print(f"{stage}: {moved or 'as before'}")
    np.savez_compressed(GOLDEN, **made)
    write_stages(said)


if __name__ == "__main__":
    main()
