"""Runs whose nodes figures place: a device and a worker in this process, a real link between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud.server import WorkerServer
from cloud.worker import Worker
from conftest import CommandLine
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.offers import keep_offer, last_offer
from edge.placing.facts import Implementation, Placement, Sayings
from edge.placing.wishes import Wishes
from edge.runs.places import Chooser, known_digests
from edge.runs.resuming import resume_run
from edge.runs.runner import run_graph
from graphs.agents import standard
from graphs.engine.plan import Better
from graphs.journal import Journal
from graphs.journal.ids import parse_run_id
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.records import Result, Submit
from graphs.registry import Agent, Registry
from placing import Given
from workers import worker

GRAPH = """\
version: 0.5
nodes:
  text: {value: hi}
  a: {agent: workAgent, inputs: {v: :text}}
  b: {agent: workAgent, inputs: {v: :a.v}}
  c: {agent: workAgent, isResult: true, inputs: {v: :b.v}}
"""

FAR = Given({"a": (9.0, 1.0), "b": (9.0, 1.0), "c": (9.0, 1.0)}, rtt=0.01)
NEAR = Given({"a": (1.0, 9.0), "b": (1.0, 9.0), "c": (1.0, 9.0)}, rtt=0.01)


class Sides:
    """A device and its worker. `ran` says who ran which node; `hold` keeps nodes at the worker from ending."""

    def __init__(self, folder: Path, figures: Given | None) -> None:
        self.folder = folder
        self.figures = figures
        self.ran: list[tuple[str, str]] = []
        self.hold: set[str] = set()
        self.held, self.released = asyncio.Event(), asyncio.Event()
        self.known = asyncio.Event()
        """The device has the first node's result."""
        self.server: WorkerServer
        self.device: Device
        self.url = ""
        self.connections = 0

    def agents(self, side: str) -> Registry:
        async def work(context: Any) -> Any:
            self.ran.append((side, context.path))
            if side == "cloud" and context.path in self.hold:
                self.held.set()
                await self.released.wait()
            return dict(context.inputs)

        names = ("workAgent", "farAgent") if side == "cloud" else ("workAgent",)
        return Registry([*standard().values(), *(Agent(name, work, effect="none") for name in names)])

    def see(self, event: Any) -> None:
        if (event["event"], event.get("path")) == ("finished", "a"):
            self.known.set()

    async def connect(self, url: str, token: str | None, journal: Journal, runs: Sequence[bytes]) -> Any:
        self.connections += 1
        return await connect_worker(url, token=token, journal=journal, runs=runs, grace=0.05)

    @property
    def options(self) -> RunOptions:
        return RunOptions(url=self.url)

    async def run(self, options: RunOptions | None = None, text: str = GRAPH) -> Any:
        graph = Graph.of(load_text(text).data, set(self.device.agents))
        return await run_graph(self.device, graph, options or self.options, name="g.yaml")


@asynccontextmanager
async def sides(folder: Path, figures: Given | None) -> AsyncIterator[Sides]:
    made = Sides(folder, figures)
    with Journal.open(folder / "edge.db") as edge, Journal.open(folder / "cloud.db") as cloud:
        made.server = WorkerServer(Worker(cloud, made.agents("cloud"), ScriptedModels([ScriptedModel("tiny")])))
        made.url = await made.server.start()
        made.device = Device(
            journal=edge,
            agents=made.agents("edge"),
            models=ScriptedModels([ScriptedModel("tiny")]),
            connect=made.connect,
            emit=made.see,
            estimator=(lambda _graph, _offer, _url, _inject: figures) if figures is not None else None,
        )
        graph = Graph.of(
            load_text("version: 0.5\nnodes:\n  far: {agent: copyAgent, place: cloud}\n").data, set(made.device.agents)
        )
        await run_graph(made.device, graph, made.options, name="g.yaml")  # so that there is an offer to place by
        made.connections = 0
        try:
            yield made
        finally:
            await made.server.stop()


