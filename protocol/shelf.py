"""Graph bodies on the link: what the peer's store is known to hold, what to send unasked, what was asked for.

A graph travels by its hash and at most once to a store that keeps it (docs/protocol.md §7).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable
from typing import Final

from graphs.errors import LinkCondition
from graphs.values import digest
from protocol.errors import RemoteProtocolError
from protocol.messages import GraphStatus, Hash, PutGraph, Ref, StoreId
from protocol.payload import blobref, reference

__all__ = ["MAX_BODY", "Shelf", "unpack"]

MAX_UNASKED: Final = 32 * 1024
"""Bytes on the wire of a graph that is sent before anybody asked."""
MAX_BODY: Final = 192 * 1024
"""Bytes on the wire of a graph that comes with its message; a larger one is pulled."""
MAX_HELD: Final = 4096
"""Graphs remembered to be in a worker's store: forgetting one costs sending it again."""
MAX_ASKED: Final = 1024
"""Questions for graphs that may be open: as many as runs."""
MAX_SIZE: Final = 4 * 1024 * 1024
"""Bytes of a graph's canonical form."""

_DOMAIN: Final = b"graphferry.graph.1\n"


class Shelf:
    """A device's graphs and what it knows about the worker's."""

    __slots__ = ("_asked", "_bodies", "_clear", "_held", "_labels", "_large", "_peer", "_told", "_unnoted")

    def __init__(
        self, clear: Callable[[Collection[str]], bool], peer: StoreId | None, held: Iterable[tuple[StoreId, Hash]] = ()
    ) -> None:
        self._clear = clear
        self._peer = peer
        self._bodies: dict[Hash, PutGraph] = {}
        self._labels: dict[Hash, tuple[str, ...]] = {}
        self._large: dict[Ref, tuple[Hash, bytes]] = {}
        self._held: dict[StoreId, dict[Hash, None]] = {}
        for store, h in held:
            self._held.setdefault(store, {})[h] = None
        self._told: set[Hash] = set()
        self._asked: set[Hash] = set()
        self._unnoted: set[Hash] = set()
        """Graphs that do not leave before it is durable that they do."""

    def connected(self) -> list[PutGraph]:
        """A connection begins: small graphs that the peer is not known to hold go along with HELLO."""
        self._told.clear()
        self._asked.clear()
        return [message for h, message in self._bodies.items() if self._wants(h) and self._send(h)]

    def met(self, peer: StoreId) -> None:
        """The peer's store is this one."""
        self._peer = peer

    def put(self, h: Hash, body: bytes, labels: Collection[str], *, hold: bool = False) -> tuple[bool, PutGraph | None]:
        """Offer a graph: whether the gate lets it pass, and the message to send now, if any. With `hold` that is when it is `noted`, unless the
        graph was offered before. Raises LinkCondition if it is too large.
        """
        if labels and not self._clear(labels):
            return False, None
        if h not in self._bodies:
            message, packed = _pack(h, body)
            if hold:
                self._unnoted.add(h)
            self._bodies[h] = message
            if (named := reference(message.body)) is not None:
                self._large[named.ref] = h, packed
            self._labels[h] = tuple(labels)
        return True, self._bodies[h] if (h in self._asked or self._wants(h)) and self._send(h) else None

    def has(self, h: Hash) -> bool:
        """Whether the peer's store is known to have that graph."""
        return h in self._held.get(self._peer or b"", ())

    def noted(self, h: Hash) -> PutGraph | None:
        """It is durable that a graph leaves: the message to send now, if any."""
        self._unnoted.discard(h)
        return self._bodies[h] if h in self._bodies and (h in self._asked or self._wants(h)) and self._send(h) else None

    def judged(self, h: Hash, status: int) -> tuple[bool, PutGraph | None]:
        """The worker spoke about a graph: whether its body must be got from the application, and the message to send now, if any."""
        held = self._held.setdefault(self._peer or b"", {})
        if status != GraphStatus.UNKNOWN:
            held[h] = None
            if len(held) > MAX_HELD:
                del held[next(iter(held))]
            known = self._bodies.pop(h, None)
            self._labels.pop(h, None)
            if known is not None and (named := reference(known.body)) is not None:
                self._large.pop(named.ref, None)
            return False, None
        held.pop(h, None)
        self._told.discard(h)
        if len(self._asked) >= MAX_ASKED and h not in self._bodies:
            return False, None
        self._asked.add(h)
        if h not in self._bodies:
            return True, None
        return False, self._bodies[h] if self._send(h) else None

    def packed(self, ref: Ref) -> bytes | None:
        """The bytes of a large graph that the peer pulls; None if there is none of that name, or the gate refuses it now."""
        h, packed = self._large.get(ref, (None, None))
        withheld = h is None or h in self._unnoted or (self._labels[h] and not self._clear(self._labels[h]))
        return None if withheld else packed

    def _wants(self, h: Hash) -> bool:
        if h in self._told or self.has(h):
            return False
        body = self._bodies[h].body
        return type(body) is bytes and len(body) <= MAX_UNASKED

    def _send(self, h: Hash) -> bool:
        # asked again at every exit: what a peer is cleared for may have changed since the graph was put here
        if h in self._unnoted or (self._labels[h] and not self._clear(self._labels[h])):
            return False
        self._told.add(h)
        self._asked.discard(h)
        return True


def _pack(h: Hash, body: bytes) -> tuple[PutGraph, bytes]:
    """The message that brings a graph, and the bytes it brings or refers to."""
    if len(body) > MAX_SIZE:
        raise LinkCondition(
            "VALUE_TOO_LARGE",
            f"This graph has {len(body):,} bytes, the link takes {MAX_SIZE:,}.",
            retryable=False,
            hint="Keep large static values out of the graph: pass them as inputs of the run.",
        )
    packed = zlib.compress(body, 1)
    enc, packed = (1, packed) if len(packed) < len(body) else (0, body)
    brought = packed if len(packed) <= MAX_BODY else blobref(digest(packed), len(packed))
    return PutGraph(h, enc, brought, len(body)), packed


def unpack(message: PutGraph, packed: bytes) -> bytes:
    """The canonical bytes of the graph that a PUT_GRAPH brings or refers to.

    Raises RemoteProtocolError GRAPH_INVALID if they are too many or hash to something else.
    """
    if message.size > MAX_SIZE:
        raise RemoteProtocolError("GRAPH_INVALID", f"a graph of {message.size:,} bytes, the limit is {MAX_SIZE:,}")
    body = packed
    if message.enc == 1:
        inflater = zlib.decompressobj()
        try:
            body = inflater.decompress(body, message.size + 1)
        except zlib.error as error:
            raise RemoteProtocolError("GRAPH_INVALID", f"the graph's bytes cannot be inflated: {error}") from None
    elif message.enc != 0:
        raise RemoteProtocolError("GRAPH_INVALID", f"unknown encoding {message.enc} of a graph")
    if len(body) != message.size:
        raise RemoteProtocolError("GRAPH_INVALID", f"the graph has not the {message.size:,} bytes it announced")
    if digest(_DOMAIN + body) != message.h:
        raise RemoteProtocolError("GRAPH_INVALID", "the graph's bytes do not hash to its name")
    return body
