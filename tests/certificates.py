"""Certificates for tests, each made once a session and kept by its name; and a server that shows one and counts what it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from cloud.certificate import own_certificate
from protocol.tls import certificate_fingerprint, server_context

__all__ = ["Listener", "certificate", "fingerprint", "listening"]


@cache
def certificate(name: str) -> Path:
    """A self-signed certificate and its key, in one file."""
    return own_certificate(Path(mkdtemp(prefix="gf-cert-")) / f"{name}.pem", ["127.0.0.1", "localhost"])


def fingerprint(name: str) -> str:
    return certificate_fingerprint(certificate(name))


class Listener:
    """Where a server listens, and what was said to it after the handshake."""

    def __init__(self) -> None:
        self.port = 0
        self.heard = bytearray()
        self.connections = 0


@asynccontextmanager
async def listening(name: str, context: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """A TLS server that says nothing."""
    listener = Listener()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        try:
            while data := await reader.read(4096):
                listener.heard += data
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context or server_context(certificate(name)))
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener
