"""Device and worker as two processes, a real model on both sides. What a model says is never asserted, only what holds of any answer."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from graphs.models.files.facts import hash_file
from graphs.models.files.fetch import DEFAULT_MODEL
from graphs.models.files.store import ModelStore
from graphs.records import Error, Event, Result, State
from logbook import entries, of, runs, store
from processes import graphferry, serve, start
from protocol.messages import Delta, Entry
from wiretap import Connection, tap

pytestmark = pytest.mark.real_model

MODELS = f"{{large: {{model: {DEFAULT_MODEL}}}}}"

GRAPH = """\
version: 0.5
metadata: {note: CANARY-metadata}
nodes:
  topic: {value: the tide}
  diary: {value: CANARY-diary, sensitivity: private}
  CANARYnotes: {value: CANARY-notes}
  CANARYask:
    agent: llmAgent
    model: small
    params: {max_tokens: 12, temperature: 0, system: CANARY-system}
    inputs: {prompt: "Ask a question about ${:topic}. CANARY-prompt ${:CANARYnotes} ${:diary}"}
  question:
    agent: llmAgent
    model: small
    params: {max_tokens: 16, temperature: 0}
    inputs: {prompt: "Write one short question about ${:topic}."}
  draft:
    agent: llmAgent
    model: large
    params: {max_tokens: 24, temperature: 0}
    inputs: {prompt: :question.text}
  answer:
    agent: llmAgent
    model: large
    params: {max_tokens: 24, temperature: 0}
    isResult: true
    inputs: {prompt: :draft.text}
  CANARYend: {agent: copyAgent, isResult: true, inputs: {mine: :CANARYask.text, theirs: :answer.text}}
"""


def digest_here() -> str:
    """The SHA-256 of the model's file on this machine: as it was fetched, or written anew."""
    return hash_file(ModelStore().find(DEFAULT_MODEL).path)


def children_of(pid: int) -> list[int]:
    """The processes that this one started: the one that has the model, where it has one."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def said(connection: Connection) -> list[str]:
    return [type(each.record if isinstance(each, Entry) else each).__name__ for each in connection.sent()]


def test_two_processes_and_a_real_model_on_both_sides(home_with_model: Path, tmp_path: Path) -> None:
    home = home_with_model
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    with serve(home=home, cwd=tmp_path, models=MODELS) as worker, tap(worker.url) as line:
        words = ("run", "g.yaml", "--cloud", line.url, "--json")
        reports: list[dict[str, Any]] = []
        for _ in range(2):
            outcome = graphferry(*words, home=home, cwd=tmp_path)
            assert outcome.status == 0, outcome.stderr
            reports.append(json.loads(outcome.stdout))

    # which process ran which node, by which model: the writer of a record is the store of the process that made it
    digest = digest_here()
    device, far = store(home, "edge"), store(home, "cloud")
    assert device != far
    made = [
        (writer, record.path, record.by.get("digest"))
        for _, writer, record in entries(home, "edge")
        if isinstance(record, Result)
    ]
    one_run = [(device, "CANARYask"), (device, "question"), (far, "draft"), (far, "answer")]
    assert sorted(made) == sorted((writer, path, digest) for writer, path in one_run * 2)
    at_worker = [(writer, record.path) for _, writer, record in entries(home, "cloud") if isinstance(record, Result)]
    assert sorted(at_worker) == sorted([(far, "draft"), (far, "answer")] * 2)
    assert [row.role for row in runs(home, "cloud")] == ["child", "child"]
    for report in reports:
        places = {path: node["place"] for path, node in report["nodes"].items()}
        assert places == {"CANARYask": "edge", "question": "edge", "draft": "cloud", "answer": "cloud", "CANARYend": "edge"}
        assert report["nodes"]["answer"]["by"]["digest"] == digest
        assert report["results"]["CANARYend"]["theirs"] == report["results"]["answer"]["text"]

    # the cut crossed once for two runs
    first, second = line.connections
    assert (said(first).count("PutGraph"), said(second).count("PutGraph")) == (1, 0)
    assert [said(each).count("Submit") for each in line.connections] == [1, 1]
    assert runs(home, "cloud")[0].graph == runs(home, "cloud")[1].graph

    # nothing of the rest of the graph crossed
    for connection in line.connections:
        seen = connection.everything()
        assert b"CANARY" not in seen
        assert b"question" in seen, "the tap does not see what it should"

    # tokens streamed before the result
    for connection in line.connections:
        received = [each.record if isinstance(each, Entry) else each for each in connection.received()]
        result = next(at for at, each in enumerate(received) if isinstance(each, Result) and each.path == "answer")
        deltas = [at for at, each in enumerate(received) if isinstance(each, Delta)]
        assert deltas
        assert max(deltas) < result


LONG = """\
version: 0.5
nodes:
  topic: {value: ferries}
  story:
    agent: llmAgent
    model: MODEL
    params: {max_tokens: 200, temperature: 0}
    isResult: true
    inputs: {prompt: "Write a long story about ${:topic}."}
  again: {agent: stringTemplateAgent, params: {template: "told: ${t}"}, inputs: {t: :story.text}, isResult: true}
