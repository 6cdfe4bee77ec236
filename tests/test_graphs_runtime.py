"""The asyncio shell: how agents are run, stopped, repeated and kept apart."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from graphs.agents import standard
from graphs.errors import JournalError, LinkCondition, ModelCrashed, NodeError, NodeTimeout, UsageError
from graphs.plan import Compiler
from graphs.ports import AgentFilter
from graphs.records import State
from graphs.registry import Agent, agent
from graphs.runtime import Runtime
from graphs.spec import Graph
from graphs.values import Value

Run = Callable[..., Any]


def runtime(nodes: Mapping[str, Any], agents: Mapping[str, Callable[[Any], Any] | Agent] | None = None, **options: Any) -> Runtime:
    """A run of these nodes; functions stand for agents of their name."""
    document = {"version": 0.5, **options.pop("graph", {}), "nodes": dict(nodes)}
    made = [each if isinstance(each, Agent) else agent(name, effect="none")(each) for name, each in (agents or {}).items()]
    registry = standard().with_agents(made)
    compiler = Compiler(registry)
    return Runtime(compiler.plan(Graph.of(document, set(registry))), compiler, **options)


def run(nodes: Mapping[str, Any], agents: Mapping[str, Callable[[Any], Any] | Agent] | None = None, **options: Any) -> Runtime:
    made = runtime(nodes, agents, **options)
    asyncio.run(asyncio.wait_for(made.run(options.pop("inject", None)), 30))
    return made


class Watch:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.started_: list[tuple[str, int]] = []
        self.tokens: list[Value] = []
        self.erred_: list[tuple[str, bool]] = []
        self.settled_: list[tuple[str, int]] = []

    def started(self, start: Any, t: float) -> None:
        self.started_.append((start.path, start.at))

    def settled(self, event: Any, by: Any, usage: Any, t: float) -> None:
        self.settled_.append((event.path, event.state))

    def erred(self, start: Any, error: BaseException, final: bool, t: float) -> None:
        self.erred_.append((str(error), final))

    def token(self, start: Any, token: Value) -> None:
        self.tokens.append(token)


# -- ways to be an agent


def test_a_plain_agent_runs_inline_in_one_worker_task() -> None:
    tasks = set()

    def plain(context: Any) -> Value:
        tasks.add(asyncio.current_task())
        return context.inputs.get("before", 0)

    run({"a": {"agent": "plain"}, "b": {"agent": "plain", "inputs": {"before": ":a"}}, "c": {"agent": "plain"}}, {"plain": plain})
    assert len(tasks) == 1


def test_a_suspended_agent_lets_the_others_go_on() -> None:
    order: list[str] = []
    gate: list[asyncio.Event] = []

    async def waits(context: Any) -> Value:
        gate.append(asyncio.Event())
        await gate[0].wait()
        order.append("waits")
        return 1

    def opens(context: Any) -> Value:
        order.append("opens")
        gate[0].set()
        return 2

    made = run({"waits": {"agent": "waits"}, "opens": {"agent": "opens"}}, {"waits": waits, "opens": opens})
    assert order == ["opens", "waits"]
    assert made.engine.results() == {"waits": 1, "opens": 2}


def test_a_plain_function_may_give_something_to_await() -> None:
    async def later(value: Value) -> Value:
        await asyncio.sleep(0)
        return value

    def future(context: Any) -> Awaitable[Value]:
        made: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        made.set_result("future")
        return made

    made = run({"a": {"agent": "coroutine"}, "b": {"agent": "future"}}, {"coroutine": lambda _: later(3), "future": future})
    assert made.engine.results() == {"a": 3, "b": "future"}


def test_a_blocking_agent_runs_in_a_thread_with_the_context_of_the_run() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")

    def blocks(context: Any) -> Value:
        return [threading.current_thread() is threading.main_thread(), name.get()]

    blocking = agent("blocks", effect="none", blocking=True)(blocks)
    name.set("outer")
    assert run({"a": {"agent": "blocks"}}, {"blocks": blocking}).engine.results() == {"a": [False, "outer"]}


def test_each_node_sees_fresh_context_variables() -> None:
    seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="clean")

    def dirties(context: Any) -> Value:
        before = seen.get()
        seen.set(context.node_id)
        return before

    async def dirties_and_waits(context: Any) -> Value:
        before = seen.get()
        seen.set(context.node_id)
        await asyncio.sleep(0)
        return [before, seen.get()]

    def dirties_and_fails(context: Any) -> Value:
        seen.set(context.node_id)
        raise NodeError(seen.get())

    nodes = {f"n{number}": {"agent": kind} for number, kind in enumerate(["plain", "fails", "waits", "plain", "waits", "plain"])}
    made = run(nodes, {"plain": dirties, "waits": dirties_and_waits, "fails": dirties_and_fails})
    assert made.engine.results() == {
        "n0": "clean", "n2": ["clean", "n2"], "n3": "clean", "n4": ["clean", "n4"], "n5": "clean"
    }  # fmt: skip
    assert seen.get() == "clean"


def test_a_stopped_agent_leaves_no_context_variables_behind() -> None:
    seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="clean")

    async def stuck(context: Any) -> Value:
        seen.set("dirty")
        await asyncio.Event().wait()

    nodes = {"slow": {"agent": "stuck", "timeout": 1, "retry": 1}, "then": {"agent": "look", "inputs": {}}}
    made = run(nodes, {"stuck": stuck, "look": lambda _: seen.get()}, graph={"concurrency": 1})
    assert made.engine.results() == {"then": "clean"}


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
    nodes = {"a": {"agent": "inner", **timeout}, "b": {"agent": "raises", **timeout}, "c": {"agent": "copyAgent", "inputs": {"x": 1}}}
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
    made = run({"mail": {"agent": "mail"}, "other": {"agent": "mail"}}, {"mail": lambda c: ran.append(c.node_id)}, indeterminate={"mail"})
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
    made = runtime(nodes, {"slow": slow, "stop": lambda _: asyncio.get_running_loop().call_later(0.001, made.abort) and None})
    assert asyncio.run(asyncio.wait_for(made.run(), 30)) is State.ABORTED
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
        asyncio.run(asyncio.wait_for(made.run(), 10))


# -- what is around an agent


def test_filters_wrap_from_outside_in_and_their_params_lie_under_the_nodes() -> None:
    seen: list[Any] = []

    def filter_(name: str, **which: Any) -> AgentFilter:
        async def around(context: Any, next_: Callable[[Any], Any]) -> Value:
            seen.append((name, context.node_id))
            return {name: await next_(context)}

        return AgentFilter(name, around, **which)

    filters = [
        filter_("all", params={"level": 1, "who": "filter"}),
        filter_("agents", agents=frozenset({"other"})),
        filter_("nodes", nodes=frozenset({"a"}), params={"level": 2, "deep": True}),
        filter_("never", agents=frozenset(), nodes=frozenset()),
    ]
    nodes = {"a": {"agent": "params", "filterParams": {"who": "node"}}, "b": {"agent": "params"}}
    made = run(nodes, {"params": lambda context: dict(context.filter_params)}, filters=filters)
    assert made.engine.results() == {
        "a": {"all": {"nodes": {"level": 1, "who": "node", "deep": True}}},
        "b": {"all": {"level": 1, "who": "filter"}},
    }
    assert seen == [("all", "a"), ("nodes", "a"), ("all", "b")]


def test_a_filter_may_answer_itself_and_wraps_every_attempt_inside_nested_graphs_too() -> None:
    calls = []

    def answers(context: Any, next_: Callable[[Any], Any]) -> Value:
        calls.append((context.path, context.retry))
        if context.retry == 0:
            raise NodeError("first")
        return "from the filter"

    inner = {"version": 0.5, "nodes": {"x": {"agent": "copyAgent", "retry": 1, "isResult": True}}}
    made = run({"outer": {"agent": "nestedAgent", "graph": inner}}, filters=[AgentFilter("f", answers, agents=frozenset({"copyAgent"}))])
    assert made.engine.results() == {"outer": {"x": "from the filter"}}
    assert calls == [("outer/x", 0), ("outer/x", 1)]


def test_tokens_pass_while_the_attempt_runs_and_are_dropped_after_it() -> None:
    kept: list[Any] = []

    async def streams(context: Any) -> Value:
        kept.append(context)
        context.stream(f"try {context.retry}")
        if context.retry == 0:
            await asyncio.Event().wait()
        return "done"

    def late(context: Any) -> Value:
        for each in kept:
            each.stream("too late")
        return 0

    watch = Watch()
    nodes = {"s": {"agent": "streams", "timeout": 1, "retry": 1, "isResult": True}, "late": {"agent": "late", "inputs": {"x": ":s"}}}
    run(nodes, {"streams": streams, "late": late}, observers=[watch])
    assert watch.tokens == ["try 0", "try 1"]


def test_configuration_of_all_is_laid_under_that_of_the_agent() -> None:
    config = {"global": {"a": 1, "b": 1}, "look": {"b": 2}, "other": {"c": 3}}
    made = run({"n": {"agent": "look"}}, {"look": lambda context: dict(context.config)}, config=config)
    assert made.engine.results() == {"n": {"a": 1, "b": 2}}


def test_the_key_of_a_node_is_the_same_in_every_attempt_and_another_one_elsewhere() -> None:
    keys: dict[str, set[bytes]] = {}

    def flaky(context: Any) -> Value:
        keys.setdefault(context.path, set()).add(context.key)
        if context.retry == 0:
            raise ValueError("again")
        return 1

    run({"a": {"agent": "flaky", "retry": 1}, "b": {"agent": "flaky", "retry": 1}}, {"flaky": flaky}, run_id=b"r" * 16)
    (a,), (b,) = keys["a"], keys["b"]
    assert a != b
    assert len(a) == 16


# -- size


def test_a_large_value_is_handed_on_by_reference() -> None:
    large = {"bytes": b"x" * 10_000_000}
    seen = []
    nodes = {
        "given": {"value": None},
        "make": {"agent": "make", "inputs": {"x": ":given"}},
        "inside": {"agent": "nestedAgent", "inputs": {"x": ":make"}, "graph": {"version": 0.5, "nodes": {"look": {"agent": "look", "inputs": {"x": ":x"}}}}},
        "look": {"agent": "look", "inputs": {"x": ":make", "given": ":given"}},
    }  # fmt: skip
    made = runtime(nodes, {"make": lambda _: large, "look": lambda context: seen.extend(context.inputs.values())})
    asyncio.run(made.run({"given": large}))
    assert len(seen) == 3
    assert all(each is large for each in seen)


def test_a_very_long_chain_does_not_recurse() -> None:
    length = 100_000
    nodes: dict[str, Any] = {"n0": {"value": 0}}
    nodes |= {f"n{i}": {"agent": "next", "inputs": {"x": f":n{i - 1}"}} for i in range(1, length)}
    made = run(nodes, {"next": lambda context: context.inputs["x"] + 1})
    assert made.engine.results()[f"n{length - 1}"] == length - 1


def test_a_very_long_chain_of_defaults_does_not_recurse_either() -> None:
    nodes: dict[str, Any] = {"n0": {"value": 0}}
    for i in range(1, 3000):
        nodes[f"n{i}"] = {"agent": "copyAgent", "inputs": {"x": f":n{i - 1}"}, "if": f":n{i - 1}.never", "defaultValue": {"i": i}}
    assert run(nodes).engine.results()["n2999"] == {"i": 2999}


def test_a_map_over_a_thousand_rows_keeps_their_order() -> None:
    async def wait(context: Any) -> Value:
        await asyncio.sleep(0)
        return context.inputs["x"]

    inner = {"version": 0.5, "nodes": {"v": {"agent": "wait", "inputs": {"x": ":row"}, "isResult": True}}}
    nodes = {"m": {"agent": "mapAgent", "inputs": {"rows": list(range(1000))}, "params": {"compositeResultKey": "v"}, "graph": inner}}
    assert run(nodes, {"wait": wait}).engine.results() == {"m": list(range(1000))}


def test_a_result_of_many_waiting_agents_needs_no_more_places_than_there_are() -> None:
    running, peak = 0, 0

    async def wait(context: Any) -> Value:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1

    run({f"n{i}": {"agent": "wait"} for i in range(100)}, {"wait": wait}, graph={"concurrency": 7})
    assert peak == 7
