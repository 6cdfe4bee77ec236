"""Agents of the user's own modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphs.errors import UsageError
from graphs.loadagents import known_agents

TWO = """
from graphs.registry import agent

@agent("ours")
def ours(context):
    return 1

@agent("copyAgent")
def replaced(context):
    return "replaced"

not_an_agent = 5
"""


@pytest.fixture(autouse=True)
def imports_undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_without_modules_there_are_the_standard_agents() -> None:
    agents = known_agents()
    assert {"copyAgent", "nestedAgent", "mapAgent"} <= set(agents)


def test_a_script_that_ends_itself_ends_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("raise SystemExit(0)")
    with pytest.raises(UsageError, match=r"--agents script\.py: cannot be imported: SystemExit: 0"):
        known_agents(["script.py"], folder=tmp_path)


def test_a_module_is_named_as_in_an_import_and_looked_for_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "two.py").write_text(TWO)
    agents = known_agents(["package.two"], folder=tmp_path)
    assert agents["ours"].run(None) == 1
    assert agents["copyAgent"].run(None) == "replaced"


def test_a_module_may_be_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "by_file.py").write_text(TWO)
    assert "ours" in known_agents([str(tmp_path / "by_file.py")])
    assert "ours" in known_agents(["by_file.py"], folder=tmp_path)


def test_two_files_of_the_same_name_are_two_modules(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "agents.py").write_text(TWO.replace("ours", folder))
    agents = known_agents(["one/agents.py", "other/agents.py"], folder=tmp_path)
    assert {"one", "other"} <= set(agents)


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--agents nowhere\.at_all: cannot be imported"):
        known_agents(["nowhere.at_all"], folder=tmp_path)


def test_a_file_that_is_not_there_is_not_taken_for_a_module_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        known_agents(["colorsys.py"], folder=tmp_path)


def test_a_module_that_breaks_while_it_is_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("this is no python")
    with pytest.raises(UsageError, match="--agents broken: cannot be imported"):
        known_agents(["broken"], folder=tmp_path)


def test_a_module_without_agents_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "empty_one.py").write_text("x = 1")
    with pytest.raises(UsageError, match="no agent in it") as caught:
        known_agents(["empty_one"], folder=tmp_path)
    assert "graphferry.agent" in str(caught.value.hint)
