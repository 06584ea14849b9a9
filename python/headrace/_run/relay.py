"""The third driver: it relays each turn to the client of a server.

A turn's tokens pass from the model's socket to the client's on the network threads. Python decides between turns, as in
the other drivers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._concurrency.wakeups import notifier_of_running_loop
from headrace._loop.effects import OpenTurn, RunTools
from headrace._providers.prepare import preparation

from .carry_out import arun_effect, in_thread, open_turn, tool_turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import _native

    from .read import Item
    from .run import Run

__all__ = ["relay_drive"]


async def relay_drive(run: Run, exchange: _native.Exchange, tell: Callable[[list[Item]], None]) -> None:
    """Drives a run on the running event loop, and relays its text.

    Args:
        run: The run. Nobody else reads it, and it has no callback for tokens.
        exchange: Where the text goes. It is neither finished nor failed here.
        tell: Called with the events of the run, if there are to be any.

    Raises:
        StreamError: The run did not end complete.
        StreamClosedError: The run was closed, or the client has left.
    """
    notifier = notifier_of_running_loop()
    with run:
        tell(run.begun())
        effect = run.start()
        while effect is not None:
            result: object
            told: list[Item] = []
            try:
                if isinstance(effect, OpenTurn):
                    tell(run.turn_begun(effect))
                    prepared = preparation(effect.call)
                    request = await in_thread(prepared.request) if prepared.blocks else prepared.request()
                    reader = open_turn(run, effect, request)
                    del prepared, request  # a copy of the conversation is in them, and the answer may take long
                    relay = exchange.relay(reader.stream)
                    await notifier.armed(relay, relay.arm)
                    reader.take()  # it has ended: raises its error, if it has one
                    if exchange.is_gone:
                        run.close()
                    result, told = run.turn_ended(effect)
                elif isinstance(effect, RunTools):
                    turn = tool_turn(run, effect)
                    try:
                        while (returned := await turn.next()) is not None:
                            tell(run.tool_ended(effect, returned))
                    finally:
                        await turn.close()
                    result = turn.results
                else:
                    result, told = await arun_effect(run, effect)
                effect = run.send(result)
            except Exception as error:  # noqa: BLE001 — the loop decides; what it does not handle is raised below
                effect = run.throw(error)
            tell(told)
        tell(run.ended())
        run.status.raise_error()
