from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from graphs.errors import ModelRefused, NodeTimeout
from graphs.models.conformance import check_model
from graphs.models.interface import Confidence, Embeddings, Generation, GenerationRequest, OnToken, Usage
from graphs.models.scripted import Rule, ScriptedModel


class Faulty(ScriptedModel):
    """Keeps all promises but one: what it generates, or how it is asked, is changed."""

    def __init__(self, *, ask: Callable[[GenerationRequest], GenerationRequest] | None = None, **changes: Any) -> None:
        super().__init__()
        self._ask = ask
        self._changes = changes

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        generation = await super().generate(self._ask(request) if self._ask else request, on_token)
        return replace(generation, **self._changes)


class Deaf(ScriptedModel):
    """Goes on streaming after it was cancelled."""

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        generating = asyncio.create_task(super().generate(request, on_token))
        return await asyncio.shield(generating)


class Twinned(ScriptedModel):
    """Computes the same request once, and ends it for all when one caller leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.running: dict[str, asyncio.Task[Generation]] = {}

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        key = str(request) if on_token and "long story" in str(request) and request.max_tokens == 24 else ""
        if key and key in self.running:
            return await self.running[key]
        task = asyncio.ensure_future(super().generate(request, on_token))
        if key:
            self.running[key] = task
        return await task


class Odd(ScriptedModel):
    """Makes other vectors."""

    def __init__(self, make: Callable[[Sequence[str]], list[list[float]]]) -> None:
        super().__init__()
        self._make = make

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        return replace(await super().embed(texts), vectors=self._make(texts))


class Sure(ScriptedModel):
    """Says how sure it is where it is asked."""

    def __init__(self, confidence: Confidence) -> None:
        super().__init__()
        self._confidence = confidence

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        generation = await super().generate(request, on_token)
        return replace(generation, confidence=self._confidence) if request.confidence else generation


def calls(name: str, arguments: str) -> Rule:
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return "weather in Rome", {"content": "", "tool_calls": [call]}


class Swallowing(ScriptedModel):
    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        try:
            return await super().generate(request, on_token)
        except NodeTimeout:
            return await super().generate(replace(request, deadline_ms=None), on_token)


@pytest.mark.parametrize(
    "model",
    [ScriptedModel(), ScriptedModel(rules=[calls("weather", '{"city": "Rome"}')]), Sure(Confidence(-1.0, -2.0, 0.5))],
)
def test_a_scripted_model_conforms(model: ScriptedModel) -> None:
    asyncio.run(check_model(model))


def test_a_model_may_refuse_tools_and_embeddings() -> None:
    class Refusing(ScriptedModel):
        async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
            if request.tools:
                raise ModelRefused("no tools")
            return await super().generate(request, on_token)

        async def embed(self, texts: Sequence[str]) -> Embeddings:
            raise ModelRefused("no embeddings")

    asyncio.run(check_model(Refusing()))


def apart(texts: Sequence[str]) -> list[list[float]]:
    """Vectors that are the same for the same texts; the one that is asked first comes after the other."""
    return [[0.0, 1.0] if str(text).startswith("A") else [1.0, 0.0] for text in texts]


@pytest.mark.parametrize(
    ("model", "promise"),
    [
        (Faulty(text="other"), "pieces joined are the text"),
        (Faulty(usage=Usage(5, 0)), "tokens are counted"),
        (Faulty(usage=Usage(5, 3)), "a longer prompt has more tokens"),
        (Faulty(finish_reason="stop"), "ends with length"),
        (Faulty(ask=lambda request: replace(request, max_tokens=None)), "ends with length"),
        (Faulty(first_token_ms=None), "has a first token"),
        (Faulty(model=ScriptedModel("other").info), "which model made it"),
        (Faulty(ask=lambda request: replace(request, messages=request.messages or [{"role": "user"}])), "raise ModelRefused"),
        (Deaf(), "no piece comes after the cancellation"),
        (Swallowing(), "raises NodeTimeout"),
        (Twinned(), "each hear all of the answer"),
        (Faulty(ask=lambda request: replace(request, messages=request.messages[-1:])), "raises ContextTooLong"),
        (
            Faulty(ask=lambda request: replace(request, messages=request.messages[request.shared :])),
            "do not change what is asked",
        ),
        (Faulty(dropped=1), "dropped says so"),
        (Faulty(confidence=Confidence(-1.0, -2.0, 0.5)), "only where it was asked for"),
        (Sure(Confidence(-2.0, -1.0, 0.5)), "minimum <= mean"),
        (ScriptedModel(rules=[calls("rm", "{}")]), "names a tool that was given"),
        (ScriptedModel(rules=[calls("weather", "{}")]), "keep to its schema"),
        (Odd(lambda texts: [[1.0, 0.0]] * len(texts)), "different texts have different vectors"),
        (Odd(lambda texts: [[2.0, 0.0]] * len(texts)), "has length 1"),
        (Odd(lambda texts: [[1.0, 0.0], [0.0, 1.0]][: len(texts)]), "alone and beside others"),
        (Odd(lambda texts: [[1.0, 0.0]]), "each text has its vector"),
        (Odd(lambda texts: apart(texts) or [[1.0, 0.0]]), "no texts have no vectors"),
        (Odd(lambda texts: apart(texts)[:64]), "each of many texts has its vector"),
        (Odd(lambda texts: sorted(apart(texts))), "in the order of their texts"),
        (Odd(lambda texts: [[*vector, *[0.0] * (place > 64)] for place, vector in enumerate(apart(texts))]), "as many places"),
    ],
)
def test_a_broken_promise_is_named(model: ScriptedModel, promise: str) -> None:
    with pytest.raises(AssertionError, match=promise):
        asyncio.run(check_model(model))
