"""References: the strings in a graph that name other nodes' values, and the functions they compile to.

`:node.a.b` is a *source*, `"text ${:node.a} ${@now}"` a *template*, `@now` a *helper*; everything else is a literal (graph-spec
§4). A source compiles to a *getter*, a function from a frame's result list to a value. The list has one entry a node, MISSING
where there is none, and the frame itself as its last entry, which is where helpers read the turn and the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from graphs.budget import spend
from graphs.language.functions import compile_property, is_plain_key
from graphs.language.jstext import text as as_text
from graphs.values import MISSING, Value

__all__ = [
    "LOOP_INDEX",
    "Getter",
    "Index",
    "compile_output",
    "compile_source",
    "compile_value",
    "helper_known",
    "is_source",
    "names",
    "patterns",
    "split_path",
]

Getter: TypeAlias = Callable[[list[Any]], Value]

LOOP_INDEX = "__loopIndex"
"""A static node every graph has: the number of the turn, from 0."""

_TEMPLATE = re.compile(r"\$\{([:@][^}]+)\}")
"""For texts that end with a closing brace only: without one, each opening brace would be followed to the end of the text."""
_DOT = re.compile(r"(?<!\()\.(?!\))")


class Index(dict[str, int]):
    """Each node's place in the result list, by name. `asked` are the places that compiling sources asked for: what whoever reads by
    those sources waits for.
    """

    __slots__ = ("_pairs", "asked")

    def __init__(self, places: Mapping[str, int]) -> None:
        super().__init__(places)
        self.asked: set[int] = set()
        self._pairs: dict[str, tuple[int, str]] = {}

    def get(self, name: str, default: Any = None) -> Any:
        """The place of a node, noted as asked for."""
        place = super().get(name, default)
        if place is not None and name != LOOP_INDEX:
            self.asked.add(place)
        return place

    def pair(self, source: Value) -> tuple[int, str] | None:
        """(place, key) of `:node.key`, the commonest source, with the place noted as asked for; None for anything else.

        Several nodes often read the same, so each is taken apart once.
        """
        if source.__class__ is not str or source[:1] != ":":
            return None
        pair = self._pairs.get(source)
        if pair is None:
            name, _, key = source[1:].partition(".")
            if not key.isidentifier() and (not key or "." in key or not is_plain_key(key)):
                return None
            if "(" in name or "${" in source or name == LOOP_INDEX or (place := super().get(name)) is None:
                return None
            pair = self._pairs[source] = (place, key)
        self.asked.add(pair[0])
        return pair


def is_source(text: Value) -> bool:
    """Whether this is text that starts with a colon."""
    return isinstance(text, str) and text.startswith(":")


@lru_cache(maxsize=1024)
def split_path(source: str) -> tuple[str, tuple[str, ...]]:
    """The node's name and the properties of `:node.prop.prop`; dots beside a bracket do not separate (§4.2).

    Remembered for a while: reading a graph asks several times in a row.
    """
    name, *properties = source[1:].split(".") if "(" not in source else _DOT.split(source[1:])
    return name, tuple(properties)


def names(text: str) -> tuple[str, ...]:
    """The nodes that a string standing in `inputs` names, in order, the loop counter left out."""
    if "${" in text:
        found = patterns(text)
        if found:
            return tuple(name for item in found if item[0] == ":" and (name := split_path(item)[0]) and name != LOOP_INDEX)
    if text[:1] == ":":
        name = split_path(text)[0]
        return (name,) if name and name != LOOP_INDEX else ()
    return ()


def patterns(text: str) -> list[str]:
    """The sources and helpers of a template: what stands between `${` and `}`; none of a text that is no template."""
    found: list[str] = _TEMPLATE.findall(text[: text.rfind("}") + 1])
    return found


def texts_in(item: Value) -> Iterator[str]:
    """Every text anywhere in a value, maps and lists included; not the keys."""
    if isinstance(item, str):
        yield item
    elif isinstance(item, Mapping):
        for each in item.values():
            yield from texts_in(each)
    elif isinstance(item, (list, tuple)):
        for each in item:
            yield from texts_in(each)


def names_in(value: Value) -> Iterator[str]:
    """The nodes named anywhere in `inputs` or `passThrough`, maps and lists included."""
    if isinstance(value, str):
        yield from names(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from names_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from names_in(item)


def helper_known(text: str) -> bool:
    """Whether `@name` is a helper; others give empty text (D6)."""
    return text in _HELPERS


def compile_source(source: str, index: Mapping[str, int]) -> Getter:
    """The getter of `:node.prop...`. `index` gives each node's place in the result list; an unknown node is missing."""
    name, properties = split_path(source)
    place = index.get(name)
    if place is None:
        base: Getter = _turn if name == LOOP_INDEX else _missing
        return _chain(base, properties) if properties else base
    if not properties:
        return lambda results: results[place]
    if len(properties) == 1 and is_plain_key(properties[0]):
        return _key_getter(place, properties[0])
    return _chain(lambda results: results[place], properties)


