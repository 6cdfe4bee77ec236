"""Estimates: what a node is expected to take at a place, from what is known. Pure.

For each figure the nearest thing that is known counts: what this node took there with this model in earlier runs; what its agent took; what the
model's measured or reported speed makes of the tokens; what the graph itself says; and only then an assumption, which says that it is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge.placing.figures import FREE, Capacity, Estimate, Figure, Link, Source
from edge.planning.keys import EDGE, agent_key, computed_nodes, node_key
from edge.planning.knowledge import FREE_OF_CHARGE, Knowledge
from edge.planning.past import Past, Seen, median
from graphs.journal.history import HistoryRow
from graphs.language.implementations import implementations
from graphs.language.refs import names_in
from graphs.language.spec import Graph, is_computed, written_inside
from graphs.paths import escape, unescape
from graphs.registry import Agent
from graphs.values import Value, canonical

__all__ = ["Estimates", "Told"]

_CHARACTERS: Final = 4
"""Characters that a token stands for, roughly, in the languages of the West."""
_MESSAGE: Final = 30
"""Tokens that a chat's form adds to a prompt."""
_SOURCE_TOKENS: Final = 150
_ANSWER_TOKENS: Final = 200
_EDGE_SPEED, _CLOUD_SPEED = (200.0, 20.0), (1_000.0, 50.0)
"""Tokens a second, of prompts and of answers, of a model that nobody measured."""
_VALUE_BYTES: Final = 500.0
_GENERATION_BYTES: Final = 900.0
"""Bytes of what a model's agent gives beside the texts: its choices, usage, timing."""
_ROWS, _TURNS = 10.0, 3.0
_WAYS: Final[Mapping[bool, tuple[float, float]]] = {True: (0.0005, 100e6), False: (0.05, 1.25e6)}
"""Seconds there and back, and bytes a second, to a worker on this machine and to one elsewhere."""
_FIRST_WINDOW: Final = 14_600.0
"""Bytes that TCP sends before the first of them is acknowledged (RFC 6928): until a large value went over, a way is taken to be no wider than that
a round trip. For most values it is wide enough to cost no more than that."""
_NEAR: Final = ("//127.", "//localhost", "//[::1]")
_AGENT_SECONDS: Final[Mapping[str, float]] = {"network": 1.0, "files": 0.01}
_ORDER: Final[Mapping[Source, int]] = {"measured": 0, "reported": 1, "declared": 2, "default": 3}
_ENOUGH: Final = 3
"""Runs after which what an agent took with a model tells more than how fast the model is by itself."""


@dataclass(frozen=True, slots=True)
class Told(Estimate):
    """An estimate with its tokens told apart; of a node that opens a graph, all its nodes together. `usd` is None where a model is asked
    whose price nobody said."""

    prompt: Figure | None = None
    completion: Figure | None = None
    unpriced: tuple[str, ...] = ()
    """Models that are asked and have no price."""


@dataclass(frozen=True, slots=True)
class _Each:
    """What one execution takes."""

    seconds: Figure
    bytes: Figure
    prompt: Figure | None = None
    completion: Figure | None = None


