"""What a page costs that watches a run: ways to send its pictures, the delay to the screen, and the poses meanwhile.

    python benchmarks/view.py [--seconds N] [--json FILE] [--markdown FILE]

Ways: JPEG as the page gets it, H.264 (x264, ultrafast, zerolatency) for WebCodecs, each encoded here and decoded in
headless Chromium. Delay: from the picture that left capture's decoder to the canvas it was drawn on, both by this
machine's clock; camera and monitor add their own. Chromium without a graphics processor draws with the same cores, so
the poses are also counted with a browser that takes everything and draws nothing, and without any.
"""

import argparse
import asyncio
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, Final

# Python puts this file's folder first, where `engines.py` would be taken for the package `engines`.
ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

import aiohttp  # noqa: E402
import av  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from benchmarks import page  # noqa: E402
from benchmarks.clip import repeated  # noqa: E402
from pipeline.bench import machine  # noqa: E402
from pipeline.picture import Picture, from_av  # noqa: E402
from pipeline.viewer.pictures import jpeg, shrunk  # noqa: E402
from tests.chromium import Page, browsing  # noqa: E402
from tests.rtsp import free_port  # noqa: E402

SAMPLE: Final = ROOT / "samples" / "dive.mp4"
PICTURES: Final = 100
HEIGHT_PX: Final = 540
QUALITY: Final = 75
WARM_UP_S: Final = 6.0
_DECODE_JPEG: Final = """async (pictures) => {
  const took = [];
  for (const text of pictures) {
    const blob = await (await fetch("data:image/jpeg;base64," + text)).blob();
    const before = performance.now();
    (await createImageBitmap(blob)).close();
    took.push(performance.now() - before);
  }
  return took;
}"""
_DECODE_H264: Final = """async (pictures) => {
  const took = [];
  let done;
  const decoder = new VideoDecoder({
    output: (frame) => { frame.close(); done(); },
    error: (error) => { throw error; },
  });
  decoder.configure({ codec: "avc1.42c01f", optimizeForLatency: true });
  for (const [i, text] of pictures.entries()) {
    const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const before = performance.now();
    const shown = new Promise((resolve) => (done = resolve));
    decoder.decode(new EncodedVideoChunk({ type: i ? "delta" : "key", timestamp: 20000 * i, data }));
    await shown;
    took.push(performance.now() - before);
  }
  return took;
}"""
_WATCH: Final = """async (seconds) => {
  const canvas = document.getElementById("video");
  const ages = [];
  let last = -1;
  let frames = 0;
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end) {
    await new Promise(requestAnimationFrame);
    frames++;
    if (!canvas.shown || canvas.shown.seq === last) continue;
    last = canvas.shown.seq;
    ages.push(performance.timeOrigin + performance.now() - canvas.shown.captured);
  }
  return { ages, frames };
}"""


def main() -> None:
    """Measure, print, write."""
    options = _options()
    cv2.setNumThreads(1)
    figures = asyncio.run(_measured(options.seconds))
    page.finish(figures | {"machine": machine(), "seconds": options.seconds}, markdown, options)


def _options() -> argparse.Namespace:
    parser = page.arguments("What a page costs that watches a run.")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each run is looked at")
    return page.chosen(parser)


async def _measured(seconds: float) -> page.Figures:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        film = repeated(SAMPLE, round((seconds + 40) / 3.3), Path(folder) / "film.mp4")
        ways = await _ways(Path(folder))
        runs = {
            "nobody looks": await _run(film, seconds, _nobody),
            "everything is taken, nothing drawn": await _run(film, seconds, _taking),
            "Chromium, 390x844": await _run(film, seconds, _watching_at(390, 844)),
            "Chromium, 1440x900": await _run(film, seconds, _watching_at(1440, 900)),
        }
    return {"ways": ways, "runs": runs}


# -- ways to send a picture ----------------------------------------------------------------------------------------


