"""Ways: how the runtime carries out an attempt: as directly as what is said of its node and agent allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from graphs.engine.plan_node import PlanNode
    from graphs.registry import Agent
    from graphs.running.attempt import Attempt

__all__ = ["CAREFULLY", "DIRECTLY", "RECORDED", "Ways"]

DIRECTLY: Final = 1
"""Call the agent, hand its value to the engine."""
RECORDED: Final = 2
"""As directly, but the value must be one that can be recorded."""
CAREFULLY: Final = 3
"""With whatever may be around it: filters, a timeout, a thread, a record of its beginning."""


class Ways:
    """The ways of one run; those that were found are `by_agent` for usual nodes, and `by_node` for others."""

    def __init__(self, *, recorded: bool, filtered: bool) -> None:
        self.by_agent: dict[Agent, int] = {}
        self.by_node: dict[PlanNode, int] = {}
        self._recorded = recorded
        self._filtered = filtered

    def find(self, start: Attempt) -> int:
        """How to carry out this attempt."""
        agent, node = start.agent, start.node
        assert agent is not None
        guarded = self._recorded and (start.effect == "once" or bool(agent.needs) or agent.stream)
        if guarded or agent.blocking or self._filtered or node.timeout or agent.requires or "requires" in node.spec:
            way = CAREFULLY
        else:
            way = RECORDED if self._recorded and not agent.cheap else DIRECTLY
        if node.usual:
            self.by_agent[agent] = way
        elif node.agent_source is None:  # otherwise the next attempt may be another agent's
            self.by_node[node] = way
        return way
