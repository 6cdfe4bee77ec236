"""What becomes of expected nodes, said as events of the engine; the policies are real, the engine is a list."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from edge.ferrying.expectations import Expectations
from edge.ferrying.fallback import Fallback
from edge.policies import Policy
from engines import Driven, in_a_loop
from graphs.engine.events import Failed, Instead, Start, Suspend
from graphs.errors import LinkCondition, WorkerUnreachable

GONE = WorkerUnreachable("ws://there", "gone")
POLICIES = {
    "waits": Policy("wait", once=False),
    "here": Policy("local", {"agent": "work"}, once=False),
    "fails": Policy("fail", once=False),
}


class Expecting:
    """Expects three nodes, each under a policy of its own."""

    def __init__(self, *, deadline: float | None = None, withheld: Mapping[str, LinkCondition] | None = None) -> None:
        driven = Driven({name: {"agent": "remote"} for name in POLICIES}, places=dict.fromkeys(POLICIES, "cloud"))
        self.starts: dict[str, Start] = dict(driven.running)
        self.told: list[Any] = []
        fallback = Fallback(POLICIES, driven.engine.compiler.stand_in, lambda: 5.0)
        self.expected = Expectations(fallback, self.told.append, lambda _start: False, deadline, withheld or {})

    def all(self) -> None:
        assert [self.expected.add(start) for start in self.starts.values()] == [True, True, True]

    async def heard(self) -> dict[str, type]:
        """What the engine was told of each node."""
        await asyncio.sleep(0)
        return {event.start.path: type(event) for event in self.told}


BY_POLICY = {"waits": Suspend, "here": Instead, "fails": Failed}


@in_a_loop
async def test_who_is_expected_hears_what_becomes_of_it_when_nothing_comes_any_more() -> None:
    device = Expecting()
    device.all()
    device.expected.lose(GONE)
    assert await device.heard() == BY_POLICY
    device.expected.lose(LinkCondition("OTHER", "again"))
    assert (len(device.told), len(device.expected)) == (3, 0)


@in_a_loop
async def test_who_is_expected_later_hears_it_when_it_is_done_asking() -> None:
    device = Expecting()
    device.expected.leave(GONE)
    assert [device.expected.add(start) for start in device.starts.values()] == [False, False, False]
    assert device.told == []
    assert await device.heard() == BY_POLICY


@in_a_loop
async def test_once_the_worker_is_back_nodes_are_expected_again() -> None:
    device = Expecting()
    device.expected.leave(GONE)
    device.expected.trust()
    device.all()
    assert await device.heard() == {}


@in_a_loop
async def test_a_lost_connection_is_waited_for_where_there_is_time() -> None:
    device = Expecting(deadline=100.0)
    device.all()
    device.expected.doubt("the connection was lost", 50.0, 10.0)
    assert await device.heard() == {}


@in_a_loop
async def test_with_the_deadline_near_alternatives_begin_at_once_and_the_others_are_waited_for() -> None:
    device = Expecting(deadline=55.0)
    assert device.expected.add(device.starts["here"])
    assert device.expected.add(device.starts["waits"])
    device.expected.doubt("the connection was lost", 50.0, 10.0)
    assert await device.heard() == {"here": Instead}
    (begun,) = device.told
    assert begun.node.degraded == "deadline"
    assert device.expected.add(device.starts["fails"]) is True
    assert device.expected.add(device.starts["here"]) is False
    device.expected.trust()
    assert device.expected.add(device.starts["here"]) is True


@in_a_loop
async def test_a_node_that_has_its_result_at_the_worker_waits_for_it_and_no_alternative_runs() -> None:
    device = Expecting(withheld={"here": GONE, "fails": LinkCondition("VALUE_TOO_LARGE", "too much")})
    device.expected.lose(GONE)
    assert not any(device.expected.add(device.starts[name]) for name in ("here", "fails"))
    assert await device.heard() == {"here": Suspend, "fails": Failed}
    assert "its result is there, but not its value" in str(device.told[0].error)


@in_a_loop
async def test_a_node_or_a_frame_that_does_not_come_is_refused_by_name() -> None:
    device = Expecting()
    assert device.expected.add(device.starts["here"])
    device.expected.refuse("here", LinkCondition("VALUE_TOO_LARGE", "too much"))
    assert device.told[0].node.degraded == "too large"
    device.expected.note("", LinkCondition("GRAPH_INVALID", "not this"))
    assert device.expected.add(device.starts["waits"]) is False
    assert await device.heard() == {"here": Instead, "waits": Suspend}
