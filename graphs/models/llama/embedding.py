"""Vectors for texts, beside the answers of the same model: a batch of texts at a time, between two batches of answers.

A text too long for a batch is read in parts of equal length. Its vector is the mean of theirs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from graphs.models.llama.api import Aborted, Broken
from graphs.models.llama.prompting import Refusal

__all__ = ["MAX_PARTS", "Embedder", "EmbeddingModel"]

MAX_PARTS: Final = 32
"""Parts a text may have."""


class EmbeddingModel(Protocol):
    """What is asked of a model."""

    def tokenise(self, text: bytes, *, begin: bool) -> list[int]: ...
    def embedding_context(self) -> Any: ...


@dataclass(eq=False, slots=True)
class _Request:
    """`parts` of all texts in their order; `counts` says how many each text has."""

    number: int
    parts: list[list[int]]
    counts: list[int]
    vectors: list[list[float]]


class Embedder:
    """The requests for vectors, one after the other. Its context is made when the first comes."""

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model
        self._context: Any = None
        self._requests: deque[_Request] = deque()

    def __bool__(self) -> bool:
        return bool(self._requests)

    def add(self, number: int, texts: Sequence[str]) -> None:
        """Takes a request. Raises Refusal for a text of more than `MAX_PARTS` parts."""
        if self._context is None:
            self._context = self._model.embedding_context()
        request = _Request(number, [], [], [])
        for place, text in enumerate(texts):
            tokens = self._model.tokenise(text.encode("utf-8", "replace"), begin=True) or [0]
            if len(tokens) > MAX_PARTS * self._context.batch:
                raise Refusal(
                    "CONTEXT_TOO_LONG",
                    f"text {place} has {len(tokens)} tokens, and at most {MAX_PARTS * self._context.batch} are read for an embedding",
                    {"prompt_tokens": len(tokens), "context": MAX_PARTS * self._context.batch},
                )
            parts = _parts(tokens, self._context.batch)
            request.parts += parts
            request.counts.append(len(parts))
        self._requests.append(request)

    @property
    def number(self) -> int:
        """The request that is next."""
        return self._requests[0].number

    def cancel(self, number: int) -> bool:
        """Drops a request; whether there was one."""
        found = [request for request in self._requests if request.number == number]
        for request in found:
            self._requests.remove(request)
        return bool(found)

    def step(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Computes one batch; the frame of the request that ends with it. One that is interrupted goes on with the next step."""
        request = self._requests[0]
        try:
            request.vectors += self._context.embed(self._together(request)) if request.parts else []
        except Aborted:
            return
        except Broken as error:
            self._requests.popleft()
            yield request.number, {"t": "error", "code": "MODEL_REFUSED", "message": f"llama.cpp failed: {error}", "detail": None}
            return
        if len(request.vectors) == len(request.parts):
            self._requests.popleft()
            yield request.number, {"t": "done", "vectors": _whole(request), "tokens": sum(map(len, request.parts))}

    def _together(self, request: _Request) -> list[list[int]]:
        """The next texts that fit one batch."""
        group: list[list[int]] = []
        for text in request.parts[len(request.vectors) :]:
            if len(group) == self._context.together or sum(map(len, group)) + len(text) > self._context.batch:
                break
            group.append(text)
        return group


def _parts(tokens: list[int], most: int) -> list[list[int]]:
    count = math.ceil(len(tokens) / most)
    return [tokens[len(tokens) * part // count : len(tokens) * (part + 1) // count] for part in range(count)]


def _whole(request: _Request) -> list[list[float]]:
    """A vector for each text."""
    vectors, start = [], 0
    for count in request.counts:
        parts = request.vectors[start : start + count]
        start += count
        if count > 1:
            sums = [math.fsum(column) for column in zip(*parts, strict=True)]
            length = math.hypot(*sums) or 1.0
            parts = [[each / length for each in sums]]
        vectors += parts
    return vectors
