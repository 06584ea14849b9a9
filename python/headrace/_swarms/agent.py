"""swarms' ``Agent``: its keywords, its defaults, its methods and its return forms, on top of ours."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from headrace import agent as ours
from headrace.errors import ConfigurationError

from .conversation import FORMS, Conversation, formatted
from .files import FILE_TOOLS, file_tools
from .keywords import ALIASES, KEYWORDS, warn_without_effect
from .memory import ShortMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from headrace.memory import Memory
    from headrace.streams import AsyncRunStream, RunStream

__all__ = ["Agent"]

_PASSED: Final = frozenset(
    {
        *("agent_description", "system_prompt", "llm", "max_loops", "stopping_condition", "loop_interval"),
        *("retry_attempts", "retry_interval", "stopping_token", "tools", "context_length", "transforms"),
        *("fallback_model_name", "fallback_models", "stream", "streaming_callback", "verbose", "stopping_func"),
        *("max_tokens", "temperature", "model_name", "llm_args", "prompt_caching", "tools_list_dictionary"),
        *("top_p", "llm_base_url", "llm_api_key", "tool_retry_attempts", "reasoning_effort", "thinking_tokens"),
        *("handoffs", "persistent_memory"),
    }
)
"""Options that go to our agent as they are."""

_EXTRAS: Final = frozenset({"workspace_dir"})
"""Options that swarms reads from the environment or from nowhere."""

_ATTRIBUTES: Final = ("tags", "role", "capabilities", "use_cases")
_OF_FILES: Final = frozenset(FILE_TOOLS)


class Agent(ours.Agent):
    """swarms' ``Agent``, whose tokens stream.

    It takes every keyword of swarms; ``docs/from-swarms.md`` says what becomes of each. Those without an effect are
    named in one warning. The keywords of :class:`headrace.Agent` are taken, too.

    Args:
        **options: The keywords.

    Attributes:
        short_memory: The conversation so far: the system prompt, and all runs.
        name: The agent's name.

    Example:
        >>> from headrace.compat.swarms import Agent
        >>> options = {"model_name": "openai/sim", "llm_base_url": simulator.base_url, "print_on": False}
        >>> agent = Agent(agent_name="Greeter", **options)
        >>> agent.run("Greet me.")
        'Hello, world.'
        >>> agent.short_memory.return_messages_as_list()[1:]
        ['Human: Greet me.', 'Greeter: Hello, world.']
    """

    def __init__(self, **options: Any) -> None:
        given = {ALIASES.get(name, name): value for name, value in options.items()}
        own = _own_options()
        warn_without_effect(
            {name: value for name, value in given.items() if not _works(name) and name not in own | _EXTRAS}
        )
        self._output_form = given.get("output_type") or "str-all-except-first"
        if self._output_form not in FORMS:
            raise ConfigurationError(f"there is no output_type {self._output_form!r}; known: {', '.join(FORMS)}")
        self._cleaner: Callable[[Any], Any] | None = given.get("output_cleaner")
        self._settings = {name: value for name, value in given.items() if name not in ("llm_api_key", "mcp_api_key")}
        translated = _translated(given)
        passed = {
            name: value
            for name, value in given.items()
            if value is not None and (name in _PASSED or (name in own and name not in KEYWORDS))
        }
        super().__init__(**{**_DEFAULTS, **translated, **passed})
        self.id = given.get("id") or f"agent-{uuid.uuid4().hex}"
        self.user_name: str = given.get("user_name") or "Human"
        for name in _ATTRIBUTES:
            setattr(self, name, given.get(name))
        self.print_on = given.get("print_on", True) is not False
        self.streaming_on = bool(given.get("streaming_on"))
        self.tools: list[Any] = list(given.get("tools") or ())
        self.tools_list_dictionary = given.get("tools_list_dictionary")
        self._kept: Memory | None = self.memory
        self.short_memory = self._new_conversation()
        if given.get("load_state_path"):
            self.load(given["load_state_path"])

    # --- running ------------------------------------------------------------------------------------------------------

    def run(
        self,
        task: Any = None,
        img: str | None = None,
        imgs: Sequence[str] | None = None,
        correct_answer: str | None = None,
        streaming_callback: Callable[[Any], object] | None = None,
        n: int = 1,
        **others: Any,
    ) -> Any:
        """Runs a task, and returns the conversation in the form of ``output_type``. A second run knows the first.

        Args:
            task: What the user wants; what is no string is sent as JSON.
            img: An image.
            imgs: Images that are asked about one by one; the results are a list.
            correct_answer: Run again, at most ten times, until the answer contains this.
            streaming_callback: Called with each token.
            n: How many times; more than one gives a list.
            **others: Ignored, as in swarms.

        Returns:
            The conversation.

        Raises:
            StreamError: The run did not end complete.
        """
        del others
        options = {"streaming_callback": streaming_callback}
        if imgs is not None:
            return [self._run_once(task, {**options, "img": each}) for each in imgs]
        if n > 1:
            return [self._run_once(task, {**options, "img": img}) for _ in range(n)]
        result = self._run_once(task, {**options, "img": img})
        for _ in range(10 if correct_answer is not None else 0):
            if str(correct_answer) in str(result):
                break
            result = self._run_once(task, {**options, "img": img})
        return result

    def _run_once(self, task: Any, options: dict[str, Any]) -> Any:
        stream = cast("RunStream[str]", ours.Agent.run_stream(self, _as_text(task), **options))
        with stream:
            if self.print_on and self.streaming_on:
                for token in stream:
                    print(token, end="", flush=True)
                print()
            else:
                for _token in stream:
                    pass
        if self.print_on and not self.streaming_on:
            print(stream.text or stream.final)
        return self._formatted(stream)

    async def arun(self, task: Any = None, img: str | None = None, **others: Any) -> Any:
        """The same as :meth:`run`, on the running event loop."""
        stream = ours.Agent.arun_stream(
            self, _as_text(task), img=img, streaming_callback=others.get("streaming_callback")
        )
        async with stream:
            async for _token in stream:
                pass
        return self._formatted(stream)

    def run_stream(self, task: Any = None, img: str | None = None, **others: Any) -> RunStream[str]:  # type: ignore[override]
        """Runs a task, and yields its tokens."""
        return cast("RunStream[str]", ours.Agent.run_stream(self, _as_text(task), img=img, **_known(others)))

    def arun_stream(self, task: Any = None, img: str | None = None, **others: Any) -> AsyncRunStream[str]:  # type: ignore[override]
        """Runs a task, and yields its tokens to ``async for``."""
        return cast("AsyncRunStream[str]", ours.Agent.arun_stream(self, _as_text(task), img=img, **_known(others)))

    def __call__(self, task: Any = None, img: str | None = None, **others: Any) -> Any:
        """The same as :meth:`run`."""
        return self.run(task, img, **others)

    def run_batched(self, tasks: Iterable[Any], imgs: Iterable[str] | None = None, **others: Any) -> list[Any]:
        """Runs tasks one after the other."""
        pairs = ((task, None) for task in tasks) if imgs is None else zip(tasks, imgs, strict=False)
        return [self.run(task, img, **others) for task, img in pairs]

    def bulk_run(self, inputs: Iterable[dict[str, Any]]) -> list[Any]:
        """Runs :meth:`run` with each dict of arguments."""
        return [self.run(**each) for each in inputs]

    async def run_concurrent(self, task: Any, **others: Any) -> Any:  # type: ignore[override]
        """Runs one task without blocking the event loop."""
        return await self.arun(task, **others)

    def run_concurrent_tasks(self, tasks: Sequence[Any], **others: Any) -> list[Any]:
        """Runs tasks at the same time. Each knows the runs before, but not the others."""
        del others

        async def together() -> list[Any]:
            return await asyncio.gather(*(self.arun(task) for task in tasks))

        return asyncio.run(together())

    def receive_message(self, agent_name: str, task: str, **others: Any) -> Any:
        """Runs a message of another agent."""
        return self.run(f"The agent {agent_name!r} sent you this message:\n\n{task}\n\nAnswer it.", **others)

    receieve_message = receive_message  # swarms writes it so, too

    def send_agent_message(self, agent_name: str, message: str, **others: Any) -> Any:
        """Runs a message to another agent."""
        return self.run(f"To {agent_name}: {message}", **others)

    def talk_to(self, agent: Any, task: str, img: str | None = None, **others: Any) -> Any:
        """Runs a task, and gives the result to another agent."""
        output = self.run(f"{self.agent_name}: {task}", img, **others)
        return agent.run(task=f"From {self.agent_name}: {output}", img=img, **others)

    def talk_to_multiple_agents(self, agents: Sequence[Any], task: str, **others: Any) -> list[Any]:
        """The same with several agents."""
        return [self.talk_to(agent, task, **others) for agent in agents]

    # --- memory and settings ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.agent_name

    @name.setter
    def name(self, name: str) -> None:
        self.agent_name = name

    def add_memory(self, message: str) -> dict[str, Any]:
        """Adds words of the agent to the conversation."""
        return self.short_memory.add(self.agent_name, message)

    def reset(self) -> None:
        """Forgets all runs."""
        self.short_memory = self._new_conversation()

    def update_system_prompt(self, system_prompt: str) -> None:
        """Replaces the system prompt."""
        self.system_prompt = system_prompt
        self.short_memory.conversation_history[0]["content"] = system_prompt

    set_system_prompt = update_system_prompt

    def update_max_loops(self, max_loops: Any) -> None:
        """Replaces ``max_loops``."""
        self.max_loops = max_loops

    def update_loop_interval(self, loop_interval: float) -> None:
        """Replaces ``loop_interval``."""
        self.loop_interval = loop_interval

    def update_retry_attempts(self, retry_attempts: int) -> None:
        """Replaces ``retry_attempts``."""
        self.retry_attempts = retry_attempts

    def update_retry_interval(self, retry_interval: float) -> None:
        """Replaces ``retry_interval``."""
        self.retry_interval = retry_interval

    def add_tool(self, tool: Callable[..., Any]) -> None:
        """Adds a tool."""
        self.add_tools([tool])

    def add_tools(self, tools: Iterable[Callable[..., Any]]) -> None:
        """Adds tools."""
        self._set_tools([*self.tools, *tools])

    def remove_tool(self, tool: Callable[..., Any]) -> None:
        """Removes a tool."""
        self.remove_tools([tool])

    def remove_tools(self, tools: Iterable[Callable[..., Any]]) -> None:
        """Removes tools."""
        gone = list(tools)
        self._set_tools([tool for tool in self.tools if tool not in gone])

    def get_agent_role(self) -> Any:
        """The agent's role."""
        return vars(self)["role"]

    def list_output_types(self) -> list[str]:
        """The values of ``output_type``."""
        return list(FORMS)

    def to_dict(self) -> dict[str, Any]:
        """The agent's settings and its conversation, as plain values; without its key."""
        settings: dict[str, Any] = json.loads(json.dumps(self._settings, default=_name_of))
        return {
            **settings,
            "id": self.id,
            "agent_name": self.agent_name,
            "agent_description": self.agent_description,
            "system_prompt": self.system_prompt,
            "model_name": self.model_name,
            "max_loops": self.max_loops,
            "short_memory": self.short_memory.to_dict(),
        }

    def to_json(self, indent: int = 4) -> str:
        """:meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, default=str)

    model_dump_json = to_json

    def save(self, file_path: str | None = None) -> None:
        """Saves the settings that are plain values, and the conversation, as JSON; not the key."""
        Path(file_path or f"{self.agent_name}_state.json").write_text(self.to_json(), encoding="utf-8")

    def load(self, file_path: str | None = None) -> None:
        """Reads what :meth:`save` wrote: prompt, model, loops and conversation.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        path = Path(file_path or f"{self.agent_name}_state.json")
        try:
            state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be loaded: {error}") from None
        for name in ("agent_name", "agent_description", "system_prompt", "model_name", "max_loops"):
            if name in state:
                setattr(self, name, state[name])
        self.short_memory = self._new_conversation()
        self.short_memory.batch_add(state.get("short_memory", [])[1:])

    # --- ours ---------------------------------------------------------------------------------------------------------

    def _new_conversation(self) -> Conversation:
        # swarms' forms leave out the first two messages: the system prompt, also if it is empty, and the task.
        conversation = Conversation(system_prompt=self.system_prompt or "", user=self.user_name)
        self.memory = cast("Any", ShortMemory(conversation, self.agent_name, self.user_name, self._kept))
        return conversation

    def _set_tools(self, tools: list[Any]) -> None:
        from headrace.tools import Toolbox

        self.tools = tools
        box = self.toolbox
        self.toolbox = Toolbox(
            tools, raw_schemas=self.tools_list_dictionary or (), approve=getattr(box, "approve", None)
        )

    def _formatted(self, stream: Any) -> Any:
        final: Any = stream.final
        calls = stream.turns[-1].tool_calls if stream.turns else ()
        if calls and final.startswith("[") and self.tools_list_dictionary:
            final = json.loads(final)
        last = self.short_memory.conversation_history[-1:]
        if final and (not last or last[0]["content"] != final):
            # The answer of another agent, of a plan's summary, or calls that the caller runs itself.
            self.short_memory.add(self.agent_name, final)
        result = formatted(self.short_memory, self._output_form)
        return result if self._cleaner is None else self._cleaner(result)


