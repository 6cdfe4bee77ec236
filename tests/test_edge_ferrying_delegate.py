"""The device's side of a child run: a real engine runs its nodes, the link is a list, and a test says what the worker would."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from delegated import GRAPH, Device, error, result, with_device
from edge.policies import Policy
from graphs.engine.events import Outcome
from graphs.errors import LinkCondition, NodeTimeout
from graphs.journal import Journal
from graphs.records import Close, End, EndStatus, Event, Input, Start, State, Submit
from graphs.values import decode


def test_what_the_worker_made_early_is_taken_when_it_is_wanted(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Submit)
        device.tell(result("last", {"t": "early"}), result("far", {"t": "also"}))

    device, state = with_device(tmp_path, play)
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"last": {"t": "early"}})


def test_what_is_known_and_does_not_fit_is_not_at_the_worker_to_be_done_again(tmp_path: Path) -> None:
    big = {"t": "x" * 30_000}

    async def play(device: Device) -> None:
        await device.link.until(Submit)

    device, state = with_device(
        tmp_path, play, known={"far": Outcome(State.COMPLETED, big), "last": Outcome(State.COMPLETED, big)}
    )
    assert set(device.link.said[0].inputs) == {"far"}
    assert {type(record) for record in device.link.said[1:]} == {Input, Close}
    ((body, _),) = device.delegate.log.graphs.values()
    assert "last" not in decode(body)["nodes"], "it might begin before it is told of the outcome"
    assert state == State.COMPLETED


def test_a_node_that_fails_at_the_worker_fails_here_by_its_kind(tmp_path: Path) -> None:
    for code, kind in (("NODE_TIMEOUT", State.TIMED_OUT), ("NODE_FAILED", State.FAILED), ("MODEL_REFUSED", State.FAILED)):

        async def play(device: Device, code: str = code) -> None:
            await device.link.until(Input)
            device.tell(error("far", "NODE_FAILED", final=False))
            assert device.runtime.engine.errors() == {}
            device.tell(error("far", code))

        device, state = with_device(tmp_path / code, play)
        failed = device.runtime.engine.errors()["far"]
        assert state == State.FAILED
        assert (isinstance(failed, NodeTimeout), str(failed)) == (kind == State.TIMED_OUT, "it says why")


def test_a_condition_of_the_link_suspends_and_never_fails_a_node(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        device.tell(error("far", "MODEL_UNKNOWN"))

    device, state = with_device(tmp_path, play)
    assert (state, device.waiting, device.runtime.engine.errors()) == (State.SUSPENDED, {"far": "MODEL_UNKNOWN"}, {})


def test_a_condition_that_came_before_the_node_was_ready_counts_then(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Submit)
        device.tell(error("last", "MODEL_UNKNOWN"), result("far", {"t": 1}))

    assert with_device(tmp_path, play)[0].waiting == {"last": "MODEL_UNKNOWN"}


def test_a_lost_link_suspends_what_is_expected_and_what_will_be(tmp_path: Path) -> None:
    lost = LinkCondition("UNREACHABLE", "lost")

    async def play(device: Device) -> None:
        await device.link.until(Input)
        device.delegate.lost(lost)
        device.delegate.lost(LinkCondition("OTHER", "lost again"))

    device, state = with_device(tmp_path, play)
    assert (state, device.waiting) == (State.SUSPENDED, {"far": "UNREACHABLE"})
    assert device.link.kinds() == ["Submit", "Input"]


def test_a_worker_that_was_never_there_makes_nodes_wait(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        device.delegate.lost(LinkCondition("UNREACHABLE", "never there"))

    device, state = with_device(tmp_path, play)
    assert (state, device.waiting) == (State.SUSPENDED, {"far": "UNREACHABLE"})


def test_an_end_before_the_nodes_are_done_suspends_them_and_nothing_more_is_said(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        device.tell(End(EndStatus.COMPLETED, 0, {}))

    device, _ = with_device(tmp_path, play)
    assert device.waiting == {"far": "ENDED"}
    assert device.link.kinds() == ["Submit", "Input"]


def test_a_worker_that_suspends_or_refuses_its_part_makes_the_nodes_wait(tmp_path: Path) -> None:
    suspended = Event(None, 0, State.SUSPENDED, 0, {"why": "no quota"})
    for record, code in ((suspended, "SUSPENDED"), (error(None, "AGENT_UNKNOWN"), "AGENT_UNKNOWN")):

        async def play(device: Device, record: Any = record) -> None:
            await device.link.until(Input)
            device.tell(record)

        assert with_device(tmp_path / code, play)[0].waiting == {"far": code}


def test_a_value_that_cannot_be_sent_holds_up_only_what_depends_on_it(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        device.link.refuse["off"] = LinkCondition("VALUE_TOO_LARGE", "too large", retryable=False)
        await device.link.until(Input)
        device.tell(result("far", {"t": 1}))

    device, state = with_device(tmp_path, play)
    assert (state, device.waiting) == (State.SUSPENDED, {"last": "VALUE_TOO_LARGE"})
    assert device.runtime.engine.results(all=True)["off"] == {"t": 1}


def test_with_demand_a_node_starts_when_this_side_says_so(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Start("far", 1))
        device.delegate.began("far")
        device.tell(result("far", {"t": "there"}))
        await device.link.until(Start("last", 1))
        device.delegate.began("last")
        device.tell(result("last", {"t": "back"}))

    device, state = with_device(tmp_path, play, demand=True)
    assert device.link.said[0].opts["demand"] is True
    assert state == State.COMPLETED
    assert device.link.kinds() == ["Submit", "Input", "Start", "Input", "Start", "Close"]


BESIDE = """\
version: 0.5
nodes:
  far: {agent: copyAgent, inputs: {t: 1}}
  last: {agent: copyAgent, anyInput: true, inputs: {t: 2}}
  here: {agent: copyAgent, inputs: {t: 3}}
  after: {agent: copyAgent, isResult: true, inputs: {t: :far.t}}