class Estimates:
    """An `Estimator` for one graph. `history` gives the journal's rows for names of nodes and agents, the newest first; `injected` are values that
    static nodes have in this run, `model_of` names the model that a node asks.
    """

    def __init__(
        self,
        graph: Graph,
        knowledge: Knowledge,
        history: Callable[[Sequence[str]], Iterable[HistoryRow]],
        *,
        agents: Mapping[str, Agent],
        model_of: Callable[[Mapping[str, Value]], str | None],
        injected: Mapping[str, Value] | None = None,
    ) -> None:
        self.knowledge = knowledge
        self._graph = graph
        self._agents = agents
        self._injected = injected or {}
        self._model_of = model_of
        self._cheap = frozenset(name for name, agent in agents.items() if agent.cheap and not agent.needs)
        self._specs = dict(computed_nodes(graph))
        ways = [(path, each) for path, spec in self._specs.items() for each in implementations(spec) or (spec,)]
        keys = [(path, node_key(path, each)) for path, each in ways if not self._is_cheap(each)]
        self.keys: Mapping[str, str] = dict(reversed(keys))
        """What history calls the nodes, by their place in the document: of several implementations the first. It has none that are cheap."""
        named = {each["agent"] for _, each in ways if isinstance(each["agent"], str) and not self._is_cheap(each)}
        rows = history([*dict.fromkeys(key for _, key in keys), *sorted(map(self._agent_key, named))]) if keys else ()
        self._past = Past(rows, knowledge.now, knowledge.store)
        self._sizes: dict[str, Figure] = {}
        self._known: dict[tuple[str, str, str | None, int], Told] = {}

    # -- what placement asks

    def node(self, path: str, spec: Mapping[str, Value], place: str, model: str | None) -> Told:
        """Of the node at this place in the document, were it to run at `place`, asking `model`."""
        key = (path, place, model, id(spec))
        found = self._known.get(key)
        if found is None:
            inside = written_inside(spec) if "graph" in spec else None
            if inside is not None:
                found = self._opener(path, inside, place)
            elif self._is_cheap(spec):
                found = self._computed(path)
            else:
                found = self._leaf(path, spec, place, model)
            self._known[key] = found
        return found

    def link(self, place: str) -> Link:  # noqa: ARG002 - there is one worker
        """Of the way to the worker: as measured, otherwise as usual."""
        known = self.knowledge
        rtt, width = _WAYS[any(each in (known.url or "") for each in _NEAR)]
        facts = known.link
        measured = facts.rtt if facts else None
        least = _of(_FIRST_WINDOW / max(measured.value, 1e-6), measured) if measured else Figure(width, "default")
        up, down = (facts.up if facts else None) or least, (facts.down if facts else None) or least
        return Link(measured or Figure(rtt, "default"), up, down, known.conditions.metered is True, known.queue)

    def value_bytes(self, path: str) -> Figure:
        """The size of a static node's value: as it is written or given; a loop may change it."""
        found = self._sizes.get(path)
        if found is None:
            *around, name = map(unescape, path.split("/"))
            graph: Graph | None = self._graph
            for each in around:
                graph = written_inside(graph.nodes.get(each, {})) if graph is not None else None
            spec = graph.nodes.get(name, {}) if graph is not None else {}
            if not around and name in self._injected:
                spec = {"value": self._injected[name]}
            found = self._sizes[path] = (
                Figure(float(len(canonical(spec["value"]))), "measured", 1, 0.0)
                if "value" in spec
                else Figure(_VALUE_BYTES, "default")
            )
        return found

    def capacity(self, place: str) -> Capacity:
        """How much `place` does at once."""
        models = self.knowledge.here if place == EDGE else self.knowledge.there
        return Capacity(models=dict.fromkeys(models, _SIDE_BY_SIDE))

    @property
    def prices(self) -> dict[str, tuple[float, float]]:
        """Dollars for a million tokens of prompts and of answers, by `place model`, where they are known."""
        known = self.knowledge
        both = (("edge", known.here), ("cloud", known.there))
        return {
            f"{place} {name}": (facts.price.usd_in, facts.price.usd_out)
            for place, models in both
            for name, facts in models.items()
            if facts.price is not None
        }

    # -- one node

    def _is_cheap(self, spec: Mapping[str, Value]) -> bool:
        """Whether its agent says that it takes no time; then nobody notes what it took."""
        return spec["agent"] in self._cheap if isinstance(spec["agent"], str) else False

    def _what(self, path: str, spec: Mapping[str, Value]) -> str:
        """What history calls a node with these attributes. What stood in for a node while there was no worker is noted as that node's."""
        if self._specs.get(path) is spec or not isinstance(spec.get("any"), int):
            return self.keys.get(path, "")
        return node_key(path, spec)

    def _agent_key(self, name: str) -> str:
        return agent_key(self._agents[name].name if name in self._agents else name)

    def _computed(self, path: str) -> Told:
        runs = self._repeats(path)
        return _AT_ONCE if runs == _ONCE else replace(_AT_ONCE, out_bytes=_product(runs, _AT_ONCE.out_bytes), runs=runs)

    def _leaf(self, path: str, spec: Mapping[str, Value], place: str, model: str | None) -> Told:
        what = self._what(path, spec)
        runs = self._past.anyhow(what).runs or self._repeats(path)
        each = self._each(spec, what, place, model)
        prompt, completion = (_times(runs, figure) for figure in (each.prompt, each.completion))
        usd, unpriced = self._usd(place, model, prompt, completion)
        seconds, size = _times(runs, each.seconds), _times(runs, each.bytes)
        assert seconds is not None
        assert size is not None
        joules = self._joules(place, model, seconds)
        return Told(seconds, _plus(prompt, completion), size, usd, joules, runs, prompt, completion, unpriced)

    def _joules(self, place: str, model: str | None, seconds: Figure) -> Figure:
        """Energy of this device: none where others compute."""
        if place != EDGE or self.knowledge.model(place, model).outside:
            return FREE
        watts = self.knowledge.watts
        return _of(seconds.value * watts.value, seconds, watts)

    def _each(self, spec: Mapping[str, Value], what: str, place: str, model: str | None) -> _Each:
        name = spec.get("agent")
        agent = self._agents.get(name) if isinstance(name, str) else None
        here, anyhow = self._past.at(what, place, model), self._past.anyhow(what)
        there = self._past.at(self._agent_key(str(name)), place, model)
        if model is None and not (agent is not None and "model" in agent.needs):
            seconds = here.seconds or there.seconds or _guess(anyhow.seconds) or _usual(agent)
            return _Each(seconds, here.bytes or anyhow.bytes or there.bytes or Figure(_VALUE_BYTES, "default"))
        alike = here or self._past.by(what, model)  # what a model says does not hang on where it is
        prompt = alike.prompt or _guess(anyhow.prompt) or self._asked(spec)
        completion = alike.completion or _guess(anyhow.completion) or self._answer(spec, there)
        seconds = here.seconds or self._by_speed(place, model, prompt, completion, there)
        usual = _GENERATION_BYTES + _CHARACTERS * (prompt.value + 3 * completion.value)
        return _Each(seconds, here.bytes or _guess(anyhow.bytes) or Figure(usual, "default"), prompt, completion)

    def _by_speed(self, place: str, model: str | None, prompt: Figure, completion: Figure, others: Seen) -> Figure:
        """What so many tokens take: by what the agent took for its own with that model, or by the model's speed."""
        facts = self.knowledge.model(place, model)
        usual = _EDGE_SPEED if place == EDGE and not facts.outside else _CLOUD_SPEED
        reading, making = facts.prompt or Figure(usual[0], "default"), facts.answer or Figure(usual[1], "default")
        ratio = reading.value / making.value
        rated = [row for row in others.rows if row.completion and row.ms]
        if rated and (len(rated) >= _ENOUGH or facts.answer is None):
            each = [row.ms / 1000 / ((row.completion or 0) + (row.prompt or 0) / ratio) for row in rated]
            rate = others.measured(median(each), rated)
            return _of(rate.value * (completion.value + prompt.value / ratio), rate, prompt, completion)
        return _of(prompt.value / reading.value + completion.value / making.value, reading, making, prompt, completion)

    def _usd(
        self, place: str, model: str | None, prompt: Figure | None, completion: Figure | None
    ) -> tuple[Figure | None, tuple[str, ...]]:
        if prompt is None or completion is None:
            return FREE, ()
        price = self.knowledge.model(place, model).price
        if price is FREE_OF_CHARGE:
            return FREE, ()
        if price is None:
            return None, (model or "a model named when it runs",)
        source = Figure(0.0, "declared" if place == EDGE else "reported", 1, None if place == EDGE else self.knowledge.offer_age)
        return _of(price.of(prompt.value, completion.value), source, prompt, completion), ()

    # -- a node with a graph in it

    def _opener(self, path: str, inside: Graph, place: str) -> Told:
        parts = [
            self.node(f"{path}/{escape(name)}", each, place, self._model_of(each))
            for name, each in inside.nodes.items()
            if is_computed(each)
        ]
        own = self._past.anyhow(self.keys.get(path, ""))
        results = [
            each.out_bytes
            for each, node in zip(parts, [node for node in inside.nodes.values() if is_computed(node)], strict=True)
            if node.get("isResult") is True
        ]
        size = own.bytes or _total(results) or Figure(_VALUE_BYTES, "default")
        unpriced = tuple(dict.fromkeys(name for each in parts for name in each.unpriced))
        prompt, completion = _total(each.prompt for each in parts), _total(each.completion for each in parts)
        return Told(
            _total(each.seconds for each in parts) or FREE,
            _plus(prompt, completion),
            size,
            None if unpriced else _total(each.usd for each in parts) or FREE,
            _total(each.joules for each in parts) or FREE,
            own.runs or self._repeats(path),
            prompt,
            completion,
            unpriced,
        )

    # -- how often

    def _repeats(self, path: str) -> Figure:
        """How often a node runs by the loops and maps around it."""
        found = _turns(self._graph)
        graph: Graph | None = self._graph
        *around, _ = map(unescape, path.split("/"))
        for name in around:
            spec = graph.nodes.get(name) if graph is not None else None
            outer, graph = graph, written_inside(spec) if spec is not None else None
            if spec is None or graph is None or outer is None:
                break
            if spec.get("agent") == "mapAgent":
                found = _product(found, self._rows_of(spec, outer))
            found = _product(found, _turns(graph))
        return found

    def _rows_of(self, spec: Mapping[str, Value], graph: Graph) -> Figure:
        """The rows of a map: those of a list that is written out, or of a static node that has one."""
        rows = (spec.get("inputs") or {}).get("rows")
        if isinstance(rows, str) and rows.startswith(":") and rows[1:] in graph.nodes:
            name = rows[1:]
            rows = self._injected[name] if graph is self._graph and name in self._injected else graph.nodes[name].get("value")
        if isinstance(rows, list):
            return Figure(float(len(rows)), "declared")
        return Figure(_ROWS, "default")

    # -- tokens that nobody has counted yet

    def _asked(self, spec: Mapping[str, Value]) -> Figure:
        """Tokens of a prompt, by the text that is written out, the static values it names, and something for every other node."""
        texts = [spec.get("params"), spec.get("inputs")]
        named = [name for each in texts for name in names_in(each)]
        length = sum(map(_text, texts))
        computed = 0
        for name in named:
            node = self._graph.nodes.get(name)
            if node is not None and not is_computed(node):
                length += int(self.value_bytes(escape(name)).value)
            else:
                computed += 1
        return Figure(_MESSAGE + length / _CHARACTERS + computed * _SOURCE_TOKENS, "default")

    def _answer(self, spec: Mapping[str, Value], others: Seen) -> Figure:
        """Tokens of an answer: what the agent usually gets from that model, within what the node allows."""
        usual = _guess(others.completion) or Figure(_ANSWER_TOKENS, "default")
        for part in (spec.get("params"), spec.get("inputs")):
            for name in ("max_completion_tokens", "max_tokens"):
                most = part.get(name) if isinstance(part, Mapping) else None
                if isinstance(most, (int, float)) and not isinstance(most, bool) and 0 < most < usual.value:
                    return Figure(float(most), "declared")
        return usual


