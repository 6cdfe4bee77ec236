"""What each account holds at this worker: whose a run is, how many bytes are kept for it, and when a run may go.

A run belongs to the account that opened it; to every other it does not exist. An ended run goes when its device has acknowledged all of
it and the account's retention is over, and leaves a tombstone for 90 days, so that its id is never executed again. One whose results
were not fetched stays, unless the account says `unfetched` (docs/protocol.md §10).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from cloud.accounts import DAY_MS, DEFAULT, Account
from cloud.revival import set_down
from cloud.space import RETRY_MS, Space
from graphs.engine.holding import HOLDING_TYPES, holding
from graphs.errors import JournalError, LinkCondition, UsageError
from graphs.journal import Journal
from graphs.journal.ids import run_id_text
from graphs.language.labels import all_labels
from graphs.records import Answer, Cancel, End, Handover
from graphs.values import canonical, decode, digest
from protocol.journal_store import JournalStore, device_of
from protocol.messages import RunId
from protocol.payload import Reference
from protocol.shared import Shared
from protocol.store import Copy, Effect, Keep, LogHead, Snapshot, Trim, Write

__all__ = ["AccountStore", "Holdings", "keep_pruning"]

_OWNER, _ACKED, _GONE, _CLAIM = "owner ", "acked ", "gone ", "claim "
_TOMBSTONE_MS: Final = 90 * DAY_MS
_SLACK: Final = 16 << 20
"""Bytes over its quota that an account's open runs may still be ordered about with."""
MOST_GRAPHS: Final = 256 << 20
_DECIDING: Final = frozenset({Cancel.TYPE, Answer.TYPE, Handover.TYPE, End.TYPE})
_PRUNE_SECONDS: Final = 3600.0
_OPEN: Final = frozenset({"running", "suspended"})
_Noted = TypeVar("_Noted")

_log = logging.getLogger("graphferry.retention")


