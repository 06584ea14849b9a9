"""Async callbacks are awaited before their token is yielded, in both lanes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from collections.abc import Callable


def recording(seen: list[Any], *, fails: bool = False) -> Callable[[Any], Any]:
    async def callback(token: Any) -> None:
        await asyncio.sleep(0)
        if fails:
            raise ValueError(token)
        seen.append(token)

    return callback


@pytest.mark.parametrize("reasons", [False, True])
def test_an_async_callback_is_awaited_for_each_token(reader: Reader, simulate: Simulate, reasons: bool) -> None:
    simulator = simulate("one two three", **({"reasoning": "so"} if reasons else {}))
    seen: list[Any] = []
    result = reader.read(agent_at(simulator, streaming_callback=recording(seen)))
    assert result.error is None
    assert seen == ["one", " two", " three"]


def test_a_detailed_async_callback_is_awaited_to_the_end_of_the_turn(reader: Reader, simulate: Simulate) -> None:
    seen: list[Any] = []
    result = reader.read(agent_at(simulate("one two"), streaming_callback=recording(seen), stream=True))
    assert result.error is None
    assert [each["token"] for each in seen] == ["one", " two", ""]
    assert seen[-1]["finish_reason"] == "stop"


def test_an_error_of_an_async_callback_ends_the_run(reader: Reader, simulate: Simulate) -> None:
    result = reader.read(agent_at(simulate("one two"), streaming_callback=recording([], fails=True)))
    assert isinstance(result.error, ValueError)
