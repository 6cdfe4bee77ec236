"""The engine against a stand-in for the library: what it makes of tokens, whatever model they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from graphs.models.llama_engine import Engine, Refusal

EOG = 0


class Library:
    """Looks like llama_cpp and speaks a script: a token is the position of its bytes in `pieces`."""

    def __init__(self, pieces: list[bytes], *, template: str | None = "yes", context: int = 100) -> None:
        self.pieces = [b"<end>", *pieces]
        self.metadata = {"tokenizer.chat_template": template} if template else {}
        self.context = context
        self.bos = -1
        self.began: bool | None = None
        self.calls: list[str] = []
        self.sampled: dict[str, Any] = {}
        self.fails: Callable[[], None] = lambda: None
        self.model = self.ctx = "pointer"
        self.llama_chat_format = SimpleNamespace(Jinja2ChatFormatter=self.formatter)
        self.abort: Callable[[object], bool] = lambda _: False

    def Llama(self, path: str, **options: Any) -> Library:  # noqa: N802 - as the library names it
        self.options = options
        return self

    def formatter(self, **options: Any) -> Callable[..., Any]:
        def render(messages: list[dict[str, Any]]) -> Any:
            if messages[0]["content"] == "odd":
                raise ValueError("roles must alternate")
            return SimpleNamespace(prompt=messages[0]["content"])

        return render

    def n_ctx(self) -> int:
        return self.context

    def token_bos(self) -> int:
        return self.bos

    def token_eos(self) -> int:
        return EOG

    def tokenize(self, text: bytes, *, add_bos: bool, special: bool) -> list[int]:
        self.began = add_bos
        return [7] * len(text.split())

    def detokenize(self, tokens: list[int], special: bool = False) -> bytes:
        return b"".join(self.pieces[token] for token in tokens)

    def set_seed(self, seed: int) -> None:
        assert 0 <= seed < 0xFFFFFFFF

    def generate(self, tokens: list[int], **options: Any) -> Iterator[int]:
        self.calls.append("generate")
        self.sampled = options
        self.fails()
        yield from range(1, len(self.pieces))
        while True:
            yield EOG

    def reset(self) -> None:
        self.calls.append("reset")

    def ggml_abort_callback(self, callback: Callable[[object], bool]) -> Any:
        return callback

    def llama_set_abort_callback(self, ctx: object, callback: Callable[[object], bool], data: None) -> None:
        self.abort = callback

    def llama_vocab_is_eog(self, vocab: object, token: int) -> bool:
        return token == EOG

    def llama_model_get_vocab(self, model: object) -> str:
        return "vocabulary"

    def llama_get_memory(self, ctx: object) -> str:
        return "memory"

    def llama_memory_clear(self, memory: str, data: bool) -> None:
        self.calls.append("clear")


def request(text: str = "two words", **options: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"max_tokens": None, "temperature": 0.0, "top_p": 1.0, "seed": 5, "stop": [], "response_format": None}
    return {"messages": [{"role": "user", "content": text}], **plain, **options}


def run(library: Library, stopped: Callable[[], bool] = lambda: False, **options: Any) -> tuple[list[str], Engine]:
    engine = Engine(library, "m.gguf", context=100, threads=1)
    return list(engine.generate(request(**options), stopped)), engine


def test_the_library_gets_the_threads_and_is_never_left_to_count_cores() -> None:
    library = Library([])
    Engine(library, "m.gguf", context=64, threads=3)
    assert (library.options["n_threads"], library.options["n_threads_batch"], library.options["n_ctx"]) == (3, 3, 64)


def test_an_answer_ends_where_the_model_ends_it() -> None:
    pieces, engine = run(Library([b"Hello", b" you"]))
    assert pieces == ["Hello", " you"]
    times = {"prompt_ms", "decode_ms"}
    assert {key: value for key, value in engine.outcome.items() if key not in times} == {
        "finish": "stop",
        "prompt_tokens": 2,
        "completion_tokens": 2,
        "seed": 5,
    }
    assert all(engine.outcome[key] >= 0 for key in times)


@pytest.mark.parametrize("text", ["größe", "🦆🦆", "漢字 and é", "👩‍👧"])
def test_characters_that_span_tokens_come_whole(text: str) -> None:
    single_bytes = [bytes([byte]) for byte in text.encode()]
    pieces, engine = run(Library(single_bytes))
    assert pieces == list(text)
    assert engine.outcome["completion_tokens"] == len(single_bytes)


def test_a_character_cut_by_the_limit_is_dropped_and_bytes_that_are_none_are_marked() -> None:
    pieces, engine = run(Library([b"ok", *(bytes([byte]) for byte in "🦆".encode())]), max_tokens=4)
    assert pieces == ["ok"]
    assert (engine.outcome["finish"], engine.outcome["completion_tokens"]) == ("length", 4)
    assert "".join(run(Library([b"a\xff", b"b"]))[0]) == "a\ufffdb"


@pytest.mark.parametrize(("bos", "text", "added"), [(1, "<s> Hello", False), (1, "Hello", True), (-1, "Hello", True)])
def test_a_prompt_begins_with_one_begin_token(bos: int, text: str, added: bool) -> None:
    library = Library([b"<s>"])
    library.bos = bos
    run(library, text=text)
    assert library.began is added  # with True the tokenizer adds it to models that have one


def test_stop_strings_span_tokens_and_what_only_looked_like_one_is_passed_on() -> None:
    pieces, engine = run(Library([b"one E", b"ND", b" two"]), stop=["END"])
    assert "".join(pieces) == "one "
    assert engine.outcome["finish"] == "stop"
    assert "".join(run(Library([b"one E", b"N"]), stop=["END"])[0]) == "one EN"


def test_without_a_limit_the_context_is_the_limit() -> None:
    pieces, engine = run(Library([b"x"] * 200, context=10))
    assert len(pieces) == 8
    assert engine.outcome["finish"] == "length"


@pytest.mark.parametrize(("prompt", "max_tokens"), [(10, None), (5, 6), (11, 1)])
def test_what_does_not_fit_is_refused_with_figures(prompt: int, max_tokens: int | None) -> None:
    library = Library([b"x"], context=10)
    with pytest.raises(Refusal) as caught:
        run(library, text="w " * prompt, max_tokens=max_tokens)
    assert caught.value.code == "CONTEXT_TOO_LONG"
    assert caught.value.detail == {"prompt_tokens": prompt, "max_tokens": max_tokens, "context": 10}
    assert library.calls == []


def test_cancelled_between_tokens_nothing_more_is_said() -> None:
    library = Library([b"a", b"b", b"c E"])
    engine = Engine(library, "m.gguf", context=100, threads=1)
    cancelled: list[bool] = []
    stream = engine.generate(request(), lambda: bool(cancelled))
    assert next(stream) == "a"
    cancelled.append(True)
    assert list(stream) == []
    assert engine.outcome["finish"] == "cancelled"
    assert not library.abort(None)


def test_cancelled_before_it_began_nothing_is_read() -> None:
    library = Library([b"a"])
    pieces, engine = run(library, lambda: True)
    assert (pieces, engine.outcome["finish"], library.calls) == ([], "cancelled", [])


def test_an_aborted_prompt_is_a_cancellation_and_the_context_is_emptied() -> None:
    library = Library([b"a"])
    cancelled: list[bool] = []

    def fails() -> None:
        assert not library.abort(None)
        cancelled.append(True)
        assert library.abort(None)
        raise RuntimeError("llama_decode returned 2")

    library.fails = fails
    pieces, engine = run(library, lambda: bool(cancelled))
    assert (pieces, engine.outcome["finish"]) == ([], "cancelled")
    assert library.calls == ["generate", "reset", "clear"]
    library.fails, cancelled[:] = lambda: None, []
    assert list(engine.generate(request(), lambda: False)) == ["a"]


def test_a_failed_decode_is_a_refusal_and_the_context_is_emptied() -> None:
    library = Library([])

    def fails() -> None:
        raise RuntimeError("llama_decode returned 1")

    library.fails = fails
    with pytest.raises(Refusal, match="llama_decode returned 1"):
        run(library)
    assert library.calls == ["generate", "reset", "clear"]


@pytest.mark.parametrize(
    ("library", "options", "says"),
    [
        (Library([], template=None), {}, "has no chat template"),
        (Library([]), {"text": "odd"}, "roles must alternate"),
        (Library([]), {"text": ""}, "empty prompt"),
        (Library([]), {"response_format": {"type": "poem"}}, "response_format cannot be kept: 'poem' is not known"),
    ],
)
def test_refusals_say_why(library: Library, options: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal, match=says) as caught:
        run(library, **options)
    assert caught.value.code == "MODEL_REFUSED"


def test_without_a_seed_each_answer_has_its_own() -> None:
    seeds = {run(Library([]), seed=None)[1].outcome["seed"] for _ in range(4)}
    assert len(seeds) > 1
