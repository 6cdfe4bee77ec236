"""Where a bar lies, for pairs of answers that a test makes up."""

from __future__ import annotations

import random

from edge.cascading.bars import Pair, bars, for_quality, for_share
from graphs.language.cascade import ALWAYS


def test_without_pairs_there_is_no_bar() -> None:
    assert bars([]) == []
    assert for_quality([], 0.5) is None
    assert for_share([], 0.5) is None


def test_bars_go_from_always_asking_to_never() -> None:
    found = bars([Pair(0.9, True), Pair(0.5, False), Pair(0.5, True), Pair(0.2, False)])
    assert [(bar.below, bar.share) for bar in found] == [(ALWAYS, 1.0), (0.9, 0.75), (0.5, 0.25), (0.2, 0.0)]
    assert found[0].quality == 1.0
    assert found[1].quality == 1 - (1 * 1 / 3) / 4


def test_a_few_lucky_answers_set_no_bar() -> None:
    lucky = for_quality([Pair(0.9, True)] * 5, 0.99)
    assert lucky is not None
    assert lucky.below == ALWAYS
    sure = for_quality([Pair(0.9, True)] * 500, 0.99)
    assert sure is not None
    assert (sure.below, sure.share) == (0.9, 0.0)


def test_an_answer_that_is_entirely_sure_and_wrong_is_asked_about() -> None:
    bar = for_quality([Pair(1.0, False), *[Pair(0.5, True)] * 30], 0.99)
    assert bar is not None
    assert bar.below > 1.0


def test_random_pairs_keep_what_is_promised() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(200):
        pairs = [Pair(round(chance.random(), 2), chance.random() < 0.7) for _ in range(chance.randrange(1, 60))]
        aim = chance.random()
        quality, share = for_quality(pairs, aim), for_share(pairs, aim)
        assert quality is not None
        assert share is not None
        assert quality.quality >= aim
        assert share.share <= aim
        assert sum(pair.confidence < share.below for pair in pairs) / len(pairs) <= aim + 1e-9
        wrong = sum(not pair.same for pair in pairs if pair.confidence >= quality.below)
        assert wrong / len(pairs) <= 1 - aim + 1e-9
