import numpy as np
import pytest

from engines.skeleton import BONES, JOINT_NAMES, MIRROR_PAIRS
from pipeline.edges.draw import (
    LEFT_COLOUR,
    MID_COLOUR,
    RIGHT_COLOUR,
    bone_width,
    draw_bones,
    draw_box,
    plate,
    side_colour,
)
from pipeline.edges.inset import Panel, draw_inset, place
from pipeline.edges.lettering import PAPER, text_size, write
from pipeline.edges.overlay import Overlay
from pipeline.edges.poses import ROW, Poses

BACKGROUND = 90
SURE = np.ones(17, np.float32)
FLAT = np.zeros(17, np.float32)


def canvas(width=400, height=300):
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def spread(width=400, height=300):
    """17 joints well apart, so that every bone's middle is covered by that bone alone or by a joint."""
    rng = np.random.default_rng(3)
    return (rng.uniform(0.1, 0.9, (17, 2)) * [width, height]).astype(np.float32)


def changed(picture):
    return (picture != BACKGROUND).any(axis=2)


def test_the_sides_have_three_distinct_colours():
    for right, left in MIRROR_PAIRS:
        assert side_colour(right) == RIGHT_COLOUR
        assert side_colour(left) == LEFT_COLOUR
    assert side_colour(0) == side_colour(JOINT_NAMES.index("head")) == MID_COLOUR
    luminance = [0.11 * b + 0.59 * g + 0.3 * r for b, g, r in (LEFT_COLOUR, RIGHT_COLOUR, MID_COLOUR)]
    assert min(abs(blue - orange) for blue, orange in [(LEFT_COLOUR[0], RIGHT_COLOUR[0])]) > 150
    assert max(luminance) - min(luminance) > 40


@pytest.mark.parametrize("bone", BONES)
def test_every_bone_is_drawn_in_its_colour(bone):
    joints = np.full((17, 2), np.nan, np.float32)
    joints[bone[0]], joints[bone[1]] = (60.5, 50.25), (320.0, 240.0)
    picture = canvas()
    draw_bones(picture, joints, SURE, FLAT, 6)
    middle = picture[145, 190].astype(int)
    if set(bone) != {JOINT_NAMES.index("nose"), JOINT_NAMES.index("head")}:
        assert np.abs(middle - side_colour(bone[1])).max() < 40
    assert changed(picture)[145, 190]


def test_unknown_joints_leave_the_picture_untouched():
    picture = canvas()
    draw_bones(picture, np.full((17, 2), np.nan, np.float32), SURE, FLAT, 6)
    assert not changed(picture).any()


def test_joints_far_outside_do_no_harm():
    picture = canvas()
    joints = spread() + np.float32(5000)
    joints[3] = [-3000, 1e4]
    draw_bones(picture, joints, SURE, FLAT, 6)
    assert picture.shape == (300, 400, 3)


def test_doubt_is_drawn_with_gaps_and_hollow_joints():
    joints = np.full((17, 2), np.nan, np.float32)
    joints[1], joints[2] = (40, 150), (360, 150)
    doubt = SURE.copy()
    doubt[2] = 0.1
    sure, unsure = canvas(), canvas()
    draw_bones(sure, joints, SURE, FLAT, 6)
    draw_bones(unsure, joints, doubt, FLAT, 6)
    along = slice(60, 340)
    assert changed(sure)[150, along].all()
    gaps = ~changed(unsure)[150, along]
    assert 0.2 < gaps.mean() < 0.8
    assert not changed(unsure)[150, 360]
    assert changed(sure)[150, 360]


def test_near_bones_cover_far_ones():
    joints = np.full((17, 2), np.nan, np.float32)
    joints[1], joints[2] = (50, 150), (350, 150)  # right thigh across
    joints[4], joints[5] = (200, 20), (200, 280)  # left thigh down, crossing it
    for near, colour in ((1, RIGHT_COLOUR), (4, LEFT_COLOUR)):
        depth = FLAT.copy()
        depth[[near, near + 1]] = -1.0
        picture = canvas()
        draw_bones(picture, joints, SURE, depth, 8)
        assert np.abs(picture[150, 200].astype(int) - colour).max() < 10


def test_bones_grow_with_the_subject_and_never_vanish():
    widths = [bone_width(size, 1080) for size in (0, 50, 300, 600, 5000)]
    assert widths == sorted(widths)
    assert widths[0] == 2
    assert widths[-1] == 12


