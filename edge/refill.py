"""Going on with a run whose values are partly somewhere else: what its journal refers to is put back before the engine sees it.

A large result is recorded as a reference. Its body is here if somebody here read it, else at the worker that made it; if it is nowhere any more, its
node runs again, where that does no harm (docs/protocol.md §14).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from graphs.errors import LinkCondition, ValueUnsupported
from graphs.values import Value, decode
from protocol.journal_store import JournalStore
from protocol.payload import Reference, references, resolve

if TYPE_CHECKING:
    from edge.means import Device
    from edge.worker import WorkerLink
    from graphs.outcomes import Known

__all__ = ["refill"]


async def refill(
    known: Known, device: Device, link: WorkerLink | None, homes: Mapping[bytes, bytes], once: Collection[str]
) -> None:
    """Put values in the place of references in `known`.

    `homes` names the run that refers to each body, `once` the paths of nodes that must not run twice. What cannot be had is forgotten, so
    that its node runs again; of those that must not, a person decides.
    """
    store = JournalStore(device.journal)
    for path, record in list(known.made.items()):
        named = references(record)
        if not named:
            continue
        try:
            values = {each.ref: await _value(each, store, link, homes) for each in named}
        except (LinkCondition, ValueUnsupported):
            del known.outcomes[path], known.made[path]
            if path in once:
                known.indeterminate.add(path)
            continue
        filled: Any = resolve(record, values)
        known.made[path] = filled
        known.outcomes[path] = known.outcomes[path]._replace(value=filled.value)


async def _value(named: Reference, store: JournalStore, link: WorkerLink | None, homes: Mapping[bytes, bytes]) -> Value:
    data = await store.load_body(named.ref)
    if data is not None:
        return decode(data)
    home = homes.get(named.ref)
    if link is None or home is None:
        raise LinkCondition("BLOB_GONE", "A value is at a worker that cannot be reached.")
    return await link.value(home, named)
