"""Device and worker together over a real link, with scripted models: what crosses, where nodes run, and what each failure looks like.

The device is the command line in this process, the worker a thread of it; between them a tap keeps every byte.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine, Outcome
from gates import AGENTS
from graphs.models.scripted import ScriptedModel
from graphs.records import Close, End, Error, Input, Result, Submit
from logbook import entries, made, of, runs, store
from protocol.messages import Delta, Entry
from wiretap import Connection, tap
from workers import worker

MINE = ("--agents", "gate_agents.py")

FERRY = """\
version: 0.5
nodes:
  topic: {value: the tide}
  outline: {agent: llmAgent, model: scripted, inputs: {prompt: "Outline ${:topic}"}}
  draft: {agent: llmAgent, model: large, inputs: {prompt: :outline.text}}
  edit: {agent: stringTemplateAgent, place: edge, params: {template: "edited ${t}"}, inputs: {t: :draft.text}}
  final: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :edit}}
"""


@pytest.fixture
def home(own_home: Path, tmp_path: Path) -> Path:
    (tmp_path / "gate_agents.py").write_text(AGENTS, encoding="utf-8")
    return own_home


def kinds(connection: Connection) -> list[str]:
    """The names of what the device said."""
    return [type(each.record if isinstance(each, Entry) else each).__name__ for each in connection.sent()]


def report(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


class Ferry:
    """Runs a graph with a worker: `ferry(text, *words)`."""

    def __init__(self, cli: CommandLine, home: Path, cwd: Path) -> None:
        self.cli = cli
        self.home = home
        self.cwd = cwd
        self.connections: list[Connection] = []

    def __call__(self, text: str, *words: str, models: tuple[str | ScriptedModel, ...] = ("large",)) -> dict[str, Any]:
        (self.cwd / "g.yaml").write_text(text, encoding="utf-8")
        with worker(self.home, models=models, agents=("gate_agents.py",), folder=self.cwd) as served, tap(served.url) as line:
            outcome = self.cli("run", "g.yaml", "--cloud", line.url, "--json", *MINE, *words)
            self.connections = line.connections
        self.outcome = outcome
        return report(outcome) if outcome.stdout else {}


@pytest.fixture
def ferry(cli: CommandLine, home: Path, tmp_path: Path) -> Ferry:
    return Ferry(cli, home, tmp_path)


# -- what crosses


def test_a_cut_crosses_once_and_its_values_each_time(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    with worker(home) as served, tap(served.url) as line:
        outcomes = [cli("run", "g.yaml", "--cloud", line.url, "--set", f"topic={topic}") for topic in ("boats", "tides")]
    assert [outcome.status for outcome in outcomes] == [0, 0]
    assert outcomes[1].stdout == "You said: edited You said: You said: Outline tides\n"
    first, second = line.connections
    assert kinds(first).count("PutGraph") == 1
    assert kinds(second).count("PutGraph") == 0
    assert [kinds(each).count("Submit") for each in line.connections] == [1, 1]
    assert b"Outline boats" in first.everything()
    assert b"Outline tides" in second.everything()


def test_a_worker_that_lost_the_cut_asks_for_it(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    with worker(home) as served, tap(served.url) as line:
        assert cli("run", "g.yaml", "--cloud", line.url).status == 0

        def forget() -> None:
            served.worker._graphs.clear()
            served.worker.journal.graph = lambda address: None  # type: ignore[method-assign]

        served.call(forget)
        assert cli("run", "g.yaml", "--cloud", line.url).status == 0
    assert [kinds(each).count("PutGraph") for each in line.connections] == [1, 1]


def test_another_worker_gets_the_cut_of_its_own(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    for name in ("one", "two"):
        with worker(home / name) as served, tap(served.url) as line:
            assert cli("run", "g.yaml", "--cloud", line.url).status == 0
        assert kinds(line.connections[0]).count("PutGraph") == 1


def test_only_the_cut_and_the_values_on_its_edge_cross(ferry: Ferry) -> None:
    found = ferry(
        """\
