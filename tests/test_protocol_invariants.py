"""The link's invariants under any schedule, and the test of that test: sessions with one rule removed must be caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from protocol import resume
from protocol.bodies import Gives, Wants, _Want as Want
from protocol.entries import Entries
from protocol.handshake import Statement
from protocol.log import InLog, OutLog
from protocol.session import Conn
from protocol.state import State
from protocol.store import Trim
from protocol.streams import Stream
from wire.body_machine import Bodies
from wire.machine import Rollback, Strict
from wire.memory_store import MemoryStore


def explore(machine: type[RuleBasedStateMachine], examples: int, *, hunting: bool = False) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=hunting,
            print_blob=not hunting,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate] if hunting else [Phase.generate, Phase.shrink],
        ),
    )


def test_every_schedule_keeps_the_invariants() -> None:
    explore(Strict, 150)


def test_every_schedule_brings_the_bodies() -> None:
    explore(Bodies, 60)


def test_a_store_that_went_back_in_time_is_noticed() -> None:
    explore(Rollback, 100)


# -- mutants


@contextmanager
def send_before_commit() -> Iterator[None]:
    append = Conn.append

    def mutant(self: Conn, run: Any, *what: Any) -> int:
        seq = append(self, run, *what)
        known = self._state.runs[run]
        assert known.out is not None
        known.out.durable = seq
        self._state.flow(known)
        return seq

    with patch.object(Conn, "append", mutant):
        yield


@contextmanager
def acknowledge_before_commit() -> Iterator[None]:
    take = Entries.take

    def mutant(self: Entries, connection: Any, messages: Any) -> None:
        take(self, connection, messages)
        for alias in {message[0] for message in messages} & set(connection.aliases):
            into = connection.aliases[alias][1]
            into.durable = into.last
            connection.outbox.acknowledge(into)

    def mutant_one(self: Entries, connection: Any, message: Any) -> None:
        mutant(self, connection, [message])

    with patch.object(Entries, "take", mutant), patch.object(Entries, "take_one", mutant_one):
        yield


@contextmanager
def no_dedupe() -> Iterator[None]:
    with patch.object(InLog, "is_next", lambda self, seq: True):
        yield


@contextmanager
def trim_before_end() -> Iterator[None]:
    def mutant(self: State, run: Any) -> None:
        if not self.is_device and run.out.acked and run.out.acked == run.out.last:
            self.stage(Trim(run.id, run.out.writer, run.out.acked))

    with patch.object(State, "trim", mutant):
        yield


@contextmanager
def append_after_end() -> Iterator[None]:
    check = Conn._check_writer

    def mutant(self: Conn, run: Any, record: Any) -> None:
        if run is not None and run.out is not None:
            run.out.ended = False
        check(self, run, record)

    with patch.object(Conn, "_check_writer", mutant):
        yield


@contextmanager
def hello_from_memory() -> Iterator[None]:
    said = resume.statement

    def mutant(log: Any, *more: Any) -> Statement:
        if isinstance(log, InLog):
            log.durable = log.last
        return said(log, *more)

    with patch.object(resume, "statement", mutant), patch("protocol.inbox.statement", mutant):
        yield


@contextmanager
def no_fence() -> Iterator[None]:
    receive = Conn.receive

    def mutant(self: Conn, now: int, packet: bytes, number: int) -> Any:
        connection = self._state.connection
        return receive(self, now, packet, connection.number if connection else number)

    with patch.object(Conn, "receive", mutant):
        yield


@contextmanager
def ignore_what_is_shown() -> Iterator[None]:
    with patch.object(Stream, "rewind", lambda self, off: None):
        yield


@contextmanager
def forget_what_was_sent() -> Iterator[None]:
    resume_ = OutLog.resume

    def mutant(self: OutLog, have: int) -> Any:
        return resume_(self, max(have, self.sent))

    with patch.object(OutLog, "resume", mutant):
        yield


@contextmanager
def no_checksum() -> Iterator[None]:
    with patch.object(InLog, "contradicts", lambda *_: False), patch.object(OutLog, "contradicts", lambda *_: False):
        yield


@contextmanager
def ask_from_the_beginning() -> Iterator[None]:
    again = Want.again

    with patch.object(Want, "again", lambda self, have: again(self, 0)):
        yield


@contextmanager
def take_bodies_unseen() -> Iterator[None]:
    def mutant(self: MemoryStore, ref: bytes, crc: int | None) -> bool:
        self.bodies[ref] = self.parts.pop(ref, b"")
        return True

    with patch.object(MemoryStore, "looked", mutant):
        yield


@contextmanager
def forget_what_is_wanted() -> Iterator[None]:
    with patch.object(Wants, "connected", lambda self: None):
        yield


@contextmanager
def go_on_for_the_last_connection() -> Iterator[None]:
    with patch.object(Gives, "disconnected", lambda self: None):
        yield


@contextmanager
def send_more_than_asked() -> Iterator[None]:
    supply = Gives.supply

    def mutant(self: Gives, *given: Any) -> None:
        before = len(self.ready)
        supply(self, *given)
        if len(self.ready) > before:
            self.ready.append(self.ready[-1])

    with patch.object(Gives, "supply", mutant):
        yield


@contextmanager
def ask_the_gate_once() -> Iterator[None]:
    with patch.object(Gives, "_passes", lambda *_: True):
        yield


@contextmanager
def name_everything_by_its_hash() -> Iterator[None]:
    from protocol import payload

    body = payload._body
    with patch.object(payload, "_body", lambda value, _labels, handle: body(value, (), handle)):
        yield


MUTANTS: list[tuple[Callable[[], Any], type[RuleBasedStateMachine]]] = [
    (send_before_commit, Strict),
    (acknowledge_before_commit, Strict),
    (no_dedupe, Strict),
    (trim_before_end, Strict),
    (append_after_end, Strict),
    (hello_from_memory, Strict),
    (no_fence, Strict),
    (ignore_what_is_shown, Strict),
    (forget_what_was_sent, Strict),
    (no_checksum, Rollback),
    (ask_from_the_beginning, Bodies),
    (take_bodies_unseen, Bodies),
    (forget_what_is_wanted, Bodies),
    (go_on_for_the_last_connection, Bodies),
    (send_more_than_asked, Bodies),
    (ask_the_gate_once, Bodies),
    (name_everything_by_its_hash, Bodies),
]


@pytest.mark.parametrize(("mutant", "machine"), MUTANTS, ids=lambda each: each.__name__)
def test_a_session_without_this_rule_is_caught(mutant: Callable[[], Any], machine: type[RuleBasedStateMachine]) -> None:
    with mutant(), pytest.raises(AssertionError):
        explore(machine, 600, hunting=True)