# Getters that most nodes have keep what they need as defaults of arguments, in tuples, not in a closure: large graphs have many, and
# a closure is four more objects for the garbage collector to look at, again and again while more are made.


def _key_getter(place: int, key: str) -> Getter:
    def get(results: list[Any], place: int = place, key: str = key) -> Value:
        value = results[place]
        return value.get(key, MISSING) if value.__class__ is dict else MISSING

    return get


def _keys_getter(pairs: tuple[tuple[int, str], ...]) -> Getter:
    def get(results: list[Any], pairs: tuple[tuple[int, str], ...] = pairs) -> list[Value]:
        return [value.get(key, MISSING) if (value := results[place]).__class__ is dict else MISSING for place, key in pairs]

    return get


def _map_of_keys_getter(only: str, pairs: tuple[tuple[int, str], ...]) -> Getter:
    if len(pairs) == 1:
        ((place, key),) = pairs

        def get_one(results: list[Any], only: str = only, place: int = place, key: str = key) -> dict[str, Value]:
            return {only: [value.get(key, MISSING) if (value := results[place]).__class__ is dict else MISSING]}

        return get_one

    def get(results: list[Any], only: str = only, pairs: tuple[tuple[int, str], ...] = pairs) -> dict[str, Value]:
        return {
            only: [value.get(key, MISSING) if (value := results[place]).__class__ is dict else MISSING for place, key in pairs]
        }

    return get


def _keyed_getter(keyed: tuple[tuple[str, int, str], ...]) -> Getter:
    if len(keyed) == 1:
        ((name, place, key),) = keyed

        def get_one(results: list[Any], name: str = name, place: int = place, key: str = key) -> dict[str, Value]:
            return {name: value.get(key, MISSING) if (value := results[place]).__class__ is dict else MISSING}

        return get_one

    def get(results: list[Any], keyed: tuple[tuple[str, int, str], ...] = keyed) -> dict[str, Value]:
        return {
            name: value.get(key, MISSING) if (value := results[place]).__class__ is dict else MISSING
            for name, place, key in keyed
        }

    return get


def compile_value(value: Value, index: Mapping[str, int]) -> Getter | None:
    """The getter of anything that stands in `inputs` or `passThrough`; None for a literal, which stands for itself."""
    if value.__class__ is dict:
        return _compile_map(value, index)
    if isinstance(value, str):
        return _compile_text(value, index)
    if isinstance(value, Mapping):
        return _compile_map(value, index)
    if isinstance(value, (list, tuple)):
        return _compile_list(value, index)
    return None


def compile_output(output: Mapping[str, Value]) -> Callable[[Value], Value]:
    """The function that reshapes a node's value by its `output` map (§6.6): texts that start with a dot are paths into it."""

    def shape(item: Value) -> Callable[[Value], Value]:
        if isinstance(item, str) and item.startswith("."):
            if item == ".":
                return lambda _: MISSING
            return _chain_value(split_path(":" + item)[1])
        if isinstance(item, Mapping):
            parts = [(key, shape(each)) for key, each in item.items()]
            return lambda value: {key: get(value) for key, get in parts}
        if isinstance(item, (list, tuple)):
            members = [shape(each) for each in item]
            return lambda value: [get(value) for get in members]
        return lambda _: item

    return shape(output)


