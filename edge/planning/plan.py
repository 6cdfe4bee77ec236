"""The plan of a run: for each node where it runs and why, what that is expected to take, and what becomes of it without a worker. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from edge.offline import Verdict, decide
from edge.placing.facts import Facts, Placement, Way
from edge.placing.figures import Figure, Link
from edge.placing.node_needs import model_named
from edge.placing.schedule import play
from edge.placing.tasks import CLOUD, EDGE, Choice, problem_of
from edge.planning.estimates import Estimates, Told
from edge.planning.keys import computed_nodes
from edge.planning.knowledge import figure_json
from edge.policies import Policy, node_policies
from graphs.language.cut import cut
from graphs.language.spec import Graph, is_computed, reads
from graphs.paths import escape, root_node, unescape
from graphs.values import Value

__all__ = ["Plan", "PlannedNode", "Then", "is_plan", "make_plan"]

Then: TypeAlias = Literal["runs", "waits", "stands in", "fails", "is not reached"]
"""What becomes of a node: it runs where it is placed; it waits, and with it the run; an alternative runs here; it fails; it comes after one that
fails."""

_INLINE: Final = 64 * 1024
"""Bytes of a value that come with its record; a larger one comes when somebody here reads it."""
_RECORD: Final = 200.0


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node of the document. `up` and `down` are what crosses the link for its value, as in the table of a run; `opens` says that the nodes
    inside it have lines of their own.
    """

    path: str
    place: str
    why: str
    model: str | None
    estimate: Told | None
    then: Then = "runs"
    note: str = ""
    up: Figure | None = None
    down: Figure | None = None
    opens: bool = False
    ways: Sequence[Way] = ()
    """All there are to do it, this one first, where figures decided."""
    instead: Mapping[str, Any] | None = None
    """The attributes of the alternative that stands in."""

    def as_json(self) -> dict[str, Any]:
        """The entry under `nodes` of `plan --json`."""
        told = self.estimate
        entry: dict[str, Any] = {"place": self.place, "reason": self.why, "model": self.model, "then": self.then}
        if self.note:
            entry["note"] = self.note
        if self.ways:
            entry["ways"] = [_way_json(each) for each in self.ways]
        if told is not None:
            entry |= {
                "seconds": figure_json(told.seconds),
                "runs": figure_json(told.runs),
                "prompt_tokens": figure_json(told.prompt),
                "completion_tokens": figure_json(told.completion),
                "bytes": figure_json(told.out_bytes),
                "usd": figure_json(told.usd),
                "joules": figure_json(told.joules),
            }
        return entry | {"up": figure_json(self.up), "down": figure_json(self.down)}


def _way_json(way: Way) -> dict[str, Any]:
    return {
        "place": way.place,
        "model": way.model,
        "seconds": round(way.seconds, 6),
        "moving": round(way.moving, 6),
        "usd": round(way.usd, 9),
        "joules": round(way.joules, 3),
        "run_seconds": round(way.run_seconds, 6),
    }


