"""Checking: everything wrong with a graph, found at once and before anything runs (graph-spec §5).

Messages hold GraphAI's own words, and whatever GraphAI refuses is refused. What GraphAI accepts but a person hardly means is a
warning, and so is every problem of a nested graph, which GraphAI meets only when its node runs; `strict` makes those errors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from graphs.errors import GraphInvalid, Problem
from graphs.language.check_attributes import RUN_OPTIONS, SENSITIVITY_WORDS, Attributes
from graphs.language.check_privacy import check_declassify
from graphs.language.check_sources import Sources
from graphs.language.cycles import circles, stuck
from graphs.language.fields import GRAPH, word_for
from graphs.language.marks import Marks, Path
from graphs.language.plain import copy_plain, is_plain
from graphs.language.report import CODES, Report, in_document_order
from graphs.values import Value

__all__ = ["CODES", "RUN_OPTIONS", "SENSITIVITY_WORDS", "check", "first"]

_MOST_NAMES = 20

_STEPS: Final = {
    "GF102": 1, "GF104": 2, "GF112": 3, "GF113": 4, "GF111": 5, "GF105": 6, "GF103": 7, "GF115": 9, "GF116": 9, "GF114": 11, "GF117": 11
}  # fmt: skip
"""The step of GraphAI's own checking (§5) that finds a problem; what is not here keeps a graph from being read at all."""


def check(
    document: Any,
    agents: Collection[str] | None,
    *,
    marks: Marks | None = None,
    file: str | None = None,
    bypass: Collection[str] = (),
    strict: bool = False,
    allow_cut: bool = False,
    known_models: Collection[str] | None = None,
    sensitivity_words: Collection[str] = SENSITIVITY_WORDS,
) -> list[Problem]:
    """All problems of a graph's document, in document order; warnings among them. Never raises.

    `agents` are the names known here (None: any name will do), `bypass` names accepted without an agent. `allow_cut` accepts what
    only cut graphs have. With `known_models` an unknown `model` is warned of. `sensitivity_words` are refused as concurrency labels.
    """
    report = Report(marks, file, strict=strict)
    if marks is not None:
        report.problems.extend(marks.problems)
    elif problems := _not_data(document, file):
        return problems
    names = None if agents is None else frozenset((*agents, *bypass))
    options = _Options(names, allow_cut, known_models, frozenset(sensitivity_words))
    _GraphCheck(document, report, options).run()
    return in_document_order(report.problems, document)


def first(problems: Collection[Problem]) -> Problem | None:
    """The problem GraphAI would raise: the first error in the order of its own checks."""
    errors = [problem for problem in problems if not problem.warning]
    return min(errors, key=_step) if errors else None


def _step(problem: Problem) -> int:
    step = _STEPS.get(problem.code, 0)
    if problem.code == "GF104" and "nodes" in problem.path:
        return 5
    return 8 if problem.path[-1:] == ("update",) else step


class _Options(NamedTuple):
    agents: frozenset[str] | None
    allow_cut: bool
    models: Collection[str] | None
    labels_refused: frozenset[str]


