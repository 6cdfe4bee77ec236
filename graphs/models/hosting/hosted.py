"""One model of the host: its child process, the restart of it, and what is answered about it.

All requests go to the child at once, which answers several of them together (graphs.models.llama.batching); 256 more than that may wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from graphs.errors import (
    LinkCondition,
    ModelCrashed,
    ModelMissing,
    NodeTimeout,
    UsageError,
)
from graphs.models.chat import require_sound, require_texts
from graphs.models.files.facts import Facts, facts_of, known_facts
from graphs.models.hosting.frames import generate_frame, refusal, tool_call
from graphs.models.hosting.process import CHILD, Answer, ModelProcess, resident_bytes
from graphs.models.interface import (
    Confidence,
    Embeddings,
    Generation,
    GenerationRequest,
    Model,
    ModelInfo,
    OnToken,
    Usage,
)
from graphs.models.threads import thread_count

__all__ = ["DEFAULT_CONTEXT", "MAX_WAITING", "STATES_LIMIT", "HostOptions", "HostedModel", "closed"]

MAX_WAITING: Final = 256
"""Requests that may wait for one model; one more is told BUSY."""

DEFAULT_CONTEXT: Final = 4096
"""Tokens of context a model gets unless told otherwise; fewer if it was trained with fewer. All its requests share them."""

DEFAULT_SLOTS: Final = 8
"""Requests a model answers at the same time."""

MAX_SLOTS: Final = 64

STATES_LIMIT: Final = 512 * 1024 * 1024
"""Bytes of what is kept in files of prompts' beginnings, of all models together."""

