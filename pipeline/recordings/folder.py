"""Where recordings lie: checked before a run starts, and names that sort as the files were made."""

import os
import time
from pathlib import Path

from pipeline.errors import OutputError


def checked(folder: Path) -> Path:
    """The folder, made if it is not there. Raises OutputError where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: recordings cannot lie there ({error.strerror}); choose another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: nothing may be written there; check its permissions, or choose another folder")
    return folder


def new_path(folder: Path) -> Path:
    """A file that is not there yet, named after the time (UTC)."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 1
    while (path := folder / f"{stamp}-{number:02d}.mcap").exists():
        number += 1
    return path
