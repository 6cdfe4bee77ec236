"""What a worker made of a value that did not become the result: nothing in the run may follow from it. Pure.

A worker that is away goes on. If it finishes a node that ran on the device meanwhile, the device's result was first and counts, and the worker's
is kept beside it. But what the worker made from its own value, before it heard of the device's, belongs to a run that did not happen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from graphs.engine.outcomes import KEY
from graphs.language.spec import Graph, reads, written_inside
from graphs.paths import document_path, escape, node_path, opener, split_frame, split_path, unescape
from graphs.records import Error, Event, Frame, Record, Result, State, Submit

__all__ = ["made_elsewise", "own_results", "sound"]


def own_results(records: Iterable[Record]) -> set[str]:
    """The paths whose results a run's holder made itself, and that count, by the records of its log."""
    return {record.path for record in records if isinstance(record, Result) and not record.by.get("alt") and KEY not in record.by}


def sound(records: Sequence[Record], elsewise: Collection[str]) -> list[Record]:
    """The records without the outcomes of these paths; that they were begun stays known."""
    return [each for each in records if _ended(each) not in elsewise] if elsewise else list(records)


def _ended(record: Record) -> str | None:
    """The path whose outcome a record is."""
    if isinstance(record, (Result, Error)) or (isinstance(record, Event) and record.state == State.SKIPPED):
        return record.path
    return None


def made_elsewise(graph: Graph, own: Collection[str], records: Iterable[Record]) -> set[str]:
    """The paths of a child run whose outcomes follow from results that do not count.

    `own` are the paths whose results the holder made itself, `records` those of the child run's logs.
    """
    said = list(records)
    outcomes = {record.path for record in said if isinstance(record, (Result, Error, Event)) and record.path is not None}
    results = {record.path for record in said if isinstance(record, Result)}
    opened = {record.frame for record in said if isinstance(record, (Submit, Frame))}
    found: set[str] = set()
    waiting = [path for path in results if path in own]
    while waiting:
        path = waiting.pop()
        more = (_readers(graph, path, outcomes) | _later(path, outcomes, opened)) - found - set(own)
        found |= more
        waiting += more
    return found | {path for path in outcomes if _inside(path, found)}


def _readers(graph: Graph, path: str, outcomes: set[str]) -> set[str]:
    """The nodes of the same frame that read this one; all of them where nobody here knows their graph."""
    frame, name = split_path(path)
    around = _graph_of(graph, path)
    if around is None:
        return {each for each in outcomes if split_path(each)[0] == frame and each != path}
    readers = {node_path(frame, escape(each)) for each, spec in around.nodes.items() if name in reads(spec)}
    return readers & outcomes


def _later(path: str, outcomes: set[str], opened: set[str]) -> set[str]:
    """What lies in later turns of a loop that the worker turns by itself."""
    base, turn = split_frame(split_path(path)[0])
    found = set()
    for each in outcomes:
        frame = split_path(each)[0]
        other, later = split_frame(frame)
        if other == base and later > turn and frame not in opened:
            found.add(each)
    return found


def _graph_of(graph: Graph, path: str) -> Graph | None:
    """The graph that a node stands in; None where it came out of a value."""
    found: Graph | None = graph
    for segment in document_path(path).split("/")[:-1]:
        spec = found.nodes.get(unescape(segment)) if found is not None else None
        found = written_inside(spec) if spec is not None else None
    return found


def _inside(path: str, found: set[str]) -> bool:
    """Whether the path lies in a graph that one of these nodes opened."""
    while path := opener(path):
        if path in found:
            return True
    return False
