"""Checksums of a user's files: noted on the first conversion, verified on every later one.

No hashes of the data sets are published that would hold for every copy, so the first conversion counts as good.
The manifest also keeps the settings, so that a conversion is never continued with others.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from training.errors import TrainingError

BLOCK: Final = 1 << 22


class Manifest:
    """`OUT/NAME.manifest.json`: settings, and the SHA-256 of files by their path inside the data set's folder."""

    def __init__(self, path: Path, folder: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.folder = path, folder
        self.settings = json.loads(json.dumps(settings))
        self.sha256: dict[str, str] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        try:
            stored = json.loads(self.path.read_text())
            self.sha256, settings = dict(stored["sha256"]), stored["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{self.path}: not a manifest ({error}); delete it with the shards beside it") from None
        if settings != self.settings:
            was, now = (json.dumps(s, sort_keys=True) for s in (settings, self.settings))
            raise TrainingError(f"{self.path}: these shards were made with {was}, now {now}; choose another --out")

    def name(self, path: Path) -> str:
        """How a file is called in the manifest."""
        return path.relative_to(self.folder).as_posix()

    def check(self, path: Path, sha256: str) -> None:
        """Note the checksum of a file, or compare it with the one noted; TrainingError when it has changed."""
        known = self.sha256.setdefault(self.name(path), sha256)
        if known != sha256:
            raise TrainingError(
                f"{path}: checksum differs from the first conversion's ({self.path}); restore the file, or delete "
                f"the shards and the manifest to convert anew"
            )

    def check_files(self, paths: Iterable[Path]) -> None:
        """Read whole files and `check` each."""
        for path in paths:
            self.check(path, file_sha256(path))

    def save(self) -> None:
        """Write the manifest, beside it first and renamed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".part")
        stored = {"settings": self.settings, "sha256": dict(sorted(self.sha256.items()))}
        beside.write_text(json.dumps(stored, indent=1) + "\n")
        beside.replace(self.path)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits; TrainingError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); restore the file") from None
    return digest.hexdigest()
