"""Who holds a run, as its records say."""

from __future__ import annotations

import random

import pytest

from graphs.engine.holding import HOLDING_TYPES, Holding, holding, workers
from graphs.records import Cancel, End, Handover, Record, Result, Submit

A, B, C = b"store--a", b"store--b", b"store--c"
BEGUN = (A, Submit("", bytes(32), {}, {"parent": None}))
Logged = tuple[bytes, Record]


def result(writer: bytes) -> Logged:
    return writer, Result("a", 1, 0, None, 5, {})


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([], None),
        ([result(A)], None),
        ([BEGUN], Holding(A, 1)),
        ([BEGUN, (A, Handover(B, 2))], Holding(B, 2)),
        ([BEGUN, (A, Handover(B, 2)), (B, Handover(A, 3))], Holding(A, 3)),
        ([BEGUN, (A, Handover(B, 2)), (A, Handover(C, 4)), (B, Handover(A, 3))], Holding(C, 4)),
        ([BEGUN, (B, Handover(B, 2))], Holding(A, 1, (B,))),
        ([BEGUN, (B, Handover(B, 2)), (C, Handover(C, 2))], Holding(A, 1, (B, C))),
        ([BEGUN, (B, Handover(B, 2)), (C, Handover(C, 2)), (A, Handover(C, 2))], Holding(C, 2)),
        ([BEGUN, (B, Handover(C, 2))], Holding(A, 1)),
        ([BEGUN, (A, Handover(B, 3))], Holding(A, 1)),
        ([BEGUN, (A, End(0, 5, {}))], Holding(A, 1, over=True)),
        ([BEGUN, (B, Cancel(None, "enough"))], Holding(A, 1, stopping=True)),
        ([BEGUN, (B, Cancel(["a"], "not this one"))], Holding(A, 1)),
        ([BEGUN, (B, Cancel(None, "enough")), (A, End(3, 5, {}))], Holding(A, 1, over=True)),
    ],
)
def test_the_holder(records: list[Logged], found: Holding | None) -> None:
    assert holding(records) == found
    assert holding([each for each in records if getattr(each[1], "TYPE", None) in HOLDING_TYPES]) == found, (
        "the other records say nothing of it"
    )


def test_a_second_hand_over_of_the_same_epoch_is_none() -> None:
    assert holding([BEGUN, (A, Handover(B, 2)), (A, Handover(C, 2))]) == Holding(B, 2)


@pytest.mark.parametrize("seed", range(200))
def test_there_are_never_two(seed: int) -> None:
    """Stores that act by what they know, and know of others what has come to them: at most one of them takes itself for the holder."""
    chance = random.Random(seed)
    stores = [A, B, C]
    written: dict[bytes, list[Record]] = {A: [BEGUN[1]], B: [], C: []}
    known = {store: dict.fromkeys(stores, 0) for store in stores}
    for store in stores:
        known[store][store] = len(written[store])

    def view(store: bytes) -> Holding | None:
        seen = [(writer, record) for writer in chance.sample(stores, 3) for record in written[writer][: known[store][writer]]]
        return holding(seen)

    def write(store: bytes, record: Record) -> None:
        written[store].append(record)
        known[store][store] = len(written[store])

    for _ in range(60):
        store, other = chance.choice(stores), chance.choice(stores)
        found = view(store)
        what = chance.random()
        if what < 0.4:  # some of what another has comes here
            for writer in stores:
                if writer != store:
                    most = known[other][writer]
                    known[store][writer] = max(known[store][writer], chance.randrange(most + 1))
        elif found is not None and found.holder == store and other != store and what < 0.7:
            write(store, Handover(other, found.epoch + 1))
        elif found is not None and found.holder != store and what < 0.9:
            write(store, Handover(store, found.epoch + 1))
        holders = [each for each in stores if (seen := view(each)) is not None and seen.holder == each]
        assert len(holders) <= 1, f"seed {seed}"


def test_workers_are_those_that_were_given_the_run_without_asking() -> None:
    device, worker, other = b"device-1", b"worker-1", b"device-2"
    records: list[tuple[bytes, Record]] = [
        (device, Submit("", bytes(32), {}, {"parent": None})),
        (device, Handover(worker, 2)),
        (other, Handover(other, 3)),
        (worker, Handover(other, 3)),
    ]
    assert workers(records) == {worker}
    assert workers(records[:1]) == set()
