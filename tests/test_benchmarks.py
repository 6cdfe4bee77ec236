"""The benchmarks work, and none of them would count a wrong answer."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bounds, measure, ours
from benchmarks.measure import Row, WrongAnswer, interleave, one_core, ratio, table, timed, write_section
from benchmarks.workloads import Workload, chain, fan, handed_on, layered, looped, mapped, named

WORKLOADS = [chain(7), fan(5), layered(100), layered(100, pause=0), mapped(4), looped(6), handed_on(1000, 3)]


def titles(workload: Workload) -> str:
    return workload.title


@pytest.mark.parametrize("workload", WORKLOADS, ids=titles)
def test_engine_and_bound_give_the_answer_that_was_computed_without_them(workload: Workload) -> None:
    assert asyncio.run(bounds.tasks(workload)()) == workload.answer
    assert asyncio.run(ours.runner(workload)()) == workload.answer


@pytest.mark.parametrize("workload", [chain(7), fan(5), layered(100), mapped(4), looped(6)], ids=titles)
def test_plain_agents_give_the_same_answer(workload: Workload) -> None:
    assert asyncio.run(ours.runner(workload, plain=True)()) == workload.answer


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not let a process choose its core")
def test_what_is_compared_runs_on_one_core_with_what_it_starts() -> None:
    asked = "import os; print(len(os.sched_getaffinity(0)))"
    before = os.sched_getaffinity(0)
    with one_core():
        there = os.sched_getaffinity(0)
        child = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert (len(there), int(child.stdout)) == (1, 1)
    assert os.sched_getaffinity(0) == before


def test_answers_known_by_heart() -> None:
    assert chain(1000).answer == 1000
    assert fan(10).answer == 10 * 2 + 1
    assert mapped(3).answer == 3 + 4 + 5
    assert looped(4).answer == 8
    assert (chain(9).count, fan(9).count, layered(100).count, mapped(9).count, looped(9).count) == (9, 11, 100, 27, 18)


def test_workloads_are_found_by_name() -> None:
    assert named("layered100") == layered(100)
    with pytest.raises(KeyError, match="one of chain"):
        named("spiral10")


def test_a_durable_run_commits_before_each_next_node(tmp_path: Path) -> None:
    strict = asyncio.run(ours.kept(chain(5), tmp_path, synchronous="normal", strict=True))
    assert (strict.answer, strict.records, strict.commits, strict.barrier_commits) == (5, 5, 5, 0)


def test_a_grouped_run_is_durable_at_its_end_with_few_commits_more(tmp_path: Path) -> None:
    grouped = asyncio.run(ours.kept(chain(50), tmp_path, synchronous="full", strict=False))
    assert (grouped.answer, grouped.records) == (50, 50)
    assert grouped.barrier_commits <= 2


def test_a_wrong_answer_does_not_count() -> None:
    async def wrong() -> int:
        return 3

    with pytest.raises(WrongAnswer, match="guess gave 3, but without an engine it comes to 4"):
        asyncio.run(interleave([timed("guess", wrong, 4)], 1))


def test_runs_take_turns_and_the_first_round_is_not_counted() -> None:
    order: list[str] = []

    def run(name: str) -> bounds.Run:
        async def note() -> int:
            order.append(name)
            return 0

        return note

    taken = asyncio.run(interleave([timed(name, run(name), 0) for name in "ab"], 2))
    assert order == ["a", "b"] * 3
    assert [len(series) for series in taken] == [2, 2]


def test_a_ratio_is_taken_between_neighbours() -> None:
    assert ratio([1, 20, 300], [1, 10, 100]) == 2


def test_a_fresh_process_that_fails_says_why() -> None:
    with pytest.raises(WrongAnswer, match="invalid literal"):
        measure.fresh("large", "many")


@pytest.mark.parametrize(
    ("value", "at_least", "met"), [(1, False, "stretch"), (2, False, "yes"), (3, False, "no"), (3, True, "yes")]
)
def test_a_row_says_whether_its_goal_is_met(value: float, at_least: bool, met: str) -> None:
    row = Row("it", "ours", "bound", value, "x", must=2, stretch=4 if at_least else 1, at_least=at_least)
    assert row.met() == met
    assert table([row]).splitlines()[-1].endswith(f"| {met.ljust(len('stretch') if met == 'stretch' else 3)} |")


def test_sections_of_the_results_replace_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_section(path, "one", "first")
    write_section(path, "two", "second")
    write_section(path, "one", "third")
    assert (
        path.read_text() == "# Results\n\n<!-- one -->\nthird\n<!-- end of one -->\n\n<!-- two -->\nsecond\n<!-- end of two -->\n"
    )


def test_the_smoke_run_takes_every_measure_and_skips_missing_peers_aloud(tmp_path: Path) -> None:
    """As `make bench` runs it: as a file."""
    file = tmp_path / "rows.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/engine.py", "--smoke", "--peers", "hamilton,graphai", "--json", str(file)],
        cwd=measure.ROOT,
        env={**os.environ, "GRAPHFERRY_PEERS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "skipped hamilton: " in done.stderr
    assert "skipped graphai: " in done.stderr
    rows = json.loads(file.read_text())["rows"]
    measures = " / ".join(row["measure"] for row in rows["engine"])
    for words in (
        "chain",
        "fan",
        "layered",
        "map",
        "loop",
        "suspends",
        "sleeps",
        "MB",
        "branch",
        "memory",
        "plan",
        "start",
        "FULL",
    ):
        assert words in measures
    assert {row["met"] for row in rows["engine"]} == {"-"}
    assert rows["engine-peers"] == []
    assert "no" not in {line.split("|")[-2].strip() for line in done.stdout.splitlines() if line.startswith("|")}


def test_the_links_benchmark_measures_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/link.py", "--smoke", "--json", str(file)],
        cwd=measure.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) >= 8
    assert all(row["value"] == row["value"] and row["must"] is None for row in rows)


def test_the_journals_smoke_run_takes_every_measure_and_skips_missing_peers_aloud(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/journal.py", "--smoke", "--peers", "langgraph,dbos", "--json", str(file)],
        cwd=measure.ROOT,
        env={**os.environ, "GRAPHFERRY_PEERS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "skipped langgraph: " in done.stderr
    assert "skipped dbos: " in done.stderr
    measures = " / ".join(row["measure"] for row in json.loads(file.read_text())["rows"])
    for words in ("chain", "beside the messages' own", "half as many", "going on"):
        assert words in measures


def test_a_chat_has_all_its_letters_and_is_on_disk_once(tmp_path: Path) -> None:
    letters, _, values = asyncio.run(ours.chatted(60, 500, tmp_path))
    assert letters == 60 * 2 * 500
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert letters < size < 4 * values


def test_placements_smoke_run_takes_every_measure() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/placement.py", "--smoke"], cwd=measure.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    measures = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    for words in ("latency: mean", "energy: mean", "virtual time: against the quickest way there is", "60 nodes placed"):
        assert words in measures
