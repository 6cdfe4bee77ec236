"""`graphferry calibrate` as a person uses it: run, calibrate, run again, and the larger model is asked less."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conftest import CommandLine

AGENTS = """\
import math
from pathlib import Path

from graphferry import agent


@agent("askAgent", effect="none")
def ask(context):
    who, row = context.params.get("who", "small"), context.inputs["row"]
    with Path(__file__).with_name("asked.txt").open("a") as file:
        file.write(who + "\\n")
    right = who == "large" or row >= 10  # the small one is wrong of the first ten, and less sure
    return {"text": "yes" if right else "no", "confidence": {"mean": math.log(0.9 if right else 0.4)}}
"""

GRAPH = """\
version: 0.5
nodes:
  rows: {value: %s}
  each:
    agent: mapAgent
    inputs: {rows: ":rows"}
    graph:
      nodes:
        x:
          agent: askAgent
          inputs: {row: ":row"}
          escalate: {to: {params: {who: large}}}
          place: edge
          isResult: true
    isResult: true
"""


def asked(folder: Path) -> list[str]:
    path = folder / "asked.txt"
    said = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return said


def write(folder: Path, rows: int) -> str:
    (folder / "ours.py").write_text(AGENTS)
    path = folder / "g.yaml"
    path.write_text(GRAPH % json.dumps(list(range(rows))))
    return str(path)


def told(cli: CommandLine, *words: str) -> dict[str, Any]:
    done = cli("calibrate", "g.yaml", "--json", *words)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["cascades"][0]  # type: ignore[no-any-return]


def test_a_bar_is_set_from_runs_that_asked_both(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, 100)
    first = cli("run", "g.yaml", "--agents", "ours.py", "--json")
    assert first.status == 0, first.stderr
    assert asked(tmp_path).count("large") == 100
    result = told(cli, "--quality", "95%")
    assert result["node"] == "each/x"
    assert result["pairs"] == 100
    assert result["set"]["share"] == 0.1
    assert result["set"]["below"] == 0.9
    again = cli("run", "g.yaml", "--agents", "ours.py", "--json")
    assert again.status == 0, again.stderr
    assert asked(tmp_path).count("large") == 10
    values = [row["x"]["text"] for row in json.loads(again.stdout)["results"]["each"]]
    assert values == ["yes"] * 100
    assert told(cli, "--show")["pairs"] == 100, "the second run asked only where the first was unsure: it says nothing new"


def test_too_few_questions_set_nothing_and_say_so(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, 5)
    assert cli("run", "g.yaml", "--agents", "ours.py").status == 0
    done = cli("calibrate", "g.yaml")
    assert done.status == 1
    assert "15 more are needed" in done.stdout
    assert told(cli)["set"] is None


def test_a_share_and_a_reset(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, 40)
    assert cli("run", "g.yaml", "--agents", "ours.py").status == 0
    assert told(cli, "--share", "0")["set"]["share"] == 0.0
    asked(tmp_path)
    assert cli("run", "g.yaml", "--agents", "ours.py").status == 0
    assert "large" not in asked(tmp_path)
    assert "no bar any more (it was below " in cli("calibrate", "g.yaml", "--reset").stdout
    assert "no bar any more (there was none)" in cli("calibrate", "g.yaml", "--reset").stdout
    assert told(cli, "--reset")["set"] is None
    unknown = cli("calibrate", "g.yaml", "--node", "nope")
    assert (unknown.status, "no node 'nope' that escalates" in unknown.stderr) == (2, True)
    assert "These do: each/x" in unknown.stderr
    assert cli("run", "g.yaml", "--agents", "ours.py").status == 0
    assert asked(tmp_path).count("large") == 40


def test_a_graph_without_cascades_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes: {a: {value: 1}}\n")
    done = cli("calibrate", "g.yaml")
    assert done.status == 2
    assert "no node that escalates" in done.stderr


def test_a_first_model_that_does_not_say_how_sure_it_is_is_named_as_the_reason(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, 25)
    silent = AGENTS.replace(', "confidence": {"mean": math.log(0.9 if right else 0.4)}', "")
    (tmp_path / "ours.py").write_text(silent)
    assert cli("run", "g.yaml", "--agents", "ours.py").status == 0
    result = told(cli)
    assert (result["pairs"], result["mute"], result["set"]) == (0, 25, None)
    text = cli("calibrate", "g.yaml").stdout
    assert "of 25 more the first told no likelihoods" in text
    assert "escalate: {by: agreement}" in text
