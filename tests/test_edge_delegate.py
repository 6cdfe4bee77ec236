"""The device's side of a child run: a real engine runs its nodes, the link is a list, and a test says what the worker would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

from edge.delegate import Delegate
from edge.fragments import Fragments
from graphs.agents import standard
from graphs.errors import LinkCondition, NodeTimeout
from graphs.events import Outcome
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.load import load_text
from graphs.plan import Compiler
from graphs.records import Cancel, Close, End, EndStatus, Error, Event, Frame, Input, Result, Start, State, Submit
from graphs.runtime import Runtime
from graphs.spec import Graph
from graphs.values import decode

GRAPH = """\
version: 0.5
nodes:
  text: {value: hi}
  here: {agent: copyAgent, inputs: {t: :text}}
  far: {agent: copyAgent, inputs: {t: :here.t}}
  off: {agent: copyAgent, inputs: {t: :far.t}}
  last: {agent: copyAgent, isResult: true, inputs: {t: :off.t}}
"""


class Link:
    """What a delegate says. `refuse` are paths of records, `""` the order itself, that may not or cannot be sent."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.refuse: dict[str, LinkCondition] = {}
        self.flushed = 0
        self.forgotten = False
        self.clear = True
        self._more = asyncio.Event()

    def put_graph(self, address: bytes, body: bytes, labels: Collection[str]) -> bool:
        return self.clear

    def open_run(self, run: bytes, delegate: Delegate, submit: Submit, labels: Collection[str]) -> None:
        self.append(run, submit, labels)

    def append(self, run: bytes, record: Any, labels: Collection[str] = ()) -> None:
        path = getattr(record, "path", "") or ""
        if path in self.refuse and not isinstance(record, (Close, Cancel)):
            raise self.refuse[path]
        self.said.append(record)
        self._more.set()

    def forget(self, run: bytes) -> None:
        self.forgotten = True

    async def flush(self) -> None:
        self.flushed += 1

    async def until(self, record: Any) -> None:
        """Returns once this was said, or something of this kind."""
        while record not in self.said and not (isinstance(record, type) and record in map(type, self.said)):
            self._more = asyncio.Event()
            await self._more.wait()

    def kinds(self) -> list[str]:
        return [type(record).__name__ for record in self.said]


class Device:
    """A run whose nodes `far` and `last` are at the worker. `doubtful` are paths that may have happened or not."""

    def __init__(
        self, journal: Journal, text: str, known: Mapping[str, Outcome], *, doubtful: Collection[str] = (), **different: Any
    ) -> None:
        graph = Graph.of(load_text(text).data, standard())
        run = new_run_id()
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g", started=0)
        self.link = Link()
        self.tokens: list[tuple[str, Any]] = []
        usual: dict[str, Any] = {"labels": {}, "options": {"strict": False}, "demand": False, "one_frame": True}
        self.delegate = Delegate(
            run=run,
            fragments=Fragments(known, doubtful),
            journal=journal,
            feed=self._feed,
            clock=time.perf_counter,
            on_token=lambda path, token: self.tokens.append((path, token)),
            on_begun=self._begun,
            **{**usual, **different},
        )
        self.delegate.use(self.link)  # type: ignore[arg-type]
        compiler = Compiler(standard(), places={"far": "cloud", "last": "cloud"})
        plan = compiler.plan(graph)
        self.runtime = Runtime(plan, compiler, known=known, indeterminate=doubtful, remote=self.delegate, run_id=run)

    def _feed(self, event: Any) -> None:
        self.runtime.feed(event)

    def _begun(self, start: Any) -> None:
        self.runtime.begun_elsewhere(start)

    def tell(self, *records: Any) -> None:
        """The worker's log has these records."""
        for record in records:
            self.delegate.got(record, 10)

    @property
    def waiting(self) -> dict[str, str]:
        """The conditions for which nodes wait."""
        found: dict[str, str] = {}
        for path, error in self.runtime.engine.suspended.items():
            assert isinstance(error, LinkCondition)
            found[path] = error.condition
        return found


