"""Sampled stacks: what py-spy writes is read, folded, counted and drawn."""

import xml.etree.ElementTree as ElementTree

import av
import pytest

from benchmarks import flame, profile
from benchmarks.clip import repeated
from tests.conftest import ROOT
from tests.media import film

LOOP = "<module> (pipeline/worker.py:1);Runner.run (pipeline/runner.py:140)"
CUTTING = f"{LOOP};Tracker.step (pipeline/stages/track.py:5);cut ({ROOT}/pipeline/picture.py:9)"
NETWORK = f"{LOOP};CheckedSession.run (engines/session.py:80);infer (engines/openvino_backend.py:37)"
RAW = f"""\
{CUTTING};0x7f01 (cv2.abi3.so) 3
{CUTTING};0x7f02 (cv2.abi3.so) 2
{NETWORK};0x7f0a (libopenvino.so.2641);? (?) 4
{LOOP} 1
{LOOP};Inbox.receive (pipeline/bus.py:60) 20
{LOOP};Inbox.receive (pipeline/bus.py:60);Poller.poll (zmq/sugar/poll.py:9) 30
Thread._bootstrap (threading.py:995);_worker (concurrent/futures/thread.py:81);0x7f11 (libc.so.6) 50
0x7f12 (libc.so.6);gc_collect_main (libpython3.11.so.1.0) 7
"""


def test_only_stacks_with_our_functions_count_and_addresses_are_folded():
    stacks = profile.parsed(RAW)
    assert sum(stacks.values()) == 10
    assert sorted(stacks.values()) == [1, 4, 5]
    [cutting] = [stack for stack, count in stacks.items() if count == 5]
    assert cutting[-2:] == ("cut (pipeline/picture.py)", "(cv2.abi3.so)")


def test_the_summary_has_shares_networks_and_where_samples_ended():
    figures = profile.summary(profile.parsed(RAW))
    assert figures["samples"] == 10
    assert figures["networks"] == pytest.approx(0.4)
    assert figures["top"][0] == {"function": "cut (pipeline/picture.py)", "inside": "cv2.abi3.so", "share": 0.5}
    assert figures["top"][1]["inside"] == "machine code made at run time"
    assert figures["top"][2] == {"function": "Runner.run (pipeline/runner.py)", "inside": "", "share": 0.1}


@pytest.mark.parametrize("frame", [profile.NETWORK, *(frame for frame in profile.WAITS if "pipeline/" in frame)])
def test_the_frames_that_are_looked_for_exist(frame):
    """Renamed in the program, the share of networks would silently become nothing, and waiting would be work."""
    name, place = frame.rstrip(")").split(" (")
    source = (ROOT / place).read_text(encoding="utf-8")
    kind, _, function = name.rpartition(".")
    assert f"def {function}(" in source.split(f"class {kind}" if kind else "import")[-1]


def test_a_flame_is_as_wide_as_its_share():
    root = ElementTree.fromstring(flame.svg({("a", "b<c>"): 3, ("a",): 1}, "title & more"))
    space = {"svg": "http://www.w3.org/2000/svg"}
    blocks = {
        group.find("svg:title", space).text.rsplit(":", 1)[0]: float(group.find("svg:rect", space).get("width"))
        for group in root.findall("svg:g", space)
    }
    assert blocks == {"all": flame.WIDTH_PX, "a": flame.WIDTH_PX, "b<c>": 0.75 * flame.WIDTH_PX}


def test_no_samples_are_a_figure_too():
    assert profile.summary({})["samples"] == 0
    assert ElementTree.fromstring(flame.svg({}, "nothing")) is not None


def test_a_repeated_video_has_every_picture_again_in_order(tmp_path):
    short = film(tmp_path / "short.mp4", frames=7, rate_hz=25)
    long = repeated(short, 3, tmp_path / "long.mp4")
    with av.open(str(long)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) == 21
    assert times == pytest.approx([number / 25 for number in range(21)])