def places(report: Any) -> dict[str, str]:
    return {path: each.place for path, each in report.nodes.items()}


def test_nodes_run_where_figures_put_them_and_say_why(tmp_path: Path) -> None:
    async def play() -> None:
        async with sides(tmp_path, FAR) as both:
            report = await both.run()
            assert report.status == "completed"
            assert report.results == {"c": {"v": "hi"}}
            assert both.ran == [("cloud", "a"), ("cloud", "b"), ("cloud", "c")]
            assert report.nodes["a"].reason.startswith("quicker at the worker: 1.0 s vs 9.0 s")

    asyncio.run(play())


@pytest.mark.parametrize("figures", [None, NEAR])
def test_no_worker_is_asked_where_nothing_is_to_be_gained(tmp_path: Path, figures: Given | None) -> None:
    async def play() -> None:
        async with sides(tmp_path, figures) as both:
            report = await both.run()
            assert (report.status, both.connections) == ("completed", 0)
            assert {side for side, _ in both.ran} == {"edge"}

    asyncio.run(play())


def test_without_its_worker_a_free_node_runs_here(tmp_path: Path) -> None:
    async def play() -> None:
        async with sides(tmp_path, FAR) as both:
            await both.server.stop()
            report = await both.run()
            assert report.status == "completed"
            assert both.ran == [("edge", "a"), ("edge", "b"), ("edge", "c")]
            assert report.nodes["a"].reason == "needs no worker"

    asyncio.run(play())


def test_free_nodes_that_have_not_ended_come_back_when_the_worker_is_lost(tmp_path: Path) -> None:
    async def play() -> None:
        async with sides(tmp_path, FAR) as both:
            both.hold = {"b"}
            running = asyncio.create_task(both.run())
            await both.held.wait()
            await both.known.wait()
            await both.server.stop()
            report = await running
            assert report.status == "completed"
            assert report.results == {"c": {"v": "hi"}}
            assert places(report) == {"a": "cloud", "b": "edge", "c": "edge"}
            assert report.nodes["b"].by["moved"] == "worker unreachable"
            assert report.nodes["b"].reason == "runs here as well: worker unreachable"
            records = [each.record for each in both.device.journal.records(parse_run_id(report.run))]
            assert [each.by.get("moved") for each in records if isinstance(each, Result)] == ["worker unreachable"] * 2

    asyncio.run(play())


def test_a_free_node_waits_if_that_is_said_of_it(tmp_path: Path) -> None:
    async def play() -> None:
        async with sides(tmp_path, FAR) as both:
            both.hold = {"b"}
            options = RunOptions(url=both.url, when_offline=Sayings(nodes={"b": "wait"}))
            running = asyncio.create_task(both.run(options))
            await both.held.wait()
            await both.server.stop()
            assert (await running).status == "suspended"

    asyncio.run(play())


def test_a_run_that_goes_on_keeps_its_places_while_it_has_a_part_at_the_worker(tmp_path: Path) -> None:
    async def play() -> None:
        async with sides(tmp_path, FAR) as both:
            both.hold = {"b"}
            running = asyncio.create_task(both.run())
            await both.held.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            row = next(iter(both.device.journal.runs(role="root")))
            submit = next(each.record for each in both.device.journal.records(row.run) if isinstance(each.record, Submit))
            kept = RunOptions.from_record(submit.opts["options"])
            assert kept.decided == {"a": "cloud", "b": "cloud", "c": "cloud"}
            both.device.estimator = lambda _graph, _offer, _url, _inject: NEAR  # it would have it all here now
            both.released.set()
            graph = Graph.of(load_text(GRAPH).data, set(both.device.agents))
            report = await resume_run(both.device, graph, replace(kept, url=both.url), row.run, name="g.yaml")
            assert (report.status, places(report)) == ("completed", {"a": "cloud", "b": "cloud", "c": "cloud"})
            assert both.ran == [("cloud", "a"), ("cloud", "b"), ("cloud", "c")]

    asyncio.run(play())


