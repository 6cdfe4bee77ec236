"""Writing a session vector: what happens is said here, what comes of it is recorded from the session itself."""

from __future__ import annotations

from typing import Any

from graphs.records import Known, encode, to_fields
from protocol import codec
from protocol.messages import Message
from protocol.replay import Player, split
from protocol.tagged import tag
from wire.codec_vectors import join

__all__ = ["DEVICE", "DEVICE_ID", "WORKER", "Script", "entry", "hello", "log", "run_id", "welcome"]

DEVICE, WORKER = b"device-1", b"worker-1"
DEVICE_ID = b"d" * 16


def run_id(number: int = 1) -> bytes:
    """A run id."""
    return number.to_bytes(16, "big")


class Script:
    """One vector in the making."""

    def __init__(self, name: str, role: str, **given: Any) -> None:
        ids = {"store": (DEVICE if role == "device" else WORKER).hex(), "device": DEVICE_ID.hex()}
        self.vector: dict[str, Any] = {"name": name, "kind": "session", "role": role, "given": {**ids, **given}, "steps": []}
        self._player = Player(role, self.vector["given"])

    def _do(self, step: dict[str, Any]) -> dict[str, Any]:
        done = self._player.do(step)
        self.vector["steps"].append(done)
        return done

    def connect(self, number: int) -> Script:
        self._do({"connect": number})
        return self

    def drop(self) -> Script:
        self._do({"drop": 1})
        return self

    def crash(self) -> Script:
        self._do({"crash": 1})
        return self

    def commit(self) -> Script:
        self._do({"commit": 1})
        return self

    def tick(self, ms: int) -> Script:
        self._do({"tick": ms})
        return self

    def call(self, name: str, **args: Any) -> Script:
        self._do({"call": name, "args": tag(args)})
        return self

    def append(self, record: Known, run: bytes | None = None, **more: Any) -> Script:
        return self.call("append", run=run or run_id(), record=[record.TYPE, *_trimmed(to_fields(record))], **more)

    def recv(self, *envelopes: list[Any], conn: int | None = None) -> Script:
        step: dict[str, Any] = {"recv": join(list(envelopes)).hex()}
        if conn is not None:
            step["conn"] = conn
        self._player.do(step)
        self.vector["steps"].append({**step, "means": tag(list(envelopes))})
        return self

    def recv_bytes(self, packet: bytes) -> Script:
        self._do({"recv": packet.hex()})
        return self

    def poll(self) -> Script:
        self._do({"poll": []})
        return self

    def expect(self) -> Script:
        self._do({"expect": []})
        return self

    def closing(self) -> Script:
        self._do({"closing": None})
        return self

    def after(self) -> Script:
        """What the session says, and sends, and whether it closes."""
        return self.expect().poll().closing()


def _trimmed(fields: list[Any]) -> list[Any]:
    while fields and fields[-1] is None:
        fields.pop()
    return fields


# -- what a peer says


def wire(message: Message) -> list[Any]:
    """A message as an envelope."""
    (envelope,) = split(codec.encode(message))
    return list(envelope)


def entry(alias: int, seq: int, record: Known) -> list[Any]:
    """A record's envelope."""
    encoded = encode(record)
    return [record.TYPE, alias, seq, *split(encoded.tail)]


def hello(conn: int = 1, *logs: list[Any], **more: Any) -> list[Any]:
    return [1, {"v": [1, 1], "device": DEVICE_ID, "store": DEVICE, "conn": conn, "logs": list(logs), **more}]


def welcome(*logs: list[Any], **more: Any) -> list[Any]:
    return [2, {"v": 1, "store": WORKER, "hb_ms": 15_000, "logs": list(logs), "offer": {}, **more}]


def log(alias: int, writer: bytes, following: int = 1, run: bytes | None = None) -> list[Any]:
    return [6, alias, run or run_id(), writer, following]
