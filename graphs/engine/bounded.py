"""The engine of a run whose every value is measured: graphs from others. As pure as the engine itself.

A value that is too large fails its node before anybody reads it, and before it is recorded. What an agent that is no pure function of
its own inputs is handed is measured as well: values share their parts, so it may stand for more than the values it is made of.
"""

from __future__ import annotations

from typing import Any

from graphs.budget import measure
from graphs.engine.engine import Engine
from graphs.engine.events import Start
from graphs.engine.frames import Frame
from graphs.engine.plan import Compiler, Plan
from graphs.engine.plan_node import PlanNode
from graphs.errors import LimitReached
from graphs.states import State
from graphs.values import Value

__all__ = ["BoundedEngine"]


class BoundedEngine(Engine):
    """An engine that measures, and fails the node whose value reaches a limit. So many nodes run at once as the bounds allow, whatever
    the graph says.
    """

    def __init__(self, plan: Plan, compiler: Compiler, **options: Any) -> None:
        super().__init__(plan, compiler, **options)
        most = compiler.budget.bounds.concurrency
        if most is not None:
            self.queue.limit = min(self.queue.limit, most)

    def _start_simple(self, frame: Frame, node: PlanNode) -> None:
        frame.states[node.index] = State.EXECUTING.value
        self.attempt(frame, node, 0, 1)

    def attempt(self, frame: Frame, node: PlanNode, retry: int, at: int) -> None:
        super().attempt(frame, node, retry, at)
        start = frame.starts.get(node.index)
        if start is None or start.agent is None or start.agent.cheap or start.agent.nests is not None:
            return
        if not self.commands or self.commands[-1] is not start:
            return  # its inputs could not be resolved
        inputs = frame.starts[node.index].inputs
        try:
            measure(inputs, self.compiler.budget.bounds, f"what node {node.id!r} is handed")
        except LimitReached as error:
            self.commands.pop()
            self.later(self.fail, start, error)

    def finish(self, frame: Frame, node: PlanNode, value: Value, start: Start) -> None:
        budget = self.compiler.budget
        try:
            budget.spend(measure(value, budget.bounds, f"the value of node {node.id!r}"))
        except LimitReached as error:
            self.fail(start, error)
            return
        super().finish(frame, node, value, start)
