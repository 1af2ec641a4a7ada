"""The OpenGL programs of the renderer: one vertex stage, what a garment covers, and how light falls on it.

Each surface (`Shell`) has programs of its own: a software rasteriser executes both sides of every branch, so what a
surface cannot show is left out when its program is made.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Shell(IntEnum):
    """The surfaces of an athlete: skin without the head, loose garments, hair near the skull, hair that leaves it."""

    SKIN = 0
    LOWER = 1
    UPPER = 2
    HAIR = 3
    TAIL = 4
    HEAD = 5


_VERTEX: Final = """
in vec3 position; in vec3 normal; in float open_sky;
in vec3 rest; in vec3 rest_normal; in float arm; in vec4 part; in vec4 lift;
uniform mat4 clip, shadow_clip;
out vec3 v_cam; out vec3 v_normal; out vec3 v_rest; out vec3 v_rest_normal; out vec4 v_part; out float v_arm;
out float v_open; out vec3 v_shadow;
void main() {
    float out_m = SHELL == LOWER ? lift.x : SHELL == UPPER ? lift.y : SHELL == HAIR ? lift.z : 0.0;
    v_cam = position + out_m * normal; v_normal = normal; v_rest = rest; v_rest_normal = rest_normal;
    v_part = part; v_arm = arm; v_open = open_sky;
    vec4 lit = shadow_clip * vec4(v_cam, 1.0);
    v_shadow = 0.5 * lit.xyz + 0.5;
    gl_Position = clip * vec4(v_cam, 1.0);
}
"""

_COVER: Final = """
in vec3 v_cam; in vec3 v_normal; in vec3 v_rest; in vec3 v_rest_normal; in vec4 v_part; in float v_arm;
in float v_open; in vec3 v_shadow;
uniform vec4 upper;   // hem height, sleeve end, neck height, kind (0 none, 1 sleeves, 2 straps, 3 band, 4 vest)
uniform vec4 lower;   // waist height, leg end height, slope of the leg opening, 0 or 1
uniform vec4 feet;    // sock top, shoe top, sole height (below the lowest point: bare), chest height
uniform vec4 crown;   // eye height and depth, size of the head, kind (0 hair, 1 cap, 2 bald)
uniform float hairline;

bool in_lower() {
    float x = abs(v_rest.x), z = v_rest.z;
    return lower.w > 0.5 && v_part.x + v_part.z > 0.5 && z < lower.x && z > lower.y + lower.z * x;
}
bool in_upper() {
    if (upper.w < 0.5 || v_part.w > 0.5) return false;
    float x = abs(v_rest.x), z = v_rest.z;
    bool front = v_rest_normal.y < 0.0;
    if (upper.w < 1.5) {
        if (v_part.y > 0.5) return v_arm < upper.y;
        vec2 hole = vec2(x, (z - upper.z) * (front ? 0.75 : 1.2));
        return z > upper.x && length(hole) > 0.075;
    }
    if (v_part.y > 0.5 || z < upper.x) return false;
    if (upper.w < 2.5) return z < feet.w || (x > 0.055 && x < 0.085);
    if (upper.w < 3.5) return z < feet.w + 0.02;
    return x < 0.145 && length(vec2(x, (z - upper.z) * (front ? 0.55 : 0.9))) > 0.095;
}
bool in_shoe() { return v_part.z > 0.5 && v_rest.z < feet.y; }
bool in_sock() { return v_part.z > 0.5 && v_rest.z < feet.x; }
bool in_hair() {
    if (crown.w > 1.5 || v_part.w < 0.5) return false;
    float y = v_rest.y - crown.y, z = v_rest.z - crown.x;
    float side = crown.w < 0.5 ? 0.005 * sin(v_rest.x * 310.0) : 0.0;
    return z + 0.74 * y > (hairline + side) * crown.z && z > -0.075 * crown.z;
}
#if SHELL == LOWER
bool missing() { return !(in_lower() || in_shoe()); }
#elif SHELL == UPPER
bool missing() { return !in_upper(); }
#elif SHELL == HAIR
bool missing() { return !in_hair(); }
#else
bool missing() { return false; }
#endif
"""

_PAINT: Final = (
    _COVER
    + """
