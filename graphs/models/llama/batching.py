"""What one model computes next, for whom: the scheduler of continuous batching.

Pure: no clock, no model. It is told what arrives and what was computed, and plans the next batch of rows. In a batch the answers
that are being written come first, a row each, and parts of prompts fill the rest, so that no stream waits for a long prompt.

    add, remove          a job comes; it is finished or given up
    plan                 the next batch, with the moves in the cache that have to come before it
    computed             the batch was computed: the jobs in `outputs` are to be given their next token (`Job.tokens.append`)
    no_room, undone      it was not: the cache is full; it was stopped in the middle
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from graphs.models.llama.prefixes import Kept, Prefixes, shared_length

__all__ = ["PATIENCE", "TILE", "WORTH_WAITING", "Batch", "Copy", "Cut", "Job", "Move", "Row", "Scheduler"]

WORTH_WAITING: Final = 8
"""Tokens two prompts must have in common for the second to wait until the first has computed them."""

WORTH_COPYING: Final = 4

PATIENCE: Final = 16
"""How often later jobs of the same run may go first; then a job goes before all of its run, whatever their priority."""

_QUICK: Final = 4
"""Rows that llama.cpp multiplies by the weights together; each one over such a group takes as long as two in it."""

TILE: Final = 64
"""Rows whose attention llama.cpp computes together. Fewer it takes one by one, at half as long again, and what is over a multiple of
it takes as long as a whole tile: 68 rows take a fifth longer than 64 behind 300 common tokens, a third behind 1000."""

_REMEMBERED: Final = 8
"""Answers that may begin before what none of them began with is given up; more where more are written at once."""

Row: TypeAlias = tuple[int, int, int, bool]
"""Token, position, sequence, whether its logits are wanted."""


class Cut(NamedTuple):
    """Empty a sequence, but for its first tokens."""

    sequence: int
    length: int = 0


class Copy(NamedTuple):
    """Let an empty sequence begin with another's first tokens."""

    source: int
    target: int
    length: int


Move: TypeAlias = Cut | Copy


@dataclass(eq=False, slots=True)
class Job:
    """An answer to be written. `tokens` are the prompt's, then also the answer's; `held` of them lie in the cache, in `sequence`.

    `shared` of the prompt's are announced as the beginning of other prompts too. `reused` prompt tokens had been computed before.
    `account` is whose it is: jobs of different ones share nothing. `goes_on` says that a next prompt is likely to begin with this one and its
    answer; `beside` that it was computed beside others, `common` with how many tokens in common with one of them.
    """

    tokens: list[int]
    run: str = ""
    priority: float = 0
    shared: int = 0
    goes_on: bool = False
    prompt: int = 0
    held: int = 0
    reused: int = 0
    sequence: int | None = None
    passed: int = 0
    begun: bool = False
    beside: bool = False
    common: int = 0
    number: int = field(default=0)
    beginning: Kept | None = None
    account: str = ""
    awaits: tuple[Job, int] | None = None

    def __post_init__(self) -> None:
        self.prompt = len(self.tokens)

    @property
    def missing(self) -> int:
        """Tokens to compute before the next one can be chosen."""
        return len(self.tokens) - self.held


@dataclass(frozen=True, slots=True)
class Batch:
    """Moves, then rows. `parts` says how many rows each job has, in the rows' order; `outputs` are the jobs whose logits come, in theirs."""

    moves: list[Move]
    rows: list[Row]
    parts: list[tuple[Job, int]]
    outputs: list[Job]

    @property
    def prompting(self) -> list[Job]:
        """The jobs that have a part of a prompt in it."""
        return [job for job, count in self.parts if count > 1]