_ONCE: Final = Figure(1.0, "declared")
_AT_ONCE: Final = Told(FREE, None, Figure(_VALUE_BYTES, "default"), FREE, FREE, _ONCE)
"""A node that takes no time, run once."""
_SIDE_BY_SIDE: Final = 4
"""Generations that a model makes together at little more than the cost of one."""


def _usual(agent: Agent | None) -> Figure:
    """Seconds of an agent that never ran here; one that says it is cheap takes none."""
    if agent is not None and agent.cheap:
        return FREE
    needs = agent.needs if agent is not None else ()
    return Figure(max((_AGENT_SECONDS.get(need, 0.0) for need in needs), default=0.0) or 0.01, "default")


def _turns(graph: Graph) -> Figure:
    loop = graph.document.get("loop")
    if not isinstance(loop, Mapping):
        return _ONCE
    count = loop.get("count")
    if isinstance(count, (int, float)) and not isinstance(count, bool):
        return Figure(max(1.0, float(count)), "declared")
    return Figure(_TURNS, "default")


def _text(value: Value) -> int:
    """Characters of the texts in a value."""
    if isinstance(value, str):
        return 0 if value.startswith(":") else len(value)
    if isinstance(value, Mapping):
        return sum(map(_text, value.values()))
    return sum(map(_text, value)) if isinstance(value, (list, tuple)) else 0


