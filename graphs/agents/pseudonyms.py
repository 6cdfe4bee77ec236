"""Pseudonyms: stable, readable stand-ins for what leads to a person, and the way back. Pure.

`hide` replaces in texts, messages and data what it finds by PERSON_1, EMAIL_1 and so on, and fills a table of pseudonym -> original; `restore` puts
the originals back, also where a model wrote a pseudonym otherwise than it was told to. The same original has the same pseudonym throughout, and two
spellings are two originals: what is hidden and restored is, letter for letter, what it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from graphs.agents.found_marks import FINDERS
from graphs.agents.found_names import find_names, find_parts, words_of
from graphs.values import Value

__all__ = ["KINDS", "PERSON", "WORD", "Pseudonyms", "restore"]

PERSON: Final = "PERSON"
WORD: Final = "WORD"
KINDS: Final = (*FINDERS, PERSON)
"""What is looked for unless fewer are asked for."""

_FIRST, _LAST = "_FIRST", "_LAST"
_NUMBERED: Final = re.compile(r"(?<![A-Za-z])([A-Za-z]{1,20})(?:\\?_|[ -])(\d{1,9})", re.ASCII)
_BEFORE: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_AFTER: Final = _BEFORE | {"_", "\\"}
"""What must not stand directly before or after a pseudonym, for it would be read as a part of it."""
_WRITTEN: Final = re.compile(
    r"(?<![A-Za-z0-9])([A-Za-z]{1,20})(\\?_|[ -])(\d{1,9})(?:\\?_((?i:FIRST|LAST))(?![A-Za-z0-9]))?(?!\d)", re.ASCII
)
_MOST_LEVELS: Final = 128


class Pseudonyms:
    """A table of pseudonyms that grows. `table` is what earlier texts left; `words` are further things to hide, by the kind that names them."""

    def __init__(
        self,
        table: Mapping[str, str] | None = None,
        *,
        words: Mapping[str, Collection[str]] | None = None,
        kinds: Collection[str] = KINDS,
    ) -> None:
        self.table: dict[str, str] = dict(table or {})
        self._names: dict[str, str] = {}
        for pseudonym, original in self.table.items():
            self._names.setdefault(original, pseudonym)
        self._last: dict[str, int] = {}
        self._kinds = [kind for kind in KINDS if kind in kinds]
        self._words = [(kind, _whole_words(each)) for kind, each in (words or {}).items() if each]
        self._avoid(self.table)

    def hide(self, *values: Value) -> list[Value]:
        """The values with pseudonyms in all their texts, keys of maps included; the table has what they stand for. Raises ValueError for a value that
        is nested too deep.
        """
        texts = list(dict.fromkeys(text for value in values for text in _texts(value)))
        self._avoid(texts)
        found = {text: _apart(text, self._find(text)) for text in texts}
        people = [text[start:end] for text, spans in found.items() for start, end, kind in spans if kind == PERSON]
        for name in people:  # whole names first: what is part of one is called after it
            if len(words_of(name)) > 1:
                self._name(PERSON, name)
        hidden = {text: self._replaced(text, spans) for text, spans in found.items()}
        return [_mapped(value, hidden.__getitem__) for value in values]

    # -- finding

    def _find(self, text: str) -> list[tuple[int, int, str]]:
        """What is to be hidden in a text, without overlaps: what is asked for by name first, then by kind."""
        taken: list[tuple[int, int, str]] = []
        for kind, pattern in self._words:
            _add(taken, kind, (match.span() for match in pattern.finditer(text)))
        for kind in self._kinds:
            _add(taken, kind, find_names(text) if kind == PERSON else FINDERS[kind](text))
        return sorted(taken)

    def _replaced(self, text: str, spans: list[tuple[int, int, str]]) -> str:
        spans = list(spans)
        if PERSON in self._kinds:
            parts = frozenset(
                self.table[name] for name in self.table if name.endswith((_FIRST, _LAST)) and len(self.table[name]) > 1
            )
            if parts:
                _add(spans, PERSON, find_parts(text, parts))
        pieces, at = [], 0
        for start, end, kind in _apart(text, spans):
            pieces += [text[at:start], self._name(kind, text[start:end])]
            at = end
        return "".join([*pieces, text[at:]])

    # -- naming

    def _name(self, kind: str, original: str) -> str:
        known = self._names.get(original)
        if known is not None:
            return known
        number = self._last[kind] = self._last.get(kind, 0) + 1
        name = f"{kind}_{number}"
        self.table[name] = original
        self._names[original] = name
        words = words_of(original) if kind == PERSON else []
        if len(words) > 1:
            for suffix, word in ((_FIRST, words[0]), (_LAST, words[-1])):
                self.table[name + suffix] = word
                self._names.setdefault(word, name + suffix)
        return name

    def _avoid(self, texts: Iterable[str]) -> None:
        """Use no pseudonym that stands in a text already, where it means something else."""
        for text in texts:
            for match in _NUMBERED.finditer(text):
                kind = match[1].upper()
                self._last[kind] = max(self._last.get(kind, 0), int(match[2]))


def restore(value: Value, table: Mapping[str, str]) -> Value:
    """The value with originals for pseudonyms, in whatever case a model wrote them, with an escaped underscore, or with an ending such as 's.

    In capitals a dash or a blank counts as the underscore. What is not in the table stays. Raises ValueError for a value that is nested too deep.
    """

    def original(match: re.Match[str]) -> str:
        kind, between, number, part = match.groups()
        if between in ("-", " ") and not kind.isupper():
            return match[0]
        name = f"{kind.upper()}_{int(number)}"
        if part is None:
            return table.get(name, match[0])
        return table.get(f"{name}_{part.upper()}", match[0])

    return _mapped(value, lambda text: _WRITTEN.sub(original, text))


def _add(taken: list[tuple[int, int, str]], kind: str, spans: Iterable[tuple[int, int]]) -> None:
    """Add what overlaps nothing that is taken already."""
    held = sorted(taken)
    at = 0
    for start, end in sorted(spans):
        while at < len(held) and held[at][1] <= start:
            at += 1
        if start < end and (at == len(held) or held[at][0] >= end):
            taken.append((start, end, kind))


def _apart(text: str, spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """The spans in order, each with the letters and digits that adjoin it; those that touch then are one."""
    joined: list[tuple[int, int, str]] = []
    for start, end, kind in sorted(spans):
        while start > 0 and text[start - 1] in _BEFORE:
            start -= 1
        while end < len(text) and text[end] in _AFTER:
            end += 1
        if joined and joined[-1][1] >= start:
            before = joined.pop()
            start, end, kind = before[0], max(before[1], end), before[2]
        joined.append((start, end, kind))
    return joined


def _whole_words(words: Collection[str]) -> re.Pattern[str]:
    """Finds any of these, letter for letter in any case, where no letter or digit adjoins; the longest first."""
    each = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])(?:{each})(?![^\W_])", re.IGNORECASE)


def _texts(value: Value, depth: int = 0) -> Iterator[str]:
    """The texts in a value, but for pictures and the like that are written as data URLs."""
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield value
    elif depth > _MOST_LEVELS:
        raise ValueError(f"a value nested deeper than {_MOST_LEVELS} levels is not looked through")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item, depth + 1)


def _mapped(value: Value, change: Callable[[str], str], depth: int = 0) -> Value:
    if isinstance(value, str):
        return value if value.startswith("data:") else change(value)
    if depth > _MOST_LEVELS:
        raise ValueError(f"a value nested deeper than {_MOST_LEVELS} levels is not looked through")
    if isinstance(value, Mapping):
        return {_mapped(key, change): _mapped(item, change, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(item, change, depth + 1) for item in value]
    return value
