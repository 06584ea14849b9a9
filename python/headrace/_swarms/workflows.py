"""swarms' workflows: their arguments, their events as dicts and their return forms, on top of ours."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any, Final, cast

from headrace import agent as ours
from headrace import workflow
from headrace.errors import ConfigurationError
from headrace.events import AgentEnd, AgentStart, Token

from .conversation import Conversation, formatted
from .keywords import SwarmsCompatWarning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from headrace.events import Event

__all__ = ["AgentRearrange", "ConcurrentWorkflow", "SequentialWorkflow", "rearrange"]

_NO_EFFECT: Final = {
    "shared_memory_system": None,
    "memory_system": None,
    "multi_agent_collab_prompt": False,
    "team_awareness": False,
    "drift_detection": False,
    "drift_threshold": None,
    "auto_generate_prompts": False,
    "show_dashboard": False,
    "max_workers": None,
    "time_enabled": False,
    "message_id_on": False,
    "verbose": None,
    "id": None,
}
"""Options of swarms without effect here, and the values for which nobody is warned."""


class _Member(ours.Agent):
    """An agent in one run of a workflow: it gets the run's images, and remembers nothing."""

    images: tuple[str, ...] = ()

    def run_stream(self, task: str | None = None, **options: Any) -> Any:
        return cast("Any", ours.Agent.run_stream(self, task, imgs=self.images or None, **options))

    def arun_stream(self, task: str | None = None, **options: Any) -> Any:
        return cast("Any", ours.Agent.arun_stream(self, task, imgs=self.images or None, **options))


def _member(agent: Any, images: Sequence[str]) -> _Member:
    if not isinstance(agent, ours.Agent):
        if not callable(agent):
            raise ConfigurationError(f"agents must be agents or functions, not {type(agent).__name__}")
        name = getattr(agent, "__name__", None) or type(agent).__name__
        agent = ours.Agent(agent_name=name, llm=agent, print_on=False)
    member = _Member.__new__(_Member)
    member.__dict__.update(copy.copy(agent).__dict__)
    member.memory = None  # the prompt has all answers so far
    member.__dict__["images"] = tuple(images)
    return member


