"""The answers of one model, written together. Used inside the child process only, by the one thread that owns the model.

    submit, cancel       a request comes; its caller wants it no more
    interrupt            the same, from any thread and in the middle of a step: what is computed for it alone ends at once
    step                 one batch: what is planned is computed, each answer gets its next token, and frames go out

What is computed next is decided in graphs.models.llama.batching, what llama.cpp is asked in graphs.models.llama.api.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from graphs.models.llama.answering import Answer
from graphs.models.llama.api import Aborted, Broken, NoRoom
from graphs.models.llama.batching import Batch, Copy, Cut, Job, Move, Scheduler
from graphs.models.llama.embedding import Embedder
from graphs.models.llama.prompting import Prompt, Prompts, Refusal
from graphs.models.llama.sampling import Chooser, Stuck, Surety
from graphs.models.llama.states import States
from graphs.models.schemas import UNUSABLE, answer_misfit, schema_of
from graphs.models.toolcalls import Tools, call_misfit, instructed, offered, read_calls

__all__ = ["Engine", "GrammarSource", "Model"]

ALONE: Final = 256
"""Rows of a prompt computed at once where nobody's stream waits for them, of a model of up to half a billion parameters."""

BESIDE: Final = 4
"""One part in so many beside streams. Of a small model that is 64 rows: more is no faster a row, and lets the streams wait longer."""

_SMALL: Final = 500_000_000
_FEWEST: Final = 32

_WORTH_STORING: Final = 64
_FIRST: Final = ("system", "user")
"""Whose messages there are where nothing was answered yet."""


class Model(Protocol):
    """What the engine asks of graphs.models.llama.api.Llama."""

    context: int
    batch: int
    parameters: int
    offloads: bool
    shares: bool
    generates: bool
    stopped: Callable[[], bool]

    def tokenise(self, text: bytes, *, begin: bool) -> list[int]: ...
    def piece(self, token: int) -> bytes: ...
    def ends(self, token: int) -> bool: ...
    def decode(self, rows: Sequence[Any], *, stoppable: bool = True) -> Any: ...
    def copy(self, source: int, target: int, count: int) -> None: ...
    def cut(self, sequence: int, count: int = 0) -> None: ...
    def held(self, sequence: int) -> int: ...
    def clear(self) -> None: ...
    def save(self, sequence: int) -> bytes: ...
    def restore(self, sequence: int, state: bytes) -> bool: ...
    def grammar(self, rules: str) -> Any: ...
    def embedding_context(self) -> Any: ...


class GrammarSource(Protocol):
    """The rules of grammars. Both raise ValueError for what cannot be kept."""

    def for_format(self, response_format: Mapping[str, Any] | None) -> str | None: ...
    def for_tools(self, tools: Tools) -> str: ...


@dataclass(eq=False, slots=True)
class _Writing:
    """An answer being written, and who waits for it."""

    job: Job
    answer: Answer
    chooser: Chooser
    grammar: Any
    surety: Surety | None
    schema: Mapping[str, Any] | None
    tools: Tools | None
    room: int
    dropped: int
    seed: int
    key: object
    listeners: list[int]
    arrived: float
    begun: float | None = None
    first: float | None = None
    done: dict[str, Any] = field(default_factory=dict)


