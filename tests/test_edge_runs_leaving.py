"""Nodes that are placed on the device and leave it as facts change: a device and a worker in this process, a real link between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.runs import leaving, places as choosing
from edge.runs.resuming import resume_run
from edge.runs.runner import run_graph
from graphs.agents import standard
from graphs.errors import LinkCondition, WorkerUnreachable
from graphs.journal import Journal
from graphs.journal.ids import parse_run_id
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.registry import Agent, Registry
from placing import Given

GRAPH = """\
version: 0.5
nodes:
  text: {value: hi}
  a: {agent: workAgent, inputs: {v: :text}}
  b: {agent: workAgent, inputs: {v: :a.v, w: :text}}
  c: {agent: workAgent, isResult: true, inputs: {v: :b.v}}
"""


class Both:
    """A device and its worker. `ran` says who ran which node; `busy` are nodes whose model takes nothing on here, or there; `at` is called when a
    node of the device runs, `there` when one of the worker does.
    """

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []
        self.busy: set[tuple[str, str]] = set()
        self.at: Callable[[str], Any] = lambda _path: None
        self.there: Callable[[str], Any] = lambda _path: None
        self.server: WorkerServer
        self.device: Device
        self.url = ""
        self.hidden = False
        """Whether the worker cannot be reached."""
        self.asked = asyncio.Event()

    def agents(self, side: str) -> Registry:
        async def work(context: Any) -> Any:
            self.ran.append((side, context.path))
            if side == "edge" and (waits := self.at(context.path)) is not None:
                await waits
            if side == "cloud" and (waits := self.there(context.path)) is not None:
                await waits
            if (side, context.path) in self.busy:
                raise LinkCondition("BUSY", "64 requests wait for it already.")
            return dict(context.inputs)

        others = (Agent(name, work, effect="none") for name in ("workAgent", "otherAgent"))
        return Registry([*standard().values(), *others, Agent("actAgent", work)])

    async def connect(self, url: str, token: str | None, journal: Journal, runs: Sequence[bytes]) -> Any:
        if self.hidden:
            raise WorkerUnreachable(url, "nobody is there")
        self.asked.set()
        return await connect_worker(url, token=token, journal=journal, runs=runs, grace=0.05)

    async def run(self, text: str = GRAPH, **options: Any) -> Any:
        graph = Graph.of(load_text(text).data, set(self.device.agents))
        return await run_graph(self.device, graph, RunOptions(url=self.url, **options), name="g.yaml")

    async def resume(self, run: bytes, text: str = GRAPH) -> Any:
        graph = Graph.of(load_text(text).data, set(self.device.agents))
        return await resume_run(self.device, graph, RunOptions(url=self.url), run, name="g.yaml")


@asynccontextmanager
async def both(folder: Path, figures: Given | None = None) -> AsyncIterator[Both]:
    made = Both()
    with Journal.open(folder / "edge.db") as edge, Journal.open(folder / "cloud.db") as cloud:
        made.server = WorkerServer(Worker(cloud, made.agents("cloud"), ScriptedModels([ScriptedModel("tiny")])))
        made.url = await made.server.start()
        made.device = Device(
            journal=edge,
            agents=made.agents("edge"),
            models=ScriptedModels([ScriptedModel("tiny")]),
            connect=made.connect,
            estimator=(lambda _graph, _offer, _url, _inject: figures) if figures is not None else None,
        )
        await made.run("version: 0.5\nnodes:\n  far: {agent: copyAgent, place: cloud}\n")  # so that there is an offer
        try:
            yield made
        finally:
            await made.server.stop()


def play(tmp_path: Path, what: Callable[[Both], Any], figures: Given | None = None) -> None:
    async def main() -> None:
        async with both(tmp_path, figures) as sides:
            await what(sides)

    asyncio.run(asyncio.wait_for(main(), 120))


def test_a_node_whose_model_is_busy_here_runs_at_the_worker(tmp_path: Path) -> None:
    async def run(sides: Both) -> None:
        sides.busy = {("edge", "b")}
        report = await sides.run()
        assert (report.status, report.results) == ("completed", {"c": {"v": "hi"}})
        assert sides.ran == [("edge", "a"), ("edge", "b"), ("cloud", "b"), ("edge", "c")]
        assert {path: each.place for path, each in report.nodes.items()} == {"a": "edge", "b": "cloud", "c": "edge"}
        assert report.nodes["b"].reason == "goes to the worker after all: workAgent is busy"
        assert (report.nodes["b"].by["agent"], report.nodes["b"].ms is None) == ("workAgent", False)

    play(tmp_path, run)


def test_where_the_worker_is_not_reached_it_is_tried_here_once_more_and_then_waits(tmp_path: Path) -> None:
    async def run(sides: Both) -> None:
        sides.hidden, sides.busy = True, {("edge", "b")}
        report = await sides.run()
        assert report.status == "suspended"
        assert sides.ran == [("edge", "a"), ("edge", "b"), ("edge", "b")]
        sides.busy = set()
        again = await sides.resume(parse_run_id(report.run))
        assert (again.status, again.results) == ("completed", {"c": {"v": "hi"}})

    play(tmp_path, run)


def test_one_whose_worker_is_lost_meanwhile_runs_here(tmp_path: Path) -> None:
    async def run(sides: Both) -> None:
        sides.busy = {("edge", "b"), ("cloud", "b")}  # there it waits, as its model takes nothing on
        running = asyncio.create_task(sides.run())
        while ("cloud", "b") not in sides.ran:  # noqa: ASYNC110 - the agent tells nobody
            await asyncio.sleep(0)
        sides.busy = set()
        await sides.server.stop()
        report = await running
        assert (report.status, report.results) == ("completed", {"c": {"v": "hi"}})
        assert report.nodes["b"].place == "edge"

    play(tmp_path, run)


ROWS = """\
version: 0.5
nodes:
  rows: {value: [x, y, z]}
  word: {agent: workAgent, inputs: {v: hello}}
  each:
    agent: mapAgent
    isResult: true
    inputs: {rows: :rows, word: :word.v}
    params: {compositeResult: true}
    graph:
      nodes:
        before: {agent: otherAgent, inputs: {row: :row}}
        say: {agent: workAgent, isResult: true, inputs: {row: :before.row, word: :word}}
