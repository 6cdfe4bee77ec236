"""The gate: the last look at a record before it becomes part of a log that the peer will read (docs/protocol.md §12, §13).

It fails closed, and it refuses before the record exists: a record once appended is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import msgpack

from graphs.errors import LinkCondition, ValueUnsupported
from graphs.records import Encoded, Known, Unknown, decode as decode_record, to_fields
from graphs.values import EXT_HANDLE, Value, decode
from protocol.codec import MAX_ITEMS, excess, is_plain
from protocol.noted import UNSEEN, UNTOLD
from protocol.payload import Labelled

__all__ = ["NEVER", "Judge", "check_record", "joined", "travels", "travels_whole", "why_withheld", "withheld"]

NEVER: Final = frozenset({UNSEEN, "table of pseudonyms", UNTOLD})
"""Labels that no policy clears, whatever it says (graphs.language.labels.UNCLEARABLE)."""


class Judge(Protocol):
    """What the gate itself thinks of what it is given, whatever labels it is told: these count as well."""

    def of_record(self, record: Known) -> Labelled:
        """The labels of the values in a record; of SUBMIT and FRAME by the names of all their inputs, or none at all."""

    def of_graph(self, body: bytes) -> Collection[str]:
        """The labels of what stands in a graph with these canonical bytes."""


def joined(told: Labelled, judged: Labelled) -> Labelled:
    """The labels that somebody told and those that were found, together."""
    if not judged:
        return told
    if not isinstance(judged, Mapping):
        return {*judged, *(told if not isinstance(told, Mapping) else ())}
    if isinstance(told, Mapping):
        return {name: {*judged.get(name, ()), *told.get(name, ())} for name in {**told, **judged}}
    return {name: {*labels, *told} for name, labels in judged.items()}


def travels_whole(encoded: Encoded) -> bool:
    """Whether a record without labels is surely within all limits and refers to nothing, found without looking at its values."""
    return len(encoded.tail) <= MAX_ITEMS and is_plain(encoded.tail)


def travels(encoded: Encoded) -> bool:
    """Whether any peer could take this record."""
    if travels_whole(encoded):
        return True
    try:
        known = decode_record(encoded.type, encoded.tail)
    except ValueUnsupported:
        return False
    return excess([] if isinstance(known, Unknown) else to_fields(known), len(encoded.tail)) is None


def check_record(record: Known, labels: Collection[str], clear: Callable[[Collection[str]], bool]) -> set[str]:
    """The labels that a record leaves with: `labels`, and those of handles in it. Raises LinkCondition LABEL_WITHHELD if it may not be sent to the
    peer, as these are not cleared.
    """
    wanted = set(labels) | _labels(to_fields(record))
    if wanted and not clear(wanted):
        raise withheld(f"The {type(record).__name__.upper()} of {getattr(record, 'path', None) or 'the run'!r}", wanted)
    return wanted


def withheld(what: str, labels: Collection[str]) -> LinkCondition:
    """The refusal of something with these labels."""
    return LinkCondition(
        "LABEL_WITHHELD",
        f"{what} carries {', '.join(sorted(labels)) or 'a label'}, which this worker is not cleared for.",
        retryable=False,
        hint="Run the nodes that read it on the device (`place: edge`), or clear the worker for that label in the configuration.",
    )


def why_withheld(labels: Collection[str]) -> str:
    """Why a run with values of these labels is not copied to the peer."""
    if UNTOLD in labels:
        return "which labels its values carry is not known here: its graph, or what was told of them, has not come"
    return f"its values carry {', '.join(labels)}, which this worker is not cleared for"


def _labels(items: Sequence[Value]) -> set[str]:
    found: set[str] = set()
    stack: list[Value] = list(items)
    while stack:
        item = stack.pop()
        if isinstance(item, msgpack.ExtType):
            if item.code == EXT_HANDLE:
                found.update(_handle_labels(item.data))
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)
    return found


def _handle_labels(data: bytes) -> Sequence[str]:
    try:
        _, labels, _ = decode(data)
        if isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels):
            return labels
    except (ValueUnsupported, TypeError, ValueError):
        pass
    return ["an unreadable handle"]  # no policy clears this: what cannot be read stays
