"""`synth-crops`: keypoints and 3D poses from held-out synthetic crops, each turned by a random angle."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.contracts import CROP_H, CROP_W, MODALITY_2D, MODALITY_IMAGE
from training import metrics
from training.datasets import Crops, shards, validation_crops
from training.evaluate.networks import Networks, batched, keypoints_of_crop_px
from training.evaluate.poses3d import HYPOTHESES, clusters, hypotheses_row, pose_row
from training.evaluate.result import Figures, MaterialMissing, Plot, Request, Result, Row
from training.metrics import TILTS

Array = NDArray[Any]

CROPS: Final = 1000
SAMPLED: Final = 300
"""Crops of which many hypotheses are drawn."""
KEYPOINTS = "Keypoints by the trunk's tilt in the picture"
POSES = "3D poses"
HYPOTHESIS = f"{HYPOTHESES} hypotheses of the diffusion decoder"
MLP_IMAGE, MLP_2D = "picture, MLP decoder", "detected keypoints, MLP decoder"
DIFFUSION_IMAGE, DIFFUSION_2D = "picture, diffusion, mean of 5", "detected keypoints, diffusion, mean of 5"
PCK_BOX, PCK_TORSO, EPE = "PCK@0.1 box %", "PCK@0.2 torso %", "EPE px"


def synth_crops(request: Request) -> Result:
    """The encoder and both decoders on held-out crops."""
    folder = request.data / "crops" if (request.data / "crops").is_dir() else request.data
    if not shards(folder):
        raise MaterialMissing(f"{folder}: no shards (*.tar); make them with `posecast synth crops --out {folder}`")
    crops = validation_crops(folder, request.at_most(CROPS), CROP_H, CROP_W)
    networks = Networks(request.weights, request.encoder, request.precision)
    found = _found(networks, crops)
    metric = crops.metric.numpy() > 0
    truth, centres = crops.joints.numpy()[metric], clusters(request.mocap)
    poses = {name: pose_row(found[name][metric], truth, centres) for name in (MLP_IMAGE, MLP_2D)}
    poses |= {name: pose_row(found[name][metric].mean(1), truth, centres) for name in (DIFFUSION_IMAGE, DIFFUSION_2D)}
    keypoints = keypoint_rows(found["points_px"], crops)
    return Result(
        "synth-crops",
        f"synthetic crops in `{folder.name}`, held-out tenth, each turned by a fixed random angle",
        len(truth),
        (
            Figures(KEYPOINTS, keypoints),
            Figures(POSES, poses),
            Figures(HYPOTHESIS, _hypotheses(networks, crops, found)),
        ),
        (_plot(keypoints),),
        (
            "The box of PCK@0.1 is the longer side of the joints' box; the torso the distance from the middle of the "
            "shoulders to that of the hips; all 17 joints inside the crop count.",
            f"Mean confidence of the keypoints: {float(found['confidence'].mean()):.2f}.",
        ),
        networks.used,
    )


def _found(networks: Networks, crops: Crops) -> dict[str, Array]:
    picture, box = crops.picture.numpy(), crops.box.numpy()

    def run(rows: slice) -> tuple[Array, ...]:
        seen = networks.see(picture[rows])
        keypoints = keypoints_of_crop_px(seen["points_px"])
        lifted = networks.embed_keypoints(keypoints, seen["confidence"], box[rows])
        image = seen["embedding"]
        return (
            seen["points_px"],
            seen["confidence"],
            image,
            lifted,
            networks.mlp(image, MODALITY_IMAGE, box[rows]),
            networks.mlp(lifted, MODALITY_2D, box[rows]),
            networks.diffusion(image, MODALITY_IMAGE, box[rows]),
            networks.diffusion(lifted, MODALITY_2D, box[rows]),
        )

    names = ("points_px", "confidence", "image", "lifted", MLP_IMAGE, MLP_2D, DIFFUSION_IMAGE, DIFFUSION_2D)
    return dict(zip(names, batched(run, len(box)), strict=True))


def keypoint_rows(points_px: Array, crops: Crops) -> dict[str, Row]:
    """PCK and end-point error by the tilt of the trunk, and in all."""
    truth, weight = crops.joints_px.numpy(), crops.weight.numpy()
    box, trunk = (truth.max(1) - truth.min(1)).max(-1), metrics.trunk(truth)
    torso, where = np.linalg.norm(trunk, axis=-1), metrics.tilt(trunk)
    rows: dict[str, Row] = {}
    for tilt in (*TILTS, "all"):
        chosen = (where == tilt) | (tilt == "all")
        if chosen.any():
            seen = (points_px[chosen], truth[chosen])
            rows[tilt] = {
                PCK_BOX: metrics.pck(*seen, box[chosen], 0.1, weight[chosen]),
                PCK_TORSO: metrics.pck(*seen, torso[chosen], 0.2, weight[chosen]),
                EPE: metrics.epe(*seen, weight[chosen]),
                "crops": float(chosen.sum()),
            }
    if {"upright", "inverted"} <= set(rows):
        gap = {name: rows["upright"][name] - rows["inverted"][name] for name in (PCK_BOX, PCK_TORSO)}
        rows["upright minus inverted"] = gap
    return rows


def _hypotheses(networks: Networks, crops: Crops, found: dict[str, Array]) -> dict[str, Row]:
    chosen = np.flatnonzero(crops.metric.numpy() > 0)[:SAMPLED]
    box, truth = crops.box.numpy()[chosen], crops.joints.numpy()[chosen]
    rows = {}
    for name, source, kind in (("picture", "image", MODALITY_IMAGE), ("detected keypoints", "lifted", MODALITY_2D)):
        samples = networks.sample(found[source][chosen], kind, box, HYPOTHESES)
        rows[name] = hypotheses_row(samples, truth)
    return rows


def _plot(rows: dict[str, Row]) -> Plot:
    series = {name: tuple(rows.get(tilt, {}).get(name, np.nan) for tilt in TILTS) for name in (PCK_BOX, PCK_TORSO)}
    return Plot("synth-crops", "Keypoints on held-out synthetic crops", TILTS, series, "trunk", "PCK, %")
