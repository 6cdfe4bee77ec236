"""Checking attributes: their names, types and values, by the table of fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from graphs.language.check_any import check_any
from graphs.language.check_budget import check_budget
from graphs.language.check_cascade import check_cascade
from graphs.language.check_place import PlaceCheck
from graphs.language.fields import COMPUTED, GRAPH, STATIC, Field, described, python_types, word_for
from graphs.language.jstext import truthy
from graphs.language.marks import Path
from graphs.language.report import Report
from graphs.values import Value

__all__ = ["INPUT_TYPES", "RUN_OPTIONS", "SENSITIVITY_WORDS", "Attributes"]

SENSITIVITY_WORDS: Final = frozenset({"private", "pii", "confidential", "secret"})
"""Words that name a sensitivity everywhere; a graph's own `sensitivity` lists add to them."""

RUN_OPTIONS: Final = frozenset({
    "agents", "all", "cloud", "deadline", "durability", "help", "json", "local-only", "max-turns", "minimise", "offline", "place", "progress",
    "resume", "set", "strict", "when-offline",
})  # fmt: skip
"""The options of `graphferry run`: an input of that name can only be given with --set."""

INPUT_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "any": (object,),
}
"""The types an input of a graph may be declared to have, and the Python types of its default."""

_OLDEST = 0.5


class _Table:
    """A table of fields made quick to look things up in."""

    def __init__(self, fields: Mapping[str, Field], refusal: str) -> None:
        self.fields = fields
        self.refusal = refusal
        self.working = {name for name, field in fields.items() if field.status == "works"}
        self.types = {
            name: python_types(field) for name, field in fields.items() if field.status == "works" and field.types != ("any",)
        }


_GRAPH = _Table(GRAPH, "Graph Data does not allow")
_STATIC = _Table(STATIC, "Static node does not allow")
_COMPUTED = _Table(COMPUTED, "Computed node does not allow")

_SPECIAL = frozenset(
    {
        "label",
        "sensitivity",
        "effect",
        "place",
        "repeatUntil",
        "model",
        "anyInput",
        "defaultValue",
        "escalate",
        "hedge",
        "any",
        "budget",
        "integrity",
        "requires",
    }
)
_ELSEWHERE: Final = frozenset({"inputs", "if", "unless", "update", "agent", "graph"})
"""Attributes of nodes whose types are checked where sources are."""


