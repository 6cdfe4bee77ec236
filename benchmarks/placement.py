"""Placement, held against the best there is: how far from it, how quickly found, and whether runs take what was said.

Random graphs with random figures, links and queues, of fixed seeds. Five questions:

* search: the placement that is found against the best of all ways by the schedule model, and against rules alone, all here, all there;
* truth: the same in virtual time, each way played by the real engine, device, worker and link (tests/sim): what the run took against what the
  schedule said, and against the quickest of all ways;
* recorded: the same of real runs, with what their nodes took (benchmarks/recorded), over several links and with a free and a full worker;
* large graphs, of which nobody knows the best: against a search that is fifty times as long;
* speed: 1,000 nodes placed, each graph for the first time.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final, NamedTuple

if __package__ in (None, ""):  # run as a file
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import sys

from benchmarks.measure import ROOT, Row, WrongAnswer, machine, table, write_section
from edge.placing.placed import Placed
from edge.placing.placer import place
from edge.placing.schedule import play
from edge.placing.search import EFFORT, score, search
from edge.placing.tasks import CLOUD, EDGE, Problem
from edge.placing.wishes import MINIMISED, Wishes

__all__ = ["main", "regrets", "speed", "truth"]

MOST: Final = 0.05
"""How far from the best of all ways a run may be."""
MILLISECONDS: Final = 100
"""In which 1,000 nodes are to be placed."""


def _tests() -> Any:
    """What the tests have: random problems, and the simulator."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.append(str(ROOT / "tests"))
    import placing

    return placing


class Regret(NamedTuple):
    """How much longer (or dearer) than the best of all ways: what was found, and the simple ways; 0 is as good."""

    found: float
    rules: float
    here: float
    there: float


def _uniform(problem: Problem, at: int) -> tuple[int, ...]:
    ways = (next((way for way, each in enumerate(unit.choices) if each.place == at), 0) for unit in problem.units)
    return tuple(ways)


def regrets(count: int, wishes: Wishes, nodes: Callable[[random.Random], int]) -> list[Regret]:
    """By the schedule model, for graphs of the seeds up to `count`."""
    tests, found = _tests(), []
    for seed in range(count):
        dice = random.Random(seed)
        graph, figures = tests.random_graph(dice, nodes(dice))
        placed = place(graph, tests.facts(), figures, wishes)
        problem = placed.problem
        assert problem is not None
        assert placed.found is not None
        best = tests.best_by_enumeration(problem, wishes).first
        ways = [(0,) * len(problem.units), _uniform(problem, EDGE), _uniform(problem, CLOUD)]
        others = [score(problem, play(problem, way), wishes).first for way in ways]
        found.append(Regret(*(_over(each, best) for each in (placed.found.score.first, *others))))
    return found


def recorded(wishes: Wishes) -> list[tuple[str, Regret]]:
    """Of the runs that were recorded, by graph, link and queue."""
    from benchmarks.recorded.replay import replayed

    tests, found = _tests(), []
    for way in replayed(wishes):
        problem, chosen = way.placed.problem, way.placed.found
        assert problem is not None
        assert chosen is not None
        best = tests.best_by_enumeration(problem, wishes).first
        ways = [(0,) * len(problem.units), _uniform(problem, EDGE), _uniform(problem, CLOUD)]
        others = [score(problem, play(problem, each), wishes).first for each in ways]
        name = f"{way.graph}, {way.link}{', full' if way.full else ''}"
        found.append((name, Regret(*(_over(each, best) for each in (chosen.score.first, *others)))))
    return found


def _over(value: float, best: float) -> float:
    return value / best - 1 if best > 0 else float(value > 0)


class Truth(NamedTuple):
    """A run in virtual time: the seconds it took, what the schedule said, and the quickest of all ways."""

    took: float
    said: float
    best: float


def truth(seeds: Sequence[int], most_ways: int) -> Iterator[Truth]:
    """Graphs played in virtual time in every way there is, if these are not too many. Raises WrongAnswer for a run that does not end well."""
    tests = _tests()
    from sim.placed import Playing

    for seed in seeds:
        dice = random.Random(seed)
        graph, figures = tests.random_graph(dice, dice.randint(3, 7))
        figures.queue, figures.sizes = 0.0, {**{name: min(size, 3e5) for name, size in figures.sizes.items()}, "text": 100.0}
        figures.up = figures.down = max(figures.up, 2e5)
        placed: Placed = place(graph, tests.facts(), figures)
        assert placed.found is not None
        free = [path for path, each in placed.nodes.items() if len(each.ways) > 1]
        if 2 ** len(free) > most_ways:
            continue
        playing = Playing(graph.document, figures)
        ours = playing.run()
        ways = (dict(zip(free, way, strict=True)) for way in product(("edge", "cloud"), repeat=len(free)))
        runs = [ours, *map(playing.run, ways)]
        if any(each.status != "completed" for each in runs):
            raise WrongAnswer(f"seed {seed}: a run ended as {[each.status for each in runs]}")
        yield Truth(ours.seconds, placed.found.schedule.seconds, min(each.seconds for each in runs))


