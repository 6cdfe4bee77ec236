"""State machines over a pair of sessions: any interleaving of work, partial delivery, cuts, reconnects, crashes and stores that go back in time.

`Strict` keeps every invariant of docs/protocol.md §22 that is built; `Rollback` adds restored backups and keeps the one that is left then: the
copies agree again or the run is flagged.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from graphs.errors import LinkCondition
from graphs.records import Close, Encoded, End, Error, Event, Record, Result, Start, State, decode
from protocol.codec import Limits
from protocol.errors import LocalProtocolError
from protocol.events import Acked, DeltaSeen, Diverged, Faulted, Got
from protocol.log import Run
from protocol.messages import RunId
from protocol.states import RunPhase, reachable, run_phase
from wire.memory_store import MemoryStore
from wire.pair import DEVICE, STORES, WORKER, Pair, Side

SIDES = st.sampled_from([DEVICE, WORKER])
RUNS = st.integers(0, 2)
SMALL = Limits(window=4)


class Strict(RuleBasedStateMachine):
    """No store goes back in time."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(device={"limits": SMALL}, worker={"limits": SMALL})
        self.runs: list[RunId] = []
        self.count = 0
        self.durable: dict[tuple[str, RunId, str], list[tuple[Encoded, int]]] = {}
        self.spoken: dict[tuple[RunId, int], str] = {}
        """What each attempt of the worker said, by the seq of its EVENT."""
        self.attempts: dict[RunId, int] = {}
        """The attempt that runs now; gone with a crash of the worker."""
        self.read = {DEVICE: 0, WORKER: 0}
        self.shown: dict[tuple[RunId, int], str] = {}
        self.newest: dict[RunId, int] = {}
        self.phases: dict[Run, RunPhase] = {}
        """Where each run was; one that a session forgot, or lost in a crash, and learnt anew begins anew."""

    # -- work

    @rule()
    def submit(self) -> None:
        if len(self.runs) < 3:
            self.runs.append(self.pair.open(len(self.runs) + 1))

    @rule(which=RUNS, close=st.booleans())
    def order(self, which: int, close: bool) -> None:
        if which < len(self.runs):
            self.append(self.pair.device, self.runs[which], Close(None) if close else Start(self.name(), 1))

    @rule(which=RUNS, kind=st.sampled_from(["result", "error", "event", "event", "end"]))
    def report(self, which: int, kind: str) -> None:
        if which >= len(self.runs) or not self.pair.worker.records(self.runs[which], DEVICE):
            return
        run, made = self.runs[which], self.pair.worker.conn
        if kind == "event":
            seq = self.append(self.pair.worker, run, Event("llm", self.next(), State.EXECUTING, 5, {}))
            if seq is not None:
                self.attempts[run] = seq
                self.spoken[run, seq] = ""
        elif kind == "end":
            self.append(self.pair.worker, run, End(0, 5, {}))
            self.attempts.pop(run, None)
        else:
            over = self.next() % 2 == 0 or run not in self.attempts
            path = self.name() if over else "llm"
            record: Record = (
                Result(path, 1, 0, self.count, 5, {}) if kind == "result" else Error(path, 1, 0, "NODE_FAILED", "x", True, True)
            )
            if self.append(self.pair.worker, run, record) is not None and path == "llm":
                self.attempts.pop(run, None)
        assert made is self.pair.worker.conn

    @rule(which=RUNS, text=st.text("abc", min_size=1, max_size=3))
    def tokens(self, which: int, text: str) -> None:
        if which < len(self.runs) and (start := self.attempts.get(self.runs[which])) is not None:
            self.spoken[self.runs[which], start] += text
            self.pair.worker.conn.delta(self.runs[which], start, list(text))

    def append(self, side: Side, run: RunId, record: Record) -> int | None:
        try:
            return side.conn.append(run, record)  # type: ignore[arg-type]
        except LocalProtocolError:
            return None  # after END, or the session forgot a finished run

    def next(self) -> int:
        self.count += 1
        return self.count

    def name(self) -> str:
        return f"n{self.next()}"

    # -- durability, crashes, the network, time

    @rule(name=SIDES)
    def commit(self, name: str) -> None:
        self.pair.sides[name].commit()
        self.look()

    @rule(name=SIDES, torn=st.booleans())
    def crash(self, name: str, torn: bool) -> None:
        side = self.pair.sides[name]
        if torn:  # written, but nobody was told
            side.store.write(side.conn.effects())
        self.look()
        self.pair.drop()
        side.crash()
        self.read[name] = 0
        if name == WORKER:
            self.attempts.clear()
        else:
            self.shown.clear()
            self.newest.clear()

    @rule()
    def connect(self) -> None:
        self.pair.connect()
        self.look()

    @rule(lose=st.booleans())
    def drop(self, lose: bool) -> None:
        self.pair.drop(lose=lose)

    @rule()
    def flush(self) -> None:
        self.pair.flush()

    @rule(name=SIDES, count=st.integers(1, 3))
    def deliver(self, name: str, count: int) -> None:
        self.pair.deliver(name, count)
        self.look()

    @rule(name=SIDES)
    def lose_tail(self, name: str) -> None:
        if not self.pair.alive and self.pair.wire[name]:
            self.pair.wire[name].pop()

    @rule(rounds=st.integers(1, 3), lag=st.booleans())
    def talk(self, rounds: int, lag: bool) -> None:
        """Without this, hardly any example gets past the handshake."""
        for _ in range(rounds):
            self.pair.now += 20
            self.pair.talk(1)
            self.look()
        if lag:
            self.pair.flush()

    @rule(lazy=st.booleans())
    def reconnect(self, lazy: bool) -> None:
        self.connect()
        if lazy:  # the handshake and what follows, without a commit
            for _ in range(3):
                self.pair.flush()
                self.pair.deliver(DEVICE)
                self.pair.deliver(WORKER)
            self.look()
        self.talk(2, False)

    @rule(which=RUNS, name=SIDES, count=st.integers(1, 2), commits=st.booleans(), crash=st.booleans())
    def hurry(self, which: int, name: str, count: int, commits: bool, crash: bool) -> None:
        """A side works and sends; only the other one commits; perhaps one dies then."""
        for _ in range(count):
            if name == DEVICE:
                self.order(which, False)
            else:
                self.report(which, "event")
        self.pair.flush()
        self.pair.deliver(name)
        self.pair.flush()
        other = WORKER if name == DEVICE else DEVICE
        if commits:
            self.pair.sides[other].commit()
        self.pair.flush()
        self.pair.deliver(other)
        self.look()
        if crash:
            self.crash(name if commits else other, False)
        self.reconnect(not commits)

    @rule(which=RUNS, lose=st.booleans())
    def stream(self, which: int, lose: bool) -> None:
        """A text begins, and the connection dies in its middle."""
        self.report(which, "event")
        self.talk(2, False)
        for text in ("abc", "cab"):
            self.tokens(which, text)
            self.pair.now += 20
            self.pair.flush()
        self.pair.drop(lose=lose)
        self.reconnect(False)

    @rule()
    def answer_late(self) -> None:
        """Packets are on their way when the connection is replaced."""
        self.pair.flush()
        self.connect()
        self.pair.deliver(DEVICE, 2)
        self.pair.deliver(WORKER, 2)
        self.look()

    @rule()
    def purge(self) -> None:
        if not self.pair.alive:
            self.pair.worker.store.purge()
            for key in [key for key in self.durable if key[0] == WORKER and key[1] in self.pair.worker.store.expired]:
                del self.durable[key]
            self.crash(WORKER, False)

    @initialize(count=st.integers(1, 2))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.submit()
        self.connect()
        self.talk(3, False)

    # -- what was told since the last look

    def look(self) -> None:
        for name, side in self.pair.sides.items():
            events = side.events[self.read[name] :]
            self.read[name] = len(side.events)
            for event in events:
                if isinstance(event, Acked):
                    peer = WORKER if name == DEVICE else DEVICE
                    held = len(self.pair.sides[peer].log(event.run, name))
                    assert event.seq <= held or event.run in self.pair.sides[peer].store.expired, (
                        "I4: acknowledged, but not durable at the peer"
                    )
                elif isinstance(event, Got):
                    encoded = side.store.logs[event.run, event.writer][event.seq - 1][0]
                    assert decode(encoded.type, encoded.tail) == event.record, "I6: told, but not durable"
                elif isinstance(event, DeltaSeen):
                    self.showing(event)
                elif isinstance(event, (Faulted, Diverged)):
                    raise AssertionError(f"I21: {name} was told {event}")

    def showing(self, event: DeltaSeen) -> None:
        key = (event.run, event.start)
        text = self.shown.get(key, "")
        assert event.start >= self.newest.get(event.run, 0), "I7: text of an attempt that was superseded"
        self.newest[event.run] = event.start
        records = self.pair.device.records(event.run, WORKER)
        closed = [
            record
            for record in records[event.start :]
            if isinstance(record, (Result, Error, End)) and getattr(record, "path", "llm") == "llm"
        ]
        assert not closed, "I8: text after the record that ended its attempt"
        assert event.off == len(text), "I7: tokens that do not follow the last ones"
        self.shown[key] = text + "".join(event.tokens)
        assert event.n == len("".join(event.tokens))
        assert self.spoken[key].startswith(self.shown[key]), "I7: text the attempt never said"

    # -- invariants

    @invariant()
    def runs_move_as_the_table_says(self) -> None:
        for side in (self.pair.device, self.pair.worker):
            role = side.conn._state.config.role
            for run in side.conn._state.runs.values():
                before = self.phases.get(run, RunPhase.WAITING)
                now = self.phases[run] = run_phase(run, parked=run in side.conn._state.parked)
                assert now in reachable(role, before), f"a {role.value}'s run moved from {before.value} to {now.value}"

    @invariant()
    def durable_records_never_change(self) -> None:
        """I1, and a log only grows."""
        for name, side in self.pair.sides.items():
            for (run, writer), log in side.store.logs.items():
                key = (name, run, DEVICE if writer == STORES[DEVICE] else WORKER)
                before = self.durable.get(key, [])
                assert log[: len(before)] == before, "I1: a durable record changed"
                self.durable[key] = list(log)

    @invariant()
    def the_readers_log_is_a_prefix_of_the_writers(self) -> None:
        """I2, and with it I3: nothing a reader lacks is gone at its writer."""
        for run in self.runs:
            for writer, reader in ((DEVICE, WORKER), (WORKER, DEVICE)):
                if run in self.pair.worker.store.expired:
                    continue
                read = self.pair.sides[reader].log(run, writer)
                assert self.pair.sides[writer].log(run, writer)[: len(read)] == read, (
                    "I2: the reader holds what its writer never made durable"
                )

    @invariant()
    def retention_begins_when_end_is_durable_at_the_device(self) -> None:
        """I3."""
        for run in self.pair.worker.store.trimmed:
            last = self.pair.device.records(run, WORKER)[-1:]
            assert [type(record) for record in last] == [End], "I3: retention began before the device held END"

    @invariant()
    def end_is_the_last_record_and_the_only_one(self) -> None:
        """I5."""
        for run in self.runs:
            records = self.pair.device.records(run, WORKER)
            assert not any(isinstance(record, End) for record in records[:-1]), "I5: something follows END"

    def teardown(self) -> None:
        """I13: once the network stays up and both sides commit, logs and texts converge."""
        self.pair.drop(lose=True)
        self.pair.connect()
        self.settle()
        for run in self.runs:
            if run in self.pair.worker.store.expired:
                continue
            for writer, reader in ((DEVICE, WORKER), (WORKER, DEVICE)):
                mine, theirs = (self.pair.sides[name].log(run, writer) for name in (writer, reader))
                done = any(isinstance(record, End) for record in self.pair.device.records(run, WORKER))
                assert mine == theirs or (done and writer == DEVICE), "I13: a log did not arrive"
            start = self.attempts.get(run)
            if start is not None and not any(isinstance(record, End) for record in self.pair.device.records(run, WORKER)):
                assert self.shown.get((run, start), "") == self.spoken[run, start], "I13: the text did not catch up"

    def settle(self) -> None:
        for _ in range(40):
            self.pair.now += 20
            before = len(self.pair.trace)
            self.pair.talk(1)
            self.look()
            if len(self.pair.trace) == before:
                break
        self.durable_records_never_change()
        self.the_readers_log_is_a_prefix_of_the_writers()
        self.retention_begins_when_end_is_durable_at_the_device()


