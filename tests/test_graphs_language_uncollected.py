from __future__ import annotations

import gc

import pytest

from graphs.language.uncollected import MANY, collected_seldom, uncollected


def test_only_many_nodes_are_worth_it_and_the_collector_comes_back_whatever_happens() -> None:
    assert gc.isenabled()
    with uncollected(MANY - 1):
        assert gc.isenabled()
    with uncollected(MANY):
        assert not gc.isenabled()
        with uncollected(MANY):
            assert not gc.isenabled()
        assert not gc.isenabled(), "the block around it has not ended"
    assert gc.isenabled()

    def broken() -> None:
        with uncollected(MANY):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
    assert gc.isenabled()


def test_who_has_no_collector_gets_none() -> None:
    gc.disable()
    try:
        with uncollected(MANY):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_process_with_one_run_collects_seldom_and_then_as_before() -> None:
    found = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)  # whatever other tests of this process left
    try:
        with collected_seldom():
            assert gc.isenabled()
            assert gc.get_threshold() == (10_000, 10, 10)
            assert gc.get_freeze_count() > 0
            with collected_seldom():
                assert gc.get_threshold() == (10_000, 10, 10)
            assert gc.get_freeze_count() > 0, "the run has not ended"
        assert gc.get_threshold() == (700, 10, 10)
        assert gc.get_freeze_count() == 0
    finally:
        gc.set_threshold(*found)


def test_what_a_run_makes_without_the_collector_is_not_looked_at_afterwards() -> None:
    def young() -> int:
        return sum(len(gc.get_objects(generation)) for generation in (0, 1))

    gc.collect()
    with collected_seldom():
        with uncollected(MANY):
            many: list[list[int]] = [[] for _ in range(50_000)]
        assert young() < len(many)
    with uncollected(MANY):
        more: list[list[int]] = [[] for _ in range(50_000)]
    assert young() >= len(more), "in other processes everything is looked at"
