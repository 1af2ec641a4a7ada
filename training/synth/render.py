"""Draws posed bodies with OpenGL (EGL, no window): colour with coverage, and depth for masks and visibility.

Runs on Mesa's software rasteriser or a GPU alike. Clothes, cap and face are painted per pixel from the position at
rest that each surface point came from, so they follow the body in any pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth.body import Body, BodyModel, normals
from training.synth.camera import Camera
from training.synth.look import Lighting, Look

Array = npt.NDArray[Any]

_VERTEX: Final = """
#version 330
in vec3 position; in vec3 normal; in vec3 rest; in vec4 part;
uniform vec4 lens; uniform vec2 size; uniform vec2 range;
out vec3 v_cam; out vec3 v_normal; out vec3 v_rest; out vec4 v_part;
void main() {
    v_cam = position; v_normal = normal; v_rest = rest; v_part = part;
    vec2 centre = 2.0 * (lens.zw + 0.5) / size - 1.0;
    float depth = (position.z * (range.y + range.x) - 2.0 * range.y * range.x) / (range.y - range.x);
    gl_Position = vec4(position.xy * 2.0 * lens.xy / size + centre * position.z, depth, position.z);
}
"""

_PAINT: Final = """
#version 330
in vec3 v_cam; in vec3 v_normal; in vec3 v_rest; in vec4 v_part;
uniform vec3 skin, hair, cloth_a, cloth_b, light, sun, sky, ground, up;
uniform vec3 eye_left, eye_right, skull;
uniform vec4 lines;   // heights at rest in metres: crotch, waist, chest, thigh end of trousers
uniform vec4 style;   // suit kind, stripes per metre, gloss, cap (0 hair, 1 cap, 2 bald)
out vec4 colour;

bool dressed(vec3 p) {
    float x = abs(p.x); int kind = int(style.x + 0.5);
    bool torso = v_part.x + v_part.z > 0.5;
    bool briefs = torso && p.z < lines.y && p.z > lines.x + 0.55 * x - 0.02;
    if (kind == 0) return briefs;
    if (kind == 1) {
        bool strap = x > 0.055 && x < 0.085 && v_part.x > 0.35;
        return torso && p.z > lines.x + 0.75 * x - 0.03 && (p.z < lines.z || strap);
    }
    if (kind == 2) return torso && p.z < lines.y && p.z > lines.w;
    if (kind == 3) return (torso && p.z > lines.w) || (v_part.y > 0.5 && x < 0.27);
    if (kind == 4) return (torso || v_part.y > 0.5) && p.z > -9.0 && v_part.w < 0.4;
    return briefs || (torso && p.z > lines.z - 0.10 && p.z < lines.z + 0.02);
}

