"""The outbox: what waits to be sent on one connection, and the next packet by priority.

Control first, then acknowledgements, records of all logs in turn, then tokens and states at their timer. A packet stays small, so that what is
urgent never waits behind much (docs/protocol.md §3, §15).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from protocol import codec
from protocol.codec import Limits
from protocol.copied_log import InCopy
from protocol.errors import LocalProtocolError
from protocol.log import InLog, OutLog
from protocol.messages import Log, Message, RunId, StateShown
from protocol.streams import Stream

__all__ = ["ACKS", "DELTA_MS", "MAX_ANSWERS", "NOTHING", "NOW", "VOLATILE", "Outbox"]

NOTHING, VOLATILE, ACKS, NOW = range(4)
"""What may wait to be sent. An acknowledgement alone may wait a little: what it allows often leaves with it."""
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
MAX_ANSWERS: Final = 256 * 1024
"""Bytes of answers that may wait for a peer that goes on asking and does not read."""
_LAST_TOKENS: Final = TARGET // 2
"""The tokens before the record that ends their attempt leave room for it."""
_ACKS: Final = 512


class Outbox:
    """Of one connection: made when it begins, thrown away when it ends."""

    __slots__ = (
        "_acks",
        "_answers",
        "_bytes",
        "_control",
        "_copies",
        "_flushed",
        "_ready",
        "_states",
        "_volatile",
        "aliases",
        "answering",
        "given",
        "limits",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._control: list[bytes] = []
        self._answers: list[bytes] = []
        self.answering = 0
        """Bytes of answers that wait for the peer to read."""
        self._acks: dict[InLog | InCopy, None] = {}
        self._ready: dict[OutLog, None] = {}
        self._copies: dict[OutLog, None] = {}
        self.aliases: dict[int, OutLog] = {}
        """The logs by the aliases this side gave them."""
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

    @property
    def controlling(self) -> int:
        """Bytes of control that wait for the peer to read."""
        return sum(map(len, self._control))

    def acknowledge(self, log: InLog | InCopy) -> None:
        """Tell the peer how much of its log is durable here."""
        if log.alias:
            self._acks[log] = None

    def records(self, log: OutLog) -> None:
        """The log may have records to send."""
        self._ready[log] = None

    def copies(self, log: OutLog) -> None:
        """The log, which the peer gets a copy of, may have records to send: when nothing else has."""
        self._copies[log] = None

    def tokens(self, log: OutLog, stream: Stream, size: int) -> bool:
        """The stream has `size` more bytes to send. Whether so much waits now that it does not wait for the timer."""
        self._volatile[stream] = log
        self._bytes = waiting = self._bytes + size
        return waiting >= DELTA_BYTES

    def state(self, log: OutLog, path: str, at: int, state: int, t: int) -> None:
        """Show this state; a later one of the same node replaces it."""
        self._states[log.run, path] = log, StateShown(0, path, at, state, t)

    def withdraw(self, log: OutLog) -> None:
        """The peer does not take this log now: it gets a new LOG when it is offered again."""
        self.aliases.pop(log.alias, None)
        self._ready.pop(log, None)
        self._copies.pop(log, None)
        log.disconnected()

    def forget(self, out: OutLog | None, into: InLog | None) -> None:
        """A run leaves this session: nothing of it is sent here any more."""
        if into is not None:
            self._acks.pop(into, None)
        if out is not None:
            self.withdraw(out)
            self._volatile = {stream: log for stream, log in self._volatile.items() if log is not out}
            self._states = {key: shown for key, shown in self._states.items() if shown[0] is not out}
            self._bytes = sum(stream.pending for stream in self._volatile)

    def fell_behind(self) -> None:
        """The socket was full for a while: what waited may go as fewer tokens."""
        for stream in self._volatile:
            stream.behind = True

    def need(self) -> int:
        """What waits to be sent: `NOTHING`, or, if more than one, the most urgent of what is `VOLATILE`, `ACKS`, and the rest, `NOW`."""
        if self._ready or self._control or self._answers or self._copies:
            return NOW
        if self._acks:
            return ACKS
        return VOLATILE if self._volatile or self._states else NOTHING

    # -- packets

    def poll(self, now: int, buffered: int, *, closing: bool) -> Sequence[bytes]:
        """The next packet, in parts; none if there is nothing to send. `closing`: only control leaves any more."""
        parts: list[bytes] = []
        size = 0
        if self._control or self._answers or closing:
            size = self._put_urgent(parts, closing)
            if self._control or self._answers or closing:
                return parts
        if self._acks:
            size += self._put_acks(parts)
        if self._ready:
            size = self._put_records(parts, size, buffered > PRESSURE)
        if self._volatile or self._states:
            self._put_volatile(parts, size, now, buffered > PRESSURE)
        if self._copies and not self._ready:
            self._put_copies(parts, sum(map(len, parts)))
        return parts

    def deadline(self) -> int | None:
        """When tokens or states wait to leave."""
        if self._states or self._flows():
            return self._flushed + (DELTA_MS if self._bytes < DELTA_BYTES else 0)
        return None

    def _flows(self) -> bool:
        for stream, log in self._volatile.items():  # noqa: SIM110 - asked for each token, and the first says yes
            if stream.start <= log.sent:
                return True
        return False

    def _put_urgent(self, parts: list[bytes], closing: bool) -> int:
        """Add control and answers, as far as they fit, but no answer while `closing`; their bytes."""
        room = self.limits.packet
        left = _move(self._control, parts, room)
        if not self._control and not closing:
            before = left
            left = _move(self._answers, parts, left)
            self.answering -= before - left
        return room - left

    def _put_acks(self, parts: list[bytes]) -> int:
        acks = self._acks
        if len(acks) == 1:
            log, _ = acks.popitem()
            envelope = codec.encode_ack_of_one(log.alias, log.state())
            parts.append(envelope)
            return len(envelope)
        positions: list[int] = []
        for log in acks if len(acks) <= _ACKS else islice(acks, _ACKS):
            positions += log.alias, log.state()
        if len(acks) <= _ACKS:
            acks.clear()
        else:
            self._acks = dict(islice(acks.items(), _ACKS, None))
        envelope = codec.encode_ack(positions)
        parts.append(envelope)
        return len(envelope)

    def _put_records(self, parts: list[bytes], size: int, pressed: bool) -> int:
        """Add records of all logs in turn to a packet of `size` bytes; its size with them."""
        while self._ready and size < TARGET:
            log = next(iter(self._ready))
            del self._ready[log]
            most, closing = log.sendable(self.limits), log.streams.closing
            if most <= 0:
                continue
            if not log.alias:
                size += self._announce(parts, log)
            if most == 1 and not closing and size < TARGET:
                size += log.put_one(parts, self.limits)
                continue
            stop = log.sent + min(most, FAIR)
            while log.sent < stop and size < TARGET:
                count = stop - log.sent
                if closing:
                    seq, count = log.sent + 1, 1
                    ending = closing.get(seq)
                    if ending is not None and not pressed:
                        size = self._put_tokens(parts, size, ending, log, _LAST_TOKENS)
                        if ending.pending:
                            self._ready[log] = None
                            return size
                    closing.pop(seq, None)
                added = log.put(parts, count, TARGET - size, self.limits)
                if not added:
                    break
                size += added
            if (log.sent < stop and size >= TARGET) or (log.sent == stop and most > FAIR):
                self._ready[log] = None  # the others first
        return size

    def _put_copies(self, parts: list[bytes], size: int) -> None:
        """Fill up with records of logs that are only copied, in turn."""
        while self._copies and size < TARGET:
            log = next(iter(self._copies))
            del self._copies[log]
            count = min(log.sendable(self.limits), FAIR)
            if count <= 0:
                continue
            if not log.alias:
                size += self._announce(parts, log)
            added = log.put(parts, count, TARGET - size, self.limits)
            size += added
            if added and log.sendable(self.limits) > 0:
                self._copies[log] = None

    def _put_volatile(self, parts: list[bytes], size: int, now: int, pressed: bool) -> None:
        due = self.deadline()
        if due is None or now < due:
            return
        self._flushed = now
        if pressed:
            self.fell_behind()
            return
        while self._states and size < TARGET:
            log, state = self._states.pop(next(iter(self._states)))
            if not log.alias:
                size += self._announce(parts, log)
            parts.append(codec.encode(state._replace(al=log.alias)))
            size += len(parts[-1])
        for stream, log in list(self._volatile.items()):
            if log.streams.by_start.get(stream.start) is not stream:
                del self._volatile[stream]
            elif stream.start <= log.sent:
                size = self._put_tokens(parts, size, stream, log, TARGET)
                if not stream.pending:
                    del self._volatile[stream]
        self._bytes = sum(stream.pending for stream in self._volatile)

    def _put_tokens(self, parts: list[bytes], size: int, stream: Stream, log: OutLog, limit: int) -> int:
        if stream.pending and size < limit:
            if not log.alias:
                size += self._announce(parts, log)
            if (all_of_it := stream.take_all(limit - size)) is not None:
                parts.append(codec.encode_text(log.alias, stream.start, *all_of_it))
                return size + len(parts[-1])
            for delta in stream.take(log.alias, limit - size):
                envelope = codec.encode_delta(delta)
                parts.append(envelope)
                size += len(envelope)
        return size

    def _announce(self, parts: list[bytes], log: OutLog) -> int:
        """Give the log an alias; the bytes that took."""
        self.given += 1
        log.alias = self.given
        self.aliases[log.alias] = log
        parts.append(codec.encode(Log(log.alias, log.run, log.writer, log.sent + 1, log.about)))
        return len(parts[-1])


def _move(envelopes: list[bytes], parts: list[bytes], room: int) -> int:
    """Move what fits into a packet with so much room; the room that is left."""
    count = 0
    for envelope in envelopes:
        if len(envelope) > room:
            break
        room -= len(envelope)
        count += 1
    parts += envelopes[:count]
    del envelopes[:count]
    return room
