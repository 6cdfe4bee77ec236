"""Configuration files: one map of entries in YAML, on either side."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from graphs.errors import UsageError, why_failed

__all__ = ["read_settings", "unknown_entry"]


def read_settings(path: Path) -> Mapping[str, Any]:
    """The entries of a configuration file; none of an empty one. Raises UsageError naming the file."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise UsageError(f"{path}{where}: {error.problem or error}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {why_failed(error)}") from error
    if not isinstance(data, Mapping):
        raise UsageError(f"{path}: expected a map of entries, got {type(data).__name__}")
    return data


def unknown_entry(where: object, key: object, known: Collection[str]) -> UsageError:
    """The error for an entry that there is not, with the one that was probably meant."""
    from difflib import get_close_matches

    close = get_close_matches(str(key), known, 1)
    return UsageError(
        f"{where}: unknown entry {key!r}; known are {', '.join(sorted(known))}",
        hint=f"Did you mean {close[0]!r}?" if close else None,
    )
