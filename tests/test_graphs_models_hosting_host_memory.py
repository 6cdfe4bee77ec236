"""Several models on one host under a budget for one: with a child that obeys, and with real ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import GraphferryError, LinkCondition, ModelCrashed, ModelRefused, NodeTimeout
from graphs.models.files.facts import memory_needed
from graphs.models.files.store import DEFAULT_MODEL, ModelStore
from graphs.models.hosting.host import HostOptions, MemoryOptions, ModelHost
from graphs.models.interface import GenerationRequest
from graphs.models.together import Aliased, Together, prefetch
from model_fakes import COMMAND, tiny_gguf

PLENTY = 1 << 40


def ask(text: str, **more: Any) -> GenerationRequest:
    return GenerationRequest([{"role": "user", "content": text}], **{"temperature": 0, **more})


def with_host(tmp_path: Path, use: Callable[[ModelHost], Awaitable[None]], names: str = "ab", **memory: Any) -> None:
    """A host whose models each take a little more than half the budget."""
    for name in names:
        tiny_gguf(
            tmp_path / "models" / f"{name}.gguf", llama__block_count=1, llama__embedding_length=8, llama__attention__head_count=1
        )

    async def main() -> None:
        options = HostOptions(command=COMMAND, restart_delays=(0.0,))
        granted = MemoryOptions(**{"budget": 150_000_000, "free": lambda: PLENTY, **memory})
        host = ModelHost(ModelStore(tmp_path / "models"), options=options, memory=granted)
        try:
            await use(host)
        finally:
            await host.close()

    asyncio.run(main())


def test_a_set_larger_than_the_budget_runs_one_after_the_other(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        a, b = await host.get("a"), await host.get("b")
        assert (host.pid("a"), host.pid("b") is not None) == (None, True)
        assert 75_000_000 < host.taken <= 150_000_000
        answers = await asyncio.gather(*(model.generate(ask("say hi")) for model in (a, b, a, b)))
        assert [each.text for each in answers] == ["hi "] * 4
        assert {each.model.name for each in answers} == {"a", "b"}
        assert (host.pid("a") is None) != (host.pid("b") is None)
        assert host.describe("a").loaded == (host.pid("a") is not None)

    with_host(tmp_path, use)


def test_a_busy_model_is_not_unloaded_for_another(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        a = await host.get("a")
        begun = asyncio.Event()
        generating = asyncio.create_task(a.generate(ask("forever"), lambda _: begun.set()))
        await begun.wait()
        waiting = asyncio.create_task(host.get("b"))
        await asyncio.wait((waiting,), timeout=0.1)
        assert not waiting.done()
        assert host.pid("a") is not None
        generating.cancel()
        assert (await (await waiting).generate(ask("say x"))).text == "x "
        assert host.pid("a") is None

    with_host(tmp_path, use)


def test_a_deadline_covers_the_wait_for_room(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        b = await host.get("b")
        a = await host.get("a")
        begun = asyncio.Event()
        generating = asyncio.create_task(a.generate(ask("forever"), lambda _: begun.set()))
        await begun.wait()
        with pytest.raises(NodeTimeout, match="Model b had no room within 30 ms"):
            await b.generate(ask("say x", deadline_ms=30))
        with pytest.raises(ModelRefused):
            await b.generate(GenerationRequest([]))
        waiting = asyncio.create_task(b.generate(ask("say x", deadline_ms=60_000)))
        await asyncio.wait((waiting,), timeout=0.05)
        generating.cancel()
        generation = await waiting
        assert generation.total_ms >= (generation.first_token_ms or 0) >= 50
        assert host.pid("a") is None

    with_host(tmp_path, use)


def test_a_start_that_nobody_waits_for_any_more_keeps_its_room(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        loading = asyncio.create_task(host.get("a"))
        while not host.taken:  # noqa: ASYNC110 - it happens in a turn or two, and nothing says so
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        loading.cancel()
        await asyncio.wait((loading,))
        assert host.taken
        await host.get("b")
        assert host.pid("a") is None
        assert host.taken <= 150_000_000

    with_host(tmp_path, use)


def test_closing_the_host_frees_who_waits_for_room(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        a = await host.get("a")
        begun = asyncio.Event()
        generating = asyncio.create_task(a.generate(ask("forever"), lambda _: begun.set()))
        await begun.wait()
        waiting = asyncio.create_task(host.get("b"))
        await asyncio.sleep(0)
        await host.close()
        outcomes = await asyncio.gather(generating, waiting, return_exceptions=True)
        assert isinstance(outcomes[0], ModelCrashed | LinkCondition)
        assert isinstance(outcomes[1], LinkCondition)
        with pytest.raises(LinkCondition, match="being closed"):
            await a.generate(ask("say x"))

    with_host(tmp_path, use)


def test_a_model_for_which_there_is_no_memory_is_refused_and_says_so(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        with pytest.raises(LinkCondition, match="Model a takes about") as caught:
            await host.get("a")
        assert caught.value.condition == "MODEL_OVERLOADED"
        assert host.pid("a") is None

    with_host(tmp_path, use, free=lambda: 1000)


def test_prefetching_loads_only_where_there_is_room(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        models = Aliased(Together(host), {"small": "a", "other": "b"})
        for name in ("nobody", "small", "small"):
            prefetch(models, name)
        a = await host.get("a")
        pid = a.pid
        prefetch(models, "other")
        assert (await a.generate(ask("say x"))).text == "x "
        assert (host.pid("a"), host.pid("b")) == (pid, None)
        prefetch(object(), "small")

    with_host(tmp_path, use)


def test_figures_measured_here_are_known_before_a_model_is_loaded(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        ModelStore(tmp_path / "models").note_speed(
            "a", tokens_per_second=12.5, prompt_per_second=100, measured="2026-01-01T00:00:10+00:00"
        )
        a, b = host.describe("a"), host.describe("b")
        assert (a.tokens_per_second, a.prompt_per_second, a.measured) == (12.5, 100, 1767225610)
        assert (b.tokens_per_second, b.prompt_per_second, b.measured) == (None, None, None)

    with_host(tmp_path, use)


def test_every_request_ends_in_one_result_or_one_typed_error(tmp_path: Path) -> None:
    """32 callers, random cancels and deadlines, model switches under a budget for one, and kills."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ends = {"answer": 0, "cancelled": 0, "late": 0, "crash": 0}

    async def use(host: ModelHost) -> None:
        async def call() -> None:
            for _ in range(6):
                await one(host, chance, ends, lambda: ask(chance.choice(["say a b c", "forever"])))

        async def kill() -> None:
            for _ in range(5):
                await asyncio.sleep(0.1)
                pids = [pid for name in "abc" if (pid := host.pid(name)) is not None]
                if pids:
                    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself meanwhile
                        os.kill(chance.choice(pids), signal.SIGKILL)

        await asyncio.gather(kill(), *(call() for _ in range(32)))
        assert host.taken <= 150_000_000

    with_host(tmp_path, use, "abc")
    print(ends)
    assert sum(ends.values()) == 32 * 6
    assert ends["answer"]


