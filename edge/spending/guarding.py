"""Puts the guard of a run together, where the run has a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.spending.guard import Guard
from edge.spending.ledger import Ledger, limits_of
from graphs.models.prices import Price

if TYPE_CHECKING:
    from edge.runs.runner import Run

__all__ = ["guard_of"]


def guard_of(run: Run) -> Guard | None:
    """The guard of a run, told what earlier processes spent; None if nothing is limited."""
    limits = limits_of(run.graph, run.options.budget)
    if not limits:
        return None
    guard = Guard(
        Ledger(limits),
        run.desk,
        price=lambda model, at: _price(run, model, at),
        made=run.made,
        sent=lambda path: run.delegate.sent.get(path, 0) if run.delegate is not None else 0,
    )
    if run.earlier is not None:
        guard.know(run.earlier.logged)
    return guard


def _price(run: Run, model: str, at: str) -> Price | None:
    """What a model costs where it was asked: at the worker what its offer says, here nothing, or behind a server what this device's configuration
    says.
    """
    if at == "cloud":
        return Price.of_offer((run.offer.get("models") or {}).get(model) or {})
    if model in run.device.servers:
        return run.device.prices.get(model)
    return Price(0.0, 0.0)
