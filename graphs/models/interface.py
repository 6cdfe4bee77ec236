"""What a language model is to the rest of graphferry: the one interface every backend implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

__all__ = [
    "Confidence",
    "Embeddings",
    "FinishReason",
    "Generation",
    "GenerationRequest",
    "Message",
    "Model",
    "ModelInfo",
    "Models",
    "OnToken",
    "Usage",
]

Message: TypeAlias = Mapping[str, Any]
"""{role: system | user | assistant | tool, content: text, ...} as chat APIs write it."""

OnToken: TypeAlias = Callable[[str], None]
"""Called in the event loop with each piece of text, in order; the pieces joined are the generation's text."""

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "cancelled"]


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One chat completion.

    `max_tokens` None means up to the model's context. `temperature` 0 is greedy. `seed` None means any. `deadline_ms` is a duration
    from the moment the request is handed over; it includes the model's queue.

    `shared` says how many of the leading messages other requests begin with too, so that a backend may compute them once; it never
    changes an answer. `run` names whom the request is for: backends take turns between runs, and within a run a higher `priority`
    goes first. `fit` lets a backend shorten a message history that is longer than its context instead of raising ContextTooLong;
    the answer says so. `confidence` asks for the answer's `Confidence`. `key` names the request to a server, so that it may know one that it
    gets again. `account` names whose it is where several use a model: what was computed for one serves no other, who could see by that what somebody
    else asked. `spent` is told what a request used that nobody waits for any more, by which model, where the backend knows that; soon
    after the request was cancelled, or not at all.
    """

    messages: Sequence[Message]
    max_tokens: int | None = None
    temperature: float = 0.7
    top_p: float = 0.95
    seed: int | None = None
    stop: Sequence[str] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    deadline_ms: float | None = None
    shared: int = 0
    run: str = ""
    account: str = ""
    key: str = field(default="", compare=False)
    priority: float = 0
    fit: bool = False
    confidence: bool = False
    spent: Callable[[Usage, ModelInfo], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one generation."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a model was of the tokens it chose, before temperature: natural logarithms of probabilities.

    `mean` and `minimum` are over the answer's tokens; `margin` is the least distance, over the answer's tokens, between the two
    likeliest ones.
    """

    mean: float
    minimum: float
    margin: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What identifies a model and what it can do. `digest` is the SHA-256 (hex) of the file that is loaded, or None for a model
    behind a server that does not say. `context` is in tokens. `tokens_per_second` are those of an answer, `prompt_per_second` those read
    of a prompt, `measured` at that time (seconds since 1970) on this machine; None where nobody measured."""

    name: str
    backend: str
    digest: str | None = None
    context: int | None = None
    size: int | None = None
    quantisation: str | None = None
    licence: str | None = None
    tokens_per_second: float | None = None
    prompt_per_second: float | None = None
    measured: float | None = None
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model answered.

    `dropped` says how many messages of the history were left out to make it fit (`GenerationRequest.fit`). `first_token_ms` and
    `total_ms` are durations from the hand-over of the request. `message` is the assistant's message as chat APIs write it, with
    `tool_calls` where there are any.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    model: ModelInfo
    first_token_ms: float | None = None
    total_ms: float = 0.0
    tool_calls: Sequence[Mapping[str, Any]] = ()
    confidence: Confidence | None = None
    dropped: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector a text, in the order of the texts, each of length 1 (Euclidean). `tokens` were read for them."""

    vectors: Sequence[Sequence[float]]
    tokens: int
    model: ModelInfo


class Model(Protocol):
    """One model that can be asked.

    Cancelling the task that awaits `generate` stops the generation. Raises ModelCrashed (executed again without counting), ModelMissing,
    ModelRefused, ContextTooLong, NodeTimeout (the deadline passed), LinkCondition BUSY.
    """

    @property
    def info(self) -> ModelInfo: ...

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation: ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Vectors for texts. Raises what `generate` raises; ModelRefused from a backend that makes none."""

    async def close(self) -> None: ...


class Models(Protocol):
    """The models of one side, by name."""

    async def get(self, name: str) -> Model:
        """The model of that name, ready to be asked. Raises ModelMissing: which, where it was looked for, the command that gets it."""

    def names(self) -> Sequence[str]:
        """The names `get` knows."""

    def describe(self, name: str) -> ModelInfo:
        """What is known of a model without loading it. Raises ModelMissing."""

    async def close(self) -> None:
        """Ends all model processes."""
