"""Ways to have several prompts answered by one small model, each measured in CPU time of all processes that take part.

All read the same file, at one thread, and give exactly as many tokens as they are asked for: the token that ends an answer is ignored.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from benchmarks.measure import ROOT, WrongAnswer
from graphs.models.hosting.frames import generate_frame
from graphs.models.hosting.hosted import HostedModel, HostOptions
from graphs.models.interface import GenerationRequest

__all__ = ["Hosted", "InProcess", "Prompts", "Way", "bare_loop", "cpu", "high_level", "process_seconds", "server"]

Prompts: TypeAlias = Sequence[Sequence[dict[str, str]]]
"""The messages of each request."""

Way: TypeAlias = Callable[[Prompts, int], Awaitable[None]]
"""Has all prompts answered with so many tokens each."""

_ENDLESS: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from graphs.models.llama.api import Llama; "
    "Llama.ends = lambda *_: False; from graphs.models.llama.child import main; main()"
)
_COMMAND: Final = (sys.executable, "-P", "-c", _ENDLESS, str(ROOT))


def process_seconds(pid: int) -> float:
    """CPU time a process has used. Raises WrongAnswer where the system does not say it in a file."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise WrongAnswer(f"the CPU time of a child process is read from /proc, and there is none: {error}") from error
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def cpu(way: Way, prompts: Prompts, tokens: int, *, pid: int | None = None) -> float:
    """CPU seconds of a way: this process's, and those of the process `pid`."""
    before = time.process_time() + (process_seconds(pid) if pid else 0.0)
    await way(prompts, tokens)
    return time.process_time() + (process_seconds(pid) if pid else 0.0) - before


def _require(name: str, got: Sequence[int], tokens: int) -> None:
    if set(got) != {tokens}:
        raise WrongAnswer(f"{name} gave answers of {sorted(set(got))} tokens, {tokens} were asked for")


class Hosted:
    """Ours as it is used: a child process, asked over its pipe. `endless` False lets answers end where the model ends them."""

    def __init__(self, path: Path, slots: int, context: int, *, endless: bool = True) -> None:
        more: dict[str, Any] = {"command": _COMMAND} if endless else {}
        self.model = HostedModel("bench", path, HostOptions(slots=slots, context=context, threads=1, **more))

    async def answer(self, prompts: Prompts, tokens: int) -> None:
        requests = [GenerationRequest(each, max_tokens=tokens, temperature=0, shared=1) for each in prompts]
        generations = await asyncio.gather(*map(self.model.generate, requests))
        _require("ours", [each.usage.completion_tokens for each in generations], tokens)


class InProcess:
    """Our engine in this process, to look into it: `decoding` is the CPU time that llama.cpp took. Without `shares` nothing is copied."""

    def __init__(self, path: Path, slots: int, context: int, *, shares: bool = True) -> None:
        import llama_cpp

        from graphs.models.llama.api import Llama
        from graphs.models.llama.child import renderer
        from graphs.models.llama.engine import Engine
        from graphs.models.llama.grammar import Grammars
        from graphs.models.llama.prompting import Prompts as Prompting

        self.llama = Llama(llama_cpp, str(path), context=context, threads=1, sequences=3 * slots)
        self.llama.shares = shares
        self.llama.ends = lambda token: False  # type: ignore[method-assign]  # noqa: ARG005 - as it is called
        self.ended: list[dict[str, Any]] = []
        self.decoding = 0.0
        prompts = Prompting(self.llama, renderer(llama_cpp, self.llama), self.llama.begin)
        self.engine = Engine(self.llama, prompts, Grammars(llama_cpp), self._emit, slots=slots)
        self._decode, self.llama.decode = self.llama.decode, self._timed  # type: ignore[method-assign]

    async def answer(self, prompts: Prompts, tokens: int, **more: Any) -> None:
        self.ended, self.decoding = [], 0.0
        for number, messages in enumerate(prompts):
            self.submit(number, messages, tokens, **more)
        while not self.engine.idle:
            self.engine.step()
        _require("our engine", [each.get("completion_tokens", -1) for each in self.ended], tokens)

    def submit(self, number: int, messages: Sequence[dict[str, str]], tokens: int, **more: Any) -> None:
        """Hands one request over."""
        request = GenerationRequest(messages, max_tokens=tokens, temperature=0, top_p=1, shared=1, **more)
        self.engine.submit(generate_frame("bench", request) | {"id": number})

    def close(self) -> None:
        """Frees the model."""
        self.llama.close()

    def _emit(self, frame: dict[str, Any]) -> None:
        if frame["t"] != "token":
            self.ended.append(frame)

    def _timed(self, rows: Any, *, stoppable: bool = True) -> Any:
        began = time.process_time()
        logits = self._decode(rows, stoppable=stoppable)
        self.decoding += time.process_time() - began
        return logits


