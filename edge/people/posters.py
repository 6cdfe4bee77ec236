"""How a question is put to a person in lines of text, and by which command it is answered."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphs.questions import Question, shown
from graphs.terminal import printable

__all__ = ["answer_command", "notice", "poster"]

_LINES: Final = 12
"""Of one input, at most."""


def poster(question: Question) -> Iterator[str]:
    """The lines that say what is asked and what belongs to it."""
    yield printable(question.prompt)
    for name, value in question.inputs.items():
        first, *more = shown(value, 4096).splitlines() or [""]
        yield f"  {printable(name)}: {printable(first)}"
        yield from (f"    {printable(line)}" for line in more[:_LINES])
        if len(more) > _LINES:
            yield f"    … and {len(more) - _LINES} more lines"
    if question.kind == "choose":
        yield from (f"  {number}. {printable(shown(each))}" for number, each in enumerate(question.choices, 1))


def notice(run: str, question: Question) -> str:
    """The question as it stands in lists of what waits, with how to answer it."""
    first, *more = poster(question)
    command, others = answer_command(run, question), _other_answers(question)
    return "\n".join([f"{printable(question.path)}: {first}", *more, f"  {command}", *([f"    ({others})"] if others else [])])


def answer_command(run: str, question: Question) -> str:
    """What to type in order to answer, with an example of an answer."""
    return f"graphferry answer {run} {shlex.quote(question.path)} {shlex.quote(_example(question))}"


def _other_answers(question: Question) -> str:
    """What else may stand in the place of the example."""
    if question.kind == "approve":
        return "or no; a comment may follow, as in 'no, too long'"
    if question.kind == "choose":
        others = [shlex.quote(printable(shown(each, 40))) for each in question.choices[1:]]
        return f"or {', '.join(others)}" if others else ""
    return "or any other text" if question.kind == "text" else "with your values"


def _example(question: Question) -> str:
    if question.kind == "approve":
        return "yes"
    if question.kind == "choose":
        return printable(shown(question.choices[0]))
    if question.kind == "form":
        return json.dumps(_filled_in(question.schema or {}), ensure_ascii=False)
    return "TEXT"


def _filled_in(schema: Mapping[str, Any]) -> Any:
    """A form with something in each field that has to be there."""
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind != "object":
        return _EMPTY.get(kind) if isinstance(kind, str) else None
    fields: Any = schema.get("properties")
    fields = fields if isinstance(fields, Mapping) else {}
    required = schema.get("required") or list(fields)
    return {name: _filled_in(fields.get(name) or {}) for name in required if isinstance(fields.get(name) or {}, Mapping)}


_EMPTY: Final[Mapping[str, Any]] = {"string": "...", "integer": 0, "number": 0, "boolean": True, "array": []}
