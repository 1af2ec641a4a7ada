"""`occlusion`: joints and limbs missing from exact keypoints in all frames of a window, completed in 3D.

The table of MPM (masked pose modelling): one joint, two joints, both legs, both arms, the arm and leg of one side. MPM
prints 40.5, 41.5, 62.1, 77.0, 56.9 and 56.3 mm on Human3.6M, whose data and subjects are others.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.contracts import WINDOW
from engines.skeleton import J
from training import metrics
from training.evaluate.networks import Networks
from training.evaluate.poses3d import SEED
from training.evaluate.result import Figures, Plot, Request, Result, Row
from training.evaluate.windows import frame_features, held_out_windows, per_frame_poses, temporal_poses
from training.sequences import Windows

Array = NDArray[Any]

COUNT: Final = 30
CENTRE: Final = WINDOW // 2
RIGHT_LEG, LEFT_LEG = (1, 2, 3), (4, 5, 6)
LEFT_ARM, RIGHT_ARM = (11, 12, 13), (14, 15, 16)
LIMBS: Final = {
    "both legs": RIGHT_LEG + LEFT_LEG,
    "both arms": LEFT_ARM + RIGHT_ARM,
    "left leg and arm": LEFT_LEG + LEFT_ARM,
    "right leg and arm": RIGHT_LEG + RIGHT_ARM,
}
TEMPORAL, PER_FRAME = "temporal, window centred", "per frame"


def occlusion(request: Request) -> Result:
    """MPJPE with joints missing, by the temporal networks and by the per-frame lifter."""
    networks = Networks(request.weights, request.encoder, request.precision)
    windows = held_out_windows(request, request.at_most(COUNT), clean=True, frames=WINDOW, ahead=CENTRE)
    tables = tuple(Figures(title(kind), _rows(networks, window)) for kind, window in windows.items())
    return Result(
        "occlusion",
        "windows of 243 frames with exact keypoints: generated dives of another seed, and motion capture held out by "
        "subject",
        sum(len(window.seen) for window in windows.values()),
        tables,
        (_plot(tables),),
        (
            "The joints are missing in every frame of the window; the middle frame is measured, all 17 joints count. "
            "One and two joints are drawn at random for each window, the pelvis never.",
        ),
        networks.used,
    )


def title(kind: str) -> str:
    """Title of the table of a kind of windows."""
    return f"Joints missing, {kind}"


def gone(count: int) -> dict[str, Array]:
    """Which joints (count, J) are missing in each window, by the name of the case; the same at every call."""
    rng = np.random.default_rng(SEED)
    drawn = np.stack([rng.permutation(np.arange(1, J))[:2] for _ in range(count)])
    cases = {"nothing": np.zeros((count, J), np.float32)}
    for name, joints in (("one joint", drawn[:, :1]), ("two joints", drawn)):
        cases[name] = np.zeros((count, J), np.float32)
        np.put_along_axis(cases[name], joints, 1.0, axis=1)
    for name, limb in LIMBS.items():
        cases[name] = np.zeros((count, J), np.float32)
        cases[name][:, list(limb)] = 1.0
    return cases


def _rows(networks: Networks, windows: Windows) -> dict[str, Row]:
    keypoints, _, seen, truth, box = (x.numpy() for x in windows)
    middle, rows = slice(CENTRE, CENTRE + 1), {}
    for name, joints in gone(len(truth)).items():
        missing = np.repeat(joints[:, None], WINDOW, 1)
        shown = keypoints * (1 - missing[..., None])
        features = frame_features(networks, shown, missing, box)
        poses = temporal_poses(networks, features, seen, WINDOW // 2)[:, CENTRE]
        alone = per_frame_poses(networks, shown[:, middle], missing[:, middle], box[:, middle])[:, 0]
        row: Row = {}
        for who, predicted in ((TEMPORAL, poses), (PER_FRAME, alone)):
            row[f"{who}, MPJPE mm"] = metrics.mpjpe(predicted, truth[:, CENTRE])
            row[f"{who}, P-MPJPE mm"] = metrics.p_mpjpe(predicted, truth[:, CENTRE])
        rows[name] = row
    return rows


def _plot(tables: tuple[Figures, ...]) -> Plot:
    places = tuple(tables[0].rows)
    series = {
        f"{table.title.rpartition(', ')[2]}, {who.partition(',')[0]}": tuple(
            row[f"{who}, MPJPE mm"] for row in table.rows.values()
        )
        for table in tables
        for who in (TEMPORAL, PER_FRAME)
    }
    return Plot(
        "occlusion", "Joints missing", tuple(p.replace(" ", "\n", 1) for p in places), series, "missing", "MPJPE, mm"
    )
