"""Addresses: what is shown of them, and credentials with characters that mean something."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.address import escaped, host_and_port, is_live, masked, never_ends, veiled
from pipeline.errors import ConfigError
from pipeline.streams import named


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("rtsp://u:p@cam:554/x", "rtsp://u:p@cam:554/x"),
        ("rtsp://cam/stream@2", "rtsp://cam/stream@2"),
        ("rtsp://u:p%40s@cam/x", "rtsp://u:p%40s@cam/x"),
        ("rtsp://u:p@ss@cam/x", "rtsp://u:p%40ss@cam/x"),
        ("rtsp://u:p/a#b?c@cam:1/x", "rtsp://u:p%2Fa%23b%3Fc@cam:1/x"),
        ("rtsp://u:p@ss/w#r@10.0.0.7/x", "rtsp://u:p%40ss%2Fw%23r@10.0.0.7/x"),
        ("rtsp://u:100%@[::1]:5/", "rtsp://u:100%25@[::1]:5/"),
        ("rtsp://ad min:ä ö@cam", "rtsp://ad%20min:%C3%A4%20%C3%B6@cam"),
        ("usb:0", "usb:0"),
        ("/videos/a@b.mp4", "/videos/a@b.mp4"),
    ],
)
def test_credentials_are_encoded_where_they_must_be(typed, sent) -> None:
    assert escaped(typed) == sent


odd = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=20
)


@given(odd.filter(lambda user: ":" not in user), odd)
def test_any_password_reaches_a_host_with_a_port(user, password) -> None:
    """Percent signs that look like an escape are taken for one; else what was typed is what is sent."""
    sent = urlsplit(escaped(f"rtsp://{user}:{password}@192.0.2.7:554/live"))
    if sent.hostname == "192.0.2.7" and "%" not in user + password:
        assert (unquote(sent.username or ""), unquote(sent.password or "")) == (user, password)
    assert masked(f"rtsp://{user}:{password}@192.0.2.7:554/live") == "rtsp://***@192.0.2.7:554/live"


def test_where_an_rtsp_server_is() -> None:
    assert host_and_port("rtsp://u:p@cam/x") == ("cam", 554)
    assert host_and_port("rtsps://[::1]:99/x") == ("::1", 99)
    assert host_and_port("http://cam/x") is None
    assert host_and_port("rtsp://cam:notaport/x") is None


def test_what_never_ends() -> None:
    assert is_live("rtsp://cam/x")
    assert is_live("usb:0")
    assert not is_live("http://cam/x")
    assert never_ends("http://cam/x", paced=False)
    assert not never_ends("http://cam/x", paced=True)
    assert not never_ends("dive.mp4", paced=False)


def test_what_libraries_say_is_veiled() -> None:
    uri = "rtsp://u:p@ss@cam/x"
    said = f"[Errno 5] failed: '{escaped(uri)}' and '{uri}'"
    assert veiled(said, [uri, "dive.mp4"]) == "[Errno 5] failed: 'rtsp://***@cam/x' and 'rtsp://***@cam/x'"


def test_an_address_may_stand_in_the_environment_or_in_a_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CAMERA_URL", "rtsp://u:p=1@cam/x\n")
    (tmp_path / "camera").write_text("rtsp://u:p@other/x\nnot this\n")
    streams = named(["env:CAMERA_URL", f"left=read:{tmp_path}/camera"], "main")
    assert [(stream.name, stream.uri) for stream in streams] == [
        ("cam1", "rtsp://u:p=1@cam/x"),
        ("left", "rtsp://u:p@other/x"),
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("env:NO_SUCH_VARIABLE", "no such variable"),
        ("read:/no/such/file", "cannot be read"),
        ("read:EMPTY", "is empty"),
    ],
)
def test_an_address_that_is_not_there_is_one_line(tmp_path, monkeypatch, source, words) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").write_text("\n")
    with pytest.raises(ConfigError, match=words) as raised:
        named([source], "main")
    assert "\n" not in str(raised.value)
