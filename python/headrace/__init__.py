"""headrace streams the tokens of LLM agents at wire speed.

Example:
    >>> from headrace import Agent
    >>> agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url)
    >>> for token in agent.run_stream("Say hello."):
    ...     print(repr(token))
    'Hello'
    ', '
    'world.'
"""

from typing import TYPE_CHECKING, Any

from .agent import Agent
from .connection import Connection, InsecureConnectionWarning
from .defaults import configure
from .errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConnectionFailedError,
    ConnectTimeoutError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    EmptyAnswerError,
    EventTooLargeError,
    FirstTokenTimeoutError,
    ForkedError,
    HeadraceError,
    IdleTimeoutError,
    IncompleteAnswerError,
    InternalError,
    InvalidOutputError,
    MissingKeyError,
    NameResolutionError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PoolTimeoutError,
    ProtocolError,
    ProviderError,
    ProxyError,
    RateLimitError,
    RunLimitError,
    ServerError,
    StreamClosedError,
    StreamError,
    StreamInUseError,
    StreamTimeoutError,
    TLSError,
    TotalTimeoutError,
    TruncatedError,
    UnsupportedRequestError,
)
from .streams import AsyncRunStream, RunStream
from .types import Spread, Timeouts, Timing, ToolCall, Turn, Usage

if TYPE_CHECKING:
    from . import batches as batches
    from . import compat as compat
    from . import decoding as decoding
    from . import events as events
    from . import local as local
    from . import mcp as mcp
    from . import memory as memory
    from . import models as models
    from . import notebook as notebook
    from . import otel as otel
    from . import pytest_plugin as pytest_plugin
    from . import ray as ray
    from . import serve as serve
    from . import sse as sse
    from . import testing as testing
    from . import tools as tools
    from . import workflow as workflow
    from .batches import TaskResult
    from .decoding import Response, decode
    from .memory import Memory
    from .models import ModelInfo, model_info
    from .tools import Tool, as_tool
    from .workflow import AgentRearrange, ConcurrentWorkflow, SequentialWorkflow

__all__ = [
    "Agent",
    "AgentRearrange",
    "AsyncRunStream",
    "AuthenticationError",
    "BadRequestError",
    "ConcurrentWorkflow",
    "ConfigurationError",
    "ConnectTimeoutError",
    "Connection",
    "ConnectionFailedError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "EmptyAnswerError",
    "EventTooLargeError",
    "FirstTokenTimeoutError",
    "ForkedError",
    "HeadraceError",
    "IdleTimeoutError",
    "IncompleteAnswerError",
    "InsecureConnectionWarning",
    "InternalError",
    "InvalidOutputError",
    "Memory",
    "MissingKeyError",
    "ModelInfo",
    "NameResolutionError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "ProtocolError",
    "ProviderError",
    "ProxyError",
    "RateLimitError",
    "Response",
    "RunLimitError",
    "RunStream",
    "SequentialWorkflow",
    "ServerError",
    "Spread",
    "StreamClosedError",
    "StreamError",
    "StreamInUseError",
    "StreamTimeoutError",
    "TLSError",
    "TaskResult",
    "Timeouts",
    "Timing",
    "Tool",
    "ToolCall",
    "TotalTimeoutError",
    "TruncatedError",
    "Turn",
    "UnsupportedRequestError",
    "Usage",
    "as_tool",
    "configure",
    "decode",
    "model_info",
]

# Imported when first used, so that `import headrace` is fast: most programs do not need them, and workflows import
# asyncio.
_LATER = {
    "AgentRearrange": "workflow",
    "ConcurrentWorkflow": "workflow",
    "Memory": "memory",
    "ModelInfo": "models",
    "Response": "decoding",
    "SequentialWorkflow": "workflow",
    "TaskResult": "batches",
    "Tool": "tools",
    "as_tool": "tools",
    "decode": "decoding",
    "model_info": "models",
}

_MODULES = frozenset(
    {
        *("batches", "bench", "compat", "decoding", "events", "local", "mcp", "memory", "models"),
        *("notebook", "otel", "pytest_plugin", "ray", "serve", "sse", "testing", "tools", "workflow"),
    }
)
"""The public modules, so that ``headrace.sse.decode`` needs no import of its own."""


def __getattr__(name: str) -> Any:
    if name not in _LATER and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    return getattr(import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_MODULES})
