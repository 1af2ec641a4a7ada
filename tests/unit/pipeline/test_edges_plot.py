import cv2
import numpy as np
import pytest

from pipeline.edges.plot import draw, trunk_angle_deg, write_plot
from pipeline.edges.poses import ROW, Poses
from pipeline.edges.truth import Truth
from pipeline.errors import OutputError

FRAMES = 40


def somersault(frames=FRAMES, turns=1.5):
    """A rigid body turning about the camera's axis: [F,17,3]."""
    rng = np.random.default_rng(1)
    rest = rng.normal(0, 0.3, (17, 3))
    rest[0], rest[8] = 0, (0, -0.5, 0)
    angles = np.linspace(0, turns * 2 * np.pi, frames)
    c, s, o, i = np.cos(angles), np.sin(angles), np.zeros(frames), np.ones(frames)
    turn = np.stack([np.stack([c, -s, o], -1), np.stack([s, c, o], -1), np.stack([o, o, i], -1)], -2)
    return np.einsum("fab,jb->fja", turn, rest)


def poses_of(joints, tracked=lambda seq: True):
    result = []
    for seq, pose in enumerate(joints):
        row = np.zeros((), ROW)
        row["seq"], row["t_media_s"], row["tracked"], row["revision"] = seq, seq / 25, tracked(seq), 2
        for name in ("box_img_px", "joints_img_px", "joints_conf", "joints_root_m"):
            row[name] = np.nan
        if tracked(seq):
            row["joints_root_m"], row["joints_img_px"], row["joints_conf"] = pose, pose[:, :2] * 100 + 200, 0.8
        result.append(row)
    return Poses.of_rows(result)


def truth_of(joints):
    return Truth(joints + np.array([0, 0, 5.0]), joints[..., :2] * 100 + 200, np.ones(len(joints), bool), 25.0)


def test_the_trunk_angle_counts_turns_in_the_sense_of_the_picture():
    angle = trunk_angle_deg(somersault())
    assert angle[0] == pytest.approx(0, abs=1e-9)
    assert angle[-1] == pytest.approx(540)
    assert (np.diff(angle) > 0).all()
    lean = np.zeros((1, 17, 3))
    lean[0, 8] = (0.5, 0, 0)
    assert trunk_angle_deg(lean) == pytest.approx(90)  # to the right of the picture


def test_gaps_do_not_lose_a_turn():
    joints = somersault()
    joints[10:13] = np.nan
    angle = trunk_angle_deg(joints)
    assert np.isnan(angle[10:13]).all()
    assert angle[-1] == pytest.approx(540)


def test_the_figure_has_the_panels_and_their_units():
    joints = somersault()
    figure = draw(poses_of(joints, lambda seq: seq not in (5, 6)), truth_of(joints), "dive")
    labels = " ".join(axes.get_ylabel().replace("\n", " ") for axes in figure.axes)
    for text in ("v px", "picture plane, deg", "MPJPE, mm", "confidence"):
        assert text in labels
    assert any(axes.get_xlabel() == "media time, s" for axes in figure.axes)
    without = draw(poses_of(joints), None, "dive")
    assert len(without.axes) == len(figure.axes) - 1
    assert not any("MPJPE" in axes.get_ylabel() for axes in without.axes)


@pytest.mark.parametrize("frames", [0, 1, FRAMES])
def test_a_picture_is_written_also_where_nobody_was_tracked(tmp_path, frames):
    path = tmp_path / "plot.png"
    write_plot(poses_of(somersault()[:frames], lambda seq: False), path)
    assert cv2.imread(str(path)).shape[1] > 800
    assert {file.name for file in tmp_path.iterdir()} == {"plot.png"}


def test_truth_shorter_than_the_video_is_drawn_as_far_as_it_goes(tmp_path):
    joints = somersault()
    write_plot(poses_of(joints), tmp_path / "plot.png", truth_of(joints[:20]), "short")
    assert (tmp_path / "plot.png").stat().st_size > 20_000


def test_a_folder_that_is_not_there_is_told_in_one_line(tmp_path):
    with pytest.raises(OutputError, match=r"plot\.png"):
        write_plot(poses_of(somersault()), tmp_path / "missing" / "plot.png")
