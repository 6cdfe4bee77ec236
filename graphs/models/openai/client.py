"""A model behind an OpenAI-compatible server, asked over HTTP: Ollama, llama-server, LM Studio, vLLM and hosted services.

What goes wrong is told apart by who could do something about it. The request's own fault is a ModelRefused or ContextTooLong. A
server that is busy, gone, or does not let us in is a LinkCondition: the node waits and is not charged. One that breaks off in
the middle is a ModelCrashed, one that speaks another language a NodeError. Nothing here is logged, and no key is part of an error.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphs.departures import request_hook
from graphs.errors import (
    ContextTooLong,
    GraphferryError,
    LinkCondition,
    ModelCrashed,
    ModelMissing,
    ModelRefused,
    NodeError,
    NodeTimeout,
)
from graphs.models.chat import require_sound, require_texts
from graphs.models.history import turns
from graphs.models.interface import Embeddings, Generation, GenerationRequest, Model, ModelInfo, OnToken
from graphs.models.openai.servers import Server
from graphs.models.openai.sse import EventStream, SseError
from graphs.models.openai.wire import (
    MAX_ANSWER,
    QUIRKS,
    Answer,
    WireError,
    chat_body,
    content_problem,
    embeddings_body,
    error_text,
    vectors_of,
)
from graphs.models.schemas import answer_misfit, schema_of
from graphs.secrets import Secrets

if TYPE_CHECKING:
    import httpx

__all__ = ["Patience", "ServerModel"]

_TEXTS_AT_ONCE: Final = 256
_MAX_BODY: Final = 64 * 1024 * 1024
_MAX_ERROR: Final = 64 * 1024
_DONE: Final = "[DONE]"
_AFTER_DONE: Final = 0.25
_BUSY: Final = frozenset({408, 425, 429, 503, 529})
_GATEWAY: Final = frozenset({502, 504, 521, 522, 523, 524})
_TOO_LONG: Final = ("context_length_exceeded", "exceed_context_size_error")
_NO_QUOTA: Final = "insufficient_quota"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for. All times in seconds.

    `tries` requests at most, a pause of `pause` before the second, twice that before the next, or what the server asks for; one
    that asks for more than `longest` is not waited for. `silence` may pass between two pieces of an answer. `sleep` waits.
    """

    tries: int = 4
    pause: float = 0.5
    longest: float = 30.0
    connect: float = 10.0
    silence: float = 300.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class _Again(Exception):
    """The request may be sent again: after `after` seconds, or the usual pause. `final` is what it means if it is not."""

    def __init__(self, final: GraphferryError, after: float | None = None) -> None:
        super().__init__(str(final))
        self.final = final
        self.after = after


