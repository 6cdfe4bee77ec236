"""Whose a run is, what is kept for an account, and when a run goes."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud.accounts import DAY_MS, Account
from cloud.holdings import MOST_GRAPHS, AccountStore, Holdings
from graphs.errors import LinkCondition
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.journal.reader import graph_address
from graphs.records import Answer, Cancel, End, EndStatus, Handover, Input, Known, Result, Submit, chain, encode
from graphs.values import digest
from protocol import codec
from protocol.config import Config, Role
from protocol.handshake import DeviceHello, Statement, Status
from protocol.payload import Reference
from protocol.session import Conn
from protocol.store import Copy, Effect, Keep, Snapshot, Trim, Write

DEVICE = b"D" * 8
ACCOUNTS = {
    "default": Account(),
    "alice": Account("alice", retention_ms=2 * DAY_MS),
    "bob": Account("bob", unfetched_ms=9 * DAY_MS),
}
NOW = 1_900_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def in_a_store(home: Path, body: Callable[[Journal, Holdings, Clock], None]) -> None:
    with Journal.open(home / "journal.db") as journal:
        clock = Clock()
        body(journal, Holdings(journal, ACCOUNTS, clock), clock)


def commit(holdings: Holdings, account: str, run: bytes, *records: Known, of: bytes = DEVICE, first: int = 1) -> None:
    chk, effects = 0, []
    for seq, record in enumerate(records, first):
        encoded = encode(record)
        chk = chain(chk, encoded.type, encoded.tail)
        effects.append(Write(run, of, seq, *encoded, chk))
    asyncio.run(AccountStore(holdings, ACCOUNTS[account]).commit(effects))


def opened(holdings: Holdings, account: str, *, ended: bool = False, acked: bool = False) -> bytes:
    run = new_run_id()
    commit(holdings, account, run, Submit("", bytes(32), {}, {}))
    if ended:
        commit(holdings, account, run, End(EndStatus.COMPLETED, NOW, {}), of=holdings.journal.store_id)
    if acked:
        asyncio.run(AccountStore(holdings, ACCOUNTS[account]).commit([Trim(run, holdings.journal.store_id, 1)]))
    return run


def found(holdings: Holdings, account: str, runs: list[bytes]) -> tuple[set[bytes], set[bytes]]:
    snapshot = asyncio.run(AccountStore(holdings, ACCOUNTS[account]).find(runs))
    return {each.run for each in snapshot.logs}, set(snapshot.expired)


def test_a_run_exists_for_its_account_only_after_a_restart_too(tmp_path: Path) -> None:
    runs: list[bytes] = []

    def before(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        runs.extend([opened(holdings, "alice"), opened(holdings, "bob")])
        assert found(holdings, "alice", runs) == ({runs[0]}, set())

    def after(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        assert found(holdings, "alice", runs) == ({runs[0]}, set())
        assert found(holdings, "bob", runs) == ({runs[1]}, set())
        assert found(holdings, "default", runs) == (set(), set())
        refused = holdings.room(ACCOUNTS["alice"], runs[1])
        assert refused is not None
        assert refused[0] == "RUN_UNKNOWN"
        assert holdings.room(ACCOUNTS["alice"], runs[0]) is None
        assert holdings.room(ACCOUNTS["alice"], new_run_id()) is None

    in_a_store(tmp_path, before)
    in_a_store(tmp_path, after)


def test_a_run_that_cannot_be_read_has_diverged_and_the_others_that_were_asked_for_are_there(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        damaged, sound = (opened(holdings, "alice") for _ in range(2))
        journal.flush()
        with sqlite3.connect(journal.path) as db:
            db.execute("UPDATE records SET tail = x'00' WHERE id >> 32 IN (SELECT id FROM logs WHERE run = ?)", (damaged,))
        snapshot = asyncio.run(AccountStore(holdings, ACCOUNTS["alice"]).find([damaged, sound]))
        assert (set(snapshot.diverged), {head.run for head in snapshot.logs}) == ({damaged}, {sound})
        journal.flush()
        assert journal.run(damaged).status == "diverged"

    in_a_store(tmp_path, body)


def test_a_run_that_has_diverged_has_so_for_whoever_asks(tmp_path: Path) -> None:
    """Its two copies contradicted each other when one session looked: nothing is done for it, whatever the next one's copy says."""

    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        run, other = opened(holdings, "alice"), opened(holdings, "alice")
        journal.finish_run(run, "diverged", ended=NOW)
        journal.flush()
        snapshot = asyncio.run(AccountStore(holdings, ACCOUNTS["alice"]).find([run, other]))
        assert set(snapshot.diverged) == {run}
        conn = Conn(Config(Role.WORKER, "d", DEVICE * 2), Snapshot(journal.store_id))
        conn.learn(snapshot)
        conn.connected(0, 1)
        said = [Statement(head.run, DEVICE, 1, head.chks[-1]) for head in snapshot.logs]
        conn.receive(0, codec.encode(DeviceHello(DEVICE * 2, DEVICE, 1, logs=said, session=1).message()), 1)
        packet = conn.poll(0, 0)
        assert packet is not None
        welcome: Any = codec.decode(packet)[0]
        assert {each[0]: each[4] for each in welcome.body["logs"]} == {run: Status.DIVERGED, other: Status.OK}

    in_a_store(tmp_path, body)


