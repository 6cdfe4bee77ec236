"""What is kept of a run beside its records: the plan it began with, and in the end what it took, for the estimates of the next one.

Neither is on the run's way, and neither may stop it: a run whose plan cannot be made runs without one. What only plans need is imported with them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from edge.network.conditions import UNKNOWN, Conditions
from edge.placing.facts import Facts
from edge.placing.node_needs import model_named
from graphs.errors import JournalError, ValueUnsupported
from graphs.paths import document_path
from graphs.values import Value, canonical, decode

if TYPE_CHECKING:
    from edge.means import Device
    from edge.planning.estimates import Estimates
    from edge.planning.took import Prices
    from edge.runs.runner import Run
    from edge.showing.report import RunReport
    from graphs.journal import Journal
    from graphs.language.spec import Graph

__all__ = ["Estimating", "Keeper", "kept_plan"]

_log = logging.getLogger(__name__)
_TURNS: Final = 4
"""Turns of the event loop after which the plan is made: by then the first nodes have asked their models."""


class Estimating:
    """What makes estimates for a device's graphs, by what it knows then: its `Device.estimator`. Whoever asks the same gets the same."""

    def __init__(self, device: Device, conditions: Callable[[], Conditions] = lambda: UNKNOWN) -> None:
        """`conditions` finds out how the way to a worker stands; it is asked once, and only where there is a worker."""
        self._device = device
        self._conditions = cache(conditions)
        self._asked: tuple[Any, ...] = ()
        self._made: Estimates | None = None

    def __call__(self, graph: Graph, offer: Mapping[str, Any], url: str | None, injected: Mapping[str, Value]) -> Estimates:
        """Estimates for a graph: with this offer of the worker at `url`, and these values of static nodes."""
        from edge.planning.estimates import Estimates
        from edge.planning.gathering import gather

        asked = (graph, dict(offer), url, injected)
        if self._made is None or asked != self._asked:
            device = self._device
            facts = Facts(device.agents, (), tiers=device.tiers, default_model=device.default_model)
            self._asked = asked
            self._made = Estimates(
                graph,
                gather(device, url, offer, self._conditions() if offer else UNKNOWN),
                device.journal.history,
                agents=device.agents,
                model_of=partial(model_named, facts=facts),
                injected=injected,
            )
        return self._made


def kept_plan(journal: Journal, run: bytes) -> dict[str, Any] | None:
    """The plan that a run began with, as `Plan.as_json` gave it; None if none was kept, or what was kept is none: a run may come out of a file."""
    from edge.planning.plan import is_plan

    stored = journal.plan(run)
    try:
        found = decode(stored) if stored is not None else None
    except ValueUnsupported:
        return None
    return found if is_plan(found) else None


class Keeper:
    """Keeps the plan of a run, and what it took. The run does not wait for it: its first nodes start before the plan is made."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waits = False
        self._keys: Mapping[str, str] = {}
        self._prices: Prices | None = None

    def begin(self) -> None:
        """The run is on record, and about to begin."""
        self._waits = True
        self._soon(_TURNS)

    def end(self) -> None:
        """The run stops: what it comes to is durable."""
        from edge.planning.history import note_run

        self._make_plan()
        run, device = self._run, self._run.device
        now = int(time.time() * 1000)
        with _harmless(f"what run {run.text} took could not be noted"):
            note_run(device.journal, run.id, run.graph, run.facts(None), now, self._keys, before=self._before())

    def _before(self) -> int:
        """How many records this device's log of the run had when this process took it up."""
        earlier, own = self._run.earlier, self._run.device.journal.store_id
        return sum(logged.writer == own for logged in earlier.logged) if earlier is not None else 0

    def priced(self, report: RunReport) -> RunReport:
        """The report, with what the tokens of its nodes cost by the prices of when the plan was made; those of nodes in graphs that a worker opened
        are in the sum.
        """
        run = self._run
        told = {**(run.delegate.made if run.delegate is not None else {}), **run.leaving.made}
        made = {path: record for path, (record, _) in told.items()}
        records = {**run.known.made, **made} if made else run.known.made
        inside = [record for path, record in records.items() if _has_tokens(record.usage) and path not in report.nodes]
        asked = [(path, node) for path, node in report.nodes.items() if _has_tokens(node.usage)]
        if not (asked or inside):
            return report  # and nobody needs to know any price
        from edge.planning.took import Bill

        bill, prices = Bill(), self._prices or self._known_prices()
        for path, node in asked:
            placement = run.placed.get(document_path(path))
            named = placement.model if placement is not None and not node.degraded else None
            node.usd = bill.add(prices, node.place, node.by, node.usage, named)
        for record in inside:
            bill.add(prices, "cloud", record.by, record.usage)
        report.cost = bill.as_json(prices)
        return report

    def _known_prices(self) -> Prices:
        """Of a run that goes on: those that it began with; else those of now."""
        from edge.planning.took import Prices

        device = self._run.device
        plan = kept_plan(device.journal, self._run.id)
        return Prices.of_plan(plan) if plan is not None else Prices.of_now(device.prices, self._run.offer)

    def _soon(self, turns: int) -> None:
        asyncio.get_running_loop().call_soon(*((self._soon, turns - 1) if turns else (self._make_plan,)))

    def _make_plan(self) -> None:
        if not self._waits:
            return
        self._waits = False
        from edge.planning.plan import make_plan
        from edge.planning.took import Prices
        from graphs.models.prices import Price

        run, options = self._run, self._run.options
        with _harmless(f"the plan of run {run.text} could not be made"):
            made = run.device.estimator
            estimating = made if isinstance(made, Estimating) else Estimating(run.device)
            offer = {} if options.local_only or options.offline else run.offer  # then nobody asks how the network stands, either
            estimates = estimating(run.graph, offer, options.url, options.inject)
            self._keys = estimates.keys
            why = run.unreachable.message if run.unreachable is not None else None
            self._prices = Prices({name: Price(*each) for name, each in estimates.prices.items()}, True)
            plan = make_plan(run.graph, run.placed, run.facts(run.offer), estimates, why)
            run.device.journal.keep_plan(run.id, canonical(plan.as_json()))


def _has_tokens(usage: Mapping[str, Value] | None) -> bool:
    return usage is not None and ("prompt_tokens" in usage or "completion_tokens" in usage)


@contextmanager
def _harmless(what: str) -> Iterator[None]:
    """Whatever is wrong with an estimate, the run is not. That the journal fails, who writes into it is told."""
    try:
        yield
    except JournalError:
        return
    except Exception:  # noqa: BLE001 - an estimate's mistake must not stop a run
        _log.exception("%s", what)
