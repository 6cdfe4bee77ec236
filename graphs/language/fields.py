"""Fields: every attribute a graph or node may have, in one table.

The checker, the JSON schema, the documentation and editor help read it; nothing about an attribute is said twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from graphs.values import Value

__all__ = [
    "COMPUTED",
    "FIELDS",
    "GRAPH",
    "OFFLINE",
    "PLACES",
    "STATIC",
    "Field",
    "JsonType",
    "Owner",
    "described",
    "python_types",
    "word_for",
]

JsonType: TypeAlias = Literal["string", "number", "integer", "boolean", "object", "array", "source", "any"]
"""JSON Schema's words; `source` is a string that begins with a colon and names a node."""

Owner: TypeAlias = Literal["graph", "static", "computed"]


class Field(NamedTuple):
    """One attribute.

    `types` are the JSON types it may have; null counts as left out, but for what may be anything. `choices` are the words it may be,
    if it is text. `ours` marks what GraphAI's own checker refuses. `status`: `works`, or `cut` for what
    exists in cut graphs only.
    """

    name: str
    where: Owner
    types: tuple[JsonType, ...]
    meaning: str
    default: Value = None
    choices: tuple[str, ...] = ()
    ours: bool = False
    status: Literal["works", "cut"] = "works"


PLACES: Final = ("edge", "cloud", "auto")
OFFLINE: Final = ("wait", "local", "fail")

FIELDS: Final[tuple[Field, ...]] = (
    Field("version", "graph", ("number", "string"), "Version of the graph language; 0.5 is the only one.", 0.5),
    Field("nodes", "graph", ("object",), "The nodes by name, in order; the order decides queueing and which error wins."),
    Field("concurrency", "graph", ("integer", "object"), "How many nodes run at once, or {global, labels: {LABEL: limit}}.", 8),
    Field("loop", "graph", ("object",), "Runs the graph in turns: {count: N} or {while: :source}."),
    Field("retry", "graph", ("number",), "Default `retry` of this graph's nodes; nested graphs have their own.", 0, ours=True),
    Field("verbose", "graph", ("boolean",), "Names the nodes that never ran.", False),
    Field("metadata", "graph", ("any",), "Notes for people and tools; ignored."),
    Field("agentId", "graph", ("any",), "Accepted and unused."),
    Field("inputs", "graph", ("object",), "Declares static nodes by name: {type, default, description, sensitivity, integrity}.", ours=True),
    Field("place", "graph", ("string", "object"), "Default `place` of the nodes, also of what they do offline.", "auto", PLACES, ours=True),
    Field("budget", "graph", ("object",), "What may be spent before a person is asked: {tokens, usd, seconds, bytes}.", ours=True),
    Field("sync", "graph", ("boolean",), "The run may be replicated even if it used no worker.", False, ours=True),
    Field("filters", "graph", ("object", "array"), "The built-in filters of a cut graph's nodes.", ours=True, status="cut"),
    Field("salt", "graph", ("string",), "Keeps a cut graph's hash from giving its text away.", ours=True, status="cut"),
    Field("value", "static", ("any",), "The node's value; null is a value, left out there is none."),
    Field("update", "static", ("source",), "In a loop: the value for the next turn."),
    Field("isResult", "static", ("boolean",), "Part of the graph's result.", False),
    Field("console", "static", ("any",), "Prints the value: true, or {after: true}."),
    Field("sensitivity", "static", ("array", "string"), "Words on the value that limit where it may go, for instance private.", ours=True),
    Field("integrity", "static", ("string",), "untrusted: anybody could have written it. It never limits where the value may go.", None,
          ("untrusted",), ours=True),
    Field("boundary", "static", ("boolean",), "Stands in a cut graph for a node that is elsewhere.", False, ours=True, status="cut"),
    Field("agent", "computed", ("string",), "The agent's name, or a source that gives it when the node starts."),
    Field("inputs", "computed", ("object",), "What the agent is handed: sources, templates and literals at any depth.", {}),
    Field("params", "computed", ("object",), "Literals for the agent; never searched for sources.", {}),
    Field("graph", "computed", ("object", "source"), "The nested graph of nestedAgent and mapAgent, or a source that gives it."),
    Field("graphLoader", "computed", ("object",), "A nested graph fetched by the program that runs this one: {fileName, option}."),
    Field("if", "computed", ("source",), "The node is skipped unless this is true."),
    Field("unless", "computed", ("source",), "The node is skipped if this is true."),
    Field("defaultValue", "computed", ("any",), "The value instead of being skipped; false, 0, empty text and null count as none."),
    Field("anyInput", "computed", ("boolean",), "Ready as soon as one input has a value.", False),
    Field("retry", "computed", ("number",), "Further attempts after a failed one.", 0),
    Field("repeatUntil", "computed", ("object",), "{exists: .path}: an attempt has failed while the path is null or missing."),
    Field("timeout", "computed", ("number",), "Milliseconds an attempt may take; 0 is no limit."),
    Field("priority", "computed", ("number",), "Higher starts first when nodes queue.", 0),
    Field("label", "computed", ("string",), "The bucket whose limit in `concurrency.labels` counts for the node."),
    Field("output", "computed", ("object",), "Reshapes the value: text that begins with a dot is a path into it."),
    Field("passThrough", "computed", ("object",), "Entries added to the value; sources are waited for."),
    Field("isResult", "computed", ("boolean",), "Part of the graph's result.", False),
    Field("filterParams", "computed", ("object",), "Settings for agent filters.", {}),
    Field("console", "computed", ("any",), "Prints: true, or {before, after}."),
    Field("place", "computed", ("string", "object"), "Where it may run, or {at, offline: wait|local|fail, local}.", "auto", PLACES, ours=True),
    Field("model", "computed", ("string",), "The model the node requires: a tier such as large, or a model's name.", ours=True),
    Field("sensitivity", "computed", ("array", "string"), "Words added to those its inputs have; a node never removes any.", ours=True),
    Field("integrity", "computed", ("string",), "untrusted: the value is no more to be trusted than a stranger's.", None,
          ("untrusted",), ours=True),
    Field("requires", "computed", ("string",), "trusted: it does not act upon what anybody could have written, unless a person approved it.", None,
          ("trusted",), ours=True),
    Field("effect", "computed", ("string",), "What repeating the agent does; decides after a crash.", "once",
          ("none", "idempotent", "once"), ours=True),
    Field("any", "computed", ("array", "integer"), "Several implementations, chosen as late as possible; a number is the one chosen.",
          ours=True),
    Field("escalate", "computed", ("object",), "Asks a second model where the answer is not sure: {below, by, samples, to}.", ours=True),
    Field("hedge", "computed", ("object",), "Asks a second place where the first is late, first answer wins: {after, to}.", ours=True),
    Field("budget", "computed", ("object",), "What may be spent before a person is asked: {tokens, usd, seconds, bytes}.", ours=True),
    Field("fit", "computed", ("boolean",), "Leaves out the oldest turns of a history that is too long for the model.", False, ours=True),
)  # fmt: skip


