"""An agent streams a real model that runs on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from headrace import Agent, BadRequestError, Connection

if TYPE_CHECKING:
    from support.harness import Reader

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("weights")]

TASK = "Count from one to ten."


@pytest.fixture
def agent() -> Agent:
    return Agent(model_name="local/smollm2-135m", max_tokens=16, temperature=0, print_on=False)


def test_it_streams_token_by_token(agent: Agent, reader: Reader) -> None:
    result = reader.read(agent, TASK)
    assert result.error is None
    assert 2 <= len(result.tokens) <= 16
    assert all(result.tokens)
    stream = result.stream
    assert (stream.state, stream.text) == ("complete", "".join(result.tokens))
    [turn] = stream.turns
    assert turn.finish_reason in {"stop", "length"}
    assert turn.model == "smollm2-135m"
    assert stream.usage is not None
    assert (stream.usage.output_tokens or 0) >= len(result.tokens)
    assert stream.timing is not None
    assert stream.timing.chunks == len(result.tokens)


def test_no_proxy_leads_to_a_helper_of_ours(agent: Agent, reader: Reader) -> None:
    agent.connection = Connection(proxy="http://127.0.0.1:9")
    assert reader.read(agent, TASK).tokens


def test_sync_and_async_streams_yield_the_same(agent: Agent) -> None:
    async def read() -> list[str]:
        return [token async for token in agent.arun_stream(TASK)]

    assert asyncio.run(read()) == list(agent.run_stream(TASK))


def test_a_prompt_that_is_too_long_is_a_bad_request(agent: Agent, reader: Reader) -> None:
    result = reader.read(agent, "word " * 5000)
    assert result.tokens == []
    assert isinstance(result.error, BadRequestError)
    assert result.error.status == 400
    assert "context" in str(result.error)


def test_a_stream_may_be_closed_early(agent: Agent, reader: Reader) -> None:
    agent.max_tokens = 1000
    with reader.start(agent, "Tell me a long story.") as reading:
        assert len(reading.take(3)) == 3
    assert reading.stream.state == "cancelled"
    # The server accepts the next request.
    agent.max_tokens = 4
    assert reader.read(agent, TASK).error is None


def test_it_answers_several_requests_at_the_same_time(agent: Agent) -> None:
    async def main() -> list[str]:
        async def read() -> str:
            return "".join([token async for token in agent.arun_stream(TASK)])

        return await asyncio.gather(*(read() for _ in range(3)))

    one, *others = asyncio.run(main())
    assert one
    assert others == [one, one]
