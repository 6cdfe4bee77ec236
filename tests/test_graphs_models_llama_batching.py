"""The scheduler without a model: whose turn it is, what a batch holds, and, with hypothesis, that nobody is lost and no row is wrong."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings, strategies as st

from graphs.models.llama.batching import PATIENCE, TILE, Batch, Copy, Cut, Job, Scheduler


def scheduler(slots: int = 2, *, rows: int = 16, alone: int = 8, beside: int = 4, shares: bool = True) -> Scheduler:
    return Scheduler(slots, rows=rows, alone=alone, beside=beside, keeps=slots + 1, cells=2000, shares=shares)


def job(tokens: list[int] | int, run: str = "", priority: float = 0, shared: int = 0) -> Job:
    return Job(list(range(tokens)) if isinstance(tokens, int) else tokens, run, priority, shared)


def distinct(number: int, length: int = 3) -> list[int]:
    return [1000 * number + place for place in range(length)]


def compute(schedule: Scheduler, *, end_after: int = 1) -> list[Job]:
    """One batch; the jobs that ended with it, after so many tokens."""
    batch = schedule.plan()
    schedule.computed(batch)
    ended = []
    for each in batch.outputs:
        each.tokens.append(-1)
        if len(each.tokens) - each.prompt >= end_after:
            schedule.remove(each)
            ended.append(each)
    return ended


def order(schedule: Scheduler) -> list[Job]:
    ended: list[Job] = []
    while len(schedule):
        ended += compute(schedule)
    return ended


def test_runs_take_turns_whoever_asked_first() -> None:
    schedule = scheduler(1)
    busy = [job(distinct(number), "a") for number in range(4)]
    late = [job(distinct(number), "b") for number in range(4, 6)]
    for each in busy + late:
        schedule.add(each)
    assert order(schedule) == [busy[0], late[0], busy[1], late[1], busy[2], busy[3]]


def test_within_a_run_priority_decides_and_another_runs_does_not() -> None:
    schedule = scheduler(1)
    low, high = job(distinct(1), "a"), job(distinct(2), "a", priority=2)
    other, higher = job(distinct(3), "b"), job(distinct(4), "c", priority=9)
    for each in (low, high, other, higher):
        schedule.add(each)
    assert order(schedule) == [high, other, higher, low]


def test_one_that_was_passed_over_often_enough_goes_first() -> None:
    schedule = scheduler(1)
    patient = job(distinct(0))
    schedule.add(patient)
    ended: list[Job] = []
    for number in range(1, 3 * PATIENCE):
        schedule.add(job(distinct(number), priority=1))
        ended += compute(schedule)
    assert ended.index(patient) == PATIENCE


def test_streams_come_first_and_prompts_fill_only_a_part_beside_them() -> None:
    schedule = scheduler(2)
    stream, prompt = job(distinct(1, 2)), job(distinct(2, 30))
    schedule.add(stream)
    compute(schedule, end_after=99)
    schedule.add(prompt)
    batch = schedule.plan()
    assert batch.parts == [(stream, 1), (prompt, 4)]
    assert batch.outputs == [stream]
    assert batch.rows[0] == (-1, 2, stream.sequence, True)
    assert batch.prompting == [prompt]
    assert schedule.plan().rows == batch.rows


def test_rows_come_in_whole_groups_as_long_as_prompts_go_on() -> None:
    schedule = scheduler(2, rows=64, alone=32, beside=16)
    stream, prompt = job(distinct(1, 2)), job(distinct(2, 30))
    schedule.add(stream)
    compute(schedule, end_after=99)
    schedule.add(prompt)
    sizes = []
    while prompt.missing > 1:
        sizes.append(len(schedule.plan().rows))
        compute(schedule, end_after=99)
    assert sizes == [16, 16]
    assert prompt.held == 30


@pytest.mark.parametrize(
    ("streams", "length", "sizes"),
    [
        (1, 200, [TILE, TILE, TILE, 12]),  # a stream's own row is one of the tile's
        (0, TILE + 4, [TILE, 4]),  # four rows over a tile would take as long as another one
        (0, 2 * TILE - 4, [2 * TILE - 4]),  # most of a tile is worth it
        (0, TILE - 4, [TILE - 4]),
        (
            40,
            100,
            [40 + TILE, TILE, 40 + 12],
        ),  # parts of prompts have at least half of their room, whatever the number of streams
        (TILE, 5, [TILE + 5]),  # and a prompt goes on, however many streams there are
    ],
)
def test_a_batch_has_no_few_rows_over_a_tile(streams: int, length: int, sizes: list[int]) -> None:
    schedule = scheduler(streams + 1, rows=512, alone=256, beside=TILE)
    for number in range(streams):
        schedule.add(job(distinct(1 + number, 2)))
    while streams and any(each.missing > 1 for each in [*schedule.running, *schedule.waiting]):
        compute(schedule, end_after=99)
    prompt = job(distinct(500, length))
    schedule.add(prompt)
    seen = []
    while prompt.prompt == len(prompt.tokens):
        seen.append(len(schedule.plan().rows))
        compute(schedule, end_after=99)
    assert seen == sizes


def test_short_prompts_are_served_before_long_ones_that_still_go_on() -> None:
    schedule = scheduler(3)
    long, short = job(distinct(1, 30)), job(distinct(2, 3))
    schedule.add(long)
    schedule.add(short)
    assert dict(schedule.plan().parts) == {short: 3, long: 5}


def test_who_begins_alike_waits_for_the_first_and_copies() -> None:
    schedule = scheduler(3)
    first, second, other = job(20), job([*range(18), 99, 98]), job(distinct(5))
    for each in (first, second, other):
        schedule.add(each)
    assert [each for each, _ in schedule.plan().parts] == [other, first]
    while first.held < 18:
        compute(schedule, end_after=99)
        assert second.sequence is None
    batch = schedule.plan()
    assert Copy(first.sequence or 0, second.sequence or 0, 18) in batch.moves
    assert (second.held, second.reused) == (18, 18)


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    schedule = scheduler(2)
    schedule.add(job(10))
    order(schedule)
    again = job(10)
    schedule.add(again)
    batch = schedule.plan()
    assert (again.reused, len(batch.rows), batch.outputs) == (9, 1, [again])


@pytest.mark.parametrize("goes_on", [False, True])
def test_what_was_written_beside_others_is_kept_if_it_is_expected_to_go_on(goes_on: bool) -> None:
    schedule = scheduler(2)
    jobs = [job(distinct(number, 5)) for number in (1, 2)]
    for each in jobs:
        each.goes_on = goes_on
        schedule.add(each)
    order(schedule)
    assert [schedule.ready([*each.tokens, 7]) for each in jobs] == [5 if goes_on else 0] * 2


def test_what_prompts_beside_each_other_began_with_is_kept_without_being_announced() -> None:
    schedule = scheduler(2)
    jobs = [job([*distinct(1, 20), number]) for number in (1, 2)]
    for each in jobs:
        schedule.add(each)
    while len(schedule):
        compute(schedule, end_after=5)
    assert schedule.ready([*distinct(1, 20), 3]) == 20
    assert schedule.ready([*jobs[0].tokens, 7]) == 20


def test_what_was_written_alone_is_kept_whatever_is_expected() -> None:
    schedule = scheduler(2)
    first, second = job(distinct(1, 5)), job(distinct(2, 5))
    schedule.add(first)
    order(schedule)
    schedule.add(second)
    order(schedule)
    assert [schedule.ready([*each.tokens, 7]) for each in (first, second)] == [5, 5]


def test_an_announced_beginning_lies_ready_alone() -> None:
    schedule = scheduler(2)
    schedule.add(job(12, shared=6))
    kept = schedule.computed(schedule.plan())
    assert [entry.tokens for entry in kept] == [[*range(6)]]
    assert schedule.moves() == [Copy(schedule.running[0].sequence or 0, kept[0].sequence, 6)]
    order(schedule)
    schedule.add(follower := job([*range(6), 99, 98]))
    assert Copy(kept[0].sequence, follower.sequence or 0, 6) in schedule.plan().moves or follower.reused == 6


def test_without_sharing_nothing_is_copied_or_kept() -> None:
    schedule = scheduler(2, shares=False)
    jobs = [job(10), job(10)]
    for each in jobs:
        schedule.add(each)
    moves = []
    while len(schedule):
        batch = schedule.plan()
        moves += batch.moves
        schedule.computed(batch)
        for each in batch.outputs:
            schedule.remove(each)
    assert [each.reused for each in jobs] == [0, 0]
    assert [type(move) for move in moves + schedule.moves()] == [Cut, Cut]


def test_no_room_gives_up_what_is_kept_then_the_newest_then_nothing() -> None:
    schedule = scheduler(2)
    schedule.add(job(distinct(9)))
    order(schedule)
    old, new = job(distinct(1)), job(distinct(2))
    schedule.add(old)
    schedule.add(new)
    schedule.plan()
    assert schedule.no_room()
    assert schedule.running == [old, new]
    assert schedule.no_room()
    assert (schedule.running, schedule.waiting, new.sequence) == ([old], [new], None)
    assert [each for each, _ in schedule.plan().parts] == [old]
    assert not schedule.no_room()
    assert order(schedule) == [old, new]


def test_a_batch_that_was_stopped_counts_for_what_is_held() -> None:
    schedule = scheduler(1)
    one = job(10)
    schedule.add(one)
    schedule.undone(schedule.plan(), lambda sequence: 5)
    assert one.held == 5
    assert schedule.plan().rows[0][:2] == (5, 5)


def test_beginnings_from_elsewhere_are_given_a_place_or_forgotten() -> None:
    schedule = scheduler(1)
    kept = schedule.keep([1, 2, 3])
    assert kept is not None
    assert schedule.ready([1, 2, 3, 4]) == 3
    assert schedule.keep([1, 2]) is None
    schedule.moves()
    schedule.forget(kept)
    assert schedule.moves() == [Cut(kept.sequence)]
    assert schedule.ready([1, 2, 3, 4]) == 0


class Cache:
    """What the moves and rows of batches leave in the sequences; it fails where llama.cpp would."""

    def __init__(self) -> None:
        self.sequences: dict[int, list[int]] = {}

    def carry_out(self, batch: Batch) -> None:
        for move in batch.moves:
            if isinstance(move, Cut):
                del self.sequences.setdefault(move.sequence, [])[move.length :]
            else:
                assert not self.sequences.get(move.target), "copied over something"
                assert move.length <= len(self.sequences[move.source])
                self.sequences[move.target] = self.sequences[move.source][: move.length]
        for token, position, sequence, _ in batch.rows:
            tokens = self.sequences.setdefault(sequence, [])
            assert position == len(tokens), "a hole in the cache"
            tokens.append(token)


PROMPTS = st.lists(
    st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=25), st.integers(0, 2), st.integers(0, 2), st.integers(0, 12)),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(PROMPTS, st.integers(1, 3), st.integers(), st.booleans())
def test_whatever_comes_every_job_is_computed_from_its_own_tokens(
    prompts: list[tuple[list[int], int, int, int]], slots: int, seed: int, shares: bool
) -> None:
    chance, cache, schedule = random.Random(seed), Cache(), scheduler(slots, shares=shares)
    coming = [job(tokens, str(run), priority, min(shared, len(tokens) - 1)) for tokens, run, priority, shared in prompts]
    left = set(coming)
    for _ in range(5000):
        if coming and (chance.random() < 0.5 or not len(schedule)):
            schedule.add(coming.pop())
        if chance.random() < 0.1 and (given_up := [each for each in left if each not in coming]):
            victim = chance.choice(sorted(given_up, key=lambda each: each.number))
            schedule.remove(victim)
            left.discard(victim)
        if not left:
            break
        batch = schedule.plan()
        assert len(batch.rows) <= 16
        assert len(schedule.running) <= slots
        if batch.rows and chance.random() < 0.1:
            cache.carry_out(Batch(batch.moves, [], [], []))
            schedule.no_room()
            continue
        cache.carry_out(batch)
        if not batch.rows:
            continue
        schedule.computed(batch)
        for each in batch.outputs:
            assert each.sequence is not None
            assert cache.sequences[each.sequence] == each.tokens
            each.tokens.append(chance.randrange(2))
            if len(each.tokens) - each.prompt > 3:
                schedule.remove(each)
                left.discard(each)
    assert not left


@pytest.mark.parametrize("length", [1, 2])
def test_the_shortest_prompts_work(length: int) -> None:
    schedule = scheduler(1)
    one = job(length)
    schedule.add(one)
    assert compute(schedule) == [one]
