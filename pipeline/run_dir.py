"""The folder of a run: its sockets, its ring, the complaints of its processes."""

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Final

_PREFIX: Final = "posecast-"


def new_run_dir() -> Path:
    """A new folder for a run's sockets, ring and logs, in memory where there is one; dead runs' folders go."""
    memory = Path("/dev/shm")
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    for folder in base.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)
    run_dir = base / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
    run_dir.mkdir(mode=0o700)
    return run_dir
