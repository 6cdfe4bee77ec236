"""The asyncio shell: how agents are run, kept apart and wrapped."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from graphs.agents import standard
from graphs.engine.events import Outcome, Settled, Start
from graphs.engine.frames import Frame
from graphs.engine.plan import Compiler
from graphs.errors import NodeError
from graphs.language.spec import Graph
from graphs.records import State
from graphs.registry import agent
from graphs.running.ports import AgentFilter
from graphs.running.runtime import Runtime
from graphs.values import Value
from runs import Watch, run, runtime

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
    made = run(
        {"outer": {"agent": "nestedAgent", "graph": inner}}, filters=[AgentFilter("f", answers, agents=frozenset({"copyAgent"}))]
    )
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
    nodes = {
        "s": {"agent": "streams", "timeout": 1, "retry": 1, "isResult": True},
        "late": {"agent": "late", "inputs": {"x": ":s"}},
    }
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
    look = {"look": {"agent": "look", "inputs": {"x": ":x"}}}
    nodes = {
        "given": {"value": None},
        "make": {"agent": "make", "inputs": {"x": ":given"}},
        "inside": {"agent": "nestedAgent", "inputs": {"x": ":make"}, "graph": {"version": 0.5, "nodes": look}},
        "look": {"agent": "look", "inputs": {"x": ":make", "given": ":given"}},
    }
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
    nodes = {
        "m": {"agent": "mapAgent", "inputs": {"rows": list(range(1000))}, "params": {"compositeResultKey": "v"}, "graph": inner}
    }
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


# -- nodes placed elsewhere


class Elsewhere:
    """A port to nodes placed elsewhere that keeps which frames it is told of."""

    def __init__(self) -> None:
        self.opened_: list[tuple[str, list[Value]]] = []

    def opened(self, frame: Frame, turn: int) -> None:
        self.opened_.append((frame.name_of(turn), [frame.results[number] for number in frame.plan.numbers.values()]))

    def over(self, frame: Frame, turn: int, *, cancelled: bool) -> None:
        """Nothing is to be done for it."""

    def expect(self, start: Start) -> bool:
        raise AssertionError(f"{start.path} was known")

    def settled(self, event: Settled) -> None:
        """Nobody is told."""

    def stop(self, start: Start) -> None:
        """Nothing of it runs."""


def test_a_row_that_is_known_as_a_whole_is_over_before_the_other_side_hears_of_it() -> None:
    nodes = {
        "rows": {
            "agent": "mapAgent",
            "inputs": {"rows": [1, 2]},
            "graph": {"nodes": {"far": {"agent": "copyAgent", "isResult": True, "inputs": {"x": ":row"}}}},
        }
    }
    known = {f"rows[{row}]/far": Outcome(State.COMPLETED, {"x": row + 1}) for row in range(2)}
    registry = standard()
    compiler = Compiler(registry, places={"rows/far": "cloud"})
    remote = Elsewhere()
    made = Runtime(
        compiler.plan(Graph.of({"version": 0.5, "nodes": nodes}, set(registry))),
        compiler,
        known=known,
        remote=remote,
        run_id=bytes(16),
    )
    asyncio.run(asyncio.wait_for(made.run(None), 120))
    assert made.engine.results() == {"rows": [{"far": {"x": 1}}, {"far": {"x": 2}}]}
    assert [name for name, _ in remote.opened_ if name] == []
