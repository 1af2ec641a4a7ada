"""Settings are typed, defaults are merged, and what is unknown is refused with the nearest valid name."""

from pathlib import Path

import pytest

from calibration.camera import Camera
from calibration.store import save
from calibration.venue import Calibration
from pipeline import config
from pipeline.errors import ConfigError


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    return line


def test_empty_file_is_the_defaults(tmp_path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    assert config.load(path) == config.from_mapping({}, "nothing")


def test_values_of_the_file_win_over_the_defaults(tmp_path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('policy = "replay"\n[smooth]\nrefined = 27\n[processes]\ntrack = "one"\nencode = "one"\n')
    loaded = config.load(path)
    assert (loaded.policy, loaded.smooth.refined, loaded.smooth.provisional) == ("replay", 27, 0)
    assert loaded.processes["track"] == loaded.processes["encode"] == "one"
    assert loaded.processes["smooth"] == "smooth"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[trak]\n", "did you mean 'track'"),
        ("[smooth]\nrefind = 13\n", "did you mean 'refined'"),
        ("[processes]\nencod = 'x'\n", "did you mean 'encode'"),
        ("[zzz]\n", "valid are policy, stream"),
    ],
)
def test_unknown_keys_name_the_nearest(tmp_path, text, hint) -> None:
    assert hint in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[smooth]\nrefined = 300\n", "smooth.refined"),
        ("[track]\nacquire_presence = 1.5\n", "track.acquire_presence"),
        ("[publish]\nendpoint = 5\n", "publish.endpoint"),
        ('stream = "a/b"\n', "stream"),
        ("policy = \n", "not valid TOML"),
    ],
)
def test_wrong_values_say_where(tmp_path, text, where) -> None:
    assert where in refused(tmp_path, text)


def test_missing_file_says_so(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "none.toml")


def test_shipped_names_resolve_and_paths_win(tmp_path, monkeypatch) -> None:
    assert config.shipped("live").name == "live.toml"
    monkeypatch.chdir(tmp_path)
    Path("live").write_text("")
    assert config.shipped("live") == Path("live")


def test_printed_settings_read_back_to_the_same() -> None:
    import tomllib

    loaded = config.load(config.shipped("broadcast"))
    assert config.from_mapping(tomllib.loads(config.as_toml(loaded)), "printed") == loaded


def camera_file(path, focal_px=1500.0):
    save(path, Calibration(Camera(1920, 1080, focal_px, (959.5, 539.5))))
    return str(path)


def test_each_stream_has_its_own_camera_or_the_one_of_all(tmp_path) -> None:
    both, left = camera_file(tmp_path / "both.toml"), camera_file(tmp_path / "left.toml", 2000.0)
    loaded = config.with_cameras(config.Config(), [both, f"left={left}"])
    assert config.camera_of(loaded, "left").camera.focal_px == 2000.0
    assert config.camera_of(loaded, "right").camera.focal_px == 1500.0
    assert config.views_of(loaded, "left").known
    assert config.camera_of(config.Config(), "main") is None
    assert not config.views_of(config.Config(), "main").known


def test_a_camera_lies_beside_the_settings_that_name_it(tmp_path) -> None:
    (tmp_path / "pool").mkdir()
    camera_file(tmp_path / "pool" / "left.toml")
    settings = tmp_path / "pool" / "live.toml"
    settings.write_text('[camera]\nfile = "left.toml"\n[camera.files]\nright = "left.toml"\n')
    loaded = config.load(settings)
    assert config.camera_of(loaded, "main") is not None
    assert config.camera_of(loaded, "right") is not None


@pytest.mark.parametrize("typed", ["=x.toml", "left="])
def test_half_a_camera_is_refused(typed) -> None:
    with pytest.raises(ConfigError, match="NAME=FILE"):
        config.with_cameras(config.Config(), [typed])
