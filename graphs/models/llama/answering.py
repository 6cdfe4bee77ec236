"""The text of one answer while it is written: from the bytes of tokens to whole characters, up to its end."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from graphs.models.stopping import StopText

__all__ = ["Answer"]

_CALLING = ("{", "[")


class Answer:
    """Feed it the bytes of each token; it gives the text that may be shown now.

    With `calls` an answer that begins with a brace or a bracket is one or several calls of tools and is shown to nobody: `call` has it.
    """

    __slots__ = ("_calls", "_decoder", "_stop", "shown", "tokens", "written")

    def __init__(self, stop: Sequence[str] = (), *, calls: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = StopText(stop)
        self._calls = calls
        self.tokens = 0
        self.shown = ""
        self.written = ""

    @property
    def stopped(self) -> bool:
        """Whether a stop string came."""
        return self._stop.found

    @property
    def call(self) -> str | None:
        """The call or calls the answer is, as far as it is written; None for text."""
        return self.written if self._calls and self.written.lstrip().startswith(_CALLING) else None

    def feed(self, piece: bytes) -> str:
        """The text to show after a token."""
        self.tokens += 1
        text = self._decoder.decode(piece)
        if not self._calls:
            return self._show(self._stop.feed(text))
        self.written += text
        beginning = self.written.lstrip()
        if not beginning or beginning.startswith(_CALLING):
            return ""
        self._calls = False
        return self._show(self._stop.feed(self.written))

    def rest(self) -> str:
        """What was held back. Bytes of a character that the last token left unfinished are dropped."""
        return "" if self.call is not None else self._show(self._stop.rest())

    def reveal(self) -> str:
        """A call that is none after all, as text."""
        self._calls = False
        return self._show(self.written)

    def _show(self, text: str) -> str:
        self.shown += text
        return text