version: 0.5
metadata: {note: CANARY-metadata}
nodes:
  CANARYstatic: {value: CANARY-static-value}
  given: {value: crossing-static}
  CANARYnode: {agent: copyAgent, params: {namedKey: t, other: CANARY-param}, inputs: {t: "CANARY-input ${:CANARYstatic}"}}
  CANARYmodel: {agent: llmAgent, model: scripted, params: {system: CANARY-system}, inputs: {prompt: :CANARYnode}}
  short: {agent: stringTemplateAgent, params: {template: "crossing-template"}, inputs: {t: :CANARYmodel.text}}
  far: {agent: llmAgent, model: large, inputs: {prompt: "crossing-prompt ${:short} ${:given}"}}
  CANARYafter: {agent: copyAgent, place: edge, isResult: true, inputs: {t: :far.text, u: :CANARYstatic}}
"""
    )
    assert ferry.outcome.status == 0, ferry.outcome.stderr
    assert found["results"]["CANARYafter"] == {
        "t": "You said: crossing-prompt crossing-template crossing-static",
        "u": "CANARY-static-value",
    }
    (connection,) = ferry.connections
    seen = connection.everything()
    assert b"CANARY" not in seen
    for word in (b"crossing-prompt", b"crossing-template", b"crossing-static", b"boundary"):
        assert word in seen, "the tap does not see what it should"


def test_tokens_come_before_the_result_they_are_part_of(ferry: Ferry) -> None:
    ferry(FERRY, "--progress", "json")
    (connection,) = ferry.connections
    order = [each.record if isinstance(each, Entry) else each for each in connection.received()]
    last = next(at for at, each in enumerate(order) if isinstance(each, Result) and each.path == "final")
    streamed = [at for at, each in enumerate(order) if isinstance(each, Delta)]
    assert streamed
    assert max(streamed) < last
    told = [json.loads(line) for line in ferry.outcome.stderr.splitlines() if line.startswith("{")]
    text = "".join(each["text"] for each in told if each["event"] == "token" and each["path"] == "final")
    assert text == "You said: edited You said: You said: Outline the tide"


def test_the_journals_say_which_process_ran_what_by_which_model(ferry: Ferry, home: Path) -> None:
    found = ferry(FERRY)
    digest = ScriptedModel("large").info.digest
    roots = {record.path: record for row, _, record in entries(home, "edge") if row.role == "root" and isinstance(record, Result)}
    assert set(roots) == {"outline"}, "what a pure cheap agent made, and what the worker made, is not recorded a second time"
    for side in ("edge", "cloud"):
        far = {
            rec.path: (writer, rec) for row, writer, rec in entries(home, side) if row.role == "child" and isinstance(rec, Result)
        }
        assert {path: writer for path, (writer, _) in far.items()} == dict.fromkeys(["draft", "final"], store(home, "cloud"))
        assert {record.by["digest"] for _, record in far.values()} == {digest}
    assert {path: node["place"] for path, node in found["nodes"].items()} == {
        "outline": "edge",
        "draft": "cloud",
        "edit": "edge",
        "final": "cloud",
    }
    assert found["nodes"]["final"]["by"]["digest"] == digest
    assert found["nodes"]["final"]["bytes"]["down"] > 0


def test_a_device_node_between_two_cloud_nodes_is_one_order(ferry: Ferry, home: Path) -> None:
    found = ferry(FERRY)
    assert found["results"]["final"]["text"] == "You said: edited You said: You said: Outline the tide"
    (connection,) = ferry.connections
    said = kinds(connection)
    assert said.count("Submit") == 1
    assert [each.record.path for each in connection.sent() if isinstance(each, Entry) and isinstance(each.record, Input)] == [
        "outline",
        "edit",
    ]
    assert [row.role for row in runs(home, "cloud")] == ["child"]
    assert len(of(home, "cloud", End)) == 1
    assert len(of(home, "cloud", Close)) == 1


def test_a_loop_that_is_whole_at_the_worker_turns_there(ferry: Ferry) -> None:
    found = ferry(
        """\
version: 0.5
loop: {count: 5}
place: cloud
nodes:
  words: {value: [], update: :add.array}
  say: {agent: llmAgent, model: large, inputs: {prompt: "turn ${:words.length()}"}}
  add: {agent: pushAgent, isResult: true, inputs: {array: :words, item: :say.text}}
