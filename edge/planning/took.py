"""What a run took, node by node, from its records: to be put beside its plan. And what it cost, by prices that somebody named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgpack

from edge.runs.writers import place_of_writer
from graphs.engine.outcomes import KEY
from graphs.language.refs import names_in
from graphs.language.spec import written_inside
from graphs.models.prices import Price
from graphs.paths import document_path, escape, unescape
from graphs.records import Error, Event, Frame, Input, Record, Result, Submit, decode, is_untold, used_up
from graphs.values import Value, decode as load
from protocol.payload import references
from protocol.refill import with_counts

if TYPE_CHECKING:
    from graphs.journal import Journal, RunRow
    from graphs.language.spec import Graph

__all__ = ["Bill", "Prices", "Took", "Totals", "took"]

_FREE: Final = Price(0.0, 0.0)
_TYPES: Final = frozenset({Submit.TYPE, Frame.TYPE, Input.TYPE, Result.TYPE, Error.TYPE, Event.TYPE})
_UNNAMED: Final = "a model that was not named"
_ASKED: Final = "openai"
"""How the backend of a model behind a server begins, in the provenance of what it made."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by `place model`, as a plan has them. `then`: they are those of when the run began; else those of now."""

    known: Mapping[str, Price]
    then: bool

    @classmethod
    def of_plan(cls, plan: Mapping[str, Any]) -> Prices:
        """Those that a run's plan was made with."""
        return cls({name: Price(*each) for name, each in plan["prices"].items()}, True)

    @classmethod
    def of_now(cls, servers: Mapping[str, Price], offer: Mapping[str, Any] | None) -> Prices:
        """Those of this device's models behind `servers`, and of a worker's last offer."""
        known = {f"edge {name}": price for name, price in servers.items()}
        for name, about in ((offer or {}).get("models") or {}).items():
            if (price := Price.of_offer(about)) is not None:
                known[f"cloud {name}"] = price
        return cls(known, False)

    def of(self, place: str, by: Mapping[str, Value], asked: str | None = None) -> Price | None:
        """The price of what made a result; `asked` is the name by which the model was asked, where that is known. None if nobody named one."""
        for name in (asked, by.get("model")):
            if (found := self.known.get(f"{place} {name}")) is not None:
                return found
        outside = place != "edge" or str(by.get("backend") or _ASKED).startswith(_ASKED)
        return None if outside else _FREE


@dataclass(slots=True)
class Bill:
    """What tokens cost: dollars, and the models without a price, which are not in them. `asked`: tokens were used at all. `untold`: of so many
    attempts nobody here knows how many tokens they used, so all the rest is the least that it was.
    """

    usd: float = 0.0
    unpriced: dict[str, None] = field(default_factory=dict)
    asked: bool = False
    untold: int = 0

    @property
    def complete(self) -> bool:
        """Whether the dollars are all it cost."""
        return not (self.unpriced or self.untold)

    def add(
        self,
        prices: Prices,
        place: str,
        by: Mapping[str, Value],
        usage: Mapping[str, Value] | None,
        named: str | None = None,
    ) -> float | None:
        """Dollars for what made one result; None if it used no tokens, or nobody named the price. `named` is the model as it was asked."""
        told = [(usage or {}).get(f"{kind}_tokens") for kind in ("prompt", "completion")]
        if any(_is_elsewhere(each) for each in told):
            self.asked = True
            self.untold += 1
            return None
        prompt, completion = map(_count, told)
        if prompt is None and completion is None:
            return None
        self.asked = True
        price = prices.of(place, by, named)
        if price is None:
            self.unpriced[str(named or by.get("model") or _UNNAMED)] = None
            return None
        usd = price.of(prompt or 0, completion or 0)
        self.usd += usd
        return usd

    def as_json(self, prices: Prices) -> dict[str, Any] | None:
        """For `--json`; None if no tokens were used."""
        if not self.asked:
            return None
        return {
            "usd": round(self.usd, 9) if self.complete else None,
            "usd_known": round(self.usd, 9),
            "unpriced": list(self.unpriced),
            **({"untold": self.untold} if self.untold else {}),
            "prices": "when the run began" if prices.then else "now",
        }


