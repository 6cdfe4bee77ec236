from __future__ import annotations

import math

import pytest

pytest.importorskip("numpy")

from graphs.models.llama.api import Aborted, Broken
from graphs.models.llama.embedding import MAX_PARTS, Embedder
from graphs.models.llama.prompting import Refusal
from toy_model import ToyEmbeddings, ToyModel


class Model(ToyModel):
    def __init__(self) -> None:
        super().__init__()
        self.context_made = ToyEmbeddings()
        self.made = 0

    def embedding_context(self) -> ToyEmbeddings:
        self.made += 1
        return self.context_made


def test_a_context_is_made_once_and_texts_go_together_as_they_fit() -> None:
    model = Model()
    embedder = Embedder(model)
    assert (bool(embedder), model.made) == (False, 0)
    embedder.add(1, ["a" * 12, "b" * 8, "c", "", "e", "f"])
    embedder.add(2, ["g"])
    frames = []
    while embedder:
        frames += list(embedder.step())
    assert model.made == 1
    assert model.context_made.calls == [2, 3, 1, 1]
    assert [(number, frame["tokens"]) for number, frame in frames] == [(1, 24), (2, 1)]
    assert frames[0][1]["vectors"][3] == [0.0, 1.0]


def test_a_long_text_is_read_in_equal_parts_and_its_vector_is_their_mean() -> None:
    model = Model()
    embedder = Embedder(model)
    embedder.add(1, ["a" * 5, "c" * 45, "b"])
    frames = []
    while embedder:
        frames += list(embedder.step())
    ((_, frame),) = frames
    short, long, last = frame["vectors"]
    assert (short, last, frame["tokens"]) == ([97.0, 5.0], [98.0, 1.0], 51)
    assert long == pytest.approx([99 / math.hypot(99, 15), 15 / math.hypot(99, 15)])
    assert model.context_made.calls == [2, 1, 2]


def test_a_text_far_too_long_is_refused_and_nothing_of_it_waits() -> None:
    embedder = Embedder(Model())
    with pytest.raises(Refusal, match="text 1 has 641 tokens, and at most 640") as caught:
        embedder.add(1, ["a", "b" * (20 * MAX_PARTS + 1)])
    assert caught.value.code == "CONTEXT_TOO_LONG"
    assert not embedder


def test_interrupted_it_goes_on_or_is_cancelled_and_a_failure_is_a_refusal() -> None:
    model = Model()
    embedder = Embedder(model)
    embedder.add(1, ["a"])
    model.context_made.fails = Aborted()
    assert list(embedder.step()) == []
    assert embedder.number == 1
    model.context_made.fails = Broken("it returned -1")
    ((number, frame),) = embedder.step()
    assert (number, frame["code"], frame["message"]) == (1, "MODEL_REFUSED", "llama.cpp failed: it returned -1")
    embedder.add(2, ["a"])
    assert (embedder.cancel(2), embedder.cancel(2), bool(embedder)) == (True, False, False)