class Rollback(RuleBasedStateMachine):
    """Stores are restored from backups; I17 is what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.runs: list[RunId] = []
        self.count = 0
        self.backups: dict[str, MemoryStore] = {}
        self.flagged: set[RunId] = set()

    @initialize()
    def begin(self) -> None:
        self.submit()
        self.backup(DEVICE)
        self.backup(WORKER)
        self.meet()

    @rule()
    def submit(self) -> None:
        if len(self.runs) < 2:
            self.runs.append(self.pair.open(len(self.runs) + 1))

    @rule(which=st.integers(0, 1), name=SIDES)
    def write(self, which: int, name: str) -> None:
        self.count += 1
        side = self.pair.sides[name]
        if which < len(self.runs) and side.records(self.runs[which], DEVICE):
            record = Start(f"n{self.count}", 1) if name == DEVICE else Result(f"n{self.count}", 1, 0, None, 5, {})
            try:
                side.append(self.runs[which], record)
            except LinkCondition:
                self.look()
                assert self.runs[which] in self.flagged

    @rule()
    def meet(self) -> None:
        self.pair.drop(lose=True)
        self.pair.connect()
        for _ in range(4):
            self.pair.now += 20
            self.pair.talk(1)
        self.look()

    @rule(name=SIDES)
    def backup(self, name: str) -> None:
        self.backups[name] = self.pair.sides[name].store.backup()

    @precondition(lambda self: self.backups)
    @rule(name=SIDES, more=st.integers(0, 2))
    def go_back(self, name: str, more: int) -> None:
        """The store forgets; other records take the numbers of those the peer has seen."""
        self.look()
        self.pair.drop(lose=True)
        side = self.pair.sides[name]
        side.store = self.backups[name].backup()
        side.crash()
        for _ in range(more):
            self.write(0, name)

    def look(self) -> None:
        for side in self.pair.sides.values():
            self.flagged |= {event.run for event in side.seen(Diverged)}

    def teardown(self) -> None:
        for _ in range(2):
            self.meet()
        for run in self.runs:
            for writer in (DEVICE, WORKER):
                same = self.pair.device.log(run, writer) == self.pair.worker.log(run, writer)
                lost = not self.pair.device.log(run, DEVICE)  # the device's backup is older than the run
                assert same or lost or run in self.flagged, "I17: the copies differ and nobody was told"