class Engine:
    """One model and its answers. `emit` takes each frame; `slots` answers are written at once."""

    def __init__(
        self,
        model: Model,
        prompts: Prompts,
        grammars: GrammarSource,
        emit: Callable[[dict[str, Any]], None],
        *,
        slots: int,
        states: States | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._model, self._prompts, self._grammars, self._emit = model, prompts, grammars, emit
        self._clock = clock
        self._states = states
        self._slots = slots
        self._scheduler = self._new_scheduler()
        self._writing: dict[Job, _Writing] = {}
        self._listening: dict[int, _Writing] = {}
        self._twins: dict[object, _Writing] = {}
        self._embedder = Embedder(model)
        self._unwanted: set[int] = set()
        self._reading: Sequence[list[int]] = []
        self._kept: deque[Any] = deque()
        model.stopped = self._stopped

    @property
    def idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not (self._writing or self._embedder or self._kept)

    def submit(self, request: Mapping[str, Any]) -> None:
        """Takes a `generate` or `embed` frame. What is refused is answered at once."""
        number = request["id"]
        try:
            if request["t"] == "embed":
                self._embedder.add(number, request["texts"])
            else:
                self._admit(number, request)
        except Refusal as refusal:
            self._refuse([number], refusal)

    def interrupt(self, number: int) -> None:
        """Ends the computation of a prompt nobody else wants. May be called from any thread; `cancel` has to follow."""
        self._unwanted.add(number)

    def cancel(self, number: int) -> None:
        """Answers a request with what there is of it, and computes no more for it. One that is over is not answered again."""
        self._unwanted.discard(number)
        if self._embedder.cancel(number):
            self._emit({"t": "done", "id": number, "finish": "cancelled"})
        writing = self._listening.pop(number, None)
        if writing is not None:
            writing.listeners.remove(number)
            self._emit({"t": "done", "id": number, **self._figures(writing, "cancelled")})
            if not writing.listeners:
                self._forget(writing)

    def step(self) -> None:
        """Computes one batch, or nothing if there is nothing to do."""
        if self._embedder:
            self._reading = [[self._embedder.number]]
            for number, frame in self._embedder.step():
                self._emit({"id": number, **frame})
        batch = self._scheduler.plan()
        self._move(batch.moves)
        self._store_kept()
        if not batch.rows:
            return
        now = self._clock()
        for job, _ in batch.parts:
            writing = self._writing[job]
            writing.begun = writing.begun or now
        prompting = batch.prompting
        self._reading = [self._writing[job].listeners for job in prompting]
        try:
            logits = self._model.decode(batch.rows, stoppable=bool(prompting))
        except NoRoom:
            if not self._scheduler.no_room():
                self._fail(batch, "its cache has no room for this request alone")
            return
        except Aborted:
            if not self._model.shares:  # its state has no positions to go back to
                self._move([Cut(job.sequence) for job, _ in batch.parts if job.sequence is not None])
            self._scheduler.undone(batch, self._model.held)
            return
        except Broken as error:
            self._fail(batch, f"llama.cpp failed: {error}")
            return
        finally:
            self._reading = []
        self._kept.extend(self._scheduler.computed(batch))
        if batch.outputs:
            likeliest = logits.argmax(axis=1).tolist()
            for job, row, token in zip(batch.outputs, logits, likeliest, strict=True):
                self._next_token(self._writing[job], row, token)

    # -- requests

    def _admit(self, number: int, request: Mapping[str, Any]) -> None:
        arrived = self._clock()
        if not self._model.generates:
            raise Refusal("MODEL_REFUSED", "it makes embeddings, not answers")
        tools = self._tools(request)
        messages = instructed(request["messages"], tools)
        shared = request["shared"] + (len(messages) > len(request["messages"]))
        prompt = self._prompts.make(messages, max_tokens=request["max_tokens"], shared=shared, fit=request["fit"])
        seed = int.from_bytes(os.urandom(4)) if request["seed"] is None else request["seed"]
        key = _identity(request, prompt)
        if key is not None and (twin := self._twins.get(key)) is not None:
            self._join(twin, number, request["priority"])
            return
        grammar = self._grammar(request, tools)
        goes_on = tools is not None or any(message["role"] not in _FIRST for message in messages)
        job = Job(list(prompt.tokens), request["run"], request["priority"], prompt.shared, goes_on, account=request["account"])
        writing = _Writing(
            job=job,
            answer=Answer(request["stop"], calls=tools is not None),
            chooser=Chooser(request["temperature"], request["top_p"], seed, grammar),
            grammar=grammar,
            surety=Surety() if request["confidence"] else None,
            schema=schema_of(request["response_format"]) if tools is None else None,
            tools=tools,
            room=prompt.room,
            dropped=prompt.dropped,
            seed=seed,
            key=key,
            listeners=[number],
            arrived=arrived,
        )
        self._restore(prompt.tokens, request["account"])
        self._writing[job] = self._listening[number] = writing
        if key is not None:
            self._twins[key] = writing
        self._scheduler.add(job)

    def _tools(self, request: Mapping[str, Any]) -> Tools | None:
        try:
            tools = offered(request["tools"], request["tool_choice"])
        except ValueError as error:
            raise Refusal("MODEL_REFUSED", str(error)) from error
        if tools is not None and (request["response_format"] or {"type": "text"}).get("type") != "text":
            raise Refusal("MODEL_REFUSED", "an answer cannot have tools and a response_format at once")
        return tools

    def _grammar(self, request: Mapping[str, Any], tools: Tools | None) -> Any:
        what = "response_format" if tools is None else "tools"
        try:
            form = request["response_format"]
            rules = self._grammars.for_format(form) if tools is None else self._grammars.for_tools(tools)
            return self._model.grammar(rules) if rules is not None else None
        except ValueError as error:
            raise Refusal("MODEL_REFUSED", f"{what} cannot be kept: {error}") from error

    def _join(self, twin: _Writing, number: int, priority: float) -> None:
        """The same request once more: it hears what was written so far, then the rest as it comes."""
        twin.listeners.append(number)
        twin.job.priority = max(twin.job.priority, priority)
        self._listening[number] = twin
        if twin.answer.shown:
            self._emit({"t": "token", "id": number, "text": twin.answer.shown})

    def _stopped(self) -> bool:
        """Asked from within a computation: whether nobody wants one of the prompts it is for."""
        unwanted = self._unwanted
        return bool(unwanted) and any(unwanted.issuperset(listeners) for listeners in self._reading)

    # -- tokens

    def _next_token(self, writing: _Writing, row: Any, likeliest: int) -> None:
        try:
            token = writing.chooser.choose(row, likeliest)
        except Stuck:
            self._refuse(writing.listeners, Refusal("MODEL_REFUSED", "none of its tokens continues the answer in the asked form"))
            self._forget(writing)
            return
        writing.first = writing.first or self._clock()
        if self._model.ends(token):
            self._end(writing)
            return
        if writing.surety is not None:
            writing.surety.note(row, token, likeliest)
        answer = writing.answer
        self._show(writing, answer.feed(self._model.piece(token)))
        writing.job.tokens.append(token)
        if answer.stopped:
            self._finish(writing, "stop")
        elif answer.tokens >= writing.room:
            self._finish(writing, "length")

    def _show(self, writing: _Writing, text: str) -> None:
        if text:
            for number in writing.listeners:
                self._emit({"t": "token", "id": number, "text": text})

    def _end(self, writing: _Writing) -> None:
        """The model ended the answer: it is whole, and what its grammar could not hold it to is looked at."""
        answer, wrong = writing.answer, None
        self._show(writing, answer.rest())
        if writing.schema is not None:
            wrong = answer_misfit(answer.shown, writing.schema)
        elif writing.tools is not None and answer.call is not None:
            wrong = call_misfit(answer.call, writing.tools)
        if wrong is None:
            self._finish(writing, "stop")
            return
        # One left to chance may come out right the next time.
        detail = {"answer": answer.call or answer.shown, "again": writing.key is None}
        message = f"its answer is not as its schema demands: {wrong}"
        self._refuse(writing.listeners, Refusal("MODEL_REFUSED", message, detail))
        self._forget(writing)

    def _finish(self, writing: _Writing, finish: str) -> None:
        self._show(writing, writing.answer.rest())
        call = writing.answer.call
        if call is not None and writing.tools is not None:
            try:
                calls = read_calls(call, writing.tools)
            except UNUSABLE:  # cut short by the limit or a stop string
                self._show(writing, writing.answer.reveal())
            else:
                finish = "tool_calls"
                writing.done["calls"] = [
                    {"id": f"call_{secrets.token_hex(8)}", "name": name, "arguments": arguments} for name, arguments in calls
                ]
        for number in writing.listeners:
            self._emit({"t": "done", "id": number, **self._figures(writing, finish)})
        self._forget(writing)

    def _figures(self, writing: _Writing, finish: str) -> dict[str, Any]:
        now = self._clock()
        begun, first = writing.begun or now, writing.first or now
        return {
            "finish": finish,
            "prompt_tokens": writing.job.prompt,
            "completion_tokens": writing.answer.tokens,
            "cached_tokens": writing.job.reused,
            "queue_ms": (begun - writing.arrived) * 1000,
            "prompt_ms": (first - begun) * 1000,
            "decode_ms": (now - first) * 1000,
            "seed": writing.seed,
            "dropped": writing.dropped,
            "confidence": writing.surety.figures() if writing.surety is not None else None,
            **writing.done,
        }

    def _forget(self, writing: _Writing) -> None:
        for number in writing.listeners:
            self._listening.pop(number, None)
        if writing.key is not None and self._twins.get(writing.key) is writing:
            del self._twins[writing.key]
        del self._writing[writing.job]
        self._scheduler.remove(writing.job)
        if writing.grammar is not None:
            writing.grammar.close()

    def _refuse(self, numbers: Sequence[int], refusal: Refusal) -> None:
        for number in numbers:
            self._emit({"t": "error", "id": number, "code": refusal.code, "message": refusal.message, "detail": refusal.detail})

    def _fail(self, batch: Batch, message: str) -> None:
        """A batch nobody knows what it left behind: its answers are given up, the others begin again in an empty context."""
        for job, _ in batch.parts:
            writing = self._writing[job]
            self._refuse(writing.listeners, Refusal("MODEL_REFUSED", message))
            self._forget(writing)
        self._model.clear()
        self._kept.clear()
        self._scheduler = self._new_scheduler()
        for job in self._writing:
            job.sequence, job.held, job.awaits, job.beginning = None, 0, None, None
            self._scheduler.add(job)

    def _new_scheduler(self) -> Scheduler:
        slots, model = self._slots, self._model
        # By size and not by measured speed, so that the same requests make the same batches. A step has to be over before somebody
        # who cancelled thinks that this process hangs.
        alone = min(model.batch, ALONE, max(_FEWEST, ALONE * _SMALL // max(1, model.parameters)))
        alone = model.batch if model.offloads else alone
        return Scheduler(
            slots,
            rows=model.batch,
            alone=alone,
            beside=max(1, alone // BESIDE),
            keeps=2 * slots,
            cells=model.context,
            shares=model.shares,
        )

    # -- the cache

    def _move(self, moves: Sequence[Move]) -> None:
        for move in moves:
            if isinstance(move, Cut):
                self._model.cut(move.sequence, move.length)
            elif isinstance(move, Copy):
                self._model.copy(move.source, move.target, move.length)

    def _restore(self, tokens: list[int], account: str) -> None:
        """Puts back what an earlier process computed of a prompt's beginning, if that is more than lies ready."""
        if self._states is None or account or not self._model.shares:
            return
        ready = self._scheduler.ready(tokens, account)
        found = self._states.find(tokens, more_than=ready + _WORTH_STORING)
        if found is None:
            return
        kept = self._scheduler.keep(found.tokens, account)
        self._move(self._scheduler.moves())
        if kept is not None and not self._model.restore(kept.sequence, found.state):
            self._scheduler.forget(kept)

    def _store_kept(self) -> None:
        """Stores the announced beginnings that were set aside, now that their copies are made."""
        while self._kept:
            kept = self._kept.popleft()
            if self._states is None or kept.account or len(kept.tokens) < _WORTH_STORING or self._states.has(kept.tokens):
                continue
            if self._model.held(kept.sequence) == len(kept.tokens):
                self._states.store(kept.tokens, self._model.save(kept.sequence))


def _identity(request: Mapping[str, Any], prompt: Prompt) -> object:
    """What makes two requests the same; None for one whose answer is left to chance."""
    temperature, seed = request["temperature"], request["seed"]
    if temperature > 0 and seed is None:
        return None
    chance = (temperature, request["top_p"], seed) if temperature > 0 else None
    form = repr((request["response_format"], request["tools"], request["tool_choice"]))
    return (
        request["account"],
        tuple(prompt.tokens),
        prompt.room,
        prompt.dropped,
        chance,
        tuple(request["stop"]),
        form,
        request["confidence"],
    )
