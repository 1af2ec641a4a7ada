"""`lift`: 3D poses from 2D keypoints, of motion capture held out by subject and generated dives, or of your own.

Exact keypoints tell what the lifters know of bodies; noisy ones (1 to 6 pixels, exchanged sides, joints dropped) what
is left of it behind a keypoint network. Without noise the crop and the camera are exact too.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.contracts import MODALITY_2D
from training import geometry as geo
from training.evaluate import given
from training.evaluate.networks import Networks, batched
from training.evaluate.pitch import by_pitch
from training.evaluate.poses3d import HYPOTHESES, SEED, clusters, hypotheses_row, pose_row, sequence_row
from training.evaluate.result import Figures, MaterialMissing, Plot, Request, Result, Row
from training.poses import Clip, dive_clips, held_out, mocap_clips, observe, random_root, subject

Array = NDArray[Any]

POSES: Final = 2000
DIVES: Final = 20
SAMPLED: Final = 300
MLP, DIFFUSION = "MLP decoder", "Diffusion decoder, mean of 5"
HYPOTHESIS = f"{HYPOTHESES} hypotheses of the diffusion decoder"
GIVEN = "given poses"
PITCH = "Exact 2D by the camera's pitch, MLP decoder"
PITCHED: Final = 500
MOTION = "Motion, MLP decoder frame by frame"
EXACT, NOISY = "exact 2D", "noisy 2D"


class Lifted(NamedTuple):
    """Inputs of the lifter as the contract has them, and the truth."""

    keypoints: Array  # (N, J, 2)
    confidence: Array  # (N, J)
    box: Array  # (N, 3)
    truth_m: Array  # (N, J, 3) root-relative


def lift(request: Request) -> Result:
    """Both decoders on keypoints of held-out poses, or of a file of one's own."""
    networks = Networks(request.weights, request.encoder, request.precision)
    if request.data.suffix == ".npz":
        return _of_file(request, networks)
    rng = np.random.default_rng(SEED)
    poses, subjects = _poses(rng, request)
    sets = _sets(rng, poses)
    centres = clusters(request.mocap)
    mlp: dict[str, Row] = {}
    diffusion: dict[str, Row] = {}
    hypotheses: dict[str, Row] = {}
    for name, lifted in sets.items():
        one, several = decoded(networks, lifted)
        mlp[name] = pose_row(one, lifted.truth_m, centres)
        diffusion[name] = pose_row(several.mean(1), lifted.truth_m, centres)
        hypotheses[name] = _hypotheses(networks, lifted)
    pitched = by_pitch(networks, {name: some[:PITCHED] for name, some in poses.items()})
    return Result(
        "lift",
        f"motion capture held out by subject ({', '.join(subjects)}) and {DIVES} generated dives of another seed",
        len(next(iter(sets.values())).truth_m),
        (Figures(MLP, mlp), Figures(DIFFUSION, diffusion), Figures(HYPOTHESIS, hypotheses), Figures(PITCH, pitched)),
        (_plot(mlp, diffusion),),
        (
            "All 17 joints count, the pelvis included. Level: before a level camera, from any side; any way up: "
            "the body turned to any orientation.",
        ),
        networks.used,
    )


def decoded(networks: Networks, lifted: Lifted) -> tuple[Array, Array]:
    """MLP's joints (N, J, 3) and five hypotheses (N, 5, J, 3)."""

    def run(rows: slice) -> tuple[Array, ...]:
        embedding = networks.embed_keypoints(lifted.keypoints[rows], lifted.confidence[rows], lifted.box[rows])
        box = lifted.box[rows]
        return networks.mlp(embedding, MODALITY_2D, box), networks.diffusion(embedding, MODALITY_2D, box)

    one, several = batched(run, len(lifted.box))
    return one, several


def _poses(rng: np.random.Generator, request: Request) -> tuple[dict[str, Array], list[str]]:
    """Root-relative poses (N, J, 3) of both kinds, world axes, and the subjects of the recorded ones."""
    clips = held_out_clips(request.mocap)
    subjects = sorted({subject(clip.name) for clip in clips})
    kinds = {"mocap": clips, "dives": dive_clips(rng, DIVES)}
    return {name: _frames(rng, chosen, request.at_most(POSES)) for name, chosen in kinds.items()}, subjects


