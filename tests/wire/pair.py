"""Two sessions back to back over a fake wire that can be cut, lose what is in flight and deliver bytes of dead connections late."""

from __future__ import annotations

from collections import deque
from typing import Any, TypeVar

from graphs.records import Encoded, Event as EventRecord, Known, Record, Result, State, Submit, decode
from graphs.values import digest
from protocol import codec
from protocol.config import Config, Role
from protocol.events import (
    BodyArrived,
    BodyBytes,
    BodyWhole,
    DigestCame,
    Event,
    Got,
    GraphReferred,
    NeedBodies,
    NeedBytes,
    NeedCopies,
    NeedRecords,
)
from protocol.messages import Message, PutGraph, Ref, RunId
from protocol.payload import Reference, reference
from protocol.session import Conn
from wire.memory_store import MemoryStore

DEVICE, WORKER = "device", "worker"
DEVICE_ID = b"d" * 16
STORES = {DEVICE: b"device-1", WORKER: b"worker-1"}

GRAPH = b"\x81\xa5nodes\x80"
GRAPH_HASH = digest(b"graphferry.graph.1\n" + GRAPH)
"""The canonical bytes of a graph without nodes, and its name."""

E = TypeVar("E")


def run_id(number: int) -> RunId:
    """A run id for tests."""
    return number.to_bytes(16, "big")


class Side:
    """One end: a session, its store, and everything it was told."""

    def __init__(self, name: str, **config: Any) -> None:
        self.name = name
        self.config = Config(
            **{"role": Role(name), "peer": "worker" if name == DEVICE else "device", "device": DEVICE_ID, **config}
        )
        self.store = MemoryStore(STORES[name])
        self.events: list[Event] = []
        self.got: dict[RunId, list[Record]] = {}
        self.graphs: dict[Ref, PutGraph] = {}
        """Graphs whose bytes are pulled."""
        self.awaited: list[NeedBodies] = []
        """Records that wait for their bodies."""
        self.conn = self.start()

    def start(self) -> Conn:
        """A new process on the same store."""
        self.events = []
        self.got = {}
        self.awaited = []
        return Conn(self.config, self.store.snapshot())

    def crash(self) -> None:
        """The process dies: what was not committed is gone."""
        self.conn = self.start()

    def commit(self) -> None:
        """Make everything durable that waits for it."""
        effects = self.conn.effects()
        if effects:
            self.store.write(effects)
            self.told(self.conn.committed(len(effects)))

    def told(self, events: list[Event]) -> None:
        """Keep what the session said, and do what it asks of its shell."""
        for event in events:
            self.events.append(event)
            if isinstance(event, Got):
                self.got.setdefault(event.run, []).append(event.record)
            elif isinstance(event, NeedRecords):
                self.conn.supply_records(
                    event.run, event.after, self.store.tail(event.run, event.writer, event.after, event.upto)
                )
            elif isinstance(event, DigestCame):
                self.conn.copies.answer(event, self.store.held_logs(event))
                self.told(self.conn.events())
            elif isinstance(event, NeedCopies):
                records = self.store.tail(event.run, event.writer, event.after, event.upto)
                self.conn.copies.supply(event.run, event.writer, event.after, records)
                self.told(self.conn.events())
            elif isinstance(event, NeedBodies):
                self.awaited.append(event)
                for each in event.named:
                    self.pull(each)
                self.arrived()
            elif isinstance(event, NeedBytes):
                part = self.conn.graph_part(event) or self.store.part(event.ref, event.off, event.length)
                self.told(self.conn.supply_body(event, part))
            elif isinstance(event, BodyBytes):
                self.store.add(event.ref, event.off, event.data)
                self.told(self.conn.body_written(event.ref, event.off + len(event.data)))
            elif isinstance(event, BodyWhole):
                self.told(self.conn.body_verified(event.ref, self.store.looked(event.ref, event.crc)))
            elif isinstance(event, GraphReferred):
                named = reference(event.message.body)
                assert named is not None
                self.graphs[named.ref] = event.message
                self.pull(named)
            elif isinstance(event, BodyArrived) and self.awaited:
                self.arrived()
            elif isinstance(event, BodyArrived) and event.ref in self.graphs:
                self.told(self.conn.graph_here(self.graphs.pop(event.ref), self.store.bodies[event.ref]))

    def arrived(self) -> None:
        """Tell the session which records have all their bodies here."""
        for event in [each for each in self.awaited if all(named.ref in self.store.bodies for named in each.named)]:
            self.awaited.remove(event)
            self.conn.copies.here(event.run, event.writer, event.seq)
            self.told(self.conn.events())

    def pull(self, named: Reference) -> None:
        """Want a body, as far as it is not here."""
        have, whole = self.store.held(named.ref, named.size)
        if not whole:
            self.told(self.conn.want_body(named.ref, named.size, have))

    def append(self, run: RunId, record: Known, **more: Any) -> int:
        """Append and commit."""
        seq = self.conn.append(run, record, **more)
        self.commit()
        return seq

    def log(self, run: RunId, writer: str) -> list[tuple[Encoded, int]]:
        """The durable records of a log at this side."""
        return self.store.logs.get((run, STORES[writer]), [])

    def records(self, run: RunId, writer: str) -> list[Record]:
        """The same, decoded."""
        return [decode(encoded.type, encoded.tail) for encoded, _ in self.log(run, writer)]

    def seen(self, kind: type[E]) -> list[E]:
        """Everything of one kind that was told."""
        return [event for event in self.events if isinstance(event, kind)]


