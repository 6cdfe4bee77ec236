from __future__ import annotations

import dataclasses
import json

import pytest

from graphs.errors import ContextTooLong, ModelRefused
from graphs.models.hosting.frames import generate_frame, refusal, tool_call
from graphs.models.interface import GenerationRequest

HERE = {"deadline_ms", "key", "spent"}
"""What the host does itself."""


def test_a_field_of_a_request_is_told_to_the_child_or_done_by_the_host() -> None:
    frame = generate_frame("tiny", GenerationRequest([{"role": "user", "content": "hello"}]))
    assert frame.keys() - {"t"} == {each.name for each in dataclasses.fields(GenerationRequest)} - HERE
    assert json.loads(json.dumps(frame)) == frame


def test_messages_and_tools_that_no_model_has_are_refused() -> None:
    sound = {"role": "user", "content": "hello"}
    with pytest.raises(ModelRefused, match="model tiny: "):
        generate_frame("tiny", GenerationRequest([sound], tools=[{"type": "function"}]))
    with pytest.raises(ModelRefused, match="tiny"):
        generate_frame("tiny", GenerationRequest([{"role": "user", "content": [{"type": "image_url"}]}]))


def test_a_call_has_its_arguments_as_text() -> None:
    call = tool_call({"id": "c1", "name": "look", "arguments": {"where": "Zürich"}})
    assert call == {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"where": "Zürich"}'}}


@pytest.mark.parametrize(("detail", "again"), [(None, False), ({"context": 5}, False), ({"again": True}, True)])
@pytest.mark.parametrize(("code", "kind"), [("CONTEXT_TOO_LONG", ContextTooLong), ("SOMETHING_NEW", ModelRefused)])
def test_a_refusal_is_typed_and_says_whether_to_try_again(
    code: str, kind: type[ModelRefused], detail: dict[str, object] | None, again: bool
) -> None:
    error = refusal("tiny", {"t": "error", "code": code, "message": "no", "detail": detail})
    assert type(error) is kind
    assert str(error) == "model tiny: no."
    assert (error.detail, error.retryable) == (detail, again)
