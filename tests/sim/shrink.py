"""Makes a failing schedule smaller: faults, devices and workers are left out one by one for as long as it still fails in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sim.kinds import Playing
from sim.play import Scenario, play as play_plain

__all__ = ["failure", "shrunk"]


def failure(scenario: Scenario, play: Playing = play_plain) -> AssertionError | None:
    """How a schedule fails, played so; None if it does not."""
    try:
        play(scenario)
    except AssertionError as error:
        return error
    return None


def shrunk(scenario: Scenario, play: Playing = play_plain) -> Scenario:
    """The least scenario that was found to fail as this one does: with the same kind of failure, judged by how its text begins."""
    kind = _kind(failure(scenario, play))
    smaller = True
    while smaller:
        smaller = False
        for each in _smaller(scenario):
            if _kind(failure(each, play)) == kind:
                scenario, smaller = each, True
                break
    return scenario


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    for fault in scenario.faults:
        yield scenario.without(fault)
    if scenario.workers > 1:
        yield replace(scenario, workers=1)
    if len(scenario.graphs) > 1:
        last = scenario.devices[-1]
        yield replace(
            scenario,
            graphs=scenario.graphs[:-1],
            durable=scenario.durable[:-1],
            all=scenario.all[:-1],
            faults=tuple(fault for fault in scenario.faults if fault.where != last),
        )


def _kind(error: AssertionError | None) -> str | None:
    """What a failure has in common with others of its kind: ids, numbers and names of machines are left out."""
    if error is None:
        return None
    text = str(error).partition("[")[0].partition("{")[0].partition("'")[0]
    return type(error).__name__ + "".join(letter for letter in text if not letter.isdigit())[:60]
