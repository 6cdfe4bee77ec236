"""One model of the host: its queue, its child process, the restart of it, and what is answered about it.

A model answers one request at a time, in the order they came; 256 may wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from graphs.errors import (
    ContextTooLong,
    LinkCondition,
    ModelCrashed,
    ModelMissing,
    ModelRefused,
    NodeError,
    NodeTimeout,
    UsageError,
)
from graphs.models.chat import plain_messages, require_sound
from graphs.models.facts import Facts, facts_of, known_facts
from graphs.models.interface import Embeddings, Generation, GenerationRequest, Model, ModelInfo, OnToken, Usage
from graphs.models.process import CHILD, Answer, ModelProcess
from graphs.models.threads import thread_count

__all__ = ["DEFAULT_CONTEXT", "MAX_WAITING", "HostOptions", "HostedModel", "closed"]

MAX_WAITING: Final = 256
"""Requests that may wait for one model; one more is told BUSY."""

DEFAULT_CONTEXT: Final = 4096
"""Tokens of context a model gets unless told otherwise; fewer if it was trained with fewer."""

_BUSY_RETRY_MS: Final = 1000
_ENOUGH_FOR_SPEED: Final = 8
_RESTART_DELAYS: Final = (0.0, 0.0, 0.5, 2.0, 8.0, 30.0)


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How models are run.

    `context` in tokens, 0 for as long as each was trained with. `threads` None leaves one core free. `restart_delays` are the
    seconds to wait before a start, by the number of deaths since the last answer. `cancel_grace` is the time in seconds a
    cancelled generation may go on before its process is ended. `command` starts a child process; `sleep` waits.
    """

    context: int = DEFAULT_CONTEXT
    threads: int | None = None
    restart_delays: Sequence[float] = _RESTART_DELAYS
    cancel_grace: float = 10.0
    command: Sequence[str] = CHILD
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class HostedModel(Model):
    """One model in its child process, which is started when it is needed and again after it died. Ask the host for it."""

    def __init__(self, name: str, path: Path, options: HostOptions) -> None:
        self._name = name
        self._path = path
        self._options = options
        self._process: ModelProcess | None = None
        self._starting: asyncio.Task[ModelProcess] | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._deaths = 0
        self._facts: Facts | None = None
        self._speed: float | None = None
        self.closed = False

    @property
    def info(self) -> ModelInfo:
        facts = self._facts or known_facts(self._path)
        running = self._process if self._process is not None and self._process.alive else None
        context = running.ready["context"] if running else self._context(facts) if facts else None
        return _info(self._name, self._path, facts, context, speed=self._speed, loaded=running is not None)

    @property
    def pid(self) -> int | None:
        """The process that has the model loaded now, if any."""
        return self._process.pid if self._process is not None and self._process.alive else None

    async def load(self) -> None:
        """Starts the process unless it runs. Raises ModelMissing, ModelCrashed."""
        await self._running()

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        require_sound(self._name, request)
        wire = _wire(self._name, request)
        if self._turn.locked() and self._waiting >= MAX_WAITING:
            raise LinkCondition("BUSY", f"{MAX_WAITING} requests wait for model {self._name} already.", retry_ms=_BUSY_RETRY_MS)
        handed_over = asyncio.get_running_loop().time()
        deadline = None if request.deadline_ms is None else handed_over + request.deadline_ms / 1000
        timeout = asyncio.timeout_at(deadline)
        try:
            async with timeout:
                await self._queue()
                try:
                    process = await self._running()
                    return await self._ask(process, wire, on_token, handed_over)
                finally:
                    self._turn.release()
        except TimeoutError as error:
            if not timeout.expired():
                raise  # the caller's own, out of on_token
            raise NodeTimeout(
                f"Model {self._name} did not answer within {request.deadline_ms:g} ms, its queue included."
            ) from error

    async def embed(self, texts: Sequence[str]) -> Embeddings:  # noqa: ARG002 - the interface's
        raise ModelRefused(f"Model {self._name} makes no embeddings: models of llama.cpp only generate here so far.")

    async def close(self) -> None:
        """Ends the process. What waits or runs fails with LinkCondition or ModelCrashed."""
        self.closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait((self._starting,))
        if self._process is not None:
            await self._process.close()

    async def _queue(self) -> None:
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1

    async def _running(self) -> ModelProcess:
        """The process with the model. A start once begun goes on although nobody waits any more: the next one profits."""
        if self.closed:
            raise closed(self._name)
        if self._process is not None and self._process.alive:
            return self._process
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name=f"start of model {self._name}")
            self._starting.add_done_callback(self._started)
        starting = self._starting
        await asyncio.wait((starting,))
        if starting.cancelled():
            raise closed(self._name)
        return starting.result()

    def _started(self, starting: asyncio.Task[ModelProcess]) -> None:
        self._starting = None
        if not starting.cancelled() and starting.exception() is None:
            self._process = starting.result()

    async def _start(self) -> ModelProcess:
        if self._process is not None:
            await self._process.close()
        delays = self._options.restart_delays
        if delay := delays[min(self._deaths, len(delays) - 1)]:
            await self._options.sleep(delay)
        try:
            return await self._load_file()
        except ModelCrashed:
            self._deaths += 1
            raise
        except (OSError, UsageError) as error:
            raise ModelMissing(f"Model {self._name} cannot be loaded: {error}") from error

    async def _load_file(self) -> ModelProcess:
        """Loads the file, and again if it changed meanwhile: the digest in every record is that of what was loaded."""
        while True:
            facts = await asyncio.to_thread(facts_of, self._path)
            threads = self._options.threads or thread_count()
            load = {"path": str(self._path), "context": self._context(facts), "threads": threads}
            process = await ModelProcess.start(
                self._name, load, command=self._options.command, cancel_grace=self._options.cancel_grace
            )
            if known_facts(self._path) == facts:
                self._facts = facts
                return process
            await process.close()

    def _context(self, facts: Facts) -> int:
        """Tokens of context to ask for; 0 leaves it to the file."""
        wanted = self._options.context
        return min(wanted, facts.context or wanted) if wanted else facts.context or 0

    async def _ask(
        self, process: ModelProcess, wire: Mapping[str, Any], on_token: OnToken | None, handed_over: float
    ) -> Generation:
        answer = process.ask(wire)
        try:
            generation = await self._collect(answer, on_token, handed_over)
        except ModelCrashed:
            self._deaths += 1
            raise
        finally:
            process.give_up(answer)
        self._deaths = 0
        return generation

    async def _collect(self, answer: Answer, on_token: OnToken | None, handed_over: float) -> Generation:
        clock = asyncio.get_running_loop().time
        first: float | None = None
        pieces: list[str] = []
        while (frame := await answer.next())["t"] == "token":
            first = first or clock()
            pieces.append(frame["text"])
            if on_token is not None:
                on_token(frame["text"])
        if frame["t"] == "error":
            raise _refusal(self._name, frame)
        self._note_speed(frame)
        return Generation(
            text="".join(pieces),
            finish_reason=frame["finish"],
            usage=Usage(frame["prompt_tokens"], frame["completion_tokens"]),
            model=self.info,
            first_token_ms=None if first is None else (first - handed_over) * 1000,
            total_ms=(clock() - handed_over) * 1000,
            extra={key: frame[key] for key in ("prompt_ms", "decode_ms", "seed") if key in frame} | self._version(),
        )

    def _version(self) -> dict[str, str]:
        return {"version": self._process.ready["version"]} if self._process is not None else {}

    def _note_speed(self, done: Mapping[str, Any]) -> None:
        tokens, took = done["completion_tokens"], done.get("decode_ms") or 0.0
        if tokens >= _ENOUGH_FOR_SPEED and took > 0:
            self._speed = tokens / took * 1000


