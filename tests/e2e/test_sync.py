"""The train: runs that began offline go on and come in when there is a worker; what is marked for sync is on all devices of the account."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import CommandLine
from fleet import edge, full, logs, move, run, status, sync
from graphs.environment import ExitStatus
from graphs.journal import Journal
from graphs.records import Cancel, encode
from logbook import runs, until
from processes import start
from wiretap import Tap, tap
from workers import ServedWorker, worker

TRAIN = """\
version: 0.5
nodes:
  topic: {value: the tide}
  here: {agent: stringTemplateAgent, place: edge, params: {template: "about ${t}"}, inputs: {t: :topic}}
  there: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :here}}
"""
LARGE = """\
version: 0.5
nodes:
  word: {value: abcdefgh}
  here: {agent: stringTemplateAgent, place: edge, params: {template: "${t}"}, inputs: {t: :word}, isResult: true}
"""
LABELLED = TRAIN.replace("{value: the tide}", "{value: the tide, sensitivity: private}").replace(
    "model: large", "model: scripted"
)


@pytest.fixture
def served(own_home: Path, tmp_path: Path) -> Iterator[ServedWorker]:
    with worker(own_home) as found:
        yield found


def test_what_waits_goes_out_and_comes_in(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    begun = run(laptop, TRAIN, "--offline", status=ExitStatus.SUSPENDED)
    assert status(laptop, served)["waiting"] == [begun["run"]]
    done = sync(laptop, served)
    assert done["went_on"] == [{"run": begun["run"], "status": "completed"}]
    now = status(laptop, served)
    assert [now[name] for name in ("asked", "ahead", "behind", "bytes")] == [True, 0, 0, 0]
    assert [now[name] for name in ("waiting", "degraded", "diverged", "held")] == [[], [], [], None]
    assert sync(laptop, served)["went_on"] == []


def test_what_went_out_is_told(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    begun = run(laptop, LARGE, "--sync", "--offline")["run"]
    ahead = status(laptop, served)["ahead"]
    said = laptop("sync", "--cloud", served.url)
    assert said.stdout.startswith(f"{ahead} records of 1 run went out, ")
    again = run(laptop, LARGE, "--sync", "--offline")["run"]
    assert {each: went["records"] for each, went in sync(laptop, served)["sent"].items()} == {again: ahead}
    assert again != begun
    assert laptop("sync", "--cloud", served.url).stdout == "everything is in sync\n"


def test_a_watch_says_once_that_nothing_is_to_do(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path, tmp_path: Path
) -> None:
    other = device()
    words = ("sync", "--watch", "--every", "10ms", "--cloud")
    with tap(served.url) as line, start(*words, line.url, home=own_home, cwd=tmp_path) as watching:
        assert watching.line() == "everything is in sync"
        rounds_of(line, 3)
        run(other, LARGE, "--sync", "--offline")
        sync(other, served)
        assert " of 1 run came in, 0 large values" in watching.line()
        rounds_of(line, 3)
        watching.send(signal.SIGINT)
        said = watching.outcome()
    assert (said.stdout, said.stderr) == ("everything is in sync\n", "")


def test_a_watch_moves_at_once_what_comes_up_here(served: ServedWorker, own_home: Path, tmp_path: Path, cli: CommandLine) -> None:
    with start("sync", "--watch", "--every", "1h", "--cloud", served.url, home=own_home, cwd=tmp_path) as watching:
        assert watching.line() == "everything is in sync"
        waits = run(cli, TRAIN, "--offline", status=ExitStatus.SUSPENDED)["run"]
        assert watching.line() == f"{waits}  completed"
        marked = run(cli, LARGE, "--offline", "--sync")["run"]
        until(lambda: there(own_home, marked))
        watching.send(signal.SIGINT)
        watching.outcome()


def there(home: Path, run: str) -> bool:
    """Whether the worker has the run."""
    return bytes.fromhex(run.replace("-", "")) in [row.run for row in runs(home, "cloud")]


def rounds_of(line: Tap, more: int) -> None:
    """Wait until a watch has begun so many more rounds."""
    before = len(line.connections)
    until(lambda: len(line.connections) >= before + more)


def test_a_run_that_is_not_marked_stays_on_its_device(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    laptop, other = device(), device()
    begun = run(laptop, TRAIN, "--cloud", served.url)
    sync(laptop, served)
    assert sync(other, served)["received"] == 0
    with Journal.open(own_home / "cloud" / "journal.db") as journal:
        assert not journal.knows(bytes.fromhex(begun["run"].replace("-", "")))


def test_what_is_marked_is_everywhere(served: ServedWorker, device: Callable[[], CommandLine], own_home: Path) -> None:
    laptop, other = device(), device()
    begun = run(laptop, TRAIN, "--cloud", served.url, "--sync")
    ahead = status(laptop, served)["ahead"]
    assert ahead > 0
    sent = sync(laptop, served)["sent"]
    assert {each: went["records"] for each, went in sent.items()} == {begun["run"]: ahead}, "its part there was there before"
    assert status(laptop, served)["ahead"] == 0
    assert status(other, served)["behind"] > 0
    came = sync(other, served)
    assert (came["refused"], came["runs"], came["sent"]) == ({}, [begun["run"]], {})
    expected = logs(edge(laptop), begun["run"])
    assert len(expected) == 3, "the run's log, and both of its child run"
    assert logs(edge(other), begun["run"]) == logs(own_home / "cloud", begun["run"]) == expected
    shown = json.loads(other("runs", "show", begun["run"], "--json").stdout)
    assert shown["status"] == "completed"
    assert shown["graph"] == "g.yaml"
    assert {record["path"] for record in shown["records"] if record["type"] == "result"} == {"there"}


def test_what_a_worker_did_before_it_heard_of_the_run_contradicts_nothing(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    """It has its log of that part, and says nothing of it until the run has come."""
    laptop = device()
    begun = run(laptop, TRAIN, "--sync", "--cloud", served.url)
    assert status(laptop, served)["diverged"] == []
    assert sync(laptop, served)["refused"] == {}
    now = status(laptop, served)
    assert [now[name] for name in ("ahead", "behind", "bytes")] == [0, 0, 0]
    other = device()
    sync(other, served)
    assert logs(edge(other), begun["run"]) == logs(edge(laptop), begun["run"])


def test_what_this_device_cannot_keep_is_told_once_and_comes_when_it_can(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    laptop, other = device(), device()
    runs = [run(laptop, LARGE, "--sync", "--set", f"word={letter * 300_000}")["run"] for letter in "xyz"]
    sync(laptop, served)
    status(other, served)
    folder = edge(other) / "journal.db-bodies"
    folder.write_text("a file where the folder should be")
    said = other("sync", "--cloud", served.url)
    assert said.status == ExitStatus.FAILED
    assert "in sync" not in said.stdout
    assert said.stderr.count("could not be kept") == 1
    assert "not all of 3 runs came in" in said.stderr
    pulled = other("runs", "pull", runs[0], "--cloud", served.url)
    assert (pulled.status, "could not be kept" in pulled.stderr) == (ExitStatus.FAILED, True), pulled.stderr
    folder.unlink()
    sync(other, served)
    for each in runs:
        assert logs(edge(other), each) == logs(edge(laptop), each)


def test_what_the_worker_cannot_keep_is_told_once_and_goes_out_when_it_can(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    laptop = device()
    begun = [run(laptop, LARGE, "--sync", "--set", f"word={letter * 300_000}")["run"] for letter in "vwxyz"]
    folder = own_home / "cloud" / "journal.db-bodies"
    folder.write_text("a file where the folder should be")
    said = laptop("sync", "--cloud", served.url)
    assert said.status == ExitStatus.FAILED
    (line,) = said.stderr.splitlines()
    assert line.startswith("5 runs are not in sync: INTERNAL: the receiving side could not write all of it down")
    assert line.endswith(" and 2 more)")
    folder.unlink()
    assert sync(laptop, served)["refused"] == {}
    assert all(there(own_home, each) for each in begun)


def test_an_account_without_room_is_told_once_and_what_waits_goes_out_when_there_is_some(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    laptop = device()
    begun = [run(laptop, LARGE, "--sync", "--set", f"word={word}")["run"] for word in ("ebb", "flow")]
    with full(served, 0):
        said = laptop("sync", "--cloud", served.url)
        report = laptop("sync", "--cloud", served.url, "--json")
    assert (said.status, report.status) == (ExitStatus.FAILED, ExitStatus.FAILED)
    (line,) = said.stderr.splitlines()
    assert line.startswith("2 runs are not in sync: QUOTA: ")
    assert all(each[:13] in line for each in begun)
    assert set(json.loads(report.stdout)["refused"]) == set(begun)
    assert sync(laptop, served)["refused"] == {}
    assert all(there(own_home, each) for each in begun)


def test_large_values_go_along(served: ServedWorker, device: Callable[[], CommandLine], own_home: Path) -> None:
    laptop, other = device(), device()
    text = "x" * 300_000
    begun = run(laptop, LARGE, "--sync", "--set", f"word={text}")
    assert begun["results"] == {"here": text}
    for each in (laptop, other):
        assert sync(each, served)["refused"] == {}
    assert logs(edge(other), begun["run"]) == logs(edge(laptop), begun["run"])
    for home in (own_home / "cloud", edge(other)):
        with Journal.open(home / "journal.db") as journal:
            bodies = journal.bodies(bytes.fromhex(begun["run"].replace("-", "")))
            assert bodies
            assert all(journal.body_files.held(body.scope, body.name) == (body.size, True) for body in bodies)


def test_what_carries_a_label_stays_and_is_named(served: ServedWorker, device: Callable[[], CommandLine], own_home: Path) -> None:
    laptop, other = device(), device()
    secret = run(laptop, LABELLED, "--offline", "--sync")
    plain = run(laptop, TRAIN, "--offline", "--sync", status=ExitStatus.SUSPENDED)
    outcome = laptop("sync", "--cloud", served.url, "--json")
    done = json.loads(outcome.stdout)
    assert done["refused"][secret["run"]]["code"] == "LABEL_WITHHELD"
    assert {"run": plain["run"], "status": "completed"} in done["went_on"]
    sync(other, served)
    with Journal.open(edge(other) / "journal.db") as journal:
        assert not journal.knows(bytes.fromhex(secret["run"].replace("-", "")))
    assert logs(edge(other), plain["run"]) == logs(edge(laptop), plain["run"])


def test_only_the_holder_goes_on(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop, other = device(), device()
    begun = run(laptop, TRAIN, "--offline", "--sync", status=ExitStatus.SUSPENDED)
    move(laptop, served)
    sync(other, served)
    with Journal.open(edge(laptop) / "journal.db") as journal:
        holder = journal.store_id.hex()
    refused = other("resume", begun["run"], "--cloud", served.url)
    assert refused.status == ExitStatus.USAGE
    assert f"held by the store {holder}" in refused.stderr
    assert f"(held by the store {holder})" in other("runs").stdout
    assert [json.loads(each("runs", "--json").stdout)[0]["holder"] for each in (laptop, other)] == [None, holder]
    assert "runs pull" in refused.stderr


def test_an_old_run_can_be_marked_later(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop, other = device(), device()
    begun = run(laptop, TRAIN, "--cloud", served.url)
    assert laptop("runs", "mark", begun["run"]).status == ExitStatus.COMPLETED
    sync(laptop, served)
    sync(other, served)
    assert logs(edge(other), begun["run"]) == logs(edge(laptop), begun["run"])


def test_what_was_removed_does_not_come_back(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop, other = device(), device()
    begun = run(laptop, TRAIN, "--cloud", served.url, "--sync")["run"]
    sync(laptop, served)
    sync(other, served)
    assert other("runs", "rm", begun).status == ExitStatus.COMPLETED
    assert sync(other, served)["received"] == 0
    assert other("runs", "show", begun).status == ExitStatus.USAGE


ASKING = """\
version: 0.5
nodes:
  may: {agent: humanAgent, params: {mode: approve, prompt: Send it?}, isResult: true}
  sent: {agent: copyAgent, if: :may.approved, inputs: {sent: :may.approved}, isResult: true}
