from __future__ import annotations

import json
import re
from typing import Any

import pytest

from graphs.models.toolcalls import Tools, call_misfit, instructed, offered, read_calls

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
USER = {"role": "user", "content": "hello"}


def tools(choice: Any = None) -> Tools:
    found = offered([WEATHER, CLOCK], choice)
    assert found is not None
    return found


@pytest.mark.parametrize(("given", "choice"), [([], None), ([], "required"), ([WEATHER], "none")])
def test_without_tools_there_is_nothing_to_call(given: list[Any], choice: Any) -> None:
    assert offered(given, choice) is None


def test_a_choice_says_whether_and_what_must_be_called() -> None:
    assert (list(tools().parameters), tools().must, tools("auto").must) == (["weather", "clock"], False, False)
    assert tools("required").must
    named = tools({"type": "function", "function": {"name": "clock"}})
    assert (list(named.parameters), named.must, named.one) == (["clock"], True, True)
    assert not tools("required").one


@pytest.mark.parametrize(
    ("given", "choice", "says"),
    [
        (["weather"], None, "a tool is a map"),
        ([{"type": "function"}], None, "a function that has a name"),
        ([{"function": {"name": ""}}], None, "a function that has a name"),
        ([{"function": {"name": "x", "parameters": {"type": "string"}}}], None, "a schema of type object"),
        ([CLOCK], "sometimes", "'sometimes' is neither"),
        ([CLOCK], {"function": {"name": "weather"}}, "nor one of the tools clock"),
    ],
)
def test_what_is_not_understood_is_refused(given: list[Any], choice: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        offered(given, choice)


def test_the_schema_allows_each_tool_with_its_own_arguments() -> None:
    first, second = tools().schema["anyOf"]
    assert first["properties"]["name"] == {"const": "weather"}
    assert first["properties"]["arguments"]["required"] == ["city"]
    assert second["properties"]["arguments"] == {"type": "object", "properties": {}, "additionalProperties": False}
    assert offered([CLOCK], None).schema["properties"]["name"] == {"const": "clock"}  # type: ignore[union-attr]


def test_tools_are_explained_in_the_system_message() -> None:
    (system, user) = instructed([USER], tools())
    assert (system["role"], user) == ("system", USER)
    assert "You may call" in system["content"]
    assert json.dumps("the weather of a city") in system["content"]
    told = instructed([{"role": "system", "content": "be brief"}, USER], tools("required"))
    assert told[0]["content"].startswith("be brief\n\nCall one of these")
    assert len(told) == 2
    assert instructed([USER], None) == [USER]


def test_earlier_calls_and_results_are_told_as_text() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    odd = {"id": "2", "type": "function", "function": {"name": "clock", "arguments": "{"}}
    messages: list[dict[str, Any]] = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call, odd]},
        {"role": "tool", "tool_call_id": "1", "name": "weather", "content": "sunny"},
        {"role": "tool", "tool_call_id": "2", "content": "noon"},
    ]
    _, asked, answered = instructed(messages, None)
    assert asked["content"].splitlines() == [
        '{"name": "weather", "arguments": {"city": "Paris"}}',
        '{"name": "clock", "arguments": "{"}',
    ]
    assert (answered["role"], answered["content"]) == ("user", "Result of weather: sunny\nResult: noon")


def test_one_call_or_a_list_of_calls_is_read() -> None:
    text = ' {"name": "weather", "arguments": {"city": "Paris", "days": 2.0}}'
    assert read_calls(text, tools()) == [("weather", {"city": "Paris", "days": 2.0})]
    both = read_calls(f'[{text}, {{"name": "clock", "arguments": {{}}}}]', tools())
    assert both == [("weather", {"city": "Paris", "days": 2.0}), ("clock", {})]
    assert call_misfit(text, tools()) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"name": "wea', "Unterminated"),
        ("[[]]", "a call has"),
        ("[]", "an empty list"),
        ('{"name": "weather"}', "a call has"),
        ('{"name": "rm", "arguments": {}}', "no tool 'rm'"),
        ('{"name": "clock", "arguments": []}', "are a map"),
        ('{"name": "weather", "arguments": {}}', "weather.city is missing"),
        ('{"name": "weather", "arguments": {"city": 5}}', "weather.city is not of type string"),
        ('{"name": "weather", "arguments": {"city": "x", "days": true}}', "weather.days is not of type integer"),
    ],
)
def test_a_call_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_calls(text, tools())
    assert re.search(says, call_misfit(text, tools()) or "")
