"""Bodies on the wire: which ranges of which body are wanted, asked for, on their way, here. Pure: no files, and never more bytes than asked for.

`Wants` is the reader's half: it asks for ranges, at most four at once over all bodies, takes chunks in order, and goes on from where it was
after any break. `Gives` is the supplier's half: it has ranges read one at a time, and cuts them into chunks that leave when nothing else does
(docs/protocol.md §3, §14). Who owns the session reads, writes and checks the bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from graphs.values import Value
from protocol.errors import RemoteProtocolError
from protocol.events import BodyArrived, BodyBytes, BodyFailed, BodyWhole, Event, NeedBytes
from protocol.messages import BlobChunk, BlobNeed, BlobState, BodyStatus, Message, Ref, is_uint

__all__ = ["CHUNK", "RANGE", "RANGES", "Gives", "Wants"]

CHUNK: Final = 64 * 1024
"""Bytes of a chunk, but for the last one of a range."""
RANGE: Final = 256 * 1024
"""Bytes that are asked for at once."""
RANGES: Final = 4
"""Ranges that may be on their way at once."""
_MOST_ASKED: Final = 64
"""Ranges a peer may have open here: it asks anew after a break, and may give up what it asked for."""
PRESSURE: Final = 64 * 1024
"""Bytes in the socket's buffer above which no chunk leaves: with this one more there are never more than two chunks."""

_FAILURES: Final = {
    BodyStatus.REFUSED: "VALUE_TOO_LARGE",
    BodyStatus.GONE: "BLOB_GONE",
    BodyStatus.WITHHELD: "LABEL_WITHHELD",
}


class _Want:
    """A body on its way here. `asked`, `got`, `written` are offsets: asked for, received, and kept by the store."""

    __slots__ = ("asked", "crc", "ends", "got", "ref", "retried", "size", "written")

    def __init__(self, ref: Ref, size: int, have: int) -> None:
        self.ref = ref
        self.size = size
        self.asked = self.got = self.written = have
        self.ends: deque[int] = deque()
        """Where the ranges end that are on their way."""
        self.crc: int | None = None
        self.retried = False

    def again(self, have: int) -> None:
        self.asked = self.got = have
        self.ends.clear()


class Wants:
    """The bodies this side reads. What it has to say goes to `say`, what is to be done to `tell`."""

    __slots__ = ("_say", "_tell", "_wants")

    def __init__(self, say: Callable[[Message], None], tell: Callable[[Event], None]) -> None:
        self._wants: dict[Ref, _Want] = {}
        self._say = say
        self._tell = tell

    def __contains__(self, ref: Ref) -> bool:
        return ref in self._wants

    def connected(self) -> None:
        """The handshake is done: whatever was asked for before is asked for anew, from what is here."""
        for want in self._wants.values():
            want.again(want.got)
        self._ask()

    def disconnected(self) -> None:
        """Nothing is on its way any more."""
        for want in self._wants.values():
            want.again(want.got)

    def want(self, ref: Ref, size: int, have: int) -> None:
        """Ask for a body of which the store holds `have` bytes; nothing is asked for twice."""
        if ref in self._wants:
            return
        if len(ref) == 16 and size:
            have = min(have, size - 1)  # a handle's checksum comes with its last byte
        self._wants[ref] = _Want(ref, size, have)
        if have == size:
            self._tell(BodyWhole(ref, size, None))
        else:
            self._ask()

    def drop(self, ref: Ref) -> None:
        """Nobody wants that body any more."""
        want = self._wants.pop(ref, None)
        if want is not None:
            self._say(BlobState(ref, BodyStatus.ABORT, want.written))
            self._ask()

    def chunk(self, message: BlobChunk) -> None:
        """Bytes arrived. Raises RemoteProtocolError if they were not asked for."""
        ref, off, total, data, crc = message
        want = self._wants.get(ref)
        if want is None or off != want.got or not want.ends:
            return  # of a body that was given up, or asked for anew
        if not 0 < len(data) <= CHUNK or off + len(data) > want.ends[-1]:
            raise RemoteProtocolError("LIMIT_WINDOW", f"{len(data):,} bytes of a body, which nobody asked for")
        if total != want.size:
            self._fail(want, BodyStatus.MISMATCH)
            return
        want.got = off + len(data)
        want.crc = crc if crc is not None else want.crc
        self._tell(BodyBytes(ref, off, data, more=want.got < want.asked and want.got - want.written < 2 * RANGE))

    def written(self, ref: Ref, upto: int) -> None:
        """The store holds the first `upto` bytes."""
        want = self._wants.get(ref)
        if want is None:
            return
        want.written = upto
        while want.ends and want.ends[0] <= upto:
            want.ends.popleft()
        if upto == want.size:
            self._tell(BodyWhole(ref, want.size, want.crc))
        self._ask()

    def verified(self, ref: Ref, ok: bool) -> None:
        """The store looked at the whole body: it is what its name says, or it was deleted and is asked for once more."""
        want = self._wants.get(ref)
        if want is None:
            return
        if not ok:
            self._fail(want, BodyStatus.MISMATCH)
            return
        del self._wants[ref]
        self._say(BlobState(ref, BodyStatus.STORED, want.size))
        self._tell(BodyArrived(ref))

    def refused(self, message: BlobState) -> None:
        """The supplier does not give a body."""
        failure = _FAILURES.get(BodyStatus(message.status))
        if failure is not None and self._wants.pop(message.ref, None) is not None:
            self._tell(BodyFailed(message.ref, failure))
            self._ask()

    def _fail(self, want: _Want, status: BodyStatus) -> None:
        self._say(BlobState(want.ref, status, 0))
        if want.retried:
            del self._wants[want.ref]
            self._tell(BodyFailed(want.ref, "BLOB_GONE"))
        else:
            want.retried = True
            want.crc = None
            want.written = 0
            want.again(0)
        self._ask()

    def _ask(self) -> None:
        """Ask for more, of each body in turn: a small one does not wait for a large one to be over."""
        open_ranges = sum(len(want.ends) for want in self._wants.values())
        if open_ranges > RANGES // 2:
            return  # when half of it is consumed: fewer messages, and the way is never empty
        ranges: list[Value] = []
        while open_ranges < RANGES:
            behind = [want for want in self._wants.values() if want.asked < want.size]
            if not behind:
                break
            want = min(behind, key=lambda each: len(each.ends))
            length = min(RANGE, want.size - want.asked)
            ranges.append([want.ref, want.asked, length])
            want.asked += length
            want.ends.append(want.asked)
            open_ranges += 1
        if ranges:
            self._say(BlobNeed(ranges))


