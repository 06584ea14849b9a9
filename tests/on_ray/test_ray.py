"""``headrace.ray`` on a local Ray: ``make test-ray``. Skipped where Ray is not installed."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Agent, ConfigurationError
from headrace.ray import Stage, deployment
from headrace.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Answers, but not everything."""
    turns = [
        {"when": {"contains": "fail"}, "text": "x", "fault": {"kind": "status", "status": 400}},
        {"text": ["Hello", "."]},
    ]
    with Simulator(turns=turns) as running:
        yield running


def maker(simulator: Simulator) -> Any:
    url = simulator.base_url

    def make() -> Agent:
        return Agent(agent_name="greeter", model_name="openai/sim", llm_base_url=url, print_on=False)

    return make


def test_a_stage_keeps_the_other_columns_and_says_what_failed(simulator: Simulator) -> None:
    stage = Stage(maker(simulator), task="question", output="said")
    rows = stage({"question": ["hi", "fail"], "id": [7, 8]})
    assert rows["said"] == ["Hello.", None]
    assert rows["id"] == [7, 8]
    assert rows["error"][0] is None
    assert "400" in rows["error"][1]
    with pytest.raises(ConfigurationError, match="no column 'question', but task"):
        stage({"task": ["x"]})


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of this machine."""
    module = pytest.importorskip("ray")
    module.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield module
    module.shutdown()


def test_a_dataset_is_mapped_by_workers(ray: Any, simulator: Simulator) -> None:
    rows = [{"task": f"greet {number}", "id": number} for number in range(20)]
    tasks = ray.data.from_items(rows, override_num_blocks=4)
    answers = tasks.map_batches(Stage, fn_constructor_args=[maker(simulator)], concurrency=2, batch_size=5)
    found = sorted(answers.take_all(), key=lambda row: row["id"])
    assert [row["id"] for row in found] == list(range(20))
    assert {row["answer"] for row in found} == {"Hello."}
    assert len(simulator.report()["requests"]) == 20


@pytest.mark.usefixtures("ray")
def test_a_deployment_streams(simulator: Simulator) -> None:
    serve = pytest.importorskip("ray.serve")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    try:
        serve.run(deployment(maker(simulator), asgi={"page": False}).bind(), name="headrace", route_prefix="/")
        body = {"model": "greeter", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            text = response.read().decode()
        assert '"content":"Hello"' in text.replace(" ", "")
        assert "[DONE]" in text
    finally:
        serve.shutdown()
