"""Addresses of sources: what they may be, how they are shown, and how odd characters in a password survive."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

DEVICE: Final = "/dev/video"
LIVE_SCHEMES: Final = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp"})
HTTP_SCHEMES: Final = frozenset({"http", "https"})

# Up to the last @: a password may hold / and @ although it should not, and must not be shown either way.
_CREDENTIALS: Final = re.compile(r"(?<=://).*@")
_SECRET_IN_QUERY: Final = re.compile(r"(?i)([?&;][^=&;\s]*(?:pass|pwd|token|key|secret|auth|sig)[^=&;\s]*=)[^&;#\s]+")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._~-]+)(:\d{1,5})?(?=[/?#]|$)")
_FULL_HOST: Final = re.compile(r"(\[|[A-Za-z0-9_~-]+\.|[A-Za-z0-9_~-]+:\d{1,5}(?=[/?#]|$))")
"""One that has a dot or a port."""
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DEFAULT_PORTS: Final = {"rtsp": 554, "rtsps": 322}


def masked(uri: str) -> str:
    """The address with user, password and secrets in its query replaced by ***: the only form ever shown."""
    return _SECRET_IN_QUERY.sub(r"\1***", _CREDENTIALS.sub("***@", uri))


def veiled(text: str, uris: list[str]) -> str:
    """A text in which these addresses, if they stand there, are masked: for what libraries say."""
    for uri in sorted({*uris, *map(escaped, uris)}, key=len, reverse=True):
        if masked(uri) != uri:
            text = text.replace(uri, masked(uri))
    return text


def device_of(uri: str) -> str | None:
    """Path of the camera device that `usb:N` or /dev/videoN means; None for anything else."""
    if uri.startswith("usb:") and uri[4:].isdigit():
        return f"{DEVICE}{uri[4:]}"
    return uri if uri.startswith(DEVICE) else None


def scheme_of(uri: str) -> str:
    """The part before ://, lower case; empty for paths."""
    scheme, separator, _ = uri.partition("://")
    return scheme.lower() if separator else ""


def is_live(uri: str) -> bool:
    """Whether what is there never ends by itself, as far as the address tells; HTTP may be either."""
    return scheme_of(uri) in LIVE_SCHEMES or device_of(uri) is not None


def never_ends(uri: str, paced: bool) -> bool:
    """Whether a live run waits for what is there, at the start and when it breaks off; HTTP unless it is paced."""
    return is_live(uri) or (scheme_of(uri) in HTTP_SCHEMES and not paced)


def escaped(uri: str) -> str:
    """The address with user and password percent-encoded where they have to be; what is encoded already stays.

    Where an @ ends the credentials is told by what follows it, a host. The first / ? or # should come after that; a
    password may hold one all the same where otherwise the host would be none, or less of one than behind a later @.
    """
    scheme, separator, rest = uri.partition("://")
    at = _end_of_credentials(rest) if separator else None
    if at is None:
        return uri
    user, colon, password = rest[:at].partition(":")
    return f"{scheme}://{_encoded(user)}{colon}{_encoded(password)}@{rest[at + 1 :]}"


def _end_of_credentials(rest: str) -> int | None:
    """Place of the @ behind the credentials; None if there are none."""
    ends = [place.start() for place in re.finditer("@", rest) if _HOST.match(rest, place.start() + 1)]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    proper = authority.rfind("@") if authority.rfind("@") in ends else None
    if proper is None:
        return None if _HOST.match(rest) else next(iter(ends), None)
    later = [at for at in ends if at > proper and _FULL_HOST.match(rest, at + 1)]
    return later[-1] if later and not _FULL_HOST.match(rest, proper + 1) else proper


def _encoded(part: str) -> str:
    return quote(_ESCAPE.sub("%25", part), safe="%!$&'()*+,;=")


def host_and_port(uri: str) -> tuple[str, int] | None:
    """Where an RTSP server is to be reached; None if the address does not say or is of another kind."""
    scheme = scheme_of(uri)
    if scheme not in _DEFAULT_PORTS:
        return None
    try:
        parts = urlsplit(escaped(uri))
        return (parts.hostname, parts.port or _DEFAULT_PORTS[scheme]) if parts.hostname else None
    except ValueError:
        return None