def test_what_is_behind_the_same_name_is_compared_by_its_file() -> None:
    device = Device(journal=None, agents=standard(), models=ScriptedModels([ScriptedModel("tiny")]))  # type: ignore[arg-type]
    assert set(known_digests(device, {"models": {"tiny": {}, "other": {}}})) == {"tiny"}
    assert known_digests(device, {}) == {}


SEVERAL = """\
version: 0.5
nodes:
  text: {value: hi}
  a: {agent: workAgent, isResult: true, inputs: {v: :text}, any: [{agent: farAgent, effect: none}, {agent: workAgent}]}
"""


def test_of_several_implementations_the_one_here_runs_when_the_worker_is_lost(tmp_path: Path) -> None:
    async def play() -> None:
        async with sides(tmp_path, None) as both:
            both.hold = {"a"}
            graph = Graph.of(load_text(SEVERAL).data, {*both.device.agents, "farAgent"})
            running = asyncio.create_task(run_graph(both.device, graph, both.options, name="g.yaml"))
            await both.held.wait()
            await both.server.stop()
            report = await running
            assert (report.status, report.results) == ("completed", {"a": {"v": "hi"}})
            assert {key: report.nodes["a"].by.get(key) for key in ("agent", "any", "moved", "degraded")} == {
                "agent": "workAgent",
                "any": 1,
                "moved": "worker unreachable",
                "degraded": None,
            }

    asyncio.run(play())


class Loaded(ScriptedModels):
    """Models of which a test says which are in memory."""

    def __init__(self, *names: str) -> None:
        super().__init__([ScriptedModel(name) for name in names])
        self.loaded = set(names)
        self.gone: set[str] = set()

    def names(self) -> Sequence[str]:
        return [name for name in super().names() if name not in self.gone]

    def describe(self, name: str) -> Any:
        return replace(super().describe(name), loaded=name in self.loaded)


def chooser(models: Loaded) -> Chooser:
    others = (Implementation(1, "edge", "other", {"model": "other"}), Implementation(2, "edge", None, {"agent": "rules"}))
    return Chooser(models, {"a": Placement("edge", "tiny is here", "tiny", implementation=0, others=others)})


def test_the_choice_stands_until_its_model_goes() -> None:
    models = Loaded("tiny", "other")
    choose = chooser(models)
    assert choose.better("a") is None
    assert choose.better("b") is None
    models.loaded = {"other"}
    assert choose.better("a") == Better({"model": "other"}, "tiny was evicted")
    models.loaded = set()
    assert choose.better("a") == Better({"agent": "rules"}, "tiny was evicted")
    models.loaded = {"tiny"}
    assert choose.better("a") is None
    models.gone = {"tiny"}
    assert choose.better("a") == Better({"model": "other"}, "tiny is gone")
    models.gone = {"tiny", "other"}
    assert choose.better("a") == Better({"agent": "rules"}, "tiny is gone")


def test_a_model_that_was_not_loaded_yet_was_not_evicted() -> None:
    models = Loaded("tiny", "other")
    models.loaded = set()
    assert chooser(models).better("a") is None


LOCAL = """\
version: 0.5
nodes:
  text: {value: hi}
  a: {agent: llmAgent, inputs: {prompt: :text}, any: [{model: tiny}, {model: other}]}
  b: {agent: llmAgent, isResult: true, inputs: {prompt: :a.text}, any: [{model: tiny}, {model: other}]}
"""


def test_what_runs_is_chosen_when_the_node_starts(tmp_path: Path) -> None:
    async def play() -> None:
        async with sides(tmp_path, None) as both:
            models = both.device.models = Loaded("tiny", "other")

            def see(event: Any) -> None:
                if event["event"] == "started":
                    models.loaded = {"other"}

            both.device.emit = see
            report = await both.run(text=LOCAL)
            assert report.status == "completed"
            made = {path: (each.by["model"], each.by["any"], each.by.get("moved")) for path, each in report.nodes.items()}
            assert made == {"a": ("tiny", 0, None), "b": ("other", 1, "tiny was evicted")}

    asyncio.run(play())


