"""How headrace connects to providers: certificates, proxies, HTTP/2, limits; and the defaults of a process.

Agents with equal options share their connections. The options are for the requests that headrace itself sends, which are
all but those of the few providers whose requests litellm must send.

Example:
    >>> from headrace import Agent, Connection
    >>> connection = Connection(proxy="http://proxy.example:3128", max_connections=64)
    >>> agent = Agent(model_name="openai/gpt-5", connection=connection)
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from . import _native
from .errors import ConfigurationError
from .types import Timeouts, Value

if TYPE_CHECKING:
    from os import PathLike
    from typing import TypeAlias

    from .types import ModelSettings

    Pem: TypeAlias = str | PathLike[str] | bytes
    """Certificates or a key in PEM form: the path of a file, or the bytes."""

__all__ = ["Connection", "InsecureConnectionWarning", "configure", "stream_options"]


class InsecureConnectionWarning(UserWarning):
    """``Connection(verify=False)``: whoever is on the way can read and change everything, the API key included."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Connection(Value):
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

    def __post_init__(self) -> None:
        _check(self)
        _native_connection(self)
        if not self.verify:
            message = "Connection(verify=False) trusts every server: the API key and the answers can be stolen"
            warnings.warn(message, InsecureConnectionWarning, stacklevel=4)

    def __reduce__(self) -> tuple[object, ...]:
        values = tuple(getattr(self, name) for name in self.__slots__)
        return _unpickled, (*(_without_secrets(name, value) for name, value in zip(self.__slots__, values)),)


def _unpickled(*values: Any) -> Connection:
    return Connection(*values)


def _without_secrets(name: str, value: object) -> object:
    """A pickle contains paths, but neither keys nor passwords."""
    if name == "proxy" and isinstance(value, str) and "@" in value:
        scheme, _, rest = value.rpartition("@")[0].partition("://")
        return f"{scheme}://{value.rpartition('@')[2]}" if rest else value.rpartition("@")[2]
    if name == "client_cert" and (isinstance(value, bytes) or (isinstance(value, tuple) and isinstance(value[1], bytes))):
        return None
    return value


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
    if len(given) != 2:
        raise ConfigurationError("Connection: client_cert must be one PEM file, or the pair (certificate, key)")
    return given


def _native_connection(connection: Connection) -> _native.Connection:
    pair = _pair(connection.client_cert)
    return _native.Connection(
        ca=connection.ca,
        client_cert=cast("tuple[Pem, Pem]", pair) if pair else None,
        verify=connection.verify,
        proxy=connection.proxy or None,
        direct=connection.proxy is False,
        http2=connection.http2 is True,
        prior_knowledge=connection.http2 == "always",
        max_connections=connection.max_connections,
        idle=connection.idle,
        resend_on_stale=connection.resend_on_stale,
        ping=connection.ping,
    )


class _Defaults:
    """What agents use that do not say otherwise."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.timeouts = Timeouts()
        self.headers: dict[str, str] = {}


defaults: Final = _Defaults()


def configure(
    *,
    connection: Connection | None = None,
    timeouts: Timeouts | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Sets the defaults of this process, for the agents that are made from now on.

    An agent's own options are used instead; its own headers are added. What is not given here stays as it is.

    Args:
        connection: How to connect.
        timeouts: The time limits.
        headers: Headers of every request.

    Raises:
        ConfigurationError: A value has a wrong type.

    Example:
        >>> import headrace
        >>> headrace.configure(timeouts=headrace.Timeouts(first_token=60.0))
        >>> headrace.configure(timeouts=headrace.Timeouts())
    """
    for name, value, kind in (
        ("connection", connection, Connection),
        ("timeouts", timeouts, Timeouts),
        ("headers", headers, Mapping),
    ):
        if value is not None and not isinstance(value, kind):
            raise ConfigurationError(f"configure: {name} must be a {kind.__name__}, not {type(value).__name__}")
    if connection is not None:
        defaults.connection = connection
    if timeouts is not None:
        defaults.timeouts = timeouts
    if headers is not None:
        defaults.headers = dict(headers)


_MOST_KNOWN: Final = 256
_known: Final[dict[tuple[object, ...], tuple[object, ...]]] = {}
"""Native options by the identities of what they are made of, which are kept alive beside them. Their values would take
longer to compare than the options take to be made."""


def stream_options(settings: ModelSettings, *, direct: bool = False) -> _native.StreamOptions:
    """The native form of the options of a model's streams.

    Args:
        settings: How to reach the model.
        direct: Use no proxy: the server is a helper process of ours.

    Returns:
        The options.

    Raises:
        ConfigurationError: A timeout is not a number of seconds.
    """
    connection, timeouts = settings.connection, settings.timeouts
    key = (id(connection), id(timeouts), settings.max_event_bytes, settings.model, direct)
    known = _known.get(key)
    if known is not None:
        return cast("_native.StreamOptions", known[0])
    chosen = connection or Connection()
    if direct:
        chosen = replace(chosen, proxy=False)
    options = _native.StreamOptions(
        _native_connection(chosen),
        connect=timeouts.connect,
        pool=timeouts.pool,
        first_token=timeouts.first_token,
        idle=timeouts.idle,
        total=timeouts.total,
        max_event_bytes=settings.max_event_bytes,
        model=settings.model,
    )
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[key] = (options, connection, timeouts)
    return options
