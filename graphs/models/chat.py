"""What every backend asks of a request before it spends anything on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphs.errors import ModelRefused
from graphs.models.interface import GenerationRequest, Message
from graphs.values import clean

__all__ = ["MAX_STOPS", "plain_messages", "require_sound"]

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
    if request.max_tokens is not None and request.max_tokens < 1:
        return f"max_tokens is {request.max_tokens}, it must be at least 1"
    if not (math.isfinite(request.temperature) and request.temperature >= 0):
        return f"temperature is {request.temperature}, it must be 0 or more"
    if not 0 < request.top_p <= 1:
        return f"top_p is {request.top_p}, it must be above 0 and at most 1"
    if len(request.stop) > MAX_STOPS:
        return f"{len(request.stop)} stop strings are more than {MAX_STOPS}"
    return None


def _plain(model: str, position: int, message: Message) -> dict[str, Any]:
    plain: dict[str, Any] = clean(dict(message))
    content = plain.get("content")
    if content is None or isinstance(content, str):
        return {**plain, "content": content or ""}
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        return {**plain, "content": "".join(str(part.get("text", "")) for part in content)}
    raise ModelRefused(f"model {model}: the content of message {position} is not text, and this model reads nothing else")
