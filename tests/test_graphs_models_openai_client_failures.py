"""Models behind a server that misbehaves in every way, over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from asking import KEY, USAGE, Pauses, ask, error_of, refusing, streaming, with_server
from graphs.errors import (
    ContextTooLong,
    LinkCondition,
    ModelCrashed,
    ModelMissing,
    ModelRefused,
    NodeError,
    NodeTimeout,
)
from graphs.models.interface import GenerationRequest
from graphs.models.openai.client import Patience, ServerModel
from graphs.models.openai.servers import Server
from graphs.secrets import Secrets
from model_server import Asked, Behaviour, Connection, ModelServer, answering, chunk, then


def test_a_busy_server_is_asked_again_when_it_says_so() -> None:
    soon = format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)
    busy = (refusing(429, Retry_After="3"), refusing(503, Retry_After=soon), refusing(529, retry_after_ms="250"))

    async def use(model: ServerModel, server: ModelServer) -> None:
        assert (await model.generate(ask())).text
        assert len(server.asked) == 4

    assert with_server(use, then(*busy, answering)) == [3.0, 0.0, 0.25]


def test_without_a_word_the_pauses_grow_and_then_it_is_busy() -> None:
    pauses: list[float] = []

    async def use(model: ServerModel, server: ModelServer) -> None:
        with pytest.raises(LinkCondition, match="answered with status 503") as caught:
            await model.generate(ask())
        assert (caught.value.condition, caught.value.retryable) == ("BUSY", True)
        assert len(server.asked) == 4

    pauses = with_server(use, refusing(503, "overloaded", "text/plain"))
    assert [round(pause * 4 / 5, 0) for pause in pauses] == pytest.approx([0, 1, 2], abs=1)
    assert pauses == sorted(pauses)


def test_a_server_that_asks_for_too_long_a_pause_is_not_waited_for() -> None:
    error = error_of(refusing(429, Retry_After="600"))
    assert isinstance(error, LinkCondition)
    assert (error.condition, error.retry_ms) == ("BUSY", 600_000)
    assert isinstance(error_of(refusing(429, {"error": {"code": "insufficient_quota", "message": "pay"}})), LinkCondition)


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (401, {"error": {"message": f"bad key {KEY}"}}, LinkCondition, "bad key"),
        (403, "", LinkCondition, "status 403"),
        (404, {"error": {"message": "no model tiny:1b"}}, ModelMissing, "no model tiny:1b"),
        (400, {"error": {"message": "temperature is wrong", "code": "x"}}, ModelRefused, "temperature is wrong"),
        (400, {"error": {"message": "m", "code": "context_length_exceeded"}}, ContextTooLong, "status 400"),
        (400, {"error": "the prompt exceeds the context size"}, ContextTooLong, "context size"),
        (422, {"detail": "what"}, ModelRefused, "status 422"),
        (500, "<html>" + "x" * 100_000, NodeError, "status 500"),
        (501, {"error": {"message": "no embeddings here"}}, ModelRefused, "no embeddings here"),
        (302, "", ModelRefused, "status 302"),
        (418, b"\xff\xff", ModelRefused, "status 418"),
    ],
)
def test_an_answer_with_an_errors_status_says_whose_fault_it_is(status: int, body: Any, kind: type, told: str) -> None:
    error = error_of(refusing(status, body, Location="http://127.0.0.1:1/"), key="MY_KEY")
    assert type(error) is kind
    assert told in error.message
    assert "tiny:1b" in error.message
    if status == 401:
        assert isinstance(error, LinkCondition)
        assert (error.condition, error.retryable) == ("AUTH_FORBIDDEN", False)
        assert "MY_KEY" in (error.hint or "")


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        pauses = Pauses()

        async def main() -> None:
            model = ServerModel(Server(url, "tiny"), Secrets({}), Patience(sleep=pauses))
            with pytest.raises(LinkCondition, match="cannot be reached") as caught:
                await model.generate(ask())
            assert caught.value.condition == "UNREACHABLE"
            await model.close()

        asyncio.run(main())
        assert len(pauses.seconds) == 3


def test_a_server_that_hangs_up_before_it_answers_is_asked_again() -> None:
    async def hang_up(asked: Asked, connection: Connection) -> None:
        connection.cut()

    async def use(model: ServerModel, server: ModelServer) -> None:
        assert (await model.generate(ask())).text

    assert len(with_server(use, then(hang_up, refusing(502), answering))) == 2


@pytest.mark.parametrize("behaviour", [streaming(chunk("one "), cut=True), streaming(chunk("one "))])
def test_a_stream_that_is_cut_is_a_crash_and_is_not_begun_again_here(behaviour: Behaviour) -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        pieces: list[str] = []
        with pytest.raises(ModelCrashed, match="broke off in the middle"):
            await model.generate(ask(), pieces.append)
        assert pieces == ["one "]
        assert len(server.asked) == 1

    with_server(use, behaviour)


@pytest.mark.parametrize("behaviour", [streaming(chunk("one", finish="stop"), cut=True), streaming(chunk("one", finish="stop"))])
def test_a_stream_that_ends_after_the_answer_was_finished_is_no_crash(behaviour: Behaviour) -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        generation = await model.generate(ask())
        assert (generation.text, generation.finish_reason) == ("one", "stop")

    with_server(use, behaviour)


def test_usage_that_is_missing_is_estimated_and_that_is_said() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        generation = await model.generate(ask())
        assert generation.extra["usage_estimated"] is True
        assert generation.usage.completion_tokens == 2
        assert generation.usage.prompt_tokens > 0

    with_server(use, streaming(chunk("one "), chunk("two"), chunk(finish="stop"), "[DONE]"))


def test_events_may_be_cut_anywhere() -> None:
    async def drip(asked: Asked, connection: Connection) -> None:
        await connection.head()
        events = [": ping", "event: x", *(f"data: {json.dumps(each)}" for each in (chunk("grüß"), chunk(" 🦆", finish="stop")))]
        for byte in ("\r\n\r\n".join(events) + "\r\n\r\ndata: [DONE]\r\n\r\n").encode():
            await connection.piece(bytes([byte]))
        await connection.end()

    async def use(model: ServerModel, server: ModelServer) -> None:
        assert (await model.generate(ask())).text == "grüß 🦆"

    with_server(use, drip)


def test_a_server_that_does_not_stream_is_understood() -> None:
    message = {"role": "assistant", "content": "all at once"}
    body = {"model": "tiny:1b", "choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE}

    async def use(model: ServerModel, server: ModelServer) -> None:
        pieces: list[str] = []
        generation = await model.generate(ask(), pieces.append)
        assert (generation.text, pieces, generation.extra) == ("all at once", ["all at once"], {})

    with_server(use, refusing(200, body))


async def _huge_line(asked: Asked, connection: Connection) -> None:
    await connection.head()
    while not connection.gone.is_set():
        await connection.piece(b"data: " + b"x" * 65_536)


async def _endless(asked: Asked, connection: Connection) -> None:
    await connection.head()
    while not connection.gone.is_set():
        await connection.event(chunk("x" * 500_000))


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (refusing(200, "<html>hello", "text/html"), "it answers with text/html"),
        (refusing(200, "hello", "text/event-stream"), "the stream ended"),
        (refusing(200, b"data: \xff\xff\n\n", "text/event-stream"), "not UTF-8"),
        (refusing(200, "{", "application/json"), "not JSON"),
        (streaming("{nonsense"), "not JSON"),
        (streaming("[1]"), "not an object"),
        (streaming("[" * 100_000), "not JSON"),
        (streaming({"answer": 42}), "no choices"),
        (streaming(chunk(content=None, text=1), {"choices": [{"delta": {"content": [1]}}]}), "the content is list"),
        (streaming(chunk(tool_calls=[{"index": 10**9}])), "has the index"),
        (_huge_line, "one event has more than"),
        (_endless, "the answer has more than"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(behaviour: Behaviour, told: str) -> None:
    error = error_of(behaviour)
    assert isinstance(error, NodeError | ModelCrashed)
    assert told in error.message


def test_an_error_inside_the_stream_is_the_servers_own_word() -> None:
    assert isinstance(error_of(streaming({"error": {"code": "context_length_exceeded", "message": "long"}})), ContextTooLong)
    assert isinstance(error_of(streaming({"error": {"type": "overloaded_error", "message": "later"}})), LinkCondition)
    error = error_of(streaming(chunk("a"), {"error": f"out of memory, {KEY}"}), key="MY_KEY")
    assert type(error) is NodeError
    assert "out of memory" in error.message


def test_an_answer_that_is_withheld_is_a_refusal() -> None:
    assert isinstance(error_of(streaming(chunk("a", finish="content_filter"), "[DONE]")), ModelRefused)
    error = error_of(streaming(chunk(refusal="I will not"), chunk(finish="stop"), "[DONE]"))
    assert isinstance(error, ModelRefused)
    assert "I will not" in error.message


def test_cancelling_closes_the_connection() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        begun = asyncio.Event()
        generating = asyncio.create_task(model.generate(ask(), lambda _: begun.set()))
        await begun.wait()
        generating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await generating
        await server.connections[0].gone.wait()

    with_server(use, streaming(chunk("one"), end=False))


def test_a_deadline_covers_silence_and_pauses() -> None:
    async def silent(asked: Asked, connection: Connection) -> None:
        await connection.gone.wait()

    async def use(model: ServerModel, server: ModelServer) -> None:
        await model.generate(ask())  # the connection is there, whatever else this machine does
        with pytest.raises(NodeTimeout, match="within 50 ms"):
            await model.generate(ask(deadline_ms=50))
        await model.close()
        await server.connections[0].gone.wait()

    with_server(use, then(answering, silent))
    with_server(use, then(answering, streaming(chunk("one"), end=False)))
    with_server(use, then(answering, refusing(503)), sleep=asyncio.sleep, pause=10.0)


def test_a_server_that_falls_silent_is_given_up() -> None:
    error = error_of(streaming(chunk("one"), end=False), silence=0.5)
    assert isinstance(error, ModelCrashed)


def test_a_time_out_of_the_listener_is_its_own() -> None:
    def listen(piece: str) -> None:
        raise TimeoutError("mine")

    async def use(model: ServerModel, server: ModelServer) -> None:
        with pytest.raises(TimeoutError, match="mine"):
            await model.generate(ask(deadline_ms=60_000), listen)

    with_server(use)


def test_a_secret_that_is_nowhere_is_named_and_nothing_is_sent() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        with pytest.raises(LinkCondition, match="needs the secret OTHER, which is in neither of the environment") as caught:
            await model.generate(ask())
        assert (caught.value.condition, server.asked) == ("AUTH_FORBIDDEN", [])

    with_server(use, key="OTHER")


def test_an_answer_as_long_as_a_known_context_is_refused_before_anything_is_sent() -> None:
    async def use(model: ServerModel, server: ModelServer) -> None:
        with pytest.raises(ContextTooLong):
            await model.generate(ask(max_tokens=4096))
        with pytest.raises(ModelRefused, match="content of message 0"):
            await model.generate(GenerationRequest([{"role": "user", "content": [{"type": "image_url"}]}]))
        assert server.asked == []
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
        await model.generate(GenerationRequest([{"role": "user", "content": [{"type": "text", "text": "see"}, picture]}]))

    with_server(use)


def test_a_server_that_wants_other_words_gets_them_and_is_remembered() -> None:
    async def modern(asked: Asked, connection: Connection) -> None:
        for word, told in (
            ("stream_options", "Unknown field stream_options"),
            ("max_tokens", "Use 'max_completion_tokens' instead"),
        ):
            if word in asked.body:
                await connection.whole(400, {"error": {"message": told, "code": "unsupported_parameter"}})
                return
        await answering(asked, connection)

    async def use(model: ServerModel, server: ModelServer) -> None:
        assert (await model.generate(ask(max_tokens=3))).text
        assert server.asked[-1].body["max_completion_tokens"] == 3
        assert len(server.asked) == 3
        assert (await model.generate(ask(max_tokens=3))).text
        assert len(server.asked) == 4

    assert with_server(use, modern) == [0, 0]
    stubborn = refusing(400, {"error": {"message": "no stream_options"}})
    assert isinstance(error_of(stubborn), ModelRefused)
