"""What the runs of an agent have in common: made at the first run, and again when an attribute has changed."""

from __future__ import annotations

import copy
from operator import is_
from typing import TYPE_CHECKING, Any, Final

from .config import limits_of, spec_of

if TYPE_CHECKING:
    from headrace._loop.spec import AgentSpec

    from .options import AgentOptions

__all__ = ["Prepared"]

_CHANGEABLE: Final = (dict, list, set)
"""Values that the caller may change in place."""


class Prepared:
    """The specification and the limits of an agent's runs.

    Args:
        agent: The agent, whose attributes are checked.

    Attributes:
        spec: The specification, for every run with another inbox.
        limits: What a run may cost.

    Raises:
        ConfigurationError: The agent's attributes cannot work.
    """

    __slots__ = ("_containers", "_is_reusable", "_values", "limits", "spec")

    def __init__(self, agent: AgentOptions) -> None:
        # Before the rest, so that an attribute that another thread changes meanwhile is noticed at the next run.
        attributes = vars(agent)
        self._values = tuple(attributes.values())
        containers: list[Any] = [value for value in self._values if isinstance(value, _CHANGEABLE)]
        self._containers = [(value, copy.copy(value)) for value in containers]
        # Each agent of `handoffs` has attributes of its own.
        self._is_reusable = not agent.handoffs and not _computes_attributes(type(agent))
        self.spec: AgentSpec = spec_of(agent, [])
        self.limits = limits_of(agent)

    def fits(self, agent: AgentOptions) -> bool:
        """Whether the agent's attributes are still the ones that this was made from."""
        values: tuple[Any, ...] = tuple(vars(agent).values())
        return (
            self._is_reusable
            and len(values) == len(self._values)
            and all(map(is_, values, self._values))
            and all(value == before for value, before in self._containers)
        )

    def spec_with(self, inbox: list[str]) -> AgentSpec:
        """The specification of one run.

        Args:
            inbox: The list for messages that the user sends during the run.
        """
        return self.spec._replace(inbox=inbox)


def _computes_attributes(cls: type) -> bool:
    """Whether a subclass of ``Agent`` computes attributes when they are read, as by a property."""
    reads: object = cls.__getattribute__
    return reads is not object.__getattribute__ or any(
        hasattr(value, "__set__") and not name.startswith("_")
        for base in cls.__mro__
        for name, value in vars(base).items()
    )