"""


def test_rows_of_a_map_leave_one_by_one(tmp_path: Path) -> None:
    async def run(sides: Both) -> None:
        sides.busy = {("edge", "each[1]/say")}
        report = await sides.run(ROWS)
        assert report.status == "completed"
        assert report.results["each"]["say"] == [{"row": row, "word": "hello"} for row in "xyz"]
        assert [path for side, path in sides.ran if side == "cloud"] == ["each[1]/say"]

    play(tmp_path, run)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (GRAPH.replace("b: {agent: workAgent", "b: {agent: actAgent"), {}),
        (GRAPH.replace("b: {agent: workAgent", "b: {place: edge, agent: workAgent"), {}),
        (GRAPH.replace("version: 0.5", "version: 0.5\nloop: {count: 2}"), {}),
        (GRAPH.replace("{value: hi}", "{value: hi, sensitivity: private}"), {}),
        (GRAPH, {"local_only": True}),
        (GRAPH, {"offline": True}),
        (GRAPH, {"budget": {"tokens": 1000.0}}),
    ],
)
def test_what_may_not_leave_waits(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    async def run(sides: Both) -> None:
        sides.busy = {("edge", "b")}
        sides.asked.clear()
        report = await sides.run(text, **options)
        assert report.status == "suspended"
        assert not [path for side, path in sides.ran if side == "cloud"]
        assert not sides.asked.is_set()

    play(tmp_path, run)


SEVERAL = """\
version: 0.5
nodes:
  text: {value: hi}
  a: {agent: workAgent, isResult: true, inputs: {v: :text}, any: [{agent: workAgent}, {agent: otherAgent}]}