class _Workflow:
    """What all three have in common.

    Args:
        agents: The agents; functions of the task are agents, too.
        name: The name.
        description: What it is for.
        max_loops: How many times all agents run.
        output_type: What ``run`` returns; see :func:`~headrace.compat.swarms.history_output_formatter`.
        autosave: Save the conversation after each run, to ``NAME_conversation.json`` in the working directory. Off here
            unless it is asked for.
        on_error: ``"store"`` the error of an agent in the place of its answer, or ``"raise"`` it.
        options: swarms' other options, which have no effect.
    """

    output_type: str

    def __init__(
        self,
        agents: Iterable[Any] | None,
        name: str,
        description: str | None,
        max_loops: int,
        output_type: str,
        autosave: bool,
        on_error: str,
        options: dict[str, Any],
    ) -> None:
        self.agents: list[Any] = list(agents or ())
        self.name, self.description, self.max_loops = name, description, max_loops
        self.output_type, self.autosave, self.on_error = output_type, autosave, on_error
        self.conversation = Conversation(name=name)
        said = [name for name, value in options.items() if _NO_EFFECT.get(name, ...) != value and value is not None]
        if said:
            import warnings

            warnings.warn(f"without effect here: {', '.join(said)}", SwarmsCompatWarning, stacklevel=3)
        self._ours(())  # checks agents and flow at once

    def _ours(self, images: Sequence[str]) -> Any:
        raise NotImplementedError

    def add_agent(self, agent: Any) -> None:
        """Adds an agent."""
        self.agents.append(agent)

    def add_agents(self, agents: Iterable[Any]) -> None:
        """Adds agents."""
        self.agents.extend(agents)

    def remove_agent(self, agent_name: str) -> None:
        """Removes an agent."""
        self.agents = [agent for agent in self.agents if getattr(agent, "agent_name", None) != agent_name]

    # --- running ------------------------------------------------------------------------------------------------------

    def run(
        self,
        task: str,
        img: str | None = None,
        imgs: Sequence[str] | None = None,
        streaming_callback: Callable[[str, str, bool], object] | None = None,
        **others: Any,
    ) -> Any:
        """Runs a task, and returns the conversation in the form of ``output_type``.

        Args:
            task: What the user wants.
            img: An image for every agent.
            imgs: More images.
            streaming_callback: Called with an agent's name, a piece of its answer, and whether that was all; the last
                call for an agent has an empty piece.
            **others: Ignored, as in swarms.

        Raises:
            StreamError: An agent failed; with ``on_error="store"``, all of them did.
        """
        del others
        with self._stream(task, img, imgs) as stream:
            for event in stream:
                _tell(event, streaming_callback)
        return self._ended(task, stream)

    async def arun(self, task: str, img: str | None = None, imgs: Sequence[str] | None = None, **others: Any) -> Any:
        """The same as :meth:`run`, on the running event loop."""
        callback = others.get("streaming_callback")
        stream = self._ours(_images(img, imgs)).arun_stream(task, with_events=True)
        async with stream:
            async for event in stream:
                _tell(event, callback)
        return self._ended(task, stream)

    run_async = arun

    def __call__(self, task: str, **others: Any) -> Any:
        """The same as :meth:`run`."""
        return self.run(task, **others)

    def run_batched(self, tasks: Iterable[str]) -> list[Any]:
        """Runs tasks one after the other."""
        return [self.run(task) for task in tasks]

    def batch_run(
        self,
        tasks: Sequence[str],
        imgs: Sequence[str] | None = None,
        streaming_callback: Callable[[str, str, bool], object] | None = None,
        **others: Any,
    ) -> list[Any]:
        """Runs tasks one after the other, each with its image."""
        images = imgs or others.get("img") or [None] * len(tasks)
        pairs = zip(tasks, images, strict=False)
        return [self.run(task, img, streaming_callback=streaming_callback) for task, img in pairs]

    def run_concurrent(self, tasks: Sequence[str], **others: Any) -> list[Any]:
        """Runs tasks at the same time."""
        del others

        async def together() -> list[Any]:
            return await asyncio.gather(*(copy.copy(self).arun(task) for task in tasks))

        return asyncio.run(together())

    concurrent_run = run_concurrent

    def run_stream(self, task: str, img: str | None = None, with_events: bool = False, **others: Any) -> Iterator[Any]:
        """Runs a task, and yields tokens, or with ``with_events`` dicts: ``agent_start``, ``token``, ``agent_end``."""
        stream = self._stream(task, img, others.get("imgs"))
        with stream:
            for event in stream:
                yield from self._shown(event, with_events)
        self._ended(task, stream)

    async def arun_stream(
        self, task: str, img: str | None = None, with_events: bool = False, **others: Any
    ) -> AsyncIterator[Any]:
        """The same for ``async for``."""
        stream = self._ours(_images(img, others.get("imgs"))).arun_stream(task, with_events=True)
        async with stream:
            async for event in stream:
                for item in self._shown(event, with_events):
                    yield item
        self._ended(task, stream)

    # --- ours ---------------------------------------------------------------------------------------------------------

    def _stream(self, task: str, img: str | None, imgs: Sequence[str] | None) -> Any:
        return self._ours(_images(img, imgs)).run_stream(task, with_events=True)

    def _options(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "max_loops": self.max_loops,
            "on_error": "continue" if self.on_error == "store" else "cancel",
            "turn_separator": "\n",
        }

    def _shown(self, event: Event, with_events: bool) -> Iterator[Any]:
        match event:
            case Token(agent=agent, text=text):
                yield {"type": "token", "agent": agent, "token": text} if with_events else self._token(agent, text)
            case AgentStart(agent=agent) if with_events:
                yield {"type": "agent_start", "agent": agent}
            case AgentEnd(agent=agent, output=output) if with_events:
                yield {"type": "agent_end", "agent": agent, "output": output}
            case _:
                pass

    def _token(self, agent: str, text: str) -> Any:
        del agent
        return text

    def _ended(self, task: str, stream: Any) -> Any:
        self.conversation.add("User", task)
        for message in stream.messages[1:]:
            self.conversation.add(str(message["role"]), message["content"])
        for agent, error in getattr(stream, "errors", {}).items():
            self.conversation.add(agent, f"Error: {error}")
        if self.autosave:
            self.conversation.export_conversation(f"{self.name}_conversation.json")
        return formatted(self.conversation, self.output_type)


