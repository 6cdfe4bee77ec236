"""Checking sources: whether the nodes that a graph's texts name exist, and whether helpers and functions will give anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from graphs.language.fields import described, word_for
from graphs.language.marks import Path
from graphs.language.refs import helper_known, names, patterns, split_path
from graphs.language.report import Report
from graphs.values import Value

__all__ = ["Sources"]

_CONDITIONS: Final = ("if", "unless", "graph")
_READERS: Final = frozenset({*_CONDITIONS, "passThrough"})

_CALL = r"(?s)([A-Za-z]+)\((.*)\)"  # compiled when first used, and remembered by re; so are those below

_WITHOUT_ARGUMENT: Final = frozenset({
    "length", "flat", "toJSON", "isEmpty", "sum", "average", "mean", "max", "min", "keys", "values", "codeBlock", "codeBlockOrRaw",
    "jsonParse", "toNumber", "trim", "toLowerCase", "toUpperCase", "toString", "not",
})  # fmt: skip
_WORD = (r"[A-Za-z0-9!#$%&(*+,\-/:;<=>?@]+", "one word without space or dot")
_ARGUMENTS: Final = {
    "join": (r"[,\-\s]?", "a comma, a dash, one space or nothing; use arrayJoinAgent for others"),
    "split": (r"[-_:;.,\s]+", "characters of - _ : ; . , and space"),
    "equal": _WORD,
    "default": _WORD,
    "slice": (r"-?[0-9]+(,\s*-?[0-9]+)?", "one or two whole numbers"),
    "add": (r"-?[0-9]+", "a whole number"),
}

_ARRAY_INPUTS = (
    "array inputs have been deprecated. nodeId: {}: see https://github.com/receptron/graphai/blob/main/docs/NamedInputs.md"
)


class Sources:
    """Checks the sources of one graph. `known` are the names that may be read; `passed` fills with what passThrough waits for.

    `outside` are names of the graphs around this one, which it cannot see.
    """

    def __init__(self, report: Report, nodes: Mapping[str, Value], known: set[str], outside: tuple[Collection[str], ...]) -> None:
        self.report = report
        self.nodes = nodes
        self.known = known
        self.outside = outside
        self.passed: dict[str, tuple[str, ...]] = {}
        self._seen: dict[str, str] = {}
        """Sources in which nothing is wrong, with the node that each names."""

    def computed(self, name: str, node: Mapping[str, Value]) -> tuple[str, ...]:
        """Check everything a computed node reads; gives the nodes it waits for, without those of passThrough."""
        waits: set[str] = set()
        inputs = node.get("inputs")
        if isinstance(inputs, dict):
            self._texts(name, "inputs", inputs, waits)
        elif inputs is not None:
            self._no_map(name, inputs)
        agent = node["agent"]
        if type(agent) is str and agent[:1] == ":":
            self._attribute(name, "agent", agent, waits)
        if _READERS.isdisjoint(node):
            return tuple(waits)
        for key in _CONDITIONS:
            if key in node:
                self._attribute(name, key, node[key], waits)
        if "passThrough" in node and isinstance(node["passThrough"], dict):
            passed: set[str] = set()
            self._texts(name, "passThrough", node["passThrough"], passed)
            self.passed[name] = tuple(passed)
        return tuple(waits)  # a set for each node would cost the garbage collector more than all of this

    def update(self, name: str, text: Value) -> None:
        """Check a static node's `update`."""
        path: Path = ("nodes", name, "update")
        if not isinstance(text, str) or not text.startswith(":"):
            said = f'Update it a literal: `update` of node "{name}" has to be {described(("source",))}, not {word_for(text)}'
            self.report.error("GF114", said, path)
            return
        for each in names(text):
            if each not in self.known:
                message = f'node "{name}" takes its update from "{each}", which does not exist'
                self._missing(each, f"{message} (GraphAI: Update not match: NodeId {name}, update: {text})", path)
        self._functions(text, path)

    def loop(self, loop: Value) -> None:
        """Warn of a `while` that names no node: it is false after the first turn."""
        condition = loop.get("while") if isinstance(loop, dict) else None
        if isinstance(condition, str) and condition.startswith(":"):
            for each in names(condition):
                if each not in self.known:
                    hint = self._similar(each)
                    message = f'`while` reads from "{each}", which does not exist: the loop ends after one turn'
                    self.report.warn("GF103", message, ("loop", "while"), part=each, suggestion=hint)
            self._functions(condition, ("loop", "while"))

    def _texts(self, name: str, key: str, value: Mapping[str, Value], waits: set[str]) -> None:
        """Sources, templates and helpers at any depth of `inputs` or `passThrough`."""
        known, seen = self.known, self._seen
        todo: list[Iterable[Value]] = [value.values()]
        strange: list[str] = []
        while todo:
            for item in todo.pop():
                kind = item.__class__
                if kind is str:
                    read = seen.get(item)
                    if read is not None:
                        waits.add(read)
                    elif item[:1] == ":" or "${" in item or item[:1] == "@":
                        named = names(item)
                        waits.update(named)
                        if "(" in item or "@" in item or not known.issuperset(named):
                            strange.append(item)
                        elif len(named) == 1:
                            seen[item] = named[0]
                elif kind is list:
                    todo.append(item)
                elif kind is dict:
                    todo.append(item.values())
        if strange:
            waits.intersection_update(known)
            self._strange(name, key, value, strange)

    def _strange(self, name: str, key: str, value: Value, texts: list[str]) -> None:
        """Say what is wrong with some of a node's texts, wherever they stand."""
        for text in dict.fromkeys(texts):
            for place in _places(value, text, ("nodes", name, key)):
                for each in dict.fromkeys(names(text)):
                    if each not in self.known:
                        self._missing(each, _MESSAGES[key](name, each), place)
                self._functions(text, place)

    def _attribute(self, name: str, key: str, value: Value, waits: set[str]) -> None:
        """`if`, `unless`, and `graph` and `agent` where they are sources."""
        path: Path = ("nodes", name, key)
        if value is None or (key == "graph" and isinstance(value, dict)):
            return
        if not isinstance(value, str) or not value.startswith(":"):
            self._literal(name, key, value, path)
            return
        for each in names(value):
            if each in self.known:
                waits.add(each)
            else:
                self._missing(each, _MESSAGES[key](name, each), path)
        self._functions(value, path)

    def _literal(self, name: str, key: str, value: Value, path: Path) -> None:
        shown = value if isinstance(value, str) else word_for(value)
        types = described(("object", "source") if key == "graph" else ("source",))
        self.report.error("GF114", f'Invalid data source {shown}: `{key}` of node "{name}" has to be {types}', path)

    def _no_map(self, name: str, inputs: Value) -> None:
        path: Path = ("nodes", name, "inputs")
        if isinstance(inputs, list):
            hint = "give each input a name: a map, not a list"
            self.report.error("GF117", _ARRAY_INPUTS.format(name), path, key=True, suggestion=hint)
        else:
            message = f'sources must be array!! maybe inputs is invalid: node "{name}" has {word_for(inputs)} for a map'
            self.report.error("GF117", message, path)

    def _missing(self, missing: str, message: str, path: Path) -> None:
        self.report.error("GF103", message, path, part=missing, suggestion=self._similar(missing))

    def _similar(self, missing: str) -> str | None:
        if any(missing in each for each in self.outside):
            return f'a nested graph sees only its inputs: add "{missing}" to those of its node'
        return self.report.did_you_mean(missing, self.known, lambda found: ("nodes" if found in self.nodes else "inputs", found))

    def _functions(self, text: str, path: Path) -> None:
        """Helpers that do not exist (D6) and property functions that never give a value (D28)."""
        for each in patterns(text) or ([text] if text[:1] in (":", "@") else []):
            if each[0] == "@":
                if not helper_known(each):
                    self._helper(each, path)
            elif "(" in each:
                for part in split_path(each)[1]:
                    if "(" in part:
                        self._function(part, path)

    def _helper(self, text: str, path: Path) -> None:
        message = f'"{text}" begins with @, so it is read as a helper, and there is none of that name: it gives empty text'
        hint = self.report.did_you_mean(text, ("@now", "@now_ms", "@now_s", "@loop"))
        hint = hint or "for plain text use a static node or `params`"
        add = self.report.error if self.report.strict else self.report.warn
        add("GF150", message, path, suggestion=hint)

    def _function(self, part: str, path: Path) -> None:
        call = re.fullmatch(_CALL, part)
        if call is None:
            self.report.warn("GF153", f"`{part}` gives no value: a dot inside the brackets ends the function", path)
            return
        function, argument = call.groups()
        if function in _WITHOUT_ARGUMENT:
            if argument:
                self.report.warn("GF153", f"`{part}` gives no value: {function}() takes nothing in its brackets", path)
        elif function not in _ARGUMENTS:
            hint = self.report.did_you_mean(function, (*_WITHOUT_ARGUMENT, *_ARGUMENTS))
            message = f"there is no function {function}(): `{part}` only finds a key of that name"
            self.report.warn("GF153", message, path, suggestion=hint)
        elif not re.fullmatch(_ARGUMENTS[function][0], argument):
            self.report.warn("GF153", f"`{part}` gives no value: {function}() takes {_ARGUMENTS[function][1]}", path)


def _not_in_pass_through(name: str, missing: str) -> str:
    graphai = f"createNode: invalid input {missing} for node, {name}"
    return f'node "{name}" passes on from "{missing}", which does not exist (GraphAI: {graphai})'


def _not_in(title: str, does: str) -> Callable[[str, str], str]:
    def message(name: str, missing: str) -> str:
        graphai = f"{title} not match: NodeId {name}, Inputs: {missing}"
        return f'node "{name}" {does} "{missing}", which does not exist (GraphAI: {graphai})'

    return message


_MESSAGES: Final[Mapping[str, Callable[[str, str], str]]] = {
    "inputs": _not_in("Inputs", "reads from"),
    "passThrough": _not_in_pass_through,
    "if": _not_in("If", "depends on"),
    "unless": _not_in("Unless", "depends on"),
    "graph": _not_in("Graph", "takes its graph from"),
    "agent": _not_in("Agent", "takes its agent from"),
}


def _places(value: Value, text: str, path: Path) -> Iterator[Path]:
    """Where `text` stands inside `value`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, text, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _places(item, text, (*path, place))
    elif value == text:
        yield path
