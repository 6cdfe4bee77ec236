"""What the tests of models behind servers share: a model, a server that behaves as told, and what a request comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graphs.errors import (
    GraphferryError,
)
from graphs.models.interface import GenerationRequest
from graphs.models.openai.client import Patience, ServerModel
from graphs.models.openai.servers import Server
from graphs.secrets import Secrets
from model_server import Asked, Behaviour, Connection, ModelServer, answering, model_server

__all__ = ["KEY", "USAGE", "Pauses", "Use", "ask", "error_of", "refusing", "streaming", "with_server"]

KEY = "sk-very-secret-4711"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
Use = Callable[[ServerModel, ModelServer], Awaitable[None]]


class Pauses:
    """Stands for sleeping: notes how long, and is back at once."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def ask(text: str = "hello there", **options: Any) -> GenerationRequest:
    return GenerationRequest([{"role": "user", "content": text}], **{"temperature": 0, **options})


def with_server(use: Use, behaviour: Behaviour = answering, *, key: str | None = None, **patience: Any) -> list[float]:
    """Asks a server that behaves like this. Gives the pauses that were made."""
    pauses = Pauses()

    async def main() -> None:
        async with model_server(behaviour) as server:
            settings = Server(server.url, "tiny:1b", key, 4096 if key is None else None)
            model = ServerModel(settings, Secrets({"MY_KEY": KEY}), Patience(**{"sleep": pauses, **patience}))
            try:
                await use(model, server)
            finally:
                await model.close()

    asyncio.run(main())
    return pauses.seconds


def error_of(behaviour: Behaviour, request: GenerationRequest | None = None, **more: Any) -> GraphferryError:
    """What a request comes to that cannot succeed."""
    caught: list[GraphferryError] = []

    async def use(model: ServerModel, server: ModelServer) -> None:
        with pytest.raises(GraphferryError) as raised:
            await model.generate(request or ask())
        caught.append(raised.value)

    with_server(use, behaviour, **more)
    assert KEY not in str(caught[0])
    assert KEY not in repr(caught[0])
    return caught[0]


def refusing(status: int, body: Any = "", kind: str = "application/json", **headers: str) -> Behaviour:
    async def behave(asked: Asked, connection: Connection) -> None:
        await connection.whole(status, body, kind, **headers)

    return behave


def streaming(*events: Any, end: bool = True, cut: bool = False) -> Behaviour:
    async def behave(asked: Asked, connection: Connection) -> None:
        await connection.head()
        for event in events:
            await connection.event(event)
        if cut:
            connection.cut()
        elif end:
            await connection.end()
        else:
            await connection.gone.wait()

    return behave
