"""Results that came too late, asked for by what an execution is handed; with workers that really are late: tests/e2e/test_upgrade.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from edge.runs.late import Late, Made, late_results
from graphs.agents import standard
from graphs.engine.events import Outcome
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Record, Result, State, Submit, encode
from graphs.values import canonical, digest
from protocol.payload import blobref

WORKER = b"worker-1"
GRAPH = Graph.of(
    load_text(
        """\
version: 0.5
nodes:
  far: {agent: copyAgent, inputs: {t: 1}}
  next: {agent: copyAgent, inputs: {t: :far.t}}
  aside: {agent: copyAgent, inputs: {t: 2}}
"""
    ).data,
    standard(),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def run_of(journal: Journal, own: list[Record], *children: list[Record]) -> bytes:
    run = new_run_id()
    first = encode(Submit("", GRAPH.hash, {}, {"parent": None}))
    journal.create_run(run, role="root", graph_hash=GRAPH.hash, name="g", started=1, first=first)
    for record in own:
        journal.append(run, encode(record))
    for records in children:
        child = new_run_id()
        order = encode(Submit("", GRAPH.hash, {}, {"parent": [run, 1]}))
        journal.create_run(child, role="child", graph_hash=GRAPH.hash, name="cut", started=1, parent=run, first=order)
        for seq, record in enumerate(records, 1):
            journal.accept(child, WORKER, seq, encode(record))
    journal.flush()
    return run


def result(path: str, value: object) -> Result:
    return Result(path, 1, 0, value, 5, {})


def late(journal: Journal, run: bytes) -> list[dict[str, Made]]:
    return asyncio.run(late_results(journal, run, GRAPH, None, standard()))


def test_late_is_what_another_result_came_before_and_what_was_made_of_it(journal: Journal) -> None:
    worker: list[Record] = [result("far", "there"), result("next", "of there"), result("aside", "in time")]
    run = run_of(journal, [result("far", "here")], worker)
    (found,) = late(journal, run)
    assert {path: made.value for path, (made, _) in found.items()} == {"far": "there", "next": "of there"}
    (child,) = journal.children(run)
    assert found["next"][1] == (child.run, WORKER, 2)


def test_a_run_in_which_nothing_came_too_late_has_none(journal: Journal) -> None:
    assert late(journal, run_of(journal, [result("aside", 1)], [result("far", 2)])) == []


def test_a_value_that_cannot_be_had_is_made_again(journal: Journal) -> None:
    body = canonical("x" * 1_000)
    run = run_of(journal, [result("far", "here")], [result("far", blobref(digest(body), len(body)))])
    assert late(journal, run) == []
    journal.body_files.keep("own", digest(body), body)
    (found,) = late(journal, run)
    assert found["far"][0].value == "x" * 1_000


def test_a_late_result_counts_for_who_is_handed_the_same() -> None:
    """Each child run by itself: what it was handed there followed from its own values."""
    place = (bytes(16), WORKER, 1)
    seen: list[dict[str, object]] = []

    def handed(outcomes: Mapping[str, Outcome]) -> Mapping[str, bytes | None]:
        seen.append({path: outcome.value for path, outcome in outcomes.items()})
        return {"far": b"one", "next": canonical(outcomes["far"].value)}

    one = {"far": (result("far", "1"), place), "next": (result("next", "of 1"), place)}
    two = {"far": (result("far", "2"), place), "next": (result("next", "of 2"), place)}
    known = {"far": Outcome(State.COMPLETED, "here"), "aside": Outcome(State.COMPLETED, 0)}
    found = Late.of([one, two], known, handed)
    assert seen == [{"far": "1", "next": "of 1", "aside": 0}, {"far": "2", "next": "of 2", "aside": 0}]
    assert found("next", canonical("2")) == Outcome(State.COMPLETED, "of 2")
    assert found("next", canonical("here")) is None
    assert found("next", None) is None
    assert found("aside", b"one") is None
    assert found("far", b"one") == Outcome(State.COMPLETED, "1")
    assert found.taken == {"next": two["next"], "far": one["far"]}
