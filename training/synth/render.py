"""Draws posed bodies with OpenGL (EGL, no window): colour with coverage, and depth for masks and visibility.

Runs on Mesa's software rasteriser or a GPU alike. Skin, face and garments are painted per pixel from the position at
rest that each surface point came from, so they follow the body in any pose; loose clothes and hair are further
surfaces outside the body.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth import hair, uniforms
from training.synth.body import Body, BodyModel, normals
from training.synth.camera import Camera
from training.synth.clothes import Landmarks, arm_share, landmarks, stand_off
from training.synth.lighting import Lighting
from training.synth.look import Look
from training.synth.material import grain
from training.synth.occlusion import Flesh
from training.synth.shading import Shell, depth_program, paint_program, shadow_program

Array = npt.NDArray[Any]

NO_RASTER_THREADS: Final = ("LP_NUM_THREADS", "0")
"""Mesa's software rasteriser draws in the calling thread. A thread of its own, even one, may still have to unlock a
fence that the calling thread has freed (lp_fence.c of Mesa 22.3), and an allocation dies of that much later."""
SHADOW_PX: Final = 160
_WET: Final = 0.3
"""From this wetness on skin glitters."""

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

        os.environ.setdefault(*NO_RASTER_THREADS)
        try:
            self._gl = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        except Exception as error:
            raise NoGraphicsError(
                f"no OpenGL context by EGL ({error}); on Debian install libegl1 and libgl1-mesa-dri"
            ) from error
        self.model, self.size_px = model, size_px
        gl = self._gl
        gl.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
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
        self._count = len(model.dominant_bone) + hair.COUNT
        self._moving = gl.buffer(reserve=self._count * 28, dynamic=True)
        self._rest = gl.buffer(reserve=self._count * 28, dynamic=True)
        self._lift = gl.buffer(reserve=self._count * 16, dynamic=True)
        parts = np.zeros((self._count, 4), np.float32)
        parts[: -hair.COUNT] = _parts(model)
        parts[-hair.COUNT :, 3] = 1
        self._head = np.flatnonzero(parts[: -hair.COUNT, 3] > 0.99)
        layout = [
            (self._moving, "3f 3f 1f", "position", "normal", "open_sky"),
            (self._rest, "3f 3f 1f", "rest", "rest_normal", "arm"),
            (gl.buffer(parts.tobytes()), "4f", "part"),
            (self._lift, "4f", "lift"),
        ]
        faces = {
            shell: gl.buffer(np.ascontiguousarray(triangles, np.int32).tobytes())
            for shell, triangles in _shells(model, parts).items()
        }

        def surfaces(sources: dict[Shell, tuple[str, str]]) -> dict[Shell, Any]:
            return {s: gl.vertex_array(gl.program(*sources[s]), layout, faces[s], skip_errors=True) for s in sources}

        self._dry = surfaces({shell: paint_program(shell) for shell in Shell})
        self._wet = self._dry | surfaces({shell: paint_program(shell, True) for shell in (Shell.SKIN, Shell.HEAD)})
        self._measured = surfaces({shell: depth_program(shell) for shell in Shell})
        caster = gl.program(*shadow_program())
        self._casting = {
            shell: gl.vertex_array(caster, layout, faces[shell], skip_errors=True)
            for shell in (Shell.SKIN, Shell.HEAD, Shell.TAIL)
        }

    def draw(self, body: Body, vertices_world_m: Array, look: Look, light: Lighting, camera: Camera) -> Layer:
        """One posed body [V, 3] seen by `camera`, on nothing."""
        width, height = camera.size_px
        shape = self._known(body)
        self._wear(shape, look)
        cam = self._place(shape, vertices_world_m, look, camera)
        shells = uniforms.shells_of(look, uniforms.outfit_of(look))
        near, far = max(float(cam[:, 2].min()) * 0.9, 0.05), float(cam[:, 2].max()) * 1.1
        lamp = uniforms.lamp_clip(cam, camera.world_from_cam[:3, :3].T @ light.direction)
        self._gl.front_face = "ccw"
        self._pass(self._shadow, self._casting, shells, (SHADOW_PX, SHADOW_PX), {"clip": lamp.T})

        cover = uniforms.cover_values(self.model, body, shape.marks, look)
        cover |= {"clip": uniforms.camera_clip(camera, near, far).T, "shadow_clip": lamp.T}
        paint = cover | uniforms.paint_values(self.model, body, shape.marks, look, light, camera)
        for unit, texture in enumerate((self._cloth, self._grain, self._shadow_map)):
            texture.use(unit)
        self._gl.front_face = "cw"  # the picture's rows go down, OpenGL's up
        self._pass(self._colour, self._wet if look.wet > _WET else self._dry, shells, (width, height), paint)
        self._gl.copy_framebuffer(self._resolved, self._colour)
        window = (0, 0, width, height)
        rgba = np.frombuffer(self._resolved.read(window, 4), np.uint8).reshape(height, width, 4)
        self._pass(self._depth, self._measured, shells, (width, height), cover)
        depth = np.frombuffer(self._depth.read(window, 1, dtype="f4"), np.float32).reshape(height, width)
        return Layer(rgba, depth)

    def _pass(
        self, target: Any, surfaces: dict[Shell, Any], shells: list[Shell], size: tuple[int, int], told: dict[str, Any]
    ) -> None:
        target.use()
        target.viewport = (0, 0, *size)
        target.clear(0, 0, 0, 0)
        raw = {name: np.ascontiguousarray(value, "f4").tobytes() for name, value in told.items()}
        for shell in shells:
            if shell not in surfaces:
                continue
            program = surfaces[shell].program
            for name, values in raw.items():
                if name in program:
                    program[name].write(values)
            for unit, name in enumerate(("cloth", "grain", "shadow")):
                if name in program:
                    program[name] = unit
            surfaces[shell].render()

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

    def _wear(self, shape: _Shape, look: Look) -> None:
        if self._worn is not None and self._worn[0] is look and self._worn[1] is shape.body:
            return
        self._worn = (look, shape.body)
        lift = np.zeros((self._count, 4), np.float32)
        lower, upper = stand_off(shape.body, shape.marks, uniforms.outfit_of(look), look.slack, look.waves)
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

    def release(self) -> None:
        """Give the OpenGL context back."""
        self._gl.release()


def _shells(model: BodyModel, parts: Array) -> dict[Shell, Array]:
    """Triangles [F, 3] of each surface, as far as garment or hair may reach."""
    head = (parts[:, 3] > 0.5)[model.faces].all(1)
    trunk, arms, legs, skull = (parts[model.faces] > 0).any(1).T
    return {
        Shell.SKIN: model.faces[~head],
        Shell.HEAD: model.faces[head],
        Shell.LOWER: model.faces[(trunk | legs) & ~head],
        Shell.UPPER: model.faces[(trunk | arms) & ~head],
        Shell.HAIR: model.faces[skull],
        Shell.TAIL: hair.faces() + len(parts) - hair.COUNT,
    }


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
