"""The sample dive and the command line."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from flight import mass
from training.synth import clip, dive
from training.synth.cli import app
from training.synth.plan import Plan

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(scope="module")
def truth():
    return json.loads((SAMPLES / "dive.truth.json").read_text())


def stacked(truth, name):
    return np.array([frame[name] for frame in truth["frames"]])


def test_truth_projects_into_the_picture(truth):
    camera = np.array(truth["world_from_cam"])
    cam = (stacked(truth, "joints_world_m") - camera[:3, 3]) @ camera[:3, :3]
    pixels = cam @ np.array(truth["camera_matrix_px"]).T
    error = pixels[..., :2] / pixels[..., 2:] - stacked(truth, "joints_img_px")
    assert np.abs(error).max() < 0.25  # a millimetre is 0.16 px
    assert np.allclose(camera[:3, :3] @ camera[:3, :3].T, np.eye(3), atol=1e-5)


def test_video_has_a_frame_for_each_truth(truth):
    with av.open(str(SAMPLES / "dive.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.width, stream.height) == tuple(truth["size_px"])
        assert stream.average_rate == truth["fps"]
        assert stream.codec_context.name == "h264"
        assert stream.frames == len(truth["frames"])
        assert not video.streams.audio


def test_sample_flight_is_ballistic(truth):
    rows = np.array([frame["phase"] == "flight" for frame in truth["frames"]])
    joints = stacked(truth, "joints_world_m")[rows]
    centre = mass.points(truth["dive"]["female"]).centre(joints)
    time = stacked(truth, "t_s")[rows]
    fitted = np.polyfit(time, centre, 2)
    assert np.allclose(fitted[0], [0, 0, -dive.GRAVITY_M_S2 / 2], atol=0.01)
    assert np.abs(centre - np.stack([np.polyval(fitted[:, k], time) for k in range(3)], -1)).max() < 0.001


def test_samples_are_small():
    assert sum((SAMPLES / name).stat().st_size for name in ("dive.mp4", "dive.truth.json")) < 3_000_000


def test_truth_of_a_drawn_body(model, athlete):
    dived = dive.simulate(Plan(female=1.0), clip.anny_shape(model, athlete), 25)
    lengths = np.linalg.norm(dived.joints_world_m[:, 1] - dived.joints_world_m[:, 2], axis=-1)
    assert np.ptp(lengths) < 0.005
    made = clip.truth_map(dived, [clip.side_camera(dived.plan)], 1)
    assert json.loads(json.dumps(made))["frames"][3]["phase"] == "stand"
    assert "world_from_cam" in made and "world_from_cam" not in made["frames"][3]
    pixels = np.array([frame["joints_img_px"] for frame in made["frames"]])
    rows = np.array([frame["phase"] not in ("entry", "under") for frame in made["frames"]])
    assert (pixels[rows] > 20).all()
    assert (pixels[rows] < np.array(clip.SIZE_PX) - 20).all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["crops", "--out", "x", "--seed", "7001"], "reserved"),
        (["crops", "--out", "x", "--mocap", "nowhere"], "no .npz"),
        (["dive", "--out", "x", "--code", "107X"], "not a dive number"),
        (["dive", "--out", "x", "--camera", "drone"], "choose from static, follow"),
        (["preview", "--out", "x.png", "--kind", "cats"], "unknown"),
    ],
)
def test_mistakes_get_one_line(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_help_names_every_command():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("crops", "scenes", "preview", "dive"):
        assert command in result.output
