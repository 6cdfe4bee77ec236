"""The engine with a model of bytes, whose every token depends on all before it: what is shared, stopped or thrown out of the cache must
not show in any answer."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy")

from graphs.models.llama.batching import PATIENCE
from graphs.models.llama.states import States
from toy_engine import Bench, prompt, says
from toy_model import END, Broken, ToyModel, spoken, written

TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}},
}


def test_an_answer_is_what_the_model_says_and_its_figures_are_true() -> None:
    bench = Bench(ToyModel(says("Hi you")))
    bench.ask(1, seed=5)
    end = bench.run().end(1)
    assert bench.text(1) == "Hi you"
    assert {
        key: end[key] for key in ("t", "finish", "prompt_tokens", "completion_tokens", "cached_tokens", "seed", "dropped")
    } == {
        "t": "done",
        "finish": "stop",
        "prompt_tokens": len(prompt("hello")),
        "completion_tokens": 6,
        "cached_tokens": 0,
        "seed": 5,
        "dropped": 0,
    }
    assert all(end[key] > 0 for key in ("queue_ms", "prompt_ms", "decode_ms"))
    assert (end["confidence"], "calls" in end) == (None, False)


def test_many_at_once_each_get_their_own_and_the_same_beginning_is_computed_once() -> None:
    bench = Bench()
    system = "be brief " * 30
    for number in range(30):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": f"question {number}"}]
        bench.ask(number, messages=messages, shared=1, run=str(number % 3))
    bench.run()
    for number in range(30):
        assert (bench.text(number), bench.end(number)["finish"]) == written(prompt(f"question {number}", system), 16)
    answers = sum(bench.end(number)["completion_tokens"] for number in range(30))
    prompts = bench.model.computed - answers
    assert prompts < 1.2 * (len(f"<system>{system}") + 30 * len("<user>question 10<a>"))


def test_a_long_prompt_does_not_hold_up_a_stream() -> None:
    bench = Bench(ToyModel(lambda tokens: ord("x"), batch=512))
    bench.ask(1, max_tokens=50)
    bench.engine.step()
    bench.ask(2, "w" * 1500)
    heard = [len(bench.text(1))]
    while not bench.text(2):
        bench.engine.step()
        heard.append(len(bench.text(1)))
    assert all(later == sooner + 1 for sooner, later in pairwise(heard))
    assert max(bench.model.batches) == 64


@pytest.mark.parametrize(
    ("parameters", "offloads", "alone"),
    [(135_000_000, False, 256), (1_000_000_000, False, 128), (70_000_000_000, False, 32), (1, True, 512)],
)
def test_steps_of_large_models_have_fewer_rows(parameters: int, offloads: bool, alone: int) -> None:
    model = ToyModel(lambda tokens: ord("x"), batch=512)
    model.parameters, model.offloads = parameters, offloads
    bench = Bench(model)
    bench.ask(1, "w" * 1000, max_tokens=50)
    bench.engine.step()
    assert model.batches == [alone]
    bench.engine.cancel(1)
    bench.ask(2, "short", max_tokens=50)
    bench.engine.step()
    bench.ask(3, "v" * 1000, max_tokens=50)
    bench.engine.step()
    assert model.batches[-1] == alone // 4


def test_the_same_request_is_computed_once_and_heard_by_all() -> None:
    bench = Bench()
    for number in (1, 2):
        bench.ask(number)
    for _ in range(4):
        bench.engine.step()
    bench.ask(3, priority=5.0)
    bench.engine.cancel(1)
    bench.run()
    assert (bench.text(2), bench.end(2)["finish"]) == written(prompt("hello"), 16)
    assert bench.text(3) == bench.text(2)
    assert bench.end(1)["finish"] == "cancelled"
    assert bench.model.computed == len(prompt("hello")) + bench.end(2)["completion_tokens"] - (bench.end(2)["finish"] == "length")


@pytest.mark.parametrize("others", ["while it is computed", "afterwards", "announced"])
def test_no_account_sees_what_another_asked(others: str) -> None:
    """Neither that a prompt begins as somebody's did, nor that it is the same: who guesses would read it token by token."""
    bench = Bench(slots=2)
    system = "the code is 4711 " * 10
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "tell"}]
    bench.ask(1, messages=messages, account="alice", shared=others == "announced")
    for _ in range(3) if others == "while it is computed" else ():
        bench.engine.step()
    if others != "while it is computed":
        bench.run()
    bench.ask(2, messages=messages, account="bob")
    bench.ask(3, messages=messages, account="alice")
    bench.run()
    assert bench.end(2)["cached_tokens"] == 0
    assert bench.text(1) == bench.text(2) == bench.text(3)
    assert bench.model.computed >= 2 * len(prompt("tell", system))
    assert others == "while it is computed" or bench.end(3)["cached_tokens"] > len(system), "her own work serves her again"


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"seed": 1}, True),
        ({"temperature": 1.0, "seed": 1}, True),
        ({"temperature": 1.0}, False),
        ({"temperature": 1.0, "seed": 1, "max_tokens": 3}, False),
        ({"seed": 2, "temperature": 1.0}, False),
    ],
)
def test_what_is_left_to_chance_is_computed_for_each(options: dict[str, Any], same: bool) -> None:
    bench = Bench(slots=1)
    first = {"temperature": options.get("temperature", 0.0), "seed": options.get("seed") and 1}
    bench.ask(1, **first)
    bench.ask(2, **options)
    bench.run()
    assert (bench.end(2)["cached_tokens"] == 0) is same


