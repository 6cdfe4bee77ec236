"""Random graphs, and how the agents in them answer."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from graphs.errors import NodeError, NodeTimeout
from graphs.values import MISSING, Value

__all__ = ["BYPASS", "MAX_TURNS", "Case", "Drawing", "answer", "cases"]

BYPASS = ("absentAgent",)
MAX_TURNS = 4

_PARTS = (
    "",
    "",
    ".v",
    ".v",
    ".v.add(1)",
    ".flag",
    ".rows",
    ".rows",
    ".rows.$0",
    ".rows.length()",
    ".none",
    ".gone",
    ".gone.default(7)",
)
_CONDITIONS = (".flag", ".flag", ".v", ".rows", ".none", ".gone", ".flag.not()")
_FALLBACKS: tuple[Value, ...] = ({"v": -1, "flag": True, "rows": [5]}, "fallback", 0, None)


@dataclass(frozen=True)
class Case:
    """A graph and what is said when it is run."""

    graph: dict[str, Value]
    inject: dict[str, Value]
    force_loop: bool


def answer(inputs: Value, params: dict[str, Value], retry: int) -> Value | NodeError:
    """What `answerAgent` gives: the same for the same inputs, however large these are."""
    if retry < params.get("fails", 0):
        return NodeTimeout("Timeout") if params.get("late") else NodeError(params.get("says", "boom"))
    kind = params.get("gives", "map")
    if kind == "missing":
        return MISSING
    if kind == "null":
        return None
    v = zlib.crc32(repr(inputs).encode()) % 100
    value = {"v": v, "flag": bool(v % 2), "rows": list(range(v % 4)), "none": None}
    if retry >= params.get("ripe", 0):
        value["seen"] = v
    return [value, 3, value] if kind == "list" else {} if kind == "empty" else value


class Drawing:
    """One drawn graph; a subclass may draw otherwise.

    Names of computed nodes are only used by later ones, so there are no circles; the written order is another one.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def one_in(self, number: int) -> bool:
        return self.draw(st.integers(0, number - 1)) == number - 1

    def pick(self, items: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(items))

    def up_to(self, most: int, least: int = 0) -> int:
        return self.draw(st.integers(least, most))

    def shuffled(self, items: list[str]) -> list[str]:
        return self.draw(st.permutations(items))

    def graph(self, depth: int, given: Sequence[str] = (), *, rows: bool = False) -> dict[str, Value]:
        statics = [f"s{number}" for number in range(self.up_to(3 if depth == 0 else 2, 1))]
        computed = [f"c{number}" for number in range(self.up_to(6 if depth == 0 else 3, 1))]
        readable = [*statics, *given]
        nodes: dict[str, Value] = {}
        for name in computed:
            nodes[name] = self.computed(name, readable, depth, rows=rows)
            readable = [*readable, name]
        loops = self.one_in(3)
        for name in statics:
            nodes[name] = self.static([*readable, "__loopIndex"], loops=loops, filled=name in given)
        if self.one_in(2):
            nodes = {name: nodes[name] for name in self.shuffled(list(nodes))}
        graph: dict[str, Value] = {"version": 0.5, "nodes": nodes}
        if loops:
            source = self.pick([f":{name}{part}" for name in readable for part in (".flag", ".rows")])
            graph["loop"] = self.pick([{"count": 2}, {"count": 3}, {"while": source}, {"while": ":__loopIndex.equal(2).not()"}])
        if self.one_in(6):
            graph["retry"] = 1
        return graph

    def source(self, readable: Sequence[str]) -> str:
        return f":{self.pick(readable)}{self.pick(_PARTS)}"

    def static(self, readable: Sequence[str], *, loops: bool, filled: bool) -> dict[str, Value]:
        node: dict[str, Value] = {}
        if loops and self.one_in(2):
            node["update"] = self.source(readable)
        if not ("update" in node and self.one_in(4)) and not filled:
            node["value"] = self.pick([0, None, "text", [1, {"v": 2}], {"v": 1, "flag": True, "rows": [1, {"v": 4}]}])
        if self.one_in(4):
            node["isResult"] = True
        return node

    def inputs(self, readable: Sequence[str]) -> dict[str, Value]:
        made: dict[str, Value] = {}
        for number in range(self.up_to(3)):
            source = self.source(readable)
            made[f"i{number}"] = self.pick(
                [source, source, source, [source, 5], {"deep": source}, f"<${{:{self.pick(readable)}.v}}>", 5, "@loop"]
            )
        return made

    def computed(self, name: str, readable: Sequence[str], depth: int, *, rows: bool) -> dict[str, Value]:
        kind = self.pick(["answer"] * 6 + ["nested", "map"] * (depth < 2) + ["absent", "source"])
        if kind in ("nested", "map"):
            node = self.nesting(kind, readable, depth)
        else:
            node = {"agent": "answerAgent", "inputs": self.inputs(readable), "params": self.params(name, rows=rows)}
            if kind == "absent":
                node["agent"] = BYPASS[0]
            if kind == "source":
                node["agent"] = self.source(readable)
        self.attributes(node, readable)
        return node

    def params(self, name: str, *, rows: bool) -> dict[str, Value]:
        params: dict[str, Value] = {}
        if self.one_in(4):
            params["fails"] = self.up_to(3, 1)
            params["says"] = "boom" if rows else f"{name} failed"
            params["late"] = self.one_in(3)
        if self.one_in(4):
            params["gives"] = self.pick(["missing", "null", "list", "empty"])
        return params

    def nesting(self, kind: str, readable: Sequence[str], depth: int) -> dict[str, Value]:
        inputs: dict[str, Value] = {
            each: self.source(readable) for each in ("s0", "x0", "c1") if self.one_in(6 if each == "c1" else 2)
        }
        params: dict[str, Value] = {"supressError": True} if self.one_in(4) else {}
        if kind == "map":
            inputs["rows"] = self.pick([f":{self.pick(readable)}.rows", [1, {"v": 2}, None], [{"v": 1, "flag": True}] * 2, []])
            given = [*(each for each in inputs if each not in ("rows", "c1")), "row", "__mapIndex"]
            if self.one_in(2):
                params |= self.pick([
                    {"limit": 1}, {"compositeResult": True}, {"compositeResultKey": "c0"}, {"resultAll": True}, {"expandKeys": ["x0"]}
                ])  # fmt: skip
        else:
            given = [each for each in inputs if each != "c1"]
            if self.one_in(3):
                params["resultNodeId"] = "c0"
            if self.one_in(6):
                inputs["loopCount"] = 2
        graph = self.graph(depth + 1, given, rows=kind == "map")
        node: dict[str, Value] = {"agent": f"{kind}Agent", "inputs": inputs, "params": params, "graph": graph}
        if self.one_in(5):
            node["timeout"] = 50
        return node

    def attributes(self, node: dict[str, Value], readable: Sequence[str]) -> None:
        for key in ("if", "unless"):
            if self.one_in(6):
                node[key] = f":{self.pick(readable)}{self.pick(_CONDITIONS)}"
        if self.one_in(5):
            node["defaultValue"] = self.pick(_FALLBACKS)
        if self.one_in(6):
            node["anyInput"] = True
        if self.one_in(4):
            node["retry"] = self.up_to(2)
        if self.one_in(8) and node["agent"] == "answerAgent":
            node["repeatUntil"] = {"exists": ".seen"}
            node["params"]["ripe"] = self.up_to(2)
        if self.one_in(3):
            node["priority"] = self.up_to(2, -1)
        if self.one_in(3):
            node["label"] = self.pick(["a", "b", "other"])
        if self.one_in(6):
            node["passThrough"] = {"passed": self.source(readable), "v": 8}
        if self.one_in(6):
            node["output"] = {"v": ".v", "flag": ".flag", "inside": {"rows": ".rows.length()"}, "word": ":no"}
        if self.one_in(2):
            node["isResult"] = True


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A graph, values for some of its static nodes, and whether its loop is forced on."""
    drawing = Drawing(draw)
    graph = drawing.graph(0)
    labels = {name: drawing.up_to(2, 1) for name in ("a", "b") if drawing.one_in(2)}
    graph["concurrency"] = drawing.pick([1, 2, 3, 8, {"global": 2, "labels": labels}, {"global": 4, "labels": labels}])
    statics = [name for name, node in graph["nodes"].items() if "agent" not in node]
    inject = {name: {"v": 3, "flag": True, "rows": [1, 2]} for name in statics if drawing.one_in(4)}
    return Case(graph, inject, force_loop=drawing.one_in(5))
