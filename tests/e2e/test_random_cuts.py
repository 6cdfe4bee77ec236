"""Random graphs, cut at random: whatever is where, everything comes out as on one machine (docs/protocol.md, I19)."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from graphs.agents import standard
from graphs.engine.plan import Compiler
from graphs.language.spec import Graph
from graphs.records import State
from graphs.registry import Registry, agent
from graphs.running.runtime import Runtime
from graphs.values import clean
from reference.graphs import BYPASS, MAX_TURNS, Case, answer, cases
from tests.conformance.ferry import run_ferried


class Gauge:
    """How many agents ran at once at most, over both places: they are in one process."""

    running = peak = 0


@agent("answerAgent", effect="none")
async def answer_agent(context: Any) -> Any:
    """Answers as the reference interpreter's agent does; after a moment, so that others run meanwhile."""
    Gauge.running += 1
    Gauge.peak = max(Gauge.peak, Gauge.running)
    try:
        await asyncio.sleep(0.001)
    finally:
        Gauge.running -= 1
    given = answer(clean(context.inputs), context.params, context.retry)
    if isinstance(given, BaseException):
        raise given
    return given


def registry() -> Registry:
    """What the drawn graphs name."""
    return standard().with_agents([answer_agent])


def without_races(value: Any) -> Any:
    """The graph without what depends on time by design: anyInput on the order of arrival, time-outs on how far a worker is."""
    if isinstance(value, dict):
        return {key: without_races(item) for key, item in value.items() if key not in ("anyInput", "timeout")}
    return [without_races(item) for item in value] if isinstance(value, list) else value


def told(runtime: Runtime) -> dict[str, Any]:
    """All that must not depend on the places."""
    engine = runtime.engine
    root = engine.root
    return {
        "ended": engine.ended,
        "results": clean(engine.results()),
        "states": {name: State(root.states[number]).name for number, name in enumerate(root.plan.ids)},
        "errors": {name: str(error) for name, error in engine.errors().items()},
        "turn": root.turn,
    }


def here(graph: Graph, case: Case) -> Runtime:
    """The run on one machine."""
    agents = registry()
    compiler = Compiler(agents, bypass=BYPASS)
    runtime = Runtime(compiler.plan(graph), compiler, force_loop=case.force_loop, max_turns=MAX_TURNS)
    asyncio.run(runtime.run(case.inject))
    return runtime


def ferried(graph: Graph, case: Case, seed: int) -> Runtime:
    """The run with the nodes that the seed chooses at a worker."""
    Gauge.running = Gauge.peak = 0
    runtime: Runtime = asyncio.run(
        run_ferried(
            graph,
            registry(),
            case.inject,
            seed=seed,
            bypass=BYPASS,
            force_loop=case.force_loop,
            config=None,
            observers=[],
            on_token=lambda _path, _token: None,
            retries={},
            max_turns=MAX_TURNS,
        )
    )
    return runtime


OVER_AT_ONCE = {
    "version": 0.5,
    "concurrency": 1,
    "nodes": {
        "opens": {
            "agent": "nestedAgent",
            "inputs": {},
            "graph": {
                "version": 0.5,
                "nodes": {"off": {"agent": "answerAgent", "if": ":no", "inputs": {}}, "no": {"value": 0}},
            },
        },
        **{f"n{number}": {"agent": "answerAgent", "inputs": {}} for number in range(4)},
    },
}
"""The nested graph is over before anybody hears that it was opened."""


EXAMPLES = int(os.environ.get("CUTS", "25"))
"""How many graphs are drawn: `CUTS=2000 pytest -o faulthandler_timeout=0 tests/e2e/test_random_cuts.py --hypothesis-seed=N` is a long look."""


@pytest.mark.timeout(600 + EXAMPLES)
@settings(max_examples=EXAMPLES, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
@example(case=Case(OVER_AT_ONCE, {}, False), seed=0)
@given(case=cases(), seed=st.integers(0, 2**16))
def test_a_graph_comes_out_the_same_wherever_it_is_cut(case: Case, seed: int) -> None:
    graph = Graph(without_races(case.graph))
    there = ferried(graph, case, seed)
    peak = Gauge.peak
    assert told(there) == told(here(graph, case))
    if not there.engine.errors() and "supressError" not in repr(graph.document):  # what is given up goes on there for a moment
        assert peak <= there.engine.root.plan.limit