def bare_loop(inner: InProcess) -> Way:
    """llama.cpp alone: the prompt in batches, then a token at a time, the likeliest each, turned to text."""
    llama, decode = inner.llama, inner._decode

    async def answer(prompts: Prompts, tokens: int) -> None:
        for messages in prompts:
            llama.cut(0)
            prompt = inner.engine._prompts.make(messages, max_tokens=tokens).tokens
            rows = [(token, place, 0, place == len(prompt) - 1) for place, token in enumerate(prompt)]
            logits: Any = None
            for start in range(0, len(rows), 256):
                logits = decode(rows[start : start + 256])
            text = b""
            for place in range(tokens):
                token = int(logits[0].argmax())
                text += llama.piece(token)
                if place < tokens - 1:
                    logits = decode([(token, len(prompt) + place, 0, True)], stoppable=False)
        llama.cut(0)

    return answer


def high_level(path: Path, context: int) -> Way:
    """llama-cpp-python's chat completion, one after the other; it keeps what the last prompt and this one begin with in common."""
    import llama_cpp

    llama_cpp.llama_cpp.llama_vocab_is_eog = lambda *_: False
    llama_cpp.llama_cpp.llama_token_is_eog = lambda *_: False
    llama = llama_cpp.Llama(str(path), n_ctx=context, n_threads=1, n_threads_batch=1, verbose=False)
    template = llama_cpp.llama_chat_format.Jinja2ChatFormatter(
        llama.metadata["tokenizer.chat_template"], "<|im_end|>", "<|im_start|>"
    )
    llama.chat_handler = template.to_chat_handler()  # the one it makes itself ends answers

    async def answer(prompts: Prompts, tokens: int) -> None:
        got = []
        for messages in prompts:
            made: Any = llama.create_chat_completion(cast("Any", messages), max_tokens=tokens, temperature=0.0)
            got.append(made["usage"]["completion_tokens"])
        _require("llama-cpp-python", got, tokens)

    return answer


def server(path: Path, slots: int, context: int) -> Way:
    """llama.cpp's server in this process, as xllamacpp has it; asked for all prompts at once. Raises ImportError without it."""
    import xllamacpp  # type: ignore[import-not-found, import-untyped, unused-ignore]

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel, params.n_ctx, params.warmup, params.kv_unified = slots, context, True, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = slots + 2
    running = xllamacpp.Server(params)
    pool = ThreadPoolExecutor(slots)

    def one(messages: Sequence[dict[str, str]], tokens: int) -> int:
        body = {"messages": list(messages), "max_tokens": tokens, "temperature": 0.0, "ignore_eos": True, "cache_prompt": True}
        count: int = running.handle_chat_completions(body)["usage"]["completion_tokens"]
        return count

    async def answer(prompts: Prompts, tokens: int) -> None:
        loop = asyncio.get_running_loop()
        got = await asyncio.gather(*(loop.run_in_executor(pool, one, each, tokens) for each in prompts))
        _require("llama-server", got, tokens)

    return answer