def compile_path(path: str) -> Callable[[Value], Value]:
    """The function for `.a.b`, a path into a value without property functions (`repeatUntil.exists`, §6.5)."""
    keys = path.lstrip(".").split(".")

    def get(value: Value) -> Value:
        for key in keys:
            if isinstance(value, Mapping):
                value = value.get(key, MISSING)
            elif isinstance(value, list) and key.startswith("$") and key[1:].isdigit():
                value = value[int(key[1:])] if int(key[1:]) < len(value) else MISSING
            else:
                return MISSING
        return value

    return get


def _compile_text(text: str, index: Mapping[str, int]) -> Getter | None:
    if "${" in text:
        end = text.rfind("}") + 1
        parts = _TEMPLATE.split(text[:end])
        parts[-1] += text[end:]
        if len(parts) > 1:
            return _template([_reference(part, index) if place % 2 else part for place, part in enumerate(parts)])
    if text[:1] in (":", "@"):
        return _reference(text, index)
    return None


def _reference(text: str, index: Mapping[str, int]) -> Getter:
    if text[0] == ":":
        return compile_source(text, index)
    return _HELPERS.get(text, _unknown_helper)


def _template(parts: list[str | Getter]) -> Getter:
    def fill(results: list[Any]) -> str:
        made = [part if isinstance(part, str) else as_text(part(results)) for part in parts]
        spend(sum(map(len, made)))
        return "".join(made)

    return fill


def _compile_list(items: list[Value] | tuple[Value, ...], index: Mapping[str, int]) -> Getter | None:
    if pairs := _pairs(items, index):
        return _keys_getter(pairs)
    getters = [compile_value(item, index) for item in items]
    if not any(getters):
        return None
    mixed = list(zip(getters, items, strict=True))
    return lambda results: [item if get is None else get(results) for get, item in mixed]


def _pairs(items: Iterable[Value], index: Mapping[str, int]) -> tuple[tuple[int, str], ...] | None:
    """(place, key) of each item if all are `:node.key`, which are read without a call each; else None."""
    pairs: list[tuple[int, str]] = []
    if index.__class__ is Index:
        look = index.pair
        for item in items:
            pair = look(item)
            if pair is None:
                return None
            pairs.append(pair)
    return tuple(pairs)


def _compile_map(items: Mapping[str, Value], index: Mapping[str, int]) -> Getter | None:
    """The getter of a map; the shapes that most inputs have are read without a call for each entry."""
    if pairs := _pairs(items.values(), index):
        return _keyed_getter(tuple((name, *pair) for name, pair in zip(items, pairs, strict=True)))
    if len(items) == 1:
        ((only, item),) = items.items()
        return _compile_entry(only, item, index)
    getters = {key: compile_value(item, index) for key, item in items.items()}
    dynamic = [(key, getter) for key, getter in getters.items() if getter is not None]
    if not dynamic:
        return None
    if len(dynamic) == len(items):
        return lambda results: {key: get(results) for key, get in dynamic}
    literals = dict(items)

    def fill(results: list[Any]) -> dict[str, Value]:
        filled = literals.copy()  # keeps the written order
        for key, get in dynamic:
            filled[key] = get(results)
        return filled

    return fill


def _compile_entry(only: str, item: Value, index: Mapping[str, int]) -> Getter | None:
    """The getter of a map with one entry."""
    if isinstance(item, list) and (pairs := _pairs(item, index)):
        return _map_of_keys_getter(only, pairs)
    get = compile_value(item, index)
    return None if get is None else lambda results: {only: get(results)}


def _chain(base: Getter, properties: Sequence[str]) -> Getter:
    apply = _chain_value(properties)
    return lambda results: apply(base(results))


def _chain_value(properties: Sequence[str]) -> Callable[[Value], Value]:
    steps = [compile_property(each) for each in properties]
    if len(steps) == 1:
        return steps[0]

    def follow(value: Value) -> Value:
        for step in steps:
            value = step(value)
        return value

    return follow


def _missing(_results: list[Any]) -> Value:
    return MISSING


def _turn(results: list[Any]) -> Value:
    return results[-1].turn


def _unknown_helper(_results: list[Any]) -> Value:
    return ""


_HELPERS: Mapping[str, Getter] = {
    "@now": lambda results: results[-1].now_ms(),
    "@now_ms": lambda results: results[-1].now_ms(),
    "@now_s": lambda results: results[-1].now_ms() // 1000,
    "@loop": _turn,
}
