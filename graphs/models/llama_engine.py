"""One model in one context of llama.cpp: from messages to pieces of text. Used inside the child process only, by one thread.

Built on the parts of llama-cpp-python that read and sample, not on its chat completion: that falls back to a foreign template in
silence, cannot be stopped inside a prompt, and splits characters that span tokens.
"""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from graphs.models.llama_grammar import grammar_of
from graphs.models.stopping import StopText

__all__ = ["Engine", "Refusal"]

_BATCH: Final = 512
_RANDOM_SEED: Final = 0xFFFFFFFF
_TEMPLATE: Final = "tokenizer.chat_template"


class Refusal(Exception):
    """A request that is not carried out. `code` is MODEL_REFUSED or CONTEXT_TOO_LONG, `detail` has the figures."""

    def __init__(self, code: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = dict(detail) if detail else None


class _Aborted(Exception):
    """llama.cpp left a prompt unfinished because it was asked to."""


class Engine:
    """A loaded model. `context` is in tokens; `outcome` describes the last generation that came to its end."""

    def __init__(self, llama_cpp: Any, path: str, *, context: int, threads: int) -> None:
        """Loads the file. `context` 0 means as long as the model was trained with. Raises what the library raises."""
        self._lib = llama_cpp
        self._llama = llama_cpp.Llama(
            path, n_ctx=context, n_batch=_BATCH, n_threads=threads, n_threads_batch=threads, n_gpu_layers=-1, verbose=False
        )
        self.context: int = self._llama.n_ctx()
        self._vocab = llama_cpp.llama_model_get_vocab(self._llama.model)
        self._formatter = self._chat_formatter()
        self.has_template = self._formatter is not None
        self._stopped: Callable[[], bool] = lambda: False
        # Kept as an attribute: llama.cpp holds the bare address.
        self._abort = llama_cpp.ggml_abort_callback(lambda _: self._stopped())
        llama_cpp.llama_set_abort_callback(self._llama.ctx, self._abort, None)
        self.outcome: dict[str, Any] = {}

    def generate(self, request: Mapping[str, Any], stopped: Callable[[], bool]) -> Iterator[str]:
        """The answer in pieces of whole characters. `stopped` is asked at each token, and in a prompt at each layer.

        Sets `outcome` at the end: finish (stop, length, cancelled), tokens, times in ms, the seed. Raises Refusal.
        """
        started = time.perf_counter()
        tokens = self._prompt(request["messages"])
        room = self._room(len(tokens), request["max_tokens"])
        grammar = self._grammar(request["response_format"])
        seed = int.from_bytes(os.urandom(4)) if request["seed"] is None else request["seed"]
        self._llama.set_seed(seed % _RANDOM_SEED)
        self._stopped = stopped
        answer = _Answer(request["stop"])
        prompt_done = None
        finish = "cancelled" if stopped() else None
        sampled = self._sample(tokens, request, grammar) if finish is None else iter(())
        try:
            for token in sampled:
                prompt_done = prompt_done or time.perf_counter()
                if stopped():
                    finish = "cancelled"
                elif self._lib.llama_vocab_is_eog(self._vocab, token):
                    finish = "stop"
                else:
                    if text := answer.feed(self._llama.detokenize([token])):
                        yield text
                    finish = "stop" if answer.stopped else "length" if answer.tokens >= room else None
                if finish:
                    break
        except _Aborted:
            finish = "cancelled"
            self._forget()
        finally:
            self._stopped = lambda: False
        if finish != "cancelled" and (text := answer.rest()):
            yield text
        ended = time.perf_counter()
        self.outcome = {
            "finish": finish,
            "prompt_tokens": len(tokens),
            "completion_tokens": answer.tokens,
            "prompt_ms": ((prompt_done or ended) - started) * 1000,
            "decode_ms": (ended - (prompt_done or ended)) * 1000,
            "seed": seed,
        }

    def _chat_formatter(self) -> Any:
        metadata = self._llama.metadata
        if not metadata.get(_TEMPLATE):
            return None
        self._bos = self._special(self._llama.token_bos())
        # Renders in jinja2's ImmutableSandboxedEnvironment: a template is code that came with a file from elsewhere.
        return self._lib.llama_chat_format.Jinja2ChatFormatter(
            template=metadata[_TEMPLATE], bos_token=self._bos, eos_token=self._special(self._llama.token_eos())
        )

    def _special(self, token: int) -> str:
        text: str = self._llama.detokenize([token], special=True).decode("utf-8", "replace") if token >= 0 else ""
        return text

    def _prompt(self, messages: list[dict[str, Any]]) -> list[int]:
        if self._formatter is None:
            raise Refusal(
                "MODEL_REFUSED", f"it has no chat template ({_TEMPLATE} in its file), so it cannot be asked with messages"
            )
        try:
            prompt: str = self._formatter(messages=messages).prompt
        except Exception as error:  # a template may raise anything; each is its way to say no
            raise Refusal("MODEL_REFUSED", f"its chat template refuses these messages: {error}") from error
        starts = bool(self._bos) and prompt.startswith(self._bos)
        tokens: list[int] = self._llama.tokenize(prompt.encode("utf-8", "replace"), add_bos=not starts, special=True)
        if not tokens:
            raise Refusal("MODEL_REFUSED", "its chat template makes an empty prompt of these messages")
        return tokens

    def _room(self, prompt: int, max_tokens: int | None) -> int:
        """How many tokens the answer may have."""
        wanted = max_tokens if max_tokens is not None else 1
        if prompt + wanted > self.context:
            message = f"{prompt} tokens of prompt and {wanted} of answer do not fit its context of {self.context}"
            detail = {"prompt_tokens": prompt, "max_tokens": max_tokens, "context": self.context}
            raise Refusal("CONTEXT_TOO_LONG", message, detail)
        return max_tokens if max_tokens is not None else self.context - prompt

    def _grammar(self, response_format: Mapping[str, Any] | None) -> Any:
        try:
            return grammar_of(self._lib, self._vocab, response_format)
        except ValueError as error:
            raise Refusal("MODEL_REFUSED", f"response_format cannot be kept: {error}") from error

    def _sample(self, tokens: list[int], request: Mapping[str, Any], grammar: Any) -> Iterator[int]:
        try:
            yield from self._llama.generate(tokens, temp=request["temperature"], top_p=request["top_p"], grammar=grammar)
        except RuntimeError as error:
            if self._stopped():  # llama_decode returned 2
                raise _Aborted from error
            self._forget()
            raise Refusal("MODEL_REFUSED", f"llama.cpp failed: {error}") from error

    def _forget(self) -> None:
        """After a failed decode nobody knows what the context holds."""
        self._llama.reset()
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._llama.ctx), True)


class _Answer:
    """The text of one answer: bytes of tokens to whole characters, up to the first stop string."""

    def __init__(self, stop: list[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = StopText(stop)
        self.tokens = 0

    @property
    def stopped(self) -> bool:
        return self._stop.found

    def feed(self, piece: bytes) -> str:
        self.tokens += 1
        return self._stop.feed(self._decoder.decode(piece))

    def rest(self) -> str:
        """What was held back for a stop string. Bytes of a character that the last token left unfinished are dropped."""
        return self._stop.rest()
