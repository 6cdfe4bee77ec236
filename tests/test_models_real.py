"""The model host with llama.cpp and a real, small model. What a model says is never asserted, only what holds of any answer."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import ContextTooLong, ModelCrashed, ModelRefused, NodeTimeout
from graphs.models.conformance import check_model
from graphs.models.files.fetch import DEFAULT_MODEL, EMBEDDED
from graphs.models.files.store import ModelStore
from graphs.models.hosting.host import HostOptions, ModelHost
from graphs.models.hosting.hosted import HostedModel
from graphs.models.interface import GenerationRequest
from graphs.models.schemas import misfit

pytestmark = [pytest.mark.real_model, pytest.mark.usefixtures("home_with_model")]

LONG = "Tell me about " + " and ".join(f"ferry number {number}" for number in range(500)) + "."
ORPHANING = f"""
import asyncio
from graphs.models.hosting.host import ModelHost
from graphs.models.interface import GenerationRequest
from graphs.models.schemas import misfit

async def main():
    host = ModelHost()
    model = await host.get({DEFAULT_MODEL!r})
    messages = [dict(role="user", content="Write a long story.")]
    await model.generate(GenerationRequest(messages), lambda _: print(host.pid({DEFAULT_MODEL!r}), flush=True))

asyncio.run(main())
"""
"""A parent that prints its child's pid while the child generates."""

OPTIONS = HostOptions(restart_delays=(0.0,))


def ask(text: str, **options: Any) -> GenerationRequest:
    return GenerationRequest([{"role": "user", "content": text}], **{"temperature": 0, **options})


def with_model(
    use: Callable[[ModelHost, HostedModel], Awaitable[None]], path: Path | None = None, options: HostOptions = OPTIONS
) -> None:
    async def main() -> None:
        host = ModelHost(files={DEFAULT_MODEL: path} if path else {}, options=options)
        try:
            await use(host, await host.get(DEFAULT_MODEL))
        finally:
            await host.close()

    asyncio.run(main())


def damaged(tmp_path: Path, old: bytes, new: bytes) -> Path:
    """A copy of the model with some bytes of its header exchanged for as many others."""
    whole = ModelStore().find(DEFAULT_MODEL).path.read_bytes()
    assert len(old) == len(new)
    assert whole.count(old) == 1
    path = tmp_path / "damaged.gguf"
    path.write_bytes(whole.replace(old, new))
    return path


def with_template(tmp_path: Path, template: str) -> Path:
    """A copy of the model with another chat template."""
    path = ModelStore().find(DEFAULT_MODEL).path
    whole = path.read_bytes()
    key = b"tokenizer.chat_template"
    at = whole.index(key) + len(key) + 4
    size = int.from_bytes(whole[at : at + 8], "little")
    return damaged(tmp_path, whole[at : at + 8 + size], whole[at : at + 8] + template.encode().ljust(size))


def test_it_keeps_all_promises_of_a_model() -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        await check_model(model)

    with_model(use)


def test_an_answer_says_what_made_it_and_nothing_else_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        pieces: list[str] = []
        generation = await model.generate(ask("Say something about boats.", max_tokens=16), pieces.append)
        assert "".join(pieces) == generation.text
        assert generation.usage.completion_tokens == 16
        facts = ModelStore().find(DEFAULT_MODEL).facts
        assert facts is not None
        assert EMBEDDED[DEFAULT_MODEL].sha256 in (facts.sha256, facts.source_sha256)
        assert (generation.model.digest, generation.model.quantisation) == (facts.sha256, facts.quantisation)
        assert (generation.model.backend, generation.model.loaded) == ("llama.cpp", True)
        assert generation.model.context == 4096
        assert generation.model.tokens_per_second
        assert generation.extra["version"].startswith("llama-cpp-python 0.")
        assert isinstance(generation.extra["seed"], int)

    with_model(use)
    assert capfd.readouterr() == ("", "")


def test_cancelling_in_the_middle_of_an_answer_leaves_the_child_at_work() -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        pieces: list[str] = []
        begun = asyncio.Event()

        def listen(piece: str) -> None:
            pieces.append(piece)
            begun.set()

        pid = host.pid(DEFAULT_MODEL)
        generating = asyncio.create_task(model.generate(ask("Write a long story.", max_tokens=2000), listen))
        await begun.wait()
        generating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await generating
        heard = len(pieces)
        assert (await model.generate(ask("Hello", max_tokens=8))).usage.completion_tokens > 0
        assert len(pieces) == heard
        assert host.pid(DEFAULT_MODEL) == pid

    with_model(use)