def test_cancelling_frees_the_place_at_once_and_nothing_more_is_said() -> None:
    bench = Bench(ToyModel(lambda tokens: ord("x")), slots=1)
    bench.ask(1, max_tokens=None)
    bench.ask(2, "other", max_tokens=3)
    bench.ask(3, "third")
    bench.engine.step()
    bench.engine.cancel(3)
    bench.engine.interrupt(1)
    bench.engine.cancel(1)
    bench.engine.cancel(1)
    bench.run()
    assert [bench.end(number)["finish"] for number in (1, 2, 3)] == ["cancelled", "length", "cancelled"]
    assert (bench.text(1), bench.text(2), bench.text(3)) == ("x", "xxx", "")


def test_a_prompt_nobody_wants_is_left_in_its_middle_and_the_others_go_on() -> None:
    bench = Bench()
    bench.ask(1, "short")
    bench.ask(2, "w" * 1000)

    def interrupt() -> None:
        if len(bench.model.batches) == 3:
            bench.engine.interrupt(2)

    bench.model.before = interrupt
    for _ in range(4):
        bench.engine.step()
    assert len(bench.model.batches) == 3
    bench.engine.cancel(2)
    bench.run()
    assert bench.end(2)["finish"] == "cancelled"
    assert bench.text(1) == written(prompt("short"), 16)[0]


def test_a_model_whose_state_cannot_be_cut_begins_again_after_an_interruption() -> None:
    bench = Bench()
    bench.model.shares = False
    bench = Bench(bench.model)
    bench.ask(1, "short")
    bench.ask(2, "w" * 300)
    bench.ask(3, "short", max_tokens=5)
    bench.engine.step()
    bench.engine.interrupt(2)
    bench.engine.step()
    bench.engine.cancel(2)
    bench.run()
    assert bench.text(1) == written(prompt("short"), 16)[0]
    assert bench.end(3)["cached_tokens"] == 0


def test_a_prompt_somebody_else_wants_too_is_not_left() -> None:
    bench = Bench()
    bench.ask(1, "w" * 100)
    bench.ask(2, "w" * 100)
    bench.engine.interrupt(1)
    bench.engine.step()
    assert bench.model.batches
    bench.engine.cancel(1)
    assert bench.run().text(2) == written(prompt("w" * 100), 16)[0]


