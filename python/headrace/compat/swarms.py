"""swarms' names, defaults and return forms: instead of ``from swarms import …``, import from here.

``docs/from-swarms.md`` says of each keyword and name whether it works.

Example:
    >>> from headrace.compat.swarms import Agent, SequentialWorkflow
    >>> def make(name):
    ...     return Agent(agent_name=name, model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
    >>> workflow = SequentialWorkflow(agents=[make("Writer"), make("Editor")])
    >>> for token in workflow.run_stream("Greet me."):
    ...     print(repr(token))
    'Hello'
    ', '
    'world.'
    'Hello'
    ', '
    'world.'
    >>> workflow.conversation.return_messages_as_list()
    ['User: Greet me.', 'Writer: Hello, world.', 'Editor: Hello, world.']
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from headrace._swarms.agent import Agent
from headrace._swarms.conversation import Conversation
from headrace._swarms.conversation import formatted as _formatted
from headrace._swarms.keywords import KEYWORDS, Keyword, SwarmsCompatWarning
from headrace._swarms.workflows import AgentRearrange, ConcurrentWorkflow, SequentialWorkflow, rearrange

__all__ = [
    "KEYWORDS",
    "MISSING",
    "Agent",
    "AgentRearrange",
    "ConcurrentWorkflow",
    "Conversation",
    "Keyword",
    "SequentialWorkflow",
    "SwarmsCompatWarning",
    "history_output_formatter",
    "rearrange",
]

MISSING: Final = {
    "HierarchicalSwarm": "an Agent with handoffs=[…], whose workers it calls",
    "GraphWorkflow": "AgentRearrange with a flow such as 'A, B -> C'",
    "GroupChat": "AgentRearrange with max_loops, in which each agent reads the answers before",
    "MajorityVoting": "AgentRearrange with flow='A, B, C -> Judge'",
    "MixtureOfAgents": "AgentRearrange with flow='A, B, C -> Aggregator'",
    "SwarmRouter": "the workflow that is meant: SequentialWorkflow, ConcurrentWorkflow or AgentRearrange",
    "SpreadSheetSwarm": "Agent.map with resume='results.jsonl'",
    "RoundRobinSwarm": "SequentialWorkflow with max_loops",
    "SwarmRearrange": "AgentRearrange",
    "MultiAgentRouter": "an Agent with handoffs=[…]",
    "ForestSwarm": "an Agent with handoffs=[…]",
    "AutoSwarmBuilder": "agents that you write yourself",
    "CronJob": "the system's own timer",
    "HeavySwarm": "AgentRearrange with flow='A, B, C -> Synthesis'",
    "DebateWithJudge": "AgentRearrange with flow='Pro, Con -> Judge' and max_loops",
    "CouncilAsAJudge": "AgentRearrange with flow='A, B, C -> Judge'",
    "AOP": "headrace serve",
}
"""Names of swarms that are not here, and what to use instead."""


def history_output_formatter(conversation: Conversation, type: str = "list") -> Any:  # noqa: A002 - swarms' name
    """A conversation in one of swarms' forms, such as ``"list"``, ``"dict"``, ``"str"``, ``"final"`` or ``"json"``."""
    return _formatted(conversation, type)


def __getattr__(name: str) -> NoReturn:
    if name in MISSING:
        raise ImportError(f"headrace.compat.swarms has no {name}; use {MISSING[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
