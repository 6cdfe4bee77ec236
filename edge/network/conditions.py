"""What the way to the worker costs now: whether the network is metered, and whether this device runs on its battery. Pure: who finds it out is
`edge.network.sensing`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["UNKNOWN", "Conditions", "said"]


@dataclass(frozen=True, slots=True)
class Conditions:
    """How things stand. `charge` is what is left in the battery, from 0 to 1, `watts` what it gives now; `source` says who told, for people: what is
    None nobody told. `unheard` is who was to tell and did not, and why, in a sentence; "" if nobody failed to.
    """

    metered: bool | None = None
    on_battery: bool | None = None
    charge: float | None = None
    source: str = "nobody told"
    watts: float | None = None
    unheard: str = ""


UNKNOWN: Final = Conditions()


def said(words: str, source: str) -> Conditions:
    """What these words say. Raises ValueError, naming it, for a word that says nothing."""
    found = Conditions(source=source)
    for word in words.replace(",", " ").split():
        if word in ("metered", "unmetered"):
            found = replace(found, metered=word == "metered")
        elif word in ("battery", "mains"):
            found = replace(found, on_battery=word == "battery")
        elif word.endswith("%") and word[:-1].isdigit() and int(word[:-1]) <= 100:
            found = replace(found, charge=int(word[:-1]) / 100)
        elif word.endswith("W") and word[:-1].replace(".", "", 1).isdigit() and float(word[:-1]) > 0:
            found = replace(found, watts=float(word[:-1]))
        else:
            raise ValueError(f"{word!r} is none of metered, unmetered, battery, mains, NN% and NNW")
    return found
