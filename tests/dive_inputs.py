"""What the networks really see in the sample dive, and how far apart two results are, in units a person can judge."""

import json
from functools import cache

import av
import cv2
import numpy as np
import onnxruntime

from calibration.camera import Camera
from engines import codecs, store
from engines.contracts import (
    CROP_H,
    CROP_W,
    MLP_DECODER,
    MODALITY_2D,
    POSE2D_ENCODER,
    STN_PX,
    TEMPORAL_FRAME,
    WINDOW,
)
from engines.heatmaps import decode_heatmaps
from engines.skeleton import PELVIS, J
from tests.conftest import ROOT

FRAMES = slice(40, 104, 2)
"""The 32 frames that pictures are taken from: standing, jumping, tucked, entering."""


def example(contract, batch=1, hypotheses=2):
    """Inputs of a network at `batch` moments of the dive (at most 32)."""
    made = {tensor.name: _values(contract.network, tensor.name, hypotheses) for tensor in contract.inputs}
    for tensor in contract.inputs:
        if tensor.name in ("features", "seen"):  # some networks see the newest frames alone
            made[tensor.name] = made[tensor.name][:, -tensor.shape[1] :]
    return {name: np.ascontiguousarray(values[:batch]) for name, values in made.items()}


def runtime(model):
    """A function from inputs to outputs, both by name: the bytes in ONNX Runtime as they stand, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Its optimiser may take casts to half precision out again, and breaks quantised graphs in half precision.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


@cache
def shipped(network):
    """The shipped network in ONNX Runtime."""
    return runtime(store.find(network).read_bytes())


def differences(contract, want, got):
    """Largest differences by quantity and unit: `joints mm`, `keypoints px`, `box px`, else a share of the largest."""
    found = {}
    for tensor in contract.outputs:
        name, a, b = tensor.name, want[tensor.name], got[tensor.name]
        assert b.shape == a.shape
        assert b.dtype == a.dtype
        if name == "joints":
            found["joints mm"] = 1000 * np.linalg.norm(a - b, axis=-1).max()
        elif name == "theta":
            found["box px"] = np.abs(a - b).max() * STN_PX / 2
        else:
            found[name] = np.abs(a - b).max() / np.abs(a).max()
        if name == "heatmaps":
            # Between two places that are almost equally probable the decoder jumps: 19 of 20 joints count.
            places, others = decode_heatmaps(a)[0], decode_heatmaps(b)[0]
            found["keypoints px"] = np.percentile(np.linalg.norm(places - others, axis=-1), 95)
    return {name: float(value) for name, value in found.items()}


def _values(network, name, hypotheses):
    if name == "noise":
        noise = np.random.default_rng(3).standard_normal((1, hypotheses, J * 3), np.float32)
        return np.repeat(noise, _chosen("box").shape[0], axis=0)
    if name in ("features", "seen", "lookahead"):
        return _window()[name]
    if name == "modality":
        return np.full(len(_chosen("box")), MODALITY_2D, np.int64)
    if name in ("crop", "picture"):
        return _pictures()[name]
    if name == "embedding":
        return _embeddings()[FRAMES]
    return _chosen(name)


def _chosen(name):
    return _tracks()[name][FRAMES]


@cache
def _truth():
    return json.loads((ROOT / "samples" / "dive.truth.json").read_text())


@cache
def _crops():
    """The crop around the true joints of every frame."""
    made = []
    for frame in _truth()["frames"]:
        joints = np.array(frame["joints_img_px"])
        box = (*joints.min(axis=0), *joints.max(axis=0))
        made.append((joints, box, codecs.crop_of_box(box, 1.25)))
    return made


@cache
def _tracks():
    """What the temporal networks are given, all frames."""
    truth = _truth()
    focal = truth["camera_matrix_px"][0][0]
    camera = Camera(*truth["size_px"], focal, (959.5, 539.5))
    tracks = {
        "keypoints": np.stack([codecs.normalised_keypoints(joints, crop) for joints, _, crop in _crops()]),
        "box": np.stack([codecs.box_token(crop, camera) for _, _, crop in _crops()]),
    }
    count = len(tracks["box"])
    tracks["confidence"] = np.full((count, J), 0.8, np.float32)
    tracks["missing"] = np.zeros((count, J), np.float32)
    tracks["use_decoded"] = np.ones(count, np.float32)
    inputs = {"embedding": _embed(tracks), "modality": np.full(count, MODALITY_2D, np.int64), "box": tracks["box"]}
    decoded = shipped(MLP_DECODER.network)(inputs)["joints"]
    tracks["decoded"] = decoded - decoded[:, PELVIS : PELVIS + 1]
    return tracks


def _embed(tracks):
    inputs = {tensor.name: tracks[tensor.name] for tensor in POSE2D_ENCODER.inputs}
    return shipped(POSE2D_ENCODER.network)(inputs)["embedding"]


@cache
def _embeddings():
    return _embed(_tracks())


@cache
def _window():
    """32 windows that end at the chosen frames; frames before the film's first are masked."""
    inputs = {tensor.name: _tracks()[tensor.name] for tensor in TEMPORAL_FRAME.inputs}
    features = shipped(TEMPORAL_FRAME.network)(inputs)["feature"]
    ends = range(*FRAMES.indices(len(features)))
    made = {
        "features": np.zeros((len(ends), WINDOW, features.shape[1]), np.float32),
        "seen": np.zeros((len(ends), WINDOW), np.float32),
        "lookahead": np.arange(len(ends), dtype=np.int64) % 3,
    }
    for place, end in enumerate(ends):
        made["features"][place, -end:] = features[:end]
        made["seen"][place, -end:] = 1
    return made


@cache
def _pictures():
    """Crops for the encoder and search windows for the tracker at the chosen frames, uint8 RGB."""
    wanted = range(*FRAMES.indices(len(_crops())))
    made = {"crop": [], "picture": []}
    with av.open(str(ROOT / "samples" / "dive.mp4")) as film:
        for number, frame in enumerate(film.decode(video=0)):
            if number > wanted[-1]:
                break
            if number in wanted:
                rgb = frame.to_ndarray(format="rgb24")
                _, box, crop = _crops()[number]
                window = codecs.img_from_window(codecs.window_of_box(box, 2.0))
                made["crop"].append(_warped(rgb, codecs.img_from_crop(crop), (CROP_W, CROP_H)))
                made["picture"].append(_warped(rgb, window, (STN_PX, STN_PX)))
    return {name: np.stack(pictures) for name, pictures in made.items()}


def _warped(rgb, img_from_target, size):
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(rgb, img_from_target[:2], size, flags=flags)
