"""Models that answer by a script: the same answers each time, nothing to install, nothing to load.

For tests, demonstrations and simulation. They keep all the promises of the interface, among them cancellation between two words,
deadlines and usage, and break on demand.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from graphs.errors import ContextTooLong, ModelCrashed, NodeTimeout
from graphs.models.chat import plain_messages, require_sound, require_texts
from graphs.models.files.store import missing
from graphs.models.history import shortened
from graphs.models.interface import (
    Embeddings,
    FinishReason,
    Generation,
    GenerationRequest,
    Model,
    ModelInfo,
    Models,
    OnToken,
    Usage,
)
from graphs.models.stopping import StopText
from graphs.values import canonical, digest

__all__ = ["Gate", "Reply", "Rule", "ScriptedModel", "ScriptedModels"]

Reply: TypeAlias = str | Mapping[str, Any] | Callable[[GenerationRequest], str | Mapping[str, Any]]
"""A text, an assistant's message with `content` and perhaps `tool_calls`, or what makes one of the request."""

Rule: TypeAlias = tuple[str | Callable[[GenerationRequest], bool], Reply]
"""When (a part of the last user message's text, or a question to the request) and what to reply. The first that holds counts."""

_DIMENSIONS: Final = 64

_WORD: Final = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+")


class Gate:
    """Holds generations in their middle: they wait after a number of pieces until it is opened."""

    def __init__(self, after: int = 1) -> None:
        self.after = after
        self._reached = asyncio.Event()
        self._open = asyncio.Event()

    async def reached(self) -> None:
        """Waits until a generation stands at the gate."""
        await self._reached.wait()

    def open(self) -> None:
        self._open.set()

    async def pass_through(self) -> None:
        self._reached.set()
        await self._open.wait()


@dataclass(slots=True)
class _Faults:
    crashes: int = 0
    after: int = 0


