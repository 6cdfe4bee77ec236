"""A comparison ends when the session says so, or the connection, or the worker cannot do it; with real stores: tests/e2e/test_sync.py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from edge.ferrying.comparing import Comparison
from graphs.errors import JournalError, LinkCondition, WorkerUnreachable
from protocol.events import Acked, Closed, Differs, Event, Faulted, Synced
from protocol.messages import NUMBERS, Digest

RUN, STORE = bytes(16), bytes(8)
MORE = Differs(RUN, STORE, 1, 2, diverged=False)


def told(events: Sequence[Event]) -> list[Event]:
    async def main() -> list[Event]:
        comparison = Comparison("ws://w")
        for event in events:
            comparison.hear(event)
        return await comparison.done()

    return asyncio.run(asyncio.wait_for(main(), 120))


def test_what_is_told_of_it_until_it_is_over() -> None:
    assert told([MORE, Acked(RUN, 3), MORE, Synced(1)]) == [MORE, MORE]


def test_a_lost_connection_ends_it() -> None:
    with pytest.raises(WorkerUnreachable, match="was lost"):
        told([MORE, Closed(1006, "")])


def test_an_older_worker_is_named() -> None:
    fault = Faulted("PROTOCOL_TYPE", "unknown", local=False, about=NUMBERS[Digest])
    with pytest.raises(LinkCondition, match="cannot sync") as raised:
        told([fault, Synced(1)])
    assert not raised.value.retryable


def test_a_journal_that_cannot_be_written_ends_it() -> None:
    with pytest.raises(JournalError, match="no room"):
        told([MORE, Faulted("INTERNAL", "no room", local=True)])
