"""A journal in memory for tests: what is in it survives a crash of the session, nothing else does."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

from graphs.records import Encoded
from protocol.messages import RunId, StoreId
from protocol.replay import log_head
from protocol.store import Effect, Snapshot, Trim


class MemoryStore:
    """Implements protocol.store.LinkStore."""

    def __init__(self, store: StoreId) -> None:
        self.store = store
        self.peer: StoreId | None = None
        self.logs: dict[tuple[RunId, StoreId], list[tuple[Encoded, int]]] = {}
        self.trimmed: set[RunId] = set()
        self.expired: set[RunId] = set()
        self.connection = 0
        self.commits = 0

    # -- the same, without a loop

    def write(self, effects: Sequence[Effect]) -> None:
        """One transaction."""
        self.commits += 1
        for effect in effects:
            if isinstance(effect, Trim):
                self.trimmed.add(effect.run)
                continue
            log = self.logs.setdefault((effect.run, effect.writer), [])
            assert effect.seq == len(log) + 1, f"record {effect.seq} written after {len(log)}"
            log.append((effect.record, effect.chk))

    def snapshot(self, runs: Collection[RunId] | None = None) -> Snapshot:
        """What is durable, of these runs or of all."""
        heads = [log_head(run, writer, log) for (run, writer), log in self.logs.items() if runs is None or run in runs]
        expired = [run for run in self.expired if runs is None or run in runs]
        return Snapshot(self.store, self.peer, heads, expired)

    def tail(self, run: RunId, writer: StoreId, after: int, upto: int) -> Sequence[Encoded]:
        """Records of a log."""
        return [record for record, _ in self.logs[run, writer][after:upto]]

    def purge(self) -> None:
        """The retention of every trimmed run is over: only its tombstone stays."""
        for key in [key for key in self.logs if key[0] in self.trimmed]:
            del self.logs[key]
        self.expired |= self.trimmed

    def backup(self) -> MemoryStore:
        """A copy that does not change with this store."""
        return copy.deepcopy(self)

    # -- the port

    async def commit(self, effects: Sequence[Effect]) -> None:
        self.write(effects)

    async def read(self, run: RunId, writer: StoreId, after: int, upto: int) -> Sequence[Encoded]:
        return self.tail(run, writer, after, upto)

    async def find(self, runs: Collection[RunId]) -> Snapshot:
        return self.snapshot(runs)

    async def next_connection(self, above: int = 0) -> int:
        self.connection = max(self.connection, above) + 1
        return self.connection
