"""Agents that fill, cut and read text."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from graphs.agents.common import given, refuse
from graphs.budget import ITEM, Room, spend
from graphs.language.functions import code_block
from graphs.language.jstext import WHITE_SPACE, is_number, json_text, parse_json, text, truthy
from graphs.registry import Agent, AgentContext, AgentFunction, Sample, agent
from graphs.values import MISSING, Value, is_true

__all__ = ["AGENTS"]

_DEFAULT_CHUNK: Final = 2048
_WORD_BREAKS = re.compile(f"[{WHITE_SPACE}_-]+")

_string: Callable[..., Callable[[AgentFunction], Agent]] = partial(agent, category="string", effect="none", cheap=True)


@_string(
    "stringTemplateAgent",
    samples=[
        Sample({"a": "one", "b": 2}, {"template": "${a} and ${b}, ${b}"}, "one and 2, 2"),
        Sample({"a": 3, "b": {"k": "v"}}, {"template": ["${a}", {"x": "${b}", "y": 7}]}, [3, {"x": {"k": "v"}, "y": 7}]),
        Sample({"a": "${b}", "b": "$&"}, {"template": "${a} ${b} ${unknown}"}, "${b} $& ${unknown}"),
        Sample({"text": "as is"}, {}, "as is"),
    ],
)
def string_template_agent(context: AgentContext) -> Value:
    """Fills every `${name}` in params.template (text, lists and maps at any depth) with the input of that name.

    A text that is nothing but one pattern becomes the value itself; unknown names stay. Without a template: inputs.text.
    """
    template = context.params.get("template", MISSING)
    if template is MISSING:
        return context.inputs["text"] if truthy(context.inputs.get("text")) else MISSING
    return _Filler(context.inputs).filled(template) if context.inputs else template


class _Filler:
    """Fills templates, one pass each: what is filled in is not looked at again."""

    def __init__(self, inputs: Mapping[str, Value]) -> None:
        self.inputs = inputs
        # Longest names first: none may hide a longer one that begins like it.
        self.lengths = sorted({len(name) for name in inputs}, reverse=True)
        self.room = Room()

    def filled(self, template: Value) -> Value:
        if isinstance(template, str):
            return self._text(template)
        if isinstance(template, list):
            self.room.take(ITEM * len(template))
            return [self.filled(item) for item in template]
        if isinstance(template, dict):
            self.room.take(ITEM * len(template))
            return {key: self.filled(item) for key, item in template.items()}
        return template

    def _text(self, template: str) -> Value:
        pieces: list[str] = []
        done, at = 0, template.find("${")
        while at >= 0:
            name = self._name_at(template, at + 2)
            if name is None:
                at = template.find("${", at + 1)
                continue
            if at == 0 and len(name) + 3 == len(template):
                return self.inputs[name]
            piece = text(self.inputs[name])
            self.room.take(len(piece) + at - done)
            pieces += (template[done:at], piece)
            done = at + len(name) + 3
            at = template.find("${", done)
        spend(sum(map(len, pieces)) + len(template) - done)
        return "".join([*pieces, template[done:]])

    def _name_at(self, template: str, start: int) -> str | None:
        for length in self.lengths:
            if template.startswith("}", start + length):
                self.room.take(length)
                name = template[start : start + length]
                if name in self.inputs:
                    return name
        self.room.take(len(self.lengths))
        return None


@_string(
    "stringSplitterAgent",
    samples=[
        Sample(
            {"text": "abcdefghijklmnopqrst"},
            {"chunkSize": 8, "overlap": 3},
            {"contents": ["abcdefgh", "fghijklm", "klmnopqr", "pqrst", ""], "count": 5, "chunkSize": 8, "overlap": 3},
        ),
        Sample({"text": "short"}, {}, {"contents": ["short"], "count": 1, "chunkSize": 2048, "overlap": 256}),
    ],
)
def string_splitter_agent(context: AgentContext) -> Value:
    """Cuts text into pieces of params.chunkSize characters (2048), each beginning params.overlap (an eighth) before the last one's end.

    The last piece may be empty.
    """
    source = _text_input("stringSplitterAgent", context)
    size, overlap = given(context.params, "chunkSize"), given(context.params, "overlap")
    size = _DEFAULT_CHUNK if size is MISSING else _whole("chunkSize", size)
    overlap = size // 8 if overlap is MISSING else _whole("overlap", overlap)
    step = size - overlap
    if step < 1 or overlap < 0:
        raise refuse("stringSplitterAgent: params.overlap must be at least 0 and smaller than params.chunkSize")
    count = len(source) // step + 1
    spend(count * (ITEM + min(size, len(source))))
    contents = [source[start : start + size] for start in range(0, count * step, step)]
    return {"contents": contents, "count": count, "chunkSize": size, "overlap": overlap}


def _whole(param: str, value: Value) -> int:
    if not is_number(value) or value != value // 1:
        raise refuse(f"stringSplitterAgent: params.{param} must be a whole number")
    return int(value)


def _text_input(name: str, context: AgentContext) -> str:
    value = context.inputs.get("text")
    if not isinstance(value, str):
        raise refuse(f"{name}: namedInputs.text is not text. Set inputs: {{ text: :nodeId.text }}")
    return value


@_string(
    "stringCaseVariantsAgent",
    samples=[
        Sample(
            {"text": "  this is   a Test"},
            {},
            {
                "lowerCamelCase": "thisIsATest",
                "snakeCase": "this_is_a_test",
                "kebabCase": "this-is-a-test",
                "normalized": "this is a test",
            },
        ),
        Sample(
            {"text": "snake_case-word"},
            {"suffix": "agent"},
            {
                "lowerCamelCase": "snakeCaseWordAgent",
                "snakeCase": "snake_case_word_agent",
                "kebabCase": "snake-case-word-agent",
                "normalized": "snake case word agent",
            },
        ),
    ],
)
def string_case_variants_agent(context: AgentContext) -> Value:
    """Writes the words of text in camel, snake and kebab case; params.suffix is added unless it is the last word already."""
    source = _text_input("stringCaseVariantsAgent", context).strip(WHITE_SPACE)
    spend(4 * len(source))
    words = _WORD_BREAKS.sub(" ", source).lower().split(" ")
    suffix = context.params.get("suffix")
    if truthy(suffix) and words[-1] != suffix:
        words.append(text(suffix))
    return {
        "lowerCamelCase": words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:]),
        "snakeCase": "_".join(words),
        "kebabCase": "-".join(words),
        "normalized": " ".join(words),
    }


@_string(
    "stringUpdateTextAgent",
    samples=[
        Sample({"newText": "new", "oldText": "old"}, {}, {"text": "new"}),
        Sample({"newText": "", "oldText": "old"}, {}, {"text": "old"}),
        Sample({"oldText": "old"}, {}, {"text": "old"}),
        Sample({}, {}, {"text": ""}),
    ],
)
def string_update_text_agent(context: AgentContext) -> Value:
    """Gives newText if there is any, else oldText."""
    new = context.inputs.get("newText")
    if is_true(new):
        return {"text": new}
    old = context.inputs.get("oldText", MISSING)
    return {"text": "" if old is MISSING else old}


@_string(
    "jsonParserAgent",
    samples=[
        Sample({"text": '{"a": [1, 2]}'}, {}, {"data": {"a": [1, 2]}}),
        Sample({"text": 'see\n```json\n{"a": 1}\n```\nend'}, {}, {"data": {"a": 1}}),
        Sample({"data": {"k": [1]}}, {}, {"text": '{\n  "k": [\n    1\n  ]\n}'}),
    ],
)
def json_parser_agent(context: AgentContext) -> Value:
    """Reads the JSON in text, or in the first fenced block of text, as data; writes data as JSON text with indentation."""
    data = context.inputs.get("data")
    if truthy(data):
        return {"text": json_text(data, 2)}
    source = given(context.inputs, "text")
    written = "" if source is MISSING else text(source)
    block = code_block(written)
    return {"data": parse_json(written if block is None else block)}


@agent("consoleAgent", category="string", effect="none", samples=[Sample({"text": "hi", "other": 1}, {}, {"text": "hi"})])
def console_agent(context: AgentContext) -> Value:
    """Prints text and gives it back. It prints to the error stream, because the output stream is for results alone."""
    value = context.inputs.get("text", MISSING)
    sys.stderr.write(f"{text(value)}\n")
    return {"text": value}


AGENTS: Final = (
    string_template_agent,
    string_splitter_agent,
    string_case_variants_agent,
    string_update_text_agent,
    json_parser_agent,
    console_agent,
)
