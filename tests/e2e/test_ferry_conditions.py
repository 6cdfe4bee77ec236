"""What device and worker do when something may not cross, is not there, or does not answer; with scripted models."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine, Outcome
from ferry import FERRY, MINE, FakeServer, Ferry, report
from graphs.models.scripted import ScriptedModel
from graphs.records import Submit
from logbook import made, of, runs, until
from wiretap import tap
from workers import worker

# -- what cannot cross


@pytest.mark.parametrize("places", [("edge", "cloud"), ("cloud", "edge")], ids=["up", "down"])
@pytest.mark.parametrize("size", [70_000, 5_000_000])
def test_a_value_over_the_inline_limit_crosses_as_a_body(ferry: Ferry, home: Path, places: tuple[str, str], size: int) -> None:
    found = ferry(
        f"""\
version: 0.5
nodes:
  big: {{agent: bigAgent, place: {places[0]}, params: {{bytes: {size}}}}}
  far: {{agent: lengthAgent, place: {places[1]}, isResult: true, inputs: {{of: :big}}}}
"""
    )
    assert (ferry.outcome.status, found["results"]) == (0, {"far": size})


def test_a_value_of_just_under_the_limit_crosses(ferry: Ferry) -> None:
    found = ferry(
        """\
version: 0.5
nodes:
  big: {agent: bigAgent, place: edge, params: {bytes: 65000}}
  far: {agent: lengthAgent, place: cloud, inputs: {of: :big}}
  back: {agent: bigAgent, place: cloud, params: {bytes: 64000}}
  end: {agent: lengthAgent, place: edge, isResult: true, inputs: {of: :back, and: :far}}
"""
    )
    assert found["results"] == {"end": 64000}


def test_a_large_static_value_goes_beside_the_cut(ferry: Ferry) -> None:
    found = ferry(
        "version: 0.5\nnodes:\n  text: {value: "
        + "y" * 40_000
        + "}\n  far: {agent: lengthAgent, place: cloud, isResult: true, inputs: {of: :text}}\n"
    )
    assert found["results"] == {"far": 40_000}


def test_a_labelled_value_never_crosses(ferry: Ferry) -> None:
    graph = """\
version: 0.5
nodes:
  diary: {value: CANARY-diary, sensitivity: private}
  topic: {value: tides}
  inner: {agent: copyAgent, isResult: true, inputs: {t: "read ${:diary}"}}
  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :topic}}
  both: {agent: copyAgent, isResult: true, inputs: {a: :inner.t, b: :far.text}}
"""
    found = ferry(graph)
    assert ferry.outcome.status == 0, ferry.outcome.stderr
    assert found["results"]["both"] == {"a": "read CANARY-diary", "b": "You said: tides"}
    assert "private" in found["nodes"]["both"]["reason"]
    (connection,) = ferry.connections
    assert b"CANARY" not in connection.everything()
    ferry(graph, "--place", "both=cloud")
    assert ferry.outcome.status == 2
    assert "private" in ferry.outcome.stderr
    assert "'both'" in ferry.outcome.stderr
    assert not [each for each in ferry.connections if b"CANARY" in each.everything()]


def test_nothing_is_run_where_a_node_may_not_go_where_it_is_sent(ferry: Ferry, home: Path) -> None:
    ferry(
        """\
version: 0.5
nodes:
  diary: {value: CANARY-diary, sensitivity: private}
  first: {agent: gateAgent, params: {port: 1}, place: edge}
  far: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: :diary, u: :first}}
"""
    )
    assert ferry.outcome.status == 2
    assert ferry.connections == []
    assert runs(home, "edge") == []


def test_one_node_that_waits_at_the_worker_does_not_hold_up_the_others(ferry: Ferry) -> None:
    found = ferry(
        """\
version: 0.5
nodes:
  name: {value: giant}
  lost: {agent: llmAgent, place: cloud, isResult: true, inputs: {prompt: hi, model: :name}}
  fast: {agent: whereAgent, place: cloud, inputs: {t: 1}}
  here: {agent: sleeperAgent, place: edge, params: {duration: 50}, inputs: {t: :fast.t}}
  last: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: :here.t}}
