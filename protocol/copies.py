"""Copies: logs that two stores bring up to date without either executing them (docs/protocol.md §11). Pure.

DIGEST finds where the stores differ; what follows is LOG, records and ACK as for live runs, behind them in every packet. A log may be anybody's:
the records are kept byte for byte, and mean nothing here. All of it ends with the connection: whoever wants the rest begins anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from graphs.records import Encoded, Submit
from protocol.codec import MAX_RECORD
from protocol.copied_log import IN_FLIGHT, InCopy, OutCopy
from protocol.digest import PAGE, Held, Key, Line, Verdict, message, pages, read, weigh
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.events import Copied, CopyRefused, Differs, DigestCame, NeedBodies, NeedCopies, Synced
from protocol.gate import travels, travels_whole, why_withheld
from protocol.handshake import Status
from protocol.messages import Digest, Entry, Fault, Log, RunId, StoreId
from protocol.outbox import MAX_ANSWERS
from protocol.payload import reference, references
from protocol.store import Copy

if TYPE_CHECKING:
    from protocol.state import Connection, State

__all__ = ["Copies"]

_NOT_KEPT: Final = (
    "the receiving side could not write all of it down, perhaps for want of room on its disk; the next sync tries again"
)
AT_ONCE: Final = 64
"""Logs that are given at the same time."""


class Copies:
    """The copying of one session."""

    __slots__ = ("_aliases", "_answers", "_asked", "_covered", "_gives", "_held", "_named", "_pages", "_req", "_state", "_takes")

    def __init__(self, state: State) -> None:
        self._state = state
        self._req = 0
        self.disconnected()

    def disconnected(self) -> None:
        """Forget what belongs to a connection."""
        self._gives: dict[Key, OutCopy] = {}
        """The first `AT_ONCE` of them flow."""
        self._takes: dict[Key, InCopy] = {}
        self._aliases: dict[int, InCopy] = {}
        self._pages: deque[Digest] | None = None
        """What is still to be said of the digest that this side began; None if it began none."""
        self._answers = 0
        """Answers of the peer that were told and are not answered here yet."""
        self._named: dict[Key, Line] = {}
        self._asked = False  # whether a page of the peer waits for its answer
        self._covered: Key | None = None
        """Up to where the peer's digest has come."""
        self._held = 0
        """Bytes of records that came and are not durable."""

    # -- the side that begins

    @property
    def is_up(self) -> bool:
        """Whether there is a connection to compare over."""
        connection = self._state.connection
        return connection is not None and connection.greeted

    def begin(self, lines: Sequence[Line], *, look: bool = False) -> int:
        """Begin to compare: these are all logs that this side would share. Returns the digest's number; `Synced` ends it. With `look` nothing
        moves, `Differs` says what would.

        Raises LocalProtocolError without an open connection, and while another digest is under way.
        """
        connection = self._state.connection
        if connection is None or not self.is_up or self._pages is not None:
            raise LocalProtocolError("PROTOCOL_ORDER", "a digest begins on an open connection, one at a time")
        self._req += 1
        self._pages = deque(pages(lines, self._req, look=look))
        self._next_page(connection)
        return self._req

    def _next_page(self, connection: Connection) -> None:
        """A page goes when the one before it is answered: so the peer's answers never pile up."""
        assert self._pages is not None
        page = self._pages[0]
        self._named = {line.key: line for line in read(page)}
        connection.outbox.control(page)

    # -- both

    def digest(self, connection: Connection, _now: int, came: Digest) -> None:
        """A page or an answer of the peer. Raises RemoteProtocolError."""
        lines = read(came)
        if came.answer:
            self._answers += self._pages is not None and came.req == self._req
            self._state.events.append(DigestCame(came.req, True, tuple(lines), None, None, came.more, bool(came.look)))
            return
        if self._asked or connection.outbox.controlling > MAX_ANSWERS:
            raise RemoteProtocolError("LIMIT_CONTROL", "a page of a digest, before the answer to the one before it was read")
        after, upto, self._asked = self._covered, lines[-1].key if came.more else None, True
        if after is not None and lines and lines[0].key <= after:
            raise RemoteProtocolError("PROTOCOL_DECODE", "DIGEST: its pages are not in order")
        self._covered = upto
        self._state.events.append(DigestCame(came.req, False, tuple(lines), after, upto, came.more, bool(came.look)))

    def answer(self, came: DigestCame, held: Sequence[Held]) -> None:
        """What this side holds, of the logs named and, for a page, of the further ones of its range."""
        if (connection := self._state.connection) is None:
            return
        self._asked, live = self._asked and came.answer, self._state.runs
        here = {each.key: each._replace(gives=False, takes=False) if each.run in live else each for each in held}
        if came.answer:
            self._heard_answer(connection, came, here)
            return
        said: list[Line] = []
        for line in came.lines:
            if line.run in live:
                continue
            verdict, known = weigh(line, here.get(line.key), self._state.store), here.get(line.key)
            mine = Line(line.run, line.writer, known.last if known else 0, known.chk if known else 0)
            if verdict is Verdict.GIVE and known is not None:
                if known.gives and (came.look or self._give(connection, line, known)):
                    said.append(mine)
            elif verdict is Verdict.ASK and (known is None or known.takes):
                if not came.look:
                    self._take(mine, line.last)
                said.append(mine)
            elif verdict is Verdict.DIVERGED:
                self._diverged(line)
                said.append(mine._replace(status=Status.DIVERGED))
        named = {line.key for line in came.lines}
        more = [each for each in here.values() if each.key not in named and each.gives]
        said += [Line(each.run, each.writer, each.last, each.chk) for each in more]
        for start in range(0, max(len(said), 1), PAGE):
            part = said[start : start + PAGE]
            connection.outbox.control(message(came.req, part, answer=True, more=start + PAGE < len(said), look=came.look))

    def _heard_answer(self, connection: Connection, came: DigestCame, here: Mapping[Key, Held]) -> None:
        ours = self._pages is not None and came.req == self._req
        asks: list[Line] = []
        for line in came.lines:
            asked, known = not (ours or came.look), here.get(line.key)
            live = line.run in self._state.runs  # the session itself brings it
            verdict = Verdict.SAME if live else weigh(line, known, self._state.store)
            if came.look:
                if ours and verdict is not Verdict.SAME:
                    held_ = known.last if known is not None else 0
                    self._state.events.append(Differs(line.run, line.writer, held_, line.last, verdict is Verdict.DIVERGED))
            elif verdict is Verdict.GIVE and known is not None:
                self._give(connection, line, known)
            elif verdict is Verdict.DIVERGED:
                self._diverged(line)
            elif verdict is Verdict.ASK and ours and (known is None or known.takes):
                mine = self._named.get(line.key)
                if mine is None:
                    mine = Line(line.run, line.writer, known.last if known else 0, known.chk if known else 0)
                    asks.append(mine)
                self._take(mine, line.last)
            if asked and line.key not in self._gives:  # it was offered, is not given after all, and waited for
                code = "RUN_DIVERGED" if verdict is Verdict.DIVERGED else "RUN_UNKNOWN"
                connection.outbox.answer(Fault(code, "this copy of it is not given", False, [line.run, line.writer]))
        if asks:
            connection.outbox.control(message(came.req, asks, answer=True, more=False))
        if not ours or self._pages is None:
            return
        self._answers -= 1
        if not came.more:
            self._pages.popleft()
            if self._pages:
                self._next_page(connection)
        self._end_if_done()

    def _diverged(self, line: Line) -> None:
        text = "the two copies of this log contradict each other"
        self._state.events.append(CopyRefused(line.run, line.writer, "RUN_DIVERGED", text, local=True))

    def _end_if_done(self) -> None:
        """The digest is over when each page is answered, all that was asked for is here, and all that was given is there."""
        if self._pages is None or self._pages or self._answers or self._gives:
            return
        if any(each.durable < each.upto for each in self._takes.values()):
            return
        self._pages = None
        self._named = {}
        self._state.events.append(Synced(self._req))

    # -- giving

    def _give(self, connection: Connection, line: Line, held: Held) -> bool:
        """Send what the peer lacks, if it may have it."""
        if not held.gives:
            return False
        if held.labels and not self._state.clear(held.labels):
            self._state.events.append(CopyRefused(held.run, held.writer, "LABEL_WITHHELD", why_withheld(held.labels), local=True))
            return False
        if (out := self._gives.get(held.key)) is not None:  # of an earlier digest, and still on its way: it may have grown
            out.grown(held)
            return True
        out = self._gives[held.key] = OutCopy(held, line.last, self._gives)
        if len(self._gives) <= AT_ONCE:
            self._flow(connection, out)
        return True

    def _given(self, connection: Connection, key: Key) -> None:
        """A log is given, or will not be: the next one begins to flow."""
        if self._gives.pop(key, None) is not None and len(self._gives) >= AT_ONCE:
            self._flow(connection, list(self._gives.values())[AT_ONCE - 1])
        self._end_if_done()

    def _flow(self, connection: Connection, out: OutCopy) -> None:
        if (missing := out.lacks()) is not None:
            self._state.events.append(NeedCopies(out.run, out.writer, *missing))
        connection.outbox.copies(out)

    def supply(self, run: RunId, writer: StoreId, after: int, records: Sequence[Encoded]) -> None:
        """Answers `NeedCopies`. A log with a record that no peer could take is given up to there and no further; without records it is damaged."""
        connection, out = self._state.connection, self._gives.get((run, writer))
        if connection is None or out is None:
            return
        if not records or any(not travels(record) for record in records):
            connection.outbox.withdraw(out)
            code, text = "INTERNAL", "this copy of it cannot be read"
            if records:
                code, text = "VALUE_TOO_LARGE", "it has a value that is too large to travel inside its record"
            connection.outbox.control(Fault(code, text, False, [run, writer]))
            self._state.events.append(CopyRefused(run, writer, code, text, local=True))
            self._given(connection, (run, writer))
        elif out.supply(after, records):
            self._flow(connection, out)

    def labels_of(self, run: RunId, writer: StoreId) -> tuple[str, ...]:
        """The labels of the values in a log that is being given."""
        out = self._gives.get((run, writer))
        return () if out is None else out.labels

    def acknowledged(self, connection: Connection, out: OutCopy) -> None:
        """The peer holds more of a log."""
        if out.acked == out.durable:
            self._given(connection, (out.run, out.writer))
        else:
            self._flow(connection, out)
        for each in islice(self._gives.values(), AT_ONCE):  # there is room again
            connection.outbox.copies(each)

    def refused(self, connection: Connection, out: OutCopy, fault: Fault) -> None:
        """The peer does not take a log."""
        connection.outbox.withdraw(out)
        self._state.events.append(CopyRefused(out.run, out.writer, fault.code, fault.text, local=False))
        self._given(connection, (out.run, out.writer))

    # -- taking

    def _take(self, mine: Line, upto: int) -> None:
        copy = self._takes.get(mine.key)
        if copy is None:
            copy = self._takes[mine.key] = InCopy(mine)
        copy.upto = max(copy.upto, upto)

    def log(self, connection: Connection, came: Log) -> bool:
        """A log is announced; False if it is none that is being copied. Raises RemoteProtocolError."""
        copy = self._takes.get((came.run, came.writer))
        carried = came.run in self._state.runs
        if copy is None and not carried and (mine := self._named.get((came.run, came.writer))) is not None:
            self._take(mine, 0)  # its records came before the answer that says how many they are
            copy = self._takes[mine.key]
        if copy is None:
            return False
        if came.next != copy.last + 1:
            raise RemoteProtocolError("GAP", f"records from {came.next} were announced, {copy.last} are here", about=came.al)
        if copy.last == 0 and (refusal := self._state.config.room(came.run)) is not None:
            code, text, retry_ms = refusal
            self._drop(copy, code, text)
            connection.outbox.answer(Fault(code, text, False, came.al, retry_ms))
            return True
        copy.alias, copy.about = came.al, came.about
        self._aliases[came.al] = copy
        return True

    def entry(self, connection: Connection, came: Entry) -> bool:
        """A record; False if it is of no log that is being copied. Raises RemoteProtocolError."""
        copy = self._aliases.get(came.al)
        if copy is None:
            return False
        if came.seq != copy.last + 1:
            raise RemoteProtocolError("GAP", f"record {came.seq} came after record {copy.last}", about=came.al)
        state, encoded = self._state, came.encoded
        accepts = state.config.accepts
        if accepts is not None and (full := accepts(copy.run, encoded.type, len(encoded.tail))) is not None:
            self._drop(copy, "QUOTA", full)
            connection.outbox.answer(Fault("QUOTA", full, False, came.al))
            return True
        chk = copy.accept(encoded, state.config.limits)
        self._held += len(encoded.tail)
        if self._held > IN_FLIGHT + MAX_RECORD:
            raise RemoteProtocolError("LIMIT_WINDOW", f"more than {IN_FLIGHT:,} bytes of copies without an ACK", about=came.al)
        copy.waiting.append((Copy(copy.run, copy.writer, came.seq, encoded, chk, copy.about), came.record))
        if len(copy.waiting) == 1:
            self._keep(copy)
        return True

    def here(self, run: RunId, writer: StoreId, seq: int) -> None:
        """Answers `NeedBodies`: they are here, or cannot be had."""
        copy = self._takes.get((run, writer))
        if copy is not None and copy.waiting and copy.waiting[0][0].seq == seq:
            effect, _ = copy.waiting.popleft()
            self._state.take_copy(effect)
            self._keep(copy)

    def _keep(self, copy: InCopy) -> None:
        """Keep what waits, up to a record that refers to bodies: those are asked for first."""
        while copy.waiting:
            effect, record = copy.waiting[0]
            document = effect.about.get("document") if effect.about is not None and isinstance(record, Submit) else None
            named = () if travels_whole(effect.record) else tuple(references(record))
            graph = reference(document)
            if named or graph is not None:
                self._state.events.append(NeedBodies(copy.run, copy.writer, effect.seq, named, graph, effect.about))
                return
            copy.waiting.popleft()
            self._state.take_copy(effect)

    def kept(self, effect: Copy) -> None:
        """A copied record is durable."""
        copy, state = self._takes.get((effect.run, effect.writer)), self._state
        state.events.append(Copied(effect.run, effect.writer, effect.seq, effect.record, effect.about))
        if copy is None or effect.seq != copy.durable + 1:
            return  # of a connection that is over
        self._held -= len(effect.record.tail)
        copy.kept(effect.seq, len(effect.record.tail))
        if state.connection is not None:
            state.connection.outbox.acknowledge(copy)
        self._end_if_done()

    def lost(self, key: Key, code: str, text: str) -> bool:
        """The peer gives no more of a log that it was about to give; False if there is no such log."""
        copy = self._takes.get(key)
        if copy is None:
            return False
        self._drop(copy, code, text)
        self._end_if_done()
        return True

    def failed(self, key: Key, why: str) -> None:
        """What came of a log cannot be kept here, for this reason: the peer hears that, not why, and gives no more of it."""
        self._refuse(key, "INTERNAL", _NOT_KEPT, why, unkept=True)

    def full(self, key: Key, why: str) -> None:
        """There is no room for a value that a log refers to, or for its graph: the peer hears why, and gives no more in this digest."""
        self._refuse(key, "QUOTA", why, why)

    def _refuse(self, key: Key, code: str, told: str, why: str, *, unkept: bool = False) -> None:
        copy, connection = self._takes.get(key), self._state.connection
        if copy is None or connection is None:
            return
        connection.outbox.answer(Fault(code, told, False, copy.alias))
        self._drop(copy, code, why, unkept=unkept)
        self._end_if_done()

    def _drop(self, copy: InCopy, code: str, text: str, *, unkept: bool = False) -> None:
        self._held -= sum(len(effect.record.tail) for effect, _ in copy.waiting)
        self._takes.pop(copy.key, None)
        self._named.pop(copy.key, None)
        self._aliases.pop(copy.alias, None)
        self._state.events.append(CopyRefused(copy.run, copy.writer, code, text, local=True, unkept=unkept))
