"""The language model agent and the messages it is fed: GraphAI's interface (graph-spec §12), answered by the models of this side.

GraphAI has one agent for each provider. Here a model is found by its name, so all of those names mean `llmAgent`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from graphs.agents.common import either, given, option, refuse, require_array, service
from graphs.errors import NodeError
from graphs.language.jstext import is_number, parse_json, text, to_number, truthy
from graphs.models.interface import Generation, GenerationRequest, ModelInfo, OnToken, Usage
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS", "conversation"]

_TEMPERATURE: Final = 0.7
_TOP_P: Final = 0.95


@agent(
    "llmAgent",
    category="llm",
    effect="none",
    needs=["model"],
    stream=True,
    aliases=["openAIAgent", "groqAgent", "geminiAgent", "anthropicAgent", "ollamaAgent"],
    samples=[
        Sample(
            {"prompt": "ping"},
            {"model": "echo", "system": "be brief"},
            {
                "text": "pong",
                "message": {"role": "assistant", "content": "pong"},
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": "ping"},
                    {"role": "assistant", "content": "pong"},
                ],
                "tool_calls": [],
                "responseFormat": None,
            },
        )
    ],
)
async def llm_agent(context: AgentContext) -> Value:
    """Asks a language model.

    Inputs over params: prompt, system, messages, message, mergeablePrompts, mergeableSystem, images, tools, tool_choice, temperature,
    max_tokens, top_p, seed, stop, response_format, fit (leave out the oldest turns of a history that is too long; the result's
    `dropped` counts the messages), confidence (of the answer's tokens: mean and minimum log-probability, least margin). The model:
    `model` in inputs or params, else the node's, else the default one.
    """
    request = _request(context)
    models = service(context, "models")
    if models is None:
        raise refuse(
            "llmAgent: there are no models here", hint="Name a worker with --cloud, or get a model: graphferry models add."
        )
    model = await models.get(_model_name(context))
    started = time.time()
    generation = await _generated(context, model, request)
    info = generation.model
    _note(context, generation.usage, info)
    return _value(request, generation, started)


def _note(context: AgentContext, usage: Usage, info: ModelInfo) -> None:
    context.made_by(model=info.name, digest=info.digest, backend=info.backend)
    context.used(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)


def _model_name(context: AgentContext) -> str:
    if any(truthy(source.get("baseURL")) for source in (context.params, context.config)):
        raise refuse(
            "llmAgent: baseURL is not followed, a graph cannot name a server",
            hint="Add the server to the configuration's models and name that model here.",
        )
    config, default = context.config.get("model"), service(context, "default_model")
    for name in (context.inputs.get("model"), context.params.get("model"), context.model, config, default):
        if truthy(name):
            return text(name)
    raise refuse(
        "llmAgent: no model is named", hint="Set params.model or the node's model, or a default model in the configuration."
    )


def _request(context: AgentContext) -> GenerationRequest:
    messages = conversation(context.inputs, context.params)
    if not messages:
        raise refuse("llmAgent: there is nothing to ask: set inputs.prompt, message or messages")
    seed, stop, limit = option(context, "seed"), option(context, "stop"), _limit(context)
    response_format = option(context, "response_format")
    tools, choice = option(context, "tools"), option(context, "tool_choice")
    return GenerationRequest(
        messages=messages,
        max_tokens=limit,
        temperature=_number(context, "temperature", _TEMPERATURE),
        top_p=_number(context, "top_p", _TOP_P),
        seed=int(seed) if is_number(seed) else None,
        stop=tuple(text(each) for each in (stop if isinstance(stop, list) else [stop]) if truthy(each)),
        tools=tuple(tools) if isinstance(tools, list) else (),
        tool_choice=choice if truthy(choice) else None,
        response_format=response_format if isinstance(response_format, dict) else None,
        shared=_shared(context, messages),
        run=context.run,
        key=f"{context.key.hex()}/{context.retry}",  # a retry wants another answer; everything else that comes again wants this one
        priority=context.priority,
        fit=truthy(option(context, "fit")),
        confidence=truthy(option(context, "confidence")),
        spent=lambda usage, info: _note(context, usage, info),
    )


def _shared(context: AgentContext, messages: Sequence[Value]) -> int:
    """How many messages are the same for all rows of a map, as far as is known here: the system's, and a history the graph writes out."""
    written_out = truthy(context.params.get("messages")) and not truthy(context.inputs.get("messages"))
    history = len(context.params["messages"]) if written_out else 0
    return history + int(_role(messages[0]) == "system")


def _role(message: Value) -> Value:
    return message.get("role") if isinstance(message, dict) else None


def _number(context: AgentContext, name: str, default: float) -> float:
    value = option(context, name)
    if value is MISSING or value is None:
        return default
    number = to_number(value)
    if number != number:
        raise refuse(f"llmAgent: {name} is a number, not {text(value)}")
    return number


def _limit(context: AgentContext) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if truthy(option(context, name)):
            return int(_number(context, name, 0))
    return None


def conversation(inputs: Mapping[str, Value], params: Mapping[str, Value]) -> list[Value]:
    """The messages that a model is asked with: the system's, the history, what is asked now. Raises NodeError for a history that is no list."""
    system = _merged(inputs, params, "mergeableSystem", "system")
    history, message, images = (either(inputs, params, name) for name in ("messages", "message", "images"))
    messages: list[Value] = [{"role": "system", "content": system}] if system else []
    if truthy(history):
        if not isinstance(history, list):
            raise refuse("llmAgent: messages is a list of {role, content}")
        messages += history
    prompt = _merged(inputs, params, "mergeablePrompts", "prompt")
    if truthy(message):
        messages.append(message)
    elif prompt:
        messages.append({"role": "user", "content": prompt})
    if isinstance(images, list) and images:
        picture = {"type": "image_url", "image_url": {"url": images[0], "detail": "high"}}
        messages.append({"role": "user", "content": [picture]})
    return messages


def _merged(inputs: Mapping[str, Value], params: Mapping[str, Value], mergeable: str, plain: str) -> str:
    """The inputs' and the params' mergeable text joined by a newline, or the plain one."""
    both = (inputs.get(mergeable), params.get(mergeable))
    if any(truthy(each) for each in both):
        return "\n".join(joined for each in both if (joined := _lines(each)))
    return _lines(either(inputs, params, plain))


def _lines(value: Value) -> str:
    if isinstance(value, list):
        return "\n".join(text(item) for item in value if truthy(item))
    return "" if value is None or value is MISSING else text(value)


async def _generated(context: AgentContext, model: Any, request: GenerationRequest) -> Generation:
    """The generation, its pieces streamed as text or, with `dataStream`, as GraphAI's events (graph-spec §10.2)."""
    settings: Mapping[str, Value] = {**context.config, **context.params}
    events = truthy(settings.get("dataStream"))
    if not (events or truthy(settings.get("stream")) or context.is_result):
        generation: Generation = await model.generate(request)
        return generation
    if events:
        context.stream({"type": "response.created", "response": {}})
    generation = await model.generate(request, _event_stream(context) if events else context.stream)
    if events:
        context.stream({"type": "response.completed", "response": {}})
    return generation


def _event_stream(context: AgentContext) -> OnToken:
    def on_token(piece: str) -> None:
        context.stream({"type": "response.in_progress", "response": {"output": [{"type": "text", "text": piece}]}})

    return on_token


def _value(request: GenerationRequest, generation: Generation, started: float) -> dict[str, Value]:
    calls = [_tool_call(call) for call in generation.tool_calls]
    message: dict[str, Value] = {"role": "assistant", "content": generation.text or (None if calls else "")}
    if calls:
        message["tool_calls"] = [dict(call) for call in generation.tool_calls]
    return {
        "model": generation.model.name,
        "choices": [{"index": 0, "message": message, "finish_reason": generation.finish_reason}],
        **generation.extra,
        "text": generation.text or None,
        "message": message,
        "messages": [*request.messages, message],
        "tool": calls[0] if calls else MISSING,
        "tool_calls": calls,
        "usage": {
            "prompt_tokens": generation.usage.prompt_tokens,
            "completion_tokens": generation.usage.completion_tokens,
            "total_tokens": generation.usage.total_tokens,
        },
        "metadata": {"timing": _timing(generation, started)},
        "responseFormat": _structured(request, generation.text),
        "confidence": asdict(generation.confidence) if generation.confidence else MISSING,
        "dropped": generation.dropped if request.fit else MISSING,
    }


def _tool_call(call: Mapping[str, Any]) -> dict[str, Value]:
    """{id, name, arguments} of a call as chat APIs write it; arguments that are not JSON are missing."""
    function = call.get("function") or call
    arguments = function.get("arguments", MISSING)
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments)
        except NodeError:
            arguments = MISSING
    return {"id": call.get("id", MISSING), "name": function.get("name", ""), "arguments": arguments}