async def _ways(folder: Path) -> list[dict[str, Any]]:
    with av.open(str(SAMPLE)) as container:
        pictures = [from_av(frame) for frame in container.decode(video=0)][:PICTURES]
    smalls = [shrunk(picture, HEIGHT_PX) for picture in pictures]
    shrinking = _each_ms(lambda picture: shrunk(picture, HEIGHT_PX), pictures)[0]
    encode_h264 = _h264(smalls[0])
    with _served(folder) as url:
        async with browsing(url, folder / "ways") as browser:
            return [
                await _way(browser, "JPEG", shrinking, lambda small: jpeg(small, QUALITY), smalls, _DECODE_JPEG),
                await _way(browser, "H.264", shrinking, encode_h264, smalls, _DECODE_H264),
            ]


async def _way(
    browser: Page,
    name: str,
    shrinking_ms: float,
    encode: Callable[[Picture], bytes],
    smalls: list[Picture],
    decode: str,
) -> dict[str, Any]:
    encoding_ms, made = _each_ms(encode, smalls)
    texts = json.dumps([base64.b64encode(data).decode() for data in made])
    took = await browser.evaluate(f"({decode})({texts})")
    return {
        "way": name,
        "shrink_ms": shrinking_ms,
        "encode_ms": encoding_ms,
        "kb": median(len(data) for data in made) / 1e3,
        "decode_ms": median(took[5:]),
    }


def _each_ms(does: Callable[[Any], Any], inputs: list[Any]) -> tuple[float, list[Any]]:
    """Median processor time of one, and what came out."""
    took, made = [], []
    for one in inputs:
        before = time.process_time()
        made.append(does(one))
        took.append(time.process_time() - before)
    return 1e3 * median(took), made


