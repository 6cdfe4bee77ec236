"""Graphs that mean harm: each with where it has to be stopped, and by which limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["GRAPHS", "TEXTS", "Hostile", "loop_of"]

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hostile:
    """A graph. `limit` is the name of what stops it with the limits of graphs from others, `trusted` with those of one's own; None
    if it comes to its end. `said` is part of the message, where another rule than a limit stops it.
    """

    name: str
    make: Callable[[], Document]
    limit: str | None
    trusted: str | None = None
    said: str = ""


def loop_of(nodes: Document, *, count: int = 10**9, **more: Any) -> Document:
    """A graph that repeats."""
    return {"version": 0.5, "loop": {"count": count}, "nodes": dict(nodes), **more}


def once(nodes: Document, **more: Any) -> Document:
    return {"version": 0.5, "nodes": dict(nodes), **more}


def copies(value: Any) -> dict[str, Any]:
    return {"agent": "copyAgent", "inputs": value}


def nested(graph: Any, inputs: Any = None, **more: Any) -> dict[str, Any]:
    return {"agent": "nestedAgent", "inputs": inputs or {}, "graph": graph, **more}


def mapped(graph: Any, rows: Any, **more: Any) -> dict[str, Any]:
    return {"agent": "mapAgent", "inputs": {"rows": rows, **more.pop("inputs", {})}, "graph": graph, **more}


def grows(agent: str, inputs: Any, source: str, start: Any, **more: Any) -> Callable[[], Document]:
    """A loop whose node makes more of what it gave in the turn before."""
    return lambda: loop_of(
        {"x": {"value": start, "update": source}, "more": {"agent": agent, "inputs": inputs, "isResult": True, **more}}
    )


def opens_itself() -> Document:
    inner = once({"n": nested(":g", {"g": ":g"})})
    return once({"g": {"value": inner}, "n": nested(":g", {"g": ":g"})})


def opens_itself_twice() -> Document:
    inner = once({"a": nested(":g", {"g": ":g"}), "b": nested(":g", {"g": ":g"}), "c": nested(":g", {"g": ":g"})})
    return once({"g": {"value": inner}, "n": nested(":g", {"g": ":g"})})


def maps_itself_wide() -> Document:
    inner = once({"m": mapped(":g", list(range(100)), inputs={"g": ":g"})})
    return once({"g": {"value": inner}, "m": mapped(":g", list(range(100)), inputs={"g": ":g"})})


def text(size: int, *, character: str = "x") -> str:
    return character * size


def wide(agent: str, inputs: Any, count: int, **more: Any) -> dict[str, Any]:
    return {f"n{number}": {"agent": agent, "inputs": inputs, **more} for number in range(count)}


DOUBLE: Final = "${:x}${:x}"

GRAPHS: Final = (
    Hostile(
        "a while that never ends",
        lambda: {"version": 0.5, "loop": {"while": ":yes"}, "nodes": {"yes": {"value": 1}, "c": copies({"x": 1})}},
        "turns",
        "turns",
    ),
    Hostile(
        "a loop of defaults, which never leaves the engine",
        lambda: loop_of({"no": {"value": 0}, "c": {**copies({"x": 1}), "if": ":no", "defaultValue": 1}}),
        "turns",
        "turns",
    ),
    Hostile("a loop of many nodes", lambda: loop_of(wide("copyAgent", {"x": 1}, 1000)), "nodes", "nodes"),
    Hostile(
        "a retry without an end",
        lambda: once({"n": {"agent": "pushAgent", "inputs": {"array": [1]}, "retry": 10**12}, "w": {"value": 1}}),
        "retries",
        "retries",
    ),
    Hostile(
        "a repeatUntil without an end",
        lambda: once({"n": {**copies({"x": 1}), "repeatUntil": {"exists": ".y"}, "retry": 10**12}}),
        "retries",
        "retries",
    ),
    Hostile(
        "an input that cannot be resolved, tried for ever",
        lambda: once({"s": {"value": "{"}, "n": {**copies({"x": ":s.jsonParse()"}), "retry": 10**12}}),
        "retries",
        "retries",
    ),
    Hostile("a graph that opens itself", opens_itself, "nesting", "nesting"),
    Hostile("a graph that opens itself three times", opens_itself_twice, "graphs", "graphs"),
    Hostile("a map that maps itself wide", maps_itself_wide, "nodes", "nodes"),
    Hostile(
        "a map over a million rows",
        lambda: once(
            {
                "c": {"agent": "countingAgent", "params": {"count": 20_000}},
                "m": mapped(once({"c": copies({"x": ":row"})}), ":c.list"),
            }
        ),
        "rows",
    ),
    Hostile(
        "maps inside maps",
        lambda: once(
            {"m": mapped(once({"m": mapped(once({"c": copies({"x": ":row"})}), list(range(9000)))}), list(range(9000)))}
        ),
        "nodes",
        "nodes",
    ),
    Hostile("a text that doubles", grows("copyAgent", {"t": DOUBLE}, ":more.t", "x"), "value_bytes", "value_bytes"),
    Hostile(
        "a template that feeds itself",
        grows("stringTemplateAgent", {"t": ":x"}, ":more", "x", params={"template": "${t}-${t}"}),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "a list that doubles",
        grows("pushAgent", {"array": ":x", "items": ":x"}, ":more.array", [1]),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "a list that doubles by flat()",
        grows("copyAgent", {"t": [":x", ":x"]}, ":more.t.flat()", [1]),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "a value that stands for two of itself",
        grows("copyAgent", {"a": ":x", "b": ":x"}, ":more", 1),
        "value_bytes",
        "turns",
    ),
    Hostile(
        "a value that is inside itself, turn by turn",
        lambda: loop_of({"x": {"value": 1, "update": ":more"}, "more": {**copies({"a": ":x"}), "isResult": True}}, count=20_000),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "JSON of a value that stands for many",
        lambda: loop_of(
            {"x": {"value": 1, "update": ":more"}, "more": copies({"a": ":x", "b": ":x"}), "t": copies({"t": ":more.toJSON()"})},
            count=60,
        ),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "text of a list of lists of lists",
        lambda: loop_of(
            {"x": {"value": 1, "update": ":more.t"}, "more": copies({"t": [":x", ":x"]}), "t": copies({"t": "${:more.t}"})},
            count=60,
        ),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "an anyInput node over a value that stands for many",
        lambda: loop_of(
            {
                "x": {"value": 1, "update": ":more.t"},
                "more": copies({"t": [":x", ":x"]}),
                "t": {**copies({"t": ":more.t"}), "anyInput": True},
            },
            count=60,
        ),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "a comparison that compares comparisons",
        lambda: loop_of(
            {
                "x": {"value": [1, "==", 1], "update": ":more.t"},
                "more": copies({"t": [":x", "&&", ":x"]}),
                "t": {"agent": "compareAgent", "inputs": {"array": ":more.t"}},
            },
            count=60,
        ),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "a deep merge of a value that stands for many",
        lambda: loop_of(
            {
                "x": {"value": {}, "update": ":more"},
                "more": copies({"a": ":x", "b": ":x"}),
                "t": {"agent": "dataObjectMergeTemplateAgent", "inputs": {"array": [":more", ":more"]}},
            },
            count=60,
        ),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "a flattening of a value that stands for many",
        lambda: loop_of(
            {
                "x": {"value": [1], "update": ":more.t"},
                "more": copies({"t": [":x", ":x"]}),
                "t": {"agent": "arrayFlatAgent", "inputs": {"array": ":more.t"}, "params": {"depth": 1000}},
            },
            count=60,
        ),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "pieces that overlap nearly whole",
        lambda: once(
            {
                "x": {"value": text(200_000)},
                "s": {
                    "agent": "stringSplitterAgent",
                    "inputs": {"text": ":x"},
                    "params": {"chunkSize": 100_000, "overlap": 99_999},
                },
            }
        ),
        "value_bytes",
        "value_bytes",
    ),
    Hostile(
        "one text in many templates",
        lambda: once({"x": {"value": text(1_000_000)}, **wide("copyAgent", {"t": ":x.toUpperCase()"}, 1000)}),
        "run_bytes",
    ),
    Hostile(
        "many templates in one node",
        lambda: once({"x": {"value": text(200_000)}, "n": copies({"t": [DOUBLE] * 5000})}),
        "run_bytes",
    ),
    Hostile(
        "many million commas",
        lambda: once({"x": {"value": text(4_000_000, character=",")}, "n": copies({"t": ":x.split(,)"})}),
        "value_bytes",
    ),
    Hostile(
        "a text letter by letter",
        lambda: once({"x": {"value": text(4_000_000)}, "n": {"agent": "mergeObjectAgent", "inputs": {"items": [":x"]}}}),
        "value_bytes",
    ),
    Hostile(
        "a fence that never closes",
        lambda: once({"x": {"value": "```" + text(500_000)}, "n": copies({"t": ":x.codeBlock()"})}),
        None,
    ),
    Hostile(
        "braces that never close", lambda: once({"x": {"value": 1}, "n": copies({"t": text(150_000, character="${:")})}), None
    ),
    Hostile(
        "braces that never close, filled by an agent",
        lambda: once(
            {
                "x": {"value": 1},
                "n": {
                    "agent": "stringTemplateAgent",
                    "inputs": {"x" * (n + 1): 1 for n in range(300)},
                    "params": {"template": text(300_000, character="${")},
                },
            }
        ),
        "value_bytes",
    ),
    Hostile("a sleep without an end", lambda: once({"n": {"agent": "sleeperAgent", "params": {"duration": 10**15}}}), "seconds"),
    Hostile(
        "a timeout without an end",
        lambda: once({"n": {"agent": "sleeperAgent", "params": {"duration": 10**15}, "timeout": 1e300}}),
        "seconds",
    ),
    Hostile(
        "an error that would become data",
        lambda: once(
            {"m": mapped(loop_of({"c": copies({"x": 1})}), [1, 2], params={"supressError": True}, retry=10**9, defaultValue=1)}
        ),
        "turns",
        "turns",
    ),
    Hostile(
        "more concurrency than there is",
        lambda: once(wide("sleeperAgent", {"x": 1}, 2000, params={"duration": 1}), concurrency=10**18),
        None,
    ),
    Hostile("a graph of too many nodes", lambda: once(wide("copyAgent", {"x": 1}, 20_000)), "graph_nodes"),
    Hostile(
        "a graph of too many values", lambda: once({"x": {"value": list(range(200_000))}, "n": copies({"t": 1})}), "graph_values"
    ),
)

BOMB: Final = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)

TEXTS: Final[Mapping[str, tuple[Callable[[], str], str]]] = {
    "10,000 levels of YAML": (lambda: "nodes: " + "[" * 10_000 + "]" * 10_000, "nested deeper than 128 levels"),
    "3,000 levels of indentation": (
        lambda: "".join(" " * level + "a:\n" for level in range(3_000)),
        "nested deeper than 128 levels",
    ),
    "10,000 levels of JSON": (lambda: '{"nodes": ' + '{"a": ' * 10_000 + "1" + "}" * 10_001, "nested deeper than 128 levels"),
    "an alias of itself": (lambda: "a: &a [*a]\nnodes: {}\n", "stands inside the value it names"),
    "billion laughs": (lambda: BOMB + "nodes: {}\n", "more than 1,000,000 values"),
    "billion laughs by merging": (
        lambda: (
            "a: &a {x: 1}\n"
            + "".join(
                f"b{n}: &b{n} {{<<: [*a], y: [*{'a' if not n else f'b{n - 1}'}, *{'a' if not n else f'b{n - 1}'}]}}\n"
                for n in range(40)
            )
            + "nodes: {}\n"
        ),
        "more than 1,000,000 values",
    ),
    "40 MB of text": (lambda: "nodes: {a: {value: '" + "x" * 40_000_000 + "'}}", "larger than 32 MiB"),
    "a number of a million digits": (lambda: "nodes: {a: {value: 0x" + "f" * 1_000_000 + "}}", "cannot be part of a graph"),
    "a million brackets": (lambda: "[" * 1_000_000, "nested deeper than 128 levels"),
    "a million quotes": (lambda: "{" + '"' * 1_000_000, ""),
    "a million tags": (lambda: "%TAG ! a\n" * 100_000, "tags are not supported"),
}
"""Texts, each with what the refusal says."""

AT_A_WORKER: Final[Mapping[str, str]] = {
    "a while that never ends": "the limit `turns` of 10,000",
    "a retry without an end": "the limit `retries` of 1,000",
    "a graph that opens itself three times": "the limit `graphs` of 1,000",
    "a map that maps itself wide": "the limit `nodes` of 100,000",
    "a text that doubles": "the limit `value_bytes` of 1,048,576",
    "a list that doubles": "the limit `value_bytes` of 1,048,576",
    "a value that stands for two of itself": "the limit `value_bytes` of 1,048,576",
    "a template that feeds itself": "the limit `value_bytes` of 1,048,576",
    "a sleep without an end": "the limit `seconds` of 0.1",
}
"""Those that are small enough to be shipped as a whole, each with the worker's limit that stops it there."""
