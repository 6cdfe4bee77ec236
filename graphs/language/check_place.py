"""Checking `place`: where a node may run, and what becomes of it when the worker is not reached."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from graphs.language.fields import COMPUTED, OFFLINE, PLACES, word_for
from graphs.language.marks import Path
from graphs.language.report import Report
from graphs.values import Value

__all__ = ["ALTERNATIVE", "PlaceCheck"]

ALTERNATIVE: Final = ("agent", "model", "params", "output", "repeatUntil", "retry", "timeout", "effect", "filterParams")
"""The attributes of a node that its local alternative may have otherwise. It sees the same inputs, under the same conditions."""

_PARTS: Final = ("at", "offline", "local")
_NESTING: Final = frozenset({"nestedAgent", "mapAgent"})


class PlaceCheck:
    """Checks the `place` of a graph and its nodes; `agents` are the names known here (None: any will do), `computed(attributes, path)` checks
    attributes of a computed node, `not_one_of` reports a word that is none of those there are.
    """

    def __init__(
        self,
        report: Report,
        agents: Collection[str] | None,
        computed: Callable[[Mapping[str, Value], Path], None],
        not_one_of: Callable[[str, str, Value, tuple[str, ...], Path], None],
    ) -> None:
        self._report = report
        self._agents = agents
        self._computed = computed
        self._not_one_of = not_one_of

    def check(self, place: Value, path: Path) -> None:
        """What `place` says at `path`; at a node, unless that is the graph's own."""
        if isinstance(place, str):
            if place not in PLACES:
                self._not_one_of("GF119", "place", place, PLACES, path)
        elif isinstance(place, dict):
            self._map(place, path)

    def _map(self, place: Mapping[str, Value], path: Path) -> None:
        error = self._report.error
        for key, value in place.items():
            here = (*path, key)
            if key not in _PARTS:
                hint = self._report.did_you_mean(key, _PARTS)
                error("GF119", f"`place` has at, offline and local, no {key}", here, key=True, suggestion=hint)
            elif key == "local":
                self._local(value, here)
            else:
                choices = PLACES if key == "at" else OFFLINE
                if not isinstance(value, str) or value not in choices:
                    self._not_one_of("GF119", key, value, choices, here)
        if place.get("offline") in ("wait", "fail") and place.get("local") is not None:
            message = f'`local` is for "offline: local"; with "offline: {place["offline"]}" it is never used'
            error("GF119", message, (*path, "local"), key=True)
        if place.get("at") == "edge" and path[0] == "nodes":
            for key in ("offline", "local"):
                if place.get(key) is not None:
                    message = f"`{key}` is for nodes that need a worker, and this one runs on the device"
                    error("GF119", message, (*path, key), key=True, suggestion="leave it out, or write at: cloud")

    def _local(self, local: Value, path: Path) -> None:
        if local is None:
            return
        if not isinstance(local, dict):
            self._report.error("GF119", f"`local` is a map of node attributes, not {word_for(local)}", path)
            return
        for key in local:
            if key in COMPUTED and key not in ALTERNATIVE:
                self._refuse(key, (*path, key))
        self._computed({key: value for key, value in local.items() if key in ALTERNATIVE or key not in COMPUTED}, path)
        agent = local.get("agent")
        if isinstance(agent, str) and (agent.startswith(":") or agent in _NESTING):
            what = "is named by a value" if agent.startswith(":") else "opens a graph"
            self._report.error("GF119", f"the local alternative has an agent that {what}: it cannot have", (*path, "agent"))
        elif isinstance(agent, str) and self._agents is not None and agent not in self._agents:
            hint = self._report.did_you_mean(agent, self._agents)
            message = f'the local alternative has the agent "{agent}", which is not known here'
            self._report.error("GF105", message, (*path, "agent"), suggestion=hint)

    def _refuse(self, key: str, path: Path) -> None:
        if key == "place":
            message = "the local alternative runs here: it has no `place` of its own"
        elif key == "inputs":
            message = "the local alternative sees the same inputs as the node: what it is told besides stands in its `params`"
        else:
            message = f"the local alternative has no `{key}` of its own: that is the node's"
        self._report.error("GF119", message, path, key=True)
