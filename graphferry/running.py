"""Running a graph in this process, without a journal: for programs and tests that want its results and nothing else.

What is not kept cannot be resumed, and nothing is ferried: every node runs here, whatever its `place`. `graphferry run` does all that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from graphferry.builder import Graph
from graphs.errors import AnswerNeeded, LimitReached, NodeError, RunFailed, UsageError
from graphs.language.spec import Graph as Spec
from graphs.models.interface import Model, ModelInfo, Models
from graphs.registry import Agent, Registry
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.engine.engine import Engine
    from graphs.language.graph_files import GraphLoader
    from graphs.questions import Question
    from graphs.records import State

__all__ = ["AnyGraph", "Ask", "OneModel", "RunResult", "arun", "checked", "run"]

Ask: TypeAlias = "Callable[[Question], Value | Awaitable[Value]]"
"""Answers a question: true or false, a choice, a form, a text."""

AnyGraph: TypeAlias = Graph | Spec | Path | str | Mapping[str, Any]
"""A graph being written, a checked one, a file, a text of YAML or JSON, or the document itself."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to.

    `results` are the values of the nodes that say `isResult`, `values` those of all nodes, `errors` by node why it failed or could
    not run; under "" why the graph could not start.
    """

    status: Literal["completed", "failed", "suspended", "cancelled"]
    results: Mapping[str, Value]
    values: Mapping[str, Value]
    errors: Mapping[str, BaseException]

    def require(self) -> Mapping[str, Value]:
        """The results of a run that completed. Raises RunFailed, with the first error in graph order and all others, or what the
        run is suspended for.
        """
        if self.status == "completed":
            return self.results
        node, error = next(iter(self.errors.items()), ("", UsageError(f"this run is {self.status}")))
        if self.status == "suspended":
            raise error
        failed = RunFailed(node, error, self.errors)
        if node:
            failed.add_note(f"at node {node!r} of the graph")
        raise failed from error


def run(
    graph: AnyGraph,
    inputs: Mapping[str, Value] | None = None,
    *,
    agents: Iterable[Agent] = (),
    models: Models | Model | None = None,
    files: str | Path | None = None,
    config: Mapping[str, Any] | None = None,
    graph_loader: GraphLoader | None = None,
    untrusted: bool = False,
    limits: Mapping[str, float | None] | None = None,
    grants: Iterable[str] = (),
    ask: Ask | None = None,
) -> RunResult:
    """Run a graph to its end, in an event loop of its own. Inside one, await `arun`, which takes the same.

    `inputs` are values of static nodes; `agents` are known besides the standard ones and those of a graph that was built here. `models`
    are those of this device unless given; one alone answers for every name. `files` is the folder agents may read and write, none
    if left out. `graph_loader` gives the graphs that nodes name by `graphLoader`; without it they come from beside a graph's file.
    `untrusted` says that the graph is a stranger's; `limits` and `grants` are those of docs/safety.md.
    `ask` answers what nodes ask people, in the words of docs/people.md; None, or no `ask`, leaves the node waiting: the run is suspended.
    Raises GraphInvalid, UsageError for an input that names no static node, and ValueUnsupported, with its place, for what is no value;
    what goes wrong in nodes is in the result.
    """
    _require_no_loop()
    return asyncio.run(
        arun(
            graph,
            inputs,
            agents=agents,
            models=models,
            files=files,
            config=config,
            graph_loader=graph_loader,
            untrusted=untrusted,
            limits=limits,
            grants=grants,
            ask=ask,
        )
    )


async def arun(
    graph: AnyGraph,
    inputs: Mapping[str, Value] | None = None,
    *,
    agents: Iterable[Agent] = (),
    models: Models | Model | None = None,
    files: str | Path | None = None,
    config: Mapping[str, Any] | None = None,
    graph_loader: GraphLoader | None = None,
    untrusted: bool = False,
    limits: Mapping[str, float | None] | None = None,
    grants: Iterable[str] = (),
    ask: Ask | None = None,
) -> RunResult:
    """As `run`, in the event loop of the caller, by whose clock time-outs are measured. Cancelling it aborts the run."""
    from graphs.engine.made import Permissions
    from graphs.journal.ids import new_run_id
    from graphs.language.given import as_values
    from graphs.language.naming import require_static
    from graphs.running.ports import Services
    from graphs.running.runtime import Runtime

    inputs = as_values({} if inputs is None else inputs, "inputs")
    spec, registry = checked(graph, agents, graph_loader)
    permissions = Permissions.of(untrusted=untrusted, limits=limits or {}, grants=grants)
    require_static(spec.nodes, inputs, "inputs:")
    permissions.require(spec.document, spec.nodes, registry)
    compiler = permissions.compiler(registry)
    folder = str(files) if files is not None and permissions.grants("files") else None
    async with _models(models) as (answering, default):
        runtime = Runtime(
            compiler.plan(spec),
            compiler,
            services=Services(
                models=answering,
                default_model=default,
                files=folder,
                network=permissions.grants("network"),
                people=_Asked(ask) if ask is not None and permissions.grants("people") else None,
            ),
            config=config,
            run_id=new_run_id(),
            clock=asyncio.get_running_loop().time,
        )
        state = await runtime.run(inputs)
    return _result(runtime.engine, state)


def checked(graph: AnyGraph, agents: Iterable[Agent] = (), graph_loader: GraphLoader | None = None) -> tuple[Spec, Registry]:
    """The checked graph, and the agents that may run in it. Raises GraphInvalid."""
    from graphs.agents import standard
    from graphs.language.graph_files import beside, with_graphs
    from graphs.language.load import load

    if isinstance(agents, (str, Agent)) or not isinstance(agents, Iterable):
        raise UsageError(f"agents: {agents!r} is no list of agents", hint="Write agents=[my_agent].")
    own = [*(graph.agents if isinstance(graph, Graph) else ()), *agents]
    registry = standard().with_agents(own)
    if isinstance(graph, Spec):
        return graph, registry
    document = load(graph.document if isinstance(graph, Graph) else graph)
    if graph_loader is None and document.file is not None:
        graph_loader = beside(Path(document.file))
    if graph_loader is not None:
        document = with_graphs(document, graph_loader)
    return Spec.of(document.data, registry.keys(), marks=document.marks, file=document.file, says=registry), registry


class OneModel(Models):
    """A `Models` of a single model, which answers for whatever name a graph uses."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def get(self, name: str) -> Model:  # noqa: ARG002 - any name is its own
        return self._model

    def names(self) -> Sequence[str]:
        return [self._model.info.name]

    def describe(self, name: str) -> ModelInfo:  # noqa: ARG002 - as above
        return self._model.info

    async def close(self) -> None:
        await self._model.close()


