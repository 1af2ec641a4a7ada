"""`track`: the spatial transformer's box and presence on search windows of held-out synthetic scenes."""

from typing import Any

from numpy.typing import NDArray

from engines.contracts import STN
from training.datasets import shards
from training.evaluate.networks import Networks, batched
from training.evaluate.result import Figures, MaterialMissing, Request, Result
from training.recipes.track import box_figures
from training.scenes import validation_scenes

Array = NDArray[Any]

WINDOWS = "Search windows"
NAMES = {
    "iou_mean": "IoU mean",
    "iou_median": "IoU median",
    "iou_over_50": "IoU > 0.5 %",
    "presence_accuracy": "presence right %",
    "absent_recognised": "absence seen %",
    "windows": "windows",
}


def track(request: Request) -> Result:
    """Box overlap and presence."""
    folder = request.data / "scenes"
    if not shards(folder):
        raise MaterialMissing(f"{folder}: no shards (*.tar); make them with `posecast synth scenes --out {folder}`")
    scenes = validation_scenes(folder, request.at_most(2000))
    networks = Networks(request.weights, precision=request.precision)
    picture = scenes.picture.numpy()

    def run(rows: slice) -> tuple[Array, ...]:
        out = networks.session(STN).run({"picture": picture[rows]})
        return out["theta"], out["presence"]

    theta, presence = batched(run, len(picture))
    figures = box_figures(theta, presence, scenes)
    row = {words: figures[name] for name, words in NAMES.items() if name in figures}
    return Result(
        "track",
        f"search windows cut from synthetic scenes in `{folder.name}`, held-out tenth",
        len(picture),
        (Figures(WINDOWS, {"posecast": row}),),
        networks=networks.used,
    )
