"""What is known of a run's sensitivity labels beside its document: noted with the run, and told to whoever gets a copy of it (docs/protocol.md §11).

What a graph says itself stands in its document. What an agent's own settings put on a value, what the folder of a file does, and what is said in
a graph that is a value, only the store knows where the run was made. A device that gets a run of which it was told nothing takes all of it for
labelled.

There are two notes of a run, by two who do not ask each other: who works out labels (graphs.language.run_labels), and who hears what is said
(graphs.language.hearing). Whoever asks gets both together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from graphs.errors import ValueUnsupported
from graphs.values import Value, canonical, decode

__all__ = ["UNTOLD", "Noted", "drop_note", "hear", "joined", "note", "note_of", "noted", "untold"]

_KEY: Final = "labels "
_HEARD: Final = "heard labels "
_MOST: Final = 32 * 1024
"""Bytes of what is told; if the places take more, every label is told of all of the run."""
UNTOLD: Final = "labels that nobody told"
"""On all values of a run whose labels are not known here: no policy clears it (graphs.language.labels.UNCLEARABLE)."""
UNSEEN: Final = "a graph that is not here"
"""On all values of a run that opens graphs that are values and of which nothing was noted: likewise (graphs.language.labels.UNSEEN)."""
_NONE: Final = frozenset[str]()
_NOWHERE: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


class Noted(NamedTuple):
    """`labels` are all of the run; `places` those that the document does not tell, by the place of the node that puts them on its value, "" being
    every node.
    """

    labels: frozenset[str] = _NONE
    places: Mapping[str, frozenset[str]] = _NOWHERE

    def told(self) -> Value:
        """As it is told to whoever gets the run."""
        value = [sorted(self.labels), {place: sorted(labels) for place, labels in self.places.items()}]
        return value if len(canonical(value)) <= _MOST else [sorted(self.labels), {"": sorted(self.labels)}]

    def __or__(self, other: Noted) -> Noted:
        """What either knows."""
        places = {each: self.places.get(each, _NONE) | other.places.get(each, _NONE) for each in {**self.places, **other.places}}
        return Noted(self.labels | other.labels, places)


def note_of(told: Value) -> Noted | None:
    """What was told; None if nothing was, or nothing that can be read."""
    if type(told) not in (list, tuple) or len(told) != 2 or not _are_words(told[0]) or not isinstance(told[1], Mapping):
        return None
    if not all(type(place) is str and _are_words(labels) for place, labels in told[1].items()):
        return None
    return Noted(frozenset(told[0]), {place: frozenset(labels) for place, labels in told[1].items()})


def untold() -> Noted:
    """What is taken for true of a run of which nothing was told."""
    return Noted(frozenset({UNTOLD}), {"": frozenset({UNTOLD})})


def note(journal: Any, run: bytes, found: Noted) -> None:
    """Note it with a root run; a note that says nothing is one, too: nothing is missing."""
    journal.set_meta(_KEY + run.hex(), canonical(found.told()))


def hear(journal: Any, run: bytes, found: Noted) -> None:
    """Note what was heard in a root run: beside the other note, which does not know of it."""
    journal.set_meta(_HEARD + run.hex(), canonical(found.told()))


def noted(journal: Any, run: bytes) -> Noted | None:
    """What was noted, both notes together; None if nothing was: of a run that was made here, there is nothing then. What cannot be read counts as
    untold.
    """
    found = [_read(stored) for key in (_KEY, _HEARD) if (stored := journal.meta(key + run.hex())) is not None]
    if not found:
        return None
    return found[0] if len(found) == 1 else found[0] | found[1]


def joined(in_graph: Collection[str], found: Noted | None) -> frozenset[str]:
    """The labels of a whole run: those of its graph, and what is noted. Of graphs that are values, what is noted tells."""
    return frozenset(in_graph) if found is None else (frozenset(in_graph) - {UNSEEN}) | found.labels


def drop_note(journal: Any, run: bytes) -> None:
    """The run is gone."""
    for key in (_KEY, _HEARD):
        journal.drop_meta(key + run.hex())


def _read(stored: bytes) -> Noted:
    try:
        return note_of(decode(stored)) or untold()
    except (ValueUnsupported, ValueError, TypeError):
        return untold()


def _are_words(value: Value) -> bool:
    return type(value) in (list, tuple) and all(type(word) is str for word in value)