def test_a_deadline_in_a_long_prompt_aborts_it() -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        pid = host.pid(DEFAULT_MODEL)
        pieces: list[str] = []
        with pytest.raises(NodeTimeout):
            await model.generate(ask(LONG, max_tokens=8, deadline_ms=300), pieces.append)
        assert pieces == []
        # Were the prompt not aborted, its 2500 tokens would take longer than the grace, and the child would be another one.
        after = await model.generate(ask("Hello", max_tokens=8))
        assert host.pid(DEFAULT_MODEL) == pid
        assert after.usage.prompt_tokens < 100

    with_model(use, options=HostOptions(cancel_grace=3.0))


def test_kill_9_costs_the_requests_in_flight_and_nothing_else() -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        before = (await model.generate(ask("Hello", max_tokens=8))).usage
        begun = asyncio.Event()
        running = asyncio.create_task(model.generate(ask("Write a long story.", max_tokens=2000), lambda _: begun.set()))
        waiting = asyncio.create_task(model.generate(ask("Hello there", max_tokens=8)))
        await begun.wait()
        pid = host.pid(DEFAULT_MODEL)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for task in (running, waiting):
            with pytest.raises(ModelCrashed, match=rf"model {DEFAULT_MODEL} .*SIGKILL") as caught:
                await task
            assert caught.value.retryable
        assert (await model.generate(ask("Hello", max_tokens=8))).usage == before
        assert host.pid(DEFAULT_MODEL) not in (None, pid)

    with_model(use)


def test_prompt_and_answer_that_do_not_fit_are_refused_with_the_figures() -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        with pytest.raises(ContextTooLong) as caught:
            await model.generate(ask("Hello", max_tokens=300))
        assert caught.value.detail is not None
        assert (caught.value.detail["max_tokens"], caught.value.detail["context"]) == (300, 256)
        assert 0 < caught.value.detail["prompt_tokens"] < 100
        with pytest.raises(ContextTooLong):
            await model.generate(ask(LONG))
        unbounded = await model.generate(ask("Count from one to a thousand, and write each number out in words."))
        assert unbounded.usage.total_tokens <= 256

    with_model(use, options=HostOptions(context=256))


def test_the_text_stops_before_a_stop_string() -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        pieces: list[str] = []
        generation = await model.generate(ask("Write five sentences.", max_tokens=200, stop=["e"]), pieces.append)
        assert generation.finish_reason == "stop"
        assert "e" not in generation.text
        assert "".join(pieces) == generation.text

    with_model(use)


def test_seeds_and_temperature_are_taken() -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        generation = await model.generate(ask("Hello", temperature=1.5, top_p=0.9, seed=-5, max_tokens=8))
        assert generation.extra["seed"] == -5
        texts = {(await model.generate(ask("Name a word.", temperature=2.0, top_p=1, max_tokens=24))).text for _ in range(3)}
        assert len(texts) > 1

    with_model(use)


def test_a_schema_is_kept_and_characters_of_several_tokens_come_whole() -> None:
    odd = 'größe 🦆 漢字 "quoted" back\\slash\nline'
    schema = {
        "type": "object",
        "properties": {"wörd 🦆": {"enum": [odd]}, "n": {"type": "integer"}},
        "required": ["wörd 🦆", "n"],
    }

    async def use(host: ModelHost, model: HostedModel) -> None:
        for form in (
            {"type": "json_object", "schema": schema},
            {"type": "json_schema", "json_schema": {"name": "word", "schema": schema}},
        ):
            pieces: list[str] = []
            generation = await model.generate(ask("Answer in JSON.", response_format=form, max_tokens=100), pieces.append)
            answer = json.loads(generation.text)
            assert answer["wörd 🦆"] == odd
            assert isinstance(answer["n"], int)
            assert "".join(pieces) == generation.text
            assert generation.finish_reason == "stop"
            assert "🦆" in generation.text
        anything = await model.generate(ask("Hello", response_format={"type": "json_object"}, max_tokens=8))
        assert anything.text.startswith("{")
        assert (await model.generate(ask("Hello", response_format={"type": "text"}, max_tokens=4))).text

    with_model(use)


