"""The recorder: what of a run is written down, and what is left out because it can be had again for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from graphs.bounds import Bounds
from graphs.engine.events import Abort
from graphs.engine.outcomes import known_outcomes
from graphs.errors import LimitReached, LinkCondition, NodeError, ValueUnsupported
from graphs.records import Encoded, Error, Event, Known, Record, Result, State, decode, encode
from graphs.registry import Agent, agent
from graphs.running.recorder import LogRecorder, error_code
from graphs.values import MISSING, Value
from runs import runtime


class Log:
    """A log in memory, and how much of it was durable when."""

    def __init__(self, **options: Any) -> None:
        self.records: list[Known] = []
        self.flushed: list[int] = []
        self.deltas: list[tuple[int, Value]] = []
        self.recorder = LogRecorder(
            self.append, self.durable, delta=lambda seq, token: self.deltas.append((seq, token)), **options
        )

    def append(self, record: Known) -> int:
        self.records.append(record)
        return len(self.records)

    async def durable(self) -> None:
        self.flushed.append(len(self.records))

    def brief(self) -> list[Any]:
        found: list[Any] = []
        for each in self.records:
            if isinstance(each, Result):
                found.append((each.path, each.value))
            elif isinstance(each, Event):
                found.append((each.path, State(each.state).name))
            elif isinstance(each, Error):
                found.append((each.path, each.code, each.final))
        return found


def record(nodes: Mapping[str, Any], agents: Mapping[str, Any] | None = None, *, graph: Any = None, **options: Any) -> Log:
    log = Log(**options)
    asyncio.run(asyncio.wait_for(runtime(nodes, agents, recorder=log.recorder, graph=graph or {}).run(), 120))
    return log


def pure(name: str, run: Any) -> Agent:
    return agent(name, effect="none", cheap=True)(run)


def costly(context: Any) -> Value:
    return {"seen": dict(context.inputs)}


def test_cheap_agents_static_nodes_and_nested_nodes_leave_no_record() -> None:
    inner = {"version": 0.5, "nodes": {"x": {"agent": "costly", "inputs": {"r": ":row"}, "isResult": True}}}
    nodes = {
        "s": {"value": 1},
        "copy": {"agent": "copyAgent", "inputs": {"x": ":s"}},
        "never": {"agent": "costly", "if": ":s.no"},
        "instead": {"agent": "costly", "if": ":s.no", "defaultValue": "d"},
        "map": {"agent": "mapAgent", "inputs": {"rows": [1, 2]}, "graph": inner},
        "costly": {"agent": "costly", "inputs": {"x": ":copy.x"}},
    }
    assert dict(record(nodes, {"costly": costly}).brief()) == {
        "costly": {"seen": {"x": 1}},
        "map[0]/x": {"seen": {"r": 1}},
        "map[1]/x": {"seen": {"r": 2}},
    }


def test_with_everything_cheap_agents_are_recorded_too() -> None:
    assert record({"a": {"agent": "copyAgent", "inputs": {"x": 1}}}, everything=True).brief() == [("a", {"x": 1})]


def test_what_the_clock_decided_is_recorded_however_cheap() -> None:
    inner = {"version": 0.5, "nodes": {"x": {"agent": "copyAgent", "inputs": {"t": ":t"}, "isResult": True}}}
    nodes = {
        "at": {"agent": "copyAgent", "inputs": {"deep": [{"t": "at ${@now}"}]}},
        "passed": {"agent": "copyAgent", "inputs": {"x": 1}, "passThrough": {"t": "@now_s"}},
        "inside": {"agent": "nestedAgent", "inputs": {"t": "@now_ms"}, "graph": inner},
        "turn": {"agent": "copyAgent", "inputs": {"x": "@loop"}},
    }
    assert [path for path, _ in record(nodes).brief()] == ["at", "passed", "inside"]


def test_what_order_of_arrival_decided_is_recorded_however_cheap_and_with_what_it_saw() -> None:
    nodes = {
        "s": {"value": 1},
        "any": {"agent": "copyAgent", "anyInput": True, "inputs": {"a": ":s", "b": ":never"}},
        "skipped": {"agent": "copyAgent", "anyInput": True, "inputs": {"a": ":s"}, "if": ":s.no"},
        "never": {"agent": "copyAgent", "inputs": {"x": 1}, "unless": ":s"},
    }
    log = record(nodes)
    assert sorted(log.brief()) == [("any", {"a": 1}), ("skipped", "SKIPPED")]
    (result,) = [each for each in log.records if isinstance(each, Result)]
    assert result.by["seen"] == {"a": 1}


def test_a_run_that_resumes_from_its_records_does_nothing_twice_and_comes_to_the_same() -> None:
    ran = []

    def count(context: Any) -> Value:
        ran.append(context.path)
        return len(ran)

    nodes = {
        "n": {"value": 0, "update": ":a"},
        "a": {"agent": "count", "inputs": {"x": ":n"}},
        "at": {"agent": "copyAgent", "inputs": {"t": "@now", "a": ":a"}},
        "any": {"agent": "copyAgent", "anyInput": True, "inputs": {"t": ":at.t", "n": ":n"}},
    }
    log = Log()
    loop = {"loop": {"count": 3}}
    first = runtime(nodes, {"count": count}, recorder=log.recorder, graph=loop)
    asyncio.run(first.run())
    again = runtime(nodes, {"count": count}, recorder=Log().recorder, graph=loop, known=known_outcomes(log.records).outcomes)
    asyncio.run(again.run())
    assert ran == ["a", "a#1", "a#2"]
    assert again.engine.results() == first.engine.results()


def test_a_node_with_effects_is_durably_begun_before_it_runs() -> None:
    log = Log()

    def mails(context: Any) -> Value:
        assert log.flushed == [1]
        return "sent"

    asyncio.run(runtime({"m": {"agent": "mails"}}, {"mails": agent("mails")(mails)}, recorder=log.recorder).run())
    begin = log.records[0]
    assert isinstance(begin, Event)
    assert (begin.path, begin.at, begin.state, begin.info) == ("m", 1, State.EXECUTING, {"retry": 0, "effect": "once"})
    assert log.brief()[1:] == [("m", "sent")]
    assert log.flushed[-1] == 2


@pytest.mark.parametrize("need", ["network", "files", "people"])
def test_what_leaves_the_process_waits_until_its_inputs_are_durable(need: Any) -> None:
    log = Log()
    seen = []
    agents: dict[str, Any] = {
        "costly": costly,
        "leaves": agent("leaves", effect="none", needs=[need])(lambda _: seen.append(list(log.flushed))),
        "stays": agent("stays", effect="none", needs=["model"])(lambda _: seen.append(list(log.flushed))),
    }
    nodes = {
        "c": {"agent": "costly"},
        "s": {"agent": "stays", "inputs": {"x": ":c"}},
        "l": {"agent": "leaves", "inputs": {"x": ":s"}},
    }
    asyncio.run(runtime(nodes, agents, recorder=log.recorder).run())
    assert seen == [[], [2]]


def test_failures_are_recorded_attempt_by_attempt_and_say_what_they_are() -> None:
    def flaky(context: Any) -> Value:
        if context.retry == 0:
            raise NodeError("odd", retryable=False, detail={"k": 1})
        raise KeyError("x")

    log = record({"f": {"agent": "flaky", "retry": 1}}, {"flaky": flaky})
    assert log.brief() == [("f", "NODE_FAILED", False), ("f", "NODE_FAILED", True)]
    first, second = (each for each in log.records if isinstance(each, Error))
    assert (first.at, first.retry, first.text, first.retryable, first.detail) == (1, 0, "odd", False, {"k": 1})
    assert (second.at, second.retry, second.retryable) == (2, 1, True)


def test_what_a_failed_attempt_used_up_stands_in_its_record() -> None:
    def fails(context: Any) -> Value:
        context.made_by(model="m")
        context.used(prompt_tokens=3, completion_tokens=4)
        if context.retry == 0:
            raise NodeError("not what was asked for", detail={"k": 1})
        return 1

    error, result = record({"f": {"agent": "fails", "retry": 1}}, {"fails": fails}).records
    assert isinstance(error, Error)
    assert isinstance(result, Result)
    assert isinstance(error.detail, dict)
    used = error.detail["usage"]
    assert used.pop("ms") >= 0
    assert error.detail == {"k": 1, "usage": {"prompt_tokens": 3, "completion_tokens": 4, "model": "m"}}
    assert {name: count for name, count in (result.usage or {}).items() if name != "ms"} == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
    }


def test_a_value_that_cannot_be_recorded_fails_its_node() -> None:
    log = record({"f": {"agent": "gives"}}, {"gives": lambda _: object()})
    assert [each[:2] for each in log.brief()] == [("f", ValueUnsupported.code)]


def test_what_is_known_is_not_recorded_again() -> None:
    log = Log()
    known = known_outcomes([Result("a", 1, 0, 5, 0, {}, None)]).outcomes
    asyncio.run(runtime({"a": {"agent": "costly"}}, {"costly": costly}, recorder=log.recorder, known=known).run())
    assert log.records == []


def test_tokens_of_a_recorded_begin_are_handed_on_with_its_number() -> None:
    def streams(context: Any) -> Value:
        context.stream("a")
        context.stream("b")
        return "ab"

    agents = {"streams": agent("streams", effect="none", stream=True)(streams)}
    nodes = {"shown": {"agent": "streams", "isResult": True}, "hidden": {"agent": "streams"}}
    log = record(nodes, agents)
    assert log.deltas == [(1, "a"), (1, "b")]


def test_a_result_tells_by_what_it_was_made_and_what_it_cost() -> None:
    def tells(context: Any) -> Value:
        context.made_by(model="m", digest="d")
        context.used(prompt_tokens=3)
        context.used(prompt_tokens=4, completion_tokens=1)
        return 1

    (result,) = record({"t": {"agent": "tells"}}, {"tells": tells}).records
    assert isinstance(result, Result)
    assert dict(result.by) == {"agent": "tells", "version": "1", "model": "m", "digest": "d"}
    usage = dict(result.usage or {})
    assert usage.pop("ms") >= 0
    assert usage == {"prompt_tokens": 7, "completion_tokens": 1}


def test_an_errors_code_is_its_own_or_that_of_a_failed_node() -> None:
    assert error_code(LinkCondition("BUSY", "x")) == "BUSY"
    assert error_code(ValueUnsupported("x")) == "VALUE_UNSUPPORTED"
    assert error_code(KeyError("x")) == "NODE_FAILED"


PACKED = [{"v": 1}, {"é": "\u20ac", "n": None, "b": b"x", "t": True}, {}, {"v": -(2**63)}]
WRITTEN_OUT = [MISSING, {"v": 1.0}, {"v": 1.5}, {"v": [1]}, [1], "text", None, 7]
REFUSED = [{"v": "\ud800"}, {"v": 2**70}, {"v": object()}]


@pytest.mark.parametrize("value", [*PACKED, *WRITTEN_OUT, *REFUSED], ids=repr)
def test_a_result_packed_when_it_is_admitted_has_the_bytes_of_any_other(value: Value) -> None:
    node = {"a": {"agent": "give", "isResult": True}}
    give = agent("give", effect="none")(lambda _: value)
    encoded: list[Encoded] = []

    def keep(each: Encoded) -> int:
        encoded.append(each)
        return len(encoded)

    usual = record(node, {"give": give})
    quick = record(node, {"give": give}, append_encoded=keep)
    assert bool(encoded) == any(value is each for each in PACKED)
    found = [decode(each.type, each.tail) for each in encoded] or quick.records
    (one,), (other,) = found, usual.records
    if isinstance(one, Result) and isinstance(other, Result):
        other = replace(other, t=one.t, usage=one.usage)
        assert one == other
        assert all(encode(decode(each.type, each.tail)) == each for each in encoded)
    else:
        assert isinstance(one, Error)
        assert one == other


@pytest.mark.parametrize("value", [MISSING, None])
def test_what_is_not_packed_has_not_the_bytes_of_what_was_packed_before(value: Value) -> None:
    nodes = {"a": {"agent": "give"}, "b": {"agent": "lack", "inputs": {"x": ":a"}}}
    give, lack = agent("give", effect="none")(lambda _: {"v": 1}), agent("lack", effect="none")(lambda _: value)
    encoded: list[Encoded] = []
    log = record(nodes, {"give": give, "lack": lack}, append_encoded=lambda each: encoded.append(each) or 0)  # type: ignore[func-returns-value]
    (one,) = (decode(each.type, each.tail) for each in encoded)
    assert isinstance(one, Result)
    assert (one.path, one.value, log.brief()) == ("a", {"v": 1}, [("b", value)])


def test_a_packed_result_is_held_to_the_bounds_of_values() -> None:
    log = Log(append_encoded=lambda each: pytest.fail(f"recorded: {each}"))
    give = agent("give", effect="none")(lambda _: {"v": "x" * 1000})
    made = runtime({"a": {"agent": "give"}}, {"give": give}, recorder=log.recorder)
    made.budget.bounds = Bounds(value_bytes=900, every_value=False)
    asyncio.run(made.run())
    assert [each.code for each in log.records if isinstance(each, Error)] == ["LIMIT_REACHED"]


def test_a_node_without_a_value_is_recorded_without_one() -> None:
    """Not with the bytes of the value that was admitted last."""
    give = agent("give", effect="none")(lambda _: {"v": 1})
    none = agent("none", effect="none")(lambda _: MISSING)
    found: list[Record] = []

    def keep(each: Encoded) -> int:
        found.append(decode(each.type, each.tail))
        return len(found)

    log = Log(append_encoded=keep)
    nodes = {"a": {"agent": "give"}, "b": {"agent": "none", "inputs": {"x": ":a"}}}
    asyncio.run(runtime(nodes, {"give": give, "none": none}, recorder=log.recorder).run())
    results = [each for each in [*found, *log.records] if isinstance(each, Result)]
    assert [(each.path, each.value) for each in results] == [("a", {"v": 1}), ("b", MISSING)]


def _large(_context: Any) -> Value:
    return {"v": "x" * 1000}


def _measured(_context: Any) -> Value:
    raise LimitReached("value_bytes", 900, "what came back would have more")


@pytest.mark.parametrize("run", [_large, _measured])
@pytest.mark.parametrize("effect", ["once", "none"])
def test_a_node_that_acted_has_not_failed_by_a_limit(run: Any, effect: Any) -> None:
    """To call it failed would have whoever goes on under another limit do it again."""
    log = Log()
    again = agent("again", effect=effect)(run)
    made = runtime({"a": {"agent": "again", "retry": 2}}, {"again": again}, recorder=log.recorder)
    made.budget.bounds = Bounds(value_bytes=900, every_value=False)
    asyncio.run(made.run())
    if effect == "none":
        assert log.brief() == [("a", "LIMIT_REACHED", True)]
        assert made.engine.ended == State.FAILED
        return
    assert log.brief() == [("a", "EXECUTING")]
    assert known_outcomes(log.records).indeterminate == {"a"}
    assert made.engine.ended == State.SUSPENDED
    (error,) = made.engine.suspended.values()
    assert getattr(error, "condition", None) == "NODE_INDETERMINATE"
    assert "the limit `value_bytes` of 900 is reached" in str(error)
    assert "--assume a=done:VALUE" in str(error)


def test_a_node_with_effects_that_runs_when_the_time_of_the_run_is_up_is_in_doubt() -> None:
    log = Log()
    began = asyncio.Event()

    async def act(_context: Any) -> Value:
        began.set()
        await asyncio.Event().wait()

    nodes = {"a": {"agent": "act"}, "b": {"agent": "wait"}}
    agents = {"act": agent("act", effect="once")(act), "wait": agent("wait", effect="none")(act)}
    made = runtime(nodes, agents, recorder=log.recorder)

    async def main() -> State:
        running = asyncio.ensure_future(made.run())
        await began.wait()
        error = LimitReached("seconds", 1, "the run did not end within them")
        made.feed(Abort(made.clock(), error.message, error))
        return await running

    assert asyncio.run(asyncio.wait_for(main(), 120)) == State.FAILED
    assert log.brief() == [("a", "EXECUTING"), ("b", "LIMIT_REACHED", True)]
    assert known_outcomes(log.records).indeterminate == {"a"}
