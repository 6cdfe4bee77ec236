"""The table of a run's nodes: where each ran, why there, by what, for how long, and what crossed the link.

Plain text, aligned, as wide as the terminal. The rows of a map and the turns of a loop fold into one line each, so that a table stays
readable whatever the size of the run. What nodes and models call themselves is shown without its control characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from graphs.terminal import clip, columns, printable

__all__ = ["FINISHED", "NodeRow", "duration", "fold", "node_table", "size"]

FINISHED: Final = frozenset({"completed", "injected", "skipped"})
"""States after which nothing more is expected of a node, and nothing went wrong."""

_TROUBLE: Final = ("failed", "timed-out", "aborted", "suspended", "waiting", "queued", "executing")
"""The states that a folded line takes from any of its rows, the most telling first; otherwise it has that of the last."""

_ROW: Final = re.compile(r"\[\d+\]")
_FRAME_OF_ROW: Final = re.compile(r"^(.*?\[\d+\][^/]*).*", re.DOTALL)
Number = TypeVar("Number", int, float)

_TURN_OR_TRY: Final = re.compile(r"[#!]\d+")


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node, as the table shows it. None and empty text mean that it is not known or does not apply.

    `path` is the node's path in the run (docs/protocol.md §2), `why` the reason of its place in a sentence, `by` the model or agent that
    made the result, `ms` its duration, `up` and `down` the bytes that crossed the link for it, `degraded` why its result is
    less than was asked for.
    """

    path: str
    place: str = ""
    state: str = ""
    why: str = ""
    by: str = ""
    ms: float | None = None
    tokens: int | None = None
    up: int | None = None
    down: int | None = None
    degraded: str | None = None


def node_table(rows: Iterable[NodeRow], *, width: int = 100, colour: bool = False, encoding: str = "utf-8") -> str:
    """The table of these nodes, in their order of first appearance; empty text for no nodes.

    Columns in which nothing stands are left out. Lines keep within `width` by shortening the reason first, then what made the result, then the
    node's name. Below 80 columns some columns go where that is not enough, the least telling first, but for node, place and state; above, lines
    may be longer. With an `encoding` that has no ellipsis the table is plain ASCII.
    """
    lines = [_cells(row) for row in fold(rows)]
    if not lines:
        return ""
    needed = [max(columns(line[index]) for line in (_COLUMNS, *lines)) for index in range(len(_COLUMNS))]
    kept = [index for index, name in enumerate(_COLUMNS) if name in _ALWAYS or any(line[index] != "-" for line in lines)]
    kept, widths = _choose(kept, needed, width)
    names = [_COLUMNS[index] for index in kept]
    table = [[line[index] for index in kept] for line in (list(_COLUMNS), *lines)]
    ellipsis = "…" if _can_encode("…", encoding) else "~"
    shown = [
        "  ".join(
            _pad(clip(cell, room, ellipsis), room, name in _RIGHT) for cell, room, name in zip(line, widths, names, strict=True)
        )
        for line in table
    ]
    shown = [line.rstrip().encode(encoding, "replace").decode(encoding) for line in shown]
    if colour:
        shown = [f"\x1b[2m{shown[0]}\x1b[0m", *(_coloured(line, cells[-1]) for line, cells in zip(shown[1:], lines, strict=True))]
    return "\n".join(shown) + "\n"


def fold(rows: Iterable[NodeRow]) -> list[NodeRow]:
    """One row for all rows of a map with the map itself (`rows 7/20`), and one for all turns of a node (`draft x3`)."""
    groups: dict[str, list[NodeRow]] = {}
    for row in rows:
        groups.setdefault(_TURN_OR_TRY.sub("", row.path.partition("[")[0]), []).append(row)
    return [_folded(name, group) for name, group in groups.items()]


def duration(ms: float) -> str:
    """Milliseconds as a person says them: `40 ms`, `2.3 s`, `3 min 5 s`."""
    if ms < 100:
        return f"{ms:.0f} ms"
    if ms < 100_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s"


def size(count: int) -> str:
    """Bytes as a person says them: `812 B`, `12.3 kB`, `1.2 MB`; a kB has 1000."""
    if count < 1000:
        return f"{count} B"
    scaled = float(count)
    for unit in ("kB", "MB"):
        scaled /= 1000
        if scaled < 999.95:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1000:.1f} GB"