class _GraphCheck:
    """Checks one graph. `given` are the static nodes that its parent's inputs make, `outside` the names that it cannot see,
    one collection for each graph around it."""

    def __init__(
        self,
        graph: Any,
        report: Report,
        options: _Options,
        given: frozenset[str] = frozenset(),
        outside: tuple[Collection[str], ...] = (),
    ) -> None:
        self.graph = graph
        self.report = report
        self.options = options
        self.given = given
        self.outside = outside

    def run(self) -> None:
        graph, report = self.graph, self.report
        if not isinstance(graph, dict):
            report.error("GF102", f"Invalid Graph Data: no nodes; a graph is a map, this is {word_for(graph)}", ())
            return
        nodes = self._nodes()
        options = self.options
        attributes = Attributes(
            report, options.models, options.labels_refused, allow_cut=options.allow_cut, agents=options.agents
        )
        attributes.graph(graph, nodes or {}, is_nested=bool(self.outside))
        if nodes is None:
            return
        declared = graph.get("inputs")
        known = {*nodes, *self.given, *(declared if isinstance(declared, dict) else ())}
        sources = Sources(report, nodes, known, self.outside)
        agents = self.options.agents
        waits: dict[str, tuple[str, ...]] = {}
        for name, node in nodes.items():
            if not isinstance(node, dict):
                text = f'node "{name}" is empty' if node is None else f'node "{name}" is {word_for(node)}'
                report.error("GF102", f"{text}: a node is a map with `value` or `agent`", ("nodes", name), key=True)
            elif "agent" in node:
                attributes.computed(name, node)
                agent = node["agent"]
                if type(agent) is not str or agents is None or agent not in agents:
                    self._agent(name, agent)
                if agent == "declassifyAgent":
                    check_declassify(report, name, node)
                waits[name] = sources.computed(name, node)
                if "graph" in node or agent in _NESTING:
                    self._nested(name, node)
            else:
                attributes.static(name, node)
                if node.get("update") is not None:
                    sources.update(name, node["update"])
        sources.loop(graph.get("loop"))
        self._order(waits, sources.passed)

    def _nodes(self) -> dict[str, Value] | None:
        graph, report = self.graph, self.report
        if "nodes" not in graph:
            hint = report.did_you_mean("nodes", (key for key in graph if key not in GRAPH), lambda key: (key,))
            report.error("GF102", "Invalid Graph Data: no nodes", (), suggestion=hint)
            return None
        nodes = graph["nodes"]
        if isinstance(nodes, list):
            report.error("GF102", "Invalid Graph Data: nodes must be object, a map of names to nodes", ("nodes",), key=True)
        elif not isinstance(nodes, dict):
            report.error(
                "GF102", f"Invalid Graph Data: invalid nodes: a map of names to nodes, not {word_for(nodes)}", ("nodes",)
            )
        elif not nodes and not self.given:
            report.error("GF102", "Invalid Graph Data: nodes is empty", ("nodes",), key=True)
        else:
            return nodes
        return None

    def _agent(self, name: str, agent: Value) -> None:
        path: Path = ("nodes", name, "agent")
        if not isinstance(agent, str):
            message = f'agent must be either string or function: node "{name}" has {word_for(agent)}'
            self.report.error("GF106", message, path)
        elif not agent.startswith(":") and self.options.agents is not None:
            message = f'node "{name}" has the agent "{agent}", which is not known here'
            graphai = f"Invalid Agent : {agent} is not in AgentFunctionInfoDictionary."
            hint = self.report.did_you_mean(agent, self.options.agents)
            self.report.error("GF105", f"{message} (GraphAI: {graphai})", path, suggestion=hint)

    def _nested(self, name: str, node: Mapping[str, Value]) -> None:
        graph, agent = node.get("graph"), node["agent"]
        if graph is None and agent in _NESTING and "graphLoader" not in node:
            self.report.warn("GF156", f'{agent} needs a graph: node "{name}" has none', ("nodes", name, "agent"))
        inputs = node.get("inputs")
        names = dict.fromkeys(inputs) if isinstance(inputs, dict) else {}
        if agent == "mapAgent":
            if "rows" not in names:
                message = f'mapAgent: rows property is required in namedInput; node "{name}" has no input `rows`'
                self.report.warn("GF156", message, ("nodes", name, "agent"))
            params = node.get("params")
            row_key = params.get("rowKey") if isinstance(params, dict) else None
            names.pop("rows", None)
            names |= dict.fromkeys((row_key if isinstance(row_key, str) and row_key else "row", "__mapIndex"))
        if not isinstance(graph, dict):
            return
        inner = self.report.nested(("nodes", name, "graph"))
        if agent == "nestedAgent":
            self._clashes(name, graph, names, inner)
        given = names if isinstance(agent, str) and not agent.startswith(":") else {**names, "row": None, "__mapIndex": None}
        outside = (*self.outside, self.graph["nodes"], self.given)
        _GraphCheck(graph, inner, self.options, frozenset(given), outside).run()

    def _clashes(self, name: str, graph: Mapping[str, Value], given: Mapping[str, None], inner: Report) -> None:
        nodes = graph.get("nodes")
        if not isinstance(nodes, dict):
            return
        for each in given:
            node = nodes.get(each)
            if isinstance(node, dict) and "agent" in node:
                message = (
                    f'Cannot set both agent and value: the input "{each}" of node "{name}" has the name of a node with an agent'
                )
                inner.error("GF111", message, ("nodes", each), key=True)

    def _order(self, waits: Mapping[str, tuple[str, ...]], passed: Mapping[str, tuple[str, ...]]) -> None:
        """Whether every node can start, if it is not skipped (§5.9)."""
        if not waits:
            if not self.options.allow_cut:
                self.report.error(
                    "GF116", "No Initial Runnning Node: no node has an agent, so nothing would run", ("nodes",), key=True
                )
            return
        left = stuck(waits)
        if left:
            listed = ", ".join(left[:_MOST_NAMES]) + (f" and {len(left) - _MOST_NAMES} more" if len(left) > _MOST_NAMES else "")
            code, text = "GF115", f"Some nodes are not executed: {listed}"
            if all(any(name in waits for name in names) for names in waits.values()):
                code, text = "GF116", "No Initial Runnning Node"
            for circle in circles(waits, left):
                self.report.error(code, f"{text}; {_told(circle)}", ("nodes", circle[0]), key=True)
                code, text = "GF115", "Some nodes are not executed"
        elif passed:
            both = {name: (*names, *passed.get(name, ())) for name, names in waits.items()}
            for circle in circles(both, stuck(both)):
                message = f"{_told(circle)} through passThrough, and never start"
                self.report.warn("GF159", message, ("nodes", circle[0]), key=True)


_NESTING: Final = ("nestedAgent", "mapAgent")


def _told(circle: list[str]) -> str:
    if len(circle) == 1:
        return f'"{circle[0]}" waits for itself'
    shown = circle if len(circle) <= _MOST_NAMES else [*circle[: _MOST_NAMES - 1], "...", circle[-1]]
    first, second, *others = (f'"{name}"' for name in (*shown, circle[0]))
    return f"{first} waits for {second}" + "".join(f", which waits for {each}" for each in others)


def _not_data(document: Any, file: str | None) -> list[Problem]:
    """What is wrong with a document that no loader has seen, as data; empty if nothing is."""
    if is_plain(document):
        return []
    try:
        copy_plain(document, file)
    except GraphInvalid as error:
        return list(error.problems)
    return [
        Problem("GF123", "tuples, keys that are no text, and the like: take the document that `load_data` makes of it", (), file)
    ]
