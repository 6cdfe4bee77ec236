"""Drawing: a graph as text for a terminal, as SVG, or in the words of Mermaid and Graphviz. Pure.

All four show the same picture (`graphs.drawing.picture`). What a graph's author wrote is escaped for each, so that no name or value can
become part of the drawing's own language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from graphs.drawing import rails, svg
from graphs.drawing.picture import Box, Picture, Whereabouts, picture_of
from graphs.language.spec import Graph
from graphs.terminal import clip, printable

__all__ = ["FORMATS", "SUFFIXES", "Format", "Whereabouts", "draw"]

Format: TypeAlias = Literal["text", "mermaid", "dot", "svg"]

FORMATS: Final[tuple[Format, ...]] = ("text", "mermaid", "dot", "svg")

SUFFIXES: Final[Mapping[str, Format]] = MappingProxyType(
    {".txt": "text", ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg"}
)
"""The format that the name of a file asks for."""

_MOST: Final = 60

_CLASSES: Final = {
    "edge": ("#ecfdf5", "#34a583"),
    "cloud": ("#eef2ff", "#818cf8"),
    "static": ("#f8fafc", "#cbd5e1"),
    "given": ("#ffffff", "#94a3b8"),
}


def draw(
    graph: Graph,
    format: Format = "text",
    *,
    title: str = "graph",
    places: Whereabouts | None = None,
    fold: bool = False,
    width: int = 100,
    colour: bool = False,
    ascii: bool = False,
) -> str:
    """The picture of a checked graph, with a line end at its end.

    `places` says for each node where it runs and why; without it, the places that the graph itself states are shown. `fold` leaves
    out what is inside nested graphs. `width`, `colour` and `ascii` are for text: columns, ANSI colours, no letters beyond ASCII.
    """
    picture, title = picture_of(graph, places, fold=fold), printable(title)
    if format == "text":
        return rails.text(picture, title, width=width, colour=colour, ascii=ascii)
    if format == "svg":
        return svg.svg(picture, title)
    return "\n".join(_mermaid(picture, title) if format == "mermaid" else _dot(picture, title)) + "\n"


def _label(box: Box, line_end: str, escaped: Callable[[str], str]) -> str:
    where = " · ".join(word for word in (box.place, "result" if box.is_result else "") if word)
    lines = (box.name, box.what, *box.notes, where, box.folded)
    return line_end.join(escaped(clip(line, _MOST)) for line in lines if line)


def _style(box: Box) -> str:
    """The class of a box, empty for an agent of which no place is known."""
    if box.place in _CLASSES:
        return box.place
    return {"static": "static", "given": "given", "boundary": "given"}.get(box.kind, "")


# -- Mermaid


def _mermaid(picture: Picture, title: str) -> Iterator[str]:
    yield f"---\ntitle: {_quoted(title)}\n---" if title else "---\n---"
    yield "flowchart TD"
    yield from _mermaid_boxes(picture, "n", "  ")
    for name, (fill, stroke) in _CLASSES.items():
        dashes = ",stroke-dasharray:2 3" if name == "given" else ""
        yield f"  classDef gf_{name} fill:{fill},stroke:{stroke},color:#1f2937{dashes}"
    yield "  classDef gf_result stroke-width:3px"


def _mermaid_boxes(picture: Picture, prefix: str, indent: str) -> Iterator[str]:
    for number, box in enumerate(picture.boxes):
        key, label = f"{prefix}{number}", _label(box, "<br>", _mermaid_text)
        if box.inner is not None:
            yield f'{indent}subgraph {key}["{label}"]'
            yield from _mermaid_boxes(box.inner, f"{key}_", indent + "  ")
            yield f"{indent}end"
        else:
            opening, closing = {"static": ("([", "])"), "nested": ("[[", "]]")}.get(box.kind, ("[", "]"))
            yield f'{indent}{key}{opening}"{label}"{closing}'
        for style in (_style(box), "result" if box.is_result else ""):
            if style:
                yield f"{indent}class {key} gf_{style}"
    for arrow in picture.arrows:
        line = {"data": "-->", "condition": "-.->", "update": "-. next turn .->"}[arrow.tie]
        if arrow.label and arrow.tie != "update":
            line += f"|{arrow.label}|"
        yield f"{indent}{prefix}{arrow.source} {line} {prefix}{arrow.target}"


def _mermaid_text(text: str) -> str:
    """Mermaid reads entities of its own, #35; for instance, and HTML: everything but letters, digits and some marks is one."""
    return "".join(each if each.isalnum() or each in " .,:-_·…" else f"#{ord(each)};" for each in text)


# -- Graphviz


def _dot(picture: Picture, title: str) -> Iterator[str]:
    yield "digraph graphferry {"
    yield f"  graph [label={_quoted(title)}, labelloc=t, labeljust=l, fontname=Helvetica, rankdir=TB, compound=true];"
    yield '  node [shape=box, style="rounded,filled", fillcolor="#ffffff", color="#94a3b8", fontname=Helvetica, fontsize=11];'
    yield '  edge [color="#94a3b8", fontname=Helvetica, fontsize=9, arrowsize=0.7];'
    yield from _dot_boxes(picture, "n", "  ")
    yield "}"


def _dot_boxes(picture: Picture, prefix: str, indent: str) -> Iterator[str]:
    for number, box in enumerate(picture.boxes):
        key = f"{prefix}{number}"
        style, words = _style(box), ["rounded", "filled"]
        attributes = [f'label="{_label(box, _BREAK, _dot_text)}"']
        if style:
            fill, stroke = _CLASSES[style]
            attributes += [f'fillcolor="{fill}"', f'color="{stroke}"']
        if style == "given":
            words.append("dashed")
        if box.is_result:
            attributes.append("penwidth=2")
        node = f'{indent}{key} [{", ".join(attributes)}, style="{",".join(words)}"];'
        if box.inner is None:
            yield node
            continue
        yield f"{indent}subgraph cluster_{key} {{"
        yield f'{indent}  style="rounded"; color="#cbd5e1";'
        yield f"  {node}"
        yield from _dot_boxes(box.inner, f"{key}_", indent + "  ")
        yield f"{indent}}}"
    for arrow in picture.arrows:
        source, target, extra = arrow.source, arrow.target, ""
        if arrow.tie == "condition":
            extra = f' [style=dashed, color="#d97706", label={_quoted(arrow.label)}]'
        elif arrow.tie == "update":
            extra = ' [style=dotted, color="#a78bfa", label="next turn", constraint=false]'
        elif arrow.label:
            extra = f" [label={_quoted(arrow.label)}]"
        yield f"{indent}{prefix}{source} -> {prefix}{target}{extra};"


_BREAK: Final = "\\n"


def _dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: str) -> str:
    """In double quotes, as Graphviz and YAML read them."""
    return f'"{_dot_text(text)}"'
