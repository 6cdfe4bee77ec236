"""What a holder writes into its log: as it is, or as it can travel; and what was written as it is, anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.journal.reader import graph_address
from graphs.records import Answer, End, Event, Record, Result, State, Submit, Unknown, encode
from graphs.values import canonical, digest
from protocol.marks import is_marked, mark
from protocol.payload import reference, references
from protocol.refill import resolved_here
from protocol.run_log import RunLog, lighten_log, lighten_run, open_run

GRAPH = canonical({"nodes": {"a": {"value": 1}}})
ABOUT: dict[str, Any] = {"graph_hash": graph_address(GRAPH), "graph": GRAPH, "name": "g.yaml", "started": 1}
LARGE = "x" * 100_000
REF = digest(canonical(LARGE))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def begun(journal: Journal, *, shared: bool, value: object = 1) -> bytes:
    run = new_run_id()
    submit = Submit("", ABOUT["graph_hash"], {"a": [int(State.INJECTED), value]}, {"parent": None})
    open_run(journal, run, submit, ABOUT, shared=shared)
    journal.flush()
    return run


def result(value: object, path: str = "a") -> Result:
    return Result(path, 1, 0, value, 5, {})


def records(journal: Journal, run: bytes) -> list[Record]:
    journal.flush()
    return [logged.record for logged in journal.records(run)]


def test_a_run_that_is_not_shared_is_written_as_it_is(journal: Journal) -> None:
    run = begun(journal, shared=False, value=LARGE)
    RunLog(journal, run, shared=False).record(result(LARGE))
    submit, made = records(journal, run)
    assert isinstance(submit, Submit)
    assert submit.inputs["a"] == [State.INJECTED, LARGE]
    assert made == result(LARGE)
    assert not is_marked(journal, run)
    assert journal.bodies(run) == []


def test_a_shared_run_is_written_as_it_can_travel(journal: Journal) -> None:
    run = begun(journal, shared=True, value=LARGE)
    RunLog(journal, run).record(result({"text": LARGE}))
    found = records(journal, run)
    assert is_marked(journal, run)
    assert [len(references(each)) for each in found] == [1, 1]
    assert all(len(encode(each).tail) < 1_000 for each in found)
    assert [resolved_here(journal, each) for each in found][1] == result({"text": LARGE})
    assert {body.name for body in journal.bodies(run)} == {REF, digest(canonical({"text": LARGE}))}


def test_a_mark_counts_also_for_who_did_not_ask_for_it(journal: Journal) -> None:
    run = begun(journal, shared=False)
    mark(journal, run)
    journal.flush()
    RunLog(journal, run, shared=False).record(result(LARGE))
    made = records(journal, run)[-1]
    assert isinstance(made, Result)
    assert reference(made.value) is not None


def test_each_durable_is_durable_at_once(journal: Journal) -> None:
    run = begun(journal, shared=True)
    number = RunLog(journal, run, each_durable=True).record(result(1))
    assert journal.durable_seq(run) == number == 2


@pytest.mark.parametrize(
    ("status", "shared", "last"),
    [
        ("completed", False, End),
        ("suspended", False, Event),
        ("failed", True, Event),
        ("failed", False, Submit),
    ],
)
def test_how_a_run_stopped_is_said_to_those_who_share_it(journal: Journal, status: str, shared: bool, last: type[Record]) -> None:
    run = begun(journal, shared=shared)
    RunLog(journal, run, shared=shared).end(status, "it is so", waits=True, now=9, more={"questions": ["ask"]})
    assert isinstance(records(journal, run)[-1], last)
    row = journal.run(run)
    assert (row.status, row.ended) == (status, 9)
    assert row.exit_info == {"why": "it is so", "waits": True, "questions": ["ask"]}


# -- what was written as it is


def test_what_cannot_travel_is_written_anew_from_there_on(journal: Journal) -> None:
    run = begun(journal, shared=False)
    log = RunLog(journal, run, shared=False)
    said = [result(1), result({"a": LARGE, "b": "small"}), result(2), result(LARGE, "b"), result(LARGE, "c")]
    for each in said:
        log.record(each)
    journal.flush()
    before = list(journal.entries(run, journal.store_id))
    assert lighten_log(journal, run, journal.store_id, ())
    after = list(journal.entries(run, journal.store_id))
    assert after[:2] == before[:2], "up to there others may have it"
    assert [entry.seq for entry in after] == [1, 2, 3, 4, 5, 6]
    found = records(journal, run)
    assert all(len(encode(each).tail) < 65_536 for each in found)
    assert [resolved_here(journal, each) for each in found][1:] == said
    assert REF in {body.name for body in journal.bodies(run)}
    assert journal.append(run, encode(result(3))) == 7
    assert len(records(journal, run)) == 7


def test_what_can_travel_is_left_as_it_is(journal: Journal) -> None:
    run = begun(journal, shared=False)
    journal.append(run, encode(result("short")))
    journal.append(run, encode(Unknown(0x2F, b"\x01")))
    journal.flush()
    before = records(journal, run)
    assert not lighten_log(journal, run, journal.store_id, ())
    assert records(journal, run) == before


def test_a_record_whose_parts_are_too_many_stays(journal: Journal) -> None:
    run = begun(journal, shared=False)
    many = {f"key {number}": number for number in range(5_000)}
    journal.append(run, encode(Event("a", 1, State.EXECUTING, 5, many)))
    before = records(journal, run)
    assert not lighten_log(journal, run, journal.store_id, ())
    assert records(journal, run) == before


def test_answers_are_logs_of_their_own_and_are_lightened_too(journal: Journal) -> None:
    run, writer = begun(journal, shared=False), b"answers!"
    journal.accept(run, writer, 1, encode(Answer("a", 1, LARGE)))
    journal.flush()
    assert lighten_run(journal, run, ())
    assert not lighten_run(journal, run, ())
    (answer,) = [logged.record for logged in journal.records(run, writer)]
    assert resolved_here(journal, answer) == Answer("a", 1, LARGE)


def test_where_a_run_has_labels_a_large_value_is_named_by_nothing_that_is_in_it(journal: Journal) -> None:
    run = begun(journal, shared=False)
    journal.append(run, encode(result(LARGE)))
    assert lighten_run(journal, run, {"pii"})
    (named,) = references(records(journal, run)[-1])
    assert (named.is_handle, named.labels) == (True, ("pii",))
    assert resolved_here(journal, records(journal, run)[-1]) == result(LARGE)
    (body,) = journal.bodies(run)
    assert (body.labels, body.size) == (("pii",), len(canonical(LARGE)))
    assert journal.body_files.crc(body.scope, body.name) is not None
