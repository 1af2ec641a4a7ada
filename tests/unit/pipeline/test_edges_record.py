import json
from pathlib import Path

import msgpack
import numpy as np
import pytest

from engines.skeleton import JOINT_NAMES
from pipeline.edges.output import part_of, whole_file
from pipeline.edges.poses import REVISIONS, Poses
from pipeline.edges.record import Recorder
from pipeline.edges.truth import Truth
from pipeline.edges.versions import weights_manifest
from pipeline.errors import OutputError
from pipeline.messages import Event, Health, PoseFrame, Stamp

NAMES = {"poses.msgpack", "poses.npz", "summary.json"}


def stamps(start_ms: float, *steps_ms: float) -> tuple[Stamp, ...]:
    """Stamps of capture, track, ... that take so long each, one right after the other."""
    result, now = [], round(start_ms * 1e6)
    for stage, step in zip(("capture", "track", "encode", "publish"), steps_ms, strict=False):
        result.append(Stamp(stage, now, now + round(step * 1e6)))
        now += round(step * 1e6)
    return tuple(result)


def pose(seq: int, revision: str = "provisional", *, tracked: bool = True, x: float = 0.0, steps=(1, 2)) -> PoseFrame:
    return PoseFrame(
        stream="main",
        seq=seq,
        t_media_ns=seq * 40_000_000,
        t_capture_ns=0,
        stamps=stamps(40 * seq, *steps),
        width=640,
        height=480,
        rate_hz=25.0,
        revision=revision,
        lookahead=REVISIONS.index(revision),
        subject=int(tracked),
        tracked=tracked,
        presence=0.5,
        box_img_px=(1.0, 2.0, 3.0, 4.0) if tracked else None,
        joints_img_px=((x, 1.0),) * 17 if tracked else (),
        joints_conf=(0.5,) * 17 if tracked else (),
        joints_root_m=((x, 0.0, 0.0),) * 17 if tracked else (),
        root_cam_m=(0.0, 0.0, 5.0) if tracked else None,
        focal_px=700.0,
        metric="estimated",
    )


def event(kind: str) -> Event:
    return Event(stream="main", seq=0, t_media_ns=0, t_capture_ns=0, kind=kind)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_every_message_is_kept_and_the_best_revision_is_in_the_columns(tmp_path):
    recorder = Recorder(tmp_path / "dive", source="dive.mp4")
    messages = [event("stream_started"), pose(0, x=1.0), pose(1, tracked=False), pose(0, "refined", x=2.0)]
    messages += [pose(1, "refined", tracked=False), pose(0, "final", x=3.0), pose(0, "refined", x=9.0)]
    messages += [pose(1, "final", tracked=False), event("stream_ended")]
    for message in messages:
        recorder.add(message)
    assert files(tmp_path / "dive") == {"poses.msgpack.part"}
    assert recorder.complete_frames == 2
    summary = recorder.close(frames_in=2)
    assert files(tmp_path / "dive") == NAMES
    with (tmp_path / "dive" / "poses.msgpack").open("rb") as handle:
        plain = list(msgpack.Unpacker(handle))
    assert [(row["type"], row.get("revision")) for row in plain] == [
        (message.__struct_config__.tag, getattr(message, "revision", None)) for message in messages
    ]
    with np.load(tmp_path / "dive" / "poses.npz") as data:
        assert data["seq"].tolist() == [0, 1]
        assert data["t_media_s"].tolist() == [0.0, 0.04]
        assert data["tracked"].tolist() == [True, False]
        assert data["revision_names"][data["revision"]].tolist() == ["final", "final"]
        assert tuple(data["joint_names"]) == JOINT_NAMES
        assert data["joints_root_m"].shape == (2, 17, 3)
        assert data["joints_root_m"][0, 4, 0] == 3.0
        for name in ("joints_img_px", "joints_conf", "joints_root_m", "root_cam_m", "box_img_px"):
            assert np.isfinite(data[name][0]).all()
            assert np.isnan(data[name][1]).all()
        assert np.isnan(data["joints_sd_m"]).all()
    assert summary["revisions"] == {"provisional": 2, "refined": 3, "final": 2}
    assert summary["events"] == {"stream_started": 1, "stream_ended": 1}
    assert summary["tracked_share"] == 0.5
    assert summary == json.loads((tmp_path / "dive" / "summary.json").read_text())


def test_frames_out_are_those_whose_last_revision_came(tmp_path):
    recorder = Recorder(tmp_path, source="x", expected="refined")
    for message in (pose(0), pose(1), pose(2), pose(0, "refined"), pose(0, "refined"), pose(2, "refined")):
        recorder.add(message)
    summary = recorder.close(frames_in=3)
    assert (summary["frames_in"], summary["frames_out"]) == (3, 2)