_BUSY_RETRY_MS: Final = 1000
_ENOUGH_FOR_SPEED: Final = 8
_ENOUGH_READ: Final = 64
_EMBEDDED_AT_ONCE: Final = 64
"""Texts of one frame: the vectors of the largest models still fit one."""
_EXTRA: Final = ("cached_tokens", "queue_ms", "prompt_ms", "decode_ms", "seed")
_Read = TypeVar("_Read")
_Spent: TypeAlias = Callable[[Usage, ModelInfo], None] | None
_SETTLING: Final = 1.0
"""Seconds for which whoever stopped a request waits to hear what it has used up."""
_SUSPICIOUS: Final = 2
"""After so many deaths without an answer between them requests are handed over one at a time."""
_RESTART_DELAYS: Final = (0.0, 0.0, 0.5, 2.0, 8.0, 30.0)


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How models are run.

    `context` in tokens, 0 for as long as each was trained with. `slots` requests are answered at the same time. `threads` None
    leaves one core free. `restart_delays` are the seconds to wait before a start, by the number of deaths since the last answer.
    `cancel_grace` is the time in seconds a cancelled generation may go on before its process is ended. `states` is the folder for
    what was computed of prompts' announced beginnings, None to keep nothing; it may hold `states_limit` bytes, and the texts can be
    read out of its files, which are their owner's alone. `command` starts a child process; `sleep` waits.
    """

    context: int = DEFAULT_CONTEXT
    slots: int = DEFAULT_SLOTS
    threads: int | None = None
    restart_delays: Sequence[float] = _RESTART_DELAYS
    cancel_grace: float = 10.0
    states: Path | None = None
    states_limit: int = STATES_LIMIT
    command: Sequence[str] = CHILD
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def __post_init__(self) -> None:
        if not 1 <= self.slots <= MAX_SLOTS:
            raise UsageError(f"A model answers 1 to {MAX_SLOTS} requests at the same time, not {self.slots}.")


class HostedModel(Model):
    """One model in its child process, which is started when it is needed and again after it died. Ask the host for it."""

    def __init__(self, name: str, path: Path, options: HostOptions) -> None:
        self._name = name
        self._path = path
        self._options = options
        self._process: ModelProcess | None = None
        self._starting: asyncio.Task[ModelProcess] | None = None
        self._open = 0
        self._idle_since: float | None = None
        self._deaths = 0
        self._mourned: ModelProcess | None = None
        self._alone = asyncio.Lock()
        self._facts: Facts | None = None
        self._speed: dict[str, float] = {}
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

    @property
    def busy(self) -> bool:
        """Whether requests run or wait."""
        return self._open > 0

    @property
    def idle_since(self) -> float | None:
        """When its last request ended, in the loop's time; None while there are requests, or before the first."""
        return None if self._open else self._idle_since

    @property
    def resident_bytes(self) -> int | None:
        """Memory its process has in use now, the pages of the file it has read included; None if it does not run or nobody says."""
        return resident_bytes(self.pid) if self.pid is not None else None

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        require_sound(self._name, request)
        wire = generate_frame(self._name, request)
        handed_over = asyncio.get_running_loop().time()
        deadline = None if request.deadline_ms is None else handed_over + request.deadline_ms / 1000
        timeout = asyncio.timeout_at(deadline)
        try:
            with self._counted():
                async with timeout:
                    return await self._ask(wire, lambda answer: self._collect(answer, on_token, handed_over), request.spent)
        except TimeoutError as error:
            if not timeout.expired():
                raise  # the caller's own, out of on_token
            raise NodeTimeout(
                f"Model {self._name} did not answer within {request.deadline_ms:g} ms, its queue included."
            ) from error

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        require_texts(self._name, texts)
        vectors: list[Sequence[float]] = []
        tokens = 0
        with self._counted():
            for start in range(0, max(1, len(texts)), _EMBEDDED_AT_ONCE):
                part = list(texts[start : start + _EMBEDDED_AT_ONCE])
                made = await self._ask({"t": "embed", "texts": part}, self._vectors)
                vectors += made.vectors
                tokens += made.tokens
        return Embeddings(vectors, tokens, self.info)

    async def close(self) -> None:
        """Ends the process. What waits or runs fails with LinkCondition or ModelCrashed."""
        self.closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait((self._starting,))
        if self._process is not None:
            await self._process.close()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Counts a request while it runs or waits. Raises LinkCondition BUSY if too many do."""
        if self._open >= MAX_WAITING + self._options.slots:
            raise LinkCondition("BUSY", f"{MAX_WAITING} requests wait for model {self._name} already.", retry_ms=_BUSY_RETRY_MS)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._idle_since = asyncio.get_running_loop().time()

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
            load = {
                "path": str(self._path),
                "context": self._context(facts),
                "threads": threads,
                "slots": self._options.slots,
                "states": self._states(facts),
            }
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

    def _states(self, facts: Facts) -> dict[str, Any] | None:
        folder = self._options.states
        return {"folder": str(folder), "digest": facts.sha256, "limit": self._options.states_limit} if folder else None

    async def _ask(self, wire: Mapping[str, Any], read: Callable[[Answer], Awaitable[_Read]], spent: _Spent = None) -> _Read:
        # One of the requests may be what the process dies of: alone, the others get through.
        async with self._alone if self._deaths >= _SUSPICIOUS else contextlib.nullcontext():
            return await self._asked(wire, read, spent)

    async def _asked(self, wire: Mapping[str, Any], read: Callable[[Answer], Awaitable[_Read]], spent: _Spent) -> _Read:
        process = await self._running()
        answer = process.ask(wire)
        try:
            result = await read(answer)
        except ModelCrashed:
            if self._mourned is not process:  # it took all its requests with it, and died once
                self._mourned = process
                self._deaths += 1
            raise
        except asyncio.CancelledError:
            if spent is not None and (last := await process.last_of(answer, _SETTLING)) is not None and last["t"] == "done":
                spent(Usage(last["prompt_tokens"], last["completion_tokens"]), self.info)
            raise
        finally:
            process.give_up(answer)
        self._deaths = 0
        return result

    async def _vectors(self, answer: Answer) -> Embeddings:
        frame = await answer.next()
        if frame["t"] == "error":
            raise refusal(self._name, frame)
        return Embeddings(frame["vectors"], frame["tokens"], self.info)

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
            raise refusal(self._name, frame)
        self._note_speed(frame)
        return Generation(
            text="".join(pieces),
            finish_reason=frame["finish"],
            usage=Usage(frame["prompt_tokens"], frame["completion_tokens"]),
            model=self.info,
            first_token_ms=None if first is None else (first - handed_over) * 1000,
            total_ms=(clock() - handed_over) * 1000,
            tool_calls=[tool_call(call) for call in frame.get("calls", ())],
            confidence=Confidence(*frame["confidence"]) if frame.get("confidence") else None,
            dropped=frame.get("dropped", 0),
            extra={key: frame[key] for key in _EXTRA if key in frame} | self._version(),
        )

    def _version(self) -> dict[str, str]:
        return {"version": self._process.ready["version"]} if self._process is not None else {}

    def _note_speed(self, done: Mapping[str, Any]) -> None:
        """As fast as the last answer went, whatever else was answered beside it."""
        made, took = done["completion_tokens"], done.get("decode_ms") or 0.0
        if made >= _ENOUGH_FOR_SPEED and took > 0:
            self._speed |= {"tokens_per_second": made / took * 1000, "measured": time.time()}
        read, took = done["prompt_tokens"] - done.get("cached_tokens", 0), done.get("prompt_ms") or 0.0
        if read >= _ENOUGH_READ and took > 0:
            self._speed |= {"prompt_per_second": read / took * 1000}


def _info(
    name: str, path: Path, facts: Facts | None, context: int | None, *, speed: Mapping[str, float], loaded: bool
) -> ModelInfo:
    return ModelInfo(
        name=name,
        backend="llama.cpp",
        digest=facts.sha256 if facts else None,
        context=context or None,
        size=facts.size if facts else path.stat().st_size,
        quantisation=facts.quantisation if facts else None,
        licence=facts.licence if facts else None,
        loaded=loaded,
        **speed,
    )


def closed(name: str) -> LinkCondition:
    """The error of a request to a model that is going away."""
    return LinkCondition("DRAINING", f"Model {name} is being closed.")
