"""Vectors for texts, beside the answers of the same model: a batch of texts at a time, between two batches of answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from graphs.models.llama_api import Aborted, Broken
from graphs.models.prompting import Refusal

__all__ = ["Embedder", "EmbeddingModel"]


class EmbeddingModel(Protocol):
    """What is asked of a model."""

    def tokenise(self, text: bytes, *, begin: bool) -> list[int]: ...
    def embedding_context(self) -> Any: ...


@dataclass(eq=False, slots=True)
class _Request:
    number: int
    texts: list[list[int]]
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
        """Takes a request. Raises Refusal for a text that is longer than the model reads at once."""
        if self._context is None:
            self._context = self._model.embedding_context()
        tokens = [self._model.tokenise(text.encode("utf-8", "replace"), begin=True) or [0] for text in texts]
        for place, each in enumerate(tokens):
            if len(each) > self._context.batch:
                raise Refusal(
                    "CONTEXT_TOO_LONG",
                    f"text {place} has {len(each)} tokens, and it reads at most {self._context.batch} at once for an embedding",
                    {"prompt_tokens": len(each), "context": self._context.batch},
                )
        self._requests.append(_Request(number, tokens, []))

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
            request.vectors += self._context.embed(self._together(request)) if request.texts else []
        except Aborted:
            return
        except Broken as error:
            self._requests.popleft()
            yield request.number, {"t": "error", "code": "MODEL_REFUSED", "message": f"llama.cpp failed: {error}", "detail": None}
            return
        if len(request.vectors) == len(request.texts):
            self._requests.popleft()
            yield request.number, {"t": "done", "vectors": request.vectors, "tokens": sum(map(len, request.texts))}

    def _together(self, request: _Request) -> list[list[int]]:
        """The next texts that fit one batch."""
        group: list[list[int]] = []
        for text in request.texts[len(request.vectors) :]:
            if len(group) == self._context.together or sum(map(len, group)) + len(text) > self._context.batch:
                break
            group.append(text)
        return group
