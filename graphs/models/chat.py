"""What every backend asks of a request before it spends anything on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphs.errors import ModelRefused
from graphs.models.interface import GenerationRequest, Message
from graphs.values import clean

__all__ = ["MAX_STOPS", "plain_messages", "require_sound", "require_texts"]

MAX_STOPS: Final = 16
"""Stop strings one request may have: each is searched for in every piece."""

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})


def require_sound(model: str, request: GenerationRequest) -> None:
    """Raises ModelRefused, naming the model, if no model could carry the request out as written."""
    problem = _problem(request)
    if problem:
        raise ModelRefused(f"model {model}: {problem}")


def plain_messages(model: str, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages with their contents as text, as chat templates expect them.

    Content written as a list of parts is joined. Raises ModelRefused for parts that are not text: the model reads nothing else.
    """
    return [_plain(model, position, message) for position, message in enumerate(messages)]


def _problem(request: GenerationRequest) -> str | None:
    if not request.messages:
        return "no messages: a request needs at least one"
    for position, message in enumerate(request.messages):
        if not isinstance(message, Mapping):
            return f"message {position} is {type(message).__name__}, not a map with role and content"
        if message.get("role") not in _ROLES:
            return f"message {position} has the role {message.get('role')!r}; known are {', '.join(sorted(_ROLES))}"
    # What comes from a graph may be of any type, whatever the annotations say.
    wrong = [
        ("max_tokens", request.max_tokens, "a whole number of at least 1", _is_count(request.max_tokens)),
        ("seed", request.seed, "a whole number", request.seed is None or _is_whole(request.seed)),
        (
            "temperature",
            request.temperature,
            "a number of at least 0",
            _is_number(request.temperature) and request.temperature >= 0,
        ),
        ("top_p", request.top_p, "a number above 0 and at most 1", _is_number(request.top_p) and 0 < request.top_p <= 1),
        ("stop", request.stop, f"a list of at most {MAX_STOPS} texts", _is_stops(request.stop)),
        ("response_format", request.response_format, "a map", isinstance(request.response_format, Mapping | None)),
        ("deadline_ms", request.deadline_ms, "a number", request.deadline_ms is None or _is_number(request.deadline_ms)),
    ]
    return next((f"{name} is {value!r}, it must be {right}" for name, value, right, holds in wrong if not holds), None)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and _is_whole(value) and value >= 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_stops(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) <= MAX_STOPS and all(isinstance(stop, str) for stop in value)


def _plain(model: str, position: int, message: Message) -> dict[str, Any]:
    plain: dict[str, Any] = clean(dict(message))
    content = plain.get("content")
    if content is None or isinstance(content, str):
        return {**plain, "content": content or ""}
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        return {**plain, "content": "".join(str(part.get("text", "")) for part in content)}
    raise ModelRefused(f"model {model}: the content of message {position} is not text, and this model reads nothing else")


def require_texts(name: str, texts: Sequence[object]) -> None:
    """Raises ModelRefused unless all that are to be embedded are texts."""
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise ModelRefused(f"model {name}: what is embedded are texts, number {place} is {type(text).__name__}")
