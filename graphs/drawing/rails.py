"""A picture as lines of text: a row for each node, and beside the rows a rail for each value that somebody still waits for. Pure.

    ○      topic   the tide
    │
    ●─╮    ask     llmAgent · small
    ...

A rail begins at its node and ends at the last node that reads it. `├ ┤ ┼` touch a rail that goes on, `╰ ╯ ┴` end one, and a line that
crosses a rail untouched leaves it `│`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from graphs.drawing.picture import Box, Picture
from graphs.terminal import clip, columns

__all__ = ["text"]

_SYMBOLS: Final = {"static": "○", "computed": "●", "nested": "▣", "given": "◌", "boundary": "◌"}
_MEANINGS: Final = {"○": "value", "●": "agent", "▣": "graph inside", "◌": "from outside"}
_ASCII: Final = str.maketrans(
    {"○": "o", "●": "*", "▣": "#", "◌": "?", "│": "|", "─": "-", "├": "+", "┤": "+", "┼": "+", "┴": "+", "╰": "+", "╯": "+", "·": ",", "…": "~"}
)  # fmt: skip
_COLOURS: Final = {"edge": "\x1b[32m", "cloud": "\x1b[34m"}
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_WHAT: Final = 48
"""Columns that a value or an agent may take; it is what gives way."""
_LEAST: Final = 12


def text(picture: Picture, title: str, *, width: int = 100, colour: bool = False, ascii: bool = False) -> str:
    """The picture for a terminal of that many columns. A reader without colours loses nothing: places are words."""
    rows = list(_rows(picture))
    rails = max((len(row.rails) for row in rows), default=0)
    names = max((columns(row.name) for row in rows), default=0)
    places = max((len(row.box.place) for row in rows if row.box), default=0)
    notes = max((columns(row.notes) for row in rows), default=0)
    what = max((columns(row.box.what) for row in rows if row.box), default=0)
    what = max(_LEAST, min(what, _WHAT, width - rails - names - places - notes - 8))
    lines = [" · ".join((title, *picture.about)), ""]
    for row in rows:
        cells = [_pad(row.rails, rails), _pad(row.name, names)]
        if row.box is not None:
            cells += [_pad(clip(row.box.what, what), what), *([_pad(row.box.place, places)] if places else []), row.notes]
        while cells and not cells[-1].strip():
            cells.pop()
        cells[-1:] = [cell.rstrip() for cell in cells[-1:]]
        lines.append("  ".join(_painted(cells, row.box) if colour and row.box is not None else cells))
    kinds = dict.fromkeys(_SYMBOLS[row.box.kind] for row in rows if row.box)
    lines += ["", "  ".join(f"{symbol} {_MEANINGS[symbol]}" for symbol in kinds)]
    drawn = "\n".join(lines) + "\n"
    return drawn.translate(_ASCII).encode("ascii", "replace").decode("ascii") if ascii else drawn


@dataclass(frozen=True, slots=True)
class _Row:
    rails: str
    name: str = ""
    box: Box | None = None

    @property
    def notes(self) -> str:
        if self.box is None:
            return ""
        notes = (*(["result"] if self.box.is_result else []), *self.box.notes, *([self.box.folded] if self.box.folded else []))
        return ", ".join(notes)


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - columns(cell))


def _painted(cells: list[str], box: Box) -> list[str]:
    paint = _COLOURS.get(box.place, "")
    rails, name, what, *rest = cells
    what = what if box.kind == "computed" else f"{_DIM}{what}{_PLAIN}"
    if paint:
        rest[0] = f"{paint}{rest[0]}{_PLAIN}"
    return [rails, f"{_BOLD}{paint}{name}{_PLAIN}", what, *rest]


def _rows(picture: Picture) -> Iterator[_Row]:
    """The rows of a graph; those of a graph inside a node follow the node's, behind the rails that pass by."""
    rails = _Rails(picture)
    for number in rails.order:
        box = picture.boxes[number]
        yield from (_Row(line) for line in rails.before(number))
        yield _Row(rails.at(number), box.name, box)
        if box.inner is None:
            continue
        passing = rails.passing()
        indent = passing + " " * (2 - len(passing) % 2) if passing else "  "
        for inner in _rows(box.inner):
            yield _Row(f"{indent}{inner.rails}", f"  {inner.name}" if inner.name else "", inner.box)
        if passing:
            yield _Row(passing)


