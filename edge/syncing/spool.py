"""The spool: what of shared runs no worker is known to have. It is nothing but a count: the records and values lie in the journal, and stay there.

How far a worker had each log is noted after each round; a log that goes further has something that waits. So what waits can be said without a
connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.syncing.sharing import shared_part
from graphs.errors import JournalError
from graphs.records import decode
from graphs.values import canonical
from protocol.payload import references

if TYPE_CHECKING:
    from edge.network.link_policy import LinkPolicy
    from graphs.journal import Journal

__all__ = ["NOTHING", "ToGo", "forget_given", "note_given", "over_the_bound", "spooled", "to_go", "together", "total"]

_GIVEN: Final = "given "


class ToGo(NamedTuple):
    """What of a run has to go out: records, and bytes, large values included."""

    records: int = 0
    bytes: int = 0


NOTHING: Final = ToGo()


@dataclass(slots=True)
class _Pending:
    records: int = 0
    bytes: int = 0


def spooled(journal: Journal) -> dict[bytes, ToGo]:
    """What waits to go out, by root run; those of which nothing does are left out."""
    there = {bytes.fromhex(run): dict(pairs) for run, pairs in journal.meta_values(_GIVEN, list).items()}
    lines = [(line, there.get(line.run, {}).get(line.writer, 0)) for line in shared_part(journal).lines()]
    return to_go(journal, [(line.run, line.writer, have) for line, have in lines if line.last > have])


def to_go(journal: Journal, logs: Iterable[tuple[bytes, bytes, int]]) -> dict[bytes, ToGo]:
    """What goes out, by root run, if of each of these logs (run, writer) the other side has so many records. A value counts once."""
    found: dict[bytes, _Pending] = {}
    counted: set[bytes] = set()
    for run, writer, have in logs:
        root = journal.run(run).parent or run
        pending = found.setdefault(root, _Pending())
        for size, refs in _records(journal, run, writer, have):
            pending.records += 1
            pending.bytes += size
            for ref, length in refs:
                if ref not in counted:
                    counted.add(ref)
                    pending.bytes += length
    return {run: ToGo(each.records, each.bytes) for run, each in found.items()}


def total(found: Mapping[bytes, ToGo]) -> ToGo:
    """All of it."""
    return ToGo(sum(each.records for each in found.values()), sum(each.bytes for each in found.values()))


def together(*found: Mapping[bytes, ToGo]) -> dict[bytes, ToGo]:
    """The sums of several, by run."""
    sums: dict[bytes, ToGo] = {}
    for run, went in chain.from_iterable(each.items() for each in found):
        before = sums.get(run, NOTHING)
        sums[run] = ToGo(before.records + went.records, before.bytes + went.bytes)
    return sums


def over_the_bound(left: ToGo, policy: LinkPolicy) -> str | None:
    """What is to be said aloud if more waits than the policy has room for; None if it has."""
    if left.bytes <= policy.spool:
        return None
    what = f"{left.bytes:,} bytes wait to go out to the worker, more than the {policy.spool:,} of `link: {{spool}}`"
    return f"{what}. Nothing is lost; no further run is marked for sync unasked until there is room: graphferry sync"


def note_given(journal: Journal, logs: Mapping[tuple[bytes, bytes], int]) -> None:
    """Queue that a worker has so many records of these logs, by run and writer."""
    by_run: dict[bytes, dict[bytes, int]] = {}
    for (run, writer), last in logs.items():
        by_run.setdefault(run, {})[writer] = last
    for run, given in by_run.items():
        key = _GIVEN + run.hex()
        before = dict(journal.meta_value(key, list) or ())
        if {**before, **given} != before:
            journal.set_meta(key, canonical([list(pair) for pair in {**before, **given}.items()]))


def forget_given(journal: Journal, run: bytes) -> None:
    """Queue that nothing is known of a root run and its parts any more."""
    for each in (run, *(child.run for child in journal.children(run))):
        journal.drop_meta(_GIVEN + each.hex())


def _records(journal: Journal, run: bytes, writer: bytes, after: int) -> Iterator[tuple[int, list[tuple[bytes, int]]]]:
    """The size of each record, and the bodies that it refers to; as far as the log can be read."""
    try:
        for entry in journal.entries(run, writer, after):
            yield len(entry.tail), [(named.ref, named.size) for named in references(decode(entry.type, entry.tail))]
    except JournalError:
        return  # `runs show` says what is wrong with it