uniform sampler2D cloth, grain; uniform sampler2DShadow shadow;
uniform vec3 skin, hair, lips, shoe_colour, sock_colour, light, sun, sh[9];
uniform vec4 finish;  // gloss of cloth, wetness, depth of folds in metres, 1 for wet drops
uniform vec4 face;    // eye spacing, darkness of brows, beard, freckles and blotches
uniform mat3 world_from_cam;
uniform float span;   // half the width and height of the painted cloth, metres
uniform vec2 middle;  // height of the middle of the upper and of the lower garment
out vec4 colour;

vec3 ambient(vec3 n) {
    return sh[0] + sh[1] * n.y + sh[2] * n.z + sh[3] * n.x + sh[4] * (n.x * n.y) + sh[5] * (n.y * n.z)
        + sh[6] * (3.0 * n.z * n.z - 1.0) + sh[7] * (n.x * n.z) + sh[8] * (n.x * n.x - n.y * n.y);
}
vec3 cloth_colour(float which) {
    vec2 at = vec2(v_rest.x, v_rest.z - (which > 0.5 ? middle.y : middle.x)) / (2.0 * span) + 0.5;
    at = clamp(at, 0.01, 0.99);
    vec3 root = texture(cloth, vec2(at.x * 0.5 + (v_rest_normal.y > 0.0 ? 0.5 : 0.0), at.y * 0.5 + 0.5 * which)).rgb;
    return root * root;
}
vec3 bent(vec3 n, float height) {
    vec3 sx = dFdx(v_cam), sy = dFdy(v_cam);
    vec3 a = cross(sy, n), b = cross(n, sx);
    float det = dot(sx, a);
    vec3 slope = sign(det) * (dFdx(height) * a + dFdy(height) * b);
    return normalize(abs(det) * n - slope);
}
#if SHELL == HEAD
vec3 face_colour(vec3 base) {
    float y = v_rest.y - crown.y, z = (v_rest.z - crown.x) / crown.z, x = abs(v_rest.x);
    if (y > 0.035 || v_rest_normal.y > -0.1) return base;
    vec2 eye = vec2(x - face.x, z);
    float socket = length(eye * vec2(1.0, 1.3));
    base *= mix(1.0, 0.72, smoothstep(0.026, 0.012, socket));
    if (length(eye * vec2(1.0, 2.1)) < 0.0145) base = length(eye) < 0.0065 ? vec3(0.02) : vec3(0.55);
    float brow = abs(z - 0.021 + 0.15 * abs(eye.x));
    if (abs(eye.x) < 0.021 && brow < 0.0055) base = mix(base, hair * 0.6, face.y);
    if (x < 0.012 && abs(z + 0.042) < 0.004) base *= 0.5;
    float mouth = z + 0.068;
    if (x < 0.026 - 60.0 * mouth * mouth && abs(mouth) < 0.0085) base = abs(mouth) < 0.0015 ? base * 0.35 : lips;
    if (z < -0.035 && abs(z + 0.068) > 0.012) base = mix(base, hair, face.z * smoothstep(-0.035, -0.055, z));
    return base;
}
#endif