_DEFAULTS: Final[dict[str, Any]] = {
    "agent_name": "swarm-worker-01",
    "turn_separator": "\n",
    "retry_attempts": 3,
    "print_on": False,
}


def _own_options() -> frozenset[str]:
    code = ours.Agent.__init__.__code__
    return frozenset(code.co_varnames[1 : 1 + code.co_kwonlyargcount])


def _works(name: str) -> bool:
    return name in KEYWORDS and KEYWORDS[name].works


def _translated(given: dict[str, Any]) -> dict[str, Any]:
    """Options whose form is another one here."""
    prompts = [given.get("system_prompt"), given.get("rules"), given.get("sop"), *(given.get("sop_list") or ())]
    options: dict[str, Any] = {"agent_name": given.get("agent_name") or _DEFAULTS["agent_name"]}
    if any(prompts[1:]):
        options["system_prompt"] = "\n\n".join(str(prompt) for prompt in prompts if prompt)
        given["system_prompt"] = None
    if given.get("dynamic_loops"):
        options["max_loops"], given["max_loops"] = "auto", None
    if given.get("preset_stopping_token"):
        options["stopping_token"] = "<DONE>"  # noqa: S105 - no password
    if given.get("reasoning_enabled") and not given.get("reasoning_effort"):
        options["reasoning_effort"] = "medium"
    return {**options, **_mcp(given), **_selected(given)}


