from rich.console import Console

from pipeline.config import Config
from pipeline.messages import Health, Latency
from pipeline.report import demo_table, health_table, next_command, written_files
from pipeline.topology import STAGES, Layout

SUMMARY = {
    "source": "samples/dive.mp4",
    "frames_in": 75,
    "frames_out": 75,
    "drops": 2,
    "drops_by_stage": {"encode": {"superseded": 2}},
    "tracked_share": 0.96,
    "fps": 31.25,
    "wall_s": 4.2,
    "stages_ms": {"capture": {"p50": 1.5, "p99": 3.25}, "encode": {"p50": 12.0, "p99": 20.0}},
    "capture_to_publish_ms": {"p50": 40.0, "p95": 61.0, "p99": 70.0},
}
ERRORS = {
    "mpjpe_mm": 123.4,
    "p_mpjpe_mm": 80.0,
    "pck02_torso": 0.5,
    "px_error_median": None,
    "coverage": 0.9,
    "n_frames_measured": 70,
}


def text_of(renderable) -> str:
    console = Console(width=120, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def test_the_demo_table_has_every_figure():
    text = text_of(demo_table(SUMMARY | ERRORS))
    assert row(text, "frames in").split()[2] == "75"
    assert "every frame came out" in row(text, "frames out")
    assert row(text, "frames per second").split()[3] == "31.2"
    assert "p95 61, p99 70" in row(text, "capture to publish")
    assert row(text, "MPJPE").split()[2] == "123"
    assert "70 frames of this video" in row(text, "MPJPE")
    assert "none" in row(text, "2D error")
    assert row(text, "capture  ").split() == ["capture", "1.50", "3.25", "0"]
    assert row(text, "encode").split() == ["encode", "12.00", "20.00", "2", "superseded"]


def test_missing_frames_are_said_and_errors_need_a_truth():
    text = text_of(demo_table(SUMMARY | {"frames_out": 70, "fps": None, "capture_to_publish_ms": {}}))
    assert "frames are missing" in text
    assert "MPJPE" not in text


def test_the_live_table_has_every_stage_its_drops_and_its_error():
    beats = {
        "track": Health(
            stream="main",
            stage="track",
            pid=1,
            t_unix_ns=0,
            state="running",
            received=9,
            sent=8,
            dropped={"overrun": 1, "full": 0},
            step=Latency(4.25, 9.0),
            rss_bytes=123_000_000,
            note="OpenVINO [bf16]",
        ),
        "decode": Health(stream="main", stage="decode", pid=1, t_unix_ns=0, state="failed", error="no [file]"),
    }
    text = text_of(health_table([row.name for row in STAGES], beats))
    assert row(text, "track").split()[:9] == ["track", "running", "9", "8", "1", "overrun", "4.2", "9.0", "123"]
    assert "OpenVINO [bf16]" in row(text, "track")
    assert "no [file]" in row(text, "decode")
    for stage in STAGES:
        assert row(text, stage.name)
    assert "waiting" in row(text, "capture")


def test_the_files_and_the_next_command_are_named(tmp_path):
    (tmp_path / "poses.npz").write_text("")
    (tmp_path / "overlay.mp4.part").write_text("")
    assert text_of(written_files(tmp_path)).replace("\n", "").endswith(": poses.npz")
    assert ".venv/bin/posecast run rtsp://" in text_of(next_command(".venv/bin/posecast"))


def test_the_live_table_of_several_cameras_has_a_row_for_each():
    layout = Layout(["left", "right"], Config().processes)
    beat = Health(stream="right", stage="track", pid=1, t_unix_ns=0, state="running", received=77)
    text = text_of(health_table([node.name for node in layout.nodes], {"track.right": beat}))
    assert row(text, "track.right").split()[:3] == ["track.right", "running", "77"]
    assert "waiting" in row(text, "track.left")
    assert len(text.splitlines()) == 1 + len(layout.nodes)
