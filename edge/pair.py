"""Pairing at the device: a one-time code is exchanged for a token of this device's own, and the worker's certificate is pinned.

The worker has to prove that it knows the code, by the certificate that this device sees; so a certificate that nobody vouches for can be
taken without comparing fingerprints by eye (docs/protocol.md §18).
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from typing import TYPE_CHECKING, Final

from edge.pairings import Pairing
from graphs.errors import GraphferryError, WorkerUnreachable
from protocol.errors import RemoteProtocolError, WorkerUntrusted
from protocol.pairing import PAIR_PATH, Code, PairAnswer, PairRequest, pair_key
from protocol.tls import client_context, fingerprint_of, parse_fingerprint
from protocol.transport import PATH, open_socket

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["PairingFailed", "pair_with"]

_SECONDS: Final = 15.0


class PairingFailed(GraphferryError):
    """The worker refused the code, or what answered is not the worker that printed it. Nothing was stored."""

    code = "AUTH_FORBIDDEN"


async def pair_with(url: str, code: Code, *, device: bytes, name: str, fingerprint: str | None = None) -> Pairing:
    """Pair with the worker at `url` (as `edge.pairings.link_url` gives it) as the device of these 16 bytes and this name. With `fingerprint`
    its certificate must have that one.

    Raises PairingFailed, WorkerUnreachable, UsageError.
    """
    where = url.removesuffix(PATH) + PAIR_PATH
    try:
        socket, pinned = await _open(where, parse_fingerprint(fingerprint) if fingerprint else None)
    except WorkerUnreachable as error:  # it is named by the URL that people know
        error.message = error.message.replace(where, url)
        raise
    try:
        key = await asyncio.to_thread(pair_key, code)
        request = PairRequest(code.id, device, name, secrets.token_bytes(16)).proved(key, pinned or "")
        answer = await _ask(socket, url, request)
    finally:
        await socket.close()
    if answer.refused:
        raise PairingFailed(f"the worker at {url} did not pair: {answer.refused}")
    if not answer.holds(key, pinned or "", request):
        raise PairingFailed(
            f"what answers at {url} does not know this code: it is not the worker that printed it, and nothing was stored",
            hint="Somebody may be in between. Compare the URL with what the worker printed.",
        )
    return Pairing(url, answer.token, pinned, answer.account, time.time_ns() // 1_000_000)


async def _open(where: str, fingerprint: str | None) -> tuple[ClientConnection, str | None]:
    """A connection to the place where the worker pairs, and the fingerprint to pin: None if the system vouches for the certificate."""
    if not where.startswith("wss:"):
        return await open_socket(where), None
    if fingerprint is not None:
        return await open_socket(where, tls=client_context(fingerprint)), fingerprint
    try:
        return await open_socket(where, tls=client_context()), None
    except WorkerUntrusted:
        socket = await open_socket(where, tls=client_context(trusting=True))
        return socket, _seen(socket)


def _seen(socket: ClientConnection) -> str:
    tls: ssl.SSLObject = socket.transport.get_extra_info("ssl_object")
    return fingerprint_of(tls.getpeercert(binary_form=True) or b"")


async def _ask(socket: ClientConnection, url: str, request: PairRequest) -> PairAnswer:
    from websockets.exceptions import ConnectionClosed

    try:
        async with asyncio.timeout(_SECONDS):
            await socket.send(request.encode())
            return PairAnswer.decode(await socket.recv(decode=False))
    except TimeoutError:
        raise WorkerUnreachable(url, f"the worker at {url} took the connection but did not answer") from None
    except ConnectionClosed as error:
        raise WorkerUnreachable(url, f"the worker at {url} closed the connection in the middle of pairing") from error
    except RemoteProtocolError as error:
        raise PairingFailed(f"what answers at {url} is no worker of this version: {error.text}") from error