def test_runs_from_before_there_were_accounts_are_the_default_ones(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        run = new_run_id()
        journal.create_run(run, role="child", graph_hash=bytes(32), name="cut", started=NOW)
        journal.append(run, encode(Submit("", bytes(32), {}, {})))
        journal.flush()
        assert found(holdings, "default", [run])[0] == {run}
        assert found(holdings, "alice", [run])[0] == set()

    in_a_store(tmp_path, body)


def test_bytes_are_counted_as_they_come_and_again_after_a_restart(tmp_path: Path) -> None:
    counted: list[int] = []

    def before(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        run = opened(holdings, "alice")
        random_bytes = random.Random(5000).randbytes(5000)  # what can be compressed takes less after a restart
        commit(holdings, "alice", run, Result("a", 1, 0, random_bytes, NOW, {}, None), of=journal.store_id)
        counted.extend([holdings.stored("alice"), holdings.stored("bob")])
        assert counted[0] > 5000
        assert counted[1] == 0

    in_a_store(tmp_path, before)
    in_a_store(tmp_path, lambda journal, holdings, clock: counted.extend([holdings.stored("alice"), holdings.stored("bob")]))
    assert counted[2:] == counted[:2]


def test_what_the_journal_keeps_once_is_counted_once_from_the_next_pruning_on(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        run = opened(holdings, "alice", ended=True, acked=True)

        def again(number: int) -> None:
            result = Result("a", number, 0, "the same again " * 500, NOW, {}, None)
            commit(holdings, "alice", run, result, of=journal.store_id, first=number)

        for number in range(2, 6):
            again(number)
        came = holdings.stored("alice")
        assert holdings.prune() == []
        assert holdings.stored("alice") == sum(journal.sizes().values()) < came
        clock.now += 2 * DAY_MS
        again(6)
        assert holdings.prune() == [run]
        assert holdings.stored("alice") == 0, "and nothing is left that came and was never kept"

    in_a_store(tmp_path, body)


def test_a_copy_that_two_processes_of_a_device_give_counts_once(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        run, submit = new_run_id(), encode(Submit("", bytes(32), {}, {}))
        copy = Copy(run, DEVICE, 1, submit, chain(0, submit.type, submit.tail), {"graph": bytes(32), "name": "g"})
        for _ in range(2):
            asyncio.run(AccountStore(holdings, ACCOUNTS["alice"]).commit([copy]))
        assert holdings.stored("alice") == sum(journal.sizes().values()) == len(submit.tail)

    in_a_store(tmp_path, body)


def test_a_full_account_opens_no_run_and_gets_a_condition_that_says_so(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        small = Account("alice", disk=10)
        assert holdings.full(small) is None
        opened(holdings, "alice")
        full = holdings.full(small)
        assert full is not None
        assert (full.condition, full.retryable) == ("QUOTA", False)
        assert "'alice'" in full.message
        refused = holdings.room(small, new_run_id())
        assert refused is not None
        assert (refused[0], refused[2]) == ("QUOTA", None)
        assert holdings.full(ACCOUNTS["bob"]) is None

    in_a_store(tmp_path, body)


def test_over_its_quota_only_what_decides_about_a_run_is_still_written_down(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        alice, few = ACCOUNTS["alice"], 100
        assert holdings.accepts(alice, Input.TYPE, few) is None
        holdings.wrote(alice, alice.disk)
        assert holdings.full(alice) is not None
        assert holdings.accepts(alice, Input.TYPE, few) is None, "open runs can still be ordered about"
        holdings.wrote(alice, 16 << 20)
        said = holdings.accepts(alice, Input.TYPE, few)
        assert said is not None
        assert "'alice'" in said
        assert "quota" in said
        assert "retention" in said, "what is to be done"
        deciding = (Cancel.TYPE, Answer.TYPE, Handover.TYPE, End.TYPE)
        assert [holdings.accepts(alice, each, few) for each in deciding] == [None] * 4
        holdings.wrote(alice, 16 << 20)
        assert None not in [holdings.accepts(alice, each, few) for each in deciding]
        assert holdings.accepts(ACCOUNTS["bob"], Input.TYPE, few) is None, "another's quota is another's"

    in_a_store(tmp_path, body)


def test_a_full_account_has_a_part_only_of_its_own_root_runs_that_are_here(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        root, child = new_run_id(), opened(holdings, "alice")
        assert not holdings.has_part(ACCOUNTS["alice"], root)
        submit = encode(Submit("", bytes(32), {}, {}))
        copy = Copy(root, DEVICE, 1, submit, chain(0, submit.type, submit.tail), {"graph": bytes(32), "name": "g"})
        asyncio.run(AccountStore(holdings, ACCOUNTS["alice"]).commit([copy]))
        assert holdings.has_part(ACCOUNTS["alice"], root)
        assert not holdings.has_part(ACCOUNTS["bob"], root), "to another it does not exist"
        assert not holdings.has_part(ACCOUNTS["alice"], child), "a part of a run that is ordered here is opened anew"

    in_a_store(tmp_path, body)


def test_bodies_count_once_against_the_quota_until_their_last_run_goes(tmp_path: Path) -> None:
    half = ACCOUNTS["alice"].disk // 2

    def before(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        store = AccountStore(holdings, ACCOUNTS["alice"])
        run = opened(holdings, "alice", ended=True, acked=True)
        records = holdings.stored("alice")
        for _ in range(2):
            asyncio.run(store.begin_body(run, Reference(b"a" * 32, half)))
        assert holdings.stored("alice") == records + half
        with pytest.raises(LinkCondition) as caught:
            asyncio.run(store.begin_body(run, Reference(b"b" * 32, half)))
        assert (caught.value.condition, caught.value.retryable) == ("QUOTA", False)
        kept = run_of_a_kept_body(holdings)
        assert holdings.stored("bob") > len(kept) > 0

    def after(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        assert holdings.stored("alice") > half, "also in the next process"
        clock.now += 2 * DAY_MS
        assert len(holdings.prune()) == 1
        assert holdings.stored("alice") == 0

    in_a_store(tmp_path, before)
    in_a_store(tmp_path, after)


def run_of_a_kept_body(holdings: Holdings) -> bytes:
    """A run of bob's with a result that did not fit its record; the body."""
    run, body = new_run_id(), b"x" * 100_000
    submit = encode(Submit("", bytes(32), {}, {}))
    effects: list[Effect] = [
        Write(run, DEVICE, 1, *submit, chain(0, submit.type, submit.tail)),
        Keep(run, digest(body), body, (), 0),
    ]
    asyncio.run(AccountStore(holdings, ACCOUNTS["bob"]).commit(effects))
    return body


def test_retention_begins_when_the_device_has_everything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        going = opened(holdings, "alice", ended=True, acked=True)
        unfetched = opened(holdings, "alice", ended=True)
        running = opened(holdings, "alice")
        other = opened(holdings, "default", ended=True, acked=True)
        before = holdings.stored("alice")
        clock.now += 2 * DAY_MS - 1
        assert holdings.prune() == []
        clock.now += 1
        assert holdings.prune() == [going]
        assert {row.run for row in journal.runs()} == {unfetched, running, other}
        assert 0 < holdings.stored("alice") < before
        clock.now += 500 * DAY_MS
        assert set(holdings.prune()) == {other}
        assert {row.run for row in journal.runs()} == {unfetched, running}, "what was not fetched stays, however old"
        assert caplog.text == ""

    in_a_store(tmp_path, body)


def test_what_was_never_fetched_goes_only_if_the_account_says_so_and_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[bytes] = []
    in_a_store(tmp_path, lambda journal, holdings, clock: runs.append(opened(holdings, "bob", ended=True)))

    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        ended = journal.runs()[0].ended
        assert ended is not None
        clock.now = ended + 9 * DAY_MS - 1
        assert holdings.prune() == []
        clock.now += 1
        found(holdings, "bob", runs)
        assert holdings.prune() == [], "a session still holds it"

    def later(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        clock.now += 10_000 * DAY_MS
        with caplog.at_level(logging.WARNING):
            assert holdings.prune() == runs
        assert "never fetched" in caplog.text
        assert "bob" in caplog.text

    in_a_store(tmp_path, body)
    in_a_store(tmp_path, later)


def test_a_removed_run_leaves_a_tombstone_for_a_while(tmp_path: Path) -> None:
    runs: list[bytes] = []

    def remove(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        runs.append(opened(holdings, "alice", ended=True, acked=True))
        clock.now += 2 * DAY_MS
        assert holdings.prune() == runs

    def after(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        assert found(holdings, "alice", runs) == (set(), set(runs))
        refused = holdings.room(ACCOUNTS["alice"], runs[0])
        assert refused is not None
        assert refused[0] == "RUN_EXPIRED"
        clock.now += 92 * DAY_MS
        assert holdings.prune() == []
        assert holdings.room(ACCOUNTS["alice"], runs[0]) is None

    in_a_store(tmp_path, remove)
    in_a_store(tmp_path, after)
    with Journal.open(tmp_path / "journal.db") as journal:
        assert journal.metas("gone ") == journal.metas("owner ") == journal.metas("acked ") == {}


def test_graphs_are_bounded_and_dropped_when_nothing_goes_on(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        alice = ACCOUNTS["alice"]
        graph = b"\x81\xa5nodes\x80"
        journal.put_graph(graph_address(graph), graph)
        run = opened(holdings, "alice")
        assert holdings.admit_graph(alice, MOST_GRAPHS) is None
        refused = holdings.admit_graph(alice, 1)
        assert refused is not None
        assert refused.condition == "QUOTA"
        assert holdings.admit_graph(ACCOUNTS["bob"], 1) is None
        holdings.prune()
        assert journal.graph(graph_address(graph)) is not None, "a run goes on, and may use it"
        assert holdings.admit_graph(alice, 1) is not None
        commit(holdings, "alice", run, End(EndStatus.COMPLETED, NOW, {}), of=journal.store_id)
        holdings.prune()
        assert journal.graph(graph_address(graph)) is None
        assert holdings.admit_graph(alice, 1) is None
        holdings.wrote(alice, alice.disk)
        assert holdings.admit_graph(alice, 1) is not None, "nor more than its quota"

    in_a_store(tmp_path, body)


def test_another_process_of_the_same_store_knows_whose_a_run_is(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        with Journal.open(tmp_path / "journal.db") as other:
            second = Holdings(other, ACCOUNTS, clock)
            run = opened(holdings, "alice", ended=True, acked=True)
            assert found(second, "alice", [run]) == ({run}, set())
            assert found(second, "bob", [run]) == (set(), set())
            assert second.room(ACCOUNTS["alice"], run) is None
            clock.now += 2 * DAY_MS
            assert holdings.prune() == [run]
            assert found(second, "alice", [run]) == (set(), {run})
            assert second.room(ACCOUNTS["alice"], run) is not None

    in_a_store(tmp_path, body)


def test_an_account_that_left_the_configuration_keeps_what_it_has(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        opened(holdings, "alice", ended=True, acked=True)
        clock.now += 1000 * DAY_MS
        assert Holdings(journal, {"default": Account()}, clock).prune() == []

    in_a_store(tmp_path, body)


def test_a_part_of_a_run_that_this_worker_holds_stays_until_that_is_over(tmp_path: Path) -> None:
    def body(journal: Journal, holdings: Holdings, clock: Clock) -> None:
        root, part = new_run_id(), new_run_id()
        journal.create_run(root, role="root", graph_hash=bytes(32), name="g", started=NOW)
        journal.accept(root, DEVICE, 1, encode(Submit("", bytes(32), {}, {})))
        journal.accept(root, DEVICE, 2, encode(Handover(journal.store_id, 2)))
        commit(holdings, "alice", part, Submit("", bytes(32), {}, {"parent": [root, 1]}))
        commit(holdings, "alice", part, End(EndStatus.COMPLETED, NOW, {}), of=journal.store_id)
        asyncio.run(AccountStore(holdings, ACCOUNTS["alice"]).commit([Trim(part, journal.store_id, 1)]))
        clock.now += 30 * DAY_MS
        assert holdings.prune() == [], "nobody else goes on with what it made"
        journal.append(root, encode(End(EndStatus.COMPLETED, NOW, {})))
        journal.flush()
        assert holdings.prune() == [part]

    in_a_store(tmp_path, body)
