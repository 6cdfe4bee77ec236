"""Giving a run away and asking for one: who may, what is written down, and what a holder does that is asked."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Collection
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest

from conftest import CommandLine
from edge.config import load_config
from edge.device import worker_connector
from edge.runs.at_work import at_work
from edge.runs.resting import at_work_until_asked
from edge.syncing import handover
from edge.syncing.held import holding_of
from fleet import edge, full, move, run
from graphs.environment import Environment, ExitStatus
from graphs.errors import LinkCondition, UsageError
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.records import End, EndStatus, Event, Handover, State, encode
from protocol.marks import is_marked, mark
from workers import ServedWorker

GRAPH = "version: 0.5\nnodes:\n  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hello}}\n"
NOBODY = "ws://127.0.0.1:1/v1/link"
T = TypeVar("T")


def use(cli: CommandLine, url: str, what: Callable[[Journal, Any], Awaitable[T]]) -> T:
    """Do something with that device's journal and what opens the link to the worker."""
    config = load_config(Environment(io.StringIO(), io.StringIO(), io.StringIO(), cli.environ, cli.cwd))
    connect = worker_connector(config)

    async def whole(journal: Journal) -> T:
        return await what(journal, lambda runs: connect(url, None, journal, runs))

    with Journal.open(config.journal) as journal:
        return asyncio.run(asyncio.wait_for(whole(journal), 120))


def begun(cli: CommandLine, *words: str) -> bytes:
    text = run(cli, GRAPH, "--offline", *words, status=ExitStatus.UNREACHABLE)["run"]
    return bytes.fromhex(str(text).replace("-", ""))


def given(journal: Journal, root: bytes) -> list[Handover]:
    """What was given away, in all logs that are here, in their order."""
    logged = ((each.writer, each.record) for each in journal.records(root))
    return [record for writer, record in logged if isinstance(record, Handover) and record.to != writer]


