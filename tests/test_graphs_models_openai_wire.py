"""The words of the wire without a wire; what a server does with them is in test_graphs_models_openai_client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphs.models.interface import GenerationRequest, Usage
from graphs.models.openai.wire import Answer, WireError, chat_body, content_problem, error_text, vectors_of
from graphs.values import MISSING


def message(content: Any) -> GenerationRequest:
    return GenerationRequest([{"role": "user", "content": content}])


def test_a_body_leaves_out_what_the_request_leaves_open() -> None:
    body = chat_body("m", GenerationRequest([{"role": "user", "content": "hi", "name": MISSING}], tool_choice="none"))
    assert set(body) == {"model", "messages", "temperature", "top_p", "stream", "stream_options"}
    assert body["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("content", "right"),
    [
        ("text", True),
        (None, True),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}], True),
        ([{"type": "image_url"}], False),
        ([{"type": "text"}], False),
        (["text"], False),
        (7, False),
    ],
)
def test_contents_are_text_or_parts(content: Any, right: bool) -> None:
    assert (content_problem(message(content)) is None) == right


def test_chunks_of_other_kinds_are_passed_over() -> None:
    answer = Answer()
    chunks: list[dict[str, Any]] = [
        {"choices": [], "prompt_filter_results": []},
        {"choices": [{"delta": {"role": "assistant"}}]},
        {"choices": [{"delta": {"content": None}, "finish_reason": "something new"}], "usage": None},
        {"choices": None, "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        {
            "choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}}],
            "usage": {"prompt_tokens": True},
        },
    ]
    for chunk in chunks:
        assert answer.feed(json.dumps(chunk)) == ""
    assert (answer.finish, answer.usage, answer.confidence) == ("stop", Usage(1, 2), None)
    assert answer.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a": 1}'}


def test_probabilities_of_any_kind_break_nothing() -> None:
    answer = Answer()
    tokens = [{"logprob": "x"}, {"logprob": -1, "top_logprobs": [{"logprob": None}]}, {"logprob": -3, "top_logprobs": 5}, 7]
    answer.feed(json.dumps({"choices": [{"delta": {}, "logprobs": {"content": tokens}}]}))
    assert answer.confidence is not None
    assert (answer.confidence.mean, answer.confidence.minimum, answer.confidence.margin) == (-2, -3, 0)


def test_errors_are_read_however_they_are_written() -> None:
    assert error_text('{"error": {"message": "a\\nb", "type": "t"}}') == ("a b", "t")
    assert error_text('{"error": "plain"}') == ("plain", "")
    assert error_text('{"message": "bare", "code": 7}') == ("bare", "7")
    assert error_text("no json at all") == ("no json at all", "")
    assert error_text("<html>") == ("", "")
    assert len(error_text("x" * 10_000)[0]) < 400


def test_vectors_without_positions_are_in_the_order_they_came() -> None:
    assert vectors_of('{"data": [{"embedding": [3, 4]}, {"embedding": [0, 2]}]}', 2) == ([[0.6, 0.8], [0, 1]], 0)
    with pytest.raises(WireError, match="not of one length"):
        vectors_of('{"data": [{"embedding": [3, 4]}, {"embedding": [1]}]}', 2)
    with pytest.raises(WireError, match="not a list of numbers"):
        vectors_of('{"data": [{"embedding": [NaN]}]}', 1)
