"""What the nodes of a run took: noted when the run stops, off its way, so that the next one can be estimated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from edge.placing.facts import Facts
from edge.placing.node_needs import model_named
from edge.planning.keys import EDGE, agent_key, computed_nodes, node_key
from graphs.engine.outcomes import KEY
from graphs.errors import JournalError
from graphs.journal.history import HistoryRow
from graphs.language.spec import Graph
from graphs.paths import document_path
from graphs.records import Result, decode, is_untold
from graphs.values import Value
from protocol.payload import references
from protocol.refill import with_counts

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["note_run"]

_MOST: Final = 2_000
"""Records of a log that are looked at: a longer one tells enough by its beginning."""

_NO_KEYS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(slots=True)
class _Sum:
    """What all executions of something took. Tokens are None where no model was asked, or where what one execution used is not known here: a sum
    without it would be taken for all of it by the next plan.
    """

    runs: int = 0
    ms: int = 0
    bytes: int = 0
    prompt: int | None = None
    completion: int | None = None
    untold: bool = False

    def add(self, record: Result, size: int, *, counts: bool, opens: bool) -> None:
        """`counts`: it is an execution of that very node; `opens`: it opened a graph, whose nodes say themselves what they took."""
        usage = record.usage or {}
        self.runs += counts
        self.ms += 0 if opens else _count(usage.get("ms")) or 0
        self.bytes += size if counts else 0
        self.untold = self.untold or is_untold(record)
        for name in ("prompt", "completion"):
            tokens = _count(usage.get(f"{name}_tokens"))
            if self.untold:
                setattr(self, name, None)
            elif tokens is not None:
                setattr(self, name, (getattr(self, name) or 0) + tokens)


def note_run(
    journal: Journal, run: bytes, graph: Graph, facts: Facts, now: int, keys: Mapping[str, str] = _NO_KEYS, *, before: int = 0
) -> None:
    """Queues what the nodes of a run took, as far as it got; to note it again replaces that. `facts` are what they were placed by, `keys` those
    of nodes where they are known already; `now`: ms since 1970. Of a run that was gone on with, `before` are the records that this device's log
    of it had then: nothing new is to be noted if they were more than are looked at.
    """
    if before > _MOST and _is_noted(journal, run):
        return
    nodes = dict(computed_nodes(graph))
    sums: dict[tuple[str, str, str], _Sum] = {}
    seen: set[str] = set()
    whole = True
    for place, results in _logs(journal, run):
        for record, size in results:
            if record is None:
                whole = False
                break
            if record.by.get("alt") or KEY in record.by or record.path in seen:
                continue
            seen.add(record.path)
            path = document_path(record.path)
            own = path in nodes
            while path not in nodes and "/" in path:  # in a graph that came out of a value: counts for the node that opened it
                path = path.rpartition("/")[0]
            if path not in nodes:
                continue
            spec = nodes[path]
            asked = None if record.by.get("degraded") or not own else model_named(spec, facts)
            model = str(asked or record.by.get("model") or "")
            agent = record.by.get("agent")
            opens = own and isinstance(agent, str) and agent in facts.agents and facts.agents[agent].nests is not None
            sums.setdefault((keys.get(path) or node_key(path, spec), place, model), _Sum()).add(
                record, size, counts=own, opens=opens
            )
            if own and isinstance(agent, str):
                sums.setdefault((agent_key(agent), place, model), _Sum()).add(record, size, counts=True, opens=opens)
    rows = [
        HistoryRow(what, place, model, run, now, each.runs, whole, each.ms, each.bytes, each.prompt, each.completion)
        for (what, place, model), each in sums.items()
    ]
    journal.note_history(rows, now)


def _is_noted(journal: Journal, run: bytes) -> bool:
    """Whether what the beginning of a run took was noted when it stopped before. A worker's part of it may have gone on."""
    if journal.children(run):
        return False
    agents = (record.by.get("agent") for record, _ in _results(journal, run, journal.store_id) if record is not None)
    first = next(agents, None)
    return isinstance(first, str) and any(row.run == run for row in journal.history([agent_key(first)]))


def _logs(journal: Journal, run: bytes) -> Iterator[tuple[str, Iterable[tuple[Result | None, int]]]]:
    yield EDGE, _results(journal, run, journal.store_id)
    for child in journal.children(run):
        for writer in journal.writers(child.run):
            if writer != journal.store_id:
                yield writer.hex(), _results(journal, child.run, writer)


def _results(journal: Journal, run: bytes, writer: bytes) -> Iterator[tuple[Result | None, int]]:
    """The results in a log with the bytes of their records and values; None in the end if there are more records than are looked at."""
    try:
        for entry in journal.entries(run, writer):
            if entry.seq > _MOST:
                yield None, 0
                return
            if entry.type == Result.TYPE:
                record = decode(entry.type, entry.tail, entry.fields)
                assert isinstance(record, Result)
                yield with_counts(journal, record, names=True), len(entry.tail) + sum(named.size for named in references(record))
    except JournalError:
        return  # whoever reads the run is told that it is damaged; its figures are of no importance


def _count(value: Value) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 else None