class Holdings:
    """The books of one worker process. Bytes are counted as they lie there at the start and at each pruning, and kept up to date in between, as they
    come: what the journal compressed is seen then, as is what other processes of the same store write.
    """

    def __init__(
        self,
        journal: Journal,
        accounts: Mapping[str, Account],
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        space: Space | None = None,
    ) -> None:
        self.journal = journal
        self.clock = clock
        self._accounts = accounts
        self._space = space or Space(journal.path.parent)
        self._owners = _by_run(journal.meta_values(_OWNER, str))
        self._gone = _by_run(journal.meta_values(_GONE, list))
        self._acked = _by_run(journal.meta_values(_ACKED, int))
        self._claims = _by_run(journal.meta_values(_CLAIM, int))
        self._records: Counter[str] = Counter()
        self.count_records()
        self._bodies: Counter[str] = Counter()
        self._counted: set[tuple[str, bytes]] = set()
        self.count_bodies()
        self._graphs: Counter[str] = Counter()
        self.pruned: Callable[[], object] = lambda: None
        """Called after each pruning: there may be room again."""
        self._live: set[RunId] = set()
        """Runs that a session of this process may still send from."""

    def owner(self, run: RunId) -> str:
        """Whose run this is; the default account's if it is from before there were accounts."""
        if run not in self._owners:  # another process of this store may have opened it since
            owner = self.journal.meta_value(_OWNER + run.hex(), str)
            if owner is None:
                return DEFAULT
            self._owners[run] = owner
        return self._owners[run]

    def stored(self, account: str) -> int:
        """How many bytes of records and bodies are kept for an account."""
        return self._records[account] + self._bodies[account]

    def count_records(self) -> None:
        """Count the records anew, all that are durable: they came with more bytes than the journal keeps of them, since it keeps repeats once."""
        self._records.clear()
        for run, size in self.journal.sizes().items():
            self._records[self.owner(run)] += size

    def count_bodies(self) -> None:
        """Count the bodies anew: those of runs that went are no longer kept for anybody."""
        self._bodies.clear()
        self._counted.clear()
        for run, body in self.journal.pinned():
            self.keeps(self.owner(run), body.scope, body.name, body.size)

    def keeps(self, account: str, scope: str, name: bytes, size: int) -> None:
        """A body is kept, or about to be: it counts once, whatever refers to it."""
        if (scope, name) not in self._counted:
            self._counted.add((scope, name))
            self._bodies[account] += size

    def admit_body(self, account: Account, scope: str, name: bytes, size: int) -> None:
        """A body of so many bytes is about to come. Raises LinkCondition QUOTA if there is no room for it."""
        if (scope, name) in self._counted:
            return
        if (full := self.full(account, size)) is not None:
            raise full
        self.keeps(account.name, scope, name, size)

    def accepts(self, account: Account, kind: int, size: int) -> str | None:
        """`protocol.config.Accepts`: why a further record of the account is not written down, or None. What says that a run ends, or by whom and how
        it goes on, comes a little further than the rest: it is small, and without it nothing here would ever become less.
        """
        slack = _SLACK * (2 if kind in _DECIDING else 1)
        full = self.full(account, size - slack)
        return None if full is None else full.message

    def room(self, account: Account, run: RunId) -> tuple[str, str, int | None] | None:
        """`protocol.config.Room`: None if this account may open the run."""
        if self.gone(run):
            return "RUN_EXPIRED", "only the tombstone of this run is left", None
        if self.journal.knows(run) and self.owner(run) != account.name:
            return "RUN_UNKNOWN", "this run id cannot be opened", None
        if (full := self.full(account)) is not None:
            return full.condition, full.message, None
        lack = self._space.lack()
        return None if lack is None else ("BUSY", f"{lack}; whoever runs the worker frees some", RETRY_MS)

    def has_part(self, account: Account, run: RunId) -> bool:
        """Whether a root run of this account is here: a further log of it begins nothing, and `accepts` says how much of it comes."""
        if self.gone(run) or not self.journal.knows(run) or self.owner(run) != account.name:
            return False
        try:
            return self.journal.run(run).role == "root"
        except UsageError:  # it came just now, and is not durable yet
            return False

    def full(self, account: Account, more: int = 1) -> LinkCondition | None:
        """The condition that `more` bytes cannot be kept for this account, or None."""
        stored = self.stored(account.name)
        if stored + more <= account.disk:
            return None
        text = (
            f"the account {account.name!r} keeps {stored:,} bytes at this worker and has no room for {max(more, 1):,} more, "
            f"its quota is {account.disk:,}"
        )
        help_ = (
            "fetched runs go when their retention is over, or whoever runs the worker raises `quota: {disk: ...}` of the account"
        )
        return LinkCondition("QUOTA", f"{text}: {help_}", retryable=False)

    def admit_graph(self, account: Account, size: int) -> LinkCondition | None:
        """The condition that a new cut of so many bytes is not kept for this account, or None: then it is counted.

        Cuts are no account's alone, so they are bounded by themselves: at most `MOST_GRAPHS` bytes of an account's between two times at which
        those that no run needs are dropped.
        """
        full = self.full(account)
        if full is None and self._graphs[account.name] + size > MOST_GRAPHS:
            text = f"the account {account.name!r} sent {MOST_GRAPHS:,} bytes of graphs that this worker could not drop yet"
            full = LinkCondition("QUOTA", text)
        if full is None:
            self._graphs[account.name] += size
        return full

    def opened(self, run: RunId, account: Account) -> None:
        """A run begins that is this account's."""
        self._owners[run] = account.name
        self.journal.set_meta(_OWNER + run.hex(), canonical(account.name))

    def wrote(self, account: Account, size: int) -> None:
        """So many bytes more are kept."""
        self._records[account.name] += size

    def loaded(self, run: RunId) -> None:
        """A session holds the run."""
        self._live.add(run)

    def acknowledged(self, run: RunId) -> None:
        """The device holds all of the run: its retention begins."""
        self._live.discard(run)
        if run not in self._acked:
            self._acked[run] = self.clock()
            self.journal.set_meta(_ACKED + run.hex(), canonical(self._acked[run]))

    def claim(self, run: RunId) -> int:
        """Which session of its device went on with the run last; 0 if none but the one that opened it did."""
        return self._claims.get(run, 0)

    def claimed(self, run: RunId, session: int) -> None:
        """That session goes on with the run: none before it does any more, whichever process of this worker they come to."""
        self._claims[run] = session
        self.journal.set_meta(_CLAIM + run.hex(), canonical(session))

    def gone(self, run: RunId) -> bool:
        """Whether only the tombstone is left."""
        if run in self._gone:
            return True
        gone = self.journal.meta_value(_GONE + run.hex(), list)
        if gone is None:
            return False
        self._gone[run] = gone
        return True

    def prune(self) -> list[RunId]:
        """Remove the runs whose time is over; gives them. What goes unfetched is logged as a warning."""
        now, removed = self.clock(), []
        for row in self.journal.runs(role="child"):
            account = self._accounts.get(self.owner(row.run))
            if row.status in _OPEN or account is None:
                continue  # an account that left the configuration may come back
            if row.parent is not None and self._goes_on(row.parent):
                continue  # its results are needed: nobody else goes on with that run
            acked = self._acked.get(row.run)
            if acked is not None and now - acked >= account.retention_ms:
                removed.append(row.run)
            elif acked is None and row.run not in self._live and _unfetched(account, row.ended, now):
                _log.warning(
                    "run %s of account %s is removed although its device never fetched all of its results: `unfetched` is over",
                    run_id_text(row.run),
                    account.name,
                )
                removed.append(row.run)
        for row in self.journal.runs(role="root"):
            account = self._accounts.get(self.owner(row.run))
            if account is None or row.status in _OPEN or row.ended is None or now - row.ended < account.retention_ms:
                continue
            removed.append(row.run)
        for run in removed:
            self._remove(run, now)
        for run in [run for run, (_, at) in self._gone.items() if now - at >= _TOMBSTONE_MS]:
            del self._gone[run]
            self.journal.drop_meta(_GONE + run.hex())
        if not self.journal.runs(1, status="running"):
            self.journal.drop_graphs()
            self._graphs.clear()
        self.journal.flush()
        self.count_records()
        if removed:
            self.count_bodies()
        self.pruned()
        return removed

    def _goes_on(self, root: RunId) -> bool:
        """Whether this store holds that run, and it is not over."""
        if not self.journal.knows(root):
            return False
        found = holding((logged.writer, logged.record) for logged in self.journal.records_of(root, *HOLDING_TYPES))
        return found is not None and found.holder == self.journal.store_id and not found.over

    def _remove(self, run: RunId, now: int) -> None:
        self._gone[run] = [self.owner(run), now]
        self.journal.set_meta(_GONE + run.hex(), canonical(self._gone[run]))  # first: a removed run never looks new
        self.journal.remove_run(run)
        self._owners.pop(run, None)
        self._acked.pop(run, None)
        self.journal.drop_meta(_OWNER + run.hex())
        self.journal.drop_meta(_ACKED + run.hex())
        if self._claims.pop(run, None) is not None:
            self.journal.drop_meta(_CLAIM + run.hex())