"""
    )
    assert (ferry.outcome.status, found["status"]) == (3, "suspended")
    assert {path: each["code"] for path, each in found["errors"].items()} == {"lost": "MODEL_UNKNOWN"}
    assert "giant" in found["errors"]["lost"]["message"]
    assert found["results"] == {"last": {"t": 1}}


# -- what is known before anything runs


def test_an_agent_the_worker_does_not_have_is_named(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  far: {agent: whereAgent, place: cloud, isResult: true, inputs: {t: 1}}\n", encoding="utf-8"
    )
    with worker(home) as served:
        outcome = cli("run", "g.yaml", "--cloud", served.url, *MINE)
    assert outcome.status == 2
    assert "'whereAgent', which the worker does not offer" in outcome.stderr
    assert "--agents MODULE" in outcome.stderr
    assert runs(home, "edge") == []


def test_an_agent_only_the_worker_has_is_valid_once_it_was_offered(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  far: {agent: lengthAgent, isResult: true, inputs: {of: four}}\n", encoding="utf-8"
    )
    (tmp_path / "any.yaml").write_text(
        "version: 0.5\nnodes:\n  far: {agent: copyAgent, place: cloud, isResult: true, inputs: {of: four}}\n", encoding="utf-8"
    )
    with worker(home, agents=("gate_agents.py",), folder=tmp_path) as served:
        outcome = cli("run", "g.yaml", "--cloud", served.url)
        assert outcome.status == 2
        assert "lengthAgent" in outcome.stderr
        assert cli("run", "any.yaml", "--cloud", served.url).status == 0
        outcome = cli("run", "g.yaml", "--cloud", served.url)
    assert (outcome.status, json.loads(outcome.stdout)) == (0, {"far": 4}), outcome.stderr


def test_a_model_nobody_has_is_named_with_where_it_was_looked_for_and_how_to_get_it(ferry: Ferry, home: Path) -> None:
    ferry("version: 0.5\nnodes:\n  a: {agent: llmAgent, model: giant, isResult: true, inputs: {prompt: hi}}\n")
    assert ferry.outcome.status == 2
    assert "'giant'" in ferry.outcome.stderr
    assert "neither this device nor the worker has (the worker has: large)" in ferry.outcome.stderr
    assert "graphferry models add PATH --name giant" in ferry.outcome.stderr
    assert runs(home, "edge") == []


def test_a_model_that_is_missing_here_names_the_folder_and_the_command(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: small, place: edge, isResult: true, inputs: {prompt: hi}}\n",
        encoding="utf-8",
    )
    outcome = cli("run", "g.yaml")
    assert outcome.status in (2, 3)
    assert "smollm2-135m" in outcome.stderr
    assert "graphferry models get smollm2-135m" in outcome.stderr
    assert "Traceback" not in outcome.stderr


# -- the worker away, the wrong token


def test_a_worker_away_is_status_4_if_nothing_else_was_done(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  t: {value: 1}\n  far: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: :t}}\n",
        encoding="utf-8",
    )
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"ws://127.0.0.1:{closed.getsockname()[1]}/v1/link"
    outcome = cli("run", "g.yaml", "--cloud", url, "--json")
    found = report(outcome)
    assert (outcome.status, found["status"], found["errors"]["far"]["code"]) == (4, "suspended", "UNREACHABLE")
    assert (found["nodes"]["far"]["state"], found["nodes"]["far"]["by"], found["nodes"]["far"]["ms"]) == ("suspended", {}, None)
    assert url in outcome.stderr
    assert f"graphferry resume {found['run']}" in outcome.stderr
    assert "graphferry serve" in outcome.stderr
    with worker(home) as served:
        outcome = cli("resume", found["run"], "--cloud", served.url, "--json")
    assert (outcome.status, report(outcome)["results"]) == (0, {"far": {"t": 1}})
    assert report(outcome)["run"] == found["run"]


def test_offline_waits_without_a_connection_and_resume_completes(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    with worker(home) as served, tap(served.url) as line:
        outcome = cli("run", "g.yaml", "--cloud", line.url, "--offline", "--json")
        assert (outcome.status, line.connections) == (3, [])
        assert made(home, "edge") == [("outline", "root")]
        outcome = cli("resume", report(outcome)["run"], "--cloud", line.url, "--json")
    assert outcome.status == 0
    assert made(home, "edge").count(("outline", "root")) == 1


@pytest.fixture
def refusing() -> Iterator[FakeServer]:
    server = FakeServer("401 Unauthorized")
    yield server
    server.close()


def test_a_wrong_token_is_said_once_and_tried_once(cli: CommandLine, home: Path, tmp_path: Path, refusing: FakeServer) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    outcome = cli("run", "g.yaml", "--cloud", refusing.url, "--progress", "quiet", GRAPHFERRY_TOKEN="CANARY-token")
    assert outcome.status == 3
    assert outcome.stderr.count("does not accept this token") == 1
    assert "GRAPHFERRY_TOKEN" in outcome.stderr
    assert "CANARY-token" not in outcome.stdout + outcome.stderr
    assert len(refusing.asked) == 1
    assert b"Bearer CANARY-token" in refusing.asked[0]


def test_a_worker_with_a_token_wants_to_see_it(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    with worker(home, token="open sesame") as served:
        assert cli("run", "g.yaml", "--cloud", served.url, GRAPHFERRY_TOKEN="open").status == 3
        assert cli("run", "g.yaml", "--cloud", served.url).status == 3
        assert cli("run", "g.yaml", "--cloud", served.url, GRAPHFERRY_TOKEN="open sesame").status == 0


def test_what_answers_there_is_no_worker(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    server = FakeServer("200 OK")
    try:
        outcome = cli("run", "g.yaml", "--cloud", server.url)
    finally:
        server.close()
    assert outcome.status == 3
    assert server.url in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert cli("run", "g.yaml", "--cloud", "not a url").status == 2


# -- deadlines, locality, many devices


def test_a_deadline_suspends_and_the_rest_can_go_on(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    model = ScriptedModel("large")
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    with worker(home, models=(model,)) as served:
        gate = served.call(model.hold)
        outcome = cli("run", "g.yaml", "--cloud", served.url, "--deadline", "3s", "--json")
        found = report(outcome)
        assert (outcome.status, found["status"]) == (3, "suspended")
        assert "deadline" in found["errors"][""]["message"]
        assert "3 s" in outcome.stderr
        assert found["nodes"]["outline"]["state"] == "completed"
        served.call(gate.open)
        outcome = cli("resume", found["run"], "--cloud", served.url, "--json")
    assert outcome.status == 0
    assert made(home, "edge").count(("outline", "root")) == 1


def test_local_only_opens_no_socket(cli: CommandLine, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "g.yaml").write_text(FERRY.replace("model: large", "model: scripted"), encoding="utf-8")
    tried: list[Any] = []

    def refuse(self: socket.socket, address: Any) -> None:
        tried.append(address)
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    outcome = cli("run", "g.yaml", "--local-only", "--cloud", "ws://127.0.0.1:1/v1/link")
    assert outcome.status == 0, outcome.stderr
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    outcome = cli("run", "g.yaml", "--local-only", "--cloud", "ws://127.0.0.1:1/v1/link")
    assert outcome.status == 2
    assert "--local-only" in outcome.stderr
    assert tried == []


def test_two_devices_at_once_have_a_worker_to_themselves(home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    model = ScriptedModel("large")
    outcomes: dict[str, Outcome] = {}

    def run(name: str, url: str) -> None:
        device = CommandLine({"GRAPHFERRY_HOME": str(home / name)}, tmp_path)
        outcomes[name] = device("run", "g.yaml", "--cloud", url, "--set", f"topic={name}")

    with worker(home, models=(model,)) as served:
        gate = served.call(model.hold)
        threads = [threading.Thread(target=run, args=(name, served.url)) for name in ("boats", "tides")]
        for thread in threads:
            thread.start()
        until(lambda: served.call(lambda: len(model.requests)) == 2)
        assert served.call(lambda: served.worker.running) == 2
        served.call(gate.open)
        for thread in threads:
            thread.join()
    assert {name: (each.status, each.stdout) for name, each in outcomes.items()} == {
        name: (0, f"You said: edited You said: You said: Outline {name}\n") for name in ("boats", "tides")
    }
    assert len(of(home, "cloud", Submit)) == 2


# -- graphs with problems


BROKEN = """\
version: 0.5
nodes:
  a: {agent: copyAgnt, inputs: {t: :nowhere}}
  b: {agent: copyAgent, inputs: {t: :c}}
  c: {agent: copyAgent, retri: 2, inputs: {t: :b}}
