"""A run moves: to the worker, back, and on to another device; never do two stores go on with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import CommandLine
from fleet import edge, logs, move, run, sync
from graphs.engine.holding import Holding, holding
from graphs.engine.outcomes import KEY
from graphs.environment import ExitStatus
from graphs.journal import Journal
from graphs.records import Handover, Result
from graphs.values import clean
from logbook import until
from workers import ServedWorker

LID = """\
version: 0.5
nodes:
  topic: {value: the tide}
  there: {agent: llmAgent, model: large, inputs: {prompt: :topic}}
  again: {agent: llmAgent, model: large, inputs: {prompt: :there.text}}
  last: {agent: llmAgent, model: scripted, place: edge, isResult: true, inputs: {prompt: :again.text}}
"""


def view(home: Path, run_id: str) -> tuple[bytes, Holding | None]:
    """A store's id, and who holds the run as far as it knows."""
    with Journal.open(home / "journal.db") as journal:
        root = journal.run(run_id).run
        return journal.store_id, holding((logged.writer, logged.record) for logged in journal.records(root))


def results(home: Path, run_id: str) -> list[str]:
    with Journal.open(home / "journal.db") as journal:
        root = journal.run(run_id).run
        found = [root, *(child.run for child in journal.children(root))]
        return sorted(each.record.path for run in found for each in journal.records(run) if isinstance(each.record, Result))


def family(cli: CommandLine, run_id: str) -> list[bytes]:
    """A run and its child runs."""
    with Journal.open(edge(cli) / "journal.db") as journal:
        root = journal.run(run_id).run
        return [root, *(child.run for child in journal.children(root))]


def pushed(laptop: CommandLine, served: ServedWorker, own_home: Path) -> str:
    """A run that the worker has gone on with as far as it can."""
    begun = run(laptop, LID, "--offline", "--sync", status=ExitStatus.UNREACHABLE)["run"]
    outcome = laptop("runs", "push", begun, "--continue", "--cloud", served.url)
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
    until(lambda: results(own_home / "cloud", begun) == ["again", "there"])
    return str(begun)


def test_the_worker_finishes_what_it_may(served: ServedWorker, device: Callable[[], CommandLine], own_home: Path) -> None:
    laptop, other = device(), device()
    begun = pushed(laptop, served, own_home)
    assert json.loads(laptop("runs", "--json").stdout)[0]["ahead"] == 0, "the worker has all of it"
    refused = laptop("resume", begun, "--cloud", served.url)
    assert refused.status == ExitStatus.USAGE
    worker_store, _ = view(own_home / "cloud", begun)
    assert worker_store.hex() in refused.stderr
    assert sync(laptop, served)["went_on"] == []
    assert results(edge(laptop), begun) == ["again", "there"]

    sync(other, served)
    assert other("resume", begun, "--cloud", served.url).status == ExitStatus.USAGE
    pulled = other("runs", "pull", begun, "--cloud", served.url)
    assert pulled.status == ExitStatus.COMPLETED, pulled.stderr
    outcome = other("resume", begun, "--cloud", served.url, "--json")
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
    assert set(json.loads(outcome.stdout)["results"]) == {"last"}
    sync(other, served)
    sync(laptop, served)
    assert logs(edge(laptop), begun) == logs(edge(other), begun) == logs(own_home / "cloud", begun)
    assert results(edge(laptop), begun) == ["again", "last", "there"], "nothing was done twice"
    shown = json.loads(laptop("runs", "show", begun, "--json").stdout)["records"]
    places = {each["path"]: each["place"] for each in shown if each["type"] == "result"}
    assert places == {"there": "cloud", "again": "cloud", "last": "edge"}, "a result was made where its maker is"
    assert json.loads(laptop("runs", "show", begun, "--json").stdout)["status"] == "completed"


def test_it_comes_back(served: ServedWorker, device: Callable[[], CommandLine], own_home: Path) -> None:
    laptop = device()
    begun = pushed(laptop, served, own_home)
    assert laptop("runs", "pull", begun, "--cloud", served.url).status == ExitStatus.COMPLETED
    outcome = laptop("resume", begun, "--cloud", served.url, "--json")
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
    assert results(edge(laptop), begun) == ["again", "last", "there"]


