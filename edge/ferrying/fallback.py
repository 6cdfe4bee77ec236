"""What the device does about a node that was to run at the worker and cannot now: the decision of `edge.offline` as an event of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from edge.offline import Verdict, concerns, decide, moved_by, reason_of
from edge.policies import Policy
from graphs.engine.events import Failed, Instead, Start, Suspend
from graphs.engine.plan import Plan, PlanNode
from graphs.errors import LinkCondition, WorkerNeeded
from graphs.paths import document_path
from graphs.values import Value
from protocol.payload import references_in

__all__ = ["Fallback", "StandIn"]

StandIn: TypeAlias = Callable[[Plan, PlanNode, Mapping[str, Value], str | None, str | None, bool], PlanNode]
"""`graphs.engine.plan.Compiler.stand_in`"""


class Fallback:
    """The policies of one run's nodes, by their place in the document; a node without one waits. `stand_in` compiles an alternative."""

    def __init__(self, policies: Mapping[str, Policy], stand_in: StandIn, clock: Callable[[], float]) -> None:
        self._policies = policies
        self._stand_in = stand_in
        self._clock = clock

    def has_alternative(self, path: str) -> bool:
        """Whether a node, by its place in the document, is meant to run here when no worker is reached: then the values it reads have to be here."""
        policy = self._policies.get(path)
        return policy is not None and policy.alternative is not None and not policy.free

    def runs_here(self, start: Start, condition: LinkCondition, *, begun: bool) -> bool:
        """Whether the node's alternative runs on such a condition."""
        return isinstance(self.event(start, condition, begun=begun), Instead)

    def event(self, start: Start, condition: LinkCondition, *, begun: bool) -> Suspend | Instead | Failed:
        """What the engine is told of a node that it expects, and that meets this condition. `begun` says that it may have begun there."""
        policy = self._policies.get(document_path(start.path)) or Policy()
        if condition.condition == "LABEL_WITHHELD":
            return self._withheld(start, policy, condition, begun=begun)
        verdict, now, node = decide(policy, condition.condition, begun=begun), self._clock(), start.node
        if verdict is Verdict.FAIL:
            return Failed(start, _needed(node, condition), now)
        if verdict is Verdict.ASK:
            return Suspend(start, _doubt(node, condition), now)
        if policy.offline != "local" or not concerns(policy, condition.condition):
            return Suspend(start, condition, now)
        if policy.alternative is None:
            return Suspend(start, _lacks(node, condition, policy.lacking), now)
        if references_in(start.inputs):
            return Suspend(start, _lacks(node, condition, "a value that it reads is still at the worker"), now)
        degraded = reason_of(condition.condition) if policy.degrades else None
        moved = moved_by(condition.condition) if policy.free else None
        return Instead(start, self._stand_in(start.frame.plan, node, policy.alternative, degraded, moved, False), now)

    def _withheld(self, start: Start, policy: Policy, condition: LinkCondition, *, begun: bool) -> Suspend | Instead:
        """The link did not let a value of the node's pass, whatever placement thought: it runs here, if it can."""
        now = self._clock()
        if policy.here is None or (begun and policy.once):
            return Suspend(start, condition, now)
        if references_in(start.inputs):
            return Suspend(start, _lacks(start.node, condition, "a value that it reads is still at the worker"), now)
        return Instead(start, self._stand_in(start.frame.plan, start.node, policy.here, None, None, True), now)


def _needed(node: PlanNode, condition: LinkCondition) -> WorkerNeeded:
    return WorkerNeeded(
        f"node {node.id!r} runs at the worker and may not wait for it: {condition.message}",
        hint=f"Resume the run once the worker can be reached, or say otherwise: --when-offline {node.id}=wait, or =local.",
    )


def _doubt(node: PlanNode, condition: LinkCondition) -> LinkCondition:
    message = f"node {node.id!r} may have happened at the worker and must not happen twice, so nothing is done about it here: {condition.message}"
    return LinkCondition("MAY_HAVE_BEGUN", message, hint="The worker knows: resume once it can be reached.")


def _lacks(node: PlanNode, condition: LinkCondition, lacking: str) -> LinkCondition:
    return LinkCondition(
        condition.condition,
        f"{condition.message}; nothing can run here instead of node {node.id!r}: {lacking}",
        retryable=condition.retryable,
        retry_ms=condition.retry_ms,
        hint=condition.hint,
    )
