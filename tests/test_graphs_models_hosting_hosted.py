from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import ContextTooLong, LinkCondition, ModelCrashed, ModelMissing, ModelRefused, NodeTimeout, UsageError
from graphs.models.files.facts import hash_file
from graphs.models.hosting import hosted
from graphs.models.hosting.hosted import HostedModel, HostOptions
from graphs.models.hosting.process import ModelProcess
from graphs.models.interface import Confidence, GenerationRequest, Usage
from graphs.values import MISSING
from model_fakes import COMMAND, tiny_gguf

OPTIONS = HostOptions(command=COMMAND, threads=3, restart_delays=(0.0,))


def ask(text: str, **options: Any) -> GenerationRequest:
    return GenerationRequest([{"role": "user", "content": text}], **options)


def with_model(path: Path, use: Callable[[HostedModel], Awaitable[None]], options: HostOptions = OPTIONS) -> None:
    async def main() -> None:
        model = HostedModel("tiny", path, options)
        try:
            await use(model)
        finally:
            await model.close()
        gc.collect()

    asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_gguf(tmp_path / "tiny.gguf", general__license="mit")


async def started(model: HostedModel, text: str = "forever") -> tuple[asyncio.Task[Any], list[str]]:
    """A generation whose first piece has come."""
    pieces: list[str] = []
    begun = asyncio.Event()

    def listen(piece: str) -> None:
        pieces.append(piece)
        begun.set()

    task = asyncio.create_task(model.generate(ask(text), listen))
    await begun.wait()
    return task, pieces


def test_a_generation_says_what_it_was_made_by(path: Path) -> None:
    size = path.stat().st_size

    async def use(model: HostedModel) -> None:
        pieces: list[str] = []
        assert not model.info.loaded
        assert model.pid is None
        generation = await model.generate(ask("say one two"), pieces.append)
        assert (generation.text, pieces) == ("one two ", ["one ", "two "])
        assert generation.usage == Usage(3, 2)
        assert generation.finish_reason == "stop"
        assert generation.extra == {"prompt_ms": 1.0, "decode_ms": 100.0, "seed": 7, "version": "fake 1"}
        assert generation.first_token_ms is not None
        assert generation.model == model.info
        info = model.info
        assert info.digest == hash_file(path)
        assert (info.name, info.backend, info.context) == ("tiny", "llama.cpp", 512)
        assert (info.quantisation, info.licence) == ("Q4_0", "mit")
        assert info.loaded
        assert info.size == size

    with_model(path, use)


