"""Who holds a run: the one store whose engine decides it, as the records of its logs say (docs/protocol.md §11). Pure.

Epoch 1 is of the store that began the run. A HANDOVER that the holder of an epoch wrote into its own log begins the next one; one that names its own
writer only asks for it. So does a CANCEL: what becomes of it the holder says. A store's own log never lags behind at that store, so whoever is the
holder by the logs it has is the holder: there are never two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from graphs.records import Cancel, End, Handover, Record, Submit

__all__ = ["HOLDING_TYPES", "Holding", "holding", "workers"]

HOLDING_TYPES: Final = (Submit.TYPE, Handover.TYPE, Cancel.TYPE, End.TYPE)
"""The types of records that say who holds a run; a log has few of them."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Store `holder` holds the run, in that `epoch`; `asking` are the stores that ask to hold it next, in the order of their ids; `over`
    that the run has come to its end, `stopping` that it has not and some store asks to cancel it.
    """

    holder: bytes
    epoch: int
    asking: tuple[bytes, ...] = ()
    over: bool = False
    stopping: bool = False


def holding(records: Iterable[tuple[bytes, Record]]) -> Holding | None:
    """What the records of a root run say, those of `HOLDING_TYPES` at least, each with its writer, in the order of each log; None if its
    beginning is not here.
    """
    creator: bytes | None = None
    given: dict[bytes, dict[int, bytes]] = {}
    asked: dict[bytes, int] = {}
    over = stopping = False
    for writer, record in records:
        if isinstance(record, Submit) and creator is None:
            creator = writer
        elif isinstance(record, Handover) and record.to == writer:
            asked[writer] = max(asked.get(writer, 0), record.epoch)
        elif isinstance(record, Handover):
            given.setdefault(writer, {}).setdefault(record.epoch, record.to)
        elif isinstance(record, End):
            over = True
        elif isinstance(record, Cancel) and record.paths is None:
            stopping = True
    if creator is None:
        return None
    holder, epoch = creator, 1
    while (following := given.get(holder, {}).get(epoch + 1)) is not None:
        holder, epoch = following, epoch + 1
    asking = sorted(writer for writer, wanted in asked.items() if wanted == epoch + 1 and writer != holder)
    return Holding(holder, epoch, tuple(asking), over, stopping and not over)


def workers(records: Iterable[tuple[bytes, Record]]) -> set[bytes]:
    """The stores that held a run as workers, by its records as in `holding`: they were given it without having asked, as no device is."""
    given, asked = set[bytes](), set[bytes]()
    for writer, record in records:
        if isinstance(record, Handover):
            (asked if record.to == writer else given).add(record.to)
    return given - asked
