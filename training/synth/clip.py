"""The sample dive: one rendered dive as video with its exact truth beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from engines.skeleton import JOINT_NAMES, PARENTS
from training.synth import board, dive, report
from training.synth.body import MESH_FINE, Body, BodyModel, load
from training.synth.camera import Camera, looking
from training.synth.look import Lighting, random_look
from training.synth.pool import Pool, Splash
from training.synth.poses import COLUMN, joints_of
from training.synth.render import Renderer
from training.synth.retarget import turns_from_joints

Array = npt.NDArray[Any]

SIZE_PX: Final = (1920, 1080)
FPS: Final = 50
STREAM: Final = 3
"""First number of the dive's random seed; training pictures use 1 and 2, so their numbers never coincide."""
WINDOW_PX: Final = 640


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
    camera: Camera
    pool: Pool


def _window(camera: Camera, joints_px: Array) -> tuple[Camera, int, int]:
    """The part of the picture around the diver as a camera of its own, with its corner in the picture."""
    centre = (joints_px.min(0) + joints_px.max(0)) / 2
    size = np.array(camera.size_px)
    x, y = np.clip(np.rint(centre - WINDOW_PX / 2), 0, size - WINDOW_PX).astype(int).tolist()
    matrix = camera.matrix_px.copy()
    matrix[0, 2] -= x
    matrix[1, 2] -= y
    return Camera(matrix, camera.world_from_cam, (WINDOW_PX, WINDOW_PX)), x, y


def _frames(stage: _Stage, renderer: Renderer, rng: np.random.Generator) -> Iterator[Array]:
    truth, camera = stage.dive, stage.camera
    look = dataclasses.replace(random_look(rng), suit=2, leg_share=0.12)
    direction = np.array([0.35, -0.6, 0.75])
    light = Lighting(
        direction / np.linalg.norm(direction),
        np.array([0.95, 0.92, 0.88]),
        np.full(3, 0.5),
        np.array([0.2, 0.25, 0.28]),
    )
    still = stage.pool.backdrop(rng)
    entry = truth.joints_world_m[round(truth.events_s["entry"] * FPS)]
    where = np.array([(entry[13, 0] + entry[16, 0]) / 2 + 0.1, (entry[13, 1] + entry[16, 1]) / 2, -truth.plan.height_m])
    splash = Splash(rng, where, truth.events_s["entry"])
    plantar = truth.angles[:, COLUMN["plantar"]]
    for k, t in enumerate(truth.t_s):
        turns = turns_from_joints(stage.model, stage.body, joints_of(truth.angles[k : k + 1]), 0.0, plantar[k])
        vertices = stage.model.posed(stage.body, turns)[0][0] @ truth.turn[k].T + truth.joints_world_m[k, 0]
        window, x, y = _window(camera, camera.project(camera.to_cam(truth.joints_world_m[k])))
        layer = renderer.draw(stage.body, vertices, look, light, window)
        image = still.copy()
        stage.pool.board(image, float(truth.board_tip_m[k]))
        part = image[y : y + WINDOW_PX, x : x + WINDOW_PX]
        part[:] = stage.pool.with_athlete(part, layer, window)
        splash.draw(image, camera, float(t))
        yield image


def _encode(path: Path, frames: Iterator[Array]) -> None:
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


def truth_map(truth: dive.Dive, camera: Camera, seed: int) -> dict[str, Any]:
    """The truth of a clip as plain data: camera, events, and per frame joints in world and picture."""
    pixels = camera.project(camera.to_cam(truth.joints_world_m))
    curves = report.curves(truth)
    frames = [
        {
            "t_s": round(float(t), 4),
            "phase": truth.phase[k],
            "centre_world_m": np.round(truth.centre_world_m[k], 4).tolist(),
            "somersault_turns": round(float(curves.somersault_turns[k]), 4),
            "twist_turns": round(float(curves.twist_turns[k]), 4),
            "somersault_deg_s": round(float(curves.somersault_deg_s[k]), 1),
            "twist_deg_s": round(float(curves.twist_deg_s[k]), 1),
            "joints_world_m": np.round(truth.joints_world_m[k], 3).tolist(),
            "joints_img_px": np.round(pixels[k], 1).tolist(),
        }
        for k, t in enumerate(truth.t_s)
    ]
    return {
        "licence": "made by the project, Apache-2.0",
        "made_with": f"posecast synth dive --code {truth.code} --height {truth.plan.height_m:g} --seed {seed}",
        "world": "metres, z up, origin at the edge of the board, x over the water",
        "pixels": "(0, 0) is the centre of the first pixel; joints under water are not refracted",
        "fps": FPS,
        "size_px": list(SIZE_PX),
        "camera_matrix_px": np.round(camera.matrix_px, 4).tolist(),
        "world_from_cam": np.round(camera.world_from_cam, 6).tolist(),
        "water_z_m": -truth.plan.height_m,
        "dive": {**dataclasses.asdict(truth.plan), "code": str(truth.code)},
        "report": report.of(truth),
        "events_s": {name: round(t, 3) for name, t in truth.events_s.items()},
        "skeleton": {"names": list(JOINT_NAMES), "parents": list(PARENTS)},
        "frames": frames,
    }


def write(folder: Path, seed: int, plan: dive.Plan) -> tuple[Path, Path]:
    """Render `folder`/dive.mp4 and `folder`/dive.truth.json; returns both paths.

    Raises NoGraphicsError without OpenGL, DiveError when this body cannot make the dive.
    """
    rng = np.random.default_rng([STREAM, seed])
    model = load(MESH_FINE)
    body = model.athlete(rng)
    plan = dataclasses.replace(plan, female=body.phenotype["gender"])
    camera = side_camera(plan)
    stage = _Stage(model, body, dive.simulate(plan, anny_shape(model, body), FPS), camera, Pool(camera, plan.height_m))
    renderer = Renderer(model, (WINDOW_PX, WINDOW_PX), samples=4)
    folder.mkdir(parents=True, exist_ok=True)
    video, truth = folder / "dive.mp4", folder / "dive.truth.json"
    _encode(video, _frames(stage, renderer, rng))
    truth.write_text(json.dumps(truth_map(stage.dive, camera, seed), separators=(",", ":")) + "\n")
    renderer.release()
    return video, truth
