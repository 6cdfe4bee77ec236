"""Gathers what plans and placement rest on, at one moment: the same question gets the same answer for as long as one plan is made.

Nothing is asked of anybody: what others said last is in the journal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.network.conditions import UNKNOWN, Conditions
from edge.offers import heard, last_offer
from edge.placing.figures import Figure
from edge.planning.knowledge import FREE_OF_CHARGE, Knowledge, ModelFacts
from edge.planning.links import link_facts
from graphs.errors import ModelMissing
from graphs.models.prices import Price

if TYPE_CHECKING:
    from edge.means import Device

__all__ = ["gather"]


def gather(
    device: Device, url: str | None, offer: Mapping[str, Any] | None = None, conditions: Conditions = UNKNOWN
) -> Knowledge:
    """What this device knows now, of itself and of the worker at `url`: `offer` is what that says now, without it the last one counts."""
    from graphs.models.hosting.machine import available_memory

    now = time.time()
    journal = device.journal
    link = link_facts(journal, url, now)
    last, met = last_offer(journal, url), heard(journal, url)
    age = max(0.0, now - met) if met is not None else None
    if offer and offer != last:
        last, age = offer, 0.0
    return Knowledge(
        now=now,
        here=_own_models(device, now),
        there=_offered_models(last or {}, age),
        url=url,
        store=link.store.hex() if link is not None else None,
        offer=last,
        offer_age=age,
        link=link,
        conditions=conditions,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        memory=available_memory(),
    )


def _own_models(device: Device, now: float) -> dict[str, ModelFacts]:
    found = {}
    for name in device.models.names():
        try:
            info = device.models.describe(name)
        except (ModelMissing, OSError):
            continue
        outside = name in device.servers
        age = max(0.0, now - info.measured) if info.measured is not None else None
        found[name] = ModelFacts(
            _speed(info.prompt_per_second, age),
            _speed(info.tokens_per_second, age),
            device.prices.get(name) if outside or name in device.prices else FREE_OF_CHARGE,
            info.loaded,
            info.context,
            outside,
        )
    return found


def _speed(value: float | None, age: float | None) -> Figure | None:
    return Figure(value, "measured", 1, age) if value else None


def _offered_models(offer: Mapping[str, Any], age: float | None) -> dict[str, ModelFacts]:
    """The models of an offer. When they were measured stands there by the worker's clock, and so does when it said so."""
    found = {}
    said = _number(offer.get("t"))
    for name, about in (offer.get("models") or {}).items():
        measured = _number(about.get("measured"))
        old = age + max(0.0, (said - measured) / 1000) if age is not None and said and measured else age
        speeds = [_number(about.get(key)) for key in ("prompt_s", "toks_s")]
        prompt, answer = (Figure(each, "reported", 1, old) if each else None for each in speeds)
        context = about.get("context")
        found[name] = ModelFacts(
            prompt,
            answer,
            Price.of_offer(about),
            about.get("loaded") is True,
            context if isinstance(context, int) else None,
        )
    return found


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf") else None
