"""What a user may wrongly type: one line that names it and the remedy, exit code 2, nothing left behind."""

import wave
from pathlib import Path

import pytest

from calibration.camera import Camera
from calibration.store import save
from calibration.venue import Calibration
from tests import rtsp
from tests.posecast import SAMPLE, left_behind, posecast, require_weights


def audio_only(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000)
    return path


def bad_inputs(tmp_path: Path) -> dict[str, str]:
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    folder = tmp_path / "nothing"
    folder.mkdir()
    header = tmp_path / "header.mp4"
    header.write_bytes(SAMPLE.read_bytes()[:2000])
    return {
        "missing": str(tmp_path / "missing.mp4"),
        "empty": str(empty),
        "text": str(text),
        "folder without pictures": str(folder),
        "audio only": str(audio_only(tmp_path / "audio.wav")),
        "header only": str(header),
        "camera not there": "rtsp://user:secret@127.0.0.1:1/live",
        "device not there": "/dev/video77",
    }


NAMES = [
    "missing",
    "empty",
    "text",
    "folder without pictures",
    "audio only",
    "header only",
    "camera not there",
    "device not there",
]


WAITED_FOR = ["camera not there", "device not there"]
"""By a live run: they may come yet."""


@pytest.mark.parametrize(
    ("verb", "name"),
    [("replay", name) for name in NAMES] + [("run", name) for name in NAMES if name not in WAITED_FOR],
)
def test_one_line_and_exit_code_2(tmp_path, verb, name) -> None:
    source = bad_inputs(tmp_path)[name]
    extra = ["--out", tmp_path / "out"] if verb == "replay" else ["--endpoint", f"ipc://{tmp_path}/public.sock"]
    result = posecast(verb, source, *extra, timeout_s=60)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert Path(source).name in result.stderr or "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr
    assert "secret" not in result.stderr + result.stdout
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True
    assert left_behind([]) == []


def test_one_bad_file_among_good_ones_does_not_stop_them(tmp_path) -> None:
    require_weights()
    missing = tmp_path / "missing.mp4"
    result = posecast("replay", missing, SAMPLE, "--out", tmp_path / "out", "--no-overlay", "--no-plot", timeout_s=200)
    assert result.returncode == 2
    assert "missing.mp4" in result.stderr
    assert (tmp_path / "out" / "dive" / "summary.json").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", SAMPLE, "--config", "nowhere.toml"),
        ("check", "nowhere.toml"),
        ("run", SAMPLE, "--endpoint", "tcp://0.0.0.0:5599"),
        ("run", SAMPLE, "--endpoint", "nonsense"),
        ("run", SAMPLE, "--no-such-option"),
        ("walk",),
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:1] + arguments[2:])),
)
def test_wrong_words_are_one_line(arguments) -> None:
    result = posecast(*arguments, timeout_s=60)
    assert result.returncode == 2, result.stderr
    assert result.stderr.strip().count("\n") == 0, result.stderr
    assert "Traceback" not in result.stderr


def test_results_that_cannot_be_written_are_one_line(tmp_path) -> None:
    require_weights()
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    result = posecast("replay", SAMPLE, "--out", blocked / "out", timeout_s=60)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert str(blocked) in result.stderr
    assert left_behind([]) == []


def test_missing_weights_are_one_line(tmp_path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f'policy = "replay"\n[engines]\nweights = "{tmp_path}"\n')
    result = posecast("replay", SAMPLE, "--out", tmp_path / "out", "--config", path, timeout_s=60)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert ".onnx" in result.stderr


def camera_files(folder: Path) -> dict[str, str]:
    """Camera files that cannot be used with the sample dive, and what the line must say."""
    save(folder / "square.toml", Calibration(Camera(1000, 1000, 900.0, (499.5, 499.5))))
    save(folder / "good.toml", Calibration(Camera(1920, 1080, 900.0, (959.5, 539.5))))
    text = (folder / "good.toml").read_text()
    (folder / "short.toml").write_text(text.replace("focal_px = 900.0", "focal_px = 5.0"))
    (folder / "cut.toml").write_text(text[: len(text) // 2])
    return {"square.toml": "1000", "short.toml": "focal_px", "cut.toml": "cut.toml", "nowhere.toml": "nowhere.toml"}


@pytest.mark.parametrize("verb", ["replay", "run"])
@pytest.mark.parametrize("name", ["square.toml", "short.toml", "cut.toml", "nowhere.toml"])
def test_a_wrong_camera_is_one_line(tmp_path, verb, name) -> None:
    require_weights()
    words = camera_files(tmp_path)[name]
    out = ("--out", tmp_path / "out") if verb == "replay" else ("--endpoint", f"tcp://127.0.0.1:{rtsp.free_port()}")
    result = posecast(verb, SAMPLE, *out, "--camera", tmp_path / name, timeout_s=60)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert left_behind([]) == []
