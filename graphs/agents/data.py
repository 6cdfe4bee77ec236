"""Agents that copy, merge, total and filter data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from graphs.agents.common import given, merge_all, refuse, require_array, require_inputs
from graphs.budget import ITEM, spend
from graphs.language.jstext import entries, identical, js_add, text, truthy
from graphs.registry import Agent, AgentContext, AgentFunction, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS"]

_SET_ARRAY = " Set inputs: { array: :arrayNodeId }"

_data: Callable[..., Callable[[AgentFunction], Agent]] = partial(agent, category="data", effect="none", cheap=True)


@_data(
    "copyAgent",
    samples=[
        Sample({"x": 1, "y": [2]}, {}, {"x": 1, "y": [2]}),
        Sample({"x": 1, "y": [2]}, {"namedKey": "y"}, [2]),
        Sample({"x": 1}, {"namedKey": "unknown"}, MISSING),
    ],
)
def copy_agent(context: AgentContext) -> Value:
    """Gives its inputs, or the one that params.namedKey names."""
    require_inputs("copyAgent", context.inputs)
    key = context.params.get("namedKey")
    return context.inputs.get(text(key), MISSING) if truthy(key) else context.inputs


@_data("echoAgent", samples=[Sample({}, {"a": 1, "b": [2]}, {"a": 1, "b": [2]})])
def echo_agent(context: AgentContext) -> Value:
    """Gives its params, or the filterParams if params.filterParams is set."""
    return dict(context.filter_params) if truthy(context.params.get("filterParams")) else context.params


@_data(
    "mergeObjectAgent",
    samples=[
        Sample({"items": [{"a": 1, "b": {"x": 1}}, {"b": {"y": 2}}, {"c": 3}]}, {}, {"a": 1, "b": {"y": 2}, "c": 3}),
        Sample({"items": [None, {"a": 1}]}, {}, {"a": 1}),
    ],
)
def merge_object_agent(context: AgentContext) -> Value:
    """Lays the maps in items over each other, keys of later ones winning."""
    require_inputs("mergeObjectAgent", context.inputs)
    items = context.inputs.get("items")
    if not isinstance(items, list):
        raise refuse("mergeObjectAgent: namedInputs.items is not array!")
    return {key: value for item in items for key, value in entries(item)}


@_data(
    "dataObjectMergeTemplateAgent",
    samples=[
        Sample({"array": [{"m": {"x": 1}}, {"m": {"y": [3]}}, {"m": {"y": [4]}}]}, {}, {"data": {"m": {"x": 1, "y": [3, 4]}}}),
        Sample({"array": [{"a": 1}, {"a": 2}]}, {"flatResponse": True}, {"a": 2}),
    ],
)
def data_object_merge_template_agent(context: AgentContext) -> Value:
    """Merges the maps of array at every depth; lists are put one after the other. params.flatResponse leaves out `data`."""
    merged = merge_all("dataObjectMergeTemplateAgent", {}, context.inputs.get("array"))
    return _flat_or(context, "data", merged)


@_data(
    "totalAgent",
    samples=[
        Sample({"array": [{"a": 1}, {"a": 2}]}, {}, {"data": {"a": 3}}),
        Sample({"array": [{"x": 1, "y": 2}, [{"x": 3}, {"z": 0.5}]]}, {}, {"data": {"x": 4, "y": 2, "z": 0.5}}),
        Sample({"array": [{"x": 1}, {"x": -1}]}, {"flatResponse": True}, {"x": 0}),
    ],
)
def total_agent(context: AgentContext) -> Value:
    """Adds maps key by key; an element of array may be a map or a list of maps. params.flatResponse leaves out `data`."""
    totals: dict[str, Value] = {}
    for element in require_array("totalAgent", context.inputs, _SET_ARRAY):
        for each in element if isinstance(element, list) else [element]:
            if each is None or each is MISSING:
                raise refuse("totalAgent: namedInputs.array holds null or nothing where a map is needed")
            for key, value in entries(each):
                # A total of 0 or "" is replaced, not added to, as in GraphAI; it differs for text only.
                totals[key] = js_add(totals[key], value) if truthy(totals.get(key)) else value
    return _flat_or(context, "data", totals)


@_data(
    "dataSumTemplateAgent",
    samples=[
        Sample({"array": [1, 2, 3.5]}, {}, {"result": 6.5}),
        Sample({"array": []}, {"flatResponse": True}, 0),
        Sample({"array": ["a", 1]}, {}, {"result": "0a1"}),
    ],
)
def data_sum_template_agent(context: AgentContext) -> Value:
    """Adds the numbers of array to 0; text concatenates. params.flatResponse gives the bare sum."""
    total: Value = 0
    for value in require_array("dataSumTemplateAgent", context.inputs, _SET_ARRAY):
        total = js_add(total, value)
    return _flat_or(context, "result", total)


def _flat_or(context: AgentContext, key: str, value: Value) -> Value:
    return value if truthy(context.params.get("flatResponse")) else {key: value}


@_data(
    "lookupDictionaryAgent",
    samples=[
        Sample({"namedKey": "large"}, {"small": {"size": 1}, "large": {"size": 9}}, {"size": 9}),
        Sample({"namedKey": "huge"}, {"supressError": True, "small": 1}, MISSING),
        Sample({"namedKey": "huge"}, {"suppressError": True, "small": 1}, MISSING),
    ],
)
def lookup_dictionary_agent(context: AgentContext) -> Value:
    """Gives the entry of params that the input namedKey names; unknown names fail unless params.supressError is set."""
    require_inputs("lookupDictionaryAgent", context.inputs)
    key = text(context.inputs.get("namedKey", MISSING))
    found = context.params.get(key, MISSING)
    if found is MISSING and not truthy(given(context.params, "supressError", "suppressError")):
        raise refuse(f"lookupDictionaryAgent error: {key} is missing")
    return found


_CARS: Final = [{"id": 1, "make": "A", "hue": "r"}, {"id": 2, "make": "B", "hue": "g"}]


@_data(
    "propertyFilterAgent",
    samples=[
        Sample({"item": _CARS[0]}, {"include": ["id", "hue", "unknown"]}, {"id": 1, "hue": "r"}),
        Sample({"array": [_CARS]}, {"exclude": ["make", "hue"]}, [{"id": 1}, {"id": 2}]),
        Sample({"array": [_CARS[0]]}, {"alter": {"hue": {"r": "red"}}}, {"id": 1, "make": "A", "hue": "red"}),
        Sample({"item": _CARS[1]}, {"swap": {"make": "hue"}}, {"id": 2, "make": "g", "hue": "B"}),
        Sample(
            {"array": [_CARS, "B"]},
            {"include": ["id"], "inject": [{"propId": "owner", "from": 1, "index": 0}]},
            [{"id": 1, "owner": "B"}, {"id": 2}],
        ),
        Sample(
            {"array": [_CARS[0], "A", 2]},
            {"include": [], "inspect": [{"propId": "isA", "equal": "A"}, {"propId": "notTwo", "notEqual": 2, "from": 2}]},
            {"isA": True, "notTwo": False},
        ),
        Sample({"other": 1}, {}, False),
    ],
)
def property_filter_agent(context: AgentContext) -> Value:
    """Picks and changes entries of the map `item`, or of the map or maps that come first in `array`.

    Params, in this order: include, exclude, alter, inject, inspect, swap. Gives false without either input.
    """
    array, item = context.inputs.get("array"), context.inputs.get("item")
    if truthy(array):
        sources = require_array("propertyFilterAgent", context.inputs)
        target = sources[0] if sources else MISSING
        if isinstance(target, list):
            rules = sum(len(rule) for rule in context.params.values() if isinstance(rule, (list, dict)))
            spend(ITEM * len(target) * (1 + rules))
            return [_filtered(each, index, sources, context.params) for index, each in enumerate(target)]
        return _filtered(target, 0, sources, context.params)
    return _filtered(item, 0, [], context.params) if truthy(item) else False


def _filtered(source: Value, index: int, sources: list[Value], params: Mapping[str, Value]) -> Value:
    if not isinstance(source, dict):
        raise refuse(f"propertyFilterAgent: element {index} is not a map")
    result = _picked(source, params)
    for rule in _rules(params, "inject"):
        if given(rule, "index") in (MISSING, index):
            result[text(rule.get("propId"))] = _element(sources, rule.get("from"))
    for rule in _rules(params, "inspect"):
        value = _element(sources, rule.get("from", 1))
        if truthy(rule.get("equal")):
            result[text(rule.get("propId"))] = identical(rule["equal"], value)
        elif truthy(rule.get("notEqual")):
            result[text(rule.get("propId"))] = not identical(rule["notEqual"], value)
    for a, b in entries(params.get("swap")):
        result[a], result[text(b)] = result.get(text(b), MISSING), result.get(a, MISSING)
    return {key: value for key, value in result.items() if value is not MISSING}


def _picked(source: Mapping[str, Value], params: Mapping[str, Value]) -> dict[str, Value]:
    include, exclude, alter = given(params, "include"), given(params, "exclude"), given(params, "alter")
    excluded = set(_names("exclude", exclude))
    picked: dict[str, Value] = {}
    for key in source if include is MISSING else _names("include", include):
        if key not in excluded:
            value = source.get(key, MISSING)
            mapping = alter.get(key) if isinstance(alter, dict) else None
            changed = mapping.get(text(value)) if isinstance(mapping, dict) else None
            picked[key] = changed if truthy(changed) else value
    return picked


def _names(param: str, names: Value) -> Iterable[str]:
    if names is MISSING:
        return ()
    if not isinstance(names, list):
        raise refuse(f"propertyFilterAgent: params.{param} is a list of names")
    return (text(name) for name in names)


def _rules(params: Mapping[str, Value], param: str) -> list[dict[str, Value]]:
    rules = given(params, param)
    if rules is MISSING:
        return []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise refuse(f"propertyFilterAgent: params.{param} is a list of maps")
    return rules


def _element(sources: list[Value], position: Value) -> Value:
    return sources[position] if type(position) is int and 0 <= position < len(sources) else MISSING


AGENTS: Final = (
    copy_agent,
    echo_agent,
    merge_object_agent,
    data_object_merge_template_agent,
    total_agent,
    data_sum_template_agent,
    lookup_dictionary_agent,
    property_filter_agent,
)