def test_times_come_from_the_stamps_of_provisional_poses(tmp_path):
    recorder = Recorder(tmp_path, source="x")
    for seq in range(101):
        recorder.add(pose(seq, steps=(1, 2, seq / 10, 0.5)))
        recorder.add(pose(seq, "final", steps=(1, 2, 999, 0.5)))
    summary = recorder.close(frames_in=101, wall_s=12.3456)
    assert summary["stages_ms"]["encode"] == pytest.approx({"p50": 5.0, "p99": 9.9})
    assert summary["stages_ms"]["track"] == {"p50": 2.0, "p99": 2.0}
    assert summary["capture_to_publish_ms"] == pytest.approx({"p50": 8.5, "p95": 13.0, "p99": 13.4})
    assert summary["fps"] == pytest.approx(101 / (4.0 + 1.0025), abs=0.01)
    assert summary["wall_s"] == 12.346


def test_drops_are_summed_and_told_by_stage_and_cause(tmp_path):
    recorder = Recorder(tmp_path, source="x")
    health = {
        stage: Health(stream="main", stage=stage, pid=1, t_unix_ns=0, state="ended", dropped=dropped, rss_bytes=5)
        for stage, dropped in (("track", {"overrun": 2}), ("encode", {"superseded": 3, "full": 1}), ("smooth", {}))
    }
    summary = recorder.close(frames_in=6, health=health)
    assert summary["drops"] == 6
    assert summary["drops_by_stage"] == {"track": {"overrun": 2}, "encode": {"superseded": 3, "full": 1}}
    assert summary["rss_bytes"] == 15


def test_the_errors_against_the_truth_are_in_the_summary(tmp_path):
    joints = np.zeros((2, 17, 3))
    joints[:, 1:, 0] = 0.1
    truth = Truth(joints + np.array([0, 0, 5.0]), np.zeros((2, 17, 2)), np.array([True, True]), 25.0)
    recorder = Recorder(tmp_path, source="x")
    recorder.add(pose(0, x=0.0))
    summary = recorder.close(frames_in=1, truth=truth)
    assert summary["mpjpe_mm"] == pytest.approx(100 * 16 / 17, abs=0.01)
    assert summary["coverage"] == 0.5
    assert "this video alone" in summary["errors_are_of"]


def test_a_recording_without_any_pose_is_whole(tmp_path):
    summary = Recorder(tmp_path, source="x").close(frames_in=0)
    assert (summary["fps"], summary["tracked_share"], summary["capture_to_publish_ms"]) == (None, 0.0, {})
    assert len(Poses.read(tmp_path / "poses.npz")) == 0


def test_a_run_that_dies_leaves_its_messages_under_another_name(tmp_path):
    recorder = Recorder(tmp_path, source="x")
    recorder.add(pose(0))
    recorder.abort()
    assert files(tmp_path) == {"poses.msgpack.part"}
    plain = msgpack.unpackb((tmp_path / "poses.msgpack.part").read_bytes())
    assert plain["seq"] == 0


def test_results_of_an_earlier_run_do_not_survive_a_new_one(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text("old")
    recorder = Recorder(tmp_path, source="x")
    recorder.abort()
    assert files(tmp_path) == {"poses.msgpack.part"}


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--out") as error:
        Recorder(tmp_path / "file" / "dive", source="x")
    assert "\n" not in str(error.value)


def test_a_full_disk_is_told_in_one_line_and_no_file_bears_its_name(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    part_of(tmp_path / "poses.msgpack").symlink_to(full)
    recorder = Recorder(tmp_path, source="x")
    with pytest.raises(OutputError, match="No space left"):
        for seq in range(200):
            recorder.add(pose(seq))
    recorder.abort()
    assert not (tmp_path / "poses.msgpack").exists()


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "result"
    with pytest.raises(RuntimeError), whole_file(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert files(tmp_path) == set()
    with pytest.raises(OutputError, match="result"), whole_file(path) as part:
        raise OSError(28, "No space left on device")
    with whole_file(path) as part:
        part.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_where_no_file_can_be_one_line_is_said_and_nothing_left(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="Not a directory"), whole_file(tmp_path / "file" / "result") as part:
        part.write_text("whole")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="Is a directory"), whole_file(tmp_path / "folder") as part:
        part.write_text("whole")
    assert files(tmp_path) == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "mine"


def test_hashes_of_the_weights_are_taken_from_the_manifest(tmp_path):
    assert weights_manifest(tmp_path) is None
    entries = {"stn": {"sha256": "AB" * 32, "bytes": 3}}
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    assert weights_manifest(tmp_path) == {"stn": "ab" * 32}


def test_what_is_no_recording_is_told_in_one_line(tmp_path):
    path = tmp_path / "poses.npz"
    path.write_text("nonsense")
    with pytest.raises(OutputError, match=r"poses\.npz"):
        Poses.read(path)
