"""Questions to people: what is asked, which answers fit, and which one counts. Pure.

A node that needs a person has its question recorded (an EVENT *suspended* of its path) and waits. Whoever answers, on whatever device, writes an
ANSWER; it is a request to the holder of the run, and the first one that fits is the answer. What it became is in the node's RESULT, `by.answer`.
A question is named by path and `at`: an attempt that failed after its answer asks a new one (docs/protocol.md §5).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from graphs.engine.outcomes import KEY
from graphs.errors import UsageError
from graphs.models.schemas import UNUSABLE, misfit
from graphs.paths import split_path
from graphs.records import Answer, Error, Event, Record, Result, State
from graphs.values import Value, canonical, clean

__all__ = [
    "BUDGET",
    "KINDS",
    "Asked",
    "Given",
    "Kind",
    "Question",
    "allowance",
    "asked",
    "first",
    "fit",
    "is_yes",
    "read",
    "showable",
    "shown",
]

Kind: TypeAlias = Literal["approve", "choose", "form", "text"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""approve: yes or no; choose: one of some; form: what a JSON schema says; text: anything."""

YES: Final = frozenset({"yes", "y", "true", "approve", "approved", "ok"})
NO: Final = frozenset({"no", "n", "false", "reject", "rejected"})

BUDGET: Final = "budget"
"""What a question has with it that asks for more of a budget: `scope`, `kind`, what was `spent` and what is `allowed`."""

_KEY: Final = "question"
"""The entry of an EVENT's `info`."""

_MOST_SHOWN: Final = 4096
"""Bytes of one input that a question has with it: it is for a person to read."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a node asks. `at` counts the executions of its path; `inputs` are shown to the person; `required` refuses an empty text. `labels` are
    the sensitivity of what is asked about: the answer has them too.
    """

    path: str
    at: int
    kind: Kind
    prompt: str
    inputs: Mapping[str, Value] = field(default_factory=dict)
    choices: Sequence[Value] = ()
    schema: Mapping[str, Value] | None = None
    required: bool = False
    labels: Sequence[str] = ()

    @property
    def node(self) -> str:
        """The node's id."""
        return split_path(self.path)[1]

    def as_info(self) -> dict[str, Value]:
        """What the EVENT says; its path and `at` are fields of the record."""
        said: dict[str, Value] = {"kind": self.kind, "prompt": self.prompt}
        optional: dict[str, Value] = {
            "inputs": dict(self.inputs),
            "choices": list(self.choices),
            "schema": self.schema,
            "required": self.required,
        }
        info: dict[str, Value] = {_KEY: {**said, **{name: value for name, value in optional.items() if value}}}
        return {**info, "labels": list(self.labels)} if self.labels else info

    @classmethod
    def of(cls, record: Event) -> Question | None:
        """The question that an EVENT tells of; None if it tells of none, or of one that this version cannot put."""
        said: Any = (record.info or {}).get(_KEY)
        if record.path is None or record.state != State.SUSPENDED or not isinstance(said, Mapping):
            return None
        kind, prompt, schema = said.get("kind"), said.get("prompt"), said.get("schema")
        if kind not in KINDS or not isinstance(prompt, str) or not (schema is None or isinstance(schema, Mapping)):
            return None
        inputs, choices, labels = said.get("inputs"), said.get("choices"), (record.info or {}).get("labels")
        return cls(
            path=record.path,
            at=record.at,
            kind=kind,
            prompt=prompt,
            inputs=inputs if isinstance(inputs, Mapping) else {},
            choices=choices if isinstance(choices, list) else (),
            schema=schema,
            required=bool(said.get("required")),
            labels=tuple(map(str, labels)) if isinstance(labels, (list, tuple)) else (),
        )

    def as_json(self) -> dict[str, Any]:
        """The entry under `questions` of `--json`."""
        entry: dict[str, Any] = {"node": self.node, "path": self.path, "kind": self.kind, "prompt": self.prompt}
        if self.inputs:
            entry["inputs"] = clean(dict(self.inputs))
        if self.kind == "choose":
            entry["choices"] = list(self.choices)
        if self.schema is not None:
            entry["schema"] = dict(self.schema)
        return entry

    def answer(self, value: Value) -> Answer:
        """The record of an answer to it."""
        return Answer(self.path, self.at, value, self.labels or None)


