"""The agent: a model, what it is told, and how its answers are read."""

from __future__ import annotations

import difflib
import inspect
import os
from typing import TYPE_CHECKING, Any

from . import _display
from ._drive import Run, TokenCallback
from ._loop import agent_turns
from .errors import ConfigurationError
from .streams import AsyncRunStream, RunStream
from .types import ModelSettings, Timeouts

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Agent"]

_DEFAULT_MODEL = "local/smollm2-135m"


class Agent:
    """A model with instructions, whose answers stream token by token.

    An agent may serve any number of runs at once, from any number of threads and tasks: they share nothing but its
    configuration, which each run reads when it starts.

    Args:
        agent_name: Whose tokens they are, where several agents speak.
        agent_description: What the agent is for. Other agents read it; the model is not told.
        system_prompt: What the model is told before each task.
        model_name: ``"openai/NAME"``, ``"local/NAME"``, or any name with ``llm_base_url``. None: the environment's
            ``HEADRACE_MODEL``, else the local model, with a notice.
        max_loops: The most turns of one run.
        temperature: Sampling temperature; None for the provider's default.
        max_tokens: The most tokens of one answer; None for the provider's default.
        top_p: Nucleus sampling; None for the provider's default.
        llm_base_url: The URL of an OpenAI-compatible endpoint, without ``/chat/completions``.
        llm_api_key: The key; None to look in the environment.
        llm_args: Further members of the request's body, such as ``{"seed": 1}``. ``extra_headers`` among them is a
            dict of headers to add instead.
        print_on: ``run`` shows the answer on standard output.
        verbose: Each run tells on standard error what it asks and how it went.
        streaming_on: ``run`` shows the tokens as they come, and not the answer at its end.
        streaming_callback: Called with each token, before it is yielded. What it raises ends the run.
        timeouts: How long to wait for what.

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
        max_loops: int = 1,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        llm_base_url: str | None = None,
        llm_api_key: str | None = None,
        llm_args: Mapping[str, Any] | None = None,
        print_on: bool = True,
        verbose: bool = False,
        streaming_on: bool = False,
        streaming_callback: TokenCallback | None = None,
        timeouts: Timeouts | None = None,
        **unknown: object,
    ) -> None:
        _refuse(unknown)
        self.agent_name = agent_name
        self.agent_description = agent_description
        self.system_prompt = system_prompt
        self.model_name = model_name or _default_model()
        self.max_loops = max_loops
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.top_p = top_p
        self.llm_base_url = llm_base_url
        self.llm_api_key = llm_api_key
        self.llm_args = dict(llm_args or {})
        self.print_on = print_on
        self.verbose = verbose
        self.streaming_on = streaming_on
        self.streaming_callback = streaming_callback
        self.timeouts = timeouts or Timeouts()
        _check_max_loops(max_loops)

    def run(self, task: str, *, streaming_callback: TokenCallback | None = None) -> str:
        """Runs a task and waits for the answer.

        Args:
            task: What the user wants.
            streaming_callback: Takes the place of the agent's.

        Returns:
            The whole text.

        Raises:
            StreamError: The run did not end complete.
            ConfigurationError: The task or the agent's configuration cannot work.
        """
        stream = self.run_stream(task, streaming_callback=streaming_callback)
        with stream:
            if self.print_on and self.streaming_on:
                _display.show_live(self.agent_name, stream)
            else:
                for _token in stream:
                    pass
        if self.print_on and not self.streaming_on:
            _display.show_answer(self.agent_name, stream.text)
        return stream.text

    def run_stream(self, task: str, *, streaming_callback: TokenCallback | None = None) -> RunStream:
        """Runs a task and streams its tokens.

        Args:
            task: What the user wants.
            streaming_callback: Takes the place of the agent's.

        Returns:
            An iterator of tokens that also tells ``text``, ``usage``, ``timing`` and ``state``, and can be closed.

        Raises:
            ConfigurationError: The task or the agent's configuration cannot work.
        """
        return RunStream(self._run(task, streaming_callback))

    def arun_stream(self, task: str, *, streaming_callback: TokenCallback | None = None) -> AsyncRunStream:
        """Runs a task and streams its tokens to ``async for``.

        Args:
            task: What the user wants.
            streaming_callback: Takes the place of the agent's.

        Returns:
            An async iterator of tokens that also tells ``text``, ``usage``, ``timing`` and ``state``, and can be
            closed.

        Raises:
            ConfigurationError: The task or the agent's configuration cannot work.
        """
        return AsyncRunStream(self._run(task, streaming_callback))

    def __repr__(self) -> str:
        return f"Agent(agent_name={self.agent_name!r}, model_name={self.model_name!r}, max_loops={self.max_loops!r})"

    def _run(self, task: str, callback: TokenCallback | None) -> Run:
        _check_task(task)
        _check_max_loops(self.max_loops)
        if self.verbose:
            _display.note(f"{self.agent_name} asks {self.model_name}")
        loop = agent_turns(self._settings(), self.system_prompt, task)
        return Run(loop, callback or self.streaming_callback)

    def _settings(self) -> ModelSettings:
        parameters = {"temperature": self.temperature, "max_tokens": self.max_tokens, "top_p": self.top_p}
        given = {name: value for name, value in parameters.items() if value is not None}
        extra = dict(self.llm_args)
        headers: Mapping[str, str] = extra.pop("extra_headers", None) or {}
        return ModelSettings(
            model=self.model_name,
            base_url=self.llm_base_url,
            api_key=self.llm_api_key,
            parameters=given | extra,
            headers=headers,
            timeouts=self.timeouts,
        )


def _refuse(unknown: Mapping[str, object]) -> None:
    for name in unknown:
        known = [parameter for parameter in inspect.signature(Agent).parameters if parameter != "unknown"]
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise TypeError(f"Agent() got an unexpected keyword argument {name!r}{hint}")


def _check_task(task: object) -> None:
    if not isinstance(task, str):
        raise ConfigurationError(f"the task must be a string, not {type(task).__name__}")
    if not task.strip():
        raise ConfigurationError("the task is empty: say what the agent is to do")


def _check_max_loops(max_loops: object) -> None:
    if isinstance(max_loops, bool) or not isinstance(max_loops, int) or max_loops < 1:
        raise ConfigurationError(f"max_loops must be a whole number from 1, not {max_loops!r}")


def _default_model() -> str:
    named = os.environ.get("HEADRACE_MODEL")
    if named:
        return named
    _display.note(f"no model_name and no HEADRACE_MODEL, so this uses {_DEFAULT_MODEL} on this machine")
    return _DEFAULT_MODEL
