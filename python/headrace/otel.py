"""Traces and metrics of all runs, by OpenTelemetry's semantic conventions for generative AI. Needs the extra ``otel``.

Example:
    >>> import headrace.otel
    >>> headrace.otel.instrument()  # with the providers that the application has set
    >>> headrace.otel.uninstrument()
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ._run.observer import observe_with
from .errors import ConfigurationError

try:
    from opentelemetry import context, metrics, propagate, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError as error:  # pragma: no cover - the tests have it
    raise ConfigurationError("headrace.otel needs OpenTelemetry: pip install 'headrace[otel]'") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from ._loop.effects import OpenTurn
    from .tools import ToolResult
    from .types import Timing, Turn

__all__ = ["instrument", "uninstrument"]

_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_CHUNK_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""The buckets that the conventions recommend."""

_PARAMETERS: Final = ("temperature", "max_tokens", "top_p", "frequency_penalty", "presence_penalty", "seed")


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    chunk_times: bool = True,
) -> None:
    """Observes all runs that begin from now on, of agents, workflows and servers.

    A run is a span ``invoke_agent``; in it are a span ``chat`` for each request to a model, and a span ``execute_tool``
    for each tool call. The requests carry ``traceparent``. What was said is never recorded. The names are those of
    https://github.com/open-telemetry/semantic-conventions-genai, which may still change.

    Args:
        tracer_provider: Who makes the spans; None for the provider that the application has set.
        meter_provider: The same for metrics: durations, tokens, and times of chunks.
        chunk_times: Whether the time of each chunk is recorded, at the end of its turn. It costs some microseconds a
            token.
    """
    tracer = trace.get_tracer("headrace", tracer_provider=tracer_provider)
    meters = _Meters(metrics.get_meter("headrace", meter_provider=meter_provider), chunk_times)
    observe_with(lambda agent: _Observer(agent, tracer, meters))


def uninstrument() -> None:
    """Observes no more runs. Those that have begun are observed to their end."""
    observe_with(None)


def caller_of(headers: Mapping[str, str]) -> AbstractContextManager[None]:
    """Makes the caller of a request the parent of what is done for it, within a ``with`` block.

    Args:
        headers: The headers of the request, such as ``traceparent``.
    """
    return _Attached(propagate.extract(headers))


class _Attached:
    def __init__(self, parent: context.Context) -> None:
        self._parent = parent

    def __enter__(self) -> None:
        self._token = context.attach(self._parent)

    def __exit__(self, *_exception: object) -> None:
        context.detach(self._token)


class _Meters:
    """The instruments."""

    def __init__(self, meter: Meter, chunk_times: bool) -> None:
        self.chunk_times = chunk_times

        def seconds(name: str, description: str, buckets: Sequence[float] = _SECONDS) -> Any:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=buckets)

        self.duration = seconds("gen_ai.client.operation.duration", "Duration of a request to a model.")
        self.first = seconds("gen_ai.client.operation.time_to_first_chunk", "Time to the first chunk of an answer.")
        self.chunk = seconds(
            "gen_ai.client.operation.time_per_output_chunk", "Time between two chunks of an answer.", _CHUNK_SECONDS
        )
        self.agent = seconds("gen_ai.invoke_agent.duration", "Duration of a run of an agent.")
        self.tool = seconds("gen_ai.execute_tool.duration", "Duration of a tool call.")
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of prompts and answers.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )


class _Observer:
    """Observes one run."""

    def __init__(self, agent: str, tracer: Tracer, meters: _Meters) -> None:
        self._agent, self._tracer, self._meters = agent, tracer, meters
        self._began = time.perf_counter()
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}
        # The span of the caller, or of the request to a server, is its parent.
        self._run = tracer.start_span(f"invoke_agent {agent}", kind=SpanKind.INTERNAL, attributes=attributes)
        self._within = trace.set_span_in_context(self._run)
        self._chat: Span | None = None
        self._asked: dict[str, Any] = {}
        self._asked_at = 0.0

    def turn_begun(self, effect: OpenTurn) -> Sequence[tuple[str, str]]:
        settings = effect.call.settings
        provider, slash, name = settings.model.partition("/")
        model = name if slash else settings.model
        self._asked = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider if slash else "openai",
            "gen_ai.request.model": model,
        }
        parameters = {
            f"gen_ai.request.{name}": settings.parameters[name]
            for name in _PARAMETERS
            if isinstance(settings.parameters.get(name), int | float)
        }
        attributes = {**self._asked, **parameters, "gen_ai.agent.name": effect.agent, "gen_ai.request.stream": True}
        self._chat = self._tracer.start_span(f"chat {model}", self._within, SpanKind.CLIENT, attributes)
        self._asked_at = time.perf_counter()
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(self._chat))
        return list(carrier.items())

    def turn_ended(self, turn: Turn, timing: Timing, provider: str | None) -> None:
        chat, self._chat = self._chat, None
        if chat is None:
            return
        if provider:
            self._asked["gen_ai.provider.name"] = provider
        answered = {
            "gen_ai.provider.name": self._asked["gen_ai.provider.name"],
            "gen_ai.response.model": turn.model,
            "gen_ai.response.id": turn.id,
            "gen_ai.response.finish_reasons": [turn.finish_reason] if turn.finish_reason else None,
            "gen_ai.response.time_to_first_chunk": timing.ttft,
        }
        usage = turn.usage
        if usage is not None and not usage.estimated:
            counts = {"input": usage.input_tokens, "output": usage.output_tokens}
            for kind, count in counts.items():
                if count is not None:
                    answered[f"gen_ai.usage.{kind}_tokens"] = count
                    self._meters.tokens.record(count, {**self._asked, "gen_ai.token.type": kind})
            answered["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
        chat.set_attributes({name: value for name, value in answered.items() if value is not None})
        chat.end()
        self._meters.duration.record(time.perf_counter() - self._asked_at, self._asked)
        self._chunks(timing)

    def _chunks(self, timing: Timing) -> None:
        if timing.ttft is not None:
            self._meters.first.record(timing.ttft, self._asked)
        if not self._meters.chunk_times:
            return
        arrivals, record = timing.arrivals_ns, self._meters.chunk.record
        for earlier, later in pairwise(arrivals):
            record((later - earlier) * 1e-9, self._asked)

    def turn_failed(self, error: BaseException) -> None:
        chat, self._chat = self._chat, None
        if chat is not None:
            _fail(chat, error)
            chat.end()
            kind = {"error.type": type(error).__name__}
            self._meters.duration.record(time.perf_counter() - self._asked_at, {**self._asked, **kind})

    def tool_ended(self, agent: str, result: ToolResult) -> None:
        call = result.call
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.type": "function",
            "gen_ai.agent.name": agent,
        }
        if call.id:
            attributes["gen_ai.tool.call.id"] = call.id
        if result.error is not None:
            attributes["error.type"] = result.error
        ended = time.time_ns()
        began = ended - int(result.duration * 1e9)
        span = self._tracer.start_span(
            f"execute_tool {call.name}", self._within, SpanKind.INTERNAL, attributes, start_time=began
        )
        if result.error is not None:
            span.set_status(Status(StatusCode.ERROR, result.error))
        span.end(ended)
        self._meters.tool.record(
            result.duration, {name: value for name, value in attributes.items() if name != "gen_ai.tool.call.id"}
        )

    def ended(self, state: str, error: BaseException | None) -> None:
        attributes: dict[str, Any] = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": self._agent}
        if self._chat is not None:  # the run was closed while the model answered
            self._chat.set_attribute("error.type", state)
            self._chat.end()
            self._chat = None
        if isinstance(error, Exception):
            _fail(self._run, error)
            attributes["error.type"] = type(error).__name__
        elif state != "complete":
            self._run.set_attribute("error.type", state)
            attributes["error.type"] = state
        self._run.end()
        self._meters.agent.record(time.perf_counter() - self._began, attributes)


def _fail(span: Span, error: BaseException) -> None:
    # Without the message, which may contain what was said.
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))