class Attributes:
    """Checks the attributes of one graph and its nodes."""

    def __init__(
        self,
        report: Report,
        models: Collection[str] | None,
        labels_refused: Collection[str],
        *,
        allow_cut: bool,
        agents: Collection[str] | None = None,
    ) -> None:
        self.report = report
        self.place = PlaceCheck(report, agents, self._of_alternative, self._not_one_of)
        self.models = models
        self.agents = agents
        self.labels_refused = labels_refused
        self.allow_cut = allow_cut

    def graph(self, graph: Mapping[str, Value], nodes: Mapping[str, Value], *, is_nested: bool) -> None:
        """The graph's own attributes, except for `nodes`."""
        self._table(_GRAPH, graph, ())
        self.labels_refused = frozenset(self.labels_refused) | _words_of(nodes)
        if not is_nested:
            self._version(graph)
        if truthy(graph.get("loop")):
            self._loop(graph["loop"])
        if graph.get("concurrency") is not None:
            self._concurrency(graph["concurrency"])
        if graph.get("place") is not None:
            self.place.check(graph["place"], ("place",))
        if graph.get("budget") is not None:
            check_budget(graph["budget"], ("budget",), self.report)
        if isinstance(graph.get("inputs"), dict):
            self._inputs(graph["inputs"], nodes)

    def static(self, name: str, node: Mapping[str, Value]) -> None:
        """The attributes of a static node, or of a cut graph's boundary node."""
        path: Path = ("nodes", name)
        self._table(_STATIC, node, path)
        if "sensitivity" in node:
            self._sensitivity(node["sensitivity"], (*path, "sensitivity"))
        if "integrity" in node:
            self._one_of(STATIC["integrity"], node["integrity"], (*path, "integrity"))
        if self.allow_cut and "boundary" in node and (node.keys() - {"boundary", "sensitivity"} or node["boundary"] is not True):
            self.report.error(
                "GF122", f'boundary node "{name}" has to be {{boundary: true}} and say no more than labels', path, key=True
            )

    def computed(self, name: str, node: Mapping[str, Value]) -> None:
        """The attributes of a node with an agent."""
        path: Path = ("nodes", name)
        if "value" in node and truthy(node["value"]) and truthy(node["agent"]):
            message = f'Cannot set both agent and value: node "{name}" is either computed or static'
            self.report.error("GF111", message, (*path, "value"), key=True)
            node = {key: value for key, value in node.items() if key != "value"}
        self._table(_COMPUTED, node, path)
        if not _SPECIAL.isdisjoint(node):
            for key in node:
                if key in _SPECIAL:
                    self._special(key, node, path)

    def _table(self, table: _Table, attributes: Mapping[str, Value], path: Path) -> None:
        """Names and types by the table."""
        if not table.working.issuperset(attributes):
            for key in attributes:
                if key not in table.working:
                    self._unknown(table, key, path)
        types = table.types
        for key, value in attributes.items():
            allowed = types.get(key)
            if allowed is not None and type(value) not in allowed:
                self._mistyped(table, key, value, path)

    def _unknown(self, table: _Table, key: str, path: Path) -> None:
        field = table.fields.get(key)
        here = (*path, key)
        if field is not None and not self.allow_cut:
            message = f'"{key}" exists only in cut graphs, which graphferry makes itself: leave it out'
            self.report.error("GF122", message, here, key=True)
        elif field is None:
            hint = self.report.did_you_mean(key, table.working)
            if table is _STATIC and key in COMPUTED:
                hint = "only nodes with an `agent` have it"
            self.report.error("GF104", f"{table.refusal} {key}", here, key=True, suggestion=hint)

    def _mistyped(self, table: _Table, key: str, value: Value, path: Path) -> None:
        elsewhere = key in _ELSEWHERE if path else key in ("nodes", "loop", "concurrency")
        if elsewhere:
            return
        if key == "label":
            message = f"Computed node label must be a string, not {word_for(value)}"
        else:
            message = f"`{key}` has to be {described(table.fields[key].types)}, not {word_for(value)}"
        self.report.error("GF106", message, (*path, key))

    def _special(self, key: str, node: Mapping[str, Value], path: Path) -> None:
        value, here = node[key], (*path, key)
        if key == "label":
            self._label(value, here)
        elif key == "sensitivity":
            self._sensitivity(value, here)
        elif key in ("effect", "integrity", "requires"):
            self._one_of(COMPUTED[key], value, here)
        elif key == "place":
            self.place.check(value, here)
        elif key == "budget":
            check_budget(value, here, self.report)
        elif key == "any":
            check_any(node, path, self.report, self.agents, self._of_alternative)
        elif key in ("escalate", "hedge"):
            check_cascade(key, node, path, self.report)
        elif key == "repeatUntil":
            if isinstance(value, dict) and not (isinstance(value.get("exists"), str) and value["exists"].startswith(".")):
                self.report.error("GF106", "`repeatUntil` is {exists: .path}, a path into the node's value", here)
        elif key == "model":
            if isinstance(value, str) and self.models is not None and value not in self.models:
                hint = self.report.did_you_mean(value, self.models)
                self.report.warn("GF158", f'the model "{value}" is not known here', here, suggestion=hint)
        elif key == "anyInput" and value is True and (node.get("if") or node.get("unless")):
            message = "a node with anyInput does not wait for its condition: it is skipped if that has no value yet"
            self.report.warn("GF151", message, here, key=True)
        elif key == "defaultValue" and not truthy(value):
            self.report.warn("GF152", f"a `defaultValue` of {word_for(value)} counts as none, as in GraphAI", here)

    def _label(self, value: Value, path: Path) -> None:
        if isinstance(value, str) and value in self.labels_refused:
            message = f'"{value}" is a sensitivity word, but `label` only groups nodes for `concurrency`: it protects nothing'
            self.report.error("GF121", message, path, suggestion=f"write sensitivity: [{value}], or choose another label")

    def _sensitivity(self, value: Value, path: Path) -> None:
        words = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(word, str) and word for word in words):
            self.report.error("GF106", "`sensitivity` is a word or a list of words, for instance [private]", path, key=True)
        elif "untrusted" in words:
            message = "`untrusted` says where a value comes from, not where it may go: it is no sensitivity"
            self.report.error("GF106", message, path, suggestion="write integrity: untrusted")

    def _version(self, graph: Mapping[str, Value]) -> None:
        version = graph.get("version")
        if version is None:
            self.report.warn("GF154", "the graph has no `version`", (), suggestion="write version: 0.5")
        elif _is_number(version) and version < _OLDEST:
            self.report.warn("GF154", f"version {version} is read as 0.5", ("version",), suggestion="write version: 0.5")

    def _loop(self, loop: Value) -> None:
        error = self.report.error
        if not isinstance(loop, dict) or loop.keys().isdisjoint(("count", "while")):
            error("GF112", "Loop: Either count or while is required in loop", ("loop",), key=True)
            return
        if "count" in loop and "while" in loop:
            error("GF112", "Loop: Both count and while cannot be set", ("loop",), key=True)
        count, condition = loop.get("count"), loop.get("while")
        if count is not None and not _is_number(count):
            error("GF112", f"Loop: count has to be a number, not {word_for(count)}", ("loop", "count"))
        if condition is True:
            self.report.warn("GF157", "`while: true` never ends by itself: it needs --max-turns", ("loop", "while"))
        elif condition is not None and condition is not False and not (isinstance(condition, str) and condition.startswith(":")):
            error("GF112", f"Loop: while has to be a source such as :node.part, not {word_for(condition)}", ("loop", "while"))
        for key in loop:
            if key not in ("count", "while"):
                hint = self.report.did_you_mean(key, ("count", "while"))
                self.report.warn("GF104", f"a loop has no `{key}`: it is ignored", ("loop", key), key=True, suggestion=hint)

    def _concurrency(self, concurrency: Value) -> None:
        path: Path = ("concurrency",)
        if not isinstance(concurrency, dict):
            self._limit("Concurrency", concurrency, path)
            return
        for key in concurrency:
            if key not in ("global", "labels"):
                hint = self.report.did_you_mean(key, ("global", "labels"))
                self.report.error("GF113", f"Concurrency object does not allow {key}", (*path, key), key=True, suggestion=hint)
        if "global" not in concurrency:
            self.report.error("GF113", "Concurrency object must have a global field", path, key=True)
        else:
            self._limit("Concurrency.global", concurrency["global"], (*path, "global"))
        labels = concurrency.get("labels")
        if isinstance(labels, dict):
            for label, limit in labels.items():
                self._limit(f"Concurrency.labels.{label}", limit, (*path, "labels", label))
                if label in self.labels_refused:
                    message = f'the concurrency label "{label}" is a sensitivity word: it protects nothing'
                    self.report.error("GF121", message, (*path, "labels", label), key=True, suggestion="choose another label")
        elif labels is not None:
            self.report.error("GF113", f"Concurrency.labels must be an object, not {word_for(labels)}", (*path, "labels"))

    def _limit(self, what: str, limit: Value, path: Path) -> None:
        if not _is_number(limit) or limit != limit // 1:
            self.report.error("GF113", f"{what} must be an integer, not {word_for(limit)}", path)
        elif limit < 1:
            self.report.error("GF113", f"{what} must be a positive integer, not {word_for(limit)}", path)

    def _of_alternative(self, attributes: Mapping[str, Value], path: Path) -> None:
        self._table(_COMPUTED, attributes, path)
        for key in attributes:
            if key in _SPECIAL:
                self._special(key, attributes, path)

    def _inputs(self, inputs: Mapping[str, Value], nodes: Mapping[str, Value]) -> None:
        for name, declared in inputs.items():
            path: Path = ("inputs", name)
            node = nodes.get(name)
            if isinstance(node, dict) and "agent" in node:
                self.report.error("GF120", f'the input "{name}" has the name of a node with an agent', path, key=True)
            if name in RUN_OPTIONS:
                message = f'the input "{name}" is named like an option of `run`: give it as --set {name}=...'
                self.report.warn("GF155", message, path, key=True)
            if isinstance(declared, dict):
                self._declared(declared, path)
            elif declared is not None:
                message = f'the input "{name}" is declared by a map of type, default, description, sensitivity'
                self.report.error("GF120", message, path)

    def _declared(self, declared: Mapping[str, Value], path: Path) -> None:
        known = ("type", "default", "description", "sensitivity", "integrity")
        for key in declared:
            if key not in known:
                hint = self.report.did_you_mean(key, known)
                self.report.error("GF120", f"an input has no {key}", (*path, key), key=True, suggestion=hint)
        kind = declared.get("type")
        if kind is not None and (not isinstance(kind, str) or kind not in INPUT_TYPES):
            self._not_one_of("GF120", "type", kind, tuple(INPUT_TYPES), (*path, "type"))
        elif kind is not None and declared.get("default") is not None:
            default = declared["default"]
            if not isinstance(default, INPUT_TYPES[kind]) or (isinstance(default, bool) and kind in ("number", "integer")):
                self.report.error("GF120", f"the default is {word_for(default)}, the type says {kind}", (*path, "default"))
        description = declared.get("description")
        if description is not None and not isinstance(description, str):
            self.report.error("GF120", f"the description is text, not {word_for(description)}", (*path, "description"))
        if "sensitivity" in declared:
            self._sensitivity(declared["sensitivity"], (*path, "sensitivity"))
        if declared.get("integrity") is not None:
            self._one_of(STATIC["integrity"], declared["integrity"], (*path, "integrity"))

    def _one_of(self, field: Field, value: Value, path: Path) -> None:
        if value is not None and (not isinstance(value, str) or value not in field.choices):
            self._not_one_of("GF106", field.name, value, field.choices, path)

    def _not_one_of(self, code: str, name: str, value: Value, choices: tuple[str, ...], path: Path) -> None:
        hint = self.report.did_you_mean(value, choices) if isinstance(value, str) else None
        words = ", ".join(choices[:-1]) + f" or {choices[-1]}" if len(choices) > 1 else f"{choices[0]} or left out"
        self.report.error(code, f"`{name}` is {words}, not {word_for(value)}", path, suggestion=hint)


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words_of(nodes: Mapping[str, Value]) -> frozenset[str]:
    """The sensitivity words a graph's nodes use."""
    found: set[str] = set()
    for node in nodes.values():
        if not isinstance(node, dict) or "sensitivity" not in node:
            continue
        words = node["sensitivity"]
        found.update(word for word in (words if isinstance(words, list) else [words]) if isinstance(word, str))
    return frozenset(found)