class _Asked:
    """A `graphs.running.ports.People`: a function of the program."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def answer(self, question: Question) -> tuple[Value, Mapping[str, Value]]:
        return await self.ask_now(question), {}

    async def ask_now(self, question: Question) -> Value:
        from graphs.questions import fit

        value = self._ask(question)
        if isinstance(value, Awaitable):
            value = await value
        if value is None:
            raise AnswerNeeded(question)
        try:
            return fit(question, value)
        except UsageError as error:
            raise NodeError(error.message, retryable=False, hint=error.hint) from error


@asynccontextmanager
async def _models(given: Models | Model | None) -> AsyncIterator[tuple[Models, str | None]]:
    """The models to ask and the default one's name; what was made here is closed here."""
    if given is not None:
        models: Models = OneModel(cast("Model", given)) if hasattr(given, "generate") else given
        if not hasattr(models, "names"):
            raise UsageError(f"models: {models!r} is neither a model nor models", hint="Leave it out for those of this device.")
        names = models.names()
        yield models, names[0] if len(names) == 1 else None
        return
    from edge.config import load_config
    from edge.device import device_models
    from graphs.environment import Environment

    env = Environment.current()
    config = load_config(env)
    own, tiers = device_models(env, config, config.models)
    try:
        yield own, tiers.get("small", "small")
    finally:
        await own.close()


def _result(engine: Engine, state: State) -> RunResult:
    from edge.showing.report import status_of
    from graphs.budget import measure
    from graphs.values import clean

    errors: dict[str, BaseException] = {**engine.errors(), **engine.suspended}
    first = engine.first_error()
    if first is not None and first[0] not in errors:
        errors = {first[0]: first[1], **errors}
    try:
        measure(engine.results(all=True), engine.compiler.budget.bounds, "what the run gives")
    except LimitReached as error:
        return RunResult("failed", {}, {}, {"": error, **errors})
    return RunResult(
        status=status_of(state),  # type: ignore[arg-type]
        results=clean(engine.results(all=False)),
        values=clean(engine.results(all=True)),
        errors=errors,
    )


def _require_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError("graphferry.run was called inside an event loop", hint="Await graphferry.arun(...) there.")
