"""Which runs can be upgraded, and which are upgrades; what an upgrade does: tests/test_edge_commands_upgrading.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.means import RunOptions
from edge.placing.facts import Sayings
from edge.runs.upgrade import degraded_in, degraded_of, forget_degraded, nothing_stands_in, upgradable, upgrade_of, upgrades_of
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.records import Handover, Result, Submit, encode


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def root(journal: Journal, *results: Result, status: str = "completed", fork: Mapping[str, Any] | None = None) -> bytes:
    run = new_run_id()
    opts: dict[str, Any] = {"parent": None, **({"fork": dict(fork)} if fork else {})}
    first = encode(Submit("", bytes(32), {}, opts))
    journal.create_run(run, role="root", graph_hash=bytes(32), name="g.yaml", started=1, first=first)
    for result in results:
        journal.append(run, encode(result))
    journal.finish_run(run, status, ended=2)
    journal.flush()
    return run


def result(path: str, **by: Any) -> Result:
    return Result(path, 1, 0, 1, 5, by)


POOR = result("a", degraded="unreachable")


def test_degraded_is_what_counts_and_stood_in(journal: Journal) -> None:
    run = root(journal, POOR, result("b"), result("c"), result("c", degraded="budget", alt=True), result("b", degraded="budget"))
    assert degraded_in(journal, run) == ["a"]


def test_what_may_count_yet_is_not_degraded(journal: Journal) -> None:
    assert degraded_in(journal, root(journal, result("a", degraded="unreachable", key=bytes(32)), result("b"))) == []


def test_a_run_can_be_upgraded_that_is_over_and_held_here_and_has_no_upgrade(journal: Journal) -> None:
    poor = root(journal, POOR)
    root(journal, result("a"))
    root(journal, POOR, status="suspended")
    root(journal, POOR, status="failed")
    given = root(journal, POOR)
    journal.append(given, encode(Handover(b"device-2", 2)))
    done = root(journal, POOR)
    fork = root(journal, result("a"), fork={"run": done, "records": 1, "upgrade": True})
    replayed = root(journal, result("a"), fork={"run": poor, "records": 1})
    assert [row.run for row in upgradable(journal)] == [poor]
    assert upgrades_of(journal) == {done: [fork]}
    assert (upgrade_of(journal, fork), upgrade_of(journal, replayed), upgrade_of(journal, poor)) == (done, None, None)


def test_what_is_over_is_read_once(journal: Journal) -> None:
    poor, good, open_ = root(journal, POOR), root(journal, result("a")), root(journal, result("a"), status="suspended")
    rows = journal.runs(role="root")
    assert degraded_of(journal, rows) == {poor: ["a"]}
    journal.flush()
    for run in (good, open_):  # no such thing happens to one that is over
        journal.append(run, encode(result("b", degraded="budget")))
    journal.flush()
    assert degraded_of(journal, rows) == {poor: ["a"], open_: ["b"]}
    forget_degraded(journal, good)
    journal.flush()
    assert degraded_of(journal, rows) == {poor: ["a"], open_: ["b"], good: ["b"]}


def test_an_upgrade_whose_making_was_cut_off_is_none(journal: Journal) -> None:
    poor = root(journal, POOR)
    root(journal, fork={"run": poor, "records": 5, "upgrade": True}, status="suspended")
    assert upgrades_of(journal) == {}
    assert [row.run for row in upgradable(journal)] == [poor]


def test_what_an_upgrade_is_told_lasts(journal: Journal) -> None:
    options = nothing_stands_in(RunOptions(when_offline=Sayings({"a": "local"}, "fail")))
    again = RunOptions.from_record(options.as_record())
    assert again.when_offline == Sayings({"a": "local"}, "fail", always="wait")
    assert "always" not in RunOptions().as_record()["when_offline"]
