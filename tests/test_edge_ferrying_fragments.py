"""What goes along with the order of a frame; how it is said is in test_edge_delegate.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from edge.ferrying.fragments import Fragment, Fragments
from graphs.agents import standard
from graphs.engine.doubts import Doubts
from graphs.engine.engine import Engine
from graphs.engine.events import Begin, Opened, Outcome
from graphs.engine.plan import Compiler
from graphs.language.cut import cut
from graphs.language.load import load_text
from graphs.language.spec import Graph, is_boundary, is_computed
from graphs.records import State, Submit, encode
from graphs.values import decode
from protocol.codec import MAX_RECORD
from protocol.payload import lighten, resolve

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


def fragment(
    known: dict[str, Outcome],
    *doubtful: str,
    before: dict[str, bytes] | None = None,
    ran: dict[bytes, list[str]] | None = None,
) -> tuple[Any, set[str]]:
    """The fragment of the root frame, whose map is at the worker."""
    compiler = Compiler(standard(), places={"rows": "cloud"})
    engine = Engine(compiler.plan(Graph.of(load_text(ROWS).data, standard())), compiler, report=True)
    (opened,) = [each for each in engine.handle(Begin(0.0)) if isinstance(each, Opened)]
    return Fragments(known, doubtful, before, ran=(ran or {}).get).of(opened.frame, opened.turn)


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


def test_what_is_large_and_deep_inside_what_goes_along_is_in_the_order_all_the_same() -> None:
    """The worker might begin it before it hears of it; by reference, all of these have room."""
    large, small = Outcome(State.COMPLETED, "x" * 60_000), Outcome(State.COMPLETED, 5)
    known = {"near": small} | {f"rows[{row}]/post": large for row in range(100)} | {"rows[100]/post": small}
    made, told = fragment(known)
    assert made.late == {}
    assert told == known.keys() - {"near"}
    assert made.inputs.keys() >= told
    order = Submit("", bytes(32), made.inputs, {})
    travels, encoded, bodies = lighten(order, encode(order), (), lambda _: bytes(16))
    assert len(encoded.tail) <= MAX_RECORD
    assert {len(body.data) for body in bodies} == {60_003}, "one value, under one name"
    assert resolve(travels, {each.ref: decode(each.data) for each in bodies}) == order


def test_a_node_that_may_have_happened_is_in_no_fragment() -> None:
    assert "rows" in fragment({})[0].graph.nodes
    assert "rows" not in fragment({}, "rows")[0].graph.nodes


def test_what_a_worker_did_not_get_as_it_might_have_happened_it_does_not_get_once_it_has() -> None:
    """The part that is open there goes on as it is: it is told of the value, and nothing in it is begun anew."""
    without = fragment({}, "rows")[0].graph
    done = {"rows": Outcome(State.COMPLETED, [1, 2])}
    before = {"": without.hash}
    assert fragment(done, before=before)[0].graph.hash != without.hash, "nobody knows any more what ran there"
    assert fragment(done, before=before, ran={without.hash: []})[0].graph.hash == without.hash
    assert "rows" in fragment({}, before=before, ran={without.hash: []})[0].graph.nodes, "it is to run now"


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


COUNTED = """\
version: 0.5
loop: {count: 4}
nodes:
  n: {value: {n: 0}, update: UPDATE}
  a: {agent: copyAgent, inputs: {t: :n}}
  b: {agent: copyAgent, isResult: true, inputs: {t: :a, n: :n}}
