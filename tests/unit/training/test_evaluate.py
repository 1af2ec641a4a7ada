"""What `posecast eval` counts, by hand-computed cases; its report; and the command with the shipped networks."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from engines.contracts import SHIPPED
from engines.skeleton import PELVIS, J
from tests.conftest import ROOT, SHARED
from training.errors import TrainingError
from training.evaluate import ablation, embedding, given, goals, occlusion, photos, report, suites, synth_dives
from training.evaluate.cli import app
from training.evaluate.peers import Peers, installed
from training.evaluate.result import Figures, Plot, Request, Result
from training.evaluate.truth import Truth
from training.synth.shards import is_validation

STANDING = [
    [40, 90], [40, 70], [40, 50], [60, 50], [60, 70], [60, 90],
    [30, 50], [30, 40], [40, 20], [60, 20], [70, 40], [70, 50], [50, 15], [50, 5],
]  # fmt: skip
"""Fourteen joints of somebody who stands, facing away; the torso is 30 long."""


def _labelled(count: int = 1) -> np.ndarray:
    return np.repeat(np.concatenate([STANDING, np.ones((14, 1))], 1)[None], count, 0).astype(np.float32)


def test_labels_of_standing_lying_and_half_labelled_people():
    joints = _labelled(4)
    joints[1, :, :2] = joints[1, :, 1::-1]
    joints[2, 2, 2] = 0
    joints[3, [8, 9], 2] = 0
    labels = photos.Labels.of(joints)
    assert labels.tilt.tolist() == ["upright", "sideways", "upright", ""]
    assert labels.exact.tolist() == [True, True, False, False]
    assert labels.torso_px[:3] == pytest.approx([30, 30, np.hypot(10, 30)]) and np.isnan(labels.torso_px[3])


def test_a_joint_counts_within_a_fifth_of_the_torso_and_one_not_found_does_not():
    labels = photos.Labels.of(_labelled())
    found = labels.joints_px.copy()
    found[0, 0] += [5.9, 0]
    found[0, 1] += [0, 6.1]
    found[0, 2] = np.nan
    assert photos.hits(found, labels)[0].tolist() == [True, False, False, *[True] * 9]


def test_the_better_side_mends_exchanged_sides_only():
    labels = photos.Labels.of(_labelled(2))
    found = labels.joints_px.copy()
    found[0] = found[0, list(photos.SWAPPED)]
    found[1] += 100
    assert photos.hits(found, labels)[0].sum() == 0
    assert photos.better_side(found, labels).sum(1).tolist() == [12, 0]


def _photographs(folder, count: int = 40):
    (folder / "crops").mkdir(parents=True)
    names = [f"im{i:05d}.jpg" for i in range(count)]
    joints = _labelled(count)
    for i, name in enumerate(names):
        if i % 3 == 1:
            joints[i, :, :2] = 100 - joints[i, :, :2]
        picture = np.random.default_rng(i).integers(0, 90, (100, 100, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "crops" / name), picture)
    np.savez(folder / "joints.npz", filename=names, joints=joints)
    return names


def test_the_command_measures_photographs_and_replaces_its_section(tmp_path):
    names = _photographs(tmp_path / "mine")
    page, figures = tmp_path / "accuracy.md", tmp_path / "out" / "eval.json"
    words = ["photos", "--data", str(tmp_path / "mine"), "--json", str(figures), "--report", str(page)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    held_out = [name for name in names if is_validation(f"lsp-{name[:-4]}-00")]
    measured = json.loads(figures.read_text())["suites"]["photos"]
    counts = measured["tables"][photos.COUNTS]["torso measured"]
    assert measured["samples"] == counts["all"] == len(held_out)
    assert counts["inverted"] == sum(int(name[2:7]) % 3 == 1 for name in held_out)
    assert "hrnet_w18_small_v2" in measured["networks"]
    text = page.read_text()
    assert "posecast eval photos --data mine" in text and str(tmp_path) not in text
    assert (tmp_path / "accuracy" / "photos.png").stat().st_size > 5000
    page.write_text(text.replace("| posecast |", "| stale |"))
    assert CliRunner().invoke(app, words).exit_code == 0
    assert "stale" not in page.read_text() and page.read_text().count("## Photographs") == 1


def test_what_cannot_be_measured_is_one_line_and_code_2(tmp_path):
    for words, says in (
        (["photos", "--data", str(tmp_path)], "no joints.npz"),
        (["nothing"], "unknown; have photos, synth-crops"),
        (["ablation", "--compare", "on"], "expected NAME=FOLDER"),
        (["photos", "--data", str(tmp_path), "--peers", str(tmp_path)], "no joints.npz"),
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2 and says in " ".join(done.output.replace("│", " ").split()), done.output


def test_a_folder_without_the_reference_runner_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"peers_tflite\.py: no reference runner"):
        Peers(tmp_path)


def test_the_peers_find_the_joints_of_a_photograph():
    folder = SHARED / "sport_photos"
    if not installed() or not folder.is_dir() or not (SHARED / "peers").is_dir():
        pytest.skip("needs the extra peers, and sport_photos and peers in the test data")
    request = Request(folder, SHARED / "mocap", ROOT / "weights", peers=SHARED / "peers", limit=12)
    rows = next(table for table in photos.photos(request).tables if table.title == photos.EXACT).rows
    assert set(rows) == {photos.OURS, *Peers.names}
    assert all(rows[name]["all"] > 25 for name in Peers.names)  # chance is a tenth of that


def _result(name: str = "photos", value: float = 50.0) -> Result:
    table = Figures(photos.EXACT, {photos.OURS: {"upright": value, "all": float("nan")}})
    plot = Plot("lines", "a plot", (0, 1, 121), {"a": (1.0, 2.0, 3.0)}, "k", "mm")
    return Result(name, "some data", 3, (table,), (plot,), ("A note.",), {"stn": "abc"}, 2.0)


def test_the_report_keeps_other_sections_and_refuses_a_broken_file(tmp_path):
    page = tmp_path / "accuracy.md"
    report.write_report(page, [_result(), _result("lift")], "posecast eval SUITE")
    report.write_report(page, [_result(value=60.0)], "posecast eval SUITE --limit 3")
    text = page.read_text()
    assert "| posecast | 60 | - |" in text and "| posecast | 50 | - |" in text
    assert text.index("(`photos`)") < text.index("(`lift`)") and "`posecast eval lift`" in text
    assert "| PCK@0.2 upright, % | ≥ 75 | 60 |" in text
    page.write_text(text.replace("<!-- end of lift -->\n", ""))
    with pytest.raises(TrainingError, match="markers of lift"):
        report.write_report(page, [_result()], "x")


def test_parts_of_one_suite_stand_side_by_side_and_each_is_replaced_alone(tmp_path):
    page = tmp_path / "accuracy.md"
    for part, value in (("off", 10.0), ("on", 20.0), ("off", 30.0)):
        report.write_report(
            page, [replace(_result("ablation", value), part=part), _result("track")], "posecast eval SUITE"
        )
    text = page.read_text()
    assert [text.count(f"| posecast | {value} | - |") for value in (10, 20, 30)] == [0, 1, 1]
    places = [text.index(f"<!-- posecast eval {name} -->") for name in ("track", "ablation: off", "ablation: on")]
    assert places == sorted(places) and text.count("(`track`)") == 1


def test_goals_name_figures_that_suites_have():
    assert {goal.suite for goal in goals.GOALS} <= set(suites.SUITES)
    assert [value for _, value in goals.measured(_result())] == [50.0]
    assert goals.GOALS[0].reached(75) and not goals.GOALS[0].reached(74.9)
    for name in suites.SUITES:
        assert callable(suites.load(name))


def _file(path, **changed):
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.4, (6, J, 3)) + np.array([0, 0, 8])
    camera = np.array([1000.0, 1000.0, 640.0, 360.0])
    arrays = {
        "joints_img_px": joints[..., :2] / joints[..., 2:] * 1000 + [640, 360],
        "joints_cam_m": joints,
        "camera": camera,
        "clip": np.array([0, 0, 0, 0, 0, 1]),
        "fps": 50.0,
    } | changed
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_given_poses_become_what_the_lifter_takes(tmp_path):
    mask = np.ones(J)
    mask[10] = 0
    poses = given.read(_file(tmp_path / "p.npz", mask=mask))
    assert poses.truth_m[:, PELVIS] == pytest.approx(0) and poses.rate_hz == 50
    assert (poses.confidence[:, 10] == 0).all() and (poses.keypoints[:, 10] == 0).all()
    # Keypoints and box lead back to the rays: u = box centre + keypoint * height / 2, in focal lengths.
    with np.load(tmp_path / "p.npz") as file:
        rays = (file["joints_img_px"] - [640, 360]) / 1000
    back = poses.box[:, None, :2] + poses.keypoints * poses.box[:, None, 2:] / 2
    assert back[:, :10] == pytest.approx(rays[:, :10], abs=1e-4)
    wrong = poses.truth_m.copy()
    wrong[:, 10] += 5.0
    assert poses.mean_row(wrong)["MPJPE mm"] == pytest.approx(0, abs=1e-6)
    wrong[:, 3, 0] += 0.16
    assert poses.mean_row(wrong)["MPJPE mm"] == pytest.approx(10, abs=1e-6)
    assert [len(p) for p, _ in poses.clips(wrong)] == [5, 1]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"camera": None}, "no array 'camera'"),
        ({"camera": np.ones(3)}, r"camera has shape \(3,\)"),
        ({"mask": np.ones(16)}, "mask has shape"),
        ({"mask": np.zeros(J)}, "needs its pelvis"),
        ({"joints_img_px": np.zeros((5, J, 2))}, "joints_cam_m has shape"),
    ],
)
def test_given_poses_of_another_layout_are_refused(tmp_path, changed, says):
    with pytest.raises(TrainingError, match=says):
        given.read(_file(tmp_path / "p.npz", **changed))


def test_the_command_lifts_given_poses(tmp_path):
    done = CliRunner().invoke(app, ["lift", "--data", str(_file(tmp_path / "p.npz")), "--json", str(tmp_path / "e")])
    assert done.exit_code == 0, done.output
    tables = json.loads((tmp_path / "e").read_text())["suites"]["lift"]["tables"]
    assert tables["MLP decoder"]["given poses"]["poses"] == 6
    assert 10 < tables["MLP decoder"]["given poses"]["P-MPJPE mm"] < 2000


def test_missing_joints_are_those_that_the_case_names():
    cases = occlusion.gone(5)
    assert cases["nothing"].sum() == 0 and (cases["one joint"].sum(1) == 1).all()
    assert (cases["two joints"].sum(1) == 2).all() and cases["two joints"][:, PELVIS].sum() == 0
    assert np.flatnonzero(cases["left leg and arm"][0]).tolist() == [4, 5, 6, 11, 12, 13]


def test_similarity_of_known_embeddings():
    a = np.eye(4) * [[1], [2], [3], [4]]
    row = embedding.similarity_row(a, 5 * a)
    assert row[embedding.MATCHED] == pytest.approx(1) and row[embedding.MISMATCHED] == pytest.approx(0)
    row = embedding.similarity_row(a, np.roll(a, 1, 0))
    assert row[embedding.MATCHED] == 0 and row["nearest is the match %"] == 0


def _truth(frames: int = 6) -> Truth:
    joints = np.random.default_rng(2).normal(size=(frames, J, 3))
    points = 100 + 10 * joints[..., :2]
    seen = np.arange(frames) > 0
    return Truth(joints - joints[:, :1], points, seen, 50.0)


def test_boxes_locks_and_gaps_of_a_clip():
    truth, seq = _truth(), np.array([2, 3, 4, 5])
    low, high = truth.joints_img_px[seq].min(1), truth.joints_img_px[seq].max(1)
    pad = 0.075 * np.linalg.norm(high - low, axis=-1, keepdims=True)
    boxes = np.concatenate([low - pad, high + pad], 1)
    boxes[0] += 1000
    clip = synth_dives.Measured(
        seq, truth.joints_root_m[seq], truth.joints_root_m[seq] + 0.01, truth.joints_img_px[seq], boxes, truth
    )
    assert synth_dives.first_lock_s(seq, truth) == pytest.approx(0.02)
    poses, motion, picture = synth_dives._tables({"a": clip})
    assert poses.rows[synth_dives.PIPELINE]["MPJPE mm"] == pytest.approx(0, abs=1e-9)
    assert motion.rows[synth_dives.PER_FRAME]["acceleration mm/frame2"] == pytest.approx(0, abs=1e-9)
    row = picture.rows[synth_dives.ALL]
    assert row["box IoU > 0.5 %"] == pytest.approx(60) and row["tracked %"] == pytest.approx(80)
    assert row["PCK@0.1 box %"] == 100


def test_the_truth_of_the_sample_is_read_as_it_was_projected():
    truth = Truth.beside(ROOT / "samples" / "dive.mp4")
    data = json.loads((ROOT / "samples" / "dive.truth.json").read_text())
    matrix, root = np.array(data["camera_matrix_px"]), np.linalg.inv(np.array(data["world_from_cam"]))
    world = np.array(data["frames"][40]["joints_world_m"])
    pelvis = root[:3, :3] @ world[0] + root[:3, 3]
    projected = (truth.joints_root_m[40] + pelvis) @ matrix.T
    assert projected[:, :2] / projected[:, 2:] == pytest.approx(truth.joints_img_px[40], abs=0.3)
    assert truth.rate_hz == 50 and truth.in_view.any()


def test_clips_of_an_older_recipe_are_rendered_again_and_others_kept(tmp_path, monkeypatch):
    rendered = []

    def render(folder, seed, camera):
        rendered.append((seed, camera))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dive.mp4").touch()
        (folder / "dive.truth.json").write_text(json.dumps({"recipe": synth_dives.RECIPE}))

    monkeypatch.setattr(synth_dives, "_render", render)
    assert len(synth_dives._videos(tmp_path)) == len(synth_dives.SEEDS) == len(rendered)
    assert {camera for _, camera in rendered} == {"static", "follow"}
    rendered.clear()
    (tmp_path / "own").mkdir()
    for name in ("dive.mp4", "dive.truth.json"):
        (tmp_path / "own" / name).write_text("{}")
    assert len(synth_dives._videos(tmp_path)) == len(synth_dives.SEEDS) + 1 and not rendered
    (tmp_path / "dive-9202" / "dive.truth.json").write_text(json.dumps({"made_with": "an older recipe"}))
    (tmp_path / "dive-9203" / "dive.mp4").unlink()
    assert len(synth_dives._videos(tmp_path)) == len(synth_dives.SEEDS) + 1
    assert rendered == [(9202, "follow"), (9203, "follow")]
    own = tmp_path / "only"
    (tmp_path / "own").rename(own)
    assert [video.parent for video in synth_dives._videos(own)] == [own]


def test_a_clip_without_truth_is_one_line(tmp_path):
    (tmp_path / "a.truth.json").write_text("{}")
    with pytest.raises(TrainingError, match="not the truth of a clip"):
        Truth.beside(tmp_path / "a.mp4")


def test_ablation_fills_missing_networks_by_groups_that_fit(tmp_path):
    weights, mine, out = ROOT / "weights", tmp_path / "mine", tmp_path / "out"
    mine.mkdir()
    out.mkdir()
    (mine / "mlp_decoder.onnx").write_bytes((weights / "mlp_decoder.onnx").read_bytes())
    filled = ablation.assembled(mine, weights, out)
    assert set(filled) == {"stn", "temporal_frame", "temporal_window", "temporal_live"}
    with pytest.raises(TrainingError, match="neither networks"):
        ablation.assembled(tmp_path / "out" / "..", weights, out)
    assert {contract.network for contract in SHIPPED} <= {network for group in ablation.TOGETHER for network in group}


def test_key_figures_are_those_of_the_suite():
    assert ablation.key_figures(_result()) == {"PCK@0.2 upright %": 50.0}
    assert set(ablation.KEY) <= set(suites.SUITES)
