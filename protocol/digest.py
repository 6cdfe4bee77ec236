"""Digests: what two stores say to find the logs in which they differ (docs/protocol.md §11). Pure.

One side, the one that begins, goes through all its logs in pages; the other answers each page with what it holds otherwise in that range. A line
is a statement, "I hold this log up to `last`", and where the other side holds more, the request for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

from graphs.values import Value
from protocol.errors import RemoteProtocolError
from protocol.handshake import Status
from protocol.messages import Digest, RunId, StoreId, is_uint

__all__ = ["PAGE", "Held", "Key", "Line", "Verdict", "message", "pages", "read", "weigh"]

PAGE: Final = 1024
"""Logs of one page."""

Key: TypeAlias = tuple[RunId, StoreId]
"""A log: whose run, which writer."""


class Line(NamedTuple):
    """What one side says of a log: it holds it durably up to `last`, where its checksum is `chk`."""

    run: RunId
    writer: StoreId
    last: int
    chk: int
    status: Status = Status.OK

    @property
    def key(self) -> Key:
        """Which log."""
        return self.run, self.writer


class Held(NamedTuple):
    """What this side holds of a log. `at`: its checksum where the peer's copy ends, if it goes that far. `gives`, `takes`: whether the peer
    may have its records, and whether this side wants more of them. `labels`: sensitivity of what is in them. `about` goes along with it to a
    store that has nothing of it yet: `name` of the run, `document`, a reference to its graph.
    """

    run: RunId
    writer: StoreId
    last: int = 0
    chk: int = 0
    at: int | None = None
    gives: bool = True
    takes: bool = True
    labels: tuple[str, ...] = ()
    about: Mapping[str, Value] | None = None

    @property
    def key(self) -> Key:
        """Which log."""
        return self.run, self.writer


class Verdict(Enum):
    """What follows from a line of the peer."""

    SAME = "both hold the same"
    GIVE = "the peer lacks the rest"
    ASK = "the peer holds more"
    DIVERGED = "the copies contradict each other"


def weigh(said: Line, held: Held | None, own: StoreId) -> Verdict:
    """Compare what the peer says of a log with what is here; `own` is this side's store, of whose logs nobody can have more than it has."""
    have = held.last if held is not None else 0
    if said.status is Status.DIVERGED:
        return Verdict.DIVERGED
    if held is not None and not (held.last or held.gives or held.takes):
        return Verdict.SAME  # nothing is said of it to this peer, for now: the run that it is a part of may still be on its way
    if said.last > have:
        return Verdict.DIVERGED if said.writer == own else Verdict.ASK
    if held is not None and said.last and held.at != said.chk:
        return Verdict.DIVERGED
    return Verdict.SAME if said.last == have else Verdict.GIVE


def pages(lines: Sequence[Line], req: int, *, look: bool = False) -> Iterator[Digest]:
    """The pages that say all of these, in order; one without lines if there are none, since the answer to it names what the peer has."""
    ordered = sorted(lines)
    for start in range(0, max(len(ordered), 1), PAGE):
        yield message(req, ordered[start : start + PAGE], answer=False, more=start + PAGE < len(ordered), look=look)


def message(req: int, lines: Sequence[Line], *, answer: bool, more: bool, look: bool = False) -> Digest:
    """These lines as a message."""
    return Digest(req, answer, [_to_wire(line) for line in lines], more, look or None)


def read(digest: Digest) -> list[Line]:
    """The lines of a message. Raises RemoteProtocolError if they are none, too many, or a page's are not in order."""
    if len(digest.logs) > PAGE:
        raise RemoteProtocolError("LIMIT_ITEMS", f"DIGEST: at most {PAGE:,} logs a page")
    lines = [_from_wire(each) for each in digest.logs]
    if not digest.answer and any(one.key >= next_.key for one, next_ in pairwise(lines)):
        raise RemoteProtocolError("PROTOCOL_DECODE", "DIGEST: a page is sorted by run and writer, and names no log twice")
    if digest.more and not digest.answer and not lines:
        raise RemoteProtocolError("PROTOCOL_DECODE", "DIGEST: a page that others follow names a log")
    return lines


def _to_wire(line: Line) -> list[Value]:
    fields: list[Value] = [line.run, line.writer, line.last, line.chk]
    return fields if line.status is Status.OK else [*fields, int(line.status)]


def _from_wire(value: Any) -> Line:
    try:
        run, writer, last, chk, *rest = value
        fits = type(run) is bytes and len(run) == 16 and type(writer) is bytes and len(writer) == 8
        if fits and is_uint(last) and is_uint(chk):
            return Line(run, writer, last, chk, Status(rest[0] if rest else 0))
    except (TypeError, ValueError):
        pass
    raise RemoteProtocolError("PROTOCOL_DECODE", "DIGEST: a log is [run, writer, last, chk, status]")