def _info(name: str, path: Path, facts: Facts | None, context: int | None, *, speed: float | None, loaded: bool) -> ModelInfo:
    return ModelInfo(
        name=name,
        backend="llama.cpp",
        digest=facts.sha256 if facts else None,
        context=context or None,
        size=facts.size if facts else path.stat().st_size,
        quantisation=facts.quantisation if facts else None,
        licence=facts.licence if facts else None,
        tokens_per_second=speed,
        loaded=loaded,
    )


def _wire(name: str, request: GenerationRequest) -> dict[str, Any]:
    """The request as the child reads it: everything but what the host does itself."""
    if request.tools and request.tool_choice != "none":
        raise ModelRefused(
            f"model {name}: models run by graphferry itself do not call tools.",
            hint="Use a model behind an OpenAI-compatible server for nodes with tools, or response_format for JSON.",
        )
    return {
        "messages": plain_messages(name, request.messages),
        "max_tokens": request.max_tokens,
        "temperature": float(request.temperature),
        "top_p": float(request.top_p),
        "seed": request.seed,
        "stop": list(request.stop),
        "response_format": dict(request.response_format) if request.response_format is not None else None,
    }


def _refusal(name: str, frame: Mapping[str, Any]) -> NodeError:
    kind = ContextTooLong if frame["code"] == ContextTooLong.code else ModelRefused
    return kind(f"model {name}: {frame['message']}.", detail=frame.get("detail"))


def closed(name: str) -> LinkCondition:
    """The error of a request to a model that is going away."""
    return LinkCondition("DRAINING", f"Model {name} is being closed.")
