"""What all tests share: where the larger test data lies, if it lies anywhere."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("POSECAST_SHARED", ROOT.parent / "shared")) / "data"

# Tests side by side have one core each, and so have the libraries that they use.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A script's background jobs are deaf to SIGINT, and what they start inherits that: programs under test must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline would make a test of what is right one of how busy the machine is.
settings.register_profile("posecast", deadline=None)
settings.load_profile("posecast")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of motion capture, clips and photographs; tests that need it skip by name where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the test data folder {SHARED} (set POSECAST_SHARED)")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _engines_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Engines that tests build, in this process and in those they start, are not the user's."""
    base = tmp_path_factory.getbasetemp()
    shared_by_all = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["POSECAST_CACHE"] = str(shared_by_all / "engines")