def _named(where: Owner) -> Mapping[str, Field]:
    return MappingProxyType({field.name: field for field in FIELDS if field.where == where})


GRAPH: Final = _named("graph")
STATIC: Final = _named("static")
COMPUTED: Final = _named("computed")

_NULL = type(None)
_ANY: Final[frozenset[type]] = frozenset({str, int, float, bool, dict, list, _NULL})
_TYPES: Final[Mapping[JsonType, frozenset[type]]] = MappingProxyType(
    {
        "string": frozenset({str}),
        "number": frozenset({int, float}),
        "integer": frozenset({int, float}),
        "boolean": frozenset({bool}),
        "object": frozenset({dict}),
        "array": frozenset({list}),
        "source": frozenset({str}),
        "any": _ANY,
    }
)
_WORDS: Final[Mapping[JsonType, str]] = MappingProxyType(
    {
        "string": "text",
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "object": "a map",
        "array": "a list",
        "source": "a source such as :node.part",
        "any": "anything",
    }
)


def python_types(field: Field) -> frozenset[type]:
    """The Python types a value of this attribute may have; null counts as left out."""
    return frozenset({_NULL}).union(*(_TYPES[each] for each in field.types))


def described(types: tuple[JsonType, ...]) -> str:
    """The types in words: `a map or a source such as :node.part`."""
    return " or ".join(_WORDS[each] for each in types)


def word_for(value: Value) -> str:
    """What kind of value this is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{value[:30]}{"..." if len(value) > 30 else ""}"'
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a map" if isinstance(value, dict) else "a list" if isinstance(value, list) else type(value).__name__
