"""What commands that run graphs print, and what they leave with."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from processes import graphferry, start

COPY = "version: 0.5\nnodes:\n  word: {value: tide}\n  a: {agent: copyAgent, params: {namedKey: t}, isResult: true, inputs: {t: :word}}\n"


@pytest.fixture
def run(cli: CommandLine, tmp_path: Path) -> Any:
    def with_text(text: str, *words: str, **environ: str) -> Any:
        (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
        return cli("run", "g.yaml", *words, **environ)

    return with_text


def test_one_text_goes_to_stdout_as_it_is_and_the_table_to_stderr(run: Any) -> None:
    outcome = run(COPY, "--set", "word=ebb")
    assert (outcome.status, outcome.stdout) == (0, "ebb\n")
    assert "copyAgent" in outcome.stderr
    assert "edge" in outcome.stderr


def test_quiet_says_nothing_but_the_result(run: Any) -> None:
    outcome = run(COPY, "--progress", "quiet")
    assert (outcome.stdout, outcome.stderr) == ("tide\n", "")


def test_several_results_or_other_values_are_json(run: Any) -> None:
    outcome = run(COPY + "  b: {agent: copyAgent, isResult: true, inputs: {n: 1.5, none: null}}\n")
    assert json.loads(outcome.stdout) == {"a": "tide", "b": {"n": 1.5, "none": None}}


def test_all_gives_every_nodes_value(run: Any) -> None:
    outcome = run(COPY, "--all", "--json")
    assert json.loads(outcome.stdout)["results"] == {"word": "tide", "a": "tide"}


def test_events_for_programs_have_no_table_behind_them(run: Any) -> None:
    outcome = run(COPY, "--progress", "json")
    assert outcome.stdout == "tide\n"
    assert [json.loads(line)["event"] for line in outcome.stderr.splitlines()][-1] == "run-ended"


def test_ctrl_c_names_the_run_that_it_ended_and_not_the_newest_one(tmp_path: Path, own_home: Path) -> None:
    (tmp_path / "long.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: sleeperAgent, params: {duration: 600000}}\n", encoding="utf-8"
    )
    (tmp_path / "g.yaml").write_text(COPY, encoding="utf-8")
    with start("run", "long.yaml", home=own_home, cwd=tmp_path) as first:
        run = first.error_line().split()[1]
        assert first.error_line().startswith("started   a")
        assert graphferry("run", "g.yaml", home=own_home, cwd=tmp_path).status == 0
        first.send(signal.SIGINT)
        outcome = first.outcome()
    assert outcome.status == 130
    assert outcome.stderr == f"interrupted; what is finished is kept. Go on with:\n  graphferry resume {run}\n"


def test_json_is_one_object_and_nothing_else(run: Any) -> None:
    outcome = run(COPY, "--json")
    assert outcome.stderr == ""
    found = json.loads(outcome.stdout)
    assert set(found) == {"run", "status", "results", "errors", "nodes"}
    assert found["nodes"]["a"] == {
        "state": "completed",
        "place": "edge",
        "reason": "needs no worker",
        "by": {"agent": "copyAgent", "version": "1"},
        "retry": 0,
        "ms": found["nodes"]["a"]["ms"],
    }


def test_bytes_are_base64_in_json(run: Any, tmp_path: Path) -> None:
    (tmp_path / "raw.py").write_text(
        "from graphferry import agent\n\n@agent('rawAgent', effect='none')\ndef raw(context):\n    return {'raw': b'\\x00\\xff'}\n",
        encoding="utf-8",
    )
    text = "version: 0.5\nnodes:\n  a: {agent: rawAgent, isResult: true}\n"
    assert json.loads(run(text, "--agents", "raw.py", "--json").stdout)["results"] == {"a": {"raw": "AP8="}}


def test_a_failure_names_the_node_first_in_the_graph_then_the_others(run: Any) -> None:
    outcome = run(
        "version: 0.5\nnodes:\n"
        "  a: {agent: streamMockAgent, inputs: {t: 1}}\n"
        "  b: {agent: lookupDictionaryAgent, inputs: {namedKey: nothing}}\n"
        "  c: {agent: lookupDictionaryAgent, inputs: {namedKey: void}, isResult: true}\n"
    )
    assert outcome.status == 1
    first, second = outcome.stderr.index("error: node 'b' failed: "), outcome.stderr.index("also 'c': ")
    assert first < second
    assert "graphferry resume " in outcome.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.yaml"], "nowhere.yaml"),
        (["g.yaml", "--set", "word"], "expected NODE=VALUE"),
        (["g.yaml", "--set", "wrod=1"], "--set wrod: that node is not in the graph"),
        (["g.yaml", "--set", "a=1"], "--set a: that node is computed"),
        (["g.yaml", "--max-turns", "0"], "--max-turns: 0 is not a number above 0"),
        (["g.yaml", "--place", "a=moon"], "expected NODE=edge or NODE=cloud"),
        (["g.yaml", "--place", "b=edge"], "the graph has no computed node of that name"),
        (["g.yaml", "--deadline", "soon"], "not a duration"),
        (["g.yaml", "--agents", "no_such_module"], "cannot be imported"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(
    cli: CommandLine, tmp_path: Path, own_home: Path, words: list[str], told: str
) -> None:
    (tmp_path / "g.yaml").write_text(COPY, encoding="utf-8")
    outcome = cli("run", *words)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert told in outcome.stderr
    assert "Traceback" not in outcome.stderr
    listed = cli("runs", "--json")
    assert json.loads(listed.stdout) == []


def test_resume_takes_up_the_command_lines_choices(cli: CommandLine, tmp_path: Path) -> None:
    text = COPY + "  b: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: :a}}\n"
    (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
    first = cli("run", "g.yaml", "--set", "word=ebb", "--offline", "--json", "--all")
    assert first.status == 3
    (tmp_path / "g.yaml").unlink()
    again = cli("resume", json.loads(first.stdout)["run"], "--offline", "--json")
    assert again.status == 3
    assert json.loads(again.stdout)["results"] == {"word": "ebb", "a": "ebb"}


def test_a_graph_loaded_from_another_file_is_part_of_the_run_and_of_its_resumption(cli: CommandLine, tmp_path: Path) -> None:
    inner = "nodes:\n  far: {agent: llmAgent, inputs: {prompt: ':x'}, model: large, place: cloud, isResult: true}\n"
    (tmp_path / "inner.yaml").write_text(inner)
    outer = "nodes:\n  m: {agent: nestedAgent, inputs: {x: hello}, graphLoader: {fileName: inner.yaml}, isResult: true}\n"
    (tmp_path / "g.yaml").write_text(outer)
    first = cli("run", "g.yaml", "--offline", "--json")
    assert (first.status, json.loads(first.stdout)["nodes"]["m"]["state"]) == (4, "suspended")
    (tmp_path / "inner.yaml").unlink()  # the run has all it needs
    again = cli("resume", json.loads(first.stdout)["run"], "--offline", "--json")
    assert again.status == 4
    assert cli("check", "g.yaml").status == 2


def test_the_demonstration_runs_without_a_model(own_home: Path, tmp_path: Path) -> None:
    outcome = graphferry("demo", "--scripted", "--json", home=own_home, cwd=tmp_path)
    assert outcome.status == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert {path: node["place"] for path, node in found["nodes"].items()} == {
        "question": "edge",
        "draft": "cloud",
        "polish": "cloud",
        "answer": "cloud",
    }


def test_no_node_is_said_to_run_at_a_worker_that_is_not_reached(run: Any) -> None:
    url = "ws://127.0.0.1:9/v1/link"
    far = "version: 0.5\nnodes:\n  far: {agent: copyAgent, place: cloud, isResult: true, inputs: {x: 1}}\n"
    outcome = run(far, "--cloud", url)
    assert "waiting   far for a worker" in outcome.stderr
    assert "started" not in outcome.stderr
    assert f" --cloud {url}\n" in outcome.stderr.split("graphferry resume ")[1], "the command that goes on names the worker"


def test_a_number_that_json_does_not_have_is_null_in_it(run: Any) -> None:
    nothing = (
        "version: 0.5\nnodes:\n  a: {value: 1}\n  b: {agent: copyAgent, isResult: true, inputs: {x: :a.toNumber(), y: ':a'}}\n"
    )
    outcome = run(nothing, "--set", "a=1e999", "--json")
    json.loads(outcome.stdout, parse_constant=pytest.fail)
