"""Problems of placement for tests: figures that are given, and random graphs with random figures."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from edge.placing.facts import Facts
from edge.placing.figures import Capacity, Estimate, Figure, Link
from edge.placing.schedule import play
from edge.placing.search import Score, score
from edge.placing.tasks import Problem
from edge.placing.wishes import Wishes
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.registry import Agent, Registry
from graphs.values import Value

AGENTS = Registry(
    [
        Agent("llmAgent", lambda context: None, effect="none", needs=frozenset({"model"})),
        Agent("copyAgent", lambda context: None, effect="none", cheap=True),
        Agent("workAgent", lambda context: None, effect="none"),
        Agent("postAgent", lambda context: None),
        Agent("mapAgent", lambda context: None, nests="map"),
        Agent("nestedAgent", lambda context: None, nests="nested"),
    ]
)
OFFER: dict[str, Any] = {"agents": dict.fromkeys(AGENTS, "1"), "models": {"tiny": {"digest": "d1"}, "large": {"digest": "d2"}}}


def facts(**different: Any) -> Facts:
    usual: dict[str, Any] = {
        "agents": AGENTS,
        "models": ["tiny"],
        "tiers": {"small": "tiny"},
        "default_model": "tiny",
        "offer": OFFER,
        "digests": {"tiny": "d1"},
    }
    return Facts(**{**usual, **different})


def measured(value: float) -> Figure:
    return Figure(value, "measured", n=3, age=60.0)


@dataclass
class Given:
    """An estimator that knows what it is given: seconds by node here and at the worker, bytes of values by node."""

    seconds: Mapping[str, tuple[float, float]]
    sizes: Mapping[str, float] = field(default_factory=dict)
    rtt: float = 0.05
    up: float = 1e6
    down: float = 1e6
    queue: float = 0.0
    runs: Mapping[str, float] = field(default_factory=dict)
    usd: float | None = None
    joules: tuple[float, float] | None = None
    metered: bool = False
    at_once: tuple[int, int] = (1, 4)
    slots: tuple[int, int] = (8, 8)
    source: Any = "measured"

    def node(self, path: str, spec: Mapping[str, Value], place: str, model: str | None) -> Estimate:
        there = place == "cloud"
        took = self.seconds.get(path)
        seconds = Figure(took[there] if took else 0.0, self.source if took else "default")
        return Estimate(
            seconds,
            None,
            measured(self.sizes.get(path, 100.0)),
            measured(self.usd * seconds.value) if self.usd is not None and there else None,
            measured(self.joules[there] * seconds.value) if self.joules else None,
            measured(self.runs.get(path, 1.0)),
        )

    def link(self, place: str) -> Link:
        rtt, up, down = Figure(self.rtt, self.source), Figure(self.up, self.source), Figure(self.down, self.source)
        return Link(rtt, up, down, self.metered, Figure(self.queue, self.source))

    def value_bytes(self, path: str) -> Figure:
        return measured(self.sizes.get(path, 100.0))

    def capacity(self, place: str) -> Capacity:
        there = place == "cloud"
        return Capacity(self.slots[there], {"tiny": self.at_once[there], "large": self.at_once[there]})


def graph(nodes: str, head: str = "") -> Graph:
    document = load_text(f"version: 0.5\n{head}nodes:\n  text: {{value: hi}}\n{nodes}", file="g.yaml")
    return Graph.of(document.data, [*AGENTS])


def random_graph(dice: random.Random, count: int) -> tuple[Graph, Given]:
    """A graph of that many nodes, some of which can only be at the worker or here, with figures in which either side may be the quicker."""
    nodes: dict[str, Any] = {"text": {"value": "hi"}}
    seconds, sizes = {}, {"text": dice.choice([1e2, 1e5])}
    names: list[str] = []
    for number in range(count):
        name = f"n{number}"
        sources = dice.sample(names, min(len(names), dice.choice([0, 1, 1, 1, 2, 3])))
        kind = dice.choice(["small", "small", "small", "work", "large", "here"])
        nodes[name] = {
            "agent": "llmAgent" if kind in ("small", "large") else "workAgent" if kind == "work" else "postAgent",
            **({"model": kind} if kind in ("small", "large") else {}),
            "inputs": {f"v{each}": f":{each}" for each in (sources or ["text"])},
        }
        here = dice.choice([0.01, 0.2, 1.0, 4.0]) * dice.uniform(0.5, 1.5)
        seconds[name] = (here, here * dice.choice([0.1, 0.3, 1.0, 2.0]))
        sizes[name] = dice.choice([1e2, 1e4, 1e5, 1e6, 5e6])
        names.append(name)
    nodes[names[-1]]["isResult"] = True
    figures = Given(
        seconds,
        sizes,
        rtt=dice.choice([0.001, 0.05, 0.3]),
        up=dice.choice([1e5, 1e6, 1e7]),
        down=dice.choice([1e5, 1e6, 1e7]),
        queue=dice.choice([0.0, 0.0, 1.0]),
        usd=dice.choice([None, 0.001]),
        joules=(dice.uniform(1, 20), dice.uniform(0, 2)),
        at_once=(dice.choice([1, 2]), dice.choice([1, 4])),
        slots=(dice.choice([1, 4, 8]), 8),
    )
    return Graph.of({"version": 0.5, "nodes": nodes}, [*AGENTS]), figures


def best_by_enumeration(problem: Problem, wishes: Wishes) -> Score:
    """What the best of all choices gives: the oracle."""
    ways = product(*(range(len(unit.choices)) for unit in problem.units))
    return min(score(problem, play(problem, way), wishes) for way in ways)
