"""The outbox: what waits to be sent on one connection, and the next packet by priority.

Control first, then acknowledgements, records of all logs in turn, then tokens and states at their timer. A packet stays small, so that what is
urgent never waits behind much (docs/protocol.md §3, §15).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from protocol import codec
from protocol.codec import Limits
from protocol.errors import LocalProtocolError
from protocol.log import InLog, OutLog
from protocol.messages import Ack, Log, Message, RunId, StateShown
from protocol.streams import Stream

__all__ = ["DELTA_MS", "Outbox"]

DELTA_MS: Final = 10
"""Tokens leave at once if the last ones left so long ago, else when that time is over."""
DELTA_BYTES: Final = 32 * 1024
"""So much pending does not wait for the timer."""
PRESSURE: Final = 64 * 1024
"""Bytes in the socket's buffer above which tokens wait and merge."""
TARGET: Final = 60 * 1024
"""A packet takes no further record beyond this; the largest record still fits into the smallest packet limit."""
FAIR: Final = 64
"""Records of one log before the next log's turn."""
_LAST_TOKENS: Final = TARGET // 2
"""The tokens before the record that ends their attempt leave room for it."""
_ACKS: Final = 512


class _Packet:
    __slots__ = ("limit", "parts", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.parts: list[bytes] = []
        self.size = 0

    def put(self, part: bytes) -> None:
        self.parts.append(part)
        self.size += len(part)

    def fits(self, size: int) -> bool:
        return self.size + size <= self.limit


class Outbox:
    """Of one connection: made when it begins, thrown away when it ends."""

    __slots__ = (
        "_acks",
        "_aliases",
        "_answers",
        "_bytes",
        "_control",
        "_flushed",
        "_ready",
        "_states",
        "_volatile",
        "answering",
        "given",
        "limits",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._control: deque[bytes] = deque()
        self._answers: deque[bytes] = deque()
        self.answering = 0
        """Bytes of answers that wait for the peer to read."""
        self._acks: dict[InLog, None] = {}
        self._ready: dict[OutLog, None] = {}
        self._aliases: dict[int, OutLog] = {}
        self._volatile: dict[Stream, OutLog] = {}
        self._states: dict[tuple[RunId, str], tuple[OutLog, StateShown]] = {}
        self.given = 0
        """The last alias given away."""
        self._bytes = 0
        self._flushed = -DELTA_MS

    # -- what is to be sent

    def control(self, message: Message) -> None:
        """Send this before anything else. Raises LocalProtocolError if it cannot be sent at all."""
        envelope = codec.encode(message)
        if len(envelope) > self.limits.packet:
            raise LocalProtocolError("LIMIT_PACKET", f"a {type(message).__name__} of {len(envelope):,} bytes fits into no packet")
        self._control.append(envelope)

    def answer(self, message: Message) -> None:
        """Send this, which the peer provoked: after control, and not at all once the connection is to end."""
        envelope = codec.encode(message)
        self._answers.append(envelope)
        self.answering += len(envelope)

    def acknowledge(self, log: InLog) -> None:
        """Tell the peer how much of its log is durable here."""
        if log.alias:
            self._acks[log] = None

    def records(self, log: OutLog) -> None:
        """The log may have records to send."""
        self._ready[log] = None

    def tokens(self, log: OutLog, stream: Stream, size: int) -> None:
        """The stream has `size` more bytes to send."""
        self._volatile[stream] = log
        self._bytes += size

    def state(self, log: OutLog, path: str, at: int, state: int, t: int) -> None:
        """Show this state; a later one of the same node replaces it."""
        self._states[log.run, path] = log, StateShown(0, path, at, state, t)

    def withdraw(self, log: OutLog) -> None:
        """The peer does not take this log now: it gets a new LOG when it is offered again."""
        self._aliases.pop(log.alias, None)
        self._ready.pop(log, None)
        log.disconnected()

    def owner(self, alias: int) -> OutLog | None:
        """The log this side gave that alias."""
        return self._aliases.get(alias)

    def fell_behind(self) -> None:
        """The socket was full for a while: what waited may go as fewer tokens."""
        for stream in self._volatile:
            stream.behind = True

    @property
    def presses(self) -> bool:
        """Whether something waits that is neither an acknowledgement nor volatile."""
        return bool(self._control or self._answers or self._ready)

    @property
    def acknowledges(self) -> bool:
        """Whether an acknowledgement waits."""
        return bool(self._acks)

    # -- packets

    def poll(self, now: int, buffered: int, *, closing: bool) -> bytes | None:
        """The next packet, or None. `closing`: only control leaves any more."""
        packet = _Packet(self.limits.packet)
        while self._control and packet.fits(len(self._control[0])):
            packet.put(self._control.popleft())
        if not self._control and not closing:
            while self._answers and packet.fits(len(self._answers[0])):
                self.answering -= len(self._answers[0])
                packet.put(self._answers.popleft())
            if self._answers:
                return b"".join(packet.parts)
            self._put_acks(packet)
            self._put_records(packet, buffered > PRESSURE)
            self._put_volatile(packet, now, buffered > PRESSURE)
        return b"".join(packet.parts) if packet.parts else None

    def deadline(self) -> int | None:
        """When tokens or states wait to leave."""
        if self._states or any(stream.start <= log.sent for stream, log in self._volatile.items()):
            return self._flushed + (DELTA_MS if self._bytes < DELTA_BYTES else 0)
        return None

    def _put_acks(self, packet: _Packet) -> None:
        logs = list(self._acks)[:_ACKS]
        if logs:
            packet.put(codec.encode(Ack(tuple((log.alias, log.state()) for log in logs))))
            for log in logs:
                del self._acks[log]

    def _put_records(self, packet: _Packet, pressed: bool) -> None:
        while self._ready and packet.size < TARGET:
            log = next(iter(self._ready))
            del self._ready[log]
            turn = FAIR
            while turn and packet.size < TARGET and log.sendable(self.limits):
                turn -= 1
                seq = log.sent + 1
                alias = self._alias(packet, log)
                ending = log.streams.closing.get(seq)
                if ending is not None and not pressed:
                    self._put_tokens(packet, ending, log, _LAST_TOKENS)
                    if ending.pending:
                        self._ready[log] = None
                        return
                log.streams.closing.pop(seq, None)
                packet.put(codec.encode_entry(alias, seq, log.next()))
            if log.sendable(self.limits):
                self._ready[log] = None

    def _put_volatile(self, packet: _Packet, now: int, pressed: bool) -> None:
        due = self.deadline()
        if due is None or now < due:
            return
        self._flushed = now
        if pressed:
            for stream in self._volatile:
                stream.behind = True
            return
        while self._states and packet.size < TARGET:
            log, state = self._states.pop(next(iter(self._states)))
            self._alias(packet, log)
            packet.put(codec.encode(state._replace(al=log.alias)))
        for stream, log in list(self._volatile.items()):
            if log.streams.by_start.get(stream.start) is not stream:
                del self._volatile[stream]
            elif stream.start <= log.sent:
                self._put_tokens(packet, stream, log, TARGET)
                if not stream.pending:
                    del self._volatile[stream]
        self._bytes = sum(stream.pending for stream in self._volatile)

    def _put_tokens(self, packet: _Packet, stream: Stream, log: OutLog, limit: int) -> None:
        if stream.pending and packet.size < limit:
            self._alias(packet, log)
            for delta in stream.take(log.alias, limit - packet.size):
                packet.put(codec.encode(delta))

    def _alias(self, packet: _Packet, log: OutLog) -> bytes:
        if not log.alias:
            self.given += 1
            log.alias = self.given
            self._aliases[log.alias] = log
            packet.put(codec.encode(Log(log.alias, log.run, log.writer, log.sent + 1)))
        return codec.uint(log.alias)
