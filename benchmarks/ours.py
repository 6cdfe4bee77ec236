"""The workloads run by our engine, with all that a run has: node states, stamps, the log in memory, the table of results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.bounds import Run
from benchmarks.workloads import Workload, document, said, step, total
from graphs.agents import nesting
from graphs.engine.plan import Compiler, Plan
from graphs.journal import Journal, new_run_id
from graphs.language.spec import Graph
from graphs.records import Encoded, Record, State, encode
from graphs.registry import Agent, AgentContext, Registry, agent
from graphs.running.recorder import LogRecorder
from graphs.running.runtime import Runtime
from graphs.values import Value, canonical

__all__ = ["Kept", "build", "chatted", "dependent_start", "kept", "registry", "runner"]


def _add(context: AgentContext) -> Value:
    return step(context.inputs["vals"])


async def _async_add(context: AgentContext) -> Value:
    return step(context.inputs["vals"])


def _hand_on(context: AgentContext) -> Value:
    return {"v": context.inputs["v"]}


def _pausing(seconds: float) -> Any:
    async def add(context: AgentContext) -> Value:
        await asyncio.sleep(seconds)
        return step(context.inputs["vals"])

    return add


def registry(*, plain: bool = False, pause: float | None = None, recorded: bool = False, hands_on: bool = False) -> Registry:
    """`add` as this workload needs it, and `mapAgent`. A `plain` agent is no coroutine; a `recorded` one's results go to the journal."""
    work: Any = _hand_on if hands_on else _pausing(pause) if pause is not None else _add if plain else _async_add
    return Registry([*nesting.AGENTS, agent("add", effect="none", cheap=not recorded)(work)])


def build(made: Mapping[str, Any], agents: Mapping[str, Agent]) -> tuple[Plan, Compiler]:
    """From a document to what can be run, checked on the way."""
    compiler = Compiler(agents)
    return compiler.plan(Graph.of(made, agents)), compiler


def runner(workload: Workload, *, plain: bool = False) -> Run:
    """Builds the workload's graph and gives what runs it, from a fresh runtime to the table of results."""
    made = document(workload)
    plan, compiler = build(made, registry(plain=plain, pause=workload.pause, hands_on=workload.kind == "large"))
    blob = bytes(workload.size) if workload.kind == "large" else None
    inject = {"blob": {"v": blob}} if blob is not None else None

    async def run() -> int:
        runtime = Runtime(plan, compiler)
        state = await runtime.run(inject)
        assert state is State.COMPLETED, f"{workload.title}: {state!r}, {runtime.engine.errors()}"
        results = runtime.engine.results(all=False)
        if blob is None:
            return total([each["c"] for each in results["m"]] if workload.kind == "map" else results.values())
        (last,) = results.values()
        return len(last["v"]) if last["v"] is blob else -1

    return run


@dataclass(frozen=True, slots=True)
class Kept:
    """A run with a journal. `seconds` leave out opening it; `barrier_commits` are those that waiting for the run's end added."""

    answer: int
    seconds: float
    records: int
    commits: int
    barrier_commits: int


async def kept(workload: Workload, folder: Path, *, synchronous: Literal["full", "normal"], strict: bool) -> Kept:
    """Run a workload with every result in a new journal: durable node by node (`strict`), or many results a commit."""
    agents = registry(recorded=True)
    plan, compiler = build(document(workload), agents)
    run = new_run_id()
    added = 0
    with Journal.open(folder / "journal.db", synchronous=synchronous) as journal:
        journal.create_run(run, role="root", graph_hash=plan.graph.hash, name=workload.title, started=0)
        journal.flush()
        opened = journal.commits
        write = journal.write if strict else journal.append

        def append(record: Record) -> int:
            return write(run, encode(record))

        def append_encoded(encoded: Encoded) -> int:
            return write(run, encoded)

        async def durable() -> None:
            nonlocal added
            before = journal.commits
            await journal.barrier()
            added += journal.commits - before

        began = time.perf_counter()
        runtime = Runtime(plan, compiler, recorder=LogRecorder(append, durable, append_encoded=append_encoded), run_id=run)
        await runtime.run()
        results = runtime.engine.results(all=False)
        seconds = time.perf_counter() - began
        return Kept(total(results.values()), seconds, journal.durable_seq(run), journal.commits - opened, added)


async def chatted(turns: int, size: int, folder: Path) -> tuple[int, float, int]:
    """A loop in which a chat grows by two messages a turn, in a new journal: its letters, seconds, and the bytes of the whole chat."""
    messages = [(said(turn, "user", size), said(turn, "assistant", size)) for turn in range(turns)]

    def talk(context: AgentContext) -> Value:
        so_far = context.inputs["chat"]
        question, answer = messages[len(so_far) // 2]
        return {"text": answer["content"], "messages": [*so_far, question, answer]}

    nodes = {
        "chat": {"value": [], "update": ":talk.messages"},
        "talk": {"agent": "talk", "inputs": {"chat": ":chat"}, "isResult": True},
    }
    agents = Registry([agent("talk", effect="none")(talk)])
    plan, compiler = build({"version": 0.5, "loop": {"count": turns}, "nodes": nodes}, agents)
    run = new_run_id()
    with Journal.open(folder / "journal.db") as journal:
        journal.create_run(run, role="root", graph_hash=plan.graph.hash, name="chat", started=0)
        began = time.perf_counter()
        runtime = Runtime(
            plan,
            compiler,
            recorder=LogRecorder(lambda record: journal.append(run, encode(record)), journal.barrier),
            run_id=run,
        )
        await runtime.run()
        seconds = time.perf_counter() - began
    chat = runtime.engine.results(all=False)["talk"]["messages"]
    return sum(len(each["content"]) for each in chat), seconds, len(canonical(chat))


async def dependent_start(short: float, long: float) -> float:
    """Seconds from the start of a run with two sleeping branches until what depends on the short one begins."""
    began = 0.0

    async def sleep(context: AgentContext) -> Value:
        await asyncio.sleep(context.params["seconds"])
        return 1

    def look(_context: AgentContext) -> Value:
        return time.perf_counter() - began

    agents = Registry([agent("sleep", effect="none", cheap=True)(sleep), agent("look", effect="none", cheap=True)(look)])
    nodes = {
        "short": {"agent": "sleep", "params": {"seconds": short}},
        "long": {"agent": "sleep", "params": {"seconds": long}},
        "after": {"agent": "look", "inputs": {"of": ":short"}, "isResult": True},
    }
    plan, compiler = build({"version": 0.5, "nodes": nodes}, agents)
    runtime = Runtime(plan, compiler)
    began = time.perf_counter()
    await runtime.run()
    seconds: float = runtime.engine.results(all=False)["after"]
    return seconds
