"""The session: one end of the link to one peer, without sockets, clocks, threads or files.

`Conn` outlives connections. Its owner feeds it packets and the time, makes its effects durable, sends what `poll` gives, and calls `tick` when
`deadline` has come (docs/protocol.md §20). The order is the whole point:

    append -> effects -> (commit) -> committed -> poll        a record is durable before it is sent
    receive -> effects -> (commit) -> committed -> poll       and before it is acknowledged, or told as `Got`

The way of a record is short, for it decides what the link costs (benchmarks/link.py). Out: `Conn.append`, graphs.record_shortcuts, `OutLog.append`,
and, once it is durable, `State.committed` and `OutLog.put`. In: `Carrier.data_received`, codec.read, `Entries.take` and, once it
is durable, `State.committed`. There named tuples are made by `tuple.__new__`, checksums are chained in place, and whatever is seldom (labels,
references, streams that end, what is wrong) is looked for with one comparison and handled elsewhere.

Methods of the carrier side raise nothing: what a peer does wrong becomes a FAULT to it and a `Faulted` event. Methods of the application side
raise LinkCondition for what cannot be sent and LocalProtocolError for a bug of the caller; then nothing was appended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from graphs.errors import LinkCondition
from graphs.records import Cancel, Encoded, End, Event as EventRecord, Known, Submit, encode, encode_plain
from graphs.values import Value, canonical
from protocol import codec
from protocol.chunks import chunk_parts
from protocol.config import Config
from protocol.copies import Copies
from protocol.entries import Entries
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.events import Event
from protocol.gate import check_record, joined, travels_whole
from protocol.inbox import Inbox
from protocol.liveness import Beat
from protocol.log import NO_WRITERS, OutLog, Run
from protocol.messages import Ack, Bytes, Delta, Entry, Fault, GoAway, GraphState, GraphStatus, Hash, Offer, Ping, RunId
from protocol.outbox import DELTA_MS, NOTHING, NOW, VOLATILE
from protocol.payload import Body, Labelled, every_label, handle_id, lighten
from protocol.resume import device_hello
from protocol.session_shown import ShownDoors
from protocol.state import Connection, State
from protocol.store import Effect, Keep, Left, Snapshot

__all__ = ["Conn"]

_END = End.TYPE
_read = codec.read
_MAX_ITEMS = codec.MAX_ITEMS
_OFFER_MS = 1_000
_MAX_OFFER = 64 * 1024
_TOLD, _LONGEST, _PATH = 50, 500, 512
_DIVERGED = "The two copies of this run's journal contradict each other."


class Conn(ShownDoors):
    """One end of the link to one peer. Times are ms of one monotonic clock; the owner's calls never overlap."""

    __slots__ = ("_entries", "_inbox", "asks", "committed", "effects")

    def __init__(self, config: Config, snapshot: Snapshot) -> None:
        self._state = State(config, snapshot)
        self._inbox = Inbox(self._state)
        self._entries = Entries(self._state)
        self.asks: Collection[Effect] = self._state.asks
        """What `effects` would give: look whether there is something, it costs less than to ask."""
        self.effects: Callable[[], list[Effect]] = self._state.take
        """What is to be made durable since the last call, to be written in one transaction and in this order."""
        self.committed: Callable[[int], list[Event]] = self._state.committed
        """The oldest so many effects handed out are durable: the peer's records among them are told as `Got`."""

    # -- the carrier's side

    def fence(self, number: int) -> Fault | None:
        """On a worker, before `connected`: the FAULT that a connection with this number gets instead, or None if it is the newest."""
        if number > self._state.highest:
            return None
        text = f"connection {number} is older than connection {self._state.highest} of the same device"
        return Fault("STALE_CONN", text, True, self._state.highest)

    def connected(self, now: int, number: int) -> None:
        """A connection is open. `number` fences older ones: bytes that come with a lower one are ignored from here on."""
        state = self._state
        self.disconnected()
        state.highest = max(state.highest, number)
        state.forget(run for run in state.runs.values() if run.over)
        connection = state.connection = Connection(now, number, state.config)
        if not state.is_device:
            return
        state.session = state.session or number
        connection.outbox.control(device_hello(state, number).message())
        for message in state.shelf.connected():
            connection.outbox.control(message)
        for run in state.runs.values():
            state.flow(run)

    def disconnected(self) -> None:
        """The connection is lost or closed; runs go on. Does nothing if there is none."""
        state = self._state
        if state.connection is None:
            return
        state.connection = None
        state.parked.clear()
        for run in state.runs.values():
            run.disconnected()
        state.wants.disconnected()
        state.gives.disconnected()
        state.copies.disconnected()
        state.forget(run for run in state.runs.values() if run.into is not None and run.into.last == 0 and not state.is_device)

    def receive(self, now: int, packet: bytes | bytearray | memoryview, number: int) -> list[Event]:
        """Take in a packet that came on connection `number`; what it means, records excepted: those are told by `committed`."""
        state, connection = self._state, self._state.connection
        if connection is None or number != connection.number or connection.closing is not None:
            return []
        connection.liveness.heard(now)
        try:
            inbox = self._inbox
            for message in _read(packet, connection.longest):
                kind = message.__class__
                state.heard += 1 if kind is not list else len(message)
                if kind is list:
                    if Entry not in connection.hears:
                        inbox.out_of_place(connection, Entry)
                    if len(message) == 1:
                        self._entries.take_one(connection, message[0])
                    else:
                        self._entries.take(connection, message)
                elif kind is tuple:
                    inbox.ack(connection, message)
                elif kind is Delta:
                    inbox.delta(connection, message)
                elif kind is Ack:
                    inbox.ack(connection, message.positions)
                elif message is not None:
                    inbox.handle(connection, now, message)
        except RemoteProtocolError as error:
            state.fail(error)
        if events := state.events:
            state.events = []
        return events

    def poll(self, now: int, buffered: int) -> bytes | None:
        """The next packet to send, or None; call until None, then take `events`. `buffered`: bytes the socket still holds."""
        return b"".join(self.parts(now, buffered)) or None

    def parts(self, now: int, buffered: int) -> Sequence[Bytes]:
        """As `poll`, but in parts, to be sent as one packet."""
        state, connection = self._state, self._state.connection
        if connection is None:
            return ()
        if state.offer_changed:
            self._put_offer(connection, now)
        parts: Sequence[Bytes] = connection.outbox.poll(now, buffered, closing=connection.closing is not None)
        if not parts and connection.closing is None:
            if state.gives.ready and (chunk := state.gives.next(buffered)) is not None:
                parts = chunk_parts(chunk)
            connection.looked = now
        if parts:
            connection.liveness.spoke(now)
        return parts

    def need(self) -> int:
        """What is to be done when nothing else happens: `NOTHING`; something by `deadline`, which may have come nearer since it was asked for
        (`VOLATILE`); or to call `poll`, now (`NOW`) or with what comes next (`ACKS`).
        """
        state = self._state
        connection = state.connection
        if connection is None:
            return NOTHING
        need = connection.outbox.need()
        if connection.hurries or not need:
            if connection.closing is not None:
                return NOW
            if connection.hurries or state.events or state.offer_changed or state.gives.ready:
                return need or VOLATILE
        return need

    def blocked(self, now: int, buffered: int) -> None:
        """The socket takes nothing more: of what it took, `buffered` bytes are not sent. `poll` is not called until `flows` says so."""
        if self._state.connection is not None:
            self._state.connection.liveness.blocked(now, buffered)

    def flows(self) -> None:
        """The socket takes more again."""
        connection = self._state.connection
        if connection is not None:
            connection.liveness.flows()
            connection.outbox.fell_behind()

    @property
    def closing(self) -> int | None:
        """The code to close the connection with, once `poll` gives nothing more; None while it is to stay."""
        return self._state.connection.closing if self._state.connection is not None else None

    def deadline(self) -> int | None:
        """When `tick` or `poll` want to be called at the latest; None without a connection."""
        state, connection = self._state, self._state.connection
        if connection is None:
            return None
        connection.hurries = False
        liveness = connection.liveness
        due = liveness.deadline()
        if connection.drain_at is not None:
            due = min(due, connection.drain_at)
        for parked in state.parked.values():
            due = min(due, parked)
        if liveness.is_blocked:
            return due
        if (flush := connection.outbox.deadline()) is not None:
            due = min(due, flush)
        if state.gives.ready:  # the socket was full
            due = min(due, connection.looked + DELTA_MS)
        if state.offer_changed and connection.offered_at is not None:
            due = min(due, connection.offered_at + _OFFER_MS)
        return due

    @property
    def volatile_due(self) -> int | None:
        """When `poll` sends the tokens and states that wait: the one part of `deadline` that `delta` and `state` bring nearer."""
        connection = self._state.connection
        return connection.outbox.deadline() if connection is not None else None

    def tick(self, now: int) -> list[Event]:
        """Time has passed."""
        state, connection = self._state, self._state.connection
        if connection is None or connection.closing is not None:
            return []
        beat = connection.liveness.tick(now)
        if beat is Beat.PING:
            connection.pings += 1
            connection.outbox.control(Ping(connection.pings, now))
        elif beat is Beat.DEAD:
            what = "takes nothing that is sent to it" if connection.liveness.is_blocked else "is silent"
            state.fail(RemoteProtocolError("TIMEOUT", f"the peer {what}"))
        if connection.drain_at is not None and now >= connection.drain_at:
            connection.closing = 4503
            connection.hurries = True
            connection.move("drained")
        for run in [run for run, parked in state.parked.items() if now >= parked]:
            del state.parked[run]
            state.flow(run)
        return state.drain_events()

    # -- durability

    @property
    def staged(self) -> int:
        """How many effects were ever asked for."""
        return self._state.staged

    @property
    def durable(self) -> int:
        """How many of them are durable."""
        return self._state.durable

    @property
    def unwritten(self) -> int:
        """Bytes of the peer's records that were received and are not durable."""
        return self._state.unwritten

    def unknown(self, runs: Collection[RunId]) -> set[RunId]:
        """Those of the runs of a HELLO that this session does not hold in memory: look them up in the store and call `learn` first."""
        return {run for run in runs if run not in self._state.runs}

    def behind(self, run: RunId) -> bool:
        """Whether the peer named records of this run in its handshake that are not durable here yet."""
        known = self._state.runs.get(run)
        return known is not None and known.behind

    def delivered(self, run: RunId) -> bool:
        """Whether the peer holds all of this side's log of the run; so it is of one that is not here."""
        known = self._state.runs.get(run)
        return known is None or known.out is None or known.out.acked == known.out.last

    def release(self, run: RunId) -> None:
        """The run goes on: what begins in it is acknowledged as in any other (`Config.reserved`)."""
        self._state.release(run)

    def learn(self, snapshot: Snapshot) -> None:
        """Take in what the store has of runs that are not in memory."""
        self._state.learn(snapshot)

    def supply_records(self, run: RunId, after: int, records: Sequence[Encoded]) -> None:
        """Answer `NeedRecords`: the records after `after`, in order."""
        known = self._state.runs.get(run)
        if known is not None and known.out is not None and known.out.supply(after, records):
            self._state.flow(known)

    # -- the application's side: records

    def append(self, run: RunId, record: Known, labels: Labelled = ()) -> int:
        """Write a record into this side's log of the run; its sequence number. `labels`: sensitivity of the values in it.

        Raises LinkCondition if the record may not or cannot be sent (LABEL_WITHHELD, VALUE_TOO_LARGE) or the run is over for this link
        (RUN_DIVERGED, RUN_EXPIRED, STORE_CHANGED), ValueUnsupported if it holds what is no data, LocalProtocolError if this side must not write
        it.
        """
        state = self._state
        known = state.runs.get(run)
        if (judge := state.config.judge) is not None:
            labels = joined(labels, judge.of_record(record))
        out = known.out if known is not None else None
        if out is None or labels or (write := out.writers.get(record.__class__)) is None:
            return self._append(run, known, record, labels)
        encoded = write(record)
        # what is plain is neither deep nor does it refer to anything
        if encoded is None or len(encoded[2]) > _MAX_ITEMS:
            return self._append(run, known, record, labels)
        effect = out.append(encoded)
        state.asks.append(effect)
        state.marks.append(out)
        return effect[2]

    def _append(self, id_: RunId, run: Run | None, record: Known, labels: Labelled) -> int:
        """The same for a record that may be special."""
        state, type_ = self._state, record.TYPE
        self._check_writer(run, record)
        plain = encode_plain(record)
        encoded = plain or encode(record)
        bodies: Sequence[Body] = ()
        carried: Collection[str] = ()
        if labels or ((plain is None or len(plain.tail) > _MAX_ITEMS) and not travels_whole(encoded)):
            record, encoded, bodies, carried = self._passed(id_, run, record, encoded, labels)
        if run is None:
            run = state.runs[id_] = Run(id_)
        out = run.out = run.out or OutLog(id_, state.store)
        for body in bodies:
            state.stage(Keep(id_, body.ref, body.data, body.labels, body.crc))
        effect = out.append(encoded)
        seq = effect[2]
        if isinstance(record, Cancel) and record.paths is None:
            out.cancelled = out.cancelled or seq
            run.fence()
        if carried and state.is_device:
            state.stage(Left(id_, "record", tuple(sorted(carried)), seq))
        if type_ >= 0x30:
            out.ended = type_ == _END
            out.streams.appended(seq, record, isinstance(record, EventRecord) and self._is_withheld(record))
        out.writers = NO_WRITERS if out.ended or out.streams.by_start else state.writers
        state.asks.append(effect)
        state.marks.append(out)
        return seq

    def _passed(
        self, id_: RunId, run: Run | None, record: Known, encoded: Encoded, labels: Labelled
    ) -> tuple[Known, Encoded, Sequence[Body], Collection[str]]:
        """The record as it may leave: past the gate, and with what is too large for it by reference; and the labels it leaves with."""
        state = self._state
        carried = check_record(record, every_label(labels), state.clear)
        seq = run.out.last + 1 if run is not None and run.out is not None else 1
        return *lighten(record, encoded, labels, lambda n: handle_id(id_, state.store, seq, n)), carried

    def _check_writer(self, run: Run | None, record: Known) -> None:
        """Raises what `append` raises for a record that this side must not write now."""
        state, type_ = self._state, record.TYPE
        if (type_ < 0x30) is not state.is_device:
            raise LocalProtocolError(
                "PROTOCOL_WRITER", f"a {state.config.role.value} does not write {type(record).__name__} records"
            )
        if (run is None) is not isinstance(record, Submit):
            raise LocalProtocolError("PROTOCOL_ORDER", "a run is opened by one SUBMIT, and known from it on")
        if run is None:
            return
        if run.out is not None and run.out.ended:
            raise LocalProtocolError("PROTOCOL_ORDER", "nothing is appended after END")
        if run.diverged:
            raise LinkCondition(
                "RUN_DIVERGED",
                _DIVERGED,
                retryable=False,
                hint="`graphferry runs show` has what was finished; run the graph again for the rest.",
            )
        if run.refused is not None:
            raise LinkCondition(run.refused, "The worker does not take this run any more.", retryable=False)

    def _is_withheld(self, record: EventRecord) -> bool:
        labels = (record.info or {}).get("labels")
        return bool(labels) and not (isinstance(labels, (list, tuple)) and self._state.clear(labels))

    # -- what came up

    @property
    def tells(self) -> bool:
        """Whether `events` has something."""
        return bool(self._state.events)

    def events(self) -> list[Event]:
        """What came up in `poll`, and in what was said to `copies`."""
        return self._state.drain_events()

    @property
    def copies(self) -> Copies:
        """The logs that both ends bring up to date without executing them; what it says comes with `events`."""
        return self._state.copies

    # -- the application's side: graphs (`put_graph` is among the doors), offer, drain

    def graph_state(self, h: Hash, status: GraphStatus, problems: Sequence[tuple[str, str, str]] = ()) -> None:
        """Say what became of a graph; UNKNOWN asks for it, again after a reconnect.

        `problems`: path, code, text; the first 50 are told, shortened.
        """
        state = self._state
        (state.wanted.add if status is GraphStatus.UNKNOWN else state.wanted.discard)(h)
        if state.connection is not None and state.connection.greeted:
            told = [[path[:_PATH], code, text[:_LONGEST]] for path, code, text in problems[:_TOLD]]
            state.connection.outbox.control(GraphState(h, int(status), told or None))

    def offer(self, offer: Mapping[str, Value]) -> None:
        """What this worker offers from now on; `queue` 0 refuses new runs with BUSY. Sent at most once a second."""
        if len(canonical(offer)) > _MAX_OFFER:
            raise LocalProtocolError("LIMIT_PACKET", f"an offer has at most {_MAX_OFFER:,} bytes")
        self._state.offer = dict(offer)
        self._state.offer_changed = True

    def _put_offer(self, connection: Connection, now: int) -> None:
        if not connection.greeted or self._state.is_device:
            return
        if connection.offered_at is None or now >= connection.offered_at + _OFFER_MS:
            connection.outbox.control(Offer(dict(self._state.offer)))
            connection.offered_at = now
            self._state.offer_changed = False

    def drain(self, now: int, reason: str, drain_ms: int, retry_ms: int) -> None:
        """Take no new runs, say so, and close with 4503 after `drain_ms`; devices come back after `retry_ms`."""
        state = self._state
        state.draining = retry_ms
        if state.connection is not None:
            state.connection.outbox.control(GoAway(reason, drain_ms, retry_ms))
            state.connection.drain_at = now + drain_ms
            state.connection.hurries = True
            state.connection.move("drain")
