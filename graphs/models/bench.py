"""How fast a model is on this machine: what `graphferry models bench` measures and placement may count on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from statistics import median
from typing import Final

from graphs.errors import UsageError
from graphs.models.interface import GenerationRequest, Model

__all__ = ["Speed", "measure"]

_TEXT: Final = (
    "A ferry carries people across water. Most run often and to a timetable, as buses do. Where the current is steady a boat needs no"
    " engine at all: held by a cable, it turns its side to the stream, and the water pushes it across. "
) * 4
_FEWEST: Final = 8


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians of some rounds: tokens of prompt read, and tokens of answer made, in a second, by one request alone."""

    prompt_per_second: float
    tokens_per_second: float
    rounds: int


async def measure(model: Model, *, rounds: int = 3, tokens: int = 64) -> Speed:
    """Asks a model a few times for `tokens` tokens over a prompt of about 250. Raises UsageError if it says too little to be timed."""
    await model.generate(GenerationRequest([{"role": "user", "content": "Hello"}], max_tokens=2))
    reading: list[float] = []
    making: list[float] = []
    for _ in range(rounds):
        # New from its first word on: nothing that was read before is of use.
        messages = [{"role": "user", "content": f"{secrets.token_hex(8)}. {_TEXT}\nTell a long story about this ferry."}]
        generation = await model.generate(GenerationRequest(messages, max_tokens=tokens, temperature=0.8))
        first, made = generation.first_token_ms, generation.usage.completion_tokens
        if first and made >= _FEWEST and generation.total_ms > first:
            reading.append(generation.usage.prompt_tokens / first * 1000)
            making.append((made - 1) / (generation.total_ms - first) * 1000)
    if not making:
        raise UsageError(f"Model {model.info.name} says too little to be timed: each answer had fewer than {_FEWEST} tokens.")
    return Speed(median(reading), median(making), len(making))
