"""Athletes off the optical axis, through stages and shipped networks: with a known camera no worse than on it."""

import numpy as np
import pytest

from engines.codecs import encode_heatmaps, transformed
from engines.contracts import MLP_DECODER, MODALITY_2D, POSE2D_ENCODER, encoder
from engines.store import folder_of
from engines.view import Views
from pipeline.messages import Track
from pipeline.stages.decode import Decode
from pipeline.stages.encode import Encode
from training import metrics
from training.evaluate import perspective
from training.evaluate.networks import Networks
from training.evaluate.perspective import CAMERA, NOTHING, TOLD, VIRTUAL

FOV_DEG = float(np.degrees(2 * np.arctan(CAMERA.height / 2 / CAMERA.focal_px)))
"""What spans the picture of `CAMERA`: guessed as exactly as a guess can be."""


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(folder_of(""))


@pytest.fixture(scope="module")
def joints_m() -> np.ndarray:
    return perspective.athletes(np.random.default_rng(3), 200, dives=3)


class Seeing:
    """An encoder that sees the joints (N, J, 2) in the crops exactly as its heat maps can say it."""

    device = "exact"
    contract = encoder("w18_small_v2", embedding=False)

    def __init__(self, joints_crop_px) -> None:
        self._maps = encode_heatmaps(joints_crop_px)

    def run(self, inputs):
        return {"heatmaps": self._maps}


def tracks(views: Views, pixels) -> tuple[list[Track], np.ndarray]:
    """What track tells of athletes whose joints (N, J, 2) lie there; and where in the crops they lie."""
    told, seen = [], []
    for seq, points in enumerate(pixels):
        (left, top), (right, bottom) = points.min(0), points.max(0)
        view = views.of_box((left, top, right, bottom), 1.4, CAMERA.width, CAMERA.height)
        matrix = view.img_from_crop
        seen.append(transformed(points, np.linalg.inv(matrix)))
        told.append(
            Track(
                stream="s",
                seq=seq,
                t_media_ns=seq,
                t_capture_ns=seq,
                width=CAMERA.width,
                height=CAMERA.height,
                rate_hz=50.0,
                subject=1,
                state="followed",
                presence=1.0,
                box_img_px=(left, top, right, bottom),
                crop_img_px=(*view.crop.centre_img_px, view.crop.height_px),
                img_from_crop=tuple(matrix.ravel()),
                crop=bytes(256 * 192 * 3),
            )
        )
    return told, np.array(seen)


def error_mm(networks: Networks, views: Views, joints_m, angle_deg: float) -> float:
    """MPJPE through encode and decode of athletes (N, J, 3) that the camera looks past by an angle."""
    cam = joints_m @ np.swapaxes(perspective.past(angle_deg, len(joints_m)), -1, -2)
    told, seen = tracks(views, CAMERA.project(cam))
    observations = list(Encode(Seeing(seen), len(told)).step(told))
    stage = Decode(networks.session(MLP_DECODER), networks.session(POSE2D_ENCODER), 1, lambda _: views, len(told))
    poses = [np.frombuffer(found.joints_root_m, "<f4").reshape(17, 3) for found in stage.step(observations)]
    return metrics.mpjpe(np.stack(poses), cam - cam[:, :1])


def test_the_error_through_the_stages_does_not_depend_on_the_angle(networks, joints_m) -> None:
    known, guessed = Views(CAMERA, FOV_DEG), Views(None, FOV_DEG)
    straight, past = (error_mm(networks, known, joints_m, angle) for angle in (0, 30))
    assert past == pytest.approx(straight, rel=0.05)
    plain = error_mm(networks, guessed, joints_m, 30)
    assert plain > 1.1 * straight
    wrong = error_mm(networks, Views(None, FOV_DEG / 3), joints_m, 30)
    assert wrong > 1.5 * straight


def test_the_error_of_the_networks_by_the_angle(networks, joints_m) -> None:
    table = perspective.by_angle(
        "noisy", networks, lambda angle, known: perspective.projected(joints_m, angle, known, 3.0), MODALITY_2D
    )
    rows = table.rows
    assert abs(rows[VIRTUAL][perspective.CHANGE]) < 5
    assert rows[TOLD]["30"] > 1.05 * rows[VIRTUAL]["30"]
    assert rows[NOTHING][perspective.CHANGE] > 100


def test_the_height_in_the_token_is_used(networks, joints_m) -> None:
    """It is all that there is of the perspective: near athletes suffer where it is told wrong, far ones little."""
    near, far = (perspective.projected(perspective.at(joints_m, distance), 0, True) for distance in (3.0, 12.0))
    rows = perspective.heights(networks, {"near": near, "far": far}).rows
    assert min(rows["near"], key=rows["near"].get) == "x 1"
    assert rows["near"]["x 2"] > 1.2 * rows["near"]["x 1"]
    assert rows["near"]["x 2"] / rows["near"]["x 1"] > rows["far"]["x 2"] / rows["far"]["x 1"]
