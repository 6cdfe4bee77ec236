"""A run's plan beside what it really took: a line a node, and the totals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.planning.took import Took, Totals
from edge.showing.columns import NOTHING, aligned, money
from edge.showing.node_table import duration, size
from graphs.paths import unescape

__all__ = ["cost_text", "plan_and_fact"]

_HEADS: Final = ("node", "place", "time", "planned", "tokens", "planned ", "up/down", "planned  ", "cost", "planned   ")
"""Heads have to differ, so those of what was planned end in blanks."""

_UNHEARD: Final = "not told"
"""Of an attempt that was stopped before its first token, or by a server that does not say what it used."""


def plan_and_fact(plan: Mapping[str, Any], fact: Totals, *, width: int = 100, encoding: str = "utf-8") -> str:
    """The table, and the line of totals; a figure of the plan with `~` was assumed."""
    lines = [
        _cells(path, plan["nodes"].get(path) or {}, took)
        for path, took in fact.nodes.items()
        if not any(other.startswith(f"{path}/") for other in plan["nodes"])
    ]
    table = aligned(
        _HEADS,
        lines,
        right=_HEADS[2:],
        shrink=(("place", len("cloud, stopped")), ("node", 10)),
        always=("node", "place"),
        width=width,
        encoding=encoding,
    )
    total = plan["total"]
    planned_cost = "unknown" if total["usd"] is None else money(total["usd"])
    said = [
        f"took {_seconds(fact.seconds)}, planned {_seconds(total['seconds'])}",
        f"{_ways(fact.up, fact.down)}, planned {_ways(total['up'], total['down'])}",
    ]
    if fact.usd or fact.unpriced or fact.untold or total["usd"] != 0:
        said.append(f"{cost_text(fact)}, planned {planned_cost}")
    return table + "".join(f"{line}\n" for line in said)


def cost_text(fact: Totals) -> str:
    """What a run cost, and by which prices; `unknown` for what nobody named a price of, `at least` where some counts are not here."""
    when = "when it began" if fact.prices.then else "of now"
    if fact.untold:
        known = f"at least {money(fact.usd)}" if fact.usd else "unknown"
        what = "one attempt used is" if fact.untold == 1 else f"{fact.untold} attempts used is"
        more = f", and no price for {', '.join(fact.unpriced)}" if fact.unpriced else ""
        return f"cost {known} (what {what} at the worker{more})"
    if not fact.unpriced:
        return f"cost {money(fact.usd)} by the prices {when}"
    known = f"{money(fact.usd)} and " if fact.usd else ""
    return f"cost {known}unknown (no price for {', '.join(fact.unpriced)})"


def _cells(path: str, planned: Mapping[str, Any], took: Took) -> list[str]:
    name = "/".join(map(unescape, path.split("/")))
    place = "+".join(took.places) or NOTHING
    if took.places and planned.get("place") and planned["place"] != place:
        place = f"{place} (planned {planned['place']})"
    if took.degraded:
        place += ", degraded"
    lost = took.stopped > 0 and not took.runs
    if lost:
        place = f"{place if took.places else planned.get('place') or NOTHING}, stopped"
    spent = took.runs > 0 or took.seconds > 0
    cost = "unknown" if not took.bill.complete else money(took.bill.usd) if took.bill.usd else NOTHING
    usd = planned.get("usd")
    paid = planned and planned.get("completion_tokens") and (usd is None or usd["value"] > 0)
    up, down = planned.get("up"), planned.get("down")
    return [
        name,
        place,
        duration(took.seconds * 1000) if spent else _UNHEARD if lost else NOTHING,
        _figure(planned.get("seconds"), lambda value: duration(value * 1000)),
        _UNHEARD if lost and took.unheard and took.completion is None else _tokens(took),
        _figure(planned.get("completion_tokens"), lambda value: f"{value:.0f}"),
        _ways(took.up, took.down) if took.up or took.down else NOTHING,
        _ways((up or {}).get("value", 0), (down or {}).get("value", 0)) if up or down else NOTHING,
        cost,
        _figure(usd, money, "unknown") if paid else NOTHING,
    ]


def _tokens(took: Took) -> str:
    if took.bill.untold:
        return "unknown" if took.completion is None else f"{took.completion}+"
    return NOTHING if took.completion is None else str(took.completion)


def _figure(figure: Mapping[str, Any] | None, words: Any, unknown: str = NOTHING) -> str:
    if figure is None:
        return unknown
    return ("~" if figure["source"] == "default" else "") + str(words(figure["value"]))


def _ways(up: float, down: float) -> str:
    return f"{size(round(up))} / {size(round(down))}"


def _seconds(seconds: float | None) -> str:
    return "no time yet" if seconds is None else duration(seconds * 1000)