void main() {
    if (missing()) discard;
    float gloss = 0.08 + 0.35 * finish.y, sharp = mix(12.0, 60.0, finish.y), height = 0.0;
    vec3 base;
#if SHELL != TAIL
    vec3 rough = texture(grain, vec2(v_rest.x * 3.4 + v_rest.y * 1.9, v_rest.z * 3.8)).rgb;
#endif
#if SHELL == SKIN || SHELL == HEAD
    base = skin * (1.0 + 0.6 * face.w * (rough.b + 0.4 * rough.g - 0.7));
    base.gb *= 1.0 - 0.2 * face.w * rough.r;
    height = 0.0008 * rough.r;
#endif
#if SHELL == HEAD
    base = face_colour(base);
#endif
#if SHELL == HEAD || SHELL == HAIR || SHELL == TAIL
    if (SHELL != HEAD || in_hair()) {
        bool cap = crown.w > 0.5;
        float strand = texture(grain, vec2(v_rest.x * 9.0, v_rest.y * 1.5 + v_rest.z * 0.7)).r;
        base = cap ? hair : hair * (0.45 + 1.1 * strand);
        gloss = cap ? 0.45 : 0.10 + 0.3 * finish.y; sharp = cap ? 40.0 : 14.0;
        height = cap ? 0.0015 * strand : 0.010 * strand;
    }
#else
    bool shod = SHELL != UPPER && in_sock();
    if (shod) {
        bool shoe = in_shoe();
        base = shoe ? (v_rest.z < feet.z ? vec3(0.6) : shoe_colour * (rough.r > 0.62 ? 0.5 : 1.0)) : sock_colour;
        gloss = shoe ? 0.15 : 0.02; height = 0.003 * rough.r;
    } else {
        bool top = SHELL != LOWER && in_upper();
        if (top || SHELL != SKIN || in_lower()) {
            base = cloth_colour(top ? 0.0 : 1.0) * (0.92 + 0.16 * rough.g);
            gloss = finish.x; sharp = 18.0;
            vec2 at = vec2(v_rest.x * 1.5 + 0.6 * v_rest.y, v_rest.z * 2.4 - 0.8 * v_rest.x);
            float crease = texture(grain, at + 0.25 * rough.b).b;
            height = finish.z * (SHELL != SKIN ? 2.6 * crease : 0.3 * crease);
        }
    }
#endif
    vec3 smooth_n = normalize(v_normal), view = -normalize(v_cam);
    if (dot(smooth_n, view) < 0.0) smooth_n = -smooth_n;
    vec3 n = bent(smooth_n, height);
    float facing = max(dot(n, light), 0.0);
    float lit = texture(shadow, vec3(v_shadow.xy, v_shadow.z - 0.014));
    vec3 soft = max(ambient(world_from_cam * n), 0.02) * v_open;
    float slant = 1.0 - max(dot(n, view), 0.0);
    float grazing = slant * slant * slant * slant;
    float glint = max(dot(n, normalize(light + view)), 0.0);
    float shine = gloss * pow(glint, sharp) * lit;
#ifdef WET
    vec3 drops = bent(smooth_n, 0.002 * rough.r + height);
    shine += 0.7 * finish.y * lit * pow(max(dot(drops, normalize(light + view)), 0.0), 90.0);
#endif
    vec3 mirror = soft * gloss * (0.06 + 0.7 * grazing);
    colour = vec4(sqrt(clamp(base * (soft + sun * facing * lit) + sun * shine + mirror, 0.0, 1.0)), 1.0);
}
"""
)

_DEPTH: Final = (
    _COVER
    + """
out float depth;
void main() { if (missing()) discard; depth = v_cam.z; }
"""
)

_SHADOW: Final = "void main() {}"


def _head(shell: Shell, wet: bool = False) -> str:
    names = "".join(f"#define {other.name} {int(other)}\n" for other in Shell)
    return f"#version 330\n{names}#define SHELL {shell.name}\n" + ("#define WET\n" if wet else "")


def paint_program(shell: Shell, wet: bool = False) -> tuple[str, str]:
    """Vertex and fragment source that colours `shell`; `wet` adds drops that glitter (skin and head)."""
    return _head(shell) + _VERTEX, _head(shell, wet) + _PAINT


def depth_program(shell: Shell) -> tuple[str, str]:
    """Vertex and fragment source that writes the distance along the camera's axis in metres."""
    return _head(shell) + _VERTEX, _head(shell) + _DEPTH


def shadow_program() -> tuple[str, str]:
    """Vertex and fragment source that only fills a depth map."""
    return _head(Shell.SKIN) + _VERTEX, _head(Shell.SKIN) + _SHADOW
