"""What answers are held to beside their grammar, and which words of schemas are refused."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from graphs.models.schemas import answer_misfit, bounds, misfit, require_understood


@pytest.mark.parametrize(
    ("schema", "fits", "fails", "says"),
    [
        ({"type": "integer"}, [1, 2.0], ["1", True, 1.5, None], "not of type integer"),
        ({"type": ["string", "null"]}, ["", None], [1], "not of type"),
        ({"enum": [1, "a", None]}, [1, "a", None, 1.0], [True, "b"], "not one of"),
        ({"const": {"a": [1]}}, [{"a": [1]}], [{"a": [2]}], "the answer is not {"),
        ({"minimum": 0, "maximum": 1}, [0, 0.5, 1, "text"], [-0.1, 1.01], "outside its bounds"),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1.5}, [0.1, 1.4], [0, 1.5], "excluded"),
        ({"multipleOf": 0.1}, [0.3, 2], [0.25], "no multiple of 0.1"),
        ({"minLength": 2, "maxLength": 3}, ["ab", 5], ["a", "abcd"], "characters"),
        ({"minItems": 1, "maxItems": 2}, [[1]], [[], [1, 2, 3]], "items"),
        ({"uniqueItems": True}, [[1, True, 2]], [[1, 2, 1]], "twice"),
        ({"items": {"type": "string"}}, [["a"]], [["a", 1]], r"answer\[1\] is not of type string"),
        ({"prefixItems": [{"const": 1}], "items": False}, [[1]], [[2], [1, 1]], r"answer\[[01]\]"),
        ({"items": [{"const": 1}], "additionalItems": {"const": 2}}, [[1, 2]], [[1, 1]], r"answer\[1\]"),
        ({"required": ["a"]}, [{"a": 1}], [{}], "answer.a is missing"),
        ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}], "entries"),
        (
            {"properties": {"a": {"type": "null"}}, "additionalProperties": False},
            [{"a": None}],
            [{"a": 1}, {"b": 1}],
            r"answer\.[ab]",
        ),
        ({"anyOf": [{"type": "null"}, {"minimum": 5}]}, [None, 6], [4], "none of anyOf"),
        ({"oneOf": [{"minimum": 1}, {"minimum": 5}]}, [2], [6, 0], "of oneOf"),
        ({"allOf": [{"minimum": 1}, {"maximum": 5}]}, [3], [6, 0], "outside"),
        ({"not": {"const": 3}}, [4], [3], "excludes"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, [None], [1], "not of type null"),
    ],
)
def test_values_are_held_to_their_schema(schema: dict[str, Any], fits: list[Any], fails: list[Any], says: str) -> None:
    require_understood(schema)
    for value in fits:
        assert misfit(value, schema) is None
    for value in fails:
        with pytest.raises(AssertionError, match=says):
            assert misfit(value, schema) is None, misfit(value, schema)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"if": {}}, "/if is a word"),
        ({"properties": {"a": {"contains": {}}}}, "/properties/a/contains"),
        ({"anyOf": [{}, {"propertyNames": {}}]}, "/anyOf/1/propertyNames"),
        ({"items": [{"dependentRequired": {}}]}, "/items/0/dependentRequired"),
        ({"not": {"unevaluatedItems": False}}, "/not/unevaluatedItems"),
        ({"additionalProperties": 5}, "/additionalProperties is no schema: 5"),
        ({"minimum": "five"}, "/minimum cannot be 'five'"),
        ({"multipleOf": 0}, "/multipleOf cannot be 0"),
        ({"maximum": math.inf}, "/maximum cannot be inf"),
        ({"minLength": "2"}, "/minLength cannot be '2'"),
        ({"items": {"required": "a"}}, "/items/required cannot be 'a'"),
        ({"enum": 5}, "/enum cannot be 5"),
        ({"type": ["string", 5]}, "/type cannot be"),
        ({"properties": []}, "/properties cannot be"),
        ({"anyOf": {}}, "/anyOf cannot be"),
        ({"$ref": 5}, "/[$]ref cannot be 5"),
        ({"exclusiveMinimum": True}, "cannot be True"),
    ],
)
def test_words_that_nobody_looks_at_are_refused(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        require_understood(schema)


def test_names_of_properties_are_no_words() -> None:
    require_understood({"properties": {"if": {"description": "a condition"}, "contains": True}, "title": "x"})


def test_exclusive_bounds_of_whole_numbers_are_the_next_ones() -> None:
    assert bounds({"exclusiveMinimum": 1, "maximum": 9, "exclusiveMaximum": 5}, whole=True) == (Decimal(2), Decimal(4))
    assert bounds({"exclusiveMinimum": 1.5}, whole=True) == (Decimal("1.5"), None)
    assert bounds({"exclusiveMinimum": 1, "minimum": 0}, whole=False) == (Decimal(1), None)


def test_an_answer_is_read_first() -> None:
    assert answer_misfit("[1]", {"type": "array"}) is None
    assert "no JSON" in (answer_misfit("[1", {}) or "")
    assert "no JSON" in (answer_misfit("1", {"$ref": "#"}) or "")
    assert "no JSON" in (answer_misfit("1e999", {"multipleOf": 2}) or "")
    assert "no JSON" in (answer_misfit("1", {"enum": 5}) or "")
    assert "leads nowhere" in (answer_misfit("1", {"$ref": "#/x"}) or "")