def _of(value: float, *parts: Figure) -> Figure:
    """A figure that was worked out from others: no better known than the worst of them, and as old as the oldest."""
    worst = max(parts, key=lambda each: _ORDER[each.source])
    ages = [each.age for each in parts if each.age is not None and each.source == worst.source]
    counts = [each.n for each in parts if each.source == worst.source and each.n]
    return Figure(value, worst.source, min(counts, default=0), max(ages, default=None))


def _guess(figure: Figure | None) -> Figure | None:
    """What was measured of something else than is asked about is a guess."""
    return Figure(figure.value, "default") if figure is not None else None


def _times(runs: Figure, each: Figure | None) -> Figure | None:
    if each is None:
        return None
    return each if runs.value == 1 and runs.source != "default" else _product(runs, each)


def _product(one: Figure, other: Figure) -> Figure:
    return _of(one.value * other.value, one, other)


def _plus(one: Figure | None, other: Figure | None) -> Figure | None:
    return _of(one.value + other.value, one, other) if one is not None and other is not None else one or other


def _total(figures: Iterable[Figure | None]) -> Figure | None:
    known = [figure for figure in figures if figure is not None]
    counted = [figure for figure in known if figure is not FREE] or known[:1]  # what is free says nothing of the others
    return _of(sum(each.value for each in counted), *counted) if counted else None