class Pair:
    """A device and a worker. `now` is the clock of both; `trace` every packet delivered, decoded."""

    def __init__(self, device: dict[str, Any] | None = None, worker: dict[str, Any] | None = None) -> None:
        self.device = Side(DEVICE, **(device or {}))
        self.worker = Side(WORKER, **(worker or {}))
        self.sides = {DEVICE: self.device, WORKER: self.worker}
        self.wire: dict[str, deque[tuple[int, bytes]]] = {DEVICE: deque(), WORKER: deque()}
        """Packets in flight, by the side that sent them."""
        self.number = 0
        self.alive = False
        self.now = 0
        self.trace: list[tuple[str, list[Message]]] = []
        self.buffered = 0

    def connect(self) -> None:
        """A new connection replaces the old one."""
        self.number += 1
        self.device.commit()  # one full commit precedes HELLO
        self.device.conn.connected(self.now, self.number)
        assert self.worker.conn.fence(self.number) is None
        self.worker.conn.learn(self.worker.store.snapshot(self.worker.conn.unknown({run for run, _ in self.worker.store.logs})))
        self.worker.conn.connected(self.now, self.number)
        self.alive = True

    def drop(self, *, lose: bool = False) -> None:
        """The connection dies; with `lose` so does what was in flight."""
        self.device.conn.disconnected()
        self.worker.conn.disconnected()
        self.alive = False
        if lose:
            self.lose()

    def lose(self) -> None:
        """Everything in flight is gone."""
        for queue in self.wire.values():
            queue.clear()

    def flush(self, only: str | None = None) -> None:
        """Put on the wire what may be sent now."""
        for name in [only] if only else [DEVICE, WORKER]:
            side = self.sides[name]
            while self.alive and (packet := side.conn.poll(self.now, self.buffered)) is not None:
                self.wire[name].append((self.number, packet))
                side.told(side.conn.events())

    def deliver(self, sender: str, count: int = 1 << 30) -> None:
        """Hand over packets in order, those of dead connections too."""
        receiver = self.sides[WORKER if sender == DEVICE else DEVICE]
        for _ in range(min(count, len(self.wire[sender]))):
            number, packet = self.wire[sender].popleft()
            self.trace.append((sender, codec.decode(packet)))
            receiver.told(receiver.conn.receive(self.now, packet, number))

    def talk(self, rounds: int = 3) -> None:
        """Both sides commit, send and receive, several times over."""
        for _ in range(rounds):
            self.device.commit()
            self.worker.commit()
            self.flush()
            self.deliver(DEVICE)
            self.deliver(WORKER)

    def settle(self) -> None:
        """Talk until nothing is left to be said; time passes for what waits for a timer."""
        for _ in range(50):
            self.now += 20
            before = len(self.trace)
            self.talk(1)
            if len(self.trace) == before and not any(self.wire.values()):
                return
        raise AssertionError("the two sides never stop talking")

    def open(self, number: int = 1) -> RunId:
        """Submit a run on the device."""
        run = run_id(number)
        self.device.append(run, Submit("", bytes(32), {}, {"parent": [bytes(16), 1]}))
        return run

    def said(self, sender: str) -> list[Message]:
        """Every message a side sent that was delivered."""
        return [message for side, messages in self.trace if side == sender for message in messages]


# -- usual beginnings and records


def connected(**config: dict[str, Any]) -> Pair:
    """A pair after its handshake. `device` and `worker` are settings of either side."""
    pair = Pair(**config)
    pair.connect()
    pair.settle()
    return pair


def running(**config: dict[str, Any]) -> tuple[Pair, RunId]:
    """A connected pair with a run that both know."""
    pair = connected(**config)
    run = pair.open()
    pair.settle()
    return pair, run


def result(path: str, value: object = None) -> Result:
    """A RESULT."""
    return Result(path, 1, 0, value, 5, {"model": "m"})


def executing(path: str, at: int = 1, **info: object) -> EventRecord:
    """An EVENT executing."""
    return EventRecord(path, at, State.EXECUTING, 5, {"retry": 0, **info})
