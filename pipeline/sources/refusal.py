"""Why a source gives no pictures: in words for people, and as a `Cause` for programs."""

import contextlib
import socket
from pathlib import Path
from typing import Final

import av
import av.error

from pipeline.address import device_of, host_and_port, masked, scheme_of
from pipeline.errors import Cause, SourceError

Reason = tuple[str, Cause]


def refused(uri: str, error: Exception, late_s: float | None = None) -> SourceError:
    """The line about an address that cannot be opened.

    `late_s`: all the time that there was passed before. Some of FFmpeg's protocols report that as broken data.
    """
    if late_s is not None and not isinstance(error, av.error.HTTPError):
        return SourceError(f"{masked(uri)}: {_LATE.format(timeout_s=late_s)}", "silent")
    return _source_error(uri, _reason(error, uri))


def broke_off(error: Exception) -> Cause:
    """Why reading ended early."""
    return "silent" if isinstance(error, av.error.ExitError | av.error.TimeoutError) else "broken_off"


def reach(uri: str, patience_s: float) -> None:
    """Connect to the host of an RTSP address and let go again; nothing for other addresses.

    It is told sooner and more clearly than by FFmpeg that nobody is there. Raises SourceError.
    """
    place = host_and_port(uri)
    if place is None:
        return
    try:
        found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _source_error(uri, _UNRESOLVED) from None
    reason = _UNREACHABLE
    for family, kind, protocol, _, address in found:
        try:
            with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
                probe.settimeout(patience_s)
                probe.connect(address)
                return
        except ConnectionRefusedError:
            reason = _REFUSED
        except OSError:
            continue
    raise _source_error(uri, reason)


def _source_error(uri: str, reason: Reason) -> SourceError:
    return SourceError(f"{masked(uri)}: {reason[0]}", reason[1])


def _reason(error: Exception, uri: str) -> Reason:
    if isinstance(error, av.error.FileNotFoundError):
        return _missing(uri), "missing"
    if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return _unreadable(uri), "garbage"
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    text = error.strerror if isinstance(error, OSError | av.error.FFmpegError) else type(error).__name__
    remedy = "check address, host name and network" if scheme_of(uri) else "check that ffplay can show it"
    return f"cannot be opened ({text}); {remedy}", "other"


def _missing(uri: str) -> str:
    if device_of(uri):
        return "no such device; plug the camera in and look at ls /dev/video*"
    return "no such file; check the path" if not scheme_of(uri) else "not there; check the address"


def _unreadable(uri: str) -> str:
    if scheme_of(uri):
        return "answers, but not with video; check the address"
    path = Path(uri)
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty; record or copy it again"
    return "not a video that can be read, or cut off before its index was written; check that ffplay can show it"


_LATE: Final = "no answer within {timeout_s:g} s; check the network, or raise source.timeout_s"
_REFUSED: Final[Reason] = ("connection refused; check host and port, and that the camera is on", "refused")
_UNREACHABLE: Final[Reason] = ("nobody is there; check host and network, and that the camera is on", "unreachable")
_UNRESOLVED: Final[Reason] = ("its host name is not known; check address, host name and network", "unresolved")
_REASONS: Final[tuple[tuple[tuple[type[Exception], ...], Reason], ...]] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        ("the server refuses user and password; check them (special characters need %-encoding)", "unauthorized"),
    ),
    (
        (av.error.HTTPNotFoundError,),
        ("the server has no such stream (404); check the path of the address", "not_found"),
    ),
    ((av.error.HTTPError,), ("the server refuses; check the address in a browser or with ffplay", "rejected")),
    ((av.error.ConnectionRefusedError,), _REFUSED),
    ((av.error.ExitError, av.error.TimeoutError), ("no answer; check address and network", "silent")),
    ((av.error.PermissionError,), ("may not be read; check its permissions", "other")),
    (
        (av.error.ProtocolNotFoundError,),
        (
            "protocol not built in; "
            "let ffmpeg pass it on (-c copy -f mpegts udp://127.0.0.1:5000) and give that address",
            "unsupported",
        ),
    ),
)
