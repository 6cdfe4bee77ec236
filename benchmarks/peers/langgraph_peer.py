"""LangGraph: a compiled StateGraph.

A graph's values live in one channel that is merged in place, the cheapest state a user can choose; a map sends its rows to a compiled
graph; a loop is a conditional edge.
"""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Callable
from importlib.metadata import version as installed
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found]
from langgraph.types import Send  # type: ignore[import-not-found]

from benchmarks.bounds import Run
from benchmarks.workloads import PRIME, Workload, said, step, total

__all__ = ["build", "chat", "keep", "version"]

_ENDLESS = {"recursion_limit": 10_000_000}


def _merge(into: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    if into is None:
        return dict(more)
    into.update(more)
    return into


class _Values(TypedDict):
    out: Annotated[dict[str, Any], _merge]


class _Chat(TypedDict):
    messages: Annotated[list[Any], operator.add]


class _Number(TypedDict):
    v: int


class _Rows(TypedDict):
    rows: int
    results: Annotated[list[Any], operator.add]


def version() -> str:
    return "LangGraph " + installed("langgraph")


def build(workload: Workload, _loop: asyncio.AbstractEventLoop) -> Run:
    return {"dag": _dag, "map": _map, "loop": _turns}[workload.kind](workload)


def _dag(workload: Workload) -> Run:
    graph = StateGraph(_Values)
    for name, reads in workload.nodes:
        graph.add_node(name, _node(name, reads))
    for name, reads in workload.nodes:
        graph.add_edge((list(reads) if len(reads) > 1 else reads[0]) if reads else START, name)
    compiled = graph.compile()

    async def run() -> int:
        state = await compiled.ainvoke({"out": {}}, _ENDLESS)
        return total([state["out"][name] for name in workload.outputs])

    return run


def _node(name: str, reads: tuple[str, ...]) -> Callable[[Any], Any]:
    async def node(state: Any) -> Any:
        values = state["out"]
        return {"out": {name: step([values[each]["v"] for each in reads])}}

    return node


async def _add(state: Any) -> Any:
    return step([state["v"]])


def _map(workload: Workload) -> Run:
    line = StateGraph(_Number)
    for before, name in zip((START, "a", "b"), "abc", strict=True):
        line.add_node(name, _add)
        line.add_edge(before, name)
    row = line.compile()

    async def one(state: Any) -> Any:
        return {"results": [await row.ainvoke(state)]}

    graph = StateGraph(_Rows)
    graph.add_node("row", one)
    graph.add_conditional_edges(START, lambda state: [Send("row", {"v": each}) for each in range(state["rows"])], ["row"])
    compiled = graph.compile()

    async def run() -> int:
        return total((await compiled.ainvoke({"rows": workload.size, "results": []}, _ENDLESS))["results"])

    return run


def _turns(workload: Workload) -> Run:
    graph = StateGraph(_Number)
    graph.add_node("a", _add)
    graph.add_node("b", _add)
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_conditional_edges("b", lambda state: "a" if state["v"] < 2 * workload.size else END, ["a", END])
    compiled = graph.compile()

    async def run() -> int:
        value: int = (await compiled.ainvoke({"v": 0}, _ENDLESS))["v"]
        return value % PRIME

    return run


def keep(count: int, folder: Path, *, normal: bool) -> tuple[int, float]:
    """A chain of `count` with a checkpoint after each node: the answer and seconds."""
    from langgraph.checkpoint.sqlite import SqliteSaver  # type: ignore[import-not-found]

    graph = StateGraph(_Number)
    for before, name in pairwise([START, *(f"n{number}" for number in range(count))]):
        graph.add_node(name, lambda state: step([state["v"]]))
        graph.add_edge(before, name)
    with SqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
        saver.setup()
        if normal:
            saver.conn.execute("PRAGMA synchronous = NORMAL")
        compiled = graph.compile(checkpointer=saver)
        began = time.perf_counter()
        state = compiled.invoke({"v": 0}, {**_ENDLESS, "configurable": {"thread_id": "1"}}, durability="sync")
        return state["v"], time.perf_counter() - began


def chat(turns: int, size: int, folder: Path) -> tuple[int, float]:
    """A chat in a channel that is added to, with a checkpoint a turn: its letters and seconds."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    pairs = [[said(turn, role, size) for role in ("user", "assistant")] for turn in range(turns)]
    graph = StateGraph(_Chat)
    graph.add_node("talk", lambda state: {"messages": pairs[len(state["messages"]) // 2]})
    graph.add_edge(START, "talk")
    graph.add_conditional_edges("talk", lambda state: "talk" if len(state["messages"]) < 2 * turns else END, ["talk", END])
    with SqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
        saver.setup()
        compiled = graph.compile(checkpointer=saver)
        began = time.perf_counter()
        state = compiled.invoke({"messages": []}, {**_ENDLESS, "configurable": {"thread_id": "1"}})
        return sum(len(each["content"]) for each in state["messages"]), time.perf_counter() - began