"""


def here(device: Device) -> str:
    engine = device.runtime.engine
    return State(engine.root.states[engine.root.plan.numbers["here"]]).name


def test_what_starts_here_waits_until_what_was_ordered_before_it_has_begun(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Start("last", 1))
        assert device.link.kinds() == ["Submit", "Start", "Start"]  # orders do not wait for each other
        device.delegate.began("last[2]!1/inner[0]#3/deep")  # and so has the node whose graph that is in
        await asyncio.sleep(0)
        assert here(device) == "EXECUTING"
        assert not device.runtime.engine.results()
        device.delegate.began("far")
        await device.ran("here")
        device.tell(result("far", {"t": 1}), result("last", 2))

    _, state = with_device(tmp_path, play, BESIDE, demand=True)
    assert state == State.COMPLETED


def test_a_node_that_is_skipped_there_before_it_began_holds_up_nothing(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Start("last", 1))
        device.delegate.began("far")
        device.tell(Event("last", 0, State.SKIPPED, 0, None))
        await device.ran("here")
        device.tell(result("far", {"t": 3}))

    device, state = with_device(tmp_path, play, BESIDE, demand=True)
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"after": {"t": 3}})


def test_pieces_of_answers_are_handed_on(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        device.delegate.delta("far", ["a", "b"])
        device.runtime.abort()

    assert with_device(tmp_path, play)[0].tokens == [("far", "a"), ("far", "b")]


def test_what_may_have_happened_is_in_no_cut(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Submit)

    device, state = with_device(tmp_path, play, doubtful=["last"], known={"far": Outcome(State.COMPLETED, {"t": 1})})
    assert (state, device.waiting) == (State.SUSPENDED, {"last": "NODE_INDETERMINATE"})
    with Journal.open(tmp_path / "journal.db") as journal:
        (child,) = journal.children(device.delegate.run)
        stored = journal.graph(child.graph)
    assert stored is not None
    assert "last" not in decode(stored.body)["nodes"]


# -- what becomes of nodes while the worker is away

LOST = LinkCondition("UNREACHABLE", "lost")
HERE = Policy("local", {"agent": "copyAgent", "inputs": {"t": ":here.t"}, "params": {}}, once=False)


def test_an_alternative_runs_while_the_worker_is_away_and_the_worker_will_hear_of_it(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.delegate.away(LOST)
        await device.link.until(Input("off", State.COMPLETED, {"t": "hi"}))

    device, state = with_device(tmp_path, play, policies={"far": HERE})
    assert (state, device.waiting) == (State.SUSPENDED, {"last": "UNREACHABLE"})
    said = [record.path for record in device.link.said if isinstance(record, Input)]
    assert said == ["here", "far", "off"]


def test_what_comes_too_late_is_not_the_result(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.delegate.away(LOST)
        await device.link.until(Input("off", State.COMPLETED, {"t": "hi"}))
        device.delegate.back()
        device.tell(result("far", {"t": "late"}), result("last", {"t": "back"}))

    device, _ = with_device(tmp_path, play, policies={"far": HERE})
    assert device.runtime.engine.results()["far"] == {"t": "hi"}


def test_what_comes_while_its_node_waits_is_the_result(tmp_path: Path) -> None:
    slow = GRAPH + "  slow: {agent: sleeperAgent, params: {duration: 60000}}\n"

    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.delegate.away(LOST)
        assert device.waiting == {"far": "UNREACHABLE"}
        device.delegate.back()
        device.tell(result("far", {"t": "after all"}))
        await device.link.until(Input("off", State.COMPLETED, {"t": "after all"}))
        device.tell(result("last", {"t": "back"}))
        assert device.waiting == {}
        device.runtime.abort()

    device, _ = with_device(tmp_path, play, slow)
    assert device.runtime.engine.results(all=False) == {"last": {"t": "back"}}


def test_a_node_with_effects_that_was_shipped_is_left_to_the_worker(tmp_path: Path) -> None:
    once = Policy("local", HERE.alternative, once=True)

    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.delegate.away(LOST)

    for demand in (False, True):
        device, state = with_device(tmp_path / str(demand), play, policies={"far": once}, demand=demand)
        assert (state, device.waiting) == (State.SUSPENDED, {"far": "MAY_HAVE_BEGUN"})


def test_a_node_with_effects_that_was_never_ordered_runs_here(tmp_path: Path) -> None:
    once = Policy("local", {"agent": "copyAgent", "inputs": {"t": ":off.t"}, "params": {}}, once=True)

    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.tell(result("far", {"t": "there"}))
        device.delegate.away(LOST)

    device, state = with_device(tmp_path, play, policies={"last": once}, demand=True)
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"last": {"t": "there"}})


def test_a_node_with_effects_that_an_earlier_process_may_have_had_begun_is_left_to_the_worker(tmp_path: Path) -> None:
    once = Policy("local", HERE.alternative, once=True)

    async def play(device: Device) -> None:
        """There is no worker."""

    for name, policy, before, waiting in (
        ("begun", once, True, {"far": "MAY_HAVE_BEGUN"}),
        ("never", once, False, {"last": "UNREACHABLE"}),
        ("harmless", HERE, True, {"last": "UNREACHABLE"}),
    ):
        earlier: Any = SimpleNamespace(own=(), withheld={}, may_have_begun=lambda _path, before=before: before)
        device, state = with_device(tmp_path / name, play, policies={"far": policy}, earlier=earlier, lost=LOST)
        assert (state, device.waiting) == (State.SUSPENDED, waiting)


def test_the_turns_that_begin_while_the_worker_is_away_are_not_shipped(tmp_path: Path) -> None:
    text = GRAPH.replace("nodes:", "loop: {count: 2}\nnodes:").replace(
        "{agent: copyAgent, inputs: {t: :text}}", "{agent: copyAgent, inputs: {t: :text}, console: {}}"
    )

    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.delegate.away(LOST)

    both = {"far": HERE, "last": Policy("local", {**(HERE.alternative or {}), "inputs": {"t": ":off.t"}}, once=False)}
    device, state = with_device(tmp_path, play, text, policies=both, one_frame=False)
    assert state == State.COMPLETED
    assert [kind for kind in device.link.kinds() if kind in ("Submit", "Frame")] == ["Submit"]


def test_a_frame_that_has_nothing_left_for_the_worker_is_not_shipped(tmp_path: Path) -> None:
    """A cut without nodes is no graph: the worker refuses it, and with it the whole child run."""

    async def play(device: Device) -> None:
        """The worker is there."""

    device, state = with_device(tmp_path, play, doubtful=("far", "last"))
    assert (state, device.waiting) == (State.SUSPENDED, {"far": "NODE_INDETERMINATE"})
    assert device.link.said == []
