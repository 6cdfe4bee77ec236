"""A run is as labelled where it was brought as where it was made: labels that only the first device knows go along with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import CommandLine, impatient
from fleet import edge, move, new_device, run
from graphs.environment import ExitStatus
from graphs.journal import Journal
from graphs.journal.archive import LABELS
from graphs.values import canonical
from protocol.noted import UNTOLD, noted, untold
from workers import ServedWorker, worker

GRAPH = """\
version: 0.5
nodes:
  read: {agent: fileReadAgent, params: {baseDir: diary, outputType: text}, inputs: {file: today.txt}}
  asks: {agent: humanAgent, inputs: {prompt: go on?}}
  far: {agent: llmAgent, model: large, isResult: true, if: ":asks.text", inputs: {prompt: "Say it again: ${:read.data}"}}
  free: {agent: llmAgent, model: large, isResult: true, if: ":asks.text", inputs: {prompt: hello}}
"""
TEXT = "I ate all of the plums in the icebox."


@pytest.fixture
def served(own_home: Path) -> Iterator[ServedWorker]:
    with worker(own_home, clearance=["private"]) as found:
        yield found


@pytest.fixture
def laptop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, served: ServedWorker) -> CommandLine:
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "today.txt").write_text(TEXT, encoding="utf-8")
    cli = new_device(tmp_path_factory.mktemp("laptop"), tmp_path)
    config(cli, f'sensitivity: {{private: [edge, "{served.url}"]}}\nfiles: {{"{tmp_path}/diary": private}}\n')
    return cli


@pytest.fixture
def phone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return new_device(tmp_path_factory.mktemp("phone"), tmp_path)


def config(cli: CommandLine, text: str) -> None:
    with (edge(cli) / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(text)


def begun(cli: CommandLine, served: ServedWorker) -> str:
    found = run(cli, GRAPH, "--cloud", served.url, "--sync", status=ExitStatus.SUSPENDED)
    return str(found["run"])


def labels(cli: CommandLine, run_id: str) -> list[str]:
    return list(json.loads(cli("runs", "show", run_id, "--json").stdout).get("labels", []))


def test_a_run_that_is_pulled_is_labelled_here_too(laptop: CommandLine, phone: CommandLine, served: ServedWorker) -> None:
    run_id = begun(laptop, served)
    move(laptop, served)
    assert labels(laptop, run_id) == ["private"]
    handed = laptop("runs", "push", run_id, "--continue", "--cloud", served.url)
    assert handed.status == 0, handed.stderr
    config(phone, f'sensitivity: {{private: [edge, "{served.url}"]}}\n')  # else it could not even ask for the run
    pulled = phone("runs", "pull", run_id, "--cloud", served.url)
    assert pulled.status == 0, pulled.stderr
    impatient(edge(phone).parent)  # a policy without that
    assert labels(phone, run_id) == ["private"]
    assert phone("answer", run_id, "asks", "yes").status == 0
    outcome = phone("resume", run_id, "--cloud", served.url, "--json")
    assert outcome.status == ExitStatus.USAGE
    assert "'far' carries the label private and so must stay on this device" in outcome.stderr
    assert "Or let it go there" in outcome.stderr


def test_a_run_that_is_imported_is_labelled_here_too(
    laptop: CommandLine, phone: CommandLine, served: ServedWorker, tmp_path: Path
) -> None:
    run_id = begun(laptop, served)
    assert laptop("runs", "cancel", run_id).status == 0
    assert laptop("runs", "export", run_id, "-o", "run.gfrun").status == 0
    assert phone("runs", "import", "run.gfrun").status == 0
    assert labels(phone, run_id) == ["private"]
    outcome = phone("runs", "fork", run_id)
    assert outcome.status == 0, outcome.stderr
    (forked,) = {*re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", outcome.stdout + outcome.stderr)} - {run_id}
    assert labels(phone, forked) == ["private"], "so is what is made of it"
    assert phone("runs", "mark", forked).status == 0
    refused = json.loads(phone("sync", "--cloud", served.url, "--json").stdout)["refused"]
    assert refused[forked]["code"] == "LABEL_WITHHELD"


def test_a_run_of_which_nothing_was_told_stays(laptop: CommandLine, phone: CommandLine, served: ServedWorker) -> None:
    run_id = begun(laptop, served)
    move(laptop, served)
    with Journal.open(edge(laptop).parent / "edge" / "journal.db") as journal:
        root = journal.run(run_id).run
        assert noted(journal, root) is not None
    served.call(lambda: served.worker.journal.drop_meta(LABELS + root.hex()))  # as a worker that knows nothing of this
    move(phone, served)
    with Journal.open(edge(phone) / "journal.db") as journal:
        assert noted(journal, root) == untold()
    assert labels(phone, run_id) == [UNTOLD]


NEAR = """\
  near: {agent: copyAgent, place: edge, isResult: true, if: ":asks.text", inputs: {text: :read.data}}
"""


def test_a_large_value_with_a_label_goes_on_to_the_next_device_and_with_an_export(
    laptop: CommandLine, phone: CommandLine, served: ServedWorker, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    day = tmp_path / "diary" / "today.txt"
    day.write_text(TEXT * 6000, encoding="utf-8")
    found = run(laptop, GRAPH[: GRAPH.index("  far:")] + NEAR, "--cloud", served.url, "--sync", status=ExitStatus.SUSPENDED)
    run_id = str(found["run"])
    assert laptop("runs", "push", run_id, "--continue", "--cloud", served.url).status == 0
    config(phone, f'sensitivity: {{private: [edge, "{served.url}"]}}\n')
    pulled = phone("runs", "pull", run_id, "--cloud", served.url)
    assert pulled.status == 0, pulled.stderr
    day.write_text("another day", encoding="utf-8")
    assert phone("answer", run_id, "asks", "yes").status == 0
    went_on = phone("resume", run_id, "--json")
    assert went_on.status == 0, went_on.stderr
    assert json.loads(went_on.stdout)["results"] == {"near": {"text": TEXT * 6000}}
    exported = phone("runs", "export", run_id, "-o", "run.gfrun")
    assert exported.status == 0, exported.stderr
    desk = new_device(tmp_path_factory.mktemp("desk"), tmp_path)
    assert desk("runs", "import", "run.gfrun").status == 0
    with Journal.open(edge(desk) / "journal.db") as journal:
        (body,) = journal.bodies()
        assert journal.body_files.load(body.scope, body.name) == canonical({"data": TEXT * 6000})


ASKED = """\
version: 0.5
nodes:
  diary: {value: I ate all of the plums in the icebox., sensitivity: private}
  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: "Say it again: ${:diary}"}}
"""


def test_what_a_worker_made_of_a_labelled_value_is_in_an_exported_file(
    laptop: CommandLine, phone: CommandLine, served: ServedWorker
) -> None:
    run_id = str(run(laptop, ASKED, "--cloud", served.url)["run"])
    assert laptop("runs", "export", run_id, "-o", "run.gfrun").status == 0
    taken = phone("runs", "import", "run.gfrun")
    assert taken.status == 0, taken.stderr
    assert labels(phone, run_id) == ["private"]
    refused = phone("runs", "push", run_id, "--cloud", served.url)
    assert refused.status == ExitStatus.FAILED
    assert "its values carry private" in refused.stderr
