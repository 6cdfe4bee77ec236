"""The language model agent: what it asks, which model, what it streams and what it gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agent_context import Context, ScriptedModels, context, run, scripted
from graphs.agents import llm
from graphs.errors import ModelMissing, NodeError
from graphs.models.interface import Confidence, GenerationRequest
from graphs.values import MISSING

USER = {"role": "user", "content": "hi"}


def asking(
    inputs: dict[str, Any], params: dict[str, Any] | None = None, *, models: ScriptedModels | None = None, **more: Any
) -> tuple[Any, GenerationRequest, Context]:
    models = models or scripted("pong")
    given = context(inputs, params, services={"models": models, "default_model": "small"}, **more)
    value = run(llm.llm_agent, given)
    return value, models.model.requests[-1], given


class TestWhatModelsAreToldBesides:
    @pytest.mark.parametrize(
        ("inputs", "params", "shared"),
        [
            ({"prompt": "hi"}, {}, 0),
            ({"prompt": "hi"}, {"system": "be brief"}, 1),
            ({"prompt": "hi", "system": "be brief"}, {}, 1),
            ({"prompt": "hi"}, {"system": "be brief", "messages": [USER, USER]}, 3),
            ({"prompt": "hi", "messages": [USER]}, {"messages": [USER, USER]}, 0),
            ({"prompt": "hi"}, {"messages": [USER]}, 1),
        ],
    )
    def test_what_does_not_depend_on_a_maps_row_is_shared(self, inputs: Any, params: Any, shared: int) -> None:
        assert asking(inputs, params)[1].shared == shared

    def test_for_whom_and_how_urgent_it_is(self) -> None:
        request = asking({"prompt": "hi"}, run="ab", priority=3)[1]
        assert (request.run, request.priority) == ("ab", 3)

    def test_a_shortened_history_and_confidence_are_told(self) -> None:
        models = scripted("pong", dropped=2, confidence=Confidence(-1.0, -2.0, 0.5))
        value, request, _ = asking({"prompt": "hi"}, {"fit": True, "confidence": True}, models=models)
        assert (request.fit, request.confidence) == (True, True)
        assert (value["dropped"], value["confidence"]) == (2, {"mean": -1.0, "minimum": -2.0, "margin": 0.5})
        value, request, _ = asking({"prompt": "hi"})
        assert (request.fit, request.confidence, "dropped" in value, "confidence" in value) == (False, False, False, False)


class TestTheMessages:
    @pytest.mark.parametrize(
        ("inputs", "params", "messages"),
        [
            ({"prompt": "hi"}, {}, [USER]),
            ({"prompt": ["a", "", None, "b"]}, {}, [{"role": "user", "content": "a\nb"}]),
            ({"prompt": 5}, {}, [{"role": "user", "content": "5"}]),
            ({}, {"prompt": "hi"}, [USER]),
            ({"prompt": "hi"}, {"prompt": "no"}, [USER]),
            ({"message": USER, "prompt": "no"}, {}, [USER]),
            ({"prompt": "hi"}, {"system": ["be", "brief"]}, [{"role": "system", "content": "be\nbrief"}, USER]),
            (
                {"messages": [{"role": "assistant", "content": "a"}], "prompt": "hi"},
                {},
                [{"role": "assistant", "content": "a"}, USER],
            ),
            (
                {"mergeablePrompts": "a", "prompt": "no"},
                {"mergeablePrompts": ["b", "c"]},
                [{"role": "user", "content": "a\nb\nc"}],
            ),
            (
                {"prompt": "hi", "mergeableSystem": ""},
                {"mergeableSystem": "s", "system": "no"},
                [{"role": "system", "content": "s"}, USER],
            ),
            (
                {"prompt": "hi", "images": ["http://x/1.png", "http://x/2.png"]},
                {},
                [
                    USER,
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "http://x/1.png", "detail": "high"}}],
                    },
                ],
            ),
        ],
    )
    def test_order(self, inputs: dict[str, Any], params: dict[str, Any], messages: list[Any]) -> None:
        value, request, _ = asking(inputs, params)
        assert list(request.messages) == messages
        assert value["messages"] == [*messages, {"role": "assistant", "content": "pong"}]

    @pytest.mark.parametrize("inputs", [{}, {"prompt": ""}, {"messages": []}, {"prompt": None, "message": MISSING}])
    def test_nothing_to_ask(self, inputs: dict[str, Any]) -> None:
        with pytest.raises(NodeError, match="nothing to ask"):
            asking(inputs)

    def test_an_input_without_value_hides_the_param(self) -> None:
        with pytest.raises(NodeError, match="nothing to ask"):
            asking({"prompt": MISSING}, {"prompt": "hi"})

    def test_a_history_is_a_list(self) -> None:
        with pytest.raises(NodeError, match="messages is a list"):
            asking({"messages": "hi"})


class TestTheSettings:
    def test_defaults(self) -> None:
        _, request, _ = asking({"prompt": "hi"})
        assert request == GenerationRequest(messages=[USER])

    def test_all(self) -> None:
        params = {
            "temperature": 0,
            "top_p": 0.5,
            "max_tokens": 7,
            "seed": 3,
            "stop": "END",
            "tools": [{"type": "function"}],
            "tool_choice": "auto",
            "response_format": {"type": "text"},
        }
        _, request, _ = asking({"prompt": "hi"}, params)
        assert request == GenerationRequest(
            messages=[USER],
            temperature=0,
            top_p=0.5,
            max_tokens=7,
            seed=3,
            stop=("END",),
            tools=({"type": "function"},),
            tool_choice="auto",
            response_format={"type": "text"},
        )

    def test_inputs_over_params(self) -> None:
        _, request, _ = asking(
            {"prompt": "hi", "temperature": "0.1", "max_completion_tokens": 9}, {"temperature": 1, "max_tokens": 3}
        )
        assert (request.temperature, request.max_tokens) == (0.1, 9)

    def test_numbers_are_numbers(self) -> None:
        with pytest.raises(NodeError, match="llmAgent: temperature is a number, not warm"):
            asking({"prompt": "hi", "temperature": "warm"})


class TestTheModel:
    @pytest.mark.parametrize(
        ("inputs", "params", "more", "name"),
        [
            ({"model": "a"}, {"model": "b"}, {"model": "c"}, "a"),
            ({"model": MISSING}, {"model": "b"}, {"model": "c"}, "b"),
            ({}, {"model": ""}, {"model": "c", "config": {"model": "d"}}, "c"),
            ({}, {}, {"config": {"model": "d"}}, "d"),
            ({}, {}, {}, "small"),
        ],
    )
    def test_who_names_it(self, inputs: dict[str, Any], params: dict[str, Any], more: dict[str, Any], name: str) -> None:
        models = scripted("pong")
        asking({"prompt": "hi", **inputs}, params, models=models, **more)
        assert models.asked == [name]

    def test_no_name(self) -> None:
        with pytest.raises(NodeError, match="no model is named") as caught:
            run(llm.llm_agent, context({"prompt": "hi"}, services={"models": scripted("pong")}))
        assert caught.value.hint

    def test_no_models_here(self) -> None:
        with pytest.raises(NodeError, match="there are no models here"):
            run(llm.llm_agent, context({"prompt": "hi"}))

    @pytest.mark.parametrize("where", ["params", "config"])
    def test_a_graph_cannot_name_a_server(self, where: str) -> None:
        models = scripted("pong")
        base = {"baseURL": "http://elsewhere/v1"}
        with pytest.raises(NodeError, match="baseURL is not followed"):
            asking({"prompt": "hi"}, base if where == "params" else {}, config=base if where == "config" else {}, models=models)
        assert not models.asked

    def test_a_models_own_error_is_kept(self) -> None:
        async def get(name: str) -> None:
            raise ModelMissing(f"no model {name}")

        given = context({"prompt": "hi", "model": "x"}, services={"models": SimpleNamespace(get=get)})
        with pytest.raises(ModelMissing, match="no model x"):
            run(llm.llm_agent, given)


class TestTheStream:
    EVENTS = (
        {"type": "response.created", "response": {}},
        {"type": "response.in_progress", "response": {"output": [{"type": "text", "text": "po"}]}},
        {"type": "response.in_progress", "response": {"output": [{"type": "text", "text": "ng"}]}},
        {"type": "response.completed", "response": {}},
    )

    @pytest.mark.parametrize(
        ("params", "is_result", "tokens"),
        [
            ({}, False, []),
            ({}, True, ["po", "ng"]),
            ({"stream": True}, False, ["po", "ng"]),
            ({"dataStream": True}, False, list(EVENTS)),
            ({"dataStream": True, "stream": True}, True, list(EVENTS)),
        ],
    )
    def test_tokens(self, params: dict[str, Any], is_result: bool, tokens: list[Any]) -> None:
        _, _, given = asking({"prompt": "hi"}, params, models=scripted("pong", pieces=["po", "ng"]), is_result=is_result)
        assert given.tokens == tokens


class TestTheValue:
    def test_shape(self) -> None:
        value, _, _ = asking({"prompt": "hi"}, models=scripted("pong", extra={"id": "x1"}))
        timing = value.pop("metadata")["timing"]
        message = {"role": "assistant", "content": "pong"}
        assert value == {
            "id": "x1",
            "model": "tiny",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "text": "pong",
            "message": message,
            "messages": [USER, message],
            "tool_calls": [],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            "responseFormat": None,
        }
        assert timing.keys() == {"start", "firstToken", "end", "latencyToFirstToken", "duration", "totalElapsed"}
        assert (timing["latencyToFirstToken"], timing["duration"], timing["totalElapsed"]) == (20, 30, 50)
        assert timing["start"] < timing["firstToken"] < timing["end"]
        assert timing["start"].endswith("Z")

    def test_who_made_it_and_what_it_cost(self) -> None:
        _, _, given = asking({"prompt": "hi"})
        assert given.facts == {"model": "tiny", "digest": "ab" * 32, "backend": "scripted"}
        assert given.counts == {"prompt_tokens": 7, "completion_tokens": 3}

    def test_without_a_first_token_there_is_no_latency(self) -> None:
        value, _, _ = asking({"prompt": "hi"}, models=scripted("", first_token_ms=None))
        assert value["metadata"]["timing"].keys() == {"start", "end", "totalElapsed"}
        assert (value["text"], value["message"]["content"]) == (None, "")

    def test_tool_calls_are_read(self) -> None:
        calls = [
            {"id": "c1", "type": "function", "function": {"name": "light--on", "arguments": '{"room": 1}'}},
            {"id": "c2", "type": "function", "function": {"name": "light--off", "arguments": "{oops"}},
            {"id": "c3", "name": "light--dim", "arguments": {"to": 5}},
        ]
        value, _, _ = asking({"prompt": "hi"}, models=scripted("", tool_calls=calls, finish_reason="tool_calls"))
        assert value["tool_calls"] == [
            {"id": "c1", "name": "light--on", "arguments": {"room": 1}},
            {"id": "c2", "name": "light--off"},
            {"id": "c3", "name": "light--dim", "arguments": {"to": 5}},
        ]
        assert value["tool"] == value["tool_calls"][0]
        assert value["message"] == {"role": "assistant", "content": None, "tool_calls": calls}

    def test_an_answer_in_the_asked_format(self) -> None:
        schema = {"type": "json_object"}
        value, _, _ = asking({"prompt": "hi", "response_format": schema}, models=scripted('{"a": 1}'))
        assert value["responseFormat"] == {"a": 1}
        value, _, _ = asking({"prompt": "hi", "response_format": schema}, models=scripted("5"))
        assert value["responseFormat"] is None
        value, _, _ = asking({"prompt": "hi", "response_format": {"type": "text"}}, models=scripted("words"))
        assert value["responseFormat"] is None

    def test_an_answer_in_another_format_fails_and_may_be_retried(self) -> None:
        with pytest.raises(NodeError, match="does not have the asked response_format") as caught:
            asking({"prompt": "hi", "response_format": {"type": "json_object"}}, models=scripted("words"))
        assert caught.value.retryable


@pytest.mark.parametrize(
    ("inputs", "params", "message"),
    [
        ({"array": ["x"]}, {}, "images2messageAgent: params.imageType is UNDEFINED! Set Type: png, jpg..."),
        ({"array": "x"}, {"imageType": "png"}, "images2messageAgent: namedInputs.array is not Array."),
    ],
)
def test_pictures_need_a_list_and_a_type(inputs: dict[str, Any], params: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeError) as caught:
        run(llm.images_2_message_agent, context(inputs, params))
    assert caught.value.message == message
