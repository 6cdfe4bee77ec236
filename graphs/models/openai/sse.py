"""Server-sent events: from the bytes of a stream to the data of its events. Pure; nothing a server sends costs unbounded memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final

__all__ = ["MAX_EVENT", "EventStream", "SseError"]

MAX_EVENT: Final = 1 << 20
"""Characters the data of one event may have, its lines together."""


class SseError(Exception):
    """Bytes that are no stream of events, or more of them than one event may have."""


class EventStream:
    """Feed it pieces of the stream as they come, cut anywhere; it gives the data of each event that became whole.

    Lines end with LF, CRLF or CR; several `data` lines are joined; comments, ids and names of events are left out.
    """

    __slots__ = ("_data", "_decoder", "_held", "_size", "_skip_lf", "_waiting")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._held: list[str] = []
        self._waiting = 0
        self._data: list[str] = []
        self._size = 0
        self._skip_lf = False

    def feed(self, piece: bytes) -> Iterator[str]:
        """The data of the events that end in this piece. Raises SseError; the stream is of no use afterwards."""
        try:
            text = self._decoder.decode(piece)
        except UnicodeDecodeError as error:
            raise SseError("it is not UTF-8") from error
        if self._skip_lf and text:
            text = text.removeprefix("\n")
            self._skip_lf = False
        if not text:
            return
        # A CR at the very end may be the first half of a CRLF: it ends its line now, and an LF that follows belongs to it.
        self._skip_lf = text.endswith("\r")
        first, *lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._held.append(first)  # joined once its line is whole: a long line may come in many small pieces
        self._waiting += len(first)
        for line in lines:
            data = self._line("".join(self._held))
            self._held, self._waiting = [line], len(line)
            if data is not None:
                yield data
        self._bound(self._waiting)

    def _line(self, line: str) -> str | None:
        if not line:
            data, self._data, self._size = self._data, [], 0
            return "\n".join(data) if data else None
        self._bound(len(line))
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
            self._size += len(value)
        return None

    def _bound(self, more: int) -> None:
        if self._size + more > MAX_EVENT:
            raise SseError(f"one event has more than {MAX_EVENT} characters")