def _h264(first: Picture) -> Callable[[Picture], bytes]:
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = first.width, first.height, "yuv420p"
    codec.time_base, codec.thread_count = Fraction(1, 50), 1
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "25", "g": "1000", "profile": "baseline"}

    def encode(small: Picture) -> bytes:
        frame = av.VideoFrame(small.width, small.height, "yuv420p")
        for plane, source in zip(frame.planes, small.planes, strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            rows[:, : source.shape[1]] = source
        return b"".join(bytes(packet) for packet in codec.encode(frame))

    return encode


class _served:
    """An empty page on loopback: what a browser decodes there it decodes as on the page of a run."""

    def __init__(self, folder: Path) -> None:
        (folder / "index.html").write_text("<!doctype html><title>decoding</title>")
        self._port = free_port()
        self._command = [sys.executable, "-m", "http.server", str(self._port), "--bind", "127.0.0.1", "-d", str(folder)]

    def __enter__(self) -> str:
        self._server = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return f"http://127.0.0.1:{self._port}/"

    def __exit__(self, *error: object) -> None:
        self._server.kill()
        self._server.wait()


# -- runs that are watched -----------------------------------------------------------------------------------------


async def _run(film: Path, seconds: float, look: Callable[[str, float], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """A run of the film at its own speed, looked at for so long; poses a second and costs by its own metrics."""
    url = f"http://127.0.0.1:{free_port()}/"
    command = [sys.executable, "-m", "pipeline.cli", "run", str(film), "--paced", f"--view={url[7:-1]}"]
    command += ["--endpoint", f"tcp://127.0.0.1:{free_port()}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            async with aiohttp.ClientSession() as session:
                while not await _metric(session, url, "posecast_poses_total"):
                    await asyncio.sleep(0.2)
                looking = asyncio.create_task(look(url, seconds + WARM_UP_S))
                await asyncio.sleep(WARM_UP_S)
                before = await _counts(session, url)
                await asyncio.sleep(seconds)
                after = await _counts(session, url)
                seen = await looking
        finally:
            process.terminate()
    spent = {name: after[name] - before[name] for name in before}
    return seen | {
        "poses_hz": spent["poses"] / seconds,
        "pose_ms": 1e3 * spent["age_sum"] / max(1.0, spent["age_count"]),
        "view_cores": spent["cpu"] / seconds,
    }


async def _counts(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    first = {"revision": "provisional"}
    return {
        "poses": await _metric(session, url, "posecast_poses_total", **first),
        "age_sum": await _metric(session, url, "posecast_pose_age_seconds_sum", **first),
        "age_count": await _metric(session, url, "posecast_pose_age_seconds_count", **first),
        "cpu": await _metric(session, url, "posecast_stage_cpu_seconds_total", stage="view"),
    }


async def _metric(session: aiohttp.ClientSession, url: str, name: str, **labels: str) -> float:
    """Sum of a metric's samples with these labels; 0 while nobody serves."""
    try:
        async with session.get(f"{url}metrics") as answer:
            text = await answer.text()
    except aiohttp.ClientConnectionError:
        return 0.0
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


async def _nobody(url: str, seconds: float) -> dict[str, Any]:
    await asyncio.sleep(seconds)
    return {}


async def _taking(url: str, seconds: float) -> dict[str, Any]:
    """A browser that takes every picture and draws none."""
    pictures = 0
    end = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}ws", max_msg_size=0) as socket:
        while time.monotonic() < end:
            if (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                pictures += 1
                await socket.send_str("seen")
    return {"pictures_hz": pictures / seconds}


def _watching_at(width: int, height: int) -> Callable[[str, float], Awaitable[dict[str, Any]]]:
    return lambda url, seconds: _watching(url, seconds, width, height)


async def _watching(url: str, seconds: float, width: int, height: int) -> dict[str, Any]:
    """Chromium, with a window of that size."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return await _watched(url, seconds - WARM_UP_S, Path(folder), (width, height))


async def _watched(url: str, watched: float, profile: Path, size: tuple[int, int]) -> dict[str, Any]:
    async with browsing(url, profile) as browser:
        await browser.size(*size)
        await browser.until("document.getElementById('video').shown")
        seen = await browser.evaluate(f"({_WATCH})({watched})")
    ages = sorted(seen["ages"])
    return {
        "pictures_hz": len(ages) / watched,
        "delay_p50_ms": median(ages),
        "delay_p95_ms": ages[int(0.95 * (len(ages) - 1))],
        "drawn_hz": seen["frames"] / watched,
    }


def markdown(figures: page.Figures) -> str:
    """The section for the page."""
    size = f"{HEIGHT_PX * 16 // 9}x{HEIGHT_PX}"
    text = page.facts(
        figures,
        f"the sample dive, 1920x1080 at 50 frames a second, over and over; pictures on the page {size}",
        f"{PICTURES} pictures of each way; each run for {figures['seconds']:g} s after {WARM_UP_S:g} s; medians",
        "python benchmarks/view.py",
    )
    ways = [
        (way["way"], *(f"{way[name]:.1f}" for name in ("shrink_ms", "encode_ms", "decode_ms", "kb")))
        for way in figures["ways"]
    ]
    columns = ("poses_hz", "pose_ms", "view_cores", "pictures_hz", "drawn_hz", "delay_p50_ms", "delay_p95_ms")
    digits = {"view_cores": 2}
    runs = [
        (name, *(f"{run[column]:.{digits.get(column, 0)}f}" if column in run else "" for column in columns))
        for name, run in figures["runs"].items()
    ]
    way_head = ("picture", "shrink ms", "encode ms", "decode in Chromium ms", "kB")
    run_head = ("who looks", "poses/s", "pose after ms", "cores of the page's server", "pictures/s", "drawn/s")
    run_head += ("picture and skeleton on the canvas after ms", "95 of 100 ms")
    return f"{text}\n{page.table(way_head, ways)}\n{page.table(run_head, runs)}"


if __name__ == "__main__":
    page.guarded(main)
