"""Broken, missing and vanishing sources: one line that names the source and the remedy, or carrying on."""

import base64
import itertools
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pipeline import config
from pipeline.errors import SourceError
from pipeline.sources import open_source
from tests.media import film, number_of, sound
from tests.rtsp import free_port, packets_of, require_gstreamer, serving


def settings(timeout_s: float = 3.0) -> config.Config:
    return config.from_mapping({"source": {"timeout_s": timeout_s}}, "test")


def refusal(uri: Path | str, timeout_s: float = 3.0) -> str:
    """The one line; that it came soon, alone, and without credentials."""
    began = time.monotonic()
    with pytest.raises(SourceError) as raised:
        open_source(str(uri), settings(timeout_s))
    line = str(raised.value)
    assert time.monotonic() - began < timeout_s + 3
    assert "\n" not in line
    assert "secret" not in line
    assert raised.value.exit_code == 2
    assert ";" in line, "no remedy"
    return line


def cut_off(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def numbers(pictures) -> list[int]:
    return [number_of(picture.planes[0]) for picture in pictures]


def test_missing_file(tmp_path) -> None:
    assert refusal(tmp_path / "none.mp4") == f"{tmp_path}/none.mp4: no such file; check the path"


def test_empty_file(tmp_path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty.mp4: the file is empty" in refusal(tmp_path / "empty.mp4")


@pytest.mark.parametrize("content", [b"Dear diver,\nthis is no film.\n" * 50, bytes(5000), b"\0\0\0\x18ftypmp42"])
def test_not_a_film(tmp_path, content) -> None:
    (tmp_path / "letter.mp4").write_bytes(content)
    assert "letter.mp4: not a video that can be read" in refusal(tmp_path / "letter.mp4")


@pytest.mark.parametrize("name", ["song.mp4", "song.mkv"])
def test_sound_alone(tmp_path, name) -> None:
    assert f"{name}: no video in it, only audio" in refusal(sound(tmp_path / name))


def test_a_folder_without_images(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert "no images in this folder; it takes" in refusal(tmp_path)


def test_a_file_whose_index_is_missing(tmp_path) -> None:
    path = cut_off(film(tmp_path / "dive.mp4", 30), 0.5)
    assert "cut off before its index was written" in refusal(path)


@pytest.mark.parametrize(
    ("name", "container_options"),
    [("dive.mp4", {"movflags": "faststart"}), ("dive.mkv", {}), ("dive.ts", {})],
)
def test_a_truncated_file_gives_what_is_there(tmp_path, name, container_options) -> None:
    path = film(tmp_path / name, 60, options={"bf": "2", "g": "10"}, container_options=container_options)
    source = open_source(str(cut_off(path, 0.6)), settings())
    seen = numbers(source.pictures())
    assert 10 < len(seen) < 60
    assert seen[:10] == list(range(10))
    assert seen == sorted(seen)
    if name == "dive.mp4":  # the other two do not say how many pictures there should be
        assert source.notes[-1] == f"{path}: ended after {len(seen)} of 60 pictures; the file is cut off or damaged"


def test_a_damaged_middle_is_skipped_and_noted(tmp_path) -> None:
    path = film(tmp_path / "dive.mp4", 60, codec="mjpeg", pix_fmt="yuvj420p")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle - 4000 : middle + 4000] = bytes(8000)
    path.write_bytes(content)
    source = open_source(str(path), settings())
    pictures = list(source.pictures())
    times = [picture.t_media_ns for picture in pictures]
    assert len(pictures) > 30
    assert number_of(pictures[-1].planes[0]) == 59
    assert times == sorted(set(times))
    assert times[-1] == 59 * 40_000_000
    assert len(pictures) == 60 or "damaged packets were skipped" in source.notes[0]


def test_nothing_of_it_decodes(tmp_path) -> None:
    path = film(tmp_path / "dive.avi", 5, codec="mjpeg", pix_fmt="yuvj420p")
    content = bytearray(path.read_bytes())
    start = content.index(b"movi") + 4
    while (start := content.find(b"00dc", start)) > 0 and start < len(content) - 400:
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        content[start + 8 : start + 8 + length] = bytes(length)
        start += length
    path.write_bytes(content)
    assert "dive.avi: " in refusal(path)


def test_a_size_that_changes_is_named(tmp_path) -> None:
    both = tmp_path / "both.ts"
    parts = [film(tmp_path / f"{width}.ts", 10, size=(width, 96), options={"bf": "0"}) for width in (160, 192)]
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = open_source(str(both), settings())
    with pytest.raises(SourceError, match=r"pictures change from 160x96 to 192x96 at .* s; split the recording"):
        list(source.pictures())


@pytest.mark.parametrize("uri", ["usb:77", "/dev/video77"])
def test_no_such_camera(uri) -> None:
    assert f"{uri}: no such device; plug the camera in" in refusal(uri)


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp"])
def test_nobody_listens(scheme) -> None:
    began = time.monotonic()
    line = refusal(f"{scheme}://user:secret@127.0.0.1:{free_port()}/live")
    assert time.monotonic() - began < 2
    assert line.startswith(f"{scheme}://***@127.0.0.1:")
    assert "connection refused; check host and port" in line


def test_a_protocol_that_is_not_built_in() -> None:
    line = refusal("srt://user:secret@127.0.0.1:9000")
    assert "srt://***@127.0.0.1:9000: protocol not built in; let ffmpeg pass it on" in line


def test_a_host_that_does_not_exist() -> None:
    assert "check address, host name and network" in refusal("http://nowhere.invalid/live.m3u8", timeout_s=10)


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = refusal(f"rtsp://user:secret@127.0.0.1:{silent.getsockname()[1]}/live", timeout_s=1)
    assert "no answer within 1 s" in line


# -- a real HTTP server ------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Serves what its server holds; endless streams carry no length, as a camera's do not."""

    server: "Server"

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(b"user:right").decode()
        if self.path == "/private" and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="pool"')
            self.end_headers()
            return
        content = self.server.content(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        if self.path == "/file":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Hands the given films out, one after the other, the last for ever."""

    daemon_threads = True

    def __init__(self, films: list[bytes | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.films = itertools.chain(films, itertools.repeat(films[-1]))

    def content(self, path: str) -> bytes | None:
        return None if path == "/nothing" else next(self.films)


@contextmanager
def http(*films: bytes | None) -> Iterator[str]:
    """Address of a server of these films."""
    with Server(list(films)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def streams(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("ts")
    options = {"bf": "0", "g": "5"}
    return [film(folder / f"{first}.ts", 10, first=first, options=options).read_bytes() for first in (0, 10, 20)]


def test_wrong_credentials_and_wrong_path(streams) -> None:
    with http(streams[0]) as host:
        assert "refuses user and password; check them" in refusal(f"http://user:secret@{host}/private")
        assert "no such stream (404)" in refusal(f"http://user:secret@{host}/nothing")
        assert open_source(f"http://user:right@{host}/private", settings()).info.name == f"http://***@{host}/private"


def test_an_answer_that_is_no_video() -> None:
    with http(b"<html>Log in first</html>" * 100) as host:
        assert "; check" in refusal(f"http://{host}/live")


def test_a_file_over_http_ends_as_a_file_does(streams) -> None:
    with http(streams[0]) as host:
        source = open_source(f"http://{host}/file", settings())
        assert not source.info.live
        assert numbers(source.pictures()) == list(range(10))
        source.close()


def test_a_live_stream_that_breaks_off_comes_back(streams) -> None:
    """Two interruptions; in the second the server answers 404 once before it is back."""
    with http(streams[0], streams[1], b"", streams[2]) as host:
        source = open_source(f"http://user:secret@{host}/live", settings())
        assert source.info.live
        assert source.info.frames is None
        pictures = list(itertools.islice(source.pictures(t_first_ns=7_000_000_000), 30))
        source.close()
    assert numbers(pictures) == list(range(30))
    assert source.reconnects == 2
    times_s = np.array([picture.t_media_ns for picture in pictures]) * 1e-9
    assert times_s[0] == 7
    steps = np.diff(times_s)
    assert (steps > 0).all()
    # This server sends faster than it shows: media time is ahead of the wall clock, which catches up in the gaps.
    assert (steps[[9, 19]] > 0.039).all()
    assert np.allclose(np.delete(steps, [9, 19]), 0.04, atol=0.001)
    assert any("connection lost, back after" in note for note in source.notes)
    assert not any("secret" in note for note in source.notes)


def test_stop_ends_the_attempts_to_come_back(streams) -> None:
    stop = threading.Event()
    with http(streams[0], None) as host:
        source = open_source(f"http://{host}/live", settings())
        threading.Timer(0.8, stop.set).start()
        began = time.monotonic()
        assert len(list(source.pictures(stop=stop.is_set))) == 10
        assert time.monotonic() - began < 3
        source.close()


def test_close_from_another_thread_ends_a_stream_that_hangs() -> None:
    """A thread waits inside FFmpeg; close returns at once, and who waits for its pictures waits no longer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve_a_little, args=(server,))
        thread.start()
        source = open_source(f"http://127.0.0.1:{server.getsockname()[1]}/live", settings(timeout_s=1.5))
        reader = threading.Thread(target=lambda: list(source.pictures()))
        reader.start()
        time.sleep(0.2)
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 1
        reader.join(6)
        assert not reader.is_alive()
        thread.join()


def _serve_a_little(server: socket.socket) -> None:
    with tempfile.TemporaryDirectory() as folder:
        content = film(Path(folder) / "a.ts", 60, options={"bf": "0", "g": "5"}).read_bytes()
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + content)
        connection.settimeout(8)
        connection.recv(1)  # says nothing more, until the other side hangs up


def test_an_rtsp_camera_that_is_switched_off_and_on(tmp_path) -> None:
    require_gstreamer()
    packets = packets_of(film(tmp_path / "dive.mp4", 50, options={"bf": "0", "g": "10"}), tmp_path / "packets")
    port = free_port()
    with serving(packets, port):
        source = open_source(f"rtsp://127.0.0.1:{port}/live", settings())
        assert source.info.live
        flow = source.pictures()
        times = [next(flow).t_media_ns for _ in range(20)]
    back = threading.Thread(target=lambda: times.extend(next(flow).t_media_ns for _ in range(40)))
    back.start()
    time.sleep(0.7)
    with serving(packets, port):
        back.join(30)
        assert not back.is_alive()
        source.close()
    assert source.reconnects >= 1
    assert (np.diff(times) > 0).all()
    assert max(np.diff(times)) > 500_000_000
