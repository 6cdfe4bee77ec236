"""What is refused before the library is asked; what it makes of schemas is tested with the real one in test_models_real.py."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from graphs.models.llama.grammar import MAX_SCHEMA, Grammars
from graphs.models.toolcalls import Tools


class SchemaConverter:
    """Writes the constant of a schema as its one rule."""

    def __init__(self, **options: Any) -> None:
        assert options["allow_fetch"] is False
        self.rules = ""

    def resolve_refs(self, schema: dict[str, Any], url: str) -> dict[str, Any]:
        schema["changed"] = url
        return schema

    def visit(self, schema: dict[str, Any], name: str) -> None:
        visits.append(schema)
        self.rules = f"{name} ::= {schema}" if name else self._format_literal(schema["const"])

    def format_grammar(self) -> str:
        return self.rules

    def _format_literal(self, literal: str) -> str:
        raise NotImplementedError


visits: list[dict[str, Any]] = []


def grammars() -> Grammars:
    visits.clear()
    return Grammars(SimpleNamespace(llama_grammar=SimpleNamespace(JSON_GBNF="any", SchemaConverter=SchemaConverter)))


@pytest.mark.parametrize("form", [None, {}, {"type": "text"}])
def test_text_needs_no_grammar(form: dict[str, Any] | None) -> None:
    assert grammars().for_format(form) is None


def test_any_object_has_the_librarys_own_grammar() -> None:
    assert grammars().for_format({"type": "json_object"}) == "any"


@pytest.mark.parametrize(
    ("literal", "rule"),
    [
        ('"gr\\u00f6\\u00dfe \\ud83e\\udd86"', '"\\"größe 🦆\\""'),
        ('"a\\"b\\\\c\\n"', '"\\"a\\\\\\"b\\\\\\\\c\\\\n\\""'),
        ("5", '"5"'),
        ("x", '"x"'),
    ],
)
def test_constants_are_written_as_they_are_to_be_generated(literal: str, rule: str) -> None:
    schema = {"const": literal}
    assert grammars().for_format({"type": "json_object", "schema": schema}) == rule
    assert schema == {"const": literal}


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"type": "poem"}, "'poem' is not known"),
        ({"type": "json_schema"}, "a map"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "a map"),
        ({"type": "json_object", "schema": []}, "a map"),
        ({"type": "json_object", "schema": {"const": "x" * MAX_SCHEMA}}, "more than"),
        ({"type": "json_object", "schema": {}}, "cannot be used: KeyError"),
    ],
)
def test_forms_that_cannot_be_kept_are_refused(form: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        grammars().for_format(form)


def tools(*, must: bool) -> Tools:
    return Tools({"look": {"type": "object"}, "go": {"type": "object"}}, {"look": "", "go": ""}, must)


def test_a_tool_call_is_all_there_may_be_or_one_way_to_begin() -> None:
    assert grammars().for_tools(tools(must=True)).endswith("\nroot ::= call | calls")
    assert grammars().for_tools(replace(tools(must=True), one=True)).endswith("\nroot ::= call")
    loose = grammars().for_tools(tools(must=False))
    assert "\nroot ::= [ \\n]? ( call | calls | text )\ntext ::= [^{[ \\n] .*" in loose
    first, second = visits[0]["anyOf"]
    assert [each["properties"]["arguments"]["changed"] for each in (first, second)] == ["look", "go"]


def test_rules_are_made_once_for_the_last_schemas_asked_for() -> None:
    made = grammars()
    for number in (0, 1, *range(70), 69, 0):
        made.for_format({"type": "json_object", "schema": {"const": str(number)}})
    assert [schema["const"] for schema in visits].count("69") == 1
    assert [schema["const"] for schema in visits].count("0") == 2
