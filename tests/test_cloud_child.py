"""A child run at the worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from child_runs import ROOT, Log, ran, shipped, with_child
from cloud.child import ChildRun
from cloud.revival import reported
from cloud.worker import RefusedCut
from graphs.bounds import UNTRUSTED
from graphs.engine.outcomes import known_outcomes
from graphs.records import Cancel, Close, EndStatus, Error, Event, Input, Result, State, Submit
from graphs.values import MISSING

CHAIN = """\
nodes:
  here: {agent: countAgent, inputs: {t: 1}}
  far: {agent: countAgent, inputs: {t: :here}}
  off: {agent: countAgent, inputs: {t: :far.t}}
  last: {agent: countAgent, isResult: true, inputs: {t: :off.t}}
"""


def test_it_runs_ahead_and_ends_once_nothing_can_run_any_more(tmp_path: Path) -> None:
    graph = shipped(CHAIN, "far", "last")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Input("here", State.COMPLETED, {"v": 1}))
        child.order(Input("off", State.COMPLETED, {"t": 2}))
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    assert log.results() == {"far": {"t": {"v": 1}}, "last": {"t": 2}}
    assert log.end == EndStatus.COMPLETED


def test_what_waits_for_a_value_that_never_comes_stays_waiting_without_an_error(tmp_path: Path) -> None:
    graph = shipped(CHAIN, "far", "last")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Input("here", State.COMPLETED, 1))
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    assert list(log.results()) == ["far"]
    assert not [record for record in log.records if isinstance(record, Error)]
    assert log.end == EndStatus.COMPLETED


def test_orders_that_come_before_the_graph_are_not_lost(tmp_path: Path) -> None:
    graph = shipped(CHAIN, "far")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.order(Input("here", State.COMPLETED, 7))
        child.order(Close(None))
        child.begin(order, graph)
        await log.ended.wait()

    assert with_child(tmp_path, graph, use).results() == {"far": {"t": 7}}


def test_known_outcomes_are_not_made_again_and_are_read_like_others(tmp_path: Path) -> None:
    graph = shipped(CHAIN, "far", "off", "last")
    inputs = {"here": [int(State.COMPLETED), 1], "far": [int(State.COMPLETED), {"t": "kept"}]}

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use, inputs)
    assert [path for path, _ in ran] == ["off", "last"]
    assert log.results() == {"off": {"t": "kept"}, "last": {"t": "kept"}}


def test_an_input_may_take_a_node_over_that_runs_here(tmp_path: Path) -> None:
    graph = shipped(CHAIN.replace("far: {agent: countAgent", "far: {agent: foreverAgent"), "far", "off")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Input("here", State.COMPLETED, 1))
        await ran.reach(1)
        child.order(Input("far", State.COMPLETED, {"t": "elsewhere"}))
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    assert log.results() == {"off": {"t": "elsewhere"}}


def test_a_boundary_node_without_a_value_lets_its_followers_run(tmp_path: Path) -> None:
    graph = shipped(CHAIN, "far")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Input("here", State.COMPLETED, MISSING))
        child.order(Close(None))
        await log.ended.wait()

    assert list(with_child(tmp_path, graph, use).results()) == ["far"]


@pytest.mark.parametrize("when", ["before the graph", "at once", "in the middle"])
def test_cancel_ends_it_and_nothing_is_said_after_the_end(tmp_path: Path, when: str) -> None:
    graph = shipped(CHAIN.replace("far: {agent: countAgent", "far: {agent: foreverAgent"), "far")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        if when == "before the graph":
            child.order(Cancel(None, "enough"))
            await log.ended.wait()
            child.begin(order, graph)
            child.refuse(order, RefusedCut("GRAPH_INVALID", []))
        else:
            child.begin(order, graph)
            child.order(Input("here", State.COMPLETED, 1))
            await ran.reach(1 if when == "in the middle" else 0)
            child.order(Cancel(None, "enough"))
            await log.ended.wait()
        child.order(Input("here", State.COMPLETED, 2))
        child.order(Close(None))
        child.abandon("gone")

    log = with_child(tmp_path, graph, use)
    assert log.end == EndStatus.CANCELLED
    assert log.results() == {}


def test_one_node_can_be_given_up_while_others_go_on(tmp_path: Path) -> None:
    graph = shipped(
        "nodes:\n  a: {agent: foreverAgent, inputs: {t: 1}}\n  b: {agent: countAgent, isResult: true, inputs: {t: 2}}\n", "a", "b"
    )

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        await ran.reach(2)
        child.order(Cancel(["a"], "given up"))
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    assert log.results() == {"b": {"t": 2}}
    assert not [record for record in log.records if isinstance(record, Error)]


def test_a_device_that_is_gone_for_too_long_ends_it(tmp_path: Path) -> None:
    graph = shipped(CHAIN, "far")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        assert child.grace_ms == 1234
        child.begin(order, graph)
        child.abandon("gone for too long")
        await log.ended.wait()

    assert with_child(tmp_path, graph, use, gone=["cancel", 1234]).end == EndStatus.CANCELLED


def test_a_run_whose_owner_said_nothing_is_kept_for_ever(tmp_path: Path) -> None:
    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        assert child.grace_ms is None

    with_child(tmp_path, shipped(CHAIN, "far"), use)


def test_stopping_leaves_the_log_open(tmp_path: Path) -> None:
    graph = shipped(CHAIN, "far")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        await child.stop()
        assert not log.ended.is_set()

    with_child(tmp_path, graph, use)


def test_stopping_does_not_wait_for_a_device_that_is_away(tmp_path: Path) -> None:
    graph = shipped(CHAIN.replace("far: {agent: countAgent", "far: {agent: onceAgent"), "far")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Input("here", State.COMPLETED, 1))
        await log.waits.wait()
        log.holds.set()  # the device knows that the node with effects begins
        await ran.reach(1)
        log.holds.clear()  # and is gone

    assert not with_child(tmp_path, graph, use).ended.is_set()


def test_what_becomes_durable_while_it_stops_lets_no_node_with_effects_begin(tmp_path: Path) -> None:
    graph = shipped("nodes:\n  a: {agent: onceAgent, isResult: true, inputs: {t: 1}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        log.commits.clear()
        child.begin(order, graph)
        await log.writing.wait()
        log.commits.set()  # in the turn in which it begins to stop: the node hears of this first
        await child.stop()

    with_child(tmp_path, graph, use)
    assert ran == []


def test_a_refusal_is_one_error_for_the_frame_and_the_child_run_goes_on(tmp_path: Path) -> None:
    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.refuse(order, RefusedCut("AGENT_UNKNOWN", [("a", "GF105", "no such agent")]))
        assert not log.ended.is_set(), "another frame may follow"
        child.order(Close(None))

    log = with_child(tmp_path, shipped(CHAIN, "far"), use)
    (error, _) = log.records
    assert error == Error(None, 0, 0, "AGENT_UNKNOWN", "no such agent", True, False)


def test_a_node_with_effects_begins_only_once_the_device_knows(tmp_path: Path) -> None:
    graph = shipped("nodes:\n  a: {agent: onceAgent, isResult: true, inputs: {t: 1}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Close(None))
        await log.waits.wait()
        assert ran == []
        begin = log.records[log.asked[0] - 1]
        assert (begin.path, begin.state, begin.info["effect"]) == ("a", State.EXECUTING, "once")
        log.holds.set()
        await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    assert [path for path, _ in ran] == ["a"]
    assert log.results() == {"a": {"t": 1}}


def test_a_run_that_is_given_up_ends_though_the_device_never_hears_of_a_begin(tmp_path: Path) -> None:
    graph = shipped("nodes:\n  a: {agent: onceAgent, isResult: true, inputs: {t: 1}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        await log.waits.wait()
        child.abandon("gone for too long")
        await log.ended.wait()

    assert with_child(tmp_path, graph, use).end == EndStatus.CANCELLED


def test_a_node_without_effects_does_not_wait_for_the_device(tmp_path: Path) -> None:
    graph = shipped("nodes:\n  a: {agent: countAgent, isResult: true, inputs: {t: 1}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    assert with_child(tmp_path, graph, use).asked == []


def test_keys_hang_on_the_root_run(tmp_path: Path) -> None:
    from graphs.running.attempt import execution_key

    graph = shipped("nodes:\n  a: {agent: countAgent, isResult: true, inputs: {t: 1}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        assert child.root == ROOT
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    with_child(tmp_path, graph, use)
    assert ran == [("a", execution_key(ROOT, "a"))]


def test_a_value_that_may_not_cross_is_an_error_instead_of_a_result(tmp_path: Path) -> None:
    graph = shipped(
        "nodes:\n  a: {agent: countAgent, inputs: {t: 1}}\n  b: {agent: countAgent, isResult: true, inputs: {t: :a.t}}\n",
        "a",
        "b",
    )

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        log.refuse.add("a")
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    (error,) = [record for record in log.records if isinstance(record, Error)]
    assert (error.path, error.code, error.final, error.retryable) == ("a", "VALUE_TOO_LARGE", True, False)
    assert log.results() == {"b": {"t": 1}}, "here, the value is there"


def test_a_node_with_effects_whose_value_may_not_cross_has_happened_all_the_same(tmp_path: Path) -> None:
    """To call it failed would have it run again."""
    graph = shipped("nodes:\n  a: {agent: onceAgent, isResult: true, inputs: {t: 1}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        log.refuse.add("a")
        log.holds.set()
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    (error,) = [record for record in log.records if isinstance(record, Error)]
    assert (error.path, error.code, error.final, error.retryable) == ("a", "NODE_INDETERMINATE", True, False)
    assert error.text == "it has done its work here, and what it gave is not kept: it is too large"
    assert known_outcomes(log.records).indeterminate == {"a"}


def test_executions_are_counted_on_from_what_the_device_knows(tmp_path: Path) -> None:
    """Else what an earlier child run said of the first one would be taken for what became of this one."""
    graph = shipped("nodes:\n  a: {agent: onceAgent, isResult: true, inputs: {t: 1}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        log.holds.set()
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use, begun={"a": 3})
    assert [(type(each), each.at) for each in log.records if isinstance(each, (Event, Result))] == [(Event, 4), (Result, 4)]


@pytest.mark.parametrize("effect", ["once", "none"])
def test_a_node_with_effects_whose_value_reaches_a_limit_has_happened_all_the_same(tmp_path: Path, effect: str) -> None:
    text = f"nodes:\n  a: {{agent: foldAgent, effect: {effect}, isResult: true}}\n"

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        log.holds.set()
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    graph = shipped(text, "a")
    log = with_child(tmp_path, graph, use, bounds=replace(UNTRUSTED, value_bytes=900))
    (error,) = [record for record in log.records if isinstance(record, Error)]
    assert len(ran) == 1
    assert "the limit `value_bytes` of 900 is reached" in error.text
    assert (error.path, error.final, error.retryable) == ("a", True, False)
    assert error.code == ("NODE_INDETERMINATE" if effect == "once" else "LIMIT_REACHED")
    known = known_outcomes(log.records)
    assert known.indeterminate == ({"a"} if effect == "once" else set())
    assert ("a" in reported(log.records).outcomes) == (effect == "none"), "the worker's next process asks, too"


@pytest.mark.parametrize("stops", [False, True], ids=["cancelled", "this process ends"])
def test_a_node_with_effects_that_is_cancelled_before_the_device_holds_that_it_begins_has_not_begun(
    tmp_path: Path, stops: bool
) -> None:
    graph = shipped("nodes:\n  a: {agent: onceAgent, isResult: true, inputs: {t: 1}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        await log.waits.wait()
        if not stops:
            child.order(Cancel(None, "it goes on elsewhere"))
            await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    assert ran == []
    said = [(record.path, record.at, record.code, record.final) for record in log.records if isinstance(record, Error)]
    assert said == ([] if stops else [("a", 1, "CANCELLED", True)])
    assert known_outcomes(log.records).indeterminate == ({"a"} if stops else set())


NESTED = """\
nodes:
  rows:
    agent: mapAgent
    isResult: true
    inputs: {rows: [1, 2]}
    graph:
      nodes:
        x: {agent: countAgent, isResult: true, inputs: {t: :row}}
"""


@pytest.mark.parametrize("code", ["QUOTA", "VALUE_TOO_LARGE", "BUSY", "MODEL_OVERLOADED", "LABEL_WITHHELD", "WHATEVER"])
def test_a_condition_of_the_link_inside_a_graph_is_no_failure_around_it_for_the_next_process_either(
    tmp_path: Path, code: str
) -> None:
    graph = shipped(NESTED, "rows")
    before = reported([Result("rows[0]/x", 1, 0, {"t": 1}, 0, {}), Error("rows[1]/x", 1, 0, code, "not now", True, True)])

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use, before=before)
    assert ran == [], "its owner was told, and decides"
    assert {(record.path, record.code) for record in log.records if isinstance(record, Error)} == {("rows[1]/x", code)}
    assert log.results() == {}


def test_tokens_hang_on_the_record_of_their_beginning(tmp_path: Path) -> None:
    graph = shipped("nodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use)
    starts = {start for start, _ in log.deltas}
    assert len(starts) == 1
    begin = log.records[starts.pop() - 1]
    assert isinstance(begin, Event)
    assert (begin.path, begin.state) == ("a", State.EXECUTING)
    assert "".join(token for _, token in log.deltas) == "You said: hi"


def test_what_the_device_calls_a_model_is_understood(tmp_path: Path) -> None:
    graph = shipped("nodes:\n  a: {agent: llmAgent, model: huge, isResult: true, inputs: {prompt: hi}}\n", "a")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use, options={"models": {"huge": "large"}})
    assert log.results()["a"]["text"] == "You said: hi"


def test_a_loop_has_the_devices_limit_of_turns(tmp_path: Path) -> None:
    graph = shipped(
        "loop: {while: :on}\nnodes:\n  on: {value: true}\n  n: {value: 0, update: :a.t}\n"
        "  a: {agent: countAgent, inputs: {t: :n}}\n",
        "a",
    )

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        child.order(Close(None))
        await log.ended.wait()

    log = with_child(tmp_path, graph, use, options={"max_turns": 3})
    assert [path for path, _ in ran] == ["a", "a#1", "a#2"]
    assert log.end == EndStatus.COMPLETED
