"""Nodes that wait until a test lets them go on, in whatever process they run.

A node of `gateAgent` connects to the test, says who it is, and waits for the answer that becomes its value. So a test knows, without
looking at a clock, that a node runs, how often it was begun, and in which process; a process that died is a connection that was closed.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["AGENTS", "Gates", "Held"]

AGENTS = '''
import asyncio, json, os
from graphferry import agent


async def wait(context):
    reader, writer = await asyncio.open_connection("127.0.0.1", context.params["port"])
    try:
        who = {"path": context.path, "retry": context.retry, "pid": os.getpid(), "inputs": context.inputs, "key": context.key.hex()}
        writer.write(json.dumps(who).encode() + b"\\n")
        answer = await reader.readline()
    finally:
        writer.close()
    if not answer:
        raise RuntimeError("nobody let it go on")
    return json.loads(answer)


async def swell(context):
    """As many letters as it is told."""
    return "x" * await wait(context)


async def sing(context):
    for word in context.params["words"]:
        context.stream(word)
    return await wait(context)


gate = agent("gateAgent", effect="none")(wait)
once = agent("onceAgent", effect="once")(wait)
swelling = agent("swellAgent", effect="none")(swell)
song = agent("singAgent", effect="none", stream=True)(sing)


@agent("failAgent", effect="none")
def fail(context):
    """Fails until the attempt `until`; params.text says with what."""
    if context.retry < context.params.get("until", 1000):
        raise ValueError(context.params["text"])
    return {"retry": context.retry}


@agent("bigAgent", effect="none")
def big(context):
    """A value of so many bytes."""
    return "x" * context.params["bytes"]


@agent("lengthAgent", effect="none")
def length(context):
    return len(context.inputs["of"])


@agent("whereAgent", effect="none")
def where(context):
    """Which process runs it, and what it was handed."""
    return {"pid": os.getpid(), **context.inputs}
'''
"""A module of agents, for --agents."""


class Held:
    """A node that waits."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        with connection.makefile("rb") as lines:
            self.who: dict[str, Any] = json.loads(lines.readline())

    @property
    def path(self) -> str:
        return str(self.who["path"])

    def release(self, value: object) -> None:
        """Let it go on with this value."""
        with self._connection:
            self._connection.sendall(json.dumps(value).encode() + b"\n")

    def gone(self) -> None:
        """Wait until whoever ran it gave up or died."""
        with self._connection:
            assert self._connection.recv(1) == b""


def _says_who(connection: socket.socket) -> bool:
    """Whether it lives on until then: a process can be killed between its first step to the gate and its name."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except ConnectionError:
        return False


class Gates:
    """Where nodes come to wait, in the order they began. Waits at most `patience` seconds for the next."""

    def __init__(self, patience: float = 120.0) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(patience)
        self.port = int(self._listening.getsockname()[1])
        self._patience = patience
        self._let_in: list[socket.socket] = []

    def next(self) -> Held:
        while True:
            connection, _ = self._listening.accept()
            self._let_in.append(connection)
            connection.settimeout(self._patience)
            if _says_who(connection):
                return Held(connection)

    def nobody_else(self) -> None:
        """That no node waits which nobody asked for; true for good only once all processes ended."""
        self._listening.settimeout(0)
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return
        with connection:
            raise AssertionError(f"{Held(connection).who} was begun, too")

    def close(self) -> None:
        """Whoever still waits fails: a test that did not come to its end leaves nothing open."""
        self._listening.close()
        for connection in self._let_in:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def gates(folder: Path) -> Iterator[Gates]:
    """Gates, and the module `gate_agents` in `folder` for `--agents gate_agents.py`."""
    (folder / "gate_agents.py").write_text(AGENTS, encoding="utf-8")
    with Gates() as open_gates:
        yield open_gates
