"""Labelled values that are cleared for the worker travel there, by handle, and what is made of them carries their labels."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from canaries.planted import registry
from cloud.access import Access
from cloud.accounts import Account
from cloud.devices import token_hash
from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.pairings import link_url
from edge.privacy.clearance import Clearance
from edge.runs.runner import run_graph
from edge.syncing.sync import converge
from graphs.journal import Journal
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModels
from graphs.records import Error, Event, Input, Result, decode
from protocol.noted import Noted, noted
from protocol.payload import reference

AGENTS = registry()


def run(tmp_path: Path, text: str, *, clearance: frozenset[str], let_go: tuple[str, ...] = ("private",), **options: Any) -> Any:
    """The report, and the records of the child run by (type, path)."""

    async def main() -> Any:
        account = Account("default", clearance=clearance, tokens={"t": f"sha256:{token_hash('t').hex()}"})
        with Journal.open(tmp_path / "w.db") as of_worker, Journal.open(tmp_path / "d.db") as journal:
            server = WorkerServer(Worker(of_worker, AGENTS, ScriptedModels()), access=Access({"default": account}))
            url = await server.start()
            allowed = Clearance({label: frozenset({link_url(url)}) for label in let_go})

            async def connect(url: str, token: str | None, journal: Journal, runs: Any) -> Any:
                return await connect_worker(url, token=token, journal=journal, runs=runs, clearance=allowed)

            device = Device(journal=journal, agents=AGENTS, models=ScriptedModels(), connect=connect, clearance=allowed)
            try:
                graph = Graph.of(load_text(text).data, AGENTS)
                report = await run_graph(device, graph, RunOptions(url=url, token="t", **options), name="g")
                root = journal.runs(role="root")[0].run
                records: dict[Any, Any] = {}
                for child in journal.children(root):
                    for writer in journal.writers(child.run):
                        for entry in journal.entries(child.run, writer, 0):
                            record = decode(entry.type, entry.tail)
                            records[type(record), getattr(record, "path", None)] = record
                if options.get("sync"):
                    done = await converge(journal, lambda runs: connect(url, "t", journal, runs))
                    records["refused"] = {code for code, _ in done.refused.values()}
                    copies = of_worker.records(root) if of_worker.knows(root) else ()
                    records["copied"] = {
                        logged.record.path: logged.record for logged in copies if isinstance(logged.record, Result)
                    }
                return report, records, (noted(journal, root) or Noted()).labels
            finally:
                await server.stop()

    return asyncio.run(asyncio.wait_for(main(), 120))


GRAPH = """\
version: 0.5
nodes:
  letter: {value: {text: My knee hurts., flag: false}, sensitivity: private}
  near: {agent: copyAgent, place: edge, inputs: {t: ":letter.text"}}
  song: {agent: songAgent, place: cloud, isResult: true, inputs: {t: ":near.t"}}
  bad: {agent: mixAgent, place: cloud, inputs: {t: ":letter"}, params: {fails: 9, says: no}}
  open: {agent: mixAgent, place: cloud, isResult: true, inputs: {t: hello}}
  end: {agent: mixAgent, place: edge, isResult: true, inputs: {t: ":song.text", u: ":open.text"}}
"""


def test_what_is_cleared_goes_by_handle_and_comes_back_by_handle(tmp_path: Path) -> None:
    report, records, noted = run(tmp_path, GRAPH, clearance=frozenset({"private"}))
    assert report.nodes["song"].place == "cloud"
    assert report.results["song"]["text"] == "My knee hurts."
    assert "My knee hurts." in report.results["end"]["text"]
    assert "over" in str(report.errors["bad"])
    for value in (
        records[Input, "near"].value,
        records[Result, "song"].value,
        records[Error, "bad"].text,
        records[Error, "bad"].detail,
    ):
        named = reference(value)
        assert named is not None
        assert (named.is_handle, named.labels) == (True, ("private",))
    assert records[Error, "bad"].code == "NODE_FAILED"
    assert records[Event, "song"].info["labels"] == ["private"]
    assert isinstance(records[Result, "open"].value, dict), "what has no labels is inline"
    assert noted == {"private"}


def test_both_sides_have_to_agree(tmp_path: Path) -> None:
    free = GRAPH.replace('place: cloud, isResult: true, inputs: {t: ":near', 'isResult: true, inputs: {t: ":near').replace(
        "bad: {agent: mixAgent, place: cloud", "bad: {agent: mixAgent"
    )
    for number, (clearance, let_go) in enumerate([(frozenset[str](), ("private",)), (frozenset({"private"}), ())]):
        folder = tmp_path / str(number)
        folder.mkdir()
        report, records, _ = run(folder, free, clearance=clearance, let_go=let_go)
        assert {report.nodes[name].place for name in ("song", "bad", "end")} == {"edge"}
        assert report.nodes["open"].place == "cloud"
        assert (Input, "near") not in records


LOOP = """\
version: 0.5
loop: {count: 3}
nodes:
  key: {value: K, sensitivity: private}
  state: {value: a, update: ":grow.text"}
  grow: {agent: mixAgent, place: cloud, isResult: true, inputs: {t: ":state", k: ":key"}}
"""


def test_a_loop_with_labels_turns_at_the_worker_as_here(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    there, records, _ = run(tmp_path / "there", LOOP, clearance=frozenset({"private"}))
    here, _, _ = run(tmp_path / "here", LOOP.replace("cloud", "edge"), clearance=frozenset())
    assert there.results == here.results
    assert {path for kind, path in records if kind is Result} == {"grow", "grow#1", "grow#2"}


MAP = """\
version: 0.5
nodes:
  people: {value: [Ann, Bob], sensitivity: private}
  each:
    agent: mapAgent
    isResult: true
    inputs: {rows: ":people"}
    graph:
      nodes:
        near: {agent: copyAgent, place: edge, inputs: {t: ":row"}}
        far: {agent: mixAgent, place: cloud, isResult: true, inputs: {t: ":near.t"}}
"""


def test_rows_with_labels_are_split_between_device_and_worker(tmp_path: Path) -> None:
    report, records, _ = run(tmp_path, MAP, clearance=frozenset({"private"}))
    assert [row["far"]["text"] for row in report.results["each"]] == ["Ann", "Bob"]
    assert {report.nodes[f"each[{row}]/far"].place for row in (0, 1)} == {"cloud"}
    named = reference(records[Input, "each[1]/near"].value)
    assert named is not None
    assert named.labels == ("private",)


LARGE = """\
version: 0.5
nodes:
  letter: {value: My knee hurts., sensitivity: private}
  padded: {agent: mixAgent, place: edge, isResult: true, inputs: {t: ":letter"}, params: {large: true}}
"""


def test_a_marked_run_is_copied_where_its_labels_may_go_its_large_values_by_handle(tmp_path: Path) -> None:
    report, records, _ = run(tmp_path, LARGE, clearance=frozenset({"private"}), sync=True)
    assert (report.status, records["refused"]) == ("completed", set())
    named = reference(records["copied"]["padded"].value)
    assert named is not None
    assert (named.is_handle, named.labels) == (True, ("private",))


def test_it_is_not_copied_elsewhere(tmp_path: Path) -> None:
    for number, (clearance, let_go) in enumerate([(frozenset[str](), ("private",)), (frozenset({"private"}), ())]):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, records, _ = run(folder, LARGE, clearance=clearance, let_go=let_go, sync=True)
        assert (records["refused"], records["copied"]) == ({"LABEL_WITHHELD"}, {})
