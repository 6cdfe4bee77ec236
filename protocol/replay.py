"""Replays recorded sessions: one end of the link with a fake clock and a store in memory, driven step by step (docs/protocol.md §21).

A step says what happens to the session, and holds what came of it: `Player.do` carries one out and gives it back with what really came, so the same
code records vectors and checks them. protocol/vectors/README.md describes the steps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgpack

from graphs.errors import LinkCondition, ValueUnsupported
from graphs.records import (
    RECORDS,
    Cancel,
    Encoded,
    End,
    Error,
    Event as EventRecord,
    Result,
    State,
    Unknown,
    decode,
    ext,
    from_fields,
    to_fields,
)
from graphs.values import Value
from protocol.codec import DEFAULT_LIMITS, Limits
from protocol.config import Config, Role
from protocol.digest import Held, Line
from protocol.errors import LocalProtocolError
from protocol.events import DigestCame, Event, NeedCopies, NeedRecords
from protocol.messages import GraphStatus, RunId, StoreId
from protocol.session import Conn
from protocol.store import Copy, Effect, LogHead, OpenAttempt, Snapshot, Write
from protocol.tagged import tag, untag

__all__ = ["ANY", "Player", "first_difference", "held_logs", "log_head", "matches", "split"]

ANY: Final = {"$any": 1}
"""Stands for words meant for people, which each implementation chooses."""

_WORDS: Final = frozenset({"text", "reason"})
"""Fields of events that hold such words."""


def split(packet: bytes) -> list[Any]:
    """The envelopes of a packet as values, without a look at what they mean."""
    unpacker = msgpack.Unpacker(strict_map_key=True)
    unpacker.feed(packet)
    return list(unpacker)


def log_head(run: RunId, writer: StoreId, log: Sequence[tuple[Encoded, int]]) -> LogHead:
    """What a session needs to know of a log whose durable records and checksums these are."""
    attempts: dict[str, OpenAttempt] = {}
    ended, cancelled = False, 0
    for seq, (encoded, _) in enumerate(log, 1):
        record = decode(encoded.type, encoded.tail)
        if isinstance(record, EventRecord) and record.state == State.EXECUTING and record.path is not None:
            attempts[record.path] = OpenAttempt(seq, record.path, record.at)
        elif isinstance(record, (Result, Error)) and record.path is not None:
            attempts.pop(record.path, None)
        elif isinstance(record, End):
            ended = True
            attempts.clear()
        elif isinstance(record, Cancel) and record.paths is None:
            cancelled = cancelled or seq
    return LogHead(run, writer, [chk for _, chk in log], ended, list(attempts.values()), cancelled)


def held_logs(logs: Mapping[tuple[RunId, StoreId], Sequence[tuple[Encoded, int]]], came: DigestCame) -> list[Held]:
    """What is in a store in memory of the logs that a digest names, and of the others in its range."""
    named = {line.key: line for line in came.lines}
    found = []
    for key, log in sorted(logs.items()):
        in_range = not came.answer and (came.after is None or key > came.after) and (came.upto is None or key <= came.upto)
        if log and (key in named or in_range):
            said = named[key].last if key in named else 0
            chks = [0, *(chk for _, chk in log)]
            found.append(Held(*key, len(log), chks[-1], chks[said] if said < len(chks) else None))
    return found


class Player:
    """One end of the link. `given` is the vector's `given`: ids, settings, tombstones."""

    def __init__(self, role: str, given: Mapping[str, Any]) -> None:
        settings = untag(given.get("config", {}))
        limits = Limits(**settings.pop("limits", {})) if "limits" in settings else DEFAULT_LIMITS
        self._config = Config(role=Role(role), peer="peer", device=bytes.fromhex(given["device"]), limits=limits, **settings)
        self._store = bytes.fromhex(given["store"])
        self._peer = bytes.fromhex(given["peer"]) if "peer" in given else None
        self._expired = {bytes.fromhex(each) for each in given.get("expired", ())}
        self._logs: dict[tuple[RunId, StoreId], list[tuple[Encoded, int]]] = {}
        self._now = 0
        self._number = 0
        self._told: list[Event] = []
        self._conn = self._start()

    def _start(self) -> Conn:
        heads = [log_head(run, writer, log) for (run, writer), log in self._logs.items()]
        return Conn(self._config, Snapshot(self._store, self._peer, heads, self._expired))

    def do(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a step; the step as it really went. Raises ValueError for a step there is not."""
        kind = next(iter(step))
        match kind:
            case "connect":
                self._number = step[kind]
                self._conn.connected(self._now, self._number)
            case "drop":
                self._conn.disconnected()
            case "crash":
                self._told.clear()
                self._conn = self._start()
            case "commit":
                self._commit()
            case "tick":
                self._now += step[kind]
                self._hear(self._conn.tick(self._now))
            case "recv":
                self._hear(self._conn.receive(self._now, bytes.fromhex(step[kind]), step.get("conn", self._number)))
            case "call":
                return self._call(step)
            case "poll":
                return {"poll": self._poll()}
            case "expect":
                told, self._told = self._told, []
                return {"expect": [_event(each) for each in told]}
            case "closing":
                code = self._conn.closing
                return {"closing": code if code is None else int(code)}
            case _:
                raise ValueError(f"a session vector has no step {kind!r}")
        return dict(step)

    # -- steps

    def _commit(self) -> None:
        effects: Sequence[Effect] = self._conn.effects()
        for effect in effects:
            if isinstance(effect, (Write, Copy)):
                self._logs.setdefault((effect.run, effect.writer), []).append((effect.record, effect.chk))
        if effects:
            self._hear(self._conn.committed(len(effects)))

    def _poll(self) -> list[Any]:
        envelopes: list[Any] = []
        while (packet := self._conn.poll(self._now, 0)) is not None:
            envelopes += split(packet)
        return [_envelope(each) for each in envelopes]

    def _hear(self, events: Collection[Event]) -> None:
        for event in events:
            self._told.append(event)
            if isinstance(event, NeedRecords):
                records = [record for record, _ in self._logs[event.run, event.writer][event.after : event.upto]]
                self._conn.supply_records(event.run, event.after, records)
            elif isinstance(event, DigestCame):
                self._conn.copies.answer(event, held_logs(self._logs, event))
                self._hear(self._conn.events())
            elif isinstance(event, NeedCopies):
                records = [record for record, _ in self._logs[event.run, event.writer][event.after : event.upto]]
                self._conn.copies.supply(event.run, event.writer, event.after, records)
                self._hear(self._conn.events())

    def _call(self, step: Mapping[str, Any]) -> dict[str, Any]:
        done: dict[str, Any] = {"call": step["call"], "args": step["args"]}
        try:
            gives = self._apply(step["call"], untag(step["args"]))
        except LinkCondition as condition:
            return {**done, "error": condition.condition}
        except (LocalProtocolError, ValueUnsupported) as error:
            return {**done, "error": error.fault if isinstance(error, LocalProtocolError) else "VALUE_UNSUPPORTED"}
        return done if gives is None else {**done, "gives": gives}

    def _apply(self, name: str, args: dict[str, Any]) -> Any:
        conn = self._conn
        match name:
            case "append":
                type_, *fields = args["record"]
                record = from_fields(type_, _undefined(fields), b"")
                assert not isinstance(record, Unknown)
                return conn.append(args["run"], record, args.get("labels", ()))
            case "graph_state":
                return conn.graph_state(args["h"], GraphStatus(args["status"]), args.get("problems", ()))
            case "drain":
                return conn.drain(self._now, **args)
            case "sync":
                lines = [Line(*key, len(log), log[-1][1]) for key, log in self._logs.items()]
                gives = conn.copies.begin(lines)
                self._hear(conn.events())
                return gives
            case "part":
                gone = conn.part(args["run"])
                self._hear(conn.events())
                return gone is not None
            case "fence":
                return getattr(conn.fence(args["number"]), "code", None)
            case "delta":
                conn.delta(**args)  # what it gives is for the clock of whoever sends
                return None
            case "state" | "put_graph" | "offer":
                return getattr(conn, name)(**args)
        raise ValueError(f"a session vector has no call {name!r}")


def _undefined(fields: list[Value]) -> list[Value]:
    return [ext(each.code, each.data) if isinstance(each, msgpack.ExtType) else each for each in fields]


# -- what is compared


def _envelope(envelope: list[Any]) -> Any:
    tagged = tag(envelope)
    if envelope[0] in (0x07, 0x08):  # GOAWAY, FAULT
        tagged[1 if envelope[0] == 0x07 else 2] = ANY
    if envelope[0] == 0x11 and len(envelope) > 3:  # GRAPH_STATE: the last word of a problem
        tagged[3] = [[*problem[:-1], ANY] for problem in tagged[3]]
    return tagged


def _event(event: Event) -> list[Any]:
    fields = {name: ANY if name in _WORDS else _field(value) for name, value in event._asdict().items()}
    return [type(event).__name__, fields]


def _field(value: Any) -> Any:
    if isinstance(value, Encoded):
        return tag([value.type, *split(value.tail)])
    if isinstance(value, Line):
        return tag([*value[:4], int(value.status)])
    if type(value) is tuple and value and isinstance(value[0], Line):
        return [_field(each) for each in value]
    if type(value) in RECORDS.values():
        return tag([value.TYPE, *to_fields(value)])
    if isinstance(value, Unknown):
        return tag([value.type, *split(value.tail)])
    return tag(value.value if isinstance(value, Enum) else value)


def matches(expected: Any, real: Any) -> bool:
    """Whether what came is what was recorded: maps without order, `ANY` for anything."""
    if expected == ANY:
        return True
    if isinstance(expected, dict) and isinstance(real, dict):
        return expected.keys() == real.keys() and all(matches(item, real[key]) for key, item in expected.items())
    if isinstance(expected, list) and isinstance(real, list):
        return len(expected) == len(real) and all(map(matches, expected, real))
    return bool(expected == real) and type(expected) is type(real)


def first_difference(vector: Mapping[str, Any]) -> tuple[int, Any, Any] | None:
    """Play a session vector: the first step that went another way, as (number from 1, recorded, real), or None."""
    player = Player(vector["role"], vector["given"])
    for number, step in enumerate(vector["steps"], 1):
        recorded = {key: item for key, item in step.items() if key != "means"}
        real = player.do(recorded)
        if not matches(recorded, real):
            return number, recorded, real
    return None
