"""The numbers of a device's connections: each comes once."""

from __future__ import annotations

import random

from protocol.numbers import WINDOW, Numbers


def test_each_number_is_taken_once() -> None:
    numbers = Numbers()
    assert [numbers.take(each) for each in (1, 2, 2, 1, 5, 4, 3, 4, 0)] == [
        True,
        True,
        False,
        False,
        True,
        True,
        True,
        False,
        False,
    ]
    assert numbers.highest == 5


def test_one_that_is_far_behind_is_not_new() -> None:
    numbers = Numbers()
    assert numbers.take(1 << 52)
    assert not numbers.take((1 << 52) - WINDOW)
    assert numbers.take((1 << 52) - WINDOW + 1)
    assert not numbers.take((1 << 52) - WINDOW + 1)


def test_it_says_what_a_set_would_say() -> None:
    for seed in range(50):
        chance, numbers, seen, highest = random.Random(seed), Numbers(), {0}, 0
        for _ in range(400):
            number = max(0, highest + chance.choice((1, 2, -1, -3, chance.randint(-1_200, 30), chance.randint(0, 1_200))))
            expected = number > highest - WINDOW and number not in seen
            assert numbers.take(number) is expected, f"seed {seed}"
            seen.add(number)
            highest = max(highest, number)
