"""Runs a case with nodes at a worker: a real server on a loopback socket in this process, so that both sides share the gauges."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.ferrying.delegate import Delegate
from edge.ferrying.fallback import Fallback
from edge.ferrying.fragments import Fragments
from graphs.engine.events import Event, Start
from graphs.engine.orders import orders
from graphs.engine.plan import Compiler
from graphs.journal import Journal, new_run_id
from graphs.language.run_labels import RunLabels
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModels
from graphs.paths import escape
from graphs.registry import Registry
from graphs.running.ports import Services
from graphs.running.runtime import Runtime

__all__ = ["Everywhere", "run_ferried"]


class Everywhere:
    """Places for a case: every computed node of the root graph at the worker, or each node by the toss of a seeded coin.

    A node that opens a nested graph takes all of it to the worker; if it stays here, the nodes inside are tossed in their turn. A case
    that is about certain places names them, with `place`.
    """

    def __init__(self, graph: Graph, seed: int | None) -> None:
        self._said = _said(graph.nodes)
        self._coin = random.Random(seed) if seed is not None else None
        self._tossed: dict[str, str | None] = {}

    def get(self, path: str, /) -> str | None:
        """Where the node at this place of the document runs."""
        if path in self._said:
            return "cloud" if self._said[path] == "cloud" else None
        if self._coin is None:
            return None if "/" in path else "cloud"
        if path not in self._tossed:
            self._tossed[path] = "cloud" if self._coin.random() < 0.5 else None
        return self._tossed[path]


def _said(nodes: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The places that nodes name for themselves."""
    found: dict[str, str] = {}
    for name, spec in nodes.items():
        path = f"{prefix}{escape(name)}"
        if isinstance(spec, Mapping) and isinstance(spec.get("place"), str):
            found[path] = spec["place"]
        inner = spec.get("graph") if isinstance(spec, Mapping) else None
        if isinstance(inner, Mapping) and isinstance(inner.get("nodes"), Mapping):
            found.update(_said(inner["nodes"], f"{path}/"))
    return found


class _Always:
    """Everything starts on order, whether a limit could bind or not."""

    def __contains__(self, _path: object) -> bool:
        return True


async def run_ferried(
    graph: Graph,
    registry: Registry,
    inject: Mapping[str, Any],
    *,
    seed: int | None,
    bypass: tuple[str, ...],
    force_loop: bool,
    config: Mapping[str, Any] | None,
    observers: list[Any],
    on_token: Callable[[str, Any], None],
    retries: dict[str, int],
    max_turns: int | None = None,
    files: str | None = None,
) -> Runtime:
    """Run the graph with some or all of its nodes at a worker; gives the device's runtime after the end, and into `retries` those
    of nodes that ran at the worker.
    """
    nests = {name: each.nests for name, each in registry.items() if each.nests}
    places = Everywhere(graph, seed)
    needed = orders(graph, places, nests)
    on_order: Container[str] = _Always() if seed is not None and seed % 3 == 0 else needed
    labels = RunLabels(graph, registry)
    compiler = Compiler(registry, bypass=bypass, places=needed, orders=on_order)
    compiler.opened = labels.know
    options = {"config": dict(config or {}), "bypass": list(bypass), "force_loop": force_loop, "max_turns": max_turns}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with (
            Journal.open(home / "edge.db", synchronous="normal") as device,
            Journal.open(home / "cloud.db", synchronous="normal") as worker,
        ):
            server = WorkerServer(Worker(worker, registry, ScriptedModels(), files=files))
            link = await connect_worker(await server.start(), token=None, journal=device)
            run = new_run_id()
            runtime: Runtime

            def feed(event: Event) -> None:
                runtime.feed(event)

            def begun(start: Start) -> None:
                runtime.begun_elsewhere(start)

            delegate = Delegate(
                run=run,
                fragments=Fragments({}, ()),
                labels=labels,
                options=options,
                journal=device,
                feed=feed,
                clock=time.perf_counter,
                on_token=on_token,
                on_begun=begun,
                fallback=Fallback({}, compiler.stand_in, time.perf_counter),
            )
            delegate.use(link)
            runtime = Runtime(
                compiler.plan(graph),
                compiler,
                force_loop=force_loop,
                max_turns=max_turns,
                services=Services(files=files),
                config=config,
                remote=delegate,
                observers=observers,
                run_id=run,
            )
            try:
                await asyncio.wait_for(runtime.run(inject), 120)
                retries.update(delegate.retries)
            finally:
                await delegate.close()
                await link.close()
                await server.stop()
    return runtime