def test_a_copy_is_no_hand_over(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = begun(laptop)

    async def push(journal: Journal, connect: Any) -> None:
        await handover.push(journal, root, connect, hand_over=False)
        assert is_marked(journal, root)
        assert given(journal, root) == []

    use(laptop, served.url, push)


def test_what_was_given_away_is_not_given_twice(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = begun(laptop)

    async def push(journal: Journal, connect: Any) -> None:
        await handover.push(journal, root, connect, hand_over=True)
        await journal.barrier()
        standing = holding_of(journal, root)
        assert (standing.epoch, journal.run(root).status) == (2, "suspended")
        with pytest.raises(UsageError, match="is held by the store"):
            await handover.push(journal, root, connect, hand_over=True)
        assert len(given(journal, root)) == 1

    use(laptop, served.url, push)


def test_what_came_to_its_end_is_not_given(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = begun(laptop)

    async def push(journal: Journal, connect: Any) -> None:
        journal.append(root, encode(End(EndStatus.COMPLETED, 1, {})))
        with pytest.raises(UsageError, match="came to its end here"):
            await handover.push(journal, root, connect, hand_over=True)
        with pytest.raises(UsageError, match="is over"):
            await handover.ask_for(journal, root.hex(), connect)

    use(laptop, served.url, push)


def test_without_a_worker_nothing_is_given(device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = begun(laptop)

    async def push(journal: Journal, connect: Any) -> None:
        with pytest.raises(LinkCondition):
            await handover.push(journal, root, connect, hand_over=True)
        assert given(journal, root) == []

    use(laptop, NOBODY, push)


@pytest.mark.parametrize(("room", "copied"), [(0, False), (2000, False), (0, True)], ids=["at all", "for the graph", "any more"])
def test_a_worker_without_room_is_not_given_a_run(
    served: ServedWorker, device: Callable[[], CommandLine], room: int, copied: bool
) -> None:
    laptop = device()
    text = f"{GRAPH}  much: {{value: {'x' * 4000}}}\n"
    root = str(run(laptop, text, "--offline", status=ExitStatus.UNREACHABLE)["run"])
    if copied:
        assert laptop("runs", "push", root, "--cloud", served.url).status == ExitStatus.COMPLETED
    push = ("runs", "push", root, "--continue", "--cloud", served.url)
    with full(served, room):
        refused = laptop(*push)
        assert refused.status == ExitStatus.FAILED, refused.stderr
        assert "graphferry resume" in refused.stderr, "what to do"
        assert "its quota is" in refused.stderr
        assert refused.stdout == ""
        with Journal.open(edge(laptop) / "journal.db") as journal:
            row = journal.run(root)
            assert given(journal, row.run) == []
            assert holding_of(journal, row.run).holder == journal.store_id
    later = laptop(*push)
    assert later.status == ExitStatus.COMPLETED, later.stderr


def test_while_a_process_works_on_it_without_listening_nothing_is_given(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    laptop = device()
    root = begun(laptop)

    async def push(journal: Journal, connect: Any) -> None:
        with at_work(journal.path, root), pytest.raises(UsageError, match="another process"):
            await handover.push(journal, root, connect, hand_over=True)
        assert given(journal, root) == []

    use(laptop, served.url, push)


def test_who_asks_waits_so_long_and_the_holder_gives_when_it_is_back(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    laptop, other = device(), device()
    root = begun(laptop, "--sync")
    move(laptop, served)

    async def ask(journal: Journal, connect: Any) -> None:
        with pytest.raises(handover.HolderSilent, match=r"did not hand it over within 0\.2 s"):
            await handover.ask_for(journal, root.hex(), connect, seconds=0.2)
        assert holding_of(journal, root).asking == (journal.store_id,)

    use(other, served.url, ask)
    move(laptop, served)

    async def again(journal: Journal, connect: Any) -> None:
        assert await handover.ask_for(journal, root.hex(), connect) == root
        await journal.barrier()
        assert await handover.give_to_askers(journal) == 0, "nobody else asks"

    use(other, served.url, again)


def test_what_is_not_marked_is_asked_for_in_vain(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = begun(laptop)

    async def ask(journal: Journal, connect: Any) -> None:
        with pytest.raises(UsageError, match="not marked for sync"):
            await handover.ask_for(journal, root.hex(), connect)

    use(laptop, served.url, ask)


def test_a_process_at_work_is_asked_to_rest_and_the_run_given_the_next_time(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    laptop = device()
    root = begun(laptop, "--sync")

    async def give(journal: Journal, _connect: Any) -> None:
        journal.accept(root, b"somebody", 1, encode(Handover(b"somebody", 2)))
        await journal.barrier()
        asked = asyncio.Event()
        with at_work_until_asked(journal.path, root, asked.set):
            assert await handover.give_to_askers(journal) == 0
            await asked.wait()
            assert given(journal, root) == []
        assert await handover.give_to_askers(journal) == 1
        assert given(journal, root) == [Handover(b"somebody", 2)]
        assert await handover.give_to_askers(journal) == 0, "it is not this store's to give any more"

    use(laptop, served.url, give)


def test_runs_that_are_not_shared_or_not_asked_for_stay(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    private, shared = begun(laptop), begun(laptop, "--sync")

    async def give(journal: Journal, _connect: Any) -> None:
        journal.accept(private, b"somebody", 1, encode(Handover(b"somebody", 2)))
        await journal.barrier()
        assert await handover.give_to_askers(journal) == 0
        mark(journal, private)
        await journal.barrier()
        assert await handover.give_to_askers(journal) == 1
        assert given(journal, shared) == []

    use(laptop, served.url, give)


def asked_for(cli: CommandLine) -> bytes:
    """A shared run that rests at this device and that another store asks for."""
    root = begun(cli, "--sync")

    async def ask(journal: Journal, _connect: Any) -> None:
        journal.accept(root, b"somebody", 1, encode(Handover(b"somebody", 2)))

    use(cli, NOBODY, ask)
    return root


def test_what_another_process_ended_between_looking_and_giving_is_not_given(device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = asked_for(laptop)

    async def give(journal: Journal, _connect: Any) -> None:
        def meanwhile(_labels: Collection[str]) -> str:
            with Journal.open(journal.path) as other:
                other.append(root, encode(End(EndStatus.COMPLETED, 1, {})))
                other.finish_run(root, "completed", ended=1)
            return ""

        assert await handover.give_to_askers(journal, meanwhile) == 0
        assert (given(journal, root), journal.run(root).status) == ([], "completed")

    use(laptop, NOBODY, give)


def test_a_process_that_begins_between_looking_and_giving_is_asked_to_rest(device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = asked_for(laptop)

    async def give(journal: Journal, _connect: Any) -> None:
        asked = asyncio.Event()
        with ExitStack() as other:

            def meanwhile(_labels: Collection[str]) -> str:
                other.enter_context(at_work_until_asked(journal.path, root, asked.set))
                return ""

            assert await handover.give_to_askers(journal, meanwhile) == 0
            await asked.wait()
        assert given(journal, root) == []

    use(laptop, NOBODY, give)


def test_a_run_is_given_whose_log_another_process_wrote_since_this_one_had_read_it(device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = asked_for(laptop)

    async def give(journal: Journal, _connect: Any) -> None:
        last = journal.have(root)
        with Journal.open(journal.path) as other:
            other.append(root, encode(Event(None, 0, State.SUSPENDED, 1, {"why": "it rests"})))
        assert await handover.give_to_askers(journal) == 1
        assert (given(journal, root), journal.have(root)) == ([Handover(b"somebody", 2)], last + 2)

    use(laptop, NOBODY, give)


def test_who_asks_for_a_run_may_hand_it_on_although_another_process_went_on_with_it(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    """As `runs push --continue --force` does, in one process."""
    laptop, other = device(), device()
    root = begun(laptop, "--sync")
    move(laptop, served)

    async def ask(journal: Journal, connect: Any) -> None:
        with pytest.raises(handover.HolderSilent):
            await handover.ask_for(journal, root.hex(), connect, seconds=0)
        await asyncio.to_thread(move, laptop, served)
        assert await handover.ask_for(journal, root.hex(), connect) == root
        with Journal.open(journal.path) as beside:
            beside.append(root, encode(Event(None, 0, State.SUSPENDED, 1, {"why": "it rests"})))
        await handover.push(journal, root, connect, hand_over=True)
        assert holding_of(journal, root).epoch == 3

    use(other, served.url, ask)


def test_who_asks_again_has_room_beside_one_who_asks_to_cancel(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    """Both write into this store's log of a run that another one holds."""
    laptop, other = device(), device()
    root = begun(laptop, "--sync")
    move(laptop, served)

    async def ask(journal: Journal, connect: Any) -> None:
        for _ in range(2):
            with pytest.raises(handover.HolderSilent):
                await handover.ask_for(journal, root.hex(), connect, seconds=0)
            assert (await asyncio.to_thread(other, "runs", "cancel", root.hex())).status == 0
        assert holding_of(journal, root).stopping

    use(other, served.url, ask)


def test_the_beginning_of_a_run_that_has_not_come_is_no_damage(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    root = begun(laptop, "--sync")

    async def forget(journal: Journal, connect: Any) -> None:
        row = journal.run(root)
        other = new_run_id()
        journal.create_run(other, role="root", graph_hash=row.graph, name="g", started=1)
        journal.accept(other, b"somebody", 1, encode(Handover(b"somebody", 2)))
        await journal.barrier()
        with pytest.raises(UsageError, match="the beginning of run"):
            await handover.ask_for(journal, other.hex(), connect)

    use(laptop, served.url, forget)