def _selected(given: dict[str, Any]) -> dict[str, Any]:
    """The tools of autonomous runs: those for files and the shell only if they are named."""
    selected = given.get("selected_tools")
    if selected is None or selected == "all":
        return {}
    names = [selected] if isinstance(selected, str) else list(selected)
    named = [name for name in names if name in _OF_FILES]
    folder = Path(given.get("workspace_dir") or Path("agent_workspace") / (given.get("agent_name") or "agent"))
    if named:
        given["tools"] = [*(given.get("tools") or ()), *file_tools(named, folder)]
    return {"selected_tools": [name for name in names if name not in _OF_FILES]}


def _mcp(given: dict[str, Any]) -> dict[str, Any]:
    token = given.get("mcp_authorization_token") or given.get("mcp_api_key")
    headers: dict[str, str] = {
        **(given.get("mcp_headers") or {}),
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }
    urls = [url for url in (given.get("mcp_url"), *(given.get("mcp_urls") or ())) if url]
    servers: dict[str, Any] = {}
    for number, url in enumerate(urls, start=1):
        servers[f"server{number}"] = {"url": url, **({"headers": headers} if headers else {})}
    for config in (given.get("mcp_config"), *(given.get("mcp_configs") or ())):
        plain = _plain_config(config)
        if plain:
            servers.update(plain.get("mcpServers") or {f"server{len(servers) + 1}": plain})
    timeout = {"mcp_connect_timeout": given["mcp_timeout"]} if given.get("mcp_timeout") else {}
    return {"mcp_config": {"mcpServers": servers}, **timeout} if servers else {}


def _plain_config(config: Any) -> dict[str, Any]:
    if config is None:
        return {}
    if isinstance(config, dict):
        return dict(cast("dict[str, Any]", config))
    dumped: Any = getattr(config, "model_dump", None)  # swarms' own classes are pydantic models
    values = cast("dict[str, Any]", dumped() if dumped else vars(config))
    return {name: value for name, value in values.items() if value is not None}


def _as_text(task: Any) -> Any:
    return task if task is None or isinstance(task, str) else json.dumps(task, ensure_ascii=False, default=str)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments that our ``run_stream`` has; swarms ignores others."""
    names = ("streaming_callback", "imgs", "messages", "with_events", "reasoning", "system_prompt", "temperature")
    return {name: options[name] for name in names if name in options}


def _name_of(value: Any) -> str:
    return getattr(value, "__name__", None) or f"<{type(value).__name__}>"
