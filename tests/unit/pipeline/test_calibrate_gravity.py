"""`posecast calibrate gravity`: poses of replays to a camera file that knows which way is down."""

import numpy as np
import pytest
from rich.console import Console

from calibration.errors import CalibrationError
from calibration.store import Calibration, load, save
from pipeline.calibrate.gravity import calibrate_gravity, recording
from pipeline.edges.poses import ROW, Poses
from tests.replayed import written
from training.evaluate.verticals import dives_of, recorded


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    recordings, camera, down = recorded(dives_of(range(5), 10.0), 1)
    save(folder / "camera.toml", Calibration(camera, name="side"))
    paths = [written(folder / f"dive-{k}" / "poses.npz", one) for k, one in enumerate(recordings)]
    return folder / "camera.toml", paths, down, camera


def test_the_camera_file_learns_which_way_is_down(replayed, tmp_path) -> None:
    camera, paths, down, _ = replayed
    console = Console(width=160, record=True)
    calibrate_gravity(camera, paths, tmp_path / "out.toml", console)
    made = load(tmp_path / "out.toml")
    assert np.degrees(np.arccos(made.gravity_cam @ down)) < 1.5
    assert made.name == "side" and made.world_from_cam is None
    assert "calibrate gravity" in made.source and "5 flights" in made.source
    said = console.export_text()
    assert "from 5 flights" in said and "dive-3" in said
    ahead = made.gravity_cam[2]
    assert f"{abs(np.degrees(np.arcsin(ahead))):.1f} degrees {'down' if ahead >= 0 else 'up'}, roll" in said


def test_a_placed_camera_is_only_compared(replayed, tmp_path) -> None:
    _, paths, down, lens = replayed
    up, ahead = -down, np.array([0.0, 0.0, 1.0])
    right = np.cross(ahead, up) / np.linalg.norm(np.cross(ahead, up))
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(up, right), up])
    save(tmp_path / "placed.toml", Calibration(lens, pose))
    console = Console(width=160, record=True)
    calibrate_gravity(tmp_path / "placed.toml", paths, tmp_path / "out.toml", console)
    said = console.export_text()
    assert "which is kept; nothing was written" in said and "the camera file's vertical is" in said
    assert not (tmp_path / "out.toml").exists()


def test_too_uncertain_says_how_many_more_and_writes_nothing(replayed, tmp_path) -> None:
    seen, camera, _ = recorded(dives_of([31], 1.0), 31, noise_px=9.0, noise_m=0.08)
    save(tmp_path / "camera.toml", Calibration(camera))
    path = written(tmp_path / "low" / "poses.npz", seen[0])
    with pytest.raises(CalibrationError, match=r"uncertain by .* about \d+ more dives"):
        calibrate_gravity(tmp_path / "camera.toml", [path], tmp_path / "out.toml", Console(quiet=True))
    assert not (tmp_path / "out.toml").exists()


def test_nobody_or_another_picture_is_refused(replayed, tmp_path) -> None:
    _, _, _, lens = replayed
    seen = recorded(dives_of([0], 3.0), 0)[0][0]
    small = written(tmp_path / "small" / "poses.npz", seen, (1280, 720))
    with pytest.raises(CalibrationError, match="of pictures of 1280x720, but the camera file of 1920x1080"):
        recording(small, lens)
    nobody = Poses.of_rows([np.zeros((), ROW)])
    nobody.write(tmp_path / "nobody.npz")
    with pytest.raises(CalibrationError, match="holds nobody's poses"):
        recording(tmp_path / "nobody.npz", lens)


def test_recordings_are_named_after_their_folder(replayed) -> None:
    _, paths, _, lens = replayed
    assert recording(paths[2], lens).name == "dive-2"
