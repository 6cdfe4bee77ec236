"""A small server that speaks the OpenAI-compatible wire over a real socket, and breaks every rule of it on demand.

What it answers with is a function of the request, `Behaviour`; `answering` is the one that keeps the rules.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Asked", "Behaviour", "Connection", "ModelServer", "answering", "chunk", "model_server", "serving", "then"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: Any


class Connection:
    """The way back to the client: whole responses, or their bytes one by one."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.gone = asyncio.Event()
        """The client closed its end."""

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int = 200, kind: str | None = "text/event-stream", **headers: str) -> None:
        """The head of a chunked response."""
        lines = [f"HTTP/1.1 {status} Whatever", "Transfer-Encoding: chunked"]
        lines += [f"Content-Type: {kind}"] if kind else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def piece(self, data: bytes) -> None:
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        await self.piece(f"data: {text}\n\n".encode())

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def whole(self, status: int, body: Any, kind: str = "application/json", **headers: str) -> None:
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        await self.head(status, kind, **headers)
        if data:  # an empty piece is the end
            await self.piece(data)
        await self.end()

    def cut(self) -> None:
        """Ends the connection as a killed server does."""
        self.writer.transport.abort()


Behaviour: TypeAlias = Callable[[Asked, Connection], Awaitable[None]]


def chunk(content: str | None = None, *, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    if content is not None:
        delta["content"] = content
    return {"id": "c1", "model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


CONTEXT = 4096
"""Tokens of prompt and answer together that `answering` takes."""


async def answering(asked: Asked, connection: Connection) -> None:
    """Says the last message back word by word, again and again up to max_tokens (12 without), and counts words as tokens."""
    if asked.path.endswith("/embeddings"):
        await connection.whole(200, embeddings(asked.body["input"]))
        return
    messages = asked.body["messages"]
    said = str(messages[-1]["content"]).split() or ["nothing"]
    limit = asked.body.get("max_tokens") or 12
    prompt = sum(len(str(message["content"]).split()) + 1 for message in messages)
    if prompt + limit > CONTEXT:
        said_no = f"maximum context length is {CONTEXT} tokens, not {prompt + limit}"
        await connection.whole(400, {"error": {"code": "context_length_exceeded", "message": said_no}})
        return
    await connection.head()
    await connection.event(chunk("", role="assistant"))
    for number in range(limit):
        await connection.event(chunk(("" if number == 0 else " ") + said[number % len(said)]))
        await asyncio.sleep(0)
    await connection.event(chunk(finish="length"))
    usage = {"prompt_tokens": prompt, "completion_tokens": limit, "total_tokens": prompt + limit}
    await connection.event({"id": "c1", "model": "served", "choices": [], "usage": usage})
    await connection.event("[DONE]")
    await connection.end()


def embeddings(texts: Sequence[str]) -> dict[str, Any]:
    data = [{"index": place, "embedding": [byte - 100 for byte in hashlib.sha256(text.encode()).digest()[:4]]}
            for place, text in enumerate(texts)]  # fmt: skip
    return {"data": data[::-1], "usage": {"prompt_tokens": sum(len(text.split()) for text in texts)}}


def then(*behaviours: Behaviour) -> Behaviour:
    """One after the other, a request each; the last one stays."""
    left = list(behaviours)

    async def behave(asked: Asked, connection: Connection) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(asked, connection)

    return behave


class ModelServer:
    """A running server. `asked` are its requests in order."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[Asked] = []
        self.connections: list[Connection] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(writer)
        self.connections.append(connection)
        try:
            while (asked := await _request(reader)) is not None:
                self.asked.append(asked)
                watching = asyncio.create_task(_watch(reader, connection))
                try:
                    await self.behaviour(asked, connection)
                finally:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            connection.gone.set()
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(first.split()[1], headers, json.loads(body) if body else None)


async def _watch(reader: asyncio.StreamReader, connection: Connection) -> None:
    # Clients here do not pipeline: nothing comes in the middle of an answer but the end of the connection.
    while not reader.at_eof():  # noqa: ASYNC110 - a stream has no event for its end, and reading would take what comes next
        await asyncio.sleep(0.001)
    connection.gone.set()


@asynccontextmanager
async def model_server(behaviour: Behaviour = answering) -> AsyncIterator[ModelServer]:
    """A server on the loopback interface, ended together with everything it still does."""
    server = ModelServer(behaviour)
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.create_task(server.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 22)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()
        for _ in range(5):  # a connection that was just taken needs some turns of the loop to come to `accept`
            await asyncio.sleep(0)
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:  # a task that was cancelled before its first step has closed nothing
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        await listening.wait_closed()


@contextmanager
def serving(behaviour: Behaviour = answering) -> Iterator[ModelServer]:
    """The same in a thread of its own, for commands that have an event loop of theirs."""
    begun: list[ModelServer] = []
    ready, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        async with model_server(behaviour) as server:
            begun.append(server)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="model server")
    thread.start()
    try:
        ready.wait()
        yield begun[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
