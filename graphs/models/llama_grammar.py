"""From `response_format` to a grammar that llama.cpp samples by. Used inside the child process only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["MAX_SCHEMA", "grammar_of"]

MAX_SCHEMA: Final = 64 * 1024
"""Characters a schema may have: grammars grow faster than schemas."""


def grammar_of(llama_cpp: Any, vocab: Any, response_format: Mapping[str, Any] | None) -> Any:
    """The library's grammar for an answer of that form; None where any text will do.

    Raises ValueError if the form is not known or its schema cannot be used. Nothing a schema refers to is fetched.
    """
    kind = (response_format or {}).get("type", "text")
    if kind == "text":
        return None
    schema = _schema(kind, response_format or {})
    library = llama_cpp.llama_grammar
    if schema is None:
        return library.LlamaGrammar.from_string(library.JSON_GBNF, verbose=False)
    if (size := len(json.dumps(schema))) > MAX_SCHEMA:
        raise ValueError(f"its schema has {size} characters, more than {MAX_SCHEMA}")
    try:
        rules = _rules(library, schema)
    except Exception as error:  # the library asserts, misses keys and recurses; all mean a schema it cannot use
        raise ValueError(f"its schema cannot be used: {type(error).__name__} {error}") from error
    _require_parses(llama_cpp, vocab, rules)
    return library.LlamaGrammar.from_string(rules, verbose=False)


def _schema(kind: str, response_format: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema asked for; None for any object."""
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


def _rules(library: Any, schema: Mapping[str, Any]) -> str:
    class Converter(library.SchemaConverter):  # type: ignore[misc]
        """Writes constants as they are to be generated. The library's own hand llama.cpp the halves of an emoji as characters, and
        one backslash where JSON needs two."""

        def _format_literal(self, literal: str) -> str:
            try:
                literal = json.dumps(json.loads(literal), ensure_ascii=False)
            except ValueError:
                pass  # a single character, not JSON
            return '"' + literal.replace("\\", "\\\\").replace('"', '\\"') + '"'

    converter = Converter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)
    own = json.loads(json.dumps(schema))  # changed in place by what resolves its references
    converter.visit(converter.resolve_refs(own, "stdin"), "")
    rules: str = converter.format_grammar()
    return rules


def _require_parses(llama_cpp: Any, vocab: Any, rules: str) -> None:
    """A grammar llama.cpp cannot parse becomes a null pointer in the sampler, and that a crash at the first token."""
    sampler = llama_cpp.llama_sampler_init_grammar(vocab, rules.encode(), b"root")
    if not sampler:
        raise ValueError("its schema becomes a grammar that llama.cpp cannot parse")
    llama_cpp.llama_sampler_free(sampler)
