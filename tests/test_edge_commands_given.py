"""A graph that a command is given: `plan` and `run` read it, fill it and refuse it alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import CommandLine

PAGE = "  page: {agent: vanillaFetchAgent, params: {type: text}, inputs: {url: 'http://127.0.0.1:9/'}}\n"
GRAPHS = {
    "a node that does not exist": "nodes: {a: {agent: copyAgent, inputs: {t: :nowhere}}}\n",
    "an agent that nobody has": "nodes: {a: {agent: noSuchAgent}}\n",
    "what anybody could have written": (
        "nodes:\n" + PAGE + "  send: {agent: copyAgent, requires: trusted, inputs: {letter: :page}}\n"
    ),
    "what is no YAML": "nodes: [",
}


@pytest.mark.parametrize("text", GRAPHS.values(), ids=GRAPHS.keys())
def test_plan_and_run_refuse_the_same_graphs_with_the_same_words(
    cli: CommandLine, own_home: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\n" + text, encoding="utf-8")
    plain = [cli(command, "g.yaml") for command in ("run", "plan")]
    assert [each.status for each in plain] == [2, 2]
    assert plain[0].stderr == plain[1].stderr
    data = [cli(command, "g.yaml", "--json") for command in ("run", "plan")]
    told = [json.loads(each.stdout) for each in data]
    assert told[0] == told[1]
    assert told[0]["status"] == "invalid"


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_value_of_another_type_than_the_graph_declares_is_refused(
    cli: CommandLine, own_home: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\ninputs: {count: {type: integer}}\nnodes: {a: {agent: copyAgent, inputs: {n: :count}}}\n", encoding="utf-8"
    )
    outcome = cli(command, "g.yaml", "--count", "many")
    assert outcome.status == 2
    assert "integer" in outcome.stderr


@pytest.mark.parametrize(
    ("text", "words", "mended"),
    [
        ("loop: {while: true}\nnodes: {a: {value: 1}, b: {agent: copyAgent, inputs: {x: :a}}}\n", "--max-turns", None),
        ("nodes: {a: {}, b: {agent: copyAgent, isResult: true, inputs: {x: :a}}}\n", "--set a=VALUE", ("--set", "a=1")),
    ],
    ids=["a loop without an end", "a node without a value"],
)
def test_what_cannot_start_is_told_before_the_run_is_on_record(
    cli: CommandLine, tmp_path: Path, text: str, words: str, mended: tuple[str, ...] | None
) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\n" + text, encoding="utf-8")
    outcome = cli("run", "g.yaml")
    assert outcome.status == 2
    assert words in outcome.stderr
    assert "no runs yet" in cli("runs").stdout
    if mended:
        assert cli("run", "g.yaml", *mended).status == 0


def test_what_json_does_not_have_is_text(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes: {a: {value: 1}, b: {agent: copyAgent, isResult: true, inputs: {x: :a}}}\n", encoding="utf-8"
    )
    outcome = cli("run", "g.yaml", "--set", "a=NaN", "--json")
    assert json.loads(outcome.stdout)["results"] == {"b": {"x": "NaN"}}