"""


@pytest.mark.parametrize("place", ["edge", "cloud"])
def test_kill_9_of_the_model_in_the_middle_of_an_answer(home_with_model: Path, tmp_path: Path, place: str) -> None:
    home = home_with_model
    (tmp_path / "g.yaml").write_text(LONG.replace("MODEL", "small" if place == "edge" else "large"), encoding="utf-8")
    with (
        serve(home=home, cwd=tmp_path, models=MODELS) as worker,
        start("run", "g.yaml", "--cloud", worker.url, "--json", "--progress", "json", home=home, cwd=tmp_path) as device,
    ):
        while json.loads(device.error_line())["event"] != "token":
            pass
        (model,) = children_of(device.pid if place == "edge" else worker.pid)
        os.kill(model, signal.SIGKILL)
        outcome = device.outcome()
    assert outcome.status == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert report["results"]["story"]["text"]
    assert report["results"]["again"] == f"told: {report['results']['story']['text']}"
    for side in ("edge",) if place == "edge" else ("edge", "cloud"):
        (crash,) = of(home, side, Error)
        assert (crash.path, crash.code, crash.at, crash.retry, crash.final) == ("story", "MODEL_CRASHED", 1, 0, False)
        assert "SIGKILL" in str(crash.text)
        begun = [(each.at, (each.info or {})["retry"]) for each in of(home, side, Event) if each.state == State.EXECUTING]
        assert begun == [(1, 0), (2, 0)]
        (result,) = of(home, side, Result)
        assert (result.path, result.at, result.retry, result.by["digest"]) == ("story", 2, 0, digest_here())


def test_an_alternative_answers_from_as_much_of_a_long_history_as_its_context_holds(
    home_with_model: Path, tmp_path: Path
) -> None:
    history = [
        {"role": "user", "content": "The tide rises and falls. " * 2000},
        {"role": "assistant", "content": "So it does."},
        {"role": "user", "content": "Twice a day."},
        {"role": "assistant", "content": "About that."},
    ]
    graph = {
        "version": 0.5,
        "nodes": {
            "history": {"value": history},
            "answer": {
                "agent": "llmAgent",
                "model": "large",
                "place": {"at": "cloud", "offline": "local"},
                "isResult": True,
                "params": {"max_tokens": 8, "temperature": 0},
                "inputs": {"messages": ":history", "prompt": "What does the tide do?"},
            },
        },
    }
    (tmp_path / "g.json").write_text(json.dumps(graph), encoding="utf-8")
    outcome = graphferry("run", "g.json", "--offline", "--json", home=home_with_model, cwd=tmp_path)
    assert outcome.status == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    made = report["nodes"]["answer"]
    assert (made["degraded"], made["by"]["model"], made["by"]["digest"]) == ("unreachable", DEFAULT_MODEL, digest_here())
    assert report["results"]["answer"]["dropped"] == 2
    assert report["results"]["answer"]["messages"][0]["content"] == history[0]["content"]  # the inputs are what they were
