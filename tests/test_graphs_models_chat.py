from __future__ import annotations

import math
from typing import Any

import pytest

from graphs.errors import ModelRefused
from graphs.models.chat import MAX_STOPS, plain_messages, require_sound
from graphs.models.interface import GenerationRequest
from graphs.values import MISSING

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    "request_",
    [
        GenerationRequest(HELLO),
        GenerationRequest(HELLO, max_tokens=1, temperature=0, top_p=1, stop=["."] * MAX_STOPS),
        GenerationRequest([{"role": "system", "content": "Be brief."}, *HELLO, {"role": "tool", "content": "5"}]),
    ],
)
def test_sound_requests_pass(request_: GenerationRequest) -> None:
    require_sound("m", request_)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (GenerationRequest([]), "no messages"),
        (GenerationRequest(["Hello"]), "message 0 is str"),  # type: ignore[list-item]
        (GenerationRequest([*HELLO, {"role": "captain"}]), "message 1 has the role 'captain'"),
        (GenerationRequest(HELLO, max_tokens=0), "max_tokens is 0"),
        (GenerationRequest(HELLO, temperature=-0.1), "temperature is -0.1"),
        (GenerationRequest(HELLO, temperature=math.nan), "temperature is nan"),
        (GenerationRequest(HELLO, top_p=0), "top_p is 0"),
        (GenerationRequest(HELLO, top_p=1.5), "top_p is 1.5"),
        (GenerationRequest(HELLO, stop=["."] * (MAX_STOPS + 1)), "at most 16 texts"),
        (GenerationRequest(HELLO, stop="END"), "stop is 'END'"),
        (GenerationRequest(HELLO, stop=[5]), "stop is [5]"),  # type: ignore[list-item]
        (GenerationRequest(HELLO, max_tokens="5"), "max_tokens is '5'"),  # type: ignore[arg-type]
        (GenerationRequest(HELLO, max_tokens=True), "max_tokens is True"),
        (GenerationRequest(HELLO, temperature="hot"), "temperature is 'hot'"),  # type: ignore[arg-type]
        (GenerationRequest(HELLO, seed=1.5), "seed is 1.5"),  # type: ignore[arg-type]
        (GenerationRequest(HELLO, response_format="json"), "response_format is 'json'"),  # type: ignore[arg-type]
        (GenerationRequest(HELLO, deadline_ms=math.inf), "deadline_ms is inf"),
    ],
)
def test_others_are_refused_with_the_reason_and_the_model(request_: GenerationRequest, says: str) -> None:
    with pytest.raises(ModelRefused) as caught:
        require_sound("tiny", request_)
    assert says in caught.value.message
    assert "tiny" in caught.value.message
    assert not caught.value.retryable


def test_contents_become_text() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "name": MISSING, "tool_calls": [{"id": "1"}]},
        {"role": "user"},
    ]
    assert plain_messages("m", messages) == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]},
        {"role": "user", "content": ""},
    ]
    assert messages[0]["content"] is parts


@pytest.mark.parametrize("content", [[{"type": "image_url", "image_url": "x"}], ["text"], 5, {"type": "text", "text": "x"}])
def test_contents_that_are_not_text_are_refused(content: Any) -> None:
    with pytest.raises(ModelRefused, match="message 0"):
        plain_messages("m", [{"role": "user", "content": content}])
