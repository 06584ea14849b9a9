"""Traces and metrics by OpenTelemetry, as its own SDK collects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import headrace.otel
from headrace import ConcurrentWorkflow, StreamError
from support.conversations import add, bodies, calling, conversation, refusing
from support.harness import PATIENCE, Reader, Simulate, agent_at
from support.serving import GO, MODEL, serving_agents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

ADDS = {"text": "I add.", "tool_calls": [calling("add", {"a": 1, "b": 2}, id="call_1")]}


class Telemetry:
    """What was collected."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        traces = TracerProvider()
        traces.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = traces.get_tracer("application")
        self._providers: Any = (traces, MeterProvider([self._reader]))
        headrace.otel.instrument(*self._providers)

    def spans(self) -> dict[str, list[ReadableSpan]]:
        """The spans by name, in the order of their ends."""
        by_name: dict[str, list[ReadableSpan]] = {}
        for span in self._exporter.get_finished_spans():
            by_name.setdefault(span.name, []).append(span)
        return by_name

    def metrics(self) -> dict[str, list[Any]]:
        """The data points by the name of the metric."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}

    def shut_down(self) -> None:
        headrace.otel.uninstrument()
        for provider in self._providers:
            provider.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    collected = Telemetry()
    yield collected
    collected.shut_down()


def test_a_run_is_a_tree_of_spans(simulate: Simulate, reader: Reader, telemetry: Telemetry) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 3."}))
    reader.read(agent_at(simulator, agent_name="adder", tools=[add], max_loops=3, temperature=0.5))
    spans = telemetry.spans()
    [run] = spans["invoke_agent adder"]
    first, second = spans["chat sim"]
    [tool] = spans["execute_tool add"]
    assert run.parent is None
    for span in (first, second, tool):
        assert span.parent is not None
        assert run.context is not None
        assert span.parent.span_id == run.context.span_id
    assert (run.kind, first.kind, tool.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.INTERNAL)
    asked = dict(first.attributes or {})
    assert asked["gen_ai.operation.name"] == "chat"
    assert asked["gen_ai.provider.name"] == "openai"
    assert asked["gen_ai.request.model"] == "sim"
    assert asked["gen_ai.request.temperature"] == 0.5
    assert asked["gen_ai.response.finish_reasons"] == ("tool_calls",)
    assert int(str(asked["gen_ai.usage.output_tokens"])) > 0
    assert float(str(asked["gen_ai.response.time_to_first_chunk"])) > 0
    called = dict(tool.attributes or {})
    assert (called["gen_ai.tool.name"], called["gen_ai.tool.call.id"]) == ("add", "call_1")
    assert not any("It is 3." in str(span.attributes) for group in spans.values() for span in group)


def test_requests_carry_the_trace(simulate: Simulate, reader: Reader, telemetry: Telemetry) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 3."}))
    reader.read(agent_at(simulator, tools=[add], max_loops=3))
    sent = [dict(request["headers"])["traceparent"] for request in simulator.report()["requests"]]
    wanted: list[str] = []
    for span in telemetry.spans()["chat sim"]:
        assert span.context is not None
        wanted.append(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}")
    assert [header.rpartition("-")[0] for header in sent] == wanted
    assert len(set(sent)) == 2


def test_the_callers_span_is_the_parent(simulate: Simulate, telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("mine") as mine:
        agent_at(simulate("Yes."), agent_name="yes").run("Go.")
    [run] = telemetry.spans()["invoke_agent yes"]
    assert run.parent is not None
    assert run.parent.span_id == mine.get_span_context().span_id


def test_a_failed_request_is_an_error_of_both(simulate: Simulate, reader: Reader, telemetry: Telemetry) -> None:
    simulator = simulate(turns=[{"text": "x", "fault": refusing(500, None)}])
    with pytest.raises(StreamError):
        reader.start(agent_at(simulator, agent_name="poet", retry_attempts=1, retry_interval=0.0)).loop([])
    spans = telemetry.spans()
    assert len(spans["chat sim"]) == 2  # each attempt
    for span in [*spans["chat sim"], *spans["invoke_agent poet"]]:
        assert span.status.status_code is StatusCode.ERROR
        assert dict(span.attributes or {})["error.type"] == "ServerError"


def test_a_run_that_is_left_is_ended(simulate: Simulate, telemetry: Telemetry) -> None:
    simulator = simulate(turns=[{"text": ["Water", " turns"], "fault": {"kind": "stall", "after": 1}}])
    with agent_at(simulator, agent_name="poet").run_stream("Go.") as stream:
        assert next(stream) == "Water"
    spans = telemetry.spans()
    for name in ("chat sim", "invoke_agent poet"):
        [span] = spans[name]
        assert dict(span.attributes or {})["error.type"] == "cancelled"


def test_a_failed_tool_call_is_an_error(simulate: Simulate, reader: Reader, telemetry: Telemetry) -> None:
    def add(a: int, b: int) -> int:
        """Adds."""
        raise ValueError(f"the secret of the mill {a + b}")

    reader.read(agent_at(simulate(turns=conversation(ADDS, {"text": "No."})), tools=[add], max_loops=3))
    [tool] = telemetry.spans()["execute_tool add"]
    assert tool.status.status_code is StatusCode.ERROR
    assert dict(tool.attributes or {})["error.type"] == "exception"
    assert "the secret of the mill" not in str(tool.to_json())


def test_metrics(simulate: Simulate, reader: Reader, telemetry: Telemetry) -> None:
    simulator = simulate(turns=[{"text": ["a ", "b ", "c"]}])
    for _ in range(2):
        reader.read(agent_at(simulator))
    metrics = telemetry.metrics()
    [duration] = metrics["gen_ai.client.operation.duration"]
    assert (duration.count, duration.attributes["gen_ai.request.model"]) == (2, "sim")
    [first] = metrics["gen_ai.client.operation.time_to_first_chunk"]
    assert (first.count, 0 < first.sum < 60) == (2, True)
    [chunk] = metrics["gen_ai.client.operation.time_per_output_chunk"]
    assert chunk.count == 4
    counts = {point.attributes["gen_ai.token.type"]: point.sum for point in metrics["gen_ai.client.token.usage"]}
    assert counts["output"] == 6
    [agent] = metrics["gen_ai.invoke_agent.duration"]
    assert agent.count == 2


def test_each_agent_of_a_workflow_is_a_run(simulate: Simulate, telemetry: Telemetry) -> None:
    simulator = simulate("Yes.")
    agents = [agent_at(simulator, agent_name=name) for name in ("ann", "bob")]
    ConcurrentWorkflow(agents=agents).run("Go.")
    assert {"invoke_agent ann", "invoke_agent bob"} <= set(telemetry.spans())


def test_a_server_goes_on_with_its_clients_trace(simulate: Simulate, telemetry: Telemetry) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    simulator = simulate(turns=[{"text": ["a ", "b ", "c"]}])
    with serving_agents(agent_at(simulator)) as running:
        body = {"model": MODEL, "messages": GO, "stream": True}
        headers = {"traceparent": f"00-{trace}-{parent}-01"}
        httpx.post(f"{running.url}/v1/chat/completions", json=body, headers=headers, timeout=PATIENCE)
    [run] = telemetry.spans()[f"invoke_agent {MODEL}"]
    assert run.parent is not None
    assert f"{run.parent.span_id:016x}" == parent
    assert dict(simulator.report()["requests"][0]["headers"])["traceparent"].startswith(f"00-{trace}-")
    [chunk] = telemetry.metrics()["gen_ai.client.operation.time_per_output_chunk"]
    assert chunk.count == 2


def test_nothing_is_sent_after_uninstrument(simulate: Simulate, telemetry: Telemetry) -> None:
    headrace.otel.uninstrument()
    simulator = simulate("Yes.")
    agent_at(simulator).run("Go.")
    assert telemetry.spans() == {}
    assert "traceparent" not in dict(simulator.report()["requests"][0]["headers"])
    assert len(bodies(simulator)) == 1
