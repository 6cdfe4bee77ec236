"""What a node that takes labels off its inputs gives, and what can never be taken off. Pure.

Only what comes in through `inputs` is looked at by whoever wrote the reason: what decides whether the node runs, and what is passed on beside the
value (`if`, `unless`, `passThrough`), keeps its labels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from graphs.language.refs import is_source, patterns, split_path
from graphs.language.spec import reads
from graphs.values import Value

__all__ = ["EVERY", "PSEUDONYMS", "passed", "sources_in", "taken_off"]

EVERY: Final = "*"
"""Stands among labels to be taken off for all that there are."""

PSEUDONYMS: Final = "table of pseudonyms"
"""The label of what gives pseudonyms away: no policy clears it, and no node takes it off."""

_PARTS: Final[Mapping[str, frozenset[str]]] = {"pseudonymiseAgent": frozenset({"text", "messages", "value"})}
"""By agent, what of its value is without the table of pseudonyms."""


def taken_off(spec: Mapping[str, Value]) -> frozenset[str]:
    """The labels that a declassifyAgent's params name, `EVERY` if none."""
    named: Any = (spec.get("params") or {}).get("labels")
    if named is None:
        return frozenset({EVERY})
    return frozenset(each for each in ([named] if isinstance(named, str) else named) if isinstance(each, str))


def passed(
    spec: Mapping[str, Value],
    removed: Collection[str],
    carried: Callable[[str], frozenset[str]],
    nodes: Mapping[str, Mapping[str, Value]],
) -> frozenset[str]:
    """The labels that stay of what a node reads which takes off `removed`; `carried` are those of a node's value."""
    found = frozenset[str]().union(*(carried(name) for name in reads({**spec, "inputs": None})))
    for source in sources_in(spec.get("inputs")):
        name, properties = split_path(source)
        labels = carried(name)
        if _without_table(nodes.get(name, {}), properties):
            labels -= {PSEUDONYMS}
        found |= (labels & {PSEUDONYMS}) if EVERY in removed else labels - (frozenset(removed) - {PSEUDONYMS})
    return found


def sources_in(value: Value) -> Iterator[str]:
    """The sources anywhere in `inputs`, whole ones and those in templates: `:node.part`."""
    if isinstance(value, str):
        yield from (each for each in patterns(value) or [value] if is_source(each))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from sources_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from sources_in(item)


def _without_table(spec: Mapping[str, Value], properties: Collection[str]) -> bool:
    """Whether a part of a node's value is one without the table; a node that shapes its value anew has no such part."""
    agent = spec.get("agent")
    parts = _PARTS.get(agent, ()) if isinstance(agent, str) else ()
    return not {"output", "passThrough"} & spec.keys() and next(iter(properties), None) in parts