def test_a_model_that_one_node_loaded_is_seen_to_be_evicted_by_the_next(tmp_path: Path) -> None:
    """Nobody starts with it while it is in memory: it comes with the first node, and goes for one of another model."""

    async def play() -> None:
        async with sides(tmp_path, None) as both:
            models = both.device.models = Loaded("tiny", "other", "third")
            models.loaded = set()

            def see(event: Any) -> None:
                if event["event"] == "started":
                    models.loaded = {"third", "other"} if event["path"] == "c" else {"tiny", "other"}

            both.device.emit = see
            between = "  c: {agent: llmAgent, model: third, inputs: {prompt: :a.text}}\n  b:"
            report = await both.run(
                text=LOCAL.replace("  b:", between).replace(
                    "isResult: true, inputs: {prompt: :a", "isResult: true, inputs: {prompt: :c"
                )
            )
            assert {path: each.by.get("moved") for path, each in report.nodes.items()} == {
                "a": None,
                "c": None,
                "b": "tiny was evicted",
            }

    asyncio.run(play())


@pytest.mark.parametrize(
    ("low", "wishes", "side"), [(False, Wishes(), "edge"), (True, Wishes(), "cloud"), (True, Wishes("latency"), "edge")]
)
def test_a_device_whose_battery_is_nearly_empty_saves_energy(tmp_path: Path, low: bool, wishes: Wishes, side: str) -> None:
    async def play() -> None:
        async with sides(tmp_path, NEAR) as both:
            both.device.is_low = lambda: low
            report = await both.run(replace(both.options, wishes=wishes))
            assert report.status == "completed"
            assert {each for each, _ in both.ran} == {side}
            if side == "cloud":
                assert report.nodes["a"].reason == "takes less energy at the worker: 0 J vs 10 J"

    asyncio.run(play())


INTERNAL = """\
version: 0.5
nodes:
  memo: {value: figures, sensitivity: internal}
  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: ":memo"}}
"""


def test_what_a_worker_was_cleared_for_once_is_asked_again_before_a_run_is_refused(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "g.yaml").write_text(INTERNAL, encoding="utf-8")
    (own_home / "edge").mkdir(parents=True, exist_ok=True)
    config = own_home / "edge" / "config.yaml"
    config.write_text("sensitivity: {internal: [edge, cloud]}\n", encoding="utf-8")
    with worker(own_home, clearance=["internal"]) as served:
        url = ("--cloud", served.url)
        other = cli("plan", "g.yaml", *url)  # `cloud` is the worker of the configuration, which is another one, if any
        assert f'`sensitivity: {{internal: [edge, "{served.url}"]}}`' in other.stderr
        config.write_text(f"cloud: {{url: '{served.url}'}}\nsensitivity: {{internal: [edge, cloud]}}\n", encoding="utf-8")
        assert cli("plan", "g.yaml", "--refresh", *url).status == 0
        with Journal.open(own_home / "edge" / "journal.db") as journal:
            keep_offer(journal, served.url, {**(last_offer(journal, served.url) or {}), "clearance": []})
            journal.flush()
        planned = cli("plan", "g.yaml", *url)
        assert (planned.status, "the worker is not cleared for that" in planned.stderr) == (2, True)
        assert "--refresh asks it again" in planned.stderr
        assert cli("run", "g.yaml", "--offline", *url).status == 2
        assert cli("run", "g.yaml", *url).status == 0
    with worker(own_home) as served:
        config.write_text(f"cloud: {{url: '{served.url}'}}\nsensitivity: {{internal: [edge, cloud]}}\n", encoding="utf-8")
        refused = cli("run", "g.yaml")
        assert (refused.status, "the worker is not cleared for that" in refused.stderr) == (2, True)