@pytest.mark.parametrize(
    "form",
    [
        {"type": "poem"},
        {"type": "json_schema"},
        {"type": "json_object", "schema": {"$ref": "https://example.org/schema.json"}},
        {"type": "json_object", "schema": {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}},
        {"type": "json_object", "schema": {"type": "integer", "minimum": 5, "maximum": 4}},
        {"type": "json_object", "schema": {"type": "no such type"}},
        {"type": "json_object", "schema": {"enum": ["x" * 70_000]}},
        {"type": "json_object", "schema": {"type": "array", "items": {"type": "string"}, "minItems": 10_000}},
    ],
)
def test_a_response_format_that_cannot_be_kept_is_refused(form: dict[str, Any]) -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        pid = host.pid(DEFAULT_MODEL)
        with pytest.raises(ModelRefused, match="response_format"):
            await model.generate(ask("Hello", response_format=form))
        assert host.pid(DEFAULT_MODEL) == pid

    with_model(use)


def test_bounds_and_kinds_beside_each_other_are_kept() -> None:
    schema = {
        "type": "object",
        "properties": {
            "year": {"type": "integer", "minimum": 1895, "exclusiveMaximum": 1912},
            "share": {"type": "number", "minimum": 0.25, "maximum": 0.75},
            "pier": {"type": ["string", "null"], "enum": ["north", None]},
            "depth": {"type": ["integer", "null"], "maximum": -3},
        },
        "required": ["year", "share", "pier", "depth"],
    }

    async def use(host: ModelHost, model: HostedModel) -> None:
        form = {"type": "json_object", "schema": schema}
        asked = [
            ask(f"Tell me of ferry {seed}.", response_format=form, max_tokens=200, temperature=seed % 3, seed=seed)
            for seed in range(6)
        ]
        for generation in await asyncio.gather(*map(model.generate, asked)):
            if generation.finish_reason == "stop":
                answer = json.loads(generation.text)
                assert misfit(answer, schema) is None
                assert 1895 <= answer["year"] < 1912

    with_model(use)


