"""A chat that grows turn by turn, whose answers are made at a worker, with journals on disk on both sides."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.workloads import said
from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.runs.runner import run_graph
from graphs.agents import nesting
from graphs.journal import Journal
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModels
from graphs.registry import AgentContext, Registry, agent
from graphs.values import Value, canonical

__all__ = ["Ferried", "ferried_chat"]

_SIDES: Final = ("edge", "cloud")


@dataclass(frozen=True, slots=True)
class Ferried:
    """What came of it: letters of the whole chat, seconds, the chat's bytes, and those of the files of each side."""

    letters: int
    seconds: float
    values: int
    sides: dict[str, int]


async def ferried_chat(turns: int, size: int, folder: Path, *, whole: bool = False) -> Ferried:
    """A loop of so many turns in which a question is asked on the device and answered at the worker, who hands on the chat with both; or, `whole`,
    a loop that is at the worker altogether.
    """
    messages = [(said(turn, "user", size), said(turn, "assistant", size)) for turn in range(turns)]

    def ask(context: AgentContext) -> Value:
        return messages[context.inputs["turn"]][0]

    def talk(context: AgentContext) -> Value:
        so_far = context.inputs["chat"]
        question = context.inputs["said"] if "said" in context.inputs else messages[len(so_far) // 2][0]
        answer = messages[len(so_far) // 2][1]
        return {"text": answer["content"], "messages": [*so_far, question, answer], "turn": len(so_far) // 2 + 1}

    nodes: dict[str, Any] = {
        "chat": {"value": [], "update": ":talk.messages"},
        "turn": {"value": 0, "update": ":talk.turn"},
        "ask": {"agent": "ask", "place": "edge", "inputs": {"turn": ":turn"}},
        "talk": {"agent": "talk", "place": "cloud", "inputs": {"chat": ":chat", "said": ":ask"}, "isResult": True},
    }
    if whole:
        del nodes["ask"], nodes["turn"], nodes["talk"]["inputs"]["said"]
    agents = Registry([*nesting.AGENTS, agent("ask", effect="none")(ask), agent("talk", effect="none")(talk)])
    graph = Graph.of({"version": 0.5, "loop": {"count": turns}, "nodes": nodes}, agents)
    homes = {side: folder / side / "journal.db" for side in _SIDES}
    for home in homes.values():
        home.parent.mkdir()
    with Journal.open(homes["edge"]) as edge, Journal.open(homes["cloud"]) as cloud:
        server = WorkerServer(Worker(cloud, agents, ScriptedModels()))
        url = await server.start()
        try:

            async def connect(where: str, token: str | None, journal: Journal, runs: Any) -> Any:
                return await connect_worker(where, token=token, journal=journal, runs=runs)

            device = Device(journal=edge, agents=agents, models=ScriptedModels(), connect=connect)
            began = time.perf_counter()
            report = await run_graph(device, graph, RunOptions(url=url), name="chat")
            seconds = time.perf_counter() - began
        finally:
            await server.stop()
    assert report.status == "completed", report.errors
    chat: Any = report.results["talk"]
    found = {side: sum(each.stat().st_size for each in home.parent.rglob("*") if each.is_file()) for side, home in homes.items()}
    return Ferried(sum(len(each["content"]) for each in chat["messages"]), seconds, len(canonical(chat["messages"])), found)
