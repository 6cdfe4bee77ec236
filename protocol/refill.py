"""Putting values back where a journal has references: a run that goes on in another process needs them before its engine does.

A large result is recorded as a reference. A body that cannot be had any more is made again by its node; where that might do harm, a person
decides (docs/protocol.md §14).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar, cast

from graphs.errors import JournalError, LinkCondition, ValueUnsupported
from graphs.records import Error, Event, Record, Result
from graphs.values import Value, decode
from protocol.messages import Ref
from protocol.payload import Reference, references, resolve

__all__ = ["KnownResults", "refill", "resolved_here", "with_counts"]


R = TypeVar("R", bound=Record)

_COUNTS: Final[Mapping[Any, str]] = {Result: "usage", Error: "detail", Event: "info"}
"""Where records say what was used up."""


def with_counts(journal: Any, record: R, *, names: bool = False) -> R:
    """The record with what it says was used up (tokens), which travels as a value of its own where the node's values have labels. Blocks. What is not
    here is left out, or with `names` stays a name: whoever adds counts up has to know that one is not here.
    """
    field = _COUNTS.get(type(record))
    if field is None or not references(record):
        return record
    told = getattr(record, field)
    found: dict[str, Value] = {}
    for name, value in (told if isinstance(told, Mapping) else {"": told}).items():
        try:
            found[name] = (resolved_here(journal, Event("", 0, 0, 0, {name: value})).info or {})[name]
        except JournalError:
            if names:
                found[name] = value
    return cast("R", replace(cast("Any", record), **{field: found if isinstance(told, Mapping) else found.get("")}))


class KnownResults(Protocol):
    """What is asked of graphs.engine.outcomes.Known, by path."""

    made: dict[str, Any]
    outcomes: dict[str, Any]
    once: set[str]
    indeterminate: set[str]


def resolved_here(journal: Any, record: R) -> R:
    """The record with its values, of which this store has the bodies. Blocks. Raises JournalError if one is not here."""
    values: dict[Ref, Value] = {}
    for named in references(record):
        scopes = (row.scope for _, row in journal.bodies_named(named.ref))
        data = next((found for scope in scopes if (found := journal.body_files.load(scope, named.ref)) is not None), None)
        if data is None:
            raise JournalError(
                f"a value of {named.size:,} bytes is not here, only its name.", hint="Try again after `graphferry sync`."
            )
        values[named.ref] = decode(data)
    return cast("R", resolve(record, values))


async def refill(
    known: KnownResults,
    value: Callable[[Reference], Awaitable[Value]],
    leaves: Callable[[str, Any, Sequence[Reference]], bool] = lambda _path, _record, _named: False,
) -> dict[str, LinkCondition | ValueUnsupported]:
    """Put values in the place of references in `known`. `value` gives one, or raises LinkCondition or ValueUnsupported: then its result is
    forgotten, so that the node runs again, or is indeterminate if it must not run twice. Which these are, by path, and what was raised.
    `leaves(path, record, named)` says that nobody reads the value of a result here: its references stay.
    """
    lacking: dict[str, LinkCondition | ValueUnsupported] = {}
    for path, record in list(known.made.items()):
        named = references(record)
        if not named or leaves(path, record, named):
            continue
        try:
            values = {each.ref: await value(each) for each in named}
        except (LinkCondition, ValueUnsupported) as error:
            lacking[path] = error
            del known.outcomes[path], known.made[path]
            if path in known.once:
                known.indeterminate.add(path)
            continue
        filled: Any = resolve(record, values)
        known.made[path] = filled
        known.outcomes[path] = known.outcomes[path]._replace(value=filled.value)
    return lacking
