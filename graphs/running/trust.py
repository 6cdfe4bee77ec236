"""Trust, looked at again when a node starts: what was checked before the run holds for graphs that came up in it, too (graphs.language.integrity)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from graphs.engine.made import DISTRUSTED
from graphs.errors import NodeError
from graphs.language.spec import is_boundary
from graphs.paths import document_path
from graphs.registry import Agent

if TYPE_CHECKING:
    from graphs.language.integrity import Distrust
    from graphs.running.attempt import Attempt
    from graphs.running.runtime import Runtime

__all__ = ["require_trusted"]

_HINT: Final = "Let a person look at it first: a humanAgent with params {mode: approve} that is shown the value, and `if: :NODE.approved` here."
_found: WeakKeyDictionary[Runtime, Mapping[str, Distrust] | None] = WeakKeyDictionary()
"""What is not to be trusted in each run; None where that was looked at elsewhere."""


def require_trusted(start: Attempt, agent: Agent) -> None:
    """Raises NodeError if a node, or an agent that it calls, requires trusted inputs and reads what anybody could have written."""
    if agent.requires is None and start.node.spec.get("requires") != "trusted":
        return
    from graphs.language.integrity import distrusted

    runtime = start.runtime
    if runtime not in _found:
        graph = runtime.engine.root.plan.graph
        cut = any(
            map(is_boundary, graph.nodes.values())
        )  # then the device has looked: here it is not known what a boundary node is
        _found[runtime] = None if cut else distrusted(graph, runtime.compiler.agents)
    known = _found[runtime]
    if known is None:
        return
    if start.frame.plan.made:
        where = "the whole graph is from others" if runtime.compiler.untrusted else "it is in a graph that is a value"
        raise _refusal(start, agent, where, DISTRUSTED)
    distrust = known.get(document_path(start.path))
    if distrust is not None:
        raise _refusal(start, agent, f"{' -> '.join(distrust.way)}; {distrust.way[0]!r} {distrust.why}")


def _refusal(start: Attempt, agent: Agent, why: str, hint: str = _HINT) -> NodeError:
    who = f"node {start.node.id!r}" if start.node.spec.get("requires") else f"{agent.name}"
    return NodeError(
        f"{who} requires trusted inputs, and reads what anybody could have written: {why}", retryable=False, hint=hint
    )
