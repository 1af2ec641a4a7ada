"""The temporal network comes back from both shipped files, with batch statistics to go on training."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from engines.contracts import TEMPORAL_FRAME, TEMPORAL_WINDOW
from models.exportable import example_inputs, exportable
from training import warmstart
from training.recipes import build

WEIGHTS = Path(__file__).parents[3] / "weights"
TINY = {"dives": 1, "validation": 2, "decoder": "", "lengths": [[1.0, 9, 8]], "fuse": 0.25, "denoise": 0.25}


def test_the_shipped_parts_start_a_run_and_give_what_their_files_give(data):
    recipe = build("temporal", TINY, data, seed=1)
    for network, start in recipe.shipped().items():
        assert warmstart.initialise(WEIGHTS / f"{network}.onnx", *start) > 10
    mpm = recipe.modules["pretraining"].mpm
    for contract in (TEMPORAL_FRAME, TEMPORAL_WINDOW):
        inputs = example_inputs(contract, {"B": 3})
        with torch.no_grad():
            got = exportable(contract.network, mpm.eval())(**inputs).numpy()
        file = onnxruntime.InferenceSession(WEIGHTS / f"{contract.network}.onnx", providers=["CPUExecutionProvider"])
        want = file.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
        assert np.abs(got - want).max() < 1e-3 * np.abs(want).max()
    # The statistics are of true keypoints: in training a batch is normalised nearly as the file does it.
    for norm in (mpm.encoder_2d.norm, mpm.encoder_3d.norm):
        assert float((norm.running_var - 1).abs().max()) > 0.01
        assert torch.allclose(norm.weight**2, norm.running_var, rtol=1e-2, atol=1e-4)
