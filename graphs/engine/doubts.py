"""Which nodes nobody runs without a word, since they may have happened or have: by path, and, where another store may have gone on with the run,
by their place in the graph, whatever the row or turn. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from graphs.errors import LinkCondition
from graphs.paths import document_path, opener, split_frame, split_path

__all__ = ["Doubts", "indeterminate"]

_NOTHING: Final[Mapping[str, LinkCondition]] = MappingProxyType({})


class Doubts:
    """A set of paths, to be asked whether one is in it.

    `paths` were in flight, `repeated` of them have done their work in the run that this one is a fork of. `suspects` are places in the document of
    nodes with effects that another store may have begun; those at `cleared` paths were begun here, or somebody said that they may run. Those
    `withheld` met a condition of the link, and somebody else was told of it, who decides what becomes of them.
    """

    __slots__ = ("_cleared", "_paths", "_repeated", "_suspects", "_withheld")

    def __init__(
        self,
        paths: Collection[str] = (),
        repeated: Collection[str] = (),
        suspects: Collection[str] = (),
        cleared: Collection[str] = (),
        withheld: Mapping[str, LinkCondition] = _NOTHING,
    ) -> None:
        self._paths = frozenset(paths)
        self._repeated = frozenset(repeated)
        self._suspects = frozenset(suspects)
        self._cleared = frozenset(cleared)
        self._withheld = dict(withheld)

    def __bool__(self) -> bool:
        return bool(self._paths or self._suspects or self._withheld)

    def __contains__(self, path: object) -> bool:
        return path in self._paths or path in self._withheld or (isinstance(path, str) and self.suspects(path))

    def suspects(self, path: str) -> bool:
        """Whether another store may have begun the node at this path, one that nests it, or one inside it."""
        if not self._suspects or path in self._cleared:
            return False
        place = document_path(path)
        return any(place == each or place.startswith(f"{each}/") or each.startswith(f"{place}/") for each in self._suspects)

    def after(self, base: str, turn: int) -> bool:
        """Whether any node is in doubt in a later turn of the frames whose names begin with `base`: then nobody turns that loop alone."""
        place = document_path(base)
        suspected = any(each.startswith(place) or place.startswith(f"{each}/") for each in self._suspects)
        return suspected or any(_turn(path, base) > turn for path in self._paths)

    def told(self, path: str) -> LinkCondition | None:
        """The condition of which somebody else was told; None if a person here is to be asked about the path."""
        return self._withheld.get(path)

    def why(self, path: str) -> str:
        """What there is to say of a path that is in doubt, for a person."""
        if path in self._repeated:
            return "has done its work in the run that this one is a fork of, and doing it again might do harm"
        if path in self._paths:
            return "was running when this run stopped, and it may not be run twice: nobody knows whether it happened"
        return (
            "may have been begun elsewhere in the run that this one is a fork of, and it may not be run twice: nobody here knows"
        )


def _turn(path: str, base: str) -> int:
    """The turn of the frames of this base in which a path lies; -1 if it lies in none."""
    while path.startswith(base):
        if "/" not in path[len(base) :]:
            return split_frame(split_path(path)[0])[1]
        path = opener(path)
    return -1


def indeterminate(path: str, message: str) -> LinkCondition:
    """The condition of a node that nobody runs again without a word, and how to say that word."""
    hint = f"Say what is to count: graphferry resume RUN --assume {path}=done:VALUE, {path}=failed or {path}=rerun"
    return LinkCondition("NODE_INDETERMINATE", message, retryable=False, hint=hint)
