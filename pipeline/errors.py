"""What can go wrong, as a tree; the command line prints the message as one line and exits with the code.

PosecastError (2)
├── ConfigError (2)       a setting is unknown, of the wrong type or out of range
├── SourceError (2)       a source cannot be opened or holds no picture
├── EndpointError (2)     an address cannot be bound or is refused
├── OutputError (2)       a result cannot be written
└── StageError (3)        a stage crashed or fell silent too often
"""

from typing import Final, Literal

CRASHED: Final = 70
"""Exit code of a process that an error nobody thought of has ended."""
DELIBERATE: Final = (2, 3)
"""Exit codes of a process that knows why it cannot go on; any other is a crash."""
Cause = Literal[
    "refused",
    "unreachable",
    "unresolved",
    "silent",
    "broken_off",
    "unauthorized",
    "not_found",
    "rejected",
    "garbage",
    "no_video",
    "undecodable",
    "shape",
    "unsupported",
    "missing",
    "other",
]
"""Why there are no pictures, for programs; docs/cameras.md describes each."""


class PosecastError(Exception):
    """One line: what, where, what to do."""

    exit_code = 2


class ConfigError(PosecastError):
    """A setting is unknown, of the wrong type or out of range."""


class SourceError(PosecastError):
    """A source cannot be opened or holds no picture."""

    def __init__(self, line: str, cause: Cause = "other") -> None:
        super().__init__(line)
        self.cause = cause


class EndpointError(PosecastError):
    """An address cannot be bound, or is refused because it reaches beyond this machine."""


class OutputError(PosecastError):
    """A result cannot be written."""


class StageError(PosecastError):
    """A stage crashed or fell silent more often than the restart budget allows."""

    exit_code = 3
