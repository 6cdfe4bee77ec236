"""What a resumed run has to think of nodes with effects that were in flight: at a worker that goes on with them they are simply running; inside
a graph that is whole at the worker they cast doubt on the node that opens it (docs/protocol.md §8, §10).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from edge.ferrying.attached import Attached, open_children, usable
from edge.placing.facts import Placement
from graphs.errors import LinkCondition, ValueUnsupported, WorkerUnreachable
from graphs.paths import document_path, opener

if TYPE_CHECKING:
    from graphs.engine.outcomes import Known
    from graphs.journal import Journal

__all__ = ["begun_before", "doubtful_openers", "is_gone", "made_again", "still_running"]


def still_running(
    journal: Journal, run: bytes, placed: Mapping[str, Placement], attached: Attached | None, *, alone: bool
) -> set[str]:
    """Nodes with effects that are in flight at the worker, as far as anybody knows: those of `attached`, the child run that is gone on with.

    A process that is `alone` cannot reach the worker and ships nothing: what was in flight there and has its place there still waits for the
    worker, who knows.
    """
    if attached is not None:
        now = usable(
            journal, attached.run
        )  # something may have begun since it was found, and what is known of the run was read after that
        return attached.in_flight | (now.in_flight if now is not None else set())
    if not alone:
        return set()
    parts = [usable(journal, child) for child in open_children(journal, run)]
    paths = {path for part in parts if part is not None for path in part.in_flight}
    return {path for path in paths if _is_away(path, placed) or doubtful_openers([path], placed)}


def begun_before(journal: Journal, children: Collection[bytes]) -> Callable[[str], bool]:
    """Whether a worker may have begun a path in one of these open child runs, told or not."""
    parts = [Attached(child) for child in children]
    for part in parts:
        for logged in journal.records(part.run):
            part.note(logged.record)
    return lambda path: any(part.may_have_begun(path) for part in parts)


def doubtful_openers(paths: Collection[str], placed: Mapping[str, Placement]) -> set[str]:
    """The nodes at the worker in whose nested graphs these paths lie: to ship one of them again would run again what is inside it."""
    found = set()
    for path in paths:
        while path := opener(path):
            if _is_away(path, placed):
                found.add(path)
    return found


def made_again(
    lacking: Mapping[str, LinkCondition | ValueUnsupported],
    known: Known,
    placed: Mapping[str, Placement],
    attached: Attached | None,
) -> bool:
    """Whether the worker has to make something again that it told of in `attached`: it does not in that child run, so another one is needed.

    `lacking` are results whose values do not come. `refill` has forgotten them, and calls those of nodes with effects indeterminate. What
    nobody will ask for is no matter, and what is still at the worker, or may be, waits for it.
    """
    again = attached is not None and any(
        is_gone(error) and _is_away(path, placed) and not _is_inside(path, known, placed, attached)
        for path, error in lacking.items()
    )
    kept = None if again else attached
    for path, error in lacking.items():
        if _is_inside(path, known, placed, None):
            known.indeterminate.discard(path)
        elif kept is not None and (_is_inside(path, known, placed, kept) or (not is_gone(error) and _is_away(path, placed))):
            kept.in_flight |= {path} & known.indeterminate
            if isinstance(error, LinkCondition):
                kept.withheld[path] = error
        elif isinstance(error, WorkerUnreachable) and _is_away(path, placed):
            known.indeterminate.discard(path)
    return again


def is_gone(error: LinkCondition | ValueUnsupported) -> bool:
    """Whether a value that does not come is nowhere any more, so that it has to be made again."""
    return isinstance(error, ValueUnsupported) or error.condition == "BLOB_GONE"


def _is_inside(path: str, known: Known, placed: Mapping[str, Placement], attached: Attached | None) -> bool:
    """Whether a path lies in the nested graph of a node that is known as a whole, or that the worker goes on with as a whole."""
    while path := opener(path):
        if path in known.outcomes or (attached is not None and _is_away(path, placed)):
            return True
    return False


def _is_away(path: str, placed: Mapping[str, Placement]) -> bool:
    placement = placed.get(document_path(path))
    return placement is not None and placement.place == "cloud"
