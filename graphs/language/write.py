"""Writing: a graph's document as YAML that people like to read and every reader of YAML 1.1 and 1.2 reads alike.

The reverse of `graphs.language.load`: `load_text(to_yaml(data)).data` is `data`, in the same order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from graphs.language.yaml12 import resolve
from graphs.values import Value

__all__ = ["to_yaml"]

_FITS: Final = 80
"""Letters that a list may take in one line."""
_LONGEST_KEY: Final = 1000
"""YAML reads a longer one only with a question mark before it."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_:./$(][^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]*", re.ASCII)
_WORDS_OF_1_1: Final = re.compile(r"(?i:y|n|yes|no|on|off)|[-+.0-9][-+.,:_0-9a-fxo]*|=|<<", re.IGNORECASE)
_IN_LIST: Final = re.compile(r"[\w$(][\w$() ./=+-]*", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


def to_yaml(document: Mapping[str, Value]) -> str:
    """The document as YAML, with a line end at its end. It is plain data, as a checked graph's document is."""
    return "".join(f"{line}\n" for line in _lines(document)) if document else "{}\n"


def _lines(value: Value) -> Iterator[str]:
    """A map or list that is not empty, in lines."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            written = _key(key)
            head = f"{written}:" if len(written) <= _LONGEST_KEY else f"? {written}\n:"
            yield from _after(head.split("\n"), item, is_list=False)
    else:
        for item in value:
            yield from _after(["-"], item, is_list=True)


def _after(head: list[str], value: Value, *, is_list: bool) -> Iterator[str]:
    """The value behind a key or a dash."""
    *before, last = head
    yield from before
    inline = _inline(value)
    if inline is not None:
        yield f"{last} {inline}"
    elif isinstance(value, str):
        yield f"{last} |" + ("" if value.endswith("\n") else "-")
        yield from (f"  {line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    elif is_list:
        first, *rest = _lines(value)
        yield f"{last} {first}"
        yield from (f"  {line}" if line else "" for line in rest)
    else:
        yield last
        yield from (f"  {line}" if line else "" for line in _lines(value))


def _inline(value: Value) -> str | None:
    """The value in one line; None for what takes several."""
    if isinstance(value, str):
        if _is_block(value):
            return None
        return value if _is_plain(value) else _quoted(value)
    if isinstance(value, Mapping):
        return None if value else "{}"
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, (Mapping, list, tuple)) for item in value):
            return None
        items = [_in_list(item) for item in value]
        return f"[{', '.join(items)}]" if not value or sum(map(len, items)) + 2 * len(items) <= _FITS else None
    return _bare(value)


def _in_list(value: Value) -> str:
    if not isinstance(value, str):
        return _bare(value)
    return value if _IN_LIST.fullmatch(value) and _is_plain(value) else _quoted(value)


def _bare(value: Value) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


def _is_block(text: str) -> bool:
    """Whether a text reads best as lines of its own, and may be written so."""
    lines = text.removesuffix("\n").split("\n")
    return (
        len(lines) > 1
        and bool(lines[0])
        and bool(lines[-1])
        and not lines[0][0].isspace()
        and all(line == line.rstrip() and (not line or line.isprintable()) for line in lines)
    )


def _is_plain(text: str) -> bool:
    return (
        _PLAIN.fullmatch(text) is not None
        and text == text.strip()
        and text.isprintable()
        and ": " not in text
        and " #" not in text
        and not text.endswith(":")
        and _WORDS_OF_1_1.fullmatch(text) is None
        and resolve(text) == text
    )


def _key(text: str) -> str:
    return text if _KEY.fullmatch(text) and _is_plain(text) else _quoted(text)


def _quoted(text: str) -> str:
    """In double quotes; JSON's are YAML's, but for characters that YAML does not allow in a file."""
    written = json.dumps(text, ensure_ascii=False)
    if written.isprintable():
        return written
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in written)
