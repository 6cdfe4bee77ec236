"""Loops, nested graphs and maps in two places, and limits over both: the same as on one machine, with one frame a turn, row or try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import CommandLine
from ferry import MINE, Ferry, report
from graphs.journal.ids import run_id_text
from graphs.records import End, Frame, Result, Start, Submit
from logbook import entries, of, store


def side_by_side(cli: CommandLine, ferry: Ferry, text: str, *words: str) -> dict[str, Any]:
    """The report of a run in two places, whose results are those of a run on this device alone."""
    found = ferry(text, *words)
    assert (ferry.outcome.status, found["status"]) == (0, "completed"), ferry.outcome.stderr
    (ferry.cwd / "here.yaml").write_text(text.replace("place: cloud", "place: edge"), encoding="utf-8")
    alone = cli("run", "here.yaml", "--json", *MINE, *words)
    assert found["results"] == report(alone)["results"], alone.stderr
    return found


def frames(home: Path) -> list[str]:
    """The names of the frames that the device opened at the worker, in order; the first came with SUBMIT."""
    first, further = of(home, "cloud", Submit), of(home, "cloud", Frame)
    return [*(record.frame for record in first), *(record.frame for record in further)]


def made_at(home: Path, side: str, found: dict[str, Any]) -> list[str]:
    """The paths of the results that this side made for the run, in order of path; the worker has no other run."""
    return sorted(
        record.path
        for row, writer, record in entries(home, side)
        if isinstance(record, Result)
        and writer == store(home, side)
        and (side == "cloud" or run_id_text(row.run) == found["run"])
    )


LOOP = """\
version: 0.5
loop: {count: 3}
nodes:
  n: {value: 1, update: :back.n, isResult: true}
  far: {agent: whereAgent, place: cloud, inputs: {n: :n, turn: "@loop"}}
  back: {agent: whereAgent, place: edge, isResult: true, inputs: {n: ":far.n.add(1)", turn: :far.turn}}
"""


def test_a_loop_in_two_places_goes_round_with_one_frame_a_turn(cli: CommandLine, ferry: Ferry, home: Path) -> None:
    found = side_by_side(cli, ferry, LOOP)
    assert (found["results"]["n"], found["results"]["back"]["turn"]) == (4, 2)
    assert frames(home) == ["", "#1", "#2"]
    assert made_at(home, "cloud", found) == ["far", "far#1", "far#2"]
    assert made_at(home, "edge", found) == ["back", "back#1", "back#2"]
    assert len(of(home, "cloud", End)) == 1


MAP = """\
version: 0.5
nodes:
  rows: {value: [1, 2, 3]}
  m:
    agent: mapAgent
    isResult: true
    inputs: {rows: :rows}
    graph:
      nodes:
        far: {agent: whereAgent, place: cloud, inputs: {n: ":row.add(10)"}}
        back: {agent: whereAgent, place: edge, isResult: true, inputs: {n: ":far.n.add(100)"}}
"""


def test_a_map_in_two_places_has_one_frame_a_row(cli: CommandLine, ferry: Ferry, home: Path) -> None:
    found = side_by_side(cli, ferry, MAP)
    assert [row["back"]["n"] for row in found["results"]["m"]] == [111, 112, 113]
    assert frames(home) == ["m[0]/", "m[1]/", "m[2]/"]
    assert made_at(home, "cloud", found) == ["m[0]/far", "m[1]/far", "m[2]/far"]
    assert len(of(home, "cloud", Submit)) == len(of(home, "cloud", End)) == 1
    assert made_at(home, "edge", found) == ["m[0]/back", "m[1]/back", "m[2]/back"]


def test_a_map_in_two_places_keeps_the_concurrency(cli: CommandLine, ferry: Ferry, home: Path) -> None:
    side_by_side(cli, ferry, MAP.replace("nodes:", "concurrency: 1\nnodes:", 1))
    starts = [record.path for record in of(home, "cloud", Start)]
    results = [record.path for record in of(home, "cloud", Result)]
    assert starts == results == ["m[0]/far", "m[1]/far", "m[2]/far"]


NESTED = """\
version: 0.5
nodes:
  n:
    agent: nestedAgent
    retry: 1
    isResult: true
    inputs: {x: 5}
    graph:
      nodes:
        far: {agent: whereAgent, place: cloud, inputs: {x: :x}}
        back: {agent: failAgent, place: edge, params: {text: no}, inputs: {x: :far.x}, if: ":far.x"}
        last: {agent: whereAgent, place: cloud, isResult: true, inputs: {x: :far.x}, unless: ":back"}
"""


def test_each_try_of_a_nested_graph_in_two_places_is_a_frame_of_its_own(ferry: Ferry, home: Path) -> None:
    found = ferry(NESTED)
    assert (ferry.outcome.status, found["status"]) == (1, "failed")
    assert found["errors"]["n"]["message"] == "no"
    assert frames(home) == ["n/", "n!1/"]
    assert made_at(home, "cloud", found) == ["n!1/far", "n/far"]


def test_a_limit_holds_across_the_cut(ferry: Ferry, home: Path) -> None:
    ferry(
        """\
version: 0.5
concurrency: 1
nodes:
  a: {agent: copyAgent, place: edge, inputs: {t: 1}}
  b: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: 2}}
  c: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: 3}}
"""
    )
    assert ferry.outcome.status == 0
    assert [record.path for record in of(home, "cloud", Start)] == ["b", "c"]


def test_a_nested_graph_at_the_worker_shares_the_limit_with_the_nodes_beside_it(
    cli: CommandLine, ferry: Ferry, home: Path
) -> None:
    text = """\
version: 0.5
concurrency: 2
nodes:
  here: {agent: whereAgent, place: edge, isResult: true, inputs: {x: 1}}
  n:
    agent: nestedAgent
    place: cloud
    isResult: true
    inputs: {x: 5}
    graph:
      nodes:
        a: {agent: whereAgent, inputs: {x: :x}}
        b: {agent: whereAgent, isResult: true, inputs: {x: :a.x}}
        c: {agent: whereAgent, isResult: true, inputs: {x: :x}}
"""
    found = side_by_side(cli, ferry, text)
    assert frames(home) == ["n/"]
    assert sorted(record.path for record in of(home, "cloud", Start)) == ["n/a", "n/b", "n/c"]
    assert made_at(home, "cloud", found) == ["n/a", "n/b", "n/c"]
    side_by_side(cli, ferry, text.replace("inputs: {x: 1}", "inputs: {x: :n.b.x}"))
    assert frames(home) == ["n/", ""]  # now nothing runs beside it: it is the worker's as a whole
    assert len(of(home, "cloud", Start)) == 3
