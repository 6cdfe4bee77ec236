"""Puts the guard of a run together, where the run has a budget."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from edge.runs.writers import place_of_writer
from graphs.models.prices import Price
from graphs.records import Error, Event, Record, Result
from graphs.spending.guard import Guard, Made, Place
from graphs.spending.ledger import Ledger, limits_of
from protocol.crossed import crossed
from protocol.refill import with_counts

if TYPE_CHECKING:
    from edge.runs.runner import Run

__all__ = ["guard_of"]


def guard_of(run: Run) -> Guard | None:
    """The guard of a run, told what earlier processes spent; None if nothing is limited."""
    limits = limits_of(run.graph, run.options.budget)
    if not limits:
        return None
    there = list(_at_workers(run)) if run.earlier is not None else []
    away = _made_away(run, there) if run.earlier is not None else set()
    before = crossed(run.device.journal, run.id) if run.earlier is not None else {}
    guard = Guard(
        Ledger(limits),
        run.desk,
        price=lambda model, at: _price(run, model, at),
        made=lambda path: _made(run, path, away, before),
        sent=lambda path: run.delegate.log.sent.get(path, 0) if run.delegate is not None else 0,
    )
    if run.earlier is not None:
        guard.know(run.earlier.logged, there)
    return guard


def _at_workers(run: Run) -> Iterator[Record]:
    """What workers have told of a run's nodes so far."""
    journal = run.device.journal
    for child in journal.children(run.id):
        for logged in journal.records_of(child.run, Result.TYPE, Error.TYPE, Event.TYPE):
            yield with_counts(journal, logged.record, names=True)


def _made_away(run: Run, there: Iterable[Record]) -> set[str]:
    """The paths of the results that a worker made, in a part of the run or while it held the run; those of parts unless the holder made them, too."""
    assert run.earlier is not None
    place = place_of_writer(run.device.journal, run.id)
    parts = {each.path for each in there if isinstance(each, Result)} - set(run.earlier.own)
    return parts | {
        each.record.path for each in run.earlier.logged if isinstance(each.record, Result) and place(each.writer) == "cloud"
    }


def _made(run: Run, path: str, away: Collection[str], before: Mapping[str, int]) -> Made | None:
    """The record of a result that was not made in this process, with the bytes that came for it, and where it was made. `before` are the bytes that
    crossed the link for each path in earlier processes.
    """
    found = run.made(path)
    if found is None:
        return None
    record, size = found
    record = with_counts(run.device.journal, record, names=True)
    return Made(record, size or before.get(path, 0), "cloud" if size or path in away else "edge")


def _price(run: Run, model: str, at: Place) -> Price | None:
    """What a model costs where it was asked: at the worker what its offer says, here nothing, or behind a server what this device's configuration
    says.
    """
    if at == "cloud":
        return Price.of_offer((run.offer.get("models") or {}).get(model) or {})
    if model in run.device.servers:
        return run.device.prices.get(model)
    return Price(0.0, 0.0)
