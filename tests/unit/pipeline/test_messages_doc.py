"""docs/messages.md against the code: every public field, its type, and the consumer, run for real."""

import io
import re
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Literal

import msgspec
import pytest
import zmq

from flight.report import POSITIONS, DiveReport, Flag, JumpReport, NumberGuess, Phase
from pipeline.messages import (
    SCHEMA,
    Event,
    EventKind,
    Health,
    Hello,
    PoseFrame,
    Provenance,
    Revision,
    SourceHealth,
    SourceState,
    Stamp,
    decode_public,
)
from pipeline.stages.publish import FRAMES_OF_REFERENCE, REVISIONS, Publish
from pipeline.topology import STAGES

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "messages.md").read_text(encoding="utf-8")
PUBLIC = (PoseFrame, Event, Health, Hello)


def section(title: str) -> str:
    text = re.split(rf"^###? {title}$", TEXT, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(r"^## |^### SourceHealth", text, maxsplit=1, flags=re.MULTILINE)[0]


def documented(title: str) -> dict[str, str]:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section(title), flags=re.MULTILINE)
    return {name: kind.strip() for name, kind in rows}


def words(kind: object) -> str:
    """A type as the document writes it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "int" if all(isinstance(value, int) for value in arguments) else "str"
    if origin is types.UnionType or origin is typing.Union:
        return f"{words(next(a for a in arguments if a is not types.NoneType))} or nil"
    if origin is dict:
        return f"map of {words(arguments[0])} to {words(arguments[1])}"
    if origin is tuple and arguments[-1] is Ellipsis:
        inner = arguments[0]
        if inner in (NumberGuess, Flag):
            return f"list of [{', '.join(words(field.type) for field in msgspec.structs.fields(inner))}]"
        pair = typing.get_origin(inner) is tuple
        return f"list of {'[' + ', '.join(map(words, typing.get_args(inner))) + ']' if pair else words(inner)}"
    if origin is tuple:
        assert len(set(arguments)) == 1
        return f"list of {len(arguments)} {words(arguments[0])}"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        alike = len({field.type for field in fields}) == 1
        return (
            f"list of {len(fields)} {words(fields[0].type)}"
            if kind.__struct_config__.array_like and alike
            else kind.__name__
        )
    assert isinstance(kind, type), kind
    return kind.__name__


@pytest.mark.parametrize("struct", PUBLIC, ids=lambda struct: struct.__name__)
def test_every_public_field_is_documented_with_its_type_and_no_other(struct):
    expected = {field.encode_name: words(field.type) for field in msgspec.structs.fields(struct)}
    assert documented(struct.__name__) == expected
    assert f"`type` is `{struct.__struct_config__.tag}`" in section(struct.__name__)


@pytest.mark.parametrize("struct", (DiveReport, JumpReport, SourceHealth), ids=lambda struct: struct.__name__)
def test_every_field_of_a_report_is_documented_with_its_type_and_no_other(struct):
    assert documented(struct.__name__) == {field.name: words(field.type) for field in msgspec.structs.fields(struct)}


def test_every_value_of_a_choice_is_documented():
    for value in typing.get_args(EventKind):
        assert f"`{value}`" in section("Event")
    for value in (*typing.get_args(Revision), *typing.get_args(Provenance), *typing.get_args(Phase)):
        assert f"`{value}`" in section("PoseFrame")
    for value in typing.get_args(SourceState):
        assert f"`{value}`" in section("SourceHealth")
        assert f"`source_{value}`" in section("Event")
    for value in POSITIONS:
        assert f"`{value}`" in section("DiveReport")
    for row in STAGES:
        assert f"`{row.name}`" in section("Health")
    assert typing.get_args(Revision) == REVISIONS
    assert f"(now {SCHEMA})" in TEXT
    for name in FRAMES_OF_REFERENCE:
        assert name in section("Frames of reference and units") + section("Times")


def test_the_stamp_is_documented_in_its_order():
    names = [field.name for field in msgspec.structs.fields(Stamp)]
    assert f"`[{', '.join(names)}]`" in TEXT


def consumer() -> str:
    blocks = re.findall(r"```python\n(.*?)```", section("A consumer in 20 lines"), flags=re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


def test_the_consumer_is_of_20_lines_and_needs_nothing_of_ours():
    lines = [line for line in consumer().splitlines() if line.strip()]
    assert len(lines) <= 20
    assert re.findall(r"^(?:import|from) (\w+)", consumer(), flags=re.MULTILINE) == ["sys", "msgpack", "zmq"]


def pose(seq: int, revision: str, x: float, tracked: bool = True) -> PoseFrame:
    return PoseFrame(
        stream="main",
        seq=seq,
        t_media_ns=0,
        t_capture_ns=0,
        stamps=(Stamp("capture", 1, 2),),
        width=640,
        height=480,
        rate_hz=25.0,
        revision=revision,
        lookahead=0,
        subject=int(tracked),
        tracked=tracked,
        presence=1.0,
        joints_root_m=((x, 0.0, 0.5),) * 17 if tracked else (),
    )


def test_the_consumer_runs_against_a_real_socket(tmp_path):
    script = tmp_path / "consumer.py"
    script.write_text(consumer(), encoding="utf-8")
    publish = Publish(["main"], version="1.2.3")
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        command = [sys.executable, str(script), f"tcp://127.0.0.1:{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            try:
                for _ in range(2):
                    assert socket.poll(20_000), "the consumer never subscribed"
                    topic, payload = publish.hello(socket.recv()[1:].decode())
                    socket.send_multipart((topic.encode(), payload))
                for message in (
                    pose(0, "provisional", 1.0),
                    pose(1, "provisional", 2.0),
                    pose(0, "final", 3.0),
                    pose(0, "refined", 4.0),  # late and lower: superseded, must not be printed
                    pose(2, "provisional", 5.0, tracked=False),
                    Event(stream="main", seq=2, t_media_ns=0, t_capture_ns=0, kind="stream_ended"),
                ):
                    for topic, payload in publish.step(message):
                        socket.send_multipart((topic.encode(), payload))
                out, err = child.communicate(timeout=20)
            finally:
                child.kill()
    assert err == ""
    assert child.returncode == 0
    assert out.splitlines() == [
        "0 provisional [1.0, 0.0, 0.5]",
        "1 provisional [2.0, 0.0, 0.5]",
        "0 final [3.0, 0.0, 0.5]",
    ]


def test_the_plain_package_reads_a_pose_as_documented():
    import msgpack

    [(_, payload)] = Publish(["main"], version="1").step(pose(3, "refined", 0.25))
    plain = msgpack.unpackb(payload)
    assert set(plain) == {*documented("PoseFrame"), "type"}
    assert plain["stamps"] == [["capture", 1, 2]]
    assert plain["box_img_px"] is None
    assert plain["joints_root_m"][16] == [0.25, 0.0, 0.5]
    assert decode_public(payload) == pose(3, "refined", 0.25)


GOLDEN = Path(__file__).resolve().parents[2] / "golden" / f"wire_schema_{SCHEMA}.msgpack"


def recorded_messages():
    publish = Publish(["main"], version="1.2.3")
    event = Event(stream="main", seq=2, t_media_ns=0, t_capture_ns=0, kind="stream_ended", detail="3 frames")
    health = Health(stream="main", stage="encode", pid=7, t_unix_ns=5, state="running", dropped={"superseded": 2})
    wire = [publish.hello("")[1], *(payload for _, payload in publish.step(pose(3, "refined", 0.25)))]
    return [*wire, *(payload for _, payload in publish.step(event)), publish.health(health)[1]]


def test_the_wire_of_this_schema_has_not_changed():
    """Consumers were written for it: a change that breaks them raises SCHEMA, which starts a new golden file."""
    import msgpack

    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_bytes(b"".join(recorded_messages()))
        pytest.fail(f"{GOLDEN} was missing and has been written: look at it and commit it")
    recorded = list(msgpack.Unpacker(io.BytesIO(GOLDEN.read_bytes())))
    now = [msgpack.unpackb(payload) for payload in recorded_messages()]
    assert [message["type"] for message in recorded] == ["hello", "pose", "event", "health"]
    for old, new in zip(recorded, now, strict=True):
        texts = {"units", "frames_of_reference"}  # for people; their wording may change
        assert {name: new.get(name) for name in old if name not in texts} == {
            name: value for name, value in old.items() if name not in texts
        }  # fields may be added, none may change or go
        assert decode_public(msgpack.packb(old)) is not None
