"""Checking `any`: several implementations of one node (graphs.language.implementations)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from graphs.language.check_place import ALTERNATIVE
from graphs.language.fields import COMPUTED, word_for
from graphs.language.marks import Path
from graphs.language.report import Report
from graphs.values import Value

__all__ = ["check_any"]

_NESTING: Final = frozenset({"nestedAgent", "mapAgent"})
_OTHERWISE: Final = ("escalate", "hedge", "graph", "graphLoader")


def check_any(
    node: Mapping[str, Value],
    path: Path,
    report: Report,
    agents: Collection[str] | None,
    computed: Callable[[Mapping[str, Value], Path], None],
) -> None:
    """What `any` says at a node; `path` is the node's. `agents` are the names known here (None: any will do), `computed(attributes, path)` checks
    attributes of a computed node.
    """
    said, here = node["any"], (*path, "any")
    if isinstance(said, int) and not isinstance(said, bool):
        if said < 0:
            report.error("GF125", "the number of an implementation is 0 or more", here)
        return
    if not isinstance(said, list):
        return  # null is nothing; any other type is reported as such
    if not said:
        report.error("GF125", "`any` lists no implementation", here, key=True, suggestion="leave it out")
    for key in _OTHERWISE:
        if node.get(key) is not None:
            report.error(
                "GF125", f"a node with `any` has no `{key}`", (*path, key), key=True, suggestion="put it into a nested graph"
            )
    place = node.get("place")
    if isinstance(place, Mapping) and place.get("local") is not None:
        message = "a node with `any` has no `local` besides: list it among the implementations"
        report.error("GF125", message, (*path, "place", "local"), key=True)
    _agent(node.get("agent"), (*path, "agent"), report, None)
    for number, entry in enumerate(said):
        at = (*here, number)
        if not isinstance(entry, dict):
            report.error("GF125", f"an implementation is a map of node attributes, not {word_for(entry)}", at)
            continue
        for key in entry:
            if key in COMPUTED and key not in ALTERNATIVE:
                report.error("GF125", f"an implementation has no `{key}` of its own: that is the node's", (*at, key), key=True)
        computed({key: value for key, value in entry.items() if key in ALTERNATIVE or key not in COMPUTED}, at)
        if "agent" in entry:
            _agent(entry["agent"], (*at, "agent"), report, agents)


def _agent(agent: Value, path: Path, report: Report, agents: Collection[str] | None) -> None:
    if not isinstance(agent, str):
        return
    if agent.startswith(":") or agent in _NESTING:
        what = "is named by a value" if agent.startswith(":") else "opens a graph"
        report.error("GF125", f"an implementation has an agent that {what}: it cannot have", path, key=True)
    elif agents is not None and agent not in agents:
        hint = report.did_you_mean(agent, agents)
        report.error("GF105", f'an implementation has the agent "{agent}", which is not known here', path, suggestion=hint)
