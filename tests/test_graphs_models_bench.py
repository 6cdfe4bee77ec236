from __future__ import annotations

import asyncio

import pytest

from graphs.errors import UsageError
from graphs.models.bench import measure
from graphs.models.scripted import ScriptedModel


def test_each_round_asks_something_that_was_never_read() -> None:
    model = ScriptedModel()
    speed = asyncio.run(measure(model, rounds=3, tokens=20))
    assert speed.rounds == 3
    assert speed.tokens_per_second > 0
    assert speed.prompt_per_second > 0
    prompts = [str(request.messages[0]["content"]) for request in model.requests[1:]]
    assert len({prompt[:16] for prompt in prompts}) == 3
    assert all(len(prompt.split()) > 150 for prompt in prompts)


def test_a_model_that_says_nothing_cannot_be_timed() -> None:
    with pytest.raises(UsageError, match="too little to be timed"):
        asyncio.run(measure(ScriptedModel(rules=[("", "short")])))
