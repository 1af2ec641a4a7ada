"""Draws posed bodies with OpenGL (EGL, no window): colour with coverage, and depth for masks and visibility.

Runs on Mesa's software rasteriser or a GPU alike. Skin, face and garments are painted per pixel from the position at
rest that each surface point came from, so they follow the body in any pose; loose clothes and hair are further
surfaces outside the body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth import hair, shading
from training.synth.body import Body, BodyModel, normals
from training.synth.camera import Camera
from training.synth.clothes import OUTFITS, TOP_NUMBER, Landmarks, Outfit, arm_share, landmarks, stand_off
from training.synth.lighting import Lighting
from training.synth.look import Look
from training.synth.material import grain
from training.synth.occlusion import Flesh

Array = npt.NDArray[Any]

SHADOW_PX: Final = 192
_SPAN_M: Final = 0.5
_SKIN, _LOWER, _UPPER, _HAIR, _TAIL = range(5)

HIDDEN_BEHIND_M: Final = np.array(
    [0.20, 0.17, 0.09, 0.07, 0.17, 0.09, 0.07, 0.20, 0.20, 0.15, 0.13, 0.13, 0.08, 0.07, 0.13, 0.08, 0.07]
)
"""How far behind the visible surface a joint may lie and still count as visible: about the flesh around it."""


class NoGraphicsError(RuntimeError):
    """No OpenGL context can be made on this machine."""


@dataclass(frozen=True)
class Layer:
    """What was drawn: `rgba` [H, W, 4] uint8 premultiplied by coverage, `depth_m` [H, W] float32 (0 = nothing)."""

    rgba: Array
    depth_m: Array

    @property
    def mask(self) -> Array:
        """[H, W] bool, the subject's pixels."""
        return np.asarray(self.depth_m > 0)

    def over(self, background: Array) -> Array:
        """The layer composed over `background` [H, W, 3] uint8."""
        alpha = 255 - self.rgba[..., 3:].astype(np.uint16)
        return (self.rgba[..., :3] + (background * alpha + 127) // 255).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Shape:
    """What is worked out once for a body."""

    body: Body
    marks: Landmarks
    flesh: Flesh


class Renderer:
    """One OpenGL context with targets up to `size_px` (width, height) and `samples` per pixel.

    Raises NoGraphicsError when neither a GPU nor Mesa's software driver offers an EGL context.
    """

    def __init__(self, model: BodyModel, size_px: tuple[int, int], samples: int = 4) -> None:
        import moderngl

        try:
            self._gl = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        except Exception as error:
            raise NoGraphicsError(
                f"no OpenGL context by EGL ({error}); on Debian install libegl1 and libgl1-mesa-dri"
            ) from error
        self.model, self.size_px = model, size_px
        gl = self._gl
        gl.enable(moderngl.DEPTH_TEST)
        self._colour = gl.framebuffer(
            [gl.renderbuffer(size_px, 4, samples=samples)], gl.depth_renderbuffer(size_px, samples=samples)
        )
        self._resolved = gl.framebuffer([gl.renderbuffer(size_px, 4)])
        self._depth = gl.framebuffer([gl.renderbuffer(size_px, 1, dtype="f4")], gl.depth_renderbuffer(size_px))
        self._shadow_map = gl.depth_texture((SHADOW_PX, SHADOW_PX))
        self._shadow_map.compare_func = "<="
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow = gl.framebuffer(depth_attachment=self._shadow_map)
        noise = grain()
        self._grain = gl.texture(noise.shape[1::-1], 3, noise.tobytes())
        self._cloth = gl.texture((256, 256), 3)
        self._cloth.repeat_x = self._cloth.repeat_y = False
        self._make_surfaces()
        self._shape: _Shape | None = None
        self._worn: tuple[Look, Body] | None = None

    def _make_surfaces(self) -> None:
        gl, model = self._gl, self.model
        self._paint = gl.program(shading.VERTEX, shading.PAINT)
        self._measure = gl.program(shading.VERTEX, shading.DEPTH)
        self._cast = gl.program(shading.VERTEX, shading.SHADOW)
        self._count = len(model.dominant_bone) + hair.COUNT
        self._moving = gl.buffer(reserve=self._count * 28, dynamic=True)
        self._rest = gl.buffer(reserve=self._count * 28, dynamic=True)
        self._lift = gl.buffer(reserve=self._count * 16, dynamic=True)
        parts = np.zeros((self._count, 4), np.float32)
        parts[: -hair.COUNT] = _parts(model)
        parts[-hair.COUNT :, 3] = 1
        self._part = gl.buffer(parts.tobytes())
        layout = [
            (self._moving, "3f 3f 1f", "position", "normal", "open_sky"),
            (self._rest, "3f 3f 1f", "rest", "rest_normal", "arm"),
            (self._part, "4f", "part"),
            (self._lift, "4f", "lift"),
        ]
        faces = [model.faces, *_shells(model, parts), hair.faces() + self._count - hair.COUNT]
        buffers = [gl.buffer(np.ascontiguousarray(f, np.int32).tobytes()) for f in faces]
        self._surfaces = {
            program: [gl.vertex_array(program, layout, b, skip_errors=True) for b in buffers]
            for program in (self._paint, self._measure, self._cast)
        }
        self._head = np.flatnonzero(parts[: -hair.COUNT, 3] > 0.99)

    @property
    def driver(self) -> str:
        """Name of the OpenGL driver in use."""
        return str(self._gl.info["GL_RENDERER"])

    def draw(self, body: Body, vertices_world_m: Array, look: Look, light: Lighting, camera: Camera) -> Layer:
        """One posed body [V, 3] seen by `camera`, on nothing."""
        width, height = camera.size_px
        shape = self._known(body)
        outfit = _outfit(look)
        self._wear(shape, look, outfit)
        cam = self._place(shape, vertices_world_m, look, camera)
        shells = _worn(look, outfit)
        self._aim(cam, light, camera)
        self._dress(shape, look, outfit, light, camera)
        size = (width, height)
        self._pass(self._shadow, self._cast, shells, (SHADOW_PX, SHADOW_PX))
        self._shadow_map.use(2)
        self._grain.use(1)
        self._cloth.use(0)
        self._pass(self._colour, self._paint, shells, size)
        self._gl.copy_framebuffer(self._resolved, self._colour)
        window = (0, 0, width, height)
        rgba = np.frombuffer(self._resolved.read(window, 4), np.uint8).reshape(height, width, 4)
        self._pass(self._depth, self._measure, shells, size)
        depth = np.frombuffer(self._depth.read(window, 1, dtype="f4"), np.float32).reshape(height, width)
        return Layer(rgba, depth)

    def _pass(self, target: Any, program: Any, shells: list[int], size: tuple[int, int]) -> None:
        target.use()
        target.viewport = (0, 0, *size)
        target.clear(0, 0, 0, 0)
        for shell in shells:
            program["shell"] = shell
            self._surfaces[program][shell].render()

    def _known(self, body: Body) -> _Shape:
        if self._shape is None or self._shape.body is not body:
            marks = landmarks(self.model, body)
            rest = np.zeros((self._count, 7), np.float32)
            rest[: -hair.COUNT, :3] = body.vertices_m
            rest[: -hair.COUNT, 3:6] = normals(body.vertices_m, self.model.faces)
            rest[: -hair.COUNT, 6] = arm_share(marks, body.vertices_m)
            rest[-hair.COUNT :, :3] = hair.strands()
            self._rest.write(rest.tobytes())
            self._shape = _Shape(body, marks, Flesh(self.model, body))
        return self._shape

    def _wear(self, shape: _Shape, look: Look, outfit: Outfit) -> None:
        if self._worn is not None and self._worn[0] is look and self._worn[1] is shape.body:
            return
        self._worn = (look, shape.body)
        lift = np.zeros((self._count, 4), np.float32)
        lower, upper = stand_off(shape.body, shape.marks, outfit, look.slack, look.waves)
        feet = shape.body.vertices_m[:, 2] < shape.marks.ankle - 0.01
        lift[: -hair.COUNT, 0] = np.where(feet, 0.007, lower)
        lift[: -hair.COUNT, 1] = upper
        lift[: -hair.COUNT, 2] = look.hair_m
        self._lift.write(lift.tobytes())
        plain = np.broadcast_to(np.sqrt(look.cloth_a.clip(0, 1)) * 255, (256, 256, 3)).astype(np.uint8)
        self._cloth.write(np.ascontiguousarray(look.cloth if look.cloth is not None else plain).tobytes())

    def _place(self, shape: _Shape, vertices_world_m: Array, look: Look, camera: Camera) -> Array:
        """Write the moving buffer; returns all points [N, 3] in camera axes."""
        cam = camera.to_cam(vertices_world_m).astype(np.float32)
        facing = normals(cam, self.model.faces)
        moving = np.empty((self._count, 7), np.float32)
        body = slice(0, -hair.COUNT)
        moving[body, :3], moving[body, 3:6] = cam, facing
        moving[body, 6] = shape.flesh.open_share(cam, facing)
        moving[-hair.COUNT :] = [*cam[self._head[0]], 0, 0, 1, 1]
        if look.tail is not None:
            rest = shape.body.vertices_m[self._head]
            motion = hair.skull_motion(rest.astype(float), vertices_world_m[self._head].astype(float))
            points, out = hair.tube(self.model, shape.body, look.tail, *motion)
            moving[-hair.COUNT :, :3] = camera.to_cam(points)
            moving[-hair.COUNT :, 3:6] = out @ camera.world_from_cam[:3, :3]
            moving[-hair.COUNT :, 6] = 0.8
        self._moving.write(moving.tobytes())
        return moving[:, :3]

    def _aim(self, cam: Array, light: Lighting, camera: Camera) -> None:
        width, height = camera.size_px
        near, far = max(float(cam[:, 2].min()) * 0.9, 0.05), float(cam[:, 2].max()) * 1.1
        matrix = camera.matrix_px
        clip = np.zeros((4, 4))
        clip[0, 0], clip[1, 1] = 2 * matrix[0, 0] / width, 2 * matrix[1, 1] / height
        clip[:2, 2] = 2 * (matrix[:2, 2] + 0.5) / [width, height] - 1
        clip[2, 2:] = (far + near) / (far - near), -2 * far * near / (far - near)
        clip[3, 2] = 1
        lamp = _lamp_view(cam, camera.world_from_cam[:3, :3].T @ light.direction)
        for program, view in ((self._paint, clip), (self._measure, clip), (self._cast, lamp)):
            program["clip"].write(view.T.astype("f4").tobytes())
        self._paint["shadow_clip"].write(lamp.T.astype("f4").tobytes())

    def _dress(self, shape: _Shape, look: Look, outfit: Outfit, light: Lighting, camera: Camera) -> None:
        for program in (self._paint, self._measure, self._cast):
            for name, value in _cover(self.model, shape, look, outfit).items():
                if name in program:
                    program[name] = tuple(float(part) for part in np.atleast_1d(value)) if np.ndim(value) else value
        marks = shape.marks
        cam_from_world = camera.world_from_cam[:3, :3].T
        eye = shape.body.bone_heads_m[self.model.index["eye.L"]]
        shoe = look.shoe if look.shoe is not None else look.cloth_b
        values: dict[str, Any] = {
            "skin": look.skin,
            "hair": look.hair,
            "lips": look.skin * [0.85, 0.5, 0.5],
            "shoe_colour": shoe,
            "sock_colour": look.sock if look.sock is not None else np.full(3, 0.7),
            "light": cam_from_world @ light.direction,
            "sun": light.sun,
            "finish": (look.gloss, look.wet, look.folds_m, 1.0),
            "face": (abs(eye[0]), look.brows, look.beard, look.mottled),
            "middle": ((marks.neck + marks.hip) / 2, (marks.hip + 0.07 + marks.ankle) / 2),
        }
        for name, value in values.items():
            self._paint[name] = tuple(float(part) for part in value)
        self._paint["span"] = _SPAN_M
        self._paint["sh"].write(light.diffuse.astype("f4").tobytes())
        self._paint["world_from_cam"].write(np.ascontiguousarray(cam_from_world).astype("f4").tobytes())
        for unit, name in enumerate(("cloth", "grain", "shadow")):
            self._paint[name] = unit

    def release(self) -> None:
        """Give the OpenGL context back."""
        self._gl.release()


def _outfit(look: Look) -> Outfit:
    outfit = OUTFITS[look.suit]
    return outfit if look.suit not in (2, 3) else Outfit(outfit.top, outfit.sleeve, leg=0.5 * look.leg_share)


def _worn(look: Look, outfit: Outfit) -> list[int]:
    """The surfaces to draw."""
    shells = [_SKIN]
    if outfit.loose_leg_m > 0 or (outfit.shoes and not look.barefoot):
        shells.append(_LOWER)
    if outfit.loose_top_m > 0:
        shells.append(_UPPER)
    if look.head < 2:
        shells.append(_HAIR)
    if look.head == 0 and look.tail is not None:
        shells.append(_TAIL)
    return shells


def _cover(model: BodyModel, shape: _Shape, look: Look, outfit: Outfit) -> dict[str, Any]:
    """Where garments end, for the shader's tests."""
    marks = shape.marks
    eye = shape.body.bone_heads_m[model.index["eye.L"]]
    crown = float(shape.body.vertices_m[:, 2].max() - eye[2]) / 0.114
    bottom = marks.hip - 0.13 if outfit.high_cut > 0 else marks.leg_end(outfit.leg)
    shod = outfit.shoes and not look.barefoot
    sock = marks.ankle + look.sock_share * (marks.knee - marks.ankle) if look.sock_share > 0 else -9.0
    shoe = marks.ankle - 0.005 if shod else -9.0
    hem = marks.hip - 0.02 if outfit.loose_top_m > 0 else marks.hip + 0.05
    if outfit.top == "straps" or (outfit.high_cut > 0 and outfit.top == "sleeves"):
        hem = marks.hip
    elif outfit.top == "band":
        hem = marks.chest - 0.10
    return {
        "upper": (hem, outfit.sleeve, marks.neck + 0.01, TOP_NUMBER[outfit.top]),
        "lower": (marks.hip + 0.07, bottom, outfit.high_cut, float(outfit.bottom)),
        "feet": (max(sock, shoe), shoe, marks.sole + 0.018 if shod else -9.0, marks.chest),
        "crown": (float(eye[2]), float(eye[1]), crown, look.head),
        "hairline": look.hairline,
    }


def _lamp_view(points: Array, direction: Array) -> Array:
    """Orthographic view [4, 4] along the light that holds all points [N, 3], with room for loose clothes."""
    hint = np.eye(3)[int(np.argmin(np.abs(direction)))]
    across = np.cross(direction, hint)
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(direction, across), -direction])
    seen = points @ axes.T
    low, high = seen.min(0) - 0.08, seen.max(0) + 0.08
    view = np.eye(4)
    view[:3, :3] = axes * (2 / (high - low))[:, None]
    view[:3, 3] = -(high + low) / (high - low)
    return view


