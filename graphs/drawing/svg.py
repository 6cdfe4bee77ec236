"""A picture as SVG: one file without scripts, fonts or links, light or dark as its reader prefers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from graphs.drawing.layout import Layout, Line, Point, Rect, lay_out
from graphs.drawing.picture import Arrow, Box, Picture
from graphs.terminal import clip, columns

__all__ = ["svg"]

_MARGIN: Final = 24.0
_PAD: Final = 14.0
_NAME: Final = 13.0
_SMALL: Final = 11.0
_ROW: Final = 16.0
_TITLE: Final = 30.0
_MOST: Final = 36
"""Letters of a line on a box; the whole of it is in the box's tooltip."""
_HEAD: Final = 7.0

_STYLE: Final = """
text{font-family:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#1f2937}
.gf-paper{fill:#ffffff}
.gf-name{font-size:13px;font-weight:600}
.gf-what,.gf-note,.gf-about,.gf-chip{font-size:11px}
.gf-what{fill:#4b5563}.gf-note,.gf-about{fill:#6b7280}.gf-chip{font-weight:600;text-anchor:end}
.gf-title{font-size:16px;font-weight:600}
.gf-value{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:10.5px}
.gf-box{fill:#ffffff;stroke:#94a3b8;stroke-width:1.2}
.gf-static>.gf-box{fill:#f8fafc;stroke:#cbd5e1}
.gf-given>.gf-box,.gf-boundary>.gf-box{fill:none;stroke:#94a3b8;stroke-dasharray:2 3}
.gf-nested>.gf-box{fill:#fbfcfe}
.gf-edge>.gf-box{fill:#ecfdf5;stroke:#34a583}.gf-edge>.gf-chip{fill:#0f766e}
.gf-cloud>.gf-box{fill:#eef2ff;stroke:#818cf8}.gf-cloud>.gf-chip{fill:#4338ca}
.gf-nested.gf-edge>.gf-box{fill:#f5fdf9}.gf-nested.gf-cloud>.gf-box{fill:#f7f8ff}
.gf-result>.gf-box{stroke-width:2.4}
.gf-line{fill:none;stroke:#94a3b8;stroke-width:1.4}
.gf-condition{stroke:#d97706;stroke-dasharray:5 4}.gf-update{stroke:#a78bfa;stroke-dasharray:1.5 4;stroke-linecap:round;stroke-width:2}
.gf-head{fill:#94a3b8}.gf-head.gf-condition{fill:#d97706;stroke:none}.gf-head.gf-update{fill:#a78bfa;stroke:none}
@media(prefers-color-scheme:dark){
text{fill:#e5e7eb}.gf-paper{fill:#0f172a}.gf-what{fill:#cbd5e1}.gf-note,.gf-about{fill:#94a3b8}
.gf-box{fill:#1e293b;stroke:#64748b}.gf-static>.gf-box{fill:#172033;stroke:#475569}.gf-nested>.gf-box{fill:#131c30}
.gf-edge>.gf-box{fill:#0c2f2a;stroke:#2dd4a7}.gf-edge>.gf-chip{fill:#5eead4}
.gf-cloud>.gf-box{fill:#20235a;stroke:#818cf8}.gf-cloud>.gf-chip{fill:#c7d2fe}
.gf-nested.gf-edge>.gf-box{fill:#0d2226}.gf-nested.gf-cloud>.gf-box{fill:#151a3d}
.gf-line{stroke:#64748b}.gf-condition{stroke:#f59e0b}.gf-update{stroke:#a78bfa}
}
"""

_NARROW: Final = frozenset("fijlrtI.,:;'|!()[]{}-· \"`")
_WIDE: Final = frozenset("mwMW@%…")


def svg(picture: Picture, title: str) -> str:
    """The picture as a document of SVG. `title` is written above it."""
    drawn = _Group(picture)
    about = " · ".join(picture.about)
    head = _TITLE + (_ROW if about else 0.0)
    keys = _legend(picture)
    least = max(_wide(title, 16.0), _wide(about, _SMALL), sum(width for *_, width in keys))
    width = max(drawn.width, least) + 2 * _MARGIN
    height = head + drawn.height + 2 * _MARGIN + 28.0
    size = (f"{width:.0f}", f"{height:.0f}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="gf-paper" width="{size[0]}" height="{size[1]}"/>',
        _text("gf-title", _MARGIN, _MARGIN + 12.0, title),
    ]
    if about:
        lines.append(_text("gf-about", _MARGIN, _MARGIN + 12.0 + _ROW + 2.0, about))
    lines += drawn.lines((width - drawn.width) / 2, _MARGIN + head)
    lines += _drawn_legend(keys, _MARGIN, height - _MARGIN + 4.0)
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Card:
    """What is written on a box, and how large that makes it."""

    box: Box
    name: str
    chip: str
    rows: tuple[tuple[str, str], ...]
    """(class, text) below the name."""
    inner: _Group | None
    width: float
    height: float

    @classmethod
    def of(cls, box: Box) -> _Card:
        chip = " · ".join(word for word in (box.place, "result" if box.is_result else "") if word)
        what = "gf-what gf-value" if box.kind == "static" else "gf-what"
        rows = [(what, clip(box.what, _MOST))] if box.what else []
        rows += [("gf-note", clip(note, _MOST)) for note in (*box.notes, *([box.folded] if box.folded else []))]
        inner = _Group(box.inner) if box.inner is not None else None
        if inner is not None:
            rows += [("gf-note", clip(about, _MOST + 20)) for about in inner.picture.about]
        name = clip(box.name, _MOST)
        width = _wide(name, _NAME, bold=True) + (_wide(chip, _SMALL, bold=True) + 22.0 if chip else 0.0)
        width = max([width, 64.0, *(_wide(text, _SMALL, mono="gf-value" in style) for style, text in rows)])
        height = 2 * 9.0 + _ROW * (1 + len(rows))
        if inner is not None:
            width = max(width, inner.width)
            height += inner.height + 14.0
        return cls(box, name, chip, tuple(rows), inner, width + 2 * _PAD, height)

    def lines(self, at: Rect) -> Iterator[str]:
        box = self.box
        words = [
            "gf-node",
            f"gf-{box.kind}",
            *([f"gf-{box.place}"] if box.place else []),
            *(["gf-result"] if box.is_result else []),
        ]
        yield f'<g class="{" ".join(words)}"><title>{escape(_tooltip(box))}</title>'
        round_ = at.height / 2 if box.kind in ("static", "given") and len(self.rows) < 2 else 8.0
        yield (
            f'<rect class="gf-box" x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{at.height:.1f}"'
            f' rx="{min(round_, 18.0):.1f}"/>'
        )
        y = at.y + 9.0 + 12.0
        yield _text("gf-name", at.x + _PAD, y, self.name)
        if self.chip:
            yield _text("gf-chip", at.x + at.width - _PAD, y, self.chip)
        for style, text in self.rows:
            y += _ROW
            yield _text(style, at.x + _PAD, y, text)
        if self.inner is not None:
            yield from self.inner.lines(at.x + (at.width - self.inner.width) / 2, y + 12.0)
        yield "</g>"