"""


def test_a_graph_with_problems_tells_all_of_them_and_runs_nothing(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(BROKEN, encoding="utf-8")
    outcome = cli("run", "g.yaml")
    assert (outcome.status, outcome.stdout) == (2, "")
    for part in ("g.yaml:3:", "copyAgnt", "copyAgent", "nowhere", "^"):
        assert part in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert runs(home, "edge") == []
    outcome = cli("run", "g.yaml", "--json")
    assert outcome.status == 2
    found = report(outcome)
    assert found["status"] == "invalid"
    assert outcome.stderr == ""
    assert len(found["problems"]) >= 2
    for problem in found["problems"]:
        assert set(problem) >= {"code", "file", "line", "column", "message", "suggestion"}
        assert problem["file"] == "g.yaml"
    assert found["problems"] == report(cli("check", "g.yaml", "--json"))["problems"]


def test_yaml_that_cannot_be_read_is_a_problem_too(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes: {a: [}\n", encoding="utf-8")
    outcome = cli("run", "g.yaml", "--json")
    assert (outcome.status, report(outcome)["status"]) == (2, "invalid")
    assert report(outcome)["problems"][0]["line"] == 2


def test_a_stack_is_shown_only_when_asked_for(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(BROKEN, encoding="utf-8")
    assert "Traceback" in cli("run", "g.yaml", "--debug").stderr
    assert "Traceback" not in cli("run", "nowhere.yaml").stderr


def test_a_graph_that_needs_no_worker_asks_none(ferry: Ferry) -> None:
    found = ferry("version: 0.5\nnodes:\n  a: {agent: copyAgent, isResult: true, inputs: {t: 1}}\n")
    assert found["results"] == {"a": {"t": 1}}
    assert ferry.connections == []