@dataclass(frozen=True, slots=True)
class Plan:
    """All nodes, in the graph's order. `seconds` is how long the run is expected to take, along `path`, the nodes on which that hangs; `usd` what it
    costs, without `unpriced` models, of which nobody knows; `text` the bytes of graphs that are shipped; `crossings` how many values change sides.
    """

    nodes: Mapping[str, PlannedNode]
    seconds: float
    path: Sequence[str]
    crossings: int
    text: int
    usd: float
    unpriced: Sequence[str]
    link: Link | None
    prices: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Dollars for a million tokens of prompts and of answers, by `place model`."""

    @property
    def up(self) -> float:
        """Bytes that leave this device: values and graphs."""
        return self.text + sum(each.up.value for each in self.nodes.values() if each.up is not None)

    @property
    def down(self) -> float:
        """Bytes that come."""
        return sum(each.down.value for each in self.nodes.values() if each.down is not None)

    @property
    def joules(self) -> float:
        """Energy of this device, as far as it is known."""
        each = (node.estimate.joules for node in self.nodes.values() if node.estimate is not None and not node.opens)
        return sum(figure.value for figure in each if figure is not None)

    @property
    def stopped(self) -> list[PlannedNode]:
        """The nodes that do not run, or not as they are written."""
        return [each for each in self.nodes.values() if each.then != "runs"]

    def as_json(self) -> dict[str, Any]:
        """For `--json`, and as it is kept with the run."""
        link = self.link
        return {
            "nodes": {path: each.as_json() for path, each in self.nodes.items()},
            "total": {
                "seconds": round(self.seconds, 6),
                "critical_path": list(self.path),
                "up": round(self.up),
                "down": round(self.down),
                "graphs": self.text,
                "crossings": self.crossings,
                "usd": None if self.unpriced else round(self.usd, 9),
                "usd_known": round(self.usd, 9),
                "unpriced": list(self.unpriced),
                "joules": round(self.joules, 3),
            },
            "link": {name: figure_json(getattr(link, name)) for name in ("rtt", "up", "down", "queue")} if link else None,
            "prices": {name: list(price) for name, price in self.prices.items()},
        }


def make_plan(
    graph: Graph, placed: Mapping[str, Placement], facts: Facts, estimates: Estimates, unreached: str | None = None
) -> Plan:
    """The plan of a graph whose nodes are placed. `unreached` says why neither a worker nor a server outside this device can be asked; None if
    they can.
    """
    specs = dict(computed_nodes(graph))
    order = {escape(name): number for number, name in enumerate(graph.nodes)}
    paths = sorted(placed, key=lambda path: order.get(path.partition("/")[0], len(order)))
    readers = _readers(graph)
    opened = {path.rpartition("/")[0] for path in placed if "/" in path}
    nodes = {path: _planned(path, specs[path], placed[path], estimates, opens=path in opened) for path in paths}
    if unreached is not None:
        policies = node_policies(graph, placed, facts)
        nodes = {path: _cut_off(each, policies.get(path), facts, estimates, unreached) for path, each in nodes.items()}
        nodes = _follow(graph, nodes, readers)
    nodes, crossings = _crossing(graph, nodes, readers)
    there = [each for each in nodes.values() if each.place == "cloud" and each.then == "runs"]
    link = estimates.link("cloud") if there else None
    text = _text(graph, nodes) if there else 0
    counted = [each.estimate for each in nodes.values() if each.estimate is not None and _counts(each)]
    seconds, along = _course(graph, nodes, estimates, facts)
    return Plan(
        nodes,
        seconds,
        along,
        crossings,
        text,
        sum(each.usd.value for each in counted if each.usd is not None),
        tuple(dict.fromkeys(name for each in counted for name in each.unpriced)),
        link,
        estimates.prices,
    )


def _counts(node: PlannedNode) -> bool:
    return node.then in ("runs", "stands in") and not node.opens


def _planned(path: str, spec: Mapping[str, Any], placement: Placement, estimates: Estimates, *, opens: bool) -> PlannedNode:
    estimate = estimates.node(path, spec, placement.place, placement.model)
    return PlannedNode(path, placement.place, placement.reason, placement.model, estimate, opens=opens, ways=placement.ways)


# -- without a worker


def _cut_off(node: PlannedNode, policy: Policy | None, facts: Facts, estimates: Estimates, why: str) -> PlannedNode:
    """What becomes of a node when neither a worker nor a server outside can be asked."""
    if node.place != "cloud":
        if node.model is not None and node.model in facts.servers and not node.opens:
            return replace(node, then="waits", note=f"waits: {node.model} is behind a server, and {why}", estimate=None)
        return node
    verdict = decide(policy, "UNREACHABLE", begun=False) if policy is not None else Verdict.WAIT
    if verdict is Verdict.FAIL:
        return replace(node, then="fails", note=f"fails: {why}", estimate=None)
    if verdict is not Verdict.LOCAL or policy is None or policy.alternative is None:
        lacking = f"; no alternative here: {policy.lacking}" if policy is not None and policy.lacking else ""
        return replace(node, then="waits", note=f"waits: {why}{lacking}", estimate=None)
    alternative = policy.alternative
    named = alternative.get("model")
    model = facts.tiers.get(named, named) if isinstance(named, str) else None
    by = model or str(alternative["agent"])
    degraded = ", degraded" if policy.degrades else ""
    return replace(
        node,
        place="edge",
        then="stands in",
        note=f"{by} stands in{degraded}: {why}",
        model=model,
        estimate=estimates.node(node.path, alternative, "edge", model),
        instead=alternative,
    )


def _follow(graph: Graph, nodes: Mapping[str, PlannedNode], readers: Mapping[str, Sequence[str]]) -> dict[str, PlannedNode]:
    """What follows for the nodes behind those that wait or fail."""
    found = dict(nodes)
    for path, each in nodes.items():  # a node whose graph is opened here ends when all in it have
        if "/" in path and each.then in ("waits", "fails"):
            outer = path.partition("/")[0]
            if found[outer].then == "runs":
                note = f"{'waits for' if each.then == 'waits' else 'fails with'} {_shown(path)}"
                found[outer] = replace(found[outer], then=each.then, note=note)
    todo = [path for path, each in found.items() if "/" not in path and each.then in ("waits", "fails", "is not reached")]
    while todo:
        path = todo.pop(0)
        for reader in readers.get(path, ()):
            waits = found[path].then == "waits"
            if reader not in found or found[reader].then not in (
                ("runs", "stands in") if waits else ("runs", "stands in", "waits")
            ):
                continue
            spec = graph.nodes[unescape(reader)]
            sources = [found[escape(source)] for source in reads(spec) if escape(source) in found]
            if spec.get("anyInput") is True and any(source.then in ("runs", "stands in") for source in sources):
                continue
            then: Then = "waits" if waits else "is not reached"
            note = f"waits for {_shown(path)}" if waits else f"comes after {_shown(path)}, which fails"
            found[reader] = replace(found[reader], then=then, note=note, estimate=None)
            todo.append(reader)
    return found


# -- what crosses, and how long it takes


def _crossing(
    graph: Graph, nodes: Mapping[str, PlannedNode], readers: Mapping[str, Sequence[str]]
) -> tuple[dict[str, PlannedNode], int]:
    """The nodes with what crosses the link for each, and how many values change sides."""
    found = dict(nodes)
    crossings = 0
    for path, node in nodes.items():
        told = node.estimate
        if told is None or node.then not in ("runs", "stands in"):
            continue
        read = {nodes[each].place for each in readers.get(path, ()) if each in nodes and nodes[each].then == "runs"}
        crossings += len(read - {node.place})
        if node.place == "cloud":
            result = graph.nodes[root_node(path)].get("isResult") is True
            each = told.out_bytes.value / max(1.0, told.runs.value)
            left = each > _INLINE and not result and "edge" not in read
            found[path] = replace(node, down=Figure(_RECORD * told.runs.value, "default") if left else told.out_bytes)
        elif "cloud" in read:
            found[path] = replace(node, up=told.out_bytes)
    split = {
        path.partition("/")[0] for path, each in nodes.items() if "/" in path and each.place == "cloud" and each.then == "runs"
    }
    return found, crossings + len(split)


def _readers(graph: Graph) -> dict[str, list[str]]:
    """The computed nodes of the root graph that read each node."""
    found: dict[str, list[str]] = {}
    for name, spec in graph.nodes.items():
        if is_computed(spec):
            for source in dict.fromkeys(reads(spec)):
                found.setdefault(escape(source), []).append(escape(name))
    return found


def _text(graph: Graph, nodes: Mapping[str, PlannedNode]) -> int:
    """Bytes of the graphs that are shipped, as they are written; on the link they are packed."""
    names = [unescape(path) for path, each in nodes.items() if each.place == "cloud" and each.then == "runs" and "/" not in path]
    return len(cut(graph, names).canonical) if names else 0


def _course(graph: Graph, nodes: Mapping[str, PlannedNode], estimates: Estimates, facts: Facts) -> tuple[float, tuple[str, ...]]:
    """How long what runs takes, and the nodes of the root graph that decide it: played as placement plays it."""
    running = {path for path, each in nodes.items() if each.then in ("runs", "stands in")}
    instead = {unescape(path): each.instead for path, each in nodes.items() if each.instead is not None and "/" not in path}
    kept = {
        name: instead.get(name) or spec for name, spec in graph.nodes.items() if not is_computed(spec) or escape(name) in running
    }
    choices, opened = {}, []
    for path, each in nodes.items():
        if path.partition("/")[0] not in running:
            continue
        if each.opens:
            opened.append(path)
        else:
            choices[path] = (Choice(CLOUD if each.place == "cloud" else EDGE, each.model, spec=each.instead),)
    if not choices:
        return 0.0, ()
    reduced = Graph({**graph.document, "nodes": kept})
    problem = problem_of(reduced, choices, opened, estimates, partial(model_named, facts=facts))
    schedule = play(problem, [0] * len(problem.units))
    along = dict.fromkeys(problem.tasks[task].path.partition("/")[0] for task in schedule.critical())
    return schedule.seconds, tuple(along)


def _shown(path: str) -> str:
    return "/".join(map(unescape, path.split("/")))


_FIGURES: Final = ("seconds", "runs", "prompt_tokens", "completion_tokens", "bytes", "usd", "up", "down")


def is_plan(value: Value) -> bool:
    """Whether a value is a plan as `Plan.as_json` gives it, as far as anybody reads of it."""
    if not isinstance(value, dict):
        return False
    nodes, total, prices = value.get("nodes"), value.get("total"), value.get("prices")
    if not (isinstance(nodes, dict) and isinstance(total, dict) and isinstance(prices, dict)):
        return False
    priced = all(isinstance(each, list) and len(each) == 2 and all(map(_is_number, each)) for each in prices.values())
    summed = all(_is_number(total.get(name)) for name in ("seconds", "up", "down"))
    return priced and summed and (total.get("usd") is None or _is_number(total["usd"])) and all(map(_is_node, nodes.values()))


def _is_node(value: Value) -> bool:
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("place"), str)
        or not isinstance(value.get("model", ""), str | None)
    ):
        return False
    figures = [value[name] for name in _FIGURES if value.get(name) is not None]
    return all(
        isinstance(each, dict) and _is_number(each.get("value")) and isinstance(each.get("source"), str) for each in figures
    )


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e18 < value < 1e18
