"""The agents that open nested graphs. The engine itself does their work (graph-spec §9)."""

from __future__ import annotations

from typing import Final

from graphs.registry import AgentContext, Sample, agent
from graphs.values import Value

__all__ = ["AGENTS"]

_DOUBLE: Final = {
    "version": 0.5,
    "nodes": {"twice": {"agent": "copyAgent", "inputs": {"text": "${:word}${:word}"}, "isResult": True}},
}


@agent(
    "nestedAgent",
    category="graph",
    effect="none",
    nests="nested",
    samples=[Sample({"word": "ha"}, {}, {"twice": {"text": "haha"}}, _DOUBLE)],
)
def nested_agent(context: AgentContext) -> Value:
    """Runs the node's graph with the inputs as its static nodes and gives its results, or the one params.resultNodeId names."""
    raise _no_function(context)


@agent(
    "mapAgent",
    category="graph",
    effect="none",
    nests="map",
    samples=[
        Sample({"rows": ["ha", "ho"]}, {"rowKey": "word"}, [{"twice": {"text": "haha"}}, {"twice": {"text": "hoho"}}], _DOUBLE)
    ],
)
def map_agent(context: AgentContext) -> Value:
    """Runs the node's graph once for each of rows, the row being its static node params.rowKey, and gives the list of results."""
    raise _no_function(context)


def _no_function(context: AgentContext) -> RuntimeError:
    return RuntimeError(f"{context.agent_name} is carried out by the engine: a node with it needs a graph, it cannot be called")


AGENTS: Final = (nested_agent, map_agent)
