"""What goes along with the order of a frame; how it is said is in test_edge_delegate.py."""

from __future__ import annotations

from typing import Any

from edge.ferrying.fragments import Fragments
from graphs.agents import standard
from graphs.engine.engine import Engine
from graphs.engine.events import Begin, Opened, Outcome
from graphs.engine.plan import Compiler
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import State

ROWS = """\
version: 0.5
nodes:
  near: {agent: copyAgent, inputs: {t: 1}}
  rows:
    agent: mapAgent
    inputs: {rows: [1, 2]}
    graph:
      nodes:
        post: {agent: copyAgent, inputs: {t: :row}}
        last: {agent: copyAgent, isResult: true, inputs: {t: :post}}
"""


def fragment(known: dict[str, Outcome], *doubtful: str, before: dict[str, bytes] | None = None) -> tuple[Any, set[str]]:
    """The fragment of the root frame, whose map is at the worker."""
    compiler = Compiler(standard(), places={"rows": "cloud"})
    engine = Engine(compiler.plan(Graph.of(load_text(ROWS).data, standard())), compiler, report=True)
    (opened,) = [each for each in engine.handle(Begin(0.0)) if isinstance(each, Opened)]
    return Fragments(known, doubtful, before).of(opened.frame, opened.turn)


def test_what_was_done_inside_a_graph_that_goes_along_whole_is_told_too() -> None:
    done = Outcome(State.COMPLETED, 5)
    made, told = fragment({"rows[0]/post": done, "near": done, "other[0]/post": done})
    assert made.inputs["rows[0]/post"] == [State.COMPLETED, 5]
    assert told == {"rows[0]/post"}


def test_what_does_not_fit_is_in_no_fragment_unless_the_worker_has_that_from_before() -> None:
    known = {"rows": Outcome(State.COMPLETED, "x" * 100_000)}
    assert "rows" not in fragment(known)[0].graph.nodes
    whole = fragment({})[0].graph
    assert fragment(known, before={"": whole.hash})[0].graph.hash == whole.hash
    assert "rows" not in fragment(known, before={"": bytes(32)})[0].graph.nodes


def test_a_node_that_may_have_happened_is_in_no_fragment() -> None:
    assert "rows" in fragment({})[0].graph.nodes
    assert "rows" not in fragment({}, "rows")[0].graph.nodes


LOOP = """\
version: 0.5
loop: {count: 4}
nodes:
  a: {agent: copyAgent, inputs: {t: 1}}
  b: {agent: copyAgent, isResult: true, inputs: {t: :a}}
"""


def test_a_loop_that_is_whole_from_a_later_turn_on_is_not_told_of_the_turns_before_it() -> None:
    """In the order of that frame a path without a turn is the node of this turn."""
    compiler = Compiler(standard(), places={"a": "cloud", "b": "cloud"})
    done = Outcome(State.COMPLETED, 5)
    known = {"a": done, "b": done, "a#1": done, "a#3": done}
    engine = Engine(compiler.plan(Graph.of(load_text(LOOP).data, standard())), compiler, report=True, known=known)
    *_, opened = [each for each in engine.handle(Begin(0.0)) if isinstance(each, Opened)]
    assert opened.turn == 1
    made, told = Fragments(known, ()).of(opened.frame, opened.turn)
    assert made.whole_loop
    assert set(made.inputs) == told == {"a#1", "a#3"}