def longer(sizes: Sequence[int], graphs: int, times: int) -> Iterator[tuple[int, list[float]]]:
    """By size: how much longer runs take as they are placed than as a search finds that is so many times as long."""
    tests = _tests()
    for size in sizes:
        over = []
        for seed in range(graphs):
            graph, figures = tests.random_graph(random.Random(seed), size)
            placed: Placed = place(graph, tests.facts(), figures)
            assert placed.problem is not None
            assert placed.found is not None
            best = search(placed.problem, effort=EFFORT * times).score.first
            over.append(_over(placed.found.score.first, best))
        yield size, over


def speed(count: int, graphs: int) -> float:
    """Milliseconds of CPU time to place that many nodes: the median over graphs, each placed once, so nothing is known of it from before."""
    tests, took = _tests(), []
    for seed in range(graphs):
        graph, figures = tests.random_graph(random.Random(seed), count)
        facts = tests.facts()
        gc.collect()
        began = time.process_time()
        place(graph, facts, figures)
        took.append((time.process_time() - began) * 1000)
    return statistics.median(took)


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def measure(graphs: int, plays: int, ways: int, nodes: int, repeats: int) -> list[Row]:
    """All of it."""
    rows = []
    for minimise in MINIMISED:
        found = regrets(graphs, Wishes(minimise), lambda dice: dice.randint(2, 12))
        worst, mean = max(each.found for each in found), statistics.mean(each.found for each in found)
        plain = {word: statistics.mean(getattr(each, word) for each in found) for word in ("rules", "here", "there")}
        said = ", ".join(f"{word} {_percent(value)}" for word, value in plain.items())
        rows.append(
            Row(f"{minimise}: worst of {graphs} graphs", _percent(worst), "best of all ways", 1 + worst, "times", must=1 + MOST)
        )
        rows.append(Row(f"{minimise}: mean", _percent(mean), said, 1 + mean, "times"))
    kept = recorded(Wishes())
    worst_name, worst_of = max(kept, key=lambda each: each[1].found)
    plain = {word: statistics.mean(getattr(each, word) for _, each in kept) for word in ("rules", "here", "there")}
    said = ", ".join(f"{word} {_percent(value)}" for word, value in plain.items())
    rows.append(
        Row(
            f"recorded runs, {len(kept)} ways: worst ({worst_name})",
            _percent(worst_of.found),
            f"mean of {said}",
            1 + worst_of.found,
            "times",
            must=1 + MOST,
        )
    )
    played = list(truth(range(plays), ways))
    if played:
        off = [abs(each.took - each.said) / each.took for each in played]
        over = [each.took / each.best - 1 for each in played]
        rows.append(
            Row(
                f"virtual time: {len(played)} runs against what was said",
                _percent(statistics.median(off)),
                f"90th percentile {_percent(sorted(off)[int(len(off) * 0.9)])}",
                1 + statistics.median(off),
                "times",
            )
        )
        rows.append(
            Row(
                "virtual time: against the quickest way there is",
                _percent(statistics.mean(over)),
                f"worst {_percent(max(over))}",
                1 + statistics.mean(over),
                "times",
                must=1 + MOST,
            )
        )
    for size, beyond in longer([each for each in (200, 500, 1000) if each <= nodes], repeats, 50):
        rows.append(
            Row(
                f"{size:,} nodes, {len(beyond)} graphs: against a search 50 times as long",
                _percent(statistics.mean(beyond)),
                f"worst {_percent(max(beyond))}",
                1 + statistics.mean(beyond),
                "times",
            )
        )
    took = speed(nodes, repeats)
    rows.append(Row(f"{nodes:,} nodes placed", f"{took:.0f} ms", f"{MILLISECONDS} ms", took / MILLISECONDS, "times", must=1.0))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it where asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.placement", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--smoke", action="store_true", help="a few graphs: shows that it works, measures nothing")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    rows = measure(8, 3, 4, 60, 1) if options.smoke else measure(100, 40, 32, 1000, 5)
    if options.smoke:
        rows = [replace(row, must=None) for row in rows]
    print(table(rows))
    if options.write:
        title = f"## Placement\n\n`python -m benchmarks.placement --write`, {time.strftime('%Y-%m-%d')}, on {machine()}"
        reading = (
            "Regret: how much longer, dearer or hungrier than the best of all ways, by the schedule model. In virtual time each way is run by the"
            " real engine, device, worker and link, whose figures are given."
        )
        write_section(ROOT / "benchmarks" / "RESULTS.md", "placement", f"{title}\n\n{table(rows)}\n\n{reading}")


if __name__ == "__main__":
    main()
