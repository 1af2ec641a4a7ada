"""Rendered dives, the sample among them: a video each, with its exact truth beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from engines.skeleton import JOINT_NAMES, PARENTS
from training.synth import board, dive, report, shots
from training.synth.body import MESH_FINE, Body, BodyModel, load
from training.synth.camera import Camera, looking
from training.synth.look import Lighting, random_look
from training.synth.pool import Pool, Splash
from training.synth.poses import COLUMN, joints_of
from training.synth.render import Renderer
from training.synth.retarget import turns_from_joints
from training.synth.shots import Shot

Array = npt.NDArray[Any]

SIZE_PX: Final = (1920, 1080)
FPS: Final = 50
STREAM: Final = 3
"""First number of the dive's random seed; training pictures use 1 and 2, so their numbers never coincide."""
DEFAULT_SHOT: Final = Shot()
"""A static camera square to the flight; `side_camera`."""
WINDOW_PX: Final = 640
"""Side of the part of the picture in which the diver is drawn, at least; at most the picture's height."""


def anny_shape(model: BodyModel, body: Body) -> board.Shape:
    """Angles to joints by way of the body's own bones, so that the truth is the drawn body's."""

    def shape(angles: Array) -> Array:
        turns = turns_from_joints(model, body, joints_of(angles), 0.0, angles[:, COLUMN["plantar"]])
        return model.joints(body, turns).astype(float)

    return shape


def side_camera(plan: dive.Plan) -> Camera:
    """A static camera 16.5 m to the side with the whole dive in view."""
    top, bottom = 2.85, -plan.height_m - 1.05
    middle = np.array([0.9, 0.0, (top + bottom) / 2])
    position = np.array([1.6, -16.5, 0.9])
    focal = SIZE_PX[1] / (top - bottom) * float(np.linalg.norm(middle - position))
    return looking(position, middle, focal, SIZE_PX)