@dataclass(slots=True)
class _Rails:
    """The rails beside the rows, while the rows are written from top to bottom."""

    picture: Picture
    order: list[int] = field(default_factory=list)
    sources: list[set[int]] = field(default_factory=list)
    readers: list[set[int]] = field(default_factory=list)
    """Of each node: those below it that read it, and have not been written yet."""
    lanes: dict[int, int] = field(default_factory=dict)
    """The lane of each node whose rail is open."""
    last: list[str] = field(default_factory=list)
    """The characters of the row above, one a lane."""

    def __post_init__(self) -> None:
        count = len(self.picture.boxes)
        self.sources = [set() for _ in range(count)]
        for arrow in self.picture.arrows:
            if arrow.tie != "update" and arrow.source != arrow.target:
                self.sources[arrow.target].add(arrow.source)
        self.order = _in_order(self.sources)
        position = {number: place for place, number in enumerate(self.order)}
        self.readers = [set() for _ in range(count)]
        for target, sources in enumerate(self.sources):
            sources.intersection_update([each for each in sources if position[each] < position[target]])
            for source in sources:
                self.readers[source].add(target)

    def before(self, number: int) -> Iterator[str]:
        """A row of rails only, where the node's rail would otherwise be hidden between two symbols."""
        lane = self._lane(number)
        if lane < len(self.last) and self.last[lane] in _MEANINGS and lane in self._straight(number):
            yield self.passing()

    def at(self, number: int) -> str:
        """The row of a node: its symbol, its links to the rails it reads, and the other rails."""
        lane = self._lane(number)
        read = {self.lanes[source] for source in self.sources[number]}
        open_ = set(self.lanes.values())
        ending = set()
        for source in self.sources[number]:
            self.readers[source].discard(number)
            if not self.readers[source]:
                ending.add(self.lanes.pop(source))
        touched = {*read, lane}
        low, high = min(touched), max(touched)
        row = []
        for each in range(max(high, *open_, -1) + 1 if open_ else high + 1):
            if each == lane:
                mark = _SYMBOLS[self.picture.boxes[number].kind]
            elif each in read:
                mark = _touch(each, low, high, ends=each in ending)
            else:
                mark = "│" if each in open_ else "─" if low < each < high else " "
            row += [mark, "─" if low <= each < high else " "]
        if self.readers[number]:
            self.lanes[number] = lane
        self.last = row[::2]
        return "".join(row).rstrip()

    def passing(self) -> str:
        """A row of nothing but the open rails."""
        row = [" "] * (2 * max(self.lanes.values(), default=-1) + 1)
        for lane in self.lanes.values():
            row[2 * lane] = "│"
        self.last = row[::2]
        return "".join(row)

    def _straight(self, number: int) -> list[int]:
        """The lanes of rails that end at this node: it may stand on one of them."""
        return [self.lanes[source] for source in self.sources[number] if self.readers[source] == {number}]

    def _lane(self, number: int) -> int:
        straight = self._straight(number)
        if straight:
            return min(straight)
        taken = set(self.lanes.values())
        lane = 0
        while lane in taken or (lane < len(self.last) and self.last[lane] != " "):  # below another symbol it would seem linked
            lane += 1
        return lane


def _touch(lane: int, low: int, high: int, *, ends: bool) -> str:
    if lane == low:
        return "╰" if ends else "├"
    if lane == high:
        return "╯" if ends else "┤"
    return "┴" if ends else "┼"


def _in_order(sources: Sequence[set[int]]) -> list[int]:
    """Every node below those it reads, otherwise as written; one that reads nothing just above the first that reads it."""
    left = [len(each) for each in sources]
    readers: list[list[int]] = [[] for _ in sources]
    for target, names in enumerate(sources):
        for source in names:
            readers[source].append(target)
    for number in [number for number, count in enumerate(left) if not count]:
        for reader in readers[number]:
            left[reader] -= 1
    ready = [number for number, names in enumerate(sources) if names and not left[number]]
    heapify(ready)
    order: list[int] = []
    done: set[int] = set()
    while ready:
        number = heappop(ready)
        fresh = [each for each in sorted(sources[number]) if each not in done]
        order += [*fresh, number]
        done.update((*fresh, number))
        for reader in readers[number]:
            left[reader] -= 1
            if not left[reader]:
                heappush(ready, reader)
    rest = [number for number in range(len(sources)) if number not in done]
    return [*(each for each in rest if not readers[each]), *order, *(each for each in rest if readers[each])]