def test_what_a_fork_may_keep_is_kept_by_the_worker_as_well(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    """What is done again comes to the same: what reads it holds, also the node that only the device could run."""
    laptop = device()
    first = run(laptop, LID, "--cloud", served.url, "--all")
    replayed = laptop("runs", "replay", first["run"], "--from", "there", "--offline", "--json")
    assert replayed.status == ExitStatus.UNREACHABLE, replayed.stderr
    fork = json.loads(replayed.stdout)["run"]
    pushed = laptop("runs", "push", fork, "--continue", "--cloud", served.url)
    assert pushed.status == ExitStatus.COMPLETED, pushed.stderr
    until(lambda: results(own_home / "cloud", fork).count("last") == 2)  # under its key, and counting
    with Journal.open(own_home / "cloud" / "journal.db") as journal:
        root = journal.run(fork).run
        records = [each.record for each in journal.records(root, journal.store_id)]
        made = {each.path: each for each in records if isinstance(each, Result)}
    assert set(made) == {"there", "again", "last"}
    assert "from" not in made["there"].by, "it is made anew"
    assert {made[path].by["from"][0].hex() for path in ("again", "last")} <= {row.hex() for row in family(laptop, first["run"])}
    assert all(KEY not in each.by for each in made.values())
    sync(laptop, served)
    assert json.loads(laptop("runs", "show", fork, "--json").stdout)["status"] == "completed"
    assert clean(made["last"].value) == first["results"]["last"]


def test_of_two_that_ask_at_once_one_gets_it(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.syncing.handover._PATIENCE", 3.0)
    laptop, *others = (device() for _ in range(4))
    begun = pushed(laptop, served, own_home)
    for other in others:
        sync(other, served)
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda cli: cli("runs", "pull", begun, "--cloud", served.url), others))
    assert sorted(outcome.status for outcome in outcomes) == [ExitStatus.COMPLETED, ExitStatus.USAGE, ExitStatus.USAGE]
    homes = [own_home / "cloud", *(edge(each) for each in (laptop, *others))]
    holders = [store for store, seen in (view(home, begun) for home in homes) if seen is not None and seen.holder == store]
    assert len(holders) == 1
    winner = next(other for other, outcome in zip(others, outcomes, strict=True) if outcome.status == ExitStatus.COMPLETED)
    assert winner("resume", begun, "--cloud", served.url).status == ExitStatus.COMPLETED
    for each in (winner, laptop, *others):
        sync(each, served)
    assert results(edge(laptop), begun) == ["again", "last", "there"]


ASKS = """\
version: 0.5
nodes:
  there: {agent: llmAgent, model: large, inputs: {prompt: the tide}}
  ok: {agent: humanAgent, inputs: {draft: :there.text}, params: {mode: approve, prompt: Send it?}}
  sent: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: "${:there.text} ${:ok.approved}"}}
"""


