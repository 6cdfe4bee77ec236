"""What every model must do, as a check that any backend can be put through: `await check_model(model)`."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from graphs.errors import ContextTooLong, GraphferryError, ModelRefused, NodeTimeout
from graphs.models.interface import Generation, GenerationRequest, Model

__all__ = ["check_model"]

_LONG: Final = "Tell a long story about a ferry, a river, a dog and a very slow clock, and leave nothing out of it, please."
_SYSTEM: Final = {"role": "system", "content": "You are the clerk of a ferry. Answer in few words."}
_A_MOMENT: Final = 0.01
_FITTED: Final = 32_768
"""Contexts longer than this are not filled to see what happens."""
_SAME: Final = 0.05
_MANY: Final = 70
"""Texts at once: more than one request to a process or a server has."""
_FINISHES: Final = frozenset({"stop", "length"})


async def check_model(model: Model) -> None:
    """Raises AssertionError, saying what was promised and not kept. Takes two dozen short generations."""
    _check_info(model)
    await _check_stream(model)
    await _check_max_tokens(model)
    await _check_cancel(model)
    await _check_concurrent(model)
    await _check_deadline(model)
    await _check_refusals(model)
    await _check_twins(model)
    await _check_hints(model)
    await _check_fit(model)
    await _check_confidence(model)
    await _check_tools(model)
    await _check_embeddings(model)
    await _ask(model, "Are you still there?")


def _check_info(model: Model) -> None:
    info = model.info
    _hold(bool(info.name and info.backend), f"info names the model and its backend, got {info}")
    _hold(info.digest is None or len(bytes.fromhex(info.digest)) == 32, f"the digest is a SHA-256 in hex, got {info.digest!r}")
    _hold(info.context is None or info.context > 0, f"the context is a number of tokens, got {info.context}")


async def _check_stream(model: Model) -> None:
    pieces: list[str] = []
    generation = await model.generate(_request("Say a few words about the sea."), pieces.append)
    _hold("".join(pieces) == generation.text, f"the pieces joined are the text: {''.join(pieces)!r}, {generation.text!r}")
    _hold(all(pieces), "no piece is empty")
    _hold(len(pieces) > 1, "an answer of several words comes in several pieces")
    _check_generation(model, generation)
    _hold(generation.first_token_ms is not None, "an answer with text has a first token")
    _hold((generation.first_token_ms or 0) <= generation.total_ms, "the first token does not come after the end")


async def _check_max_tokens(model: Model) -> None:
    generation = await model.generate(_request(_LONG, max_tokens=4))
    _hold(generation.finish_reason == "length", f"an answer cut by max_tokens ends with length, got {generation.finish_reason}")
    _hold(generation.usage.completion_tokens <= 4, f"max_tokens 4 is kept, got {generation.usage.completion_tokens}")


async def _check_cancel(model: Model) -> None:
    """Cancelled at the first piece: the caller is free at once, no piece comes after, and the model answers the next one."""
    pieces: list[str] = []
    begun = asyncio.Event()

    def listen(piece: str) -> None:
        pieces.append(piece)
        begun.set()

    generating = asyncio.create_task(model.generate(_request(_LONG, max_tokens=256), listen))
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait((generating, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    _hold(not generating.done(), "a long answer is streamed before it is finished")
    heard = len(pieces)
    generating.cancel()
    outcome = (await asyncio.gather(generating, return_exceptions=True))[0]
    _hold(isinstance(outcome, asyncio.CancelledError), f"a cancelled generation raises CancelledError, got {outcome!r}")
    await _ask(model, "Was something cancelled?")
    _hold(len(pieces) == heard, "no piece comes after the cancellation")


async def _check_concurrent(model: Model) -> None:
    """Prompts of different lengths: the tokens counted tell whose answer it is."""
    questions = [f"Repeat:{' ferry' * count}." for count in (1, 8, 24)]
    alone = [(await _ask(model, question)).usage.prompt_tokens for question in questions]
    _hold(alone == sorted(set(alone)), f"a longer prompt has more tokens, got {alone}")
    streams: list[list[str]] = [[] for _ in questions]
    together = await asyncio.gather(
        *(model.generate(_request(question), pieces.append) for question, pieces in zip(questions, streams, strict=True))
    )
    got = [generation.usage.prompt_tokens for generation in together]
    _hold(got == alone, f"callers at the same time each get their own answer: prompts of {alone} tokens, got {got}")
    for generation, pieces in zip(together, streams, strict=True):
        _hold("".join(pieces) == generation.text, "callers at the same time each hear their own pieces")


async def _check_deadline(model: Model) -> None:
    outcome = await _outcome(model, _request(_LONG, max_tokens=256, deadline_ms=0.01))
    _hold(isinstance(outcome, NodeTimeout), f"a deadline that passed raises NodeTimeout, got {outcome!r}")
    await _ask(model, "Did a deadline pass?")


async def _check_refusals(model: Model) -> None:
    for messages in ((), ({"role": "captain", "content": "Ahoy"},), ({"role": "user", "content": [{"type": "image_url"}]},)):
        outcome = await _outcome(model, GenerationRequest(messages, max_tokens=4))
        _hold(isinstance(outcome, ModelRefused), f"messages {messages!r} raise ModelRefused, got {outcome!r}")
        _hold(not getattr(outcome, "retryable", True), "a refusal is not tried again")
    context = model.info.context
    if context is not None:
        outcome = await _outcome(model, _request("Hello", max_tokens=context))
        _hold(isinstance(outcome, ContextTooLong), f"an answer as long as the context raises ContextTooLong, got {outcome!r}")


async def _check_twins(model: Model) -> None:
    """The same request twice at the same time may be computed once, but each caller is served as if it were alone."""
    streams: list[list[str]] = [[], [], []]
    tasks = [asyncio.create_task(model.generate(_request(_LONG, max_tokens=24), pieces.append)) for pieces in streams]
    while not streams[0] and not tasks[0].done():
        await asyncio.wait((tasks[0],), timeout=_A_MOMENT)
    tasks[0].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome, pieces in zip(outcomes[1:], streams[1:], strict=True):
        _hold(isinstance(outcome, Generation), f"cancelling a request does not end another one like it, got {outcome!r}")
        if isinstance(outcome, Generation):
            _hold("".join(pieces) == outcome.text, "requests that are the same each hear all of the answer")


async def _check_hints(model: Model) -> None:
    plain = GenerationRequest([_SYSTEM, {"role": "user", "content": "Who are you?"}], max_tokens=4, temperature=0)
    hinted = replace(plain, shared=1, run="a", priority=3)
    before, after = await model.generate(plain), await model.generate(hinted)
    same = before.usage.prompt_tokens == after.usage.prompt_tokens
    _hold(same, f"shared, run and priority do not change what is asked: {before.usage}, {after.usage}")


async def _check_fit(model: Model) -> None:
    context = model.info.context
    if context is None or context > _FITTED:
        return
    old = {"role": "user", "content": "ferry " * context}
    history = [_SYSTEM, old, {"role": "assistant", "content": "Fine."}, {"role": "user", "content": "Are you there?"}]
    request = GenerationRequest(history, max_tokens=4, temperature=0)
    outcome = await _outcome(model, request)
    _hold(isinstance(outcome, ContextTooLong), f"a history longer than the context raises ContextTooLong, got {outcome!r}")
    fitted = await model.generate(replace(request, fit=True))
    _hold(fitted.dropped == 2, f"with fit the oldest turn is left out, and dropped says so: 2 messages, got {fitted.dropped}")
    _hold(fitted.usage.total_tokens <= context, f"what fits is no longer than the context, got {fitted.usage}")
    _hold((await model.generate(_request("Hello", max_tokens=2))).dropped == 0, "without need nothing is left out")


async def _check_confidence(model: Model) -> None:
    request = _request("Say a few words about tea.")
    _hold((await model.generate(request)).confidence is None, "confidence comes only where it was asked for")
    confidence = (await model.generate(replace(request, confidence=True))).confidence
    if confidence is not None:
        ordered = confidence.minimum <= confidence.mean <= 0 <= confidence.margin
        _hold(ordered, f"confidence is logarithms of chances, minimum <= mean <= 0 <= margin, got {confidence}")


async def _check_tools(model: Model) -> None:
    parameters = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    tool = {
        "type": "function",
        "function": {"name": "weather", "description": "The weather of a city.", "parameters": parameters},
    }
    request = replace(_request("How is the weather in Rome?", max_tokens=48), tools=[tool], tool_choice="required")
    outcome = await _outcome(model, request)
    if isinstance(outcome, ModelRefused):
        return
    _hold(isinstance(outcome, Generation), f"a request with tools is answered or refused, got {outcome!r}")
    if not isinstance(outcome, Generation):
        return
    _hold((outcome.finish_reason == "tool_calls") == bool(outcome.tool_calls), "an answer ends with tool_calls if it calls tools")
    for call in outcome.tool_calls:
        function = call["function"]
        _hold(bool(call["id"]) and function["name"] == "weather", f"a call has an id and names a tool that was given, got {call}")
        arguments = json.loads(function["arguments"])
        _hold(arguments.get("city") in ("Paris", "Rome"), f"the arguments of a call keep to its schema, got {arguments}")


async def _check_embeddings(model: Model) -> None:
    sentence, other = "A cat sleeps.", "Shares fell sharply."
    try:
        both = await model.embed([sentence, other])
        (second,) = (await model.embed([other])).vectors
    except ModelRefused as refusal:
        _hold(not refusal.retryable, "a model that makes no embeddings refuses for good")
        return
    _hold(
        len(both.vectors) == 2 and both.tokens > 0, f"each text has its vector, and tokens are counted, got {len(both.vectors)}"
    )
    for vector in both.vectors:
        _hold(abs(math.hypot(*vector) - 1) < 1e-3, f"a vector has length 1, got {math.hypot(*vector)}")
    _hold(math.dist(both.vectors[1], second) < _SAME, "a text has the same vector alone and beside others")
    _hold(math.dist(both.vectors[0], second) > _SAME, "different texts have different vectors")
    same = (both.model.name, both.model.digest) == (model.info.name, model.info.digest)
    _hold(same, f"embeddings say which model made them, got {both.model}")
    none = await model.embed([])
    _hold(
        not none.vectors and none.tokens == 0,
        f"no texts have no vectors and no tokens, got {len(none.vectors)} and {none.tokens}",
    )
    await _check_many_embeddings(model, sentence, other)


async def _check_many_embeddings(model: Model, sentence: str, other: str) -> None:
    """More texts than one request to a backend may have, beside an answer; then what is no text, and one nobody waits for."""
    texts = [other if place % 3 == 1 else sentence for place in range(_MANY)]
    many, generation = await asyncio.gather(model.embed(texts), model.generate(_request("Say a few words about the wind.")))
    _check_generation(model, generation)
    _hold(len(many.vectors) == _MANY, f"each of many texts has its vector, got {len(many.vectors)}")
    _hold(len({len(vector) for vector in many.vectors}) == 1, "all vectors have as many places")
    for place, vector in enumerate(many.vectors):
        beside = math.dist(vector, many.vectors[1 if place % 3 == 1 else 0])
        _hold(beside < _SAME, f"vectors come in the order of their texts: that of text {place} is another's")
    outcome = (await asyncio.gather(model.embed([5]), return_exceptions=True))[0]  # type: ignore[list-item]
    _hold(isinstance(outcome, ModelRefused), f"what is no text raises ModelRefused, got {type(outcome).__name__}")
    cancelled = asyncio.create_task(model.embed(texts))
    await asyncio.sleep(0)
    cancelled.cancel()
    outcome = (await asyncio.gather(cancelled, return_exceptions=True))[0]
    _hold(isinstance(outcome, asyncio.CancelledError), f"cancelled embeddings raise CancelledError, got {type(outcome).__name__}")
    _hold(math.dist((await model.embed([other])).vectors[0], many.vectors[1]) < _SAME, "and the next ones are right")


async def _ask(model: Model, question: str) -> Generation:
    generation = await model.generate(_request(question))
    _check_generation(model, generation)
    return generation


def _check_generation(model: Model, generation: Generation) -> None:
    usage = generation.usage
    _hold(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"tokens are counted, got {usage}")
    _hold(generation.finish_reason in _FINISHES, f"an answer ends with stop or length, got {generation.finish_reason}")
    same = (generation.model.name, generation.model.digest) == (model.info.name, model.info.digest)
    _hold(same, f"a generation says which model made it, got {generation.model}")


async def _outcome(model: Model, request: GenerationRequest) -> Generation | GraphferryError:
    try:
        return await model.generate(request)
    except GraphferryError as error:
        return error


def _request(question: str, *, max_tokens: int = 12, deadline_ms: float | None = None) -> GenerationRequest:
    messages: Sequence[dict[str, Any]] = [{"role": "user", "content": question}]
    return GenerationRequest(messages, max_tokens=max_tokens, temperature=0, deadline_ms=deadline_ms)


def _hold(kept: bool, promise: str) -> None:
    if not kept:
        raise AssertionError(promise)
