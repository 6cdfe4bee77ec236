"""A plan as a person reads it: a line a node, what the run comes to, and what the figures rest on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from edge.placing.figures import Figure
from edge.planning.knowledge import Knowledge
from edge.planning.plan import Plan, PlannedNode
from edge.showing.columns import NOTHING, aligned, money
from edge.showing.node_table import duration, size
from graphs.paths import unescape

__all__ = ["plan_text"]

_HEADS: Final = ("node", "place", "why", "time", "tokens", "up/down", "cost")
_NAMED: Final = 6
"""Nodes that a line names before it says how many more there are."""


def plan_text(plan: Plan, knowledge: Knowledge, *, width: int = 100, encoding: str = "utf-8") -> str:
    """The table of the plan, the line of totals, and where the estimates come from. A figure with `~` is assumed."""
    table = aligned(
        _HEADS,
        [_cells(each, knowledge) for each in plan.nodes.values()],
        right=("time", "tokens", "up/down", "cost"),
        shrink=(("why", 24), ("node", 12)),
        always=("node", "place", "why"),
        width=width,
        encoding=encoding,
    )
    lines = [*_totals(plan, encoding), *_stopped(plan), *_sources(plan, knowledge)]
    return table + "".join(f"{line}\n".encode(encoding, "replace").decode(encoding) for line in lines)


def _cells(node: PlannedNode, knowledge: Knowledge) -> list[str]:
    told = node.estimate
    name = "/".join(map(unescape, node.path.split("/")))
    why = node.note or node.why
    if told is None or node.then not in ("runs", "stands in"):
        return [name, node.place, why, *[NOTHING] * 4]
    if told.runs.value != 1 and not node.opens:
        name = f"{name} x{told.runs.value:g}"
    speed = knowledge.model(node.place, node.model).answer
    if speed is not None and not node.opens:
        why = f"{why} ({speed.value:.0f} tok/s)"
    if node.opens:
        return [name, node.place, why, *[NOTHING] * 4]
    usd = money(told.usd.value) if told.usd is not None else "unknown"
    paid = told.usd is None or told.usd.value > 0
    tokens = _mark(told.completion) + f"{told.completion.value:.0f}" if told.completion is not None else NOTHING
    return [name, node.place, why, _time(told.seconds), tokens, _link(node), _mark(told.usd) + usd if paid else NOTHING]


def _time(figure: Figure) -> str:
    return _mark(figure) + duration(figure.value * 1000)


def _mark(figure: Figure | None) -> str:
    return "~" if figure is not None and figure.source == "default" else ""


def _link(node: PlannedNode) -> str:
    if node.up is None and node.down is None:
        return NOTHING
    up, down = (_mark(each) + size(round(each.value)) if each is not None else "0 B" for each in (node.up, node.down))
    return f"{up} / {down}"


def _totals(plan: Plan, encoding: str) -> list[str]:
    between = " · " if "·".encode(encoding, "ignore") else " | "
    parts = [f"total {duration(plan.seconds * 1000)}"]
    if plan.path and len(plan.nodes) > 1:
        parts[0] += f" (critical path {' > '.join(map(unescape, plan.path))})"
    moved = plan.up + plan.down
    if moved:
        parts.append(f"{size(round(plan.up))} up, {size(round(plan.down))} down")
    if plan.unpriced:
        known = f"{money(plan.usd)} and " if plan.usd else ""
        parts.append(f"{known}unknown cost of {', '.join(plan.unpriced)}")
    elif plan.usd:
        parts.append(f"about {money(plan.usd)}")
    if plan.crossings:
        parts.append(f"{plan.crossings} crossing{'' if plan.crossings == 1 else 's'}")
    return [between.join(parts)]


def _stopped(plan: Plan) -> list[str]:
    kinds = {each.then for each in plan.stopped}
    if "fails" in kinds:
        return ["the run fails"]
    if "waits" in kinds:
        return ["the run is suspended until a worker is reached; everything else is done"]
    return []


def _sources(plan: Plan, knowledge: Knowledge) -> list[str]:
    """Where the times come from, and how old what others said is."""
    said: dict[str, list[str]] = {}
    for node in plan.nodes.values():
        told = node.estimate
        if told is not None and not node.opens and node.then in ("runs", "stands in"):
            said.setdefault(_source(told.seconds, node.place), []).append("/".join(map(unescape, node.path.split("/"))))
    lines = []
    if said:
        lines.append("estimates: " + "; ".join(f"{_names(names)} {source}" for source, names in said.items()))
    if knowledge.conditions.watts is not None:
        lines.append(f"energy: about {plan.joules:.3g} J, at the {knowledge.watts.value:.3g} W that the whole device takes now")
    if plan.link is not None:
        lines.append("link: " + ", ".join(_ways(plan, knowledge)))
    elif knowledge.conditions.metered:
        lines.append(f"the network is metered ({knowledge.conditions.source}), and nothing goes over it")
    return lines


def _ways(plan: Plan, knowledge: Knowledge) -> Iterable[str]:
    link = plan.link
    assert link is not None
    yield f"{_mark(link.rtt)}{duration(link.rtt.value * 1000)} there and back"
    yield f"{_mark(link.up)}{size(round(link.up.value))}/s up"
    yield f"{_mark(link.down)}{size(round(link.down.value))}/s down"
    if knowledge.offer_age is None:
        yield "the worker was never met (--refresh asks it)"
    else:
        yield f"the worker's offer is {ago(knowledge.offer_age)} old"
    if knowledge.conditions.metered:
        yield f"the network is metered ({knowledge.conditions.source})"


_SOURCES: Final[Mapping[str, str]] = {
    "reported": "by the worker's own report",
    "declared": "as declared",
    "default": "assumed (~): nothing like it has run here yet",
}


def _source(figure: Figure, place: str) -> str:
    if figure.source != "measured":
        return _SOURCES[figure.source]
    where = "on this device" if place == "edge" else "at this worker"
    return f"measured {where}, n={figure.n}"


def _names(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def ago(seconds: float) -> str:
    """A length of time in one unit: `12 s`, `5 min`, `3 h`, `2 days`."""
    for unit, length in (("s", 60), ("min", 60), ("h", 48)):
        if seconds < length:
            return f"{seconds:.0f} {unit}"
        seconds /= 60 if unit != "h" else 24
    return f"{seconds:.0f} days"
