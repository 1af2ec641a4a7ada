"""Shared by the tests of the synthetic athletes: one body model, one renderer, recordings where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def model():
    """The coarse body model (anny's first construction on a machine takes a minute, later ones a few seconds)."""
    pytest.importorskip("anny", reason="anny is not installed (posecast[train])")
    from training.synth.body import load

    return load()


@pytest.fixture(scope="session")
def athlete(model):
    return model.athlete(np.random.default_rng(11))


@pytest.fixture(scope="session")
def renderer(model):
    """The generator's own renderer, so that the session makes one OpenGL context only."""
    pytest.importorskip("moderngl", reason="moderngl is not installed (posecast[train])")
    from training.synth import athletes
    from training.synth.render import NoGraphicsError

    try:
        return athletes.renderer()
    except NoGraphicsError as error:
        pytest.skip(f"no EGL context on this machine: {error}")


@pytest.fixture(scope="session")
def mocap_folder():
    shared = Path(os.environ.get("POSECAST_SHARED", Path(__file__).parents[4] / "shared"))
    folder = shared / "data" / "mocap"
    if not folder.is_dir():
        pytest.skip("no motion capture at hand (set POSECAST_SHARED)")
    return folder