class Gives:
    """The bodies this side supplies. `clear` is the gate: it is asked for every chunk of a labelled body."""

    __slots__ = ("_asked", "_clear", "_reading", "_say", "_tell", "ready")

    def __init__(
        self, clear: Callable[[Collection[str]], bool], say: Callable[[Message], None], tell: Callable[[Event], None]
    ) -> None:
        self._clear = clear
        self._say = say
        self._tell = tell
        self._asked: list[
            tuple[Ref, int, int]
        ] = []  # these two are short, and a deque is large: there are thousands of connections
        self._reading: tuple[Ref, int, int] | None = None
        self.ready: list[tuple[BlobChunk, tuple[str, ...]]] = []
        """The chunks that may go."""

    def disconnected(self) -> None:
        """Nobody asks any more."""
        self._asked.clear()
        self.ready.clear()
        self._reading = None

    def need(self, ranges: Sequence[Value]) -> None:
        """The peer asks for these ranges. Raises RemoteProtocolError if they are none, or too many."""
        if len(ranges) + len(self._asked) > _MOST_ASKED:
            raise RemoteProtocolError("LIMIT_WINDOW", f"more than {_MOST_ASKED} ranges of bodies are asked for")
        for each in ranges:
            self._asked.append(_range(each))
        self._read()

    def supply(self, ref: Ref, off: int, total: int, data: bytes | None, labels: Sequence[str], crc: int | None) -> None:
        """What `NeedBytes` asked for: the bytes from `off` on of a body of `total` bytes; None if the store does not have them.

        `labels` and `crc` are those of a handle's body.
        """
        asked = self._reading
        if asked is None or asked[:2] != (ref, off):
            return  # the connection it was asked over is gone
        self._reading = None
        if not self._passes(ref, labels):
            self._refuse(ref, BodyStatus.WITHHELD)
        elif data is None or not 0 < len(data) <= asked[2]:
            self._refuse(ref, BodyStatus.WITHHELD if len(ref) == 16 else BodyStatus.GONE)  # of handles not even that is told
        else:
            view: Any = memoryview(data)  # a slice of it is no copy
            for start in range(0, len(data), CHUNK):
                piece = view[start : start + CHUNK]
                last = off + start + len(piece) == total
                self.ready.append((BlobChunk(ref, off + start, total, piece, crc if last else None), tuple(labels)))
        self._read()

    def stopped(self, ref: Ref) -> None:
        """The peer does not want that body any more, or wants it anew."""
        self._asked = [each for each in self._asked if each[0] != ref]
        self.ready = [each for each in self.ready if each[0].ref != ref]
        if self._reading is not None and self._reading[0] == ref:
            self._reading = None
        self._read()

    def next(self, buffered: int) -> BlobChunk | None:
        """The chunk to send now, if the socket has room: what is urgent then waits for at most two chunks."""
        if not self.ready or buffered > PRESSURE:
            return None
        chunk, labels = self.ready.pop(0)
        self._read()
        if not self._passes(chunk.ref, labels):  # what a peer is cleared for may have changed since the range was read
            self._refuse(chunk.ref, BodyStatus.WITHHELD)
            return None
        return chunk

    def _passes(self, ref: Ref, labels: Collection[str]) -> bool:
        return not labels or (len(ref) == 16 and self._clear(labels))

    def _refuse(self, ref: Ref, status: BodyStatus) -> None:
        self._say(BlobState(ref, status, 0))
        self.stopped(ref)

    def _read(self) -> None:
        if self._reading is None and self._asked and len(self.ready) < RANGE // CHUNK:
            self._reading = self._asked.pop(0)
            self._tell(NeedBytes(*self._reading))


def _range(value: Value) -> tuple[Ref, int, int]:
    fits = type(value) is list and len(value) >= 3 and type(value[0]) is bytes and len(value[0]) in (16, 32)
    if not fits or not (is_uint(value[1]) and is_uint(value[2]) and 0 < value[2] <= RANGE):
        raise RemoteProtocolError("PROTOCOL_DECODE", "BLOB_NEED: a range is [ref, from, length], of at most 256 KiB")
    return value[0], value[1], value[2]
