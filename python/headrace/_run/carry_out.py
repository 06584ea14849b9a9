"""Carrying out the effects of a loop, as far as the drivers have it in common.

asyncio is imported inside the functions that need it, since it would take half of the time of ``import headrace``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from headrace import _native
from headrace._loop.effects import Connect, Effect, Emit, OpenTurn, Recall, Remember, RunTools, Sleep
from headrace._providers.requests import FedRequest, PreparedRequest
from headrace.defaults import stream_options

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .read import Item, Reader
    from .run import Run
    from .tool_turn import ToolTurn

__all__ = ["arun_effect", "in_thread", "open_turn", "run_effect", "tool_turn"]

T = TypeVar("T")

Done: TypeAlias = "tuple[object, list[Item]]"
"""The effect's result, which goes back into the loop, and the items to yield."""


def run_effect(run: Run, effect: Effect) -> Done:
    """Carries out an effect other than ``OpenTurn`` and ``RunTools``. Blocks the calling thread."""
    match effect:
        case Emit():
            return None, run.emitted(effect)
        case Sleep():
            run.work.sleep(effect.seconds)
        case Remember():
            effect.memory.append(effect.messages, run_id=run.id)
        case Recall():
            return effect.memory.read(), []
        case Connect():
            return effect.servers.connect(), []
        case OpenTurn() | RunTools():  # the driver does these itself
            pass
    return None, []


async def arun_effect(run: Run, effect: Effect) -> Done:
    """Carries out an effect other than ``OpenTurn`` and ``RunTools`` on the running event loop."""
    import asyncio

    match effect:
        case Emit():
            return None, run.emitted(effect)
        case Sleep():
            await _unless_closed(run, asyncio.sleep(effect.seconds))
        case Remember():
            await in_thread(lambda: effect.memory.append(effect.messages, run_id=run.id))
        case Recall():
            return await in_thread(effect.memory.read), []
        case Connect():
            return await in_thread(effect.servers.connect), []
        case OpenTurn() | RunTools():  # the driver does these itself
            pass
    return None, []


def tool_turn(run: Run, effect: RunTools) -> ToolTurn:
    """The tool calls of a turn, which the driver waits for."""
    from .tool_turn import ToolTurn

    return ToolTurn(run, effect)


async def _unless_closed(run: Run, work: Coroutine[Any, Any, T]) -> T:
    """Awaits a coroutine, and cancels it when the stream is closed, by whichever thread."""
    import asyncio

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def cancel() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(task.cancel)

    run.work.on_stop(cancel)
    try:
        return await task
    except asyncio.CancelledError:
        run.status.check_open()
        raise
    finally:
        run.work.on_stop(None)


async def in_thread(function: Callable[[], T]) -> T:
    """Calls a function in another thread, because it may block."""
    from headrace._concurrency import threads

    return await threads.in_thread(function)


def open_turn(run: Run, effect: OpenTurn, request: PreparedRequest | FedRequest) -> Reader:
    """Opens the turn's stream: in the native lane, Rust sends the request; in the fed lane, Python feeds the stream."""
    run.status.check_open()
    settings = effect.call.settings
    if isinstance(request, PreparedRequest):
        options = stream_options(settings, is_local=request.is_local)
        headers = [*request.headers, *run.turn_headers] if run.turn_headers else request.headers
        stream = _native.open_stream(request.url, headers, request.body, request.dialect, options)
        return run.turn_opened(stream, effect, request.provider)
    source, stream = _native.open_fed_stream(request.name, "openai_chat", stream_options(settings))
    return run.turn_opened(stream, effect, request.provider, request.start(source))
