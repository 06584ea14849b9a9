"""What one run is given besides the agent: its task, a conversation, and options that replace the agent's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from headrace._loop.client_tools import offered
from headrace.errors import ConfigurationError

from . import on_demand
from .arguments import check_type, checked_dict
from .config import check_images, check_task, checked_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._loop.effects import Loop
    from headrace._loop.spec import AgentSpec, RunLoop
    from headrace._tools.structured import Structured
    from headrace.types import ModelSettings, Outcome

__all__ = ["RunInput"]

_SAME: Final = (("max_tokens", "max_completion_tokens"), ("reasoning_effort", "thinking"))
"""Parameters that say the same: one of a run replaces those of the agent."""


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
    llm_args: Mapping[str, Any] | None = None
    client_tools: Sequence[Mapping[str, Any]] | None = None
    tool_choice: object = None
    output_type: Any = None

    def loop(self, spec: AgentSpec) -> tuple[str, Loop[Outcome], Structured | None]:
        """Checks the input, and makes the loop of a run.

        Args:
            spec: The agent.

        Returns:
            The task as text, the loop, and the type of its answer.

        Raises:
            ConfigurationError: The input cannot work; the message says what to do.
        """
        if self.task is not None or self.messages is None:
            check_task(self.task)
        images = check_images(self.img, self.imgs)
        spec = self._changed(spec)
        if self.messages is None:
            task = self.task or ""
            return task, _loop_of(spec)(spec, [on_demand.opening(task, images)], None), spec.answer
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
        return self.task or on_demand.words_of(opening[0]), _loop_of(spec)(spec, opening, history), spec.answer

    def _changed(self, spec: AgentSpec) -> AgentSpec:
        """The specification with the options of this run."""
        if self.system_prompt is not None:
            check_type("system_prompt", self.system_prompt, str, "a string")
            spec = spec._replace(system_prompt=self.system_prompt or None)
        if self.tool_choice is not None:
            spec = spec._replace(tool_choice=self.tool_choice)
        if self.output_type is not None:
            spec = spec._replace(answer=_answer_of(self.output_type))
        if self.client_tools is not None:
            spec = self._with_client_tools(spec, self.client_tools)
        if self.temperature is None and self.headers is None and self.llm_args is None:
            return spec
        check_type("temperature", self.temperature, int | float, "a number")
        headers = checked_headers("headers", checked_dict("headers", self.headers))
        parameters = dict(checked_dict("llm_args", self.llm_args))
        headers |= checked_headers("extra_headers", parameters.pop("extra_headers", None))
        given = frozenset(parameters)
        if self.temperature is not None:
            parameters["temperature"] = self.temperature

        def changed(settings: ModelSettings) -> ModelSettings:
            replaced = {name for names in _SAME if not given.isdisjoint(names) for name in names}
            kept = {name: value for name, value in settings.parameters.items() if name not in replaced}
            return replace(
                settings,
                parameters={**kept, **parameters},
                as_given=settings.as_given | given,
                headers={**settings.headers, **headers},
            )

        fallbacks = tuple(map(changed, spec.retries.fallbacks))
        return spec._replace(settings=changed(spec.settings), retries=spec.retries._replace(fallbacks=fallbacks))

    @staticmethod
    def _with_client_tools(spec: AgentSpec, tools: Sequence[Mapping[str, Any]]) -> AgentSpec:
        """The specification with the caller's tools."""
        check_type("client_tools", tools, list | tuple, "a list of tools in OpenAI's format")
        for number, tool in enumerate(tools):
            function: object = tool.get("function") if isinstance(cast("object", tool), Mapping) else None
            if not isinstance(function, Mapping) or not isinstance(cast("dict[str, Any]", function).get("name"), str):
                raise ConfigurationError(f"client_tools[{number}] must be a tool in OpenAI's format, with a name")
        if tools and spec.max_loops is None:
            raise ConfigurationError(
                "client_tools: an autonomous agent (max_loops='auto') goes on by itself, and cannot wait for its caller"
            )
        spec = spec._replace(client_tools=tuple(tools))
        offered(spec)  # raises if one has the name of a tool of the agent's
        return spec


def _answer_of(output_type: Any) -> Structured | None:
    if isinstance(output_type, str):
        raise ConfigurationError(
            f"output_type of one run is a type, such as a pydantic model; the form {output_type!r} is of the agent"
        )
    return on_demand.structured(output_type)


def _loop_of(spec: AgentSpec) -> RunLoop:
    return spec.loop if spec.answer is None else on_demand.structured_loop()


def _joined(ours: str | None, given: str) -> str | None:
    """The system prompt of the agent, and that of the conversation."""
    return "\n\n".join(filter(None, (ours, given))) or None
