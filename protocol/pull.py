"""Pulls bodies for a link: has them asked for, kept, checked; and reads those that the peer asks for.

The session decides what goes over the wire (protocol.bodies), the store keeps the bytes; between them stands one task a body, so that neither a
slow disk nor a large body holds up what else the link has to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import msgpack

from graphs.errors import GraphferryError, JournalError, LinkCondition, ValueUnsupported
from graphs.records import Record, ext
from graphs.values import Value, decode
from protocol.bodies import RANGE
from protocol.events import BodyArrived, BodyBytes, BodyFailed, BodyWhole, Event, GraphReferred, NeedBytes
from protocol.messages import Ref, RunId
from protocol.meter import Meter
from protocol.pacing import Bucket
from protocol.payload import MAX_BODY, Reference, reference, resolve
from protocol.session import Conn
from protocol.store import Left, LinkStore

__all__ = ["ABOUT_BODIES", "Puller"]

ABOUT_BODIES: Final = frozenset({BodyBytes, BodyWhole, NeedBytes, BodyArrived, BodyFailed, GraphReferred})
"""The events that `Puller.handle` sees to."""

_log = logging.getLogger("graphferry.link")
_LARGE: Final = 256 * 1024
"""Bytes from which a value is decoded beside the loop."""

_MOST_CONTAINERS: Final = 1 << 24
"""Lists and maps of one value."""

_WHY: Final[Mapping[str, str]] = {
    "BLOB_GONE": "is not there any more, or came damaged twice",
    "LABEL_WITHHELD": "is withheld: this side is not cleared for it",
    "VALUE_TOO_LARGE": "is refused by its supplier",
}


class Puller:
    """The bodies of one link. `tell` takes what the session says, `start` runs work beside what calls it, `fail` hears that nothing can be written
    any more.
    """

    def __init__(
        self,
        conn: Conn,
        store: LinkStore,
        tell: Callable[[Sequence[Event]], None],
        start: Callable[[Coroutine[Any, Any, None]], None],
        fail: Callable[[JournalError], None],
    ) -> None:
        self._conn = conn
        self._store = store
        self._tell = tell
        self._start = start
        self._fail = fail
        self.meter = Meter()
        self._waiting: dict[Ref, list[asyncio.Future[None]]] = {}
        """Who waits for a body, in the order in which they asked."""
        self._steps: dict[Ref, list[BodyBytes | BodyWhole]] = {}
        """What is to be done for a body, in order."""
        self._busy: set[Ref] = set()
        """Bodies for which a task does it."""
        self.held: Callable[[], LinkCondition] | None = None
        """Why nothing is asked for at the moment."""
        self._bucket: Bucket | None = None
        self._closing = asyncio.Event()

    def limit(self, rate: int | None) -> None:
        """Give at most so many bytes a second; None for as many as the peer takes."""
        self._bucket = None if rate is None else Bucket(rate, min(rate, RANGE))

    def close(self) -> None:
        """Nothing more is given."""
        self._closing.set()

    # -- for the application

    async def pull(self, run: RunId | None, named: Reference) -> None:
        """Returns when the body is here. Waits through lost connections. `run` pins it.

        Raises LinkCondition if it will not come, JournalError if it cannot be kept.
        """
        if named.size > MAX_BODY:
            raise LinkCondition(
                "VALUE_TOO_LARGE", f"A value of {named.size:,} bytes, the limit is {MAX_BODY:,}.", retryable=False
            )
        if named.ref not in self._waiting and named.ref not in self._busy:
            self._steps.pop(named.ref, None)  # bytes that came for somebody who gave up: they are asked for again
        have, whole = await self._store.begin_body(run, named)
        if whole:
            return
        if self.held is not None:
            raise self.held()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        began = loop.time()
        waiting = self._waiting.setdefault(named.ref, [])
        waiting.append(future)
        try:
            self._tell(self._conn.want_body(named.ref, named.size, have))
            await future
            self.meter.pulled(named.size - have, loop.time() - began)
        finally:
            waiting.remove(future)
            if not waiting and self._waiting.get(named.ref) is waiting:
                del self._waiting[named.ref]
                self._tell(self._conn.drop_body(named.ref))

    async def value(self, run: RunId | None, named: Reference) -> Value:
        """The value that a reference stands for. Raises as `pull`, and ValueUnsupported if its bytes are no value."""
        await self.pull(run, named)
        data = await self._store.load_body(named.ref)
        if data is None:
            raise _failed(named.ref, "BLOB_GONE")
        return await asyncio.to_thread(_decoded, data) if len(data) > _LARGE else decode(data)

    async def resolved(self, run: RunId, record: Record, named: Sequence[Reference]) -> Record:
        """The record with those of its values in it that are `named`. Raises as `value`."""
        tasks = [asyncio.ensure_future(self.value(run, each)) for each in named]
        try:
            values = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return resolve(record, {each.ref: value for each, value in zip(named, values, strict=True)})

    # -- what the session says

    def handle(self, event: Event) -> None:
        """See to an event about a body: one of `ABOUT_BODIES`."""
        if isinstance(event, (BodyBytes, BodyWhole)):
            self._step(event)
        elif isinstance(event, NeedBytes):
            self.meter.asked(event.ref, event.off, asyncio.get_running_loop().time())
            self._start(self._supply(event))
        elif isinstance(event, BodyArrived):
            self._settle(event.ref, None)
        elif isinstance(event, BodyFailed):
            self._settle(event.ref, _failed(event.ref, event.code))
        elif isinstance(event, GraphReferred):
            self._start(self._take_graph(event))

    def _step(self, event: BodyBytes | BodyWhole) -> None:
        self._steps.setdefault(event.ref, []).append(event)
        # many chunks at a time: going to another thread and back costs more than writing one
        if event.ref not in self._busy and not (isinstance(event, BodyBytes) and event.more):
            self._busy.add(event.ref)
            self._start(self._keep(event.ref))

    def _settle(self, ref: Ref, error: GraphferryError | None) -> None:
        for future in self._waiting.pop(ref, ()):
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    async def _keep(self, ref: Ref) -> None:
        """Write what came, as much at once as came meanwhile, and look at the whole."""
        steps = self._steps[ref]
        try:
            while steps:
                batch = list(steps)
                steps.clear()
                pieces = [step for step in batch if isinstance(step, BodyBytes)]
                if pieces:
                    await self._store.write_body(ref, pieces[0].off, *(piece.data for piece in pieces))
                    self._tell(self._conn.body_written(ref, pieces[-1].off + len(pieces[-1].data)))
                for whole in batch:
                    if isinstance(whole, BodyWhole):
                        ok = await self._store.check_body(ref, whole.size, whole.crc)
                        self._tell(self._conn.body_verified(ref, ok))
        except JournalError as error:
            self._settle(ref, error)
            self._tell(self._conn.drop_body(ref))
        finally:
            self._busy.discard(ref)
            self._steps.pop(ref, None)

    async def _supply(self, need: NeedBytes) -> None:
        part = self._conn.graph_part(need)
        if part is None and not await self._may_leave(need.length):
            return
        if part is None:
            try:
                part = await self._store.read_body(need.ref, need.off, need.length)
            except JournalError:
                part = None  # whoever asks is told that it is not there
            if part is not None and self._conn.clears(part):
                try:
                    await self._store.leaves(Left(b"", "body", part.labels, size=part.total, ref=need.ref))
                except JournalError as error:
                    self._fail(error)  # it is here, but what cannot be written down does not leave: a later process gives it
                    return
        self._tell(self._conn.supply_body(need, part))

    async def _may_leave(self, size: int) -> bool:
        """Returns when so many bytes may leave; False if the link is closed before."""
        wait = self._bucket.take(asyncio.get_running_loop().time(), size) if self._bucket is not None else 0.0
        if not wait:
            return True
        try:
            await asyncio.wait_for(self._closing.wait(), wait)
        except TimeoutError:
            return True
        return False

    async def _take_graph(self, event: GraphReferred) -> None:
        named = reference(event.message.body)
        if named is None or named.size > event.message.size:
            self._tell(self._conn.graph_here(event.message, b""))  # that has another hash: refused in the session's words
            return
        try:
            await self.pull(None, named)
            packed = await self._store.load_body(named.ref)
        except LinkCondition:
            return  # the device is asked again when the next frame needs it
        except JournalError as error:
            _log.warning("a graph that came cannot be kept or read: %s", error.message)
            return
        self._tell(self._conn.graph_here(event.message, packed or b""))


def _decoded(data: bytes, most: int = _MOST_CONTAINERS) -> Value:
    """The value with these bytes. Raises ValueUnsupported for a bomb: empty maps take 70 times their bytes in memory."""
    if len(data) <= most:  # each list or map takes at least a byte
        return decode(data)
    found = 0

    def count(container: Value) -> Value:
        nonlocal found
        found += 1
        if found > most:
            raise ValueUnsupported(f"a value of more than {most:,} lists and maps")
        return container

    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True, ext_hook=ext, object_hook=count, list_hook=count)
    except ValueUnsupported:
        raise
    except Exception as error:  # msgpack raises many kinds; all mean the same here
        raise ValueUnsupported(f"not a value: {error}") from error


def _failed(ref: Ref, code: str) -> LinkCondition:
    name = "a value" if len(ref) == 32 else "a labelled value"
    retryable = code == "BLOB_GONE"
    return LinkCondition(code, f"The body of {name} {_WHY[code]}.", retryable=retryable)
