"""Who may look at a run: this machine, or who has the token, over TLS."""

import subprocess

import pytest

from pipeline.cli import DEFAULT_VIEW, with_address
from pipeline.config import ViewSettings, from_mapping
from pipeline.errors import ConfigError, EndpointError
from pipeline.recordings.about import About
from pipeline.viewer.access import COOKIE, Address, Gate, checked
from tests.posecast import SAMPLE, refused
from tests.rtsp import free_port

TOKEN = "0123456789abcdef"


def settings(**values: object) -> ViewSettings:
    return ViewSettings(**{"address": f"127.0.0.1:{free_port()}"} | values)


@pytest.fixture
def pair(tmp_path):
    """A certificate and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return str(cert), str(key)


def test_this_machine_needs_nothing() -> None:
    for address in ("127.0.0.1:0", "localhost:0", "[::1]:0"):
        assert checked(settings(address=address)).local
    assert Address("::1", 80).url == "http://[::1]:80/"


def test_beyond_it_token_and_tls_are_needed(pair) -> None:
    cert, key = pair
    for values in ({}, {"token": TOKEN}, {"tls_cert": cert, "tls_key": key}):
        with pytest.raises(EndpointError, match=r"reaches beyond this machine.*--view-token.*--view-tls"):
            checked(settings(address="0.0.0.0:0", **values))
    address = checked(settings(address="0.0.0.0:0", token=TOKEN, tls_cert=cert, tls_key=key))
    assert address.url == "https://0.0.0.0:0/"
    assert not address.local


@pytest.mark.parametrize(
    ("values", "told"),
    (
        ({"address": "8080"}, "not HOST:PORT"),
        ({"address": "127.0.0.1:http"}, "not HOST:PORT"),
        ({"address": "127.0.0.1:70000"}, "not HOST:PORT"),
        ({"token": "short"}, "shorter than 16"),
        ({"tls_cert": "a.pem"}, "one without the other"),
        ({"tls_cert": "nowhere.pem", "tls_key": "nowhere.key"}, r"view\.tls_cert: nowhere\.pem: no such file"),
    ),
)
def test_what_cannot_be_is_refused(values, told) -> None:
    with pytest.raises((ConfigError, EndpointError), match=told):
        checked(settings(**values))


def test_a_file_that_is_no_certificate_is_refused(tmp_path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="no certificate with that key"):
        checked(settings(tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "cert.pem")))


def test_a_page_of_a_stranger_does_not_pass() -> None:
    gate = Gate("", Address("127.0.0.1", 8088))
    assert not gate.refuses("127.0.0.1:8088", {}, {}, "")
    assert not gate.refuses("localhost:8088", {"Origin": "http://localhost:8088"}, {}, "")
    assert not gate.refuses("[::1]:8088", {}, {}, "")
    assert "name of this machine" in gate.refuses("evil.example:8088", {}, {}, "")
    assert "another page" in gate.refuses("127.0.0.1:8088", {"Origin": "http://evil.example"}, {}, "")


def test_the_token_opens_as_address_cookie_or_header() -> None:
    gate = Gate(TOKEN, Address("0.0.0.0", 8088, tls=True))
    host = "pool.example:8088"
    assert "token" in gate.refuses(host, {}, {}, "")
    assert "token" in gate.refuses(host, {"Authorization": "Bearer wrong"}, {COOKIE: "wrong"}, "wröng")
    assert not gate.refuses(host, {}, {}, TOKEN)
    assert not gate.refuses(host, {}, {COOKIE: TOKEN}, "")
    assert not gate.refuses(host, {"Authorization": f"Bearer {TOKEN}"}, {}, "")


def test_view_may_be_typed_without_an_address() -> None:
    usual = f"--view={DEFAULT_VIEW}"
    assert with_address(["run", "a.mp4", "--view"]) == ["run", "a.mp4", usual]
    assert with_address(["run", "--view", "rtsp://camera:554/live"]) == ["run", usual, "rtsp://camera:554/live"]
    assert with_address(["run", "--view", "usb:0"]) == ["run", usual, "usb:0"]
    assert with_address(["run", "--view", "--paced", "a.mp4"]) == ["run", usual, "--paced", "a.mp4"]
    assert with_address(["run", "--view", "127.0.0.1:9000", "a.mp4"])[1:3] == ["--view", "127.0.0.1:9000"]
    assert with_address(["run", "--view", "[::1]:9000"])[1:] == ["--view", "[::1]:9000"]


def test_the_command_refuses_in_one_line(tmp_path) -> None:
    line = refused(tmp_path, "run", SAMPLE, "--view", "0.0.0.0:8088", "--view-token", TOKEN, names="--view-tls")
    assert TOKEN not in line


def test_a_recording_does_not_tell_the_token() -> None:
    config = from_mapping({"view": {"address": "127.0.0.1:8088", "token": TOKEN}}, "test")
    kept = About.of(config, ()).attachments()["settings.json"][1]
    assert TOKEN not in kept.decode()
    assert "127.0.0.1:8088" in kept.decode()
