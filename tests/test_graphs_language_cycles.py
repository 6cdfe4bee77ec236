"""Nodes that wait for each other."""

from __future__ import annotations

import random

from graphs.language.cycles import circles, stuck


def test_followers_of_a_circle_are_stuck_too() -> None:
    waits = {"after": ("b",), "a": ("b", "given"), "b": ("a",), "free": ("given",), "last": ("free",), "self": ("self", "self")}
    assert stuck(waits) == ["after", "a", "b", "self"]
    assert circles(waits, stuck(waits)) == [["b", "a"], ["self"]]


def test_the_order_of_writing_does_not_matter() -> None:
    waits = {"c": ("b", "a", "b"), "b": ("a",), "a": ("given",)}
    assert stuck(waits) == []
    assert circles(waits, []) == []


def test_against_a_slow_and_simple_way() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(300):
        names = [f"n{i}" for i in range(chance.randint(1, 9))]
        waits = {name: tuple(chance.choices([*names, "given"], k=chance.randint(0, 2))) for name in names}
        left = set(names)
        while ready := {name for name in left if left.isdisjoint(waits[name])}:
            left -= ready
        found = stuck(waits)
        assert found == [name for name in names if name in left]
        rings = circles(waits, found)
        assert bool(rings) == bool(left)
        for ring in rings:
            assert all(after in waits[name] for name, after in zip(ring, [*ring[1:], ring[0]], strict=True))
        assert len({name for ring in rings for name in ring}) == sum(map(len, rings))


def test_a_long_chain_written_backwards() -> None:
    waits = {f"n{i}": (f"n{i - 1}",) for i in range(20_000, 0, -1)}
    assert stuck(waits) == []
    waits["n0"] = ("n20000",)
    assert len(circles(waits, stuck(waits))[0]) == 20_001
