"""The two ways of sending a load: natively to a model's endpoint, and from Python to an agent of this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from headrace.agent import Agent
from headrace.errors import ConfigurationError

from .agents import send_runs
from .loads import send
from .prompts import PROMPTS, task_of
from .targets import Target, prepared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace import _native
    from headrace._providers.requests import PreparedRequest

    from .agents import Runner
    from .loads import Load, Measured, Progress
    from .prompts import Prompt

__all__ = ["Sender", "sender_for"]


class Sender(Protocol):
    """Sends loads to a target."""

    @property
    def target(self) -> str:
        """Who is asked, for people."""
        ...

    @property
    def model(self) -> str:
        """The model, or what kind of agent."""
        ...

    def send(
        self,
        load: Load,
        *,
        stamped: bool = False,
        progress: Progress | None = None,
        keep_interrupted: bool = False,
    ) -> Measured:
        """Sends a load; see :func:`headrace._bench.loads.send`."""
        ...

    def asking(self, prompts: Sequence[Prompt]) -> Sender:
        """The same sender with other prompts."""
        ...

    def towards(self, url: str) -> Sender:
        """A sender of the same kind, that asks the truth server at a URL."""
        ...


@dataclass(frozen=True, slots=True)
class _ToModel:
    asked: Target
    target: str
    model: str
    requests: Sequence[PreparedRequest] = field(repr=False)
    options: _native.StreamOptions = field(repr=False)

    def send(
        self,
        load: Load,
        *,
        stamped: bool = False,
        progress: Progress | None = None,
        keep_interrupted: bool = False,
    ) -> Measured:
        return send(
            load,
            self.requests,
            self.options,
            stamped=stamped,
            progress=progress,
            keep_interrupted=keep_interrupted,
        )

    def asking(self, prompts: Sequence[Prompt]) -> _ToModel:
        return _to_model(self.asked, prompts)

    def towards(self, url: str) -> _ToModel:
        # In the same protocol, and as often with a new connection.
        api = self.asked.api if self.asked.is_url else "chat"
        return _to_model(Target(url, model="truth", api=api, connections=self.asked.connections), PROMPTS[:1])


@dataclass(frozen=True, slots=True)
class _ToAgent:
    runner: Runner
    target: str
    model: str
    tasks: Sequence[str] = field(repr=False)

    def send(
        self,
        load: Load,
        *,
        stamped: bool = False,
        progress: Progress | None = None,
        keep_interrupted: bool = False,
    ) -> Measured:
        return send_runs(
            load, self.runner, self.tasks, stamped=stamped, progress=progress, keep_interrupted=keep_interrupted
        )

    def asking(self, prompts: Sequence[Prompt]) -> _ToAgent:
        return _to_agent(self.runner, self.target, prompts)

    def towards(self, url: str) -> _ToAgent:
        truth = Agent(model_name="openai/truth", llm_base_url=url, print_on=False)
        return _to_agent(truth, "truth", PROMPTS[:1])


def sender_for(target: Target | Runner, name: str, prompts: Sequence[Prompt]) -> Sender:
    """The sender for a target.

    Args:
        target: An endpoint or a model, or else an agent or a workflow.
        name: What it is called, for people.
        prompts: What to ask.

    Raises:
        ConfigurationError: The target cannot be asked.
        MissingKeyError: The provider needs a key, and there is none.
    """
    if isinstance(target, Target):
        return _to_model(target, prompts)
    if not hasattr(target, "arun_stream"):
        raise ConfigurationError(f"{name!r} is no agent and no workflow, but of type {type(target).__name__}")
    return _to_agent(target, name, prompts)


def _to_model(target: Target, prompts: Sequence[Prompt]) -> _ToModel:
    requests, options, model = prepared(target, prompts)
    return _ToModel(target, target.name, model, requests, options)


def _to_agent(runner: Runner, name: str, prompts: Sequence[Prompt]) -> _ToAgent:
    given: Any = runner
    kind = getattr(given, "model_name", None) or type(given).__name__
    return _ToAgent(runner, name, str(kind), [task_of(prompt) for prompt in prompts])