def test_an_answer_that_no_grammar_could_keep_to_its_schema_fails_with_its_text() -> None:
    schema = {"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 2, "uniqueItems": True}

    async def use(host: ModelHost, model: HostedModel) -> None:
        with pytest.raises(ModelRefused, match="has an item twice") as caught:
            await model.generate(ask("Hello", response_format={"type": "json_object", "schema": schema}, max_tokens=50))
        assert json.loads((caught.value.detail or {})["answer"]) == [1, 1]
        assert not caught.value.retryable

    with_model(use)


def test_prompts_that_begin_alike_are_computed_once(tmp_path: Path) -> None:
    system = {"role": "system", "content": "You are the clerk of a ferry. " + "Answer in few words and be kind. " * 12}

    async def use(host: ModelHost, model: HostedModel) -> None:
        asked = [[system, {"role": "user", "content": f"When does ferry {number} leave?"}] for number in range(12)]
        generations = await asyncio.gather(
            *(model.generate(GenerationRequest(each, max_tokens=3, temperature=0, shared=1)) for each in asked)
        )
        prompts = [generation.usage.prompt_tokens for generation in generations]
        computed = sum(prompts) - sum(generation.extra["cached_tokens"] for generation in generations)
        assert computed < 1.2 * (min(prompts) + 12 * 16)
        for known in (16, 1):  # of one of many what they have in common lies ready, of one asked alone all of it
            again = await model.generate(GenerationRequest(asked[0], max_tokens=3, temperature=0))
            assert again.extra["cached_tokens"] >= again.usage.prompt_tokens - known

    options = replace(OPTIONS, states=tmp_path / "states")
    with_model(use, options=options)

    async def later(host: ModelHost, model: HostedModel) -> None:
        request = GenerationRequest([system, {"role": "user", "content": "Hello"}], max_tokens=3, temperature=0, shared=1)
        generation = await model.generate(request)
        assert generation.extra["cached_tokens"] > 100
        assert generation.usage.completion_tokens == 3

    with_model(later, options=options)


def test_each_answer_of_a_batch_keeps_its_own_schema() -> None:
    schemas = [{"enum": ["red", "blue"]}, {"type": "integer"}, {"enum": [True]}]

    async def use(host: ModelHost, model: HostedModel) -> None:
        forms = [{"type": "json_object", "schema": schemas[number % 3]} for number in range(9)]
        requests = [
            ask(f"Question {number}.", response_format=form, max_tokens=20, temperature=number % 2, seed=number)
            for number, form in enumerate(forms)
        ]
        generations = await asyncio.gather(*map(model.generate, requests))
        for number, generation in enumerate(generations):
            answer = json.loads(generation.text)
            assert [answer in ("red", "blue"), type(answer) is int, answer is True][number % 3]

    with_model(use)


def test_tools_are_called_by_their_schema_and_results_are_read() -> None:
    parameters = {"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}}, "required": ["city"]}
    parameters["$defs"] = {"city": {"enum": ["Paris", "Rome"]}}
    weather = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": parameters}}
    clock = {"type": "function", "function": {"name": "clock"}}

    async def use(host: ModelHost, model: HostedModel) -> None:
        pieces: list[str] = []
        question = {"role": "user", "content": "What is the weather in Rome?"}
        request = GenerationRequest([question], max_tokens=60, temperature=0, tools=[weather, clock], tool_choice="required")
        generation = await model.generate(request, pieces.append)
        assert (generation.finish_reason, generation.text, pieces) == ("tool_calls", "", [])
        (call,) = generation.tool_calls
        arguments = json.loads(call["function"]["arguments"])
        assert call["function"]["name"] != "weather" or arguments["city"] in ("Paris", "Rome")
        answered: list[Any] = [question, {"role": "assistant", "content": None, "tool_calls": [call]}]
        answered += [{"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]
        assert (await model.generate(replace(request, messages=answered, tool_choice="none", max_tokens=8))).text
        free = await model.generate(replace(request, tool_choice="auto", max_tokens=16))
        assert free.text or free.tool_calls
        several = await model.generate(replace(request, temperature=1.0, seed=1, max_tokens=150))
        assert [call["function"]["name"] in ("weather", "clock") for call in several.tool_calls].count(False) == 0
        named = replace(request, tool_choice={"type": "function", "function": {"name": "weather"}})
        assert [call["function"]["name"] for call in (await model.generate(named)).tool_calls] == ["weather"]
        bad = {"type": "function", "function": {"name": "x", "parameters": {"properties": {"a": {"type": "no such type"}}}}}
        with pytest.raises(ModelRefused, match="tools cannot be kept"):
            await model.generate(replace(request, tools=[bad]))

    with_model(use)


def test_a_prompt_that_is_given_up_leaves_the_streams_beside_it_alone() -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        begun = asyncio.Event()
        stream = asyncio.create_task(model.generate(ask("Write a long story.", max_tokens=60), lambda _: begun.set()))
        await begun.wait()
        prompt = asyncio.create_task(model.generate(ask(LONG, max_tokens=8)))
        await asyncio.sleep(0)
        prompt.cancel()
        assert (await stream).usage.completion_tokens == 60
        # Were its 2500 tokens computed, they would lie ready now.
        with pytest.raises(asyncio.CancelledError):
            await prompt
        after = await model.generate(ask(LONG[:200], max_tokens=1))
        assert after.extra["cached_tokens"] < after.usage.prompt_tokens

    with_model(use)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not its own child")
def test_a_child_does_not_outlive_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHANING], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        watched = os.pidfd_open(child)
        parent.kill()
        parent.wait()
    try:
        assert select.select([watched], [], [], 20)[0], "the child still runs"
    finally:
        os.close(watched)


def test_a_file_without_a_chat_template_is_refused_for_chat(tmp_path: Path) -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        with pytest.raises(ModelRefused, match="has no chat template"):
            await model.generate(ask("Hello"))

    with_model(use, damaged(tmp_path, b"tokenizer.chat_template", b"tokenizer.chat_Template"))


def test_a_template_that_says_no_or_reaches_for_python_is_a_refusal(tmp_path: Path) -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        with pytest.raises(ModelRefused, match="unsafe"):
            await model.generate(ask("Hello"))
        with pytest.raises(ModelRefused, match="roles must alternate"):
            await model.generate(ask("alternate"))

    template = "{% if messages[0].content == 'alternate' %}{{ raise_exception('roles must alternate') }}{% endif %}"
    with_model(use, with_template(tmp_path, template + "{{ ''.__class__.__mro__ }}"))


def test_a_template_without_end_is_ended_with_its_child(tmp_path: Path) -> None:
    async def use(host: ModelHost, model: HostedModel) -> None:
        with pytest.raises(NodeTimeout):
            await model.generate(ask("Hello", deadline_ms=100))
        with pytest.raises(ModelCrashed, match="did not stop when it was told to"):
            await model.generate(ask("Hello"))

    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with_model(use, with_template(tmp_path, endless), HostOptions(cancel_grace=0.2))
