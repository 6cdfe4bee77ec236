"""Writes a run's events down as records: the same on the device (into the journal) and on a worker (into the child run's log)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, Final

from graphs.budget import ITEM, current, measure
from graphs.engine.events import Settled, Start
from graphs.engine.plan_node import PlanNode
from graphs.errors import GraphferryError, LinkCondition, NodeError
from graphs.packing import pack_flat, packs_as_it_is
from graphs.records import Encoded, Error, Event, Known, Result, State, encode_result
from graphs.running.attempt import Attempt
from graphs.values import Value, canonical, clean

__all__ = ["LogRecorder", "error_code"]


def error_code(error: BaseException) -> str:
    """The stable word for an error: its own `code`, NODE_FAILED for anything an agent raised that is not ours."""
    if isinstance(error, LinkCondition):
        return error.condition
    return error.code if isinstance(error, GraphferryError) else NodeError.code


_NOTHING: Final = object()
"""No value at all: MISSING is one that an agent may give."""


class LogRecorder:
    """A `graphs.running.ports.Recorder` over one log.

    `append` takes a record and gives its sequence number; `durable` returns once all that was appended is. With `everything`
    results of cheap pure agents are recorded too, as a reader elsewhere needs them; without, they are left out, since computing
    them again costs nothing; unless the clock or order of arrival decided what they were handed. `delta(seq, token)` gets the
    tokens of an attempt whose begin is the record `seq`. Where nobody wants the records themselves, `append_encoded` takes those
    whose bytes are made without one: most results, whose values are packed when they are admitted.
    """

    def __init__(
        self,
        append: Callable[[Known], int],
        durable: Callable[[], Awaitable[None]],
        *,
        everything: bool = False,
        delta: Callable[[int, Value], None] | None = None,
        append_encoded: Callable[[Encoded], int] | None = None,
    ) -> None:
        self._append = append
        self._append_encoded = append_encoded
        self._admitted: Value = _NOTHING
        self._packed = b""
        """The bytes of the value admitted last, if it is one that is packed at once."""
        self._durable = durable
        self._everything = everything
        self._delta = delta
        self._begun: dict[Start, int] = {}
        self._repeatable: dict[PlanNode, bool] = {}

    told_of_starts: ClassVar = False

    def started(self, start: Start, t: float) -> None:
        """Nothing to record."""

    def admit(self, value: Value) -> None:
        if self._append_encoded is not None and (packed := pack_flat(value)) is not None:
            most = current.get().bounds.value_bytes
            if most is None or len(packed) * ITEM <= most:  # an element counts no more than that for each byte it packs to
                self._admitted, self._packed = value, packed
                return
        self._require_fit(value)
        if not packs_as_it_is((value,), 0):
            canonical(value)

    def _require_fit(self, value: Value) -> None:
        """Raises LimitReached for a value that would be larger, written out, than any may be: its parts may be shared."""
        bounds = current.get().bounds
        if not bounds.every_value:  # otherwise it has been measured already
            measure(value, bounds, "a value")

    def begun(self, start: Start, t: float) -> None:  # noqa: ARG002 - the port hands it over
        info: dict[str, Value] = {"retry": start.retry}
        if isinstance(start, Attempt) and start.effect == "once":
            info["effect"] = "once"
        self._begun[start] = self._append(Event(start.path, start.at, State.EXECUTING, _now(), info))

    def settled(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:
        _, node, _, state, value, start, known = event
        admitted, self._admitted = self._admitted, _NOTHING
        if start is not None and self._begun:
            self._begun.pop(start, None)
        if value is admitted and start is not None and start.live is None and not (known or node.any_input):  # as nearly all are
            took = int((t - start.t) * 1000 + 0.5)
            encoded = encode_result(event.path, start.at, start.retry, self._packed, int(time.time() * 1000), by, {"ms": took})
            if encoded is not None:
                self._append_encoded(encoded)  # type: ignore[misc]  # only with it is anything packed
                return
        if known:
            return
        if state != State.COMPLETED:
            if state == State.SKIPPED and node.any_input:
                # Decided by order of arrival, so nobody can derive it again.
                self._append(Event(event.path, 0, State.SKIPPED, _now()))
            return
        agent = start.agent if start is not None else None
        if agent is None or agent.cheap or agent.nests is not None:
            if not self._everything and node.degraded is None and node.moved is None and self._is_repeatable(node):
                return
            if agent is None or agent.cheap:  # any other value was admitted before
                self._require_fit(value)
        if start is None:
            self._append(Result(event.path, 0, 0, value, _now(), by, usage))
            return
        took = int((t - start.t) * 1000 + 0.5)
        if node.any_input:
            self._require_fit(start.inputs)
            by = {**by, "seen": clean(start.inputs)}
        usage = {**usage, "ms": took} if usage else {"ms": took}
        self._append(Result(event.path, start.at, start.retry, value, _now(), by, usage))

    def _is_repeatable(self, node: PlanNode) -> bool:
        """Whether doing the node again must see the same: not where order of arrival or the clock decides what it is handed."""
        found = self._repeatable.get(node)
        if found is None:
            by_clock = _has_clock(node.spec.get("inputs")) or _has_clock(node.spec.get("passThrough"))
            found = self._repeatable[node] = not by_clock and not node.any_input
        return found

    def erred(self, start: Start, error: BaseException, final: bool, t: float) -> None:
        retryable = bool(getattr(error, "retryable", True))
        self._append(
            Error(
                path=start.path,
                at=start.at,
                retry=start.retry,
                code=error_code(error),
                text=str(error) or type(error).__name__,
                final=final,
                retryable=retryable,
                retry_ms=getattr(error, "retry_ms", None),
                detail=_with_usage(getattr(error, "detail", None), start, t),
            )
        )

    def stopped(self, start: Start, t: float) -> None:
        """What an attempt used up that was stopped is on record, where it is known; else nothing is."""
        if (used := _with_usage(None, start, t)) is not None:
            self._append(Event(start.path, start.at, State.ABORTED, _now(), used))

    def token(self, start: Start, token: Value) -> None:
        if self._delta is not None and (seq := self._begun.get(start)) is not None:
            self._delta(seq, token)

    async def durable(self) -> None:
        await self._durable()

    async def may_begin(self) -> None:
        await self._durable()


def _with_usage(detail: Value, start: Start, t: float) -> Value:
    """What is known of a failure besides, with what the attempt used up by now: that was spent, whatever came of it."""
    by, usage = start.provenance() if isinstance(start, Attempt) and start.live is not None else ({}, None)
    if not usage or not (detail is None or isinstance(detail, Mapping)):
        return detail
    made_by = {name: by[name] for name in ("model", "backend") if name in by}
    return {**(detail or {}), "usage": {**usage, **made_by, "ms": int((t - start.t) * 1000 + 0.5)}}


def _has_clock(item: Value) -> bool:
    """Whether `@now`, `@now_ms` or `@now_s` stands anywhere in it."""
    if isinstance(item, str):
        return "@now" in item
    if isinstance(item, Mapping):
        return any(_has_clock(each) for each in item.values())
    return isinstance(item, (list, tuple)) and any(_has_clock(each) for each in item)


def _now() -> int:
    return int(time.time() * 1000)
