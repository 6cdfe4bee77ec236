"""What cascades are made of (graphs.language.cascade): how sure an answer is, an answer that several samples agree on, the first of several."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from graphs.agents.common import given, option, refuse, require_inputs
from graphs.language.jstext import is_number, json_text, text
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS", "likeness"]

_MOST_SAMPLES: Final = 64
_SEED: Final = 1
_SURE: Final = {"confidence": {"mean": -0.1, "minimum": -0.7, "margin": 1.1}, "text": "yes"}


@agent(
    "confidenceAgent",
    category="llm",
    effect="none",
    cheap=True,
    samples=[
        Sample({"answer": _SURE}, {"below": 0.8}, {"confidence": 0.9048, "below": 0.8, "by": "mean", "unsure": False}),
        Sample(
            {"answer": _SURE},
            {"below": 0.8, "by": "minimum"},
            {"confidence": 0.4966, "below": 0.8, "by": "minimum", "unsure": True},
        ),
        Sample({"answer": {"text": "yes"}}, {"below": 0.8}, {"confidence": None, "below": 0.8, "by": "mean", "unsure": True}),
    ],
)
def confidence_agent(context: AgentContext) -> Value:
    """Says how sure the answer of a language model is, from 0 to 1, and whether that is below params.below.

    params.by is what that is measured by: `mean` (0.9 is a likelihood of 0.9 for each token, on average), `minimum` (that of the least likely
    token), `margin` (how the likelihoods of the two likeliest tokens stand to each other where they are closest: 0.5 is a tie) or `agreement` (of
    agreementAgent's samples). An answer that says nothing of it is unsure.
    """
    below, by = context.params.get("below"), context.params.get("by") or "mean"
    if not isinstance(below, (int, float)):
        raise refuse("confidenceAgent: params.below is a number from 0 to 1")
    answer = context.inputs.get("answer")
    found = answer.get("confidence") if isinstance(answer, Mapping) else None
    value = found.get(by) if isinstance(found, Mapping) and isinstance(by, str) else None
    sure = round(_likelihood(by, value), 4) if isinstance(value, (int, float)) else None
    return {"confidence": sure, "below": below, "by": by, "unsure": sure is None or sure < below}


def _likelihood(by: Value, value: float) -> float:
    if by == "agreement":
        return value
    if by == "margin":
        return 1 / (1 + math.exp(-min(value, 700.0)))
    return math.exp(min(value, 0.0))


@agent(
    "agreementAgent",
    category="llm",
    effect="none",
    needs=["model"],
    samples=[
        Sample(
            {"prompt": "hello"},
            {"samples": 4, "below": 0.5},
            {
                "text": "hi",
                "message": {"role": "assistant", "content": "hi"},
                "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}],
                "tool_calls": [],
                "confidence": {"agreement": 0.5, "agreed": 2, "asked": 2, "samples": 4},
            },
        )
    ],
)
async def agreement_agent(context: AgentContext) -> Value:
    """Asks the agent params.agent (llmAgent) up to params.samples times (5) and gives the answer that most agree on, with how many did.

    It stops as soon as what is still to come cannot change whether params.below of all samples agree. Its seeds are params.seed (1) and those after
    it. Answers are compared by what they say: data by its value, text without regard to case, spaces and the punctuation at its end.
    """
    samples, below = context.params.get("samples", 5), context.params.get("below", 1)
    if not is_number(samples) or not 1 <= samples <= _MOST_SAMPLES or not is_number(below):
        raise refuse(f"agreementAgent: params.samples is a number from 1 to {_MOST_SAMPLES}, params.below one from 0 to 1")
    name = text(context.params.get("agent") or "llmAgent")
    given_seed = option(context, "seed")
    seed = int(given_seed) if is_number(given_seed) else _SEED
    params = {key: value for key, value in context.params.items() if key not in ("agent", "samples", "below")}
    planned, needed = int(samples), below * int(samples)
    counts: Counter[str] = Counter()
    answers: dict[str, Value] = {}
    for number in range(planned):
        answer = await context.call_agent(name, dict(context.inputs), {**params, "seed": seed + number})
        key = likeness(answer)
        counts[key] += 1
        answers.setdefault(key, answer)
        most, left = counts.most_common(1)[0][1], planned - number - 1
        if most >= needed or most + left < needed:
            break
    best, agreed = counts.most_common(1)[0]
    found = answers[best]
    told = {"agreement": agreed / planned, "agreed": agreed, "asked": sum(counts.values()), "samples": planned}
    return {**found, "confidence": told} if isinstance(found, Mapping) else {"text": text(found), "confidence": told}


def likeness(answer: Value) -> str:
    """What two answers have in common that say the same: data by its value, text without regard to case, spaces and final punctuation."""
    said = answer
    if isinstance(answer, Mapping):
        structured = answer.get("responseFormat")
        if structured is not None and structured is not MISSING:
            return json_text(structured)
        said = answer.get("text", MISSING)
        if said is MISSING or said is None:
            said = {key: value for key, value in answer.items() if key in ("tool_calls", "message")}
    return " ".join(said.casefold().split()).rstrip(".!? ") if isinstance(said, str) else json_text(said)


@agent(
    "firstAgent",
    category="data",
    effect="none",
    cheap=True,
    samples=[Sample({"a": None, "b": 2, "c": 3}, {}, 2)],
)
def first_agent(context: AgentContext) -> Value:
    """Gives the first of its inputs, in written order, that has a value: with `anyInput`, whichever came."""
    require_inputs("firstAgent", context.inputs)
    return given(context.inputs, *context.inputs)


AGENTS: Final = (confidence_agent, agreement_agent, first_agent)
