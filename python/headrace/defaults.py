"""The defaults of a process: how to connect, how long to wait, and headers; and their native form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from . import _native
from .connection import Connection
from .errors import ConfigurationError
from .types import Timeouts

if TYPE_CHECKING:
    from .types import ModelSettings

__all__ = ["configure", "defaults", "stream_options"]


class _Defaults:
    """What agents use that do not say otherwise."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.timeouts = Timeouts()
        self.headers: dict[str, str] = {}


defaults: Final = _Defaults()
"""The defaults of this process. :func:`configure` changes them."""


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
    _expect("connection", connection, Connection)
    _expect("timeouts", timeouts, Timeouts)
    _expect("headers", headers, Mapping)
    if connection is not None:
        defaults.connection = connection
    if timeouts is not None:
        defaults.timeouts = timeouts
    if headers is not None:
        defaults.headers = dict(headers)


def _expect(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(f"configure: {name} must be a {kind.__name__}, not {type(value).__name__}")


def stream_options(settings: ModelSettings, *, is_local: bool = False) -> _native.StreamOptions:
    """The native form of the options of a model's streams.

    Args:
        settings: How to reach the model.
        is_local: The server is a helper process of ours, so no proxy leads to it.

    Returns:
        The options.

    Raises:
        ConfigurationError: A timeout is not a number of seconds.
    """
    connection, timeouts = (settings.connection or defaults.connection).native, settings.timeouts
    return _native.StreamOptions(
        connection.without_proxy() if is_local else connection,
        connect=timeouts.connect,
        pool=timeouts.pool,
        first_token=timeouts.first_token,
        idle=timeouts.idle,
        total=timeouts.total,
        max_event_bytes=settings.max_event_bytes,
        model=settings.model,
    )
