"""The end of a connection: last words to a peer that may not listen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from protocol import codec
from protocol.carrier import Carrier
from protocol.messages import Fault

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import ServerConnection

    Socket: TypeAlias = ClientConnection | ServerConnection

__all__ = ["send_last", "shut"]

_CLOSE_SECONDS: Final = 2.0
"""How long a peer may take for the last words."""


async def shut(carrier: Carrier, code: int = 1000, reason: str = "") -> None:
    """Close a connection, in words if the peer listens."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await carrier.close(code, reason)
    except TimeoutError:
        carrier.transport.abort()


async def send_last(socket: Socket, fault: Fault, code: int) -> None:
    """Tell the peer why, and close."""
    from websockets.exceptions import ConnectionClosed

    try:
        await socket.send(codec.encode(fault))
        await socket.close(code, fault.code)
    except ConnectionClosed:
        return  # it is gone already
