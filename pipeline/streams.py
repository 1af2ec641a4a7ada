"""The sources of a run and the names that their messages carry."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pipeline.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
"""Shorter than a setting may be: a name is part of the path of a socket, which holds little more than 100 bytes."""
# Up to the last @: a password may hold / and @ although it should not, and must not be shown either way.
_CREDENTIALS: Final = re.compile(r"(?<=://).*@")
_SECRET_IN_QUERY: Final = re.compile(r"(?i)([?&;][^=&;\s]*(?:pass|pwd|token|key|secret|auth|sig)[^=&;\s]*=)[^&;#\s]+")


class Stream(msgspec.Struct, frozen=True):
    """A source and its name."""

    name: str
    uri: str


def masked(uri: str) -> str:
    """The address with user, password and secrets in its query replaced by ***: the only form ever shown."""
    return _SECRET_IN_QUERY.sub(r"\1***", _CREDENTIALS.sub("***@", uri))


def named(sources: Sequence[str], only: str) -> tuple[Stream, ...]:
    """What was typed, `SOURCE` or `NAME=SOURCE`, as streams.

    Without a name of its own a single source is called `only`, those of several cam1, cam2 and so on. Raises
    ConfigError for a name that is none or that two have; the message leaves addresses out, they may hold a password.
    """
    streams: list[Stream] = []
    for number, source in enumerate(sources, start=1):
        stream = _of(source, only if len(sources) == 1 else f"cam{number}")
        if stream.name in (other.name for other in streams):
            raise ConfigError(
                f"source {number}: stream {stream.name!r} is there already; type NAME=SOURCE, each its own"
            )
        streams.append(stream)
    return tuple(streams)


def _of(source: str, otherwise: str) -> Stream:
    """`NAME=SOURCE` unless what stands before the sign belongs to an address or a path, or all of it is a file."""
    name, sign, uri = source.partition("=")
    if not sign or "/" in name or ":" in name or Path(source).exists():
        return Stream(otherwise, source)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"stream name {name!r}: up to 32 letters, digits, dots, hyphens and underscores make a name")
    if not uri:
        raise ConfigError(f"stream {name!r}: no source behind the name; type {name}=SOURCE")
    return Stream(name, uri)
