"""Many callers of two real models at once that share the memory for one, who leave, run out of time, and see a process die: each
request ends in exactly one way, and memory stays within its budget."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import ModelCrashed, NodeTimeout
from graphs.models.files.facts import memory_needed
from graphs.models.files.fetch import DEFAULT_MODEL
from graphs.models.files.store import ModelStore
from graphs.models.hosting.host import HostOptions, MemoryOptions, ModelHost
from graphs.models.hosting.hosted import HostedModel
from graphs.models.hosting.process import resident_bytes
from graphs.models.interface import Embeddings, Generation, GenerationRequest

pytestmark = [pytest.mark.real_model, pytest.mark.slow, pytest.mark.usefixtures("home_with_model")]

CALLERS = 32
ROUNDS = 3
SYSTEM = {"role": "system", "content": "You work on a ferry. " + "Be brief, be kind, name the pier. " * 8}
FORM = {"type": "json_object", "schema": {"type": "object", "properties": {"pier": {"enum": [1, 2]}}, "required": ["pier"]}}


class Leaves(Exception):
    """A caller lost interest."""


def request(chance: random.Random) -> GenerationRequest:
    words = " ".join(f"boat {chance.randrange(100)}" for _ in range(chance.choice([2, 2, 5, 40])))
    user = {"role": "user", "content": f"Tell me about {words}."}
    return GenerationRequest(
        [SYSTEM, user] if chance.random() < 0.6 else [user],
        max_tokens=chance.randrange(1, 12),
        temperature=chance.choice([0.0, 0.0, 0.8]),
        seed=chance.choice([None, 7]),
        stop=chance.choice([(), (), (".",)]),
        response_format=FORM if chance.random() < 0.15 else None,
        deadline_ms=chance.choice([*[None] * 8, 50.0, 5000.0]),
        shared=1,
        run=str(chance.randrange(4)),
        priority=chance.randrange(3),
        confidence=chance.random() < 0.2,
    )


async def one(model: HostedModel, chance: random.Random) -> str:
    """How one request ended. What it must not end in goes up."""
    if chance.random() < 0.1:
        try:
            embeddings = await model.embed(["a pier", "a boat"])
        except ModelCrashed:
            return "crashed"
        assert isinstance(embeddings, Embeddings)
        assert len(embeddings.vectors) == 2
        return "answered"
    asked, pieces, leaves_at = request(chance), list[str](), chance.choice([None, None, None, 0, 2])

    def listen(piece: str) -> None:
        pieces.append(piece)
        if leaves_at is not None and len(pieces) > leaves_at:
            raise Leaves

    task = asyncio.create_task(model.generate(asked, listen))
    if chance.random() < 0.1:
        await asyncio.sleep(chance.random())
        task.cancel()
    try:
        generation = await task
    except (Leaves, asyncio.CancelledError):
        return "left"
    except NodeTimeout:
        return "too late" if asked.deadline_ms is not None else "a time-out nobody asked for"
    except ModelCrashed as error:
        return "crashed" if error.retryable else "crashed for good"
    check(asked, generation, pieces)
    return "answered"


def check(asked: GenerationRequest, generation: Generation, pieces: list[str]) -> None:
    assert "".join(pieces) == generation.text
    assert generation.finish_reason in ("stop", "length")
    assert generation.usage.completion_tokens <= (asked.max_tokens or 0)
    assert (generation.confidence is not None) <= asked.confidence
    if asked.response_format and generation.finish_reason == "stop" and not asked.stop:
        assert json.loads(generation.text)["pier"] in (1, 2)


def seeds() -> list[int]:
    """One by chance, or the one that is to be tried again: GRAPHFERRY_SEED."""
    given = os.environ.get("GRAPHFERRY_SEED")
    return [int(given) if given else random.SystemRandom().randrange(2**32)]


def two_models(folder: Path) -> dict[str, Path]:
    """The same file under two names: to the host they are two models."""
    source = ModelStore().find(DEFAULT_MODEL).path
    files = {name: folder / f"{name}.gguf" for name in ("one", "other")}
    for path in files.values():
        path.symlink_to(source)
    return files


@pytest.mark.parametrize("seed", seeds())
def test_every_request_of_many_callers_ends_in_exactly_one_way(seed: int, tmp_path: Path) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    ended: list[str] = []
    served: list[str] = []
    dies_after = chance.randrange(CALLERS, 2 * CALLERS)

    async def main() -> None:
        files = two_models(tmp_path)
        budget = memory_needed(files["one"], 4096) * 3 // 2  # more than one takes, less than two do
        host = ModelHost(files=files, options=HostOptions(restart_delays=(0.0,)), memory=MemoryOptions(budget))

        async def caller(own: random.Random) -> None:
            for _ in range(ROUNDS):
                name = own.choice(["one", "one", "other"])
                model = host._model(name)
                ended.append(await one(model, own))
                served.append(name)
                pids = [pid for each in ("one", "other") if (pid := host.pid(each)) is not None]
                assert len(pids) <= 1, "the memory is for one"
                assert host.taken <= budget
                assert all((resident_bytes(pid) or 0) < budget for pid in pids)
                if len(ended) >= dies_after and pids and "killed" not in served:
                    served.append("killed")
                    os.kill(pids[0], signal.SIGKILL)

        try:
            async with asyncio.timeout(200):
                await asyncio.gather(*(caller(random.Random(chance.random())) for _ in range(CALLERS)))
            for name in ("one", "other"):
                assert not host._model(name).busy
                last: Any = await host._model(name).generate(GenerationRequest([{"role": "user", "content": "Hi"}], max_tokens=2))
                assert last.usage.completion_tokens
        finally:
            await host.close()
        assert host.taken == 0

    asyncio.run(main())
    assert len(ended) == CALLERS * ROUNDS
    switches = sum(before != after for before, after in pairwise(name for name in served if name != "killed"))
    print({how: ended.count(how) for how in sorted(set(ended))}, f"{switches} changes of model")
    assert set(ended) <= {"answered", "left", "too late", "crashed"}
    assert {"killed", "one", "other"} <= set(served)
    assert switches
