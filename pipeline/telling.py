"""What the tracker tells of a frame: the message, with the crop that the networks look at."""

import numpy as np
import numpy.typing as npt

from engines.contracts import CROP_H, CROP_W
from engines.view import View
from pipeline.messages import Box, Frame, Matrix3, Track, TrackState, moment_of
from pipeline.picture import Picture, cut


def track_of(
    frame: Frame,
    subject: int,
    state: TrackState,
    presence: float,
    box: Box | None = None,
    view: View | None = None,
    picture: Picture | None = None,
) -> Track:
    """Of this frame; whoever is nowhere has no `box`, nor a `view` of the `picture` to be cut."""
    matrix = None if view is None else view.img_from_crop
    return Track(
        **moment_of(frame),
        width=frame.width,
        height=frame.height,
        rate_hz=frame.rate_hz,
        subject=subject,
        state=state,
        presence=presence,
        box_img_px=box,
        crop_img_px=None if view is None else (*view.crop.centre_img_px, view.crop.height_px),
        img_from_crop=None if matrix is None else _nine(matrix),
        crop=None if picture is None or matrix is None else cut(picture, matrix, (CROP_W, CROP_H)).tobytes(),
    )


def _nine(matrix: npt.NDArray[np.float64]) -> Matrix3:
    a, b, c, d, e, f, g, h, i = (float(value) for value in matrix.ravel())
    return (a, b, c, d, e, f, g, h, i)
