"""The device's side of a child run, with a link that is a list and an engine that is one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from edge.delegate import Delegate
from graphs.agents import standard
from graphs.cut import CutGraph, cut
from graphs.errors import LinkCondition, NodeTimeout
from graphs.events import Outcome, Suspend, Told
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.load import load_text
from graphs.records import Cancel, Close, End, EndStatus, Error, Event, Input, Result, State, Submit
from graphs.spec import Graph
from graphs.values import MISSING

GRAPH = """\
version: 0.5
nodes:
  text: {value: hi}
  here: {agent: copyAgent, inputs: {t: :text}}
  far: {agent: copyAgent, inputs: {t: :here.t}}
  off: {agent: copyAgent, inputs: {t: :far.t}}
  last: {agent: copyAgent, inputs: {t: :off.t}}
"""


class Link:
    """What a delegate says. `refuse` are paths of records, `""` the order itself, that may not or cannot be sent."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.graphs: list[bytes] = []
        self.refuse: dict[str, LinkCondition] = {}
        self.flushed = 0
        self.forgotten = False
        self.clear = True

    def put_graph(self, address: bytes, body: bytes, labels: Collection[str]) -> bool:
        self.graphs.append(address)
        return self.clear

    def open_run(self, run: bytes, delegate: Delegate, submit: Submit, labels: Collection[str]) -> None:
        self.append(run, submit, labels)

    def append(self, run: bytes, record: Any, labels: Collection[str] = ()) -> None:
        path = getattr(record, "path", "") or ""
        if path in self.refuse and not isinstance(record, (Close, Cancel)):
            raise self.refuse[path]
        self.said.append(record)

    def forget(self, run: bytes) -> None:
        self.forgotten = True

    async def flush(self) -> None:
        self.flushed += 1

    def kinds(self) -> list[str]:
        return [type(record).__name__ for record in self.said]


class Device:
    """A delegate, and the events it fed to the engine."""

    def __init__(self, journal: Journal, *shipped: str) -> None:
        self.fragment: CutGraph = cut(Graph.of(load_text(GRAPH).data, standard()), shipped or ("far", "last"))
        self.fed: list[Any] = []
        self.tokens: list[tuple[str, Any]] = []
        run = new_run_id()
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g", started=0)
        self.link = Link()
        self.delegate = Delegate(
            run=run,
            fragment=self.fragment,
            labels={},
            journal=journal,
            feed=self.fed.append,
            clock=lambda: 1.5,
            on_token=lambda path, token: self.tokens.append((path, token)),
        )

    async def open(self, known: Mapping[str, Outcome] | None = None) -> None:
        await self.delegate.open(self.link, {}, known or {}, {"strict": False})  # type: ignore[arg-type]

    def expect(self, path: str) -> Any:
        start: Any = SimpleNamespace(path=path)
        self.delegate.expect(start)
        return start

    def settle(self, name: str, value: Any, state: State = State.COMPLETED, *, nested: bool = False) -> None:
        event: Any = SimpleNamespace(
            path=name,
            state=state,
            value=value,
            node=SimpleNamespace(id=name),
            frame=SimpleNamespace(nesting=object() if nested else None),
        )
        self.delegate.settled(event)


def with_device(tmp_path: Path, use: Callable[[Device], Awaitable[None]], *shipped: str) -> Device:
    devices: list[Device] = []

    async def main() -> None:
        with Journal.open(tmp_path / "journal.db") as journal:
            devices.append(Device(journal, *shipped))
            await use(devices[0])

    asyncio.run(main())
    return devices[0]


def result(path: str, value: Any) -> Result:
    return Result(path, 1, 0, value, 0, {}, None)


def error(path: str | None, code: str, *, final: bool = True) -> Error:
    return Error(path, 1, 0, code, "it says why", final, False)


