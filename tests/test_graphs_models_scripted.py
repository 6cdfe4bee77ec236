from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graphs.errors import ContextTooLong, ModelCrashed, ModelMissing, NodeTimeout
from graphs.models.interface import Generation, GenerationRequest
from graphs.models.scripted import ScriptedModel, ScriptedModels


def ask(text: str, **options: Any) -> GenerationRequest:
    return GenerationRequest([{"role": "user", "content": text}], **options)


def generate(model: ScriptedModel, request: GenerationRequest) -> tuple[Generation, list[str]]:
    pieces: list[str] = []
    return asyncio.run(model.generate(request, pieces.append)), pieces


def shouting(request: GenerationRequest) -> str:
    return str(request.messages[-1]["content"]).upper()


def about_rain(request: GenerationRequest) -> bool:
    return "rain" in request.messages[0]["content"]


def test_without_a_rule_it_says_back_the_last_user_message_word_by_word() -> None:
    model = ScriptedModel()
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "two  words\n"},
    ]
    generation, pieces = generate(model, GenerationRequest(messages))
    assert generation.text == "You said: two  words\n"
    assert pieces == ["You", " said:", " two", "  words\n"]
    assert (generation.usage.prompt_tokens, generation.usage.completion_tokens) == (7, 4)
    assert generation.finish_reason == "stop"
    assert [request.messages for request in model.requests] == [messages]


def test_the_first_rule_that_holds_counts() -> None:
    model = ScriptedModel(rules=[("ferry", "A boat."), (about_rain, shouting), ("rain", "never")])
    assert generate(model, ask("what is a ferry in the rain"))[0].text == "A boat."
    assert generate(model, ask("rain"))[0].text == "RAIN"
    assert generate(model, ask("sun"))[0].text == "You said: sun"


def test_a_reply_may_call_tools() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]
    generation, pieces = generate(ScriptedModel(rules=[("", {"content": None, "tool_calls": calls})]), ask("add"))
    assert (generation.finish_reason, list(generation.tool_calls), generation.text, pieces) == ("tool_calls", calls, "", [])


def test_limits_and_stop_strings_cut_the_answer() -> None:
    model = ScriptedModel(rules=[("", "one two three. four")], context=20)
    cut, pieces = generate(model, ask("x", max_tokens=2))
    assert (cut.text, cut.finish_reason, cut.usage.completion_tokens) == ("one two", "length", 2)
    assert pieces == ["one", " two"]
    whole, _ = generate(model, ask("x", max_tokens=4))
    assert (whole.text, whole.finish_reason) == ("one two three. four", "stop")
    stopped, pieces = generate(model, ask("x", stop=["ee."]))
    assert (stopped.text, stopped.finish_reason) == ("one two thr", "stop")
    assert "".join(pieces) == stopped.text
    with pytest.raises(ContextTooLong) as caught:
        generate(model, ask("x", max_tokens=19))
    assert caught.value.detail == {"prompt_tokens": 2, "max_tokens": 19, "context": 20}


def test_the_digest_is_that_of_the_script() -> None:
    same = [ScriptedModel(name, [("a", "b"), (about_rain, shouting)]).info.digest for name in ("x", "y")]
    assert same[0] == same[1]
    others = [
        ScriptedModel(rules=[("a", "c"), (about_rain, shouting)]),
        ScriptedModel(rules=[("a", "b"), (about_rain, "loud")]),
        ScriptedModel(rules=[("a", "b"), (about_rain, shouting)], prefix="Echo: "),
        ScriptedModel(rules=[("a", "b"), (lambda request: True, shouting)]),
        ScriptedModel(rules=[("a", "b"), (lambda request: False, shouting)]),
    ]
    assert len({same[0], *(model.info.digest for model in others)}) == 6


def test_crashes_come_as_often_and_as_late_as_asked() -> None:
    model = ScriptedModel(rules=[("", "one two three")])
    model.crash(times=2, after=2)
    for _ in range(2):
        pieces: list[str] = []
        with pytest.raises(ModelCrashed) as caught:
            asyncio.run(model.generate(ask("x"), pieces.append))
        assert caught.value.retryable
        assert pieces == ["one", " two"]
    assert generate(model, ask("x"))[0].text == "one two three"
    model.crash(after=99)
    with pytest.raises(ModelCrashed):
        generate(model, ask("x"))


def test_a_gate_holds_a_generation_until_it_is_opened() -> None:
    async def main() -> None:
        model, pieces = ScriptedModel(rules=[("", "one two three")]), list[str]()
        gate = model.hold(after=2)
        generating = asyncio.create_task(model.generate(ask("x"), pieces.append))
        await gate.reached()
        assert pieces == ["one", " two"]
        assert not generating.done()
        gate.open()
        assert (await generating).text == "one two three"
        assert (await model.generate(ask("x"))).text == "one two three"

    asyncio.run(main())


def test_a_held_generation_can_be_cancelled_or_time_out() -> None:
    async def main() -> None:
        model, pieces = ScriptedModel(), list[str]()
        gate = model.hold(after=99)
        generating = asyncio.create_task(model.generate(ask("x"), pieces.append))
        await gate.reached()
        heard = list(pieces)
        generating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await generating
        with pytest.raises(NodeTimeout, match="1 ms"):
            await model.generate(ask("x", deadline_ms=1))
        gate.open()
        await model.generate(ask("x"))
        assert pieces == heard

    asyncio.run(main())


def test_a_listeners_own_timeout_error_is_not_a_deadline() -> None:
    def listen(piece: str) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        asyncio.run(ScriptedModel().generate(ask("x", deadline_ms=60_000), listen))


def test_models_are_found_by_name() -> None:
    async def main() -> None:
        small, large = ScriptedModel("small"), ScriptedModel("large")
        models = ScriptedModels([small, large])
        assert models.names() == ["large", "small"]
        assert await models.get("small") is small
        assert models.describe("large") == large.info
        for look in (models.get("smal"),):
            with pytest.raises(ModelMissing, match="Did you mean small"):
                await look
        with pytest.raises(ModelMissing, match="There are: large, small"):
            models.describe("x")
        await models.close()

    asyncio.run(main())


def test_texts_with_common_words_are_near_each_other() -> None:
    made = asyncio.run(ScriptedModel().embed(["the cat sat", "a cat sat", "stock prices fell", ""]))
    near, far = (sum(a * b for a, b in zip(made.vectors[0], made.vectors[i], strict=True)) for i in (1, 2))
    assert near > far
    assert all(sum(each * each for each in vector) == pytest.approx(1) for vector in made.vectors)
    assert made.tokens == 9
