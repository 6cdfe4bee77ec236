"""Codes at the worker: good once, for a while, for few tries; and the exchange over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from cloud.accounts import Account
from cloud.devices import DeviceStore
from cloud.pairing import CODE_MS, TRIES, Paired, issue_code, pair_over, redeem
from protocol.pairing import Code, PairAnswer, PairRequest, pair_key

ACCOUNTS = {"default": Account(), "alice": Account("alice", token_ms=1000)}
SEEN = "sha256:" + "12" * 32
NOW = 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    with DeviceStore(tmp_path / "devices.db") as opened:
        yield opened


def request(code: Code, binding: str = SEEN, device: int = 1) -> PairRequest:
    return PairRequest(code.id, bytes([device]) * 16, "laptop", bytes(16)).proved(pair_key(code), binding)


def wrong(code: Code) -> Code:
    return Code(code.id, ("0" if code.secret[0] != "0" else "1") + code.secret[1:])


def test_a_code_makes_one_device_with_a_token_that_works(store: DeviceStore) -> None:
    code = issue_code(store, "alice", NOW)
    asked = request(code)
    paired = redeem(store, asked, [SEEN], ACCOUNTS, NOW + CODE_MS - 1)
    assert paired is not None
    assert (paired.name, paired.account) == ("laptop", "alice")
    assert paired.answer.holds(pair_key(code), SEEN, asked)
    device = store.by_token(paired.answer.token)
    assert device is not None
    assert (device.device, device.account, device.until) == (bytes([1]) * 16, "alice", NOW + CODE_MS - 1 + 1000)
    assert redeem(store, request(code, device=2), [SEEN], ACCOUNTS, NOW) is None
    assert len(store.devices()) == 1


def test_a_code_dies_after_few_tries(store: DeviceStore) -> None:
    code = issue_code(store, "default", NOW)
    for _ in range(TRIES - 1):
        assert redeem(store, request(wrong(code)), [SEEN], ACCOUNTS, NOW) is None
    other = issue_code(store, "default", NOW)
    assert redeem(store, request(wrong(code)), [SEEN], ACCOUNTS, NOW) is None
    assert redeem(store, request(code), [SEEN], ACCOUNTS, NOW) is None, "it died of the wrong tries"
    assert redeem(store, request(other), [SEEN], ACCOUNTS, NOW) is not None, "another code is not touched"


def test_a_code_expires(store: DeviceStore) -> None:
    code = issue_code(store, "default", NOW)
    assert redeem(store, request(code), [SEEN], ACCOUNTS, NOW + CODE_MS) is None
    assert redeem(store, request(code), [SEEN], ACCOUNTS, NOW) is None, "looking at it too late removed it"


def test_a_code_is_worth_nothing_over_another_certificate(store: DeviceStore) -> None:
    code = issue_code(store, "default", NOW)
    assert redeem(store, request(code, "sha256:" + "66" * 32), [SEEN], ACCOUNTS, NOW) is None
    assert redeem(store, request(code, ""), [SEEN], ACCOUNTS, NOW) is None, "nobody but the device's system could vouch for it"
    assert redeem(store, request(code, ""), ["", SEEN], ACCOUNTS, NOW) is not None


def test_a_code_of_an_account_that_is_gone_is_refused(store: DeviceStore) -> None:
    code = issue_code(store, "bob", NOW)
    assert redeem(store, request(code), [SEEN], ACCOUNTS, NOW) is None
    assert store.devices() == []


def test_a_code_nobody_gave_is_refused_whatever_key_is_tried(store: DeviceStore) -> None:
    guess = PairRequest("0000", bytes(16), "x", bytes(16)).proved(bytes(32), SEEN)
    assert redeem(store, guess, [SEEN], ACCOUNTS, NOW) is None


def test_of_many_at_once_one_is_paired(store: DeviceStore, tmp_path: Path) -> None:
    code = issue_code(store, "default", NOW)
    requests = [request(code, device=number) for number in range(4)]
    found: list[Paired | None] = []
    begin = threading.Barrier(4)

    def ask(each: PairRequest) -> None:
        with DeviceStore(tmp_path / "devices.db") as own:
            begin.wait()
            found.append(redeem(own, each, [SEEN], ACCOUNTS, NOW))

    threads = [threading.Thread(target=ask, args=(each,)) for each in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([each for each in found if each is not None]) == 1
    assert len(store.devices()) == 1


def test_the_code_itself_is_not_in_the_file(store: DeviceStore, tmp_path: Path) -> None:
    code = issue_code(store, "default", NOW)
    kept = (tmp_path / "devices.db").read_bytes()
    assert code.secret.encode() not in kept
    assert code.text.encode() not in kept


def test_codes_do_not_pile_up(store: DeviceStore) -> None:
    codes = [issue_code(store, "default", NOW + each) for each in range(20)]
    assert redeem(store, request(codes[0]), [SEEN], ACCOUNTS, NOW + 20) is None
    assert redeem(store, request(codes[-1]), [SEEN], ACCOUNTS, NOW + 20) is not None


def test_the_exchange_over_a_socket(store: DeviceStore) -> None:
    code = issue_code(store, "default", NOW)
    paired: list[Paired | None] = []

    async def main() -> None:
        async def handle(socket: object) -> None:
            paired.append(await pair_over(socket, store, [SEEN], ACCOUNTS, lambda: NOW))  # type: ignore[arg-type]

        async def say(port: int, packet: bytes | str) -> tuple[PairAnswer | None, int | None]:
            async with connect(f"ws://127.0.0.1:{port}", proxy=None) as socket:
                await socket.send(packet)
                try:
                    answer = PairAnswer.decode(await socket.recv(decode=False))
                except ConnectionClosed:
                    answer = None
                await socket.wait_closed()
                return answer, socket.close_code

        async with serve(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert await say(port, b"\xc1") == (None, 4400)
            assert await say(port, "text") == (None, 4400)
            refused, closed = await say(port, request(wrong(code)).encode())
            assert refused is not None
            assert "wrong, used up or expired" in refused.refused
            assert closed == 4403
            asked = request(code)
            answer, closed = await say(port, asked.encode())
            assert answer is not None
            assert answer.holds(pair_key(code), SEEN, asked)
            assert closed == 1000
            again, _ = await say(port, asked.encode())
            assert again is not None
            assert again.refused == refused.refused, "the same words whatever is wrong"

    asyncio.run(main())
    assert [each.name for each in paired if each] == ["laptop"]
