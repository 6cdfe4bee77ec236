"""YAML 1.2, as GraphAI's users write it: the core schema's words and numbers, on top of PyYAML's events.

PyYAML reads YAML 1.1, where `on` is true, `12:30` a number and `[:a, :b]` a syntax error. Words and numbers are therefore resolved
here (YAML 1.2.2 §10.3.2), and the few characters the scanner would misread are disguised before it sees them, one character for
one, so that every offset still holds.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from graphs.language.builder import Builder
from graphs.values import Value

__all__ = ["read_yaml", "resolve"]

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS: Final[dict[str, Value]] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMBER_STARTS = frozenset("0123456789+-.")
_INT_DIGITS = 20
"""Longer whole numbers exceed 64 bits; they are read as JavaScript reads them, as floats."""

_SOURCE_IN_FLOW = re.compile(r"(?<![\"'\]}][ \t])(?<=[\s\[,{:]):(?=[^\s,\[\]{}])")
_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_BREAKS = "\x85\u2028\u2029"
_STAND_INS = range(0xE000, 0xF8FF)
_OPENERS = frozenset("[{\"'")
_NEEDS_QUOTES = frozenset("@`%")
_MANY = 64


def resolve(text: str) -> Value:
    """What a plain word means by YAML 1.2's core schema: null, a boolean, a number or text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INT.fullmatch(text):
        return _whole(int(text) if len(text) <= _INT_DIGITS + 1 else float(text))
    if _FLOAT.fullmatch(text):
        return float(text)
    if _OCTAL.fullmatch(text):
        return _whole(int(text, 8))
    if _HEX.fullmatch(text):
        return _whole(int(text, 16))
    return text


def _whole(number: float) -> float:
    if isinstance(number, float) or -(2**63) <= number < 2**64:
        return number
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def read_yaml(text: str, builder: Builder) -> None:
    """Push the one document in `text`. Raises GraphInvalid for anything but one well-formed document."""
    bad = _NOT_ALLOWED.search(text)
    if bad is not None:
        builder.fatal("GF101", f"the character U+{ord(bad[0]):04X} is not allowed in YAML", bad.start(), bad.end())
    if text.count("\n%TAG") > _MANY:  # PyYAML compares each with all before it
        at = text.index("\n%TAG") + 1
        builder.fatal("GF109", "tags are not supported: leave the %TAG lines out", at, at + 4)
    disguised, restore = _disguise(text)
    parser = _Parser(disguised)
    try:
        _push_all(parser, builder, restore)
    except yaml.YAMLError as error:
        at, message = _explain(error, text)
        builder.fatal("GF101", message, at, at + 1)
    finally:
        parser.dispose()


def _push_all(parser: Any, builder: Builder, restore: dict[int, str]) -> None:
    scalar, mapping_start, sequence_start = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
    documents = 0
    while (event := parser.get_event()) is not None:
        kind = type(event)
        start, end = event.start_mark.index, event.end_mark.index
        if kind is scalar:
            if event.tag is not None:
                _refuse_tag(event.tag, builder, start, end)
            value = event.value
            if not event.style:  # a plain word
                if value == "<<" and builder.merge_key():
                    continue
                value = resolve(value)
            if restore and type(value) is str and not value.isascii():
                value = value.translate(restore)
            builder.scalar(value, start, end, event.anchor)
        elif kind is mapping_start or kind is sequence_start:
            if event.tag is not None:
                _refuse_tag(event.tag, builder, start, end)
            (builder.open_map if kind is mapping_start else builder.open_list)(start, end, event.anchor)
        elif kind is yaml.AliasEvent:
            builder.alias(event.anchor, start, end)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            builder.close(end)
        elif kind is yaml.DocumentStartEvent:
            documents += 1
            if documents > 1:
                builder.fatal("GF109", "a second document begins here; a file holds one graph", start, end)


def _refuse_tag(tag: str, builder: Builder, start: int, end: int) -> None:
    builder.problem("GF109", f'tags are not supported: leave "{tag.replace("tag:yaml.org,2002:", "!!")}" out', start, end)


def _disguise(text: str) -> tuple[str, dict[int, str]]:
    """The text as PyYAML reads it rightly, and the table that undoes it in values.

    A colon that begins a word inside brackets is a letter in YAML 1.2; so are three line ends of YAML 1.1.
    """
    characters = [":"] if ("[" in text or "{" in text) and _SOURCE_IN_FLOW.search(text) else []
    characters += [each for each in _NOT_BREAKS if each in text]
    if not characters:
        return text, {}
    free = (chr(code) for code in _STAND_INS if chr(code) not in text)
    restore: dict[int, str] = {}
    for character in characters:
        stand_in = next(free)
        restore[ord(stand_in)] = character
        text = _SOURCE_IN_FLOW.sub(stand_in, text) if character == ":" else text.replace(character, stand_in)
    return text, restore


def _explain(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Where to point, and the scanner's complaint in words for a graph's author."""
    problem = str(getattr(error, "problem", None) or "syntax error")
    mark, context = (getattr(error, name, None) for name in ("problem_mark", "context_mark"))
    at = min(mark.index, len(text)) if mark is not None else 0
    if at >= len(text.rstrip()) and context is not None and context.index < at:
        opened = text[context.index : context.index + 1]
        return context.index, f"this {opened} is never closed" if opened in _OPENERS else f"the text ends within this: {problem}"
    character = text[at : at + 1]
    if character == "\t":
        return at, "a tab cannot indent YAML: use spaces"
    if character in _NEEDS_QUOTES:
        return at, f'a value that begins with "{character}" has to stand in quotes'
    if "expected ',' or" in problem:
        return at, "expected a comma or the closing bracket here; inside brackets, text that holds any of {}[], needs quotes"
    if problem == "mapping values are not allowed in this context":
        return at, 'a second ": " in one line, or a key indented deeper than the one before; text that holds ": " needs quotes'
    return at, problem