@dataclasses.dataclass(frozen=True)
class _Stage:
    model: BodyModel
    body: Body
    dive: dive.Dive
    cameras: list[Camera]
    """One for each frame, or a single one that rests."""
    pool: Pool

    def camera(self, frame: int) -> Camera:
        return self.cameras[min(frame, len(self.cameras) - 1)]

    def joints_px(self) -> Array:
        """Joints [T, 17, 2] in the pictures."""
        joints = self.dive.joints_world_m
        cameras = [self.camera(k) for k in range(len(joints))]
        return np.stack([camera.project(camera.to_cam(pose)) for camera, pose in zip(cameras, joints, strict=True)])

    def window_px(self) -> int:
        """Side of a square that holds the diver of every frame."""
        largest = float(np.ptp(self.joints_px(), axis=1).max())
        return int(np.clip(-(-1.3 * largest // 64) * 64, WINDOW_PX, min(SIZE_PX)))


def _window(camera: Camera, joints_px: Array, side: int) -> tuple[Camera, int, int]:
    """The part of the picture around the diver as a camera of its own, with its corner in the picture."""
    centre = (joints_px.min(0) + joints_px.max(0)) / 2
    size = np.array(camera.size_px)
    x, y = np.clip(np.rint(centre - side / 2), 0, size - side).astype(int).tolist()
    matrix = camera.matrix_px.copy()
    matrix[0, 2] -= x
    matrix[1, 2] -= y
    return Camera(matrix, camera.world_from_cam, (side, side)), x, y


def _backdrops(stage: _Stage, rng: np.random.Generator) -> Callable[[Camera], Array]:
    """What rests, as any camera of the clip sees it."""
    if len(stage.cameras) == 1:
        still = stage.pool.backdrop(rng, 2)
        return lambda _: still.copy()
    wide = shots.wide(stage.cameras)
    picture = dataclasses.replace(stage.pool, camera=wide).backdrop(rng)
    return shots.Panning(wide, picture).seen


def _frames(
    stage: _Stage, renderer: Renderer, rng: np.random.Generator, chosen: Sequence[int] | None = None
) -> Iterator[tuple[Array, Array]]:
    """Pictures [H, W, 3], all or `chosen` ones, and the diver's pixels [H, W] in them."""
    truth, side = stage.dive, renderer.size_px[0]
    look = dataclasses.replace(random_look(rng), suit=2, leg_share=0.12, barefoot=True, sock_share=0.0)
    direction = np.array([0.35, -0.6, 0.75])
    light = Lighting(
        direction / np.linalg.norm(direction),
        np.array([0.95, 0.92, 0.88]),
        np.full(3, 0.5),
        np.array([0.2, 0.25, 0.28]),
    )
    backdrop = _backdrops(stage, rng)
    entry = truth.joints_world_m[round(truth.events_s["entry"] * FPS)]
    where = np.array([(entry[13, 0] + entry[16, 0]) / 2 + 0.1, (entry[13, 1] + entry[16, 1]) / 2, -truth.plan.height_m])
    splash = Splash(rng, where, truth.events_s["entry"])
    plantar = truth.angles[:, COLUMN["plantar"]]
    places = stage.joints_px()
    for k in range(len(places)) if chosen is None else chosen:
        turns = turns_from_joints(stage.model, stage.body, joints_of(truth.angles[k : k + 1]), 0.0, plantar[k])
        vertices = stage.model.posed(stage.body, turns)[0][0] @ truth.turn[k].T + truth.joints_world_m[k, 0]
        camera = stage.camera(k)
        window, x, y = _window(camera, places[k], side)
        layer = renderer.draw(stage.body, vertices, look, light, window)
        pool = dataclasses.replace(stage.pool, camera=camera)
        image = backdrop(camera)
        pool.board(image, float(truth.board_tip_m[k]))
        part = image[y : y + side, x : x + side]
        part[:] = pool.with_athlete(part, layer, window)
        splash.draw(image, camera, float(truth.t_s[k]))
        mask = np.zeros(image.shape[:2], bool)
        mask[y : y + side, x : x + side] = layer.mask
        yield image, mask


def _encode(path: Path, frames: Iterable[Array]) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "26", "preset": "slow"})
        stream.width, stream.height = SIZE_PX
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _seen_by(camera: Camera) -> dict[str, Any]:
    return {
        "camera_matrix_px": np.round(camera.matrix_px, 4).tolist(),
        "world_from_cam": np.round(camera.world_from_cam, 6).tolist(),
    }


def truth_map(truth: dive.Dive, cameras: list[Camera], seed: int, shot: Shot = DEFAULT_SHOT) -> dict[str, Any]:
    """The truth of a clip as plain data: camera, events, and per frame joints in world and picture.

    One of `cameras` stands for a camera that rests, told once; several are told frame by frame.
    """
    moving = len(cameras) > 1
    curves = report.curves(truth)
    frames = []
    for k, t in enumerate(truth.t_s):
        camera = cameras[k if moving else 0]
        pixels = camera.project(camera.to_cam(truth.joints_world_m[k]))
        frame = {
            "t_s": round(float(t), 4),
            "phase": truth.phase[k],
            "centre_world_m": np.round(truth.centre_world_m[k], 4).tolist(),
            "somersault_turns": round(float(curves.somersault_turns[k]), 4),
            "twist_turns": round(float(curves.twist_turns[k]), 4),
            "somersault_deg_s": round(float(curves.somersault_deg_s[k]), 1),
            "twist_deg_s": round(float(curves.twist_deg_s[k]), 1),
            "joints_world_m": np.round(truth.joints_world_m[k], 3).tolist(),
            "joints_img_px": np.round(pixels, 1).tolist(),
        }
        frames.append(frame | _seen_by(camera) if moving else frame)
    asked = "" if shot == DEFAULT_SHOT else f" --camera {shot.kind} --stand {shot.stand}"
    return {
        "licence": "made by the project, Apache-2.0",
        "made_with": f"posecast synth dive --code {truth.code} --height {truth.plan.height_m:g} --seed {seed}{asked}",
        "world": "metres, z up, origin at the edge of the board, x over the water",
        "pixels": "(0, 0) is the centre of the first pixel; joints under water are not refracted",
        "fps": FPS,
        "size_px": list(SIZE_PX),
        "camera": dataclasses.asdict(shot),
        **({} if moving else _seen_by(cameras[0])),
        "water_z_m": -truth.plan.height_m,
        "dive": {**dataclasses.asdict(truth.plan), "code": str(truth.code)},
        "report": report.of(truth),
        "events_s": {name: round(t, 3) for name, t in truth.events_s.items()},
        "skeleton": {"names": list(JOINT_NAMES), "parents": list(PARENTS)},
        "frames": frames,
    }


def _stage(
    rng: np.random.Generator, seed: int, plan: dive.Plan, shot: Shot, thorough: bool, camera: Camera | None
) -> _Stage:
    model = load(MESH_FINE)
    body = model.athlete(rng)
    plan = dataclasses.replace(plan, female=body.phenotype["gender"])
    dived = dive.simulate(plan, anny_shape(model, body), FPS, thorough)
    if camera is not None:
        cameras = [camera]
    elif shot == DEFAULT_SHOT:
        cameras = [side_camera(plan)]
    else:
        # Numbers of its own, so that the same dive can be seen by many cameras.
        chance = np.random.default_rng([STREAM, seed, 1])
        cameras = shots.cameras(chance, shot, dived.joints_world_m, plan.height_m, FPS, SIZE_PX)
    return _Stage(model, body, dived, cameras, Pool(cameras[0], plan.height_m))


def write(
    folder: Path,
    seed: int,
    plan: dive.Plan,
    shot: Shot = DEFAULT_SHOT,
    thorough: bool = True,
    camera: Camera | None = None,
    **more: Any,
) -> tuple[Path, Path]:
    """Render `folder`/dive.mp4 and `folder`/dive.truth.json, with `more` in the latter; returns both paths. `thorough`
    is that of `dive.simulate`; a `camera` is one that rests, in place of what `shot` asks for.

    Raises NoGraphicsError without OpenGL, DiveError when this body cannot make the dive, ShotError when no backdrop
    can hold what the camera sees.
    """
    rng = np.random.default_rng([STREAM, seed])
    shot = shot.drawn(np.random.default_rng([STREAM, seed, 2]))
    folder.mkdir(parents=True, exist_ok=True)  # before the long work
    stage = _stage(rng, seed, plan, shot, thorough, camera)
    side = stage.window_px()
    renderer = Renderer(stage.model, (side, side), samples=4)
    video, truth = folder / "dive.mp4", folder / "dive.truth.json"
    _encode(video, (image for image, _ in _frames(stage, renderer, rng)))
    told = truth_map(stage.dive, stage.cameras, seed, shot) | more
    truth.write_text(json.dumps(told, separators=(",", ":")) + "\n")
    renderer.release()
    return video, truth