def test_a_run_that_rests_with_a_part_open_at_the_worker_is_given(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    laptop, desk = device(), device()
    run_id = run(laptop, ASKS, "--cloud", served.url, "--sync", status=ExitStatus.SUSPENDED)["run"]
    with Journal.open(edge(laptop) / "journal.db") as journal:
        root = journal.run(run_id).run
        assert [child.status for child in journal.children(root)] == ["running"], "it waits for the answer"
    move(laptop, served)
    with ThreadPoolExecutor() as threads:
        asking = threads.submit(desk, "runs", "pull", run_id, "--cloud", served.url)
        while not asking.done():
            move(laptop, served)
        assert asking.result().status == 0, asking.result().stderr
    assert desk("answer", run_id, "ok", "yes").status == 0
    outcome = desk("resume", run_id, "--cloud", served.url, "--json")
    assert outcome.status == 0, outcome.stderr
    assert "true" in json.loads(outcome.stdout)["results"]["sent"]["text"]
    sync(desk, served)
    sync(laptop, served)
    assert logs(edge(laptop), run_id) == logs(edge(desk), run_id)
    assert results(edge(laptop), run_id).count("there") == 1
    mine, there = view(edge(laptop), run_id), view(edge(desk), run_id)
    assert mine[1] == there[1]
    assert mine[1] is not None
    assert mine[1].holder == there[0]


def test_a_silent_holder_keeps_its_run(
    served: ServedWorker, device: Callable[[], CommandLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.syncing.handover._PATIENCE", 0.3)
    laptop, other = device(), device()
    begun = run(laptop, LID, "--offline", "--sync", status=ExitStatus.UNREACHABLE)["run"]
    move(laptop, served)
    asked = other("runs", "pull", begun, "--cloud", served.url)
    assert asked.status == ExitStatus.USAGE
    store, _ = view(edge(laptop), begun)
    assert store.hex() in asked.stderr
    move(laptop, served)  # it is here again, its run rests, and it was asked
    assert other("runs", "pull", begun, "--cloud", served.url).status == ExitStatus.COMPLETED
    assert laptop("resume", begun, "--cloud", served.url).status == ExitStatus.USAGE
    outcome = other("resume", begun, "--cloud", served.url)
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr


def test_a_run_that_goes_on_here_is_not_pushed(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    from edge.runs.at_work import at_work

    laptop = device()
    begun = run(laptop, LID, "--offline", "--sync", status=ExitStatus.UNREACHABLE)["run"]
    with at_work(edge(laptop) / "journal.db", bytes.fromhex(begun.replace("-", ""))):
        outcome = laptop("runs", "push", begun, "--continue", "--cloud", served.url)
    assert outcome.status == ExitStatus.USAGE
    assert "another process" in outcome.stderr
    with Journal.open(edge(laptop) / "journal.db") as journal:
        root = journal.run(begun).run
        assert not [each for each in journal.records(root) if isinstance(each.record, Handover)]


def test_a_run_with_labels_is_not_handed_over(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    labelled = LID.replace("{value: the tide}", "{value: the tide, sensitivity: private}").replace(
        "model: large", "model: scripted"
    )
    text = labelled + "  far: {agent: llmAgent, model: large, inputs: {prompt: hello}}\n"
    begun = run(laptop, text, "--offline", status=ExitStatus.SUSPENDED)["run"]
    outcome = laptop("runs", "push", begun, "--continue", "--cloud", served.url)
    assert outcome.status != ExitStatus.COMPLETED
    assert "private" in outcome.stderr
    store, seen = view(edge(laptop), begun)
    assert seen is not None
    assert seen.holder == store
    assert laptop("resume", begun, "--cloud", served.url).status == ExitStatus.COMPLETED


def test_the_worker_ends_what_it_holds_when_a_device_says_so(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    laptop, other = device(), device()
    begun = pushed(laptop, served, own_home)
    sync(other, served)
    assert other("runs", "cancel", begun).status == ExitStatus.COMPLETED
    sync(other, served)

    def over() -> bool:
        _, seen = view(own_home / "cloud", begun)
        return seen is not None and seen.over

    until(over)
    for each in (laptop, other):
        sync(each, served)
        assert json.loads(each("runs", "show", begun, "--json").stdout)["status"] == "cancelled"
    assert logs(edge(laptop), begun) == logs(edge(other), begun) == logs(own_home / "cloud", begun)


def test_a_run_that_began_with_a_large_value_is_handed_over_though_it_was_not_marked(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    laptop = device()
    topic = json.dumps({"short": "the ebb", "long": "x" * 300_000})
    text = LID.replace("{prompt: :topic}", "{prompt: :topic.short}")
    begun = run(laptop, text, "--offline", "--set", f"topic={topic}", status=ExitStatus.UNREACHABLE)["run"]
    outcome = laptop("runs", "push", begun, "--continue", "--cloud", served.url)
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
    until(lambda: results(own_home / "cloud", begun) == ["again", "there"])
    with Journal.open(own_home / "cloud" / "journal.db") as journal:
        made = [each.record for each in journal.records(journal.run(begun).run) if isinstance(each.record, Result)]
    assert "the ebb" in made[0].value["text"]


def test_a_damaged_value_stops_the_run_at_the_worker_and_devices_do_not_read_where_it_lies(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    laptop, cloud = device(), own_home / "cloud"
    asked = "  may: {agent: humanAgent, inputs: {prompt: May it?}}\n  there:"
    text = LID.replace("{prompt: :topic}", "{prompt: :topic.short, of: :may}").replace("  there:", asked)
    topic = json.dumps({"short": "the ebb", "long": "x" * 300_000})
    begun = run(laptop, text, "--offline", "--set", f"topic={topic}", status=ExitStatus.SUSPENDED)["run"]
    assert laptop("runs", "push", begun, "--continue", "--cloud", served.url).status == ExitStatus.COMPLETED
    until(lambda: served.call(lambda: not served.server._keeper._going))
    bodies = [path for path in cloud.glob("journal.db-bodies/*/*") if path.stat().st_size > 300_000]
    for path in bodies:  # it still is a value, only another one
        path.write_bytes(path.read_bytes().replace(b"xxxx", b"xxyx", 1))
    assert laptop("answer", begun, "may", "yes").status == ExitStatus.COMPLETED
    sync(laptop, served)
    until(lambda: served.call(lambda: not served.server._keeper._going))
    sync(laptop, served)
    shown = laptop("runs", "show", begun).stdout
    assert "the worker cannot read a part of this run on its disk; its log says why" in shown
    assert str(own_home) not in laptop("runs", "show", begun, "--json").stdout
    assert results(cloud, begun) == []
