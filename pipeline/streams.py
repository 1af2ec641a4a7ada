"""The sources of a run, the names that their messages carry, and addresses that are not typed."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pipeline.errors import ConfigError

ENVIRONMENT: Final = "env:"
FILE: Final = "read:"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
"""Shorter than a setting may be: a name is part of the path of a socket, which holds little more than 100 bytes."""


class Stream(msgspec.Struct, frozen=True):
    """A source and its name."""

    name: str
    uri: str


def named(sources: Sequence[str], only: str) -> tuple[Stream, ...]:
    """What was typed, `SOURCE` or `NAME=SOURCE`, as streams.

    `env:VARIABLE` or `read:FILE` is the address that stands there: what is typed everybody on the machine can read,
    a password in it too.

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
        return Stream(otherwise, address_of(source))
    if not _NAME.fullmatch(name):
        raise ConfigError(f"stream name {name!r}: up to 32 letters, digits, dots, hyphens and underscores make a name")
    if not uri:
        raise ConfigError(f"stream {name!r}: no source behind the name; type {name}=SOURCE")
    return Stream(name, address_of(uri))


def address_of(source: str) -> str:
    """The address itself of one that stands in the environment or in a file. Raises ConfigError, without it."""
    if source.startswith(ENVIRONMENT):
        variable = source.removeprefix(ENVIRONMENT)
        if not (address := os.environ.get(variable, "").strip()):
            raise ConfigError(f"{source}: there is no such variable, or it is empty; export {variable}='rtsp://...'")
        return address
    if not source.startswith(FILE):
        return source
    path = Path(source.removeprefix(FILE))
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise ConfigError(f"{source}: cannot be read ({reason}); put the address into {path}, alone") from error
    if not (address := lines[0].strip()):
        raise ConfigError(f"{source}: its first line is empty; put the address there")
    return address
