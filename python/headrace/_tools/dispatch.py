"""Runs the tool calls of a turn, and writes their results as text for the model."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import to_jsonable_python

from headrace._concurrency.threads import StopProgramError, contained, finishes, in_thread

from .arguments import InvalidArgumentsError, parse_object
from .callables import is_async
from .tool import Tool, ToolResult

if TYPE_CHECKING:
    from collections.abc import Collection

    from headrace.types import ToolCall

    from .arguments import BoundCall
    from .tool import Approve, RawParameters, ToolErrorKind

__all__ = ["Dispatcher"]

_MOST_CAUSES = 10
"""How many causes of an exception group the model is told."""


class _FailedCallError(Exception):
    """A tool call failed. The message is for the model."""

    def __init__(
        self, kind: ToolErrorKind, message: str, *, exception: BaseException | None = None, value: Any = None
    ) -> None:
        super().__init__(message)
        self.kind: ToolErrorKind = kind
        self.exception = exception
        self.value = value

    def result(self, call: ToolCall, duration: float) -> ToolResult:
        return ToolResult(call, _sendable(str(self)), self.value, self.kind, duration, self.exception)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Runs tool calls.

    Attributes:
        tools: The tools by name; for a raw schema, whose calls are only recorded, the schema of its arguments.
        limit: How many calls run at the same time, at most.
        timeout: Seconds that a call may take, for tools without their own timeout; None for no limit.
        retry_attempts: How often a tool that raised an exception is called again.
        approve: The function that approves each call; None to approve all.
    """

    tools: Mapping[str, Tool | RawParameters]
    limit: int
    timeout: float | None
    retry_attempts: int
    approve: Approve | None

    async def run(
        self,
        calls: Sequence[ToolCall],
        on_result: Callable[[ToolResult], object] | None = None,
        offered: Collection[str] | None = None,
    ) -> tuple[ToolResult, ...]:
        """Runs tool calls. When it returns or is cancelled, none is running.

        Args:
            calls: The tool calls.
            on_result: Called with each result as soon as it exists.
            offered: The names of the tools that the model was offered, for the answer to a call of an unknown tool;
                None for the names of ``tools``.

        Returns:
            The results, in the order of the calls.
        """
        slots = asyncio.Semaphore(self.limit)
        approving = asyncio.Lock()

        async def answer(call: ToolCall) -> ToolResult:
            if call.name not in self.tools:
                message = _no_such_tool(call.name, self.tools if offered is None else offered)
                result = ToolResult(call, message, error="unknown_tool")
            else:
                result = await self._answer(call, slots, approving)
            if on_result is not None:
                on_result(result)
            return result

        # Each call has its own task, so that a tool that cancels itself does not look like a caller that cancels the
        # turn.
        tasks = [asyncio.create_task(answer(call)) for call in calls]
        try:
            return tuple(await asyncio.gather(*tasks))
        except StopProgramError as stopped:
            raise stopped.stop from None
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _answer(self, call: ToolCall, slots: asyncio.Semaphore, approving: asyncio.Lock) -> ToolResult:
        async with slots:
            try:
                tool = self.tools[call.name]
                if not isinstance(tool, Tool):
                    return _recorded(call, tool)
                bound = _bound(tool, call)
                async with approving:
                    await self._check_approval(call, bound)
            except _FailedCallError as failure:
                return failure.result(call, 0.0)
            begun = time.perf_counter()
            try:
                value = await self._attempts(tool, call, bound)
                content = _rendered(tool, value)
            except _FailedCallError as failure:
                return failure.result(call, time.perf_counter() - begun)
            return ToolResult(call, content, value, None, time.perf_counter() - begun)

    async def _check_approval(self, call: ToolCall, bound: BoundCall) -> None:
        approve = self.approve
        if approve is None:
            return
        arguments = dict(bound.arguments)
        work = asyncio.create_task(contained(_called(lambda: approve(call, arguments), on_loop=is_async(approve))))
        await finishes(work, None)
        verdict = work.result()
        if verdict is None or verdict is True:
            return
        reason = f": {verdict}" if isinstance(verdict, str) and verdict else "."
        raise _FailedCallError("refused", f"The call of {call.name!r} was not approved{reason}")

    async def _attempts(self, tool: Tool, call: ToolCall, bound: BoundCall) -> Any:
        for _ in range(self.retry_attempts):
            try:
                return await self._attempt(tool, bound)
            except _FailedCallError as failure:
                if failure.kind != "exception":
                    raise
            # The tool may have changed its arguments before it raised.
            bound = _bound(tool, call)
        return await self._attempt(tool, bound)

    async def _attempt(self, tool: Tool, bound: BoundCall) -> Any:
        timeout = self.timeout if tool.timeout is None else tool.timeout
        work = asyncio.create_task(contained(_called(bound.run, on_loop=tool.is_async)))
        if not await finishes(work, timeout):
            raise _FailedCallError("timeout", f"{tool.name!r} gave no result within {timeout:g} s.")
        if work.cancelled():
            raise _FailedCallError("exception", f"{tool.name!r} was cancelled.")
        error = work.exception()
        if error is None:
            return work.result()
        if isinstance(error, StopProgramError) or not isinstance(error, Exception):
            raise error
        raise _raised(tool, error)