_COLUMNS: Final = ("node", "place", "why", "by", "time", "tokens", "up/down", "state")
_ALWAYS: Final = frozenset({"node", "place", "state"})
_RIGHT: Final = frozenset({"time", "tokens", "up/down"})
_SHRINK: Final = (("why", 16), ("by", 10), ("node", 10))
_LEAVE: Final = ("up/down", "by", "why", "tokens", "time")
_NARROW: Final = 80
"""What a terminal narrower than that does without, in this order, if shorter texts are not enough."""


def _cells(row: NodeRow) -> list[str]:
    link = "-" if not row.up and not row.down else f"{size(row.up or 0)} / {size(row.down or 0)}"
    state = f"{row.state}, degraded: {row.degraded}" if row.degraded else row.state
    texts = [row.path, row.place, row.why, row.by]
    time = "-" if row.ms is None else duration(row.ms)
    tokens = "-" if row.tokens is None else str(row.tokens)
    return [*(printable(text) or "-" for text in texts), time, tokens, link, printable(state) or "-"]


def _folded(name: str, group: Sequence[NodeRow]) -> NodeRow:
    """The group's row: everything that adds up is added up, but the time of rows that ran side by side is that of their map."""
    if len(group) == 1 and not _ROW.search(group[0].path):
        return group[0]
    inner = [row for row in group if _ROW.search(row.path)]
    own = [row for row in group if not _ROW.search(row.path)]
    last = own[-1] if own else inner[-1]
    return replace(
        last,
        path=f"{name} {_count(inner, own)}" if inner else f"{name} x{len(own)}",
        place="+".join(dict.fromkeys(row.place for row in inner or own if row.place)),
        by=last.by or "+".join(dict.fromkeys(row.by for row in inner if row.by)),
        why=last.why if own else "",
        ms=_sum(row.ms for row in own),
        tokens=_sum(row.tokens for row in group),
        up=_sum(row.up for row in group),
        down=_sum(row.down for row in group),
        state=_state(own or inner),
        degraded=next((row.degraded for row in group if row.degraded), None),
    )


def _count(inner: Sequence[NodeRow], own: Sequence[NodeRow]) -> str:
    """How many of the map's rows are done, of those that began. Once the map is done all are, whatever they never reached."""
    opened: dict[str, bool] = {}
    for row in inner:
        frame = _FRAME_OF_ROW.sub(r"\1", row.path)
        opened[frame] = opened.get(frame, True) and row.state in FINISHED
    done = len(opened) if own and own[-1].state in FINISHED else sum(opened.values())
    return f"{done}/{len(opened)}"


def _state(rows: Sequence[NodeRow]) -> str:
    states = {row.state for row in rows}
    return next((state for state in _TROUBLE if state in states), rows[-1].state)


def _sum(values: Iterable[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _choose(kept: list[int], needed: Sequence[int], width: int) -> tuple[list[int], list[int]]:
    """The columns that a terminal of this width has room for, and how wide each is."""
    leaving = list(_LEAVE) if width < _NARROW else []
    while True:
        widths = _fit([needed[index] for index in kept], [_COLUMNS[index] for index in kept], width)
        if _wide(widths) <= width or not leaving:
            return kept, widths
        less = leaving.pop(0)
        kept = [index for index in kept if _COLUMNS[index] != less]


def _fit(widths: Sequence[int], names: Sequence[str], total: int) -> list[int]:
    """The widths of the columns, taken from those that can be shortened until the lines keep within `total`."""
    fitted = dict(zip(names, widths, strict=True))
    excess = _wide(widths) - total
    for name, least in _SHRINK:
        if excess > 0 and fitted.get(name, 0) > least:
            taken = min(excess, fitted[name] - least)
            fitted[name] -= taken
            excess -= taken
    return list(fitted.values())


def _wide(widths: Sequence[int]) -> int:
    """How wide a line of such columns is."""
    return sum(widths) + 2 * (len(widths) - 1)


def _coloured(line: str, state: str) -> str:
    word = state.partition(",")[0]
    colour = "33" if "degraded" in state else "32" if word in FINISHED else "31" if word in _TROUBLE[:3] else "33"
    return f"{line.removesuffix(state)}\x1b[{colour}m{state}\x1b[0m" if line.endswith(state) else line


def _pad(text: str, room: int, right: bool) -> str:
    blanks = " " * (room - columns(text))
    return blanks + text if right else text + blanks


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