async def one(host: ModelHost, chance: random.Random, ends: dict[str, int], request: Callable[[], GenerationRequest]) -> None:
    """One request, cancelled, out of time, or answered; what it came to is counted."""
    asked = request()
    if asked.messages[0]["content"] == "forever" and chance.random() < 0.5:
        asked = ask("forever", deadline_ms=chance.choice([5, 50]))

    async def generate() -> str:
        model = await host.get(chance.choice(list(host.names())))
        return (await model.generate(asked)).text

    task = asyncio.create_task(generate())
    if asked.deadline_ms is None:
        await asyncio.wait((task,), timeout=chance.choice([0.0, 0.02, 0.2]))
        if chance.random() < 0.5 or asked.messages[0]["content"] == "forever":
            task.cancel()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(outcome, str):
        ends["answer"] += 1
    elif isinstance(outcome, asyncio.CancelledError):
        ends["cancelled"] += 1
    elif isinstance(outcome, NodeTimeout):
        ends["late"] += 1
    else:
        assert isinstance(outcome, ModelCrashed), outcome
        ends["crash"] += 1


@pytest.mark.real_model
@pytest.mark.usefixtures("home_with_model")
def test_real_models_take_turns_under_a_budget_for_one(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    source = ModelStore().find(DEFAULT_MODEL).path
    files = {}
    for name in ("left", "right"):
        files[name] = tmp_path / f"{name}.gguf"
        files[name].symlink_to(source)
    ends: list[object] = []

    async def main() -> None:
        host = ModelHost(
            ModelStore(tmp_path / "none"),
            files=files,
            options=HostOptions(restart_delays=(0.0,)),
            memory=MemoryOptions(budget=memory_needed(source, 4096) * 3 // 2),
        )
        try:

            async def call(number: int) -> None:
                request = ask(f"Say something about ferry number {number}.", max_tokens=8)
                task = asyncio.create_task((await host.get(chance.choice(["left", "right"]))).generate(request))
                if number % 4 == 3:
                    await asyncio.sleep(chance.random() / 4)
                    task.cancel()
                ends.append((await asyncio.gather(task, return_exceptions=True))[0])
                assert (host.pid("left") is None) or (host.pid("right") is None)

            await asyncio.gather(*(call(number) for number in range(12)))
        finally:
            await host.close()

    asyncio.run(main())
    assert len(ends) == 12
    assert not [end for end in ends if isinstance(end, GraphferryError)]