async def _called(function: Callable[[], Any], *, on_loop: bool) -> Any:
    value = function() if on_loop else await in_thread(function)
    # A sync function may return a coroutine: lambdas and decorated functions do.
    return await value if inspect.isawaitable(value) else value


def _bound(tool: Tool, call: ToolCall) -> BoundCall:
    try:
        return tool.bind(call.arguments)
    except InvalidArgumentsError as error:
        raise _FailedCallError("invalid_arguments", f"{tool.name!r} was not called. {error}") from error
    except Exception as error:  # validators of the tool's types may raise anything
        raise _raised(tool, error) from error


def _raised(tool: Tool, error: Exception) -> _FailedCallError:
    return _FailedCallError("exception", f"{tool.name!r} failed: {_told(error)}", exception=error)


def _told(error: BaseException) -> str:
    """What an exception says. A group is told with its causes, those of groups in it too."""
    causes = [cause for cause in _causes(error) if cause is not error]
    # The traceback module can also format an exception whose `__str__` raises.
    lines = ["".join(traceback.format_exception_only(each)).strip() for each in (error, *causes[:_MOST_CAUSES])]
    if len(causes) > _MOST_CAUSES:
        lines.append(f"and {len(causes) - _MOST_CAUSES} more")
    return "\n- ".join(lines)


def _causes(error: BaseException) -> list[BaseException]:
    """The exceptions in a group, without the groups in it; for any other exception only itself."""
    causes: list[BaseException] = []
    waiting = [error]
    while waiting:
        current = waiting.pop()
        # Python 3.10 has no exception groups, but anyio brings its own.
        inner: object = getattr(current, "exceptions", None)
        if isinstance(inner, tuple) and inner:
            waiting += reversed(cast("tuple[BaseException, ...]", inner))
        else:
            causes.append(current)
    return causes


def _recorded(call: ToolCall, parameters: RawParameters) -> ToolResult:
    try:
        arguments = parse_object(call.arguments, parameters)
    except InvalidArgumentsError as error:
        raise _FailedCallError("invalid_arguments", str(error)) from error
    return ToolResult(call, f"The call of {call.name!r} was recorded for the caller.", arguments)


def _rendered(tool: Tool, value: object) -> str:
    """A result as text for the model; :class:`Toolbox` has the rules."""
    try:
        jsonable = _jsonable(value)
        return _sendable(jsonable if isinstance(jsonable, str) else json.dumps(jsonable, ensure_ascii=False))
    except Exception as error:  # serialisers of the value's type may raise anything
        raise _FailedCallError(
            "unserialisable",
            f"{tool.name!r} succeeded, but its result cannot be shown: {error}. A tool returns text, numbers, lists, "
            "dicts, dataclasses or pydantic models.",
            exception=error,
            value=value,
        ) from error


def _jsonable(value: object) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("bytes are not text: decode them, or save them and return the path")
    if isinstance(value, Iterator):
        raise TypeError("an iterator yields its values one by one: return a list")
    return to_jsonable_python(value, fallback=_plainer)


def _plainer(value: object) -> object:
    """Replaces an object that pydantic does not know by a dict, a list or text."""
    kind = type(value)
    if isinstance(value, memoryview):
        raise TypeError("bytes are not text: decode them, or save them and return the path")
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if isinstance(value, (Sequence, AbstractSet)):
        return list(cast("Collection[object]", value))
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        raise TypeError(f"{kind.__name__} objects are neither data nor text")
    return str(value)


def _sendable(text: str) -> str:
    # Lone surrogates cannot be sent. They occur in the names of files that are not UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


def _no_such_tool(name: str, known: Collection[str]) -> str:
    """The answer to a call of an unknown tool: the nearest name, and the names of all tools."""
    import difflib  # here, because it is rarely needed

    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    listed = f"The tools are: {', '.join(known)}." if known else "There are no tools at all."
    return f"There is no tool {name!r}.{hint} {listed}"
