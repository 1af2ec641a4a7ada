"""Windows of motion for the temporal networks, and what these and the per-frame lifter make of them."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.contracts import LIVE_WINDOW, LOOKAHEADS, TEMPORAL_FRAME, TEMPORAL_LIVE, TEMPORAL_WINDOW, WINDOW, Contract
from engines.skeleton import J
from training.evaluate.lift import DIVES, held_out_clips
from training.evaluate.networks import Networks, batched
from training.evaluate.poses3d import SEED
from training.evaluate.result import Request
from training.poses import PoseBank, dive_clips
from training.sequences import Windows, sample_windows

Array = NDArray[Any]

KINDS: Final = {"dives": 1.0, "mocap": 0.0}
"""What the windows are of, and the share of dives that says so."""


def held_out_windows(request: Request, count: int, clean: bool, frames: int, ahead: int) -> dict[str, Windows]:
    """`count` windows of `frames` frames of generated dives and as many of held-out motion capture, as filmed by level
    cameras; `ahead` frames follow the one of interest, which may be any of a dive's.

    `clean`: exact keypoints; else as a keypoint network, a tracker and a lossy stream leave them.
    """
    rng = np.random.default_rng(SEED)
    bank = PoseBank(held_out_clips(request.mocap) + dive_clips(rng, DIVES))
    return {
        kind: sample_windows(rng, bank, count, frames, clean=clean, natural=True, dive_share=share, ahead=ahead)
        for kind, share in KINDS.items()
    }


def frame_features(networks: Networks, keypoints: Array, missing: Array, box: Array) -> Array:
    """Features (N, T, F) of frames as the live path makes them: keypoints fused with what the MLP decoder makes of
    them."""
    frame = networks.session(TEMPORAL_FRAME)
    flat = {
        "keypoints": keypoints.reshape(-1, J, 2),
        "missing": missing.reshape(-1, J),
        "box": box.reshape(-1, 3),
        "decoded": per_frame_poses(networks, keypoints, missing, box).reshape(-1, J, 3),
        "use_decoded": np.ones(missing.size // J, np.float32),
    }
    feature = batched(
        lambda rows: (frame.run({name: values[rows] for name, values in flat.items()})["feature"],),
        len(flat["box"]),
        WINDOW,
    )[0]
    return feature.reshape(*missing.shape[:2], -1)


def temporal_poses(networks: Networks, features: Array, seen: Array, lookahead: int) -> Array:
    """Joints (N, 243, J, 3) by the temporal network, asked for the frame `lookahead` before the newest."""
    return _mixed(networks, TEMPORAL_WINDOW, features, seen, lookahead)


def live_poses(networks: Networks, features: Array, seen: Array) -> Array:
    """Joints (N, 40, J, 3) of the newest frames of windows by the live network, asked for the newest as live."""
    return _mixed(networks, TEMPORAL_LIVE, features[:, -LIVE_WINDOW:], seen[:, -LIVE_WINDOW:], 0)


def _mixed(networks: Networks, contract: Contract, features: Array, seen: Array, lookahead: int) -> Array:
    window = networks.session(contract)

    def run(rows: slice) -> tuple[Array, ...]:
        index = np.full(rows.stop - rows.start, LOOKAHEADS.index(lookahead), np.int64)
        return (window.run({"features": features[rows], "seen": seen[rows], "lookahead": index})["joints"],)

    return batched(run, len(seen), 4)[0]


def per_frame_poses(networks: Networks, keypoints: Array, missing: Array, box: Array) -> Array:
    """Joints (N, T, J, 3) by the keypoint encoder and the MLP decoder, every frame alone."""
    shape = missing.shape
    flat = networks.lift(keypoints.reshape(-1, J, 2), 1 - missing.reshape(-1, J), box.reshape(-1, 3))
    return flat.reshape(*shape, 3)