def _sets(rng: np.random.Generator, poses: dict[str, Array]) -> dict[str, Lifted]:
    mocap, dives = poses["mocap"], poses["dives"]
    count = len(mocap)
    any_way = geo.random_rotations(rng, count)
    sets = {}
    for name, some, turns in (
        ("mocap, level", mocap, geo.random_views(rng, count, full_circle=0.0)),
        ("mocap, any way up", mocap, any_way),
        ("dives, level", dives, geo.random_views(rng, count, full_circle=0.0)),
    ):
        joints = some @ np.swapaxes(turns, -1, -2)
        rays = geo.project(joints + random_root(rng, count)[:, None])
        sets[f"{name}, {EXACT}"] = exact(rays, joints)
        sets[f"{name}, {NOISY}"] = Lifted(*(x.numpy() for x in observe(rng, rays, joints)))
    return sets


def held_out_clips(mocap: Path) -> list[Clip]:
    """Clips of the subjects that no recipe trains on. Raises MaterialMissing without any."""
    if not list(mocap.glob("*.npz")):
        raise MaterialMissing(f"{mocap}: no motion capture files (*.npz); give their folder with --mocap")
    clips = [clip for clip in mocap_clips(mocap) if held_out(clip.name)]
    if not clips:
        raise MaterialMissing(f"{mocap}: none of the clips belongs to a held-out subject; add motion capture")
    return clips


def _frames(rng: np.random.Generator, clips: list[Clip], count: int) -> Array:
    """`count` root-relative poses (count, J, 3), every frame equally likely."""
    frames = np.concatenate([clip.joints_world_m - clip.joints_world_m[:, :1] for clip in clips])
    return np.asarray(frames[rng.integers(len(frames), size=count)])


def exact(rays: Array, joints_root_m: Array) -> Lifted:
    """Keypoints without any error, in the crop of the tracker's rule."""
    centre, size = geo.keypoint_box(rays)
    height = geo.crop_height(size)
    box = np.concatenate([centre, height[:, None]], -1)
    return Lifted(geo.normalise(rays, centre, height), np.ones(rays.shape[:2]), box, joints_root_m)


def _hypotheses(networks: Networks, lifted: Lifted) -> Row:
    keypoints, confidence, box, truth = (x[:SAMPLED] for x in lifted)
    embedding = batched(
        lambda rows: (networks.embed_keypoints(keypoints[rows], confidence[rows], box[rows]),), len(box)
    )[0]
    return hypotheses_row(networks.sample(embedding, MODALITY_2D, box, HYPOTHESES), truth)


def _of_file(request: Request, networks: Networks) -> Result:
    """Poses and keypoints of one's own: per frame, and as motion where the frames belong to clips."""
    poses = given.read(request.data, request.limit)
    one, several = decoded(networks, Lifted(poses.keypoints, poses.confidence, poses.box, poses.truth_m))
    tables = {
        MLP: {GIVEN: poses.mean_row(one)},
        DIFFUSION: {GIVEN: poses.mean_row(several.mean(1))},
    }
    motion = [sequence_row(p[None], t[None], poses.rate_hz) for p, t in poses.clips(one) if len(p) >= 4]
    if motion:
        tables[MOTION] = {GIVEN: {name: float(np.mean([row[name] for row in motion])) for name in motion[0]}}
    return Result(
        "lift",
        f"poses in `{request.data.name}`",
        len(one),
        tuple(Figures(title, rows) for title, rows in tables.items()),
        (),
        ("Joints that the mask leaves out are neither shown to the lifter nor counted.",),
        networks.used,
    )


def _plot(mlp: dict[str, Row], diffusion: dict[str, Row]) -> Plot:
    series = {
        name: tuple(row["P-MPJPE mm"] for row in rows.values())
        for name, rows in (("MLP", mlp), ("diffusion, mean of 5", diffusion))
    }
    places = tuple(name.replace(", ", "\n") for name in mlp)
    return Plot("lift", "3D poses from keypoints", places, series, "", "P-MPJPE, mm")
