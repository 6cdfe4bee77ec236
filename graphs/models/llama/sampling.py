"""The choice of the next token from a line of logits. Used inside the child process: it needs numpy.

Written here rather than with llama.cpp's samplers: those copy and sort the whole vocabulary for each token, which takes as long as a
tenth of the model itself when that is small. What is likelier than a twentieth of the likeliest is a handful, found in microseconds.
"""

from __future__ import annotations

import math
import random
from typing import Any, Final, Protocol

import numpy as np

__all__ = ["MIN_P", "TOP_K", "Chooser", "Grammatical", "Stuck", "Surety"]

MIN_P: Final = 0.05
"""Tokens less likely than this part of the likeliest are never drawn."""

TOP_K: Final = 40

_REACH: Final = -math.log(MIN_P)
_WINDOWS: Final = (6.0, 14.0, math.inf)


class Stuck(Exception):
    """No token of the vocabulary continues the answer as its grammar demands."""


class Grammatical(Protocol):
    """What the choice asks of a grammar."""

    def allows(self, token: int) -> bool: ...

    def allowed(self, tokens: Any) -> Any: ...

    def accept(self, token: int) -> None: ...


class Chooser:
    """Chooses the tokens of one answer. Temperature 0 takes the likeliest; otherwise one is drawn, the same ones for the same seed.

    Of what a grammar allows the choice is made only where the first choice is not allowed: checking one token is cheap, checking
    all is not.
    """

    def __init__(self, temperature: float, top_p: float, seed: int, grammar: Grammatical | None) -> None:
        self._temperature = temperature
        self._top_p = top_p
        self._random = random.Random(str(seed))  # noqa: S311 - chance, not secrecy; a text, for a number loses its sign
        self._grammar = grammar

    def choose(self, row: Any, likeliest: int) -> int:
        """The next token. Raises Stuck."""
        token = likeliest if self._temperature == 0 else self._draw(row, _within(row, float(row[likeliest]), _REACH))
        if self._grammar is None:
            return token
        if not self._grammar.allows(token):
            token = self._lawful(self._grammar, row, float(row[likeliest]))
        self._grammar.accept(token)
        return token

    def _lawful(self, grammar: Grammatical, row: Any, highest: float) -> int:
        """The choice among what the grammar allows, looked for among ever less likely tokens."""
        for window in _WINDOWS:
            allowed = grammar.allowed(_within(row, highest, window))
            if not len(allowed):
                continue
            best = float(row[allowed].max())
            if self._temperature == 0:
                return int(allowed[int(row[allowed].argmax())])
            if best - _REACH >= highest - window:
                return self._draw(row, allowed[row[allowed] >= best - _REACH])
        raise Stuck

    def _draw(self, row: Any, tokens: Any) -> int:
        logits = row[tokens].astype(np.float64)
        order = np.argsort(-logits, kind="stable")[:TOP_K]
        tokens, logits = tokens[order], logits[order] - logits[order[0]]
        sums = np.cumsum(np.exp(logits))
        enough = int(np.searchsorted(sums, self._top_p * sums[-1])) + 1
        sums = np.cumsum(np.exp(logits[:enough] / self._temperature))
        return int(tokens[min(int(np.searchsorted(sums, self._random.random() * sums[-1], side="right")), enough - 1)])


class Surety:
    """How sure the model was of an answer's tokens, before temperature and grammar."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._tokens = 0
        self._minimum = 0.0
        self._margin = math.inf

    def note(self, row: Any, token: int, likeliest: int) -> None:
        """Adds a token that was chosen from a line of logits."""
        highest = row[likeliest]
        total = float(highest) + math.log(float(np.exp(row - highest).sum()))
        chance = min(0.0, float(row[token]) - total)
        second = max((float(part.max()) for part in (row[:likeliest], row[likeliest + 1 :]) if len(part)), default=float(highest))
        self._sum += chance
        self._tokens += 1
        self._minimum = min(self._minimum, chance)
        self._margin = min(self._margin, float(highest) - second)

    def figures(self) -> list[float] | None:
        """Mean, minimum, margin; None of no tokens."""
        return [self._sum / self._tokens, self._minimum, self._margin] if self._tokens else None


def _within(row: Any, highest: float, distance: float) -> Any:
    """The tokens whose logits lie at most so far below the highest."""
    return np.arange(len(row)) if distance == math.inf else np.flatnonzero(row >= highest - distance)
