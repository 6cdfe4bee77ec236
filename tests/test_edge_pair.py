"""Pairing as the device does it: with the worker that printed the code, and with those who say they are."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from certificates import certificate, fingerprint, listening
from cloud.accounts import Account
from cloud.devices import DeviceStore
from cloud.pairing import issue_code, pair_over
from edge.pair import PairingFailed, pair_with
from edge.pairings import Pairing
from graphs.errors import WorkerUnreachable
from protocol.errors import WorkerUntrusted
from protocol.pairing import Code, PairAnswer, PairRequest
from protocol.tls import client_context, server_context
from protocol.transport import SUBPROTOCOL, open_socket

ACCOUNTS = {"default": Account()}


@asynccontextmanager
async def answering(handle: Callable[[ServerConnection], object], name: str | None) -> AsyncIterator[str]:
    """A WebSocket server with this certificate; gives the link URL."""
    tls = server_context(certificate(name)) if name is not None else None
    async with serve(handle, "127.0.0.1", 0, ssl=tls, subprotocols=[Subprotocol(SUBPROTOCOL)]) as server:  # type: ignore[arg-type]
        port = server.sockets[0].getsockname()[1]
        yield f"{'ws' if tls is None else 'wss'}://127.0.0.1:{port}/v1/link"


@asynccontextmanager
async def worker(store: DeviceStore, name: str | None = "first") -> AsyncIterator[str]:
    async def handle(socket: ServerConnection) -> None:
        await pair_over(socket, store, [fingerprint(name) if name else ""], ACCOUNTS, lambda: 1000)

    async with answering(handle, name) as url:
        yield url


async def pair(url: str, code: Code, *, pinned: str | None = None) -> Pairing:
    return await pair_with(url, code, device=bytes(16), name="laptop", fingerprint=pinned)


def test_a_code_becomes_a_token_and_the_certificate_is_pinned(tmp_path: Path) -> None:
    async def main() -> None:
        with DeviceStore(tmp_path / "d.db") as store:
            async with worker(store) as url:
                pairing = await pair(url, issue_code(store, "default", 0))
                assert (pairing.url, pairing.fingerprint, pairing.account) == (url, fingerprint("first"), "default")
                assert store.by_token(pairing.token) is not None
                insisted = await pair(url, issue_code(store, "default", 0), pinned=fingerprint("first").upper())
                assert insisted.fingerprint == fingerprint("first")
            async with worker(store, None) as url:
                plain = await pair(url, issue_code(store, "default", 0))
                assert plain.fingerprint is None

    asyncio.run(main())


def test_a_certificate_that_the_system_verifies_is_not_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("first")))

    async def main() -> None:
        with DeviceStore(tmp_path / "d.db") as store:

            async def handle(socket: ServerConnection) -> None:
                await pair_over(socket, store, ["", fingerprint("first")], ACCOUNTS, lambda: 1000)

            async with answering(handle, "first") as url:
                assert (await pair(url, issue_code(store, "default", 0))).fingerprint is None
                socket = await open_socket(url, tls=client_context())
                await socket.close()

    asyncio.run(main())


def test_another_certificate_than_the_one_insisted_on_hears_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening("second") as server:
            with pytest.raises(WorkerUntrusted):
                await pair(f"wss://127.0.0.1:{server.port}/v1/link", Code("ABCD", "EFGHJKMNPQRS"), pinned=fingerprint("first"))
        assert bytes(server.heard) == b""

    asyncio.run(main())


def test_a_wrong_code_is_refused_and_so_is_the_right_one_after_three(tmp_path: Path) -> None:
    async def main() -> None:
        with DeviceStore(tmp_path / "d.db") as store:
            async with worker(store) as url:
                code = issue_code(store, "default", 0)
                for secret in ("000000000000", "000000000001", "000000000002", code.secret):
                    with pytest.raises(PairingFailed, match="wrong, used up or expired") as caught:
                        await pair(url, Code(code.id, secret))
                    assert secret not in str(caught.value)
                late = issue_code(store, "default", 0, lasts_ms=1000)
                with pytest.raises(PairingFailed, match="wrong, used up or expired"):
                    await pair(url, late)
            assert store.devices() == []

    asyncio.run(main())


def test_whoever_sits_in_between_gets_nothing(tmp_path: Path) -> None:
    """He passes the device's words on to the real worker, with a certificate of his own."""

    async def main() -> None:
        with DeviceStore(tmp_path / "d.db") as store:
            async with worker(store) as real:
                passed: list[bytes] = []

                async def between(socket: ServerConnection) -> None:
                    request = await socket.recv(decode=False)
                    upstream = await open_socket(real.replace("/v1/link", "/v1/pair"), tls=client_context(trusting=True))
                    await upstream.send(request)
                    answer = await upstream.recv(decode=False)
                    passed.append(answer)
                    await socket.send(answer)
                    await upstream.close()

                async with answering(between, "second") as url:
                    code = issue_code(store, "default", 0)
                    with pytest.raises(PairingFailed):
                        await pair(url, code)
                assert PairAnswer.decode(passed[0]).refused
                assert (await pair(real, code)).fingerprint == fingerprint("first"), "the code is still good"

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["impostor", "garbage", "silence"])
def test_who_does_not_know_the_code_is_not_taken_for_the_worker(kind: str) -> None:
    async def handle(socket: ServerConnection) -> None:
        request = PairRequest.decode(await socket.recv(decode=False))
        if kind == "impostor":
            await socket.send(
                PairAnswer("my token", "default").proved(secrets.token_bytes(32), fingerprint("first"), request).encode()
            )
        elif kind == "garbage":
            await socket.send(b"\xc1")

    async def main() -> None:
        async with answering(handle, "first") as url:
            wanted = {
                "impostor": "does not know this code",
                "garbage": "is no worker of this version",
                "silence": "closed the connection",
            }
            with pytest.raises(WorkerUnreachable if kind == "silence" else PairingFailed, match=wanted[kind]):
                await pair(url, Code("ABCD", "EFGHJKMNPQRS"))

    asyncio.run(main())


def test_nobody_there_is_unreachable() -> None:
    async def main() -> None:
        async with answering(lambda socket: socket.close(), None) as url:
            pass
        with pytest.raises(WorkerUnreachable, match="cannot be reached"):
            await pair(url, Code("ABCD", "EFGHJKMNPQRS"))

    asyncio.run(main())


def test_a_server_without_tls_behind_a_wss_url_is_unreachable() -> None:
    async def main() -> None:
        async with answering(lambda socket: socket.close(), None) as url:
            with pytest.raises(WorkerUnreachable):
                await pair(url.replace("ws:", "wss:"), Code("ABCD", "EFGHJKMNPQRS"))

    asyncio.run(main())
    assert ssl.HAS_TLSv1_3
