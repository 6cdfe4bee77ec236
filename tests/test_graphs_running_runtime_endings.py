"""The asyncio shell: what fails, what is stopped, what is suspended, and how a run ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from graphs.agents import standard
from graphs.engine.plan import Compiler
from graphs.errors import JournalError, LinkCondition, ModelCrashed, NodeTimeout, UsageError
from graphs.language.spec import Graph
from graphs.records import State
from graphs.registry import agent
from graphs.running.runtime import Runtime
from graphs.values import Value
from runs import Watch, run, runtime

# -- failures, retries, time-outs


def test_a_failed_attempt_is_repeated_at_once_and_agents_see_how_often() -> None:
    def flaky(context: Any) -> Value:
        if context.retry < 2:
            raise ValueError(f"no {context.retry}")
        return context.retry

    watch = Watch()
    made = run({"a": {"agent": "flaky", "retry": 3}}, {"flaky": flaky}, observers=[watch])
    assert made.engine.results() == {"a": 2}
    assert watch.erred_ == [("no 0", False), ("no 1", False)]
    assert watch.started_ == [("a", 1), ("a", 2), ("a", 3)]


def test_a_timeout_cancels_the_agent_and_the_worker_goes_on() -> None:
    cancelled = []

    async def slow(context: Any) -> Value:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(context.retry)
            raise

    nodes = {"slow": {"agent": "slow", "timeout": 1, "retry": 1}, "next": {"agent": "copyAgent", "inputs": {"x": 1}}}
    made = run(nodes, {"slow": slow}, graph={"concurrency": 1})
    assert cancelled == [0, 1]
    assert isinstance(made.engine.errors()["slow"], NodeTimeout)
    assert made.engine.results() == {"next": {"x": 1}}
    assert made.engine.root.states[0] == State.TIMED_OUT


@pytest.mark.parametrize("ending", ["value", "error"])
def test_what_a_stopped_agent_still_does_is_ignored_and_does_not_touch_the_next_node(ending: str) -> None:
    async def stubborn(context: Any) -> Value:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if ending == "error":
                raise ValueError("late") from None
            return "late"

    async def grouped(context: Any) -> Value:
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    nodes = {"slow": {"agent": "stubborn", "timeout": 1}, "next": {"agent": "grouped", "inputs": {}, "unless": ":never"}}
    nodes["never"] = {"value": False}
    made = run(nodes, {"stubborn": stubborn, "grouped": grouped}, graph={"concurrency": 1})
    assert str(made.engine.errors()["slow"]) == "Timeout"
    assert made.engine.results() == {"next": 0, "never": False}


def test_a_timeout_covers_a_nested_graph_and_stops_what_runs_in_it() -> None:
    stopped = []

    async def slow(context: Any) -> Value:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(context.path)

    inner = {"version": 0.5, "nodes": {"slow": {"agent": "slow"}}}
    made = run({"outer": {"agent": "nestedAgent", "timeout": 1, "retry": 1, "graph": inner}}, {"slow": slow})
    assert stopped == ["outer/slow", "outer!1/slow"]
    assert isinstance(made.engine.errors()["outer"], NodeTimeout)


@pytest.mark.parametrize("timeout", [{}, {"timeout": 60_000}])
def test_an_agent_that_is_cancelled_from_within_has_failed(timeout: Mapping[str, int]) -> None:
    async def awaits_a_cancelled_task(context: Any) -> Value:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    def raises(context: Any) -> Value:
        raise asyncio.CancelledError

    agents = {"inner": awaits_a_cancelled_task, "raises": raises}
    nodes = {
        "a": {"agent": "inner", **timeout},
        "b": {"agent": "raises", **timeout},
        "c": {"agent": "copyAgent", "inputs": {"x": 1}},
    }
    made = run(nodes, agents)
    assert list(made.engine.errors()) == ["a", "b"]
    assert "cancelled from within" in str(made.engine.errors()["a"])
    assert made.engine.results() == {"c": {"x": 1}}


def test_a_crashed_model_is_no_attempt_and_is_tried_three_times() -> None:
    crashes = {"twice": 2, "always": 99}
    retries = []

    def crashing(context: Any) -> Value:
        retries.append(context.retry)
        if crashes[context.node_id] > 0:
            crashes[context.node_id] -= 1
            raise ModelCrashed("the model's process ended")
        return "done"

    made = run({"twice": {"agent": "crashing"}, "always": {"agent": "crashing", "retry": 5}}, {"crashing": crashing})
    assert made.engine.results() == {"twice": "done"}
    assert "begun 3 times" in str(made.engine.errors()["always"])
    assert set(retries) == {0}
    assert len(retries) == 6


def test_a_link_condition_suspends_its_node_and_everything_independent_finishes() -> None:
    def unreachable(context: Any) -> Value:
        raise LinkCondition("UNREACHABLE", "no worker")

    nodes = {
        "away": {"agent": "unreachable", "retry": 3},
        "after": {"agent": "copyAgent", "inputs": {"x": ":away"}},
        "here": {"agent": "copyAgent", "inputs": {"x": 1}},
        "then": {"agent": "copyAgent", "inputs": {"x": ":here.x"}},
    }
    made = run(nodes, {"unreachable": unreachable})
    assert made.engine.ended is State.SUSPENDED
    assert made.engine.results() == {"here": {"x": 1}, "then": {"x": 1}}
    assert list(made.engine.suspended) == ["away"]
    assert made.engine.errors() == {}


def test_a_node_that_may_have_happened_is_not_run_again_by_itself() -> None:
    ran = []
    made = run(
        {"mail": {"agent": "mail"}, "other": {"agent": "mail"}}, {"mail": lambda c: ran.append(c.node_id)}, indeterminate={"mail"}
    )
    assert ran == ["other"]
    assert made.engine.ended is State.SUSPENDED
    assert getattr(made.engine.suspended["mail"], "condition", None) == "NODE_INDETERMINATE"


# -- the end


def test_abort_cancels_running_agents_and_keeps_results() -> None:
    stopped = []

    async def slow(context: Any) -> Value:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(context.path)

    inner = {"version": 0.5, "nodes": {"slow": {"agent": "slow"}}}
    nodes = {
        "done": {"agent": "copyAgent", "inputs": {"x": 1}},
        "slow": {"agent": "slow"},
        "rows": {"agent": "mapAgent", "inputs": {"rows": [1, 2]}, "graph": inner},
        "stop": {"agent": "stop", "inputs": {"x": ":done"}},
    }

    def stop(context: Any) -> None:
        asyncio.get_running_loop().call_later(0.001, made.abort)

    made = runtime(nodes, {"slow": slow, "stop": stop})
    assert asyncio.run(asyncio.wait_for(made.run(), 120)) is State.ABORTED
    assert made.engine.results() == {"done": {"x": 1}, "stop": None}
    assert sorted(stopped) == ["rows[0]/slow", "rows[1]/slow", "slow"]


def test_a_cancelled_caller_aborts_the_run() -> None:
    async def slow(context: Any) -> Value:
        await asyncio.Event().wait()

    made = runtime({"slow": {"agent": "slow"}}, {"slow": slow})

    async def main() -> None:
        task = asyncio.ensure_future(made.run())
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert made.ended
    assert made.engine.ended is State.ABORTED


def test_a_run_is_run_once() -> None:
    made = runtime({"a": {"agent": "copyAgent", "inputs": {"x": 1}}})

    async def main() -> None:
        await made.run()
        with pytest.raises(UsageError, match="make a new one"):
            await made.run()

    asyncio.run(main())


def test_a_value_for_a_node_that_is_not_static_is_refused() -> None:
    made = runtime({"a": {"agent": "copyAgent", "inputs": {"x": 1}}})
    with pytest.raises(UsageError, match="injectValue with Invalid nodeId, a"):
        asyncio.run(made.run({"a": 1}))


@pytest.mark.parametrize("agent_name", ["stuck", "fails"])
def test_whatever_an_observer_raises_ends_the_run_wherever_it_is_raised(agent_name: str) -> None:
    class Broken(Watch):
        def erred(self, start: Any, error: BaseException, final: bool, t: float) -> None:
            raise JournalError("disk full")

    async def stuck(context: Any) -> Value:
        await asyncio.Event().wait()

    def fails(context: Any) -> Value:
        raise ValueError("no")

    made = runtime({"a": {"agent": agent_name, "timeout": 1}}, {"stuck": stuck, "fails": fails}, observers=[Broken()])
    with pytest.raises(JournalError, match="disk full"):
        asyncio.run(asyncio.wait_for(made.run(), 120))


def test_an_agent_that_says_that_its_time_is_up_takes_nobody_with_it() -> None:
    @agent("late", effect="none")
    async def late(_context: Any) -> Any:
        await asyncio.sleep(0)
        raise NodeTimeout("too slow")

    nodes = {
        "first": {"agent": "late", "retry": 2},
        "after": {"agent": "sleeperAgent", "params": {"duration": 1}, "inputs": {"x": 1}, "isResult": True},
    }
    agents = standard().with_agents([late])
    compiler = Compiler(agents)
    made = Runtime(compiler.plan(Graph.of({"version": 0.5, "concurrency": 1, "nodes": nodes}, set(agents))), compiler)
    state = asyncio.run(asyncio.wait_for(made.run(), 120))
    assert (state, made.engine.results()) == (State.FAILED, {"after": {"x": 1}})
    assert str(made.engine.errors()["first"]) == "too slow"
