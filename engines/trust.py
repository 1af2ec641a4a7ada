"""Whether an engine gives what ONNX Runtime gives in single precision: asked before it is used, and by
`posecast engines check`.

Heat maps are compared as joints in pixels of the crop, boxes as their edges in pixels of the search window, everything
else as joints in millimetres: an embedding through the decoder, a frame's feature through a window of that frame alone.
Half of all joints have to be within the bound and nine tenths within four times the bound: where two poses are equally
likely the last bit decides between them, in any precision.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines import onnx_backend, store
from engines.codecs import box_of_theta
from engines.contracts import (
    MLP_DECODER,
    MODALITY_2D,
    MODALITY_IMAGE,
    POSE2D_ENCODER,
    STN_PX,
    TEMPORAL_WINDOW,
    WINDOW,
    Contract,
)
from engines.examples import examples_of, one_by_one
from engines.heatmaps import decode_heatmaps

Array = NDArray[Any]
Run = Callable[[Mapping[str, Array]], dict[str, Array]]

BOUNDS: Final = {
    "fp32": {"mm": 1.0, "px": 0.1, "probability": 0.02},
    "fp16": {"mm": 1.0, "px": 0.1, "probability": 0.02},
    "bf16": {"mm": 5.0, "px": 0.5, "probability": 0.1},
    "int8": {"mm": 5.0, "px": 0.5, "probability": 0.1},
}
"""By precision, for half of the joints. bf16 has eight bits of mantissa: of half a metre the last one is 2 mm."""
TAIL: Final = 4.0
"""For nine tenths, in bounds."""
_SIDE: Final = 0.25
"""Height of the crop in focal lengths, where an embedding has to be decoded without knowing its crop."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far one output is from single precision, in `unit`: of half of the joints, of nine tenths, and allowed."""

    output: str
    unit: str
    median: float
    p90: float
    bound: float

    @property
    def ok(self) -> bool:
        """Whether it is within the bound."""
        return self.median <= self.bound and self.p90 <= TAIL * self.bound

    def __str__(self) -> str:
        return (
            f"{self.output} {self.median:.2g} {self.unit} off in the median, {self.p90:.2g} at nine tenths "
            f"(allowed {self.bound:g}, {TAIL * self.bound:g})"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check found, one deviation for each output."""

    deviations: tuple[Deviation, ...]

    @property
    def ok(self) -> bool:
        """Whether the engine may be used."""
        return all(deviation.ok for deviation in self.deviations)

    @property
    def why_not(self) -> str:
        """What is out of bounds, in a line."""
        return "; ".join(str(deviation) for deviation in self.deviations if not deviation.ok)

    def to_json(self) -> str:
        """One line."""
        return json.dumps([asdict(deviation) for deviation in self.deviations])

    @classmethod
    def from_json(cls, text: str | bytes) -> "Verdict":
        """What `to_json` wrote. Raises ValueError or TypeError on anything else."""
        return cls(tuple(Deviation(**row) for row in json.loads(text)))


def judge(contract: Contract, run: Run, precision: str, weights: str) -> Verdict:
    """Compare an engine on the network's examples with ONNX Runtime in single precision.

    Raises WeightsError where examples, or the networks that turn an output into joints, are missing.
    """
    examples = list(one_by_one(examples_of(contract, weights)))
    truth = _outputs(reference(contract, weights), examples)
    found = _outputs(run, examples)
    bounds = BOUNDS[precision]
    return Verdict(
        tuple(
            _deviation(output.name, *_distances(contract, output.name, truth, found, weights), bounds)
            for output in contract.outputs
        )
    )


def reference(contract: Contract, weights: str) -> Run:
    """The network in single precision by ONNX Runtime."""
    return onnx_backend.loaded(contract, store.usable(contract.network, weights), "fp32", threads=1).infer


def _deviation(output: str, distances: Array, unit: str, bounds: Mapping[str, float]) -> Deviation:
    if not distances.size or not np.isfinite(distances).all():
        return Deviation(output, unit, float("inf"), float("inf"), bounds[unit])
    median, p90 = (round(float(value), 4) for value in np.percentile(distances, [50, 90]))
    return Deviation(output, unit, median, p90, bounds[unit])


def _outputs(run: Run, examples: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    rows = [run(example) for example in examples]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _distances(
    contract: Contract, output: str, truth: Mapping[str, Array], found: Mapping[str, Array], weights: str
) -> tuple[Array, str]:
    """Distances of all joints (or edges, or numbers), and their unit."""
    one, other = truth[output], found[output]
    if output == "heatmaps":
        return np.linalg.norm(decode_heatmaps(one)[0] - decode_heatmaps(other)[0], axis=-1), "px"
    if output == "theta":
        there = truth["presence"][:, 0] >= min(0.5, float(truth["presence"].max()))
        return np.abs(_edges(one[there]) - _edges(other[there])), "px"
    if output == "presence":
        return np.abs(one - other), "probability"
    if output == "embedding":
        one, other = _of_embeddings(contract, one, weights), _of_embeddings(contract, other, weights)
    elif output == "feature":
        one, other = _of_features(one, weights), _of_features(other, weights)
    return 1e3 * np.linalg.norm(one - other, axis=-1), "mm"


def _edges(theta: Array) -> Array:
    return np.array([box_of_theta(row, (0.0, 0.0, STN_PX, STN_PX)) for row in theta])


def _of_embeddings(contract: Contract, embeddings: Array, weights: str) -> Array:
    decode = reference(MLP_DECODER, weights)
    modality = MODALITY_2D if contract is POSE2D_ENCODER else MODALITY_IMAGE
    tokens: dict[str, Array] = {
        "modality": np.full(len(embeddings), modality, np.int64),
        "box": np.tile(np.array([0, 0, _SIDE], np.float32), (len(embeddings), 1)),
    }
    return decode({"embedding": embeddings, **tokens})["joints"]


def _of_features(features: Array, weights: str) -> Array:
    """Joints of an athlete who holds still in each frame's pose."""
    look = reference(TEMPORAL_WINDOW, weights)
    still: dict[str, Array] = {"seen": np.ones((1, WINDOW), np.float32), "lookahead": np.zeros(1, np.int64)}
    windows = (np.tile(row, (1, WINDOW, 1)) for row in features)
    return np.concatenate([look({"features": window, **still})["joints"][:, -1] for window in windows])
