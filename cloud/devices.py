"""The store of paired devices: who they are, whose, and the hash of each one's token. One SQLite file that only its owner may read.

Several processes use it at once: the worker that serves, and the commands that pair, list and revoke.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from graphs.errors import JournalError, UsageError, why_failed

__all__ = ["DeviceStore", "PairedDevice", "token_hash"]

_BUSY_MS: Final = 10_000
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS devices (
        device BLOB PRIMARY KEY CHECK (length(device) = 16),
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        token BLOB NOT NULL CHECK (length(token) = 32),
        paired INTEGER NOT NULL,
        until INTEGER,
        revoked INTEGER
    ) WITHOUT ROWID""",
    # `secret` is the key made of a code: it is worth something only until `until`, and only here
    """CREATE TABLE IF NOT EXISTS codes (
        code TEXT PRIMARY KEY,
        secret BLOB NOT NULL,
        account TEXT NOT NULL,
        until INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
)


class PairedDevice(NamedTuple):
    """A device that was paired. Times are ms since 1970; `until` is the end of its token, `revoked` when its access ended."""

    device: bytes
    account: str
    name: str
    token: bytes
    paired: int
    until: int | None
    revoked: int | None

    @property
    def id(self) -> str:
        """What a person names it by, besides its name: the part that differs between devices."""
        return self.device[:8].hex()


def token_hash(token: str) -> bytes:
    """What is kept of a token. It has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class DeviceStore:
    """The devices and pairing codes of one worker store. Methods block for a commit; raise JournalError if the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._told():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1000, check_same_thread=False)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")
            with self.transaction() as db:
                for table in _TABLES:
                    db.execute(table)
        self._seen: int | None = None
        self._devices: list[PairedDevice] = []

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and nobody else writes meanwhile."""
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._seen = None

    def devices(self) -> list[PairedDevice]:
        """All devices, revoked ones too, in the order they were paired. Cheap while no process changed the file."""
        with self._told():
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version != self._seen:
                rows = self._db.execute(
                    "SELECT device, account, name, token, paired, until, revoked FROM devices ORDER BY paired"
                )
                self._devices = [PairedDevice(*row) for row in rows]
                self._seen = version
        return self._devices

    def by_token(self, token: str) -> PairedDevice | None:
        """The device whose token this is, revoked or not. Every hash is compared, each in constant time."""
        wanted, found = token_hash(token), None
        for device in self.devices():
            if hmac.compare_digest(device.token, wanted):
                found = device
        return found

    def get(self, device: bytes) -> PairedDevice | None:
        """The device with this id, revoked or not."""
        return next((each for each in self.devices() if each.device == device), None)

    def find(self, word: str) -> PairedDevice:
        """The device of this name, or whose id begins so; one that still has access before others. Raises UsageError for none or several."""
        found = [each for each in self.devices() if each.name == word or (len(word) >= 4 and each.id.startswith(word.lower()))]
        found = [each for each in found if each.revoked is None] or found
        if len(found) == 1:
            return found[0]
        known = "".join(f"\n  {each.id}  {each.name}" for each in found)
        what = f"{word!r} may be any of these:{known}" if found else f"no paired device is named {word!r}"
        raise UsageError(what, hint="List them: graphferry serve devices")

    def revoke(self, device: bytes, now: int) -> None:
        """End a device's access. What it is told, and when, is the serving worker's part."""
        with self.transaction() as db:
            db.execute("UPDATE devices SET revoked = coalesce(revoked, ?) WHERE device = ?", (now, device))

    @staticmethod
    def add(db: sqlite3.Connection, device: bytes, account: str, name: str, now: int, until: int | None) -> str:
        """Inside a transaction: the device is paired; gives its token, which is kept nowhere here. An earlier token of it ends."""
        token = "gfd_" + secrets.token_urlsafe(32)
        row = (device, account, name, token_hash(token), now, until)
        db.execute("INSERT OR REPLACE INTO devices (device, account, name, token, paired, until) VALUES (?, ?, ?, ?, ?, ?)", row)
        return token

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise JournalError(
                f"the store of paired devices {self.path} cannot be used: {why_failed(error)}",
                hint="Check that the place may be written and has room.",
            ) from error
