"""How headrace connects to providers: certificates, proxies, HTTP/2, limits.

Agents with equal options share their connections. The options are for the requests that headrace itself sends: all but
those of the few providers whose requests litellm must send.

Example:
    >>> from headrace import Agent, Connection
    >>> connection = Connection(proxy="http://proxy.example:3128", max_connections=64)
    >>> agent = Agent(model_name="openai/gpt-5", connection=connection)
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from . import _native
from .errors import ConfigurationError

if TYPE_CHECKING:
    from os import PathLike
    from typing import TypeAlias

    Pem: TypeAlias = str | PathLike[str] | bytes
    """Certificates or a key in PEM form: the path of a file, or the bytes."""

__all__ = ["Connection", "InsecureConnectionWarning"]


class InsecureConnectionWarning(UserWarning):
    """``Connection(verify=False)``: whoever is on the way can read and change everything, the API key included."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to connect.

    Attributes:
        ca: The authorities to trust, in place of the system's: the path of a PEM file, or its bytes.
        client_cert: The certificate to show to servers that ask for one: a PEM file with the certificate and its key,
            or the pair (certificate, key), each a path or bytes.
        verify: Whether a server must prove who it is. False is for experiments alone, and warns.
        proxy: The URL of a proxy for all requests: ``http://``, ``https://``, ``socks5://`` (we look up the server's
            address) or ``socks5h://`` (the proxy does), perhaps with ``user:password@``. None: as the environment
            says (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``). False: none.
        http2: True: where the server chooses it in the TLS handshake. False: never. ``"always"``: also without TLS,
            because the server is known to speak it.
        max_connections: The most connections to one host at a time; None for no limit. A request beyond it waits for
            at most ``Timeouts.pool``. An HTTP/2 connection carries many streams; there are at most 64 to one host.
        idle: How long an unused connection is kept, in seconds; less if the server says so. 0 keeps none.
        resend_on_stale: Send a request once more if a connection that had been used before is closed without a byte of
            response, as the SDKs of the providers do. The server may have received the request all the same.
        ping: How long an HTTP/2 server may say nothing while streams are open, in seconds, before it is asked whether
            it is there. It has the same time to answer.
        native: The same for the Rust core. Certificates are read once, when the object is made.

    Raises:
        ConfigurationError: A certificate cannot be read, or the proxy is no URL.
    """

    ca: Pem | None = None
    client_cert: Pem | tuple[Pem, Pem] | None = field(default=None, repr=False)
    verify: bool = True
    proxy: str | Literal[False] | None = field(default=None, repr=False)
    http2: bool | Literal["always"] = True
    max_connections: int | None = None
    idle: float = _native.DEFAULT_IDLE_CONNECTION
    resend_on_stale: bool = True
    ping: float = _native.DEFAULT_PING
    native: _native.Connection = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        pair = _pair(self.client_cert)
        native = _native.Connection(
            ca=self.ca,
            client_cert=(pair[0], pair[1]) if pair else None,
            verify=self.verify,
            proxy=self.proxy or None,
            direct=self.proxy is False,
            http2=self.http2 is True,
            prior_knowledge=self.http2 == "always",
            max_connections=self.max_connections,
            idle=self.idle,
            resend_on_stale=self.resend_on_stale,
            ping=self.ping,
        )
        object.__setattr__(self, "native", native)
        if not self.verify:
            message = "Connection(verify=False) trusts every server: the API key and the answers can be stolen"
            warnings.warn(message, InsecureConnectionWarning, stacklevel=3)

    def __reduce__(self) -> tuple[object, ...]:
        """What a pickle contains: paths, but neither keys nor passwords.

        Not ``__getstate__``, which a dataclass with slots replaces in Python 3.10.
        """
        kept: dict[str, object] = {"client_cert": _path_alone(self.client_cert), "proxy": _without_password(self.proxy)}
        return Connection, tuple(kept.get(item.name, getattr(self, item.name)) for item in fields(self) if item.init)

    def __copy__(self) -> Connection:
        return self  # It never changes.


def _path_alone(given: Pem | tuple[Pem, Pem] | None) -> Pem | tuple[Pem, Pem] | None:
    return None if any(isinstance(part, bytes) for part in _pair(given)) else given


def _without_password(proxy: str | Literal[False] | None) -> str | Literal[False] | None:
    if not proxy or "@" not in proxy:
        return proxy
    scheme, slashes, rest = proxy.partition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}" if slashes else proxy.rpartition("@")[2]


def _check(connection: Connection) -> None:
    """Raises ``ConfigurationError`` for values of a wrong type."""
    for name in ("verify", "resend_on_stale"):
        _expect(name, getattr(connection, name), bool, "True or False")
    if connection.http2 != "always":
        _expect("http2", connection.http2, bool, "True, False or 'always'")
    if connection.proxy is not False and connection.proxy is not None:
        _expect("proxy", connection.proxy, str, "a URL, None or False")
    for name in ("idle", "ping"):
        value: Any = getattr(connection, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigurationError(f"Connection: {name} must be a number of seconds, not {value!r}")
    most: Any = connection.max_connections
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise ConfigurationError(f"Connection: max_connections must be a whole number from 1, or None, not {most!r}")
    for name, pem in (("ca", connection.ca), *(("client_cert", part) for part in _pair(connection.client_cert))):
        if pem is not None:
            _expect(name, pem, str | os.PathLike | bytes, "the path of a PEM file, or its bytes")
    if not connection.verify and connection.ca is not None:
        raise ConfigurationError("Connection: ca names whom to trust, and verify=False trusts everybody: give one")


def _expect(name: str, value: object, kind: Any, what: str) -> None:
    if not isinstance(value, kind):
        # Without the value: it may be a key.
        raise ConfigurationError(f"Connection: {name} must be {what}, not {type(value).__name__}")


def _pair(given: Pem | tuple[Pem, Pem] | None) -> tuple[Pem, ...]:
    if given is None:
        return ()
    if not isinstance(given, tuple):
        return (given, given)
    if len(given) != len(("certificate", "key")):
        raise ConfigurationError("Connection: client_cert must be one PEM file, or the pair (certificate, key)")
    return given