Play: TypeAlias = Callable[[Device], Coroutine[Any, Any, None]]


def with_device(
    tmp_path: Path, play: Play, text: str = GRAPH, known: Mapping[str, Outcome] | None = None, **different: Any
) -> tuple[Device, State]:
    """Run to the end, while `play` says what the worker does."""
    found: list[tuple[Device, State]] = []

    async def main() -> None:
        with Journal.open(tmp_path / "journal.db") as journal:
            device = Device(journal, text, known or {}, **different)
            playing = asyncio.create_task(play(device))
            state = await device.runtime.run()
            await playing
            await device.delegate.close()
            found.append((device, state))

    asyncio.run(asyncio.wait_for(main(), 20))
    return found[0]


def result(path: str, value: Any) -> Result:
    return Result(path, 1, 0, value, 0, {}, None)


def error(path: str | None, code: str, *, final: bool = True) -> Error:
    return Error(path, 1, 0, code, "it says why", final, False)


def test_the_order_and_the_values_on_the_edge_of_the_cut_are_all_that_is_said(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.tell(result("far", {"t": "there"}))
        await device.link.until(Input("off", State.COMPLETED, {"t": "there"}))
        device.tell(result("last", {"t": "back"}))

    device, state = with_device(tmp_path, play)
    submit, *rest = device.link.said
    assert (submit.frame, submit.inputs, submit.opts["parent"]) == ("", {}, [device.delegate.run, 1])
    assert rest == [Input("here", State.COMPLETED, {"t": "hi"}), Input("off", State.COMPLETED, {"t": "there"}), Close(None)]
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"last": {"t": "back"}})
    assert device.link.forgotten
    assert device.delegate.sent["here"] > 0
    assert set(device.delegate.made) == {"far", "last"}


def test_what_the_worker_made_early_is_taken_when_it_is_wanted(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Submit)
        device.tell(result("last", {"t": "early"}), result("far", {"t": "also"}))

    device, state = with_device(tmp_path, play)
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"last": {"t": "early"}})


def test_a_skipped_boundary_node_sends_no_value_and_closes_all_the_same(tmp_path: Path) -> None:
    text = GRAPH.replace("off: {agent: copyAgent,", "off: {agent: copyAgent, unless: :far.t,")

    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.tell(result("far", {"t": "there"}))

    device, state = with_device(tmp_path, play, text)
    assert device.link.kinds() == ["Submit", "Input", "Close"]
    assert state == State.COMPLETED


def test_what_is_known_goes_along_with_the_order_and_is_not_said_again(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Close)
        device.tell(result("last", {"t": "back"}))

    device, state = with_device(tmp_path, play, known={"far": Outcome(State.COMPLETED, {"t": "kept"})})
    assert device.link.said[0].inputs["far"] == [State.COMPLETED, {"t": "kept"}]
    assert [record.path for record in device.link.said if isinstance(record, Input)] == ["here", "off"]
    assert state == State.COMPLETED


def test_what_is_known_and_does_not_fit_follows_on_its_own(tmp_path: Path) -> None:
    big = {"t": "x" * 30_000}

    async def play(device: Device) -> None:
        await device.link.until(Input)

    device, state = with_device(
        tmp_path, play, known={"far": Outcome(State.COMPLETED, big), "last": Outcome(State.COMPLETED, big)}
    )
    assert set(device.link.said[0].inputs) == {"far"}
    assert device.link.said[1] == Input("last", State.COMPLETED, big)
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