"""
    )
    assert found["results"]["add"]["array"] == [f"You said: turn {turn}" for turn in range(5)]
    (connection,) = ferry.connections
    said = kinds(connection)
    assert (said.count("Submit"), said.count("Input")) == (1, 0)


def test_a_loop_without_an_end_stops_on_both_sides(ferry: Ferry, home: Path) -> None:
    ferry(
        """\
version: 0.5
loop: {while: :on}
place: cloud
nodes:
  on: {value: true}
  n: {value: 0, update: :more}
  more: {agent: gateCount, inputs: {}}
""".replace("gateCount, inputs: {}", "copyAgent, params: {namedKey: v}, inputs: {v: 1}"),
        "--max-turns",
        "3",
    )
    assert ferry.outcome.status != 0
    assert len({record.path for record in of(home, "cloud", Result)}) <= 4


# -- the worker's side of the language


def test_attributes_mean_the_same_at_the_worker(ferry: Ferry) -> None:
    found = ferry(
        """\
version: 0.5
nodes:
  yes: {value: true}
  no: {value: false}
  retried: {agent: failAgent, place: cloud, retry: 3, isResult: true, params: {text: not yet, until: 2}, inputs: {t: :yes}}
  late: {agent: sleeperAgent, place: cloud, timeout: 30, retry: 0, params: {duration: 60000}, inputs: {t: :yes}, isResult: true}
  then: {agent: copyAgent, place: cloud, if: :no, isResult: true, inputs: {t: 1}}
  unless: {agent: copyAgent, place: cloud, unless: :no, isResult: true, inputs: {t: 2}}
  default: {agent: copyAgent, place: cloud, if: :no, defaultValue: {t: 3}, isResult: true, inputs: {t: 4}}
  any: {agent: copyAgent, place: cloud, anyInput: true, isResult: true, inputs: {a: :then, b: :unless.t}}
  after: {agent: copyAgent, place: edge, isResult: true, inputs: {t: :any}}
"""
    )
    assert (found["status"], ferry.outcome.status) == ("failed", 1)
    results = found["results"]
    assert results["retried"] == {"retry": 2}
    assert results["unless"] == {"t": 2}
    assert results["default"] == {"t": 3}
    assert results["any"] == {"b": 2}
    assert results["after"] == {"t": {"b": 2}}
    assert "then" not in results
    assert {path: node["state"] for path, node in found["nodes"].items() if path in ("then", "late")} == {
        "then": "skipped",
        "late": "timed-out",
    }
    assert found["errors"]["late"]["code"] == "NODE_TIMEOUT"
    assert found["nodes"]["retried"]["retry"] == 2


def test_places_change_no_result(ferry: Ferry) -> None:
    graph = """\
version: 0.5
nodes:
  list: {value: [3, 1, 2]}
  low: {agent: compareAgent, inputs: {array: [":list.length()", "==", 3]}}
  pick: {agent: copyAgent, if: :low, inputs: {v: :list.$0}}
  not: {agent: copyAgent, unless: :low, inputs: {v: :list.$1}}
  either: {agent: copyAgent, anyInput: true, inputs: {a: :pick.v, b: :not.v}}
  last: {agent: copyAgent, isResult: true, inputs: {all: [":either", ":list", {deep: ":pick"}]}}
"""
    names = ("low", "pick", "not", "either", "last")
    results = []
    for shipped in ((), ("pick",), ("either",), ("low", "last"), ("pick", "not", "either"), names):
        pins = [word for name in shipped for word in ("--place", f"{name}=cloud")]
        results.append(ferry(graph, *pins, "--all")["results"])
        assert ferry.outcome.status == 0, (shipped, ferry.outcome.stderr)
    assert results[0]["last"] == {"all": [{"a": 3}, [3, 1, 2], {"deep": {"v": 3}}]}
    assert all(each == results[0] for each in results)


def test_a_node_that_fails_at_the_worker_fails_the_run_with_its_message(ferry: Ferry, home: Path) -> None:
    ferry(
        """\
