from __future__ import annotations

import asyncio
from typing import Any

from edge.ferrying.outgoing import Outgoing
from engines import in_a_loop
from graphs.errors import JournalError, LinkCondition
from graphs.records import Close, Input, State

VALUE = Input("a", State.COMPLETED, 1)


class Link:
    """Takes what is said. `refuse` is raised at the next record."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.refused: list[Any] = []
        self.refuse: Exception | None = None
        self.open = True
        self.outgoing = Outgoing(self.write, lambda *what: self.refused.append(what), lambda: self.open)

    def write(self, record: Any, labels: Any) -> None:
        if self.refuse is not None:
            error, self.refuse = self.refuse, None
            raise error
        self.written.append((record, labels))


@in_a_loop
async def test_what_is_said_together_is_written_together_and_soon() -> None:
    link = Link()
    link.outgoing.append(VALUE, ("pii",), "a")
    link.outgoing.append(Close(None))
    assert link.written == []
    while not link.written:  # noqa: ASYNC110 - a few turns of the loop, nobody tells
        await asyncio.sleep(0)
    assert link.written == [(VALUE, ("pii",)), (Close(None), ())]
    assert link.outgoing.sent["a"] > 0


@in_a_loop
async def test_what_is_refused_is_told_and_the_rest_goes_on() -> None:
    link = Link()
    condition = link.refuse = LinkCondition("LABEL_WITHHELD", "not cleared")
    link.outgoing.append(VALUE, (), "a")
    link.outgoing.append(Close(None))
    link.outgoing.flush()
    assert link.refused == [(VALUE, "a", condition)]
    assert (link.written, link.outgoing.sent) == ([(Close(None), ())], {})


@in_a_loop
async def test_nothing_is_written_where_it_may_not_or_cannot_be() -> None:
    for broken in (False, True):
        link = Link()
        link.open = broken
        link.refuse = JournalError("full")
        link.outgoing.append(VALUE, (), "a")
        link.outgoing.append(Close(None))
        link.outgoing.flush()
        assert (link.written, link.refused) == ([], [])