def _shells(model: BodyModel, parts: Array) -> list[Array]:
    """Triangles that a lower garment, an upper garment and hair may lie on."""
    groups = ((parts[:, 0] > 0) | (parts[:, 2] > 0), (parts[:, 0] > 0) | (parts[:, 1] > 0), parts[:, 3] > 0)
    return [model.faces[group[model.faces].any(1)] for group in groups]


def _parts(model: BodyModel) -> Array:
    """Skinning weight per vertex of trunk, arms, legs and head [V, 4]."""
    groups = np.zeros((len(model.bone_names), 4), np.float32)
    for bone, name in enumerate(model.bone_names):
        if name.startswith(("upperarm", "lowerarm", "wrist", "finger", "metacarpal")):
            groups[bone, 1] = 1
        elif name.startswith(("upperleg", "lowerleg", "foot", "toe")):
            groups[bone, 2] = 1
        elif name.startswith(("head", "eye", "neck03", "neck02")):
            groups[bone, 3] = 1
        else:
            groups[bone, 0] = 1
    return model.weights @ groups


def visible(layer: Layer, joints_px: Array, joints_depth_m: Array) -> Array:
    """Which joints [17] no other part of the body hides: bool; joints outside the picture are not visible."""
    height, width = layer.depth_m.shape
    column, row = np.rint(joints_px).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    surface = layer.depth_m[row.clip(0, height - 1), column.clip(0, width - 1)]
    shown = (surface == 0) | (surface > joints_depth_m - HIDDEN_BEHIND_M)
    return np.asarray(inside & shown)


def mask_box(mask: Array) -> Array | None:
    """Tight box [4] x0, y0, x1, y1 in pixel coordinates (edges of the outermost pixels), None for an empty mask."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return None
    return np.array([columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5])
