"""What is refused before the library is asked; what it makes of schemas is tested with the real one in test_models_real.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from graphs.models.llama_grammar import MAX_SCHEMA, grammar_of


class Grammar:
    @staticmethod
    def from_string(rules: str, *, verbose: bool) -> str:
        return f"grammar {rules}"


class SchemaConverter:
    """Writes the constant of a schema as its one rule."""

    def __init__(self, **options: Any) -> None:
        assert options["allow_fetch"] is False
        self.rules = ""

    def resolve_refs(self, schema: dict[str, Any], url: str) -> dict[str, Any]:
        schema["changed"] = True
        return schema

    def visit(self, schema: dict[str, Any], name: str) -> None:
        self.rules = self._format_literal(schema["const"])

    def format_grammar(self) -> str:
        return self.rules

    def _format_literal(self, literal: str) -> str:
        raise NotImplementedError


def library(parsed: object = "sampler") -> Any:
    return SimpleNamespace(
        llama_grammar=SimpleNamespace(JSON_GBNF="any", LlamaGrammar=Grammar, SchemaConverter=SchemaConverter),
        llama_sampler_init_grammar=lambda vocab, rules, root: parsed,
        llama_sampler_free=lambda sampler: None,
    )


@pytest.mark.parametrize("form", [None, {}, {"type": "text"}])
def test_text_needs_no_grammar(form: dict[str, Any] | None) -> None:
    assert grammar_of(library(), "vocab", form) is None


def test_any_object_has_the_librarys_own_grammar() -> None:
    assert grammar_of(library(), "vocab", {"type": "json_object"}) == "grammar any"


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
    assert grammar_of(library(), "vocab", {"type": "json_object", "schema": schema}) == f"grammar {rule}"
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
        grammar_of(library(), "vocab", form)


def test_a_grammar_that_does_not_parse_is_refused_and_never_sampled_by() -> None:
    with pytest.raises(ValueError, match="cannot parse"):
        grammar_of(library(parsed=None), "vocab", {"type": "json_object", "schema": {"const": "1"}})
