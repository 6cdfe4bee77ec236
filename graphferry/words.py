"""The parser of a command's words: what is wrong with them is an error like any other, in one line and with what to do."""

from __future__ import annotations

import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NoReturn

from graphs.errors import UsageError

__all__ = ["Words"]

_UNKNOWN = re.compile(r"unrecognized arguments: (-[^ =]*)")


class Words(ArgumentParser):
    """An `ArgumentParser` that raises UsageError, where argparse prints the whole usage, and that knows what may have been meant."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}", hint=f"{self._meant(message)}{self.prog} --help shows the options.")

    def _meant(self, message: str) -> str:
        if not (unknown := _UNKNOWN.match(message)):
            return ""
        options = list(_options(self))
        if elsewhere := [name for name, option in options if option == unknown[1]]:
            return f"It is an option of {', '.join(elsewhere)}. "
        close = get_close_matches(unknown[1], [option for _, option in options], 1)
        return f"Did you mean {close[0]}? " if close else ""


def _options(parser: ArgumentParser) -> Iterator[tuple[str, str]]:
    """All options of a command, and whose each is, those of its sub-commands included: argparse does not say which of them the words were for."""
    for action in parser._actions:
        yield from ((parser.prog, option) for option in action.option_strings)
        if isinstance(action, _SubParsersAction):
            for each in action.choices.values():
                yield from _options(each)