def test_the_child_is_told_everything_but_what_the_host_does(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        request = ask(
            "echo",
            max_tokens=5,
            temperature=1,
            top_p=0.5,
            seed=3,
            stop=(".",),
            response_format={"type": "json_object"},
            tools=[{"type": "function", "function": {"name": "look", "note": MISSING}}],
            tool_choice="none",
            run="r",
            account="lab",
            priority=2,
            shared=1,
            fit=True,
            confidence=True,
        )
        told = json.loads((await model.generate(request)).text)
        assert told["load"] == {
            "t": "load",
            "path": str(path),
            "context": 100,
            "threads": 3,
            "slots": 5,
            "states": {"folder": "/states", "digest": hash_file(path), "limit": 9},
        }
        told["request"].pop("id")
        assert told["request"] == {
            "t": "generate",
            "messages": [{"role": "user", "content": "echo"}],
            "max_tokens": 5,
            "temperature": 1.0,
            "top_p": 0.5,
            "seed": 3,
            "stop": ["."],
            "response_format": {"type": "json_object"},
            "tools": [{"type": "function", "function": {"name": "look"}}],
            "tool_choice": "none",
            "run": "r",
            "account": "lab",
            "priority": 2.0,
            "shared": 1,
            "fit": True,
            "confidence": True,
        }

    with_model(path, use, replace(OPTIONS, context=100, slots=5, states=Path("/states"), states_limit=9))


@pytest.mark.parametrize(("trained", "wanted", "context"), [(512, 4096, 512), (9000, 4096, 4096), (9000, 0, 9000)])
def test_the_context_is_never_longer_than_trained(tmp_path: Path, trained: int, wanted: int, context: int) -> None:
    async def use(model: HostedModel) -> None:
        await model.load()
        assert model.info.context == context

    with_model(tiny_gguf(tmp_path / "a.gguf", llama__context_length=trained), use, replace(OPTIONS, context=wanted))


def test_requests_are_answered_in_their_order(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        ended: list[int] = []

        async def one(number: int) -> None:
            assert (await model.generate(ask(f"say {number}"))).text == f"{number} "
            ended.append(number)

        await asyncio.gather(*(one(number) for number in range(20)))
        assert ended == list(range(20))

    with_model(path, use)


def test_cancelling_frees_the_model_for_the_next(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        task, pieces = await started(model)
        waiting = asyncio.create_task(model.generate(ask("say next")))
        dropped = asyncio.create_task(model.generate(ask("say dropped")))
        await asyncio.sleep(0)
        dropped.cancel()
        task.cancel()
        assert (await waiting).text == "next "
        for cancelled in (task, dropped):
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        assert pieces == ["one "]

    with_model(path, use)


def test_a_full_queue_says_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "MAX_WAITING", 2)

    async def use(model: HostedModel) -> None:
        task, _ = await started(model)
        waiting = [asyncio.create_task(model.generate(ask("say x"))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(LinkCondition) as caught:
            await model.generate(ask("say y"))
        assert (caught.value.condition, caught.value.retryable) == ("BUSY", True)
        assert caught.value.retry_ms
        task.cancel()
        assert [generation.text for generation in await asyncio.gather(*waiting)] == ["x ", "x "]
        assert (await model.generate(ask("say y"))).text == "y "
        await asyncio.gather(task, return_exceptions=True)
        assert not model.busy

    with_model(path, use, replace(OPTIONS, slots=1))


def test_it_knows_since_when_it_is_idle(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        assert (model.busy, model.idle_since, model.resident_bytes) == (False, None, None)
        task, _ = await started(model)
        assert (model.busy, model.idle_since) == (True, None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not model.busy
        assert model.idle_since is not None
        assert model.idle_since <= asyncio.get_running_loop().time()
        if sys.platform == "linux":
            assert (model.resident_bytes or 0) > 1_000_000

    with_model(path, use)


def test_vectors_come_as_embeddings(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        embeddings = await model.embed(["a", "bc"])
        assert (embeddings.vectors, embeddings.tokens, embeddings.model) == ([[1.0, 0.0], [2.0, 0.0]], 3, model.info)
        many = await model.embed(["x" * length for length in range(200)])
        assert ([vector[0] for vector in many.vectors], many.tokens) == ([*range(200)], sum(range(200)))
        assert (await model.embed([])).vectors == []
        with pytest.raises(ModelRefused, match="are texts"):
            await model.embed([5])  # type: ignore[list-item]
        with pytest.raises(ContextTooLong, match="it says no"):
            await model.embed(["refuse"])

    with_model(path, use)


@pytest.mark.parametrize("slots", [0, 65])
def test_slots_are_few(slots: int) -> None:
    with pytest.raises(UsageError, match="1 to 64"):
        HostOptions(slots=slots)


def test_a_call_comes_as_chat_apis_write_it(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        generation = await model.generate(ask("call look"))
        assert generation.tool_calls == [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "größe"}'}}
        ]
        assert (generation.finish_reason, generation.text, generation.dropped) == ("tool_calls", "", 2)
        assert generation.confidence == Confidence(-1.0, -2.0, 0.5)

    with_model(path, use)


def test_a_deadline_counts_the_queue_and_the_generation(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        task, _ = await started(model)
        with pytest.raises(NodeTimeout, match="20 ms, its queue included"):
            await model.generate(ask("say x", deadline_ms=20))
        task.cancel()
        with pytest.raises(NodeTimeout):
            await model.generate(ask("forever", deadline_ms=20))
        assert (await model.generate(ask("say x", deadline_ms=60_000))).text == "x "
        await asyncio.gather(task, return_exceptions=True)

    with_model(path, use)


def test_a_listener_that_raises_stops_its_own_generation(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        def listen(piece: str) -> None:
            raise TimeoutError("mine")

        with pytest.raises(TimeoutError, match="mine"):
            await model.generate(ask("forever", deadline_ms=60_000), listen)
        assert (await model.generate(ask("say x"))).text == "x "

    with_model(path, use)


def test_a_killed_child_costs_its_request_and_the_next_starts_another(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        task, _ = await started(model)
        waiting = asyncio.create_task(model.generate(ask("say next")))
        first = model.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ModelCrashed, match=r"model tiny .*signal 9 \(SIGKILL\)") as caught:
            await task
        assert (caught.value.condition, caught.value.retryable) == ("MODEL_CRASHED", True)
        with pytest.raises(ModelCrashed):
            await waiting
        assert (await model.generate(ask("say next"))).text == "next "
        assert model.pid != first

    with_model(path, use)


def test_repeated_deaths_are_followed_by_longer_waits_until_an_answer_comes(path: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def use(model: HostedModel) -> None:
        for _ in range(5):
            with pytest.raises(ModelCrashed):
                await model.generate(ask("exit 1"))
        assert waits == [0.5, 2.0, 2.0]
        await model.generate(ask("say x"))
        for _ in range(2):
            with pytest.raises(ModelCrashed):
                await model.generate(ask("exit 1"))
        assert waits == [0.5, 2.0, 2.0, 2.0]

    with_model(path, use, replace(OPTIONS, restart_delays=(0.0, 0.0, 0.5, 2.0), sleep=sleep))


def test_a_death_counts_once_however_many_requests_it_takes(path: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def use(model: HostedModel) -> None:
        for _ in range(2):
            outcomes = await asyncio.gather(*(model.generate(ask("exit 1")) for _ in range(5)), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [ModelCrashed] * 5
        assert waits == [1.0]

    with_model(path, use, replace(OPTIONS, restart_delays=(0.0, 1.0, 2.0, 3.0), sleep=sleep))


def test_after_two_deaths_those_who_are_not_to_blame_get_through(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        async def together() -> list[Any]:
            asked = [model.generate(ask(text)) for text in ("exit 1", "say a", "exit 1", "say b")]
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            return [getattr(outcome, "text", type(outcome)) for outcome in outcomes]

        for _ in range(2):
            assert await together() == [ModelCrashed] * 4
        assert await together() == [ModelCrashed, "a ", ModelCrashed, "b "]

    with_model(path, use, replace(OPTIONS, restart_delays=(0.0,)))


def test_deaths_while_loading_count_as_well(tmp_path: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def use(model: HostedModel) -> None:
        for _ in range(3):
            with pytest.raises(ModelCrashed, match="while it was being loaded"):
                await model.load()
        assert waits == [1.0, 2.0]

    with_model(tiny_gguf(tmp_path / "deadly.gguf"), use, replace(OPTIONS, restart_delays=(0.0, 1.0, 2.0), sleep=sleep))


def test_a_load_goes_on_when_the_one_who_waited_has_left(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        with pytest.raises(NodeTimeout):
            await model.generate(ask("say x", deadline_ms=1))
        starting = model._starting
        assert starting is not None
        await model.load()
        assert starting.result() is model._process

    with_model(path, use)


def test_a_file_that_changes_while_it_is_loaded_is_loaded_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = ModelProcess.start
    starts: list[Any] = []

    async def changing(*args: Any, **kwargs: Any) -> ModelProcess:
        if not starts:
            tiny_gguf(path, extra=1)
        starts.append(args)
        return await start(*args, **kwargs)

    monkeypatch.setattr(ModelProcess, "start", changing)

    async def use(model: HostedModel) -> None:
        generation = await model.generate(ask("say x"))
        assert generation.model.digest == hash_file(path)
        assert len(starts) == 2

    with_model(path, use)


@pytest.mark.parametrize(
    ("code", "error"), [("MODEL_REFUSED", ModelRefused), ("CONTEXT_TOO_LONG", ContextTooLong), ("SOMETHING_NEW", ModelRefused)]
)
def test_refusals_of_the_child_are_typed(path: Path, code: str, error: type[ModelRefused]) -> None:
    async def use(model: HostedModel) -> None:
        with pytest.raises(error, match=r"model tiny: it says no\.") as caught:
            await model.generate(ask(f"refuse {code}"))
        assert caught.value.detail == {"context": 5}
        assert not caught.value.retryable

    with_model(path, use)


def test_unsound_requests_start_nothing(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        for request in (GenerationRequest([]), ask("x", tools=[{"type": "function"}])):
            with pytest.raises(ModelRefused):
                await model.generate(request)
        assert model.pid is None
        assert (await model.generate(ask("say x", tools=[{"type": "function"}], tool_choice="none"))).text == "x "

    with_model(path, use)


def test_a_missing_or_foreign_file_is_a_missing_model(tmp_path: Path) -> None:
    (tmp_path / "foreign.gguf").write_bytes(b"PK")
    for name, says in (("none.gguf", "No such file"), ("foreign.gguf", "not a GGUF")):

        async def use(model: HostedModel, says: str = says) -> None:
            with pytest.raises(ModelMissing, match=says):
                await model.load()

        with_model(tmp_path / name, use)


def test_closing_fails_what_runs_and_what_waits_and_refuses_what_comes(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        task, _ = await started(model)
        waiting = asyncio.create_task(model.generate(ask("say x")))
        await asyncio.sleep(0)
        await model.close()
        for open_one in (task, waiting):
            with pytest.raises(ModelCrashed, match="because it was closed"):
                await open_one
        with pytest.raises(LinkCondition) as caught:
            await model.generate(ask("say x"))
        assert caught.value.condition == "DRAINING"
        await model.close()

    with_model(path, use)


def test_closing_while_loading_ends_the_load(path: Path) -> None:
    async def use(model: HostedModel) -> None:
        loading = asyncio.create_task(model.load())
        await asyncio.sleep(0)
        await model.close()
        with pytest.raises(LinkCondition):
            await loading

    with_model(path, use)
