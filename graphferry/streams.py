"""The standard streams of this process, whatever whoever started it has left of them."""

from __future__ import annotations

import codecs
import os
import sys
from typing import Final

__all__ = ["ESCAPED", "make_usable"]

ESCAPED: Final = "graphferry-escaped"
"""How characters are written that a stream's encoding lacks: as JSON and YAML write them, so that what was JSON still is."""

_NAMES: Final = ("stdin", "stdout", "stderr")


def make_usable() -> None:
    """Lets every command read and write its streams. To be called once, before any file is opened.

    A stream that was closed (`>&-`, a service without one) is opened on nothing: its number would go to the next file, a journal for
    instance, and what is printed into that. A terminal or a file that cannot show a character gets it escaped, instead of an error in the
    place of a result.
    """
    for number, name in enumerate(_NAMES):
        _require_open(number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays open as long as the process
    codecs.register_error(ESCAPED, _escaped)
    if getattr(sys.stdout, "errors", None) in ("strict", "surrogateescape") and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors=ESCAPED)


def _require_open(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # the system gives the lowest number that is free: this one


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)), error.end
