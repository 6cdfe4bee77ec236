"""Secrets by name: a configuration says `{secret: NAME}`, and each side looks the name up in its own place, when it is needed.

The place is the environment variable of that name, else the entry in `secrets.yaml` in the side's folder. No value is ever part of
a configuration, a record, a message of an error, or a representation.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from graphs.errors import UsageError
from graphs.settings import read_settings

__all__ = ["SECRETS_FILE", "Secrets", "secret_name"]

SECRETS_FILE: Final = "secrets.yaml"

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Secrets:
    """The secrets of one side. `folder` is where its `secrets.yaml` may be."""

    def __init__(self, environ: Mapping[str, str], folder: Path | None = None) -> None:
        self._environ = environ
        self._file = folder / SECRETS_FILE if folder is not None else None

    def __repr__(self) -> str:
        return f"<Secrets of the environment and {self._file}>"

    @property
    def places(self) -> str:
        """Where secrets are looked for, in words."""
        return f"the environment and {self._file}" if self._file is not None else "the environment"

    def get(self, name: str) -> str | None:
        """The secret of that name, None if there is none.

        Raises UsageError for a file that others on this machine may read, or that is no map of names and texts.
        """
        if value := self._environ.get(name):
            return value
        if self._file is None or not self._file.is_file():
            return None
        if self._file.stat().st_mode & _OTHERS:
            raise UsageError(f"{self._file} holds secrets and may be read by others.", hint=f"chmod 600 {self._file}")
        try:
            value = read_settings(self._file).get(name)
        except UsageError:  # what it says of the mistake shows the line it is in
            raise UsageError(f"{self._file} is no map of names and texts in YAML.") from None
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{self._file}: the secret {name} is not a text")
        return value or None


def secret_name(entry: Any, where: str) -> str | None:
    """The name in `{secret: NAME}`, None for an entry that is not there. Raises UsageError, without repeating what stands there."""
    if entry is None:
        return None
    name = entry.get("secret") if isinstance(entry, Mapping) and set(entry) == {"secret"} else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{where}: a key is written as the name of a secret, never as the key itself, for instance\nkey: {{secret: MY_KEY}}",
            hint=f"The secret itself is the environment variable of that name, or an entry in {SECRETS_FILE} beside the configuration.",
        )
    return name
