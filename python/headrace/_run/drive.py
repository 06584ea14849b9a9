"""The two drivers, sync and async: they carry out the effects of a loop, and yield tokens or events.

Both do the same, line by line; they differ only in how they wait. A turn of plain text is yielded as its native stream,
which the native iterator that calls the driver reads by itself (``rust/python/src/iterate``).

asyncio is imported inside the functions that need it, since it would take half of the time of ``import headrace``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from headrace._concurrency.wakeups import notifier_of_running_loop
from headrace._loop.effects import OpenTurn, RunTools
from headrace._providers.prepare import preparation

from .carry_out import arun_effect, in_thread, open_turn, run_effect, tool_turn
from .read import TextReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from headrace import _native

    from .read import Item, Reader
    from .run import Run

__all__ = ["adrive", "drive"]

Yielded: TypeAlias = "Item | _native.Stream"
"""A token, an event, or a turn for the native iterator to read."""


def drive(run: Run) -> Generator[Yielded, None, None]:
    """Drives a run. Blocks the calling thread while it waits."""
    output = run.output
    calls_back = output.calls_back  # read once, not for each token
    with run:
        yield from run.begun()
        effect = run.start()
        while effect is not None:
            result: object
            shown: list[Item] = []
            try:
                if isinstance(effect, OpenTurn):
                    yield from run.turn_begun(effect)
                    reader = open_turn(run, effect, preparation(effect.call).request())
                    if isinstance(reader, TextReader) and not calls_back:
                        yield reader.stream
                    # A stream that was read to its end raises its error here, if it has one.
                    while (batch := reader.wait()) is not None:
                        run.hold(batch)
                        yield from output.called_back(batch, run.run_on_loop) if calls_back else batch
                    result, shown = run.turn_ended(effect)
                    output.wait_for_callbacks(run.run_on_loop)
                elif isinstance(effect, RunTools):
                    turn = tool_turn(run, effect)
                    while (returned := run.run_on_loop(turn.next)) is not None:
                        yield from run.tool_ended(effect, returned)
                    result = turn.results
                else:
                    result, shown = run_effect(run, effect)
                effect = run.send(result)
            except Exception as error:  # noqa: BLE001 — the loop decides; what it does not handle is raised below
                effect = run.throw(error)
            yield from shown
        yield from run.ended()
        run.status.raise_error()


async def adrive(run: Run) -> AsyncGenerator[Yielded, list[str] | None]:
    """Drives a run on the running event loop."""
    output = run.output
    calls_back = output.calls_back  # read once, not for each token
    with run:
        notifier_of_running_loop()  # raises outside of an event loop
        for item in run.begun():
            yield item
        effect = run.start()
        while effect is not None:
            result: object
            shown: list[Item] = []
            try:
                if isinstance(effect, OpenTurn):
                    for item in run.turn_begun(effect):
                        yield item
                    prepared = preparation(effect.call)
                    request = await in_thread(prepared.request) if prepared.blocks else prepared.request()
                    reader = open_turn(run, effect, request)
                    del prepared, request  # a copy of the conversation is in them, and the answer may take long
                    if isinstance(reader, TextReader) and not calls_back:
                        # The iterator waits for tokens, and sends several that came together to be yielded here.
                        while (batch := (yield reader.stream)) is not None:
                            for item in run.hold(batch):
                                yield item
                        reader.take()  # it has ended: raises its error, if it has one
                    else:
                        async for item in _items(run, reader):
                            yielded = output.call_back(item) if calls_back else item
                            if output.awaited:
                                await output.await_callbacks()
                            yield yielded
                    result, shown = run.turn_ended(effect)
                    if output.awaited:
                        await output.await_callbacks()
                elif isinstance(effect, RunTools):
                    turn = tool_turn(run, effect)
                    try:
                        while (returned := await turn.next()) is not None:
                            for item in run.tool_ended(effect, returned):
                                yield item
                    finally:
                        await turn.close()
                    result = turn.results
                else:
                    result, shown = await arun_effect(run, effect)
                effect = run.send(result)
            except Exception as error:  # noqa: BLE001 — the loop decides; what it does not handle is raised below
                effect = run.throw(error)
            for item in shown:
                yield item
        for item in run.ended():
            yield item
        run.status.raise_error()


async def _items(run: Run, reader: Reader) -> AsyncGenerator[Item, None]:
    """The items of a turn, as they arrive."""
    with notifier_of_running_loop().ready(reader.stream) as listener:
        while True:
            if (woken := listener.listen()) is not None:
                await woken
            if (batch := reader.take()) is None:
                return
            for item in run.hold(batch):
                yield item
