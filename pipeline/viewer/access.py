"""Who may look: everybody on this machine; beyond it only who has the token, and only over TLS."""

import hmac
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pipeline.config import ViewSettings
from pipeline.errors import ConfigError, EndpointError
from pipeline.stages.publish import is_loopback

COOKIE: Final = "posecast_token"
_SHORTEST_TOKEN: Final = 16


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is served."""

    host: str
    port: int
    tls: bool = False

    @classmethod
    def of(cls, settings: ViewSettings) -> Self:
        """HOST:PORT of the settings. Raises EndpointError."""
        host, _, port = settings.address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise EndpointError(f"view.address {settings.address!r}: not HOST:PORT; write 127.0.0.1:8080")
        return cls(host.removeprefix("[").removesuffix("]"), int(port), bool(settings.tls_cert))

    @property
    def local(self) -> bool:
        """Whether no other machine can reach it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """What to type into a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/"


def checked(settings: ViewSettings) -> Address:
    """The address, if it may be served and nobody serves there. Raises EndpointError and ConfigError, one line."""
    address = Address.of(settings)
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError("view.tls_cert and view.tls_key: one without the other; name both files, or none")
    if not address.local and not (settings.token and settings.tls_cert):
        raise EndpointError(
            f"view.address {settings.address!r}: reaches beyond this machine; needs --view-token and "
            "--view-tls CERT KEY, or serve 127.0.0.1"
        )
    if settings.token and len(settings.token) < _SHORTEST_TOKEN:
        raise ConfigError(f"view.token: shorter than {_SHORTEST_TOKEN} characters; make one with openssl rand -hex 16")
    tls_of(settings)
    _refuse_taken(address)
    return address


def _refuse_taken(address: Address) -> None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise EndpointError(
                f"view.address {address.host}:{address.port}: cannot be served ({error.strerror or error}); "
                "choose another port with --view HOST:PORT"
            ) from error


def tls_of(settings: ViewSettings) -> ssl.SSLContext | None:
    """The certificate to be served with; None without. Raises ConfigError."""
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for key, file in (("view.tls_cert", settings.tls_cert), ("view.tls_key", settings.tls_key)):
        if not Path(file).is_file():
            raise ConfigError(f"{key}: {file}: no such file; name a certificate and its key in PEM")
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(f"view.tls_cert: {settings.tls_cert}: no certificate with that key ({error})") from error
    return context


class Gate:
    """Whether a request may pass."""

    def __init__(self, token: str, address: Address) -> None:
        self._token = token
        self._local = address.local

    def refuses(self, host: str, headers: Mapping[str, str], cookies: Mapping[str, str], query: str) -> str:
        """Why a request is refused; empty: it is not. `query` is the token in its address, if there is one."""
        if self._local and not is_loopback(_without_port(host)):
            return "not asked for by the name of this machine"  # a foreign page that had its own name lead here
        origin = headers.get("Origin", "")
        if origin and origin.partition("://")[2] != host:
            return "asked for by another page"
        if not self._token:
            return ""
        bearer = headers.get("Authorization", "").removeprefix("Bearer ")
        shown = (query, cookies.get(COOKIE, ""), bearer)
        return "" if any(self.opens(word) for word in shown) else "needs the token: open the page with ?token=TOKEN"

    def opens(self, word: str) -> bool:
        """Whether it is the token, in a time that does not tell how much of it is right."""
        return bool(self._token) and hmac.compare_digest(word.encode(), self._token.encode())


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
