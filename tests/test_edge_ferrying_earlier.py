from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from edge.ferrying.earlier import Earlier
from graphs.agents import standard
from graphs.engine.recall import keyed
from graphs.errors import LinkCondition, WorkerUnreachable
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Event, Result, State, Submit, encode
from protocol.payload import blobref

GRAPH = """\
version: 0.5
nodes:
  far: {agent: copyAgent, inputs: {t: 1}}
  last: {agent: copyAgent, inputs: {t: :far.t}}
  other: {agent: copyAgent, inputs: {t: 2}}
"""


def result(path: str, value: Any) -> Result:
    return Result(path, 1, 0, value, 0, {"agent": "a"})


def earlier(folder: Path, own: list[Any], made: list[Any]) -> tuple[Journal, Earlier, bytes]:
    """A run with these records, and one open child run with those."""
    graph = Graph.of(load_text(GRAPH).data, standard())
    journal = Journal.open(folder / "journal.db")
    run, child = new_run_id(), new_run_id()
    journal.create_run(run, role="root", graph_hash=graph.hash, graph=graph.canonical, name="g", started=0)
    journal.create_run(child, role="child", parent=run, graph_hash=graph.hash, graph=graph.canonical, name="cut", started=0)
    for each in own:
        journal.append(run, encode(each))
    for each in [Submit("", graph.hash, {}, {}), *made]:
        journal.append(child, encode(each))
    journal.flush()
    return journal, Earlier(journal, graph, run), child


def test_what_both_sides_made_is_known_and_a_worker_may_have_begun_the_rest(tmp_path: Path) -> None:
    journal, run, child = earlier(tmp_path, [result("far", "here")], [result("other", "there")])
    with journal:
        known = asyncio.run(run.known(None))
        assert {path: outcome.value for path, outcome in known.outcomes.items()} == {"far": "here", "other": "there"}
        assert (run.own, run.children, run.lacking) == ({"far"}, [child], {})
        assert run.may_have_begun("last")
        assert not run.may_have_begun("n/inside")
        assert run.spoilt([child], {}, standard()) == set()


def test_what_follows_from_a_result_that_came_too_late_is_not_known(tmp_path: Path) -> None:
    begun = Event("last", 1, State.EXECUTING, 0, {"effect": "once"})
    made = [result("far", "there"), begun, result("last", "from there"), result("other", "there")]
    journal, run, child = earlier(tmp_path, [result("far", "here")], made)
    with journal:
        known = asyncio.run(run.known(None))
        assert {path: outcome.value for path, outcome in known.outcomes.items()} == {"far": "here", "other": "there"}
        assert known.indeterminate == {"last"}, "it happened, and must not happen again by itself"
        assert run.spoilt([child], {}, standard()) == {child}


def test_a_value_that_is_at_a_worker_is_withheld_while_nobody_reaches_it(tmp_path: Path) -> None:
    journal, run, _ = earlier(tmp_path, [], [result("far", blobref(bytes(range(32)), 100_000))])
    with journal:
        known = asyncio.run(run.known(None))
        assert known.outcomes == {}
        assert list(run.withheld) == ["far"]
        assert isinstance(run.withheld["far"], WorkerUnreachable)


@pytest.mark.parametrize(("code", "made_again"), [("LABEL_WITHHELD", False), ("BLOB_GONE", True)])
def test_a_result_of_its_own_whose_value_does_not_come(tmp_path: Path, code: str, made_again: bool) -> None:
    """A fork has such results. Lost values are made again, by whoever has the node now; for one that is there somebody has to say something."""

    class Link:
        async def value(self, *_args: Any, **_more: Any) -> Any:
            raise LinkCondition(code, "it does not come")

    journal, run, _ = earlier(tmp_path, [result("far", blobref(bytes(range(32)), 100_000)), result("other", "here")], [])
    with journal:
        known = asyncio.run(run.known(cast("Any", Link())))
        assert set(known.outcomes) == {"other"}
        assert run.own == ({"other"} if made_again else {"far", "other"})
        assert list(run.withheld) == ([] if made_again else ["far"])


@pytest.mark.parametrize("unread", [True, False])
def test_what_a_fork_may_keep_stays_at_its_worker_if_nobody_here_reads_it(tmp_path: Path, unread: bool) -> None:
    """Whether it holds is known only when it is handed the same: until then nothing is fetched for it."""
    large = blobref(bytes(range(32)), 100_000)
    journal, run, _ = earlier(tmp_path, [keyed(result("far", large), b"h" * 32), keyed(result("last", "small"), b"i" * 32)], [])
    with journal:
        known = asyncio.run(run.known(None))
        kept = asyncio.run(run.keyed(None, known, lambda _known, path: unread and path == "far"))
        assert {path: each.value for path, each in kept.items()} == {"last": "small", **({"far": large} if unread else {})}


def test_a_result_was_made_where_its_record_is_from_and_some_nobody_made_here(tmp_path: Path) -> None:
    said = Result("last", 1, 0, 1, 0, {"assumed": "done"})
    journal, run, _ = earlier(tmp_path, [result("far", "here"), said], [result("far", "too late"), result("other", "there")])
    with journal:
        known = asyncio.run(run.known(None))
        assert run.made_at(known) == {"far": "edge", "last": None, "other": "cloud"}
    (tmp_path / "fork").mkdir()
    copied = Result("far", 1, 0, "v", 0, {"agent": "a", "from": [bytes(16), bytes(8), 1]})
    journal, run, _ = earlier(tmp_path / "fork", [copied], [])
    with journal:
        assert run.made_at(asyncio.run(run.known(None))) == {"far": None}


def test_what_is_done_has_its_whole_value_here_and_is_of_no_loop(tmp_path: Path) -> None:
    large = blobref(bytes(range(32)), 100_000)
    own, made = [result("far", "here")], [result("last", "from the other value"), result("other", large)]
    journal, run, _ = earlier(tmp_path, own, [result("far", "there"), *made])
    with journal:
        done = run.done()
        assert [name for name in ("far", "last", "other") if done(name)] == ["far"]
        looping = load_text(GRAPH.replace("nodes:", "loop: {count: 3}\nnodes:", 1))
        done = Earlier(journal, Graph.of(looping.data, standard()), run._run).done()
        assert not done("far"), "its next turn runs it again"