@pytest.mark.parametrize("seed", range(12))
def test_in_a_cache_too_small_for_all_of_them_every_answer_is_still_right(seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    model = ToyModel(context=160, batch=64)
    bench = Bench(model, slots=4)
    asked: dict[int, bytes] = {}
    system = "s" * 40
    cancelled: set[int] = set()
    for number in range(40):
        text = f"{number} " + "q" * chance.randrange(40)
        shared = chance.random() < 0.5
        messages = [{"role": "system", "content": system}] * shared + [{"role": "user", "content": text}]
        asked[number] = prompt(text, system if shared else "")
        bench.ask(number, messages=messages, shared=int(shared), run=str(chance.randrange(3)), max_tokens=20)
        for _ in range(chance.randrange(4)):
            bench.engine.step()
        if chance.random() < 0.2:
            victim = chance.randrange(number + 1)
            if not any(frame["id"] == victim and frame["t"] != "token" for frame in bench.frames):
                bench.engine.interrupt(victim)
                if chance.random() < 0.5:
                    bench.engine.step()
                bench.engine.cancel(victim)
                cancelled.add(victim)
    bench.run()
    for number, question in asked.items():
        text, finish = written(question, 20)
        if bench.end(number)["finish"] == "cancelled":
            assert number in cancelled
            assert text.startswith(bench.text(number))
        else:
            assert (bench.text(number), bench.end(number)["finish"]) == (text, finish)


def test_a_failed_computation_fails_its_answers_and_the_others_begin_again() -> None:
    bench = Bench(slots=1)
    bench.ask(1)
    bench.ask(2, "other")

    def fail() -> None:
        bench.model.before = lambda: None
        raise Broken("llama_decode returned -3")

    bench.model.before = fail
    bench.run()
    assert (bench.end(1)["code"], bench.end(1)["message"]) == ("MODEL_REFUSED", "llama.cpp failed: llama_decode returned -3")
    assert bench.text(2) == written(prompt("other"), 16)[0]


@pytest.mark.parametrize("text", ["größe", "🦆🦆", "漢字 and é", "👩‍👧"])
def test_characters_that_span_tokens_come_whole(text: str) -> None:
    bench = Bench(ToyModel(says(text)))
    bench.ask(1, max_tokens=100)
    bench.run()
    assert [frame["text"] for frame in bench.frames[:-1]] == list(text)


def test_stop_strings_end_an_answer_and_what_only_looked_like_one_is_passed_on() -> None:
    bench = Bench(ToyModel(says("one END two EN")))
    bench.ask(1, stop=["END"])
    bench.ask(2, stop=["two EN!"])
    bench.run()
    assert (bench.text(1), bench.end(1)["finish"]) == ("one ", "stop")
    assert (bench.text(2), bench.end(2)["finish"]) == ("one END two EN", "stop")


def test_an_answer_without_a_limit_ends_with_the_context() -> None:
    bench = Bench(ToyModel(lambda tokens: ord("x"), context=40))
    bench.ask(1, max_tokens=None)
    end = bench.run().end(1)
    assert (end["finish"], end["prompt_tokens"] + end["completion_tokens"]) == ("length", 40)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"text": "odd"}, "MODEL_REFUSED", "roles must alternate"),
        ({"response_format": {"type": "poem"}}, "MODEL_REFUSED", "response_format cannot be kept: it is not known"),
        ({"response_format": {"rules": "unparsable"}}, "MODEL_REFUSED", "does not parse"),
        ({"tools": [5]}, "MODEL_REFUSED", "a tool is a map"),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, "MODEL_REFUSED", "tools and a response_format at once"),
        ({"max_tokens": 5000}, "CONTEXT_TOO_LONG", "do not fit its context of 4096"),
    ],
)
def test_refusals_say_why_before_anything_is_computed(options: dict[str, Any], code: str, says: str) -> None:
    bench = Bench()
    bench.ask(1, **options)
    assert bench.engine.idle
    assert (bench.end(1)["t"], bench.end(1)["code"]) == ("error", code)
    assert says in bench.end(1)["message"]
    assert bench.model.computed == 0


def test_a_file_without_template_or_without_words_is_refused() -> None:
    bench = Bench(template=False)
    bench.ask(1)
    assert "has no chat template" in bench.end(1)["message"]
    model = ToyModel()
    model.generates = False
    bench = Bench(model)
    bench.ask(1)
    assert "embeddings, not answers" in bench.end(1)["message"]


def test_a_grammar_is_kept_whatever_the_model_would_say_and_freed() -> None:
    bench = Bench()
    for number, rules in enumerate(["yes", "no"] * 4):
        bench.ask(number, f"question {number}", response_format={"rules": rules}, temperature=float(number % 2), seed=1)
    bench.ask(9, response_format={"rules": "stuck"})
    bench.run()
    assert [bench.text(number) for number in range(8)] == ["yes", "no"] * 4
    assert "continues the answer" in bench.end(9)["message"]
    assert all(grammar.closed for grammar in bench.model.grammars)


def test_a_call_of_a_tool_is_no_text_and_text_is_no_call() -> None:
    bench = Bench()
    bench.ask(1, tools=[TOOL], tool_choice="required", max_tokens=100)
    bench.ask(2, tools=[TOOL], tool_choice="required", max_tokens=5)
    bench.run()
    (call,) = bench.end(1)["calls"]
    assert (call["name"], call["arguments"], bench.end(1)["finish"], bench.text(1)) == ("look", {"n": 5}, "tool_calls", "")
    assert call["id"].startswith("call_")
    assert (bench.text(2), bench.end(2)["finish"]) == ('{"nam', "length")


