"""What a run that this worker holds may cost: the budgets of the run, and what its account may at this worker."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cloud.accounts import Account
from cloud.holdings import Holdings
from graphs.engine.holding import workers
from graphs.models.prices import Price
from graphs.records import Error, Event, Handover, Record, Result
from graphs.spending.guard import Guard, Made, Place
from graphs.spending.ledger import Ledger, limits_of
from protocol.crossed import crossed
from protocol.refill import with_counts

if TYPE_CHECKING:
    from graphs.engine.outcomes import Known
    from graphs.journal import Journal, Logged
    from graphs.language.spec import Graph
    from graphs.running.attempt import Attempt
    from graphs.running.desk import Desk
    from protocol.payload import Body

__all__ = ["Upkeep", "guard_of_held"]

_OWN: Final = "llama.cpp"
"""What devices run models with that cost nothing."""


class Upkeep:
    """What the account of one held run keeps here: counted as it is written, and looked at before anything more begins."""

    def __init__(self, holdings: Holdings, account: Account, scope: str) -> None:
        self._holdings = holdings
        self._account = account
        self._scope = scope
        self.guard: Guard | None = None
        self.lacked_room = False
        """Whether something did not begin because there was no room."""

    def kept(self, size: int, bodies: Sequence[Body]) -> None:
        """`protocol.run_log.RunLog`: a record of so many bytes is written, with these bodies."""
        self._holdings.wrote(self._account, size)
        for body in bodies:
            self._holdings.keeps(self._account.name, self._scope, body.ref, len(body.data))

    async def before(self, start: Attempt) -> None:
        """`graphs.running.runtime.Runtime`: an attempt is about to begin. Raises LinkCondition QUOTA if what it gives cannot be kept, and as
        `graphs.spending.guard.Guard.before`; what has begun is finished and kept, for to lose it would be worse. A question begins all the same: it
        is small, and its answer may be here.
        """
        agent = start.agent
        makes = agent is not None and not agent.cheap and "people" not in agent.needs
        if makes and (full := self._holdings.full(self._account)) is not None:
            self.lacked_room = True
            raise full
        if self.guard is not None:
            await self.guard.before(start)


def guard_of_held(
    journal: Journal,
    run: bytes,
    graph: Graph,
    options: Mapping[str, Any],
    known: Known,
    logged: Collection[Logged],
    desk: Desk,
    prices: Mapping[str, Price],
) -> Guard | None:
    """The guard of a run that is held here, told what was spent on whatever store; None if nothing is limited.

    A device's own prices are not known here: what a model of it cost that is not one it runs itself is unknown, and a person is asked.
    """
    limits = limits_of(graph, options.get("budget"))
    if not limits:
        return None
    held = workers((each.writer, each.record) for each in logged if isinstance(each.record, Handover))
    own = {each.record.path for each in logged if isinstance(each.record, Result) and each.writer not in held}
    sizes = crossed(journal, run)
    there = list(_in_parts(journal, run))
    free = _free_models([*(each.record for each in logged if each.writer not in held)])

    def price(model: str, at: Place) -> Price | None:
        if at == "cloud":
            return prices.get(model)
        return Price(0.0, 0.0) if model in free else None

    def made(path: str) -> Made | None:
        record = known.made.get(path)
        if record is None:
            return None
        return Made(with_counts(journal, record, names=True), sizes.get(path, 0), "edge" if path in own else "cloud")

    guard = Guard(Ledger(limits), desk, price=price, made=made, here="cloud")
    guard.know(logged, there)
    return guard


def _in_parts(journal: Journal, run: bytes) -> Iterator[Record]:
    for child in journal.children(run):
        for logged in journal.records_of(child.run, Error.TYPE, Event.TYPE):
            yield with_counts(journal, logged.record, names=True)


def _free_models(records: Collection[Record]) -> set[str]:
    """The models that devices ran themselves, as far as their records say."""
    made = (each.by for each in records if isinstance(each, Result))
    return {str(by["model"]) for by in made if by.get("backend") == _OWN and "model" in by}
