"""Schedules whose values are large: bodies of several ranges go both ways, and what goes wrong does so between their chunks. Whoever has a part of
a body fetches what follows it: the world complains of anything that is fetched again although it is here.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Final

from graphs.language.load import load_text
from sim.faults import CLOUD, Fault
from sim.play import Outcome, Scenario, play, scenario_of

__all__ = ["LARGE", "large_of", "play_large"]

_LARGE: Final = """\
version: 0.5
nodes:
  start: {value: 1}
  here: {agent: answerAgent, place: edge, inputs: {x: :start}, params: {large: 6}}
  far: {agent: answerAgent, place: cloud, inputs: {x: :here}, params: {large: 8, seconds: 0.3}}
  back: {agent: deedAgent, place: edge, inputs: {x: :far}}
  sent: {agent: deedAgent, place: cloud, inputs: {x: :far, y: :back}, params: {seconds: 1}}
  rows:
    agent: mapAgent
    inputs: {rows: [1, 2], here: :here}
    graph:
      nodes:
        made: {agent: answerAgent, place: cloud, inputs: {x: :row, y: :here}, params: {large: 4}}
        used: {agent: answerAgent, place: edge, isResult: true, inputs: {x: :made}}
  end: {agent: answerAgent, place: edge, isResult: true, inputs: {x: :far, y: :sent, z: :rows}}
"""

LARGE: Final[dict[str, Any]] = load_text(_LARGE).data
"""A graph whose values are large."""
_KINDS: Final = ("cut", "cut", "cut", "kill", "kill", "power", "power", "full", "stray", "swallow", "sleep", "block", "lose")
_OF_WORKERS: Final = ("kill", "kill", "power", "power", "full", "stop", "sleep", "pause", "lose")


def large_of(seed: int) -> Scenario:
    """What a seed stands for: faults at the n-th portion of bodies that a machine writes, beside those that the seed has anyway."""
    scenario, chance = scenario_of(seed), random.Random(f"large {seed}")
    more = []
    for _ in range(chance.choice((1, 2, 3, 5))):
        where = chance.choice((*scenario.devices, CLOUD))
        kind = chance.choice(_OF_WORKERS if where == CLOUD else _KINDS)
        seconds = chance.choice((0.05, 1.0, 5.0, 30.0, 100.0))
        more.append(Fault(kind, where, "chunk", 1 + int(24 * chance.random() ** 2), seconds, chance.randrange(1 << 16)))
    return replace(scenario, graphs=(LARGE,) * len(scenario.graphs), faults=(*scenario.faults[:3], *more))


def play_large(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule."""
    return play(scenario, outcome)
