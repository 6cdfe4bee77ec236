"""A journal in memory for tests: what is in it survives a crash of the session, nothing else does."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Awaitable, Collection, Sequence

from graphs.records import Encoded
from graphs.values import digest
from protocol.digest import Held, Line
from protocol.events import DigestCame
from protocol.messages import Bytes, Ref, RunId, StoreId
from protocol.payload import Reference
from protocol.replay import held_logs, log_head
from protocol.store import BodyPart, Copy, Effect, Keep, Left, Snapshot, Trim


class MemoryStore:
    """Implements protocol.store.LinkStore."""

    def __init__(self, store: StoreId) -> None:
        self.store = store
        self.peer: StoreId | None = None
        self.logs: dict[tuple[RunId, StoreId], list[tuple[Encoded, int]]] = {}
        self.shared: set[RunId] = set()
        """Runs that are only copied: no session begins with them."""
        self.graphs: dict[bytes, bytes] = {}
        self.trimmed: set[RunId] = set()
        self.expired: set[RunId] = set()
        self.bodies: dict[Ref, bytes] = {}
        self.own: dict[Ref, Keep] = {}
        """Those that may be asked for."""
        self.parts: dict[Ref, bytes] = {}
        self.left: list[Left] = []
        """The audit, as far as it is written where it leaves."""
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
            if isinstance(effect, Left):
                self.left.append(effect)
                continue
            if isinstance(effect, Keep):
                self.own[effect.ref] = effect
                self.bodies[effect.ref] = effect.data
                continue
            log = self.logs.setdefault((effect.run, effect.writer), [])
            if isinstance(effect, Copy):
                self.shared.add(effect.run)
            if isinstance(effect, Copy) and effect.seq <= len(log):
                assert log[effect.seq - 1] == (effect.record, effect.chk)
                continue
            assert effect.seq == len(log) + 1, f"record {effect.seq} written after {len(log)}"
            log.append((effect.record, effect.chk))

    def snapshot(self, runs: Collection[RunId] | None = None) -> Snapshot:
        """What is durable, of these runs or of all."""
        logs = [(*key, log) for key, log in self.logs.items() if key[0] not in self.shared]
        heads = [log_head(run, writer, log) for run, writer, log in logs if runs is None or run in runs]
        expired = [run for run in self.expired if runs is None or run in runs]
        return Snapshot(self.store, self.peer, heads, expired)

    def tail(self, run: RunId, writer: StoreId, after: int, upto: int) -> Sequence[Encoded]:
        """Records of a log."""
        return [record for record, _ in self.logs[run, writer][after:upto]]

    def lines(self) -> list[Line]:
        """What a digest says of this store."""
        return [Line(*key, len(log), log[-1][1]) for key, log in self.logs.items()]

    def held_logs(self, came: DigestCame) -> list[Held]:
        """What is here of the logs of a digest, and of its range."""
        return held_logs(self.logs, came)

    def purge(self) -> None:
        """The retention of every trimmed run is over: only its tombstone stays."""
        for key in [key for key in self.logs if key[0] in self.trimmed]:
            del self.logs[key]
        self.expired |= self.trimmed

    def backup(self) -> MemoryStore:
        """A copy that does not change with this store."""
        return copy.deepcopy(self)

    def has_graph(self, h: bytes) -> bool:
        return h in self.graphs

    def keep_graph(self, h: bytes, body: bytes) -> None:
        self.graphs[h] = body

    # -- bodies, without a loop

    def held(self, ref: Ref, size: int) -> tuple[int, bool]:
        """How much of a body is here."""
        return (size, True) if ref in self.bodies else (len(self.parts.get(ref, b"")), False)

    def add(self, ref: Ref, off: int, data: Bytes) -> None:
        """Bytes arrived."""
        part = self.parts.get(ref, b"")
        assert off <= len(part), f"bytes from {off}, {len(part)} are here"
        self.parts[ref] = part[:off] + data

    def looked(self, ref: Ref, crc: int | None) -> bool:
        """Whether what arrived is what its name says."""
        part = self.parts.pop(ref, b"")
        good = digest(part) == ref if len(ref) == 32 else zlib.crc32(part) == crc
        if good:
            self.bodies[ref] = part
        return good

    def part(self, ref: Ref, off: int, length: int) -> BodyPart | None:
        """A range of a body that may be asked for."""
        kept = self.own.get(ref)
        if kept is None or ref not in self.bodies:
            return None
        return BodyPart(self.bodies[ref][off : off + length], len(kept.data), kept.labels, kept.crc)

    # -- the port

    async def begin_body(self, run: RunId | None, named: Reference) -> tuple[int, bool]:
        return self.held(named.ref, named.size)

    async def write_body(self, ref: Ref, off: int, *data: Bytes) -> None:
        self.add(ref, off, b"".join(data))

    async def check_body(self, ref: Ref, size: int, crc: int | None) -> bool:
        return self.looked(ref, crc)

    async def read_body(self, ref: Ref, off: int, length: int) -> BodyPart | None:
        return self.part(ref, off, length)

    async def load_body(self, ref: Ref) -> bytes | None:
        return self.bodies.get(ref)

    def commit(self, effects: Sequence[Effect]) -> Awaitable[None] | None:
        self.write(effects)
        return None

    async def read(self, run: RunId, writer: StoreId, after: int, upto: int) -> Sequence[Encoded]:
        return self.tail(run, writer, after, upto)

    async def find(self, runs: Collection[RunId]) -> Snapshot:
        return self.snapshot(runs)

    async def leaves(self, left: Left) -> None:
        self.left.append(left)

    async def next_connection(self, above: int = 0) -> int:
        self.connection = max(self.connection, above) + 1
        return self.connection
