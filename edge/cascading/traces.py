"""What past runs say of a cascade: how sure the first answers were, and whether the second model said the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.cascading.bars import Pair
from graphs.agents.cascade import likeness
from graphs.engine.outcomes import KEY
from graphs.language.cascade import ALWAYS
from graphs.paths import document_path, escape
from graphs.records import Result
from graphs.values import Value, decode

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["MOST_RUNS", "Compared", "Traces"]

MOST_RUNS: Final = 1000
"""Of the newest runs, how many are looked through."""


class _Cascade(NamedTuple):
    """A cascade of a graph: its place in the document, its key, and the names of the two askings in it."""

    place: str
    key: str
    first: str
    second: str


class Compared(NamedTuple):
    """What past runs say of a cascade: the questions that both models answered, the newest runs first, and how many more there are of which nobody
    knows how sure the first was, for it told no likelihoods.
    """

    pairs: list[Pair]
    mute: int


class Traces:
    """The runs of a journal as a calibration sees them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[bytes, list[_Cascade]] = {}

    def compared(self, key: str) -> Compared:
        """The answers of both models to the same questions, of the cascade with this key.

        Only of runs in which the second was asked whatever the first said: where only doubtful answers were checked, sure ones would count
        as right because nobody looked.
        """
        found: list[Pair | None] = []
        for row in self._journal.runs(MOST_RUNS, role="root"):
            cascades = [each for each in self._of_graph(row.graph) if each.key == key]
            if cascades:
                found.extend(self._of_run(row.run, cascades))
        pairs = [each for each in found if each is not None]
        return Compared(pairs, len(found) - len(pairs))

    def _of_graph(self, graph_hash: bytes) -> list[_Cascade]:
        if graph_hash not in self._known:
            stored = self._journal.graph(graph_hash)
            self._known[graph_hash] = list(_cascades(decode(stored.body), "")) if stored is not None else []
        return self._known[graph_hash]

    def _of_run(self, run: bytes, cascades: Sequence[_Cascade]) -> Iterator[Pair | None]:
        values: dict[str, Value] = {}
        for log in (run, *(child.run for child in self._journal.children(run))):
            for logged in self._journal.records(log):
                if isinstance(logged.record, Result) and KEY not in logged.record.by:
                    values.setdefault(logged.record.path, logged.record.value)
        seconds = {f"{each.place}/{escape(each.second)}": each for each in cascades}
        for path, second in values.items():
            cascade = seconds.get(document_path(path))
            if cascade is None:
                continue
            first = values.get(path[: -len(escape(cascade.second))] + escape(cascade.first))
            told = second.get("cascade") if isinstance(second, Mapping) else None
            sure = told.get("confidence") if isinstance(told, Mapping) else None
            if isinstance(told, Mapping) and isinstance(first, Mapping):
                yield Pair(float(sure), likeness(first) == likeness(second)) if isinstance(sure, (int, float)) else None


def _cascades(document: Any, prefix: str) -> Iterator[_Cascade]:
    """The cascades in a graph, at whatever depth, that ask both models always."""
    nodes = document.get("nodes") if isinstance(document, Mapping) else None
    for name, spec in nodes.items() if isinstance(nodes, Mapping) else ():
        inner = spec.get("graph") if isinstance(spec, Mapping) else None
        inside = inner.get("nodes") if isinstance(inner, Mapping) else None
        if not isinstance(inside, Mapping):
            continue
        place = f"{prefix}{escape(str(name))}"
        for score, node in inside.items():
            params = node.get("params") if isinstance(node, Mapping) and node.get("agent") == "confidenceAgent" else None
            if isinstance(params, Mapping) and params.get("below") == ALWAYS and isinstance(params.get("cascade"), str):
                second = next((each for each, other in inside.items() if other.get("if") == f":{score}.unsure"), "")
                yield _Cascade(place, params["cascade"], node["inputs"]["answer"][1:], second)
        yield from _cascades(inner, f"{place}/")
