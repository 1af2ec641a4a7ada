import msgpack
import pytest

from engines.skeleton import JOINT_NAMES, MIRROR_PAIRS, PARENTS
from pipeline.errors import EndpointError
from pipeline.messages import End, Event, Health, PoseFrame
from pipeline.stages.publish import FRAMES_OF_REFERENCE, UNITS, Publish, check_endpoint

COMMON = {"stream": "pool", "seq": 4, "t_media_ns": 1, "t_capture_ns": 2}


def pose() -> PoseFrame:
    return PoseFrame(
        **COMMON,
        width=64,
        height=48,
        rate_hz=30.0,
        revision="refined",
        lookahead=13,
        subject=1,
        tracked=True,
        presence=0.9,
    )


@pytest.fixture
def stage() -> Publish:
    return Publish(["pool"], version="9.8.7")


def test_poses_and_events_go_out_under_their_stream(stage):
    [(topic, payload)] = stage.step(pose())
    assert topic == "pose/pool"
    plain = msgpack.unpackb(payload)
    assert (plain["type"], plain["seq"], plain["revision"]) == ("pose", 4, "refined")
    [(topic, payload)] = stage.step(Event(**COMMON, kind="subject_lost"))
    assert topic == "event/pool"
    assert msgpack.unpackb(payload)["kind"] == "subject_lost"


def test_the_end_of_a_stream_is_said_once(stage):
    assert len(stage.step(Event(**COMMON, kind="stream_ended"))) == 1
    assert stage.step(End(**COMMON)) == []


def test_the_end_of_a_stream_of_which_nothing_came_is_said_too(stage):
    [(topic, payload)] = stage.step(End(**COMMON))
    assert topic == "event/pool"
    assert msgpack.unpackb(payload)["kind"] == "stream_ended"
    assert stage.step(End(**COMMON)) == []


def test_a_hello_names_the_streams_that_go_on():
    stage = Publish(["left", "right"], version="1")
    topic, payload = stage.hello("pose/right")
    hello = msgpack.unpackb(payload)
    assert (topic, hello["stream"], hello["streams"]) == ("pose/right", "left", ["left", "right"])
    assert stage.hello("pose/") == ("pose/left", payload)
    stage.step(Event(**(COMMON | {"stream": "left"}), kind="stream_ended"))
    hello = msgpack.unpackb(stage.hello("")[1])
    assert (hello["stream"], hello["streams"]) == ("left", ["right"])


def test_health_goes_out_under_the_stage(stage):
    topic, payload = stage.health(
        Health(stream="pool", stage="encode", pid=3, t_unix_ns=5, state="running", dropped={"newest": 2})
    )
    assert topic == "health/encode"
    assert msgpack.unpackb(payload)["dropped"] == {"newest": 2}


@pytest.mark.parametrize(
    ("prefix", "topic"),
    [
        ("", "hello/pool"),
        ("pose/", "pose/pool"),
        ("pose/po", "pose/pool"),
        ("pose/pool", "pose/pool"),
        ("event/pool", "event/pool"),
        ("health/encode", "health/encode"),
        ("hea", "health/"),
        ("pose/other", "pose/other"),
    ],
)
def test_a_hello_passes_the_prefix_that_asked_for_it(stage, prefix, topic):
    greeting = stage.hello(prefix)
    assert greeting[0] == topic
    assert greeting[0].startswith(prefix)


def test_the_hello_carries_skeleton_units_and_frames(stage):
    _, payload = stage.hello("pose/pool")
    hello = msgpack.unpackb(payload)
    assert hello["type"] == "hello"
    assert hello["version"] == "9.8.7"
    assert tuple(hello["joint_names"]) == JOINT_NAMES
    assert tuple(hello["parents"]) == PARENTS
    assert [tuple(pair) for pair in hello["mirror_pairs"]] == list(MIRROR_PAIRS)
    assert hello["units"] == UNITS
    assert hello["frames_of_reference"] == FRAMES_OF_REFERENCE
    assert hello["revisions"] == ["provisional", "refined", "final"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1:5599",
        "tcp://127.8.9.10:5599",
        "tcp://[::1]:5599",
        "tcp://localhost:*",
        "ipc:///tmp/poses",
        "inproc://poses",
    ],
)
def test_this_machine_is_fine(endpoint):
    check_endpoint(endpoint, insecure=False)


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://*:5599",
        "tcp://0.0.0.0:5599",
        "tcp://192.168.1.4:5599",
        "tcp://[::]:5599",
        "tcp://eth0:5599",
        "tcp://localhost.example.org:5599",
        "tcp://127.0.0.1.example.org:5599",
    ],
)
def test_beyond_this_machine_needs_insecure(endpoint):
    with pytest.raises(EndpointError, match="--insecure") as caught:
        check_endpoint(endpoint, insecure=False)
    assert "\n" not in str(caught.value)
    check_endpoint(endpoint, insecure=True)


@pytest.mark.parametrize(
    "endpoint",
    ["", "5599", "127.0.0.1:5599", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "udp://127.0.0.1:1"],
)
def test_nonsense_is_refused_even_when_insecure(endpoint):
    with pytest.raises(EndpointError, match="5599"):
        check_endpoint(endpoint, insecure=True)
