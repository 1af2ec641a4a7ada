"""What a recording says of itself: settings, cameras, skeleton, versions and weights, so that it can be told again.

In the file: attachments `settings.json`, `skeleton.json` and `camera/STREAM.toml`; metadata `posecast` (versions),
`sources` (addresses without credentials), `weights_sha256` and `file` (its place in the recording).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import msgspec

from engines.skeleton import JOINT_NAMES, MIRROR_PAIRS, PARENTS
from pipeline.config import Config
from pipeline.edges.versions import versions, weights_manifest
from pipeline.errors import OutputError
from pipeline.streams import Stream

SETTINGS: Final = "settings.json"
SKELETON: Final = "skeleton.json"
_CAMERA: Final = "camera/"


@dataclass
class About:
    """What does not change while a run is recorded."""

    settings: Config = field(default_factory=Config)
    cameras: dict[str, bytes] = field(default_factory=dict)
    """Camera file by stream, for those that have one."""
    sources: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    weights_sha256: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, streams: tuple[Stream, ...]) -> Self:
        """Of a run that begins; the addresses of `streams` have no credentials any more, nor have the settings. Raises
        OutputError."""
        files = {one.name: config.camera.files.get(one.name, config.camera.file) for one in streams}
        try:
            cameras = {name: Path(file).read_bytes() for name, file in files.items() if file}
        except OSError as error:
            raise OutputError(f"{error.filename}: the camera file cannot be read ({error.strerror})") from error
        sources = {one.name: one.uri for one in streams}
        shown = msgspec.structs.replace(config, view=msgspec.structs.replace(config.view, token=""))
        return cls(shown, cameras, sources, versions(), weights_manifest(config.engines.weights) or {})

    def attachments(self) -> dict[str, tuple[str, bytes]]:
        """Name to media type and content."""
        skeleton = {"joint_names": JOINT_NAMES, "parents": PARENTS, "mirror_pairs": MIRROR_PAIRS}
        return {
            SETTINGS: ("application/json", msgspec.json.format(msgspec.json.encode(self.settings))),
            SKELETON: ("application/json", json.dumps(skeleton).encode()),
            **{f"{_CAMERA}{name}.toml": ("application/toml", data) for name, data in self.cameras.items()},
        }

    def metadata(self) -> dict[str, dict[str, str]]:
        """Name to keys and values."""
        return {"posecast": self.versions, "sources": self.sources, "weights_sha256": self.weights_sha256}

    def attached(self, name: str, data: bytes) -> None:
        """Learn an attachment of a file. Raises msgspec.MsgspecError for settings of another version."""
        if name == SETTINGS:
            self.settings = msgspec.json.decode(data, type=Config)
        elif name.startswith(_CAMERA):
            self.cameras[name.removeprefix(_CAMERA).removesuffix(".toml")] = data

    def told(self, name: str, values: dict[str, str]) -> None:
        """Learn metadata of a file."""
        if name == "posecast":
            self.versions = values
        elif name == "sources":
            self.sources = values
        elif name == "weights_sha256":
            self.weights_sha256 = values
