"""What the caller of a benchmark asks for, as a load and a sender."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

from .loads import Load
from .prompts import PROMPTS, Prompt, conversations, read_prompts
from .self_error import Shape, self_error, shape_of
from .senders import sender_for
from .synthetic import Lengths, calibrated, synthetic_prompts
from .targets import Target
from .traces import Entry, prompts_of_trace, read_trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from typing_extensions import Self

    from .agents import Runner
    from .arrivals import Arrivals
    from .self_error import SelfError
    from .senders import Sender
    from .targets import Api, Connections

__all__ = ["DEFAULT_REQUESTS", "Asked"]

DEFAULT_REQUESTS: Final = 32
"""How many requests are sent if neither their number nor a duration is given."""

_FEW: Final = 4
_MOST_WARM: Final = 256
"""How many connections are opened before, at most: the first requests of a closed load would else open them."""

_SYNTHETIC: Final = 1000
"""How many different synthetic prompts are made, if not fewer requests are sent."""


@dataclass(frozen=True)
class Asked:
    """The options of :func:`headrace.bench.run` that say what is sent to whom."""

    target: str | Runner
    name: str | None = None
    model: str | None = None
    concurrency: int | None = None
    rate: float | None = None
    profile: Sequence[tuple[float, float]] | None = None
    trace: str | PathLike[str] | None = None
    trace_speed: float = 1.0
    requests: int | None = None
    duration: float | None = None
    arrivals: Arrivals = "poisson"
    burstiness: float = 1.0
    seed: int = 0
    prompts: str | PathLike[str] | None = None
    input_tokens: int | str | None = None
    output_tokens: int | str | None = None
    prefix_tokens: int = 0
    prefixes: int = 1
    api: Api = "chat"
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    connections: Connections = "warm"
    turns: int = 1
    think: float = 0.0
    warm_up: int | None = None
    part: tuple[int, int] | None = None

    @classmethod
    def of(cls, target: str | Runner, options: Mapping[str, Any]) -> Self:
        """The part of the options that is meant."""
        known = {each.name for each in fields(cls)}
        return cls(target, **{name: value for name, value in options.items() if name in known})

    def entries(self) -> list[Entry] | None:
        """The requests of the trace, if there is one."""
        return None if self.trace is None else read_trace(Path(self.trace), self.trace_speed)

    def load(self, entries: Sequence[Entry] | None) -> Load:
        """The load.

        Raises:
            ConfigurationError: It is not possible.
        """
        times = None if entries is None else tuple(entry.at for entry in entries)
        kinds = (self.concurrency, self.rate, self.profile, times)
        concurrency = 1 if all(kind is None for kind in kinds) else self.concurrency
        ends = (self.requests, self.duration, self.profile, times)
        requests = DEFAULT_REQUESTS if all(end is None for end in ends) else self.requests
        profile = None if self.profile is None else tuple((float(at), float(each)) for at, each in self.profile)
        load = Load(
            concurrency,
            self.rate,
            requests,
            self.duration,
            self.arrivals,
            self.burstiness,
            self.seed,
            profile,
            times,
            self.turns,
            self.think,
        )
        return load if self.part is None else load.part(*self.part)

    def sender(self, entries: Sequence[Entry] | None) -> Sender:
        """The sender, with the prompts.

        Raises:
            ConfigurationError: The target cannot be asked, or the prompts cannot be made.
            MissingKeyError: The provider needs a key, and there is none.
        """
        given: Sequence[Prompt] = PROMPTS if self.prompts is None else read_prompts(Path(self.prompts))
        sender = sender_for(self._target(), self._label(), given)
        if self.turns > 1:
            return self._of_sessions(sender, given, entries)
        if entries is not None:
            prompts = prompts_of_trace(entries, calibrated(sender), self.seed)
            return sender.asking(prompts if self.part is None else prompts[self.part[0] :: self.part[1]])
        if self.input_tokens is not None:
            return sender.asking(self._synthetic(sender))
        if self.prefix_tokens:
            raise ConfigurationError("prefix_tokens is of synthetic prompts: give input_tokens, too")
        return sender if self.output_tokens is None else sender.asking(self._limited(given))

    def _of_sessions(self, sender: Sender, given: Sequence[Prompt], entries: Sequence[Entry] | None) -> Sender:
        if entries is not None or not isinstance(self.target, str):
            raise ConfigurationError("turns are of a URL or a model, and not of a trace")
        prompts: Sequence[Prompt] = given if self.input_tokens is None else self._synthetic(sender)
        return sender.asking(conversations(prompts, self.turns))

    def warmed(self, load: Load, sender: Sender) -> Shape | None:
        """Warms up, and tells the shape of what was answered; None if all answers failed."""
        count = min(load.concurrency or _FEW, _MOST_WARM) if self.warm_up is None else self.warm_up
        if not count:
            return Shape()
        measured = sender.send(Load(concurrency=min(count, load.concurrency or count), requests=count))
        return shape_of(measured) if measured.complete else None

    def self_error(self, load: Load, sender: Sender, shape: Shape) -> SelfError:
        """Measures the client's own error at this load."""
        return self_error(load, shape, sender)

    def _target(self) -> Target | Runner:
        if not isinstance(self.target, str):
            return self.target
        return Target(self.target, self.model, self.api_key, self.headers, self.parameters, self.api, self.connections)

    def _label(self) -> str:
        return self.name or (self.target if isinstance(self.target, str) else type(self.target).__name__)

    def _count(self) -> int:
        return min(self.requests or _SYNTHETIC, _SYNTHETIC)

    def _synthetic(self, sender: Sender) -> list[Prompt]:
        outputs = None if self.output_tokens is None else Lengths.parse(str(self.output_tokens))
        return synthetic_prompts(
            calibrated(sender),
            Lengths.parse(str(self.input_tokens)),
            outputs,
            self._count(),
            seed=self.seed if self.part is None else self.seed + self.part[0],
            prefix_tokens=self.prefix_tokens,
            prefixes=self.prefixes,
        )

    def _limited(self, given: Sequence[Prompt]) -> list[Prompt]:
        """The prompts with answers of drawn lengths."""
        outputs = Lengths.parse(str(self.output_tokens))
        source = random.Random(self.seed)  # noqa: S311 - not a secret
        prompts = (given[number % len(given)] for number in range(self._count()))
        return [
            replace(prompt, parameters={**prompt.parameters, "max_tokens": outputs.tokens(source)})
            for prompt in prompts
        ]