class Given(NamedTuple):
    """An answer: which record it is, and the value in the form that `fit` gives."""

    writer: bytes
    seq: int
    value: Value


class Asked(NamedTuple):
    """A question on record. `answer` is the one that counts, if there is one; `over` says that its node has gone on with it."""

    question: Question
    answer: Given | None
    over: bool

    @property
    def open(self) -> bool:
        """Whether an answer is still wanted."""
        return self.answer is None and not self.over


def asked(records: Iterable[tuple[bytes, int, int, Record]]) -> dict[str, Asked]:
    """The last question of each path, by path in the order they were asked.

    `records` are (writer, seq, type, record) of all logs of a run, log by log in the order in which the logs began here: that order is what
    "first" means.
    """
    questions: dict[str, Question] = {}
    answers: dict[tuple[str, int], list[Given]] = {}
    ended: dict[str, int] = {}
    done: set[str] = set()
    failed: set[tuple[str, int]] = set()
    asker: dict[str, bytes] = {}
    for writer, seq, _, record in records:
        if isinstance(record, Answer):
            answers.setdefault((record.path, record.at), []).append(Given(writer, seq, record.value))
        elif isinstance(record, Result) and KEY not in record.by:
            done.add(record.path)
        elif isinstance(record, Error) and record.path is not None:
            ended[record.path] = max(ended.get(record.path, 0), record.at)
            if record.final and asker.get(record.path) == writer:  # one about a budget has a number of its own
                failed.add((record.path, questions[record.path].at))
        elif isinstance(record, Event) and (question := Question.of(record)) is not None:
            before = questions.get(question.path)
            if before is None or before.at <= question.at:
                questions[question.path], asker[question.path] = question, writer
    given = {path: first(each, answers.get((path, each.at), ())) for path, each in questions.items()}
    allowed = {allowance(questions[path]) for path, each in given.items() if each is not None and is_yes(each.value)} - {None}
    return {
        path: Asked(
            each,
            given[path],
            path in done
            or (path, each.at) in failed
            or ended.get(path, 0) >= each.at
            or (given[path] is None and allowance(each) in allowed),
        )
        for path, each in questions.items()
    }


def allowance(question: Question) -> tuple[Value, ...] | None:
    """What a question about a budget asks for: of which scope, which kind, up to where. Several nodes may ask for the same, and one yes is enough.
    None for any other question.
    """
    about = question.inputs.get(BUDGET) if question.kind == "approve" else None
    return (about.get("scope"), about.get("kind"), about.get("allowed")) if isinstance(about, Mapping) else None


def is_yes(value: Value) -> bool:
    """Whether that is an approval."""
    return isinstance(value, Mapping) and value.get("approved") is True


def first(question: Question, answers: Iterable[Given]) -> Given | None:
    """The answer that counts: the first that fits, with its value in the form that the node gets."""
    for each in answers:
        try:
            return each._replace(value=fit(question, each.value))
        except UsageError:
            continue  # from a writer that did not look, or knew another version of the question
    return None


# -- which answers fit


def fit(question: Question, value: Value) -> Value:
    """The answer in the form in which it is recorded. Raises UsageError: what is wrong with it, and what would be right."""
    return _FITS[question.kind](question, value)


def read(question: Question, text: str) -> Value:
    """The answer that somebody typed, in the form in which it is recorded. Raises UsageError as `fit`."""
    return fit(question, _READS[question.kind](question, text))