def test_what_may_not_go_there_at_all_opens_no_run(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        device.link.clear = False

    found: list[Device] = []

    async def main() -> None:
        with Journal.open(tmp_path / "journal.db") as journal:
            device = Device(journal, GRAPH, {})
            device.link.clear = False
            await device.runtime.run()
            await device.delegate.close()
            found.append(device)

    asyncio.run(main())
    assert found[0].waiting == {"far": "LABEL_WITHHELD"}
    assert found[0].link.said == []
    with Journal.open(tmp_path / "journal.db") as journal:
        assert journal.children(found[0].delegate.run) == []


def test_a_node_given_up_here_is_cancelled_there(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        start: Any = SimpleNamespace(path="far")
        device.delegate.stop(start)
        device.delegate.stop(start)
        device.runtime.abort("enough")

    device, state = with_device(tmp_path, play)
    assert device.link.said.count(Cancel(["far"], "given up by the holder")) == 1
    assert state == State.ABORTED


def test_a_run_that_is_over_before_the_worker_gives_up_its_nodes_there(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        device.runtime.abort("enough")

    device, _ = with_device(tmp_path, play)
    assert device.link.said[2:] == [Cancel(["far"], "given up by the holder"), Close(None)]
    assert device.link.flushed == 1


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


def test_with_demand_a_node_has_begun_once_something_in_the_graph_it_opens_has(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Start("last", 1))
        assert device.link.kinds().count("Start") == 1
        device.delegate.began("last[2]!1/inner[0]#3/deep")
        await device.link.until(Start("far", 1))
        device.tell(result("far", 1), result("last", 2))

    _, state = with_device(tmp_path, play, GRAPH.replace(":off.t", ":text"), demand=True)
    assert state == State.COMPLETED


def test_a_node_that_is_skipped_there_before_it_was_ordered_holds_up_nothing(tmp_path: Path) -> None:
    text = """\
version: 0.5
nodes:
  far: {agent: copyAgent, inputs: {t: 1}}
  last: {agent: copyAgent, anyInput: true, inputs: {t: 2}}
  here: {agent: copyAgent, isResult: true, inputs: {t: :far.t}}
"""

    async def play(device: Device) -> None:
        await device.link.until(Start("far", 1))
        device.tell(Event("last", 0, State.SKIPPED, 0, None), result("far", {"t": 3}))

    device, state = with_device(tmp_path, play, text, demand=True)
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"here": {"t": 3}})
    assert device.link.kinds().count("Start") == 1


def test_pieces_of_answers_are_handed_on(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        device.delegate.delta("far", ["a", "b"])
        device.runtime.abort()

    assert with_device(tmp_path, play)[0].tokens == [("far", "a"), ("far", "b")]


def test_a_child_run_stands_in_the_journal_before_it_is_opened(tmp_path: Path) -> None:
    async def main() -> Device:
        with Journal.open(tmp_path / "journal.db") as journal:
            device = Device(journal, GRAPH, {})
            device.link.refuse[""] = LinkCondition("RUN_DIVERGED", "no")
            await device.runtime.run()
            return device

    device = asyncio.run(main())
    assert device.waiting == {"far": "RUN_DIVERGED"}
    with Journal.open(tmp_path / "journal.db") as journal:
        assert len(journal.children(device.delegate.run)) == 1


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


def test_each_turn_of_a_loop_in_two_places_is_a_frame(tmp_path: Path) -> None:
    text = GRAPH.replace("nodes:", "loop: {count: 2}\nnodes:")

    async def play(device: Device) -> None:
        for turn in ("", "#1"):
            await device.link.until(Input(f"here{turn}", State.COMPLETED, {"t": "hi"}))
            device.tell(result(f"far{turn}", {"t": f"there{turn}"}))
            await device.link.until(Input(f"off{turn}", State.COMPLETED, {"t": f"there{turn}"}))
            device.tell(result(f"last{turn}", {"t": f"back{turn}"}))

    device, state = with_device(tmp_path, play, text, one_frame=False)
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"last": {"t": "back#1"}})
    assert [record.frame for record in device.link.said if isinstance(record, (Submit, Frame))] == ["", "#1"]
    assert device.link.said[-1] == Close(None)