class ServerModel(Model):
    """One model of one server. Used within one event loop."""

    def __init__(self, server: Server, secrets: Secrets, patience: Patience | None = None) -> None:
        self._server = server
        self._secrets = secrets
        self._patience = patience or Patience()
        self._client: httpx.AsyncClient | None = None
        self._quirks: set[str] = set()
        self._info = ModelInfo(name=server.model, backend=server.backend, context=server.context, loaded=True)

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        require_sound(self._info.name, request)
        self._require_fit(request)
        started = asyncio.get_running_loop().time()
        async with self._deadline(request.deadline_ms):
            return await self._fitted(request, on_token, started)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        require_texts(self._info.name, texts)
        vectors: list[list[float]] = []
        tokens = 0
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            some = texts[first : first + _TEXTS_AT_ONCE]
            more, read = await self._patiently(lambda some=some: self._vectors(some))  # type: ignore[misc] # bound per turn
            vectors += more
            tokens += read
        if len({len(vector) for vector in vectors}) > 1:
            raise self._strange("its embeddings are not of one length")
        return Embeddings(vectors, tokens, self._info)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # -- one request

    async def _fitted(self, request: GenerationRequest, on_token: OnToken | None, started: float) -> Generation:
        """An answer; with `fit` to a history without its oldest turns, if the server says that it is too long. Only the server can count
        its tokens, so one turn is left out first, then twice as many each time: in the worst case nearly twice as many as need be.
        """
        head, middle, last = turns(request.messages) if request.fit else ([], [], [])
        gone = 0
        while True:
            kept = [*head, *(message for turn in middle[gone:] for message in turn), *last]
            asked = replace(request, messages=kept) if gone else request
            try:
                generation: Generation = await self._patiently(partial(self._chat, asked, on_token, started))
            except ContextTooLong:
                if gone == len(middle):
                    raise
                gone = min(max(1, 2 * gone), len(middle))
            else:
                self._require_form(request, generation)
                return replace(generation, dropped=len(request.messages) - len(asked.messages))

    def _require_form(self, request: GenerationRequest, generation: Generation) -> None:
        """Raises ModelRefused for a whole answer that is not as its schema demands: not every server keeps answers to one."""
        if generation.finish_reason != "stop" or request.stop or generation.tool_calls:
            return
        with suppress(ValueError):  # a form of the server's own
            schema = schema_of(request.response_format)
            if schema is not None and (wrong := answer_misfit(generation.text, schema)):
                message = f"model {self._info.name}: its answer is not as its schema demands: {wrong}."
                error = ModelRefused(message, detail={"answer": generation.text})
                error.retryable = request.temperature > 0 and request.seed is None
                raise error

    async def _chat(self, request: GenerationRequest, on_token: OnToken | None, started: float) -> Generation:
        clock = asyncio.get_running_loop().time
        body = chat_body(self._info.name, request, self._quirks)
        answer, texts, first = Answer(), list[str](), None
        async with (
            self._sent("chat/completions", body, request.key) as response,
            aclosing(self._events(response, answer)) as events,
        ):
            async for data in events:
                try:
                    text = answer.feed(data)
                except WireError as error:
                    raise self._reported(error) from None  # the cause repeats what a key may stand in
                if text:
                    first = first or clock()
                    texts.append(text)
                    if on_token is not None:
                        on_token(text)
        if answer.refused is not None:
            raise ModelRefused(f"{self._who} withholds the answer: {answer.refused}")
        calls = answer.tool_calls
        extra: dict[str, Any] = {"served_model": answer.served} if answer.served not in (None, self._info.name) else {}
        if answer.usage is None:
            extra["usage_estimated"] = True
        return Generation(
            text="".join(texts),
            finish_reason="tool_calls" if calls else answer.finish or "stop",
            usage=answer.usage or answer.estimated_usage(request.messages),
            model=self._info,
            first_token_ms=None if first is None else (first - started) * 1000,
            total_ms=(clock() - started) * 1000,
            tool_calls=calls,
            confidence=answer.confidence if request.confidence else None,
            extra=extra,
        )

    async def _events(self, response: httpx.Response, answer: Answer) -> AsyncGenerator[str, None]:
        """The data of the answer's events up to its end. Raises ModelCrashed if it ends before it is finished."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":  # a server that does not stream
            yield await self._whole(response)
            return
        if kind != "text/event-stream":
            raise self._strange(f"it answers with {kind or 'no content type'} where a stream of events was asked for")
        import httpx

        stream, done, size = EventStream(), False, 0
        pieces = response.aiter_bytes()
        try:
            async for piece in pieces:
                size += len(piece)
                if size > _MAX_BODY + MAX_ANSWER:
                    raise self._strange("its answer does not end")
                for data in stream.feed(piece):
                    if data == _DONE:
                        done = True
                        break
                    yield data
                if done:
                    break
        except SseError as error:
            raise self._strange(str(error)) from error
        except httpx.TransportError as error:
            if answer.finish is None:
                raise ModelCrashed(f"{self._who} broke off in the middle of an answer ({_what(error)}).") from error
            return
        if done:  # what follows is the end of the body: read, the connection can be used again
            with suppress(TimeoutError, httpx.TransportError):
                async with asyncio.timeout(_AFTER_DONE):
                    await anext(pieces, None)
        elif answer.finish is None:
            raise ModelCrashed(f"{self._who} broke off in the middle of an answer: the stream ended before its end was said.")

    async def _vectors(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        async with self._sent("embeddings", embeddings_body(self._info.name, texts)) as response:
            body = await self._whole(response)
        try:
            return vectors_of(body, len(texts))
        except WireError as error:
            raise self._reported(error) from error

    @asynccontextmanager
    async def _sent(self, path: str, body: Any, name: str = "") -> AsyncIterator[httpx.Response]:
        """The response to a request that the server accepted; leaving closes it. `name` is the request's. Raises _Again or what the refusal
        means.
        """
        import httpx

        client = self._opened()
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if name:  # the body is part of it: a history that is shortened to fit is another request
            headers["Idempotency-Key"] = hashlib.sha256((name + json.dumps(body, default=repr)).encode()).hexdigest()[:32]
        sending = client.stream("POST", f"{self._server.url}/{path}", json=body, headers=headers)
        try:
            response = await sending.__aenter__()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _Again(self._unreachable(_what(error))) from error
        except ValueError as error:  # what JSON cannot write
            raise ModelRefused(f"model {self._info.name}: the request cannot be sent: {error}") from error
        try:
            if response.status_code != 200:
                raise await self._refusal(response, key)
            yield response
        finally:
            await sending.__aexit__(None, None, None)

    async def _whole(self, response: httpx.Response) -> str:
        import httpx

        try:
            return await _read(response, _MAX_BODY)
        except httpx.TransportError as error:
            raise ModelCrashed(f"{self._who} broke off in the middle of an answer ({_what(error)}).") from error
        except UnicodeDecodeError as error:
            raise self._strange("its answer is not UTF-8") from error

    # -- what goes wrong

    async def _refusal(self, response: httpx.Response, key: str | None) -> Exception:
        """What an answer with an error's status means."""
        import httpx

        status = response.status_code
        try:
            said, code = error_text(await _read(response, _MAX_ERROR))
        except (httpx.TransportError, UnicodeDecodeError, NodeError):
            said, code = "", ""
        said = said.replace(key, "***") if key else said
        text = f"{self._who} answered with status {status}{': ' + said if said else ''}"
        if status in _BUSY:
            after = _retry_after(response.headers)
            final = LinkCondition("BUSY", f"{text}.", retry_ms=round(after * 1000) if after is not None else None)
            return final if code == _NO_QUOTA else _Again(final, after)
        if status in _GATEWAY:
            return _Again(self._unreachable(f"status {status}"))
        if status in (401, 403):
            return LinkCondition("AUTH_FORBIDDEN", f"{text}.", retryable=False, hint=self._key_hint())
        if code in _TOO_LONG or (status in (400, 413) and "context" in said and ("length" in said or "exceed" in said)):
            return ContextTooLong(text)
        if status == 404:
            return ModelMissing(
                f"{text}.", hint=f"Look whether the server has the model {self._info.name} and its url ends in /v1."
            )
        if status >= 500 and status != 501:
            return NodeError(f"{text}.", detail={"status": status})
        refused = ModelRefused(f"{text}.", detail={"status": status})
        quirk = (
            next((each for each in QUIRKS if each in said and each not in self._quirks), None) if status in (400, 422) else None
        )
        if quirk is not None:
            self._quirks.add(quirk)
            return _Again(refused, 0)
        return refused

    def _reported(self, error: WireError) -> GraphferryError:
        """What the server's own account of an error in the middle of an answer means, or that it speaks another language."""
        if error.reported is None:
            return self._strange(str(error))
        code, said = str(error.reported.get("code") or error.reported.get("type") or ""), str(error.reported.get("message") or "")
        key = self._key()
        said = said.replace(key, "***") if key else said
        text = f"{self._who} reported an error in its answer: {said[:300]}"
        if code in _TOO_LONG:
            return ContextTooLong(text)
        if code in ("429", "503", "rate_limit_exceeded", "overloaded_error"):
            return LinkCondition("BUSY", text)
        return NodeError(text)

    def _strange(self, what: str) -> NodeError:
        return NodeError(
            f"{self._who} does not answer as an OpenAI-compatible server does: {what}.",
            hint="Look at the url in the configuration; it usually ends in /v1.",
        )

    def _unreachable(self, why: str) -> LinkCondition:
        return LinkCondition(
            "UNREACHABLE", f"{self._who} cannot be reached: {why}.", hint="Is the server running, and is the url right?"
        )

    @property
    def _who(self) -> str:
        return f"The server of model {self._info.name} ({self._server.backend.removeprefix('openai ')})"

    # -- the rest

    async def _patiently(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Asks again while the server is busy or gone, with pauses."""
        patience = self._patience
        for number in range(patience.tries):
            try:
                return await ask()
            except _Again as again:
                usual = patience.pause * 2**number * (1 + random.random() / 4)  # noqa: S311 - so that many do not come back at once
                wait = again.after if again.after is not None else min(usual, patience.longest)
                if number + 1 == patience.tries or wait > patience.longest:
                    raise again.final from again
                await patience.sleep(wait)
        raise AssertionError("the last try either answered or raised")

    @asynccontextmanager
    async def _deadline(self, deadline_ms: float | None) -> AsyncIterator[None]:
        timeout = asyncio.timeout(None if deadline_ms is None else deadline_ms / 1000)
        try:
            async with timeout:
                yield
        except TimeoutError as error:
            if not timeout.expired():
                raise  # the caller's own, out of on_token
            raise NodeTimeout(f"{self._who} did not answer within {deadline_ms:g} ms.") from error

    def _require_fit(self, request: GenerationRequest) -> None:
        name, context, wanted = self._info.name, self._info.context, request.max_tokens
        if problem := content_problem(request):
            raise ModelRefused(f"model {name}: {problem}")
        if context is not None and wanted is not None and wanted >= context:
            detail = {"max_tokens": wanted, "context": context}
            raise ContextTooLong(
                f"model {name}: an answer of {wanted} tokens leaves no room for a prompt in {context}.", detail=detail
            )

    def _key(self) -> str | None:
        if self._server.key is None:
            return None
        key = self._secrets.get(self._server.key)
        if key is None:
            raise LinkCondition(
                "AUTH_FORBIDDEN",
                f"Model {self._info.name} needs the secret {self._server.key}, which is in neither of {self._secrets.places}.",
                retryable=False,
                hint=f"export {self._server.key}=...",
            )
        if not key.isascii() or not key.isprintable():
            raise LinkCondition(
                "AUTH_FORBIDDEN", f"The secret {self._server.key} has characters no key can have.", retryable=False
            )
        return key

    def _key_hint(self) -> str:
        if self._server.key is None:
            return "The server wants a key: add `key: {secret: NAME}` to the model's entry in the configuration."
        return f"Look at the secret {self._server.key} in {self._secrets.places}."

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(self._patience.silence, connect=self._patience.connect, pool=None),
                headers={"Accept-Encoding": "identity"},
                follow_redirects=False,  # a key goes to the server it is for, and nowhere else
                trust_env=not self._server.is_loopback,  # a proxy is no way to this machine
                event_hooks={} if self._server.on_device else request_hook("model"),
            )
        return self._client


async def _read(response: httpx.Response, most: int) -> str:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > most:
            raise NodeError(f"a server's answer has more than {most} bytes")
    return body.decode("utf-8")


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds, as the server asks for, in whichever way it writes them."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(ValueError):
            seconds = float(headers.get(name, "")) / unit
            if 0 <= seconds < float("inf"):
                return seconds
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    return None


def _what(error: Exception) -> str:
    return str(error) or type(error).__name__
