"""A workflow: two agents write at the same time, a third combines their texts. Prints the events of each.

python examples/workflow.py [MODEL]       # any model; without it, HEADRACE_MODEL, or the local model
python examples/workflow.py --simulate    # a scripted model on this machine
"""

from __future__ import annotations

import argparse
from typing import Any

from headrace import Agent
from headrace.events import AgentEnd, AgentStart, Token
from headrace.testing import Simulator
from headrace.workflow import AgentRearrange

TASK = "Describe the water wheel of an old mill."

# The scripted answers, a token every 15 ms. Only the editor's prompt contains the answers of the others.
SCRIPT: dict[str, Any] = {
    "turns": [
        {"when": {"contains": "[Poet]"}, "text": "An oak wheel, five metres high, that has sung here since 1740."},
        {"text": "The old wheel turns slowly in the clear water of the brook."},
    ],
    "pacing": {"mode": "steady", "interval_ms": 15},
}


def main(model_name: str | None, llm_base_url: str | None = None) -> None:
    """Prints the agents' tokens with their names; those of the two writers are interleaved."""
    roles = {
        "Poet": "Answer with one sentence, as a poet.",
        "Engineer": "Answer with one sentence, as an engineer.",
        "Editor": "Make one sentence of what the Poet and the Engineer have said.",
    }
    agents = [
        Agent(agent_name=name, system_prompt=role, model_name=model_name, llm_base_url=llm_base_url, max_tokens=60)
        for name, role in roles.items()
    ]
    workflow = AgentRearrange(agents=agents, flow="Poet, Engineer -> Editor")
    with workflow.run_stream(TASK, with_events=True) as stream:
        for event in stream:
            match event:
                case AgentStart(agent=name):
                    print(f"{name} begins")
                case Token(agent=name, text=text):
                    print(f"{name:>10} |{text}")
                case AgentEnd(agent=name, output=output):
                    print(f"{name} has said: {output}")
                case _:
                    pass
    print(f"\n{stream.final}\n\n{stream.state}, {len(stream.turns)} turns, {stream.usage}")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", nargs="?", metavar="MODEL", help="such as openai/gpt-4o-mini")
parser.add_argument("--simulate", action="store_true", help="ask a scripted model")
arguments = parser.parse_args()
if arguments.simulate:
    with Simulator(**SCRIPT) as simulator:
        main("openai/sim", simulator.base_url)
else:
    main(arguments.model)
