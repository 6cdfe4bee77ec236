"""What a fork's log has under a key counts for who is handed the same, and for nobody else. With runs: test_edge_runs_recall, e2e/test_handover."""

from __future__ import annotations

import pytest

from graphs.agents import standard
from graphs.engine.doubts import Doubts
from graphs.engine.engine import Engine
from graphs.engine.events import Begin, Outcome, Start
from graphs.engine.outcomes import KEY
from graphs.engine.plan import Compiler
from graphs.engine.recall import Recall, keyed, keyed_results, made_alike
from graphs.engine.retrace import handed_to
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Known, Record, Result, State
from graphs.registry import Registry, agent

GRAPH = "version: 0.5\nnodes:\n  a: {agent: copyAgent, inputs: {t: 1}}\n"
MADE = Result("a", 1, 0, {"t": 1}, 5, {"agent": "copyAgent", "from": [b"r" * 16, b"w" * 8, 2]})


def begun(*, place: str | None = None) -> Start:
    compiler = Compiler(standard(), places={"a": place} if place else {})
    engine = Engine(compiler.plan(Graph.of(load_text(GRAPH).data, standard())), compiler)
    (start,) = [each for each in engine.handle(Begin(0.0)) if isinstance(each, Start)]
    return start


def recall(
    start: Start, result: Result, *, ahead: bool = True, doubts: Doubts | None = None
) -> tuple[Outcome | None, list[Known]]:
    written: list[Known] = []
    found = Recall(written.append, {"a": result}, doubts or Doubts(), ahead=ahead)
    outcome = found(start)
    assert found(start) is None, "once"
    return outcome, written


def test_who_is_handed_the_same_gets_it_and_it_counts_from_then_on() -> None:
    start = begun()
    handed = handed_to(start)
    assert handed is not None
    kept = keyed(MADE, handed)
    assert recall(start, kept) == (Outcome(State.COMPLETED, {"t": 1}), [MADE])
    assert recall(start, keyed(MADE, b"something else")) == (None, [])


@pytest.mark.parametrize("ahead", [True, False])
def test_what_a_worker_runs_ahead_is_left_to_it(ahead: bool) -> None:
    start = begun(place="cloud")
    kept = keyed(MADE, handed_to(start) or b"")
    assert (recall(start, kept, ahead=ahead)[0] is None) == ahead
    assert recall(start, kept, ahead=ahead, doubts=Doubts({"a"}))[0] is not None, "it is not shipped, as it may have happened"


def test_a_result_that_counts_leaves_no_room_for_one_under_a_key() -> None:
    records: list[Record] = [MADE, keyed(MADE, b"h"), keyed(Result("b", 1, 0, 2, 5, {}), b"i")]
    found = keyed_results(records, {"a"})
    assert found.outcomes == {"b": Outcome(State.COMPLETED, 2)}
    assert found.made["b"].by == {KEY: b"i"}


@pytest.mark.parametrize(
    ("by", "alike"),
    [
        ({"agent": "thinks"}, True),
        ({"agent": "thinks", "version": "2"}, True),
        ({"agent": "thinks", "version": "1"}, False),
        ({"agent": "unheard", "version": "1"}, True),
        ({"model": "small", "digest": "now"}, True),
        ({"model": "small", "digest": "then"}, False),
        ({"model": "small"}, True),
        ({"model": "unknown", "digest": "then"}, True),
    ],
    ids=str,
)
def test_who_made_it_would_make_it_again(by: dict[str, str], alike: bool) -> None:
    agents = Registry([agent("thinks", effect="none", version="2")(lambda _: 1)])
    digest = {"small": "now"}.get
    assert made_alike(Result("a", 1, 0, 1, 5, by), agents, digest) is alike
    assert made_alike(None, agents, digest)