def _structured(request: GenerationRequest, answer: str) -> Value:
    if not answer or (request.response_format or {"type": "text"}).get("type") == "text":
        return None
    try:
        data = parse_json(answer)
    except NodeError as error:
        raise NodeError(f"llmAgent: the answer does not have the asked response_format: {error.message}") from error
    return data if isinstance(data, (dict, list)) else None


def _timing(generation: Generation, started: float) -> dict[str, Value]:
    """Times of day as ISO texts, durations in milliseconds; start and end lie exactly the total apart."""
    total, first = generation.total_ms, generation.first_token_ms
    timing: dict[str, Value] = {"start": _iso(started), "end": _iso(started + total / 1000), "totalElapsed": round(total)}
    if first is not None:
        timing["firstToken"] = _iso(started + first / 1000)
        timing["latencyToFirstToken"] = round(first)
        timing["duration"] = round(total - first)
    return timing


def _iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


@agent(
    "images2messageAgent",
    category="image",
    effect="none",
    cheap=True,
    samples=[
        Sample(
            {"array": ["QUJD"], "prompt": "what is it?"},
            {"imageType": "png"},
            {
                "message": {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is it?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "auto"}},
                    ],
                }
            },
        ),
        Sample(
            {"array": ["http://127.0.0.1/x.jpg"]},
            {"imageType": "http", "detail": "high"},
            {"message": {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.jpg"}}]}},
        ),
    ],
)
def images_2_message_agent(context: AgentContext) -> Value:
    """Makes a user's message of the pictures in array: base64 texts of params.imageType (png, jpg, ...) or addresses ("http")."""
    array = require_array("images2messageAgent", context.inputs)
    kind, detail = context.params.get("imageType"), given(context.params, "detail")
    if not truthy(kind):
        raise refuse("images2messageAgent: params.imageType is UNDEFINED! Set Type: png, jpg...")
    detail = "auto" if detail is MISSING else detail
    pictures: list[Value] = [
        {"url": each} if kind == "http" else {"url": f"data:image/{text(kind)};base64,{text(each)}", "detail": detail}
        for each in array
    ]
    content: list[Value] = [{"type": "image_url", "image_url": picture} for picture in pictures]
    prompt = context.inputs.get("prompt")
    if truthy(prompt):
        content.insert(0, {"type": "text", "text": prompt})
    return {"message": {"role": "user", "content": content}}


AGENTS: Final = (llm_agent, images_2_message_agent)
