"""What was shipped as this device's journal has it: the child runs, and the cut graphs that a worker asks for in those which nobody of this process
goes on with, as it lost them when it died, or they never came to it. Without them it would wait, and whoever was handed the run with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from edge.syncing.sharing import labels_of
from graphs.journal.claims import while_claimed
from graphs.records import Frame, Submit

if TYPE_CHECKING:
    from graphs.journal import Journal
    from graphs.language.cut import CutGraph

__all__ = ["GONE", "note_child", "shipped_before", "soon"]

GONE: Final = ("cancel", 7 * 24 * 3_600_000)
"""What the worker does when this device is gone for so long (ms): until then it goes on, and the run that is resumed takes what it made."""
_SOON: Final = 1.0


async def soon(event: asyncio.Event) -> None:
    """Returns when the event comes, which is waited for as long as is worth it when a run is over: a second."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SOON):
            await event.wait()


def note_child(journal: Journal, child: bytes, parent: bytes, graph: CutGraph) -> None:
    """A child run is to be opened with this cut, by the process that goes on with its root run. Nothing if it is in the journal already: the gate may
    have refused an earlier order of it.
    """
    journal.claims.parts[child] = parent
    if not journal.knows(child):
        cut, now = graph.canonical, int(time.time() * 1000)
        with while_claimed(journal, parent):
            journal.create_run(child, role="child", parent=parent, graph_hash=graph.hash, graph=cut, name="cut", started=now)


def shipped_before(journal: Journal, children: Iterable[bytes], address: bytes) -> tuple[bytes, frozenset[str], bytes] | None:
    """The bytes of a graph that one of these child runs names, its labels, and the run that the child run is a part of; None if none does. Of the
    labels it is not known any more which ones were in this part, so they are all that the run has: rather too many.
    """
    for child in children:
        root = journal.run(child).parent
        stored = journal.graph(address) if root is not None and _names(journal, child, address) else None
        if root is not None and stored is not None:
            return stored.body, labels_of(journal, root), root
    return None


def _names(journal: Journal, child: bytes, address: bytes) -> bool:
    orders = (logged.record for logged in journal.records_of(child, Submit.TYPE, Frame.TYPE))
    return any(isinstance(each, (Submit, Frame)) and each.graph == address for each in orders)
