"""What every model must do, as a check that any backend can be put through: `await check_model(model)`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from graphs.errors import ContextTooLong, GraphferryError, ModelRefused, NodeTimeout
from graphs.models.interface import Generation, GenerationRequest, Model

__all__ = ["check_model"]

_LONG: Final = "Tell a long story about a ferry, a river, a dog and a very slow clock, and leave nothing out of it, please."
_FINISHES: Final = frozenset({"stop", "length"})


async def check_model(model: Model) -> None:
    """Raises AssertionError, saying what was promised and not kept. Takes a dozen short generations."""
    _check_info(model)
    await _check_stream(model)
    await _check_max_tokens(model)
    await _check_cancel(model)
    await _check_concurrent(model)
    await _check_deadline(model)
    await _check_refusals(model)
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
