"""What of a JSON schema answers are held to. Pure.

A grammar holds to most of a schema while an answer is written. The rest is looked at when it is there: `misfit`, `answer_misfit`. A word of
schemas that neither understands would be passed over in silence, so it is refused before anything is computed: `require_understood`.
`pattern` is the grammar's alone: one that is slow to match would hold up every other answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

__all__ = ["UNUSABLE", "answer_misfit", "bounds", "misfit", "require_understood", "schema_of"]

_DESCRIBING: Final = frozenset({
    "$schema", "$id", "$comment", "$anchor", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "strict",
    "nullable", "format", "contentEncoding", "contentMediaType",
})  # fmt: skip
"""Words that demand nothing of a value; `format` is one of them in JSON Schema, though the grammar keeps dates, times and UUIDs."""

_DEMANDING: Final = frozenset({
    "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "uniqueItems", "required", "minProperties", "maxProperties", "$ref",
})  # fmt: skip
UNUSABLE: Final = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What looking at a value may end in where the schema is a stranger's: infinite numbers, references in circles."""

_COUNTS: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})
_BOUNDS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_ONE: Final = ("items", "additionalProperties", "additionalItems", "not")
_SEVERAL: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "$defs", "definitions")

_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict, "null": type(None),
}  # fmt: skip