class _Group:
    """The boxes and lines of one graph; nested ones are inside their boxes."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.cards = [_Card.of(box) for box in picture.boxes]
        self.arrows: Sequence[Arrow] = [each for each in picture.arrows if each.source != each.target]
        # An update goes back to the turn's beginning: its line is laid out downwards and drawn the other way.
        lines = [
            Line(each.target, each.source, each.tie) if each.tie == "update" else Line(each.source, each.target, each.tie)
            for each in self.arrows
        ]
        self.layout: Layout = lay_out({place: (card.width, card.height) for place, card in enumerate(self.cards)}, lines)
        self.width = self.layout.width
        self.height = self.layout.height

    def lines(self, x: float, y: float) -> Iterator[str]:
        for arrow, route in zip(self.arrows, self.layout.routes, strict=True):
            points = [(x + a, y + b) for a, b in (route[::-1] if arrow.tie == "update" else route)]
            yield f'<path class="gf-line gf-{arrow.tie}" d="{_curve(points)}"/>'
            yield _head(points, arrow.tie)
        for place, card in enumerate(self.cards):
            at = self.layout.boxes[place]
            yield from card.lines(Rect(x + at.x, y + at.y, at.width, at.height))


def _curve(points: Sequence[Point]) -> str:
    """Straight inside layers, an S between two."""
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for place, (next_x, next_y) in enumerate(rest):
        if place % 2 == 0:
            if abs(next_y - y) > 0.05:
                parts.append(f"V{next_y:.1f}")
        elif abs(next_x - x) < 0.5:
            parts.append(f"L{next_x:.1f} {next_y:.1f}")
        else:
            middle = (y + next_y) / 2
            parts.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
    return "".join(parts)


def _head(points: Sequence[Point], tie: str) -> str:
    (x, y), before = points[-1], next((each for each in reversed(points) if abs(each[1] - points[-1][1]) > 0.05), points[0])
    back = -_HEAD if before[1] < y else _HEAD
    return f'<path class="gf-head gf-{tie}" d="M{x:.1f} {y:.1f}l{-_HEAD / 2:.1f} {back:.1f}h{_HEAD:.1f}z"/>'


def _tooltip(box: Box) -> str:
    where = f"{box.place}: {box.why}" if box.place and box.why else box.place
    return "\n".join(
        each for each in (box.name, box.what, *box.notes, where, box.folded, "result" if box.is_result else "") if each
    )


_KEYS: Final[Mapping[str, str]] = {
    "edge": "edge: this device",
    "cloud": "cloud: the worker",
    "static": "a value",
    "condition": "condition",
    "update": "next turn",
}


def _legend(picture: Picture) -> list[tuple[str, str, float]]:
    """What the colours and strokes of this picture mean, each with its width; only what is in it."""
    found = dict.fromkeys(_used(picture))
    return [(key, text, _wide(text, _SMALL) + 42.0) for key, text in _KEYS.items() if key in found]


def _used(picture: Picture) -> Iterator[str]:
    for box in picture.boxes:
        yield box.place or box.kind
        if box.inner is not None:
            yield from _used(box.inner)
    for arrow in picture.arrows:
        yield arrow.tie


def _drawn_legend(keys: Sequence[tuple[str, str, float]], x: float, y: float) -> Iterator[str]:
    for key, text, width in keys:
        if key in ("condition", "update"):
            yield f'<path class="gf-line gf-{key}" d="M{x:.1f} {y - 4:.1f}h20"/>'
        else:
            yield f'<g class="gf-{key}"><rect class="gf-box" x="{x:.1f}" y="{y - 10:.1f}" width="20" height="12" rx="3"/></g>'
        yield _text("gf-about", x + 26.0, y, text)
        x += width


def _text(style: str, x: float, y: float, text: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" xml:space="preserve">{escape(text)}</text>'


def _wide(text: str, size: float, *, bold: bool = False, mono: bool = False) -> float:
    """About how wide a text will be; nobody knows the reader's fonts, so rather too wide."""
    if mono:
        return columns(text) * size * 0.6
    units = 0.0
    for each in text:
        if each in _NARROW:
            units += 0.38
        elif each in _WIDE:
            units += 0.92
        elif each.isascii():
            units += 0.72 if each.isupper() else 0.62
        else:
            units += 0.6 * max(1, columns(each))
    return units * size * (1.07 if bold else 1.0)
