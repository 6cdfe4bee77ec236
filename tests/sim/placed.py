"""Runs in virtual time whose nodes take as long as figures say: what comes of a way of placing them, by the real engine, delegate, worker and link.

    python -m benchmarks.placement      holds placement against the best of all ways, each played here

What is real and what is simulated is as in every world here; only the agents do nothing but pass time: each waits in line for its model, as many
at once as the figures say, and gives bytes, as many as they say.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.means import Device, RunOptions
from edge.placing.figures import Estimator
from edge.runs.runner import run_graph
from graphs.agents import standard
from graphs.journal import Journal
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.registry import Agent, Registry
from sim.faults import CLOUD
from sim.play import PORT, URL, _connect
from sim.world import Machine, Process, World

__all__ = ["AGENTS", "Played", "Playing"]

DEVICE: Final = "device0"

AGENTS: Final = ("llmAgent", "workAgent", "postAgent")
"""Names of agents whose nodes pass the time that figures say."""

_MEET: Final = Graph({"version": 0.5, "nodes": {"far": {"agent": "copyAgent", "place": "cloud"}}})
"""A graph that makes the device meet the worker, so that there is an offer to place by."""


class Played:
    """What a run came to: virtual seconds from the command to its end, its status, and where its nodes ran."""

    def __init__(self, seconds: float, status: str, places: Mapping[str, str]) -> None:
        self.seconds = seconds
        self.status = status
        self.places = places


class Playing:
    """A device, a worker and the link between them, as figures say. `pinned` are the places of free nodes; without, our placement finds them."""

    def __init__(self, document: Mapping[str, Any], figures: Any, *, seed: int = 0) -> None:
        self.document = document
        self.figures = figures
        self.seed = seed

    def run(self, pinned: Mapping[str, Any] | None = None) -> Played:
        """Play one run to its end."""
        root = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
        folder = Path(tempfile.mkdtemp(prefix="placed-", dir=root))
        try:
            world = World(self.seed, folder)
            played: list[Played] = []
            world.run(self._main(world, pinned, played))
            return played[0]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _main(self, world: World, pinned: Mapping[str, Any] | None, played: list[Played]) -> None:
        link = self.figures.link("cloud")
        line = world.network.line(DEVICE)
        line.latency, line.rate, line.narrow = link.rtt.value / 2, min(link.up.value, link.down.value), True
        worker = Process(world, Machine(world, CLOUD), "worker", self._work)
        await asyncio.sleep(1.0)

        async def command(process: Process) -> Any:
            return await self._command(world, process, pinned)

        device = Process(world, Machine(world, DEVICE), DEVICE, command)
        await device.ended
        if device.error is not None:
            raise device.error
        worker.stop()
        await worker.ended
        played.append(device.result)

    async def _work(self, process: Process) -> None:
        with Journal.open(process.machine.disk.journal, synchronous="full") as journal:
            models = ScriptedModels([ScriptedModel(name) for name in ("tiny", "large")])
            server = WorkerServer(Worker(journal, self._agents("cloud"), models), port=PORT)
            await server.start()
            await process.stopping.wait()
            await server.stop()

    async def _command(self, world: World, process: Process, pinned: Mapping[str, Any] | None) -> Played:
        with Journal.open(process.machine.disk.journal, synchronous="normal") as journal:
            estimator: Estimator = self.figures
            device = Device(
                journal=journal,
                agents=self._agents("edge"),
                models=ScriptedModels([ScriptedModel("tiny")]),
                tiers={"small": "tiny"},
                default_model="tiny",
                connect=_connect,
            )
            await run_graph(device, _MEET, RunOptions(url=URL), name="meet")
            if pinned is None:
                device.estimator = lambda _graph, _offer, _url, _inject: estimator
            graph = Graph.of(self.document, device.agents.keys())
            begins = world.now
            report = await run_graph(device, graph, RunOptions(url=URL, pinned=pinned or {}), name="placed")
            places = {path: each.place for path, each in report.nodes.items()}
            return Played(world.now - begins, report.status, places)

    def _agents(self, side: str) -> Registry:
        room = self.figures.capacity(side)
        slots = asyncio.Semaphore(room.slots)
        models = {name: asyncio.Semaphore(count) for name, count in room.models.items()}
        tiers = {"small": "tiny"}

        async def passing(context: Any) -> Any:
            model = tiers.get(context.model, context.model)
            estimate = self.figures.node(context.node_id, {}, side, model)
            async with slots:
                if model in models:
                    async with models[model]:
                        await asyncio.sleep(estimate.seconds.value)
                else:
                    await asyncio.sleep(estimate.seconds.value)
            return random.Random(context.node_id).randbytes(int(estimate.out_bytes.value))  # nothing can make it smaller

        effects: dict[str, Any] = {"postAgent": "once"}
        own = (
            Agent(
                name,
                passing,
                effect=effects.get(name, "none"),
                needs=frozenset({"model"}) if name == "llmAgent" else frozenset(),
                is_async=True,
            )
            for name in AGENTS
        )
        others = (agent for name, agent in standard().items() if name not in AGENTS)
        return Registry([*others, *own])
