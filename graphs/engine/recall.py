"""What a fork knows of results that may turn out to hold: what was done before them is done again, and may come to the same. Pure.

They stand in the fork's own log from its beginning, each under the hash of what it was handed (`key` in its `by`), so that whoever goes on with the
fork, in another process or at another store, keeps what the first one would have kept. No other reader of the log counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from graphs.engine.events import Outcome, Start
from graphs.engine.outcomes import KEY, Known
from graphs.engine.retrace import handed_to
from graphs.records import Known as Recordable, Record, Result, State

if TYPE_CHECKING:
    from graphs.engine.doubts import Doubts
    from graphs.registry import Agent

__all__ = ["Recall", "keyed", "keyed_results", "made_alike"]


class Recall:
    """Called with an attempt; gives the outcome of the result that holds for it, once that is in the fork's log, or None.

    `record` writes into that log; `results` are those that stand there under a key, by path; `doubts` do not run by themselves. `ahead` says that
    a worker runs those nodes ahead that are placed elsewhere.
    """

    def __init__(
        self, record: Callable[[Recordable], object], results: Mapping[str, Result], doubts: Doubts, *, ahead: bool = True
    ) -> None:
        self._record = record
        self._results = dict(results)
        self._doubts = doubts
        self._ahead = ahead

    def __call__(self, start: Start) -> Outcome | None:
        if self._ahead and start.node.place is not None and start.path not in self._doubts:
            return None
        result = self._results.pop(start.path, None)
        if result is None or result.by[KEY] != handed_to(start):
            return None
        self._record(replace(result, by={name: value for name, value in result.by.items() if name != KEY}))
        return Outcome(State.COMPLETED, result.value)


def keyed(result: Result, handed: bytes) -> Result:
    """A result as it stands in a fork's log until something is handed the same."""
    return replace(result, by={**result.by, KEY: handed})


def keyed_results(records: Iterable[Record], counted: Collection[str]) -> Known:
    """The results that count only for who is handed the same, where none counts yet: of these paths one does."""
    made = {each.path: each for each in records if isinstance(each, Result) and KEY in each.by and each.path not in counted}
    return Known(outcomes={path: Outcome(State.COMPLETED, each.value) for path, each in made.items()}, made=made)


def made_alike(made: Result | None, agents: Mapping[str, Agent], digest: Callable[[str], str | None]) -> bool:
    """Whether the agent and the model that made a result are those that would make it now, as far as that is known; `digest` is that of a model of
    this name, None where nobody knows.
    """
    if made is None:
        return True
    by = made.by
    agent = agents.get(str(by.get("agent")))
    if agent is not None and by.get("version") not in (None, agent.version):
        return False
    model, was = by.get("model"), by.get("digest")
    now = digest(model) if isinstance(model, str) and was is not None else None
    return now is None or now == was
