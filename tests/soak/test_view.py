"""The page of a real run in a real browser: skeletons lie on the athlete of the same frame, one can go back in time,
and the page comes back after posecast did."""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from calibration.camera import Camera
from calibration.store import save
from calibration.venue import Board, Calibration
from tests.chromium import Page, browsing, require_chromium
from tests.posecast import SAMPLE, require_weights, running
from tests.rtsp import free_port, packets_of, require_gstreamer, serving

pytestmark = pytest.mark.slow

SAMPLES = 8
FLYING = "['flight', 'entry'].includes(document.getElementById('phase').textContent)"
SHOWN = "document.getElementById('video').shown"
SCRUB = """(() => {
  const bar = document.getElementById('scrub');
  bar.value = -8;
  bar.dispatchEvent(new Event('input'));
})()"""
LOOK = """(() => {
  const canvas = document.getElementById('video');
  return { ...canvas.shown, width: canvas.width, picture: canvas.toDataURL('image/jpeg', 0.9) };
})()"""


@cache
def truth() -> dict:
    return json.loads(SAMPLE.with_name("dive.truth.json").read_text(encoding="utf-8"))


@cache
def pictures(width: int) -> list[np.ndarray]:
    """The sample's pictures, as wide as the canvas."""
    with av.open(str(SAMPLE)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    return [cv2.resize(frame, (width, width * 9 // 16), interpolation=cv2.INTER_AREA) for frame in frames]


def camera_file(path: Path) -> Path:
    """The sample's camera, where it stands."""
    told = truth()
    matrix = np.array(told["camera_matrix_px"])
    camera = Camera(*told["size_px"], matrix[0, 0], (matrix[0, 2], matrix[1, 2]))
    board = Board("springboard", told["dive"]["height_m"], 0.5, 4.8)
    save(path, Calibration(camera, np.array(told["world_from_cam"]), board=board))
    return path


@contextmanager
def watched(folder: Path, source: str, port: int) -> Iterator[None]:
    """A run of the sample's camera with its page."""
    camera, endpoint = folder / "camera.toml", f"ipc://{folder}/public.sock"
    arguments = ("run", source, f"--view=127.0.0.1:{port}", "--endpoint", endpoint, "--camera", camera)
    with running(*arguments) as process:
        yield
        assert process.poll() is None, process.stderr.read()


def frame_of(look: dict) -> dict:
    """The truth of the frame that was shown: the source plays the sample over and over."""
    return truth()["frames"][look["seq"] % len(truth()["frames"])]


async def frames_of_flight(page: Page) -> list[dict]:
    """Some frames that the page has shown of somebody in the air."""
    found: dict[int, dict] = {}
    while len(found) < SAMPLES:
        await page.until(FLYING)
        look = await page.evaluate(LOOK)
        if len(look["joints"]) == 17 and frame_of(look)["phase"] == "flight":
            found[look["seq"]] = look
    return list(found.values())


def examine(looks: list[dict]) -> None:
    """Each canvas shows the picture of the frame whose number it bears, with that frame's joints on the athlete."""
    errors, apart = [], []
    for look in looks:
        frame = look["seq"] % len(truth()["frames"])
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(look["picture"].partition(",")[2]), np.uint8), 1)
        assert abs(look["scale"] * truth()["size_px"][0] - look["width"]) < 1
        joints = np.array(frame_of(look)["joints_img_px"]) * look["scale"]
        torso = np.linalg.norm(joints[0] - joints[8])
        errors.append(np.linalg.norm(np.array(look["joints"]) - joints, axis=1) / torso)
        left, top = np.maximum(joints.min(axis=0) - torso, 0).astype(int)
        right, bottom = (joints.max(axis=0) + torso).astype(int)
        here = (slice(top, bottom), slice(left, right))
        differences = [np.abs(shown[here].astype(int) - other[here]).mean() for other in pictures(look["width"])]
        apart.append(abs(int(np.argmin(differences)) - frame))
        assert drawn_joints(look, shown) > 0.5
    assert sorted(apart)[-2] <= 1, f"frames between the picture and its number: {apart}"
    assert np.median(errors) < 0.25, "of a torso's length"
    typical = np.median(errors, axis=1)  # of each frame; where limbs cover one another the network mistakes some
    assert np.mean(typical < 0.4) >= 0.75, typical


def drawn_joints(look: dict, shown: np.ndarray) -> float:
    """Share of the joints that have white of a joint's disc, or its colour, where they are said to be drawn."""
    colours = np.array([(255, 255, 255), (20, 160, 255), (255, 170, 60), (240, 240, 240)])  # BGR
    found = 0
    for u, v in look["joints"]:
        near = shown[max(0, round(v) - 3) : round(v) + 4, max(0, round(u) - 3) : round(u) + 4].reshape(-1, 1, 3)
        found += bool((np.abs(near.astype(int) - colours).max(axis=2) < 60).any())
    return found / len(look["joints"])


async def go_back(page: Page) -> None:
    """Pause, single frames, the last seconds, a dive again, and now."""
    press = "document.getElementById('{}').click()"
    await page.evaluate(press.format("pause"))
    await asyncio.sleep(0.3)
    paused = await page.evaluate(SHOWN)
    await asyncio.sleep(0.5)
    assert (await page.evaluate(SHOWN))["seq"] == paused["seq"]
    await page.evaluate(press.format("back"))
    await page.until(f"{SHOWN}.seq < {paused['seq']}")
    await page.evaluate(SCRUB)
    await page.until(f"{SHOWN}.t < {paused['t']} - 1000")
    await page.evaluate("document.querySelector('#dives button').click()")
    await page.until("document.getElementById('link').textContent === 'dive'")
    await page.until("document.querySelector('#dives button').ariaPressed === 'true'")
    await page.until(FLYING)
    await page.evaluate(press.format("live"))
    await page.until(f"{SHOWN}.t > {paused['t']} + 500")


async def look_at(folder: Path, source: str, port: int) -> None:
    with ExitStack() as first_run:
        first_run.enter_context(watched(folder, source, port))
        async with browsing(f"http://127.0.0.1:{port}/", folder / "profile") as page:
            await page.until(f"{SHOWN}?.joints.length")
            await page.until("document.querySelectorAll('#dives li').length")
            examine(await frames_of_flight(page))
            first = await page.until("document.getElementById('scene').shown")
            await page.until(f"document.getElementById('scene').shown?.seq > {first['seq']} + 20")
            assert "103C" in str(await page.evaluate("document.getElementById('dives').innerText"))
            await go_back(page)
            first_run.close()
            await page.until("document.getElementById('link').textContent === 'reconnecting'")
            with watched(folder, source, port):
                await page.until("document.getElementById('link').textContent === 'live'")
                again = await page.until(SHOWN)
                await page.until(f"{SHOWN}.seq > {again['seq']} + 20")
    assert not [line for line in page.said if "Content Security" in line or "exception" in line.lower()]
    assert all(address.startswith(f"http://127.0.0.1:{port}/") for address in page.asked), page.asked


def test_skeletons_lie_on_the_athlete_and_the_page_comes_back(tmp_path) -> None:
    require_chromium()
    require_weights()
    require_gstreamer()
    camera_file(tmp_path / "camera.toml")
    port = free_port()
    with serving(packets_of(SAMPLE, tmp_path / "packets"), port):
        asyncio.run(look_at(tmp_path, f"rtsp://127.0.0.1:{port}/live", free_port()))