def test_the_box_is_marked_at_its_corners_only():
    picture = canvas()
    draw_box(picture, np.array([100, 80, 300, 260], np.float32), "subject 1", 0)
    touched = changed(picture)
    assert touched[80, 100]
    assert touched[260, 300]
    assert not touched[80, 200]
    assert not touched[170, 90:310].any()


def test_lettering_is_cut_at_the_picture_and_leaves_the_rest():
    picture = canvas(120, 40)
    width, height = text_size("frame 12", 14)
    assert width > 40
    assert height >= 14
    write(picture, "frame 12", (100, -5), 14)
    write(picture, "frame 12", (500, 500), 14)
    assert changed(picture)[:, 100:].any()
    assert not changed(picture)[:, :99].any()
    full = canvas(200, 60)
    write(full, "frame 12", (10, 10), 14)
    assert (np.abs(full.astype(int) - PAPER).max(axis=2) < 25).any()


def test_the_panel_keeps_clear_of_the_subject():
    nothing = np.full((1, 17, 3), np.nan, np.float32)
    right = np.array([[900, 20, 1270, 300]], np.float32)
    low = np.array([[700, 400, 1279, 719]], np.float32)
    unknown = np.full((1, 4), np.nan, np.float32)
    panel = place((1280, 720), right, nothing)
    assert panel is not None
    assert panel.covered(right[0]) == 0
    both = place((1280, 720), np.concatenate([right, low, unknown]), nothing)
    assert both is not None
    assert both.left < 640 < both.top + both.height
    assert place((120, 90), unknown, nothing) is None


def test_the_inset_fits_every_pose_of_the_video():
    joints = np.zeros((5, 17, 3), np.float32)
    joints[:, 10, 1] = -1.4
    joints[:, 9, 1] = -1.25
    panel = place((1280, 720), np.full((5, 4), np.nan, np.float32), joints)
    assert panel is not None
    assert panel.span_m > 2 * 1.4
    picture = canvas(1280, 720)
    draw_inset(picture, panel, joints[0])
    outside = changed(picture)
    outside[panel.top : panel.top + panel.height, panel.left : panel.left + panel.width] = False
    assert not outside.any()


def test_both_views_show_what_they_say():
    panel = Panel(0, 0, 300, 200, 2.0)
    joints = np.zeros((17, 3), np.float32)
    joints[10] = [0.5, -0.5, -0.7]  # head right of the pelvis, above it, nearer to the camera
    joints[9] = 0.9 * joints[10]
    empty, drawn = canvas(300, 200), canvas(300, 200)
    draw_inset(empty, panel, np.full((17, 3), np.nan, np.float32))
    draw_inset(drawn, panel, joints)
    moved = np.abs(drawn.astype(int) - empty).max(axis=2) > 60
    assert moved[50 - 3 : 50 + 4, 75 + 50 - 3 : 75 + 50 + 4].any()  # camera: x to the right
    assert moved[50 - 3 : 50 + 4, 225 - 70 - 3 : 225 - 70 + 4].any()  # side: z to the right


def rows(count=2):
    result = []
    for seq in range(count):
        row = np.zeros((), ROW)
        row["seq"], row["tracked"], row["subject"], row["revision"] = seq, seq != 1, 1, 2
        row["box_img_px"] = [100, 60, 300, 280] if seq != 1 else np.nan
        row["joints_img_px"] = spread() if seq != 1 else np.nan
        row["joints_conf"] = 1.0
        row["joints_root_m"] = 0.2 if seq != 1 else np.nan
        row["rate_hz"] = 25
        result.append(row)
    return Poses.of_rows(result)


def test_a_frame_is_drawn_with_its_own_pose_only():
    overlay = Overlay(rows())
    tracked, nobody, unknown = canvas(), canvas(), canvas()
    overlay.draw(tracked, 0)
    overlay.draw(nobody, 1)
    overlay.draw(unknown, 7)
    middle = (slice(100, 180), slice(20, 270))
    assert changed(tracked)[middle].any()
    assert not changed(nobody)[middle].any()
    assert not changed(unknown)[middle].any()
    assert (nobody[:40] != unknown[:40]).any()  # "no subject" is not "no pose"


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (1, 1), (640, 360), (361, 641)])
def test_any_size_of_picture_can_be_drawn_on(size):
    picture = canvas(*size)
    Overlay(rows()).draw(picture, 0)
    assert picture.shape == (size[1], size[0], 3)


def test_a_plate_darkens_and_stays_within():
    picture = canvas(100, 80)
    plate(picture, 10, 20, 50, 30)
    touched = changed(picture)
    assert touched[35, 35]
    assert (picture[35, 35] < BACKGROUND).all()
    assert touched.sum() <= 50 * 30
    assert not touched[:20].any()
