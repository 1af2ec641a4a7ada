"""Crop to keypoints in the picture, embedding to poses; a frame without a subject passes through as such."""

import msgspec
import numpy as np
import pytest

from engines.codecs import Crop, encode_heatmaps, img_from_crop, joints_of_keypoints, transformed
from engines.contracts import (
    CROP_H,
    CROP_W,
    DIFFUSION_DECODER,
    EMBEDDING,
    MLP_DECODER,
    MODALITY_2D,
    MODALITY_IMAGE,
    POSE2D_ENCODER,
    encoder,
)
from engines.skeleton import J
from engines.view import Views
from pipeline.messages import Observation, Stamp, Track
from pipeline.stages.decode import Decode
from pipeline.stages.encode import Encode

CROP = Crop((300.0, 200.0), 160.0)
VIEWS = Views(None, 25.0)


def guessed(stream):
    return VIEWS


COMMON = {"stream": "s", "seq": 7, "t_media_ns": 1, "t_capture_ns": 2, "width": 640, "height": 480, "rate_hz": 50.0}
STAMPS = (Stamp("capture", 1, 2),)


class Scripted:
    """A network that answers from a function and remembers what it was asked."""

    device = "scripted"

    def __init__(self, contract, answer) -> None:
        self.contract = contract
        self.answer = answer
        self.asked = []

    def run(self, inputs):
        self.asked.append(inputs)
        return self.answer(inputs)


def track(seen: bool = True, stream: str = "s", brightness: int = 0) -> Track:
    crop = np.full((CROP_H, CROP_W, 3), brightness, np.uint8)
    return Track(
        **(COMMON | {"stream": stream}),
        stamps=STAMPS,
        subject=int(seen),
        state="followed" if seen else "none",
        presence=0.9,
        box_img_px=(260.0, 140.0, 340.0, 260.0) if seen else None,
        crop_img_px=(*CROP.centre_img_px, CROP.height_px) if seen else None,
        img_from_crop=tuple(img_from_crop(CROP).ravel()) if seen else None,
        crop=crop.tobytes() if seen else None,
    )


@pytest.fixture
def joints_crop_px():
    return np.random.default_rng(1).uniform((20, 20), (CROP_W - 20, CROP_H - 20), (J, 2))


def observed(joints_crop_px) -> Observation:
    answer = {
        "heatmaps": encode_heatmaps(joints_crop_px)[None],
        "embedding": np.arange(EMBEDDING, dtype=np.float32)[None],
    }
    (observation,) = Encode(Scripted(encoder("w18_small_v2"), lambda _: answer)).step([track()])
    return observation


def test_keypoints_are_in_the_pictures_pixels(joints_crop_px) -> None:
    observation = observed(joints_crop_px)
    expected = transformed(joints_crop_px, img_from_crop(CROP))
    assert np.abs(np.asarray(observation.joints_img_px) - expected).max() < 0.3
    assert min(observation.joints_conf) > 0.8
    assert np.frombuffer(observation.embedding, "<f4").tolist() == list(range(EMBEDDING))
    assert (observation.seq, observation.stamps, observation.subject) == (7, STAMPS, 1)


def test_nobody_is_not_looked_at() -> None:
    network = Scripted(encoder("w18_small_v2"), lambda _: pytest.fail("asked without a crop"))
    (observation,) = Encode(network).step([track(seen=False)])
    assert (observation.state, observation.joints_img_px, observation.embedding) == ("none", (), None)
    decoder = Scripted(MLP_DECODER, lambda _: pytest.fail("asked without an embedding"))
    (hypotheses,) = Decode(decoder, None, 1, guessed).step([observation])
    assert (hypotheses.count, hypotheses.joints_root_m, hypotheses.state) == (0, None, "none")


def pose(inputs):
    return {"joints": np.full((1, J, 3), 0.5, np.float32)}


def test_image_embedding_is_decoded_as_such(joints_crop_px) -> None:
    decoder = Scripted(MLP_DECODER, pose)
    (hypotheses,) = Decode(decoder, None, 5, guessed).step([observed(joints_crop_px)])
    assert hypotheses.count == 1
    assert np.frombuffer(hypotheses.joints_root_m, "<f4").tolist() == [0.5] * J * 3
    assert decoder.asked[0]["modality"].tolist() == [MODALITY_IMAGE]
    assert decoder.asked[0]["embedding"][0, -1] == EMBEDDING - 1