@pytest.mark.parametrize(("temperature", "again"), [(0.0, False), (1.0, True)])
def test_what_the_grammar_could_not_keep_of_a_schema_is_looked_at_in_the_end(temperature: float, again: bool) -> None:
    bench = Bench()
    form = {"type": "json_object", "schema": {"multipleOf": 5}, "rules": "12"}
    bench.ask(1, response_format=form, temperature=temperature)
    bench.ask(2, response_format={**form, "rules": "15"})
    bench.ask(3, "another", response_format=form, max_tokens=1)
    bench.run()
    end = bench.end(1)
    assert (end["t"], end["code"], end["detail"]) == ("error", "MODEL_REFUSED", {"answer": "12", "again": again})
    assert "the answer is 12, no multiple of 5" in end["message"]
    assert (bench.text(2), bench.end(2)["finish"], bench.end(3)["finish"]) == ("15", "stop", "length")
    assert all(grammar.closed for grammar in bench.model.grammars)
    assert bench.engine.idle


def test_whole_calls_that_are_not_as_their_schema_demands_are_no_answer() -> None:
    even = {"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 2}}, "required": ["n"]}
    bench = Bench()
    bench.ask(
        1, tools=[{"type": "function", "function": {"name": "look", "parameters": even}}], tool_choice="required", max_tokens=100
    )
    bench.run()
    assert bench.end(1)["t"] == "error"
    assert "look.n is 5, no multiple of 2" in bench.end(1)["message"]


def test_confidence_comes_when_it_is_asked_for() -> None:
    bench = Bench(ToyModel(says("ab")))
    bench.ask(1, confidence=True)
    bench.ask(2, "other", confidence=True, stop=["a"])
    mean, minimum, margin = bench.run().end(1)["confidence"]
    assert -0.02 < minimum <= mean < 0
    assert margin == pytest.approx(10)


def test_vectors_are_made_beside_answers_in_batches_that_fit() -> None:
    bench = Bench()
    bench.ask(1)
    bench.engine.submit({"t": "embed", "id": 2, "texts": ["a" * 15, "b" * 9, "c", "d", "e"]})
    bench.engine.submit({"t": "embed", "id": 3, "texts": []})
    bench.engine.submit({"t": "embed", "id": 4, "texts": ["x" * 641]})
    bench.engine.submit({"t": "embed", "id": 5, "texts": ["y"]})
    bench.engine.cancel(5)
    bench.run()
    assert bench.end(2)["vectors"] == [[97.0, 15.0], [98.0, 9.0], [99.0, 1.0], [100.0, 1.0], [101.0, 1.0]]
    assert bench.end(2)["tokens"] == 27
    assert (bench.end(3)["vectors"], bench.end(5)["finish"]) == ([], "cancelled")
    assert bench.end(4)["code"] == "CONTEXT_TOO_LONG"
    assert bench.text(1) == written(prompt("hello"), 16)[0]


def test_announced_beginnings_are_stored_and_put_back_by_the_next_process(tmp_path: Path) -> None:
    system = "rules " * 40
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "question"}]
    cached = []
    for identity in ("model 1", "model 1", "model 2"):
        states = States(tmp_path, identity, limit=1 << 30)
        bench = Bench(states=states)
        bench.ask(1, messages=messages, shared=1)
        bench.run()
        states.flush()
        assert bench.text(1) == written(prompt("question", system), 16)[0]
        cached.append(bench.end(1)["cached_tokens"])
    beginning = len(f"<system>{system}")
    assert cached == [0, beginning, 0]


def test_a_job_that_waits_long_goes_first_whatever_its_priority() -> None:
    bench = Bench(ToyModel(says("x")), slots=1)
    bench.ask(0, "patient", max_tokens=1)
    bench.ask(1, "first", max_tokens=1, priority=1.0)
    ended: list[int] = []
    for number in range(2, 40):
        bench.ask(number, f"hurry {number}", max_tokens=1, priority=1.0)
        bench.engine.step()
    bench.run()
    ended = [frame["id"] for frame in bench.frames if frame["t"] == "done"]
    assert ended.index(0) == PATIENCE


def test_spoken_is_what_it_says() -> None:
    assert written(b"x", 3, lambda tokens: END) == ("", "stop")
    assert spoken([1, 2, 3]) == spoken([1, 2, 3])
