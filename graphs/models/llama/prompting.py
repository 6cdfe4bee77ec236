"""From messages to the tokens of a prompt that fits its context, or a refusal with the figures.

Pure but for the template, which is code that came with the model's file and runs sandboxed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from graphs.models.history import Messages, shortened
from graphs.models.llama.prefixes import shared_length

__all__ = ["Prompt", "Prompts", "Refusal", "Tokeniser"]

_TEMPLATE: Final = "tokenizer.chat_template"


class Refusal(Exception):
    """A request that is not carried out. `code` is MODEL_REFUSED or CONTEXT_TOO_LONG, `detail` has the figures."""

    def __init__(self, code: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = dict(detail) if detail else None


class Tokeniser(Protocol):
    """What is asked of a model."""

    context: int

    def tokenise(self, text: bytes, *, begin: bool) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens; how many of them other prompts begin with too; how many the answer may have; how many messages were left out."""

    tokens: list[int]
    shared: int
    room: int
    dropped: int


class Prompts:
    """Makes the prompts of one model. `render(messages, answer)` writes messages as its template does, with the opening of an
    answer or without; None if it has no template."""

    def __init__(self, model: Tokeniser, render: Callable[[Messages, bool], str] | None, begin: str) -> None:
        self._model = model
        self._render = render
        self._begin = begin

    def make(self, messages: Messages, *, max_tokens: int | None, shared: int = 0, fit: bool = False) -> Prompt:
        """The prompt of messages. Raises Refusal."""
        kept, tokens = messages, self._tokens(messages, answer=True)
        if fit:
            kept = shortened(messages, lambda some: len(self._tokens(some, answer=True)), self._model.context, max_tokens)
            tokens = tokens if kept is messages else self._tokens(kept, answer=True)
        room = self._room(len(tokens), max_tokens)
        return Prompt(tokens, self._shared(kept, shared, tokens), room, len(messages) - len(kept))

    def _tokens(self, messages: Messages, *, answer: bool) -> list[int]:
        if self._render is None:
            raise Refusal(
                "MODEL_REFUSED", f"it has no chat template ({_TEMPLATE} in its file), so it cannot be asked with messages"
            )
        try:
            prompt = self._render(messages, answer)
        except Exception as error:  # a template may raise anything; each is its way to say no
            raise Refusal("MODEL_REFUSED", f"its chat template refuses these messages: {error}") from error
        starts = bool(self._begin) and prompt.startswith(self._begin)
        tokens = self._model.tokenise(prompt.encode("utf-8", "replace"), begin=not starts)
        if not tokens:
            raise Refusal("MODEL_REFUSED", "its chat template makes an empty prompt of these messages")
        return tokens

    def _room(self, prompt: int, max_tokens: int | None) -> int:
        """How many tokens the answer may have."""
        wanted = max_tokens if max_tokens is not None else 1
        context = self._model.context
        if prompt + wanted > context:
            message = f"{prompt} tokens of prompt and {wanted} of answer do not fit its context of {context}"
            detail = {"prompt_tokens": prompt, "max_tokens": max_tokens, "context": context}
            raise Refusal("CONTEXT_TOO_LONG", message, detail)
        return max_tokens if max_tokens is not None else context - prompt

    def _shared(self, messages: Messages, shared: int, tokens: list[int]) -> int:
        """How many tokens the first messages make, as far as they are the prompt's own first tokens."""
        if not 0 < shared < len(messages):
            return 0
        try:
            return shared_length(self._tokens(messages[:shared], answer=False), tokens)
        except Refusal:  # a template may want a user's message; without the hint all is computed as well
            return 0
