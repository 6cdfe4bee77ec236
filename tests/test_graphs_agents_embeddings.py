"""Embeddings and retrieval, with a model for which texts that share words are near each other."""

from __future__ import annotations

from typing import Any

import pytest

from agent_context import Context, context, run
from graphs.agents import embeddings
from graphs.errors import ModelRefused, NodeError
from graphs.models.interface import Embeddings
from graphs.models.scripted import ScriptedModel, ScriptedModels

DOCUMENT = """\
The ferry leaves at eight in the morning.

Dogs travel free of charge if they are kept on a lead.

In winter the boat stays in the harbour for repairs.
"""


def given(inputs: dict[str, Any], params: dict[str, Any] | None = None, **more: Any) -> Context:
    services = {"models": ScriptedModels([ScriptedModel("tiny"), ScriptedModel("other")]), "default_model": "tiny"}
    return context(inputs, params, services={**services, **more.pop("services", {})}, **more)


def retrieved(inputs: dict[str, Any], **params: Any) -> Any:
    return run(embeddings.retrieve_agent, given(inputs, params))


def test_each_text_has_a_vector_and_the_model_is_stated() -> None:
    asked = given({"array": ["a ferry", "a dog", "a ferry"]})
    vectors = run(embeddings.string_embeddings_agent, asked)
    assert len(vectors) == 3
    assert vectors[0] == vectors[2] != vectors[1]
    assert asked.facts["model"] == "tiny"
    assert asked.facts["backend"] == "scripted"
    assert asked.counts == {"prompt_tokens": 6}
    assert run(embeddings.string_embeddings_agent, given({"item": "a dog"})) == [vectors[1]]
    assert run(embeddings.string_embeddings_agent, given({"array": []})) == []


@pytest.mark.parametrize(
    ("params", "more", "name"),
    [
        ({"model": "other"}, {}, "other"),
        ({}, {"model": "other"}, "other"),
        ({}, {"config": {"model": "other"}}, "other"),
        ({}, {}, "tiny"),
    ],
)
def test_the_model_is_found_by_its_name(params: dict[str, Any], more: dict[str, Any], name: str) -> None:
    asked = given({"item": "a"}, params, **more)
    run(embeddings.string_embeddings_agent, asked)
    assert asked.facts["model"] == name


def test_the_nearest_passages_come_first() -> None:
    found = retrieved({"query": "May a dog travel? Dogs?", "text": DOCUMENT}, chunkSize=60, top=2)
    assert found["passages"] == 3
    assert found["results"][0]["text"] == "Dogs travel free of charge if they are kept on a lead."
    assert found["results"][0]["start"] == DOCUMENT.index("Dogs")
    assert [each["text"] for each in found["results"]] == found["contents"]
    assert found["text"] == "\n\n".join(found["contents"])
    scores = [each["score"] for each in found["results"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 2


def test_of_equals_the_earlier_one_comes_first_each_time() -> None:
    documents = [{"text": "boats", "source": str(number)} for number in range(20)]
    for _ in range(3):
        found = retrieved({"query": "boats", "documents": documents}, top=5)
        assert [each["source"] for each in found["results"]] == list("01234")
        assert [each["document"] for each in found["results"]] == [0, 1, 2, 3, 4]
        assert {each["score"] for each in found["results"]} == {1.0}


def test_what_is_too_far_away_is_left_out() -> None:
    found = retrieved({"query": "boats", "documents": ["boats", "nothing of that kind"]}, minScore=0.9)
    assert found["contents"] == ["boats"]
    assert retrieved({"query": "boats", "documents": ["  ", ""]}) == {"results": [], "contents": [], "text": "", "passages": 0}
    assert retrieved({"query": "boats", "documents": "boats"})["contents"] == ["boats"]


@pytest.mark.parametrize(
    ("inputs", "params", "told"),
    [
        ({"text": "a"}, {}, "query is a text"),
        ({"query": " ", "text": "a"}, {}, "query is a text"),
        ({"query": "a"}, {}, "document 0 is neither a text nor a map"),
        ({"query": "a", "documents": [{"text": 1}]}, {}, "document 0 is neither"),
        ({"query": "a", "text": "a"}, {"chunkSize": 4}, "chunkSize must be a whole number of at least 16"),
        ({"query": "a", "text": "a"}, {"top": 0}, "top must be"),
        ({"query": "a", "text": "a"}, {"top": 1.5}, "top must be"),
        ({"query": "a", "text": "a"}, {"chunkSize": 100, "overlap": 50}, "less than half"),
        ({"query": "a", "text": "a"}, {"minScore": "high"}, "minScore is a number"),
        ({"query": "a", "text": "a " * 100_000}, {"chunkSize": 16}, "more than 10000"),
    ],
)
def test_what_makes_no_sense_is_refused(inputs: dict[str, Any], params: dict[str, Any], told: str) -> None:
    with pytest.raises(NodeError, match=told) as caught:
        retrieved(inputs, **params)
    assert not caught.value.retryable


def test_a_graph_names_no_server() -> None:
    for agent, inputs in (
        (embeddings.string_embeddings_agent, {"item": "a"}),
        (embeddings.retrieve_agent, {"query": "a", "text": "b"}),
    ):
        with pytest.raises(NodeError, match="a graph cannot name a server"):
            run(agent, given(inputs, {"baseURL": "http://h"}))
        with pytest.raises(NodeError, match="no models here"):
            run(agent, context(inputs))
        with pytest.raises(NodeError, match="no model is named"):
            run(agent, given(inputs, services={"default_model": None}))


def test_only_texts_have_embeddings() -> None:
    for inputs in ({"array": ["a", 5]}, {"array": "a"}, {}):
        with pytest.raises(NodeError, match="list of texts"):
            run(embeddings.string_embeddings_agent, given(inputs))


def test_a_model_that_makes_none_says_so() -> None:
    class Deaf(ScriptedModel):
        async def embed(self, texts: Any) -> Embeddings:
            raise ModelRefused("it makes no embeddings")

    with pytest.raises(ModelRefused):
        run(embeddings.string_embeddings_agent, given({"item": "a"}, services={"models": ScriptedModels([Deaf("tiny")])}))
