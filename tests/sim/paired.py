"""Schedules in which devices are paired, and lose their access: the exchange of the code goes over the simulated network, tokens are checked at
each connection, and what a device that is revoked had running is cancelled. Its user pairs it again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final
from unittest.mock import patch

from cloud.access import Access
from cloud.accounts import DEFAULT, Account
from cloud.devices import DeviceStore, token_hash
from cloud.pairing import issue_code
from edge.pair import PairingFailed, pair_with
from edge.pairings import device_id
from graphs.errors import JournalError, WorkerUnreachable
from graphs.journal import Journal
from sim.faults import CLOUD, Fault
from sim.play import URL, Outcome, Play, Scenario, play, scenario_of
from sim.world import EPOCH, Process

__all__ = ["paired_of", "play_paired"]

_ACCOUNTS: Final = {DEFAULT: Account()}


def paired_of(seed: int) -> Scenario:
    """What a seed stands for."""
    scenario, chance = scenario_of(seed), random.Random(f"paired {seed}")
    moments = (("packet", 60), ("execute", 8), ("executed", 8), ("committed", 25))
    revoked = []
    for _ in range(chance.choice((0, 1, 1, 2))):
        event, most = chance.choice(moments)
        revoked.append(Fault("revoke", chance.choice(scenario.devices), event, 1 + chance.randrange(most), 0.0, 0))
    return replace(scenario, faults=(*scenario.faults, *revoked))


def play_paired(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule."""
    with (
        patch("cloud.access._LOOK_SECONDS", 20.0),  # a worker that looks twice a second for a week has no end
        patch("hashlib.scrypt", _digested),
    ):
        return play(scenario, outcome, _Paired)


def _digested(secret: bytes, *, salt: bytes, **_: int) -> bytes:
    """In place of what is to be slow for whoever guesses codes: nobody does here, and it was half of what such a schedule takes."""
    return sha256(salt + secret).digest()


class _Paired(Play):
    """`tokens` are those of the devices' users, by machine, with the device they are for."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.tokens: dict[str, tuple[bytes, str]] = {}

    async def _use(self, number: int, name: str, expected: Any) -> None:
        self.faults.revoke = self._revoke
        await super()._use(number, name, expected)

    @contextmanager
    def _store(self) -> Iterator[DeviceStore]:
        """The worker's store of devices: a file of its own, always synced."""
        with DeviceStore(self.machines[CLOUD].disk.root / "devices.db") as store:
            yield store

    def _access(self, process: Process) -> Access:
        store = process.kernel.enter_context(DeviceStore(process.machine.disk.root / "devices.db"))
        return Access(_ACCOUNTS, devices=store)

    def _revoke(self, name: str) -> None:
        if name in self.tokens:
            with self._store() as store:
                store.revoke(self.tokens[name][0], self._worker_ms())

    def _worker_ms(self) -> int:
        """The time at the worker, where codes are made and access is ended."""
        return int((EPOCH + self.world.now + self.machines[CLOUD].skew) * 1000)

    async def _token(self, name: str, journal: Journal) -> str | None:
        """The device's token. Whoever was told that it is good for nothing any more pairs again, as a rule."""
        device = device_id(journal.store_id)
        known, token = self.tokens.get(name, (b"", None))
        with self._store() as store:
            found = store.get(device)
            good = token is not None and known == device and found is not None and found.token == token_hash(token)
            if good and found is not None and found.revoked is None:
                return token
            if token is not None and self.world.chance.random() < 0.2:
                return token
            code = issue_code(store, DEFAULT, self._worker_ms())
        try:
            pairing = await pair_with(URL, code, device=device, name=name)
        except (PairingFailed, WorkerUnreachable, JournalError):
            return token
        self.tokens[name] = device, pairing.token
        self.world.tell("paired", name)
        return pairing.token