def _images(img: str | None, imgs: Sequence[str] | None) -> list[str]:
    return [*([img] if img is not None else []), *(imgs or ())]


def _tell(event: Event, callback: Callable[[str, str, bool], object] | None) -> None:
    if callback is None:
        return
    if isinstance(event, Token):
        callback(event.agent, event.text, False)
    elif isinstance(event, AgentEnd):
        callback(event.agent, "", True)


class SequentialWorkflow(_Workflow):
    """Runs agents one after the other; see swarms' ``SequentialWorkflow``. Tokens are strings."""

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - swarms' name
        name: str = "SequentialWorkflow",
        description: str | None = None,
        agents: Iterable[Any] | None = None,
        max_loops: int = 1,
        output_type: str = "dict",
        *,
        autosave: bool = False,
        on_error: str = "raise",
        **options: Any,
    ) -> None:
        self.id = id
        super().__init__(agents, name, description, max_loops, output_type, autosave, on_error, options)

    def _ours(self, images: Sequence[str]) -> workflow.SequentialWorkflow:
        members = [_member(agent, images) for agent in self.agents]
        return workflow.SequentialWorkflow(agents=members, **self._options())


class ConcurrentWorkflow(_Workflow):
    """Runs agents at the same time; see swarms' ``ConcurrentWorkflow``.

    Its default form, ``"dict-all-except-first"``, leaves out the first agent's answer, as in swarms: the conversation
    has no system prompt, and the form leaves out two messages.
    """

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - swarms' name
        name: str = "ConcurrentWorkflow",
        description: str | None = None,
        agents: Iterable[Any] | None = None,
        auto_save: bool = False,
        output_type: str = "dict-all-except-first",
        max_loops: int = 1,
        *,
        autosave: bool = False,
        on_error: str = "store",
        **options: Any,
    ) -> None:
        self.id = id
        saves = auto_save or autosave
        super().__init__(agents, name, description, max_loops, output_type, saves, on_error, options)

    def _ours(self, images: Sequence[str]) -> workflow.ConcurrentWorkflow:
        members = [_member(agent, images) for agent in self.agents]
        return workflow.ConcurrentWorkflow(agents=members, **self._options())


class AgentRearrange(_Workflow):
    """Runs agents in the order of a flow; see swarms' ``AgentRearrange``. ``run_stream`` yields (name, token)."""

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - swarms' name
        name: str = "AgentRearrange",
        description: str | None = None,
        agents: Iterable[Any] | None = None,
        flow: str | None = None,
        max_loops: int = 1,
        verbose: bool = True,
        memory_system: Any = None,
        output_type: str = "all",
        *,
        autosave: bool = False,
        on_error: str = "raise",
        **options: Any,
    ) -> None:
        del verbose
        self.id, self.flow = id, flow
        options = {**options, "memory_system": memory_system}
        super().__init__(agents, name, description, max_loops, output_type, autosave, on_error, options)

    def set_custom_flow(self, flow: str) -> None:
        """Replaces the flow."""
        self.flow = flow
        self._ours(())

    def _ours(self, images: Sequence[str]) -> workflow.AgentRearrange:
        members = [_member(agent, images) for agent in self.agents]
        return workflow.AgentRearrange(agents=members, flow=self.flow or "", **self._options())

    def _token(self, agent: str, text: str) -> tuple[str, str]:
        return (agent, text)


def rearrange(
    name: str | None = None,
    description: str | None = None,
    agents: Iterable[Any] | None = None,
    flow: str | None = None,
    task: str | None = None,
    img: str | None = None,
    **options: Any,
) -> Any:
    """Makes an :class:`AgentRearrange`, and runs a task."""
    made = AgentRearrange(name=name or "AgentRearrange", description=description, agents=agents, flow=flow, **options)
    return made.run(cast("str", task), img)
