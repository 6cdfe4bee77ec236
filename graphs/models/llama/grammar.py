"""From `response_format` and tools to rules that llama.cpp samples by. Used inside the child process only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from graphs.models.llama.number_rules import real_rule, whole_rule
from graphs.models.schemas import bounds, require_understood, schema_of
from graphs.models.toolcalls import MOST_CALLS, Tools

__all__ = ["MAX_RULES", "MAX_SCHEMA", "Grammars"]

MAX_SCHEMA: Final = 64 * 1024
"""Characters a schema may have: grammars grow faster than schemas."""

MAX_RULES: Final = 64 * 1024
"""Characters the rules made of it may have: a bound such as maxLength is written out once for each character."""

_REMEMBERED: Final = 64

_SEVERAL: Final = f"""
calls ::= "[" space call ("," space call){{0,{MOST_CALLS - 1}}} "]" space"""
_ANYTHING_ELSE: Final = """
root ::= [ \\n]? ( call | calls | text )
text ::= [^{[ \\n] .*"""


class Grammars:
    """Rules by what is asked for; the last ones are remembered. Nothing a schema refers to is fetched."""

    def __init__(self, llama_cpp: Any) -> None:
        self._library = llama_cpp.llama_grammar
        self._made: dict[str, str] = {}

    def for_format(self, response_format: Mapping[str, Any] | None) -> str | None:
        """The rules of an answer of that form; None where any text will do.

        Raises ValueError if the form is not known or its schema cannot be used.
        """
        if (response_format or {}).get("type", "text") == "text":
            return None
        schema = schema_of(response_format)
        if schema is None:
            rules: str = self._library.JSON_GBNF
            return rules
        return self._remembered("form", schema, lambda own: self._visited(own, ""))

    def for_tools(self, tools: Tools) -> str:
        """The rules of calls of the tools, or of those and any text. Raises ValueError for a schema that cannot be used."""
        rules = self._remembered("call", tools.schema, lambda own: self._visited(own, "call"))
        if tools.one:
            return f"{rules}\nroot ::= call"
        return rules + _SEVERAL + ("\nroot ::= call | calls" if tools.must else _ANYTHING_ELSE)

    def _remembered(self, use: str, schema: Mapping[str, Any], make: Callable[[Any], str]) -> str:
        written = json.dumps(schema)
        if len(written) > MAX_SCHEMA:
            raise ValueError(f"its schema has {len(written)} characters, more than {MAX_SCHEMA}")
        key = f"{use} {written}"
        rules = self._made.pop(key, None)
        if rules is None:
            require_understood(schema)
            try:
                rules = make(json.loads(written))  # a copy: changed in place by what resolves its references
            except Exception as error:  # the library asserts, misses keys and recurses; all mean a schema it cannot use
                raise ValueError(f"its schema cannot be used: {type(error).__name__} {error}") from error
        if len(rules) > MAX_RULES:
            raise ValueError(f"its schema becomes {len(rules)} characters of rules, more than {MAX_RULES}; use smaller bounds")
        self._made[key] = rules
        while len(self._made) > _REMEMBERED:
            del self._made[next(iter(self._made))]
        return rules

    def _visited(self, schema: Any, name: str) -> str:
        converter = _converter(self._library)
        for call in schema.get("anyOf", [schema]) if name else ():
            # References of a tool's schema start at that schema, not at the whole.
            parameters = call["properties"]["arguments"]
            call["properties"]["arguments"] = converter.resolve_refs(parameters, call["properties"]["name"]["const"])
        converter.visit(schema if name else converter.resolve_refs(schema, "stdin"), name)
        rules: str = converter.format_grammar()
        return rules


def _converter(library: Any) -> Any:
    class Converter(library.SchemaConverter):  # type: ignore[misc]
        """Writes constants as they are to be generated. The library's own hand llama.cpp the halves of an emoji as characters, and
        one backslash where JSON needs two. They take any number for one with bounds, and look at nothing beside a list of types."""

        def visit(self, schema: Any, name: str) -> str:
            kind = schema.get("type")
            if "$ref" in schema or "anyOf" in schema or "oneOf" in schema:
                pass
            elif isinstance(kind, list):
                given = {word: part for word, part in schema.items() if word != "type"}
                schema = given if "enum" in given or "const" in given else {"anyOf": [{**given, "type": each} for each in kind]}
            elif kind in ("integer", "number") and "enum" not in schema and "const" not in schema:
                low, high = bounds(schema, whole=kind == "integer")
                if low is not None or high is not None:
                    rule = (whole_rule if kind == "integer" else real_rule)(low, high)
                    added: str = self._add_rule(f"{name}-bounded" if name else "root", f"({rule}) space")
                    return added
            made: str = super().visit(schema, name)
            return made

        def _format_literal(self, literal: str) -> str:
            try:
                literal = json.dumps(json.loads(literal), ensure_ascii=False)
            except ValueError:
                pass  # a single character, not JSON
            return '"' + literal.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return Converter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)
