"""`posecast calibrate extrinsics --several`: camera files of a common world from the poses of the same dives."""

import numpy as np
import pytest
from rich.console import Console

from calibration.errors import CalibrationError
from calibration.store import Calibration, load, save
from calibration.templates import template
from pipeline.calibrate.several import calibrate_several
from tests.replayed import written
from training.evaluate.rigs import rig
from training.evaluate.verticals import dives_of


@pytest.fixture(scope="module")
def made():
    return rig(dives_of(range(60, 62), 10.0), 2, seed=2)


@pytest.fixture(scope="module")
def given(made, tmp_path_factory):
    """NAME=POSES,CAMERA of a camera that is placed and one that is not."""
    folder = tmp_path_factory.mktemp("rig")
    board = template("platform-10").board
    arguments = []
    for k, name in enumerate(("left", "right")):
        poses = written(folder / name / "poses.npz", made.recordings[k])
        placed = Calibration(
            made.cameras[k], made.views[k].world_from_cam if k == 0 else None, board=board if k == 0 else None
        )
        save(folder / f"{name}.toml", placed)
        arguments.append(f"{name}={poses},{folder / name}.toml")
    return arguments


def test_the_second_camera_stands_in_the_first_ones_world(made, given, tmp_path) -> None:
    console = Console(width=160, record=True)
    calibrate_several(given, tmp_path / "placed", console)
    left, right = (load(tmp_path / "placed" / f"{name}.toml") for name in ("left", "right"))
    np.testing.assert_allclose(left.world_from_cam, made.views[0].world_from_cam, atol=1e-9)
    truth = made.views[1].world_from_cam
    away = np.linalg.norm(truth[:3, 3] - made.views[0].world_from_cam[:3, 3])
    assert np.linalg.norm(right.world_from_cam[:3, 3] - truth[:3, 3]) < 0.03 * away
    assert right.board == left.board and right.name == "right"
    said = console.export_text()
    assert "from 2 flights" in said and "the vertical in left's file is" in said
    offset = float(right.source.split("clock ")[1].split(" s")[0])
    assert offset == pytest.approx(made.offsets_s[1], abs=0.003)


def test_without_a_place_the_world_begins_at_the_first_camera(made, given, tmp_path) -> None:
    """The clocks are found from the flights alone, the vertical too."""
    bare = []
    for k, text in enumerate(given):
        name, files = text.split("=")
        save(tmp_path / f"{name}.toml", Calibration(made.cameras[k]))
        bare.append(f"{name}={files.split(',')[0]},{tmp_path / name}.toml")
    console = Console(width=200, record=True)
    calibrate_several(bare, tmp_path / "placed", console)
    left = load(tmp_path / "placed" / "left.toml")
    np.testing.assert_allclose(left.world_from_cam[:3, 3], 0, atol=1e-12)
    down = -made.views[0].world_from_cam[2, :3]
    assert np.degrees(np.arccos(left.gravity_cam @ down)) < 1.5
    assert "the world's origin is there" in console.export_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["left.npz"], "expected NAME=POSES,CAMERA"),
        (["left=poses.npz"], "expected NAME=POSES,CAMERA"),
        (["left=nowhere.npz,nowhere.toml"], "nowhere.toml: cannot be read"),
    ],
)
def test_wrong_arguments_are_refused(arguments, said, tmp_path) -> None:
    with pytest.raises(CalibrationError, match=said):
        calibrate_several(arguments, tmp_path / "placed", Console(quiet=True))
    assert not (tmp_path / "placed").exists()


def test_one_camera_or_the_same_name_twice_is_refused(given, tmp_path) -> None:
    with pytest.raises(CalibrationError, match="two cameras or more"):
        calibrate_several(given[:1], tmp_path, Console(quiet=True))
    with pytest.raises(CalibrationError, match="the name left is there twice"):
        calibrate_several([given[0], given[0]], tmp_path, Console(quiet=True))


def test_recordings_of_other_dives_have_no_flight_in_common(made, given, tmp_path) -> None:
    other = rig(dives_of([77], 3.0), 1, seed=9)
    poses = written(tmp_path / "other" / "poses.npz", other.recordings[0])
    save(tmp_path / "other.toml", Calibration(other.cameras[0]))
    with pytest.raises(
        CalibrationError,
        match=r"contradicts|uncertain|same athlete|one whole flight|no flight in common|same place|makes a body",
    ):
        calibrate_several([given[0], f"other={poses},{tmp_path / 'other.toml'}"], tmp_path / "out", Console(quiet=True))
    assert not (tmp_path / "out").exists()
