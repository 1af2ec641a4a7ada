"""What fewer bits cost in accuracy: the suites of `posecast eval` in each precision that OpenVINO has here.

    python benchmarks/precision.py --photos FOLDER --data FOLDER --mocap FOLDER [--json FILE] [--markdown FILE]

`--data` holds `crops/` from `posecast synth crops`. A suite whose data is not given is left out. int8 is of the
networks that have such a file, the others stay in single precision. Needs the extra `train`.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

# Python puts this file's folder first, where `engines.py` would be taken for the package `engines`.
ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from benchmarks import page  # noqa: E402
from engines import openvino_backend  # noqa: E402
from pipeline.bench import machine  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.evaluate import lookahead, synth_crops  # noqa: E402
from training.evaluate.result import Request, Result  # noqa: E402
from training.evaluate.suites import measure  # noqa: E402

PHOTOS: Final = "PCK@0.2 of the torso, percent"
FIGURES: Final = {
    "photographs, PCK@0.2 torso %": ("photos", PHOTOS, "posecast", "all", True),
    "synthetic crops, PCK@0.2 torso %": ("synth-crops", synth_crops.KEYPOINTS, "all", synth_crops.PCK_TORSO, True),
    "synthetic crops, PCK@0.1 box %": ("synth-crops", synth_crops.KEYPOINTS, "all", synth_crops.PCK_BOX, True),
    "synthetic crops, pose from keypoints, MPJPE mm": (
        "synth-crops",
        synth_crops.POSES,
        synth_crops.MLP_2D,
        "MPJPE mm",
        False,
    ),
    "dives, refined live pose, MPJPE mm": ("lookahead", lookahead.title("dives"), "live, k = 13", "MPJPE mm", False),
    "mocap, refined live pose, MPJPE mm": ("lookahead", lookahead.title("mocap"), "live, k = 13", "MPJPE mm", False),
}
"""Per line of the table: suite, table, row and column, and whether more is better."""
ALLOWED: Final = {True: 0.5, False: 2.0}
"""Points of PCK and millimetres that fewer bits may cost."""


def main() -> None:
    """Measure and write."""
    options = _options()
    requests = {
        "photos": options.photos and Request(options.photos, Path(), ROOT / "weights", limit=options.limit),
        "synth-crops": options.data
        and Request(options.data, options.mocap or Path(), ROOT / "weights", limit=options.limit),
        "lookahead": options.mocap and Request(Path(), options.mocap, ROOT / "weights", limit=options.limit),
    }
    precisions = ["fp32", *(["bf16"] if openvino_backend.computes_bf16() else []), "int8"]
    figures: page.Figures = {"machine": machine(), "precisions": precisions, "samples": {}, "rows": {}, "left_out": []}
    for suite, request in requests.items():
        if not request:
            figures["left_out"].append(f"{suite}: no data given")
            continue
        results = {precision: _measured(suite, request, precision) for precision in precisions}
        figures["samples"][suite] = results["fp32"].samples
        for line, (of, title, row, column, _) in FIGURES.items():
            if of == suite:
                figures["rows"][line] = {name: result.figure(title, row, column) for name, result in results.items()}
    page.finish(figures, markdown, options)


def markdown(figures: page.Figures) -> str:
    """The section."""
    precisions = figures["precisions"]
    rows = [
        [line, *(f"{values[name]:.2f}" for name in precisions), _verdict(line, values)]
        for line, values in figures["rows"].items()
    ]
    samples = ", ".join(f"{suite} {count}" for suite, count in figures["samples"].items())
    command = "python benchmarks/precision.py --photos FOLDER --data FOLDER --mocap FOLDER"
    head = page.facts(figures, "held-out photographs, rendered crops, motion capture and made dives", samples, command)
    table = page.table(("", *precisions, "worst loss"), rows)
    return f"{head}\n{table}{page.left_out(figures['left_out'])}"


def _verdict(line: str, values: dict[str, float]) -> str:
    more_is_better = FIGURES[line][4]
    losses = [(values["fp32"] - value) * (1 if more_is_better else -1) for value in values.values()]
    return f"{max(losses):.2f} of {ALLOWED[more_is_better]:g} allowed"


def _measured(suite: str, request: Request, precision: str) -> Result:
    changed = Request(**{**vars(request), "precision": precision})
    try:
        return measure(suite, changed)
    except TrainingError as error:
        page.refuse(str(error))
        raise


def _options() -> argparse.Namespace:
    parser = page.arguments("What fewer bits cost in accuracy.")
    parser.add_argument("--photos", type=Path, help="folder of labelled photographs")
    parser.add_argument("--data", type=Path, help="folder with crops/ from posecast synth")
    parser.add_argument("--mocap", type=Path, help="folder of motion capture")
    parser.add_argument("--limit", type=int, default=0, help="samples at most per suite")
    return page.chosen(parser)


if __name__ == "__main__":
    page.guarded(main)