class ScriptedModel(Model):
    """A model that answers by rules. Without one that holds it says back the last user message after `prefix`.

    A token is a word. `requests` are all that were handed over, in order.
    """

    def __init__(
        self, name: str = "scripted", rules: Sequence[Rule] = (), *, prefix: str = "You said: ", context: int = 4096
    ) -> None:
        self.requests: list[GenerationRequest] = []
        self.gate: Gate | None = None
        self._rules = tuple(rules)
        self._prefix = prefix
        self._faults = _Faults()
        script = [prefix, context, *([_described(when), _described(reply)] for when, reply in self._rules)]
        self._info = ModelInfo(
            name=name,
            backend="scripted",
            digest=digest(canonical(script)).hex(),
            context=context,
            licence="Apache-2.0",
            loaded=True,
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    def hold(self, after: int = 1) -> Gate:
        """From now on generations wait after that many pieces, until the gate returned here is opened."""
        self.gate = Gate(after)
        return self.gate

    def crash(self, times: int = 1, *, after: int = 0) -> None:
        """Lets the next generations fail with ModelCrashed, after that many pieces were streamed."""
        self._faults = _Faults(times, after)

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        self.requests.append(request)
        require_sound(self._info.name, request)
        timeout = asyncio.timeout(None if request.deadline_ms is None else request.deadline_ms / 1000)
        try:
            async with timeout:
                return await self._answer(request, on_token or _nobody)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise NodeTimeout(f"Model {self._info.name} did not answer within {request.deadline_ms:g} ms.") from error

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Texts that share words are near each other: a vector counts a text's words, each at a place that its letters decide."""
        require_texts(self._info.name, texts)
        await asyncio.sleep(0)
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        return Embeddings([_counted(each) for each in words], sum(map(len, words)), self._info)

    async def close(self) -> None:
        """Nothing to end."""

    async def _answer(self, request: GenerationRequest, on_token: OnToken) -> Generation:
        messages: Sequence[Mapping[str, Any]] = plain_messages(self._info.name, request.messages)
        if request.fit:
            messages = shortened(messages, _prompt_tokens, self._info.context or 0, request.max_tokens)
        prompt = _prompt_tokens(messages)
        room = self._room(prompt, request.max_tokens)
        reply = self._reply(request, messages)
        words = _WORD.findall(str(reply.get("content") or ""))
        calls = tuple(reply.get("tool_calls") or ())
        clock = asyncio.get_running_loop().time
        started, first = clock(), None
        crash_at = self._next_crash()
        stop, shown, spoken = StopText(request.stop), [], 0
        try:
            for word in words[:room]:
                await self._between(spoken, crash_at)
                spoken += 1
                if piece := stop.feed(word):
                    first = first or clock()
                    shown.append(piece)
                    on_token(piece)
                if stop.found:
                    break
            await self._between(spoken, crash_at, last=True)
        except asyncio.CancelledError:
            if request.spent is not None:
                request.spent(Usage(prompt, spoken), self._info)
            raise
        if piece := stop.rest():
            shown.append(piece)
            on_token(piece)
        finish: FinishReason = "stop" if stop.found or len(words) <= room else "length"
        return Generation(
            text="".join(shown),
            finish_reason="tool_calls" if calls else finish,
            usage=Usage(prompt, max(1, spoken)),
            model=self._info,
            first_token_ms=None if first is None else (first - started) * 1000,
            total_ms=(clock() - started) * 1000,
            tool_calls=calls,
            dropped=len(request.messages) - len(messages),
        )

    def _room(self, prompt: int, max_tokens: int | None) -> int:
        context = self._info.context or 0
        wanted = max_tokens if max_tokens is not None else 1
        if prompt + wanted > context:
            message = (
                f"model {self._info.name}: {prompt} tokens of prompt and {wanted} of answer do not fit its context of {context}."
            )
            raise ContextTooLong(message, detail={"prompt_tokens": prompt, "max_tokens": max_tokens, "context": context})
        return max_tokens if max_tokens is not None else context - prompt

    def _reply(self, request: GenerationRequest, messages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        asked = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
        for when, reply in self._rules:
            if when in asked if isinstance(when, str) else when(request):
                made = reply(request) if callable(reply) else reply
                return {"content": made} if isinstance(made, str) else made
        return {"content": self._prefix + asked}

    def _next_crash(self) -> int | None:
        if not self._faults.crashes:
            return None
        self._faults.crashes -= 1
        return self._faults.after

    async def _between(self, spoken: int, crash_at: int | None, *, last: bool = False) -> None:
        """Between two words: where others get their turn, and where a generation is held, cancelled, or crashes."""
        await asyncio.sleep(0)
        if self.gate is not None and (spoken == self.gate.after or (last and spoken < self.gate.after)):
            await self.gate.pass_through()
        if crash_at is not None and (last or spoken >= crash_at):
            raise ModelCrashed(f"The process of model {self._info.name} ended in the middle of a request, as its script says.")


class ScriptedModels(Models):
    """Scripted models by their names; the interface of a model host."""

    def __init__(self, models: Iterable[ScriptedModel] = ()) -> None:
        self._models = {model.info.name: model for model in models}

    async def get(self, name: str) -> ScriptedModel:
        self._require(name)
        return self._models[name]

    def names(self) -> Sequence[str]:
        return sorted(self._models)

    def describe(self, name: str) -> ModelInfo:
        self._require(name)
        return self._models[name].info

    async def close(self) -> None:
        for model in self._models.values():
            await model.close()

    def _require(self, name: str) -> None:
        if name not in self._models:
            raise missing(name, self._models, "the script")


def _prompt_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(1 + len(message["content"].split()) for message in messages)


def _described(part: object) -> Any:
    """A part of a script as data that stays the same from run to run: functions by their name and instructions."""
    code = getattr(part, "__code__", None)
    if code is not None:
        return [
            getattr(part, "__qualname__", ""),
            code.co_code,
            [value for value in code.co_consts if isinstance(value, (str, bytes, int, float))],
        ]
    return part if isinstance(part, (str, Mapping)) else type(part).__qualname__


def _counted(words: Sequence[str]) -> list[float]:
    vector = [0.0] * _DIMENSIONS
    for word in words:
        vector[digest(word.encode("utf-8", "replace"))[0] % _DIMENSIONS] += 1.0
    length = math.hypot(*vector)
    return [count / length for count in vector] if length else [1.0, *vector[1:]]


def _nobody(_: str) -> None:
    """The listener of a generation nobody listens to."""
