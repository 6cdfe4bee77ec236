from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from graphs.errors import NodeTimeout
from graphs.models.conformance import check_model
from graphs.models.interface import Generation, GenerationRequest, OnToken, Usage
from graphs.models.scripted import ScriptedModel


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


class Swallowing(ScriptedModel):
    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        try:
            return await super().generate(request, on_token)
        except NodeTimeout:
            return await super().generate(replace(request, deadline_ms=None), on_token)


def test_a_scripted_model_conforms() -> None:
    asyncio.run(check_model(ScriptedModel()))


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
    ],
)
def test_a_broken_promise_is_named(model: ScriptedModel, promise: str) -> None:
    with pytest.raises(AssertionError, match=promise):
        asyncio.run(check_model(model))
