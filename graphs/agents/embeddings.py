"""Embeddings and what they are for here: finding the passages of documents that a question is about, with a model of this side."""

from __future__ import annotations

from typing import Any, Final

from graphs.agents.chunks import passages
from graphs.agents.common import given, option, refuse, service
from graphs.language.jstext import is_number, text, truthy
from graphs.models.interface import Embeddings
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS"]

_CHUNK: Final = 500
_TOP: Final = 3
_MOST_PASSAGES: Final = 10_000

_TEXT: Final = {"type": "string"}
_DOCUMENT: Final = {
    "anyOf": [_TEXT, {"type": "object", "properties": {"text": _TEXT, "source": _TEXT}, "required": ["text"]}],
}


@agent(
    "stringEmbeddingsAgent",
    category="embedding",
    effect="none",
    needs=["model"],
    inputs={"type": "object", "properties": {"array": {"type": "array", "items": _TEXT}, "item": _TEXT, "model": _TEXT}},
    params={"type": "object", "properties": {"model": _TEXT}},
    output={"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    samples=[Sample({"array": ["a", "b"]}, {"model": "minilm"}, [[0.6, 0.8], [1.0, 0.0]])],
)
async def string_embeddings_agent(context: AgentContext) -> Value:
    """Gives the embedding vector of each text in array, or of item, each of length 1.

    The model: `model` in params, else the node's, else the default one. A model behind a server is named in the configuration.
    """
    array = given(context.inputs, "array")
    sources = [context.inputs.get("item")] if array is MISSING else array
    if not isinstance(sources, list) or not all(isinstance(each, str) for each in sources):
        raise refuse("stringEmbeddingsAgent: namedInputs.array is a list of texts, or namedInputs.item a text")
    found = await _embedded("stringEmbeddingsAgent", context, sources)
    return [list(vector) for vector in found.vectors]


@agent(
    "retrieveAgent",
    category="embedding",
    effect="none",
    needs=["model"],
    inputs={
        "type": "object",
        "properties": {
            "query": {**_TEXT, "description": "What to look for."},
            "text": _TEXT,
            "documents": {"anyOf": [_DOCUMENT, {"type": "array", "items": _DOCUMENT}]},
            "model": _TEXT,
        },
    },
    params={
        "type": "object",
        "properties": {
            "query": _TEXT,
            "model": _TEXT,
            "chunkSize": {"type": "integer"},
            "overlap": {"type": "integer"},
            "top": {"type": "integer"},
            "minScore": {"type": "number"},
        },
    },
    samples=[
        Sample(
            {"query": "b", "documents": ["a", {"text": "b", "source": "notes.txt"}]},
            {"model": "minilm", "top": 1},
            {
                "results": [{"text": "b", "score": 1.0, "document": 1, "start": 0, "source": "notes.txt"}],
                "contents": ["b"],
                "text": "b",
                "passages": 2,
            },
        )
    ],
)
async def retrieve_agent(context: AgentContext) -> Value:
    """Finds the passages of text or documents that are nearest in meaning to query, on this side: nothing is kept, nothing is sent.

    Documents are texts or maps {text, source}. They are cut into passages of params.chunkSize characters (500) at the ends of
    paragraphs, sentences or words, each beginning up to params.overlap (0) before the last one's end. Gives the params.top (3)
    nearest that reach params.minScore, the nearest first, of equals the earlier: {results: [{text, score, document, start, source}],
    contents, text, passages}. `score` is the cosine of the angle between the vectors, `text` the contents joined by empty lines.
    """
    query = option(context, "query")
    if not isinstance(query, str) or not query.strip():
        raise refuse("retrieveAgent: namedInputs.query is a text")
    size, overlap, top = (
        _whole(context, "chunkSize", _CHUNK, 16),
        _whole(context, "overlap", 0, 0),
        _whole(context, "top", _TOP, 1),
    )
    if overlap * 2 >= size:
        raise refuse("retrieveAgent: params.overlap must be less than half of params.chunkSize")
    least = given(context.params, "minScore")
    if least is not MISSING and not is_number(least):
        raise refuse("retrieveAgent: params.minScore is a number")
    found = [
        {"text": passage, "document": number, "start": start, **({"source": source} if source is not MISSING else {})}
        for number, (document, source) in enumerate(_documents(context))
        for start, passage in passages(document, size, overlap)
    ]
    if len(found) > _MOST_PASSAGES:
        raise refuse(
            f"retrieveAgent: {len(found)} passages are more than {_MOST_PASSAGES}", hint="Take a larger params.chunkSize."
        )
    if not found:
        return {"results": [], "contents": [], "text": "", "passages": 0}
    vectors = (await _embedded("retrieveAgent", context, [query, *(each["text"] for each in found)])).vectors
    asked = vectors[0]
    scored = [
        {"text": each["text"], "score": _cosine(asked, vector), **each} for each, vector in zip(found, vectors[1:], strict=True)
    ]
    best = sorted(scored, key=lambda each: -each["score"])[:top]  # sorting keeps the order of equals
    results = [each for each in best if least is MISSING or each["score"] >= least]
    contents = [each["text"] for each in results]
    return {"results": results, "contents": contents, "text": "\n\n".join(contents), "passages": len(found)}


def _documents(context: AgentContext) -> list[tuple[str, Value]]:
    documents = given(context.inputs, "documents")
    if documents is MISSING:
        documents = [context.inputs.get("text")]
    if not isinstance(documents, list):
        documents = [documents]
    found = []
    for position, each in enumerate(documents):
        content, source = (each.get("text"), each.get("source", MISSING)) if isinstance(each, dict) else (each, MISSING)
        if not isinstance(content, str):
            raise refuse(
                f"retrieveAgent: document {position} is neither a text nor a map with text. Set inputs: {{ text: :nodeId.text }}"
            )
        found.append((content, source))
    return found


def _whole(context: AgentContext, name: str, default: int, least: int) -> int:
    value = given(context.params, name)
    if value is MISSING:
        return default
    if not is_number(value) or value != value // 1 or value < least:
        raise refuse(f"retrieveAgent: params.{name} must be a whole number of at least {least}")
    return int(value)


def _cosine(one: Any, other: Any) -> float:
    """Of vectors of length 1; rounded, so that the last bits of sums in another order do not change an order of passages."""
    return round(float(sum(a * b for a, b in zip(one, other, strict=True))), 9)


async def _embedded(name: str, context: AgentContext, texts: list[str]) -> Embeddings:
    models = service(context, "models")
    if models is None:
        raise refuse(f"{name}: there are no models here", hint="Get a model: graphferry models get.")
    if any(truthy(source.get("baseURL")) for source in (context.params, context.config)):
        raise refuse(
            f"{name}: baseURL is not followed, a graph cannot name a server",
            hint="Add the server to the configuration's models and name that model here.",
        )
    said = (context.inputs.get("model"), context.params.get("model"), context.model, context.config.get("model"))
    wanted = next((each for each in (*said, service(context, "default_model")) if truthy(each)), None)
    if wanted is None:
        raise refuse(f"{name}: no model is named", hint="Set params.model or the node's model.")
    model = await models.get(text(wanted))
    found: Embeddings = await model.embed(texts)
    context.made_by(model=found.model.name, digest=found.model.digest, backend=found.model.backend)
    context.used(prompt_tokens=found.tokens)
    return found


AGENTS: Final = (string_embeddings_agent, retrieve_agent)
