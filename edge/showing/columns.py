"""Lines of cells as a table of plain text: aligned, without columns in which nothing stands, no wider than the terminal where that can be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import floor, log10

from graphs.terminal import clip, columns, printable

__all__ = ["NOTHING", "aligned", "money"]

NOTHING = "-"
"""What stands in a cell for what is unknown or does not apply."""


def aligned(
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    shrink: Sequence[tuple[str, int]] = (),
    always: Collection[str] = (),
    width: int = 100,
    encoding: str = "utf-8",
) -> str:
    """The table, with its heads. A column in which every cell is `NOTHING` is left out, unless it stands in `always`. Where lines are longer than
    `width`, the columns of `shrink` are shortened in that order, each to the width named there at least. `right` columns end at the same place.
    """
    kept = [index for index, head in enumerate(heads) if head in always or any(line[index] != NOTHING for line in lines)]
    table = [[printable(line[index]) for index in kept] for line in (heads, *lines)]
    names = [heads[index] for index in kept]
    widths = [max(map(columns, column)) for column in zip(*table, strict=True)]
    excess = sum(widths) + 2 * (len(widths) - 1) - width
    for name, least in shrink:
        if excess > 0 and name in names and widths[names.index(name)] > least:
            taken = min(excess, widths[names.index(name)] - least)
            widths[names.index(name)] -= taken
            excess -= taken
    ellipsis = "…" if "…".encode(encoding, "ignore") else "~"
    shown = []
    for line in table:
        cells = [clip(cell, room, ellipsis) for cell, room in zip(line, widths, strict=True)]
        blanks = [" " * (room - columns(cell)) for cell, room in zip(cells, widths, strict=True)]
        parts = [blank + cell if name in right else cell + blank for cell, blank, name in zip(cells, blanks, names, strict=True)]
        shown.append("  ".join(parts).rstrip().encode(encoding, "replace").decode(encoding))
    return "\n".join(shown) + "\n"


def money(usd: float) -> str:
    """Dollars as a person says them, two digits of them at least: `$0`, `$0.00091`, `$1.50`."""
    if usd <= 0:
        return "$0"
    if usd < 1e-6:
        return "<$0.000001"
    return f"${usd:.{max(2, 1 - floor(log10(usd)))}f}"
