"""What is said to a model's child process, and how its answers are read (the other end: graphs.models.llama.engine)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graphs.errors import ContextTooLong, ModelRefused, NodeError
from graphs.models.chat import plain_messages
from graphs.models.interface import GenerationRequest
from graphs.models.toolcalls import offered
from graphs.values import clean

__all__ = ["generate_frame", "refusal", "tool_call"]


def generate_frame(name: str, request: GenerationRequest) -> dict[str, Any]:
    """The request as the child of the model `name` reads it: everything but what the host does itself.

    Raises ModelRefused for messages or tools that no model has.
    """
    try:
        offered(request.tools, request.tool_choice)
    except ValueError as error:
        raise ModelRefused(f"model {name}: {error}") from error
    return {
        "t": "generate",
        "messages": plain_messages(name, request.messages),
        "max_tokens": request.max_tokens,
        "temperature": float(request.temperature),
        "top_p": float(request.top_p),
        "seed": request.seed,
        "stop": list(request.stop),
        "response_format": dict(request.response_format) if request.response_format is not None else None,
        "tools": clean(list(request.tools)),
        "tool_choice": clean(request.tool_choice),
        "run": request.run,
        "account": request.account,
        "priority": float(request.priority),
        "shared": request.shared,
        "fit": request.fit,
        "confidence": request.confidence,
    }


def tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call that the child found in an answer, as chat APIs write it."""
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    return {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": arguments}}


def refusal(name: str, frame: Mapping[str, Any]) -> NodeError:
    """The error that the child answered a request with; it may be tried again where the child says so."""
    kind = ContextTooLong if frame["code"] == ContextTooLong.code else ModelRefused
    detail = frame.get("detail")
    error = kind(f"model {name}: {frame['message']}.", detail=detail)
    error.retryable = bool(detail and detail.get("again"))
    return error
