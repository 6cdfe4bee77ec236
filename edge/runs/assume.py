"""What a person says became of a node with effects that was in flight when its side died: nobody else can know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from edge.ferrying.doubt import doubtful_openers
from graphs.engine.events import Outcome
from graphs.engine.outcomes import AGAIN, Known, told_failure
from graphs.errors import NodeError, UsageError
from graphs.records import Error, Event, Known as Recordable, Result, State
from graphs.values import MISSING, Value

if TYPE_CHECKING:
    from edge.placing.facts import Placement

__all__ = ["FORMS", "Assumption", "assume"]

FORMS: Final = "NODE=done:VALUE, NODE=done, NODE=failed or NODE=rerun"


@dataclass(frozen=True, slots=True)
class Assumption:
    """The node at `path` is `done`, with this value if any, has `failed`, or is to run again (`rerun`)."""

    path: str
    what: Literal["done", "failed", "rerun"]
    value: Value = MISSING


def assume(known: Known, said: Sequence[Assumption], placed: Mapping[str, Placement], now: int) -> list[Recordable]:
    """Take in what was said of the nodes in doubt; the records that say so for good, at `now` (ms since 1970).

    Raises UsageError for a node that is not in doubt, or inside a graph that a worker runs as a whole.
    """
    records: list[Recordable] = []
    for each in said:
        path = each.path
        openers = doubtful_openers([path], placed)
        if openers and path in known.doubts:
            raise UsageError(
                f"node {path!r} is inside {min(openers)!r}, which a worker runs as a whole",
                hint=f"Say what became of {min(openers)!r}.",
            )
        inside = {other for other in known.indeterminate if path in doubtful_openers([other], placed)}
        if path not in known.doubts and not inside:
            doubtful = ", ".join(sorted(known.indeterminate | (known.suspects - known.outcomes.keys()))) or "none is"
            raise UsageError(f"--assume {path}: that node is not in doubt; in doubt: {doubtful}")
        known.indeterminate -= {path, *inside}
        known.cleared.add(path)
        at = known.begun.get(path, 0)
        if each.what == "done":
            result = Result(path, at, 0, each.value, now, {"assumed": "done"})
            known.outcomes[path] = Outcome(State.COMPLETED, each.value)
            known.made[path] = result
            records.append(result)
        elif each.what == "failed":
            text = "it was running when the run stopped, and a person said that it failed"
            error = Error(path, at, 0, NodeError.code, text, True, False)
            known.outcomes[path] = told_failure(error)
            records.append(error)
        else:  # on record at once: the node may not begin for long, and nobody is to be asked again
            again = sorted({path, *inside})
            records += [Event(other, known.begun.get(other, 0), State.WAITING, now, dict(AGAIN)) for other in again]
    return records
