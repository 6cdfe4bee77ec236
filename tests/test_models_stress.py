"""Many callers of one real model at once, who leave, run out of time, and see it die: each request ends in exactly one way."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from typing import Any

import pytest

from graphs.errors import ModelCrashed, NodeTimeout
from graphs.models.fetch import DEFAULT_MODEL
from graphs.models.host import HostOptions, ModelHost
from graphs.models.hosted import HostedModel
from graphs.models.interface import Embeddings, Generation, GenerationRequest

pytestmark = [pytest.mark.real_model, pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.usefixtures("home_with_model")]

CALLERS = 32
ROUNDS = 3
SYSTEM = {"role": "system", "content": "You work on a ferry. " + "Be brief, be kind, name the pier. " * 8}
FORM = {"type": "json_object", "schema": {"type": "object", "properties": {"pier": {"enum": [1, 2]}}, "required": ["pier"]}}
MEMORY = 900_000_000
"""Bytes the process may have in use: the file, a cache of 4096 tokens, two contexts and Python."""


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


@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(2**32)])
def test_every_request_of_many_callers_ends_in_exactly_one_way(seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    ended: list[str] = []
    dies_after = chance.randrange(CALLERS, 2 * CALLERS)

    async def caller(model: HostedModel, own: random.Random) -> None:
        for _ in range(ROUNDS):
            ended.append(await one(model, own))
            if len(ended) == dies_after and model.pid is not None:
                os.kill(model.pid, signal.SIGKILL)

    async def main() -> None:
        host = ModelHost(options=HostOptions(restart_delays=(0.0,)))
        try:
            model = await host.get(DEFAULT_MODEL)
            first = model.pid
            async with asyncio.timeout(200):
                await asyncio.gather(*(caller(model, random.Random(chance.random())) for _ in range(CALLERS)))
            assert not model.busy
            assert model.pid != first
            assert (model.resident_bytes or 0) < MEMORY
            last: Any = await model.generate(GenerationRequest([{"role": "user", "content": "Hello"}], max_tokens=2))
            assert last.usage.completion_tokens
        finally:
            await host.close()

    asyncio.run(main())
    assert len(ended) == CALLERS * ROUNDS
    print({how: ended.count(how) for how in sorted(set(ended))})
    assert set(ended) <= {"answered", "left", "too late", "crashed"}
    assert "crashed" in ended
