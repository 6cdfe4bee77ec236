"""Room for several models, with models that only count."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graphs.errors import LinkCondition
from graphs.models.hosting.hosted import closed
from graphs.models.hosting.memory_settings import MemoryOptions
from graphs.models.hosting.seats import Seats


class Counted:
    """A model that takes `size` and notes what is done to it. Leaving takes a turn of the event loop."""

    def __init__(self, house: House, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.loads = 0
        self.loaded = False
        self._house = house

    def needs(self) -> int:
        return self.size

    def load(self) -> None:
        if not self.loaded:
            self.loads += 1
        self.loaded = True
        self._house.most = max(self._house.most, sum(each.size for each in self._house.models.values() if each.loaded))

    async def unload(self) -> None:
        self._house.events.append(f"unload {self.name}")
        await asyncio.sleep(0)
        self.loaded = False


class House:
    def __init__(self, sizes: dict[str, int], **options: Any) -> None:
        self.seats = Seats(MemoryOptions(**{"budget": 100, "free": lambda: None, **options}))
        self.models = {name: Counted(self, name, size) for name, size in sizes.items()}
        self.events: list[str] = []
        self.most = 0

    async def use(self, name: str, until: asyncio.Event | None = None) -> None:
        model = self.models[name]
        async with self.seats.seated(model):
            model.load()
            self.events.append(name)
            await (until.wait() if until else asyncio.sleep(0))
            assert model.loaded, "a model that is used is not unloaded"

    def begin(self, name: str, until: asyncio.Event | None = None) -> asyncio.Task[None]:
        return asyncio.create_task(self.use(name, until))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def living(sizes: dict[str, int], use: Callable[[House], Awaitable[None]], **options: Any) -> House:
    async def main() -> House:
        house = House(sizes, **options)
        await use(house)
        await house.seats.close(closed)
        return house

    return asyncio.run(main())


def test_models_that_fit_are_there_together() -> None:
    async def use(house: House) -> None:
        await asyncio.gather(*(house.use(name) for name in "abab"))
        assert (house.models["a"].loads, house.models["b"].loads, house.seats.taken) == (1, 1, 100)

    living({"a": 50, "b": 50}, use)


def test_the_one_that_was_used_longest_ago_goes() -> None:
    async def use(house: House) -> None:
        for name in ("a", "b", "a", "c"):
            await house.use(name)
        assert house.events == ["a", "b", "a", "unload b", "c"]
        assert house.seats.taken == 80

    living({"a": 40, "b": 40, "c": 40}, use)


def test_who_is_used_stays_and_the_other_one_waits() -> None:
    async def use(house: House) -> None:
        done = asyncio.Event()
        using, waiting = house.begin("a", done), house.begin("b")
        await settle()
        assert house.events == ["a"]
        done.set()
        await asyncio.gather(using, waiting)
        assert house.events == ["a", "unload a", "b"]

    living({"a": 60, "b": 60}, use)


def test_a_model_in_demand_keeps_no_other_one_out() -> None:
    async def use(house: House) -> None:
        done = asyncio.Event()
        first = house.begin("a", done)
        await settle()
        others = [house.begin(name) for name in ("b", "a", "b", "a")]
        await settle()
        assert house.events == ["a"], "who comes after one that waits for room queues"
        done.set()
        await asyncio.gather(first, *others)
        assert house.events == ["a", "unload a", "b", "b", "unload b", "a", "a"], "one load serves all that wait for it"

    living({"a": 60, "b": 60}, use)


def test_one_that_is_larger_than_the_budget_is_loaded_alone() -> None:
    async def use(house: House) -> None:
        await house.use("small")
        await house.use("huge")
        await house.use("small")
        assert house.events == ["small", "unload small", "huge", "unload huge", "small"]

    living({"small": 10, "huge": 500}, use)


def test_what_the_machine_does_not_have_is_refused() -> None:
    async def use(house: House) -> None:
        with pytest.raises(LinkCondition, match="takes about 500 MB of memory, and 200 MB are free") as caught:
            await house.use("huge")
        assert caught.value.condition == "MODEL_OVERLOADED"
        await house.use("small")

    living({"small": 10**8, "huge": 5 * 10**8}, use, budget=10**9, free=lambda: 2 * 10**8)


def test_what_is_free_counts_beside_the_budget() -> None:
    there: list[House] = []

    async def use(house: House) -> None:
        there.append(house)
        await house.use("a")
        await house.use("b")
        assert house.events == ["a", "unload a", "b"]

    living({"a": 50, "b": 50}, use, budget=1000, free=lambda: 70 - (there[0].seats.taken if there else 0))
    there.clear()
    half = living({"a": 50, "b": 50}, use, budget=None, share=0.5, free=lambda: 150)
    assert half.most == 50


def test_a_model_that_was_to_go_and_is_used_again_stays() -> None:
    async def use(house: House) -> None:
        await house.use("a")
        await house.use("b")
        done = asyncio.Event()
        large = house.begin("large")
        while "unload a" not in house.events:  # noqa: ASYNC110 - a few turns of the loop, and nothing says so
            await asyncio.sleep(0)
        large.cancel()
        await asyncio.wait((large,))
        using = house.begin("b", done)
        await settle()
        done.set()
        await using
        assert "unload b" not in house.events
        assert house.seats.taken == 30, "what nobody waits for any more takes no room"

    living({"a": 30, "b": 30, "large": 90}, use)


def test_a_pinned_model_stays_and_is_asked_at_once() -> None:
    async def use(house: House) -> None:
        done = asyncio.Event()
        await house.use("pinned")
        using, waiting = house.begin("a", done), house.begin("b")
        await settle()
        await house.use("pinned")
        done.set()
        await asyncio.gather(using, waiting)
        assert house.events[:5] == ["pinned", "a", "pinned", "unload a", "b"]

    living({"pinned": 40, "a": 60, "b": 60}, use, pinned=frozenset({"pinned"}), keep_alive=0.0)


@pytest.mark.parametrize(("keep_alive", "loaded"), [(0.0, False), (-1.0, True), (300.0, True)])
def test_a_model_that_nobody_uses_stays_for_a_while(keep_alive: float, loaded: bool) -> None:
    async def use(house: House) -> None:
        await house.use("a")
        await settle()
        assert house.models["a"].loaded == loaded
        await house.use("a")
        assert house.models["a"].loads == (1 if loaded else 2)

    living({"a": 10}, use, keep_alive=keep_alive)


def test_when_the_while_is_over_it_goes() -> None:
    async def use(house: House) -> None:
        await house.use("a")
        await house.use("a")
        while house.models["a"].loaded:  # noqa: ASYNC110 - bounded by the test's own time
            await asyncio.sleep(0.001)
        assert house.seats.taken == 0

    living({"a": 10}, use, keep_alive=0.01)


def test_a_load_that_failed_takes_no_room() -> None:
    async def use(house: House) -> None:
        async with house.seats.seated(house.models["a"]):
            pass
        assert house.seats.taken == 0
        house.models["a"].needs = _missing  # type: ignore[method-assign]
        with pytest.raises(FileNotFoundError):
            await house.use("a")
        await house.use("b")

    living({"a": 60, "b": 60}, use)


def _missing() -> int:
    raise FileNotFoundError


def test_room_without_anybody_having_to_go() -> None:
    async def use(house: House) -> None:
        assert house.seats.has_room(house.models["a"])
        await house.use("a")
        assert not house.seats.has_room(house.models["a"])
        assert not house.seats.has_room(house.models["b"])
        house.seats.forget(house.models["a"])
        assert house.seats.has_room(house.models["b"])

    living({"a": 60, "b": 60}, use)


def test_closing_ends_all_waiting() -> None:
    async def use(house: House) -> None:
        done = asyncio.Event()
        using, waiting = house.begin("a", done), house.begin("b")
        await settle()
        await house.seats.close(closed)
        with pytest.raises(LinkCondition, match="Model b is being closed"):
            await waiting
        done.set()
        await using

    living({"a": 60, "b": 60}, use)


def test_whatever_comes_and_goes_the_budget_holds_and_everyone_is_served() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    served = 0

    async def use(house: House) -> None:
        nonlocal served

        async def ask() -> None:
            nonlocal served
            for _ in range(20):
                name = chance.choice("abcd")
                task = asyncio.create_task(house.use(name))
                for _ in range(chance.randrange(6)):
                    await asyncio.sleep(0)
                if chance.random() < 0.3:
                    task.cancel()
                outcome = (await asyncio.gather(task, return_exceptions=True))[0]
                assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
                served += 1

        await asyncio.gather(*(ask() for _ in range(32)))
        assert house.most <= 100
        assert all(seat.users == 0 for seat in house.seats._seats.values())

    living({"a": 30, "b": 50, "c": 70, "d": 90}, use, keep_alive=chance.choice([0.0, 300.0]))
    assert served == 640