"""


@pytest.mark.parametrize(("update", "begins_with"), [(":a.t", {"n": 7}), (":a", {"t": {"n": 7}}), (":a.gone", None)])
def test_a_loop_that_is_whole_from_a_later_turn_on_begins_with_what_static_nodes_have_there(
    update: str, begins_with: Any
) -> None:
    """And where one has nothing, which cannot be told, its turns go by themselves: the worker would begin with the value of the first turn."""
    compiler = Compiler(standard(), places={"a": "cloud", "b": "cloud"})
    done = Outcome(State.COMPLETED, {"t": {"n": 7}})
    graph = Graph.of(load_text(COUNTED.replace("UPDATE", update)).data, standard())
    engine = Engine(compiler.plan(graph), compiler, report=True, known={"a": done, "b": done})
    *_, opened = [each for each in engine.handle(Begin(0.0)) if isinstance(each, Opened)]
    assert opened.turn == 1
    made, _ = Fragments({}, ()).of(opened.frame, opened.turn)
    assert made.whole_loop is (begins_with is not None)
    if begins_with is None:
        assert made.unsettled == {"n"}
        assert "n" not in made.inputs
    else:
        assert made.inputs["n"] == [int(State.INJECTED), begins_with]


NESTED = """\
version: 0.5
nodes:
  outer:
    agent: nestedAgent
    inputs: {seed: 0}
    graph:
      loop: {count: 3}
      nodes:
        sum: {value: 0, update: :b}
        a: {agent: copyAgent, inputs: {t: :sum}}
        b: {agent: copyAgent, isResult: true, inputs: {t: :a}}
"""


@pytest.mark.parametrize(("text", "inside"), [(LOOP, ""), (NESTED, "outer/")])
def test_a_loop_with_a_node_in_doubt_in_a_later_turn_is_turned_here(text: str, inside: str) -> None:
    """Else the worker would come to that turn by itself, and run the node."""
    compiler = Compiler(standard(), places={f"{inside}a": "cloud", f"{inside}b": "cloud"})
    engine = Engine(compiler.plan(Graph.of(load_text(text).data, standard())), compiler, report=True)
    *_, opened = [each for each in engine.handle(Begin(0.0)) if isinstance(each, Opened)]

    def found(*doubtful: str, known: Sequence[str] = (), **how: Any) -> tuple[set[str], bool]:
        done = {f"{inside}{path}": Outcome(State.COMPLETED, 5) for path in known}
        doubts = Doubts([f"{inside}{path}" for path in doubtful], **how)
        made, _ = Fragments(done, doubts).of(opened.frame, opened.turn)
        return {name for name, spec in made.graph.nodes.items() if is_computed(spec) and not is_boundary(spec)}, made.whole_loop

    assert opened.frame.base == inside
    assert found() == ({"a", "b"}, True)
    assert found("b#2") == found("b#2", known=["a"]) == ({"a", "b"}, False)
    assert found("b#2", known=["a", "b"]) == (set(), False), "nothing of it is left to do"
    assert found("b") == ({"a"}, False)
    assert found(suspects={f"{inside}b"}) == ({"a"}, False)
    assert found(suspects={f"{inside}b"}, cleared={f"{inside}b"}) == ({"a", "b"}, False)
    assert found(suspects={"other/b"}) == ({"a", "b"}, bool(inside)), "all that there is lies in the root graph"


def test_the_order_says_how_often_nodes_with_effects_were_begun_in_its_frame() -> None:
    graph = Graph.of({"version": 0.5, "nodes": {"a": {"agent": "copyAgent"}}}, standard())
    begun = {"a": 2, "rows[0]/b": 1, "rows[0]/in/c": 3, "rows[1]/b": 5}

    def said(name: str) -> object:
        fragment = Fragment(name, cut(graph, ["a"]), whole_loop=False)
        fragment.count(begun)
        return fragment.opts().get("begun")

    assert said("") == begun
    assert said("#1") == begun
    assert said("rows[0]/") == {"rows[0]/b": 1, "rows[0]/in/c": 3}
    assert said("rows[2]/") is None


def test_no_more_is_said_of_what_was_begun_than_a_record_has_room_for() -> None:
    graph = Graph.of({"version": 0.5, "nodes": {"a": {"agent": "copyAgent"}}}, standard())
    fragment = Fragment("", cut(graph, ["a"]), whole_loop=False)
    fragment.count({f"node {number}": 1 for number in range(10_000)})
    assert 100 < len(fragment.begun) < 500
