"""The graphs that are measured, in no engine's terms, each with the answer that it must give.

A node adds up the numbers it is given, adds one and gives {"v": (sum + 1) % PRIME}. What a graph comes to is computed here without any
engine, and a run that gives something else does not count.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

__all__ = [
    "PRIME",
    "Workload",
    "chain",
    "document",
    "fan",
    "handed_on",
    "layered",
    "looped",
    "mapped",
    "named",
    "said",
    "step",
    "total",
]

PRIME: Final = 1_000_003

_WIDTH: Final = 50
_INPUTS: Final = 3
_SEED: Final = 7
_MANY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    """One graph. `count` is how many nodes run: what a time is divided by.

    Only of kind "dag": `nodes` are (id, ids it reads) in an order in which they can run, `outputs` those whose values make the answer.
    `size` is the rows of a "map" of three nodes, the turns of a "loop" of two, or the bytes of the "large" value. `pause` is None
    where a node never suspends, else the seconds each one sleeps, 0 for a suspension that ends at once.
    """

    kind: Literal["dag", "map", "loop", "large"]
    title: str
    count: int
    answer: int
    nodes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    outputs: tuple[str, ...] = ()
    size: int = 0
    pause: float | None = None


def step(values: Iterable[int]) -> dict[str, int]:
    """The work of one node."""
    return {"v": (sum(values) + 1) % PRIME}


def said(turn: int, role: str, size: int) -> dict[str, str]:
    """A message of a chat, with `size` letters, always the same ones."""
    dice = random.Random(f"{turn} {role}")
    return {"role": role, "content": "".join(dice.choices("abcdefghijklmnopqrstuvwxyz      ", k=size))}


def total(values: Iterable[Mapping[str, int]]) -> int:
    """The answer that these nodes' values make."""
    return sum(value["v"] for value in values) % PRIME


def chain(length: int) -> Workload:
    """Each node reads the one before it."""
    nodes = [(f"n{number}", (f"n{number - 1}",) if number else ()) for number in range(length)]
    return _dag(f"chain of {length:,}", nodes, [nodes[-1][0]])


def fan(width: int) -> Workload:
    """One node is read by `width` others, and those by a last one."""
    middle = [f"m{number}" for number in range(width)]
    nodes = [("source", ()), *((name, ("source",)) for name in middle), ("join", tuple(middle))]
    return _dag(f"fan of {width:,}", nodes, ["join"])


def layered(count: int, *, pause: float | None = None) -> Workload:
    """Layers of 50 nodes, each reading three of the layer before it, always the same ones."""
    chosen = random.Random(_SEED)
    nodes: list[tuple[str, tuple[str, ...]]] = []
    layer: list[str] = []
    for depth in range(count // _WIDTH):
        above, layer = layer, [f"l{depth}_{place}" for place in range(_WIDTH)]
        nodes += [(name, tuple(chosen.sample(above, _INPUTS)) if above else ()) for name in layer]
    return _dag(f"layered, {count:,}", nodes, layer, pause=pause)


def mapped(rows: int) -> Workload:
    """A map whose graph is a chain of three, the first reading the row."""
    return Workload("map", f"map of {rows:,} rows x 3", 3 * rows, sum(row + 3 for row in range(rows)) % PRIME, size=rows)


def looped(turns: int) -> Workload:
    """A loop over a chain of two that begins where the last turn ended."""
    return Workload("loop", f"loop of {turns:,} turns x 2", 2 * turns, 2 * turns % PRIME, size=turns)


def handed_on(size: int, length: int) -> Workload:
    """A chain that hands on one value of `size` bytes; the answer is its size, if the last node gives the very same object."""
    return Workload("large", f"{size / 1e6:g} MB through {length}", length, size, size=size)


def named(name: str) -> Workload:
    """The workload of a name such as `layered1000`, by which processes tell each other what to run. Raises KeyError."""
    parts = re.fullmatch(r"([a-z]+)(\d+)", name)
    if parts is None or parts[1] not in _MAKERS:
        raise KeyError(f"{name!r} names no workload; it is one of {', '.join(_MAKERS)}, and a size")
    return _MAKERS[parts[1]](int(parts[2]))


_MAKERS: Final[Mapping[str, Callable[[int], Workload]]] = {
    "chain": chain,
    "fan": fan,
    "layered": layered,
    "map": mapped,
    "loop": looped,
}


def document(workload: Workload, *, agent: str = "add") -> dict[str, Any]:
    """The workload in GraphAI's language. Its nodes' agent takes `vals`; for a large value `v`, from the node `blob`, which is injected."""
    if workload.kind == "dag":
        nodes: dict[str, Any] = {
            name: {"agent": agent, "inputs": {"vals": [f":{each}.v" for each in reads]}} for name, reads in workload.nodes
        }
        for name in workload.outputs:
            nodes[name]["isResult"] = True
        # Where nodes suspend, the bound lets all of them do so at once.
        return {"version": 0.5, "nodes": nodes, **({} if workload.pause is None else {"concurrency": _MANY})}
    if workload.kind == "map":
        inner = {"nodes": _line(agent, ":row", "abc")}
        outer = {"agent": "mapAgent", "inputs": {"rows": ":rows"}, "graph": inner, "isResult": True}
        return {"version": 0.5, "nodes": {"rows": {"value": list(range(workload.size))}, "m": outer}}
    if workload.kind == "loop":
        state = {"value": {"v": 0}, "update": ":b"}
        return {"version": 0.5, "loop": {"count": workload.size}, "nodes": {"s": state, **_line(agent, ":s.v", "ab")}}
    ids = ["blob", *(f"n{number}" for number in range(workload.count))]
    line: dict[str, Any] = {name: {"agent": agent, "inputs": {"v": f":{before}.v"}} for before, name in pairwise(ids)}
    line[ids[-1]]["isResult"] = True
    return {"version": 0.5, "nodes": {"blob": {}, **line}}


def _line(agent: str, first: str, names: str) -> dict[str, Any]:
    sources = [first, *(f":{name}.v" for name in names[:-1])]
    line: dict[str, Any] = {
        name: {"agent": agent, "inputs": {"vals": [source]}} for name, source in zip(names, sources, strict=True)
    }
    line[names[-1]]["isResult"] = True
    return line


def _dag(
    title: str, nodes: Iterable[tuple[str, tuple[str, ...]]], outputs: Iterable[str], *, pause: float | None = None
) -> Workload:
    nodes, outputs = tuple(nodes), tuple(outputs)
    values: dict[str, dict[str, int]] = {}
    for name, reads in nodes:
        values[name] = step(values[each]["v"] for each in reads)
    answer = total(values[name] for name in outputs)
    return Workload("dag", title, len(nodes), answer, nodes, outputs, pause=pause)
