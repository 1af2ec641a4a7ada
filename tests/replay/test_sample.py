"""The main job on the sample dive, as a user runs it: every frame in comes out, and the results are readable."""

import json

import av
import msgpack
import numpy as np
import pytest

from calibration.camera import Camera
from calibration.store import save
from calibration.venue import Board, Calibration
from engines.skeleton import PARENTS, J
from tests.posecast import SAMPLE, left_behind, posecast, require_weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    require_weights()
    out = tmp_path_factory.mktemp("replay") / "check"
    result = posecast("replay", SAMPLE, "--out", out, timeout_s=250)
    assert result.returncode == 0, result.stderr
    assert "frames in" in result.stdout
    return out


def pictures(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_nothing_is_dropped(results) -> None:
    summary = json.loads((results / "summary.json").read_text())
    frames = pictures(SAMPLE)
    assert summary["frames_in"] == summary["frames_out"] == frames
    assert summary["drops"] == 0
    assert summary["fps"] > 0
    assert summary["mpjpe_mm"] > 0
    assert summary["revisions"] == {"provisional": frames, "refined": frames, "final": frames}


def test_plain_msgpack_reads_every_message(results) -> None:
    with (results / "poses.msgpack").open("rb") as file:
        messages = list(msgpack.Unpacker(file))
    final = [message for message in messages if message["type"] == "pose" and message["revision"] == "final"]
    assert sorted(message["seq"] for message in final) == list(range(len(final)))
    stages = [stamp[0] for stamp in final[0]["stamps"]]
    assert stages == ["capture", "track", "encode", "decode", "smooth", "publish"]


def test_poses_are_human_shaped(results) -> None:
    """Bones of a person's length, the pelvis at the origin, left and right alike."""
    poses = np.load(results / "poses.npz")
    joints = poses["joints_root_m"][poses["tracked"].astype(bool)]
    assert joints.shape[1:] == (J, 3)
    assert np.allclose(joints[:, 0], 0, atol=1e-6)
    bones = np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS[1:])], axis=-1)
    median = np.median(bones, axis=0)
    assert (median > 0.03).all()
    assert (median < 0.65).all()


def test_overlay_shows_every_frame(results) -> None:
    assert pictures(results / "overlay.mp4") == pictures(SAMPLE)
    assert (results / "plot.png").stat().st_size > 10_000


def test_the_dive_is_told(results) -> None:
    """Without a calibration: what it was, and that its metres are estimates."""
    truth = json.loads(SAMPLE.with_suffix(".truth.json").read_text())["report"]
    told = json.loads((results / "dive-1.json").read_text())["report"]
    assert told["numbers"][0]["code"] == truth["code"]
    assert told["world"] == "estimated"
    assert told["board_height_m"] == 3.0
    assert abs(told["entry_s"]["value"] - truth["entry_s"]) < 0.08
    assert abs(told["flight_time_s"]["value"] - truth["flight_time_s"]) < 0.12
    assert {flag["key"] for flag in told["flags"]} >= {"not_calibrated", "no_board"}
    summary = json.loads((results / "summary.json").read_text())
    assert [dive["number"] for dive in summary["dives"]] == [truth["code"]]
    assert (results / "dive-1.html").stat().st_size > 20_000
    assert len((results / "dive-1.csv").read_text().splitlines()) > 60


def test_a_calibrated_camera_gives_metres(tmp_path) -> None:
    """The true camera of the sample: moments within two frames, heights within a hand's breadth."""
    require_weights()
    truth = json.loads(SAMPLE.with_suffix(".truth.json").read_text())
    matrix = truth["camera_matrix_px"]
    lens = Camera(*truth["size_px"], matrix[0][0], (matrix[0][2], matrix[1][2]))
    board = Board("springboard", truth["dive"]["height_m"], 0.5, 4.8)
    save(tmp_path / "pool.toml", Calibration(lens, np.array(truth["world_from_cam"]), board=board))
    out = tmp_path / "out"
    result = posecast("replay", SAMPLE, "--out", out, "--camera", tmp_path / "pool.toml", "--no-overlay", "--no-plot")
    assert result.returncode == 0, result.stderr
    report, told = truth["report"], json.loads((out / "dive-1.json").read_text())["report"]
    assert told["world"] == "metric"
    assert told["numbers"][0]["code"] == report["code"]
    assert abs(told["take_off_s"]["value"] - report["take_off_s"]) < 0.05
    assert abs(told["entry_s"]["value"] - report["entry_s"]) < 0.03
    assert abs(told["apex_above_board_m"]["value"] - report["apex_above_board_m"]) < 0.12
    assert abs(told["clearance_m"]["value"] - report["clearance_m"]) < 0.25
    poses = np.load(out / "poses.npz")
    joints = np.array([frame["joints_world_m"] for frame in truth["frames"]])
    air = (poses["t_media_s"] > report["take_off_s"]) & (poses["t_media_s"] < report["entry_s"]) & poses["tracked"]
    miss = poses["joints_world_m"][air, 0] - joints[poses["seq"][air], 0]
    assert np.sqrt((miss**2).mean(0)).max() < 0.35
    assert [str(poses["world_names"][k]) for k in np.unique(poses["world"][air])] == ["metric"]


def test_nothing_is_left_behind(results) -> None:
    assert left_behind([]) == []
    assert not list(results.glob("*.part"))


def test_stages_may_share_a_process(tmp_path) -> None:
    """As on a very small machine: two processes instead of six, the same frames out."""
    require_weights()
    path = tmp_path / "small.toml"
    one, other = (
        'capture = "one"\ntrack = "one"\n',
        "".join(f'{name} = "other"\n' for name in ("encode", "decode", "smooth", "publish")),
    )
    path.write_text(f'policy = "replay"\n[smooth]\nfinal = true\n[processes]\n{one}{other}')
    result = posecast("replay", SAMPLE, "--out", tmp_path / "out", "--config", path, "--no-overlay", "--no-plot")
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames_in"] == summary["frames_out"] == pictures(SAMPLE)
    assert summary["drops"] == 0