class Scheduler:
    """The jobs of one model.

    `slots` answers are written at once. A batch has at most `rows` rows; parts of prompts take at most `alone` of them, and `beside`
    where streams wait for the batch. `keeps` sequences, more than slots, keep what was computed in parts of
    the `cells` of the cache, if `shares`.
    """

    def __init__(self, slots: int, *, rows: int, alone: int, beside: int, keeps: int, cells: int, shares: bool = True) -> None:
        assert keeps > slots, "every slot may pin one, and one must be free to go"
        self._slots, self._rows, self._alone, self._beside = slots, rows, alone, beside
        self._shares = shares
        self.prefixes = Prefixes(slots + keeps, keeps, cells, patience=max(_REMEMBERED, slots))
        self.running: list[Job] = []
        self._waiting: dict[str, list[Job]] = {}
        self._moves: list[Move] = []
        self._numbers = 0
        self._full = False

    def __len__(self) -> int:
        return len(self.running) + sum(map(len, self._waiting.values()))

    @property
    def waiting(self) -> list[Job]:
        return [job for jobs in self._waiting.values() for job in jobs]

    def add(self, job: Job) -> None:
        """A job waits for its turn."""
        self._numbers += 1
        job.number = self._numbers
        self._waiting.setdefault(job.run, []).append(job)

    def remove(self, job: Job) -> None:
        """A job is finished or given up. What it computed is kept for others.

        Of one question among many that is what it began with in common with others: answers that are written together lie in the
        cache as a weave, all of which every later row looks through as long as one of them is there.
        """
        if job in self.running:
            self.running.remove(job)
            self._leave(job, keep=job.held if job.goes_on or not job.beside else min(job.common, job.held))
        else:
            self._withdraw(job)

    def plan(self) -> Batch:
        """The next batch; without rows if there is nothing to do. Planning again before `computed` gives the same rows."""
        self._admit()
        writing = [job for job in self.running if job.missing == 1]
        reading = [job for job in self.running if job.missing > 1]
        room = min(self._beside if writing else self._alone, self._rows - len(writing))
        room = _whole(len(writing), room, sum(job.missing for job in reading))
        parts = [(job, 1) for job in writing] + _even(reading, room)
        for job in self.running if len(self.running) > 1 else ():
            job.beside = True
        rows: list[Row] = []
        outputs = []
        for job, count in parts:
            assert job.sequence is not None
            first, last = job.held, job.held + count - 1
            whole = last == len(job.tokens) - 1
            rows += [(job.tokens[at], at, job.sequence, whole and at == last) for at in range(first, last + 1)]
            if whole:
                outputs.append(job)
        moves, self._moves = self._moves, []
        return Batch(moves, rows, parts, outputs)

    def computed(self, batch: Batch) -> list[Kept]:
        """The batch was computed. What it made ready of announced beginnings; a batch with their moves follows."""
        made = []
        for job, count in batch.parts:
            before, job.held = job.held, job.held + count
            if self._shares and before < job.shared <= job.held and (kept := self._set_aside(job)) is not None:
                made.append(kept)
        return made

    def undone(self, batch: Batch, held: Callable[[int], int]) -> None:
        """The batch was stopped in its middle; `held` says what a sequence holds now."""
        for job, _ in batch.parts:
            if job.sequence is not None:
                job.held = min(held(job.sequence), len(job.tokens))

    def no_room(self) -> bool:
        """The cache has no room for the batch: something is given up for it, and it has to be planned again.

        False if nothing is left to give up but the one job that runs.
        """
        if (evicted := self.prefixes.evict()) is not None:
            self._moves.append(Cut(evicted))
            return True
        if len(self.running) < 2:
            evicted = self.prefixes.evict(pinned=True)
            self._moves += [] if evicted is None else [Cut(evicted)]
            return evicted is not None
        newest = max(self.running, key=lambda job: job.number)
        self.running.remove(newest)
        self._leave(newest, keep=0)
        self._waiting.setdefault(newest.run, []).insert(0, newest)
        newest.passed = PATIENCE
        self._full = True
        return True

    def ready(self, tokens: list[int], account: str = "") -> int:
        """How many of a prompt's first tokens lie in the cache for this account."""
        return self._beginning(tokens, account)[1]

    def keep(self, tokens: list[int], account: str = "") -> Kept | None:
        """A sequence to fill with tokens that were computed earlier, as a beginning for others, once `moves` are made; None if there
        is no use for them."""
        sequence = self.prefixes.take()
        if sequence is None:
            return None
        kept, emptied = self.prefixes.keep(sequence, tokens, account, lasting=True)
        self._moves += map(Cut, emptied)
        return kept

    def forget(self, kept: Kept) -> None:
        """A sequence that could not be filled."""
        self._moves.append(Cut(self.prefixes.forget(kept)))

    def moves(self) -> list[Move]:
        """The moves that are due, for whoever cannot wait for the next batch."""
        moves, self._moves = self._moves, []
        return moves

    # -- turns

    def _admit(self) -> None:
        while len(self.running) < self._slots and not (self._full and self.running):
            job = next((job for job in self._in_turn() if not self._worth_waiting(job)), None)
            if job is None:
                return
            self._full = False
            self._begin(job)

    def _in_turn(self) -> Iterator[Job]:
        """Who waits, in the order of their turns: the run first that was served longest ago, in it the highest priority, then age."""
        for jobs in list(self._waiting.values()):
            yield from sorted(jobs, key=lambda job: (job.passed < PATIENCE, -job.priority, job.number))

    def _begin(self, job: Job) -> None:
        self._withdraw(job)
        for other in self._waiting.get(job.run, ()):
            other.passed += other.number < job.number
        if job.run in self._waiting:
            self._waiting[job.run] = self._waiting.pop(job.run)  # behind all other runs
        sequence = self.prefixes.take()
        assert sequence is not None, "there is a sequence for each slot"
        job.sequence, job.held = sequence, 0
        source, length, kept = self._beginning(job.tokens, job.account)
        if source is not None and length >= WORTH_COPYING:
            self._moves.append(Copy(source, sequence, length))
            job.held = job.common = length
            for other in self.running:
                if other.sequence == source:
                    other.common = max(other.common, length)
            if kept is not None:
                self.prefixes.use(kept)
                job.beginning = kept
        self._moves += map(Cut, self.prefixes.begin())
        if not job.begun:
            job.begun, job.reused = True, job.held
        self.running.append(job)

    def _beginning(self, tokens: list[int], account: str) -> tuple[int | None, int, Kept | None]:
        """The sequence that holds the most of the tokens' beginning, and how much. The last token is always computed: its logits are needed."""
        if not self._shares:
            return None, 0, None
        most = len(tokens) - 1
        kept, length = self.prefixes.find(tokens, account)
        source, length = (kept.sequence if kept else None), min(length, most)
        for other in self.running:
            if other.account == account and (common := min(shared_length(tokens, other.tokens[: other.held]), most)) > length:
                source, length, kept = other.sequence, common, None
        return source, length, kept

    def _worth_waiting(self, job: Job) -> bool:
        """Whether someone computes what this one begins with right now: then it waits, and copies it."""
        if not self._shares:
            return False
        if job.awaits is not None:
            other, length = job.awaits
            if other.sequence is not None and other.held < length:
                return True
            job.awaits = None
        reading = [other for other in self.running if other.missing > 1 and other.account == job.account]
        if not reading:
            return False
        ready = self._beginning(job.tokens, job.account)[1]
        for other in reading:
            length = min(shared_length(job.tokens, other.tokens), len(job.tokens) - 1)
            if length - max(ready, other.held) >= WORTH_WAITING:
                job.awaits = other, length
                return True
        return False

    def _withdraw(self, job: Job) -> None:
        jobs = self._waiting.get(job.run, [])
        if job in jobs:
            jobs.remove(job)
            if not jobs:
                del self._waiting[job.run]

    # -- the cache

    def _set_aside(self, job: Job) -> Kept | None:
        """A sequence of its own for an announced beginning: cut there, it serves all others, whatever becomes of this job."""
        assert job.sequence is not None
        sequence = self.prefixes.take()
        if sequence is None:
            return None
        kept, emptied = self.prefixes.keep(sequence, job.tokens[: job.shared], job.account, lasting=True)
        self._moves += [Cut(each) for each in emptied if each != sequence]
        if kept is not None:
            self._moves.append(Copy(job.sequence, sequence, job.shared))
        return kept

    def _leave(self, job: Job, *, keep: int) -> None:
        sequence, job.sequence = job.sequence, None
        assert sequence is not None
        if job.beginning is not None:
            self.prefixes.done_with(job.beginning)
            job.beginning = None
        self._full = False
        if keep and self._shares:
            kept, emptied = self.prefixes.keep(sequence, job.tokens[:keep], job.account)
            if kept is not None and keep < job.held:
                self._moves.append(Cut(sequence, keep))
            self._moves += map(Cut, emptied)
        else:
            self.prefixes.give_back(sequence)
            self._moves.append(Cut(sequence))
        job.held = 0


def _whole(writing: int, room: int, wanted: int) -> int:
    """Of the room for parts of prompts beside so many `writing` rows what makes a batch without rows that take longer than their share.

    Those wait for the next batch, unless nothing of the prompts would be left in this one.
    """
    most = min(room, wanted)
    over = (writing + most) % TILE
    if over < TILE // 2 and over < most and writing + most - over >= TILE:
        return most - over
    return room - (writing + room) % _QUICK if room > _QUICK and wanted > room else room


def _even(jobs: list[Job], room: int) -> list[tuple[Job, int]]:
    """The room of a batch shared out: half of it in equal parts, so that none stands still, the rest to the shortest first."""
    parts = []
    for place, job in enumerate(sorted(jobs, key=lambda job: job.missing), start=1):
        promised = room // (2 * len(jobs)) * (len(jobs) - place)
        if count := min(job.missing, room - promised):
            parts.append((job, count))
            room -= count
    return parts
