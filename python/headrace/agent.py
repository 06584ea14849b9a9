"""The agent: a model, what it is told, what it may do, and how its answers are read."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal, overload

from ._agent import display, on_demand
from ._agent.config import check_agent, check_task, default_model, spec_of
from ._conversation.output import format_output
from ._run.read import View
from ._run.run import Run
from .streams import AsyncRunStream, RunStream
from .tools import Toolbox
from .types import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import TypedDict, Unpack

    from ._loop.spec import Stop, Transform
    from .events import Event

    class _RunOptions(TypedDict, total=False):
        """What ``run_stream`` and ``arun_stream`` take besides the task and ``with_events``."""

        img: str | None
        imgs: Sequence[str] | None
        reasoning: bool
        streaming_callback: Callable[[Any], object] | None


__all__ = ["Agent"]


class Agent:
    """A model with instructions and tools, whose answers stream token by token.

    An agent may serve any number of runs at once, from any number of threads and tasks: they share nothing but its
    configuration, which each run reads when it starts, and its memory, if it has one.

    Args:
        agent_name: Whose tokens they are, where several agents speak.
        agent_description: What the agent is for. Other agents read it; the model is not told.
        system_prompt: What the model is told before each task.
        model_name: ``"openai/NAME"``, ``"local/NAME"``, or any name with ``llm_base_url``. None: the environment's
            ``HEADRACE_MODEL``, else the local model, with a notice.
        max_loops: The most turns of one run, or ``"auto"``: plan, execute, sum up.
        tools: Functions that the model may call.
        tools_list_dictionary: Tools as raw OpenAI schemas, without a function.
        tool_choice: Which tool the model may or must use, as OpenAI writes it.
        parallel_tool_calls: Tools of one turn run at the same time.
        tool_timeout: Seconds that one tool call may take.
        tool_retry_attempts: How often a tool that raised is tried again.
        mcp_url: The URL of an MCP server (streamable HTTP) whose tools the model may call. Extra ``mcp``.
        mcp_urls: More of them.
        mcp_config: MCP servers as clients configure them: ``{"mcpServers": {name: {"command": …} | {"url": …}}}``.
        approve: Called with each tool call and its arguments; False or a reason refuses it. May be async.
        temperature: Sampling temperature; None for the provider's default.
        max_tokens: The most tokens of one answer; None for the provider's default.
        top_p: Nucleus sampling; None for the provider's default.
        reasoning_effort: How much a reasoning model is to reason: ``"low"``, ``"medium"``, ``"high"``.
        thinking_tokens: How many tokens a model may think, where it is told in tokens.
        llm: What answers in the model's place: a function or an object with a method ``run``, of the prompt or of the
            messages, that returns text or an iterable of text or of OpenAI's chunks; async ones too.
        llm_base_url: The URL of an OpenAI-compatible endpoint, without ``/chat/completions``. Where the model's name
            begins with a provider that speaks otherwise (``anthropic/…``, ``gemini/…``), the URL of such a one.
        llm_api_key: The key; None to look in the environment.
        llm_args: Further members of the request's body, such as ``{"seed": 1}``. ``extra_headers`` among them is a
            dict of headers to add instead. For models that litellm knows they are arguments of its ``completion``,
            such as ``api_version`` or ``aws_region_name``.
        prompt_caching: The provider is asked to cache what it was sent, where it wants to be asked (Anthropic).
        timeouts: How long to wait for what.
        retry_attempts: How often a turn that failed in a way that may pass is tried again, if none of it was seen.
        retry_interval: Seconds before the first of these; twice as long each time. The provider's wish goes first.
        retry_budget: Seconds that may pass from a turn's first request to its last; a wait that would exceed them is
            not begun. None for no limit, but for a provider that asks for more than ten minutes.
        fallback_models: Models to ask, in this order, where one cannot be reached or says no. Only before the first
            token of a turn.
        fallback_model_name: One more of them, the first.
        resume_on_error: A turn that fails in the midst of its answer, in a way that may pass, is asked anew. What was
            yielded of it stays: the answer begins again, and ``TurnStart.resumed`` says so.
        stopping_token: A turn whose text holds this is the last.
        stopping_func: A turn of whose text this is true is the last.
        stopping_condition: The same, by its other name.
        loop_interval: Seconds between two turns.
        handoffs: Agents that the model may hand a task to. They may hand it on, and back; 8 times in a row at most,
            after which the model is told to answer itself.
        selected_tools: Which of its own tools an autonomous run offers the model: ``"all"`` or names.
        max_plan_attempts: How many turns an autonomous run has to make a plan, before it goes on without.
        max_subtask_loops: How many turns one subtask of an autonomous run may take.
        persistent_memory: The conversation outlives the run and the process, under the agent's name.
        memory_path: Where; None for the user's data directory.
        context_length: How many tokens of conversation are sent at most; the oldest exchanges go first.
        transforms: Takes the place of that rule: makes the messages that are sent from those there are.
        output_type: The form in which ``run`` returns what was said.
        print_on: ``run`` shows the answer on standard output.
        verbose: Each run tells on standard error what it asks, and how each turn went.
        streaming_on: ``run`` shows the tokens as they come, and not the answer at its end.
        streaming_callback: Called with each token, before it is yielded. What it raises ends the run.
        stream: The callback gets a dict about each token instead.

    Raises:
        TypeError: A keyword is unknown; the message names the nearest known one.
        ConfigurationError: A value cannot work.
    """

    def __init__(
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
        parallel_tool_calls: bool = True,
        tool_timeout: float | None = None,
        tool_retry_attempts: int = 0,
        mcp_url: str | None = None,
        mcp_urls: Sequence[str] | None = None,
        mcp_config: Mapping[str, Any] | None = None,
        approve: Callable[..., Any] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        reasoning_effort: str | None = None,
        thinking_tokens: int | None = None,
        llm: Any = None,
        llm_base_url: str | None = None,
        llm_api_key: str | None = None,
        llm_args: Mapping[str, Any] | None = None,
        prompt_caching: bool = False,
        timeouts: Timeouts | None = None,
        retry_attempts: int = 0,
        retry_interval: float = 1.0,
        retry_budget: float | None = None,
        fallback_models: Sequence[str] = (),
        fallback_model_name: str | None = None,
        resume_on_error: bool = False,
        stopping_token: str | None = None,
        stopping_func: Stop | None = None,
        stopping_condition: Stop | None = None,
        loop_interval: float = 0.0,
        handoffs: Iterable[Agent] = (),
        selected_tools: str | Iterable[str] = "all",
        max_plan_attempts: int = 3,
        max_subtask_loops: int = 20,
        persistent_memory: bool = False,
        memory_path: str | Path | None = None,
        context_length: int | None = None,
        transforms: Transform | None = None,
        output_type: str = "final",
        print_on: bool = True,
        verbose: bool = False,
        streaming_on: bool = False,
        streaming_callback: Callable[[Any], object] | None = None,
        stream: bool = False,
        **unknown: object,
    ) -> None:
        if unknown:
            on_demand.refuse_keywords(Agent, unknown)
        self.agent_name = agent_name
        self.agent_description = agent_description
        self.system_prompt = system_prompt
        self.model_name = model_name or ("llm" if llm is not None else default_model())
        self.llm = llm
        self.max_loops = max_loops
        self.tool_choice = tool_choice
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.top_p = top_p
        self.reasoning_effort = reasoning_effort
        self.thinking_tokens = thinking_tokens
        self.llm_base_url = llm_base_url
        self.llm_api_key = llm_api_key
        self.llm_args = dict(llm_args or {})
        self.prompt_caching = prompt_caching
        self.timeouts = timeouts or Timeouts()
        self.retry_attempts = retry_attempts
        self.retry_interval = retry_interval
        self.retry_budget = retry_budget
        # A name alone is refused when a run starts, rather than taken for a list of letters.
        self.fallback_models = fallback_models if isinstance(fallback_models, str) else tuple(fallback_models)
        self.fallback_model_name = fallback_model_name
        self.resume_on_error = resume_on_error
        self.stopping_token = stopping_token
        self.stopping_func = stopping_func
        self.stopping_condition = stopping_condition
        self.loop_interval = loop_interval
        self.handoffs = tuple(handoffs)
        self.selected_tools = selected_tools
        self.max_plan_attempts = max_plan_attempts
        self.max_subtask_loops = max_subtask_loops
        self.context_length = context_length
        self.transforms = transforms
        self.output_type = output_type
        self.print_on = print_on
        self.verbose = verbose
        self.streaming_on = streaming_on
        self.streaming_callback = streaming_callback
        self.stream = stream
        self.toolbox = Toolbox(
            tools or (),
            raw_schemas=tools_list_dictionary or (),
            parallel=parallel_tool_calls,
            timeout=tool_timeout,
            retry_attempts=tool_retry_attempts,
            approve=approve,
        )
        self.mcp = on_demand.servers(mcp_url, mcp_urls, mcp_config)
        self.memory = on_demand.memory(agent_name, memory_path) if persistent_memory else None
        check_agent(self)

    def run(
        self,
        task: str,
        *,
        img: str | None = None,
        imgs: Sequence[str] | None = None,
        streaming_callback: Callable[[Any], object] | None = None,
    ) -> Any:
        """Runs a task and waits for the answer.

        Args:
            task: What the user wants.
            img: An image that belongs to it: a path, URL, data URI or base64 text.
            imgs: More of them.
            streaming_callback: Takes the place of the agent's.

        Returns:
            The answer, or what was said in the form that ``output_type`` names. The answer is the last text of the
            model, or its refusal, or the answer of the agent that the last turn handed the task to; where there is
            none of these, what the last tools returned.

        Raises:
            StreamError: The run did not end complete.
            ConfigurationError: The task or the agent's configuration cannot work.
        """
        stream = self.run_stream(task, img=img, imgs=imgs, streaming_callback=streaming_callback)
        with stream:
            if self.print_on and self.streaming_on:
                display.show_live(self.agent_name, _or_final(stream))
            else:
                deque(stream, maxlen=0)
        if self.print_on and not self.streaming_on:
            display.show_answer(self.agent_name, stream.text or stream.final)
        return self._output(stream)

    async def arun(
        self,
        task: str,
        *,
        img: str | None = None,
        imgs: Sequence[str] | None = None,
        streaming_callback: Callable[[Any], object] | None = None,
    ) -> Any:
        """Runs a task and awaits the answer; see :meth:`run`. Shows it only at its end."""
        stream = self.arun_stream(task, img=img, imgs=imgs, streaming_callback=streaming_callback)
        async with stream:
            async for _token in stream:
                pass
        if self.print_on:
            display.show_answer(self.agent_name, stream.text or stream.final)
        return self._output(stream)

    def run_batched(self, tasks: Iterable[str]) -> list[Any]:
        """Runs tasks one after the other, and returns their answers."""
        return [self.run(task) for task in tasks]

    def run_concurrent(self, tasks: Iterable[str], *, max_workers: int = 8) -> list[Any]:
        """Runs tasks at the same time, and returns their answers in the tasks' order."""
        import contextvars
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers) as pool:
            # The tools of each run see the caller's context variables.
            running = [pool.submit(contextvars.copy_context().run, self.run, task) for task in tasks]
            return [future.result() for future in running]

    async def arun_concurrent(self, tasks: Iterable[str]) -> list[Any]:
        """Runs tasks at the same time on the running event loop; their answers in the tasks' order.

        The first error cancels the others.
        """
        import asyncio

        running = [asyncio.ensure_future(self.arun(task)) for task in tasks]
        try:
            return list(await asyncio.gather(*running))
        finally:
            for run in running:
                run.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    @overload
    def run_stream(
        self, task: str, *, with_events: Literal[False] = ..., **options: Unpack[_RunOptions]
    ) -> RunStream[str]: ...
    @overload
    def run_stream(
        self, task: str, *, with_events: Literal[True], **options: Unpack[_RunOptions]
    ) -> RunStream[Event]: ...
    @overload
    def run_stream(
        self, task: str, *, with_events: bool, **options: Unpack[_RunOptions]
    ) -> RunStream[str] | RunStream[Event]: ...
    def run_stream(
        self,
        task: str,
        *,
        img: str | None = None,
        imgs: Sequence[str] | None = None,
        with_events: bool = False,
        reasoning: bool = False,
        streaming_callback: Callable[[Any], object] | None = None,
    ) -> RunStream[Any]:
        """Runs a task and streams its tokens.

        Args:
            task: What the user wants.
            img: An image that belongs to it: a path, URL, data URI or base64 text.
            imgs: More of them.
            with_events: Yields everything that happens, as ``headrace.events``.
            reasoning: Yields the model's reasoning too, among the text.
            streaming_callback: Takes the place of the agent's.

        Returns:
            An iterator of tokens, those of a refusal among them, that also tells ``text``, ``usage``, ``timing`` and
            ``state``, and can be closed.

        Raises:
            ConfigurationError: The task or the agent's configuration cannot work.
        """
        return RunStream(self._run(task, img, imgs, with_events, reasoning, streaming_callback))

    @overload
    def arun_stream(
        self, task: str, *, with_events: Literal[False] = ..., **options: Unpack[_RunOptions]
    ) -> AsyncRunStream[str]: ...
    @overload
    def arun_stream(
        self, task: str, *, with_events: Literal[True], **options: Unpack[_RunOptions]
    ) -> AsyncRunStream[Event]: ...
    @overload
    def arun_stream(
        self, task: str, *, with_events: bool, **options: Unpack[_RunOptions]
    ) -> AsyncRunStream[str] | AsyncRunStream[Event]: ...
    def arun_stream(
        self,
        task: str,
        *,
        img: str | None = None,
        imgs: Sequence[str] | None = None,
        with_events: bool = False,
        reasoning: bool = False,
        streaming_callback: Callable[[Any], object] | None = None,
    ) -> AsyncRunStream[Any]:
        """Runs a task and streams its tokens to ``async for``; see :meth:`run_stream`."""
        return AsyncRunStream(self._run(task, img, imgs, with_events, reasoning, streaming_callback))

    def __repr__(self) -> str:
        return f"Agent(agent_name={self.agent_name!r}, model_name={self.model_name!r}, max_loops={self.max_loops!r})"

    def _run(
        self,
        task: str,
        img: str | None,
        imgs: Sequence[str] | None,
        events: bool,
        reasoning: bool,
        callback: Callable[[Any], object] | None,
    ) -> Run:
        check_task(task)
        inbox: list[str] = []
        spec = spec_of(self, inbox)
        images = [*([img] if img is not None else []), *(imgs or ())]
        loop = spec.loop(spec, [on_demand.opening(task, images)])
        wanted = callback or self.streaming_callback
        view = View(events, reasoning, None if self.stream else wanted, wanted if self.stream else None)
        return Run(self.agent_name, task, loop, view, inbox, display.note if self.verbose else None)

    def _output(self, stream: RunStream[Any] | AsyncRunStream[Any]) -> Any:
        return format_output(self.output_type, stream.messages, stream.final)


def _or_final(stream: RunStream[str]) -> Iterator[str]:
    """The tokens; where there are none, the answer, which then came from a tool."""
    yield from stream
    if not stream.text:
        yield stream.final
