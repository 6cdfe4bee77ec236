"""Loading: a graph's text, or Python data, becomes a document of plain values with the place of each.

YAML is read by version 1.2's rules, JSON as JSON. What keeps a text from being read at all raises `GraphInvalid`; what does not
(a duplicate key, a tag) is kept in the document's marks, for `check` to report together with everything else.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from graphs.errors import GraphInvalid, Problem
from graphs.language.builder import MAX_DEPTH, Builder
from graphs.language.marks import Mark, Marks
from graphs.language.plain import copy_plain
from graphs.language.yaml12 import read_yaml, resolve
from graphs.values import Value

__all__ = ["MAX_SIZE", "Document", "load", "load_data", "load_file", "load_text"]

MAX_SIZE: Final = 32 * 2**20
"""Bytes a graph's file may have."""

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^\s,:\[\]{}"]+')
_NOT_JSON: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
"""What Python's json writes and reads although JSON does not have it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A graph as it was written: plain data, and where each value stands if it came from a text.

    `loaded` counts the graphs of other files in it (`graphLoader`): where there are any, the text alone is not the graph.
    """

    data: Value
    marks: Marks | None = None
    file: str | None = None
    text: str | None = None
    loaded: int = 0


def load(source: str | bytes | Path | Mapping[str, Any], *, file: str | None = None) -> Document:
    """The document in a file, a text or Python data.

    A str is a text if it has a line end or begins with a brace, otherwise the name of a file. `file` is the name to show.
    Raises GraphInvalid if it cannot be read.
    """
    if isinstance(source, Path):
        return load_file(source, file=file)
    if isinstance(source, bytes):
        return load_text(source, file=file)
    if not isinstance(source, str):
        return load_data(source, file=file)
    if "\n" in source or source.lstrip().startswith("{"):
        return load_text(source, file=file)
    return load_file(Path(source), file=file)


def load_file(path: Path, *, file: str | None = None) -> Document:
    """The document in a file of YAML or JSON. Raises GraphInvalid if it cannot be read."""
    name = file or str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(f"cannot read {name}: {reason}", name, suggestion=_similar_file(path)) from error
    return load_text(content, file=name)


def load_text(text: str | bytes, *, file: str | None = None) -> Document:
    """The document in a text of YAML or JSON. Raises GraphInvalid if it cannot be read."""
    if len(text) > MAX_SIZE:
        raise _unreadable(f"the graph is larger than {MAX_SIZE // 2**20} MiB", file, code="GF108")
    if isinstance(text, bytes):
        text = _decode(text, file)
    text = text.removeprefix("\ufeff")
    builder = Builder(text, file)
    begins_as_json = text.lstrip()[:1] in ("{", "[")
    json_error = _json_error(text) if begins_as_json or (file or "").endswith(".json") else None
    if begins_as_json and json_error is None:
        _read_json(text, builder)
    else:
        _read_yaml(text, builder, json_error, file)
    data, marks = builder.finish()
    return Document(data, marks, file, text)


def load_data(data: Any, *, file: str | None = None) -> Document:
    """The document that Python data describes: tuples count as lists, keys that are numbers, booleans or None as their text.

    Raises GraphInvalid for what is not data, for for what exceeds the limits of depth and size.
    """
    return Document(copy_plain(data, file), None, file)


def _read_yaml(text: str, builder: Builder, json_error: Problem | None, file: str | None) -> None:
    try:
        read_yaml(text, builder)
    except GraphInvalid as error:
        if json_error is not None and error.problems[-1].code == "GF101" and _is_json(text, file):
            raise GraphInvalid([json_error._replace(file=file)], file=file) from error
        raise


def _is_json(text: str, file: str | None) -> bool:
    """Whether a text that is neither was rather meant as JSON."""
    return (file or "").endswith(".json") or re.match(r'\s*\{\s*"', text) is not None


def _json_error(text: str) -> Problem | None:
    try:
        json.loads(text, parse_int=float)  # only its grammar counts here
    except json.JSONDecodeError as error:
        where = Marks(Mark(0, 0), text).at(error.pos, error.pos + 1)
        return Problem("GF101", f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}", (), None, *where)
    except RecursionError:
        return Problem("GF108", f"nested deeper than {MAX_DEPTH} levels", (), None, 1, 1)
    return None


def _read_json(text: str, builder: Builder) -> None:
    """Push a text that is known to be well-formed JSON."""
    for match in _JSON_TOKEN.finditer(text):
        token, (start, end) = match[0], match.span()
        first = token[0]
        if first == '"':
            builder.scalar(json.loads(token, strict=False) if "\\" in token else token[1:-1], start, end)
        elif first == "{":
            builder.open_map(start, end)
        elif first == "[":
            builder.open_list(start, end)
        elif first in "]}":
            builder.close(end)
        else:
            builder.scalar(_NOT_JSON[token] if token in _NOT_JSON else resolve(token), start, end)


def _decode(content: bytes, file: str | None) -> str:
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="replace")
        where = Marks(Mark(0, 0), before + "?").at(len(before), len(before) + 1)
        byte = content[error.start : error.start + 1].hex()
        problem = Problem("GF100", f"not UTF-8: byte 0x{byte}; save the file as UTF-8", (), file, *where)
        raise GraphInvalid([problem], file=file) from error


def _unreadable(message: str, file: str | None, *, code: str = "GF100", suggestion: str | None = None) -> GraphInvalid:
    return GraphInvalid([Problem(code, message, (), file, suggestion=suggestion)], file=file)


def _similar_file(path: Path) -> str | None:
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml", ".json")]
    except (OSError, ValueError):
        return None
    stems = {name.partition(".")[0]: name for name in names}  # by what differs: all of them end alike
    close = get_close_matches(path.name.partition(".")[0], stems, n=1)
    return f'did you mean "{stems[close[0]]}"?' if close else None
