"""The figures that posecast is to reach, for the tables that show them beside what was measured."""

from dataclasses import dataclass
from typing import Final

from training.evaluate import controls, embedding, flight, lift, lookahead, photos, synth_crops, synth_dives
from training.evaluate.result import Result


@dataclass(frozen=True)
class Goal:
    """One figure of a suite, by table, row and column, and its bound."""

    suite: str
    words: str
    table: str
    row: str
    column: str
    bound: float
    at_least: bool = True

    def reached(self, value: float) -> bool:
        """Whether a measured value is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound


_GAP = "upright minus inverted"
_DIVES = lookahead.title("dives")
_SEEN = (synth_dives.PICTURE, synth_dives.ALL)
_POSES = (synth_dives.POSES, synth_dives.PIPELINE)
_HYPOTHESES = (lift.HYPOTHESIS, f"mocap, level, {lift.NOISY}")

_WHERE = {"from noisy joints": flight.JOINTS, "from pixels": flight.PIXELS}
_FLIGHT = tuple(
    goal
    for source, depth, height, off, time, counts, number, angle in (
        (flight.FROM_JOINTS, 1, 4, 20, 25, 100, 99, 2),
        (flight.FROM_PIXELS, 3, 8, 40, 50, 95, 90, 5),
    )
    for goal in (
        Goal("flight", f"depth bias {source}, %", flight.PLACES, source, "depth bias %", depth, at_least=False),
        Goal("flight", f"height rms at 15 m {source}, cm", flight.PLACES, source, "height rms, cm", height, False),
        Goal("flight", f"take-off {source}, sd, ms", _WHERE[source], "take-off, ms", "sd", off, at_least=False),
        Goal("flight", f"entry {source}, sd, ms", _WHERE[source], "entry, ms", "sd", off, at_least=False),
        Goal("flight", f"flight time {source}, sd, ms", _WHERE[source], "flight time, ms", "sd", time, at_least=False),
        Goal("flight", f"somersaults right {source}, %", _WHERE[source], "somersaults right, %", "share", counts),
        Goal("flight", f"twists right {source}, %", _WHERE[source], "twists right, %", "share", counts),
        Goal("flight", f"dive number right {source}, %", _WHERE[source], "number right, %", "share", number),
        Goal(
            "flight", f"entry angle {source}, sd, degrees", _WHERE[source], "entry angle, degrees", "sd", angle, False
        ),
    )
)

_BOARD, _FALLS, _SEEN_FALLS = controls.BOARD, controls.FALLS, controls.SEEN_FALLS
_CALIBRATED = (
    Goal("flight", "coverage from noisy joints, %", flight.PLACES, flight.FROM_JOINTS, flight.COVERAGE, 90),
    Goal("flight", _BOARD, flight.CALIBRATION, _BOARD, "largest", 0.3, at_least=False),
    Goal("flight", _FALLS, flight.CALIBRATION, _FALLS, "largest", 1.5, at_least=False),
    Goal("flight", _SEEN_FALLS, flight.CALIBRATION, _SEEN_FALLS, "largest", 3, at_least=False),
    Goal("flight", "switches to another, 200 scenes", controls.TITLE, controls.GRAVITY, "switches", 0, at_least=False),
    Goal("flight", controls.AGAIN, controls.TITLE, controls.GRAVITY, controls.AGAIN, 95),
)

GOALS: Final = (
    Goal("photos", "PCK@0.2 upright, %", photos.EXACT, photos.OURS, "upright", 75),
    Goal("photos", "PCK@0.2 sideways, %", photos.EXACT, photos.OURS, "sideways", 70),
    Goal("photos", "PCK@0.2 inverted, %", photos.EXACT, photos.OURS, "inverted", 68),
    Goal("photos", "upright minus inverted, points", photos.EXACT, photos.OURS, _GAP, 10, at_least=False),
    Goal("synth-crops", "PCK@0.1, %", synth_crops.KEYPOINTS, "all", synth_crops.PCK_BOX, 90),
    Goal("synth-crops", "upright minus inverted", synth_crops.KEYPOINTS, _GAP, synth_crops.PCK_BOX, 2, at_least=False),
    Goal("synth-dives", "P-MPJPE, mm", *_POSES, "P-MPJPE mm", 45, at_least=False),
    Goal("synth-dives", "MPJPE, mm", *_POSES, "MPJPE mm", 75, at_least=False),
    Goal("synth-dives", "box IoU > 0.5, % of frames in view", *_SEEN, "box IoU > 0.5 %", 95),
    Goal("synth-dives", "first lock, slowest clip, s", *_SEEN, "first lock s", 0.5, at_least=False),
    Goal("lift", "exact 2D, P-MPJPE, mm", lift.MLP, f"mocap, level, {lift.EXACT}", "P-MPJPE mm", 30, at_least=False),
    Goal("lift", "ECE of hypotheses", *_HYPOTHESES, "ECE", 0.1, at_least=False),
    Goal(
        "lookahead",
        "acceleration k = 13, % of change",
        _DIVES,
        "k = 13",
        "acceleration against per frame %",
        -50,
        False,
    ),
    Goal("lookahead", "MPJPE k = 13, % of change", _DIVES, "k = 13", "MPJPE against per frame %", 0, False),
    Goal("embedding", "picture and 3D, matched", embedding.COSINE, "picture and 3D", embedding.MATCHED, 0.7),
    Goal(
        "embedding", "picture and 3D, mismatched", embedding.COSINE, "picture and 3D", embedding.MISMATCHED, 0.2, False
    ),
    *_FLIGHT,
    *_CALIBRATED,
)


def measured(result: Result) -> list[tuple[Goal, float]]:
    """The goals of a suite with what it measured; those it did not measure are left out."""
    found = []
    for goal in GOALS:
        for table in result.tables:
            value = table.rows.get(goal.row, {}).get(goal.column)
            if goal.suite == result.suite and table.title == goal.table and value is not None:
                found.append((goal, value))
    return found
