"""decode: an embedding, of the picture or of the keypoints, to one or several pelvis-relative 3D poses."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.camera import Camera
from engines.codecs import Crop, box_token, normalised_keypoints
from engines.contracts import (
    DIFFUSION_DECODER,
    MLP_DECODER,
    MODALITY_2D,
    MODALITY_IMAGE,
    POSE2D_ENCODER,
)
from engines.session import Session
from engines.skeleton import J
from pipeline.messages import Hypotheses, Observation, subject_of
from pipeline.stage import Host

Array = npt.NDArray[np.float32]


class Decode:
    """Runs the decoder, after the keypoint encoder where the embedding is to come from the keypoints."""

    def __init__(
        self, decoder: Session, keypoint_encoder: Session | None, hypotheses: int, vertical_fov_deg: float
    ) -> None:
        self._decoder = decoder
        self._keypoint_encoder = keypoint_encoder
        self._hypotheses = hypotheses
        self._fov_deg = vertical_fov_deg
        self.note = decoder.device

    def step(self, observation: Observation) -> Iterable[Hypotheses]:
        """One set of hypotheses for every observation, in order; empty where there is no subject."""
        joints = None if observation.embedding is None else self._poses(observation)
        yield Hypotheses(
            **subject_of(observation),
            joints_img_px=observation.joints_img_px,
            joints_conf=observation.joints_conf,
            count=0 if joints is None else len(joints),
            joints_root_m=None if joints is None else joints.astype("<f4").tobytes(),
        )

    def flush(self) -> Iterable[Hypotheses]:
        """Nothing is held back."""
        return ()

    def _poses(self, observation: Observation) -> Array:
        assert observation.crop_img_px is not None
        u, v, height_px = observation.crop_img_px
        crop = Crop((u, v), height_px)
        camera = Camera.guessed(observation.width, observation.height, self._fov_deg)
        box = box_token(crop, camera)[None]
        embedding, modality = self._embedding(observation, crop, box)
        inputs: dict[str, npt.NDArray[Any]] = {
            "embedding": embedding,
            "modality": np.array([modality], np.int64),
            "box": box,
        }
        if self._decoder.contract is DIFFUSION_DECODER:
            inputs["noise"] = self._noise(observation.subject)
        joints = self._decoder.run(inputs)["joints"]
        return joints.reshape(-1, J, 3)

    def _embedding(self, observation: Observation, crop: Crop, box: Array) -> tuple[Array, int]:
        if self._keypoint_encoder is None:
            assert observation.embedding is not None
            return np.frombuffer(observation.embedding, "<f4")[None], MODALITY_IMAGE
        inputs = {
            "keypoints": normalised_keypoints(observation.joints_img_px, crop)[None],
            "confidence": np.asarray(observation.joints_conf, np.float32)[None],
            "box": box,
        }
        return self._keypoint_encoder.run(inputs)["embedding"], MODALITY_2D

    def _noise(self, subject: int) -> Array:
        """The same seeds for a subject at all times, so that its hypotheses do not flicker."""
        generator = np.random.default_rng(subject)
        return generator.standard_normal((1, self._hypotheses, J * 3)).astype(np.float32)


def build(host: Host) -> Decode:
    """The stage on this host."""
    settings = host.config.decode
    contract = MLP_DECODER if settings.decoder == "mlp" else DIFFUSION_DECODER
    keypoint_encoder = host.session(POSE2D_ENCODER, threads=1) if settings.source == "keypoints" else None
    decoder = host.session(contract, threads=1, hypotheses=settings.hypotheses)
    return Decode(decoder, keypoint_encoder, settings.hypotheses, host.config.camera.vertical_fov_deg)
