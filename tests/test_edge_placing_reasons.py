from __future__ import annotations

from typing import Any, Literal

import pytest

from edge.placing.facts import Way
from edge.placing.figures import FREE, Estimate
from edge.placing.reasons import briefly, follows, money, reason, seconds

FIGURES = Estimate(FREE, None, FREE, None, None, FREE)


def way(place: Literal["edge", "cloud"], took: float, moving: float, run: float, model: str = "tiny", **more: Any) -> Way:
    return Way(place, model, took, moving, more.get("usd", 0.0), more.get("joules", 0.0), run, FIGURES)


@pytest.mark.parametrize(
    ("ways", "minimise", "text"),
    [
        ((way("edge", 0.4, 0, 1), way("cloud", 0.7, 1.2, 3)), "latency", "quicker here: 0.4 s vs 1.9 s incl. 1.2 s transfer"),
        (
            (way("cloud", 0.5, 0.5, 1), way("edge", 9, 0, 3)),
            "latency",
            "quicker at the worker: 1.0 s incl. 0.5 s transfer vs 9.0 s",
        ),
        ((way("cloud", 2, 0.5, 4), way("edge", 1, 0, 6)), "latency", "the run is quicker with it at the worker: 4.0 s vs 6.0 s"),
        ((way("edge", 1, 0, 4), way("cloud", 1, 0, 4)), "latency", "as quick here"),
        ((way("cloud", 1, 0, 4), way("edge", 1, 0, 4)), "latency", "goes with the nodes around it"),
        ((way("edge", 9, 0, 9), way("cloud", 1, 0, 1, usd=0.02)), "cost", "cheaper here: nothing vs 0.02 USD"),
        (
            (way("cloud", 1, 0, 1, joules=0.5), way("edge", 9, 0, 9, joules=80)),
            "energy",
            "takes less energy at the worker: 0.5 J vs 80 J",
        ),
        ((way("cloud", 1, 0, 1, "large"), way("edge", 9, 0, 9)), "latency", "quicker by large at the worker: 1.0 s vs 9.0 s"),
    ],
)
def test_the_reason_is_in_the_figures(ways: tuple[Way, ...], minimise: Any, text: str) -> None:
    assert reason(ways, minimise) == text


def test_of_a_node_of_a_large_graph_its_own_work_is_said() -> None:
    assert briefly("cloud", 1.0, 9.0) == "quicker at the worker: 1.0 s vs 9.0 s"
    assert briefly("edge", 1.0, 1.0) == "as quick here"
    assert briefly("cloud", 2.0, 1.0) == "goes with the nodes around it"


def test_figures_are_said_as_people_say_them() -> None:
    assert (seconds(0.012), seconds(3.14), seconds(300)) == ("12 ms", "3.1 s", "5.0 min")
    assert (money(0), money(0.0123)) == ("nothing", "0.012 USD")
    assert follows("analyse") == "follows analyse, saves a round trip"
