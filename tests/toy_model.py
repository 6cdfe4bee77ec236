"""A model of bytes for tests of the engine: it keeps the promises of graphs.models.llama.api.Llama, and its next token depends on every
token its cache holds for the sequence. So an answer that is right shows that all of its prompt lay where it belongs."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphs.models.llama.api import Aborted, Broken, NoRoom

END = 256
WORDS = 257


class ToyModel:
    """A token is a byte; `END` ends an answer. `answer` says the next token for a sequence's tokens."""

    def __init__(
        self, answer: Callable[[list[int]], int] | None = None, *, context: int = 4096, batch: int = 64, sequences: int = 24
    ) -> None:
        self.answer = answer or spoken
        self.context, self.batch, self.sequences = context, batch, sequences
        self.shares = self.generates = True
        self.parameters, self.offloads = 1000, False
        self.stopped: Callable[[], bool] = lambda: False
        self.cells: list[tuple[int, int, set[int]]] = []
        self.computed = 0
        self.batches: list[int] = []
        self.before: Callable[[], None] = lambda: None
        self.grammars: list[ToyGrammar] = []

    def tokenise(self, text: bytes, *, begin: bool) -> list[int]:
        return list(text)

    def piece(self, token: int) -> bytes:
        return bytes([token])

    def ends(self, token: int) -> bool:
        return token == END

    def decode(self, rows: Sequence[tuple[int, int, int, bool]], *, stoppable: bool = True) -> Any:
        assert 0 < len(rows) <= self.batch
        self.before()
        if len(self.cells) + len(rows) > self.context:
            raise NoRoom
        if stoppable and self.stopped():
            raise Aborted
        self.computed += len(rows)
        self.batches.append(len(rows))
        lines = []
        for token, position, sequence, wanted in rows:
            assert 0 <= sequence < self.sequences
            assert position == self.held(sequence), "a hole in the cache"
            self.cells.append((position, token, {sequence}))
            if wanted:
                line: Any = np.zeros(WORDS, np.float32)
                line[self.answer(self.text(sequence))] = 10.0
                lines.append(line)
        return np.array(lines) if lines else None

    def text(self, sequence: int) -> list[int]:
        return [token for _, token, owners in sorted(self.cells, key=lambda cell: cell[0]) if sequence in owners]

    def copy(self, source: int, target: int, count: int) -> None:
        assert not self.held(target), "copied over something"
        assert count <= self.held(source)
        for position, _, owners in self.cells:
            if source in owners and position < count:
                owners.add(target)

    def cut(self, sequence: int, count: int = 0) -> None:
        for position, _, owners in self.cells:
            if position >= count:
                owners.discard(sequence)
        self.cells = [cell for cell in self.cells if cell[2]]

    def held(self, sequence: int) -> int:
        return sum(sequence in owners for _, _, owners in self.cells)

    def clear(self) -> None:
        self.cells = []

    def save(self, sequence: int) -> bytes:
        return bytes(self.text(sequence))

    def restore(self, sequence: int, state: bytes) -> bool:
        if len(self.cells) + len(state) > self.context:
            return False
        self.cells += [(position, token, {sequence}) for position, token in enumerate(state)]
        return True

    def grammar(self, rules: str) -> ToyGrammar:
        if rules == "unparsable":
            raise ValueError("it does not parse")
        self.grammars.append(ToyGrammar(rules))
        return self.grammars[-1]

    def embedding_context(self) -> ToyEmbeddings:
        return ToyEmbeddings()


class ToyGrammar:
    """Allows the characters of its rules, one after the other, then the end; none at all of the rules 'stuck'."""

    def __init__(self, rules: str) -> None:
        self.left = [*rules.encode(), END]
        self.closed = False
        self.stuck = rules == "stuck"

    def allows(self, token: int) -> bool:
        return not self.stuck and token == self.left[0]

    def allowed(self, tokens: Any) -> Any:
        return tokens[tokens == self.left[0]] if not self.stuck else tokens[:0]

    def accept(self, token: int) -> None:
        assert self.allows(token)
        self.left.pop(0)

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class ToyEmbeddings:
    batch = 20
    together = 3

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.fails: Exception | None = None

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        assert 0 < len(texts) <= self.together
        assert sum(map(len, texts)) <= self.batch
        if self.fails is not None:
            raise self.fails
        self.calls.append(len(texts))
        return [[float(text[0]), float(len(text))] for text in texts]


def spoken(tokens: list[int]) -> int:
    """A letter that depends on all tokens; now and then the end."""
    chance = random.Random(zlib.crc32(bytes(tokens)))
    return END if chance.random() < 0.05 else ord("a") + chance.randrange(26)


def written(prompt: bytes, limit: int, answer: Callable[[list[int]], int] = spoken) -> tuple[str, str]:
    """What a model says to a prompt when nothing else happens, and how it ends."""
    tokens = list(prompt)
    while len(tokens) - len(prompt) < limit:
        token = answer(tokens)
        if token == END:
            return bytes(tokens[len(prompt) :]).decode(), "stop"
        tokens.append(token)
    return bytes(tokens[len(prompt) :]).decode(), "length"


__all__ = ["END", "Broken", "ToyEmbeddings", "ToyGrammar", "ToyModel", "spoken", "written"]
