"""Token streams: what an attempt has said so far, at its writer and at its reader.

A stream is addressed by the log and the seq of the attempt's EVENT executing; offsets count tokens. It lives until the attempt's RESULT or ERROR;
nothing of it is durable (docs/protocol.md §10, §15).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from graphs.errors import LinkCondition
from graphs.records import MAX_UINT, End, Error, Event, Record, Result, State
from graphs.values import Value, canonical
from protocol import codec
from protocol.messages import Delta
from protocol.store import OpenAttempt

__all__ = ["MAX_TOKEN", "Stream", "Streams", "Texts", "piece_size", "pieces"]

MAX_TOKENS: Final = 2048
"""Of one DELTA."""
MAX_TOKEN: Final = 16 * 1024
"""Bytes of one token."""


_SHORT: Final = MAX_TOKEN // 4
"""Characters of text that are surely one token: each has at most four bytes."""


class Stream:
    """The tokens of one attempt, at the side that runs it."""

    __slots__ = ("behind", "path", "pending", "sent", "sizes", "start", "tokens", "withheld")

    def __init__(self, start: int, path: str, withheld: bool) -> None:
        self.start = start
        self.path = path
        self.withheld = withheld
        self.tokens: list[Value] = []
        self.sizes: list[int] = []
        self.sent = 0
        self.pending = 0
        """Bytes not sent; a token has at least one."""
        self.behind = False
        """Whether what is pending may be merged: a catch-up, or the socket was full."""

    def add(self, tokens: Sequence[Value]) -> int:
        """Append tokens; the bytes of all together. Raises LinkCondition VALUE_TOO_LARGE, and then appends none."""
        if len(tokens) == 1:
            token = tokens[0]
            if token.__class__ is str and 0 < len(token) <= _SHORT and token.isascii():  # as nearly every one
                self.tokens.append(token)
                size = len(token)
                self.sizes.append(size)
                self.pending += size
                return size
        split: Sequence[Value] = tokens
        sizes = [len(token) if token.__class__ is str and 0 < len(token) <= _SHORT and token.isascii() else 0 for token in tokens]
        if not all(sizes):  # not just short pieces of text
            split = [piece for token in tokens for piece in pieces(token)]
            sizes = [piece_size(piece) for piece in split]
        self.tokens += split
        self.sizes += sizes
        size = sum(sizes)
        self.pending += size
        return size

    def rewind(self, off: int) -> None:
        """The peer shows `off` tokens: go on from there, in as few tokens as possible."""
        self.sent = min(off, len(self.tokens))
        self.pending = sum(self.sizes[self.sent :])
        self.behind = True

    def take_all(self, room: int) -> tuple[int, list[Value]] | None:
        """The offset of what is pending, and all of it, if that is one message of at most `room` bytes and none is merged; else None: `take`."""
        off = self.sent
        if self.behind or self.pending > room or len(self.tokens) - off > MAX_TOKENS:
            return None
        tokens = self.tokens[off:]
        self.sent = off + len(tokens)
        self.pending = 0
        return off, tokens

    def take(self, alias: int, room: int) -> Iterator[Delta]:
        """What is pending, as messages of about `room` bytes together, and at least one token."""
        while self.sent < len(self.tokens) and room > 0:
            off, end, size = self.sent, self.sent, 0
            while end < len(self.tokens) and end - off < MAX_TOKENS and (not size or size + self.sizes[end] <= room):
                size += self.sizes[end]
                end += 1
            tokens = self.tokens[off:end]
            self.sent = end
            self.pending -= size
            room -= size
            merged = _merge(tokens) if self.behind and len(tokens) > 1 else None
            yield (
                Delta(alias, self.start, off, tokens) if merged is None else Delta(alias, self.start, off, [merged], len(tokens))
            )
        if self.sent == len(self.tokens):
            self.behind = False


def _merge(tokens: Sequence[Value]) -> str | bytes | None:
    if all(type(token) is str for token in tokens):
        return "".join(tokens)
    if all(type(token) is bytes for token in tokens):
        return b"".join(tokens)
    return None


class Streams:
    """The streams of a log this side writes."""

    __slots__ = ("_by_path", "by_start", "closing")

    def __init__(self) -> None:
        self._by_path: dict[str, Stream] = {}
        self.by_start: dict[int, Stream] = {}
        self.closing: dict[int, Stream] = {}
        """By the seq of the record that ends them: what is pending leaves just before it."""

    def appended(self, seq: int, record: Record, withheld: bool) -> None:
        """A record was appended: it may begin or end streams. `withheld`: the peer must not see the tokens."""
        if isinstance(record, Event):
            if record.path is not None and record.state == State.EXECUTING:
                self._end(record.path)
                stream = Stream(seq, record.path, withheld)
                self._by_path[record.path] = self.by_start[seq] = stream
        elif isinstance(record, (Result, Error)):
            if record.path is not None and self._by_path and (ended := self._end(record.path)) is not None:
                self.closing[seq] = ended
        elif isinstance(record, End):
            self._by_path.clear()
            self.by_start.clear()

    def _end(self, path: str) -> Stream | None:
        stream = self._by_path.pop(path, None)
        if stream is not None:
            del self.by_start[stream.start]
        return stream

    def ready(self, sent: int) -> Iterator[Stream]:
        """Streams with something pending whose EVENT executing went out."""
        return (stream for stream in self.by_start.values() if stream.pending and stream.start <= sent)

    def disconnected(self) -> None:
        """A lost connection: start again from the beginning unless the peer says otherwise; ended streams are dropped."""
        self.closing.clear()
        for stream in self.by_start.values():
            stream.rewind(0)


class _Text:
    __slots__ = ("at", "count", "path", "start")

    def __init__(self, start: int, path: str, at: int) -> None:
        self.start = start
        self.path = path
        self.at = at
        self.count = 0


class Texts:
    """How much of each open attempt's stream was shown, at the side that reads."""

    __slots__ = ("_by_path", "by_start")

    def __init__(self, attempts: Sequence[OpenAttempt]) -> None:
        self._by_path: dict[str, _Text] = {}
        self.by_start: dict[int, _Text] = {}
        """Of the attempts that are open, by the seq of the record that began them."""
        for attempt in attempts:
            self._begin(_Text(*attempt))

    def _begin(self, text: _Text) -> None:
        self._end(text.path)
        self._by_path[text.path] = self.by_start[text.start] = text

    def _end(self, path: str) -> None:
        text = self._by_path.pop(path, None)
        if text is not None:
            del self.by_start[text.start]

    def accepted(self, seq: int, record: Record) -> None:
        """A record was accepted: it may begin or end a text."""
        if isinstance(record, Event):
            if record.path is not None and record.state == State.EXECUTING:
                self._begin(_Text(seq, record.path, record.at))
        elif isinstance(record, (Result, Error)):
            if record.path is not None and self._by_path:
                self._end(record.path)
        elif isinstance(record, End):
            self._by_path.clear()
            self.by_start.clear()

    def shown(self) -> list[tuple[int, int]]:
        """(start, tokens shown) of each open attempt."""
        return [(text.start, text.count) for text in self.by_start.values()]

    def take(self, delta: Delta) -> tuple[str, int, int, Sequence[Value], int] | None:
        """(path, at, off, tokens, n) that are new in a DELTA, or None: an attempt that is over, a gap, or all seen before."""
        _, start, begin, tokens, count = delta
        text = self.by_start.get(start)
        if text is None or begin > text.count:
            return None
        if begin == text.count and count is None and tokens:  # what comes next, as nearly all does
            n = len(tokens)
            if begin + n > MAX_UINT:
                return None
            text.count = begin + n
            return text.path, text.at, begin, tokens, n
        off, tokens, n = text.count, delta.data, len(delta.data) if delta.n is None else delta.n
        seen = off - delta.off
        if seen:
            if n != len(tokens):
                return None  # merged tokens cannot be cut; a correct peer merges only from where we stand
            tokens = tokens[seen:]
        if n <= seen or delta.off + n > MAX_UINT:
            return None
        text.count = delta.off + n
        return text.path, text.at, off, tokens, n - seen


def pieces(token: Value) -> Sequence[Value]:
    """A token as pieces that may be sent: a long text or many bytes are split."""
    if isinstance(token, (str, bytes)):
        longest = _SHORT if isinstance(token, str) else MAX_TOKEN
        if len(token) > longest:
            return [token[start : start + longest] for start in range(0, len(token), longest)]
    return (token,)


def piece_size(token: Value) -> int:
    """Bytes of a piece. Raises LinkCondition VALUE_TOO_LARGE for a map of more than `MAX_TOKEN`."""
    if type(token) is str and token.isascii():
        return len(token) or 1
    size = len(canonical(token))
    if size > MAX_TOKEN + 8 or codec.excess([token], size) is not None:
        raise LinkCondition(
            "VALUE_TOO_LARGE", f"A streamed piece of {size:,} bytes, the limit is {MAX_TOKEN:,}.", retryable=False
        )
    return size
