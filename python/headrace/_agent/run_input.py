"""What one run is given besides the agent: its task, a conversation, and options that replace the agent's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.errors import ConfigurationError

from . import on_demand
from .arguments import check_type, checked_dict
from .config import check_images, check_task, checked_headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace._loop.effects import Loop
    from headrace._loop.spec import AgentSpec
    from headrace.types import ModelSettings, Outcome

__all__ = ["RunInput"]


class RunInput(NamedTuple):
    """The input of one run; ``Agent.run_stream`` documents its fields."""

    task: str | None
    img: str | None = None
    imgs: Sequence[str] | None = None
    messages: Sequence[Mapping[str, Any]] | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    headers: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None

    def loop(self, spec: AgentSpec) -> tuple[str, Loop[Outcome]]:
        """Checks the input, and makes the loop of a run.

        Args:
            spec: The agent.

        Returns:
            The task as text, and the loop.

        Raises:
            ConfigurationError: The input cannot work; the message says what to do.
        """
        if self.task is not None or self.messages is None:
            check_task(self.task)
        images = check_images(self.img, self.imgs)
        spec = self._changed(spec)
        if self.messages is None:
            task = self.task or ""
            return task, spec.loop(spec, [on_demand.opening(task, images)], None)
        system, history, opening = on_demand.given_conversation(self.messages)
        if self.task is not None:
            history, opening = (*history, *opening), (on_demand.opening(self.task, images),)
        elif images:
            raise ConfigurationError(
                "img and imgs belong to a task: without one, put images into the content of messages"
            )
        if not opening:
            raise ConfigurationError("messages has no message of the user, and there is no task: say what to do")
        spec = spec._replace(system_prompt=_joined(spec.system_prompt, system), memory=None)
        return self.task or on_demand.words_of(opening[0]), spec.loop(spec, opening, history)

    def _changed(self, spec: AgentSpec) -> AgentSpec:
        """The specification with the options of this run."""
        if self.system_prompt is not None:
            check_type("system_prompt", self.system_prompt, str, "a string")
            spec = spec._replace(system_prompt=self.system_prompt or None)
        if self.temperature is None and self.headers is None:
            return spec
        check_type("temperature", self.temperature, int | float, "a number")
        headers = checked_headers("headers", checked_dict("headers", self.headers))
        fallbacks = tuple(self._with_options(settings, headers) for settings in spec.retries.fallbacks)
        return spec._replace(
            settings=self._with_options(spec.settings, headers), retries=spec.retries._replace(fallbacks=fallbacks)
        )

    def _with_options(self, settings: ModelSettings, headers: Mapping[str, str]) -> ModelSettings:
        parameters = settings.parameters
        if self.temperature is not None:
            parameters = {**parameters, "temperature": self.temperature}
        return replace(settings, parameters=parameters, headers={**settings.headers, **headers})


def _joined(ours: str | None, given: str) -> str | None:
    """The system prompt of the agent, and that of the conversation."""
    return "\n\n".join(filter(None, (ours, given))) or None
