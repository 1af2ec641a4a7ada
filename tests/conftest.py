"""What all tests share: where the larger test data lies, if it lies anywhere."""

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("POSECAST_SHARED", ROOT.parent / "shared")) / "data"

# A script's background jobs are deaf to SIGINT, and what they start inherits that: programs under test must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of motion capture, clips and photographs; tests that need it skip by name where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the test data folder {SHARED} (set POSECAST_SHARED)")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _engines_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Engines that tests build, in this process and in those they start, are not the user's."""
    os.environ["POSECAST_CACHE"] = str(tmp_path_factory.mktemp("engines"))
