"""The agent: a model with its instructions, tools and options, and the methods that run tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import _native
from ._agent import display, on_demand
from ._agent.arguments import checked_dict, checked_function, checked_list
from ._agent.config import (
    check_agent,
    check_tasks,
    default_model,
    or_default,
)
from ._agent.keywords import Signature, refuse_unknown
from ._agent.prepared import Prepared
from ._agent.run_input import RunInput
from ._conversation.output import format_output
from ._run.read import View
from ._run.run import Run
from .defaults import defaults
from .errors import ConfigurationError
from .streams import AsyncRunStream, RunStream
from .tools import Toolbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from typing_extensions import TypedDict, Unpack

    from ._loop.spec import Stop, Transform
    from .batches import TaskResult
    from .connection import Connection
    from .events import Event
    from .types import Key, Timeouts

    class _RunOptions(TypedDict, total=False):
        """The options of all methods that run one task; ``run_stream`` documents them."""

        img: str | None
        imgs: Sequence[str] | None
        messages: Sequence[Mapping[str, Any]] | None
        system_prompt: str | None
        temperature: float | None
        headers: Mapping[str, str] | None
        metadata: Mapping[str, Any] | None
        llm_args: Mapping[str, Any] | None
        client_tools: Sequence[Mapping[str, Any]] | None
        tool_choice: object
        streaming_callback: Callable[[Any], object] | None

    class _StreamOptions(_RunOptions, total=False):
        """The options of ``run_stream`` and ``arun_stream`` other than ``with_events``."""

        output_type: Any
        reasoning: bool


__all__ = ["Agent"]

T = TypeVar("T")


class Agent:
    """A model with instructions and tools, whose answers stream token by token.

    An agent may have any number of runs at the same time, in any number of threads and asyncio tasks. They share only
    its configuration, which each run reads when it starts, and its memory, if it has one.

    An agent can be pickled, if its functions can be found by their names, and copied deeply. Neither has its secrets:
    the key, secret members of ``llm_args``, headers that carry credentials, and those of URLs and MCP servers. The key
    is then looked for in the environment, as for every agent without one. A deep copy shares tools, MCP servers, memory
    and functions with the agent. ``copy.copy`` shares everything, also the key.

    Args:
        agent_name: The agent's name, in events and in workflows.
        agent_description: What the agent is for. Agents that may hand tasks to it read this; its own model does not.
        system_prompt: The system message, before each task.
        model_name: ``"openai/NAME"``, ``"local/NAME"``, a name that litellm knows, or any name with ``llm_base_url``.
            None: the environment variable ``HEADRACE_MODEL``, else the local model, with a notice.
        max_loops: The maximum number of turns of a run; or ``"auto"``: make a plan, execute it, sum up.
        tools: Functions that the model may call. One that calls ``sys.exit`` ends the run: its SystemExit is raised to
            whoever reads the stream, the connection is closed, and the state is ``"cancelled"``. An event loop that
            runs the tool goes on.
        tools_list_dictionary: Tools as OpenAI schemas, without a function.
        tool_choice: Which tool the model may or must call, in OpenAI's format. A choice that demands a call
            (``"required"``, a tool's name) is for the first turn of a run that offers the tool. After that the model
            decides by itself, because otherwise it could never answer.
        tool_choice_every_turn: Send such a choice with every turn.
        parallel_tool_calls: Run the tool calls of a turn at the same time.
        tool_timeout: The maximum duration of a tool call in seconds; None for no limit, except that a tool of an MCP
            server has 60 s, or the ``timeout`` of its server.
        tool_retry_attempts: How many times a tool that raises an exception is called again.
        max_tool_result_tokens: How many tokens of one tool result the model gets, at four bytes a token; None for all.
            Of a longer one the middle is left out, and a note in its place tells how much. With ``context_length``, the
            results of one turn together get at most half of it, in equal parts. Events and ``run`` have the whole
            result.
        mcp_url: The URL of an MCP server (streamable HTTP) whose tools the model may call. Needs the extra ``mcp``.
        mcp_urls: More such URLs.
        mcp_config: MCP servers in the format of MCP clients: ``{"mcpServers": {name: {"command": …} | {"url": …}}}``.
        mcp_connect_timeout: The maximum duration of connecting to an MCP server and listing its tools, in seconds.
        mcp_required: Refuse a run if an MCP server cannot be used. Otherwise the run goes on without that server's
            tools, and the event ``MCPServerFailed`` tells why.
        approve: Called with each tool call and its arguments; False or a reason refuses the call. May be async.
        temperature: The sampling temperature; None for the provider's default.
        max_tokens: The maximum number of model tokens of an answer; None for the provider's default.
        top_p: The probability mass of nucleus sampling; None for the provider's default.
        reasoning_effort: How much a reasoning model reasons: ``"none"``, ``"low"``, ``"medium"``, ``"high"``, or what
            else it knows. It is sent in the form that the model takes.
        thinking_tokens: The token budget for reasoning. A model or an endpoint that takes none is not asked: the run
            ends with a ``ConfigurationError``.
        llm: Your own function instead of a model, or an object with a method ``run``. It is called with the prompt or
            with the messages, and returns text or an iterable of text or of OpenAI chunks. May be async.
        llm_base_url: The URL of an OpenAI-compatible endpoint, without ``/chat/completions``. If the model's name
            begins with a provider of another dialect (``anthropic/…``, ``gemini/…``), the URL of such an endpoint.
        llm_api_key: The API key: a string, bytes, pydantic's ``SecretStr``, or a function that is called before each
            request and returns one of these. None to take it from the environment: from the variable of the provider
            that the model's name begins with, such as ``GROQ_API_KEY``, else from ``OPENAI_API_KEY``.
        llm_args: More members of the request's body, such as ``{"seed": 1}``. Its member ``extra_headers`` is a dict
            of HTTP headers; an ``Authorization`` in it is used instead of the key. For a model that litellm handles,
            these are arguments of ``litellm.completion``, such as ``api_version`` or ``aws_region_name``.
        prompt_caching: Ask the provider to cache the prompt, if it wants to be asked (Anthropic).
        headers: HTTP headers to add to each request, besides those of ``headrace.configure``.
        connection: How to connect: certificates, a proxy, HTTP/2, limits; None for the default of the process.
        timeouts: The timeouts, in seconds; None for the default of the process.
        max_event_bytes: The size limit of one event of the stream, in bytes. None for the default, 16 MiB.
        retry_attempts: How many times a turn is retried after a temporary error, if none of its tokens was yielded.
        retry_interval: Seconds before the first retry; doubled for each further one. If the provider sends its own
            interval (``Retry-After``), that is used instead.
        retry_budget: The maximum number of seconds from a turn's first request to its last. A longer wait is not
            begun. None for no limit, except that no provider is waited for longer than ten minutes.
        fallback_models: The fallback models, in order. The next one is asked if a model cannot be reached or refuses
            the request, but only before the first token of a turn.
        fallback_model_name: One more fallback model, before those of ``fallback_models``.
        resume_on_error: Ask again after a temporary error also if tokens of the turn were yielded. The answer then
            begins again, after those tokens, and ``TurnStart.resumed`` is true.
        allow_empty: Take an answer without text and tool calls for an answer. Otherwise it is an ``EmptyAnswerError``,
            which is retried like a temporary error.
        strict_end: Let a run fail after its last token if its answer is short: see ``stream.incomplete``.
        turn_separator: The token that is yielded between the texts of two turns, or ``""`` for none. It
            is in ``stream.text`` too, but not in the answer, in the conversation or in events.
        stopping_token: The run ends after a turn whose text contains this string.
        stopping_func: The run ends after a turn for whose text this function returns true.
        stopping_condition: The same as ``stopping_func``; both may be given.
        loop_interval: Seconds between two turns.
        max_turns: The most turns of one run, over its loops, subtasks, resumed turns and handoffs together. None for
            100, or ``max_loops`` if that is more. At the limit the run ends with a ``RunLimitError``.
        max_total_tokens: The most tokens of one run, prompts included; None for no limit. It is checked before each
            request, so the last turn may exceed it.
        max_cost: The same in USD. Turns whose cost is not known are not counted.
        handoffs: Agents that the model may hand the task over to. They may hand it on, or back. After 8 handoffs in a
            row the model must answer itself.
        selected_tools: Which of the built-in tools an autonomous run offers to the model: ``"all"`` or their names.
        max_plan_attempts: How many turns an autonomous run may take to make a plan, before it continues without one.
        max_subtask_loops: How many turns a subtask of an autonomous run may take.
        persistent_memory: Keep the conversation after the run and the process, under the agent's name.
        memory_path: The SQLite file; None for one in the user's data directory.
        context_length: The maximum number of model tokens of conversation to send; the oldest exchanges are left out.
        transforms: A function to use instead of ``context_length``: gets all messages, returns those to send.
        output_type: What ``run`` returns: ``"final"`` (the answer), ``"str"``, ``"list"``, ``"dict"``, ``"json"``
            (all messages in that form), and others; the error for an unknown name lists them. Or a type: a pydantic
            model, a dataclass, a TypedDict, a list of these, a union. The model is then asked for JSON of that type,
            and ``run`` returns a value of it, ``stream.output`` too; ``stream.partial`` is what has come of it.
        output_retries: How many times an answer that does not fit a type is sent back with what is wrong.
        print_on: ``run`` prints the answer to standard output.
        verbose: Each run prints its requests and the timing of its turns to standard error.
        streaming_on: ``run`` prints each token as soon as it arrives, instead of the answer at the end.
        streaming_callback: Called with each token before the token is yielded. An exception from it ends the run. May
            be async: then it is awaited.
        stream: Call the callback with a dict about each token instead.

    Raises:
        TypeError: A keyword is unknown; the message suggests the nearest known one.
        ConfigurationError: A value cannot work.

    Example:
        >>> agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
        >>> agent.run("Greet me.")
        'Hello, world.'
    """

    # Not in `__dict__`, so neither a copy nor a pickle has it.
    __slots__ = ("__dict__", "__weakref__", "_prepared")
    _prepared: Prepared

    if not TYPE_CHECKING:
        # An unknown keyword is refused with a hint, while type checkers see the signature of `__init__` alone.
        __signature__ = Signature()

        def __new__(cls, *_args: object, **options: object) -> Agent:  # noqa: D102 - not for users
            if cls.__init__ is Agent.__init__:
                refuse_unknown(cls, options)
            return object.__new__(cls)

    def __init__(  # noqa: PLR0915 - one statement for each option
        self,
        *,
        agent_name: str = "headrace-agent",
        agent_description: str | None = None,
        system_prompt: str | None = None,
        model_name: str | None = None,
        max_loops: int | Literal["auto"] = 1,
        tools: Iterable[Callable[..., Any]] | None = None,
        tools_list_dictionary: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: object = None,
        tool_choice_every_turn: bool = False,
        parallel_tool_calls: bool = True,
        tool_timeout: float | None = None,
        tool_retry_attempts: int | None = 0,
        max_tool_result_tokens: int | None = 25_000,
        mcp_url: str | None = None,
        mcp_urls: Sequence[str] | None = None,
        mcp_config: Mapping[str, Any] | None = None,
        mcp_connect_timeout: float = 30.0,
        mcp_required: bool = False,
        approve: Callable[..., Any] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        reasoning_effort: str | None = None,
        thinking_tokens: int | None = None,
        llm: Any = None,
        llm_base_url: str | None = None,
        llm_api_key: Key | None = None,
        llm_args: Mapping[str, Any] | None = None,
        prompt_caching: bool = False,
        headers: Mapping[str, str] | None = None,
        connection: Connection | None = None,
        timeouts: Timeouts | None = None,
        max_event_bytes: int | None = None,
        retry_attempts: int | None = 0,
        retry_interval: float | None = 1.0,
        retry_budget: float | None = None,
        fallback_models: Sequence[str] | None = (),
        fallback_model_name: str | None = None,
        resume_on_error: bool = False,
        allow_empty: bool = False,
        strict_end: bool = False,
        turn_separator: str = "\n\n",
        stopping_token: str | None = None,
        stopping_func: Stop | None = None,
        stopping_condition: Stop | None = None,
        loop_interval: float | None = 0.0,
        max_turns: int | None = None,
        max_total_tokens: int | None = None,
        max_cost: float | None = None,
        handoffs: Iterable[Agent] | None = (),
        selected_tools: str | Iterable[str] | None = "all",
        max_plan_attempts: int | None = 3,
        max_subtask_loops: int | None = 20,
        persistent_memory: bool = False,
        memory_path: str | Path | None = None,
        context_length: int | None = None,
        transforms: Transform | None = None,
        output_type: Any = "final",
        output_retries: int = 1,
        print_on: bool = True,
        verbose: bool = False,
        streaming_on: bool = False,
        streaming_callback: Callable[[Any], object] | None = None,
        stream: bool = False,
    ) -> None:
        self.agent_name = agent_name
        self.agent_description = agent_description
        self.system_prompt = system_prompt
        self.model_name = model_name or ("llm" if llm is not None else default_model())
        self.llm = llm
        self.max_loops: int | Literal["auto"] = max_loops
        self.tool_choice = tool_choice
        self.tool_choice_every_turn = tool_choice_every_turn
        self.max_tool_result_tokens = max_tool_result_tokens
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.top_p = top_p
        self.reasoning_effort = reasoning_effort
        self.thinking_tokens = thinking_tokens
        self.llm_base_url = llm_base_url
        self.llm_api_key = llm_api_key
        self.llm_args = checked_dict("llm_args", llm_args)
        self.prompt_caching = prompt_caching
        self.headers = {**defaults.headers, **checked_dict("headers", headers)}
        self.connection = defaults.connection if connection is None else connection
        self.timeouts = defaults.timeouts if timeouts is None else timeouts
        self.max_event_bytes = _native.DEFAULT_MAX_EVENT_BYTES if max_event_bytes is None else max_event_bytes
        self.retry_attempts = or_default("retry_attempts", retry_attempts)
        self.retry_interval = or_default("retry_interval", retry_interval)
        self.retry_budget = retry_budget
        self.fallback_models = checked_list("fallback_models", fallback_models, "models' names", str)
        self.fallback_model_name = fallback_model_name
        self.resume_on_error = resume_on_error
        self.allow_empty = allow_empty
        self.strict_end = strict_end
        self.turn_separator = turn_separator
        self.stopping_token = stopping_token
        self.stopping_func = stopping_func
        self.stopping_condition = stopping_condition
        self.loop_interval = or_default("loop_interval", loop_interval)
        self.max_turns = max_turns
        self.max_total_tokens = max_total_tokens
        self.max_cost = max_cost
        self.handoffs: tuple[Agent, ...] = checked_list("handoffs", handoffs, "agents", Agent)
        self.selected_tools = "all" if selected_tools is None else selected_tools
        self.max_plan_attempts = or_default("max_plan_attempts", max_plan_attempts)
        self.max_subtask_loops = or_default("max_subtask_loops", max_subtask_loops)
        self.context_length = context_length
        self.transforms = transforms
        self.output_type = "final" if output_type is None else output_type
        self.output_retries = output_retries
        self.print_on = print_on
        self.verbose = verbose
        self.streaming_on = streaming_on
        self.streaming_callback = streaming_callback
        self.stream = stream
        self.toolbox = Toolbox(
            checked_list("tools", tools, "functions"),
            raw_schemas=checked_list("tools_list_dictionary", tools_list_dictionary, "schemas", Mapping),
            parallel=parallel_tool_calls,
            timeout=tool_timeout,
            retry_attempts=tool_retry_attempts or 0,
            approve=checked_function("approve", approve),
        )
        self.mcp = on_demand.servers(
            mcp_url,
            mcp_urls,
            mcp_config,
            connect_timeout=mcp_connect_timeout,
            call_timeout=60.0 if tool_timeout is None else tool_timeout,
            required=mcp_required,
        )
        self.memory = on_demand.memory(agent_name, memory_path) if persistent_memory else None
        check_agent(self)

    @overload
    def run(self, task: str | None = ..., *, output_type: type[T], **options: Unpack[_RunOptions]) -> T: ...
    @overload
    def run(self, task: str | None = ..., *, output_type: Any = ..., **options: Unpack[_RunOptions]) -> Any: ...
    def run(self, task: str | None = None, *, output_type: Any = None, **options: Unpack[_RunOptions]) -> Any:
        """Runs a task and waits for the answer.

        Args:
            task: What the user wants.
            output_type: The type of the answer, used instead of the agent's.
            **options: The options of :meth:`run_stream`, except ``with_events``.

        Returns:
            The answer, or the messages in the form that ``output_type`` names, or a value of that type. The answer is
            the model's last text or
            refusal, or the answer of the agent that the task was handed over to. If there is none of these, it is what
            the last tools returned. If the last turn called tools of ``tools_list_dictionary``, the answer is these
            calls, as a JSON list in OpenAI's format:
            ``[{"id": …, "type": "function", "function": {"name": …, "arguments": …}}]``.

        Raises:
            StreamError: The run did not end complete. The subclass says how.
            InvalidOutputError: The answer is not of the type that ``output_type`` wants.
            ConfigurationError: The task or the agent is configured in a way that cannot work.
        """
        stream = self.run_stream(task, output_type=output_type, **options)
        with stream:
            if self.print_on and self.streaming_on:
                display.show_live(self.agent_name, _or_final(stream))
            else:
                deque(stream, maxlen=0)
        if self.print_on and not self.streaming_on:
            display.show_answer(self.agent_name, stream.text or stream.final)
        return self._output(stream)

    @overload
    async def arun(self, task: str | None = ..., *, output_type: type[T], **options: Unpack[_RunOptions]) -> T: ...
    @overload
    async def arun(self, task: str | None = ..., *, output_type: Any = ..., **options: Unpack[_RunOptions]) -> Any: ...
    async def arun(self, task: str | None = None, *, output_type: Any = None, **options: Unpack[_RunOptions]) -> Any:
        """Runs a task on the running event loop and returns what :meth:`run` returns.

        Arguments and errors are those of :meth:`run`. The answer is printed only at the end, also with
        ``streaming_on``.
        """
        stream = self.arun_stream(task, output_type=output_type, **options)
        async with stream:
            async for _token in stream:
                pass
        if self.print_on:
            display.show_answer(self.agent_name, stream.text or stream.final)
        return self._output(stream)

    def run_batched(self, tasks: Iterable[str]) -> list[Any]:
        """Runs tasks one after the other; returns what :meth:`run` returns for each. The first error ends it.

        The tasks are checked before the first of them runs; those of a generator are read before.

        Example:
            >>> agent.run_batched(["Greet me.", "Again."])
            ['Hello, world.', 'Hello, world.']
        """
        return [self.run(task) for task in check_tasks(tasks)]

    def map(
        self,
        tasks: Iterable[str | Mapping[str, Any]],
        *,
        concurrency: int = 32,
        rate: float | None = None,
        on_error: Literal["keep", "raise"] = "keep",
        ordered: bool = True,
        progress: bool = False,
        resume: str | Path | None = None,
        **options: Unpack[_RunOptions],
    ) -> Iterator[TaskResult]:
        """Runs many tasks at the same time, and yields what came of each.

        The tasks run on an event loop in a thread of its own, from the first result that is read until the last, or
        until the iterator is closed. At most ``concurrency`` run at a time, so there are never more connections.
        If the provider says that there are too many (429, 503, 529), fewer run, none begins for as long as it asks, and
        the task is begun again.

        Args:
            tasks: The tasks: strings, or dicts of the arguments of :meth:`run_stream`. A generator is read as needed.
            concurrency: How many run at a time.
            rate: How many may begin in a second; None for no limit.
            on_error: ``"keep"`` a task that failed as a result with an ``error``, or ``"raise"`` its error and end.
            ordered: Yield results in the order of the tasks, or else as they come.
            progress: Show a progress bar on standard error.
            resume: A file that gets each result as a line of JSON. Tasks that it has are not asked again.
            **options: The options of :meth:`run`, for all tasks.

        Yields:
            The results.

        Raises:
            ConfigurationError: An argument, the agent or a task cannot work.
            StreamError: With ``on_error="raise"``: a task failed. The tasks that still run are cancelled.

        Example:
            >>> [result.output for result in agent.map(["Greet me.", "Again."])]
            ['Hello, world.', 'Hello, world.']
        """
        from ._agent.batches import Batch, blocking, shown

        batch = Batch(
            self,
            concurrency=concurrency,
            rate=rate,
            on_error=on_error,
            ordered=ordered,
            resume=resume,
            options=options,
        )

        def results() -> Iterator[TaskResult]:
            with shown(batch, progress=progress) as update:
                for result in blocking(batch, tasks):
                    update()
                    yield result

        return results()

    def amap(
        self,
        tasks: Iterable[str | Mapping[str, Any]] | AsyncIterable[str | Mapping[str, Any]],
        *,
        concurrency: int = 32,
        rate: float | None = None,
        on_error: Literal["keep", "raise"] = "keep",
        ordered: bool = True,
        progress: bool = False,
        resume: str | Path | None = None,
        **options: Unpack[_RunOptions],
    ) -> AsyncIterator[TaskResult]:
        """The same as :meth:`map`, on the running event loop; the tasks may come from an async iterator."""
        from ._agent.batches import Batch, shown

        batch = Batch(
            self,
            concurrency=concurrency,
            rate=rate,
            on_error=on_error,
            ordered=ordered,
            resume=resume,
            options=options,
        )

        async def results() -> AsyncIterator[TaskResult]:
            with shown(batch, progress=progress) as update:
                async with aclosing(batch.results(tasks)) as found:
                    async for result in found:
                        update()
                        yield result

        return results()

    def run_concurrent(
        self, tasks: Iterable[str], *, max_workers: int = 8, on_error: Literal["keep", "raise"] = "raise"
    ) -> list[Any]:
        """Runs tasks at the same time; :meth:`map` does the same with more to say about each.

        Args:
            tasks: The tasks.
            max_workers: How many run at a time.
            on_error: ``"raise"`` the first error when all have ended, or ``"keep"`` it in the place of the answer.

        Returns:
            What :meth:`run` returns for each task, in the order of the tasks.

        Raises:
            StreamError: A run did not end complete. Its attribute ``results`` has the answers of the others, in order,
                and None for those that failed.
            ConfigurationError: A task or the agent is configured in a way that cannot work.
        """
        return _answers(list(self.map(check_tasks(tasks), concurrency=max_workers)), self.print_on, on_error)

    async def arun_concurrent(
        self, tasks: Iterable[str], *, max_workers: int = 32, on_error: Literal["keep", "raise"] = "raise"
    ) -> list[Any]:
        """Runs tasks at the same time on the running event loop; see :meth:`run_concurrent`.

        Raises:
            StreamError: A run did not end complete. The others are cancelled at once. Its attribute ``results`` has
                the answers that had come, in the order in which they came.
        """
        results: list[TaskResult] = []
        found = self.amap(check_tasks(tasks), concurrency=max_workers, on_error=on_error, ordered=False)
        try:
            async for result in found:
                results += [result]
        except Exception as error:
            error.results = [result.output for result in results]  # type: ignore[attr-defined]
            raise
        return _answers(sorted(results, key=lambda result: result.index), self.print_on, on_error)

    @overload
    def run_stream(
        self, task: str | None = ..., *, with_events: Literal[False] = ..., **options: Unpack[_StreamOptions]
    ) -> RunStream[str]: ...
    @overload
    def run_stream(
        self, task: str | None = ..., *, with_events: Literal[True], **options: Unpack[_StreamOptions]
    ) -> RunStream[Event]: ...
    @overload
    def run_stream(
        self, task: str | None = ..., *, with_events: bool, **options: Unpack[_StreamOptions]
    ) -> RunStream[str] | RunStream[Event]: ...
    def run_stream(
        self,
        task: str | None = None,
        *,
        img: str | None = None,
        imgs: Sequence[str] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        system_prompt: str | None = None,
        temperature: float | None = None,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        llm_args: Mapping[str, Any] | None = None,
        client_tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: object = None,
        output_type: Any = None,
        with_events: bool = False,
        reasoning: bool = False,
        streaming_callback: Callable[[Any], object] | None = None,
    ) -> RunStream[Any]:
        """Runs a task and streams its tokens.

        The first request is sent when the first token is read.

        Args:
            task: What the user wants. May be left out if there are ``messages``.
            img: An image for the task: a path, URL, data URI or base64 text.
            imgs: More images.
            messages: The conversation so far, in OpenAI's format: the user's words and images, answers, tool calls and
                results. The task is added to it; without a task, it ends with what is to be answered. System messages
                at its beginning are added to the system prompt. The agent's memory is neither read nor written.
            system_prompt: Used instead of the agent's; ``""`` for none.
            temperature: Used instead of the agent's.
            headers: HTTP headers for the requests of this run, besides the agent's.
            metadata: Your own notes about the run; ``stream.metadata`` has them. They are not sent anywhere.
            llm_args: More members of the requests' bodies, besides the agent's; one of the same name replaces the
                agent's.
            client_tools: Tools that you run yourself, as OpenAI schemas. A turn that calls one ends the run:
                ``stream.turns[-1].tool_calls`` has the calls. Go on with another run, whose ``messages`` have their
                results. Calls of the agent's own tools in the same turn are not run; the model makes them again.
            tool_choice: Used instead of the agent's.
            output_type: The type of the answer, used instead of the agent's; see :class:`Agent`.
            with_events: Yield events (``headrace.events``) instead of tokens.
            reasoning: Yield the model's reasoning too, as tokens among the others.
            streaming_callback: Used instead of the agent's own callback.

        Returns:
            An iterator of tokens (or events); the text of a refusal is yielded as tokens too. It has the properties
            ``text``, ``usage``, ``timing`` and ``state``, and can be closed.

        Raises:
            ConfigurationError: The task or the agent is configured in a way that cannot work.

        Example:
            >>> list(agent.run_stream("Greet me."))
            ['Hello', ', ', 'world.']
            >>> [event.type for event in agent.run_stream("Greet me.", with_events=True)]
            ['run_start', 'turn_start', 'token', 'token', 'token', 'turn_end', 'run_end']
            >>> history = [{"role": "user", "content": "I am Ann."}, {"role": "assistant", "content": "Hello, Ann."}]
            >>> "".join(agent.run_stream("Who am I?", messages=history, temperature=0.0))
            'Hello, world.'
        """
        given = RunInput(
            task,
            img,
            imgs,
            messages,
            system_prompt,
            temperature,
            headers,
            metadata,
            llm_args,
            client_tools,
            tool_choice,
            output_type,
        )
        return RunStream(self._run(given, with_events, reasoning, streaming_callback))

    @overload
    def arun_stream(
        self, task: str | None = ..., *, with_events: Literal[False] = ..., **options: Unpack[_StreamOptions]
    ) -> AsyncRunStream[str]: ...
    @overload
    def arun_stream(
        self, task: str | None = ..., *, with_events: Literal[True], **options: Unpack[_StreamOptions]
    ) -> AsyncRunStream[Event]: ...
    @overload
    def arun_stream(
        self, task: str | None = ..., *, with_events: bool, **options: Unpack[_StreamOptions]
    ) -> AsyncRunStream[str] | AsyncRunStream[Event]: ...
    def arun_stream(
        self,
        task: str | None = None,
        *,
        img: str | None = None,
        imgs: Sequence[str] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        system_prompt: str | None = None,
        temperature: float | None = None,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        llm_args: Mapping[str, Any] | None = None,
        client_tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: object = None,
        output_type: Any = None,
        with_events: bool = False,
        reasoning: bool = False,
        streaming_callback: Callable[[Any], object] | None = None,
    ) -> AsyncRunStream[Any]:
        """Runs a task and streams its tokens to ``async for``.

        Arguments and errors are those of :meth:`run_stream`; :class:`AsyncRunStream` has an example.
        """
        given = RunInput(
            task,
            img,
            imgs,
            messages,
            system_prompt,
            temperature,
            headers,
            metadata,
            llm_args,
            client_tools,
            tool_choice,
            output_type,
        )
        return AsyncRunStream(self._run(given, with_events, reasoning, streaming_callback))

    def __repr__(self) -> str:
        return f"Agent(agent_name={self.agent_name!r}, model_name={self.model_name!r}, max_loops={self.max_loops!r})"

    def _repr_html_(self) -> str:
        """What the agent is made of, for a notebook; without its key."""
        from .notebook import of_agent

        return of_agent(self)

    def __getstate__(self) -> dict[str, Any]:
        from ._agent.pickling import state_without_secrets

        return state_without_secrets(self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Agent:
        from ._agent.pickling import copied_state

        other = type(self).__new__(type(self))
        memo[id(self)] = other  # before its attributes: agents may hand over to each other in a circle
        other.__dict__.update(copied_state(self.__getstate__(), memo))
        return other

    def __copy__(self) -> Agent:
        # A plain copy shares all values with the agent, its key too.
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def _run(self, given: RunInput, events: bool, reasoning: bool, callback: Callable[[Any], object] | None) -> Run:
        inbox: list[str] = []
        prepared = self._prepared_now()
        task, loop, answer = given.loop(prepared.spec_with(inbox))
        checked_function("streaming_callback", callback)
        wanted = callback or self.streaming_callback
        view = View(
            events, reasoning, None if self.stream else wanted, wanted if self.stream else None, self.turn_separator
        )
        note = display.note if self.verbose else None
        metadata = checked_dict("metadata", given.metadata)
        return Run(self.agent_name, task, loop, view, inbox, note, prepared.limits, metadata, answer)

    def _prepared_now(self) -> Prepared:
        """What all runs have in common, for the attributes as they are now."""
        prepared = getattr(self, "_prepared", None)
        if prepared is None or not prepared.fits(self):
            prepared = self._prepared = Prepared(self)
        return prepared

    def _output(self, stream: RunStream[Any] | AsyncRunStream[Any]) -> Any:
        if stream.has_output:
            return stream.output
        return format_output(self.output_type, stream.messages, stream.final)


def _or_final(stream: RunStream[str]) -> Iterator[str]:
    """Yields the tokens. If there are none, yields the answer, which then came from a tool."""
    yield from stream
    if not stream.text:
        yield stream.final


def _answers(results: list[TaskResult], prints: bool, on_error: str) -> list[Any]:
    if on_error not in ("keep", "raise"):
        raise ConfigurationError(f"on_error must be 'keep' or 'raise', not {on_error!r}")
    for result in results:
        if prints and result.error is None:
            display.show_answer(f"task {result.index}", result.text or str(result.output))
    failed = next((result.error for result in results if result.error is not None), None)
    if failed is not None and on_error == "raise":
        failed.results = [result.output for result in results]  # type: ignore[attr-defined]
        raise failed
    return [result.output if result.error is None else result.error for result in results]
