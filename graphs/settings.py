"""Configuration files: one map of entries in YAML, on either side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphs.errors import UsageError

__all__ = ["read_settings"]


def read_settings(path: Path) -> Mapping[str, Any]:
    """The entries of a configuration file; none of an empty one. Raises UsageError naming the file."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, Mapping):
        raise UsageError(f"{path}: expected a map of entries, got {type(data).__name__}")
    return data
