"""Which child runs are given up without a word to their worker, and how; that nothing begins in them then is in tests/e2e/test_given_up.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.ferrying.fence import give_up, outgrown
from edge.placing.facts import Placement
from graphs.agents import standard
from graphs.journal import Journal, new_run_id
from graphs.language.cut import cut
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Cancel, Frame, Submit, encode
from graphs.registry import agent

GRAPH = """\
version: 0.5
nodes:
  near: {agent: copyAgent, inputs: {t: 1}}
  paid: {agent: payAgent, inputs: {t: :near}}
  rows:
    agent: mapAgent
    inputs: {rows: [1, 2]}
    graph:
      nodes:
        sent: {agent: payAgent, isResult: true, inputs: {t: :row}}
  pure: {agent: copyAgent, inputs: {t: :paid}}
"""


@agent("payAgent", effect="once")
def pay(context: Any) -> Any:
    return dict(context.inputs)


AGENTS = standard().with_agents([pay])


@pytest.mark.parametrize(
    ("shipped", "here", "found"),
    [
        (("paid", "pure"), (), False),
        (("paid", "pure"), ("paid",), True),
        (("paid", "pure"), ("pure",), False),
        (("pure",), ("paid",), False),
        (("rows",), ("rows",), True),
        (("rows",), ("paid",), False),
    ],
)
def test_a_child_run_is_outgrown_when_a_node_with_effects_of_it_runs_here(
    tmp_path: Path, shipped: tuple[str, ...], here: tuple[str, ...], found: bool
) -> None:
    graph = Graph.of(load_text(GRAPH).data, AGENTS.keys())
    part = cut(graph, shipped)
    placed = {name: Placement("edge" if name in here or name == "near" else "cloud", "said so") for name in graph.nodes}
    with Journal.open(tmp_path / "journal.db") as journal:
        child = new_run_id()
        journal.create_run(child, role="child", graph_hash=part.hash, graph=part.canonical, name="cut", started=0)
        journal.append(child, encode(Submit("", part.hash, {}, {})))
        journal.flush()
        assert outgrown(journal, [child], graph, placed, AGENTS) == ({child} if found else set())
        journal.append(child, encode(Frame("rows[0]/", b"?" * 32, {}, {})))
        journal.flush()
        assert outgrown(journal, [child], graph, placed, AGENTS) == {child}, "of that cut nobody knows"
        pure = Graph.of(load_text(GRAPH.replace("payAgent", "copyAgent")).data, AGENTS.keys())
        assert outgrown(journal, [child], pure, placed, AGENTS) == set(), "it would do no harm"


def test_a_child_run_is_given_up_once(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        child = new_run_id()
        journal.create_run(child, role="child", graph_hash=b"c" * 32, name="cut", started=0)
        journal.append(child, encode(Submit("", b"c" * 32, {}, {})))
        journal.append(child, encode(Cancel(["rows[0]/"], "given up by the holder")))
        for _ in range(2):
            give_up(journal, [child], "elsewhere")
            journal.flush()
        said = [logged.record for logged in journal.records(child)]
        assert said[2:] == [Cancel(None, "elsewhere")]
