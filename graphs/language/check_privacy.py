"""Checking what takes labels off and what must not act upon strangers' words: before anything runs, with the way that a value takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from graphs.language.fields import word_for
from graphs.language.marks import Path
from graphs.language.report import Report
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.language.spec import Graph
    from graphs.registry import Agent

__all__ = ["check_declassify", "check_trust"]

_OWN: Final = ("reason", "labels", "params")


def check_declassify(report: Report, name: str, node: Mapping[str, Value]) -> None:
    """A node that takes labels off says why, in words of the graph itself."""
    params: Any = node.get("params") if isinstance(node.get("params"), dict) else {}
    inputs: Any = node.get("inputs") if isinstance(node.get("inputs"), dict) else {}
    path: Path = ("nodes", name)
    reason, labels = params.get("reason"), params.get("labels")
    for key in _OWN:
        if key in inputs:
            message = f'node "{name}" takes labels off: its `{key}` cannot come from data'
            report.error(
                "GF128", message, (*path, "inputs", key), key=True, suggestion="write `reason` and `labels` in its params"
            )
    if not isinstance(reason, str) or not reason.strip():
        said = "has no reason" if reason is None else f"has {word_for(reason)} for a reason"
        message = f'node "{name}" takes labels off, and {said}'
        hint = "params: {reason: why it is right that the value goes where it could not}"
        report.error("GF128", message, (*path, "agent"), suggestion=hint)
    named = [labels] if isinstance(labels, str) else labels
    if named is not None and not (isinstance(named, list) and named and all(isinstance(each, str) and each for each in named)):
        report.error(
            "GF128",
            f'`labels` of node "{name}" is a word or a list of words, not {word_for(labels)}',
            (*path, "params", "labels"),
        )
    if "value" not in inputs:
        report.error("GF128", f'node "{name}" takes labels off its input `value`, and has none', path, key=True)


def check_trust(report: Report, graph: Graph, agents: Mapping[str, Agent]) -> None:
    """Nodes that require trusted inputs, and read what anybody could have written."""
    from graphs.language.requiring import wants_trust  # which knows graphs, as nothing does that they are checked by

    if not wants_trust(graph, agents):
        return
    from graphs.language.integrity import distrusted  # which knows how labels spread: few graphs need that

    for found in distrusted(graph, agents).values():
        if not found.required:
            continue
        inside = [part for outer in found.place[:-1] for part in ("nodes", outer, "graph")]
        path: Path = (*inside, "nodes", found.place[-1])
        spec: Any = graph.document
        for part in path:
            spec = spec[part]
        whose = f'node "{found.place[-1]}"' if spec.get("requires") else f'node "{found.place[-1]}" has an agent that'
        source = found.way[0].rpartition("/")[2]
        message = f'{whose} requires trusted inputs, and reads what anybody could have written: {" -> ".join(found.way)}; "{source}" {found.why}'
        hint = (
            "let a person look at it first: a humanAgent with params {mode: approve} that is shown the value, and `if: :NODE.approved` here; "
            "or a declassifyAgent with labels: [untrusted] and a reason"
        )
        report.error("GF127", message, path, key=True, suggestion=hint)
