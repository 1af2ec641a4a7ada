"""What is typed becomes streams with names; a bad name is one line that shows no password."""

import pytest

from pipeline.errors import ConfigError
from pipeline.streams import Stream, named

SECRET = "rtsp://user:secret@192.0.2.7/live"


def names(*sources: str) -> list[str]:
    return [stream.name for stream in named(sources, "main")]


def test_a_single_source_has_the_configured_name_or_the_typed_one() -> None:
    assert named([SECRET], "platform") == (Stream("platform", SECRET),)
    assert named([f"tower={SECRET}"], "platform") == (Stream("tower", SECRET),)


def test_several_are_numbered_unless_named() -> None:
    assert names("usb:0", "usb:1", "usb:2") == ["cam1", "cam2", "cam3"]
    assert names("left=usb:0", "usb:1") == ["left", "cam2"]
    assert named(["a=usb:0", f"b={SECRET}"], "main")[1].uri == SECRET


@pytest.mark.parametrize(
    "source", ["rtsp://h/live?a=b", "http://h/x.m3u8?t=1=2", "./a=b.mp4", "/videos/take=2.mp4", "usb:0"]
)
def test_a_sign_inside_an_address_or_path_is_no_name(source) -> None:
    assert named([source], "main") == (Stream("main", source),)


def test_a_file_with_the_sign_in_its_name_is_a_file(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "take=2.mp4").write_text("")
    assert named(["take=2.mp4"], "main") == (Stream("main", "take=2.mp4"),)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ((f"my cam={SECRET}",), "'my cam'"),
        ((f"={SECRET}",), "''"),
        ((f"{'x' * 33}={SECRET}",), "32 letters"),
        (("left=", "usb:0"), "no source behind the name"),
        ((f"a={SECRET}", f"a={SECRET}"), "'a' is there already"),
        (("cam2=usb:0", SECRET), "'cam2' is there already"),
    ],
)
def test_bad_names_are_refused_in_a_line(sources, said) -> None:
    with pytest.raises(ConfigError) as caught:
        named(sources, "main")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
