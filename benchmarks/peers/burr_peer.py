"""Burr: a state machine that takes one action at a time. A graph runs in the order it is written, a row of a map is an application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from importlib.metadata import version as installed
from itertools import pairwise
from pathlib import Path
from typing import Any

from burr.core import ApplicationBuilder, State, action, default, expr  # type: ignore[import-not-found]
from burr.core.graph import GraphBuilder  # type: ignore[import-not-found]

from benchmarks.bounds import Run
from benchmarks.workloads import PRIME, Workload, step, total

__all__ = ["build", "keep", "version"]


def version() -> str:
    return "Burr " + installed("burr")


def build(workload: Workload, _loop: asyncio.AbstractEventLoop) -> Run:
    if workload.kind == "dag":
        names = [name for name, _ in workload.nodes]
        graph = _line({name: _node(name, reads) for name, reads in workload.nodes})

        async def run() -> int:
            state = await _run(graph, names[0], names[-1], {})
            return total([state[name] for name in workload.outputs])

        return run
    if workload.kind == "map":
        row = _line({name: _counter() for name in "abc"})

        async def run_map() -> int:
            states = await asyncio.gather(*[_run(row, "a", "c", {"v": number}) for number in range(workload.size)])
            return total([{"v": state["v"]} for state in states])

        return run_map
    onwards = ("b", "a", expr(f"v < {2 * workload.size}")), ("b", "end", default)
    turns = GraphBuilder().with_actions(a=_counter(), b=_counter(), end=_last()).with_transitions(("a", "b"), *onwards).build()

    async def run_loop() -> int:
        value: int = (await _run(turns, "a", "end", {"v": 0}))["v"]
        return value % PRIME

    return run_loop


def _line(actions: dict[str, Any]) -> Any:
    names = list(actions)
    return GraphBuilder().with_actions(**actions).with_transitions(*pairwise(names)).build()


async def _run(graph: Any, first: str, last: str, state: dict[str, Any]) -> Any:
    application = ApplicationBuilder().with_graph(graph).with_entrypoint(first).with_state(State(state)).build()
    return (await application.arun(halt_after=[last]))[2]


def _node(name: str, reads: Sequence[str]) -> Any:
    async def node(state: State) -> State:
        return state.update(**{name: step([state[each]["v"] for each in reads])})

    return action(reads=list(reads), writes=[name])(node)


def _counter() -> Any:
    async def count(state: State) -> State:
        return state.update(**step([state["v"]]))

    return action(reads=["v"], writes=["v"])(count)


def _last() -> Any:
    async def end(state: State) -> State:
        return state

    return action(reads=["v"], writes=["v"])(end)


def _plain_counter() -> Any:
    def count(state: State) -> State:
        return state.update(**step([state["v"]]))

    return action(reads=["v"], writes=["v"])(count)


def keep(count: int, folder: Path, *, normal: bool) -> tuple[int, float]:
    """A chain of `count` with the state saved after each action: the answer and seconds."""
    from burr.core.persistence import SQLitePersister  # type: ignore[import-not-found]

    names = [f"n{number}" for number in range(count)]
    graph = _line({name: _plain_counter() for name in names})
    saver = SQLitePersister(db_path=str(folder / "burr.db"), table_name="states")
    saver.initialize()
    if normal:  # it comes with a rollback journal and FULL
        saver.connection.execute("PRAGMA journal_mode = WAL")
        saver.connection.execute("PRAGMA synchronous = NORMAL")
    builder = ApplicationBuilder().with_graph(graph).with_entrypoint(names[0]).with_state(State({"v": 0}))
    application = builder.with_state_persister(saver).build()
    began = time.perf_counter()
    state = application.run(halt_after=[names[-1]])[2]
    seconds = time.perf_counter() - began
    saver.connection.close()
    return state["v"], seconds