version: 0.5
nodes:
  a: {value: 1}
  bad: {agent: failAgent, place: cloud, retry: 1, params: {text: the engine is flooded}, inputs: {a: :a}}
  end: {agent: copyAgent, place: edge, isResult: true, inputs: {t: :bad}}
"""
    )
    assert ferry.outcome.status == 1
    assert "node 'bad' failed: the engine is flooded" in ferry.outcome.stderr
    assert "Traceback" not in ferry.outcome.stderr
    assert [(each.at, each.retry, each.final) for each in of(home, "edge", Error) if each.path == "bad"] == [
        (1, 0, False),
        (2, 1, True),
    ]


def test_a_crash_of_the_model_at_the_worker_is_not_an_attempt_of_the_node(ferry: Ferry, home: Path) -> None:
    model = ScriptedModel("large")
    model.crash(after=1)
    found = ferry(FERRY, models=(model,))
    assert ferry.outcome.status == 0, ferry.outcome.stderr
    for side in ("edge", "cloud"):
        (crash,) = of(home, side, Error)
        assert (crash.path, crash.code, crash.at, crash.retry, crash.final) == ("draft", "MODEL_CRASHED", 1, 0, False)
        (answer,) = [each for each in of(home, side, Result) if each.path == "draft"]
        assert (answer.at, answer.retry) == (2, 0)
    assert found["nodes"]["draft"]["retry"] == 0


# -- what cannot cross


@pytest.mark.parametrize(
    ("nodes", "kept"),
    [
        (
            "  big: {agent: bigAgent, place: edge, params: {bytes: 70000}}\n"
            "  far: {agent: lengthAgent, place: cloud, isResult: true, inputs: {of: :big}}\n",
            {"big"},
        ),
        (
            "  big: {agent: bigAgent, place: cloud, params: {bytes: 70000}}\n"
            "  far: {agent: lengthAgent, place: edge, isResult: true, inputs: {of: :big}}\n",
            set(),
        ),
    ],
    ids=["up", "down"],
)
def test_a_value_too_large_for_the_link_suspends_and_loses_nothing(ferry: Ferry, home: Path, nodes: str, kept: set[str]) -> None:
    found = ferry("version: 0.5\nnodes:\n  small: {agent: whereAgent, place: cloud, inputs: {t: 1}}\n" + nodes)
    assert (ferry.outcome.status, found["status"]) == (3, "suspended")
    (code,) = {each["code"] for each in found["errors"].values()}
    assert code == "VALUE_TOO_LARGE"
    (message,) = {each["message"] for each in found["errors"].values()}
    assert "limit is 65,536" in message
    assert message in ferry.outcome.stderr
    assert "graphferry resume" in ferry.outcome.stderr
    assert {path for path, _ in made(home, "edge")} == {"small"} | kept


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


# -- what is known before anything runs


def test_a_limit_that_could_bind_across_the_cut_is_not_yet_possible(ferry: Ferry, home: Path) -> None:
    ferry(
        """\
version: 0.5
concurrency: 1
nodes:
  a: {agent: copyAgent, place: edge, inputs: {t: 1}}
  b: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: 2}}
"""
    )
    assert ferry.outcome.status == 2
    assert "not yet" in ferry.outcome.stderr
    assert "concurrency" in ferry.outcome.stderr
    assert runs(home, "edge") == []


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
    assert "graphferry models get giant" in ferry.outcome.stderr
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


class FakeServer:
    """Answers every request with one HTTP status, and counts them."""

    def __init__(self, answer: str) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listening.getsockname()[1]}/v1/link"
        self.asked: list[bytes] = []
        self._answer = f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(65536)
                if not asked:
                    continue
                self.asked.append(asked)
                connection.sendall(self._answer)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


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
        outcome = cli("run", "g.yaml", "--cloud", served.url, "--deadline", "700ms", "--json")
        found = report(outcome)
        assert (outcome.status, found["status"]) == (3, "suspended")
        assert "deadline" in found["errors"][""]["message"]
        assert "0.7 s" in outcome.stderr
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
        reached = threading.Event()
        while served.call(lambda: len(model.requests)) < 2:
            reached.wait(0.02)
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
