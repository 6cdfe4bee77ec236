"""Fleets whose run carries labels that may go to the worker: large values go by handles, whose names say nothing of what is in them, from device to
worker and on to the next device.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cloud.access import Access
from cloud.accounts import DEFAULT, Account
from edge.privacy.clearance import Clearance
from edge.privacy.settings import worker_place
from sim.fleet import PlayFleet, fleet_of, play_fleet
from sim.large import LARGE
from sim.play import URL, Outcome, Scenario
from sim.world import Process

__all__ = ["labelled_of", "play_labelled"]

_LABEL: Final = "private"


def labelled_of(seed: int) -> Scenario:
    """What a seed stands for: a fleet, every other time with values that are large, and labels at some nodes of its graph."""
    scenario, chance = fleet_of(seed), random.Random(f"labelled {seed}")
    graph = _labelled(chance.choice((LARGE, scenario.graphs[0])), chance)
    return replace(scenario, graphs=(graph,) * len(scenario.graphs))


def _labelled(graph: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """The graph with the label at every third node or so."""
    nodes = {name: {**node, "sensitivity": _LABEL} if chance.random() < 0.35 else node for name, node in graph["nodes"].items()}
    return {**graph, "nodes": nodes}


def play_labelled(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule; every third one with forks."""
    return play_fleet(scenario, outcome, forks=scenario.seed % 3 == 0, kind=_PlayLabelled)


class _PlayLabelled(PlayFleet):
    clearance = Clearance({_LABEL: frozenset({worker_place(URL)})})

    def _access(self, process: Process) -> Access:
        return Access({DEFAULT: Account(clearance=frozenset({_LABEL}))}, anybody=True)
