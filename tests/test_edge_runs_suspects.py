"""Nodes with effects that another store may have begun without this device having heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.runs.suspects import acting, begun_at_workers
from graphs.agents import standard
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.language.cut import cut
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Frame, Input, Record, Start, State, Submit, encode
from graphs.registry import agent

AGENTS = standard().with_agents(
    [
        agent("payAgent", effect="once")(lambda _: 1),
        agent("thinkAgent", effect="none")(lambda _: 1),
    ]
)
GRAPH = """\
version: 0.5
nodes:
  here: {agent: thinkAgent}
  first: {agent: payAgent, inputs: {a: 1}}
  later: {agent: payAgent, inputs: {of: :here}}
  any: {agent: payAgent, anyInput: true, inputs: {a: :here, b: :first}}
  free: {agent: thinkAgent}
  rows:
    agent: mapAgent
    inputs: {rows: [1, 2]}
    graph:
      nodes:
        pay: {agent: payAgent, isResult: true, inputs: {of: :row}}
        think: {agent: thinkAgent, inputs: {of: :row}}
  made: {agent: nestedAgent, graph: ":here"}
"""
GIVEN = ("first", "later", "any", "free", "rows")


@pytest.fixture
def graph() -> Graph:
    return Graph.of(load_text(GRAPH).data, AGENTS)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def child(journal: Journal, graph: Graph, *records: Record, demand: bool | None = None) -> bytes:
    """A child run in which the worker was given the nodes in `GIVEN`, and then told this."""
    run, given = new_run_id(), cut(graph, GIVEN)
    journal.create_run(run, role="child", graph_hash=given.hash, graph=given.canonical, name="cut", started=0)
    for record in (Submit("", given.hash, {}, {"demand": demand}), *records):
        journal.append(run, encode(record))
    journal.flush()
    return run


def test_what_acts_is_named_where_it_stands_and_a_graph_that_nobody_has_seen_by_its_opener(graph: Graph) -> None:
    assert set(acting(graph, AGENTS)) == {"first", "later", "any", "rows/pay", "made"}


def test_what_a_worker_was_given_with_all_that_it_reads_may_have_begun(journal: Journal, graph: Graph) -> None:
    run = child(journal, graph)
    assert begun_at_workers(journal, [run], AGENTS, graph) == {"first", "any", "rows/pay"}


def test_so_may_what_waited_for_a_value_once_that_was_told(journal: Journal, graph: Graph) -> None:
    run = child(journal, graph, Input("here", State.COMPLETED, 1))
    assert begun_at_workers(journal, [run], AGENTS, graph) == {"first", "later", "any", "rows/pay"}


def test_what_starts_on_order_did_not_before_it_was_ordered(journal: Journal, graph: Graph) -> None:
    run = child(journal, graph, Start("first", 1), demand=True)
    assert begun_at_workers(journal, [run], AGENTS, graph) == {"first"}


def test_a_frame_of_a_row_stands_for_its_node(journal: Journal, graph: Graph) -> None:
    inner = Graph(graph.nodes["rows"]["graph"])
    part = cut(inner, ["pay"])
    journal.put_graph(part.hash, part.canonical)
    run = child(journal, graph, Frame("rows[1]/", part.hash, {"row": [State.INJECTED, 1]}, {}), demand=True)
    assert begun_at_workers(journal, [run], AGENTS, graph) == {"rows/pay"}


def test_nobody_else_is_suspected(journal: Journal, graph: Graph) -> None:
    assert begun_at_workers(journal, [], AGENTS, graph) == set()
