"""What a worker reports of labelled values carries their labels."""

from __future__ import annotations

from typing import Any

from cloud.labelling import frame_labels, labelled
from graphs.agents import standard
from graphs.engine.plan import Compiler
from graphs.language.spec import Graph
from graphs.records import Close, Error, Event, Result, State

CUT = Graph(
    {
        "nodes": {
            "b": {"boundary": True, "sensitivity": ["private"]},
            "far": {"agent": "copyAgent", "inputs": {"x": ":b"}},
            "free": {"agent": "copyAgent", "inputs": {"x": 1}},
            "opens": {"agent": "nestedAgent", "graph": ":far.x"},
        }
    }
)


def event(path: str) -> Event:
    return Event(path, 1, State.EXECUTING, 0, {"retry": 0})


def failed(path: str | None) -> Error:
    return Error(path, 1, 0, "NODE_FAILED", "no", True, False)


def test_a_record_has_the_labels_of_its_node() -> None:
    labels = frame_labels("rows[2]/#1", CUT, Compiler(standard()))
    both: list[Any] = [Result("rows[2]/far#1", 1, 0, 1, 0, {}), failed("rows[2]/far#1")]
    for record in both:
        found, carried = labelled(record, labels)
        assert (found, set(carried)) == (record, {"private"})
    told, carried = labelled(event("rows[2]/far"), labels)
    assert isinstance(told, Event)
    assert (dict(told.info or {}), set(carried)) == ({"retry": 0, "labels": ["private"]}, {"private"})
    for free in (Result("rows[2]/free", 1, 0, 1, 0, {}), event("rows[2]/free"), Close(None)):
        assert labelled(free, labels) == (free, frozenset())


def test_an_error_of_a_frame_may_tell_of_all_in_it() -> None:
    labels = frame_labels("", CUT, Compiler(standard()))
    assert labelled(failed(None), labels)[1] == {"private"}
    assert labelled(failed("rows[2]/"), labels)[1] == {"private"}


def test_a_graph_out_of_a_value_is_looked_at_when_it_is_opened() -> None:
    compiler = Compiler(standard())
    labels = frame_labels("n/", CUT, compiler)
    result: Any = Result("n/opens", 1, 0, 1, 0, {})
    assert labelled(result, labels)[1] == {"private"}
    assert compiler.opened is not None
    compiler.opened("opens", {"nodes": {"s": {"value": 1, "sensitivity": "pii"}}})
    assert labelled(result, labels)[1] == {"private", "pii"}


def test_without_labels_nothing_is_said() -> None:
    record = failed("x")
    assert labelled(record, None) == (record, frozenset())
    assert labelled(record, frame_labels("", Graph({"nodes": {"x": {"value": 1}}}), Compiler(standard()))) == (
        record,
        frozenset(),
    )
