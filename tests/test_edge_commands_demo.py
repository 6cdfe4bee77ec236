"""What `graphferry demo` says to do next; that it runs: tests/test_edge_commands_running.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conftest import CommandLine


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment below the folder of the shell."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "activate").touch()
    (folder / "graphferry").touch(mode=0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    return folder


def test_it_says_how_graphferry_becomes_a_command_where_it_is_none(cli: CommandLine, prefix: Path) -> None:
    said = cli("demo", "--scripted", PATH="/nowhere").stderr
    assert "Next:\n  graphferry runs " in said
    assert said.endswith("  . .venv/bin/activate\n")
    assert "activate" not in cli("demo", "--scripted", PATH=str(prefix)).stderr
