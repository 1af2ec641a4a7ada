"""Who subscribes late is greeted first, then gets the poses from then on; who is slow loses only its own."""

import time

import pytest
import zmq

from engines.skeleton import JOINT_NAMES
from pipeline.messages import Hello, PoseFrame, decode_public
from pipeline.subscribe import Subscription
from tests import rtsp
from tests.posecast import SAMPLE, require_weights, running

pytestmark = pytest.mark.slow


def test_late_subscriber_is_greeted_first() -> None:
    require_weights()
    endpoint = f"tcp://127.0.0.1:{rtsp.free_port()}"
    with running("run", SAMPLE, "--paced", "--endpoint", endpoint):
        with Subscription(endpoint, ("pose/",)) as early:
            seen = next(message for message in early if isinstance(message, PoseFrame)).seq
        time.sleep(0.5)
        with zmq.Context() as context, context.socket(zmq.SUB) as late:
            late.linger = 0
            late.connect(endpoint)
            late.subscribe("pose/main")
            assert late.poll(5000)
            topic, payload = late.recv_multipart()
            hello = decode_public(payload)
            assert topic == b"pose/main"
            assert isinstance(hello, Hello)
            assert hello.joint_names == JOINT_NAMES
            assert hello.units["_m"] == "metres"
            assert late.poll(5000)
            pose = decode_public(late.recv_multipart()[1])
            assert isinstance(pose, PoseFrame)
            assert pose.seq > seen
