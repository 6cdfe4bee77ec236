"""Recorded runs as problems of placement: what placement would have known after them, and the best of all ways by what they took."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from benchmarks.recorded.record import FILE
from edge.placing.facts import Facts
from edge.placing.figures import Figure
from edge.placing.node_needs import model_named
from edge.placing.placed import Placed
from edge.placing.placer import place
from edge.placing.wishes import Wishes
from edge.planning.estimates import Estimates
from edge.planning.knowledge import Knowledge, LinkFacts, ModelFacts
from graphs.agents import standard
from graphs.journal.history import HistoryRow
from graphs.language.spec import Graph

__all__ = ["LINKS", "Way", "replayed"]

_WORKER: Final = "cloud"

LINKS: Final[Mapping[str, tuple[float, float] | None]] = {
    "as recorded": None,
    "50 ms, 1.2 MB/s": (0.05, 1.25e6),
    "300 ms, 50 kB/s": (0.3, 5e4),
}
"""Links by what they are called: seconds there and back, bytes a second each way."""


class Way(NamedTuple):
    """A recorded graph over a link, with the worker's queue free or full, and how it was placed."""

    graph: str
    link: str
    full: bool
    placed: Placed


def replayed(wishes: Wishes) -> Iterator[Way]:
    """All graphs that were recorded, over all links and queues."""
    found: Any = json.loads(FILE.read_text(encoding="utf-8"))
    for name, each in found["graphs"].items():
        graph = Graph.of(each["graph"], set(standard()))
        for link, way in LINKS.items():
            for full in (False, True):
                yield Way(name, link, full, _placed(graph, each["rows"], found, way, wishes, full=full))


def _placed(
    graph: Graph,
    kept: Sequence[Mapping[str, Any]],
    found: Mapping[str, Any],
    way: tuple[float, float] | None,
    wishes: Wishes,
    *,
    full: bool,
) -> Placed:
    model = found["model"]
    agents = standard()
    offer = {
        "agents": {name: agent.version for name, agent in agents.items()},
        "models": {model: {"digest": "same"}},
        "queue": 0 if full else 8,
    }
    facts = Facts(agents, [model], {"small": model}, model, offer, digests={model: "same"})
    now = max(row["t"] for row in kept) / 1000 + 60
    link = found["link"] if way is None else {"rtt": way[0], "up": way[1], "down": way[1]}
    figures = {name: Figure(value, "measured", 3, 60.0) for name, value in link.items()}
    loaded = ModelFacts(loaded=True)
    knowledge = Knowledge(
        now,
        here={model: loaded},
        there={model: loaded},
        url="ws://worker/v1/link",
        store=_WORKER,
        offer=offer,
        offer_age=60.0,
        link=LinkFacts(b"", figures.get("rtt"), figures.get("up"), figures.get("down")),
    )
    model_of = partial(model_named, facts=facts)
    keys = Estimates(graph, knowledge, lambda _names: (), agents=agents, model_of=model_of).keys
    rows = [HistoryRow(**{**row, "what": keys[row["what"]], "run": bytes.fromhex(row["run"])}) for row in kept]
    made = Estimates(graph, knowledge, lambda _names: rows, agents=agents, model_of=model_of)
    return place(graph, replace(facts), made, wishes)
