"""The door: which token stands for what, and that an open connection ends with its access."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import logging
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from cloud.access import Access
from cloud.accounts import Account
from cloud.devices import DeviceStore
from cloud.traffic import Traffic
from protocol import codec
from protocol.pairing import PAIR_PATH
from protocol.transport import PATH, SUBPROTOCOL, Refused, listen, open_socket

CI = "sha256:" + hashlib.sha256(b"ci token").hexdigest()
ACCOUNTS = {"default": Account(), "alice": Account("alice", tokens={"ci": CI})}
DEVICE = bytes(range(16))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    with DeviceStore(tmp_path / "devices.db") as opened:
        yield opened


def pair(store: DeviceStore, account: str = "alice", until: int | None = None, device: bytes = DEVICE) -> str:
    with store.transaction() as db:
        return store.add(db, device, account, "laptop", 1, until)


def status(access: Access, token: str | None, path: str = PATH) -> int:
    refused = access.admit(path, token)
    return 200 if refused is None else int(refused.status)


def test_the_workers_own_token_those_of_the_configuration_and_those_of_devices(store: DeviceStore) -> None:
    access = Access(ACCOUNTS, token="own", devices=store)
    token = pair(store)
    assert [status(access, each) for each in ("own", "ci token", token)] == [200, 200, 200]
    assert [status(access, each) for each in (None, "", "owm", "own ", CI, token[:-1], "\udcff")] == [401] * 7
    accounts = [access._judge(each) for each in ("own", "ci token", token)]
    assert [each.account.name for each in accounts if not hasattr(each, "fault")] == ["default", "alice", "alice"]


def test_everybody_may_come_only_while_there_is_nothing_to_show(store: DeviceStore) -> None:
    nobody = {"default": Account()}
    assert status(Access(nobody, devices=store, anybody=True), None) == 200
    assert status(Access(nobody, devices=store), None) == 401
    assert status(Access(nobody, token="own", devices=store, anybody=True), None) == 401
    assert status(Access(ACCOUNTS, devices=store, anybody=True), None) == 401
    pair(store)
    assert status(Access(nobody, devices=store, anybody=True), None) == 401
    store.revoke(DEVICE, 2)
    assert status(Access(nobody, devices=store, anybody=True), None) == 401, "who was sent away does not come back as nobody"


def test_access_that_ended_says_why(store: DeviceStore) -> None:
    access = Access(ACCOUNTS, devices=store, clock=lambda: 1000)
    token = pair(store, until=1001)
    assert status(access, token) == 200
    token = pair(store, until=1000)
    assert access.admit(PATH, token) == Refused(
        HTTPStatus.UNAUTHORIZED,
        "this device's token has expired: pair it again (graphferry pair)",
    )
    token = pair(store, "bob")
    assert status(access, token) == 403
    token = pair(store)
    store.revoke(DEVICE, 5)
    refused = access.admit(PATH, token)
    assert refused is not None
    assert refused[0] == 403
    assert "revoked" in refused[1]


def test_pairing_is_open_to_all_but_not_often(store: DeviceStore) -> None:
    now = 0.0
    access = Access(ACCOUNTS, token="own", devices=store, traffic=Traffic(clock=lambda: now))
    answers = [status(access, None, PAIR_PATH) for _ in range(200)]
    assert answers[0] == 200
    assert answers[-1] == 429
    now = 61.0
    assert status(access, None, PAIR_PATH) == 200
    assert status(Access(ACCOUNTS), None, PAIR_PATH) == 404


async def until_closed(socket: object) -> tuple[list[object], int | None]:
    said: list[object] = []
    async with asyncio.timeout(120):
        try:
            while True:
                said += codec.decode(await socket.recv(decode=False))  # type: ignore[attr-defined]
        except ConnectionClosed:
            return said, socket.close_code  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("ending", "code", "fault", "was_revoked"),
    [("revoke", 4403, "AUTH_FORBIDDEN", True), ("expire", 4401, "AUTH_EXPIRED", False), ("again", 4403, "AUTH_FORBIDDEN", False)],
)
def test_an_open_connection_ends_with_its_access(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str, code: int, fault: str, was_revoked: bool
) -> None:
    """Whichever process ended it: here the same file, opened a second time."""
    caplog.set_level(logging.DEBUG)
    now = 1000
    revoked: list[bool] = []

    async def main(serving: DeviceStore, command: DeviceStore) -> None:
        nonlocal now
        token, other = pair(serving, until=2000), pair(serving, device=bytes(16))
        access = Access(ACCOUNTS, devices=serving, clock=lambda: now)
        entered = asyncio.Event()

        async def handle(socket: object) -> None:
            grant = await access.enter(socket, DEVICE)  # type: ignore[arg-type]
            if grant is not None:
                with access.watching(socket, grant, lambda: revoked.append(True)):  # type: ignore[arg-type]
                    entered.set()
                    await socket.wait_closed()  # type: ignore[attr-defined]

        server = await listen(handle, host="127.0.0.1", port=0, admit=access.admit)
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{PATH}"
        async with await open_socket(url, other) as stranger:
            said, closed = await until_closed(stranger)
            assert (said[0].code, closed) == ("AUTH_FORBIDDEN", 4403)  # type: ignore[attr-defined]
            assert "another installation" in said[0].text  # type: ignore[attr-defined]
        async with await open_socket(url, token) as socket:
            await entered.wait()
            await access.look()
            assert socket.close_code is None
            if ending == "revoke":
                command.revoke(DEVICE, 1500)
            elif ending == "again":
                pair(command)
            else:
                now = 2000
            said, closed = await until_closed(socket)
        assert [(each.code, each.fatal) for each in said] == [(fault, True)]  # type: ignore[attr-defined]
        assert closed == code
        await access.close()
        server.close()
        await server.wait_closed()
        assert token not in caplog.text

    with DeviceStore(tmp_path / "d.db") as serving, DeviceStore(tmp_path / "d.db") as command:
        asyncio.run(main(serving, command))
    assert revoked == ([True] if was_revoked else [])


def test_odd_requests_are_refused_not_broken(store: DeviceStore) -> None:
    def ask(port: int, headers: list[tuple[str, bytes]]) -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
            connection.putrequest("GET", PATH)
            for name, value in [
                ("Connection", b"Upgrade"), ("Upgrade", b"websocket"), ("Sec-WebSocket-Version", b"13"),
                ("Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="), ("Sec-WebSocket-Protocol", SUBPROTOCOL.encode()), *headers,
            ]:  # fmt: skip
                connection.putheader(name, value)
            connection.endheaders()
            return connection.getresponse().status

    async def main() -> None:
        async def handle(socket: object) -> None:
            await socket.wait_closed()  # type: ignore[attr-defined]

        access = Access(ACCOUNTS, token="own", devices=store)
        server = await listen(handle, host="127.0.0.1", port=0, admit=access.admit)
        port = next(iter(server.sockets)).getsockname()[1]
        good = ("Authorization", b"Bearer own")
        for headers, wanted in [
            ([good], 101),
            ([good, good], 401),
            ([("Authorization", b"Bearer \xff\xfe")], 401),
            ([("Authorization", b"Bearer")], 401),
            ([good, ("Origin", b"http://a"), ("Origin", b"http://b")], 403),
        ]:
            assert await asyncio.to_thread(ask, port, headers) == wanted, headers
        server.close()
        await server.wait_closed()

    asyncio.run(main())