"""


def test_an_answer_from_another_device_counts_when_it_has_come(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    laptop, phone = device(), device()
    begun = run(laptop, ASKING, "--sync", status=ExitStatus.SUSPENDED)
    for each in (laptop, phone):
        sync(each, served)
    assert [each["path"] for each in json.loads(phone("runs", "show", begun["run"], "--json").stdout)["questions"]] == ["may"]
    answered = phone("answer", begun["run"], "may", "yes")
    assert answered.status == ExitStatus.COMPLETED, answered.stderr
    assert "holds this run" in answered.stderr
    sync(phone, served)
    assert sync(laptop, served)["went_on"] == [{"run": begun["run"], "status": "completed"}]
    late = laptop("answer", begun["run"], "may", "no")
    assert late.status == ExitStatus.USAGE, "the first one counts"
    shown = json.loads(laptop("runs", "show", begun["run"], "--json").stdout)["records"]
    assert [each["value"] for each in shown if each["type"] == "result" and each["path"] == "may"] == [{"approved": True}]
    for each in (laptop, phone):
        sync(each, served)
    assert logs(edge(phone), begun["run"]) == logs(edge(laptop), begun["run"]) == logs(own_home / "cloud", begun["run"])


def test_a_run_with_large_values_can_be_marked_later(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path
) -> None:
    laptop, other = device(), device()
    text = "x" * 300_000
    begun = run(laptop, LARGE, "--set", f"word={text}")["run"]
    before = json.loads(laptop("runs", "show", begun, "--json").stdout)["records"]
    sync(laptop, served)
    assert laptop("runs", "mark", begun).status == ExitStatus.COMPLETED
    for each in (laptop, other):
        done = sync(each, served)
        assert (done["refused"], done["spool"]["records"]) == ({}, 0)
    assert logs(edge(other), begun) == logs(edge(laptop), begun) == logs(own_home / "cloud", begun)
    for home in (edge(laptop), own_home / "cloud", edge(other)):
        with Journal.open(home / "journal.db") as journal:
            bodies = journal.bodies(bytes.fromhex(begun.replace("-", "")))
            assert bodies
            assert all(journal.body_files.held(body.scope, body.name) == (body.size, True) for body in bodies)
    after = json.loads(laptop("runs", "show", begun, "--json").stdout)["records"]
    assert [each["type"] for each in after] == [each["type"] for each in before]
    fork = other("runs", "fork", begun).stderr.split()[-1]
    again = other("resume", fork, "--offline", "--json")
    assert json.loads(again.stdout)["results"] == {"here": text}


def test_a_large_value_that_a_run_began_with_is_there_when_it_goes_on(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    laptop = device()
    text = TRAIN.replace("inputs: {prompt: :here}", "inputs: {prompt: :topic.short}")
    topic = json.dumps({"short": "the ebb", "long": "x" * 300_000})
    begun = run(laptop, text, "--offline", "--sync", "--set", f"topic={topic}", status=ExitStatus.SUSPENDED)
    assert sync(laptop, served)["went_on"] == [{"run": begun["run"], "status": "completed"}]
    records = json.loads(laptop("runs", "show", begun["run"], "--json").stdout)["records"]
    (there,) = [each["value"] for each in records if each["type"] == "result"]
    assert "the ebb" in there["text"]


def test_a_run_is_cancelled_on_another_device(served: ServedWorker, device: Callable[[], CommandLine], own_home: Path) -> None:
    laptop, phone = device(), device()
    asks = run(laptop, ASKING, "--sync", status=ExitStatus.SUSPENDED)["run"]
    waits = run(laptop, TRAIN, "--offline", "--sync", status=ExitStatus.SUSPENDED)["run"]
    move(laptop, served)
    sync(phone, served)
    for each in (asks, waits):
        outcome = phone("runs", "cancel", each)
        assert outcome.status == ExitStatus.COMPLETED
        assert "is asked to cancel it" in outcome.stdout
        assert phone("runs", "cancel", each).status == ExitStatus.COMPLETED, "saying it twice is saying it once"
    sync(phone, served)
    assert json.loads(phone("runs", "show", waits, "--json").stdout)["status"] == "suspended", "its holder decides"
    assert sync(laptop, served)["went_on"] == []
    for each in (laptop, phone):
        sync(each, served)
        assert {found["status"] for found in json.loads(each("runs", "--json").stdout)} == {"cancelled"}
    for each in (asks, waits):
        assert logs(edge(phone), each) == logs(edge(laptop), each) == logs(own_home / "cloud", each)
    assert phone("runs", "cancel", asks).status == ExitStatus.USAGE, "it is over"


def test_a_run_that_was_cancelled_elsewhere_is_not_gone_on_with(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop, phone = device(), device()
    begun = run(laptop, TRAIN, "--offline", "--sync", status=ExitStatus.SUSPENDED)["run"]
    move(laptop, served)
    sync(phone, served)
    assert phone("runs", "cancel", begun).status == ExitStatus.COMPLETED
    sync(phone, served)
    from edge.runs.at_work import at_work

    with at_work(edge(laptop) / "journal.db", bytes.fromhex(begun.replace("-", ""))):
        move(laptop, served)  # somebody works on it: it comes, and is not acted upon
    refused = laptop("resume", begun, "--cloud", served.url)
    assert refused.status == ExitStatus.USAGE
    assert "was cancelled on another device" in refused.stderr
    assert sync(laptop, served)["went_on"] == []
    assert json.loads(laptop("runs", "show", begun, "--json").stdout)["status"] == "cancelled"


def test_a_run_is_cancelled_at_the_worker(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    begun = run(laptop, TRAIN, "--offline", "--sync", status=ExitStatus.SUSPENDED)["run"]
    move(laptop, served)
    root = bytes.fromhex(begun.replace("-", ""))

    def cancel() -> None:
        served.worker.journal.append(root, encode(Cancel(None, "whoever runs the worker says so")))
        served.worker.journal.flush()

    served.call(cancel)
    assert sync(laptop, served)["went_on"] == []
    assert json.loads(laptop("runs", "show", begun, "--json").stdout)["status"] == "cancelled"


ASKS = """\
version: 0.5
nodes:
  ask: {agent: humanAgent, isResult: true, params: {choices: [bus, train]}, inputs: {prompt: How?}}
"""


def test_who_gave_an_answer_that_came_second_is_told(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop, phone = device(), device()
    begun = run(laptop, ASKS, "--sync", status=ExitStatus.SUSPENDED)["run"]
    sync(laptop, served)
    sync(phone, served)
    assert phone("answer", begun, "ask", "bus", "--offline").status == ExitStatus.COMPLETED
    assert laptop("answer", begun, "ask", "train").status == ExitStatus.COMPLETED
    assert laptop("resume", begun).status == ExitStatus.COMPLETED
    sync(laptop, served)
    told = phone("sync", "--cloud", served.url).stdout
    assert f"{begun} went on with another answer to 'ask' than the one given here: " in told
    assert "train" in told
    assert "went on" not in phone("sync", "--cloud", served.url).stdout
    assert sync(laptop, served)["overtaken"] == []
    assert "is answered: " in (refused := phone("answer", begun, "ask", "bus")).stderr
    assert "train" in refused.stderr
