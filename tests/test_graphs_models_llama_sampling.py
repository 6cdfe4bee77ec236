from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("numpy")

import numpy as np

from graphs.models.llama.sampling import Chooser, Stuck, Surety


def row(*chances: float) -> Any:
    return np.log(np.array(chances, np.float32))


class Allows:
    def __init__(self, *tokens: int) -> None:
        self.tokens = set(tokens)
        self.accepted: list[int] = []
        self.asked = 0

    def allows(self, token: int) -> bool:
        return token in self.tokens

    def allowed(self, tokens: Any) -> Any:
        self.asked += len(tokens)
        return np.array([token for token in tokens if token in self.tokens], np.int64)

    def accept(self, token: int) -> None:
        self.accepted.append(token)


def drawn(line: Any, times: int = 4000, **options: Any) -> Counter[int]:
    chooser = Chooser(**{"temperature": 1.0, "top_p": 1.0, "seed": 1, "grammar": None, **options})
    likeliest = int(line.argmax())
    return Counter(chooser.choose(line, likeliest) for _ in range(times))


def test_without_temperature_the_likeliest_is_taken() -> None:
    assert drawn(row(0.2, 0.5, 0.3), temperature=0.0, times=5) == {1: 5}


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    counts = drawn(row(0.2, 0.5, 0.3))
    for token, chance in enumerate((0.2, 0.5, 0.3)):
        assert abs(counts[token] / 4000 - chance) < 0.04


def test_temperature_spreads_and_the_unlikely_are_never_drawn() -> None:
    line = row(0.6, 0.38, 0.02)
    assert set(drawn(line, temperature=5.0)) == {0, 1}
    assert drawn(line, temperature=0.1)[0] > 3900
    assert set(drawn(row(0.5, 0.3, 0.2), top_p=0.6)) == {0, 1}
    assert set(drawn(row(0.5, 0.3, 0.2), top_p=0.4)) == {0}


def test_the_same_seed_draws_the_same() -> None:
    line = row(*[0.1] * 10)

    def first(seed: int) -> list[int]:
        chooser = Chooser(1.0, 1.0, seed, None)
        return [chooser.choose(line, 0) for _ in range(20)]

    assert first(5) == first(5)
    assert first(5) != first(6)
    assert first(5) != first(-5)


def test_of_what_a_grammar_allows_the_likeliest_is_taken_and_noted() -> None:
    grammar = Allows(0, 2)
    assert drawn(row(0.1, 0.6, 0.3), temperature=0.0, times=1, grammar=grammar) == {2: 1}
    assert grammar.accepted == [2]
    allowed = Allows(1)
    assert drawn(row(0.1, 0.6, 0.3), temperature=0.0, times=1, grammar=allowed) == {1: 1}
    assert allowed.asked == 0


def test_allowed_tokens_are_drawn_as_often_as_among_themselves() -> None:
    counts = drawn(row(0.2, 0.5, 0.3), grammar=Allows(0, 2))
    assert set(counts) == {0, 2}
    assert abs(counts[0] / 4000 - 0.4) < 0.04


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_even_the_least_likely_token_is_found(temperature: float) -> None:
    line: Any = np.full(1000, -30.0, np.float32)
    line[3] = 0.0
    assert drawn(line, temperature=temperature, times=1, grammar=Allows(777)) == {777: 1}
    with pytest.raises(Stuck):
        drawn(line, temperature=temperature, times=1, grammar=Allows())


def test_surety_is_in_logarithms_of_chances() -> None:
    surety = Surety()
    assert surety.figures() is None
    surety.note(row(0.5, 0.25, 0.25), 0, 0)
    surety.note(row(0.1, 0.6, 0.3), 2, 1)
    figures = surety.figures()
    assert figures == pytest.approx([(math.log(0.5) + math.log(0.3)) / 2, math.log(0.3), math.log(2)], abs=1e-5)
