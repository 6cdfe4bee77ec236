"""What a fork knows of results that may turn out to hold: what was done before them is done again, and may come to the same.

They stand in the fork's own log from its beginning, each under the hash of what it was handed (`key` in its `by`), so that a process which goes on
with a fork after another one died keeps what that one would have kept. No other reader of the log counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.offers import last_offer
from graphs.engine.events import Outcome, Start
from graphs.engine.outcomes import KEY
from graphs.engine.retrace import handed_to
from graphs.errors import ModelMissing
from graphs.records import Known, Result, State
from graphs.registry import Agent, Registry
from graphs.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.means import Device
    from graphs.engine.doubts import Doubts

__all__ = ["Recall", "keyed", "same_maker", "with_offered"]


class Recall:
    """Called with an attempt; gives the outcome of the result that holds for it, once that is in the fork's log, or None.

    `record` writes into that log; `results` are those that stand there under a key, by path; `doubts` do not run by themselves.
    """

    def __init__(self, record: Callable[[Known], object], results: Mapping[str, Result], doubts: Doubts) -> None:
        self._record = record
        self._results = dict(results)
        self._doubts = doubts

    def __call__(self, start: Start) -> Outcome | None:
        if start.node.place is not None and start.path not in self._doubts:
            return None  # a worker runs it ahead
        result = self._results.pop(start.path, None)
        if result is None or result.by[KEY] != handed_to(start):
            return None
        self._record(replace(result, by={name: value for name, value in result.by.items() if name != KEY}))
        return Outcome(State.COMPLETED, result.value)


def keyed(result: Result, handed: bytes) -> Result:
    """A result as it stands in a fork's log until something is handed the same."""
    return replace(result, by={**result.by, KEY: handed})


def with_offered(device: Device, url: str | None) -> Registry:
    """The agents here, and those that only the worker has: what they gave is known, and they are not run."""
    offered: Mapping[str, Value] = (last_offer(device.journal, url) or {}).get("agents") or {}
    strangers = [Agent(name, _never, version=str(version)) for name, version in offered.items() if name not in device.agents]
    return device.agents.with_agents(strangers)


def _never(_context: object) -> Value:
    raise AssertionError("an agent of the worker is not run here")


def same_maker(device: Device, agents: Registry, made: Result | None) -> bool:
    """Whether the agent and the model that made a result are those that would make it now, as far as that is known here."""
    if made is None:
        return True
    by = made.by
    agent = agents.get(str(by.get("agent")))
    if agent is not None and by.get("version") not in (None, agent.version):
        return False
    model, was = by.get("model"), by.get("digest")
    if not isinstance(model, str) or was is None:
        return True
    try:
        now = device.models.describe(model).digest
    except ModelMissing:  # the worker's, or gone: nothing says that it changed
        return True
    return now is None or now == was
