"""Runs one conformance case with the real engine and runtime, and tells what happened in the shape of a case's `expect`."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from graphs.agents import standard
from graphs.engine.plan import Compiler
from graphs.errors import GraphInvalid, NodeTimeout, UsageError
from graphs.language.spec import Graph
from graphs.paths import split_path
from graphs.records import State
from graphs.running.ports import Services
from graphs.running.runtime import Runtime
from graphs.values import clean
from tests.conformance.agents import AGENTS, GAUGES
from tests.conformance.compare import problems

__all__ = ["load_case", "run_case", "verdict"]


def load_case(path: Path, files: str = "/tmp") -> dict[str, Any]:
    """A case's file; where it speaks of `/tmp`, it means the folder `files`."""
    case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8").replace("/tmp", files))
    return case


def verdict(path: Path, *, place: str = "edge", seed: int = 0) -> list[str]:
    """What is wrong with how this runtime runs the case; an empty list if nothing is. `place`: edge, cloud or random (by the seed)."""
    with tempfile.TemporaryDirectory() as folder:
        files = str(Path(folder).resolve())
        case = load_case(path, files)
        return problems(case, run_case(case, files, place=place, seed=seed))


def run_case(case: dict[str, Any], files: str, *, place: str = "edge", seed: int = 0) -> dict[str, Any]:
    """What happens when the case's graph runs; its agents read and write in the folder `files`."""
    GAUGES.clear()
    registry = standard().with_agents(AGENTS)
    options = case.get("options") or {}
    bypass = tuple(options.get("bypassAgentIds") or ())
    try:
        graph = Graph.of(case["graph"], set(registry), bypass=bypass)
    except GraphInvalid as error:
        return {"error": {"kind": "validation", "message": str(error)}}
    watch = _Watch()
    inject = {each["node"]: each["value"] for each in case.get("injections") or ()}
    force_loop = bool(options.get("forceLoop"))
    try:
        if place == "edge":
            runtime = _run_here(graph, registry, inject, bypass, force_loop, case.get("config"), watch, files)
        else:
            from tests.conformance.ferry import run_ferried

            runtime = asyncio.run(
                run_ferried(
                    graph,
                    registry,
                    inject,
                    files=files,
                    seed=None if place == "cloud" else seed,
                    bypass=bypass,
                    force_loop=force_loop,
                    config=case.get("config"),
                    observers=[watch],
                    on_token=watch.streamed,
                    retries=watch.retries_elsewhere,
                )
            )
            watch.count_retries_elsewhere()
    except UsageError as error:
        return {"error": {"kind": "runtime", "message": str(error)}, "never_ready": list(graph.nodes)}
    return _told(runtime, watch, case)


def _run_here(
    graph: Graph, registry: Any, inject: Any, bypass: tuple[str, ...], force_loop: bool, config: Any, watch: _Watch, files: str
) -> Runtime:
    compiler = Compiler(registry, bypass=bypass)
    runtime = Runtime(
        compiler.plan(graph),
        compiler,
        force_loop=force_loop,
        services=Services(files=files),
        config=config,
        observers=[watch],
    )
    asyncio.run(asyncio.wait_for(runtime.run(inject), 120))
    return runtime


class _Watch:
    """Counts what the cases ask for."""

    def __init__(self) -> None:
        self.retries_elsewhere: dict[str, int] = {}
        self.runs: Counter[str] = Counter()
        self.retries: dict[str, int] = {}
        self.stream: dict[str, list[Any]] = {}

    def started(self, start: Any, t: float) -> None:
        if not start.retry and start.frame.nesting is None:
            self.runs[start.node.id] += 1

    def settled(self, event: Any, by: Any, usage: Any, t: float) -> None:
        if event.start is not None and event.start.retry and event.frame.nesting is None:
            self.retries[event.node.id] = event.start.retry

    def erred(self, start: Any, error: BaseException, final: bool, t: float) -> None: ...

    def streamed(self, path: str, token: Any) -> None:
        """A token came over the link; only streaming nodes send any, and their node's own `isResult` decided that there."""
        self.stream.setdefault(split_path(path)[1], []).append(token)

    def count_retries_elsewhere(self) -> None:
        """Retries of nodes that ran at the worker."""
        for path, retry in self.retries_elsewhere.items():
            if "/" not in path and retry:
                self.retries[split_path(path)[1]] = retry

    def token(self, start: Any, token: Any) -> None:
        if start.is_result:
            self.stream.setdefault(start.node.id, []).append(token)


def _told(runtime: Runtime, watch: _Watch, case: dict[str, Any]) -> dict[str, Any]:
    engine = runtime.engine
    frame = engine.root
    ids = frame.plan.ids
    told: dict[str, Any] = {
        "results": clean(engine.results()),
        "is_result": list(engine.results(all=False)),
        "skipped": [ids[number] for number, state in enumerate(frame.states) if state == State.SKIPPED],
        "never_ready": [ids[number] for number, state in enumerate(frame.states) if state == State.WAITING],
        "retries": watch.retries,
        "runs": dict(watch.runs),
        "stream": watch.stream,
        "gauge": {name: {"peak": gauge.peak, "order": gauge.order} for name, gauge in GAUGES.items()},
    }
    first = engine.first_error()
    if first is not None:
        node, error = first
        told["error"] = {"kind": "timeout" if isinstance(error, NodeTimeout) else "runtime", "message": str(error)}
        if node:
            told["error"]["node"] = node
    return told
