"""For tests of graphs, agents and backends: models that follow a script, hours that pass in milliseconds, a worker in the same
process, and checks that an agent or a model keeps its promises.
"""

from __future__ import annotations

import asyncio
import selectors
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple, cast

from graphferry.running import AnyGraph, OneModel, checked, run
from graphs.bounds import UNTRUSTED, Bounds
from graphs.errors import GraphferryError, ValueUnsupported
from graphs.models.conformance import check_model
from graphs.models.interface import Model, Models
from graphs.models.scripted import Gate, Rule, ScriptedModel, ScriptedModels
from graphs.registry import Agent, Sample
from graphs.values import MISSING, Value, canonical, clean

if TYPE_CHECKING:
    from cloud.server import WorkerServer
    from edge.showing.report import RunReport
    from graphs.journal import Journal

__all__ = [
    "Gate",
    "InProcessWorker",
    "Rule",
    "ScriptedModel",
    "ScriptedModels",
    "VirtualTimeLoop",
    "check_agent",
    "check_model",
    "fast_forward",
    "worker_in_process",
]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


# -- time


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anything can go on, and otherwise jumps to the next deadline.

    It begins at 0. While a thread of `asyncio.to_thread` works, time stands still too. Other threads, processes and sockets live in real
    time, of which this loop knows nothing: do not mix them with time-outs here.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._threads_at_work = 0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._threads_at_work += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self._threads_at_work -= 1

    def _jump(self, seconds: float) -> bool:
        if self._threads_at_work:
            return False
        self._now += seconds
        return True


class _JumpingSelector(selectors.DefaultSelector):
    """Lets time pass instead of waiting for it, if `jump` agrees."""

    def __init__(self, jump: Callable[[float], bool]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if ready or self._jump(timeout):
            return ready
        return super().select(None)


def fast_forward(main: Coroutine[Any, Any, T]) -> T:
    """What `main` gives, run to its end in virtual time: `fast_forward(arun(graph))`. Time-outs of hours take no time at all."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


# -- device and worker


class InProcessWorker:
    """A worker that listens on a socket of the loopback interface, and devices that ferry work to it. `url` and `token` are what a
    device needs to know.
    """

    def __init__(self, server: WorkerServer, url: str, token: str, folder: Path) -> None:
        self.server = server
        self.url = url
        self.token = token
        self._folder = folder
        self._devices = 0

    async def run(
        self,
        graph: AnyGraph,
        inputs: Mapping[str, Value] | None = None,
        *,
        models: Models | Model | None = None,
        agents: Iterable[Agent] = (),
        untrusted: bool = False,
        limits: Mapping[str, float | None] | None = None,
    ) -> RunReport:
        """Run a graph on a new device that has these models (none if left out) and agents, with this worker beside it. `untrusted`
        and `limits` are as in `graphferry.run`.

        The report says for each node where it ran and why. Raises GraphInvalid, and UsageError for what no place can run.
        """
        from edge.runs.runner import RunOptions, run_graph
        from graphs.journal import Journal

        spec, registry = checked(graph, agents)
        self._devices += 1
        with Journal.open(self._folder / f"device-{self._devices}.db") as journal:
            device = _device(journal, registry, _several(models))
            words = tuple(f"{name}={'none' if most is None else most}" for name, most in (limits or {}).items())
            options = RunOptions(inject=inputs or {}, url=self.url, token=self.token, untrusted=untrusted, limits=words)
            return await run_graph(device, spec, options, name="graph")


@asynccontextmanager
async def worker_in_process(
    *, models: Models | Model | None = None, agents: Iterable[Agent] = (), bounds: Bounds = UNTRUSTED
) -> AsyncIterator[InProcessWorker]:
    """A worker for as long as the block lasts, with these models (none if left out), and these agents besides the standard ones;
    `bounds` are the limits of each run there.

    One model alone is offered under its own name. Everything is real but the models: sockets, sessions, journals in a temporary
    folder. Its event loop is the caller's, so time is real, too.
    """
    from cloud.server import WorkerServer
    from cloud.worker import Worker
    from graphs.agents import standard
    from graphs.journal import Journal

    token = "in-process-worker"  # noqa: S105 - it guards nothing but a test
    with tempfile.TemporaryDirectory(prefix="graphferry-testing-") as name:
        folder = Path(name)
        with Journal.open(folder / "worker.db") as journal:
            worker = Worker(journal, standard().with_agents(agents), _several(models), bounds=bounds)
            server = WorkerServer(worker, token=token)
            url = await server.start()
            try:
                yield InProcessWorker(server, url, token, folder)
            finally:
                await server.stop()


def _several(models: Models | Model | None) -> Models:
    if models is None:
        return ScriptedModels()
    return OneModel(cast("Model", models)) if hasattr(models, "generate") else models


def _device(journal: Journal, agents: Any, models: Models) -> Any:
    from edge.ferrying.connecting import connect_worker
    from edge.means import Device

    async def connect(url: str, token: str | None, journal: Journal, runs: Sequence[bytes]) -> Any:
        return await connect_worker(url, token=token, journal=journal, runs=runs)

    names = models.names()
    return Device(journal, agents, models, default_model=names[0] if len(names) == 1 else None, connect=connect)


# -- promises


def check_agent(agent: Agent, *, models: Models | Model | None = None) -> None:
    """Raises AssertionError, saying which of its promises an agent does not keep.

    It has a description and samples; each sample gives its result, through a graph as any node would; results are data; what the
    agent is handed stays as it was; a cheap agent has no effects and needs nothing.
    """
    _hold(bool(agent.description), agent, "has no description: its docstring's first paragraph is the description")
    _hold(bool(agent.samples), agent, "has no samples")
    _hold(
        not agent.cheap or (agent.effect == "none" and not agent.needs),
        agent,
        'is cheap, so it has effect="none" and needs nothing',
    )
    for number, sample in enumerate(agent.samples, 1):
        which = f"sample {number}"
        spec, _ = checked({"version": 0.5, "nodes": dict(_sample_nodes(agent, sample))}, [agent])
        before = canonical(spec.document)
        ended = run(spec, agents=[agent], models=models or ScriptedModel())
        _hold(ended.status == "completed", agent, f"{which}: {'; '.join(map(_told, ended.errors.values()))}")
        made = ended.values.get("node", MISSING)
        try:
            canonical(made)
        except ValueUnsupported as error:
            raise AssertionError(f"{agent.name}: {which}: what it gives is not data: {error}") from error
        _hold(made == clean(sample.result), agent, f"{which} gives {made!r} and says {sample.result!r}")
        _hold(canonical(spec.document) == before, agent, f"{which}: it changed what it was handed; values belong to others")


def _sample_nodes(agent: Agent, sample: Sample) -> Iterator[tuple[str, Value]]:
    """Nodes that hand a sample's inputs to the agent as other nodes would, so that no text in them is read as a source."""
    names = {key: f"input{number}" for number, key in enumerate(sample.inputs)}
    for key, name in names.items():
        yield name, {"value": sample.inputs[key]}
    node: dict[str, Value] = {"agent": agent.name, "inputs": {key: f":{name}" for key, name in names.items()}}
    node["params"] = dict(sample.params)
    if sample.graph is not None:
        node["graph"] = sample.graph
    yield "node", node


_SHORT: Final = 200


def _told(error: BaseException) -> str:
    return (error.message if isinstance(error, GraphferryError) else f"{type(error).__name__}: {error}")[:_SHORT]


def _hold(kept: bool, agent: Agent, promise: str) -> None:
    if not kept:
        raise AssertionError(f"{agent.name}: {promise}")