def test_the_order_and_the_values_on_the_edge_of_the_cut_are_all_that_is_said(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        await device.open()
        device.settle("text", "hi", State.INJECTED)
        device.settle("here", {"t": "hi"})
        device.settle("far", {"inner": 1}, nested=True)
        device.delegate.got(result("far", {"t": "hi"}), 10)
        device.settle("far", {"t": "hi"})
        device.settle("off", MISSING)
        device.delegate.got(result("last", {"t": "hi"}), 10)
        await device.delegate.close()

    device = with_device(tmp_path, use)
    submit, *rest = device.link.said
    assert submit.graph == device.fragment.hash
    assert (submit.inputs, submit.opts["parent"]) == ({}, [device.delegate.run, 1])
    assert rest == [Input("here", State.COMPLETED, {"t": "hi"}), Input("off", State.COMPLETED, MISSING), Close(None)]
    assert device.fed == [
        Told("far", Outcome(State.COMPLETED, {"t": "hi"}), 1.5),
        Told("last", Outcome(State.COMPLETED, {"t": "hi"}), 1.5),
    ]
    assert device.link.forgotten
    assert device.delegate.sent["here"] > 0


def test_a_skipped_or_failed_boundary_node_sends_no_value_and_closes_all_the_same(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        await device.open()
        device.settle("here", MISSING, State.SKIPPED)
        assert "Close" not in device.link.kinds()
        device.settle("off", MISSING, State.FAILED)

    assert with_device(tmp_path, use).link.kinds() == ["Submit", "Close"]


def test_what_is_known_goes_along_with_the_order_and_is_not_said_again(tmp_path: Path) -> None:
    known = {
        "far": Outcome(State.COMPLETED, {"t": 1}),
        "far#1": Outcome(State.COMPLETED, {"t": 2}),
        "last": Outcome(State.SKIPPED),
    }

    async def use(device: Device) -> None:
        await device.open(known)
        device.settle("far", {"t": 1})

    device = with_device(tmp_path, use)
    assert device.link.kinds() == ["Submit"]
    assert device.link.said[0].inputs == {"far": [State.COMPLETED, {"t": 1}], "far#1": [State.COMPLETED, {"t": 2}]}


def test_what_is_known_and_does_not_fit_follows_on_its_own(tmp_path: Path) -> None:
    big = "x" * 30_000
    known = {"far": Outcome(State.COMPLETED, big), "last": Outcome(State.COMPLETED, big)}

    async def use(device: Device) -> None:
        await device.open(known)

    device = with_device(tmp_path, use)
    assert device.link.kinds() == ["Submit", "Input"]
    assert set(device.link.said[0].inputs) == {"far"}
    assert device.link.said[1] == Input("last", State.COMPLETED, big)


def test_a_node_that_fails_at_the_worker_fails_here_by_its_kind(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        await device.open()
        device.expect("far")
        device.delegate.got(error("far", "NODE_FAILED", final=False), 1)
        assert device.fed == []
        device.delegate.got(error("far", "NODE_TIMEOUT"), 1)
        device.delegate.got(error("last", "NODE_FAILED"), 1)

    first, second = with_device(tmp_path, use).fed
    assert (first.path, first.outcome.state) == ("far", State.TIMED_OUT)
    assert isinstance(first.outcome.error, NodeTimeout)
    assert (second.path, second.outcome.state, str(second.outcome.error)) == ("last", State.FAILED, "it says why")


def test_a_condition_of_the_link_suspends_and_never_fails_a_node(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        await device.open()
        early = device.expect("far")
        device.delegate.got(error("far", "MODEL_UNKNOWN"), 1)
        device.delegate.got(error("last", "MODEL_UNKNOWN"), 1)
        late = device.expect("last")
        await asyncio.sleep(0)
        assert [event.start for event in device.fed] == [early, late]

    for event in with_device(tmp_path, use).fed:
        assert isinstance(event, Suspend)
        assert isinstance(event.error, LinkCondition)
        assert event.error.condition == "MODEL_UNKNOWN"


def test_a_lost_link_suspends_what_is_expected_and_what_will_be(tmp_path: Path) -> None:
    lost, again = LinkCondition("UNREACHABLE", "lost"), LinkCondition("UNREACHABLE", "lost again")

    async def use(device: Device) -> None:
        await device.open()
        device.expect("far")
        device.delegate.lost(lost)
        device.delegate.lost(again)
        device.expect("last")
        await asyncio.sleep(0)
        device.settle("here", 1)
        await device.delegate.close()

    device = with_device(tmp_path, use)
    assert [(event.start.path, event.error) for event in device.fed] == [("far", lost), ("last", lost)]
    assert device.link.kinds() == ["Submit"]


def test_an_end_before_the_nodes_are_done_suspends_them(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        await device.open()
        device.expect("far")
        device.delegate.got(End(EndStatus.COMPLETED, 0, {}), 1)
        device.settle("here", 1)

    device = with_device(tmp_path, use)
    assert [event.error.condition for event in device.fed] == ["ENDED"]
    assert device.link.kinds() == ["Submit"], "nothing is said after END"


def test_a_worker_that_suspends_or_refuses_its_part_suspends_the_nodes(tmp_path: Path) -> None:
    for record in (Event(None, 0, State.SUSPENDED, 0, {"why": "no quota"}), error(None, "AGENT_UNKNOWN")):

        async def use(device: Device, record: Any = record) -> None:
            await device.open()
            device.expect("far")
            device.delegate.got(record, 1)

        (event,) = with_device(tmp_path / type(record).__name__, use).fed
        assert isinstance(event, Suspend)


def test_a_value_that_cannot_be_sent_holds_up_only_what_depends_on_it(tmp_path: Path) -> None:
    too_large = LinkCondition("VALUE_TOO_LARGE", "too large", retryable=False)

    async def use(device: Device) -> None:
        device.link.refuse["off"] = too_large
        await device.open()
        device.expect("far")
        device.settle("here", 1)
        device.settle("off", "x")
        last = device.expect("last")
        await asyncio.sleep(0)
        assert [(event.start, event.error) for event in device.fed] == [(last, too_large)]
        device.delegate.got(result("far", 2), 1)
        assert device.fed[-1] == Told("far", Outcome(State.COMPLETED, 2), 1.5)

    with_device(tmp_path, use)


def test_what_may_not_go_there_at_all_opens_no_run(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        device.link.clear = False
        await device.open()
        device.expect("far")
        await asyncio.sleep(0)
        await device.delegate.close()

    device = with_device(tmp_path, use)
    assert [event.error.condition for event in device.fed] == ["LABEL_WITHHELD"]
    assert device.link.said == []
    with Journal.open(tmp_path / "journal.db") as journal:
        assert journal.children(device.delegate.run) == []


def test_a_node_given_up_here_is_cancelled_there(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        await device.open()
        start = device.expect("far")
        device.delegate.stop(start)
        device.delegate.stop(start)

    assert with_device(tmp_path, use).link.said[1:] == [Cancel(["far"], "given up by the holder")]


def test_a_run_that_is_over_before_the_worker_is_cancels_it(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        await device.open()
        device.expect("far")
        await device.delegate.close()

    device = with_device(tmp_path, use)
    assert device.link.kinds() == ["Submit", "Cancel"]
    assert device.link.said[-1].paths is None
    assert device.link.flushed == 1


def test_pieces_of_answers_are_handed_on(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        await device.open()
        device.delegate.delta("far", ["a", "b"])

    assert with_device(tmp_path, use).tokens == [("far", "a"), ("far", "b")]


def test_a_child_run_stands_in_the_journal_before_it_is_opened(tmp_path: Path) -> None:
    async def use(device: Device) -> None:
        device.link.refuse[""] = LinkCondition("RUN_DIVERGED", "no")
        await device.open()
        device.expect("far")
        await asyncio.sleep(0)

    device = with_device(tmp_path, use)
    assert [event.error.condition for event in device.fed] == ["RUN_DIVERGED"]
    with Journal.open(tmp_path / "journal.db") as journal:
        assert [row.graph for row in journal.children(device.delegate.run)] == [device.fragment.hash]
