from __future__ import annotations

import random

from graphs.models.memory import Decision, Resident, footprint, make_room


def test_a_model_takes_its_file_its_context_and_some_more() -> None:
    assert footprint(1000, 10, 100) == int(2000 * 1.15) + 100_000_000
    assert footprint(1000, None, None) == int((1000 + 65_536 * 4096) * 1.15) + 100_000_000


def test_idle_models_go_in_the_order_of_their_last_use_and_no_more_than_have_to() -> None:
    there = [Resident("a", 40, used=3), Resident("b", 40, used=1), Resident("c", 20, used=2)]
    assert make_room(10, 110, there) == Decision()
    assert make_room(30, 100, there) == Decision(("b",))
    assert make_room(50, 100, there) == Decision(("b", "c"))
    assert make_room(100, 100, there) == Decision(("b", "c", "a"))


def test_who_is_busy_or_pinned_stays() -> None:
    there = [Resident("a", 50, busy=True, used=1), Resident("b", 50, pinned=True, used=2), Resident("c", 50, used=3)]
    assert make_room(50, 150, there) == Decision(("c",))
    assert make_room(100, 150, there) == Decision(wait=True)


def test_what_could_wait_for_ever_does_not() -> None:
    assert make_room(500, 100, []) == Decision()
    assert make_room(500, 100, [Resident("a", 50), Resident("b", 50, pinned=True, busy=True)]) == Decision(("a",))


def test_the_budget_holds_whatever_comes() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(2000):
        there = [
            Resident(str(number), chance.randrange(1, 60), chance.random() < 0.3, chance.random() < 0.2, chance.random())
            for number in range(chance.randrange(6))
        ]
        needed, budget = chance.randrange(1, 100), 100
        decision = make_room(needed, budget, there)
        stay = [each for each in there if each.name not in decision.unload]
        assert not any(each.busy or each.pinned for each in there if each.name in decision.unload)
        assert not (decision.wait and decision.unload)
        fits = sum(each.bytes for each in stay) + needed <= budget
        if not decision.wait:
            assert fits or all(each.pinned for each in stay)
        else:
            assert any(each.busy and not each.pinned for each in stay)
