"""From messages to the tokens of a prompt that fits its context, or a refusal with the figures.

Pure but for the template, which is code that came with the model's file and runs sandboxed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol

from graphs.models.prefixes import shared_length

__all__ = ["Prompt", "Prompts", "Refusal", "Tokeniser", "turns"]

_TEMPLATE: Final = "tokenizer.chat_template"
_SYSTEM: Final = frozenset({"system", "developer"})
_FREE: Final = 4
"""Without max_tokens, a history that is shortened leaves one part in so many of the context for the answer."""

Messages = Sequence[Mapping[str, Any]]


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
        if fit and len(tokens) + self._least(max_tokens) > self._model.context:
            kept, tokens = self._shortened(messages, tokens, max_tokens)
        room = self._room(len(tokens), max_tokens)
        return Prompt(tokens, self._shared(kept, shared, tokens), room, len(messages) - len(kept))

    def _least(self, max_tokens: int | None) -> int:
        return max_tokens if max_tokens is not None else self._model.context // _FREE

    def _shortened(self, messages: Messages, tokens: list[int], max_tokens: int | None) -> tuple[Messages, list[int]]:
        """Without as many of the oldest turns as it takes; without all of them if even that is too long."""
        head, middle, last = turns(messages)

        def without(count: int) -> tuple[Messages, list[int]]:
            kept = [*head, *(message for turn in middle[count:] for message in turn), *last]
            return kept, self._tokens(kept, answer=True)

        best = messages, tokens
        low, high = 1, len(middle)  # how many turns to drop lies between
        while low <= high:
            count = (low + high) // 2
            made = without(count)
            if len(made[1]) + self._least(max_tokens) <= self._model.context:
                best, high = made, count - 1
            else:
                low = count + 1
        return best if best[0] is not messages or not middle else without(len(middle))

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


def turns(messages: Messages) -> tuple[list[Mapping[str, Any]], list[list[Mapping[str, Any]]], list[Mapping[str, Any]]]:
    """The leading system messages, the turns of the history, each from a user's message on, and the last user's message with what follows."""
    first = next((place for place, message in enumerate(messages) if message["role"] not in _SYSTEM), len(messages))
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]
    last = users[-1] if users else max(first, len(messages) - 1)
    starts = [first, *(place for place in users if first < place < last), last]
    middle = [list(messages[start:end]) for start, end in pairwise(starts) if start < end]
    return list(messages[:first]), middle, list(messages[last:])
