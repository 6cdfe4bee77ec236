"""What crosses between device and worker, and that nodes mean the same wherever they run; with scripted models."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import CommandLine
from ferry import FERRY, Ferry
from graphs.models.scripted import ScriptedModel
from graphs.records import Close, End, Error, Input, Result
from logbook import entries, of, runs, store
from protocol.messages import Delta, Entry
from wiretap import Connection, tap
from workers import worker


def kinds(connection: Connection) -> list[str]:
    """The names of what the device said."""
    return [type(each.record if isinstance(each, Entry) else each).__name__ for each in connection.sent()]


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
            served.worker._received.clear()
            served.worker.journal.graph = lambda address: None  # type: ignore[method-assign, assignment]

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