def _fit_approval(question: Question, value: Value) -> Value:
    if isinstance(value, bool):
        return {"approved": value}
    if isinstance(value, Mapping) and isinstance(value.get("approved"), bool) and set(value) <= {"approved", "comment"}:
        comment = value.get("comment")
        if comment is None or comment == "":
            return {"approved": value["approved"]}
        if isinstance(comment, str):
            return {"approved": value["approved"], "comment": comment}
    raise _unfit(question, value, "yes or no, and a comment after it if you like")


def _fit_choice(question: Question, value: Value) -> Value:
    chosen = value["choice"] if isinstance(value, Mapping) and set(value) == {"choice"} else value
    for choice in question.choices:
        if choice == chosen and isinstance(choice, bool) == isinstance(chosen, bool):
            return {"choice": choice}
    raise _unfit(question, value, f"one of {', '.join(map(shown, question.choices))}")


def _fit_form(question: Question, value: Value) -> Value:
    schema = question.schema if question.schema is not None else {}
    try:
        problem = misfit(value, schema, where=question.node)
    except UNUSABLE as error:
        problem = f"its schema cannot be applied to that ({type(error).__name__} {error})"
    if problem is not None:
        raise UsageError(f"that is no answer to {question.path!r}: {problem}", hint=f"The schema: {_json(schema)}")
    return value


def _fit_text(question: Question, value: Value) -> Value:
    if not isinstance(value, str):
        raise _unfit(question, value, "text")
    if question.required and not value:
        raise _unfit(question, value, "a text that is not empty")
    return value


def _read_approval(_question: Question, text: str) -> Value:
    found = _parse(text)
    if not isinstance(found, str):
        return found
    word, _, comment = text.strip().partition(" ")
    word = word.rstrip(",.:;!").lower()
    if word in YES or word in NO:
        return {"approved": word in YES, "comment": comment.strip()}
    return text


def _read_choice(question: Question, text: str) -> Value:
    if text in question.choices:
        return text
    found = _parse(text)
    if found in question.choices or isinstance(found, Mapping):
        return found
    number = found if isinstance(found, int) and not isinstance(found, bool) else 0
    return question.choices[number - 1] if 0 < number <= len(question.choices) else text


def _read_form(_question: Question, text: str) -> Value:
    return _parse(text)


def _read_text(_question: Question, text: str) -> Value:
    return text


_FITS: Final[Mapping[Kind, Callable[[Question, Value], Value]]] = {
    "approve": _fit_approval,
    "choose": _fit_choice,
    "form": _fit_form,
    "text": _fit_text,
}
_READS: Final[Mapping[Kind, Callable[[Question, str], Value]]] = {
    "approve": _read_approval,
    "choose": _read_choice,
    "form": _read_form,
    "text": _read_text,
}


def _parse(text: str) -> Value:
    """What the text says in JSON, or the text itself."""
    try:
        found: Value = json.loads(text)
    except ValueError:
        return text
    return found


def _unfit(question: Question, value: Value, right: str) -> UsageError:
    return UsageError(f"{shown(value) or 'an empty text'} is no answer to {question.path!r}", hint=f"It wants {right}.")


# -- how they are shown


def shown(value: Value, most: int = 200) -> str:
    """A value in one line for a person: text as itself, anything else as JSON, cut off where it is longer than `most` characters."""
    text = value if isinstance(value, str) else _json(clean(value))
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def showable(value: Value) -> Value:
    """What of an input goes along with a question: itself, or the beginning of its text where it is large."""
    if isinstance(value, str) and len(value) * 4 <= _MOST_SHOWN:
        return value
    cleaned = clean(value)
    if len(canonical(cleaned)) <= _MOST_SHOWN:
        return cleaned
    return shown(value, _MOST_SHOWN // 4)


def _json(value: Value) -> str:
    return json.dumps(
        value, ensure_ascii=False, default=lambda each: f"<{len(each)} bytes>" if isinstance(each, bytes) else str(each)
    )