async def keep_pruning(holdings: Holdings) -> None:
    """Prune at once and then every hour, for ever: runs whose time is over, and the bodies that only they needed."""
    while True:
        try:
            holdings.prune()
            await JournalStore(holdings.journal).sweep()
        except JournalError as error:  # if it cannot be written at all, the next record ends this process
            _log.warning("%s", error.message)
        await asyncio.sleep(_PRUNE_SECONDS)


class AccountStore(JournalStore):
    """The link's store for the sessions of one account: it sees that account's runs, and keeps the books."""

    def __init__(self, holdings: Holdings, account: Account, peer: bytes = b"") -> None:
        whose = "" if account.name == DEFAULT else f"{digest(account.name.encode())[:8].hex()}-"
        journal = holdings.journal
        shared = Shared(
            journal,
            labels=lambda address: all_labels(_document(journal, address)),
            mine=lambda run: holdings.owner(run) == account.name and not holdings.gone(run),
            executes=lambda row: device_of(row.name) is not None,
            admits=lambda run: not holdings.gone(run),
        )
        super().__init__(journal, f"{whose}{peer.hex()}", peer, shared)
        self._holdings = holdings
        self._account = account

    async def commit(self, effects: Sequence[Effect]) -> None:
        holdings, account = self._holdings, self._account
        size = sum(len(effect.record.tail) for effect in effects if isinstance(effect, (Write, Copy)) and not self._has(effect))
        for effect in effects:
            if isinstance(effect, Keep):
                holdings.keeps(account.name, self.scope, effect.ref, len(effect.data))
            if isinstance(effect, (Write, Copy)) and not holdings.journal.knows(effect.run):
                holdings.opened(effect.run, account)
                if isinstance(effect, Write):
                    holdings.loaded(effect.run)
            if isinstance(effect, Trim):
                holdings.acknowledged(effect.run)
        holdings.wrote(account, size)
        await super().commit(effects)

    def _has(self, effect: Write | Copy) -> bool:
        """Whether it is a copy that another process of the device gave already."""
        journal = self._holdings.journal
        return isinstance(effect, Copy) and journal.knows(effect.run) and effect.seq <= journal.have(effect.run, effect.writer)

    async def begin_body(self, run: RunId | None, named: Reference) -> tuple[int, bool]:
        self._holdings.admit_body(self._account, self.scope, named.ref, named.size)
        return await super().begin_body(run, named)

    async def find(self, runs: Collection[RunId]) -> Snapshot:
        holdings = self._holdings
        mine = [run for run in runs if not holdings.gone(run) and holdings.owner(run) == self._account.name]
        for run in mine:
            holdings.loaded(run)
        journal = holdings.journal
        # nothing is done for it any more here, whichever of the two copies the next one has who asks
        diverged = {run for run in mine if journal.knows(run) and journal.run(run).status == "diverged"}
        logs: list[LogHead] = []
        for run in mine:
            try:
                logs += self.heads_of(run)
            except JournalError as error:
                set_down(journal, run, error)
                diverged.add(run)
        return Snapshot(
            journal.store_id,
            logs=logs,
            held=self._held(),
            expired=[run for run in runs if holdings.gone(run)],
            diverged=diverged,
        )


def _document(journal: Journal, address: bytes) -> Any:
    stored = journal.graph(address)
    return decode(stored.body) if stored is not None else None


def _unfetched(account: Account, ended: int | None, now: int) -> bool:
    return account.unfetched_ms is not None and ended is not None and now - ended >= account.unfetched_ms


def _by_run(noted: Mapping[str, _Noted]) -> dict[RunId, _Noted]:
    return {bytes.fromhex(run): what for run, what in noted.items()}
