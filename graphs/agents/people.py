"""Agents that wait for a person or for something outside the graph."""

from __future__ import annotations

from typing import Final

from graphs.agents.common import given, refuse, service
from graphs.language.jstext import text, truthy
from graphs.registry import AgentContext, Sample, agent
from graphs.values import Value

__all__ = ["AGENTS"]


@agent(
    "textInputAgent",
    category="input",
    effect="once",
    needs=["people"],
    samples=[Sample({}, {"message": "Your name"}, {"text": "Ada", "message": {"role": "user", "content": "Ada"}})],
)
async def text_input_agent(context: AgentContext) -> Value:
    """Asks a person params.message ("Enter") and gives the answer; asks again while params.required is set and it is empty."""
    ask = service(context, "ask")
    if ask is None:
        raise refuse(
            "textInputAgent: there is nobody here to ask",
            hint="Run the graph in a terminal, or set the answer beforehand: --set NODE=VALUE on a static node.",
        )
    message, role = given(context.params, "message"), given(context.params, "role")
    question = text(message) if truthy(message) else "Enter"
    answer = await ask(question)
    while not answer and truthy(context.params.get("required")):
        answer = await ask(question)
    return {"text": answer, "message": {"role": text(role) if truthy(role) else "user", "content": answer}}


@agent(
    "eventAgent",
    category="input",
    effect="once",
    needs=["people"],
    samples=[Sample({"order": 7}, {"type": "approval"}, {"approved": True})],
)
async def event_agent(context: AgentContext) -> Value:
    """Waits until code outside the graph answers the event {id, nodeId, agentId, type, params, namedInputs}; gives its answer."""
    events = service(context, "events")
    if events is None:
        raise refuse("eventAgent: nothing here answers events", hint="Start the run from a program that takes events.")
    return await events(
        {
            "id": context.key.hex(),
            "nodeId": context.node_id,
            "agentId": context.agent_name,
            "type": context.params.get("type"),
            "params": context.params,
            "namedInputs": context.inputs,
        }
    )


AGENTS: Final = (text_input_agent, event_agent)
