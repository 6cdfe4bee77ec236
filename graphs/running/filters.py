"""The filters that GraphAI users know by name: a cache of agents' values, and a check of their inputs (graph-spec §10.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

from graphs.errors import NodeError
from graphs.running.ports import AgentFilter
from graphs.values import MISSING, Value, canonical, digest

__all__ = ["cache_filter", "input_validator", "misfit"]

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def cache_filter(store: MutableMapping[bytes, Value] | None = None) -> AgentFilter:
    """Gives pure agents' values again for the same agent, inputs and params, whatever the order of their keys.

    An agent is pure here if its effect is none and it asks no model, network, file or person. `store` keeps the values.
    """
    kept: MutableMapping[bytes, Value] = {} if store is None else store

    async def run(context: Any, call: Callable[[Any], Any]) -> Value:
        agent = context.agent
        if agent is None or agent.effect != "none" or agent.needs:
            return await call(context)
        key = digest(canonical([agent.name, agent.version, _sorted(context.inputs), _sorted(dict(context.params))]))
        if key not in kept:
            kept[key] = await call(context)
        return kept[key]

    return AgentFilter("cache", run)


def input_validator() -> AgentFilter:
    """Refuses an attempt whose inputs do not fit the schema its agent states; agents without one are not looked at.

    Looked at of JSON Schema: type, required, properties, items, enum, anyOf. The attempt fails with NodeError.
    """

    async def run(context: Any, call: Callable[[Any], Any]) -> Value:
        agent = context.agent
        schema = agent.inputs if agent is not None else None
        if schema is not None and (problem := misfit(context.inputs, schema, "inputs")) is not None:
            raise NodeError(f"{context.node_id}({agent.name}) schema not matched: {problem}", retryable=False)
        return await call(context)

    return AgentFilter("namedInputValidator", run)


def _sorted(value: Value) -> Value:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def misfit(value: Value, schema: Mapping[str, Any], where: str) -> str | None:
    """What of the value does not fit the JSON schema, as far as it is looked at (see `input_validator`); None if it fits."""
    choices = schema.get("anyOf")
    if choices and all(misfit(value, each, where) is not None for each in choices):
        return f"{where} is none of what it may be"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} is not one of {schema['enum']}"
    wanted = schema.get("type")
    if wanted is not None and not any(_is(value, each) for each in ([wanted] if isinstance(wanted, str) else wanted)):
        return f"{where} is not of type {wanted}"
    if isinstance(value, dict):
        for name in schema.get("required") or ():
            if value.get(name, MISSING) is MISSING:
                return f"{where}.{name} is missing"
        for name, inner in (schema.get("properties") or {}).items():
            if value.get(name, MISSING) is not MISSING and (found := misfit(value[name], inner, f"{where}.{name}")):
                return found
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for number, item in enumerate(value):
            if found := misfit(item, schema["items"], f"{where}[{number}]"):
                return found
    return None


def _is(value: Value, name: str) -> bool:
    return isinstance(value, _TYPES.get(name, (object,))) and (not isinstance(value, bool) or name == "boolean")