"""


def test_of_several_implementations_the_next_runs_when_one_is_busy(tmp_path: Path) -> None:
    async def run(sides: Both) -> None:
        tries = iter([LinkCondition("BUSY", "it is full")])

        async def full() -> None:
            if (error := next(tries, None)) is not None:
                raise error

        sides.at = lambda _path: full()
        report = await sides.run(SEVERAL)
        assert (report.status, report.results) == ("completed", {"a": {"v": "hi"}})
        assert {key: report.nodes["a"].by.get(key) for key in ("agent", "any", "moved")} == {
            "agent": "otherAgent",
            "any": 1,
            "moved": "workAgent is busy",
        }
        assert sides.ran == [("edge", "a"), ("edge", "a")]

    play(tmp_path, run)


def test_nodes_that_are_not_started_leave_when_the_battery_becomes_nearly_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "_LOOK", 0.0)

    async def run(sides: Both) -> None:
        low = [False]
        sides.device.is_low = lambda: low[0]
        sides.at = lambda path: low.__setitem__(0, path == "a" or low[0])
        report = await sides.run()
        assert (report.status, report.results) == ("completed", {"c": {"v": "hi"}})
        assert sides.ran == [("edge", "a"), ("cloud", "b"), ("cloud", "c")]
        assert report.nodes["c"].reason == "goes to the worker after all: the battery is nearly empty"

    play(tmp_path, run)


def test_nodes_that_would_be_at_the_worker_go_there_once_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = Given({"a": (9.0, 1.0), "b": (9.0, 1.0), "c": (9.0, 1.0)}, rtt=0.01)

    async def run(sides: Both) -> None:
        found = once_found(sides, monkeypatch)
        sides.at = lambda path: found() if path == "a" else None
        report = await sides.run()
        assert (report.status, report.results) == ("completed", {"c": {"v": "hi"}})
        assert sides.ran == [("edge", "a"), ("cloud", "b"), ("cloud", "c")]
        assert report.nodes["b"].reason == "goes to the worker after all: the worker is reached"

    play(tmp_path, run, figures)


WAITS = """\
version: 0.5
nodes:
  text: {value: hi}
  far: {agent: actAgent, place: cloud, inputs: {v: :text}}
  alike: {agent: workAgent, place: {at: cloud, offline: local, local: {agent: otherAgent}}, inputs: {v: :text}}
  last: {agent: workAgent, place: cloud, isResult: true, inputs: {v: :far.v, w: :alike.v, x: :slow.v}}
  slow: {agent: otherAgent, place: edge, inputs: {v: :text}}
  rows: {value: [x, y]}
  each:
    agent: mapAgent
    place: edge
    isResult: true
    inputs: {rows: :rows, slow: :slow.v}
    params: {compositeResult: true}
    graph:
      nodes:
        near: {agent: otherAgent, place: edge, inputs: {v: :row}}
        say: {agent: actAgent, place: cloud, isResult: true, inputs: {v: :near.v}}
"""


def once_found(sides: Both, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Hides the worker; to be awaited: lets it be found, and returns once the run has it."""
    monkeypatch.setattr(leaving, "_AGAIN", 0.0)
    runs: list[Any] = []
    begin = leaving.Leaving.begin

    def note(self: Any, *arguments: Any) -> None:
        runs.append(self)
        begin(self, *arguments)

    async def found() -> None:
        sides.hidden = False
        async with asyncio.timeout(120):
            while not runs[0].found:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.001)

    monkeypatch.setattr(leaving.Leaving, "begin", note)
    sides.hidden = True
    return found


@pytest.mark.parametrize("limit", ["", "concurrency: 2\n"])
def test_nodes_that_wait_for_the_worker_go_out_once_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Whether they waited already, or begin later; in frames that opened before and after; each of them once."""

    async def run(sides: Both) -> None:
        found = once_found(sides, monkeypatch)
        sides.at = lambda path: found() if path == "slow" else None
        report = await sides.run(limit + WAITS)
        assert report.status == "completed", report.errors
        assert report.results["last"] == {"v": "hi", "w": "hi", "x": "hi"}
        assert report.results["each"]["say"] == [{"v": "x"}, {"v": "y"}]
        there = sorted(path for side, path in sides.ran if side == "cloud")
        assert there == ["each[0]/say", "each[1]/say", "far", "last"]
        assert ("edge", "alike") in sides.ran, "its alternative was done here before"
        assert report.nodes["alike"].degraded == "unreachable"

    play(tmp_path, run)


def test_in_a_loop_they_go_out_from_the_turn_in_which_the_worker_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """\
version: 0.5
loop: {count: 3}
nodes:
  number: {value: 1, update: :plus.v}
  slow: {agent: otherAgent, place: edge, inputs: {v: :number}}
  far: {agent: workAgent, place: {at: cloud, offline: local, local: {agent: otherAgent}}, inputs: {v: :number}}
  plus: {agent: workAgent, place: {at: cloud}, isResult: true, inputs: {v: :far.v, w: :slow.v}}
"""

    async def run(sides: Both) -> None:
        found = once_found(sides, monkeypatch)
        sides.at = lambda path: found() if path == "slow" else None
        report = await sides.run(text)
        assert (report.status, report.results) == ("completed", {"plus": {"v": 1, "w": 1}}), report.errors
        there = sorted(path for side, path in sides.ran if side == "cloud")
        assert there == ["far#1", "far#2", "plus", "plus#1", "plus#2"]

    play(tmp_path, run)


def test_a_worker_that_is_found_and_lacks_what_they_need_gets_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(sides: Both) -> None:
        found = once_found(sides, monkeypatch)
        sides.at = lambda path: found() if path == "slow" else None
        text = WAITS.replace("last: {agent: workAgent", "last: {agent: newAgent")
        sides.device.agents = Registry([*sides.device.agents.values(), Agent("newAgent", lambda context: dict(context.inputs))])
        report = await sides.run(text)
        assert report.status == "suspended"
        assert not [path for side, path in sides.ran if side == "cloud"]

    play(tmp_path, run)


def test_a_run_that_stopped_while_a_node_was_away_is_gone_on_with(tmp_path: Path) -> None:
    async def run(sides: Both) -> None:
        sides.busy = {("edge", "b"), ("cloud", "b")}
        running = asyncio.create_task(sides.run())
        while ("cloud", "b") not in sides.ran:  # noqa: ASYNC110 - the agent tells nobody
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        sides.busy = set()
        row = next(each for each in sides.device.journal.runs() if each.role == "root" and each.status != "completed")
        report = await sides.resume(row.run)
        assert (report.status, report.results) == ("completed", {"c": {"v": "hi"}})

    play(tmp_path, run)


def test_a_resumed_run_goes_on_with_its_own_part_and_not_with_what_one_node_left_for(tmp_path: Path) -> None:
    text = GRAPH + "  far: {agent: workAgent, place: cloud, isResult: true, inputs: {v: :text}}\n"

    async def run(sides: Both) -> None:
        sides.busy, held = {("edge", "b"), ("cloud", "b")}, asyncio.Event()
        sides.there = lambda path: held.wait() if path == "far" else None
        running = asyncio.create_task(sides.run(text))
        while ("cloud", "b") not in sides.ran or ("cloud", "far") not in sides.ran:  # noqa: ASYNC110 - the agent tells nobody
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        sides.busy = set()
        held.set()
        row = next(each for each in sides.device.journal.runs() if each.role == "root" and each.status != "completed")
        report = await sides.resume(row.run, text)
        assert (report.status, report.results) == ("completed", {"c": {"v": "hi"}, "far": {"v": "hi"}}), report
        assert sides.ran.count(("cloud", "far")) == 1, "what the worker was at went on"

    play(tmp_path, run)


def test_what_is_meant_by_a_way_out_is_what_the_node_says(tmp_path: Path) -> None:
    async def run(sides: Both) -> None:
        found: list[Any] = []
        ways_out = leaving.ways_out

        def note(run: Any) -> Any:
            found.append(ways_out(run))
            return found[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("edge.runs.runner.ways_out", note)
            await sides.run()
        assert set(found[0]) == {"a", "b", "c"}
        assert found[0]["a"] == leaving.WayOut({"agent": "workAgent", "inputs": {"v": ":text"}}, None)

    play(tmp_path, run)


def test_a_device_that_never_met_a_worker_keeps_its_nodes(tmp_path: Path) -> None:
    async def main() -> None:
        with Journal.open(tmp_path / "alone.db") as journal:
            sides = Both()
            device = Device(journal=journal, agents=sides.agents("edge"), models=ScriptedModels([]), connect=sides.connect)
            sides.device, sides.busy = device, {("edge", "b")}
            report = await sides.run()
            assert report.status == "suspended"
            assert replace(RunOptions(), url=None).unasked() is not None

    asyncio.run(main())