def test_keypoints_are_embedded_first(joints_crop_px) -> None:
    observation = observed(joints_crop_px)
    embedding = np.full((1, EMBEDDING), 2, np.float32)
    keypoint_encoder = Scripted(POSE2D_ENCODER, lambda _: {"embedding": embedding})
    decoder = Scripted(MLP_DECODER, pose)
    list(Decode(decoder, keypoint_encoder, 5, guessed).step([observation]))
    asked = keypoint_encoder.asked[0]
    assert np.allclose(joints_of_keypoints(asked["keypoints"][0], CROP), observation.joints_img_px, atol=1e-3)
    assert asked["confidence"].shape == (1, J)
    assert decoder.asked[0]["modality"].tolist() == [MODALITY_2D]
    assert decoder.asked[0]["embedding"] is embedding
    assert np.array_equal(decoder.asked[0]["box"], asked["box"])
    focal_px = 240 / np.tan(np.radians(12.5))
    assert asked["box"][0] == pytest.approx(
        [(300 - 319.5) / focal_px, (200 - 239.5) / focal_px, 160 / focal_px], rel=1e-4
    )


def test_hypotheses_have_the_same_noise_for_a_subject_at_all_times(joints_crop_px) -> None:
    decoder = Scripted(DIFFUSION_DECODER, lambda inputs: {"joints": inputs["noise"].reshape(1, -1, J, 3)})
    stage = Decode(decoder, None, 4, guessed)
    first = [next(iter(stage.step([observed(joints_crop_px)]))) for _ in range(2)]
    assert first[0].count == 4
    assert first[0].joints_root_m == first[1].joints_root_m


def looked_at(inputs):
    """Tells the crops apart: the brighter, the further right the joints are, and the larger the embedding."""
    brightness = inputs["crop"][:, 0, 0, 0].astype(np.float32)
    joints = np.stack([np.full((J, 2), 60 + value) for value in brightness])
    maps = np.stack([encode_heatmaps(one) for one in joints])
    return {"heatmaps": maps, "embedding": np.repeat(brightness[:, None], EMBEDDING, axis=1)}


def test_crops_of_several_streams_go_through_the_network_together() -> None:
    network = Scripted(encoder("w18_small_v2"), looked_at)
    tracks = [track(stream="a", brightness=10), track(seen=False, stream="b"), track(stream="c", brightness=30)]
    together = list(Encode(network, batch=8).step(tracks))
    assert [len(inputs["crop"]) for inputs in network.asked] == [2]
    assert [observation.stream for observation in together] == ["a", "b", "c"]
    assert together[1].embedding is None
    alone = [next(iter(Encode(Scripted(encoder("w18_small_v2"), looked_at)).step([one]))) for one in tracks]
    assert together == alone
    assert together[0].joints_img_px != together[2].joints_img_px


def test_observations_of_several_streams_are_decoded_together() -> None:
    tracks = [track(stream="a", brightness=10), track(seen=False, stream="b"), track(stream="c", brightness=30)]
    observations = list(Encode(Scripted(encoder("w18_small_v2"), looked_at), batch=8).step(tracks))

    def decoded(batch: int, groups):
        keypoints = Scripted(POSE2D_ENCODER, lambda i: {"embedding": i["keypoints"].mean((1, 2))[:, None]})
        decoder = Scripted(
            DIFFUSION_DECODER, lambda i: {"joints": (i["noise"] + i["embedding"][:, None]).reshape(-1, 4, J, 3)}
        )
        stage = Decode(decoder, keypoints, 4, guessed, batch)
        found = [hypotheses for group in groups for hypotheses in stage.step(group)]
        return found, [len(inputs["box"]) for inputs in decoder.asked]

    together, asked = decoded(8, [observations])
    alone, asked_alone = decoded(1, [[observation] for observation in observations])
    assert (asked, asked_alone) == ([2], [1, 1])
    assert together == alone
    assert [hypotheses.count for hypotheses in together] == [4, 0, 4]
    assert len(together[0].joints_root_m) == 4 * J * 3 * 4


def test_subjects_of_two_streams_have_noise_of_their_own(joints_crop_px) -> None:
    decoder = Scripted(DIFFUSION_DECODER, lambda inputs: {"joints": inputs["noise"].reshape(-1, 4, J, 3)})
    seen = observed(joints_crop_px)
    other = msgspec.structs.replace(seen, stream="other")
    first, second = Decode(decoder, None, 4, guessed, batch=8).step([seen, other])
    assert first.joints_root_m != second.joints_root_m
