"""Models behind a server, over a real socket, and the server misbehaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asking import KEY, USAGE, ask, error_of, refusing, streaming, with_server
from graphs.errors import (
    ModelRefused,
    NodeError,
)
from graphs.models.conformance import check_model
from graphs.models.interface import GenerationRequest
from graphs.models.openai.client import ServerModel
from model_server import ModelServer, chunk


def test_it_keeps_all_promises_of_a_model() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        await check_model(model)

    with_server(use)


def test_what_is_sent_and_what_an_answer_says_of_itself() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        request = ask(
            max_tokens=3,
            seed=7,
            stop=["x"],
            response_format={"type": "json_object"},
            tools=[{"type": "function"}],
            tool_choice="auto",
        )
        generation = await model.generate(request)
        (asked,) = server.asked
        assert asked.path == "/v1/chat/completions"
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert asked.body == {
            "model": "tiny:1b",
            "messages": [{"role": "user", "content": "hello there"}],
            "temperature": 0,
            "top_p": 0.95,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 3,
            "seed": 7,
            "stop": ["x"],
            "tools": [{"type": "function"}],
            "tool_choice": "auto",
            "response_format": {"type": "json_object"},
        }
        assert (generation.text, generation.finish_reason) == ("hello there hello", "length")
        assert (generation.usage.prompt_tokens, generation.usage.completion_tokens) == (3, 3)
        assert (generation.model.name, generation.model.digest) == ("tiny:1b", None)
        assert generation.model.backend == "openai " + server.url.removesuffix("/v1")
        assert generation.extra == {"served_model": "served"}
        assert KEY not in repr(model.__dict__)

    assert with_server(use, key="MY_KEY") == []


def test_a_request_that_comes_again_has_the_same_key_and_no_other_has() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        for request in (ask(), ask(key="a/0"), ask(key="a/0"), ask(key="a/1"), ask(key="a/0", max_tokens=5)):
            await model.generate(request)
        none, first, again, retried, other = (asked.headers.get("idempotency-key") for asked in server.asked)
        assert none is None
        assert first == again
        assert len({first, retried, other}) == 3

    with_server(use)


def test_what_messages_carry_besides_is_not_sent() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        message = {"role": "tool", "content": "1", "tool_call_id": "c", "extra": {"agent": "private"}}
        await model.generate(GenerationRequest([message]))
        assert server.asked[0].body["messages"] == [{"role": "tool", "content": "1", "tool_call_id": "c"}]

    with_server(use)


def test_a_connection_is_used_again() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        for _ in range(3):
            await model.generate(ask())
        assert len(server.connections) == 1

    with_server(use)


def test_tool_calls_come_in_pieces_and_are_joined() -> None:
    first = {"index": 0, "id": "a", "function": {"name": "add", "arguments": ""}}
    second = {"index": 1, "function": {"name": "look", "arguments": "{}"}}
    behaviour = streaming(
        chunk(tool_calls=[first]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a": '}}, second]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]),
        chunk(finish="stop"),
        {"choices": [], "usage": USAGE},
        "[DONE]",
    )

    async def use(model: ServerModel, server: ModelServer) -> None:
        generation = await model.generate(ask(tools=[{"type": "function", "function": {"name": "add"}}]))
        assert generation.finish_reason == "tool_calls"
        assert generation.tool_calls == (
            {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
        )

    with_server(use, behaviour)


def test_probabilities_become_a_confidence_where_they_are_asked_for() -> None:
    def token(chosen: float, *tops: float) -> dict[str, Any]:
        return {"logprob": chosen, "top_logprobs": [{"logprob": each} for each in tops]}

    said = chunk("a b")
    said["choices"][0]["logprobs"] = {"content": [token(-0.5, -0.5, -1.5), token(-1.5, -0.25, -1.5)]}

    async def use(model: ServerModel, server: ModelServer) -> None:
        generation = await model.generate(ask(confidence=True))
        assert server.asked[0].body["top_logprobs"] == 2
        assert generation.confidence is not None
        assert (generation.confidence.mean, generation.confidence.minimum, generation.confidence.margin) == (-1.0, -1.5, 1.0)
        assert (await model.generate(ask())).confidence is None

    with_server(use, streaming(said, chunk(finish="stop"), "[DONE]"))


def test_embeddings_are_in_the_order_of_the_texts_and_one_long() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        texts = [f"text {number}" for number in range(300)]
        found = await model.embed(texts)
        assert [len(asked.body["input"]) for asked in server.asked] == [256, 44]
        assert len(found.vectors) == 300
        assert found.tokens == 600
        assert all(abs(sum(each * each for each in vector) - 1) < 1e-9 for vector in found.vectors)
        alone = await model.embed([texts[7]])
        assert list(alone.vectors[0]) == list(found.vectors[7])
        assert (await model.embed([])).vectors == []

    with_server(use)


@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"data": [{"embedding": []}]},
        {"data": [{"embedding": [0, 0]}]},
        {"data": [{"embedding": ["a"]}]},
        {"data": [{"embedding": "AAAA"}]},
        {"data": [{"index": 3, "embedding": [1]}]},
        {},
        "no json",
        b"\xff\xfe",
    ],
)
def test_embeddings_that_are_none_are_refused(body: Any) -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        with pytest.raises(NodeError, match="does not answer as an OpenAI-compatible server does"):
            await model.embed(["one"])

    with_server(use, refusing(200, body))


def test_knowing_the_client_loads_nothing_heavy() -> None:
    program = "import sys, graphs.models.openai.client; assert not {'httpx', 'llama_cpp', 'numpy', 'rich'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.parametrize(("temperature", "again"), [(0, False), (0.7, True)])
def test_an_answer_that_a_server_did_not_keep_to_its_schema_is_refused(temperature: float, again: bool) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer", "maximum": 5}}}
    error = error_of(streaming(chunk("6"), chunk(finish="stop"), "[DONE]"), ask(response_format=form, temperature=temperature))
    assert isinstance(error, ModelRefused)
    assert "outside its bounds" in error.message
    assert (error.detail, error.retryable) == ({"answer": "6"}, again)

    async def use(model: ServerModel, server: ModelServer) -> None:
        assert (await model.generate(ask(response_format=form))).text == "6"

    with_server(use, streaming(chunk("6"), chunk(finish="length"), "[DONE]"))

    async def own(model: ServerModel, server: ModelServer) -> None:
        assert (await model.generate(ask(response_format={"type": "own"}))).text == "6"

    with_server(own, streaming(chunk("6"), chunk(finish="stop"), "[DONE]"))
