"""Tools for models that know of none: what they are told, the form their calls have, and the reading of a call.

A call is one JSON object, `{"name": ..., "arguments": {...}}`, several are a list of such objects, and the grammar lets nothing else pass.
An answer that begins with neither a brace nor a bracket is text, where no call is demanded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphs.models.schemas import UNUSABLE, misfit

__all__ = ["MOST_CALLS", "Tools", "call_misfit", "instructed", "offered", "read_calls"]

MOST_CALLS: Final = 8
"""Calls of one answer."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of a request: the schema of each one's arguments by its name, what each does, whether one must be called, and whether no more
    than one may."""

    parameters: Mapping[str, Mapping[str, Any]]
    descriptions: Mapping[str, str]
    must: bool
    one: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a call."""
        calls = [
            {
                "type": "object",
                "properties": {"name": {"const": name}, "arguments": dict(parameters)},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for name, parameters in self.parameters.items()
        ]
        return calls[0] if len(calls) == 1 else {"anyOf": calls}


def offered(tools: Sequence[Any], choice: Any) -> Tools | None:
    """The tools of a request as chat APIs write them; None if there are none or none may be called.

    `choice` is None or "auto", "none", "required", or names a function. Raises ValueError: which tool or choice is not understood.
    """
    if not tools or choice == "none":
        return None
    parameters, descriptions = {}, {}
    for tool in tools:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(name, str) or not name:
            raise ValueError(f"a tool is a map with a function that has a name, not {tool!r}")
        wanted = function.get("parameters") or {"type": "object", "properties": {}}
        if not isinstance(wanted, Mapping) or wanted.get("type", "object") != "object":
            raise ValueError(f"the parameters of tool {name} are a schema of type object, not {wanted!r}")
        parameters[name] = {"type": "object", "additionalProperties": False, "properties": {}, **wanted}
        descriptions[name] = str(function.get("description") or "")
    if choice in (None, "auto", "required"):
        return Tools(parameters, descriptions, choice == "required")
    function = choice.get("function") if isinstance(choice, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if name not in parameters:
        raise ValueError(f"tool_choice {choice!r} is neither auto, none, required nor one of the tools {', '.join(parameters)}")
    return Tools({name: parameters[name]}, {name: descriptions[name]}, must=True, one=True)


def instructed(messages: Sequence[Mapping[str, Any]], tools: Tools | None) -> list[Mapping[str, Any]]:
    """The messages with the tools explained, and with earlier calls and their results as text: chat templates differ in both."""
    written: list[Mapping[str, Any]] = []
    for message in messages:
        if message.get("tool_calls"):
            calls = [_told(call.get("function") or {}) for call in message["tool_calls"]]
            written.append({"role": "assistant", "content": "\n".join(filter(None, [message.get("content") or "", *calls]))})
        elif message["role"] == "tool":
            name = f" of {message['name']}" if message.get("name") else ""
            result = f"Result{name}: {message.get('content') or ''}"
            if written and written[-1]["role"] == "user" and written[-1].get("results"):
                result = f"{written.pop()['content']}\n{result}"
            written.append({"role": "user", "content": result, "results": True})
        else:
            written.append(message)
    if tools is None:
        return written
    told = _explained(tools)
    if written and written[0]["role"] in ("system", "developer"):
        return [{**written[0], "content": f"{written[0]['content']}\n\n{told}"}, *written[1:]]
    return [{"role": "system", "content": told}, *written]


def read_calls(text: str, tools: Tools) -> list[tuple[str, dict[str, Any]]]:
    """The names and the arguments of one or several calls. Raises ValueError: what is wrong with them."""
    found = json.loads(text)
    calls = found if isinstance(found, list) else [found]
    if not calls:
        raise ValueError("an empty list calls nothing")
    return [_read(call, tools) for call in calls]


def call_misfit(text: str, tools: Tools) -> str | None:
    """What is wrong with whole calls; None if nothing is."""
    try:
        read_calls(text, tools)
    except UNUSABLE as error:
        return str(error)
    return None


def _read(call: Any, tools: Tools) -> tuple[str, dict[str, Any]]:
    if not isinstance(call, dict) or set(call) != {"name", "arguments"}:
        raise ValueError("a call has a name and arguments")
    name, arguments = call["name"], call["arguments"]
    if name not in tools.parameters:
        raise ValueError(f"there is no tool {name!r}")
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of {name} are a map")
    if wrong := misfit(arguments, tools.parameters[name], where=name):
        raise ValueError(wrong)
    return name, arguments


def _told(function: Mapping[str, Any]) -> str:
    arguments = function.get("arguments")
    try:
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        pass  # shown as it is
    return json.dumps({"name": function.get("name"), "arguments": arguments}, ensure_ascii=False)


def _explained(tools: Tools) -> str:
    lines = [
        json.dumps({"name": name, "description": tools.descriptions[name], "parameters": parameters}, ensure_ascii=False)
        for name, parameters in tools.parameters.items()
    ]
    when = "Call one of these functions" if tools.must else "You may call one of these functions"
    form = 'To call one, answer with nothing but {"name": its name, "arguments": its arguments} in JSON'
    return "\n".join([f"{when}:", *lines, f"{form}." if tools.one else f"{form}; to call several, with a list of these."])
