"""What plans and placement rest on: this device's models and memory, the worker's last offer, the way to it, prices. Each with its age. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge.network.conditions import UNKNOWN, Conditions
from edge.placing.figures import Figure
from edge.planning.keys import EDGE
from graphs.models.prices import Price

__all__ = ["FREE_OF_CHARGE", "Knowledge", "LinkFacts", "ModelFacts", "figure_json"]


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """The way to a worker. `store` is its store, `rtt` in seconds, `up` and `down` in bytes a second; None where nobody measured."""

    store: bytes
    rtt: Figure | None = None
    up: Figure | None = None
    down: Figure | None = None


FREE_OF_CHARGE: Final = Price(0.0, 0.0)
"""What a model costs that runs on this device: nobody sends a bill for it."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model at one place: tokens a second that it reads of prompts and makes of answers, and what they cost. None is
    unknown. `outside`: it is behind a server, elsewhere.
    """

    prompt: Figure | None = None
    answer: Figure | None = None
    price: Price | None = None
    loaded: bool = False
    context: int | None = None
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All of it, at `now` (seconds since 1970). `here` and `there` are models by name: of this device, and of the worker at `url`. `store` is the
    worker's, in hex, as history names it. `offer_age` is in seconds; None if the worker was never met.
    """

    now: float
    here: Mapping[str, ModelFacts] = field(default_factory=dict)
    there: Mapping[str, ModelFacts] = field(default_factory=dict)
    url: str | None = None
    store: str | None = None
    offer: Mapping[str, Any] | None = None
    offer_age: float | None = None
    link: LinkFacts | None = None
    conditions: Conditions = UNKNOWN
    cores: int = 1
    memory: int | None = None

    @property
    def watts(self) -> Figure:
        """What this device takes while it computes: as its battery tells now, for the whole of it; else what is usual for so many cores."""
        if self.conditions.watts is not None:
            return Figure(self.conditions.watts, "measured", 1, 0.0)
        return Figure(_CORE_WATTS * max(1, self.cores), "default")

    def model(self, place: str, name: str | None) -> ModelFacts:
        """What is known of the model of that name at `place`."""
        models = self.here if place == EDGE else self.there
        return models.get(name or "", _NOTHING)

    @property
    def queue(self) -> Figure:
        """Seconds for which the worker takes nothing on, by its own word: it says how many places are free, not for how long none is."""
        free = (self.offer or {}).get("queue")
        if not isinstance(free, int):
            return Figure(0.0, "default")
        return Figure(0.0 if free > 0 else _FULL_SECONDS, "reported", 1, self.offer_age)

    def as_json(self) -> dict[str, Any]:
        """For `--json`: the facts that a plan rests on."""
        offer = self.offer or {}
        worker = {
            "url": self.url,
            "offer_age": _rounded(self.offer_age),
            "queue": offer.get("queue"),
            "slots": offer.get("slots"),
            "models": {name: _model_json(each) for name, each in self.there.items()},
            "rtt": figure_json(self.link.rtt if self.link else None),
            "up": figure_json(self.link.up if self.link else None),
            "down": figure_json(self.link.down if self.link else None),
        }
        device = {
            "cores": self.cores,
            "memory": self.memory,
            "metered": self.conditions.metered,
            "on_battery": self.conditions.on_battery,
            "charge": self.conditions.charge,
            "watts": figure_json(self.watts),
            "conditions": self.conditions.source,
            "models": {name: _model_json(each) for name, each in self.here.items()},
        }
        return {"device": device, "worker": worker if self.url is not None else None}


_NOTHING: Final = ModelFacts()
_CORE_WATTS: Final = 5.0
"""Joules that a busy core of a laptop takes in a second, roughly; a model has all of them but one, and memory and the rest take about as much."""
_FULL_SECONDS: Final = 5.0
"""How long a place at a full worker is waited for, before anybody knows better."""


def figure_json(figure: Figure | None) -> dict[str, Any] | None:
    """A figure as `--json` shows it; None for one that is unknown."""
    if figure is None:
        return None
    known: dict[str, Any] = {"value": round(figure.value, 9), "source": figure.source}
    if figure.n:
        known["n"] = figure.n
    if figure.age is not None:
        known["age"] = _rounded(figure.age)
    return known


def _model_json(facts: ModelFacts) -> dict[str, Any]:
    price = facts.price
    return {
        "prompt_per_second": figure_json(facts.prompt),
        "tokens_per_second": figure_json(facts.answer),
        "price": {"input": price.usd_in, "output": price.usd_out} if price is not None and price is not FREE_OF_CHARGE else None,
        "loaded": facts.loaded,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