void main() {
    vec3 base = skin;
    float gloss = 0.12;
    vec3 p = v_rest;
    if (v_part.w < 0.5 && dressed(p)) {
        float band = style.y > 0.0 ? step(0.5, fract(p.z * style.y)) : step(0.12, abs(p.x));
        base = mix(cloth_a, cloth_b, band);
        gloss = style.z;
    }
    if (v_part.w > 0.5) {
        vec3 q = p - skull;
        bool top = q.z * 0.75 + q.y * 0.8 > (style.w > 0.5 ? 0.052 : 0.06) && q.z > -0.045;
        if (top && style.w < 1.5) { base = hair; gloss = style.w > 0.5 ? 0.35 : 0.08; }
        bool front = q.y < -0.04;
        vec2 left = p.xz - eye_left.xz, right = p.xz - eye_right.xz;
        left.y *= 1.6; right.y *= 1.6;
        if (front && min(length(left), length(right)) < 0.013) base *= 0.25;
        vec2 brow = vec2(min(abs(left.x), abs(right.x)), p.z - eye_left.z - 0.020);
        if (front && brow.x < 0.017 && abs(brow.y) < 0.004) base *= 0.45;
        vec2 mouth = p.xz - 0.5 * (eye_left.xz + eye_right.xz) + vec2(0.0, 0.068);
        if (front && abs(mouth.x) < 0.023 && abs(mouth.y) < 0.006) base *= vec3(0.75, 0.45, 0.45);
    }
    vec3 n = normalize(v_normal);
    vec3 view = -normalize(v_cam);
    if (dot(n, view) < 0.0) n = -n;
    float facing = max(dot(n, light), 0.0);
    vec3 ambient = mix(ground, sky, 0.5 + 0.5 * dot(n, up));
    float shine = gloss * pow(max(dot(n, normalize(light + view)), 0.0), 24.0);
    float rim = 1.0 - 0.25 * pow(1.0 - max(dot(n, view), 0.0), 2.0);
    colour = vec4(sqrt(base * (ambient + sun * facing) * rim + sun * shine), 1.0);
}
"""

_DEPTH: Final = """
#version 330
in vec3 v_cam;
out float depth;
void main() { depth = v_cam.z; }
"""

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
        self._paint = gl.program(_VERTEX, _PAINT)
        self._measure = gl.program(_VERTEX, _DEPTH)
        count = len(model.dominant_bone)
        self._moving = gl.buffer(reserve=count * 24, dynamic=True)
        self._rest = gl.buffer(reserve=count * 12, dynamic=True)
        self._part = gl.buffer(_parts(model).tobytes())
        faces = gl.buffer(model.faces.astype("i4").tobytes())
        layout = [
            (self._moving, "3f 3f", "position", "normal"),
            (self._rest, "3f", "rest"),
            (self._part, "4f", "part"),
        ]
        self._painted = gl.vertex_array(self._paint, layout, faces)
        self._measured = gl.vertex_array(self._measure, [(self._moving, "3f 12x", "position")], faces)
        self._shape: Body | None = None

    @property
    def driver(self) -> str:
        """Name of the OpenGL driver in use."""
        return str(self._gl.info["GL_RENDERER"])

    def draw(self, body: Body, vertices_world_m: Array, look: Look, light: Lighting, camera: Camera) -> Layer:
        """One posed body [V, 3] seen by `camera`, on nothing."""
        width, height = camera.size_px
        cam = camera.to_cam(vertices_world_m).astype(np.float32)
        self._moving.write(np.concatenate([cam, normals(cam, self.model.faces)], 1).astype("f4").tobytes())
        if body is not self._shape:
            self._rest.write(body.vertices_m.astype("f4").tobytes())
            self._shape = body
        near, far = max(float(cam[:, 2].min()) * 0.9, 0.05), float(cam[:, 2].max()) * 1.1
        matrix = camera.matrix_px
        for program in (self._paint, self._measure):
            program["lens"] = (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
            program["size"] = (width, height)
            program["range"] = (near, far)
        self._dress(body, look, light, camera)
        window = (0, 0, width, height)
        self._colour.use()
        self._colour.viewport = window
        self._colour.clear(0, 0, 0, 0)
        self._painted.render()
        self._gl.copy_framebuffer(self._resolved, self._colour)
        rgba = np.frombuffer(self._resolved.read(window, 4), np.uint8).reshape(height, width, 4)
        self._depth.use()
        self._depth.viewport = window
        self._depth.clear(0, 0, 0, 0)
        self._measured.render()
        depth = np.frombuffer(self._depth.read(window, 1, dtype="f4"), np.float32).reshape(height, width)
        return Layer(rgba, depth)

    def _dress(self, body: Body, look: Look, light: Lighting, camera: Camera) -> None:
        cam_from_world = camera.world_from_cam[:3, :3].T
        joints, heads, index = body.joints_m, body.bone_heads_m, self.model.index
        hip, knee, thorax = joints[1][2], joints[2][2], joints[8][2]
        trouser = hip - 0.06 - look.leg_share * (hip - knee)
        values: dict[str, Any] = {
            "skin": look.skin,
            "hair": look.hair,
            "cloth_a": look.cloth_a,
            "cloth_b": look.cloth_b,
            "light": cam_from_world @ light.direction,
            "up": cam_from_world @ [0, 0, 1.0],
            "sun": light.sun,
            "sky": light.sky,
            "ground": light.ground,
            "eye_left": heads[index["eye.L"]],
            "eye_right": heads[index["eye.R"]],
            "skull": joints[9],
            "lines": (hip - 0.11, hip + 0.07, thorax - 0.11, trouser),
            "style": (look.suit, look.stripes, look.gloss, look.head),
        }
        for name, value in values.items():
            self._paint[name] = tuple(float(part) for part in value)

    def release(self) -> None:
        """Give the OpenGL context back."""
        self._gl.release()


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
