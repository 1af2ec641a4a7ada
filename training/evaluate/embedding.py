"""`embedding`: how alike the embeddings of one pose are, from its picture, its keypoints and its joints, and how unlike
those of different poses."""

from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.contracts import CROP_H, CROP_W, POSE3D_ENCODER
from engines.store import folder_of
from training.datasets import Crops, shards, validation_crops
from training.errors import TrainingError
from training.evaluate.networks import Networks, batched, keypoints_of_crop_px
from training.evaluate.poses3d import SEED
from training.evaluate.result import Figures, MaterialMissing, Request, Result, Row

Array = NDArray[Any]

CROPS: Final = 500
COSINE = "Cosine of embeddings"
MATCHED, MISMATCHED = "matched", "mismatched"
IMAGE, KEYPOINTS, JOINTS = "picture", "2D", "3D"


def embedding(request: Request) -> Result:
    """Mean cosine of matched and mismatched pairs of modalities, and how often the nearest of all is the match."""
    folder = request.data / "crops"
    if not shards(folder):
        raise MaterialMissing(f"{folder}: no shards (*.tar); make them with `posecast synth crops --out {folder}`")
    crops = validation_crops(folder, request.at_most(CROPS), CROP_H, CROP_W)
    networks = Networks(request.weights, request.encoder, request.precision)
    embedded = _pictures_and_keypoints(networks, crops)
    joints, missing = _joints(request, networks, crops)
    if joints is not None:
        embedded[JOINTS] = joints
    rows = {f"{a} and {b}": similarity_row(embedded[a], embedded[b]) for a, b in combinations(embedded, 2)}
    return Result(
        "embedding",
        f"synthetic crops in `{folder.name}`, held-out tenth, each turned by a fixed random angle; exact keypoints",
        len(crops.picture),
        (Figures(COSINE, rows),),
        notes=missing,
        networks=networks.used,
    )


def similarity_row(a: Array, b: Array) -> Row:
    """Cosines of pairs of embeddings (N, D): mean of the matched, mean of N random mismatched; nearest is the match."""
    a, b = (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12) for x in (a, b))
    cosine = a @ b.T
    shift = np.random.default_rng(SEED).integers(1, max(len(a), 2), len(a))
    other = (np.arange(len(a)) + shift) % len(a)
    return {
        MATCHED: float(np.diag(cosine).mean()),
        MISMATCHED: float(cosine[np.arange(len(a)), other].mean()),
        "nearest is the match %": float(100 * (cosine.argmax(1) == np.arange(len(a))).mean()),
        "of": float(len(a)),
    }


def _pictures_and_keypoints(networks: Networks, crops: Crops) -> dict[str, Array]:
    picture, box = crops.picture.numpy(), crops.box.numpy()
    keypoints, weight = keypoints_of_crop_px(crops.joints_px.numpy()), crops.weight.numpy()

    def run(rows: slice) -> tuple[Array, ...]:
        lifted = networks.embed_keypoints(keypoints[rows] * weight[rows][..., None], weight[rows], box[rows])
        return networks.see(picture[rows])["embedding"], lifted

    return dict(zip((IMAGE, KEYPOINTS), batched(run, len(box)), strict=True))


def _joints(request: Request, networks: Networks, crops: Crops) -> tuple[Array | None, tuple[str, ...]]:
    """Embeddings of the joints, by the encoder in the weights' folder or in the run that these weights are from."""
    joints = crops.joints.numpy()
    if (folder_of(request.weights) / f"{POSE3D_ENCODER.network}.onnx").is_file():
        encoder = networks.session(POSE3D_ENCODER)
        return batched(lambda rows: (encoder.run({"joints": joints[rows]})["embedding"],), len(joints))[0], ()
    if request.runs is None:
        return None, (
            "3D skipped: the pose3d_encoder serves training and is not shipped; give its run's folder with --runs.",
        )
    from training.export import load_model, run_of

    run = run_of(POSE3D_ENCODER.network, request.runs)
    if run is None:
        raise TrainingError(f"{request.runs}: no run that holds pose3d_encoder; train it or leave --runs out")
    import torch

    model, header = load_model(POSE3D_ENCODER.network, run)
    with torch.no_grad():
        out = model(crops.joints).float().numpy()
    return out, (f"The encoder of 3D poses is that of the run {header.get('recipe')}, {header.get('step')} steps.",)
