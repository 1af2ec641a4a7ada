"""From the table to a run: one stream as the table says, several with a capture and a track each."""

import pytest

from pipeline.config import Config, from_mapping
from pipeline.topology import STAGES, Layout


def test_one_stream_is_the_table() -> None:
    layout = Layout(["main"], Config().processes)
    assert [(node.name, node.process) for node in layout.nodes] == [(row.name, row.process) for row in STAGES]
    assert {node.stream for node in layout.nodes} == {"main"}


def test_several_streams_share_what_the_table_says() -> None:
    layout = Layout(["left", "right"], Config().processes)
    names = [node.name for node in layout.nodes]
    assert names[:4] == ["capture.left", "capture.right", "track.left", "track.right"]
    assert names[4:] == ["encode", "decode", "smooth", "publish"]
    assert [node.process for node in layout.nodes] == names
    assert [node.stream for node in layout.nodes] == ["left", "right", "left", "right", "", "", "", ""]


def test_data_flows_down_each_stream_and_together() -> None:
    layout = Layout(["left", "right"], Config().processes)
    for stream in ("left", "right"):
        capture = layout.node("capture", stream)
        way = [capture]
        while (reader := layout.reader(way[-1])) is not None:
            assert layout.writer(reader, stream) is way[-1]
            way.append(reader)
        expected = [f"capture.{stream}", f"track.{stream}", "encode", "decode", "smooth", "publish"]
        assert [node.name for node in way] == expected
        assert layout.writer(capture, stream) is None


def test_a_heartbeat_finds_its_node() -> None:
    layout = Layout(["left", "right"], Config().processes)
    for node in layout.nodes:
        assert layout.node(node.row.name, node.stream) is node
    alone = Layout(["main"], Config().processes)
    for node in alone.nodes:
        assert alone.node(node.row.name, node.stream) is node
    with pytest.raises(KeyError):
        layout.node("track", "middle")


def test_a_process_with_a_shared_stage_is_one() -> None:
    processes = {"capture": "eyes", "track": "eyes", "encode": "rest", "decode": "rest"}
    layout = Layout(["a", "b"], from_mapping({"processes": processes}, "test").processes)
    found = {node.name: node.process for node in layout.nodes}
    assert (found["capture.a"], found["track.a"], found["track.b"]) == ("eyes.a", "eyes.a", "eyes.b")
    assert (found["encode"], found["decode"], found["smooth"]) == ("rest", "rest", "smooth")
    one = Layout(["a", "b"], dict.fromkeys(Config().processes, "all"))
    assert {node.process for node in one.nodes} == {"all"}


def test_what_is_shared_stays_shared_down_the_table() -> None:
    """A shared stage has one reader: none behind it may be there once for each stream."""
    first = next(at for at, row in enumerate(STAGES) if row.per == "run")
    assert {row.per for row in STAGES[first:]} == {"run"}
