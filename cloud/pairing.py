"""Pairing at the worker: one-time codes, and the exchange of a code for a device's own token.

A code is good for a few minutes, for one device, and for three tries. Wrong, used up, expired and never given are told apart by nobody
outside. How often anybody may try at all is limited, too (docs/protocol.md §18).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from cloud.accounts import DEFAULT, Account
from cloud.devices import DeviceStore
from protocol.errors import Close, RemoteProtocolError
from protocol.pairing import Code, PairAnswer, PairRequest, pair_key

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

__all__ = ["CODE_MS", "Paired", "issue_code", "pair_over", "redeem"]

CODE_MS: Final = 10 * 60_000
"""How long a code is good."""
TRIES: Final = 3
_MOST_CODES: Final = 16
_SECONDS: Final = 10.0
_REFUSED: Final = "this code is wrong, used up or expired; make a new one at the worker: graphferry serve pair"


class Paired(NamedTuple):
    """A device that was just paired, and what it is told."""

    name: str
    account: str
    answer: PairAnswer


def issue_code(store: DeviceStore, account: str, now: int, *, lasts_ms: int = CODE_MS) -> Code:
    """A new code for one device of this account; the oldest ones go when there are many. `now` is ms since 1970."""
    code = Code.of(secrets.token_bytes(16))
    row = (code.id, pair_key(code), account, now + lasts_ms)
    with store.transaction() as db:
        db.execute("DELETE FROM codes WHERE until <= ?", (now,))
        db.execute("DELETE FROM codes WHERE code NOT IN (SELECT code FROM codes ORDER BY until DESC LIMIT ?)", (_MOST_CODES - 1,))
        db.execute("INSERT OR REPLACE INTO codes (code, secret, account, until) VALUES (?, ?, ?, ?)", row)
    return code


def redeem(
    store: DeviceStore, request: PairRequest, bindings: Collection[str], accounts: Mapping[str, Account], now: int
) -> Paired | None:
    """Exchange a code for a token; None if it is refused. `bindings` are what the device may have seen of this worker's certificate.

    The try is counted and the code removed in the same transaction in which the device is added, so a code makes one device, however many
    ask at once and whatever crashes.
    """
    with store.transaction() as db:
        row = db.execute("SELECT secret, account, until, tries FROM codes WHERE code = ?", (request.code,)).fetchone()
        key, account, until, tries = row if row is not None else (bytes(32), DEFAULT, 0, TRIES)
        binding = None
        for each in bindings:
            if request.holds(key, each):
                binding = each
        good = row is not None and now < until and tries < TRIES
        if binding is None or not good or account not in accounts:
            db.execute("UPDATE codes SET tries = tries + 1 WHERE code = ?", (request.code,))
            db.execute("DELETE FROM codes WHERE code = ? AND (tries >= ? OR until <= ?)", (request.code, TRIES, now))
            return None
        lasts = accounts[account].token_ms
        token = store.add(db, request.device, account, request.name, now, None if lasts is None else now + lasts)
        db.execute("DELETE FROM codes WHERE code = ?", (request.code,))
    return Paired(request.name, account, PairAnswer(token, account).proved(key, binding, request))


async def pair_over(
    socket: ServerConnection,
    store: DeviceStore,
    bindings: Collection[str],
    accounts: Mapping[str, Account],
    clock: Callable[[], int],
) -> Paired | None:
    """One connection that wants to pair: read its request, answer it, close. Gives who was paired."""
    from websockets.exceptions import ConnectionClosed

    try:
        async with asyncio.timeout(_SECONDS):
            packet = await socket.recv(decode=False)
            paired = redeem(store, PairRequest.decode(packet), bindings, accounts, clock())
            await socket.send((paired.answer if paired else PairAnswer(refused=_REFUSED)).encode())
            await socket.close(1000 if paired else Close.FORBIDDEN)
            return paired
    except (TimeoutError, RemoteProtocolError):
        await socket.close(Close.PROTOCOL)
    except ConnectionClosed:
        pass  # a token that did not arrive is replaced when the device pairs again
    return None
