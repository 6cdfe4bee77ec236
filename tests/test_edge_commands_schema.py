"""`graphferry schema`."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import CommandLine
from graphs.agents import standard
from graphs.language.schema import json_schema


def test_it_prints_the_schema_with_all_agents(cli: CommandLine) -> None:
    outcome = cli("schema")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert json.loads(outcome.stdout) == json_schema({name: agent.description for name, agent in standard().items()})


def test_it_writes_a_file_and_knows_agents_of_ones_own(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "ours_for_the_schema.py").write_text(
        'import graphferry\n\n@graphferry.agent("ownAgent")\ndef own(context):\n    """Ours alone."""\n    return 1\n'
    )
    assert cli("schema", "-o", "s.json", "--agents", "ours_for_the_schema").status == 0
    offered = json.loads((tmp_path / "s.json").read_text())["definitions"]["agent"]["anyOf"]
    assert {"const": "ownAgent", "description": "Ours alone."} in offered


def test_a_module_that_is_not_there_is_named(cli: CommandLine) -> None:
    outcome = cli("schema", "--agents", "no_such_module")
    assert outcome.status == 2
    assert "no_such_module" in outcome.stderr