@dataclass(slots=True)
class Took:
    """What a node's executions took together: seconds of work, tokens, bytes over the link for its value, money."""

    places: list[str] = field(default_factory=list)
    runs: int = 0
    seconds: float = 0.0
    prompt: int | None = None
    completion: int | None = None
    up: int = 0
    down: int = 0
    bill: Bill = field(default_factory=Bill)
    degraded: str | None = None
    failed: int = 0
    """Attempts that failed and had used tokens, which are among these."""
    stopped: int = 0
    """Attempts that were stopped, as the loser of a hedge is."""
    unheard: int = 0
    """Those of them of which nobody said what they used: stopped before their first token, or by a server that does not say."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "place": "+".join(self.places),
            "runs": self.runs,
            "seconds": round(self.seconds, 3),
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "up": self.up,
            "down": self.down,
            "usd": round(self.bill.usd, 9) if self.bill.complete else None,
            "unpriced": list(self.bill.unpriced),
            **({"untold": self.bill.untold} if self.bill.untold else {}),
            **({"failed_attempts": self.failed} if self.failed else {}),
            **({"stopped_attempts": self.stopped} if self.stopped else {}),
        }


@dataclass(slots=True)
class Totals:
    """All of a run. `seconds` is how long it took from its beginning to when it stopped last; None while it runs. `graphs` are bytes of the orders to
    the worker: graphs, as they are written, with the values they begin with.
    """

    nodes: dict[str, Took]
    seconds: float | None
    graphs: int
    prices: Prices

    @property
    def up(self) -> int:
        return self.graphs + sum(each.up for each in self.nodes.values())

    @property
    def down(self) -> int:
        return sum(each.down for each in self.nodes.values())

    @property
    def usd(self) -> float:
        """Dollars, without what was spent on `unpriced` models."""
        return sum(each.bill.usd for each in self.nodes.values())

    @property
    def unpriced(self) -> list[str]:
        return list(dict.fromkeys(name for each in self.nodes.values() for name in each.bill.unpriced))

    @property
    def untold(self) -> int:
        """Attempts of which nobody here knows how many tokens they used: what they said is at a worker."""
        return sum(each.bill.untold for each in self.nodes.values())

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "nodes": {path: each.as_json() for path, each in self.nodes.items()},
            "total": {
                "seconds": self.seconds,
                "up": self.up,
                "down": self.down,
                "graphs": self.graphs,
                "usd": None if self.unpriced or self.untold else round(self.usd, 9),
                "usd_known": round(self.usd, 9),
                "unpriced": self.unpriced,
                **({"untold": self.untold} if self.untold else {}),
                "prices": "when the run began" if self.prices.then else "now",
            },
        }


def took(journal: Journal, row: RunRow, plan: Mapping[str, Any] | None, prices: Prices) -> Totals:
    """What a run took so far. Its lines are those of its `plan`; without one, the nodes of the root graph."""
    planned: Mapping[str, Any] = plan["nodes"] if plan is not None else {}
    logs = list(_logs(journal, row))
    results = [record for _, record, _ in logs if isinstance(record, Result)]
    deeper = {path for record in results for path in _above(document_path(record.path))}
    nodes: dict[str, Took] = {path: Took() for path in planned}
    graphs: dict[bytes, int] = {}
    orders = 0
    seen: set[str] = set()
    ended: set[str] = set()
    races: dict[str, Mapping[str, Any]] = {}
    for place, record, size in logs:
        if isinstance(record, (Error, Event)) and record.path is not None:
            ended.add(record.path)
        if isinstance(record, (Submit, Frame)):
            stored = journal.graph(record.graph)
            if isinstance(record, Submit) and stored is not None and place == "edge":
                races.update(_races(written_inside({"graph": load(stored.body)}), ""))
            if place == "cloud":
                orders += size
                graphs[record.graph] = len(stored.body) if stored is not None else 0
        elif isinstance(record, Input):
            _line(nodes, record.path, planned).up += size
        elif (used := used_up(record)) is not None and isinstance(record, (Error, Event)) and record.path is not None:
            line = _line(nodes, record.path, planned)
            _add_lost(line, place, used, prices, _asked(planned, document_path(record.path)))
            line.failed += isinstance(record, Error)
            line.stopped += isinstance(record, Event)
        elif isinstance(record, (Error, Event)) and record.path is not None and is_untold(record):
            _line(nodes, record.path, planned).bill.untold += 1
        elif isinstance(record, Result):
            line = _line(nodes, record.path, planned)
            line.down += size if place == "cloud" else 0
            own = document_path(record.path)
            counted = record.path not in seen and not record.by.get("alt")
            seen.add(record.path)
            _add(line, place, record, prices, _asked(planned, own), counts=counted, opens=own in deeper)
    for path in _unheard(races, seen, ended):
        line = _line(nodes, path, planned)
        line.stopped += 1
        line.unheard += 1
    seconds = (row.ended - row.started) / 1000 if row.ended is not None else None
    return Totals(nodes, seconds, orders + sum(graphs.values()), prices)


def _add(line: Took, place: str, record: Result, prices: Prices, asked: str | None, *, counts: bool, opens: bool) -> None:
    """`counts`: it is the result; what came too late took its time and money as well. `opens`: the nodes inside say what they took."""
    usage: Mapping[str, Any] = record.usage or {}
    if counts:
        line.runs += 1
        line.degraded = line.degraded or record.by.get("degraded")
        if place not in line.places:
            line.places.append(place)
    if not opens:
        line.seconds += (_count(usage.get("ms")) or 0) / 1000
    for name in ("prompt", "completion"):
        if (tokens := _count(usage.get(f"{name}_tokens"))) is not None:
            setattr(line, name, (getattr(line, name) or 0) + tokens)
    named = None if record.by.get("degraded") else asked
    line.bill.add(prices, place, record.by, usage, named)


def _add_lost(line: Took, place: str, usage: Mapping[str, Value], prices: Prices, asked: str | None) -> None:
    """What an attempt used up that gave nothing."""
    if place not in line.places:
        line.places.append(place)
    for name in ("prompt", "completion"):
        if (tokens := _count(usage.get(f"{name}_tokens"))) is not None:
            setattr(line, name, (getattr(line, name) or 0) + tokens)
    line.seconds += (_count(usage.get("ms")) or 0) / 1000
    line.bill.add(prices, place, {name: usage[name] for name in ("model", "backend") if name in usage}, usage, asked)


def _races(graph: Graph | None, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """By the place in the document of what takes the first answer of a race (graphs.language.cascade): the nodes of that race."""
    for name, spec in graph.nodes.items() if graph is not None else ():
        inside = written_inside(spec)
        params = spec.get("params")
        if inside is not None and isinstance(params, Mapping) and params.get("race"):
            yield f"{prefix}{escape(name)}/{escape(str(params.get('resultNodeId')))}", inside.nodes
        yield from _races(inside, f"{prefix}{escape(name)}/")


def _unheard(races: Mapping[str, Mapping[str, Any]], seen: Collection[str], ended: Collection[str]) -> Iterator[str]:
    """The askings that were on when their race was over, and of whose end no record tells: their paths."""
    for taken in [path for path in seen if document_path(path) in races]:
        inside, nodes = taken.rpartition("/")[0], races[document_path(taken)]
        answer = nodes[unescape(document_path(taken).rpartition("/")[2])]
        for asking in names_in(answer.get("inputs")):
            path = f"{inside}/{escape(asking)}"
            began = all(f"{inside}/{escape(each)}" in seen for each in names_in(nodes[asking].get("if")))
            if began and path not in seen and path not in ended:
                yield path


def _asked(planned: Mapping[str, Any], path: str) -> str | None:
    model = planned[path]["model"] if path in planned else None
    return model if isinstance(model, str) else None


def _line(nodes: dict[str, Took], path: str, planned: Mapping[str, Any]) -> Took:
    """The line that an execution counts for: that of its node, or of the nearest one around it that has one."""
    found = document_path(path)
    while found not in planned and "/" in found:
        found = found.rpartition("/")[0]
    return nodes.setdefault(found, Took())


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _logs(journal: Journal, row: RunRow) -> Iterator[tuple[str, Record, int]]:
    """Records that say what was done where, with their sizes on the link: the root run's, then those of its child runs."""
    of_root = place_of_writer(journal, row.run)
    for run in (row.run, *(child.run for child in journal.children(row.run))):
        for writer in journal.writers(run):
            place = of_root(writer) if run == row.run else "cloud"
            for entry in journal.entries(run, writer):
                if entry.type in _TYPES:
                    record = decode(entry.type, entry.tail)
                    if isinstance(record, Result) and KEY in record.by:
                        continue  # it may count yet, and is here once more then
                    yield place, with_counts(journal, record, names=True), len(entry.tail) + _bodies(record)


def _is_elsewhere(value: Value) -> bool:
    return isinstance(value, msgpack.ExtType)


def _bodies(record: Record) -> int:
    return sum(named.size for named in references(record))


def _count(value: Value) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 else None
