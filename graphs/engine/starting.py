"""How an attempt begins that has more to decide than its inputs: dynamic agents, params among the inputs, defaults, nested graphs,
retries. Part of the engine, and as pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphs.engine import nesting
from graphs.engine.shaping import without_missing
from graphs.errors import NodeError

if TYPE_CHECKING:
    from graphs.engine.engine import Engine
    from graphs.engine.frames import Frame
    from graphs.engine.plan import PlanNode

__all__ = ["attempt", "default", "told_meanwhile"]


def attempt(engine: Engine, frame: Frame, node: PlanNode, retry: int, at: int) -> None:
    """Resolve the inputs and start; a failure to do so is a failure of the attempt (D2)."""
    if (node.may_leave or node.implementation is not None) and node.place is None:
        node = engine.compiler.best(frame.plan, node)
    results = frame.results
    try:
        inputs = node.inputs(results) if node.inputs is not None else dict(node.literal_inputs)
        params: Any = node.params
        if node.any_input:
            inputs = without_missing(inputs)
        if node.overlays:
            over = inputs.get("params")
            if isinstance(over, Mapping) and over:
                params = {**params, **over}
        agent = node.agent if node.agent_source is None else _dynamic_agent(engine, node, results)
        opens = node.on_order and agent is not None and agent.nests is not None  # what is inside is counted here
    except Exception as error:  # noqa: BLE001 - whatever a property function raises is the node's failure (D2)
        start = engine.start_class(frame, node, None, {}, {}, retry, at, engine.now)
        frame.starts[node.index] = start
        engine.later(engine.fail, start, error)
        return
    start = engine.start_class(frame, node, agent, inputs, params, retry, at, engine.now)
    frame.starts[node.index] = start
    if node.stands_in:
        engine.elsewhere.expect(start)
    if node.place is not None and not opens:  # its agent need not be known here
        engine.elsewhere.expect(start)
        engine.commands.append(start)
    elif agent is None:
        engine.later(engine.finish, frame, node, None, start)  # a bypassed agent gives null
    elif agent.nests is not None:
        engine.later(nesting.open_node, engine, start)
    else:
        engine.commands.append(start)


def told_meanwhile(engine: Engine, frame: Frame, node: PlanNode) -> bool:
    """Whether the outcome of a node that has got its place now was told while it waited for that: then it needs none."""
    outcome = engine.known.pop(frame.path_of(node), None)
    if outcome is None:
        return False
    engine.queue.leave(node)
    engine.later(engine.take, frame, node, outcome, None)
    engine.later(engine.drain)
    return True


def default(engine: Engine, frame: Frame, node: PlanNode) -> None:
    """A node that is turned off completes with its default value."""
    start = engine.start_class(frame, node, None, {}, {}, 0, 0, engine.now)
    frame.starts[node.index] = start
    engine.shape(start, node.default, exists=False)


def _dynamic_agent(engine: Engine, node: PlanNode, results: list[Any]) -> Any:
    name = node.agent_source(results)  # type: ignore[misc]
    agent = engine.compiler.agent(name, results[-1].plan) if isinstance(name, str) else None
    if agent is None and name not in engine.compiler.bypass and (node.place is None or not isinstance(name, str)):
        raise NodeError(f"agent must be either string or function: {name!r} names no agent known here", retryable=False)
    return agent
