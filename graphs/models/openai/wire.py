"""The words of the OpenAI-compatible wire, as Ollama, llama-server, LM Studio, vLLM and hosted services speak it.

Pure: from a request to the body that is sent, and from what comes back to a generation. What a server says is untrusted: every
part is looked at before it is used, and the whole is bounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from graphs.models.interface import Confidence, FinishReason, GenerationRequest, Usage
from graphs.values import clean

__all__ = [
    "MAX_ANSWER",
    "QUIRKS",
    "Answer",
    "WireError",
    "chat_body",
    "content_problem",
    "embeddings_body",
    "error_text",
    "vectors_of",
]

MAX_ANSWER: Final = 8 * 1024 * 1024
"""Characters an answer may have, arguments of tool calls included."""

_KEYS: Final = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
"""Of a message; graphs carry more in theirs, which strict servers refuse."""

_MAX_CALLS: Final = 128
_MAX_DIMENSIONS: Final = 65_536
_SHOWN: Final = 300
_FINISHES: Final[Mapping[str, FinishReason]] = {
    "stop": "stop", "length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls", "eos": "stop",
}  # fmt: skip


class WireError(Exception):
    """What came is not what an OpenAI-compatible server sends. `reported` is the server's own account of an error, if that is it."""

    def __init__(self, message: str, reported: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reported = reported


QUIRKS: Final = ("stream_options", "max_completion_tokens")
"""Words that servers differ about, and that their refusals name: the first some do not know, the second some want for `max_tokens`."""


def chat_body(model: str, request: GenerationRequest, quirks: Collection[str] = ()) -> dict[str, Any]:
    """The body of a chat completion that streams. What the request leaves open is left out, so that the server decides.

    `quirks` are those of `QUIRKS` that the server refused to be without, or with; none of them changes what is asked for.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [{key: value for key, value in clean(dict(each)).items() if key in _KEYS} for each in request.messages],
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stream": True,
    }
    optional: dict[str, Any] = {
        "stream_options": None if "stream_options" in quirks else {"include_usage": True},
        "max_completion_tokens" if "max_completion_tokens" in quirks else "max_tokens": request.max_tokens,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "tools": [clean(dict(tool)) for tool in request.tools] or None,
        "tool_choice": request.tool_choice if request.tools else None,
        "response_format": clean(dict(request.response_format)) if request.response_format is not None else None,
        "logprobs": True if request.confidence else None,
        "top_logprobs": 2 if request.confidence else None,
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def content_problem(request: GenerationRequest) -> str | None:
    """What is wrong with the contents of the messages; parts that are no text may be pictures, which some servers read."""
    for position, message in enumerate(request.messages):
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list) or not all(map(_is_part, content)):
            return f"the content of message {position} is neither text nor a list of text and image_url parts"
    return None


def embeddings_body(model: str, texts: Sequence[str]) -> dict[str, Any]:
    """The body that asks for vectors."""
    return {"model": model, "input": list(texts), "encoding_format": "float"}


class Answer:
    """A chat completion while it comes in: chunks of a stream, or one whole object from a server that does not stream."""

    def __init__(self) -> None:
        self.finish: FinishReason | None = None
        self.usage: Usage | None = None
        self.served: str | None = None
        """The model the server says it used."""
        self.refused: str | None = None
        """Why the server withheld the answer, if it did."""
        self.pieces = 0
        self._size = 0
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[tuple[float, float | None]] = []

    def feed(self, data: str) -> str:
        """The text in one event's data (or a whole answer's body), perhaps none. Raises WireError."""
        chunk = _object(data)
        if chunk.get("error"):
            raise WireError(
                "the server reported an error in its answer", _map(chunk["error"]) or {"message": str(chunk["error"])}
            )
        if isinstance(chunk.get("model"), str):
            self.served = chunk["model"][:_SHOWN]
        self._note_usage(chunk.get("usage"))
        choices = chunk.get("choices")
        if choices is None and self.usage is None:
            raise WireError(f"there are no choices in {_shown(data)}")
        if not isinstance(choices, list) or not choices:
            return ""  # the last chunk has the usage alone
        choice = _map(choices[0])
        message = _map(choice.get("delta") or choice.get("message"))
        self._note_calls(message.get("tool_calls"))
        self._note_logprobs(_map(choice.get("logprobs")).get("content"))
        self._note_finish(choice.get("finish_reason"), message.get("refusal"))
        text = message.get("content")
        if text is None or text == "":
            return ""
        if not isinstance(text, str):
            raise WireError(f"the content is {type(text).__name__}, not text")
        self.pieces += 1
        self._grow(len(text))
        return text

    @property
    def tool_calls(self) -> tuple[dict[str, Any], ...]:
        """The calls as chat APIs write them, their deltas joined; a call that was given no id gets one of its position."""
        return tuple(
            {
                "id": call["id"] or f"call_{position}",
                "type": "function",
                "function": {"name": call["name"], "arguments": "".join(call["arguments"])},
            }
            for position, (_, call) in enumerate(sorted(self._calls.items()))
        )

    @property
    def confidence(self) -> Confidence | None:
        """None where the server said nothing of probabilities."""
        if not self._logprobs:
            return None
        chosen = [logprob for logprob, _ in self._logprobs]
        margins = [margin for _, margin in self._logprobs if margin is not None]
        return Confidence(sum(chosen) / len(chosen), min(chosen), min(margins, default=0.0))

    def estimated_usage(self, messages: Sequence[Mapping[str, Any]]) -> Usage:
        """For servers that count nothing: four characters a token of the prompt, a token a piece of the answer."""
        characters = sum(len(str(message.get("content") or "")) for message in messages)
        return Usage(max(1, characters // 4 + 4 * len(messages)), max(1, self.pieces))

    def _note_usage(self, usage: object) -> None:
        counts = [_map(usage).get(name) for name in ("prompt_tokens", "completion_tokens")]
        if all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
            self.usage = Usage(*counts)  # type: ignore[arg-type] # both were looked at

    def _note_finish(self, finish: object, refusal: object) -> None:
        if isinstance(refusal, str) and refusal:
            self.refused = (self.refused or "") + refusal[:_SHOWN]
        if finish == "content_filter":
            self.refused = self.refused or "its content filter stopped the answer"
        if isinstance(finish, str) and finish:
            self.finish = _FINISHES.get(finish, "stop")

    def _note_calls(self, deltas: object) -> None:
        for position, delta in enumerate(deltas if isinstance(deltas, list) else ()):
            delta = _map(delta)
            index = delta.get("index", position)
            if not isinstance(index, int) or not 0 <= index < _MAX_CALLS:
                raise WireError(f"a tool call has the index {index!r}")
            call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": []})
            function = _map(delta.get("function"))
            call["id"] = call["id"] or str(delta.get("id") or "")[:_SHOWN]
            call["name"] = call["name"] or str(function.get("name") or "")[:_SHOWN]
            arguments = function.get("arguments")
            if isinstance(arguments, Mapping):  # Ollama's older answers: not text but the map itself
                arguments = json.dumps(arguments, ensure_ascii=False)
            if arguments:
                self._grow(len(str(arguments)))
                call["arguments"].append(str(arguments))

    def _note_logprobs(self, tokens: object) -> None:
        for token in tokens if isinstance(tokens, list) else ():
            chosen, likeliest = _number(_map(token).get("logprob")), _map(token).get("top_logprobs")
            tops = [_number(_map(each).get("logprob")) for each in (likeliest if isinstance(likeliest, list) else ())]
            known = sorted((top for top in tops if top is not None), reverse=True)
            if chosen is not None:
                self._logprobs.append((chosen, known[0] - known[1] if len(known) > 1 else None))

    def _grow(self, more: int) -> None:
        self._size += more
        if self._size > MAX_ANSWER:
            raise WireError(f"the answer has more than {MAX_ANSWER} characters")


def vectors_of(body: str, count: int) -> tuple[list[list[float]], int]:
    """The vectors of an embeddings answer in the order of the texts, each made 1 long, and the tokens read. Raises WireError."""
    answer = _object(body)
    data = answer.get("data")
    if not isinstance(data, list) or len(data) != count:
        raise WireError(f"there are not {count} embeddings in {_shown(body)}")
    entries = [_map(each) for each in data]
    if all(isinstance(each.get("index"), int) for each in entries):
        if sorted(each["index"] for each in entries) != list(range(count)):
            raise WireError("the embeddings have other positions than the texts")
        entries.sort(key=lambda each: int(each["index"]))
    vectors = [_unit(each.get("embedding")) for each in entries]
    if len({len(vector) for vector in vectors}) > 1:
        raise WireError("the embeddings are not of one length")
    tokens = _map(answer.get("usage")).get("prompt_tokens")
    return vectors, tokens if isinstance(tokens, int) and tokens >= 0 else 0


def error_text(body: str) -> tuple[str, str]:
    """What an error's body says, in one line, and its machine-readable code or type; a page of HTML says nothing."""
    try:
        answer = _object(body)
    except WireError:
        return ("" if "<" in body[:100] else _shown(body)), ""
    error = answer.get("error", answer)
    if isinstance(error, Mapping):
        code = error.get("code") or error.get("type") or ""
        return _shown(str(error.get("message") or "")), str(code)[:_SHOWN]
    return _shown(str(error)), ""


def _unit(vector: object) -> list[float]:
    numbers = [_number(each) for each in vector] if isinstance(vector, list) and len(vector) <= _MAX_DIMENSIONS else []
    plain = [number for number in numbers if number is not None]
    if not plain or len(plain) < len(numbers):
        raise WireError("an embedding is not a list of numbers")
    length = math.hypot(*plain)
    if not length:
        raise WireError("an embedding is zero in every place")
    return [number / length for number in plain]


def _is_part(part: object) -> bool:
    part = _map(part)
    if part.get("type") == "text":
        return isinstance(part.get("text"), str)
    return part.get("type") == "image_url" and isinstance(_map(part.get("image_url")).get("url"), str)


def _object(data: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"it is not JSON: {_shown(data)}") from error
    if not isinstance(value, Mapping):
        raise WireError(f"it is not an object: {_shown(data)}")
    return value


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
