"""Every representation comes back from its code."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibration.camera import Camera
from engines import codecs
from engines.heatmaps import decode_heatmaps

finite = st.floats(-3000, 3000)
crops = st.builds(codecs.Crop, st.tuples(finite, finite), st.floats(8, 3000), st.floats(-2 * math.pi, 2 * math.pi))
boxes = st.builds(lambda u, v, w, h: (u, v, u + w, v + h), finite, finite, st.floats(2, 2000), st.floats(2, 2000))
windows = boxes


def joints(margin_px):
    """17 joints in crop pixels, `margin_px` from the border of the crop."""
    point = st.tuples(
        st.floats(margin_px, codecs.CROP_W - 1 - margin_px),
        st.floats(margin_px, codecs.CROP_H - 1 - margin_px),
    )
    return st.lists(point, min_size=17, max_size=17).map(np.array)


@given(joints(5 * codecs.HEATMAP_STRIDE), st.floats(1.0, 2.0))
def test_joints_survive_heat_maps_to_a_tenth_of_a_heat_map_pixel(points, sigma):
    decoded, confidence = decode_heatmaps(codecs.encode_heatmaps(points, sigma))
    assert np.abs(decoded - points).max() < 0.1 * codecs.HEATMAP_STRIDE
    assert confidence.min() > 0.72  # a joint midway between pixels, drawn with the widest sigma
    assert confidence.max() <= 1.0


@given(joints(0))
def test_joints_at_the_border_are_pulled_inwards_by_little_more_than_a_pixel(points):
    decoded, _ = decode_heatmaps(codecs.encode_heatmaps(points))
    assert np.abs(decoded - points).max() < 1.2 * codecs.HEATMAP_STRIDE


@given(crops, st.lists(st.tuples(finite, finite), min_size=1, max_size=20))
def test_crop_homographies_invert(crop, points):
    img_from_crop = codecs.img_from_crop(crop)
    there = codecs.transformed(points, np.linalg.inv(img_from_crop))
    np.testing.assert_allclose(codecs.transformed(there, img_from_crop), points, atol=1e-6)


@given(crops)
def test_the_crop_is_where_it_says(crop):
    middle = [(codecs.CROP_W - 1) / 2, (codecs.CROP_H - 1) / 2]
    down = [middle[0], codecs.CROP_H - 0.5]
    centre, foot = codecs.transformed([middle, down], codecs.img_from_crop(crop))
    np.testing.assert_allclose(centre, crop.centre_img_px, atol=1e-6)
    turned = [-math.sin(crop.angle_rad), math.cos(crop.angle_rad)]
    np.testing.assert_allclose(foot - centre, np.multiply(turned, crop.height_px / 2), atol=1e-6)


@given(boxes, st.floats(1, 2), st.floats(-4, 4))
def test_a_crop_holds_its_box(box, factor, angle):
    left, top, right, bottom = box
    crop = codecs.crop_of_box(box, factor, angle)
    corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
    inside = codecs.transformed(corners, np.linalg.inv(codecs.img_from_crop(crop)))
    slack = 1e-6
    assert (inside >= -0.5 - slack).all()
    assert (inside <= np.array([codecs.CROP_W, codecs.CROP_H]) - 0.5 + slack).all()


@given(crops, st.lists(st.tuples(finite, finite), min_size=17, max_size=17))
def test_keypoints_come_back(crop, points):
    back = codecs.joints_of_keypoints(codecs.normalised_keypoints(points, crop), crop)
    largest = np.abs(np.subtract(points, crop.centre_img_px)).max()
    np.testing.assert_allclose(back, points, atol=1e-6 * largest + 1e-6)


@given(boxes, windows)
def test_stn_boxes_come_back(box, window):
    back = codecs.box_of_theta(codecs.theta_of_box(box, window), window)
    np.testing.assert_allclose(back, box, atol=1e-5)


@given(boxes, st.floats(1.2, 8))
def test_the_search_window_is_square_and_centred(box, factor):
    window = codecs.window_of_box(box, factor)
    side = window[2] - window[0]
    np.testing.assert_allclose(side, window[3] - window[1])
    np.testing.assert_allclose(side, factor * max(box[2] - box[0], box[3] - box[1]))
    theta = codecs.theta_of_box(box, window)
    np.testing.assert_allclose(theta[2:], 0, atol=1e-6)
    np.testing.assert_allclose(theta[:2].max(), 1 / factor)


@given(crops, st.floats(2, 120))
def test_the_box_token_is_the_bearing_of_the_crop(crop, fov):
    camera = Camera.guessed(1920, 1080, fov)
    x, y, size = codecs.box_token(crop, camera)
    ray = camera.unproject(crop.centre_img_px)
    np.testing.assert_allclose([x, y], ray[:2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(size, crop.height_px / camera.focal_px, rtol=1e-5)
