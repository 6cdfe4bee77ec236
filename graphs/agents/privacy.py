"""Agents about what may leave the device: taking labels off, and hiding what leads to a person (docs/privacy.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from graphs.agents.common import given, option, refuse
from graphs.agents.pseudonyms import KINDS, WORD, Pseudonyms, restore
from graphs.departures import witness
from graphs.language.declassify import EVERY, PSEUDONYMS, taken_off
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value, canonical, clean

__all__ = ["AGENTS"]

_PARTS: Final = ("text", "messages", "value")
_MOST_WORDS, _LONGEST_WORD, _LONGEST_KIND = 1000, 200, 20

_TEXT: Final = {"type": "string"}
_LISTED: Final = {"type": "array", "items": _TEXT}
_TABLE: Final = {"type": "object", "description": "Of an earlier pseudonymiseAgent."}
_HIDDEN: Final = {"text": _TEXT, "messages": {"type": "array"}, "value": {}}


@agent(
    "declassifyAgent",
    category="privacy",
    effect="none",
    needs=["device", "declassify"],
    named=True,
    declassifies=taken_off,
    inputs={"type": "object", "properties": {"value": {}}, "required": ["value"]},
    params={
        "type": "object",
        "properties": {"reason": _TEXT, "labels": {"anyOf": [_TEXT, _LISTED]}},
        "required": ["reason"],
    },
    samples=[
        Sample(
            {"value": "3 of 12 passed"},
            {"reason": "a count says nothing of the people counted", "labels": ["private"]},
            "3 of 12 passed",
        )
    ],
)
async def declassify_agent(context: AgentContext) -> Value:
    """Gives its input `value` without sensitivity labels; the only agent that takes any off, on this device, and the audit has each time.

    params.reason says why that is right, in words of the graph's author: `check` refuses an empty one, and one that comes from data. params.labels
    names those that go; left out, all go that the input carries. `untrusted` goes only if it is named. Labels of conditions stay.
    """
    reason = context.params.get("reason")
    if not isinstance(reason, str) or not reason.strip() or {"params", "reason", "labels"} & context.inputs.keys():
        raise refuse("declassifyAgent: params.reason says why, in words of the graph itself")
    value = context.inputs.get("value", MISSING)
    by = witness()
    if by is not None:
        labels = sorted(taken_off({"params": context.params}))
        size = 0 if value is MISSING else len(canonical(clean(value)))
        await by.declassified(context.path, None if EVERY in labels else labels, reason, size)
    return value


@agent(
    "pseudonymiseAgent",
    category="privacy",
    effect="none",
    needs=["device"],
    named=True,
    labels=[PSEUDONYMS],
    inputs={"type": "object", "properties": {**_HIDDEN, "words": {}, "table": _TABLE}},
    params={"type": "object", "properties": {"words": {}, "kinds": {"type": "array", "items": {"enum": list(KINDS)}}}},
    samples=[
        Sample(
            {"text": "Ada Lovelace wrote to charles@example.org. Ada's letter is lost."},
            {},
            {
                "text": "PERSON_1 wrote to EMAIL_1. PERSON_1_FIRST's letter is lost.",
                "table": {
                    "PERSON_1": "Ada Lovelace",
                    "PERSON_1_FIRST": "Ada",
                    "PERSON_1_LAST": "Lovelace",
                    "EMAIL_1": "charles@example.org",
                },
            },
        ),
        Sample(
            {"value": {"project": "Bluebird", "from": "10.0.0.7"}},
            {"words": {"PROJECT": ["bluebird"]}, "kinds": ["IP"]},
            {"value": {"project": "PROJECT_1", "from": "IP_1"}, "table": {"PROJECT_1": "Bluebird", "IP_1": "10.0.0.7"}},
        ),
    ],
)
def pseudonymise_agent(context: AgentContext) -> Value:
    """Replaces what leads to a person in text, messages or value by PERSON_1, EMAIL_1 and the like; gives the same parts, and a table of both.

    Looked for are names of people, e-mail addresses, telephone numbers, IBANs and card numbers whose checksums hold, IP addresses and URLs
    (params.kinds: fewer of PERSON, EMAIL, PHONE, IBAN, CARD, IP, URL), and words: a list in params or inputs, or a map of lists by kind, {PROJECT:
    [Bluebird]}. No model is asked: what is not written as usual is missed, so look before you rely on it. With `table`, that of an earlier call,
    the same originals have the same pseudonyms. The table never leaves the device, and the text only behind a declassifyAgent that reads that part.
    """
    parts = {name: value for name in _PARTS if (value := given(context.inputs, name)) is not MISSING}
    if not parts:
        raise refuse("pseudonymiseAgent: there is nothing to look through: set inputs.text, messages or value")
    if not isinstance(parts.get("text", ""), str):
        raise refuse("pseudonymiseAgent: namedInputs.text is a text; data belongs into namedInputs.value")
    kinds: Any = given(context.params, "kinds")
    kinds = KINDS if kinds is MISSING else kinds
    if not isinstance(kinds, (list, tuple)) or not all(kind in KINDS for kind in kinds):
        raise refuse(f"pseudonymiseAgent: params.kinds is a list of {', '.join(KINDS)}")
    names = Pseudonyms(_table("pseudonymiseAgent", context, required=False), words=_words(context), kinds=kinds)
    try:
        hidden = names.hide(*parts.values())
    except ValueError as error:
        raise refuse(f"pseudonymiseAgent: {error}") from error
    return {**dict(zip(parts, hidden, strict=True)), "table": names.table}


@agent(
    "restoreAgent",
    category="privacy",
    effect="none",
    needs=["device"],
    named=True,
    labels=[PSEUDONYMS],
    inputs={"type": "object", "properties": {**_HIDDEN, "table": _TABLE}, "required": ["table"]},
    samples=[
        Sample(
            {
                "text": "Thank person_1's assistant, EMAIL_1.",
                "table": {"PERSON_1": "Ada Lovelace", "EMAIL_1": "charles@example.org"},
            },
            {},
            {"text": "Thank Ada Lovelace's assistant, charles@example.org."},
        )
    ],
)
def restore_agent(context: AgentContext) -> Value:
    """Puts the originals back in text, messages or value: `table` is that of the pseudonymiseAgent. Gives the same parts.

    A pseudonym counts in any case, with its underscore escaped, and with an ending such as 's; in capitals also with a dash or a blank for the
    underscore. What is not in the table stays. What comes out is as private as the table, and stays on the device.
    """
    parts = {name: value for name in _PARTS if (value := given(context.inputs, name)) is not MISSING}
    if not parts:
        raise refuse("restoreAgent: there is nothing to restore: set inputs.text, messages or value")
    table = _table("restoreAgent", context, required=True)
    try:
        return {name: restore(value, table) for name, value in parts.items()}
    except ValueError as error:
        raise refuse(f"restoreAgent: {error}") from error


def _table(name: str, context: AgentContext, *, required: bool) -> Mapping[str, str]:
    table: Any = given(context.inputs, "table")
    if table is MISSING and not required:
        return {}
    if not isinstance(table, dict) or not all(isinstance(each, str) for pair in table.items() for each in pair):
        raise refuse(f"{name}: namedInputs.table is the table that a pseudonymiseAgent gave")
    return table


def _words(context: AgentContext) -> dict[str, list[str]]:
    """The words to be hidden, by kind."""
    said = option(context, "words")
    if said is MISSING or said is None:
        return {}
    by_kind = {WORD: said} if isinstance(said, list) else said
    if not isinstance(by_kind, dict) or not all(isinstance(each, list) for each in by_kind.values()):
        raise refuse("pseudonymiseAgent: words is a list of texts, or a map of such lists by kind, {PROJECT: [Bluebird]}")
    for kind, words in by_kind.items():
        if not (kind.isascii() and kind.isalpha() and kind.isupper() and len(kind) <= _LONGEST_KIND):
            raise refuse(
                f"pseudonymiseAgent: the kind {kind!r} of some words has to be at most {_LONGEST_KIND} capitals, for instance PROJECT"
            )
        if not all(isinstance(word, str) and word.strip() and len(word) <= _LONGEST_WORD for word in words):
            raise refuse(f"pseudonymiseAgent: words are texts of at most {_LONGEST_WORD} characters")
    if sum(map(len, by_kind.values())) > _MOST_WORDS:
        raise refuse(f"pseudonymiseAgent: there are more than {_MOST_WORDS} words")
    return by_kind


AGENTS: Final = (declassify_agent, pseudonymise_agent, restore_agent)
