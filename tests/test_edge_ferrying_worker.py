"""The device's link to a real worker in this process."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from edge.ferrying.connecting import connect_worker
from edge.ferrying.worker import WorkerLink
from edge.offers import last_offer
from ferry import FakeServer
from graphs.agents import standard
from graphs.errors import JournalError, LinkCondition, UsageError, WorkerUnreachable
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.language.cut import cut
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Cancel, Close, Input, Result, State, Submit
from protocol.events import Diverged
from protocol.journal_store import JournalStore
from protocol.payload import Reference, references
from workers import ServedWorker, worker

GRAPH = """\
version: 0.5
nodes:
  here: {agent: copyAgent, inputs: {t: 1}}
  far: {agent: AGENT, isResult: true, inputs: {t: :here.t}}
"""


class Heard:
    """Stands for a delegate: keeps what the link says of its child run."""

    def __init__(self, agent: str = "copyAgent") -> None:
        self.fragment = cut(Graph.of(load_text(GRAPH.replace("AGENT", agent)).data, [*standard(), "farAgent"]), ["far"])
        self.hashes = {self.fragment.hash}
        self.run = bytes(16)
        self.records: list[Any] = []
        self.condition: asyncio.Future[LinkCondition] = asyncio.get_running_loop().create_future()
        self.told: list[str] = []
        self.returned = asyncio.Event()
        self.ended = asyncio.Event()

    def got(self, record: Any, size: int) -> None:
        self.records.append(record)
        if type(record).__name__ == "End":
            self.ended.set()

    def reads(self, record: Any) -> Sequence[Reference]:
        return references(record)

    def began(self, path: str) -> None:
        """The worker says that a node executes."""

    def delta(self, path: str, tokens: Any) -> None:
        self.records.append((path, tokens))

    def lost(self, condition: LinkCondition) -> None:
        self.condition.set_result(condition)

    def shaken(self, why: str, grace: float) -> None:
        self.told.append("shaken")

    def away(self, condition: LinkCondition) -> None:
        self.told.append("away")
        self.condition.set_result(condition)

    def back(self) -> None:
        self.told.append("back")
        self.returned.set()

    def open(self, link: WorkerLink, journal: Journal) -> bytes:
        run = new_run_id()
        assert link.put_graph(self.fragment.hash, self.fragment.canonical, (), self.run)
        journal.create_run(run, role="child", graph_hash=self.fragment.hash, graph=self.fragment.canonical, name="cut", started=0)
        link.open_run(run, self, Submit("", self.fragment.hash, {}, {"parent": None}), ())  # type: ignore[arg-type]
        return run


def with_link(home: Path, url: str, use: Callable[[WorkerLink, Journal], Awaitable[None]], token: str | None = None) -> None:
    async def main() -> None:
        with Journal.open(home / "edge" / "journal.db") as journal:
            link = await connect_worker(url, token=token, journal=journal)
            try:
                await use(link, journal)
            finally:
                await link.close()

    asyncio.run(asyncio.wait_for(main(), 120))


async def nothing(link: WorkerLink, journal: Journal) -> None:
    """Only connect."""


def test_each_offer_is_kept_for_those_who_plan_without_the_worker(own_home: Path) -> None:
    with worker(own_home) as served:

        async def use(link: WorkerLink, journal: Journal) -> None:
            first = link.offer
            for _ in range(2):  # with the next run the worker says that it has room again
                heard = Heard()
                run = heard.open(link, journal)
                link.append(run, Input("here", State.COMPLETED, {"t": 5}))
                link.append(run, Close(None))
                await heard.ended.wait()
            while link.offer is first:  # noqa: ASYNC110 - nobody is told of an offer
                await asyncio.sleep(0)
            journal.flush()
            assert last_offer(journal, served.url) == link.offer

        with_link(own_home, served.url, use)


def test_a_child_run_goes_there_and_its_records_come_back(own_home: Path) -> None:
    async def use(link: WorkerLink, journal: Journal) -> None:
        assert set(link.offer["models"]) == {"large"}
        heard = Heard()
        run = heard.open(link, journal)
        link.append(run, Input("here", State.COMPLETED, {"t": 5}))
        link.append(run, Close(None))
        await heard.ended.wait()
        (result,) = [record for record in heard.records if isinstance(record, Result)]
        assert (result.path, result.value) == ("far", {"t": 5})
        assert journal.run(run).status == "completed"

    with worker(own_home) as served:
        with_link(own_home, served.url, use)


def test_a_part_the_worker_refuses_is_a_condition_with_its_words(own_home: Path) -> None:
    async def use(link: WorkerLink, journal: Journal) -> None:
        heard = Heard("farAgent")
        heard.open(link, journal)
        condition = await heard.condition
        assert condition.condition == "GRAPH_INVALID"
        assert "farAgent" in condition.message
        assert not condition.retryable

    with worker(own_home) as served:
        with_link(own_home, served.url, use)


def busy(served: ServedWorker, times: int) -> list[bytes]:
    """Let the worker be full so many times; the runs it then says so of."""
    asked: list[bytes] = []
    room = served.server._holdings.room

    def full(account: Any, run: bytes) -> tuple[str, str, int | None] | None:
        asked.append(run)
        return ("BUSY", "no free places", 20) if len(asked) <= times else room(account, run)

    served.call(lambda: setattr(served.server._holdings, "room", full))
    return asked


def test_a_busy_worker_is_asked_again_until_it_has_room(own_home: Path) -> None:
    async def use(link: WorkerLink, journal: Journal) -> None:
        heard = Heard()
        run = heard.open(link, journal)
        link.append(run, Input("here", State.COMPLETED, {"t": 5}))
        link.append(run, Close(None))
        await heard.ended.wait()
        assert not heard.condition.done()
        assert not link._asking

    with worker(own_home) as served:
        asked = busy(served, 3)
        with_link(own_home, served.url, use)
        assert len(asked) == 4


def test_a_worker_that_stays_busy_is_a_condition_after_a_while(own_home: Path) -> None:
    async def main(url: str) -> None:
        with Journal.open(own_home / "edge" / "journal.db") as journal:
            link = await connect_worker(url, token=None, journal=journal, grace=0.1)
            try:
                heard = Heard()
                heard.open(link, journal)
                condition = await heard.condition
                assert (condition.condition, condition.retryable, condition.retry_ms) == ("BUSY", True, 20)
            finally:
                await link.close()

    with worker(own_home) as served:
        busy(served, 1_000_000)
        asyncio.run(asyncio.wait_for(main(served.url), 120))


def stop(served: ServedWorker) -> None:
    served.call(lambda: asyncio.ensure_future(served.server.stop()))


def test_a_worker_that_goes_away_is_told_to_all_that_wait_for_it(own_home: Path) -> None:
    with worker(own_home) as served:

        async def use(link: WorkerLink, journal: Journal) -> None:
            heard = Heard()
            run = heard.open(link, journal)
            await link.flush()
            stop(served)
            condition = await heard.condition
            assert isinstance(condition, WorkerUnreachable)
            assert served.url in condition.message
            assert heard.told == ["shaken", "away"]
            link.append(run, Close(None))  # it is kept for the worker
            await link.flush()
            late = Heard()
            late.open(link, journal)
            await late.condition

        with_link(own_home, served.url, use)


@pytest.mark.parametrize("gives_up", ["_reach._leave", "_lose"])
def test_a_value_is_not_waited_for_longer_than_the_worker(own_home: Path, gives_up: str) -> None:
    """A run that is resumed asks for values before it begins: the worker may go for good meanwhile."""

    async def use(link: WorkerLink, journal: Journal) -> None:
        waiting = asyncio.ensure_future(link.value(new_run_id(), Reference(bytes(32), 100_000)))
        await asyncio.sleep(0)
        attrgetter(gives_up)(link)("nobody was there for so long")
        with pytest.raises(WorkerUnreachable, match="for so long"):
            await waiting

    with worker(own_home) as served:
        with_link(own_home, served.url, use)


def test_who_does_not_wait_any_more_hears_nothing(own_home: Path) -> None:
    with worker(own_home) as served:

        async def use(link: WorkerLink, journal: Journal) -> None:
            heard, other = Heard(), Heard()
            link.forget(heard.open(link, journal))
            other.open(link, journal)
            stop(served)
            await other.condition
            assert not heard.condition.done()

        with_link(own_home, served.url, use)


def test_a_run_whose_copies_contradict_each_other_says_how_it_goes_on(own_home: Path) -> None:
    async def use(link: WorkerLink, journal: Journal) -> None:
        heard = Heard()
        link._hear(Diverged(heard.open(link, journal), link.store))
        condition = await heard.condition
        assert (condition.condition, condition.retryable) == ("RUN_DIVERGED", False)
        assert "graphferry runs fork" in str(condition.hint)

    with worker(own_home) as served:
        with_link(own_home, served.url, use)


def test_a_child_run_that_is_given_up_is_over_once_the_worker_knows(own_home: Path) -> None:
    """Until then it may begin there what is then begun again in another one."""
    with worker(own_home) as served:

        async def use(link: WorkerLink, journal: Journal) -> None:
            await link.stopped()  # of none
            run = Heard().open(link, journal)
            link.give_up(run)
            await link.stopped()
            orders = served.call(lambda: [each.record for each in served.worker.journal.records(run, journal.store_id)])
            assert isinstance(orders[-1], Cancel)
            assert served.call(lambda: served.worker.running) == 0

        with_link(own_home, served.url, use)


def test_who_goes_on_with_what_was_taken_before_he_asked_is_told(own_home: Path) -> None:
    """Between the moment a link is open and the one in which somebody goes on with a child run over it, the worker may have given that away."""
    with worker(own_home) as served:

        async def use(link: WorkerLink, journal: Journal) -> None:
            run = Heard().open(link, journal)
            await link.delivered([run])
            earlier = await connect_worker(served.url, token=None, journal=journal, runs=[run])
            later = await connect_worker(served.url, token=None, journal=journal, runs=[run])
            try:
                while run not in earlier.refused:  # noqa: ASYNC110 - the link tells nobody: that is what this is about
                    await asyncio.sleep(0.01)
                heard = Heard()
                earlier.attach(run, heard)  # type: ignore[arg-type]
                assert (await heard.condition).condition == "RUN_TAKEN"
            finally:
                await earlier.close()
                await later.close()

        with_link(own_home, served.url, use)


def test_a_closed_link_takes_nothing(own_home: Path) -> None:
    async def use(link: WorkerLink, journal: Journal) -> None:
        await link.close()
        with pytest.raises(WorkerUnreachable, match="closed"):
            link.put_graph(bytes(32), b"", (), bytes(16))
        await link.flush()

    with worker(own_home) as served:
        with_link(own_home, served.url, use)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("401 Unauthorized", "does not accept this token"),
        ("403 Forbidden", "forbids this connection"),
        ("404 Not Found", "has no link there"),
        ("426 Upgrade Required", "speaks another version"),
        ("429 Too Many Requests", "takes no new connections now"),
        ("500 Internal Server Error", "HTTP status 500"),
        ("200 OK", "HTTP status 200"),
    ],
)
def test_every_refusal_is_said_in_words_and_tried_once(own_home: Path, answer: str, told: str) -> None:
    server = FakeServer(answer)
    try:
        with pytest.raises(WorkerUnreachable, match=told) as caught:
            with_link(own_home, server.url, nothing, token="secret")
    finally:
        server.close()
    assert len(server.asked) == 1
    assert server.url in caught.value.message
    assert "secret" not in str(caught.value)


def test_nobody_there_and_no_url(own_home: Path) -> None:
    with pytest.raises(WorkerUnreachable, match="cannot be reached") as caught:
        with_link(own_home, "ws://127.0.0.1:1/v1/link", nothing)
    assert "graphferry serve" in (caught.value.hint or "")
    for url in ("localhost:8765", "http://127.0.0.1:1/v1/link", "ws://"):
        with pytest.raises(UsageError, match="is not a link URL"):
            with_link(own_home, url, nothing)


def test_a_comparison_that_cannot_begin_is_told_once_and_waited_for_by_nobody(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection ends later, of which nobody is to be told who does not listen: an error that no one reads ends up in the terminal."""
    unread: list[dict[str, Any]] = []

    def damaged(_store: JournalStore) -> Any:
        raise JournalError("record 3 is damaged")

    async def use(link: WorkerLink, _journal: Journal) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unread.append(context))
        monkeypatch.setattr(JournalStore, "lines", damaged)
        with pytest.raises(JournalError, match="record 3 is damaged"):
            await link.compare()

    with worker(own_home) as served:
        with_link(own_home, served.url, use)
    gc.collect()
    assert unread == []