def schema_of(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The schema asked for; None for any object, or any text. Raises ValueError if the form is not known."""
    response_format = response_format or {}
    kind = response_format.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        schema = response_format.get("schema")
    elif kind == "json_schema":
        wrapped = response_format.get("json_schema")
        schema = wrapped.get("schema", "none") if isinstance(wrapped, dict) else "none"
    else:
        raise ValueError(f"{kind!r} is not known; there are text, json_object and json_schema")
    if schema is not None and not isinstance(schema, dict):
        raise ValueError(f"its schema is a map, not {schema!r}")
    return schema


def require_understood(schema: Any, where: str = "", *, grammar: bool = True) -> None:
    """Raises ValueError: which word of the schema, or of a schema within it, answers would not be held to.

    Without a `grammar` nobody holds them to a `pattern`.
    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ValueError(f"{where or 'it'} is no schema: {schema!r}")
    for word, part in schema.items():
        here = f"{where}/{word}"
        if word in _NAMED and isinstance(part, Mapping):
            for name, each in part.items():
                require_understood(each, f"{here}/{name}", grammar=grammar)
        elif isinstance(part, list) and word in (*_SEVERAL, "items"):
            for number, each in enumerate(part):
                require_understood(each, f"{here}/{number}", grammar=grammar)
        elif word in _ONE:
            require_understood(part, here, grammar=grammar)
        elif not _is_sound(word, part):
            raise ValueError(f"{here} cannot be {part!r}")
        elif (word not in _DESCRIBING and word not in _DEMANDING) or (word == "pattern" and not grammar):
            raise ValueError(f"{here} is a word that answers are not held to; leave it out, or say it in the prompt")


def _is_sound(word: str, part: Any) -> bool:
    """Whether what stands at a word that demands something can be read."""
    if word in _BOUNDS:
        return (
            isinstance(part, (int, float))
            and not isinstance(part, bool)
            and math.isfinite(part)
            and (word != "multipleOf" or part > 0)
        )
    if word in _COUNTS:
        return isinstance(part, int) and not isinstance(part, bool)
    if word in ("required", "enum"):
        return isinstance(part, list) and (word == "enum" or all(isinstance(name, str) for name in part))
    if word == "type":
        return all(isinstance(kind, str) for kind in (part if isinstance(part, list) else [part]))
    if word in _NAMED or word in _SEVERAL:
        return False  # as they can be read they were looked into already
    return isinstance(part, str) if word in ("$ref", "pattern") else True


def answer_misfit(text: str, schema: Mapping[str, Any]) -> str | None:
    """What of a whole answer in JSON is not as the schema demands; None if all is."""
    try:
        return misfit(json.loads(text), schema)
    except UNUSABLE as error:
        return f"the answer is no JSON that can be looked at ({type(error).__name__} {error})"


def bounds(schema: Mapping[str, Any], *, whole: bool) -> tuple[Decimal | None, Decimal | None]:
    """The least and the greatest number a schema allows; an exclusive one counts as the next whole number, or as itself."""
    step = Decimal(whole)
    low = [_number(schema, "minimum"), _next(_number(schema, "exclusiveMinimum"), step)]
    high = [_number(schema, "maximum"), _next(_number(schema, "exclusiveMaximum"), -step)]
    return max((each for each in low if each is not None), default=None), min(
        (each for each in high if each is not None), default=None
    )


def misfit(value: Any, schema: Any, root: Mapping[str, Any] | None = None, where: str = "the answer") -> str | None:
    """What of the value is not as the schema demands, and where; None if all is. `root` is what its references begin at."""
    return next(_misfits(value, schema, root if root is not None else schema, where), None)


def _misfits(value: Any, schema: Any, root: Any, where: str) -> Iterator[str]:
    if isinstance(schema, bool):
        if not schema:
            yield f"{where} may not be there"
        return
    if (reference := schema.get("$ref")) is not None:
        yield from _misfits(value, _resolved(reference, root), root, where)
        return
    kinds = schema.get("type")
    if kinds is not None and not any(_is(value, each) for each in ([kinds] if isinstance(kinds, str) else kinds)):
        yield f"{where} is not of type {kinds}"
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        yield f"{where} is not one of {schema['enum']}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{where} is not {schema['const']!r}"
    yield from _combined(value, schema, root, where)
    if isinstance(value, dict):
        yield from _object(value, schema, root, where)
    elif isinstance(value, list):
        yield from _array(value, schema, root, where)
    elif isinstance(value, str):
        yield from _text(value, schema, where)
    elif _is(value, "number"):
        yield from _amount(Decimal(str(value)), schema, where)


def _combined(value: Any, schema: Mapping[str, Any], root: Any, where: str) -> Iterator[str]:
    def fitting(schemas: Sequence[Any]) -> int:
        return sum(misfit(value, each, root, where) is None for each in schemas)

    for each in schema.get("allOf") or ():
        yield from _misfits(value, each, root, where)
    if schema.get("anyOf") and not fitting(schema["anyOf"]):
        yield f"{where} fits none of anyOf"
    if schema.get("oneOf") and (count := fitting(schema["oneOf"])) != 1:
        yield f"{where} fits {count} of oneOf"
    if "not" in schema and fitting([schema["not"]]):
        yield f"{where} is what `not` excludes"


def _object(value: Mapping[str, Any], schema: Mapping[str, Any], root: Any, where: str) -> Iterator[str]:
    for name in schema.get("required") or ():
        if name not in value:
            yield f"{where}.{name} is missing"
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        yield f"{where} has {len(value)} entries"
    known, others = schema.get("properties") or {}, schema.get("additionalProperties", True)
    for name, part in value.items():
        yield from _misfits(part, known.get(name, others), root, f"{where}.{name}")


def _array(value: Sequence[Any], schema: Mapping[str, Any], root: Any, where: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{where} has {len(value)} items"
    if schema.get("uniqueItems") and any(_same(one, other) for at, one in enumerate(value) for other in value[:at]):
        yield f"{where} has an item twice"
    items = schema.get("items", True)
    first, rest = (
        (items, schema.get("additionalItems", True)) if isinstance(items, list) else (schema.get("prefixItems") or (), items)
    )
    for at, part in enumerate(value):
        yield from _misfits(part, first[at] if at < len(first) else rest, root, f"{where}[{at}]")


def _text(value: str, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{where} has {len(value)} characters"


def _amount(value: Decimal, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    low, high = bounds(schema, whole=False)
    if (low is not None and value < low) or (high is not None and value > high):
        yield f"{where} is {value}, outside its bounds"
    if value in (_number(schema, "exclusiveMinimum"), _number(schema, "exclusiveMaximum")):
        yield f"{where} is {value}, a bound that is excluded"
    if (step := _number(schema, "multipleOf")) and value % step:
        yield f"{where} is {value}, no multiple of {step}"


def _number(schema: Mapping[str, Any], word: str) -> Decimal | None:
    number = schema.get(word)
    return None if number is None else Decimal(str(number))


def _next(number: Decimal | None, step: Decimal) -> Decimal | None:
    if number is None:
        return None
    return number + step if number == number.to_integral_value() else number


def _resolved(reference: str, root: Any) -> Any:
    """What a reference within the schema is to. Raises ValueError for another one."""
    found = root
    for name in reference.partition("#")[2].split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found.get(name)
        if found is None:
            raise ValueError(f"$ref {reference} leads nowhere")
    return found


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, object)) or (kind == "integer" and isinstance(value, float) and value.is_integer())


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
