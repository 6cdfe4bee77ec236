"""Schedules that once failed, with what they showed; in `found.yaml`, as `shrink` left them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from sim.faults import Fault
from sim.kinds import KINDS, Playing
from sim.play import Scenario

__all__ = ["Found", "found"]

_FILE: Final = Path(__file__).with_name("found.yaml")


class Found(NamedTuple):
    """A schedule, and how it is played."""

    scenario: Scenario
    play: Playing


@cache
def found() -> dict[str, Found]:
    """By what they showed."""
    entries = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {entry["shows"]: Found(_scenario(entry), KINDS[entry.get("kind", "plain")].play) for entry in entries}


def _scenario(entry: dict[str, object]) -> Scenario:
    faults = entry["faults"]
    assert isinstance(faults, list)
    return Scenario(
        seed=entry["seed"],  # type: ignore[arg-type]
        graphs=(entry["graph"],),  # type: ignore[arg-type]
        workers=entry["workers"],  # type: ignore[arg-type]
        durable=(bool(entry["durable"]),),
        all=(bool(entry["all"]),),
        faults=tuple(Fault(**each) for each in faults),
    )
