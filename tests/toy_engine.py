"""An engine with a model of bytes, and what tests of it share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphs.models.hosting.frames import generate_frame
from graphs.models.interface import GenerationRequest
from graphs.models.llama.engine import Engine
from graphs.models.llama.prompting import Prompts
from graphs.models.llama.states import States
from graphs.models.toolcalls import Tools
from toy_model import END, ToyModel


class Grammars:
    """The rules are the response format's own."""

    def for_format(self, response_format: Mapping[str, Any] | None) -> str | None:
        if response_format is None:
            return None
        if "rules" not in response_format:
            raise ValueError("it is not known")
        rules: str = response_format["rules"]
        return rules

    def for_tools(self, tools: Tools) -> str:
        return '{"name": "look", "arguments": {"n": 5}}'


def render(messages: Sequence[Mapping[str, Any]], answer: bool) -> str:
    if messages[-1]["content"] == "odd":
        raise ValueError("roles must alternate")
    return "".join(f"<{message['role']}>{message['content']}" for message in messages) + "<a>" * answer


class Bench:
    """An engine and the frames it sent."""

    def __init__(
        self, model: ToyModel | None = None, *, slots: int = 8, states: States | None = None, template: bool = True
    ) -> None:
        self.model = model or ToyModel()
        self.frames: list[dict[str, Any]] = []
        self.ticks = 0.0
        prompts = Prompts(self.model, render if template else None, "")
        self.engine = Engine(self.model, prompts, Grammars(), self.frames.append, slots=slots, states=states, clock=self.clock)

    def clock(self) -> float:
        self.ticks += 0.001
        return self.ticks

    def ask(self, number: int, text: str = "hello", **options: Any) -> None:
        messages = options.pop("messages", [{"role": "user", "content": text}])
        request = GenerationRequest(messages, max_tokens=16, temperature=0, top_p=1)
        self.engine.submit(generate_frame("toy", request) | options | {"id": number})

    def run(self) -> Bench:
        for _ in range(100_000):
            if self.engine.idle:
                return self
            self.engine.step()
        raise AssertionError("it does not come to an end")

    def text(self, number: int) -> str:
        return "".join(frame["text"] for frame in self.frames if frame["id"] == number and frame["t"] == "token")

    def end(self, number: int) -> dict[str, Any]:
        (frame,) = [frame for frame in self.frames if frame["id"] == number and frame["t"] != "token"]
        return frame


def prompt(text: str, system: str = "") -> bytes:
    return (f"<system>{system}" if system else "").encode() + f"<user>{text}<a>".encode()


def says(text: str) -> Callable[[list[int]], int]:
    """A model that says this to every prompt."""
    whole = [*text.encode(), END]
    return lambda tokens: whole[len(tokens) - bytes(tokens).rindex(b"<a>") - 3]
